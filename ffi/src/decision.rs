//! Decisions and policy statuses in C.

use crate::status::tollgate_status::{self, *};
use limiter::{Decision, PolicyStatus, Verdict};

/// In place of a wait: no wait is known to help.
pub const TOLLGATE_NEVER: u64 = u64::MAX;

/// Flag of `tollgate_decision`: a table had no room for a key. The request was refused or, under
/// `TOLLGATE_OVERFLOW_ALLOW` or a dry run, not counted by that policy. Flag of
/// `tollgate_policy_status`: this policy did not count its charge, under `TOLLGATE_OVERFLOW_ALLOW` or
/// a dry run.
pub const TOLLGATE_TABLE_WAS_FULL: u32 = 1;
/// Flag of `tollgate_policy_status`: this policy had no room for its charge: under the limit or, in a
/// dry run, in its table.
pub const TOLLGATE_VIOLATED: u32 = 2;
/// Flag of `tollgate_policy`: the policy is a dry run. It decides and charges as it would without the
/// flag, but refuses nothing: a charge without room is not charged, and the request goes on as if it
/// had passed. If another policy denies the request, the dry run is not charged either. The decision
/// about an allowed request reports a dry run only if the request names no other policy, and the HTTP
/// functions skip it. `dry_run_denied` of `tollgate_stats` counts what it would have denied. A
/// reservation that it would have denied is not charged under it any more. Flag of
/// `tollgate_policy_status`: the policy is a dry run, so `TOLLGATE_VIOLATED` did not change the
/// decision.
pub const TOLLGATE_DRY_RUN: u32 = 4;

/// The decision about one request. Waits begin at the time of the request.
///
/// If the status is `TOLLGATE_TABLE_FULL` or `TOLLGATE_E_POLICY`, `limit`, `remaining` and
/// `reset_after_ns` are 0. For a request without charges, `limit` and `remaining` are `UINT64_MAX`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tollgate_decision {
    /// `TOLLGATE_OK`, `TOLLGATE_DENIED`, `TOLLGATE_IMPOSSIBLE`, `TOLLGATE_TABLE_FULL` or
    /// `TOLLGATE_E_POLICY`.
    pub status: tollgate_status,
    /// `TOLLGATE_TABLE_WAS_FULL`, or 0.
    pub flags: u32,
    /// The deciding policy: the first without room or, if the request is allowed, the one with the
    /// least share of its limit left, `remaining / limit`; of equal shares, the first. A dry run only if
    /// the request names no other policy. With `TOLLGATE_E_POLICY`, the first that is not of this
    /// limiter.
    pub policy: u64,
    /// The limit that was applied under the deciding policy.
    pub limit: u64,
    /// The units left under the deciding policy after this decision.
    pub remaining: u64,
    /// The shortest wait after which the whole request has room. Assumes no other charges
    /// meanwhile. 0 if the request was allowed, `TOLLGATE_NEVER` if no wait is known to help.
    pub retry_after_ns: u64,
    /// The wait until the deciding policy has its whole limit free. Assumes no other charges
    /// meanwhile.
    pub reset_after_ns: u64,
    /// Reserved: 0.
    pub reserved: [u64; 2],
}

/// The status of one policy of a request after the decision, for reports and HTTP fields.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tollgate_policy_status {
    /// The policy of the charge.
    pub policy: u64,
    /// The limit that was applied.
    pub limit: u64,
    /// The units left of that limit.
    pub remaining: u64,
    /// The shortest wait after which this policy has room for its charge. Assumes no other charges
    /// meanwhile. 0 if it had room, `TOLLGATE_NEVER` if no wait is known to help: the charge costs more
    /// than the limit or, in a dry run, the table is full.
    pub retry_after_ns: u64,
    /// The wait until the whole limit is free. Assumes no other charges meanwhile.
    pub reset_after_ns: u64,
    /// Any of `TOLLGATE_VIOLATED`, `TOLLGATE_TABLE_WAS_FULL` and `TOLLGATE_DRY_RUN`, or 0.
    pub flags: u32,
    /// Reserved: written as 0, and must be 0 when it is passed to a function.
    pub reserved: u32,
}

/// The status of a verdict.
#[inline(always)]
pub(crate) fn status_of(verdict: Verdict) -> tollgate_status {
    match verdict {
        Verdict::Allowed => TOLLGATE_OK,
        Verdict::Denied => TOLLGATE_DENIED,
        Verdict::Impossible => TOLLGATE_IMPOSSIBLE,
        Verdict::TableFull => TOLLGATE_TABLE_FULL,
        Verdict::Invalid => TOLLGATE_E_POLICY,
        // An unknown verdict is an error, never an admission.
        _ => TOLLGATE_E_PANIC,
    }
}

impl From<&Decision> for tollgate_decision {
    #[inline(always)]
    fn from(decision: &Decision) -> Self {
        // SAFETY: a reference to an aligned number. Volatile keeps the compiler from loading policy
        // and limit as one word: that load would stall on the two preceding stores (2 ns).
        let limit = unsafe { (&raw const decision.limit).read_volatile() };
        let never = if decision.is_allowed() { 0 } else { TOLLGATE_NEVER };
        tollgate_decision {
            status: status_of(decision.verdict),
            flags: if decision.table_full { TOLLGATE_TABLE_WAS_FULL } else { 0 },
            policy: decision.policy.to_bits(),
            limit,
            remaining: decision.remaining,
            retry_after_ns: decision.retry_after_ns.unwrap_or(never),
            reset_after_ns: decision.reset_after_ns,
            reserved: [0; 2],
        }
    }
}

impl From<&PolicyStatus> for tollgate_policy_status {
    fn from(status: &PolicyStatus) -> Self {
        let retry_after_ns = match (status.retry_after_ns, status.violated) {
            (Some(wait_ns), _) => wait_ns,
            (None, true) => TOLLGATE_NEVER,
            (None, false) => 0,
        };
        let flag = |on: bool, flag: u32| if on { flag } else { 0 };
        tollgate_policy_status {
            policy: status.policy.to_bits(),
            limit: status.limit,
            remaining: status.remaining,
            retry_after_ns,
            reset_after_ns: status.reset_after_ns,
            flags: flag(status.violated, TOLLGATE_VIOLATED)
                | flag(status.table_full, TOLLGATE_TABLE_WAS_FULL)
                | flag(status.dry_run, TOLLGATE_DRY_RUN),
            reserved: 0,
        }
    }
}

impl From<&tollgate_policy_status> for PolicyStatus {
    fn from(status: &tollgate_policy_status) -> Self {
        let mut converted = PolicyStatus::default();
        converted.policy = limiter::PolicyId::from_bits(status.policy);
        converted.limit = status.limit;
        converted.remaining = status.remaining;
        converted.violated = status.flags & TOLLGATE_VIOLATED != 0;
        let wait = status.retry_after_ns;
        converted.retry_after_ns = (converted.violated && wait != TOLLGATE_NEVER).then_some(wait);
        converted.reset_after_ns = status.reset_after_ns;
        converted.table_full = status.flags & TOLLGATE_TABLE_WAS_FULL != 0;
        converted.dry_run = status.flags & TOLLGATE_DRY_RUN != 0;
        converted
    }
}
