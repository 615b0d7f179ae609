//! The records in which threads announce their pins.
//!
//! One thread at a time owns a record, and frees it when it ends. Only the owner pins it; other
//! threads read whether it is pinned. Records are never deallocated.

use super::barrier;
use crate::sync::{AtomicU64, AtomicUsize, Cell, Ordering::Relaxed, order};
use std::marker::PhantomData;

/// The epoch held by a record that is not pinned. No epoch has this number.
pub(super) const UNPINNED: u64 = 0;

/// States of a record.
const FREE: usize = 0;
const OWNED: usize = 1;
/// Its thread has ended while it was pinned, and will not pin it again. The last guard may still be
/// dropped, by a later destructor of that thread.
const ENDED: usize = 2;

/// A thread's record.
// On lines of its own: the processor loads pairs of lines.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Record {
    /// The epoch that is pinned, or [`UNPINNED`].
    held: AtomicU64,
    /// The number of the owner's guards. Only the owner accesses it.
    guards: Cell<u64>,
    state: AtomicUsize,
}

// SAFETY: `guards` is accessed by the owner, through `OwnRecord`; by a thread that has ended its record,
// until `held` is UNPINNED, which the next owner acquires in `try_own`; and by `reset`, when the process
// has one thread.
unsafe impl Sync for Record {}

impl Record {
    #[cfg(not(all(test, tollgate_model)))]
    const fn new() -> Self {
        let (held, guards) = (AtomicU64::new(UNPINNED), Cell::new(0));
        Record { held, guards, state: AtomicUsize::new(FREE) }
    }

    #[cfg(all(test, tollgate_model))]
    fn new() -> Self {
        let (held, guards) = (AtomicU64::new(UNPINNED), Cell::new(0));
        Record { held, guards, state: AtomicUsize::new(FREE) }
    }

    /// Returns whether the epoch may advance from `epoch`, as far as this record is concerned (P2).
    fn allows(&self, epoch: u64) -> bool {
        // Acquire: pairs with `OwnRecord::pin` and `unpin`. Model: pin_against_free with ScanRelaxed.
        let held = self.held.load(order::pin_scan());
        held == UNPINNED || held == epoch
    }

    /// Makes the calling thread the owner, unless the record is in use. Returns whether it did.
    fn try_own(&self) -> bool {
        // Relaxed: only compared.
        let state = self.state.load(Relaxed);
        if state == OWNED {
            return false;
        }
        // Acquire: pairs with `OwnRecord::end`. Model: record_reuse with RecordOwnRelaxed.
        let own = order::record_own();
        if self.state.compare_exchange(state, OWNED, own, Relaxed).is_err() {
            return false;
        }
        // Loaded after this thread owns the record: before, another thread could own it and end
        // meanwhile. Acquire: the last guard of the ended thread was dropped. Pairs with
        // `OwnRecord::unpin`. Model: record_of_ended_thread with EndedCheckRelaxed.
        if state == ENDED && self.held.load(order::ended_check()) != UNPINNED {
            // Release: the next owner sees that the record is pinned, as this thread has seen.
            // Pairs with the CAS above. Model: `record_of_ended_thread, three` with
            // EndedReturnRelaxed.
            self.state.store(ENDED, order::ended_return());
            return false;
        }
        true
    }

    /// Called while the process has one thread, which does not own this record.
    #[cfg(not(all(test, tollgate_model)))]
    fn reset(&self) {
        self.guards.set(0);
        // Relaxed: there is no other thread.
        self.held.store(UNPINNED, Relaxed);
        self.state.store(FREE, Relaxed);
    }
}

/// The record of the calling thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnRecord<'d> {
    record: &'d Record,
    /// Not `Send`.
    _thread: PhantomData<*const ()>,
}

impl OwnRecord<'_> {
    /// Pins the epoch for one more guard of the owner.
    #[inline(always)]
    pub(crate) fn pin(self, epoch: &AtomicU64) {
        let guards = self.record.guards.get();
        if guards == 0 {
            // Acquire: a thread that pins a later epoch than a value's sees that the value was
            // unlinked (P3). Pairs with `Domain::retire`. Model: pin_after_retire with
            // PinEpochRelaxed.
            let epoch = epoch.load(order::pin_epoch());
            // Release: a scan that sees this pin sees the end of the one before. Pairs with
            // `Record::allows`. Model: pin_again with PinHeldRelaxed.
            self.record.held.store(epoch, order::pin_held());
            // Between the pin and the loads of the reader. Pairs with the heavy fence of
            // `Domain::advance`. Model: pin_against_free with NoLightFence.
            barrier::light();
        }
        self.record.guards.set(guards + 1);
    }

    /// Drops one guard of the owner.
    #[inline(always)]
    pub(crate) fn unpin(self) {
        let guards = self.record.guards.get() - 1;
        self.record.guards.set(guards);
        if guards == 0 {
            // Release: whoever sees the end of this pin frees after its reads. Pairs with
            // `Record::allows`. Model: pin_against_free with UnpinRelaxed.
            self.record.held.store(UNPINNED, order::unpin());
        }
    }

    /// Returns whether there is a guard.
    pub(crate) fn is_pinned(self) -> bool {
        self.record.guards.get() > 0
    }

    /// Gives the record back, when the thread ends. Guards that exist now may still be dropped.
    ///
    /// # Safety
    /// The thread does not pin this record again.
    pub(crate) unsafe fn end(self) {
        let state = if self.is_pinned() { ENDED } else { FREE };
        // Release: the next owner sees all accesses of this one. Pairs with `Record::try_own`. Model:
        // record_reuse with RecordEndRelaxed.
        self.record.state.store(state, order::record_end());
    }
}

/// A fixed number of records.
#[derive(Debug)]
pub(super) struct Records<const N: usize> {
    all: [Record; N],
    /// No record from this index on was ever owned, so a scan skips them.
    used: AtomicUsize,
}

impl<const N: usize> Records<N> {
    #[cfg(not(all(test, tollgate_model)))]
    pub(super) const fn new() -> Self {
        Records { all: [const { Record::new() }; N], used: AtomicUsize::new(0) }
    }

    #[cfg(all(test, tollgate_model))]
    pub(super) fn new() -> Self {
        Records { all: std::array::from_fn(|_| Record::new()), used: AtomicUsize::new(0) }
    }

    /// See [`Domain::acquire_record`](super::domain::Domain::acquire_record).
    pub(super) fn own(&self) -> Option<OwnRecord<'_>> {
        let index = self.all.iter().position(Record::try_own)?;
        // Relaxed: the light fence of the record's first pin comes later. So if a scan misses the
        // record, the heavy fence of the scan precedes that light fence, and the reader sees the
        // value unlinked.
        self.used.fetch_max(index + 1, Relaxed);
        Some(OwnRecord { record: &self.all[index], _thread: PhantomData })
    }

    /// Returns whether the epoch may advance from `epoch`, as far as the records are concerned
    /// (P2).
    pub(super) fn allow(&self, epoch: u64) -> bool {
        // Relaxed: loaded after the heavy fence.
        let used = self.used.load(Relaxed);
        self.all.iter().take(used).all(|record| record.allows(epoch))
    }

    /// Frees all records except `own`.
    ///
    /// # Safety
    /// The process has no other thread than the calling one.
    #[cfg(not(all(test, tollgate_model)))]
    pub(super) unsafe fn forget_others(&self, own: Option<OwnRecord<'_>>) {
        let is_own = |record: &Record| own.is_some_and(|own| std::ptr::eq(own.record, record));
        self.all.iter().filter(|record| !is_own(record)).for_each(Record::reset);
    }
}
