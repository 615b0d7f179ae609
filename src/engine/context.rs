//! What a decision needs besides its charges.

use crate::clock::Now;
use crate::engine::Policies;
use crate::reclaim::{self, Guard};
use crate::sync::shard::Shard;

/// The context of a decision: the policies, one instant, the pinned epoch, and the shard of this
/// thread's statistics.
#[derive(Debug)]
pub(crate) struct Context<'l> {
    pub(crate) policies: &'l Policies,
    pub(crate) now: Now,
    pub(crate) guard: Guard,
    pub(crate) shard: Shard,
}

impl<'l> Context<'l> {
    #[inline(always)]
    pub(crate) fn new(policies: &'l Policies, now: Now) -> Self {
        // First, since a guard that exists during another call takes more instructions.
        let shard = Shard::current();
        Context { policies, now, guard: reclaim::pin(), shard }
    }
}
