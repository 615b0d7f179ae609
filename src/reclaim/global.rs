//! The epoch of the process, and the guards that pin it.

use super::domain::{Domain, Parity};
use super::limbo::Retire;
use super::record::OwnRecord;
use super::{crossbeam, thread};

/// The number of threads that can own a record at a time. The others use the shared record.
// A fixed number: an allocation of more records could fail, or abort the process.
const RECORDS: usize = if cfg!(all(test, tollgate_shuttle)) { 2 } else { 256 };

#[cfg(not(all(test, tollgate_shuttle)))]
pub(super) static DOMAIN: Domain<RECORDS> = Domain::new();

// Each execution of a schedule has its own.
#[cfg(all(test, tollgate_shuttle))]
shuttle::lazy_static! {
    pub(super) static ref DOMAIN: Domain<RECORDS> = Domain::new();
}

/// The implementation that this process uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Domain,
    Crossbeam,
}

/// Chooses the method, unless that was done. Called before the first pin, when a table is built.
#[inline]
pub(crate) fn start() {
    method();
}

#[cfg(not(all(test, tollgate_shuttle)))]
mod choice {
    use super::super::barrier;
    use super::{Method, thread};
    use crate::sync::{AtomicUsize, Ordering::Relaxed};

    /// The chosen method: 0 before the choice, else one more than its number.
    static METHOD: AtomicUsize = AtomicUsize::new(0);

    /// The method of this process.
    #[inline]
    pub(crate) fn method() -> Method {
        // Relaxed: nothing is published with it. The registration is a state of the process.
        match METHOD.load(Relaxed) {
            0 => choose(),
            chosen => from_number(chosen),
        }
    }

    fn from_number(chosen: usize) -> Method {
        if chosen == Method::Domain as usize + 1 { Method::Domain } else { Method::Crossbeam }
    }

    #[cold]
    fn choose() -> Method {
        let has_barrier = barrier::IS_SUPPORTED && barrier::register();
        let method = if has_barrier { Method::Domain } else { Method::Crossbeam };
        // Relaxed: as in `method`. CAS: all threads use the first choice.
        match METHOD.compare_exchange(0, method as usize + 1, Relaxed, Relaxed) {
            Ok(_) => {
                if method == Method::Domain {
                    thread::watch_forks();
                }
                method
            }
            Err(chosen) => from_number(chosen),
        }
    }
}

#[cfg(not(all(test, tollgate_shuttle)))]
pub(super) use choice::method;

/// The method of schedules.
#[cfg(all(test, tollgate_shuttle))]
pub(super) fn method() -> Method {
    Method::Domain
}

/// A pin. While it is held, no value that was reachable when it was created is freed.
///
/// It cannot move to another thread.
#[derive(Debug)]
pub(crate) struct Guard(pub(super) Pin);

#[derive(Debug)]
pub(super) enum Pin {
    /// In the record of this thread.
    Record(OwnRecord<'static>),
    /// In the shared record.
    Shared(Parity),
    Crossbeam(crossbeam::Guard),
}

impl Drop for Guard {
    #[inline(always)]
    fn drop(&mut self) {
        if cfg!(all(test, tollgate_shuttle)) && std::thread::panicking() {
            // A schedule has failed. An access to its atomics would abort the process.
            return;
        }
        match self.0 {
            Pin::Record(record) => record.unpin(),
            Pin::Shared(parity) => unpin_shared(parity),
            Pin::Crossbeam(_) => {}
        }
    }
}

#[cold]
fn unpin_shared(parity: Parity) {
    thread::count_shared(parity, -1);
    DOMAIN.unpin_shared(parity);
}

impl Guard {
    /// Frees `value` piece by piece, once all guards that exist now are dropped.
    ///
    /// # Safety
    /// `value` came from `Box::into_raw`, is no longer reachable for a thread that pins from now
    /// on, and is retired once.
    pub(crate) unsafe fn retire<T: Retire>(&self, value: *mut T) {
        #[cfg(all(test, tollgate_shuttle))]
        if !super::retired::note_retired(value) {
            return;
        }
        let node = T::node(value);
        match &self.0 {
            // SAFETY: the caller's promise.
            Pin::Crossbeam(guard) => unsafe { crossbeam::retire(guard, node, DOMAIN.limbo()) },
            Pin::Record(_) | Pin::Shared(_) => {
                // SAFETY: the caller's promise.
                unsafe { DOMAIN.retire(node) };
                // The first of the two advances that the value waits for. A call that makes the next
                // array can only make one advance, because it is pinned itself.
                DOMAIN.advance();
            }
        }
    }
}

/// A thread tries to advance the epoch in one of this many calls of [`collect_some`]: a heavy fence
/// takes some microseconds, and interrupts every running thread of the process.
const ADVANCE_INTERVAL: u8 = if cfg!(all(test, tollgate_shuttle)) { 1 } else { 16 };

/// Frees a piece of retired memory that no guard holds any more. For calls about new keys.
#[inline]
pub(crate) fn collect_some() {
    if method() == Method::Crossbeam {
        crossbeam::advance();
    } else if !DOMAIN.limbo().retired.is_empty()
        && thread::count_turn().is_multiple_of(ADVANCE_INTERVAL)
    {
        DOMAIN.advance();
    }
    DOMAIN.limbo().free_piece();
}

/// The most attempts of one [`collect`] to advance the epoch. After two advances, all that was
/// retired before them is due. While a guard lasts, the epoch advances at most once.
const MAX_ADVANCES: usize = 4;

/// Frees up to `rounds` pieces of retired memory that no guard holds any more. Returns the number
/// of rounds that it made. It stops when nothing is left that can be freed.
pub(crate) fn collect(rounds: usize) -> usize {
    let (limbo, mut advances) = (DOMAIN.limbo(), 0);
    for round in 0..rounds {
        if method() == Method::Crossbeam {
            crossbeam::advance();
        } else if !limbo.retired.is_empty() && advances < MAX_ADVANCES {
            DOMAIN.advance();
            advances += 1;
        } else if limbo.due.is_empty() {
            return round;
        }
        limbo.free_piece();
    }
    rounds
}
