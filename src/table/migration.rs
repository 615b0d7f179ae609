//! The move of all keys into the next array, in chunks that all threads share.
//!
//! # Protocol
//! To move a slot, a thread freezes the slot's counter, claims the key's slot in the new array, and
//! installs the frozen counter there. Any thread can repeat every step. All threads that move a
//! slot see the same frozen counter and use the same cutoff to decide whether to drop the key, and
//! a late copy changes nothing. So a stalled helper blocks nobody: others redo its chunk.
//!
//! # Invariants
//! - M1: a key is charged in at most one slot: in the old array until its counter is frozen, then
//!   in the new one.
//! - M2: when all chunks are done, every slot of the old array that a probe can reach is frozen.
//!   Each key of the old array was moved, or dropped for good.
//!
//! # Progress
//! Wait-free: a call moves a fixed number of chunks, a chunk is a fixed number of slots, and the
//! last chunk also takes the spill slots.

use super::array::Array;
use super::error::OutOfMemory;
use super::prefetch::prefetch;
use super::size::FINE_CHUNK;
use super::slot::{KeyId, Slot};
use super::tags::GROUP;
use crate::counter::Counter;
use crate::sync::alloc::vector;
use crate::sync::{AtomicU64, AtomicUsize, Ordering::*, Statistic, order};
use std::ops::Range;

/// Chunks that are prefetched ahead.
const CHUNKS_AHEAD: usize = 8;

/// The progress of a move: which chunks of the old array are done.
#[derive(Debug)]
pub(crate) struct Migration {
    /// One flag for each chunk.
    done: Box<[AtomicU64]>,
    chunk_count: usize,
    /// Slots in a chunk.
    chunk_len: usize,
    /// The next chunk that no helper has taken.
    cursor: AtomicUsize,
    /// Keys in the chunks that are done.
    moved: AtomicUsize,
    /// The keys of taken chunks have smaller ids than this. A hint.
    taken_below: Statistic,
    /// The number of ids whose home slots are in one chunk.
    ids_per_chunk: u64,
    /// Charges of known keys since the last one that moved a chunk.
    charges: Statistic,
    /// Keys that have used at most this many units are dropped.
    eviction_threshold: u64,
}

/// Counts of the keys in moved chunks.
#[derive(Clone, Copy, Debug, Default)]
struct ChunkStats {
    keys: usize,
    evicted: Evicted,
}

/// Live keys that were dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Evicted {
    pub(crate) keys: u64,
    pub(crate) units: u64,
}

impl Migration {
    /// Creates the migration out of an array with `home_slots` home slots.
    pub(crate) fn new(
        home_slots: usize,
        chunk_len: usize,
        eviction_threshold: u64,
    ) -> Result<Self, OutOfMemory> {
        let chunk_count = home_slots.div_ceil(chunk_len.max(1));
        let words = chunk_count.div_ceil(u64::BITS as usize);
        let mut done = vector(words)?;
        done.resize_with(words, || AtomicU64::new(0));
        let (cursor, moved) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let done = done.into_boxed_slice();
        Ok(Migration {
            done,
            chunk_count,
            chunk_len,
            cursor,
            moved,
            taken_below: Statistic::new(0),
            ids_per_chunk: u64::MAX / chunk_count.max(1) as u64,
            charges: Statistic::new(0),
            eviction_threshold,
        })
    }

    /// Counts the charge of a known key. Returns whether this charge moves a chunk: one of
    /// `charges_per_chunk` charges does.
    pub(crate) fn is_turn(&self, charges_per_chunk: u64) -> bool {
        if charges_per_chunk == 1 {
            return true;
        }
        // Relaxed, and no RMW: two charges may count as one.
        let charges = self.charges.load(Relaxed) + 1;
        let is_turn = charges >= charges_per_chunk;
        self.charges.store(if is_turn { 0 } else { charges }, Relaxed);
        is_turn
    }

    /// Moves this many chunks. Returns whether all chunks are done, and what this call has evicted.
    pub(crate) fn help<C: Counter>(
        &self,
        mover: &KeyMover<'_, C>,
        chunks: usize,
    ) -> (bool, Evicted) {
        // Relaxed: only distributes the work; the flags say what is done.
        let first = self.cursor.fetch_add(chunks, Relaxed);
        let end = first.saturating_add(chunks);
        self.taken_below.store((end as u64).saturating_mul(self.ids_per_chunk), Relaxed);
        let taken = first.min(self.chunk_count)..end.min(self.chunk_count);
        if self.chunk_len <= FINE_CHUNK && !mover.new.stays_cached() {
            self.prefetch_ahead(taken.clone(), mover);
        }
        let is_none = taken.is_empty();
        let mut evicted = self.complete(taken, mover);
        if end < self.chunk_count {
            return (false, evicted);
        }
        // All chunks are taken, but some may not be done: their helpers are still moving them, or
        // have stalled. A call that got no chunk of its own repeats theirs.
        let mut left = if is_none { chunks } else { 0 };
        let mut from = 0;
        while let Some(chunk) = self.first_undone(from) {
            if left == 0 {
                return (false, evicted);
            }
            evicted.add(self.complete(chunk..chunk + 1, mover));
            (from, left) = (chunk, left - 1);
        }
        (true, evicted)
    }

    /// Makes the key chargeable in the new array: moves its chunk, or ensures that the key never enters
    /// the old array. Returns what was evicted.
    pub(crate) fn resolve<C: Counter>(&self, mover: &KeyMover<'_, C>, key: KeyId) -> Evicted {
        let Some(slot) = mover.old.find_or_freeze(key) else { return Evicted::default() };
        // With the whole chunk, since the keys of an unfinished chunk count as still to be moved. A key
        // that was moved alone would count twice. Test: moved_keys_do_not_count_twice with KeyMovedAlone.
        let chunk = (mover.old.index_of(slot) / self.chunk_len).min(self.chunk_count - 1);
        self.complete(chunk..chunk + 1, mover)
    }

    /// Prefetches what later chunks will need, so that their cache misses overlap with the move of
    /// the `taken` chunks.
    fn prefetch_ahead<C: Counter>(&self, taken: Range<usize>, mover: &KeyMover<'_, C>) {
        let ahead = |chunks| {
            let end = self.slots_before(taken.end + chunks, mover);
            &mover.old.home_slots()[self.slots_before(taken.start + chunks, mover)..end]
        };
        ahead(CHUNKS_AHEAD * 2).iter().for_each(prefetch);
        ahead(CHUNKS_AHEAD).iter().for_each(|slot| mover.prefetch(slot));
    }

    /// Moves chunks and marks them as done. Returns what was evicted from them, except from those that
    /// another thread has counted already.
    fn complete<C: Counter>(&self, chunks: Range<usize>, mover: &KeyMover<'_, C>) -> Evicted {
        let bits = u64::BITS as usize;
        let (mut start, mut total) = (chunks.start, ChunkStats::default());
        while start < chunks.end {
            let end = chunks.end.min((start / bits + 1) * bits);
            let stats = self.move_chunks(start..end, mover);
            let mask = u64::MAX >> (bits - (end - start)) << (start % bits);
            // Release: a thread that sees a flag sees the chunk moved. Pairs with `first_undone`.
            // Model: chunks_done with DoneRelaxed.
            let before = self.done[start / bits].fetch_or(mask, order::chunk_done());
            if before & mask == 0 {
                total.add(stats);
            } else {
                // Another thread has counted some of these chunks. The keys of a moved chunk never
                // change, so the other chunks can be moved and counted again, one by one.
                let is_new = |chunk: &usize| before & (1 << (chunk % bits)) == 0;
                (start..end)
                    .filter(is_new)
                    .for_each(|chunk| total.add(self.move_chunks(chunk..chunk + 1, mover)));
            }
            start = end;
        }
        // Relaxed: a bound with slack, not a proof.
        self.moved.fetch_add(total.keys, Relaxed);
        total.evicted
    }

    /// The number of home slots in the chunks before this one.
    fn slots_before<C: Counter>(&self, chunk: usize, mover: &KeyMover<'_, C>) -> usize {
        (chunk * self.chunk_len).min(mover.old.home_slots().len())
    }

    /// The keys of the chunks that helpers have taken have smaller ids than this, and most other keys
    /// have greater ones. A hint.
    #[inline(always)]
    pub(crate) fn taken_below(&self) -> u64 {
        // Relaxed: a hint.
        self.taken_below.load(Relaxed)
    }

    fn move_chunks<C: Counter>(&self, chunks: Range<usize>, mover: &KeyMover<'_, C>) -> ChunkStats {
        let start = self.slots_before(chunks.start, mover);
        let end = self.slots_before(chunks.end, mover);
        let mut stats = ChunkStats::default();
        let mut move_one = |slot: &Slot<C>| {
            let key = slot.freeze_or_id()?;
            let units = mover.move_slot(slot, key);
            stats.keys += 1;
            stats.evicted.keys += u64::from(units > 0);
            stats.evicted.units += units;
            Some(())
        };
        mover.old.home_slots()[start..end].iter().for_each(|slot| _ = move_one(slot));
        if chunks.end == self.chunk_count {
            // The last chunk includes the spilled keys, up to the first group with a slot that is
            // frozen empty: it ends every probe.
            for group in mover.old.spill_slots().chunks(GROUP) {
                if group.iter().filter_map(&mut move_one).count() < group.len() {
                    break;
                }
            }
        }
        stats
    }

    /// Keys that have used at most this many units are dropped.
    pub(crate) fn eviction_threshold(&self) -> u64 {
        self.eviction_threshold
    }

    /// The number of the old array's keys in finished chunks: moved or dropped.
    pub(crate) fn moved(&self) -> usize {
        // Relaxed: as in `complete`.
        self.moved.load(Relaxed)
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.done)
    }

    /// The first chunk from `from` on that is not done.
    fn first_undone(&self, from: usize) -> Option<usize> {
        let bits = u64::BITS as usize;
        self.done.iter().enumerate().skip(from / bits).find_map(|(index, flags)| {
            // Acquire: pairs with `complete`. The end follows from the flags themselves, not
            // from a separate counter. Model: chunks_done with AllDoneRelaxed.
            let chunk = index * bits + flags.load(order::chunk_check()).trailing_ones() as usize;
            (chunk < self.chunk_count.min(index * bits + bits)).then_some(chunk)
        })
    }
}

impl ChunkStats {
    fn add(&mut self, other: Self) {
        self.keys += other.keys;
        self.evicted.add(other.evicted);
    }
}

impl Evicted {
    fn add(&mut self, other: Self) {
        self.keys += other.keys;
        self.units += other.units;
    }
}

/// Moves keys from the old array to the new one, or drops them.
#[derive(Debug)]
pub(crate) struct KeyMover<'a, C: Counter> {
    pub(crate) old: &'a Array<C>,
    pub(crate) new: &'a Array<C>,
    pub(crate) spec: &'a C::Spec,
    /// Keys that have used at most this many units by the new array's cutoff are dropped.
    pub(crate) eviction_threshold: u64,
}

impl<C: Counter> KeyMover<'_, C> {
    /// Prefetches the slot that this slot's key will most likely be moved to.
    fn prefetch(&self, slot: &Slot<C>) {
        if let Some(key) = slot.peek_id() {
            self.new.prefetch_preferred(key);
        }
    }

    /// Moves or drops one key. Returns the units that an eviction forgave, 0 otherwise.
    fn move_slot(&self, slot: &Slot<C>, key: KeyId) -> u64 {
        let frozen = slot.counter.freeze();
        // The new array's cutoff is immutable, so all helpers drop the same keys. Model:
        // same_cutoff with DropByOwnNow.
        let cutoff = self.new.base().cutoff;
        let weight = C::frozen_weight(&frozen, self.spec, self.old.base(), cutoff);
        if weight <= self.eviction_threshold {
            return weight;
        }
        // `None`: the new array is itself being replaced, so the move into it is already complete.
        if let Some(new) = self.new.find_or_claim(key) {
            // E1. Model: refund_after_move with AgeLate.
            self.new.carry_age(new, self.old, slot);
            new.counter.install(self.spec, &frozen, self.old.base(), self.new.base());
        }
        0
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::super::array::Found;
    use super::super::size::Size;
    use super::*;
    use crate::counter::ChargeArgs;
    use crate::counter::calendar::{Budget, Quota};
    use proptest::prelude::*;

    const READ: ChargeArgs = ChargeArgs { now: 1, cost: 0, limit: u64::MAX };

    proptest! {
        /// A migration moves every key. The keys crowd a few home groups, so that they fill groups
        /// and spill over the end, each from its own preferred slot.
        #[test]
        fn every_key_is_moved(
            crowd in prop::collection::hash_set((0u64..4, 0u64..8, 2u64..5, 0u64..6), 1..60),
            chunk_len in 1usize..20,
            chunks in 1usize..5,
        ) {
            let key = |&(home, preferred, tag, other): &(u64, u64, u64, u64)| {
                KeyId::new(home << 62 | other << 16 | preferred << 8 | tag)
            };
            let home_slots = 3 * GROUP;
            let size = Size { home_slots, slots: home_slots + 64, capacity: 60, chunk_len };
            let base = Quota::base(&Budget::DAYS, 1);
            let array = || Array::<Quota>::new(size, base, false).unwrap();
            let (old, new) = (array(), array());
            let mut keys: Vec<_> = crowd.iter().map(key).collect();
            let absent = keys.pop().expect("at least one");
            for (cost, key) in (1..).zip(&keys) {
                let slot = old.find_or_claim(*key).expect("the array is not being replaced");
                let args = ChargeArgs { cost, ..READ };
                prop_assert!(slot.counter.charge(&Budget::DAYS, base, &args).is_ok());
                let found = old.find(*key);
                prop_assert!(matches!(found, Found::Slot(found) if std::ptr::eq(found, slot)));
            }
            prop_assert!(matches!(old.find(absent), Found::Empty(_)));

            let migration = Migration::new(size.home_slots, chunk_len, 0).unwrap();
            let mover = KeyMover { old: &old, new: &new, spec: &Budget::DAYS, eviction_threshold: 0 };
            while !migration.help(&mover, chunks).0 {}
            prop_assert_eq!(migration.moved(), keys.len());
            for (cost, key) in (1..).zip(&keys) {
                let Found::Slot(slot) = new.find(*key) else {
                    return Err(TestCaseError::fail("a key was left behind"));
                };
                prop_assert_eq!(slot.counter.peek(&Budget::DAYS, base, &READ).unwrap().used, cost);
            }
            prop_assert!(matches!(old.find(absent), Found::Frozen));
        }
    }

    /// A key is counted once, also by a thread that moves several chunks of which another thread has
    /// moved some.
    #[test]
    fn each_key_is_counted_once() {
        let size = Size { home_slots: 64, slots: 128, capacity: 60, chunk_len: 4 };
        let base = Quota::base(&Budget::DAYS, 1);
        let array = || Array::<Quota>::new(size, base, false).unwrap();
        let (old, new) = (array(), array());
        for number in 0..40_u64 {
            let key = KeyId::new(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let slot = old.find_or_claim(key).expect("the array is not being replaced");
            let args = ChargeArgs { cost: 1, ..READ };
            assert!(slot.counter.charge(&Budget::DAYS, base, &args).is_ok());
        }
        let migration = Migration::new(size.home_slots, size.chunk_len, 0).unwrap();
        let mover = KeyMover { old: &old, new: &new, spec: &Budget::DAYS, eviction_threshold: 0 };
        migration.complete(3..5, &mover);
        migration.complete(0..16, &mover);
        assert_eq!(migration.moved(), 40);
        assert_eq!(migration.help(&mover, 16), (true, Evicted::default()));
        assert_eq!(migration.moved(), 40);
    }
}
