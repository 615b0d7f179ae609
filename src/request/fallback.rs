//! Requests over several policies. Most take the [optimistic path](super::optimistic). The fallback is for
//! peeks, forced charges, requests that charge one counter twice, new keys, and lost commits: evaluate all
//! charges, charge them in order, and roll back if one has no room any more.

use crate::charge::{Charge, MAX_CHARGES, PolicyId};
use crate::decision::{Decision, PolicyStatus};
use crate::engine::Policies;
use crate::request::optimistic::{all, commit_all, has_repeated_counter, resolve_all};
use crate::request::{Context, Item, Mode, ResolvedCharge, invalid, refused};
use crate::table::Evaluation;
use crate::verify::mutants::is_on;
use crate::verify::path::{self, Path};
use std::borrow::Borrow;

/// The number of charges that most requests do not exceed. Their lists need less stack.
const FEW: usize = 4;

/// Decides a request. If it has several charges, their slots are prefetched before the context is made, so
/// that the cache misses overlap with reading the clock and pinning the epoch.
#[inline(always)]
pub(crate) fn decide<'l, C: Borrow<Context<'l>>>(
    policies: &'l Policies,
    charges: &[Charge<'_>],
    mode: Mode,
    statuses: &mut [PolicyStatus],
    context: impl FnOnce() -> C,
) -> Decision {
    match charges {
        [] => Decision::default(),
        [charge] => match ResolvedCharge::new(policies, charge) {
            Some(resolved) => context().borrow().decide_one(resolved, mode, statuses),
            None => invalid(charge.policy),
        },
        [..] if charges.len() <= FEW => {
            decide_up_to::<FEW, C>(policies, charges, mode, statuses, context)
        }
        [..] => decide_up_to::<MAX_CHARGES, C>(policies, charges, mode, statuses, context),
    }
}

/// Decides a request of up to `MAX` charges.
// Not inlined, so that a request with few charges does not reserve the stack for many.
#[inline(never)]
fn decide_up_to<'l, const MAX: usize, C: Borrow<Context<'l>>>(
    policies: &'l Policies,
    charges: &[Charge<'_>],
    mode: Mode,
    statuses: &mut [PolicyStatus],
    context: impl FnOnce() -> C,
) -> Decision {
    let mut resolved = [None; MAX];
    let resolved = match resolve_all(policies, charges, &mut resolved) {
        Ok(resolved) => resolved,
        Err(policy) => return invalid(policy),
    };
    let context = context();
    let context = context.borrow();
    if mode != Mode::Check || has_repeated_counter(all(resolved)) {
        return context.decide_resolved::<MAX>(resolved, mode, statuses);
    }
    let mut evaluations = [None; MAX];
    if !context.evaluate_all(resolved, &mut evaluations) {
        path::count(Path::SeveralDenied);
        return context.finish_denied(resolved, &mut evaluations, statuses);
    }
    match commit_all(&evaluations[..resolved.len()]) {
        None => {
            path::count(Path::Several);
            context.finish_admitted(resolved, &evaluations, statuses)
        }
        Some(lost) => {
            path::count(Path::SeveralFallback);
            context.charge_rest::<MAX>(lost, resolved, &evaluations, statuses)
        }
    }
}

impl Context<'_> {
    /// Decides unevaluated charges with [`decide_items`](Self::decide_items).
    #[inline(never)]
    fn decide_resolved<'g, const MAX: usize>(
        &'g self,
        resolved: &[Option<ResolvedCharge<'g>>],
        mode: Mode,
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        let mut items = [None; MAX];
        for (item, charge) in items.iter_mut().zip(all(resolved)) {
            *item = Some(Item::new(*charge));
        }
        self.decide_items(&mut items, mode, statuses)
    }

    /// Completes a request whose charges before index `lost` are committed, while the one at `lost` was
    /// not prepared or its CAS failed.
    #[inline(never)]
    fn charge_rest<'g, const MAX: usize>(
        &'g self,
        lost: usize,
        resolved: &[Option<ResolvedCharge<'g>>],
        evaluations: &[Option<Evaluation<'g>>],
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        let mut items = [None; MAX];
        for (item, (charge, evaluation)) in
            items.iter_mut().zip(all(resolved).zip(all(evaluations)))
        {
            *item = Some(Item::from_evaluation(*charge, evaluation));
        }
        let charged = self.charge_from(lost, &mut items, Mode::Check, false);
        self.finish_charged(&mut items, charged, statuses)
    }

    /// Charges all items or none, and reports the status of each.
    pub(crate) fn decide_items<'g>(
        &'g self,
        items: &mut [Option<Item<'g>>],
        mode: Mode,
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        all(items).for_each(|Item { charge, .. }| charge.policy.prefetch(charge.key, &self.guard));
        let repeats = has_repeated_counter(all(items).map(|item| &item.charge));
        let room = mode == Mode::Force || self.evaluate_items(items, mode);
        match () {
            () if mode == Mode::Peek => self.report_all(items, statuses),
            () if !room => self.finish_denied_items(items, statuses),
            () => {
                let charged = self.charge_from(0, items, mode, repeats);
                self.finish_charged(items, charged, statuses)
            }
        }
    }

    /// Evaluates each item together with the earlier items of its counter. Returns whether all have room.
    #[inline(never)]
    fn evaluate_items<'g>(&'g self, items: &mut [Option<Item<'g>>], mode: Mode) -> bool {
        let mut room = true;
        for index in 0..items.len() {
            let (before, rest) = items.split_at_mut(index);
            let Some(Some(item)) = rest.first_mut() else {
                continue;
            };
            match item.cost_before(before) {
                0 if mode == Mode::Check => {
                    *item = Item::from_evaluation(item.charge, &self.evaluate_one(&item.charge));
                }
                earlier => {
                    item.outcome = self.peek(&item.charge, item.charge.cost.saturating_add(earlier))
                }
            }
            room &= item.outcome.admitted;
        }
        room
    }

    /// Counts the items without room and returns the decision.
    ///
    /// If statuses are reported, it peeks again at the items that had room: their evaluations include
    /// their own cost, which was not charged.
    #[inline(never)]
    fn finish_denied_items<'g>(
        &'g self,
        items: &mut [Option<Item<'g>>],
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        for item in all_mut(items) {
            if item.prepared.is_some() && !statuses.is_empty() {
                item.outcome = self.peek(&item.charge, item.charge.cost);
            }
            if !item.outcome.admitted {
                self.count(item, Ok(()));
            }
        }
        self.report_all(items, statuses)
    }

    /// Counts the items after [`charge_from`](Self::charge_from) and returns the decision.
    #[inline(never)]
    fn finish_charged<'g>(
        &'g self,
        items: &mut [Option<Item<'g>>],
        charged: Result<bool, PolicyId>,
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        match charged {
            Ok(true) => {
                all(items).for_each(|item| self.count(item, Ok(())));
                self.report_all(items, statuses)
            }
            Ok(false) => self.finish_denied_items(items, statuses),
            Err(policy) => refused(policy),
        }
    }

    fn report_all(&self, items: &[Option<Item<'_>>], statuses: &mut [PolicyStatus]) -> Decision {
        for (status, item) in statuses.iter_mut().zip(all(items)) {
            *status = item.status(self.now);
        }
        self.report_items(all(items))
    }

    /// Charges the items from index `first` on, in order. `repeats` says whether two items have the same
    /// counter.
    ///
    /// If an item has no room any more, the result is `Ok(false)`. If the table has no slot for its key,
    /// the result is `Err` with its policy. In both cases all items before it are rolled back.
    #[inline(never)]
    fn charge_from<'g>(
        &'g self,
        first: usize,
        items: &mut [Option<Item<'g>>],
        mode: Mode,
        repeats: bool,
    ) -> Result<bool, PolicyId> {
        for index in first..items.len() {
            let (charged, rest) = items.split_at_mut(index);
            let Some(Some(item)) = rest.first_mut() else {
                continue;
            };
            // Schedules: layers with LookIsEnough.
            let mode = if is_on("LookIsEnough") { Mode::Force } else { mode };
            let result = match item.prepared {
                Some(prepared)
                    if mode == Mode::Check && (prepared.commit() || is_on("LostLineAdmitted")) =>
                {
                    Ok(())
                }
                _ => {
                    item.prepared = None;
                    self.charge_item(item, mode)
                }
            };
            if result.is_ok() && item.outcome.admitted {
                if repeats {
                    item.copy_usage_to(charged);
                }
                continue;
            }
            self.roll_back_all(charged, repeats);
            return match result {
                Ok(()) => Ok(false),
                Err(_) => {
                    self.count(item, result);
                    Err(item.charge.policy.id())
                }
            };
        }
        Ok(true)
    }

    /// Rolls back these items, the last one first, and updates their usage.
    fn roll_back_all(&self, items: &mut [Option<Item<'_>>], repeats: bool) {
        for index in (0..items.len()).rev() {
            let (before, rest) = items.split_at_mut(index);
            let Some(item) = &mut rest[0] else {
                continue;
            };
            self.roll_back(item);
            if repeats {
                item.copy_usage_to(before);
            }
        }
        // The usage of a counter after the rollback is that of its first item.
        for index in (0..items.len()).filter(|_| repeats) {
            let (item, after) = items[index..].split_at_mut(1);
            if let Some(item) = &item[0] {
                item.copy_usage_to(after);
            }
        }
    }

    fn roll_back(&self, item: &mut Item<'_>) {
        item.prepared = None;
        let uncounted = item.table_full && !is_on("UndoUncounted");
        if is_on("NoUndo") || uncounted {
            return;
        }
        // With a receipt: if the charge has expired, no other charge is given back. Schedules: late
        // rollback with UndoOldest.
        let from = if is_on("UndoOldest") { None } else { Some(item.receipt()) };
        let ResolvedCharge { policy, key, cost, .. } = item.charge;
        let returned = policy.give_back(key, self.now, from, cost, &self.guard);
        item.outcome.used = item.outcome.used.saturating_sub(returned.units);
    }

    /// The decision about a request with these items.
    pub(crate) fn report_items<'a, 'g: 'a>(
        &self,
        items: impl Iterator<Item = &'a Item<'g>> + Clone,
    ) -> Decision {
        let table_full = items.clone().any(|item| item.table_full);
        let decision = self.report(items.map(|item| (&item.charge, &item.outcome)));
        Decision { table_full: table_full && decision.is_allowed(), ..decision }
    }
}

#[inline(always)]
fn all_mut<'a, 'g>(items: &'a mut [Option<Item<'g>>]) -> impl Iterator<Item = &'a mut Item<'g>> {
    items.iter_mut().map_while(Option::as_mut)
}

impl Item<'_> {
    /// The cost of the items in `before` that have the same counter.
    fn cost_before(&self, before: &[Option<Item<'_>>]) -> u64 {
        let same = all(before).filter(|other| self.charge.is_same_counter(&other.charge));
        same.fold(0, |sum, other| sum.saturating_add(other.charge.cost))
    }

    /// Copies the usage to those of the `others` that have the same counter, since each item reports the
    /// usage after the whole request.
    pub(crate) fn copy_usage_to(&self, others: &mut [Option<Item<'_>>]) {
        let same = all_mut(others).filter(|other| self.charge.is_same_counter(&other.charge));
        same.for_each(|other| {
            other.outcome.used = self.outcome.used;
            other.outcome.clear_at = self.outcome.clear_at;
        });
    }
}
