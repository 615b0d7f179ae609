//! The values that an execution of a schedule retires. A freed value is poisoned, and its memory is kept
//! until the execution ends, so that each later access is reported.

use super::global::{self, Guard, Pin};
use super::limbo::Retire;
use super::thread;
use std::cell::{Cell, RefCell};

/// A retired value.
struct Retired {
    address: usize,
    is_freed: bool,
    /// Returns its memory to the allocator.
    release: Box<dyn FnOnce()>,
}

/// An event that schedules count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A pin in the record of a thread.
    Pin,
    /// A pin in the shared record.
    SharedPin,
    /// A value was freed.
    Free,
}

const EVENTS: usize = Event::Free as usize + 1;

// All threads of an execution run on one OS thread.
thread_local! {
    static RETIRED: RefCell<Vec<Retired>> = const { RefCell::new(Vec::new()) };
    static FAULT: Cell<Option<&'static str>> = const { Cell::new(None) };
    static COUNTS: Cell<[u64; EVENTS]> = const { Cell::new([0; EVENTS]) };
}

fn count(event: Event) {
    let mut counts = COUNTS.get();
    counts[event as usize] += 1;
    COUNTS.set(counts);
}

/// Returns the number of each [`Event`] since the last call, in their order.
pub(crate) fn take_counts() -> [u64; EVENTS] {
    COUNTS.take()
}

/// Pins the epoch, and counts the pin.
pub(crate) fn pin() -> Guard {
    let guard = thread::pin();
    count(if matches!(guard.0, Pin::Shared(_)) { Event::SharedPin } else { Event::Pin });
    guard
}

/// Notes that a value is retired. Returns false if it was retired before, which is a fault.
pub(super) fn note_retired<T: Retire>(value: *mut T) -> bool {
    let address = value.addr();
    RETIRED.with_borrow_mut(|retired| {
        if retired.iter().any(|other| other.address == address) {
            FAULT.set(Some("retired twice"));
            return false;
        }
        // SAFETY: from a box: `Guard::retire`. Only `free_all` releases it, when no thread is left.
        let release = Box::new(move || drop(unsafe { Box::from_raw(value) }));
        retired.push(Retired { address, is_freed: false, release });
        true
    })
}

/// Notes that a retired value is freed. Its memory is kept.
pub(super) fn note_freed<T>(value: *mut T) {
    RETIRED.with_borrow_mut(|retired| {
        match retired.iter_mut().find(|other| other.address == value.addr()) {
            Some(value) if !value.is_freed => value.is_freed = true,
            Some(_) => FAULT.set(Some("freed twice")),
            None => FAULT.set(Some("freed, but not retired")),
        }
    });
    count(Event::Free);
}

/// Notes an access to freed memory for [`fault`]: a panic here would unwind through the checker's
/// threads.
pub(crate) fn read_after_free() {
    FAULT.set(Some("read after it was freed"));
}

/// Returns the last fault of this execution: a value was retired or freed twice, or accessed after it was
/// freed.
pub(crate) fn fault() -> Option<&'static str> {
    FAULT.get()
}

/// Frees all retired values, and panics if any is left. Requires that no other thread and no guard is
/// left.
pub(crate) fn assert_all_freed() {
    // One call advances the epoch often enough, unless a pin is left.
    global::collect(usize::MAX);
    let kept =
        RETIRED.with_borrow(|retired| retired.iter().filter(|value| !value.is_freed).count());
    assert_eq!(kept, 0, "retired values that cannot be freed");
}

/// Releases the memory of all values that this execution has retired, freed or not.
pub(crate) fn free_all() {
    FAULT.take();
    RETIRED.take().into_iter().for_each(|retired| (retired.release)());
}
