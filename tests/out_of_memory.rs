//! An allocator that has no large block left: a table goes on with what it has, and never over.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tollgate::{ConfigError, Limiter, MAX_LIMIT, ManualClock, Now, Policy, Verdict};

struct Stingy;

static EMPTY: AtomicBool = AtomicBool::new(false);

// SAFETY: passes everything on to the system's allocator, or fails as an allocator may.
unsafe impl GlobalAlloc for Stingy {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if EMPTY.load(Relaxed) && layout.size() > 20_000 {
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
    assert!(check(0).is_allowed());
    EMPTY.store(true, Relaxed);
    assert!(matches!(build(), Err(ConfigError::OutOfMemory { .. })));
    // The array should be renewed, and goes on while its words can tell the time.
    assert!(check(unit * 55_000).is_allowed());
    assert_eq!(check(unit * 55_001).verdict, Verdict::Denied);
    // Then it refuses, with the reason.
    assert_eq!(check(unit * 70_000).verdict, Verdict::TableFull);
    assert_eq!(check(unit * 70_000_000).verdict, Verdict::TableFull);
    EMPTY.store(false, Relaxed);
    assert!(check(unit * 70_000).is_allowed());
    assert_eq!(check(unit * 70_001).verdict, Verdict::Denied);
}
