//! A small number for each thread, so that threads count without sharing a cache line.
//!
//! A number is held by one thread at a time and given back when that thread ends. A thread that is
//! killed keeps its number for good. Threads that find none left share one.

use crate::sync::{Ordering::*, Statistic};
use std::cell::Cell;

/// Numbers that a thread can have for itself.
const OWNED: u8 = 64;
/// How many shards there are: one for each number, and one that is shared.
pub(crate) const SHARDS: usize = OWNED as usize + 1;
/// The thread has not asked yet.
const UNKNOWN: u8 = u8::MAX;

/// The numbers that are taken, a bit for each.
static TAKEN: Statistic = Statistic::new(0);

thread_local! {
    static NUMBER: Cell<u8> = const { Cell::new(UNKNOWN) };
    /// Gives the number back when the thread ends.
    static HOLD: Hold = const { Hold };
}

struct Hold;

impl Drop for Hold {
    fn drop(&mut self) {
        // What else this thread counts while it ends goes to the shared one.
        let number = NUMBER.replace(OWNED);
        if number < OWNED {
            // Release: the next owner goes on from this one's counts. Pairs with `take`.
            TAKEN.fetch_and(!(1 << number), Release);
        }
    }
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

    #[inline(always)]
    pub(crate) fn index(self) -> usize {
        usize::from(self.0).min(SHARDS - 1)
    }

    /// Whether no other thread counts there.
    #[inline(always)]
    pub(crate) fn is_owned(self) -> bool {
        self.0 < OWNED
    }
}

#[cold]
fn take() -> u8 {
    let free = |taken: u64| (taken != u64::MAX).then(|| taken | (taken + 1));
    // Without its end in sight a thread must not own a number.
    let number = match HOLD.try_with(|_| TAKEN.fetch_update(Acquire, Relaxed, free)) {
        Ok(Ok(before)) => before.trailing_ones() as u8,
        _ => OWNED,
    };
    NUMBER.set(number);
    number
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::*;
    use std::sync::{Arc, Barrier};

    #[test]
    fn a_number_has_one_owner_and_comes_back() {
        const THREADS: usize = 100;
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
            let mut owned: Vec<_> = shards.iter().filter(|shard| shard.is_owned()).collect();
            // Other tests of this process hold a few.
            assert!(owned.len() > 32, "{}", owned.len());
            owned.sort_by_key(|shard| shard.index());
            assert!(owned.windows(2).all(|pair| pair[0] != pair[1]), "one number, two threads");
            assert!(shards.iter().all(|shard| shard.index() < SHARDS));
        }
    }
}
