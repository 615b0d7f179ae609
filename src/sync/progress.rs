//! A check of lock-freedom for model tests. A lock-free loop retries only because another thread
//! made progress. In a model the other threads do little, so every such loop must end soon.
//!
//! Every loop whose end depends on other threads counts its turns:
//! - a CAS or a validation that is tried again: charges, peeks, give-backs and updates of a
//!   counter, the claim of a slot and the freeze of an empty one, the allocation of a shard index,
//!   a pin in the shared record, a push to a list of retired values;
//! - a lookup that is repeated because the key was moved: `Table::charge` and `Table::visit`;
//! - chunks that are moved until a move has ended: `has_room`, `complete_migration` and `maintain`
//!   in `table/resize.rs`.
//!
//! All other loops end by themselves: they walk over the words of a ring, the slots of an array, the
//! chunks or records in a fixed list, or a chain that the thread owns, or they count down.

/// A count of the retries of one loop. It is empty outside of models.
#[derive(Debug)]
pub(crate) struct Retries(#[cfg(all(test, tollgate_model))] usize);

impl Retries {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Retries(
            #[cfg(all(test, tollgate_model))]
            0,
        )
    }

    #[inline(always)]
    pub(crate) fn count(&mut self) {
        #[cfg(all(test, tollgate_model))]
        model::count(&mut self.0);
    }
}

#[cfg(all(test, tollgate_model))]
pub(crate) use model::assert_progress;

#[cfg(all(test, tollgate_model))]
mod model {
    #[cfg(not(tollgate_shuttle))]
    use loom::thread::yield_now;
    #[cfg(tollgate_shuttle)]
    use shuttle::thread::yield_now;
    use std::cell::Cell;

    /// A bound on the retries that the other threads of a model can cause.
    const MAX_RETRIES: usize = 32;

    // All threads of a model run on one OS thread.
    thread_local!(static EXCEEDED: Cell<bool> = const { Cell::new(false) });

    pub(super) fn count(retries: &mut usize) {
        *retries += 1;
        if *retries > MAX_RETRIES {
            // Reported at the end: a panic here would unwind through the checker's threads. After a
            // yield, loads see the newest values, so the loop ends.
            EXCEEDED.set(true);
            yield_now();
        }
    }

    /// Panics if a loop of this execution exceeded its retries.
    pub(crate) fn assert_progress() {
        assert!(!EXCEEDED.replace(false), "retry loop without progress by any other thread");
    }
}
