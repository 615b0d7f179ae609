//! The first step of a request: evaluate every charge without writing.

use crate::counter::Outcome;
use crate::engine::context::Context;
use crate::engine::item::Item;
use crate::engine::resolved_charge::ResolvedCharge;
use crate::request::Mode;
use std::hint::cold_path;

impl Context<'_> {
    /// Evaluates all items. Returns false if one has no room. `repeats` is true if two items have the
    /// same counter.
    #[inline(always)]
    pub(super) fn evaluate_all<'g>(
        &'g self,
        items: &mut [Item<'g>],
        mode: Mode,
        repeats: bool,
    ) -> bool {
        if mode == Mode::Peek || repeats {
            return self.evaluate_repeated(items, mode);
        }
        if let [item] = items {
            // A single item that cannot be prepared counts as having room: the fallback then decides
            // it, and helps a move that is under way.
            return !item.charge.policy.prepare(self, item) || item.outcome.admitted;
        }
        let mut room = true;
        for item in items.iter_mut() {
            self.prepare_or_peek(item);
            room &= item.outcome.admitted;
        }
        room
    }

    /// Evaluates each item together with the earlier items of its counter. Returns whether all have
    /// room.
    ///
    /// A check prepares only the first charge of each counter that has a cost: its commit outdates the
    /// evaluations of the others. A cost of 0 is never prepared.
    #[inline(never)]
    fn evaluate_repeated<'g>(&'g self, items: &mut [Item<'g>], mode: Mode) -> bool {
        let mut room = true;
        for index in 0..items.len() {
            let (before, rest) = items.split_at_mut(index);
            let item = &mut rest[0];
            match cost_before(item, before) {
                0 if mode == Mode::Check => self.prepare_or_peek(item),
                earlier => {
                    item.outcome = self.peek(&item.charge, item.charge.cost.saturating_add(earlier))
                }
            }
            room &= item.outcome.admitted;
        }
        room
    }

    /// Prepares the charge of an item. If it must take the slow path, only peeks.
    #[inline(always)]
    fn prepare_or_peek<'g>(&'g self, item: &mut Item<'g>) {
        if !item.charge.policy.prepare(self, item) {
            cold_path();
            item.outcome = self.peek(&item.charge, item.charge.cost);
        }
    }

    /// Decides a charge without writing. `cost` replaces the charge's own cost.
    pub(super) fn peek(&self, charge: &ResolvedCharge<'_>, cost: u64) -> Outcome {
        charge.policy.peek(charge.key, cost, charge.limit, self.now, &self.guard)
    }
}

/// The cost of the items in `before` that have the same counter.
fn cost_before(item: &Item<'_>, before: &[Item<'_>]) -> u64 {
    let same = before.iter().filter(|other| item.is_same_counter(other));
    same.fold(0, |sum, other| sum.saturating_add(other.charge.cost))
}

/// Returns whether two of the items have the same counter.
#[inline(always)]
pub(super) fn has_repeated_counter(items: &[Item<'_>]) -> bool {
    // In most requests all policies differ, and then all counters do. One pass shows this.
    let (mut seen, mut policy_repeats) = (0_u64, false);
    for item in items.iter() {
        let bit = 1 << (item.charge.policy.id().index() % u64::BITS as usize);
        policy_repeats |= seen & bit != 0;
        seen |= bit;
    }
    policy_repeats && has_equal_pair(items)
}

/// Returns the same as [`has_repeated_counter`], by comparing all pairs of items.
#[inline(never)]
fn has_equal_pair(items: &[Item<'_>]) -> bool {
    let mut numbered = items.iter().enumerate();
    numbered.any(|(index, item)| items[..index].iter().any(|other| item.is_same_counter(other)))
}
