//! Guarantee F: a retired array is freed once no session can read it, and not before.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Barrier, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};
use tollgate::{Limiter, ManualClock, Now, Policy, PolicyId, Session};

/// The least size of an array of slots. Arrays of tags are smaller.
const LEAST_ARRAY: usize = 4 << 10;
/// The alignment of arrays, which no other zeroed block of this size has.
const ALIGN: usize = 16;
/// More arrays than any test allocates.
const MOST: usize = 64;

static WATCHING: AtomicBool = AtomicBool::new(false);
/// The address of each array that was allocated while watching; 0 once it was freed.
static ARRAYS: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static FREED: AtomicUsize = AtomicUsize::new(0);
/// How many threads must still allocate an array before any of them gets one.
static AWAITED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Allocations of this thread.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn is_array(layout: Layout) -> bool {
    layout.size() >= LEAST_ARRAY && layout.align() >= ALIGN
}

/// Waits for the other threads that are to allocate an array at the same time.
fn await_others() {
    let is_awaited = |awaited: usize| awaited.checked_sub(1);
    if AWAITED.fetch_update(SeqCst, SeqCst, is_awaited).is_err() {
        return;
    }
    let start = Instant::now();
    while AWAITED.load(SeqCst) > 0 && start.elapsed() < Duration::from_secs(20) {
        std::thread::yield_now();
    }
}

/// An allocator that counts arrays. It never reuses the memory of a freed one, so a table that
/// frees an array too early still reads its own memory.
struct Watching;

// SAFETY: forwards every call to the system's allocator, or leaks a block.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract.
        let block = unsafe { System.alloc_zeroed(layout) };
        let is_watched = WATCHING.load(SeqCst) && is_array(layout) && !block.is_null();
        if is_watched && let Some(entry) = ARRAYS.get(ALLOCATED.fetch_add(1, SeqCst)) {
            entry.store(block.addr(), SeqCst);
            await_others();
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
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// The counts are global, so one test runs at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Resets the counts and starts to watch.
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

/// Builds a limiter whose arrays come from the allocator; larger arrays are memory maps.
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

/// Admits new keys until the table has replaced its array `times` times, and completes the last
/// move.
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

/// Runs `work` on a new thread, whose counts of pins and new keys start at 0. They decide which calls
/// advance the epoch.
fn on_new_thread(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap());
}

/// Guarantee F: an array that is replaced during a session is not freed until that session ends,
/// whichever thread replaces it.
#[test]
fn arrays_are_not_freed_during_an_earlier_session() {
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
        assert_eq!((allocated(), freed()), (4, 4), "the last array is not freed with its table");
    }
}

/// Retires three arrays during a session. None is freed yet when it returns.
fn retire_three(limiter: &Limiter, id: PolicyId) {
    let held = session(limiter);
    replace(limiter, id, 3);
    drop(held);
    assert_eq!((allocated(), freed()), (4, 0));
}

/// Guarantee F: a few calls of `maintain` free all retired arrays.
#[test]
fn maintenance_frees_retired_arrays() {
    let _alone = watch();
    let (limiter, id) = limiter();
    on_new_thread(|| {
        retire_three(&limiter, id);
        (0..4).for_each(|_| _ = limiter.maintain(0));
        assert_eq!((allocated(), freed()), (4, 3), "`maintain` does not free retired arrays");
    });
}

/// Guarantee F: a few new keys free all retired arrays without `maintain`.
#[test]
fn new_keys_free_retired_arrays() {
    let _alone = watch();
    let (limiter, id) = limiter();
    on_new_thread(|| {
        retire_three(&limiter, id);
        // Every 16th new key tries to advance the epoch, which must advance twice.
        for key in 1..=40_u64 {
            assert!(session(&limiter).check(&[id.charge(u64::MAX - key, 1)]).is_allowed());
        }
        assert_eq!((allocated(), freed()), (4, 3), "new keys do not free retired arrays");
    });
}

/// Guarantee E: calls about known keys free nothing, although arrays could be freed and a move is
/// open.
#[test]
fn known_keys_free_no_retired_arrays() {
    let _alone = watch();
    let (limiter, id) = limiter();
    on_new_thread(|| {
        let held = session(&limiter);
        replace(&limiter, id, 3);
        let stats = || held.stats(id).unwrap();
        let first = stats().used_slots as u64;
        let is_admitted = |key| held.check(&[id.charge(key, 1)]).is_allowed();
        assert!((first..).take_while(|_| stats().migrations == 3).all(is_admitted));
        drop(held);
        assert_eq!((allocated(), freed()), (5, 0));
        for _ in 0..300 {
            let _ = session(&limiter).check(&[id.charge(first, 1)]);
            let _ = session(&limiter).peek(&[id.charge(first, 1)]);
        }
        assert_eq!((allocated(), freed()), (5, 0), "a call about a known key frees an array");
        (0..8).for_each(|_| _ = limiter.maintain(10_000));
        assert_eq!((allocated(), freed()), (5, 4), "nothing could be freed");
    });
}

/// Guarantee F: an array that is replaced because of its age is freed without new keys and without
/// `Limiter::maintain`, whether a charge or `Session::maintain` replaces it.
#[test]
fn renewals_free_the_arrays_of_earlier_ones() {
    for is_maintained in [false, true] {
        let _alone = watch();
        let policy = Policy::sliding("p", tollgate::MAX_LIMIT, Duration::from_millis(1)).buckets(7);
        let limiter = Limiter::builder().policy(policy).max_keys(1_500).clock(ManualClock::new());
        let limiter = limiter.build().unwrap();
        let id = limiter.policy("p").unwrap();
        on_new_thread(|| {
            // Less than a window apart: the key is always known.
            for now in (0..200_000_000).step_by(400_000) {
                let session = limiter.session_at(Now::from_unix_nanos(now));
                if is_maintained {
                    session.maintain(10_000);
                }
                assert!(session.check(&[id.charge("key", 1)]).is_allowed());
            }
            let migrations = limiter.stats(id).unwrap().migrations;
            assert!((20..50).contains(&migrations), "{migrations} migrations");
            assert_eq!(allocated() as u64, 1 + migrations);
            assert!(allocated() - freed() <= 5, "{} of {} arrays freed", freed(), allocated());
        });
    }
}

/// Guarantee F: dropping a table frees its retired arrays and its last array.
#[test]
fn dropping_a_table_frees_its_arrays() {
    let _alone = watch();
    let (limiter, id) = limiter();
    on_new_thread(move || {
        retire_three(&limiter, id);
        drop(limiter);
        assert_eq!((allocated(), freed()), (4, 4), "dropping the table leaks arrays");
    });
}

/// Dropping a table during a move frees the array that is moved from.
#[test]
fn dropping_a_table_during_a_move_frees_both_arrays() {
    let _alone = watch();
    let (limiter, id) = limiter();
    let arrays = || limiter.stats(id).unwrap().migrations;
    let admit = |key: u64| assert!(session(&limiter).check(&[id.charge(key, 1)]).is_allowed());
    (0..).take_while(|_| arrays() == 0).for_each(admit);
    assert!(!session(&limiter).maintain(0), "the move has ended");
    assert_eq!((allocated(), freed()), (2, 0));
    drop(limiter);
    assert_eq!((allocated(), freed()), (2, 2));
}

/// Two threads replace an array at the same time. The array of the thread that loses is freed at
/// once.
#[test]
fn array_that_loses_the_exchange_is_freed() {
    let _alone = watch();
    let (limiter, id) = limiter();
    AWAITED.store(2, SeqCst);
    std::thread::scope(|scope| {
        for thread in 0..2_u64 {
            let limiter = &limiter;
            scope.spawn(move || {
                for key in (thread..).step_by(2).take_while(|_| AWAITED.load(SeqCst) > 0) {
                    assert!(session(limiter).check(&[id.charge(key, 1)]).is_allowed());
                }
            });
        }
    });
    assert_eq!(limiter.stats(id).unwrap().migrations, 1);
    assert_eq!((allocated(), freed()), (3, 1));
    drop(limiter);
    assert_eq!((allocated(), freed()), (3, 3));
}

/// Guarantee F: other threads free the arrays that a now idle thread has retired.
#[test]
fn an_idle_thread_keeps_no_retired_array() {
    let _alone = watch();
    let (limiter, id) = limiter();
    let (limiter, (replaced, ready), (end, ended)) = (&limiter, mpsc::channel(), mpsc::channel());
    let arrays = std::thread::scope(|scope| {
        scope.spawn(move || {
            replace(limiter, id, 3);
            replaced.send(()).unwrap();
            // Blocks until the sender is dropped.
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

/// Dropping a table without retired arrays does not pin the epoch. With `crossbeam-epoch` a pin would
/// allocate on a thread that has not pinned before.
#[test]
fn dropping_a_table_without_retired_arrays_allocates_nothing() {
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

/// More threads than there are records.
const MANY_THREADS: usize = 300;

/// Guarantee F: an array is not freed while any of many threads can read it.
#[test]
fn arrays_are_not_freed_while_one_of_many_threads_can_read_them() {
    let _alone = watch();
    let (limiter, id) = limiter();
    let all_hold = Barrier::new(MANY_THREADS + 1);
    std::thread::scope(|scope| {
        let mut ends = Vec::new();
        for _ in 0..MANY_THREADS {
            let (end, ended) = mpsc::channel::<()>();
            let (limiter, all_hold) = (&limiter, &all_hold);
            let thread = std::thread::Builder::new().stack_size(64 << 10);
            let hold = move || {
                let held = session(limiter);
                all_hold.wait();
                // Blocks until the sender is dropped.
                let _ = ended.recv();
                drop(held);
            };
            ends.push((end, thread.spawn_scoped(scope, hold).unwrap()));
        }
        all_hold.wait();
        replace(&limiter, id, 3);
        // The threads that have a record of their own started first, and end first.
        for (end, thread) in ends {
            (0..2).for_each(|_| _ = limiter.maintain(0));
            assert_eq!((allocated(), freed()), (4, 0), "freed while a session may read it");
            drop(end);
            thread.join().unwrap();
        }
        (0..4).for_each(|_| _ = limiter.maintain(0));
        assert_eq!((allocated(), freed()), (4, 3), "not freed though nobody can read it");
    });
}

/// Checks in its destructor, at the end of a thread, with the session that the thread has kept or, without
/// one, with a new session.
struct AtEnd {
    session: Option<Session<'static>>,
    limiter: &'static Limiter,
    id: PolicyId,
    /// Sends when the destructor has begun.
    begun: mpsc::Sender<()>,
    /// The destructor waits until the other side is dropped.
    end: mpsc::Receiver<()>,
}

impl Drop for AtEnd {
    fn drop(&mut self) {
        let session = self.session.take().unwrap_or_else(|| session(self.limiter));
        self.begun.send(()).unwrap();
        let _ = self.end.recv();
        assert!(session.check(&[self.id.charge(1, 1)]).is_allowed());
        assert!(self.limiter.session().check(&[self.id.charge(1, 1)]).is_allowed());
    }
}

thread_local! {
    static AT_END: RefCell<Option<AtEnd>> = const { RefCell::new(None) };
}

/// Guarantee F: an array is not freed while a destructor of an ending thread can read it, whether the
/// session began before or after the thread gave its record back.
#[test]
fn arrays_are_not_freed_while_an_ending_thread_can_read_them() {
    // A value that is used first is dropped after the thread has given its record back.
    for (is_used_first, has_session) in [(false, false), (true, true), (true, false), (false, true)]
    {
        let _alone = watch();
        let (limiter, id) = limiter();
        let limiter: &'static Limiter = Box::leak(Box::new(limiter));
        let ((begun, is_begun), (end, is_ended)) = (mpsc::channel(), mpsc::channel());
        let thread = std::thread::spawn(move || {
            // Destructors run in the reverse order of the first uses.
            if is_used_first {
                AT_END.with(|_| ());
            }
            let held = session(limiter);
            let session = has_session.then_some(held);
            let at_end = AtEnd { session, limiter, id, begun, end: is_ended };
            AT_END.set(Some(at_end));
        });
        is_begun.recv().unwrap();
        replace(limiter, id, 3);
        (0..4).for_each(|_| _ = limiter.maintain(0));
        assert_eq!((allocated(), freed()), (4, 0), "freed while a destructor may read it");
        drop::<mpsc::Sender<()>>(end);
        thread.join().unwrap();
        (0..4).for_each(|_| _ = limiter.maintain(0));
        assert_eq!((allocated(), freed()), (4, 3), "not freed though nobody can read it");
    }
}

/// Guarantee F: the child of a fork frees arrays even if other threads had sessions at the fork. Those
/// threads do not exist in the child.
#[test]
#[cfg(target_os = "linux")]
fn a_forked_child_forgets_the_sessions_of_other_threads() {
    let _alone = watch();
    let (limiter, id) = limiter();
    let (limiter, (held, is_held), (end, ended)) = (&limiter, mpsc::channel(), mpsc::channel());
    let status = std::thread::scope(|scope| {
        scope.spawn(move || {
            let session = session(limiter);
            held.send(()).unwrap();
            // Blocks until the sender is dropped.
            let _ = ended.recv();
            drop(session);
        });
        is_held.recv().unwrap();
        let own = session(limiter);
        // SAFETY: the child runs code that waits for no other thread, and then exits.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // Its own session counts.
            replace(limiter, id, 3);
            (0..4).for_each(|_| _ = limiter.maintain(0));
            let before = freed();
            drop(own);
            (0..4).for_each(|_| _ = limiter.maintain(0));
            let is_right = (allocated(), before, freed()) == (4, 0, 3);
            // SAFETY: ends the process.
            unsafe { libc::_exit(if is_right { 0 } else { 1 }) };
        }
        let mut status = -1;
        // SAFETY: waits for a child of this process, and writes one number.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        drop(own);
        // The session of the other thread still counts here.
        replace(limiter, id, 3);
        (0..4).for_each(|_| _ = limiter.maintain(0));
        assert_eq!((allocated(), freed()), (4, 0), "freed while a session may read it");
        drop::<mpsc::Sender<()>>(end);
        status
    });
    assert_eq!(status, 0, "the child does not free, or frees what its own session may read");
}
