//! Guarantee E, with other threads: requests about known keys neither allocate nor free heap
//! memory, even while other threads keep sessions and make tables grow, and even when the allocator
//! has no memory left. Memory maps are not counted.

mod load;

use load::by_size;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tollgate::{Limiter, ManualClock, Policy, Verdict};

thread_local! {
    /// Whether this thread makes requests about known keys only.
    static IS_KNOWN: Cell<bool> = const { Cell::new(false) };
}

/// Allocations and deallocations of the threads with known keys.
static CALLS: AtomicU64 = AtomicU64::new(0);
/// Whether every allocation fails.
static EMPTY: AtomicBool = AtomicBool::new(false);
/// Allocations that have failed.
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// An allocator that counts the calls of some threads, and can be empty.
struct Counting;

// SAFETY: forwards every call to the system's allocator, or fails as an allocator may.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(u64::from(IS_KNOWN.get()), SeqCst);
        // Printing a panic allocates.
        if EMPTY.load(SeqCst) && !std::thread::panicking() {
            REFUSED.fetch_add(1, SeqCst);
            return ptr::null_mut();
        }
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        CALLS.fetch_add(u64::from(IS_KNOWN.get()), SeqCst);
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Keys that are in the table from the start.
const KNOWN: u64 = 1_000;
/// The number of requests that each thread with known keys makes before memory runs out, and again
/// afterwards.
const REQUESTS: u64 = 500_000;
/// The same at full size: ten million requests of each thread in all.
const FULL_REQUESTS: u64 = 5_000_000;

fn limiter() -> Limiter {
    let policy = Policy::sliding("p", 1 << 30, Duration::from_secs(600));
    Limiter::builder().policy(policy).max_keys(1 << 20).clock(ManualClock::new()).build().unwrap()
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Two threads charge known keys. Meanwhile a third thread keeps sessions, and a fourth one makes
/// this table and others grow, at last without memory.
#[test]
fn requests_about_known_keys_need_no_memory() {
    let wanted = by_size(REQUESTS, FULL_REQUESTS);
    let limiter = limiter();
    let id = limiter.policy("p").unwrap();
    for key in 0..KNOWN {
        assert!(limiter.check(&[id.charge(key, 1)]).is_allowed());
    }
    let requests = [const { AtomicU64::new(0) }; 2];
    let is_done = AtomicBool::new(false);
    let at_least = |count: u64| requests.iter().all(|requests| requests.load(SeqCst) >= count);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (requests, is_done, limiter) = (&requests[thread], &is_done, &limiter);
            scope.spawn(move || {
                IS_KNOWN.set(true);
                for request in 0_u64.. {
                    let decision = limiter.check(&[id.charge(request % KNOWN, 1)]);
                    assert!(decision.is_allowed(), "{decision:?}");
                    requests.store(request, SeqCst);
                    if is_done.load(SeqCst) {
                        break;
                    }
                }
                IS_KNOWN.set(false);
            });
        }
        scope.spawn(|| {
            while !is_done.load(SeqCst) {
                let session = limiter.session();
                std::thread::sleep(Duration::from_micros(200));
                assert!(session.check(&[id.charge(1, 1)]).is_allowed());
            }
        });
        scope.spawn(|| {
            // Also ends the other threads when this one panics.
            let _done = SetWhenDropped(&is_done);
            let start = Instant::now();
            let mut next = KNOWN;
            // Returns how many new keys were refused.
            let mut grow = |keys: u64| {
                next += keys;
                let check = |key: &u64| limiter.check(&[id.charge(*key, 1)]).verdict;
                (next - keys..next).filter(|key| check(key) == Verdict::TableFull).count()
            };
            while !at_least(wanted) {
                let other = self::limiter();
                let policy = other.policy("p").unwrap();
                (0..3_000_u64).for_each(|key| _ = other.check(&[policy.charge(key, 1)]));
                assert_eq!(grow(500), 0, "refused although there is memory");
            }
            EMPTY.store(true, SeqCst);
            let most = requests.iter().map(|requests| requests.load(SeqCst)).max().unwrap();
            let mut refused = 0;
            while refused == 0 || !at_least(most + wanted) {
                refused += grow(500);
                assert!(start.elapsed() < Duration::from_secs(60), "{refused} refused");
            }
            EMPTY.store(false, SeqCst);
        });
    });
    let stats = limiter.stats(id).unwrap();
    assert!(stats.migrations > 3 && REFUSED.load(SeqCst) > 0, "{stats:?}");
    assert_eq!(CALLS.load(SeqCst), 0, "allocations and deallocations about known keys");
}
