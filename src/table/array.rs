//! One array of slots: lock-free insert and lookup by linear probing, and nothing else.
//!
//! # State
//! A slot's id goes from `EMPTY` to a key's id, or to `FROZEN` when the array is being left, by one
//! compare-exchange, and never changes again: no deletes, no tombstones, no key twice. A probe
//! begins at the key's home and goes on to the end of the array; [`Size`] sees to it that there is
//! an end for every key.
//!
//! # Invariants
//! - A1: every probe for a key meets the key's slot before any `EMPTY` or `FROZEN`.
//! - A2: once a probe for an absent key ended at `FROZEN`, the key never enters this array.
//! - A3: `claimed` is the number of keys, but for one that each thread has just let in.
//!
//! # Progress
//! Wait-free lookup: at most one pass over the array. Lock-free insert.

use super::error::OutOfMemory;
use super::prefetch::{prefetch, prefetch_next};
use super::size::Size;
use super::slot::{EMPTY, FROZEN, KeyId, Slot};
use super::slots::Slots;
use crate::breakage::{Breakage, broken, ordering};
use crate::counter::{Base, Counter};
use crate::retries::Retries;
use crate::sync::{AtomicUsize, Ordering::*};

/// Where a probe for a key ended.
#[derive(Debug)]
pub(crate) enum Found<'a, C> {
    /// At the key's slot.
    Slot(&'a Slot<C>),
    /// At a place that a key may still claim.
    Empty(&'a Slot<C>),
    /// At a place that no key can claim any more: the key will never be in this array.
    Frozen,
}

/// Slots, and the times that their counters live by.
#[derive(Debug)]
pub(crate) struct Array<C> {
    slots: Slots<C>,
    homes: usize,
    base: Base,
    claimed: AtomicUsize,
}

impl<C: Counter> Array<C> {
    pub(crate) fn new(size: Size, base: Base) -> Result<Self, OutOfMemory> {
        let slots = Slots::new(size.slots)?;
        Ok(Array { slots, homes: size.homes, base, claimed: AtomicUsize::new(0) })
    }

    #[inline(always)]
    pub(crate) fn base(&self) -> Base {
        self.base
    }

    /// The slots that hashes point to.
    pub(crate) fn homes(&self) -> &[Slot<C>] {
        &self.slots[..self.homes]
    }

    /// The slots behind the homes: used from the first on, as far as keys spilled over.
    pub(crate) fn spill(&self) -> &[Slot<C>] {
        &self.slots[self.homes..]
    }

    /// How many keys there are. It lags behind by those that are just entering.
    pub(crate) fn claimed(&self) -> usize {
        // Relaxed: a bound, not a proof.
        self.claimed.load(Relaxed)
    }

    /// Bytes of the homes. What lies behind them is hardly ever touched.
    pub(crate) fn homes_bytes(&self) -> usize {
        self.homes * size_of::<Slot<C>>()
    }

    /// The array is here to stay.
    pub(crate) fn settle(&self) {
        self.slots.settle(self.homes);
    }

    /// Gives a piece of the memory back, and returns whether any is left.
    #[cfg(not(all(test, tollgate_model)))]
    pub(crate) fn shed(&mut self) -> bool {
        self.slots.shed(self.homes)
    }

    #[cfg(all(test, tollgate_model))]
    pub(crate) fn poison(&self) {
        self.slots.poison();
    }

    #[inline(always)]
    fn home(&self, key: KeyId) -> usize {
        ((key.number() as u128 * self.homes as u128) >> 64) as usize
    }

    /// Asks for the key's home ahead of time.
    #[inline(always)]
    pub(crate) fn prefetch(&self, key: KeyId) {
        if let Some(slot) = self.slots.get(self.home(key)) {
            prefetch(slot);
            prefetch_next(slot);
        }
    }

    /// Walks from the key's home to its slot or to the end of its chain.
    #[inline(always)]
    pub(crate) fn find(&self, key: KeyId) -> Found<'_, C> {
        let mut place = self.home(key);
        while let Some(slot) = self.slots.get(place) {
            // Acquire: whoever ends at a frozen place sees the array that took this one's place.
            // Pairs with `Slot::settled_id`. Model: absent_against_move with FindRelaxed.
            let id = slot.id.load(ordering(Breakage::FindRelaxed, Acquire));
            if id == key.number() {
                return Found::Slot(slot);
            }
            if id == EMPTY {
                return Found::Empty(slot);
            }
            if id == FROZEN {
                return Found::Frozen;
            }
            place += 1;
        }
        // Not reached: behind every home there are more slots than keys can enter (`Size`, A3).
        debug_assert!(false, "an array without an end");
        Found::Frozen
    }

    /// The key's slot, claimed now if it was absent; `None` if the array is being left already.
    pub(crate) fn find_or_claim(&self, key: KeyId) -> Option<&Slot<C>> {
        let mut retries = Retries::new();
        loop {
            retries.count();
            let slot = match self.find(key) {
                Found::Empty(slot) => slot,
                Found::Slot(slot) => return Some(slot),
                Found::Frozen => return None,
            };
            if broken(Breakage::ClaimStores) {
                slot.id.store(key.number(), Release);
                return Some(slot);
            }
            // Relaxed: a place is claimed once, and what the key uses is told by its counter; the
            // loser walks again and meets the winner's id. Model: insert with ClaimStores.
            if slot.id.compare_exchange(EMPTY, key.number(), Relaxed, Relaxed).is_ok() {
                // Relaxed: a counter.
                self.claimed.fetch_add(1, Relaxed);
                return Some(slot);
            }
        }
    }

    /// Makes sure that an absent key never enters this array; its slot if it is here.
    pub(crate) fn find_or_freeze(&self, key: KeyId) -> Option<&Slot<C>> {
        let mut retries = Retries::new();
        loop {
            retries.count();
            match self.find(key) {
                Found::Slot(slot) => return Some(slot),
                Found::Frozen => return None,
                Found::Empty(slot) => {
                    if broken(Breakage::NoFreezeEmpty) || slot.settled_id().is_none() {
                        return None;
                    }
                }
            }
        }
    }
}
