//! One array of slots: wait-free lookup and lock-free insert by probing one group after another.
//!
//! # State
//! A slot's id starts as `EMPTY`. One CAS changes it to a key's id, or to `FROZEN` when keys are
//! moved out of the array. After that it never changes: there are no deletes, no tombstones, and no
//! key has two slots.
//!
//! # Probe order
//! A probe starts in the key's home group, at the key's preferred slot, and wraps around within the
//! group. It continues with the following groups in the same way. [`Size`] leaves enough slots
//! after the last home group for every probe to end.
//!
//! In an array that is nearly empty, or too large to stay in cache, a lookup checks the preferred
//! slot first. If the key is elsewhere, and in all other arrays, the lookup probes by the
//! [tags](super::tags): it skips the slots whose tags show other keys. So it does not load the
//! cache lines in which other threads charge those keys.
//!
//! # Invariants
//! - A1: every probe for a key meets the key's slot before any `EMPTY` or `FROZEN`.
//! - A2: once a probe for an absent key ended at `FROZEN`, the key never enters this array.
//! - A3: `claimed` is the number of keys, less at most one for each thread that is inserting.
//!
//! # Progress
//! Wait-free lookup: at most one pass over the array. Lock-free insert.

use super::ages::Ages;
use super::error::OutOfMemory;
use super::prefetch::prefetch;
use super::size::Size;
use super::slot::{EMPTY, FROZEN, KeyId, Slot};
use super::tags::{GROUP, Group, Tag, Tags};
use super::zeroed::Zeroed;
use crate::counter::{Counter, TimeBase};
use crate::sync::progress::Retries;
use crate::sync::{AtomicU64, AtomicUsize, Ordering::*, order};

/// An array with fewer bytes of slots than this stays in a cache whose latency is hidden by
/// out-of-order execution.
const CACHED_BYTES: usize = 1 << 22;

/// Where a probe for a key ended.
#[derive(Debug)]
pub(crate) enum Found<'a, C> {
    /// At the key's slot.
    Slot(&'a Slot<C>),
    /// At the empty slot with this index, which a key may still claim.
    Empty(usize),
    /// At a frozen slot: the key will never be in this array.
    Frozen,
}

/// Slots, and the time base of their counters.
#[derive(Debug)]
pub(crate) struct Array<C> {
    groups: Zeroed<[Slot<C>; GROUP]>,
    tags: Tags,
    ages: Ages,
    /// The number of home groups: those that keys hash to.
    home_groups: usize,
    /// While there are fewer keys than this, a lookup checks the preferred slot before the tags.
    #[cfg_attr(
        all(test, tollgate_model, not(tollgate_shuttle)),
        expect(dead_code, reason = "loom models do not guess by the number of keys")
    )]
    guess_below: usize,
    base: TimeBase,
    claimed: AtomicUsize,
}

/// The index of the key's home group among `groups` groups.
#[inline(always)]
pub(super) fn home_group(key: KeyId, groups: usize) -> usize {
    ((key.number() as u128 * groups as u128) >> 64) as usize
}

/// The index in its group of the key's preferred slot, where its probe starts.
///
/// Most keys are there, so a caller can prefetch this slot before the tags are loaded.
#[inline(always)]
pub(super) fn preferred_slot(key: KeyId) -> usize {
    // These bits determine neither the home group nor the tag.
    ((key.number() >> 8) as usize).rem_euclid(GROUP)
}

/// Loads a slot's id.
#[inline(always)]
fn load_id(id: &AtomicU64) -> u64 {
    // Acquire: a probe that ends at a frozen slot sees the array that replaced this one. Pairs with
    // `Slot::freeze_or_id`. Model: absent_against_move with FindRelaxed.
    id.load(order::slot_probe())
}

/// Loads a slot's id by a CAS that changes nothing.
///
/// Use it before a write to a page that may be untouched. The CAS maps the page for writing, with one
/// page fault. A plain load would cause two: it maps the shared page of zeros, and the write after it
/// maps a page of its own.
#[inline(always)]
fn load_id_by_cas(id: &AtomicU64) -> u64 {
    // Relaxed: if this finds a frozen slot, the caller concludes only that it must look the key up
    // again in the current array, or that the move into this array has ended.
    id.compare_exchange(EMPTY, EMPTY, Relaxed, Relaxed).unwrap_or_else(|id| id)
}

impl<C: Counter> Array<C> {
    /// An array with fewer home groups than this stays in cache.
    const CACHED_GROUPS: usize = CACHED_BYTES / size_of::<[Slot<C>; GROUP]>();

    /// Creates an empty array. `evicts` is true if live keys may be evicted from it.
    pub(crate) fn new(size: Size, base: TimeBase, evicts: bool) -> Result<Self, OutOfMemory> {
        let [home_groups, all] = [size.home_slots, size.slots].map(|slots| slots / GROUP);
        let (groups, tags, ages) = (Zeroed::new(all)?, Tags::new(all)?, Ages::new(all, evicts)?);
        // Guessing the preferred slot hides the latency of memory. A wrong guess costs the load of a
        // cache line that another thread may be writing. So a lookup in a cached array waits for the
        // tags, unless nearly all keys are in their preferred slots.
        let guess_below = if home_groups < Self::CACHED_GROUPS { home_groups } else { usize::MAX };
        let claimed = AtomicUsize::new(0);
        Ok(Array { groups, tags, ages, home_groups, guess_below, base, claimed })
    }

    #[inline(always)]
    pub(crate) fn base(&self) -> TimeBase {
        self.base
    }

    /// The slots of the home groups.
    pub(crate) fn home_slots(&self) -> &[Slot<C>] {
        self.groups[..self.home_groups].as_flattened()
    }

    /// The slots after the home groups. Keys that spill over fill them from the first one on.
    pub(crate) fn spill_slots(&self) -> &[Slot<C>] {
        self.groups[self.home_groups..].as_flattened()
    }

    /// The number of keys, except those that are being inserted at the moment.
    pub(crate) fn claimed(&self) -> usize {
        // Relaxed: a bound, not a proof.
        self.claimed.load(Relaxed)
    }

    /// Bytes of the home slots. The spill slots are hardly ever touched, so they do not count.
    pub(crate) fn home_bytes(&self) -> usize {
        size_of_val(self.home_slots())
            + Tags::bytes(self.home_groups)
            + self.ages.bytes(self.home_groups)
    }

    /// Advises the system to use huge pages, for an array that stays in use.
    pub(crate) fn advise_huge_pages(&self) {
        self.groups.advise_huge_pages(self.home_groups);
        self.tags.advise_huge_pages(self.home_groups);
    }

    /// The number of huge pages that [`collapse`](Self::collapse) can make.
    pub(crate) fn huge_pages(&self) -> usize {
        self.groups.huge_pages(self.home_groups) + self.tags.huge_pages(self.home_groups)
    }

    /// Makes the huge page with this index now. Returns whether the system did.
    pub(crate) fn collapse(&self, page: usize) -> bool {
        let slot_pages = self.groups.huge_pages(self.home_groups);
        match page.checked_sub(slot_pages) {
            None => self.groups.collapse(page),
            Some(page) => self.tags.collapse(page),
        }
    }

    /// Frees a piece of the ages, then of the tags, then of the slots. Returns whether more is left.
    pub(crate) fn free_piece(&mut self) -> bool {
        self.ages.free_piece(self.home_groups)
            || self.tags.free_piece(self.home_groups)
            || self.groups.free_piece(self.home_groups)
    }

    /// The addresses of the first tag and of the first slot.
    pub(super) fn addresses(&self) -> (usize, usize) {
        (self.tags.address(), self.groups.as_ptr().addr())
    }

    /// Returns whether the array is small enough to stay in cache.
    pub(super) fn stays_cached(&self) -> bool {
        self.home_groups < Self::CACHED_GROUPS
    }

    #[inline(always)]
    fn home_group(&self, key: KeyId) -> usize {
        home_group(key, self.home_groups)
    }

    /// Prefetches the key's slot if it is in the home group, as most are.
    #[inline(always)]
    pub(crate) fn prefetch(&self, key: KeyId) {
        let home = self.home_group(key);
        if let Some((tags, slots)) = self.load_group(home, preferred_slot(key))
            && let Some(index) = tags.matches(Tag::of(key)).next()
        {
            prefetch(&slots[index]);
        }
    }

    /// Prefetches the tags of the key's home group and its preferred slot. Most lookups need no
    /// more than that, also those of absent keys.
    pub(crate) fn prefetch_preferred(&self, key: KeyId) {
        let home = self.home_group(key);
        if let Some(slots) = self.groups.get(home) {
            self.tags.prefetch(home);
            prefetch(&slots[preferred_slot(key)]);
        }
    }

    /// Returns whether a lookup guesses that its key is in the preferred slot.
    #[cfg(not(all(test, tollgate_model, not(tollgate_shuttle))))]
    #[inline(always)]
    fn guesses(&self) -> bool {
        self.claimed() < self.guess_below
    }

    /// In loom models: loom would explore an execution for each count that it could load. So a lookup
    /// guesses in all models except those about tags.
    #[cfg(all(test, tollgate_model, not(tollgate_shuttle)))]
    fn guesses(&self) -> bool {
        !super::tags::model::are_checked()
    }

    /// Probes for the key, up to its slot or the end of its probe sequence.
    #[inline(always)]
    pub(crate) fn find(&self, key: KeyId) -> Found<'_, C> {
        // A branch: the CPU speculates past it without waiting for the tags.
        if self.guesses()
            && let Some(found) = self.check_preferred(key)
        {
            return found;
        }
        self.probe(key, load_id)
    }

    /// Checks whether the key's probe ends at its preferred slot; `None` if it continues.
    #[inline(always)]
    fn check_preferred(&self, key: KeyId) -> Option<Found<'_, C>> {
        let home = self.home_group(key);
        Self::check_slot(self.groups.get(home)?, home, preferred_slot(key), key, load_id)
    }

    /// Probes as [`find`](Self::find) does, for a caller that claims the empty slot where the probe
    /// ends. It loads by CAS, which saves a page fault in a new array.
    pub(crate) fn find_to_claim(&self, key: KeyId) -> Found<'_, C> {
        self.probe(key, load_id_by_cas)
    }

    /// Probes for the key. `load_untagged` loads the ids of slots without a published tag.
    #[inline(always)]
    fn probe(&self, key: KeyId, load_untagged: impl Fn(&AtomicU64) -> u64) -> Found<'_, C> {
        let (mut group_index, tag, first) =
            (self.home_group(key), Tag::of(key), preferred_slot(key));
        while let Some((tags, slots)) = self.load_group(group_index, first) {
            let check = |index| Self::check_slot(slots, group_index, index, key, load_id);
            if let Some(found) = tags.matches(tag).find_map(check) {
                return found;
            }
            let check = |index| Self::check_slot(slots, group_index, index, key, &load_untagged);
            if let Some(found) = tags.unpublished().find_map(check) {
                return found;
            }
            group_index += 1;
        }
        // Not reached: after every home group there are more slots than there can be keys (`Size`,
        // A3).
        debug_assert!(false, "a probe ran past the last slot");
        Found::Frozen
    }

    /// Loads the tags of a group, for a probe that starts at its slot `first`. Returns them with
    /// the group's slots, or `None` if there is no such group.
    #[inline(always)]
    fn load_group(&self, index: usize, first: usize) -> Option<(Group, &[Slot<C>; GROUP])> {
        Some((self.tags.group(index, first)?, self.groups.get(index)?))
    }

    /// The slot with this index.
    fn slot(&self, index: usize) -> &Slot<C> {
        &self.groups.as_flattened()[index]
    }

    /// Checks whether the key's probe ends at this slot of a group; `None` if it continues.
    #[inline(always)]
    fn check_slot(
        group: &[Slot<C>; GROUP],
        group_index: usize,
        index: usize,
        key: KeyId,
        load_id: impl Fn(&AtomicU64) -> u64,
    ) -> Option<Found<'_, C>> {
        let slot = group.get(index)?;
        match load_id(&slot.id) {
            id if id == key.number() => Some(Found::Slot(slot)),
            EMPTY => Some(Found::Empty(group_index * GROUP + index)),
            FROZEN => Some(Found::Frozen),
            _ => None,
        }
    }

    /// Finds the key's slot, or claims one if the key is absent. `None` if the probe ends at a
    /// frozen slot: the array is being replaced.
    pub(crate) fn find_or_claim(&self, key: KeyId) -> Option<&Slot<C>> {
        self.claim(key, self.find_to_claim(key))
    }

    /// Continues [`find_or_claim`](Self::find_or_claim) from the result of an earlier probe,
    /// however old it is.
    pub(crate) fn claim<'a>(&'a self, key: KeyId, mut found: Found<'a, C>) -> Option<&'a Slot<C>> {
        let mut retries = Retries::new();
        loop {
            retries.count();
            let (index, slot) = match found {
                Found::Empty(index) => (index, self.slot(index)),
                Found::Slot(slot) => return Some(slot),
                Found::Frozen => return None,
            };
            // Relaxed: the CAS alone makes the claim unique, and the counter publishes the usage.
            // The loser probes again and meets the winner's id. Model: `insert, one home` with
            // ClaimStores.
            if slot.id.compare_exchange(EMPTY, key.number(), Relaxed, Relaxed).is_ok() {
                // G1. Model: `insert, one home` with TagFirst.
                self.tags.publish(index, Tag::of(key));
                // Relaxed: a count. Model: `insert, one key` with CountedBeforeClaim.
                self.claimed.fetch_add(1, Relaxed);
                return Some(slot);
            }
            found = self.find(key);
        }
    }

    /// Returns whether live keys may be evicted from this array.
    pub(super) fn evicts(&self) -> bool {
        self.ages.are_kept()
    }

    /// Returns whether the key of this slot was inserted before the last `moves` moves, and was not
    /// inserted again since. Always true if no live key is ever evicted.
    pub(super) fn has_survived(&self, slot: &Slot<C>, moves: u64) -> bool {
        !self.evicts() || self.ages.has_survived(self.index_of(slot), moves)
    }

    /// Records that a key was moved from a slot of `old` to this slot. Call it before the counter
    /// is installed.
    pub(super) fn carry_age(&self, slot: &Slot<C>, old: &Self, from: &Slot<C>) {
        if self.evicts() {
            self.ages.carry_over(self.index_of(slot), &old.ages, old.index_of(from));
        }
    }

    /// The index of a slot.
    pub(super) fn index_of(&self, slot: &Slot<C>) -> usize {
        (std::ptr::from_ref(slot).addr() - self.groups.as_ptr().addr()) / size_of::<Slot<C>>()
    }

    /// Returns whether the key's home group has the key's tag at a slot that has no id yet.
    #[cfg(all(test, tollgate_model))]
    pub(crate) fn has_tag_without_id(&self, key: KeyId) -> bool {
        let home = self.home_group(key);
        let group = self.tags.group(home, preferred_slot(key)).expect("a home group");
        group.matches(Tag::of(key)).any(|index| self.groups[home][index].id().is_none())
    }

    /// Finds the key's slot, or ensures that the key never enters this array: it then freezes the
    /// empty slot where the probe ends.
    pub(crate) fn find_or_freeze(&self, key: KeyId) -> Option<&Slot<C>> {
        let mut retries = Retries::new();
        loop {
            retries.count();
            match self.find(key) {
                Found::Slot(slot) => return Some(slot),
                Found::Frozen => return None,
                Found::Empty(index) => {
                    // If another thread has claimed the slot, probe again. Model:
                    // absent_against_move with NoFreezeEmpty.
                    self.slot(index).freeze_or_id()?;
                }
            }
        }
    }
}
