//! The fast path: known keys, no contention. A check of one charge is decided in registers.

use crate::charge::Charge;
use crate::counter::sliding::sum::{ScalarSum, Sum};
#[cfg(all(
    feature = "vector",
    target_arch = "x86_64",
    not(miri),
    not(all(test, tollgate_model))
))]
use crate::counter::sliding::vector_sum::VectorSum;
use crate::counter::{ChargeArgs, NEVER};
use crate::decision::{Decision, Verdict};
use crate::engine::context::Context;
use crate::engine::counter_table::PolicyCounter;
use crate::engine::item::Item;
use crate::engine::policy_metrics::{Event, Scope};
use crate::engine::policy_state::PolicyState;
use crate::engine::resolved_charge::{ResolvedCharge, SlowCharge};
use crate::table::{Charged, Evaluation, KeyId};
use crate::verify::path::{self, Path};
use std::mem::MaybeUninit;

/// Checks one charge whose cost is not 0.
type CheckFn = unsafe fn(&Context<'_>, &PolicyState, KeyId, u64, u64) -> Decision;

/// Checks the first charges of a list, up to one of another policy. Returns their number.
type CheckRunFn = unsafe fn(&Context<'_>, &PolicyState, &[Charge<'_>], &mut [Decision]) -> usize;

/// Evaluates one charge whose cost is not 0, and prepares it if it has room. Returns the item, or
/// `None` if the charge must take the slow path.
// The item is written in place. Returned by value, it would be copied.
type PrepareFn = for<'s, 'g> unsafe fn(
    &'g Context<'_>,
    &'g PolicyState,
    KeyId,
    u64,
    u64,
    &'s mut MaybeUninit<Item<'g>>,
) -> Option<&'s mut Item<'g>>;

/// The same for a charge whose key is not hashed yet. A cost of 0 must take the slow path.
type PrepareChargeFn = for<'s, 'g> unsafe fn(
    &'g Context<'_>,
    &'g PolicyState,
    &Charge<'_>,
    &'s mut MaybeUninit<Item<'g>>,
) -> Option<&'s mut Item<'g>>;

/// The fast path, compiled for one type of counter and one kind of sum, and for an enforced policy or a
/// dry run.
///
/// # Safety
/// The functions may be called only where the processor has the instructions of the sum.
#[derive(Clone, Copy, Debug)]
pub(super) struct FastPath {
    check: CheckFn,
    check_run: CheckRunFn,
    prepare: PrepareFn,
    prepare_charge: PrepareChargeFn,
}

impl FastPath {
    /// The fast path for counters of type `C`, with the fastest sum that this processor has.
    pub(super) fn new<C: PolicyCounter>(dry_run: bool) -> Self {
        #[cfg(all(
            feature = "vector",
            target_arch = "x86_64",
            not(miri),
            not(all(test, tollgate_model))
        ))]
        if VectorSum::is_available() {
            return vector::fast_path::<C>(dry_run);
        }
        scalar::fast_path::<C>(dry_run)
    }

    #[inline(always)]
    pub(super) fn check(
        self,
        context: &Context<'_>,
        policy: &PolicyState,
        key: KeyId,
        cost: u64,
        limit: u64,
    ) -> Decision {
        // SAFETY: chosen in `new` for this processor.
        unsafe { (self.check)(context, policy, key, cost, limit) }
    }

    #[inline(always)]
    pub(super) fn check_run(
        self,
        context: &Context<'_>,
        policy: &PolicyState,
        charges: &[Charge<'_>],
        decisions: &mut [Decision],
    ) -> usize {
        // SAFETY: chosen in `new` for this processor.
        unsafe { (self.check_run)(context, policy, charges, decisions) }
    }

    #[inline(always)]
    pub(super) fn prepare_charge<'s, 'g>(
        self,
        context: &'g Context<'_>,
        policy: &'g PolicyState,
        charge: &Charge<'_>,
        slot: &'s mut MaybeUninit<Item<'g>>,
    ) -> Option<&'s mut Item<'g>> {
        // SAFETY: chosen in `new` for this processor.
        unsafe { (self.prepare_charge)(context, policy, charge, slot) }
    }

    #[inline(always)]
    pub(super) fn prepare<'s, 'g>(
        self,
        context: &'g Context<'_>,
        charge: ResolvedCharge<'g>,
        slot: &'s mut MaybeUninit<Item<'g>>,
    ) -> Option<&'s mut Item<'g>> {
        let ResolvedCharge { policy, key, cost, limit } = charge;
        // SAFETY: chosen in `new` for this processor.
        unsafe { (self.prepare)(context, policy, key, cost, limit, slot) }
    }
}

/// Compiles the fast path for one kind of sum.
macro_rules! fast_path_with {
    ($sum:expr $(, $features:meta)?) => {
        use super::*;

        pub(super) fn fast_path<C: PolicyCounter>(dry_run: bool) -> FastPath {
            if dry_run {
                return FastPath {
                    check: check_dry_run::<C>,
                    check_run: check_run_dry_run::<C>,
                    prepare: prepare_nothing,
                    prepare_charge: prepare_no_charge,
                };
            }
            FastPath {
                check: check::<C>,
                check_run: check_run::<C>,
                prepare: prepare::<C>,
                prepare_charge: prepare_charge::<C>,
            }
        }

        $(#[$features])?
        fn check_dry_run<C: PolicyCounter>(
            context: &Context<'_>,
            policy: &PolicyState,
            key: KeyId,
            cost: u64,
            limit: u64,
        ) -> Decision {
            check::<C>(context, policy, key, cost, limit).in_dry_run()
        }

        $(#[$features])?
        fn check_run_dry_run<C: PolicyCounter>(
            context: &Context<'_>,
            policy: &PolicyState,
            charges: &[Charge<'_>],
            decisions: &mut [Decision],
        ) -> usize {
            let count = check_run::<C>(context, policy, charges, decisions);
            for decision in &mut decisions[..count] {
                *decision = decision.in_dry_run();
            }
            count
        }

        $(#[$features])?
        fn check<C: PolicyCounter>(
            context: &Context<'_>,
            policy: &PolicyState,
            key: KeyId,
            cost: u64,
            limit: u64,
        ) -> Decision {
            super::check::<C, _>(context, policy, key, cost, limit, $sum)
        }

        $(#[$features])?
        fn check_run<C: PolicyCounter>(
            context: &Context<'_>,
            policy: &PolicyState,
            charges: &[Charge<'_>],
            decisions: &mut [Decision],
        ) -> usize {
            super::check_run::<C, _>(context, policy, charges, decisions, $sum)
        }

        $(#[$features])?
        fn prepare<'s, 'g, C: PolicyCounter>(
            context: &'g Context<'_>,
            policy: &'g PolicyState,
            key: KeyId,
            cost: u64,
            limit: u64,
            slot: &'s mut MaybeUninit<Item<'g>>,
        ) -> Option<&'s mut Item<'g>> {
            let charge = ResolvedCharge { policy, key, cost, limit };
            super::prepare::<C, _>(context, charge, slot, $sum)
        }

        $(#[$features])?
        fn prepare_charge<'s, 'g, C: PolicyCounter>(
            context: &'g Context<'_>,
            policy: &'g PolicyState,
            charge: &Charge<'_>,
            slot: &'s mut MaybeUninit<Item<'g>>,
        ) -> Option<&'s mut Item<'g>> {
            let charge = ResolvedCharge::with_policy(context.policies, policy, charge);
            if charge.cost == 0 {
                return None;
            }
            super::prepare::<C, _>(context, charge, slot, $sum)
        }
    };
}

/// Prepares no charge under a dry run, so that requests of several charges decide it on the slow path.
fn prepare_nothing<'s, 'g>(
    _: &'g Context<'_>,
    _: &'g PolicyState,
    _: KeyId,
    _: u64,
    _: u64,
    _: &'s mut MaybeUninit<Item<'g>>,
) -> Option<&'s mut Item<'g>> {
    None
}

/// The same for a charge whose key is not hashed yet.
fn prepare_no_charge<'s, 'g>(
    _: &'g Context<'_>,
    _: &'g PolicyState,
    _: &Charge<'_>,
    _: &'s mut MaybeUninit<Item<'g>>,
) -> Option<&'s mut Item<'g>> {
    None
}

mod scalar {
    fast_path_with!(ScalarSum);
}

#[cfg(all(feature = "vector", target_arch = "x86_64", not(miri), not(all(test, tollgate_model))))]
mod vector {
    fast_path_with!(VectorSum::new(), target_feature(enable = "avx2,bmi1,bmi2"));
}

#[inline(always)]
fn check<C: PolicyCounter, S: Sum>(
    context: &Context<'_>,
    policy: &PolicyState,
    key: KeyId,
    cost: u64,
    limit: u64,
    sum: S,
) -> Decision {
    check_and_report::<C, S, _>(context, policy, key, cost, limit, sum, |decision| decision)
}

/// Fast path: known key, no contention. Everything else is in [`check_slow`].
// Each branch reports by itself, so that the decision is written once, to its final place.
#[inline(always)]
fn check_and_report<C: PolicyCounter, S: Sum, R>(
    context: &Context<'_>,
    policy: &PolicyState,
    key: KeyId,
    cost: u64,
    limit: u64,
    sum: S,
    report: impl FnOnce(Decision) -> R,
) -> R {
    let table = C::table(policy.table());
    let args = ChargeArgs { now: C::wrapping_tick(table.spec(), context.now), cost, limit };
    let ns_until = |tick| C::ns_until(table.spec(), tick, context.now);
    match table.evaluate(key, &args, &context.guard, sum) {
        Some((Charged { outcome, .. }, Some(prepared))) if prepared.commit() => {
            path::count(Path::One);
            policy.count_admitted(cost, Scope::Request, context.shard);
            report(Decision {
                verdict: Verdict::Allowed,
                policy: policy.id(),
                limit,
                remaining: limit - outcome.used,
                retry_after_ns: None,
                reset_after_ns: ns_until(outcome.clear_at),
                table_full: false,
            })
        }
        Some((Charged { outcome, .. }, None)) => {
            path::count(Path::One);
            policy.count(Event::Denied, Scope::Request, context.shard);
            report(Decision {
                verdict: Verdict::Denied,
                policy: policy.id(),
                limit,
                remaining: limit.saturating_sub(outcome.used),
                retry_after_ns: Some(ns_until(outcome.fits_at)),
                reset_after_ns: if outcome.used == 0 { 0 } else { ns_until(outcome.clear_at) },
                table_full: false,
            })
        }
        _ => report(check_slow(context, policy, key, cost, limit)),
    }
}

/// Checks the first charges of the list, up to one of another policy. Returns their number.
#[inline(always)]
fn check_run<C: PolicyCounter, S: Sum>(
    context: &Context<'_>,
    policy: &PolicyState,
    charges: &[Charge<'_>],
    decisions: &mut [Decision],
    sum: S,
) -> usize {
    let mut count = 0;
    for (charge, decision) in charges.iter().zip(decisions) {
        if charge.policy != policy.id() {
            break;
        }
        let ResolvedCharge { key, cost, limit, .. } =
            ResolvedCharge::with_policy(context.policies, policy, charge);
        if cost == 0 {
            *decision = check_slow(context, policy, key, cost, limit);
        } else {
            let report = |made| *decision = made;
            check_and_report::<C, S, _>(context, policy, key, cost, limit, sum, report);
        }
        count += 1;
    }
    count
}

/// Evaluates a charge and, if it has room, prepares it.
#[inline(always)]
fn prepare<'s, 'g, C: PolicyCounter, S: Sum>(
    context: &'g Context<'_>,
    charge: ResolvedCharge<'g>,
    slot: &'s mut MaybeUninit<Item<'g>>,
    sum: S,
) -> Option<&'s mut Item<'g>> {
    let ResolvedCharge { policy, key, cost, limit } = charge;
    let table = C::table(policy.table());
    let args = ChargeArgs { now: C::wrapping_tick(table.spec(), context.now), cost, limit };
    match table.evaluate(key, &args, &context.guard, sum) {
        Some(evaluation) => Some(write_item(slot, charge, evaluation)),
        None => prepare_during_move::<C>(context, charge, slot),
    }
}

#[cold]
#[inline(never)]
fn prepare_during_move<'s, 'g, C: PolicyCounter>(
    context: &'g Context<'_>,
    charge: ResolvedCharge<'g>,
    slot: &'s mut MaybeUninit<Item<'g>>,
) -> Option<&'s mut Item<'g>> {
    let ResolvedCharge { policy, key, cost, limit } = charge;
    let table = C::table(policy.table());
    let args = ChargeArgs { now: C::tick(table.spec(), context.now), cost, limit };
    let evaluation = table.evaluate_during_move(key, &args, &context.guard)?;
    Some(write_item(slot, charge, evaluation))
}

#[inline(always)]
fn write_item<'s, 'g>(
    slot: &'s mut MaybeUninit<Item<'g>>,
    charge: ResolvedCharge<'g>,
    (Charged { outcome, generation }, prepared): Evaluation<'g>,
) -> &'s mut Item<'g> {
    slot.write(Item { charge, outcome, generation, prepared, table_full: false })
}

/// Slow path: everything that the fast path cannot decide (`ARCHITECTURE.md` lists it).
#[cold]
#[inline(never)]
pub(super) fn check_slow(
    context: &Context<'_>,
    policy: &PolicyState,
    key: KeyId,
    cost: u64,
    limit: u64,
) -> Decision {
    path::count(Path::OneFallback);
    let charge = ResolvedCharge { policy, key, cost, limit };
    let Ok(SlowCharge { charged: Charged { outcome, .. }, table_full }) =
        charge.charge_slow(context, false)
    else {
        policy.count(Event::Refused, Scope::Request, context.shard);
        return Decision::refused(policy.id());
    };
    let wait_ns = |tick| policy.wait_ns(tick, context.now);
    let (verdict, retry_after_ns, event) = match outcome {
        _ if outcome.admitted && table_full => (Verdict::Allowed, None, Event::Untracked),
        _ if outcome.admitted => (Verdict::Allowed, None, Event::Admitted),
        _ if table_full => (Verdict::TableFull, None, Event::Refused),
        _ if outcome.fits_at == NEVER => (Verdict::Impossible, None, Event::Impossible),
        _ => (Verdict::Denied, Some(wait_ns(outcome.fits_at)), Event::Denied),
    };
    match event {
        Event::Admitted => policy.count_admitted(cost, Scope::Request, context.shard),
        event => policy.count(event, Scope::Request, context.shard),
    }
    let decision = Decision {
        verdict,
        policy: policy.id(),
        limit,
        remaining: limit.saturating_sub(outcome.used),
        retry_after_ns,
        reset_after_ns: if outcome.used == 0 { 0 } else { wait_ns(outcome.clear_at) },
        table_full,
    };
    if policy.is_dry_run() { decision.in_dry_run() } else { decision }
}
