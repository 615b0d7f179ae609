//! One charge of a request, with its policy, its key and its outcome.

use crate::charge::Charge;
use crate::clock::Now;
use crate::counter::prepared::PreparedCharge;
use crate::counter::{NEVER, Outcome};
use crate::decision::{Decision, PolicyStatus, Verdict};
use crate::engine::context::Context;
use crate::engine::policy_metrics::{Event, Scope};
use crate::engine::policy_state::PolicyState;
use crate::engine::resolved_charge::ResolvedCharge;
use crate::sync::shard::Shard;
use crate::table::Receipt;
use std::mem::MaybeUninit;
use std::ptr;

/// A charge with its evaluation or, once it is committed, the outcome of the commit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'l> {
    pub(crate) charge: ResolvedCharge<'l>,
    pub(crate) outcome: Outcome,
    /// The number of the table's generation in which the charge was made.
    pub(crate) generation: u64,
    /// The charge to commit, if the evaluation found room.
    pub(crate) prepared: Option<PreparedCharge<'l>>,
    /// Whether the table has no slot for the key, as in a
    /// [`SlowCharge`](crate::engine::resolved_charge::SlowCharge).
    pub(crate) table_full: bool,
}

impl<'l> Item<'l> {
    /// An item that is not evaluated yet.
    #[inline(always)]
    pub(crate) fn new(charge: ResolvedCharge<'l>) -> Self {
        let outcome = Outcome { admitted: true, used: 0, at: 0, fits_at: 0, clear_at: 0 };
        Item { charge, outcome, generation: 0, prepared: None, table_full: false }
    }

    /// Evaluates a charge and, if it has room, prepares it. Writes the item to `slot` and returns it.
    /// Returns `None`, and writes nothing, if the charge must take the slow path.
    #[inline(always)]
    pub(crate) fn prepare<'s>(
        charge: ResolvedCharge<'l>,
        context: &'l Context<'_>,
        slot: &'s mut MaybeUninit<Self>,
    ) -> Option<&'s mut Self> {
        if charge.cost == 0 {
            return None;
        }
        charge.policy.fast_path().prepare(context, charge, slot)
    }

    /// The same for a charge whose key is not hashed yet.
    #[inline(always)]
    pub(crate) fn prepare_charge<'s>(
        policy: &'l PolicyState,
        charge: &Charge<'_>,
        context: &'l Context<'_>,
        slot: &'s mut MaybeUninit<Self>,
    ) -> Option<&'s mut Self> {
        policy.fast_path().prepare_charge(context, policy, charge, slot)
    }

    /// Returns whether both charge the same counter.
    #[inline(always)]
    pub(crate) fn is_same_counter(&self, other: &Item<'_>) -> bool {
        self.charge.key == other.charge.key && ptr::eq(self.charge.policy, other.charge.policy)
    }

    /// Returns whether the request passes this item: it has room, or its policy is a dry run.
    #[inline(always)]
    pub(crate) fn passes(&self) -> bool {
        self.outcome.admitted || self.charge.policy.is_dry_run()
    }

    /// Returns whether units were charged. The item must be charged or passed already.
    pub(crate) fn is_charged(&self) -> bool {
        self.outcome.admitted && !self.table_full && self.charge.cost > 0
    }

    /// The receipt of a committed charge.
    pub(crate) fn receipt(&self) -> Receipt {
        Receipt { at: self.outcome.at, units: self.charge.cost, generation: self.generation }
    }

    /// Counts the outcome of this item. Its request is counted elsewhere.
    pub(crate) fn count(&self, shard: Shard) {
        let ResolvedCharge { policy, cost, .. } = self.charge;
        let event = match (self.outcome.admitted, self.table_full) {
            (true, false) => return policy.count_admitted(cost, Scope::Charge, shard),
            (true, true) => Event::Untracked,
            (false, true) => Event::Refused,
            (false, false) if self.outcome.fits_at == NEVER => Event::Impossible,
            (false, false) => Event::Denied,
        };
        policy.count(event, Scope::Charge, shard);
    }

    /// Copies the usage to those of the `others` that have the same counter, since each item
    /// reports the usage after the whole request.
    pub(crate) fn copy_usage_to(&self, others: &mut [Item<'_>]) {
        for other in others.iter_mut().filter(|other| self.is_same_counter(other)) {
            other.outcome.used = self.outcome.used;
            other.outcome.clear_at = self.outcome.clear_at;
        }
    }

    /// Copies the usage from one of the `others` that has the same counter, if there is one.
    pub(crate) fn copy_usage_from(&mut self, others: &[Item<'_>]) {
        if let Some(other) = others.iter().find(|other| self.is_same_counter(other)) {
            self.outcome.used = other.outcome.used;
            self.outcome.clear_at = other.outcome.clear_at;
        }
    }

    /// The units that are left of the limit.
    #[inline(always)]
    pub(crate) fn remaining(&self) -> u64 {
        self.charge.limit.saturating_sub(self.outcome.used)
    }

    /// The wait until this item has room. `None` if it never has.
    #[inline(always)]
    pub(crate) fn wait_ns(&self, now: Now) -> Option<u64> {
        let fits_at = self.outcome.fits_at;
        (fits_at != NEVER).then(|| self.charge.policy.wait_ns(fits_at, now))
    }

    #[inline(always)]
    fn reset_after_ns(&self, now: Now) -> u64 {
        if self.outcome.used == 0 {
            return 0;
        }
        self.charge.policy.wait_ns(self.outcome.clear_at, now)
    }

    /// The decision about a request that reports this item's policy.
    #[inline(always)]
    pub(crate) fn decision(
        &self,
        verdict: Verdict,
        retry_after_ns: Option<u64>,
        now: Now,
    ) -> Decision {
        Decision {
            verdict,
            policy: self.charge.policy.id(),
            limit: self.charge.limit,
            remaining: self.remaining(),
            retry_after_ns,
            reset_after_ns: self.reset_after_ns(now),
            table_full: self.table_full,
        }
    }

    /// The decision about an allowed request that reports this item's policy. The item's prepared charge
    /// is committed.
    // A committed charge counts at `now`, so these values need no test.
    #[inline(always)]
    pub(crate) fn committed_decision(&self, now: Now) -> Decision {
        let ResolvedCharge { policy, limit, .. } = self.charge;
        Decision {
            verdict: Verdict::Allowed,
            policy: policy.id(),
            limit,
            remaining: limit - self.outcome.used,
            retry_after_ns: None,
            reset_after_ns: policy.wait_ns(self.outcome.clear_at, now),
            table_full: false,
        }
    }

    /// The status of this item's policy after the decision.
    pub(crate) fn status(&self, now: Now) -> PolicyStatus {
        let violated = !self.outcome.admitted;
        PolicyStatus {
            policy: self.charge.policy.id(),
            limit: self.charge.limit,
            remaining: self.remaining(),
            violated,
            retry_after_ns: if violated && !self.table_full { self.wait_ns(now) } else { None },
            reset_after_ns: self.reset_after_ns(now),
            table_full: self.table_full,
            dry_run: self.charge.policy.is_dry_run(),
        }
    }
}
