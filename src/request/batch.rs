//! Many requests of one charge each, decided in batches of 32. The slots of a whole batch are prefetched
//! before its first request is decided, so that the cache misses overlap. Tables that stay in cache need
//! no prefetch.

use crate::charge::Charge;
use crate::decision::Decision;
use crate::engine::context::Context;
use crate::engine::policy_state::PolicyState;
use crate::engine::resolved_charge::ResolvedCharge;
use crate::request::invalid;

/// The number of requests whose slots are prefetched together.
const BATCH: usize = 32;

/// Decides each charge as a request of its own, in order, up to the length of the shorter slice.
/// Returns the number of allowed requests.
pub(crate) fn decide_many(
    context: &Context<'_>,
    charges: &[Charge<'_>],
    decisions: &mut [Decision],
) -> usize {
    let count = charges.len().min(decisions.len());
    let charges = charges[..count].chunks(BATCH);
    let all = charges.zip(decisions[..count].chunks_mut(BATCH));
    all.map(|(charges, decisions)| decide_batch(context, charges, decisions)).sum()
}

/// Decides up to `BATCH` requests.
fn decide_batch(
    context: &Context<'_>,
    charges: &[Charge<'_>],
    decisions: &mut [Decision],
) -> usize {
    let mut allowed = 0;
    if !context.policies.all().any(PolicyState::prefetches) {
        for (decision, charge) in decisions.iter_mut().zip(charges) {
            *decision = check(context, ResolvedCharge::new(context.policies, charge), charge);
            allowed += usize::from(decision.is_allowed());
        }
        return allowed;
    }
    let mut resolved = [None; BATCH];
    for (entry, charge) in resolved.iter_mut().zip(charges) {
        *entry = ResolvedCharge::new(context.policies, charge);
        if let Some(ResolvedCharge { policy, key, .. }) = entry {
            policy.prefetch_unpinned(*key);
        }
    }
    // By now the tags of the first keys are cached. They show the slots of the keys that are not in
    // their preferred slots, which the loop above has prefetched.
    for ResolvedCharge { policy, key, .. } in resolved.iter().flatten() {
        policy.prefetch(*key, &context.guard);
    }
    for ((decision, resolved), charge) in decisions.iter_mut().zip(resolved).zip(charges) {
        *decision = check(context, resolved, charge);
        allowed += usize::from(decision.is_allowed());
    }
    allowed
}

/// Checks a charge. `resolved` is `None` if its policy belongs to another limiter.
#[inline(always)]
fn check(
    context: &Context<'_>,
    resolved: Option<ResolvedCharge<'_>>,
    charge: &Charge<'_>,
) -> Decision {
    match resolved {
        Some(ResolvedCharge { policy, key, cost, limit }) => {
            policy.check(context, key, cost, limit)
        }
        None => invalid(charge.policy),
    }
}
