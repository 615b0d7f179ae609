//! What is limited: validated once, when the limiter is built.

pub(crate) mod calendar;
pub(crate) mod overflow;
pub(crate) mod token_price;

use crate::error::{ConfigError, MAX_LIMIT, MAX_NAME};
use crate::policy::calendar::Period;
use crate::policy::overflow::Overflow;
use std::time::Duration;

/// The shortest window.
pub const MIN_WINDOW: Duration = Duration::from_millis(1);
/// The longest window.
pub const MAX_WINDOW: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The numbers of words that a ring may have.
pub(crate) const RING_SIZES: [u32; 5] = [7, 15, 31, 63, 127];
const DEFAULT_BUCKETS: u32 = 15;
const MAX_OFFSET_S: i32 = 18 * 60 * 60;

/// A limit on the cost that one key may spend in a sliding window or in a calendar period.
///
/// Nothing is checked here: [`Builder::build`](crate::Builder::build) names the field that is
/// wrong.
///
/// ```
/// use std::time::Duration;
/// use tollgate::{Period, Policy};
///
/// // 20 requests in any 60 seconds, exact to the nanosecond.
/// let requests = Policy::sliding("user", 20, Duration::from_secs(60));
/// // 100,000 tokens in any minute, counted in 127 buckets.
/// let tokens = Policy::sliding("tokens", 100_000, Duration::from_secs(60)).buckets(127);
/// // 10,000 tokens a day, of India's day.
/// let budget = Policy::calendar("budget", 10_000, Period::Day).offset_seconds(5 * 3600 + 1800);
/// # let _ = (requests, tokens, budget);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    name: String,
    limit: u64,
    max_limit: Option<u64>,
    max_keys: Option<usize>,
    overflow: Option<Overflow>,
    unit: Option<String>,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Sliding { window: Duration, buckets: Option<u32> },
    Calendar { period: Period, offset_s: i32 },
}

/// How a policy is counted, after validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    Ring { window_ns: u64, words: u32 },
    Quota { period: Period, offset_s: i32 },
}

impl Policy {
    /// At most `limit` units of cost in every interval of length `window`.
    ///
    /// With a limit (more precisely a [`max_limit`](Self::max_limit)) up to 127 the policy is
    /// exact: it decides as a log of all admitted charges would. Greater limits are counted in 15
    /// [`buckets`](Self::buckets).
    ///
    /// Limits go from 1 to [`MAX_LIMIT`], windows from [`MIN_WINDOW`] to [`MAX_WINDOW`]. Times are
    /// recorded to the nanosecond, or in decimal fractions of a long window: see
    /// [`Limiter::resolution`](crate::Limiter::resolution).
    pub fn sliding(name: impl Into<String>, limit: u64, window: Duration) -> Self {
        Self::new(name.into(), limit, Kind::Sliding { window, buckets: None })
    }

    /// At most `limit` units of cost in each calendar period, which begins in UTC unless an
    /// [`offset_seconds`](Self::offset_seconds) is given. Exact; limits go from 1 to [`MAX_LIMIT`].
    pub fn calendar(name: impl Into<String>, limit: u64, period: Period) -> Self {
        Self::new(name.into(), limit, Kind::Calendar { period, offset_s: 0 })
    }

    fn new(name: String, limit: u64, kind: Kind) -> Self {
        Policy { name, limit, max_limit: None, max_keys: None, overflow: None, unit: None, kind }
    }

    /// Counts a sliding window in at least this many buckets: 2 to 127, rounded up to 7, 15, 31, 63
    /// or 127 (64 to 1024 bytes a key). A bucketed policy may deny early and never admits too much;
    /// the more buckets, the closer it is to exact. A policy whose limit is not above its buckets
    /// is exact. Ignored by calendar policies.
    pub fn buckets(mut self, count: u32) -> Self {
        if let Kind::Sliding { buckets, .. } = &mut self.kind {
            *buckets = Some(count);
        }
        self
    }

    /// The greatest limit that a single call or [`Limiter::set_limit`](crate::Limiter::set_limit)
    /// may ask for; by default the policy's own limit.
    pub fn max_limit(mut self, limit: u64) -> Self {
        self.max_limit = Some(limit);
        self
    }

    /// How many keys the policy has room for, in place of
    /// [`Builder::max_keys`](crate::Builder::max_keys).
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = Some(keys);
        self
    }

    /// What happens to a new key where there are that many, in place of
    /// [`Builder::overflow`](crate::Builder::overflow).
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = Some(overflow);
        self
    }

    /// What the cost counts, for the [`http`](crate::http) fields: `"tokens"`, say.
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = Some(unit.into());
        self
    }

    /// Moves the start of calendar periods: seconds east of UTC, up to 18 hours either way. Ignored
    /// by sliding windows.
    pub fn offset_seconds(mut self, seconds: i32) -> Self {
        if let Kind::Calendar { offset_s, .. } = &mut self.kind {
            *offset_s = seconds;
        }
        self
    }

    /// The policy's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The limit that the policy was built with.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// The window of a sliding policy.
    pub fn window(&self) -> Option<Duration> {
        match self.kind {
            Kind::Sliding { window, .. } => Some(window),
            Kind::Calendar { .. } => None,
        }
    }

    /// The period of a calendar policy.
    pub fn period(&self) -> Option<Period> {
        match self.kind {
            Kind::Sliding { .. } => None,
            Kind::Calendar { period, .. } => Some(period),
        }
    }

    pub(crate) fn into_name(self) -> String {
        self.name
    }

    pub(crate) fn unit_name(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    pub(crate) fn greatest_limit(&self) -> u64 {
        self.max_limit.unwrap_or(self.limit)
    }

    /// Fills in what the policy leaves to the limiter.
    pub(crate) fn or(mut self, max_keys: usize, overflow: Overflow) -> Self {
        self.max_keys.get_or_insert(max_keys);
        self.overflow.get_or_insert(overflow);
        self
    }

    pub(crate) fn most_keys(&self) -> usize {
        self.max_keys.unwrap_or_default()
    }

    pub(crate) fn overflow_mode(&self) -> Overflow {
        self.overflow.unwrap_or_default()
    }

    /// Checks every field and says how the policy is counted.
    pub(crate) fn plan(&self) -> Result<Plan, ConfigError> {
        let policy = || self.name.clone();
        let printable = self.name.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if self.name.is_empty() || self.name.len() > MAX_NAME || !printable {
            return Err(ConfigError::Name { value: self.name.clone() });
        }
        if !(1..=MAX_LIMIT).contains(&self.limit) {
            return Err(ConfigError::Limit { policy: policy(), value: self.limit });
        }
        let greatest = self.greatest_limit();
        if !(self.limit..=MAX_LIMIT).contains(&greatest) {
            return Err(ConfigError::MaxLimit {
                policy: policy(),
                value: greatest,
                limit: self.limit,
            });
        }
        if self.max_keys == Some(0) {
            return Err(ConfigError::MaxKeys { value: 0 });
        }
        if let Overflow::EvictLightest { allowance } = self.overflow_mode()
            && !(1..=greatest).contains(&allowance)
        {
            return Err(ConfigError::Allowance {
                policy: policy(),
                value: allowance,
                limit: greatest,
            });
        }
        match self.kind {
            Kind::Sliding { window, .. } if !(MIN_WINDOW..=MAX_WINDOW).contains(&window) => {
                Err(ConfigError::Window { policy: policy(), value: window })
            }
            Kind::Sliding { window, buckets } => {
                let words = ring_words(greatest, buckets)
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

/// The ring for a limit: exact where that is small enough, unless buckets were asked for.
fn ring_words(greatest: u64, buckets: Option<u32>) -> Result<u32, u32> {
    let longest = RING_SIZES[RING_SIZES.len() - 1];
    let wanted = match buckets {
        Some(count) if !(2..=longest).contains(&count) => return Err(count),
        Some(count) => count,
        None => u32::try_from(greatest)
            .ok()
            .filter(|limit| *limit <= longest)
            .unwrap_or(DEFAULT_BUCKETS),
    };
    RING_SIZES.into_iter().find(|size| *size >= wanted).ok_or(wanted)
}
