//! The first step of a request: evaluate every charge without writing.

use crate::charge::{Charge, PolicyId};
use crate::counter::Outcome;
use crate::engine::context::Context;
use crate::engine::item::Item;
use crate::engine::resolved_charge::ResolvedCharge;
use crate::request::Mode;
use arrayvec::ArrayVec;
use std::hint::cold_path;
use std::mem::MaybeUninit;
use std::ptr;

/// The result of evaluating all charges of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evaluated {
    /// Whether every charge has room or is under a dry run, or the request is forced.
    pub(super) has_room: bool,
    /// Whether two charges have the same counter.
    pub(super) repeats: bool,
}

impl Context<'_> {
    /// Evaluates the charges of a check whose policies all differ and whose tables stay in cache, and
    /// adds their items. `None` if that is not so, or if a charge must take the slow path.
    #[inline(always)]
    pub(super) fn evaluate_cached<'g, const MAX: usize>(
        &'g self,
        charges: &[Charge<'_>],
        mode: Mode,
        items: &mut ArrayVec<Item<'g>, MAX>,
    ) -> Option<Evaluated> {
        if mode != Mode::Check || charges.len() > MAX {
            return None;
        }
        let (mut has_room, mut seen) = (true, 0);
        for (index, charge) in charges.iter().enumerate() {
            let policy = self.policies.get(charge.policy)?;
            let bit = policy_bit(charge.policy);
            if seen & bit != 0 || policy.prefetches() {
                return None;
            }
            seen |= bit;
            // In place, since an item is large.
            // SAFETY: the list has space for `MAX` items, and there are at most as many charges.
            let end = unsafe { items.as_mut_ptr().add(index) };
            // SAFETY: as above. Only an initialized item is written to it.
            let slot = unsafe { &mut *end.cast::<MaybeUninit<_>>() };
            has_room &= Item::prepare_charge(policy, charge, self, slot)?.outcome.admitted;
        }
        // SAFETY: `prepare_charge` has written an item for each charge.
        unsafe { items.set_len(charges.len()) };
        Some(Evaluated { has_room, repeats: false })
    }

    /// Prefetches the slots of all items. Then evaluates them, except for a forced request, which
    /// needs no room.
    #[inline(always)]
    pub(super) fn evaluate_items<'g>(&'g self, items: &mut [Item<'g>], mode: Mode) -> Evaluated {
        for Item { charge, .. } in items.iter() {
            charge.policy.prefetch(charge.key, &self.guard);
        }
        let repeats = has_repeated_counter(items);
        let has_room = mode == Mode::Force || self.evaluate_all(items, mode, repeats);
        Evaluated { has_room, repeats }
    }

    /// Evaluates all items. Returns false if one denies the request. `repeats` is true if two items have the
    /// same counter.
    #[inline(always)]
    fn evaluate_all<'g>(&'g self, items: &mut [Item<'g>], mode: Mode, repeats: bool) -> bool {
        if mode == Mode::Peek || repeats {
            return self.evaluate_repeated(items, mode);
        }
        if let [item] = items {
            // A single item that cannot be prepared counts as having room: the fallback then decides
            // it, and helps a move that is under way.
            return !self.prepare(item) || item.outcome.admitted;
        }
        let mut room = true;
        for item in items.iter_mut() {
            self.prepare_or_peek(item);
            room &= item.passes();
        }
        room
    }

    /// Evaluates each item together with the earlier items of its counter. Returns whether all have
    /// room or are under a dry run.
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
            room &= item.passes();
        }
        room
    }

    /// Prepares the charge of an item. Returns false, and changes nothing, if it must take the slow path.
    #[inline(always)]
    fn prepare<'g>(&'g self, item: &mut Item<'g>) -> bool {
        let charge = item.charge;
        // SAFETY: an item needs no drop, and `prepare` writes nothing but an initialized item.
        let slot = unsafe { &mut *ptr::from_mut(item).cast::<MaybeUninit<Item<'g>>>() };
        Item::prepare(charge, self, slot).is_some()
    }

    /// Prepares the charge of an item. If it must take the slow path, only peeks.
    #[inline(always)]
    fn prepare_or_peek<'g>(&'g self, item: &mut Item<'g>) {
        if !self.prepare(item) {
            cold_path();
            item.outcome = self.peek(&item.charge, item.charge.cost);
        }
    }

    /// Decides a charge without writing. `cost` replaces the charge's own cost.
    pub(super) fn peek(&self, charge: &ResolvedCharge<'_>, cost: u64) -> Outcome {
        charge.policy.peek(charge.key, cost, charge.limit, self.now, &self.guard)
    }
}

/// The cost of the items in `before` that have the same counter. An item that passes without room, under a
/// dry run, is not charged, so it does not count.
fn cost_before(item: &Item<'_>, before: &[Item<'_>]) -> u64 {
    let counts = |other: &&Item<'_>| other.outcome.admitted || !other.passes();
    let same = before.iter().filter(|other| item.is_same_counter(other)).filter(counts);
    same.fold(0, |sum, other| sum.saturating_add(other.charge.cost))
}

/// A bit for a policy. Policies with different bits are different.
#[inline(always)]
fn policy_bit(policy: PolicyId) -> u64 {
    1 << (policy.index() % u64::BITS as usize)
}

/// Returns whether two of the items have the same counter.
#[inline(always)]
fn has_repeated_counter(items: &[Item<'_>]) -> bool {
    // In most requests all policies differ, and then all counters do. One pass shows this.
    let (mut seen, mut policy_repeats) = (0_u64, false);
    for item in items.iter() {
        let bit = policy_bit(item.charge.policy.id());
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
