//! A shard index for each thread, so that threads count without sharing a cache line.
//!
//! Each index has at most one owner thread, which frees it when the thread ends. A killed thread never
//! frees its index. Threads that find no free index use the shared shard.

use crate::sync::progress::Retries;
use crate::sync::{AtomicU64, Ordering::*, order};
use std::cell::Cell;

/// The number of shards that one thread can own.
const OWNED_SHARDS: u8 = 64;
/// The index of the shard of all threads that own none.
pub(crate) const SHARED: usize = OWNED_SHARDS as usize;
/// The number of shards: the owned ones and the shared one.
pub(crate) const SHARDS: usize = SHARED + 1;
/// The index of a thread that has not used a shard yet.
const UNASSIGNED: u8 = u8::MAX;

/// The indices in use, one bit each.
#[derive(Debug)]
pub(crate) struct ShardPool(AtomicU64);

impl ShardPool {
    #[cfg(not(all(test, tollgate_model)))]
    const fn new() -> Self {
        ShardPool(AtomicU64::new(0))
    }

    #[cfg(all(test, tollgate_model))]
    pub(crate) fn new() -> Self {
        ShardPool(AtomicU64::new(0))
    }

    /// Allocates the lowest free index. `None` if all are in use.
    pub(crate) fn allocate(&self) -> Option<u8> {
        let mut retries = Retries::new();
        let set_lowest_clear = |used: u64| {
            retries.count();
            (used != u64::MAX).then(|| used | (used + 1))
        };
        // Acquire: this owner continues from the counts of the previous owner. Pairs with `free`.
        // Model: index_reuse with ShardAllocateRelaxed.
        let before =
            self.0.fetch_update(order::shard_allocate(), Relaxed, set_lowest_clear).ok()?;
        Some(before.trailing_ones() as u8)
    }

    pub(crate) fn free(&self, index: u8) {
        // Release: publishes this owner's counts to the next. Pairs with `allocate`. Model:
        // index_reuse with ShardFreeRelaxed.
        let before = self.0.fetch_and(!(1 << index), order::shard_free());
        debug_assert!(before & (1 << index) != 0, "a shard index was freed twice");
    }
}

thread_local! {
    static INDEX: Cell<u8> = const { Cell::new(UNASSIGNED) };
}

/// The shard of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard(u8);

impl Shard {
    /// Returns the shard of the calling thread.
    #[inline(always)]
    pub(crate) fn current() -> Self {
        let index = INDEX.get();
        Shard(if index == UNASSIGNED { assign() } else { index })
    }

    /// Returns the index of a shard that the thread owns; `None` for the [`SHARED`] one.
    #[inline(always)]
    pub(crate) fn owned(self) -> Option<usize> {
        (self.0 < OWNED_SHARDS).then_some(usize::from(self.0))
    }
}

#[cfg(not(all(test, tollgate_model)))]
mod owner {
    use super::{INDEX, OWNED_SHARDS, ShardPool};

    static POOL: ShardPool = ShardPool::new();

    thread_local! {
        /// Frees the index when the thread ends.
        static FREE_ON_EXIT: FreeOnExit = const { FreeOnExit };
    }

    struct FreeOnExit;

    impl Drop for FreeOnExit {
        fn drop(&mut self) {
            // From here on the ending thread counts in the shared shard.
            let index = INDEX.replace(OWNED_SHARDS);
            if index < OWNED_SHARDS {
                POOL.free(index);
            }
        }
    }

    #[cold]
    pub(super) fn assign() -> u8 {
        // A thread owns an index only if `FREE_ON_EXIT` will free it.
        let allocated = FREE_ON_EXIT.try_with(|_| POOL.allocate()).ok().flatten();
        let index = allocated.unwrap_or(OWNED_SHARDS);
        INDEX.set(index);
        index
    }
}

#[cfg(not(all(test, tollgate_model)))]
use owner::assign;

/// Returns the shared shard: the threads of a model run on one OS thread and cannot free an index.
#[cfg(all(test, tollgate_model))]
fn assign() -> u8 {
    OWNED_SHARDS
}

#[cfg(all(test, not(tollgate_model)))]
pub(crate) mod tests {
    use super::*;
    use std::sync::{Arc, Barrier, Mutex, MutexGuard, PoisonError};

    /// A lock for tests that allocate most indices, so that they run one at a time.
    pub(crate) fn lock_indices() -> MutexGuard<'static, ()> {
        static LOCK: Mutex<()> = Mutex::new(());
        LOCK.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[test]
    fn an_index_has_one_owner_and_is_reused() {
        let _lock = lock_indices();
        const THREADS: usize = 100;
        for _ in 0..3 {
            let all_assigned = Arc::new(Barrier::new(THREADS));
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    let all_assigned = all_assigned.clone();
                    std::thread::spawn(move || {
                        let shard = Shard::current();
                        assert_eq!(shard, Shard::current());
                        all_assigned.wait();
                        shard
                    })
                })
                .collect();
            let shards: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            let mut owned: Vec<_> = shards.iter().filter_map(|shard| shard.owned()).collect();
            // Other tests of this process own a few.
            assert!(owned.len() > 32, "{}", owned.len());
            owned.sort_unstable();
            assert!(owned.windows(2).all(|pair| pair[0] != pair[1]), "two threads own one index");
            assert!(owned.iter().all(|index| *index < SHARED));
        }
    }

    /// A value that sends the shard of its thread when the thread ends.
    struct AtEnd(std::cell::OnceCell<std::sync::mpsc::Sender<Shard>>);

    impl Drop for AtEnd {
        fn drop(&mut self) {
            let send = self.0.get().expect("set by the thread");
            send.send(Shard::current()).unwrap();
        }
    }

    thread_local! {
        static AT_END: AtEnd = const { AtEnd(std::cell::OnceCell::new()) };
    }

    /// Returns two shards of one thread: while it runs, and in a destructor. The destructor runs
    /// after the one that frees the index (`is_after`) or before it: destructors run in the reverse
    /// order of the first uses.
    fn shards(is_after: bool) -> [Shard; 2] {
        let (send, receive) = std::sync::mpsc::channel();
        let running = std::thread::spawn(move || {
            let before = (!is_after).then(Shard::current);
            AT_END.with(|at_end| at_end.0.set(send).unwrap());
            before.unwrap_or_else(Shard::current)
        });
        let running = running.join().unwrap();
        [running, receive.recv().unwrap()]
    }

    /// After an ending thread has freed its index, it does not count under it: another thread may own the
    /// index by then, and owners count without atomic additions.
    #[test]
    fn an_ending_thread_does_not_use_its_freed_index() {
        let _lock = lock_indices();
        let owned =
            || (0..100).map(|_| shards(true)).find(|[running, _]| running.owned().is_some());
        let [_, ending] = owned().expect("a free index");
        assert_eq!(ending.owned(), None, "counts under a freed index");
        let owned =
            || (0..100).map(|_| shards(false)).find(|[running, _]| running.owned().is_some());
        let [running, ending] = owned().expect("a free index");
        assert_eq!(ending, running, "the index is not freed yet");
    }
}
