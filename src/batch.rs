//! Many requests of one charge each, decided together: while one is decided, the memory of the next
//! ones is on its way.

use crate::charge::Charge;
use crate::decision::Decision;
use crate::request::{Context, invalid};
use crate::table::KeyId;

/// How many requests lie between the steps of one: enough for its memory to come meanwhile, few
/// enough for the processor to keep them all in flight.
const AHEAD: usize = 8;

/// Decides each charge as a request of its own, in order, as far as both go; returns how many were
/// allowed.
pub(crate) fn decide_many(
    context: &Context<'_>,
    charges: &[Charge<'_>],
    decisions: &mut [Decision],
) -> usize {
    let count = charges.len().min(decisions.len());
    let (charges, decisions) = (&charges[..count], &mut decisions[..count]);
    let mut keys = [KeyId::NONE; 2 * AHEAD];
    let mut allowed = 0;
    for first in 0..count + 2 * AHEAD {
        // In the order in which a key's place in `keys` is read and given to another.
        let key = &mut keys[first % (2 * AHEAD)];
        if let Some(last) = first.checked_sub(2 * AHEAD) {
            decisions[last] = decide(context, &charges[last], *key);
            allowed += usize::from(decisions[last].is_allowed());
        }
        if let Some(charge) = charges.get(first) {
            *key = context.meters.key_id(charge.key);
            if let Some(meter) = context.meters.get(charge.policy) {
                meter.prefetch_tags(*key, &context.guard);
            }
        }
        if let Some(charge) = first.checked_sub(AHEAD).and_then(|middle| charges.get(middle))
            && let Some(meter) = context.meters.get(charge.policy)
        {
            meter.prefetch(keys[(first + AHEAD) % (2 * AHEAD)], &context.guard);
        }
    }
    allowed
}

#[inline(always)]
fn decide(context: &Context<'_>, charge: &Charge<'_>, key: KeyId) -> Decision {
    match context.meters.get(charge.policy) {
        Some(meter) => context.check_line(meter, key, charge.cost, meter.limit(charge.limit)),
        None => invalid(charge.policy),
    }
}
