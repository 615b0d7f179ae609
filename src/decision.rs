//! What the caller learns from a request.

use std::time::Duration;

use crate::charge::PolicyId;

/// The answer to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Every policy had room; all of them have been charged.
    Allowed,
    /// At least one policy has no room now; none has been charged.
    Denied,
    /// At least one charge costs more than its limit, so that no wait will help; none has been
    /// charged.
    Impossible,
    /// A new key found no place in a table that holds `max_keys` keys already, or that finds no
    /// memory for more; none has been charged. See [`Overflow`](crate::Overflow).
    TableFull,
    /// A charge names a policy of another limiter, or there are more than
    /// [`MAX_CHARGES`](crate::MAX_CHARGES) of them; none has been charged.
    Invalid,
}

/// The outcome of one request over all the policies that it names.
///
/// Times are waits counted from the request's own `now`, never points on a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a request that is not allowed must not go on"]
#[non_exhaustive]
pub struct Decision {
    /// Whether the request may go on.
    pub verdict: Verdict,
    /// The policy that decided: the first in the order of the request that had no room or, when the
    /// request is allowed, the one with the least remaining.
    pub policy: PolicyId,
    /// The limit of that policy that was applied, in units of cost.
    pub limit: u64,
    /// What that policy has left after this decision, in units of cost.
    pub remaining: u64,
    /// The shortest wait after which this whole request can pass if nobody else spends, in
    /// nanoseconds: the longest over all its policies. `Some` exactly when the verdict is
    /// [`Verdict::Denied`].
    pub retry_after_ns: Option<u64>,
    /// The wait until that policy has its whole limit free again if nobody spends, in nanoseconds.
    pub reset_after_ns: u64,
    /// Whether the table of any of the policies had no place for a new key. The request was refused
    /// for it ([`Verdict::TableFull`]) or, under [`Overflow::Allow`](crate::Overflow::Allow), not
    /// counted there.
    pub table_full: bool,
}

/// The answer to no charges at all: allowed.
impl Default for Decision {
    fn default() -> Self {
        Decision::of_none(Verdict::Allowed, PolicyId::default())
    }
}

impl Decision {
    /// A decision that no counter had a part in.
    pub(crate) fn of_none(verdict: Verdict, policy: PolicyId) -> Self {
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

    /// Whether the request may go on.
    #[inline]
    pub fn is_allowed(&self) -> bool {
        self.verdict == Verdict::Allowed
    }

    /// [`retry_after_ns`](Self::retry_after_ns) as a [`Duration`].
    #[inline]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after_ns.map(Duration::from_nanos)
    }

    /// [`reset_after_ns`](Self::reset_after_ns) as a [`Duration`].
    #[inline]
    pub fn reset_after(&self) -> Duration {
        Duration::from_nanos(self.reset_after_ns)
    }
}

/// How one policy of a request stands after the decision, for reports and headers.
///
/// [`Limiter::check_with_status`](crate::Limiter::check_with_status) gives one for each charge, in their
/// order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyStatus {
    /// The policy that was charged.
    pub policy: PolicyId,
    /// The limit that was applied, in units of cost.
    pub limit: u64,
    /// What is left of it, in units of cost.
    pub remaining: u64,
    /// Whether this policy had no room for its charge.
    pub violated: bool,
    /// The shortest wait after which this policy has room for its charge if nobody else spends, in
    /// nanoseconds; `None` when it had room, and when its charge costs more than the limit.
    pub retry_after_ns: Option<u64>,
    /// The wait until the whole limit is free again if nobody spends, in nanoseconds.
    pub reset_after_ns: u64,
    /// Whether the table had no place for the key, so that nothing was counted.
    pub table_full: bool,
}

impl PolicyStatus {
    /// [`retry_after_ns`](Self::retry_after_ns) as a [`Duration`].
    #[inline]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after_ns.map(Duration::from_nanos)
    }

    /// [`reset_after_ns`](Self::reset_after_ns) as a [`Duration`].
    #[inline]
    pub fn reset_after(&self) -> Duration {
        Duration::from_nanos(self.reset_after_ns)
    }
}
