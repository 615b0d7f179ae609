//! Policies: limits on the cost of a key, validated when the limiter is built.

pub(crate) mod calendar;
pub(crate) mod overflow;
pub(crate) mod token_price;

use crate::error::{ConfigError, MAX_LIMIT, MAX_NAME};
use crate::policy::calendar::Period;
use crate::policy::overflow::Overflow;
use std::time::Duration;

/// The shortest window of a sliding policy.
pub const MIN_WINDOW: Duration = Duration::from_millis(1);
/// The longest window of a sliding policy.
pub const MAX_WINDOW: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The possible numbers of words in a ring.
pub(crate) const RING_SIZES: [u32; 8] = [7, 15, 23, 31, 47, 63, 95, 127];
const DEFAULT_BUCKETS: u32 = 15;
const MAX_OFFSET_S: i32 = 18 * 60 * 60;

/// A limit on the cost of one key in a sliding window or in a calendar period.
///
/// [`Builder::build`](crate::Builder::build) validates it and reports the invalid field.
///
/// ```
/// use std::time::Duration;
/// use tollgate::{Period, Policy};
///
/// // 20 requests in any 60 seconds, exact to the nanosecond.
/// let requests = Policy::sliding("user", 20, Duration::from_secs(60));
/// // 100,000 tokens in any minute, counted in 127 buckets.
/// let tokens = Policy::sliding("tokens", 100_000, Duration::from_secs(60)).buckets(127);
/// // 10,000 tokens a day, from midnight to midnight in India.
/// let budget = Policy::calendar("budget", 10_000, Period::Day).offset_seconds(5 * 3600 + 1800);
/// # let _ = (requests, tokens, budget);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    name: String,
    limit: u64,
    max_limit: Option<u64>,
    max_keys: Option<usize>,
    max_bytes: Option<usize>,
    overflow: Option<Overflow>,
    unit: Option<String>,
    dry_run: bool,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Sliding { window: Duration, buckets: Option<u32> },
    Calendar { period: Period, offset_s: i32 },
}

/// The counter of a validated policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    Ring { window_ns: u64, words: u32 },
    Quota { period: Period, offset_s: i32 },
}

impl Policy {
    /// Returns a policy that admits at most `limit` units of cost in every interval of length
    /// `window`.
    ///
    /// By default, the policy is exact if its [`max_limit`](Self::max_limit) is at most 127: it
    /// decides as a log of all admitted charges would. With a greater `max_limit`, it counts in 15
    /// [`buckets`](Self::buckets).
    ///
    /// The limit is from 0 to [`MAX_LIMIT`], the window from [`MIN_WINDOW`] to [`MAX_WINDOW`]. A limit
    /// of 0 refuses every cost above 0, with [`Verdict::Impossible`](crate::Verdict::Impossible).
    /// Recorded times are truncated to [`Limiter::resolution`](crate::Limiter::resolution): 1 ns for
    /// most exact policies, and more for a long window or in buckets.
    pub fn sliding(name: impl Into<String>, limit: u64, window: Duration) -> Self {
        Self::new(name.into(), limit, Kind::Sliding { window, buckets: None })
    }

    /// Returns a policy that admits at most `limit` units of cost in each calendar period.
    ///
    /// It is exact. Periods are those of UTC unless [`offset_seconds`](Self::offset_seconds) is set.
    /// The limit is from 0 to [`MAX_LIMIT`], as in [`sliding`](Self::sliding).
    pub fn calendar(name: impl Into<String>, limit: u64, period: Period) -> Self {
        Self::new(name.into(), limit, Kind::Calendar { period, offset_s: 0 })
    }

    fn new(name: String, limit: u64, kind: Kind) -> Self {
        Policy {
            name,
            limit,
            max_limit: None,
            max_keys: None,
            max_bytes: None,
            overflow: None,
            unit: None,
            dry_run: false,
            kind,
        }
    }

    /// Counts a sliding window in at least this many buckets, from 2 to 127.
    ///
    /// The number is rounded up to 7, 15, 23, 31, 47, 63, 95 or 127. The slot of a key takes 64 bytes
    /// with 7 buckets, and 1,024 with 127.
    ///
    /// A policy is exact if its [`max_limit`](Self::max_limit) is at most its number of buckets. A
    /// bucketed policy may deny a request that an exact one would admit, and never admits too much.
    /// Each of its buckets spans the window divided by one less than their number, so more buckets
    /// make it more accurate. Calendar policies ignore this setting.
    pub fn buckets(mut self, count: u32) -> Self {
        if let Kind::Sliding { buckets, .. } = &mut self.kind {
            *buckets = Some(count);
        }
        self
    }

    /// Sets the maximum for [`Limiter::set_limit`](crate::Limiter::set_limit) and
    /// [`Charge::limit`](crate::Charge::limit), in units of cost. The default is the policy's own
    /// limit.
    ///
    /// With a maximum of 0, nothing can ever be admitted. Set a higher one for a policy that begins
    /// with a limit of 0 and is opened later.
    pub fn max_limit(mut self, limit: u64) -> Self {
        self.max_limit = Some(limit);
        self
    }

    /// Sets the maximum number of keys in this policy's table, in place of
    /// [`Builder::max_keys`](crate::Builder::max_keys).
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = Some(keys);
        self
    }

    /// Sets the maximum memory of this policy, in bytes. Its table gets as many keys as fit.
    ///
    /// The policy then has no share of the [default](crate::Builder::max_bytes) for all policies.
    /// [`max_keys`](Self::max_keys) and an explicit [`Builder::max_bytes`](crate::Builder::max_bytes)
    /// bound it as well. [`Limiter::max_keys`](crate::Limiter::max_keys) returns the resulting number of
    /// keys.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::{Limiter, Policy};
    ///
    /// let mut builder = Limiter::builder();
    /// let user = Policy::sliding("user", 20, Duration::from_secs(60)).max_bytes(16 << 20);
    /// let user = builder.add(user);
    /// let limiter = builder.build()?;
    /// assert!(limiter.max_keys(user)? > 38_000);
    /// assert!(limiter.memory_bound(user)? <= 16 << 20);
    /// # Ok::<(), tollgate::ConfigError>(())
    /// ```
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Sets what happens to a new key when this policy's table is full, in place of
    /// [`Builder::overflow`](crate::Builder::overflow).
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = Some(overflow);
        self
    }

    /// Sets the unit of the cost for the [`http`](crate::http) fields, for example `"tokens"`.
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = Some(unit.into());
        self
    }

    /// Sets the offset of calendar periods from UTC, in seconds east, up to 18 hours either way.
    ///
    /// Sliding policies ignore this setting.
    pub fn offset_seconds(mut self, seconds: i32) -> Self {
        if let Kind::Calendar { offset_s, .. } = &mut self.kind {
            *offset_s = seconds;
        }
        self
    }

    /// Sets whether the policy is a dry run: it decides and charges as before, but refuses nothing.
    /// The default is false, an enforced policy.
    ///
    /// Use it to see what a new policy or a lower limit would deny, before it denies anything.
    ///
    /// - A charge that has room is charged. A charge without room is a *would-be denial*: it is not
    ///   charged, and the request goes on as if it had passed. So does a new key for which the table
    ///   has no room.
    /// - If an enforced policy denies the request, the dry run is not charged either.
    /// - A would-be denial does not change the decision. Its [`PolicyStatus`](crate::PolicyStatus) has
    ///   `violated`, the wait and `dry_run`, and [`Stats::dry_run_denied`](crate::Stats::dry_run_denied)
    ///   counts it.
    /// - The decision about an allowed request reports a dry run only if the request names no enforced
    ///   policy. [`Limiter::http_items`](crate::Limiter::http_items) skips it.
    /// - Several charges of one request to the same key are decided in order. One without room does not
    ///   count against the later ones.
    /// - A reservation that the dry run would have denied is not charged under it any more, also if it is
    ///   extended or settled. A would-be denied extension is not charged, neither then nor when the
    ///   reservation is settled.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::{Limiter, Policy, PolicyStatus};
    ///
    /// let minute = Duration::from_secs(60);
    /// let mut builder = Limiter::builder();
    /// let user = builder.add(Policy::sliding("user", 100, minute));
    /// let stricter = builder.add(Policy::sliding("stricter", 1, minute).dry_run(true));
    /// let limiter = builder.build()?;
    ///
    /// let request = [user.charge("alice", 1), stricter.charge("alice", 1)];
    /// let mut statuses = [PolicyStatus::default(); 2];
    /// for _ in 0..3 {
    ///     let decision = limiter.check_with_status(&request, &mut statuses);
    ///     assert!(decision.is_allowed() && decision.policy == user);
    /// }
    /// assert!(statuses[1].violated && statuses[1].retry_after().unwrap() <= minute);
    /// assert_eq!(limiter.stats(stricter).unwrap().dry_run_denied, 2);
    /// # Ok::<(), tollgate::ConfigError>(())
    /// ```
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Returns whether the policy is a [dry run](Self::dry_run).
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// Returns the policy's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the limit that the policy was made with, in units of cost.
    ///
    /// [`Limiter::limit`](crate::Limiter::limit) returns the current limit.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns the window of a sliding policy.
    pub fn window(&self) -> Option<Duration> {
        match self.kind {
            Kind::Sliding { window, .. } => Some(window),
            Kind::Calendar { .. } => None,
        }
    }

    /// Returns the period of a calendar policy.
    pub fn period(&self) -> Option<Period> {
        match self.kind {
            Kind::Sliding { .. } => None,
            Kind::Calendar { period, .. } => Some(period),
        }
    }

    /// Returns the number of buckets in which the policy counts a window, or `None` if it is exact.
    ///
    /// Calendar policies are exact, and so are sliding policies with a
    /// [`max_limit`](Self::max_limit) that is at most their number of buckets.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tollgate::Policy;
    /// let policy = |limit| Policy::sliding("user", limit, Duration::from_secs(60));
    /// assert_eq!(policy(127).bucket_count()?, None);
    /// assert_eq!(policy(128).bucket_count()?, Some(15));
    /// assert_eq!(policy(128).buckets(24).bucket_count()?, Some(31));
    /// # Ok::<(), tollgate::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// The policy's first invalid field.
    pub fn bucket_count(&self) -> Result<Option<u32>, ConfigError> {
        Ok(match self.plan()? {
            Plan::Ring { words, .. } if u64::from(words) < self.counter_max_limit() => Some(words),
            Plan::Ring { .. } | Plan::Quota { .. } => None,
        })
    }

    pub(crate) fn into_name(self) -> String {
        self.name
    }

    pub(crate) fn unit_name(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    pub(crate) fn effective_max_limit(&self) -> u64 {
        self.max_limit.unwrap_or(self.limit)
    }

    /// The greatest limit that the policy's counters must support. At least 1: under a limit of 0,
    /// they still count forced charges.
    pub(crate) fn counter_max_limit(&self) -> u64 {
        self.effective_max_limit().max(1)
    }

    /// Sets the limiter's overflow mode if the policy has none of its own.
    pub(crate) fn with_default_overflow(mut self, overflow: Overflow) -> Self {
        self.overflow.get_or_insert(overflow);
        self
    }

    /// The policy's own number of keys.
    pub(crate) fn own_max_keys(&self) -> Option<usize> {
        self.max_keys
    }

    /// The policy's own number of bytes.
    pub(crate) fn own_max_bytes(&self) -> Option<usize> {
        self.max_bytes
    }

    /// Sets the number of keys that results from all bounds.
    pub(crate) fn set_max_keys(&mut self, keys: usize) {
        self.max_keys = Some(keys);
    }

    pub(crate) fn effective_max_keys(&self) -> usize {
        self.max_keys.unwrap_or_default()
    }

    pub(crate) fn effective_overflow(&self) -> Overflow {
        self.overflow.unwrap_or_default()
    }

    /// Validates every field and returns the counter of the policy.
    pub(crate) fn plan(&self) -> Result<Plan, ConfigError> {
        let policy = || self.name.clone();
        let printable = self.name.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if self.name.is_empty() || self.name.len() > MAX_NAME || !printable {
            return Err(ConfigError::Name { value: self.name.clone() });
        }
        if self.limit > MAX_LIMIT {
            return Err(ConfigError::Limit { policy: policy(), value: self.limit });
        }
        let max_limit = self.effective_max_limit();
        if !(self.limit..=MAX_LIMIT).contains(&max_limit) {
            return Err(ConfigError::MaxLimit {
                policy: policy(),
                value: max_limit,
                limit: self.limit,
            });
        }
        if self.max_keys == Some(0) {
            return Err(ConfigError::MaxKeys { policy: Some(policy()), value: 0 });
        }
        if let Overflow::EvictLightest { allowance } = self.effective_overflow()
            && !(1..=self.counter_max_limit()).contains(&allowance)
        {
            return Err(ConfigError::Allowance {
                policy: policy(),
                value: allowance,
                limit: self.counter_max_limit(),
            });
        }
        match self.kind {
            Kind::Sliding { window, .. } if !(MIN_WINDOW..=MAX_WINDOW).contains(&window) => {
                Err(ConfigError::Window { policy: policy(), value: window })
            }
            Kind::Sliding { window, buckets } => {
                let words = ring_words(self.counter_max_limit(), buckets)
                    .map_err(|value| ConfigError::Buckets { policy: policy(), value })?;
                Ok(Plan::Ring { window_ns: crate::clock::saturating_ns(window), words })
            }
            Kind::Calendar { offset_s, .. } if offset_s.unsigned_abs() > MAX_OFFSET_S as u32 => {
                Err(ConfigError::Offset { policy: policy(), value: offset_s })
            }
            Kind::Calendar { period, offset_s } => Ok(Plan::Quota { period, offset_s }),
        }
    }
}

/// Returns the number of words of a policy's ring, or `Err` with an invalid `buckets`.
///
/// Without `buckets`, the ring is exact if a ring can have `max_limit` words.
fn ring_words(max_limit: u64, buckets: Option<u32>) -> Result<u32, u32> {
    let longest = RING_SIZES[RING_SIZES.len() - 1];
    let wanted = match buckets {
        Some(count) if !(2..=longest).contains(&count) => return Err(count),
        Some(count) => count,
        None => u32::try_from(max_limit)
            .ok()
            .filter(|limit| *limit <= longest)
            .unwrap_or(DEFAULT_BUCKETS),
    };
    RING_SIZES.into_iter().find(|size| *size >= wanted).ok_or(wanted)
}
