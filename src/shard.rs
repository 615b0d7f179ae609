//! A small number for each thread, so that threads count without sharing a cache line.
//!
//! A number is held by one thread at a time and given back when that thread ends. A thread that is
//! killed keeps its number for good. Threads that find none left share one.

use crate::breakage::{Breakage, ordering};
use crate::sync::{AtomicU64, Ordering::*};
use std::cell::Cell;

/// Numbers that a thread can have for itself.
const OWNED: u8 = 64;
/// The shard of all threads that have none of their own.
pub(crate) const SHARED: usize = OWNED as usize;
/// How many shards there are: one for each number, and the shared one.
pub(crate) const SHARDS: usize = SHARED + 1;
/// The thread has not asked yet.
const UNKNOWN: u8 = u8::MAX;

/// The numbers that are taken, a bit for each.
#[derive(Debug)]
pub(crate) struct Numbers(AtomicU64);

impl Numbers {
    #[cfg(not(all(test, tollgate_model)))]
    const fn new() -> Self {
        Numbers(AtomicU64::new(0))
    }

    #[cfg(all(test, tollgate_model))]
    pub(crate) fn new() -> Self {
        Numbers(AtomicU64::new(0))
    }

    /// The lowest that is free.
    pub(crate) fn take(&self) -> Option<u8> {
        // Acquire: this owner goes on from the counts of the one before. Pairs with `give_back`.
        // Model: handed_on with TakeRelaxed.
        let acquire = ordering(Breakage::TakeRelaxed, Acquire);
        let free = |taken: u64| (taken != u64::MAX).then(|| taken | (taken + 1));
        let before = self.0.fetch_update(acquire, Relaxed, free).ok()?;
        Some(before.trailing_ones() as u8)
    }

    pub(crate) fn give_back(&self, number: u8) {
        // Release: pairs with `take`. Model: handed_on with HandOnRelaxed.
        let release = ordering(Breakage::HandOnRelaxed, Release);
        let before = self.0.fetch_and(!(1 << number), release);
        debug_assert!(before & (1 << number) != 0, "a number was given back twice");
    }
}

thread_local! {
    static NUMBER: Cell<u8> = const { Cell::new(UNKNOWN) };
}

/// The shard of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard(u8);

impl Shard {
    #[inline(always)]
    pub(crate) fn mine() -> Self {
        let number = NUMBER.get();
        Shard(if number == UNKNOWN { take() } else { number })
    }

    /// The number of this thread's own shard; `None` if it counts in the [`SHARED`] one.
    #[inline(always)]
    pub(crate) fn owned(self) -> Option<usize> {
        (self.0 < OWNED).then_some(usize::from(self.0))
    }
}

#[cfg(not(all(test, tollgate_model)))]
mod hold {
    use super::{NUMBER, Numbers, OWNED};

    static TAKEN: Numbers = Numbers::new();

    thread_local! {
        /// Gives the number back when the thread ends.
        static HOLD: Hold = const { Hold };
    }

    struct Hold;

    impl Drop for Hold {
        fn drop(&mut self) {
            // What else this thread counts while it ends goes to the shared one.
            let keeps = crate::breakage::broken(crate::breakage::Breakage::CountsAfterReturn);
            let number = if keeps { NUMBER.get() } else { NUMBER.replace(OWNED) };
            if number < OWNED {
                TAKEN.give_back(number);
            }
        }
    }

    #[cold]
    pub(super) fn take() -> u8 {
        // Without its end in sight a thread must not own a number.
        let number = HOLD.try_with(|_| TAKEN.take()).ok().flatten().unwrap_or(OWNED);
        NUMBER.set(number);
        number
    }
}

#[cfg(not(all(test, tollgate_model)))]
use hold::take;

/// A checker's threads have no end of their own.
#[cfg(all(test, tollgate_model))]
fn take() -> u8 {
    OWNED
}

#[cfg(all(test, not(tollgate_model)))]
pub(crate) mod tests {
    use super::*;
    use std::sync::{Arc, Barrier, Mutex, MutexGuard, PoisonError};

    /// Keeps the other tests from taking most numbers until it is dropped.
    pub(crate) fn lock_numbers() -> MutexGuard<'static, ()> {
        static LOCK: Mutex<()> = Mutex::new(());
        LOCK.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[test]
    fn a_number_has_one_owner_and_comes_back() {
        const THREADS: usize = 100;
        let _lock = lock_numbers();
        for _ in 0..3 {
            let all_have_one = Arc::new(Barrier::new(THREADS));
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    let all_have_one = all_have_one.clone();
                    std::thread::spawn(move || {
                        let shard = Shard::mine();
                        assert_eq!(shard, Shard::mine());
                        all_have_one.wait();
                        shard
                    })
                })
                .collect();
            let shards: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            let mut owned: Vec<_> = shards.iter().filter_map(|shard| shard.owned()).collect();
            // Other tests of this process hold a few.
            assert!(owned.len() > 32, "{}", owned.len());
            owned.sort_unstable();
            assert!(owned.windows(2).all(|pair| pair[0] != pair[1]), "one number, two threads");
            assert!(owned.iter().all(|number| *number < SHARED));
        }
    }

    /// Sends the shard of its thread when that thread ends.
    struct AtEnd(std::cell::OnceCell<std::sync::mpsc::Sender<Shard>>);

    impl Drop for AtEnd {
        fn drop(&mut self) {
            let send = self.0.get().expect("set by the thread");
            send.send(Shard::mine()).unwrap();
        }
    }

    thread_local! {
        static AT_END: AtEnd = const { AtEnd(std::cell::OnceCell::new()) };
    }

    /// The shards of one thread: while it runs, and in a destructor that runs after the one that
    /// gives its number back (`is_after`) or before it. Destructors run in the reverse order of the
    /// first uses.
    fn shards(is_after: bool) -> [Shard; 2] {
        let (send, receive) = std::sync::mpsc::channel();
        let running = std::thread::spawn(move || {
            let before = (!is_after).then(Shard::mine);
            AT_END.with(|at_end| at_end.0.set(send).unwrap());
            before.unwrap_or_else(Shard::mine)
        });
        let running = running.join().unwrap();
        [running, receive.recv().unwrap()]
    }

    /// A thread that ends owns its number until its number is back, and none from then on: the next
    /// thread may own it, and would count beside it without an atomic addition.
    #[test]
    fn an_ending_thread_counts_under_no_number_that_is_back() {
        let _lock = lock_numbers();
        let owned =
            || (0..100).map(|_| shards(true)).find(|[running, _]| running.owned().is_some());
        let [_, ending] = owned().expect("a free number");
        assert_eq!(ending.owned(), None, "counts under a number that is back");
        let owned =
            || (0..100).map(|_| shards(false)).find(|[running, _]| running.owned().is_some());
        let [running, ending] = owned().expect("a free number");
        assert_eq!(ending, running, "its number is not back yet");
    }
}
