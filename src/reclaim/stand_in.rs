//! The stand-in for the epoch in loom models of tables. It frees nothing before the execution ends, and a
//! pin does nothing. After [`watch`] an execution uses a [`Domain`] instead. Then the memory of a freed
//! value is kept until the execution ends, and each access to it is reported.

use super::domain::Domain;
use super::limbo::Retire;
use super::record::OwnRecord;
use loom::thread::ThreadId;
use std::cell::RefCell;
use std::collections::HashMap;

/// The number of threads that may pin in a watched model.
const RECORDS: usize = 2;

#[derive(Default)]
struct State {
    domain: Option<&'static Domain<RECORDS>>,
    records: HashMap<ThreadId, OwnRecord<'static>>,
    /// The address of each retired value, and a function that returns its memory.
    retired: HashMap<usize, Box<dyn FnOnce()>>,
    fault: Option<&'static str>,
}

// A model's threads all run on one OS thread.
thread_local!(static STATE: RefCell<State> = RefCell::default());

fn domain() -> Option<&'static Domain<RECORDS>> {
    STATE.with_borrow(|state| state.domain)
}

/// A pin, if the execution is watched.
#[derive(Debug)]
pub(crate) struct Guard(Option<OwnRecord<'static>>);

pub(crate) fn pin() -> Guard {
    let record = domain().map(|domain| {
        let thread = loom::thread::current().id();
        let known = STATE.with_borrow(|state| state.records.get(&thread).copied());
        let record = known.unwrap_or_else(|| {
            let record = domain.acquire_record().expect("a record for each thread");
            STATE.with_borrow_mut(|state| state.records.insert(thread, record));
            record
        });
        domain.pin(record);
        record
    });
    Guard(record)
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !std::thread::panicking()
            && let Some(record) = self.0
        {
            record.unpin();
        }
    }
}

impl Guard {
    /// Keeps the memory of `value` until [`free_all`].
    pub(crate) unsafe fn retire<T: Retire>(&self, value: *mut T) {
        // SAFETY: `free_all` runs when no thread of the model is left.
        let release = Box::new(move || drop(unsafe { Box::from_raw(value) }));
        let is_first = STATE.with_borrow_mut(|state| {
            let is_first = state.retired.insert(value.addr(), release).is_none();
            if !is_first {
                state.fault = Some("retired twice");
            }
            is_first
        });
        if is_first && let Some(domain) = domain() {
            // SAFETY: the caller's promise.
            unsafe { domain.retire(T::node(value)) };
        }
    }
}

/// Notes that a value is freed. Returns whether its memory is kept until [`free_all`].
pub(super) fn is_kept<T>(value: *mut T) -> bool {
    STATE.with_borrow(|state| state.retired.contains_key(&value.addr()))
}

/// Gives this execution a domain, and reports from now on every access to a freed value.
pub(crate) fn watch() {
    let domain = Box::leak(Box::new(Domain::new()));
    STATE.with_borrow_mut(|state| state.domain = Some(domain));
}

/// Records an access to freed memory for [`assert_sound`]: a panic here would unwind through
/// the checker's threads.
pub(crate) fn read_after_free() {
    STATE.with_borrow_mut(|state| state.fault = Some("read after it was freed"));
}

/// Panics if this execution retired a value twice or accessed freed memory.
pub(crate) fn assert_sound() {
    let fault = STATE.with_borrow(|state| state.fault);
    assert!(fault.is_none(), "{fault:?}");
}

/// Chooses nothing: models have no other implementation.
pub(crate) fn start() {}

/// Tables call this more often than a model needs it.
pub(crate) fn collect(_: usize) {}

pub(crate) fn collect_some() {}

/// Advances the epoch this many times, and frees what is due.
pub(crate) fn advance(times: usize) {
    let domain = domain().expect("watched");
    for _ in 0..times {
        domain.advance();
        domain.limbo().free_piece();
    }
}

/// Releases the memory of the values that this execution has retired.
pub(crate) fn free_all() {
    let state = STATE.with_borrow_mut(std::mem::take);
    state.retired.into_values().for_each(|release| release());
    if let Some(domain) = state.domain {
        // SAFETY: leaked in `watch`. No thread and no guard is left.
        drop(unsafe { Box::from_raw(std::ptr::from_ref(domain).cast_mut()) });
    }
}
