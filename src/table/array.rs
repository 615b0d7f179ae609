//! One array of slots: lock-free insert and lookup by probing group after group, and nothing else.
//!
//! # State
//! A slot's id goes from `EMPTY` to a key's id, or to `FROZEN` when the array is being left, by one
//! compare-exchange, and never changes again: no deletes, no tombstones, no key twice. A probe
//! goes through the key's home, a group of slots, from the place in it that the key prefers around to
//! the one before, and then in the same way through the groups behind it; [`Size`] sees to it that
//! there is an end for every key. It passes over the slots whose [tags](super::tags)
//! say that they are of other keys: their lines are left to whoever charges there.
//!
//! # Invariants
//! - A1: every probe for a key meets the key's slot before any `EMPTY` or `FROZEN`.
//! - A2: once a probe for an absent key ended at `FROZEN`, the key never enters this array.
//! - A3: `claimed` is the number of keys, but for one that each thread has just let in.
//!
//! # Progress
//! Wait-free lookup: at most one pass over the array. Lock-free insert.

use super::ages::Ages;
use super::error::OutOfMemory;
use super::prefetch::prefetch;
use super::size::Size;
use super::slot::{EMPTY, FROZEN, KeyId, Slot};
use super::tags::{GROUP, Tag, Tags};
use super::zeroed::Zeroed;
use crate::breakage::{Breakage, broken, ordering};
use crate::counter::{Base, Counter};
use crate::retries::Retries;
use crate::sync::{AtomicU64, AtomicUsize, Ordering::*};

/// Slots of arrays below this stay in a cache that is reached while other instructions are carried out.
const NEAR_BYTES: usize = 1 << 22;

/// Where a probe for a key ended.
#[derive(Debug)]
pub(crate) enum Found<'a, C> {
    /// At the key's slot.
    Slot(&'a Slot<C>),
    /// At a place that a key may still claim: its number.
    Empty(usize),
    /// At a place that no key can claim any more: the key will never be in this array.
    Frozen,
}

/// Slots, and the times that their counters live by.
#[derive(Debug)]
pub(crate) struct Array<C> {
    groups: Zeroed<[Slot<C>; GROUP]>,
    tags: Tags,
    ages: Ages,
    /// Groups that hashes point to.
    homes: usize,
    base: Base,
    claimed: AtomicUsize,
}

/// The group of so many that the key's probe begins at.
#[inline(always)]
pub(super) fn home(key: KeyId, groups: usize) -> usize {
    ((key.number() as u128 * groups as u128) >> 64) as usize
}

/// The place of a group where the key's probe begins. Most keys are there; so whoever guesses it
/// asks for their line before their tags have come.
#[inline(always)]
pub(super) fn preferred(key: KeyId) -> usize {
    // Bits that neither the home nor the tag is made of.
    ((key.number() >> 8) as usize).rem_euclid(GROUP)
}

/// A slot's id.
#[inline(always)]
fn seen(id: &AtomicU64) -> u64 {
    // Acquire: whoever ends at a frozen place sees the array that took this one's place. Pairs with
    // `Slot::settled_id`. Model: absent_against_move with FindRelaxed.
    id.load(ordering(Breakage::FindRelaxed, Acquire))
}

/// A slot's id, seen by a write that changes nothing. A page that is read before it is first written
/// to is made twice by the system: one of zeros for all readers, then one of its own.
#[inline(always)]
fn written(id: &AtomicU64) -> u64 {
    // Acquire: as in `seen`. Model: absent_against_move with FindRelaxed.
    let acquire = ordering(Breakage::FindRelaxed, Acquire);
    id.compare_exchange(EMPTY, EMPTY, acquire, acquire).unwrap_or_else(|id| id)
}

impl<C: Counter> Array<C> {
    /// `evicts` is whether live keys may be evicted.
    pub(crate) fn new(size: Size, base: Base, evicts: bool) -> Result<Self, OutOfMemory> {
        let [homes, all] = [size.homes, size.slots].map(|slots| slots / GROUP);
        let (groups, tags, ages) = (Zeroed::new(all)?, Tags::new(all)?, Ages::new(all, evicts)?);
        Ok(Array { groups, tags, ages, homes, base, claimed: AtomicUsize::new(0) })
    }

    #[inline(always)]
    pub(crate) fn base(&self) -> Base {
        self.base
    }

    /// The slots that hashes point to.
    pub(crate) fn homes(&self) -> &[Slot<C>] {
        self.groups[..self.homes].as_flattened()
    }

    /// The slots behind the homes: used from the first on, as far as keys spilled over.
    pub(crate) fn spill(&self) -> &[Slot<C>] {
        self.groups[self.homes..].as_flattened()
    }

    /// How many keys there are. It lags behind by those that are just entering.
    pub(crate) fn claimed(&self) -> usize {
        // Relaxed: a bound, not a proof.
        self.claimed.load(Relaxed)
    }

    /// Bytes of the homes. What lies behind them is hardly ever touched.
    pub(crate) fn homes_bytes(&self) -> usize {
        size_of_val(self.homes()) + Tags::bytes(self.homes) + self.ages.bytes(self.homes)
    }

    /// The array is here to stay.
    pub(crate) fn settle(&self) {
        self.groups.settle(self.homes);
        self.tags.settle(self.homes);
    }

    /// How many huge pages the array can lie in.
    pub(crate) fn huge_pages(&self) -> usize {
        self.groups.huge_pages(self.homes) + self.tags.huge_pages(self.homes)
    }

    /// Makes one of them now; false if the system does not.
    pub(crate) fn collapse(&self, page: usize) -> bool {
        let of_slots = self.groups.huge_pages(self.homes);
        match page.checked_sub(of_slots) {
            None => self.groups.collapse(page),
            Some(page) => self.tags.collapse(page),
        }
    }

    /// Gives a piece of the memory back, and returns whether any is left.
    #[cfg(not(all(test, tollgate_model)))]
    pub(crate) fn shed(&mut self) -> bool {
        self.ages.shed(self.homes) || self.tags.shed(self.homes) || self.groups.shed(self.homes)
    }

    #[cfg(all(test, tollgate_model))]
    pub(crate) fn poison(&self) {
        self.groups.poison();
        self.tags.poison();
        self.ages.poison();
    }

    /// Where the tags and the slots begin.
    pub(super) fn addresses(&self) -> (usize, usize) {
        (self.tags.address(), self.groups.as_ptr().addr())
    }

    /// Whether the array is near enough to look at a key's tags first. A guess of its place hides
    /// what memory takes, and costs where it is wrong: a line that another thread writes.
    #[inline(always)]
    pub(super) fn is_near(&self) -> bool {
        self.homes < NEAR_BYTES / size_of::<[Slot<C>; GROUP]>()
    }

    #[inline(always)]
    fn home(&self, key: KeyId) -> usize {
        home(key, self.homes)
    }

    /// Asks for the key's slot ahead of time, if it is as near to its home as most are.
    #[inline(always)]
    pub(crate) fn prefetch(&self, key: KeyId) {
        let home = self.home(key);
        if let (Some(group), Some(slots)) =
            (self.tags.group(home, preferred(key)), self.groups.get(home))
            && let Some(place) = group.told(Tag::of(key)).next()
        {
            prefetch(&slots[place]);
        }
    }

    /// Asks for the tags of the key's home and for the place that it prefers there: all that is needed
    /// of most keys, those included that are not here.
    pub(crate) fn prefetch_preferred(&self, key: KeyId) {
        let home = self.home(key);
        if let Some(slots) = self.groups.get(home) {
            self.tags.prefetch(home);
            prefetch(&slots[preferred(key)]);
        }
    }

    /// Whether there are so few keys that nearly all are at the places that they prefer.
    #[inline(always)]
    fn is_sparse(&self) -> bool {
        // A checker would take each number that this may be for a way of its own.
        cfg!(all(test, tollgate_model)) || self.claimed() < self.homes
    }

    /// Walks from the key's home to its slot or to the end of its chain.
    #[inline(always)]
    pub(crate) fn find(&self, key: KeyId) -> Found<'_, C> {
        self.probe(key, seen)
    }

    /// As [`find`](Self::find), for whoever is about to claim the place where it ends in a new array.
    pub(crate) fn find_to_claim(&self, key: KeyId) -> Found<'_, C> {
        self.probe(key, written)
    }

    /// Looks by `see` at the slots of which no tag tells.
    #[inline(always)]
    fn probe(&self, key: KeyId, see: impl Fn(&AtomicU64) -> u64) -> Found<'_, C> {
        let (mut number, tag, first) = (self.home(key), Tag::of(key), preferred(key));
        let guesses = !self.is_near() || self.is_sparse();
        while let (Some(group), Some(slots)) =
            (self.tags.group(number, first), self.groups.get(number))
        {
            let look = |place| Self::look(slots, number, place, key, seen);
            // Told by a branch, the place is guessed before the tags are there.
            if guesses
                && group.begins_with(tag)
                && let Some(found) = look(first)
            {
                return found;
            }
            if let Some(found) = group.told(tag).find_map(look) {
                return found;
            }
            let look = |place| Self::look(slots, number, place, key, &see);
            if let Some(found) = group.untold().find_map(look) {
                return found;
            }
            number += 1;
        }
        // Not reached: behind every home there are more slots than keys can enter (`Size`, A3).
        debug_assert!(false, "an array without an end");
        Found::Frozen
    }

    /// The slot at a place that was found.
    fn slot(&self, place: usize) -> &Slot<C> {
        &self.groups.as_flattened()[place]
    }

    /// What the key's probe ends with at this place of a group; `None` if it goes on.
    #[inline(always)]
    fn look(
        group: &[Slot<C>; GROUP],
        number: usize,
        place: usize,
        key: KeyId,
        see: impl Fn(&AtomicU64) -> u64,
    ) -> Option<Found<'_, C>> {
        let slot = group.get(place)?;
        match see(&slot.id) {
            id if id == key.number() => Some(Found::Slot(slot)),
            EMPTY => Some(Found::Empty(number * GROUP + place)),
            FROZEN => Some(Found::Frozen),
            _ => None,
        }
    }

    /// The key's slot, claimed now if it was absent; `None` if the array is being left already.
    pub(crate) fn find_or_claim(&self, key: KeyId) -> Option<&Slot<C>> {
        self.claim(key, self.find_to_claim(key))
    }

    /// As [`find_or_claim`](Self::find_or_claim) where a probe has ended already, however long ago.
    pub(crate) fn claim<'a>(&'a self, key: KeyId, mut found: Found<'a, C>) -> Option<&'a Slot<C>> {
        let mut retries = Retries::new();
        loop {
            retries.count();
            let (place, slot) = match found {
                Found::Empty(place) => (place, self.slot(place)),
                Found::Slot(slot) => return Some(slot),
                Found::Frozen => return None,
            };
            // G1. Model: insert at one home with TagFirst.
            if broken(Breakage::TagFirst) {
                self.tags.tell(place, Tag::of(key));
            }
            if broken(Breakage::ClaimStores) {
                slot.id.store(key.number(), Release);
                return Some(slot);
            }
            let early = broken(Breakage::CountedBeforeClaim);
            if early {
                self.claimed.fetch_add(1, Relaxed);
            }
            // Relaxed: a place is claimed once, and what the key uses is told by its counter; the
            // loser walks again and meets the winner's id. Model: insert with ClaimStores.
            if slot.id.compare_exchange(EMPTY, key.number(), Relaxed, Relaxed).is_ok() {
                self.tags.tell(place, Tag::of(key));
                // Relaxed: a counter. Model: insert of one key with CountedBeforeClaim.
                if !early {
                    self.claimed.fetch_add(1, Relaxed);
                }
                return Some(slot);
            }
            found = self.find(key);
        }
    }

    /// Whether live keys may be evicted from this array.
    pub(super) fn evicts(&self) -> bool {
        self.ages.are_kept()
    }

    /// Whether the key of this slot was not inserted anew within the last `arrays` moves; always
    /// where no live key is evicted.
    pub(super) fn has_lasted(&self, slot: &Slot<C>, arrays: u64) -> bool {
        !self.evicts() || self.ages.has_lasted(self.place_of(slot), arrays)
    }

    /// Notes that a key was moved from a slot of `old` to this slot. Called before its counter is
    /// installed.
    pub(super) fn carry_age(&self, slot: &Slot<C>, old: &Self, from: &Slot<C>) {
        if self.evicts() && !broken(Breakage::AgeNotCarried) {
            self.ages.carry_over(self.place_of(slot), &old.ages, old.place_of(from));
        }
    }

    /// The number of a slot.
    pub(super) fn place_of(&self, slot: &Slot<C>) -> usize {
        (std::ptr::from_ref(slot).addr() - self.groups.as_ptr().addr()) / size_of::<Slot<C>>()
    }

    /// Whether the key's home tells of a key where no id is seen.
    #[cfg(all(test, tollgate_model))]
    pub(crate) fn tells_of_nobody(&self, key: KeyId) -> bool {
        let home = self.home(key);
        let group = self.tags.group(home, preferred(key)).expect("a home");
        group.told(Tag::of(key)).any(|place| self.groups[home][place].id().is_none())
    }

    /// Makes sure that an absent key never enters this array; its slot if it is here.
    pub(crate) fn find_or_freeze(&self, key: KeyId) -> Option<&Slot<C>> {
        let mut retries = Retries::new();
        loop {
            retries.count();
            match self.find(key) {
                Found::Slot(slot) => return Some(slot),
                Found::Frozen => return None,
                Found::Empty(place) => {
                    let freeze = || self.slot(place).settled_id().is_none();
                    if broken(Breakage::NoFreezeEmpty) || freeze() {
                        return None;
                    }
                }
            }
        }
    }
}
