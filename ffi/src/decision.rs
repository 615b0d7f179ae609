//! What the caller learns, in structs of the caller's.

use crate::status::tollgate_status::{self, *};
use limiter::{Decision, PolicyStatus, Verdict};

/// A wait that never ends: no wait will help.
pub const TOLLGATE_NEVER: u64 = u64::MAX;

/// `tollgate_decision` and `tollgate_policy_status`: a table had no room for a new key. The request
/// was denied or, under `TOLLGATE_OVERFLOW_ALLOW`, not counted.
pub const TOLLGATE_TABLE_WAS_FULL: u32 = 1;
/// `tollgate_policy_status`: this policy had no room for its charge.
pub const TOLLGATE_VIOLATED: u32 = 2;

/// The outcome of one request. Times are waits in nanoseconds from the request's own instant.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tollgate_decision {
    /// `TOLLGATE_OK`, `TOLLGATE_DENIED`, `TOLLGATE_IMPOSSIBLE`, `TOLLGATE_TABLE_FULL` or
    /// `TOLLGATE_E_POLICY`.
    pub status: tollgate_status,
    /// `TOLLGATE_TABLE_WAS_FULL`, or 0.
    pub flags: u32,
    /// The policy that decided: the first without room or, when allowed, the one with the least
    /// remaining.
    pub policy: u64,
    /// The limit of that policy that was applied.
    pub limit: u64,
    /// What that policy has left after this decision.
    pub remaining: u64,
    /// The shortest wait after which this whole request can pass if nobody else spends. 0 when it
    /// was allowed, `TOLLGATE_NEVER` when no wait is known to help.
    pub retry_after_ns: u64,
    /// The wait until that policy has its whole limit free again if nobody spends.
    pub reset_after_ns: u64,
    /// 0.
    pub reserved: [u64; 2],
}

/// How one policy of a request stands after the decision, for reports and HTTP fields.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tollgate_policy_status {
    /// The policy that was charged.
    pub policy: u64,
    /// The limit that was applied.
    pub limit: u64,
    /// What is left of it.
    pub remaining: u64,
    /// The shortest wait after which this policy has room for its charge if nobody else spends. 0
    /// when it had room, `TOLLGATE_NEVER` when its charge costs more than the limit.
    pub retry_after_ns: u64,
    /// The wait until the whole limit is free again if nobody spends.
    pub reset_after_ns: u64,
    /// `TOLLGATE_VIOLATED` and `TOLLGATE_TABLE_WAS_FULL`, or 0.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
}

#[inline(always)]
pub(crate) fn status_of(verdict: Verdict) -> tollgate_status {
    match verdict {
        Verdict::Allowed => TOLLGATE_OK,
        Verdict::Denied => TOLLGATE_DENIED,
        Verdict::Impossible => TOLLGATE_IMPOSSIBLE,
        Verdict::TableFull => TOLLGATE_TABLE_FULL,
        Verdict::Invalid => TOLLGATE_E_POLICY,
        // A verdict that this version does not know: an error, never an admission.
        _ => TOLLGATE_E_PANIC,
    }
}

impl From<&Decision> for tollgate_decision {
    #[inline(always)]
    fn from(decision: &Decision) -> Self {
        // SAFETY: a reference to an aligned number. Volatile, since both sides have the policy beside the
        // limit: one load of both would wait for the two stores of just before, 2 ns.
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
    fn from(layer: &PolicyStatus) -> Self {
        let retry_after_ns = match (layer.retry_after_ns, layer.violated) {
            (Some(wait_ns), _) => wait_ns,
            (None, true) => TOLLGATE_NEVER,
            (None, false) => 0,
        };
        let flag = |on: bool, flag: u32| if on { flag } else { 0 };
        tollgate_policy_status {
            policy: layer.policy.to_bits(),
            limit: layer.limit,
            remaining: layer.remaining,
            retry_after_ns,
            reset_after_ns: layer.reset_after_ns,
            flags: flag(layer.violated, TOLLGATE_VIOLATED)
                | flag(layer.table_full, TOLLGATE_TABLE_WAS_FULL),
            reserved: 0,
        }
    }
}

impl From<&tollgate_policy_status> for PolicyStatus {
    fn from(layer: &tollgate_policy_status) -> Self {
        let mut made = PolicyStatus::default();
        made.policy = limiter::PolicyId::from_bits(layer.policy);
        made.limit = layer.limit;
        made.remaining = layer.remaining;
        made.violated = layer.flags & TOLLGATE_VIOLATED != 0;
        let wait = layer.retry_after_ns;
        made.retry_after_ns = (made.violated && wait != TOLLGATE_NEVER).then_some(wait);
        made.reset_after_ns = layer.reset_after_ns;
        made.table_full = layer.flags & TOLLGATE_TABLE_WAS_FULL != 0;
        made
    }
}
