//! Many requests of one charge each, decided together: while one is decided, the memory of the next
//! ones is on its way.

use crate::charge::Charge;
use crate::decision::Decision;
use crate::request::{Context, invalid};
use crate::table::KeyId;

/// Keys that are kept between the steps of their requests.
const KEPT: usize = 32;

/// Decides each charge as a request of its own, in order, as far as both go; returns how many were
/// allowed.
pub(crate) fn decide_many(
    context: &Context<'_>,
    charges: &[Charge<'_>],
    decisions: &mut [Decision],
) -> usize {
    let count = charges.len().min(decisions.len());
    let (charges, decisions) = (&charges[..count], &mut decisions[..count]);
    // How many requests lie between two steps of one: as many as can be, for its memory comes
    // meanwhile.
    let ahead = count.div_ceil(2).min(KEPT / 2);
    let mut keys = [KeyId::NONE; KEPT];
    let mut allowed = 0;
    for first in 0..count + 2 * ahead {
        // In the order in which a key's place in `keys` is read and given to another.
        if let Some(last) = first.checked_sub(2 * ahead) {
            decisions[last] = decide(context, &charges[last], keys[last % KEPT]);
            allowed += usize::from(decisions[last].is_allowed());
        }
        if let Some(charge) = charges.get(first) {
            let key = context.meters.key_id(charge.key);
            keys[first % KEPT] = key;
            if let Some(meter) = context.meters.get(charge.policy) {
                meter.prefetch_unheld(key);
            }
        }
        // By now it is told which slot it is, if not the one that it prefers.
        if let Some(middle) = first.checked_sub(ahead)
            && let Some(charge) = charges.get(middle)
            && let Some(meter) = context.meters.get(charge.policy)
        {
            meter.prefetch(keys[middle % KEPT], &context.guard);
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
