//! One request: what it is decided with, and the way of a single charge.

pub(crate) mod batch;
pub(crate) mod fallback;
pub(crate) mod optimistic;
pub(crate) mod report;
pub(crate) mod reservation;

use crate::charge::{Charge, PolicyId};
use crate::clock::Now;
use crate::counter::prepared::PreparedCharge;
use crate::counter::{NEVER, Outcome};
use crate::decision::{Decision, PolicyStatus, Verdict};
use crate::engine::Policies;
use crate::engine::metrics::Event;
use crate::engine::policy_state::PolicyState;
use crate::sync::shard::Shard;
use crate::table::epoch::{self, Guard};
use crate::table::{Charged, ClaimError, Evaluation, KeyId, Receipt};
use crate::verify::mutants::{Breakage, broken};
use crate::verify::path::{self, Path};
use std::ptr;

/// What a request is decided with: the policies, one instant, and this thread's hold on the tables.
#[derive(Debug)]
pub(crate) struct Context<'l> {
    pub(crate) policies: &'l Policies,
    pub(crate) now: Now,
    pub(crate) guard: Guard,
    pub(crate) shard: Shard,
}

/// One charge of a request, with everything looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResolvedCharge<'l> {
    pub(crate) policy: &'l PolicyState,
    pub(crate) key: KeyId,
    pub(crate) cost: u64,
    pub(crate) limit: u64,
}

/// The same, and how it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'l> {
    pub(crate) resolved: ResolvedCharge<'l>,
    pub(crate) outcome: Outcome,
    /// The table's generation that was charged.
    pub(crate) generation: u64,
    /// What would charge it, as long as it was only looked at and has room.
    pub(crate) prepared: Option<PreparedCharge<'l>>,
    /// The table had no place for the key.
    pub(crate) table_full: bool,
}

/// How a request is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Check,
    Peek,
    Force,
}

impl<'l> Context<'l> {
    #[inline(always)]
    pub(crate) fn new(policies: &'l Policies, now: Now) -> Self {
        Context { policies, now, guard: epoch::pin(), shard: Shard::current() }
    }

    /// Decides a request of one charge.
    #[inline(always)]
    pub(crate) fn decide_one(
        &self,
        resolved: ResolvedCharge<'l>,
        mode: Mode,
        layers: &mut [PolicyStatus],
    ) -> Decision {
        if mode == Mode::Check && layers.is_empty() {
            self.check_one(resolved.policy, resolved.key, resolved.cost, resolved.limit)
        } else {
            self.decide_one_slow(Item::new(resolved), mode, layers)
        }
    }

    /// The way of most requests: the key is known, and nobody else writes its counter just now.
    ///
    /// What is known where the caller stands, a key's kind say, is used there; from here on all go
    /// one way in one piece, and what is not on it is somewhere else.
    #[inline(never)]
    pub(crate) fn check_one(
        &self,
        policy: &'l PolicyState,
        key: KeyId,
        cost: u64,
        limit: u64,
    ) -> Decision {
        let resolved = ResolvedCharge { policy, key, cost, limit };
        if cost > 0
            && let Some((charged, prepared)) = self.evaluate(&resolved)
            && (prepared.is_none_or(PreparedCharge::commit) || broken(Breakage::LostOneAdmitted))
        {
            path::count(Path::One);
            let mut item = Item::new(resolved);
            item.outcome = charged.outcome;
            return self.finish_one(&item, Ok(()));
        }
        self.check_one_slow(policy, key, cost, limit)
    }

    /// As [`check_one`](Self::check_one) where more is to be done.
    #[cold]
    #[inline(never)]
    fn check_one_slow(
        &self,
        policy: &'l PolicyState,
        key: KeyId,
        cost: u64,
        limit: u64,
    ) -> Decision {
        path::count(Path::OneFallback);
        let mut item = Item::new(ResolvedCharge { policy, key, cost, limit });
        let charged = self.charge_item(&mut item, Mode::Check);
        self.finish_one(&item, charged)
    }

    fn decide_one_slow(
        &self,
        mut item: Item<'l>,
        mode: Mode,
        layers: &mut [PolicyStatus],
    ) -> Decision {
        let decision = if mode == Mode::Peek {
            item.outcome = self.peek(&item.resolved, item.resolved.cost);
            item.decision_alone(self.now)
        } else {
            let charged = self.charge_item(&mut item, mode);
            self.finish_one(&item, charged)
        };
        if decision.verdict != Verdict::TableFull
            && let Some(layer) = layers.first_mut()
        {
            *layer = item.layer(self.now);
        }
        decision
    }

    /// Counts how the charge of a item decision_alone went, and tells it.
    #[inline(always)]
    fn finish_one(&self, item: &Item<'l>, charged: Result<(), ClaimError>) -> Decision {
        match charged {
            // First the way of most, so that nothing of the others is made ready.
            Ok(()) if item.outcome.admitted && !item.table_full => {
                item.resolved.policy.count(Event::Admitted, self.shard);
                item.decision(Verdict::Allowed, None, self.now)
            }
            Ok(()) => {
                self.count(item, charged);
                item.decision_alone(self.now)
            }
            Err(_) => {
                self.count(item, charged);
                refused(item.resolved.policy.id())
            }
        }
    }

    pub(crate) fn charge_item(&self, item: &mut Item<'l>, mode: Mode) -> Result<(), ClaimError> {
        let ResolvedCharge { policy, key, cost, limit } = item.resolved;
        let limit = if mode == Mode::Force { u64::MAX } else { limit };
        if cost == 0 || cost > limit {
            // Nothing can be written, so an absent key is not given a place.
            item.outcome = self.read_only_outcome(*item, mode);
            return Ok(());
        }
        match policy.charge(key, cost, limit, self.now, &self.guard) {
            Ok(charged) => {
                (item.outcome, item.generation) = (charged.outcome, charged.generation);
            }
            Err(ClaimError::Full) if policy.lets_overflow() => {
                item.outcome = self.read_only_outcome(*item, mode);
                item.table_full = true;
            }
            Err(full) => return Err(full),
        }
        Ok(())
    }

    /// The outcome of a item that writes nothing.
    // By value, as all that is off the usual way: there the item stays in registers.
    #[cold]
    fn read_only_outcome(&self, item: Item<'l>, mode: Mode) -> Outcome {
        let mut outcome = self.peek(&item.resolved, item.resolved.cost);
        outcome.admitted |= mode == Mode::Force;
        outcome
    }

    /// Counts how a charge went, for the statistics.
    #[inline(always)]
    pub(crate) fn count(&self, item: &Item<'_>, charged: Result<(), ClaimError>) {
        let event = match charged {
            Err(_) => Event::Refused,
            Ok(()) if !item.outcome.admitted => Event::Denied,
            Ok(()) if item.table_full => Event::Untracked,
            Ok(()) => Event::Admitted,
        };
        item.resolved.policy.count(event, self.shard);
    }

    #[inline(always)]
    fn evaluate<'g>(&'g self, resolved: &ResolvedCharge<'g>) -> Option<Evaluation<'g>> {
        resolved.policy.evaluate(resolved.key, resolved.cost, resolved.limit, self.now, &self.guard)
    }

    pub(crate) fn peek(&self, resolved: &ResolvedCharge<'_>, cost: u64) -> Outcome {
        resolved.policy.peek(resolved.key, cost, resolved.limit, self.now, &self.guard)
    }
}

impl<'l> ResolvedCharge<'l> {
    /// By a charge; `None` under a policy of another limiter.
    #[inline(always)]
    pub(crate) fn by(policies: &'l Policies, charge: &Charge<'_>) -> Option<Self> {
        let policy = policies.get(charge.policy)?;
        let key = policies.key_id(charge.key);
        Some(ResolvedCharge { policy, key, cost: charge.cost, limit: policy.limit(charge.limit) })
    }

    #[inline(always)]
    pub(crate) fn is_same_counter(&self, other: &ResolvedCharge<'_>) -> bool {
        self.key == other.key && ptr::eq(self.policy, other.policy)
    }

    #[inline(always)]
    pub(crate) fn remaining(&self, outcome: &Outcome) -> u64 {
        self.limit.saturating_sub(outcome.used)
    }

    #[inline(always)]
    fn reset_after_ns(&self, outcome: &Outcome, now: Now) -> u64 {
        if outcome.used == 0 {
            return 0;
        }
        self.policy.wait_ns(outcome.clear_at, now).unwrap_or(u64::MAX)
    }

    /// The decision that rests on how this charge stands.
    #[inline(always)]
    pub(crate) fn decision(
        &self,
        outcome: &Outcome,
        verdict: Verdict,
        retry_after_ns: Option<u64>,
        now: Now,
    ) -> Decision {
        Decision {
            verdict,
            policy: self.policy.id(),
            limit: self.limit,
            remaining: self.remaining(outcome),
            retry_after_ns,
            reset_after_ns: self.reset_after_ns(outcome, now),
            table_full: false,
        }
    }

    pub(crate) fn layer(&self, outcome: &Outcome, now: Now) -> PolicyStatus {
        let violated = !outcome.admitted;
        let fits_at = if violated { outcome.fits_at } else { NEVER };
        PolicyStatus {
            policy: self.policy.id(),
            limit: self.limit,
            remaining: self.remaining(outcome),
            violated,
            retry_after_ns: self.policy.wait_ns(fits_at, now),
            reset_after_ns: self.reset_after_ns(outcome, now),
            table_full: false,
        }
    }
}

impl<'l> Item<'l> {
    /// Of what was not looked at yet.
    #[inline(always)]
    pub(crate) fn new(resolved: ResolvedCharge<'l>) -> Self {
        let outcome = Outcome { admitted: true, used: 0, at: 0, fits_at: 0, clear_at: 0 };
        Item::from_evaluation(resolved, &(Charged { outcome, generation: 0 }, None))
    }

    /// Of what was evaluations this, and not charged.
    #[inline(always)]
    pub(crate) fn from_evaluation(
        resolved: ResolvedCharge<'l>,
        (charged, prepared): &Evaluation<'l>,
    ) -> Self {
        let Charged { outcome, generation } = *charged;
        Item { resolved, outcome, generation, prepared: *prepared, table_full: false }
    }

    /// Of a charge that was made.
    pub(crate) fn receipt(&self) -> Receipt {
        Receipt { at: self.outcome.at, units: self.resolved.cost, generation: self.generation }
    }

    #[inline(always)]
    pub(crate) fn decision(
        &self,
        verdict: Verdict,
        retry_after_ns: Option<u64>,
        now: Now,
    ) -> Decision {
        self.resolved.decision(&self.outcome, verdict, retry_after_ns, now)
    }

    /// The decision about a request of this item decision_alone.
    #[inline(always)]
    pub(crate) fn decision_alone(&self, now: Now) -> Decision {
        let Outcome { admitted, fits_at, .. } = self.outcome;
        match admitted {
            true => Decision {
                table_full: self.table_full,
                ..self.decision(Verdict::Allowed, None, now)
            },
            false if fits_at == NEVER => self.decision(Verdict::Impossible, None, now),
            false => {
                self.decision(Verdict::Denied, self.resolved.policy.wait_ns(fits_at, now), now)
            }
        }
    }

    pub(crate) fn layer(self, now: Now) -> PolicyStatus {
        PolicyStatus { table_full: self.table_full, ..self.resolved.layer(&self.outcome, now) }
    }
}

/// The decision about a policy of another limiter, or too many charges.
pub(crate) fn invalid(policy: PolicyId) -> Decision {
    Decision::without_counter(Verdict::Invalid, policy)
}

/// The decision about a new key that found no place.
pub(crate) fn refused(policy: PolicyId) -> Decision {
    Decision { table_full: true, ..Decision::without_counter(Verdict::TableFull, policy) }
}
