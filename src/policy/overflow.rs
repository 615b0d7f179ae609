//! The choice of what happens to a new key when a policy's table is full.

/// The handling of a new key when a policy's table is full.
///
/// A table is full if it has the [most keys](crate::Limiter::max_keys) that its bounds permit, of which
/// too few have expired, or if memory for more keys cannot be allocated.
///
/// Under [`Deny`](Self::Deny) and [`Allow`](Self::Allow), new keys never change the decisions for
/// known keys. Under [`EvictLightest`](Self::EvictLightest), they never change the decisions for
/// keys that have used more than the allowance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// Refuse the request with [`Verdict::TableFull`](crate::Verdict::TableFull).
    ///
    /// In a flood of new keys, other new clients are refused as well, until keys expire.
    #[default]
    Deny,
    /// Let the request pass this policy without counting it.
    ///
    /// [`Decision::table_full`](crate::Decision::table_full) is then true. Clients that always send
    /// new keys are not limited.
    Allow,
    /// Evict the keys with the least usage to make room.
    ///
    /// An evicted key starts with no usage if it returns. In any window or period, no key is
    /// forgiven more than `allowance` units, so the cost admitted to it is at most the limit plus
    /// the allowance. A key that has used more than the allowance is never evicted, and its open
    /// reservations stay charged.
    ///
    /// New keys are refused while the evictions of the last window or period have used up the
    /// allowance, and while there were eight of these evictions. They are also refused while fewer
    /// than an eighth of the keys have used little enough to be evicted. See `docs/memory.md` for the
    /// eviction schedule.
    EvictLightest {
        /// The maximum that a key is forgiven in any window or period, in units of cost, from 1 to
        /// the policy's [`max_limit`](crate::Policy::max_limit), or 1 if that is 0.
        allowance: u64,
    },
}

impl Overflow {
    pub(crate) fn allowance(self) -> u64 {
        match self {
            Overflow::EvictLightest { allowance } => allowance,
            Overflow::Deny | Overflow::Allow => 0,
        }
    }
}
