//! A charge with everything that a decision needs of it.

use crate::charge::Charge;
use crate::counter::Outcome;
use crate::engine::Policies;
use crate::engine::context::Context;
use crate::engine::policy_state::PolicyState;
use crate::table::{Charged, ClaimError, KeyId};

/// A charge with its policy, key id and limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResolvedCharge<'l> {
    pub(crate) policy: &'l PolicyState,
    pub(crate) key: KeyId,
    pub(crate) cost: u64,
    pub(crate) limit: u64,
}

/// The result of a charge on the slow path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlowCharge {
    pub(crate) charged: Charged,
    /// Whether the table has no slot for the key, and the charge passed uncounted: under
    /// [`Overflow::Allow`](crate::Overflow::Allow), or not admitted under a dry run.
    pub(crate) table_full: bool,
}

impl<'l> ResolvedCharge<'l> {
    /// Looks up the policy of a charge and hashes its key. `None` if the policy belongs to another
    /// limiter.
    #[inline(always)]
    pub(crate) fn new(policies: &'l Policies, charge: &Charge<'_>) -> Option<Self> {
        let policy = policies.get(charge.policy)?;
        Some(Self::with_policy(policies, policy, charge))
    }

    /// Hashes the key of a charge whose policy was looked up.
    #[inline(always)]
    pub(crate) fn with_policy(
        policies: &Policies,
        policy: &'l PolicyState,
        charge: &Charge<'_>,
    ) -> Self {
        let key = policies.key_id(charge.key);
        ResolvedCharge { policy, key, cost: charge.cost, limit: policy.limit(charge.limit) }
    }

    /// Charges on the slow path; with `force`, even over the limit. `Err` if the table has no slot for
    /// the key, unless the policy is a dry run.
    pub(crate) fn charge_slow(
        &self,
        context: &Context<'_>,
        force: bool,
    ) -> Result<SlowCharge, ClaimError> {
        let ResolvedCharge { policy, key, cost, .. } = *self;
        let limit = if force { u64::MAX } else { self.limit };
        if cost == 0 || cost > limit {
            // Nothing will be written, so a new key is not inserted.
            let outcome = self.peek(context, force);
            return Ok(SlowCharge { charged: Charged::unwritten(outcome), table_full: false });
        }
        match policy.charge(key, cost, limit, context.now, &context.guard) {
            Ok(charged) => Ok(SlowCharge { charged, table_full: false }),
            Err(ClaimError::Full) if policy.allows_overflow() => {
                let outcome = self.peek(context, force);
                let table_full = outcome.admitted;
                Ok(SlowCharge { charged: Charged::unwritten(outcome), table_full })
            }
            Err(_) if policy.is_dry_run() => {
                let outcome = Outcome { admitted: false, ..self.peek(context, force) };
                Ok(SlowCharge { charged: Charged::unwritten(outcome), table_full: true })
            }
            Err(error) => Err(error),
        }
    }

    /// Decides without writing; with `force`, always admits.
    fn peek(&self, context: &Context<'_>, force: bool) -> Outcome {
        let ResolvedCharge { policy, key, cost, limit } = *self;
        let mut outcome = policy.peek(key, cost, limit, context.now, &context.guard);
        outcome.admitted |= force;
        outcome
    }
}
