//! One array of slots: lock-free insert and lookup by linear probing, and nothing else.
//!
//! # State
//! A slot's id goes from `EMPTY` to a key's id, or to `FROZEN` when the array is being left, by one
//! compare-exchange, and never changes again: no deletes, no tombstones, no key twice.
//!
//! # Invariants
//! - A1: every probe for a key meets the key's slot before any `EMPTY` or `FROZEN`.
//! - A2: once a probe for an absent key ended at `FROZEN`, the key never enters this array.
//!
//! # Progress
//! Wait-free lookup: at most one pass over the array. Lock-free insert.

use super::slot::{EMPTY, FROZEN, KeyId, Slot};
use super::slots::{OutOfMemory, Slots};
use crate::breakage::{Breakage, broken};
use crate::counter::{Base, Counter};
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
    /// Nowhere: every slot holds another key.
    Nowhere,
}

/// Slots, and the times that their counters live by.
#[derive(Debug)]
pub(crate) struct Array<C> {
    slots: Slots<C>,
    base: Base,
    claimed: AtomicUsize,
}

impl<C: Counter> Array<C> {
    pub(crate) fn new(len: usize, base: Base) -> Result<Self, OutOfMemory> {
        Ok(Array { slots: Slots::new(len)?, base, claimed: AtomicUsize::new(0) })
    }

    #[inline(always)]
    pub(crate) fn base(&self) -> Base {
        self.base
    }

    #[inline(always)]
    pub(crate) fn slots(&self) -> &[Slot<C>] {
        &self.slots
    }

    /// How many slots hold a key. It lags behind by the inserts that are under way.
    pub(crate) fn claimed(&self) -> usize {
        // Relaxed: a bound with slack, not a proof.
        self.claimed.load(Relaxed)
    }

    /// Walks from the key's home to its slot or to the place where it would be.
    #[inline]
    pub(crate) fn find(&self, key: KeyId) -> Found<'_, C> {
        let slots = self.slots();
        let home = ((key.number() as u128 * slots.len() as u128) >> 64) as usize;
        let (before, after) = slots.split_at(home.min(slots.len()));
        for slot in after.iter().chain(before) {
            // Acquire: whoever finds the id finds the slot as its claimer did. Pairs with the claim.
            let id = slot.id.load(Acquire);
            if id == key.number() {
                return Found::Slot(slot);
            }
            if id == EMPTY {
                return Found::Empty(slot);
            }
            if id == FROZEN {
                return Found::Frozen;
            }
        }
        Found::Nowhere
    }

    /// The key's slot, claimed now if it was absent; else where the probe ended.
    pub(crate) fn find_or_claim(&self, key: KeyId) -> Found<'_, C> {
        loop {
            let slot = match self.find(key) {
                Found::Empty(slot) => slot,
                found => return found,
            };
            if broken(Breakage::ClaimStores) {
                slot.id.store(key.number(), Release);
                return Found::Slot(slot);
            }
            // AcqRel: a place is claimed once; the loser walks again and meets the winner's id.
            // Model: insert with ClaimStores.
            if slot.id.compare_exchange(EMPTY, key.number(), AcqRel, Relaxed).is_ok() {
                // Relaxed: a counter.
                self.claimed.fetch_add(1, Relaxed);
                return Found::Slot(slot);
            }
        }
    }

    /// Makes sure that an absent key never enters this array; its slot if it is here.
    pub(crate) fn find_or_freeze(&self, key: KeyId) -> Option<&Slot<C>> {
        loop {
            match self.find(key) {
                Found::Slot(slot) => return Some(slot),
                Found::Frozen | Found::Nowhere => return None,
                Found::Empty(slot) => {
                    if broken(Breakage::NoFreezeEmpty) || slot.settled_id().is_none() {
                        return None;
                    }
                }
            }
        }
    }
}
