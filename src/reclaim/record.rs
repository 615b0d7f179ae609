//! The records in which threads announce their pins.
//!
//! One thread at a time owns a record, and frees it when it ends. Only the owner pins it; other
//! threads read whether it is pinned. Records are never deallocated.

use super::barrier;
use crate::sync::{AtomicU64, AtomicUsize, Ordering::Relaxed, order};

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
#[cfg_attr(all(test, tollgate_model), derive(Default))]
#[repr(align(128))]
pub(crate) struct Record {
    /// The epoch that is pinned, or [`UNPINNED`].
    held: AtomicU64,
    /// The number of the owner's guards. Only the owner accesses it.
    guards: AtomicU64,
    state: AtomicUsize,
}

impl Record {
    #[cfg(not(all(test, tollgate_model)))]
    const fn new() -> Self {
        let (held, guards) = (AtomicU64::new(UNPINNED), AtomicU64::new(0));
        Record { held, guards, state: AtomicUsize::new(FREE) }
    }

    /// Pins the epoch for one more guard of the owner.
    #[inline(always)]
    pub(crate) fn pin(&self, epoch: &AtomicU64) {
        // Relaxed: only this thread writes it.
        let guards = self.guards.load(Relaxed);
        if guards == 0 {
            // Acquire: a thread that pins a later epoch than a value's sees that the value was
            // unlinked (P3). Pairs with `Domain::retire`. Model: pin_after_retire with
            // PinEpochRelaxed.
            let epoch = epoch.load(order::pin_epoch());
            // Release: a scan that sees this pin sees the end of the one before. Pairs with
            // `allows`. Model: pin_again with PinHeldRelaxed.
            self.held.store(epoch, order::pin_held());
            // Between the pin and the loads of the reader. Pairs with the heavy fence of
            // `Domain::advance`. Model: pin_against_free with NoLightFence.
            barrier::light();
        }
        // Relaxed: as above.
        self.guards.store(guards + 1, Relaxed);
    }

    /// Drops one guard of the owner.
    #[inline(always)]
    pub(crate) fn unpin(&self) {
        // Relaxed: only this thread writes it.
        let guards = self.guards.load(Relaxed) - 1;
        self.guards.store(guards, Relaxed);
        if guards == 0 {
            // Release: whoever sees the end of this pin frees after its reads. Pairs with `allows`.
            // Model: pin_against_free with UnpinRelaxed.
            self.held.store(UNPINNED, order::unpin());
        }
    }

    /// Returns whether the epoch may advance from `epoch`, as far as this record goes (P2).
    fn allows(&self, epoch: u64) -> bool {
        // Acquire: pairs with `pin` and `unpin`. Model: pin_against_free with ScanRelaxed.
        let held = self.held.load(order::pin_scan());
        held == UNPINNED || held == epoch
    }

    /// Returns whether the owner has a guard.
    pub(crate) fn is_pinned(&self) -> bool {
        // Relaxed: only this thread writes it.
        self.guards.load(Relaxed) > 0
    }

    /// Gives the record back when its owner ends. The owner does not pin it again.
    pub(crate) fn end(&self) {
        let state = if self.is_pinned() { ENDED } else { FREE };
        // Release: the next owner sees all accesses of this one. Pairs with `try_own`. Model:
        // record_reuse with RecordEndRelaxed.
        self.state.store(state, order::record_end());
    }

    /// Makes the calling thread the owner, unless another thread is.
    fn try_own(&self) -> bool {
        // Acquire: pairs with `end`. Model: record_reuse with RecordOwnRelaxed.
        let acquire = order::record_own();
        let state = self.state.load(acquire);
        // Acquire: an ended thread's last guard was dropped. Pairs with `unpin`. Model:
        // record_of_ended_thread with ScanRelaxed.
        let is_unused =
            state == FREE || (state == ENDED && self.held.load(order::pin_scan()) == UNPINNED);
        is_unused && self.state.compare_exchange(state, OWNED, acquire, Relaxed).is_ok()
    }

    #[cfg(not(all(test, tollgate_model)))]
    fn reset(&self) {
        // Relaxed: called while the process has one thread.
        self.held.store(UNPINNED, Relaxed);
        self.guards.store(0, Relaxed);
        self.state.store(FREE, Relaxed);
    }
}

/// A fixed number of records.
#[derive(Debug)]
pub(super) struct Records<const N: usize> {
    all: [Record; N],
    /// The number of records from the first on that were ever owned. A scan skips the others.
    used: AtomicUsize,
}

impl<const N: usize> Records<N> {
    #[cfg(not(all(test, tollgate_model)))]
    pub(super) const fn new() -> Self {
        Records { all: [const { Record::new() }; N], used: AtomicUsize::new(0) }
    }

    #[cfg(all(test, tollgate_model))]
    pub(super) fn new() -> Self {
        Records { all: std::array::from_fn(|_| Record::default()), used: AtomicUsize::new(0) }
    }

    /// See [`Domain::own_record`](super::domain::Domain::own_record).
    pub(super) fn own(&self) -> Option<&Record> {
        let index = self.all.iter().position(Record::try_own)?;
        // Relaxed: the light fence of the first pin comes after it, so a scan that misses the record
        // is one that may miss its pins.
        self.used.fetch_max(index + 1, Relaxed);
        Some(&self.all[index])
    }

    /// Returns whether the epoch may advance from `epoch`, as far as the records go (P2).
    pub(super) fn allow(&self, epoch: u64) -> bool {
        // Relaxed: loaded after the heavy fence.
        let used = self.used.load(Relaxed);
        self.all.iter().take(used).all(|record| record.allows(epoch))
    }

    /// Frees all records except `own`, in a process that has no other thread.
    #[cfg(not(all(test, tollgate_model)))]
    pub(super) fn forget_others(&self, own: Option<&Record>) {
        let is_own = |record: &Record| own.is_some_and(|own| std::ptr::eq(own, record));
        self.all.iter().filter(|record| !is_own(record)).for_each(Record::reset);
    }
}
