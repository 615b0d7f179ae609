//! An epoch whose readers pin with a plain store.
//!
//! # Why a value is not freed too early
//! A value is unlinked, and then stamped with the epoch `e`. Say that a thread pins, and can still
//! reach the value.
//! - It pinned epoch `e` or an earlier one (P3). Retiring writes the epoch with Release, and each later
//!   epoch continues that release sequence. So a thread that pins a later epoch sees the value unlinked.
//! - The epoch does not advance from `e + 1` while this pin lasts (P2). The thread that advances
//!   has read `e + 1`, and so has acquired the unlinking, before its heavy fence. If the light
//!   fence of the reader comes after the heavy fence, the reader finds the value unlinked. If it
//!   comes before, the scan sees the pin.
//!
//! Hence the value is not freed in epoch `e + 1` or earlier (P1).

use super::barrier;
use super::limbo::{Limbo, Node};
use super::record::{OwnRecord, Records, UNPINNED};
use crate::sync::progress::Retries;
use crate::sync::{AtomicU64, Ordering::Relaxed, order};

/// A value on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Padded<T>(T);

/// An epoch, the records of up to `N` threads that pin it, and the values retired in it.
#[derive(Debug)]
pub(crate) struct Domain<const N: usize> {
    epoch: Padded<AtomicU64>,
    records: Records<N>,
    /// The shared record: it counts the pins of threads without a record, by the parity of the
    /// epoch. These are threads that found no free record, and ending threads that have given
    /// theirs back.
    shared: Padded<[AtomicU64; 2]>,
    limbo: Padded<Limbo>,
}

/// The parity of an epoch in the shared record.
pub(crate) type Parity = usize;

fn parity(epoch: u64) -> Parity {
    (epoch % 2) as Parity
}

/// The first epoch.
const FIRST: u64 = UNPINNED + 1;

impl<const N: usize> Domain<N> {
    #[cfg(not(all(test, tollgate_model)))]
    pub(crate) const fn new() -> Self {
        Domain {
            epoch: Padded(AtomicU64::new(FIRST)),
            records: Records::new(),
            shared: Padded([AtomicU64::new(0), AtomicU64::new(0)]),
            limbo: Padded(Limbo::new()),
        }
    }

    #[cfg(all(test, tollgate_model))]
    pub(crate) fn new() -> Self {
        Domain {
            epoch: Padded(AtomicU64::new(FIRST)),
            records: Records::new(),
            shared: Padded(std::array::from_fn(|_| AtomicU64::new(0))),
            limbo: Padded(Limbo::default()),
        }
    }

    /// Makes the calling thread the owner of an unused record. `None` if there is none.
    pub(crate) fn acquire_record(&self) -> Option<OwnRecord<'_>> {
        self.records.own()
    }

    #[inline]
    pub(crate) fn limbo(&self) -> &Limbo {
        &self.limbo.0
    }

    /// Pins the epoch in the calling thread's record.
    #[inline(always)]
    pub(crate) fn pin(&self, record: OwnRecord<'_>) {
        record.pin(&self.epoch.0);
    }

    /// Pins the epoch in the shared record. Pass the result to [`unpin_shared`](Self::unpin_shared).
    pub(crate) fn pin_shared(&self) -> Parity {
        let mut retries = Retries::new();
        loop {
            retries.count();
            // Acquire: as in `OwnRecord::pin`. Model: shared_pin_after_retire with SharedPinEpochRelaxed.
            let epoch = self.epoch.0.load(order::shared_pin_epoch());
            // Relaxed: the light fence orders it. A scan that reads 0 after this pin has ended reads the
            // Release of the unpin.
            self.shared.0[parity(epoch)].fetch_add(1, Relaxed);
            // Model: shared_pin with NoSharedLightFence.
            barrier::light();
            // Relaxed: if the epoch has not advanced, this pin came in time to stop it at the next
            // one. Otherwise the count may stand for a later epoch of the same parity: retry. Model:
            // shared_pin with SharedPinUnchecked.
            if self.epoch.0.load(Relaxed) == epoch {
                return parity(epoch);
            }
            self.unpin_shared(parity(epoch));
        }
    }

    /// Drops a pin in the shared record.
    pub(crate) fn unpin_shared(&self, parity: Parity) {
        // Release: as in `OwnRecord::unpin`. Pairs with `advance`. Model: shared_pin with
        // SharedUnpinRelaxed.
        self.shared.0[parity].fetch_sub(1, order::shared_unpin());
    }

    /// Retires a value: it is freed once all pins that exist now have ended.
    ///
    /// # Safety
    /// The node is part of a value in a box, which was unlinked before: a thread that sees the
    /// unlinking does not reach the value any more. It is retired once, and nobody else frees it.
    pub(crate) unsafe fn retire(&self, node: *mut Node) {
        // An addition of 0, which is an RMW: every later epoch continues its release sequence.
        // Release: publishes the unlinking. Pairs with `pin` and `advance`. Model: pin_after_retire
        // with StampRelaxed.
        let epoch = self.epoch.0.fetch_add(0, order::epoch_stamp());
        // SAFETY: the caller's promise.
        unsafe { self.limbo.0.add(node, epoch) };
    }

    /// Advances the epoch if every pin is of the current one. Then moves the values that are due.
    pub(crate) fn advance(&self) {
        // Acquire: sees what was unlinked before this epoch. Pairs with `retire`. Model:
        // advance_after_retire with EpochLoadRelaxed.
        let epoch = self.epoch.0.load(order::epoch_load());
        // Model: pin_against_free with NoHeavyFence.
        if !barrier::heavy() {
            return;
        }
        // Only pins of `epoch - 1` can block: a pin of an earlier epoch would have kept the epoch from
        // reaching `epoch`.
        // Acquire: as in `Record::allows`. Pairs with `unpin_shared`. Model: shared_pin with
        // SharedScanRelaxed.
        let is_behind = self.shared.0[parity(epoch + 1)].load(order::shared_scan()) > 0;
        if !is_behind && self.records.allow(epoch) {
            // Release: whoever frees in a later epoch does so after the pins that this scan found
            // ended. Pairs with the load below. Model: free_by_another_thread with AdvanceRelaxed.
            let advance = order::epoch_advance();
            let _ = self.epoch.0.compare_exchange(epoch, epoch + 1, advance, Relaxed);
        }
        // Acquire: pairs with the advance of another thread. Model: free_by_another_thread with
        // EpochDueRelaxed.
        self.limbo.0.move_due(self.epoch.0.load(order::epoch_due()));
    }

    /// Forgets the pins of all other threads. `own` is the calling thread's record, and `shared` its
    /// pins in the shared one.
    ///
    /// # Safety
    /// The process has no other thread any more.
    #[cfg(not(all(test, tollgate_model)))]
    pub(super) unsafe fn forget_others(&self, own: Option<OwnRecord<'_>>, shared: [u64; 2]) {
        // SAFETY: the caller's promise.
        unsafe { self.records.forget_others(own) };
        for (count, own) in self.shared.0.iter().zip(shared) {
            // Relaxed: there is one thread.
            count.store(own, Relaxed);
        }
    }
}
