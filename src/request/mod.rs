//! Requests. A check is decided in three steps: [evaluate] all its charges without writing,
//! [commit] each, [finish] by counting and reporting. A peek stops after the evaluation.
//!
//! A check of [one charge](crate::engine) does the three steps in registers. The [fallback] charges
//! what could not be committed: a new key, a lost commit, a cost of 0. A forced charge starts there.

pub(crate) mod batch;
mod commit;
mod evaluate;
mod fallback;
mod finish;
pub(crate) mod reservation;

use crate::charge::{Charge, MAX_CHARGES, PolicyId};
use crate::decision::{Decision, PolicyStatus, Verdict};
use crate::engine::Policies;
use crate::engine::context::Context;
use crate::engine::item::Item;
use crate::engine::resolved_charge::ResolvedCharge;
use crate::sync::shard::Shard;
use crate::verify::path::{self, Path};
use arrayvec::ArrayVec;
use commit::commit_all;
use evaluate::Evaluated;
use fallback::FallbackResult;
use std::borrow::Borrow;

/// The number of charges that most requests do not exceed. Their lists need less stack.
const FEW: usize = 4;

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Charges if all policies have room.
    Check,
    /// Decides like a check, but writes nothing.
    Peek,
    /// Charges even over the limit.
    Force,
}

/// A way to get the context of a request.
pub(crate) trait OpenContext<'l> {
    type Context: Borrow<Context<'l>>;

    /// Opens the context. `single` is the charge of a request that has only one: its slot can be
    /// prefetched before the clock is read and the epoch is pinned.
    fn open(self, single: Option<&ResolvedCharge<'l>>) -> Self::Context;
}

/// The context that a session has opened.
impl<'c, 'l> OpenContext<'l> for &'c Context<'l> {
    type Context = &'c Context<'l>;

    #[inline(always)]
    fn open(self, _: Option<&ResolvedCharge<'l>>) -> &'c Context<'l> {
        self
    }
}

/// Decides a request.
#[inline(always)]
pub(crate) fn decide<'l, C: OpenContext<'l>>(
    policies: &'l Policies,
    charges: &[Charge<'_>],
    mode: Mode,
    statuses: &mut [PolicyStatus],
    opener: C,
) -> Decision {
    match charges {
        [] => {
            if mode != Mode::Peek {
                policies.requests().count(Verdict::Allowed, Shard::current());
            }
            Decision::default()
        }
        [charge] => {
            let Some(resolved) = ResolvedCharge::new(policies, charge) else {
                return invalid(policies, charge.policy, mode);
            };
            let opened = opener.open(Some(&resolved));
            let context = opened.borrow();
            if mode == Mode::Check && statuses.is_empty() {
                let ResolvedCharge { policy, key, cost, limit } = resolved;
                policy.check(context, key, cost, limit)
            } else {
                context.decide_one(resolved, mode, statuses)
            }
        }
        [..] if charges.len() <= FEW => decide_up_to::<FEW, C>(charges, mode, statuses, opener),
        [..] => decide_up_to::<MAX_CHARGES, C>(charges, mode, statuses, opener),
    }
}

/// Decides a request of up to `MAX` charges.
// Not inlined, so that a request with few charges does not reserve the stack for many.
#[inline(never)]
fn decide_up_to<'l, const MAX: usize, C: OpenContext<'l>>(
    charges: &[Charge<'_>],
    mode: Mode,
    statuses: &mut [PolicyStatus],
    opener: C,
) -> Decision {
    let opened = opener.open(None);
    let context = opened.borrow();
    let mut items = ArrayVec::<_, MAX>::new();
    match context.evaluate_cached(charges, mode, &mut items) {
        Some(evaluated) => context.decide_evaluated(&mut items, mode, evaluated, statuses),
        None => context.decide_uncached(charges, mode, &mut items, statuses),
    }
}

/// Adds an item for each charge and prefetches its slot.
///
/// `Err` is the policy of the first charge that cannot be added: its policy belongs to another
/// limiter, or there are more than `MAX` charges.
#[inline(always)]
fn resolve_all<'l, const MAX: usize>(
    policies: &'l Policies,
    charges: &[Charge<'_>],
    items: &mut ArrayVec<Item<'l>, MAX>,
) -> Result<(), PolicyId> {
    for charge in charges {
        let resolved = ResolvedCharge::new(policies, charge).ok_or(charge.policy)?;
        resolved.policy.prefetch_unpinned(resolved.key);
        items.try_push(Item::new(resolved)).map_err(|_| charge.policy)?;
    }
    Ok(())
}

impl Context<'_> {
    /// Decides a request of one charge that is a peek, is forced, or is a check with a status.
    #[inline(never)]
    fn decide_one(
        &self,
        charge: ResolvedCharge<'_>,
        mode: Mode,
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        self.decide_items(&mut [Item::new(charge)], mode, statuses)
    }

    /// Decides a request of up to `MAX` charges that cannot be evaluated in order: some tables may not stay
    /// in cache, or a charge must take the slow path. Replaces the items.
    #[inline(never)]
    fn decide_uncached<'g, const MAX: usize>(
        &'g self,
        charges: &[Charge<'_>],
        mode: Mode,
        items: &mut ArrayVec<Item<'g>, MAX>,
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        items.clear();
        match resolve_all(self.policies, charges, items) {
            Ok(()) => self.decide_items(items, mode, statuses),
            Err(policy) => invalid(self.policies, policy, mode),
        }
    }

    /// Decides a request: charges all items or none (a peek charges none), and reports the status
    /// of each.
    #[inline(always)]
    fn decide_items<'g>(
        &'g self,
        items: &mut [Item<'g>],
        mode: Mode,
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        let evaluated = self.evaluate_items(items, mode);
        self.decide_evaluated(items, mode, evaluated, statuses)
    }

    /// Decides a request whose items are evaluated.
    #[inline(always)]
    fn decide_evaluated<'g>(
        &'g self,
        items: &mut [Item<'g>],
        mode: Mode,
        evaluated: Evaluated,
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        let Evaluated { has_room, repeats } = evaluated;
        if mode == Mode::Peek {
            return self.report(items, statuses);
        }
        if !has_room {
            path::count(Path::SeveralDenied);
            return self.finish_denied(items, statuses);
        }
        let Some(uncommitted) = commit_all(items) else {
            path::count(Path::Several);
            return self.finish_committed(items, statuses);
        };
        path::count(Path::SeveralFallback);
        match self.charge_from(uncommitted, items, mode, repeats) {
            FallbackResult::AllCharged => self.finish_admitted(items, statuses),
            FallbackResult::Denied => self.finish_denied(items, statuses),
            FallbackResult::TableFull(policy) => {
                self.policies.requests().count(Verdict::TableFull, self.shard);
                Decision::refused(policy)
            }
        }
    }
}

/// The decision about a request with a policy of another limiter, or with too many charges. A peek is not
/// counted.
fn invalid(policies: &Policies, policy: PolicyId, mode: Mode) -> Decision {
    if mode == Mode::Peek {
        return Decision::without_counter(Verdict::Invalid, policy);
    }
    policies.refuse_invalid(policy)
}
