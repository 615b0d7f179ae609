//! Many requests of one charge each, decided in batches of 32. The slots of a whole batch are prefetched
//! before its first request is decided, so that the cache misses overlap. Tables that stay in cache need
//! no prefetch.

use crate::charge::Charge;
use crate::decision::Decision;
use crate::engine::context::Context;
use crate::engine::policy_state::PolicyState;
use crate::engine::resolved_charge::ResolvedCharge;
use arrayvec::ArrayVec;

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
    if context.policies.all().any(PolicyState::prefetches) {
        prefetch_all(context, charges);
    }
    let mut index = 0;
    while let Some(Charge { policy, .. }) = charges.get(index) {
        if let Some(state) = context.policies.get(*policy) {
            index += state.check_run(context, &charges[index..], &mut decisions[index..]);
        } else {
            decisions[index] = context.policies.refuse_invalid(*policy);
            index += 1;
        }
    }
    decisions.iter().filter(|decision| decision.is_allowed()).count()
}

/// Prefetches the slots of up to `BATCH` charges.
#[inline(never)]
fn prefetch_all(context: &Context<'_>, charges: &[Charge<'_>]) {
    let mut resolved = ArrayVec::<_, BATCH>::new();
    for charge in charges.iter().flat_map(|charge| ResolvedCharge::new(context.policies, charge)) {
        charge.policy.prefetch_unpinned(charge.key);
        resolved.push(charge);
    }
    // The loop above has prefetched the tags and the preferred slots. By now the tags of the first
    // keys are cached. They show the slot of a key that is not in its preferred slot.
    for ResolvedCharge { policy, key, .. } in &resolved {
        policy.prefetch(*key, &context.guard);
    }
}
