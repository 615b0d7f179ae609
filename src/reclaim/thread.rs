//! The record of the calling thread.
//!
//! A thread takes a record at its first pin, and gives it back when it ends. From then on its later
//! destructors pin in the shared record. A guard that one of them still holds keeps the record from
//! being reused until it is dropped.
//!
//! # Fork
//! A child has one thread. [`watch_forks`] makes it forget the pins of the others, so that they do
//! not stop its epoch for ever. Values that another thread was freeing at the fork are not freed in
//! the child. A child that is created without the handlers of `pthread_atfork` keeps the pins: it
//! then frees no retired memory.

use super::global::{DOMAIN, Guard, Method, Pin, method};
use super::record::OwnRecord;
use super::{barrier, crossbeam};
#[cfg(all(test, tollgate_shuttle))]
use crate::sync::local::thread_local;
use std::cell::Cell;

thread_local! {
    /// The record that this thread pins. `None` before the first pin, if the thread uses the shared
    /// record, and always with `crossbeam-epoch`.
    static RECORD: Cell<Option<OwnRecord<'static>>> = const { Cell::new(None) };
    /// The record that may hold guards of this thread: [`RECORD`], or the record that the thread
    /// gave back while it had guards.
    static HELD: Cell<Option<OwnRecord<'static>>> = const { Cell::new(None) };
    /// Whether this thread found no free record.
    static HAS_NONE: Cell<bool> = const { Cell::new(false) };
    /// The pins of this thread in the shared record.
    static SHARED: [Cell<u64>; 2] = const { [Cell::new(0), Cell::new(0)] };
    /// Calls of `collect_some` by this thread while something was retired. Wraps around.
    static TURN: Cell<u8> = const { Cell::new(0) };
    /// Gives the record back when the thread ends.
    static END_ON_EXIT: EndOnExit = const { EndOnExit };
}

struct EndOnExit;

impl Drop for EndOnExit {
    fn drop(&mut self) {
        if cfg!(all(test, tollgate_shuttle)) && std::thread::panicking() {
            // As for guards.
            return;
        }
        if let Some(record) = RECORD.take() {
            if !record.is_pinned() {
                HELD.set(None);
            }
            // SAFETY: `pin` finds no record any more.
            unsafe { record.end() };
        }
    }
}

/// Pins the epoch.
#[inline(always)]
pub(crate) fn pin() -> Guard {
    if !barrier::IS_SUPPORTED {
        return Guard(Pin::Crossbeam(crossbeam::pin()));
    }
    match RECORD.get() {
        Some(record) => pin_record(record),
        None => pin_slow(),
    }
}

#[inline(always)]
fn pin_record(record: OwnRecord<'static>) -> Guard {
    DOMAIN.pin(record);
    Guard(Pin::Record(record))
}

#[cold]
#[inline(never)]
fn pin_slow() -> Guard {
    if method() == Method::Crossbeam {
        return Guard(Pin::Crossbeam(crossbeam::pin()));
    }
    if let Some(record) = own_record() {
        return pin_record(record);
    }
    let parity = DOMAIN.pin_shared();
    count_shared(parity, 1);
    Guard(Pin::Shared(parity))
}

/// Takes a record for this thread, unless there is none.
fn own_record() -> Option<OwnRecord<'static>> {
    if HAS_NONE.get() {
        return None;
    }
    // A thread owns a record only if `END_ON_EXIT` will give it back.
    let record = END_ON_EXIT.try_with(|_| DOMAIN.acquire_record()).ok().flatten();
    HAS_NONE.set(record.is_none());
    RECORD.set(record);
    HELD.set(HELD.get().or(record));
    record
}

/// Counts a pin of this thread in the shared record, for the child of a fork.
pub(super) fn count_shared(parity: usize, change: i64) {
    SHARED.with(|shared| shared[parity].set(shared[parity].get().wrapping_add_signed(change)));
}

/// Counts a call of `collect_some` by this thread while something is retired. Returns the number before.
pub(super) fn count_turn() -> u8 {
    TURN.replace(TURN.get().wrapping_add(1))
}

/// Makes the children of forks forget the pins of threads that they do not have.
#[cfg(not(all(test, tollgate_model)))]
pub(super) fn watch_forks() {
    #[cfg(target_os = "linux")]
    {
        extern "C" fn in_child() {
            let shared = SHARED.with(|shared| shared.each_ref().map(Cell::get));
            // SAFETY: a child has one thread.
            unsafe { DOMAIN.forget_others(HELD.get(), shared) };
        }
        // An error is ignored: a child then keeps the pins, which is safe.
        // SAFETY: the handler only loads and stores atomics and thread-local values.
        let _ = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    }
}
