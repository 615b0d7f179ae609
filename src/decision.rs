//! The decision about a request, and the status of each policy after it.

use std::time::Duration;

use crate::charge::PolicyId;

/// The result of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Every policy had room and was charged, except one that lets new keys pass uncounted
    /// ([`Overflow::Allow`](crate::Overflow::Allow)).
    Allowed,
    /// At least one policy had no room. No policy was charged. A later retry can succeed.
    Denied,
    /// At least one charge costs more than its limit, so no wait helps. No policy was
    /// charged.
    Impossible,
    /// The table had no room for a new key: it already has `max_keys` keys, or memory for more
    /// could not be allocated. No policy was charged. See [`Overflow`](crate::Overflow).
    ///
    /// Known keys get this verdict too if their array has outlived its time range and memory for a
    /// new one could not be allocated.
    TableFull,
    /// A charge names a policy of another limiter, or there are more than
    /// [`MAX_CHARGES`](crate::MAX_CHARGES) charges, or more than
    /// [`MAX_RESERVED`](crate::MAX_RESERVED) in a reservation. No policy was charged.
    Invalid,
}

/// The decision about one request over all its policies.
///
/// All times are waits, counted from the time of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a request that is not allowed must not proceed"]
#[non_exhaustive]
pub struct Decision {
    /// The result: the request may proceed only if it is [`Verdict::Allowed`].
    pub verdict: Verdict,
    /// The deciding policy: the first of the request that had no room or, if the request is
    /// allowed, the one with the fewest remaining units.
    pub policy: PolicyId,
    /// The limit that was applied under the deciding policy, in units of cost.
    pub limit: u64,
    /// The units left under the deciding policy after this decision.
    pub remaining: u64,
    /// The shortest wait after which the whole request has room, in nanoseconds.
    ///
    /// It is the longest wait over all policies of the request, and assumes no other charges
    /// meanwhile. `Some` if and only if the verdict is [`Verdict::Denied`].
    pub retry_after_ns: Option<u64>,
    /// The wait until the deciding policy has its whole limit free, in nanoseconds. It assumes no
    /// other charges meanwhile.
    pub reset_after_ns: u64,
    /// Whether the table of any policy had no room for the key.
    ///
    /// The request was then refused ([`Verdict::TableFull`]) or, under
    /// [`Overflow::Allow`](crate::Overflow::Allow), not counted by that policy.
    pub table_full: bool,
}

/// The decision about a request without charges: allowed.
impl Default for Decision {
    fn default() -> Self {
        Decision::without_counter(Verdict::Allowed, PolicyId::default())
    }
}

impl Decision {
    /// Returns a decision that was made without a counter.
    pub(crate) fn without_counter(verdict: Verdict, policy: PolicyId) -> Self {
        let remaining = if verdict == Verdict::Allowed { u64::MAX } else { 0 };
        Decision {
            verdict,
            policy,
            limit: remaining,
            remaining,
            retry_after_ns: None,
            reset_after_ns: 0,
            table_full: false,
        }
    }

    /// Returns the decision about a request that is refused because the table of `policy` has no slot
    /// for its key, or has outlived its time range and found no memory for a new array.
    pub(crate) fn refused(policy: PolicyId) -> Self {
        Decision { table_full: true, ..Decision::without_counter(Verdict::TableFull, policy) }
    }

    /// Returns whether the request may proceed.
    #[inline]
    pub fn is_allowed(&self) -> bool {
        self.verdict == Verdict::Allowed
    }

    /// Returns [`retry_after_ns`](Self::retry_after_ns) as a [`Duration`].
    #[inline]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after_ns.map(Duration::from_nanos)
    }

    /// Returns [`reset_after_ns`](Self::reset_after_ns) as a [`Duration`].
    #[inline]
    pub fn reset_after(&self) -> Duration {
        Duration::from_nanos(self.reset_after_ns)
    }
}

/// The status of one policy of a request after the decision, for reports and headers.
///
/// [`Limiter::check_with_status`](crate::Limiter::check_with_status) writes one for each charge, in
/// order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyStatus {
    /// The policy of the charge.
    pub policy: PolicyId,
    /// The limit that was applied, in units of cost.
    pub limit: u64,
    /// The units left of that limit.
    pub remaining: u64,
    /// Whether this policy had no room for the charge.
    pub violated: bool,
    /// The shortest wait after which this policy has room for the charge, in nanoseconds.
    ///
    /// It assumes no other charges meanwhile. `None` if the policy had room, or if the charge costs
    /// more than the limit.
    pub retry_after_ns: Option<u64>,
    /// The wait until the whole limit is free, in nanoseconds. It assumes no other charges
    /// meanwhile.
    pub reset_after_ns: u64,
    /// Whether the table had no room for the key, so that nothing was counted.
    pub table_full: bool,
}

impl PolicyStatus {
    /// Returns [`retry_after_ns`](Self::retry_after_ns) as a [`Duration`].
    #[inline]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after_ns.map(Duration::from_nanos)
    }

    /// Returns [`reset_after_ns`](Self::reset_after_ns) as a [`Duration`].
    #[inline]
    pub fn reset_after(&self) -> Duration {
        Duration::from_nanos(self.reset_after_ns)
    }
}
