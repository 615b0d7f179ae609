//! Statistics of decisions, counted by each thread in a cache line of its own.

use crate::sync::alloc::{OutOfMemory, vector};
use crate::sync::shard::{SHARDS, SHARED, Shard};
use crate::sync::{Ordering::Relaxed, Statistic};

/// The outcome of a charge, for the statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Admitted,
    Denied,
    Refused,
    Untracked,
}

const EVENTS: usize = 4;

/// One thread's counts, in a cache line of its own and the one that the processor fetches with it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counts([Statistic; EVENTS]);

#[derive(Debug)]
pub(crate) struct Metrics {
    shards: Box<[Counts; SHARDS]>,
}

impl Metrics {
    pub(crate) fn new() -> Result<Self, OutOfMemory> {
        let mut shards = vector(SHARDS)?;
        shards.resize_with(SHARDS, Counts::default);
        let shards = shards.into_boxed_slice().try_into().map_err(|_| OutOfMemory)?;
        Ok(Metrics { shards })
    }

    #[inline(always)]
    pub(crate) fn count(&self, event: Event, shard: Shard) {
        let count = |shard: usize| &self.shards[shard].0[event as usize];
        match shard.owned() {
            // Relaxed: no other thread writes here.
            Some(own) => count(own).store(count(own).load(Relaxed).wrapping_add(1), Relaxed),
            None => {
                count(SHARED).fetch_add(1, Relaxed);
            }
        }
    }

    pub(crate) fn sum(&self, event: Event) -> u64 {
        // Relaxed: exact for threads that were joined; a snapshot for the others.
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
        let metrics = Metrics::new().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        metrics.count(Event::Denied, Shard::current());
                    }
                    metrics.count(Event::Refused, Shard::current());
                });
            }
        });
        let sums = [Event::Admitted, Event::Denied, Event::Refused, Event::Untracked];
        assert_eq!(sums.map(|event| metrics.sum(event)), [0, 1_000_000, 100, 0]);
    }
}
