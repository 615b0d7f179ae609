//! Out of memory: without a new array a table keeps its old one, and is never over the limit.

mod planted;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;
use std::time::Duration;
use tollgate::{ConfigError, Decision, Limiter, MAX_LIMIT, ManualClock, Now, Policy, Verdict};

/// An allocator that can refuse large zeroed blocks to a thread.
struct Refusing;

thread_local! {
    /// Whether large blocks are refused to this thread.
    static REFUSED: Cell<bool> = const { Cell::new(false) };
}

// SAFETY: forwards every call to the system's allocator, or returns null as an allocator may.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // Printing a panic message needs memory.
        if REFUSED.get() && layout.size() > 20_000 && !std::thread::panicking() {
            return ptr::null_mut();
        }
        // SAFETY: the caller's contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Refusing = Refusing;

/// Runs `work` while large blocks are refused.
fn without_memory<T>(work: impl FnOnce() -> T) -> T {
    /// Ends the shortage when dropped, so also when `work` panics.
    struct Shortage;
    impl Drop for Shortage {
        fn drop(&mut self) {
            REFUSED.set(false);
        }
    }
    REFUSED.set(true);
    let _shortage = Shortage;
    work()
}

fn build() -> Result<Limiter, ConfigError> {
    let policy = Policy::sliding("p", MAX_LIMIT, Duration::from_secs(1)).buckets(7);
    Limiter::builder().policy(policy).max_keys(10_000).clock(ManualClock::new()).build()
}

/// A time in units of the policy's resolution. The greatest limit leaves 16 bits for times. At this time,
/// an array that was made at time 0 is due for replacement, but still in its time range.
const DUE: u64 = 55_000;
/// A time in the same units, at which this array has outlived its time range.
const OUTLIVED: u64 = 70_000;

/// Guarantee A: a table that cannot replace its aging array is never over the limit. At the end of
/// the array's time range it refuses all keys, until an allocation succeeds.
#[test]
fn never_over_the_limit_without_memory() {
    let limiter = build().unwrap();
    let id = limiter.policy("p").unwrap();
    let unit = limiter.resolution(id).unwrap().as_nanos() as u64;
    let check = |now: u64| {
        limiter.session_at(Now::from_unix_nanos(now)).check(&[id.charge("k", MAX_LIMIT)])
    };
    let check_without = |now: u64| -> Decision { without_memory(|| check(now)) };
    assert!(check(0).is_allowed());
    assert!(matches!(without_memory(build), Err(ConfigError::OutOfMemory { .. })));
    // The array is due for replacement, but still in its time range.
    assert!(check_without(unit * DUE).is_allowed());
    assert_eq!(check_without(unit * (DUE + 1)).verdict, Verdict::Denied);
    // Past its time range every request is refused.
    assert_eq!(check_without(unit * OUTLIVED).verdict, Verdict::TableFull);
    assert_eq!(check_without(unit * OUTLIVED * 1_000).verdict, Verdict::TableFull);
    assert!(check(unit * OUTLIVED).is_allowed());
    assert_eq!(check(unit * (OUTLIVED + 1)).verdict, Verdict::Denied);
}

/// The assertion that [`a_failing_assertion_fails_its_test`] makes fail during the shortage.
#[test]
fn planted_failure() {
    let is_planted = planted::is_planted();
    without_memory(|| planted::fail_if(is_planted));
}

/// An assertion that fails while blocks are refused fails its test, with its message.
#[test]
fn a_failing_assertion_fails_its_test() {
    planted::assert_fails_soon("planted_failure", &[]);
}
