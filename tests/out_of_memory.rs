//! An allocator that has no large block left: a table goes on with what it has, and never over.

mod planted;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;
use std::time::Duration;
use tollgate::{ConfigError, Decision, Limiter, MAX_LIMIT, ManualClock, Now, Policy, Verdict};

struct Stingy;

thread_local! {
    /// Whether large blocks are refused to this thread.
    static EMPTY: Cell<bool> = const { Cell::new(false) };
}

// SAFETY: passes everything on to the system's allocator, or fails as an allocator may.
unsafe impl GlobalAlloc for Stingy {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // A panic is printed with memory, or its message would be lost.
        if EMPTY.get() && layout.size() > 20_000 && !std::thread::panicking() {
            return ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Stingy = Stingy;

/// Runs `work` without large blocks of memory.
fn without_memory<T>(work: impl FnOnce() -> T) -> T {
    /// Ends the shortage, also when `work` panics.
    struct Shortage;
    impl Drop for Shortage {
        fn drop(&mut self) {
            EMPTY.set(false);
        }
    }
    EMPTY.set(true);
    let _shortage = Shortage;
    work()
}

fn build() -> Result<Limiter, ConfigError> {
    let policy = Policy::sliding("p", MAX_LIMIT, Duration::from_secs(1)).buckets(7);
    Limiter::builder().policy(policy).max_keys(10_000).clock(ManualClock::new()).build()
}

#[test]
fn without_memory_nothing_is_over() {
    let limiter = build().unwrap();
    let id = limiter.policy("p").unwrap();
    let unit = limiter.resolution(id).unwrap().as_nanos() as u64;
    let check = |now: u64| {
        limiter.session_at(Now::from_unix_nanos(now)).check(&[id.charge("k", MAX_LIMIT)])
    };
    let check_without = |now: u64| -> Decision { without_memory(|| check(now)) };
    assert!(check(0).is_allowed());
    assert!(matches!(without_memory(build), Err(ConfigError::OutOfMemory { .. })));
    // The array should be renewed, and goes on while its words can tell the time.
    assert!(check_without(unit * 55_000).is_allowed());
    assert_eq!(check_without(unit * 55_001).verdict, Verdict::Denied);
    // Then it refuses, with the reason.
    assert_eq!(check_without(unit * 70_000).verdict, Verdict::TableFull);
    assert_eq!(check_without(unit * 70_000_000).verdict, Verdict::TableFull);
    assert!(check(unit * 70_000).is_allowed());
    assert_eq!(check(unit * 70_001).verdict, Verdict::Denied);
}

/// The assertion that fails in [`a_failing_assertion_fails_its_test`], at the worst place.
#[test]
fn planted_failure() {
    let is_planted = planted::is_planted();
    without_memory(|| planted::fail_if(is_planted));
}

#[test]
fn a_failing_assertion_fails_its_test() {
    planted::assert_fails_soon("planted_failure", &[]);
}
