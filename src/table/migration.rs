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
//! - M2: when all chunks are done, every slot of the old array is frozen or was dropped for good.

use super::array::{Array, Found};
use super::slot::{KeyId, Slot};
use super::slots::OutOfMemory;
use crate::breakage::{Breakage, broken};
use crate::counter::Counter;
use crate::sync::{AtomicBool, AtomicUsize, Ordering::*};

/// Slots that one helper moves at a time.
pub(crate) const CHUNK: usize = if cfg!(all(test, tollgate_model)) { 1 } else { 16 };

/// The new array has no place for a key of the old one. The old slot stays frozen and the key is
/// refused, never charged twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crowded;

/// Which chunks of the old array are done.
#[derive(Debug)]
pub(crate) struct Migration {
    done: Box<[AtomicBool]>,
    /// The next chunk that nobody has taken yet.
    cursor: AtomicUsize,
    /// Keys in the chunks that are done.
    settled: AtomicUsize,
}

impl Migration {
    pub(crate) fn new(slots: usize) -> Result<Self, OutOfMemory> {
        let chunks = slots.div_ceil(CHUNK);
        let mut done = Vec::new();
        done.try_reserve_exact(chunks).map_err(|_| OutOfMemory)?;
        done.resize_with(chunks, || AtomicBool::new(false));
        let (cursor, settled) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Ok(Migration { done: done.into_boxed_slice(), cursor, settled })
    }

    /// Moves one chunk. True when all are done.
    pub(crate) fn help<C: Counter>(&self, step: &Step<'_, C>) -> Result<bool, Crowded> {
        // Relaxed: only shares the work out; what is done is told by the flags.
        let taken = self.cursor.fetch_add(1, Relaxed);
        let chunk = match taken < self.done.len() {
            true => taken,
            false => match self.first_undone() {
                // Its helper has stalled, or is not quite through.
                Some(chunk) => chunk,
                None => return Ok(true),
            },
        };
        let start = chunk * CHUNK;
        let end = step.old.slots().len().min(start + CHUNK);
        let mut keys = 0;
        for slot in &step.old.slots()[start..end] {
            if let Some(key) = slot.settled_id() {
                step.move_slot(slot, key)?;
                keys += 1;
            }
        }
        // Release: whoever sees the flag sees the chunk moved. Pairs with `first_undone`.
        if !self.done[chunk].swap(true, Release) {
            // Relaxed: a bound with slack, not a proof.
            self.settled.fetch_add(keys, Relaxed);
        }
        Ok(taken + 1 >= self.done.len()
            && (broken(Breakage::TakenIsDone) || self.first_undone().is_none()))
    }

    /// How many of the old array's keys have been moved or dropped, as far as chunks are done.
    pub(crate) fn settled(&self) -> usize {
        // Relaxed: as above.
        self.settled.load(Relaxed)
    }

    fn first_undone(&self) -> Option<usize> {
        // Acquire: pairs with the store in `help`. The end follows from the flags themselves, not
        // from a counter beside them.
        self.done.iter().position(|done| !done.load(Acquire))
    }
}

/// Two arrays and the time of the thread that helps.
#[derive(Debug)]
pub(crate) struct Step<'a, C: Counter> {
    pub(crate) old: &'a Array<C>,
    pub(crate) new: &'a Array<C>,
    pub(crate) spec: &'a C::Spec,
    pub(crate) now: u64,
}

impl<C: Counter> Step<'_, C> {
    /// After this the key can be charged in the new array: it was moved, or it was dropped, or it
    /// can never again enter the old one.
    pub(crate) fn resolve(&self, key: KeyId) -> Result<(), Crowded> {
        match self.old.find_or_freeze(key) {
            Some(slot) => self.move_slot(slot, key),
            None => Ok(()),
        }
    }

    fn move_slot(&self, slot: &Slot<C>, key: KeyId) -> Result<(), Crowded> {
        let frozen = slot.counter.freeze();
        // One immutable cutoff, so that all helpers drop the same keys. Model:
        // same_cutoff with DropByOwnNow.
        let own = broken(Breakage::DropByOwnNow);
        let cutoff = if own { self.now } else { self.new.base().cutoff };
        if !C::survives(&frozen, self.spec, self.old.base(), cutoff) {
            return Ok(());
        }
        match self.new.find_or_claim(key) {
            Found::Slot(slot) => {
                slot.counter.install(self.spec, &frozen, self.old.base(), self.new.base());
                Ok(())
            }
            // Whoever froze the new array had finished this move.
            Found::Frozen => Ok(()),
            Found::Empty(_) | Found::Nowhere => Err(Crowded),
        }
    }
}
