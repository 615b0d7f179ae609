//! Many requests of one charge each, thirty-two at a time: the memory of all these is resolved for before
//! any of it is waited for.

use crate::charge::Charge;
use crate::decision::Decision;
use crate::request::{Context, ResolvedCharge, invalid};

/// Requests whose memory is resolved for together.
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
    let mut resolved = [None; TOGETHER];
    for (resolved, charge) in resolved.iter_mut().zip(charges) {
        *resolved = ResolvedCharge::by(context.policies, charge);
        if let Some(ResolvedCharge { policy, key, .. }) = resolved {
            policy.prefetch_unpinned(*key);
        }
    }
    // By now it is evaluations which slots they are, where not those that they prefer.
    for ResolvedCharge { policy, key, .. } in resolved.iter().flatten() {
        policy.prefetch(*key, &context.guard);
    }
    let mut allowed = 0;
    for ((decision, resolved), charge) in decisions.iter_mut().zip(&resolved).zip(charges) {
        *decision = match *resolved {
            Some(ResolvedCharge { policy, key, cost, limit }) => {
                context.check_one(policy, key, cost, limit)
            }
            None => invalid(charge.policy),
        };
        allowed += usize::from(decision.is_allowed());
    }
    allowed
}
