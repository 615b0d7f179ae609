//! How often things have happened: counted by each thread in a cache line of its own.

use crate::fallible::{OutOfMemory, vector};
use crate::shard::{SHARDS, SHARED, Shard};
use crate::sync::{Ordering::Relaxed, Statistic};

/// What can happen to a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Admitted,
    Denied,
    Refused,
    Untracked,
}

const EVENTS: usize = 4;

/// One thread's counts: alone on a line, with the one that the processor fetches beside it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counts([Statistic; EVENTS]);

#[derive(Debug)]
pub(crate) struct Tally {
    shards: Box<[Counts; SHARDS]>,
}

impl Tally {
    pub(crate) fn new() -> Result<Self, OutOfMemory> {
        let mut shards = vector(SHARDS)?;
        shards.resize_with(SHARDS, Counts::default);
        let shards = shards.into_boxed_slice().try_into().map_err(|_| OutOfMemory)?;
        Ok(Tally { shards })
    }

    #[inline(always)]
    pub(crate) fn count(&self, event: Event, shard: Shard) {
        let count = |shard: usize| &self.shards[shard].0[event as usize];
        match shard.owned() {
            // Relaxed: nobody else writes here.
            Some(own) => count(own).store(count(own).load(Relaxed).wrapping_add(1), Relaxed),
            None => {
                count(SHARED).fetch_add(1, Relaxed);
            }
        }
    }

    pub(crate) fn sum(&self, event: Event) -> u64 {
        // Relaxed: exact for threads that were joined, and as good as any number for the others.
        self.shards.iter().map(|counts| counts.0[event as usize].load(Relaxed)).sum()
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.shards)
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::*;

    #[test]
    fn loses_nothing_among_more_threads_than_shards() {
        const THREADS: usize = SHARDS + 3;
        let _lock = crate::shard::tests::lock_numbers();
        let tally = Tally::new().unwrap();
        let due = std::sync::atomic::AtomicU64::new(0);
        // Threads share a number only if all run at the same time; those that do count for long.
        let all_have_one = std::sync::Barrier::new(THREADS);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let shard = Shard::mine();
                    all_have_one.wait();
                    let counts = if shard.owned().is_none() { 5_000_000 } else { 10_000 };
                    (0..counts).for_each(|_| tally.count(Event::Denied, shard));
                    tally.count(Event::Refused, shard);
                    due.fetch_add(counts, Relaxed);
                });
            }
        });
        let sums = [Event::Admitted, Event::Denied, Event::Refused, Event::Untracked];
        let due = [0, due.into_inner(), THREADS as u64, 0];
        assert_eq!(sums.map(|event| tally.sum(event)), due);
    }
}
