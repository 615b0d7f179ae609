//! The fast path: known keys, no contention. A check of one charge does it in registers.

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
use crate::engine::metrics::Event;
use crate::engine::policy_state::PolicyState;
use crate::engine::resolved_charge::{ResolvedCharge, SlowCharge};
use crate::table::{Charged, KeyId};
use crate::verify::path::{self, Path};

/// Checks one charge, of which the cost is not 0.
type CheckFn = unsafe fn(&Context<'_>, &PolicyState, KeyId, u64, u64) -> Decision;

/// Checks the first charges of a list, up to one of another policy. Returns their number.
type CheckRunFn = unsafe fn(&Context<'_>, &PolicyState, &[Charge<'_>], &mut [Decision]) -> usize;

/// Evaluates an item, of which the cost is not 0, and prepares its charge if it has room. Returns false,
/// and evaluates nothing, if the charge must take the slow path.
type PrepareFn = for<'g> unsafe fn(&'g Context<'_>, &mut Item<'g>) -> bool;

/// The fast path, compiled for one type of counter and one kind of sum.
///
/// # Safety
/// The functions may be called only where the processor has the instructions of the sum.
#[derive(Clone, Copy, Debug)]
pub(super) struct FastPath {
    check: CheckFn,
    check_run: CheckRunFn,
    prepare: PrepareFn,
}

impl FastPath {
    /// The fast path for counters of type `C`, with the fastest sum that this processor has.
    pub(super) fn new<C: PolicyCounter>() -> Self {
        #[cfg(all(
            feature = "vector",
            target_arch = "x86_64",
            not(miri),
            not(all(test, tollgate_model))
        ))]
        if VectorSum::is_available() {
            return FastPath {
                check: vector::check::<C>,
                check_run: vector::check_run::<C>,
                prepare: vector::prepare::<C>,
            };
        }
        FastPath {
            check: scalar::check::<C>,
            check_run: scalar::check_run::<C>,
            prepare: scalar::prepare::<C>,
        }
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
    pub(super) fn prepare<'g>(self, context: &'g Context<'_>, item: &mut Item<'g>) -> bool {
        // SAFETY: chosen in `new` for this processor.
        unsafe { (self.prepare)(context, item) }
    }
}

/// Compiles the fast path for one kind of sum.
macro_rules! fast_path_with {
    ($sum:expr $(, $features:meta)?) => {
        use super::*;

        $(#[$features])?
        pub(super) fn check<C: PolicyCounter>(
            context: &Context<'_>,
            policy: &PolicyState,
            key: KeyId,
            cost: u64,
            limit: u64,
        ) -> Decision {
            super::check::<C, _>(context, policy, key, cost, limit, $sum)
        }

        $(#[$features])?
        pub(super) fn check_run<C: PolicyCounter>(
            context: &Context<'_>,
            policy: &PolicyState,
            charges: &[Charge<'_>],
            decisions: &mut [Decision],
        ) -> usize {
            super::check_run::<C, _>(context, policy, charges, decisions, $sum)
        }

        $(#[$features])?
        pub(super) fn prepare<'g, C: PolicyCounter>(
            context: &'g Context<'_>,
            item: &mut Item<'g>,
        ) -> bool {
            super::prepare::<C, _>(context, item, $sum)
        }
    };
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
            policy.count(Event::Admitted, context.shard);
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
            policy.count(Event::Denied, context.shard);
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
        let (key, cost) = (context.policies.key_id(charge.key), charge.cost);
        let limit = policy.limit(charge.limit);
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

/// Evaluates an item and, if it has room, prepares its charge.
#[inline(always)]
fn prepare<'g, C: PolicyCounter, S: Sum>(
    context: &'g Context<'_>,
    item: &mut Item<'g>,
    sum: S,
) -> bool {
    let ResolvedCharge { policy, key, cost, limit } = item.charge;
    let table = C::table(policy.table());
    let args = ChargeArgs { now: C::wrapping_tick(table.spec(), context.now), cost, limit };
    match table.evaluate(key, &args, &context.guard, sum) {
        Some((Charged { outcome, generation }, prepared)) => {
            (item.outcome, item.generation, item.prepared) = (outcome, generation, prepared);
            true
        }
        None => false,
    }
}

/// Slow path: new keys, lost commits, migrations, costs of 0 or above the limit.
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
        policy.count(Event::Refused, context.shard);
        return Decision::refused(policy.id());
    };
    let wait_ns = |tick| policy.wait_ns(tick, context.now);
    let (verdict, retry_after_ns, event) = match outcome {
        _ if outcome.admitted && table_full => (Verdict::Allowed, None, Event::Untracked),
        _ if outcome.admitted => (Verdict::Allowed, None, Event::Admitted),
        _ if outcome.fits_at == NEVER => (Verdict::Impossible, None, Event::Denied),
        _ => (Verdict::Denied, Some(wait_ns(outcome.fits_at)), Event::Denied),
    };
    policy.count(event, context.shard);
    Decision {
        verdict,
        policy: policy.id(),
        limit,
        remaining: limit.saturating_sub(outcome.used),
        retry_after_ns,
        reset_after_ns: if outcome.used == 0 { 0 } else { wait_ns(outcome.clear_at) },
        table_full,
    }
}
