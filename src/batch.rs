//! Many requests of one charge each, thirty-two at a time: the memory of all these is asked for before
//! any of it is waited for.

use crate::charge::Charge;
use crate::decision::Decision;
use crate::request::{Asked, Context, invalid};

/// Requests whose memory is asked for together.
const TOGETHER: usize = 32;

/// Decides each charge as a request of its own, in order, as far as both go; returns how many were
/// allowed.
pub(crate) fn decide_many(
    context: &Context<'_>,
    charges: &[Charge<'_>],
    decisions: &mut [Decision],
) -> usize {
    let count = charges.len().min(decisions.len());
    let charges = charges[..count].chunks(TOGETHER);
    let all = charges.zip(decisions[..count].chunks_mut(TOGETHER));
    all.map(|(charges, decisions)| decide_together(context, charges, decisions)).sum()
}

fn decide_together(
    context: &Context<'_>,
    charges: &[Charge<'_>],
    decisions: &mut [Decision],
) -> usize {
    let mut asked = [None; TOGETHER];
    for (asked, charge) in asked.iter_mut().zip(charges) {
        *asked = Asked::by(context.meters, charge);
        if let Some(Asked { meter, key, .. }) = asked {
            meter.prefetch_unheld(*key);
        }
    }
    // By now it is told which slots they are, where not those that they prefer.
    for Asked { meter, key, .. } in asked.iter().flatten() {
        meter.prefetch(*key, &context.guard);
    }
    let mut allowed = 0;
    for ((decision, asked), charge) in decisions.iter_mut().zip(&asked).zip(charges) {
        *decision = match *asked {
            Some(Asked { meter, key, cost, limit }) => context.check_line(meter, key, cost, limit),
            None => invalid(charge.policy),
        };
        allowed += usize::from(decision.is_allowed());
    }
    allowed
}
