//! Many requests of one charge each, decided together: while one key's line comes from memory, the
//! next ones have been asked for.

use crate::charge::Charge;
use crate::decision::Decision;
use crate::request::{Context, invalid};
use crate::table::KeyId;

/// How many keys are asked for ahead: enough to keep the memory busy, few enough to stay in the
/// first cache.
const BATCH: usize = 32;

/// Decides each charge as a request of its own, in order, as far as both go; returns how many were
/// allowed.
pub(crate) fn decide_many(
    context: &Context<'_>,
    charges: &[Charge<'_>],
    decisions: &mut [Decision],
) -> usize {
    let mut allowed = 0;
    for (charges, decisions) in charges.chunks(BATCH).zip(decisions.chunks_mut(BATCH)) {
        let mut keys = [KeyId::NONE; BATCH];
        for (key, charge) in keys.iter_mut().zip(charges) {
            *key = context.meters.key_id(charge.key);
            if let Some(meter) = context.meters.get(charge.policy) {
                meter.prefetch_tags(*key, &context.guard);
            }
        }
        for (key, charge) in keys.iter().zip(charges) {
            if let Some(meter) = context.meters.get(charge.policy) {
                meter.prefetch(*key, &context.guard);
            }
        }
        for ((decision, charge), key) in decisions.iter_mut().zip(charges).zip(keys) {
            *decision = match context.meters.get(charge.policy) {
                Some(meter) => {
                    context.check_line(meter, key, charge.cost, meter.limit(charge.limit))
                }
                None => invalid(charge.policy),
            };
            allowed += usize::from(decision.is_allowed());
        }
    }
    allowed
}
