//! Arrays that were replaced are freed when no session can read them any more, and not before.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use tollgate::{Limiter, ManualClock, Now, Policy, PolicyId, Session};

/// The least bytes of a table's slots. Its tags are fewer.
const LEAST_ARRAY: usize = 4 << 10;
/// The alignment of arrays, which no other zeroed block of this size has.
const ALIGN: usize = 16;
/// More arrays than any test makes.
const MOST: usize = 64;

static WATCHING: AtomicBool = AtomicBool::new(false);
/// The address of each array that was allocated while watching; 0 once it was freed.
static ARRAYS: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static FREED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Allocations of this thread.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn is_array(layout: Layout) -> bool {
    layout.size() >= LEAST_ARRAY && layout.align() == ALIGN
}

/// Watches arrays. Those that are freed it keeps, so that a table which frees one too early reads
/// no memory of somebody else.
struct Watching;

// SAFETY: passes everything on to the system's allocator, or keeps a block for good.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let block = unsafe { System.alloc_zeroed(layout) };
        let is_watched = WATCHING.load(SeqCst) && is_array(layout) && !block.is_null();
        if is_watched && let Some(entry) = ARRAYS.get(ALLOCATED.fetch_add(1, SeqCst)) {
            entry.store(block.addr(), SeqCst);
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let forget =
            |array: &AtomicUsize| array.compare_exchange(block.addr(), 0, SeqCst, SeqCst).is_ok();
        if is_array(layout) && ARRAYS.iter().any(forget) {
            FREED.fetch_add(1, SeqCst);
            return;
        }
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// Arrays are the whole process's, so one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Starts to watch, from nothing.
fn watch() -> MutexGuard<'static, ()> {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    WATCHING.store(false, SeqCst);
    ARRAYS.iter().for_each(|array| array.store(0, SeqCst));
    ALLOCATED.store(0, SeqCst);
    FREED.store(0, SeqCst);
    WATCHING.store(true, SeqCst);
    alone
}

fn allocated() -> usize {
    let allocated = ALLOCATED.load(SeqCst);
    assert!(allocated < MOST, "more arrays than are watched");
    allocated
}

fn freed() -> usize {
    FREED.load(SeqCst)
}

const SECOND: u64 = 1_000_000_000;

/// A table whose arrays come from the allocator: larger ones are maps.
fn limiter() -> (Limiter, PolicyId) {
    let policy = Policy::calendar("p", 5, tollgate::Period::Hour);
    let limiter = Limiter::builder().policy(policy).max_keys(1_500).clock(ManualClock::new());
    let limiter = limiter.seed([1, 2, 3, 4]).build().unwrap();
    let id = limiter.policy("p").unwrap();
    (limiter, id)
}

fn session(limiter: &Limiter) -> Session<'_> {
    limiter.session_at(Now::from_unix_nanos(SECOND))
}

/// Admits new keys until the table has replaced its array `times` times, and moves all keys.
fn replace(limiter: &Limiter, id: PolicyId, times: u64) {
    let arrays = || session(limiter).stats(id).unwrap().migrations;
    let (before, mut key) = (arrays(), session(limiter).stats(id).unwrap().used_slots as u64);
    while arrays() < before + times {
        assert!(session(limiter).check(&[id.charge(key, 1)]).is_allowed(), "key {key}");
        key += 1;
    }
    while !session(limiter).maintain(10_000) {}
    assert_eq!(arrays(), before + times);
}

/// Runs `work` on a thread of its own, which has pinned nothing before: a pin now and then collects
/// by itself, and a count of pins decides when.
fn on_new_thread(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap());
}

/// A session that began before the table replaced its array may still read it, whichever thread
/// replaces it: nothing is freed until that session ends.
#[test]
fn an_array_stays_while_an_earlier_session_lives() {
    for is_other_thread in [false, true] {
        let _alone = watch();
        let (limiter, id) = limiter();
        on_new_thread(|| {
            let held = session(&limiter);
            if is_other_thread {
                on_new_thread(|| replace(&limiter, id, 3));
            } else {
                replace(&limiter, id, 3);
            }
            (0..300).for_each(|_| _ = limiter.maintain(10_000));
            assert_eq!((allocated(), freed()), (4, 0), "freed while a session may read it");
            drop(held);
            (0..4).for_each(|_| _ = limiter.maintain(10_000));
            assert_eq!((allocated(), freed()), (4, 3), "not freed though nobody can read it");
        });
        drop(limiter);
        assert_eq!((allocated(), freed()), (4, 4), "the last array outlives its table");
    }
}

/// Replaces three arrays, which are freed neither meanwhile nor by the end of the session that
/// holds them. The count of pins that would collect by itself is then at its beginning.
fn retire_three(limiter: &Limiter, id: PolicyId) {
    let held = session(limiter);
    replace(limiter, id, 3);
    drop(held);
    assert_eq!((allocated(), freed()), (4, 0));
}

/// A host that only calls `maintain` has the memory back after a few calls.
#[test]
fn maintenance_frees_retired_arrays() {
    let _alone = watch();
    let (limiter, id) = limiter();
    on_new_thread(|| {
        retire_three(&limiter, id);
        (0..4).for_each(|_| _ = limiter.maintain(0));
        assert_eq!((allocated(), freed()), (4, 3), "`maintain` does not free what is due");
    });
}

/// A host that never calls `maintain` has the memory back after a few new keys.
#[test]
fn new_keys_free_retired_arrays() {
    let _alone = watch();
    let (limiter, id) = limiter();
    on_new_thread(|| {
        retire_three(&limiter, id);
        for key in 1..=20_u64 {
            assert!(session(&limiter).check(&[id.charge(u64::MAX - key, 1)]).is_allowed());
        }
        assert_eq!((allocated(), freed()), (4, 3), "new keys do not free what is due");
    });
}

/// The end of a table frees what it has retired, and its last array.
#[test]
fn the_end_of_a_table_frees_retired_arrays() {
    let _alone = watch();
    let (limiter, id) = limiter();
    on_new_thread(move || {
        retire_three(&limiter, id);
        drop(limiter);
        assert_eq!((allocated(), freed()), (4, 4), "the end of a table leaves arrays behind");
    });
}

/// A thread that has replaced an array and then does nothing keeps none from being freed by others.
#[test]
fn an_idle_thread_keeps_no_retired_array() {
    let _alone = watch();
    let (limiter, id) = limiter();
    let (limiter, (replaced, ready), (end, ended)) = (&limiter, mpsc::channel(), mpsc::channel());
    let arrays = std::thread::scope(|scope| {
        scope.spawn(move || {
            replace(limiter, id, 3);
            replaced.send(()).unwrap();
            // Until the other end of the channel is gone.
            let _ = ended.recv();
        });
        ready.recv().unwrap();
        (0..4).for_each(|_| _ = limiter.maintain(0));
        let arrays = (allocated(), freed());
        drop::<mpsc::Sender<()>>(end);
        arrays
    });
    assert_eq!(arrays, (4, 3), "not freed though nobody can read it");
}

/// Once all retired arrays are freed, the end of a table pins nothing, which would allocate in a
/// thread that has not pinned before.
#[test]
fn nothing_is_collected_where_nothing_is_retired() {
    let _alone = watch();
    let (limiter, id) = limiter();
    retire_three(&limiter, id);
    (0..4).for_each(|_| _ = limiter.maintain(0));
    assert_eq!((allocated(), freed()), (4, 3));
    on_new_thread(move || {
        let before = ALLOCATIONS.get();
        drop(limiter);
        assert_eq!(ALLOCATIONS.get() - before, 0, "allocated, so it has pinned");
    });
}
