//! Requests: the context of a decision, one resolved charge, and the fast path of a single charge.

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
use crate::verify::mutants::is_on;
use crate::verify::path::{self, Path};
use std::ptr;

/// The context of a decision: the policies, one instant, the pinned epoch, and the shard of this
/// thread's statistics.
#[derive(Debug)]
pub(crate) struct Context<'l> {
    pub(crate) policies: &'l Policies,
    pub(crate) now: Now,
    pub(crate) guard: Guard,
    pub(crate) shard: Shard,
}

/// One charge of a request with its policy, key id and limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResolvedCharge<'l> {
    pub(crate) policy: &'l PolicyState,
    pub(crate) key: KeyId,
    pub(crate) cost: u64,
    pub(crate) limit: u64,
}

/// A charge with its evaluation or, once it is committed, the outcome of the commit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'l> {
    pub(crate) charge: ResolvedCharge<'l>,
    pub(crate) outcome: Outcome,
    /// The number of the table's generation in which the charge was made.
    pub(crate) generation: u64,
    /// The uncommitted write of an evaluation that found room.
    pub(crate) prepared: Option<PreparedCharge<'l>>,
    /// Whether the charge passed uncounted because the table was full.
    pub(crate) table_full: bool,
}

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Charges if all policies have room.
    Check,
    /// Decides like a check, but writes nothing.
    Peek,
    /// Charges even over the limit.
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
        charge: ResolvedCharge<'l>,
        mode: Mode,
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        if mode == Mode::Check && statuses.is_empty() {
            self.check_one(charge.policy, charge.key, charge.cost, charge.limit)
        } else {
            self.decide_one_slow(Item::new(charge), mode, statuses)
        }
    }

    /// Fast path: known key, no contention. Everything else is in
    /// [`check_one_slow`](Self::check_one_slow).
    // Not inlined: one copy of this body is enough. Only the hash of the key is inlined into the
    // caller, which knows the kind of the key.
    #[inline(never)]
    pub(crate) fn check_one(
        &self,
        policy: &'l PolicyState,
        key: KeyId,
        cost: u64,
        limit: u64,
    ) -> Decision {
        let charge = ResolvedCharge { policy, key, cost, limit };
        if cost > 0
            && let Some((charged, prepared)) = self.evaluate(&charge)
            && (prepared.is_none_or(PreparedCharge::commit) || is_on("LostOneAdmitted"))
        {
            path::count(Path::One);
            let mut item = Item::new(charge);
            item.outcome = charged.outcome;
            return self.finish_one(&item, Ok(()));
        }
        self.check_one_slow(policy, key, cost, limit)
    }

    /// Slow path of [`check_one`](Self::check_one): new keys, lost commits, migrations, costs of 0.
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

    /// Decides a forced charge, a peek, or a check that reports its policy's status.
    fn decide_one_slow(
        &self,
        mut item: Item<'l>,
        mode: Mode,
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        let decision = if mode == Mode::Peek {
            item.outcome = self.peek(&item.charge, item.charge.cost);
            item.decision_alone(self.now)
        } else {
            let charged = self.charge_item(&mut item, mode);
            self.finish_one(&item, charged)
        };
        if decision.verdict != Verdict::TableFull
            && let Some(status) = statuses.first_mut()
        {
            *status = item.status(self.now);
        }
        decision
    }

    /// Counts the outcome of a request of one item, and returns its decision.
    #[inline(always)]
    fn finish_one(&self, item: &Item<'l>, charged: Result<(), ClaimError>) -> Decision {
        match charged {
            // The common case first, so that it does no work that only the others need.
            Ok(()) if item.outcome.admitted && !item.table_full => {
                item.charge.policy.count(Event::Admitted, self.shard);
                item.decision(Verdict::Allowed, None, self.now)
            }
            Ok(()) => {
                self.count(item, charged);
                item.decision_alone(self.now)
            }
            Err(_) => {
                self.count(item, charged);
                refused(item.charge.policy.id())
            }
        }
    }

    /// Charges an item on the slow path. `Err` if the table has no slot for its key.
    pub(crate) fn charge_item(&self, item: &mut Item<'l>, mode: Mode) -> Result<(), ClaimError> {
        let ResolvedCharge { policy, key, cost, limit } = item.charge;
        let limit = if mode == Mode::Force { u64::MAX } else { limit };
        if cost == 0 || cost > limit {
            // Nothing will be written, so a new key is not inserted.
            item.outcome = self.read_only_outcome(*item, mode);
            return Ok(());
        }
        match policy.charge(key, cost, limit, self.now, &self.guard) {
            Ok(charged) => {
                (item.outcome, item.generation) = (charged.outcome, charged.generation);
            }
            Err(ClaimError::Full) if policy.allows_overflow() => {
                item.outcome = self.read_only_outcome(*item, mode);
                item.table_full = true;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The outcome of an item that is decided without writing.
    // Takes the item by value, so that it can stay in registers on the fast path.
    #[cold]
    fn read_only_outcome(&self, item: Item<'l>, mode: Mode) -> Outcome {
        let mut outcome = self.peek(&item.charge, item.charge.cost);
        outcome.admitted |= mode == Mode::Force;
        outcome
    }

    /// Counts the outcome of one charge in its policy's statistics.
    #[inline(always)]
    pub(crate) fn count(&self, item: &Item<'_>, charged: Result<(), ClaimError>) {
        let event = match charged {
            Err(_) => Event::Refused,
            Ok(()) if !item.outcome.admitted => Event::Denied,
            Ok(()) if item.table_full => Event::Untracked,
            Ok(()) => Event::Admitted,
        };
        item.charge.policy.count(event, self.shard);
    }

    /// Evaluates a charge. `None` if the charge must take the slow path.
    #[inline(always)]
    fn evaluate<'g>(&'g self, charge: &ResolvedCharge<'g>) -> Option<Evaluation<'g>> {
        charge.policy.evaluate(charge.key, charge.cost, charge.limit, self.now, &self.guard)
    }

    /// Decides a charge without writing. `cost` replaces the charge's own cost.
    pub(crate) fn peek(&self, charge: &ResolvedCharge<'_>, cost: u64) -> Outcome {
        charge.policy.peek(charge.key, cost, charge.limit, self.now, &self.guard)
    }
}

impl<'l> ResolvedCharge<'l> {
    /// Looks up the policy of a charge and hashes its key. `None` if the policy belongs to another
    /// limiter.
    #[inline(always)]
    pub(crate) fn new(policies: &'l Policies, charge: &Charge<'_>) -> Option<Self> {
        let policy = policies.get(charge.policy)?;
        let key = policies.key_id(charge.key);
        Some(ResolvedCharge { policy, key, cost: charge.cost, limit: policy.limit(charge.limit) })
    }

    /// Returns whether both charge the same counter.
    #[inline(always)]
    pub(crate) fn is_same_counter(&self, other: &ResolvedCharge<'_>) -> bool {
        self.key == other.key && ptr::eq(self.policy, other.policy)
    }

    /// The units that are left of the limit.
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

    /// The decision about a request whose deciding policy is that of this charge.
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

    /// The status of this charge's policy after the decision.
    pub(crate) fn status(&self, outcome: &Outcome, now: Now) -> PolicyStatus {
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
    /// An item that is not evaluated yet.
    #[inline(always)]
    pub(crate) fn new(charge: ResolvedCharge<'l>) -> Self {
        let outcome = Outcome { admitted: true, used: 0, at: 0, fits_at: 0, clear_at: 0 };
        Item::from_evaluation(charge, &(Charged { outcome, generation: 0 }, None))
    }

    /// An item with an uncommitted evaluation.
    #[inline(always)]
    pub(crate) fn from_evaluation(
        charge: ResolvedCharge<'l>,
        (charged, prepared): &Evaluation<'l>,
    ) -> Self {
        let Charged { outcome, generation } = *charged;
        Item { charge, outcome, generation, prepared: *prepared, table_full: false }
    }

    /// The receipt of a committed charge.
    pub(crate) fn receipt(&self) -> Receipt {
        Receipt { at: self.outcome.at, units: self.charge.cost, generation: self.generation }
    }

    /// The decision about a request whose deciding policy is that of this item.
    #[inline(always)]
    pub(crate) fn decision(
        &self,
        verdict: Verdict,
        retry_after_ns: Option<u64>,
        now: Now,
    ) -> Decision {
        self.charge.decision(&self.outcome, verdict, retry_after_ns, now)
    }

    /// The decision about a request that consists of this item.
    #[inline(always)]
    pub(crate) fn decision_alone(&self, now: Now) -> Decision {
        let Outcome { admitted, fits_at, .. } = self.outcome;
        match admitted {
            true => Decision {
                table_full: self.table_full,
                ..self.decision(Verdict::Allowed, None, now)
            },
            false if fits_at == NEVER => self.decision(Verdict::Impossible, None, now),
            false => self.decision(Verdict::Denied, self.charge.policy.wait_ns(fits_at, now), now),
        }
    }

    /// The status of this item's policy after the decision.
    pub(crate) fn status(self, now: Now) -> PolicyStatus {
        PolicyStatus { table_full: self.table_full, ..self.charge.status(&self.outcome, now) }
    }
}

/// The decision about a request with a policy of another limiter, or with too many charges.
pub(crate) fn invalid(policy: PolicyId) -> Decision {
    Decision::without_counter(Verdict::Invalid, policy)
}

/// The decision about a request that is refused because the table has no slot for its key.
pub(crate) fn refused(policy: PolicyId) -> Decision {
    Decision { table_full: true, ..Decision::without_counter(Verdict::TableFull, policy) }
}
