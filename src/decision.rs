//! The decision about a request, and the status of each policy after it.

use std::time::Duration;

use crate::charge::PolicyId;

/// The result of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Every policy had room or is a [dry run](crate::Policy::dry_run), or the charge was forced. Each
    /// policy was charged, except a dry run without room and one whose full table let a new key pass
    /// uncounted ([`Overflow::Allow`](crate::Overflow::Allow)).
    Allowed,
    /// At least one policy had no room. No policy was charged. A later retry can succeed.
    Denied,
    /// At least one charge costs more than its limit, alone or together with earlier charges of the
    /// request to the same key. So no wait helps. No policy was charged.
    Impossible,
    /// A policy's table had no room for a new key, because it was full already or because
    /// memory for more could not be allocated. See [`Overflow`](crate::Overflow). No policy was
    /// charged, except as [`settle`](crate::Session::settle) and
    /// [`force_charge`](crate::Session::force_charge) state.
    ///
    /// In rare cases known keys get this verdict too: a table must replace its array before the
    /// array's counters can no longer represent the time, and no memory could be allocated for the
    /// new one. `docs/memory.md` says how long that takes.
    TableFull,
    /// A charge names a policy of another limiter, or there are more than
    /// [`MAX_CHARGES`](crate::MAX_CHARGES) charges, or more than
    /// [`MAX_RESERVED`](crate::MAX_RESERVED) in a reservation. No policy was charged.
    Invalid,
}

/// The decision about one request over all its policies.
///
/// All times are waits, counted from the time of the request. If the verdict is
/// [`TableFull`](Verdict::TableFull) or [`Invalid`](Verdict::Invalid), `limit`, `remaining` and
/// `reset_after_ns` are 0. For a request without charges, `limit` and `remaining` are `u64::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a request that is not allowed must not proceed"]
#[non_exhaustive]
pub struct Decision {
    /// The result: the request may proceed only if it is [`Verdict::Allowed`].
    pub verdict: Verdict,
    /// The deciding policy. A [dry run](crate::Policy::dry_run) decides only if the request is allowed
    /// and names no enforced policy.
    ///
    /// If the request is allowed, it is the policy with the least share of its limit left:
    /// `remaining / limit`. If shares are equal, it is the policy of the first charge. A limit of 0
    /// leaves no share. If the request is not allowed, it is the policy of the first charge that had
    /// no room, got no slot, or was invalid.
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
    /// Whether the request was refused because a table had no room ([`Verdict::TableFull`]), or was
    /// allowed and passed a policy uncounted: under [`Overflow::Allow`](crate::Overflow::Allow) or a
    /// [dry run](crate::Policy::dry_run).
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
    /// for its key, or because there is no memory to replace an array that is past its time range.
    pub(crate) fn refused(policy: PolicyId) -> Self {
        Decision { table_full: true, ..Decision::without_counter(Verdict::TableFull, policy) }
    }

    /// Returns the decision about the same request if the policy is a dry run, which refuses nothing.
    pub(crate) fn in_dry_run(self) -> Self {
        Decision { verdict: Verdict::Allowed, retry_after_ns: None, ..self }
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
/// [`Session::check_with_status`](crate::Session::check_with_status) writes one for each charge, in
/// order, unless the verdict is [`TableFull`](Verdict::TableFull) or [`Invalid`](Verdict::Invalid).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyStatus {
    /// The policy of the charge.
    pub policy: PolicyId,
    /// The limit that was applied, in units of cost.
    pub limit: u64,
    /// The units left of that limit.
    pub remaining: u64,
    /// Whether this policy had no room for the charge: under the limit or, in a dry run, in the table.
    pub violated: bool,
    /// The shortest wait after which this policy has room for the charge, in nanoseconds.
    ///
    /// It assumes no other charges meanwhile. `None` if the policy had room, or if no wait is known to
    /// help: see [`Verdict::Impossible`] and [`Verdict::TableFull`].
    pub retry_after_ns: Option<u64>,
    /// The wait until the whole limit is free, in nanoseconds. It assumes no other charges
    /// meanwhile.
    pub reset_after_ns: u64,
    /// Whether the table had no room for the key and the charge passed this policy uncounted: under
    /// [`Overflow::Allow`](crate::Overflow::Allow) or a [dry run](crate::Policy::dry_run).
    pub table_full: bool,
    /// Whether the policy is a [dry run](crate::Policy::dry_run). Then `violated` did not change the
    /// decision.
    pub dry_run: bool,
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
