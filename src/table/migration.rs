//! Leaving an array for the next one, a chunk at a time, by everyone who comes along.
//!
//! # Protocol
//! A slot is moved by freezing its counter, claiming its id in the new array, and installing there
//! what was frozen. Every step can be repeated by anyone: all who move a slot see the same frozen
//! counter and decide by the same cutoff whether it is still needed, and a late copy changes
//! nothing. So a helper that stalls holds nobody up: others do its chunk again.
//!
//! # Invariants
//! - M1: a key is charged in at most one place: in the old array until its slot is frozen, then in
//!   the new one.
//! - M2: when all chunks are done, every slot of the old array that a probe can reach is frozen or was
//!   dropped for good.
//!
//! # Progress
//! Wait-free: a chunk is a fixed number of slots.

use super::array::Array;
use super::error::OutOfMemory;
use super::size::FINE_CHUNK;
use super::slot::{KeyId, Slot};
use super::tags::GROUP;
use crate::counter::Counter;
use crate::sync::alloc::vector;
use crate::sync::{AtomicU64, AtomicUsize, Ordering::*};
use crate::verify::mutants::{Breakage, broken, ordering};

/// What is moved, and which chunks of it are done.
#[derive(Debug)]
pub(crate) struct Migration {
    /// A bit for each chunk.
    done: Box<[AtomicU64]>,
    chunks: usize,
    /// Slots in a chunk.
    chunk: usize,
    /// The next chunk that nobody has taken yet.
    cursor: AtomicUsize,
    /// Keys in the chunks that are done.
    moved: AtomicUsize,
    /// Keys that have used no more than this are dropped.
    forgive: u64,
}

/// What happened to one chunk.
#[derive(Clone, Copy, Debug, Default)]
struct ChunkStats {
    keys: usize,
    evicted: Evicted,
}

/// What was dropped though it was live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Evicted {
    pub(crate) keys: u64,
    pub(crate) units: u64,
}

impl Migration {
    /// Out of an array with so many homes, `chunk` at a time. Keys that have used no more than
    /// `forgive` units are dropped.
    pub(crate) fn new(homes: usize, chunk: usize, forgive: u64) -> Result<Self, OutOfMemory> {
        let chunks = homes.div_ceil(chunk.max(1));
        let flags = chunks.div_ceil(u64::BITS as usize);
        let mut done = vector(flags)?;
        done.resize_with(flags, || AtomicU64::new(0));
        let (cursor, moved) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Ok(Migration { done: done.into_boxed_slice(), chunks, chunk, cursor, moved, forgive })
    }

    /// Moves one chunk, and tells what it dropped. True when all are done.
    pub(crate) fn help<C: Counter>(&self, step: &Step<'_, C>) -> (bool, Evicted) {
        // Relaxed: only shares the work out; what is done is stats by the flags.
        let taken = self.cursor.fetch_add(1, Relaxed);
        let chunk = match taken < self.chunks {
            true => taken,
            false => match self.first_undone() {
                // Its helper has stalled, or is not quite through.
                Some(chunk) => chunk,
                None => return (true, Evicted::default()),
            },
        };
        let stats = self.move_chunk(chunk, step);
        let (flags, flag) = self.flag(chunk);
        // Release: whoever sees the flag sees the chunk moved. Pairs with `first_undone`. Model:
        // told_done with DoneRelaxed.
        let first = flags.fetch_or(flag, ordering(Breakage::DoneRelaxed, Release)) & flag == 0;
        let stats = if first || broken(Breakage::ChunkCountedTwice) {
            stats
        } else {
            ChunkStats::default()
        };
        // Relaxed: a bound with slack, not a proof.
        self.moved.fetch_add(stats.keys, Relaxed);
        let last = taken + 1 >= self.chunks;
        let done = last && (broken(Breakage::TakenIsDone) || self.first_undone().is_none());
        (done, stats.evicted)
    }

    fn move_chunk<C: Counter>(&self, chunk: usize, step: &Step<'_, C>) -> ChunkStats {
        let start = chunk * self.chunk;
        let homes = step.old.homes();
        let end = homes.len().min(start + self.chunk);
        let mut stats = ChunkStats::default();
        let mut move_one = |slot: &Slot<C>| {
            let key = slot.freeze_or_id()?;
            let units = step.move_slot(slot, key);
            stats.keys += 1;
            stats.evicted.keys += u64::from(units > 0);
            stats.evicted.units += units;
            Some(())
        };
        let slots = &homes[start..end];
        if self.chunk <= FINE_CHUNK {
            slots.iter().for_each(|slot| step.prefetch(slot));
        }
        slots.iter().for_each(|slot| _ = move_one(slot));
        if chunk + 1 == self.chunks {
            // What has spilled over goes with the last chunk: up to the first group with a slot that
            // is frozen empty, which ends every probe.
            for group in step.old.spill().chunks(GROUP) {
                if group.iter().filter_map(&mut move_one).count() < group.len() {
                    break;
                }
            }
        }
        stats
    }

    fn flag(&self, chunk: usize) -> (&AtomicU64, u64) {
        let bits = u64::BITS as usize;
        (&self.done[chunk / bits], 1 << (chunk % bits))
    }

    /// Keys that have used no more than this are dropped.
    pub(crate) fn forgive(&self) -> u64 {
        self.forgive
    }

    /// How many of the old array's keys have been moved or dropped, as far as chunks are done.
    pub(crate) fn moved(&self) -> usize {
        // Relaxed: as in `help`.
        self.moved.load(Relaxed)
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.done)
    }

    fn first_undone(&self) -> Option<usize> {
        let bits = u64::BITS as usize;
        self.done.iter().enumerate().find_map(|(place, flags)| {
            // Acquire: pairs with `help`. The end follows from the flags themselves, not from a
            // counter beside them. Model: told_done with AllDoneRelaxed.
            let chunk = place * bits
                + flags.load(ordering(Breakage::AllDoneRelaxed, Acquire)).trailing_ones() as usize;
            (chunk < self.chunks.min(place * bits + bits)).then_some(chunk)
        })
    }
}

/// Two arrays and what of the old one is needed in the new one.
#[derive(Debug)]
pub(crate) struct Step<'a, C: Counter> {
    pub(crate) old: &'a Array<C>,
    pub(crate) new: &'a Array<C>,
    pub(crate) spec: &'a C::Spec,
    /// Keys that have used no more than this by the new array's cutoff are dropped.
    pub(crate) forgive: u64,
    /// The time of the thread that helps.
    pub(crate) now: u64,
}

impl<C: Counter> Step<'_, C> {
    /// After this the key can be charged in the new array: it was moved, or it was dropped, or it
    /// can never again enter the old one.
    pub(crate) fn resolve(&self, key: KeyId) {
        if let Some(slot) = self.old.find_or_freeze(key) {
            self.move_slot(slot, key);
        }
    }

    /// Asks for the place that a slot's key will most likely be moved to, and on the way for the slot:
    /// those of a chunk are waited for together.
    fn prefetch(&self, slot: &Slot<C>) {
        if let Some(key) = slot.peek_id() {
            self.new.prefetch_preferred(key);
        }
    }

    /// Moves or drops one key; returns what was forgiven to it.
    fn move_slot(&self, slot: &Slot<C>, key: KeyId) -> u64 {
        let frozen = slot.counter.freeze();
        // One immutable cutoff, so that all helpers drop the same keys. Model:
        // same_cutoff with DropByOwnNow.
        let own = broken(Breakage::DropByOwnNow);
        let cutoff = if own { self.now } else { self.new.base().cutoff };
        let weight = C::frozen_weight(&frozen, self.spec, self.old.base(), cutoff);
        if weight <= self.forgive {
            return weight;
        }
        // If the new array is being left already, whoever froze it had finished this move.
        if let Some(new) = self.new.find_or_claim(key) {
            // E1. Model: refund_after_move with AgeLate.
            let late = broken(Breakage::AgeLate);
            if !late {
                self.new.carry_age(new, self.old, slot);
            }
            new.counter.install(self.spec, &frozen, self.old.base(), self.new.base());
            if late {
                self.new.carry_age(new, self.old, slot);
            }
        }
        0
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::super::array::Found;
    use super::super::size::Size;
    use super::*;
    use crate::counter::Request;
    use crate::counter::calendar::{Periods, Quota};
    use proptest::prelude::*;

    const ASK: Request = Request { now: 1, cost: 0, limit: u64::MAX };

    proptest! {
        /// Keys that crowd at few homes, so that they fill groups and spill over the end, each from
        /// the place that it prefers.
        #[test]
        fn whatever_is_found_is_moved(
            crowd in prop::collection::hash_set((0u64..4, 0u64..8, 2u64..5, 0u64..6), 1..60),
            chunk in 1usize..20,
        ) {
            let key = |&(home, preferred, tag, other): &(u64, u64, u64, u64)| {
                KeyId::new(home << 62 | other << 16 | preferred << 8 | tag)
            };
            let size = Size { homes: 3 * GROUP, slots: 3 * GROUP + 64, room: 60, chunk };
            let base = Quota::base(&Periods, 1);
            let array = || Array::<Quota>::new(size, base, false).unwrap();
            let (old, new) = (array(), array());
            let mut keys: Vec<_> = crowd.iter().map(key).collect();
            let absent = keys.pop().expect("at least one");
            for (cost, key) in (1..).zip(&keys) {
                let slot = old.find_or_claim(*key).expect("nobody leaves this array");
                let request = Request { cost, ..ASK };
                prop_assert!(slot.counter.charge(&Periods, base, &request).is_ok());
                prop_assert!(matches!(old.find(*key), Found::Slot(found) if std::ptr::eq(found, slot)));
            }
            prop_assert!(matches!(old.find(absent), Found::Empty(_)));

            let migration = Migration::new(size.homes, chunk, 0).unwrap();
            let step = Step { old: &old, new: &new, spec: &Periods, forgive: 0, now: 1 };
            while !migration.help(&step).0 {}
            prop_assert_eq!(migration.moved(), keys.len());
            for (cost, key) in (1..).zip(&keys) {
                let Found::Slot(slot) = new.find(*key) else {
                    return Err(TestCaseError::fail("a key was left behind"));
                };
                prop_assert_eq!(slot.counter.peek(&Periods, base, &ASK).unwrap().used, cost);
            }
            prop_assert!(matches!(old.find(absent), Found::Frozen));
        }
    }
}
