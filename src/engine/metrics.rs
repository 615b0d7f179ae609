//! Statistics of decisions. Up to 64 threads at a time count in cache lines of their own. All
//! others share one shard.

use crate::sync::alloc::{OutOfMemory, vector};
use crate::sync::shard::{SHARDS, SHARED, Shard};
use crate::sync::{Ordering::Relaxed, Statistic};
use std::hint::cold_path;

/// The outcome of a charge, for the statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Admitted,
    /// The charge passed uncounted because the table was full.
    Untracked,
    /// There was no room under the limit.
    Denied,
    /// The table had no slot for the key.
    Refused,
}

const EVENTS: usize = 4;

/// The counts of one shard. They are aligned to two cache lines, since the CPU prefetches lines in
/// pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counts([Statistic; EVENTS]);

/// The statistics of one policy.
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
        let statistic = |shard: usize| &self.shards[shard].0[event as usize];
        match shard.owned() {
            // Relaxed: no other thread writes here.
            Some(own) => {
                let own = statistic(own);
                own.store(own.load(Relaxed).wrapping_add(1), Relaxed);
            }
            None => {
                cold_path();
                statistic(SHARED).fetch_add(1, Relaxed);
            }
        }
    }

    pub(crate) fn sum(&self, event: Event) -> u64 {
        // Relaxed: exact for joined threads, possibly outdated for running ones.
        self.shards.iter().map(|counts| counts.0[event as usize].load(Relaxed)).sum()
    }

    /// The bytes of a policy's statistics.
    pub(crate) const BYTES: usize = size_of::<[Counts; SHARDS]>();
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::*;

    #[test]
    fn more_threads_than_shards_lose_no_count() {
        const THREADS: usize = SHARDS + 3;
        let _lock = crate::sync::shard::tests::lock_indices();
        let metrics = Metrics::new().unwrap();
        let expected = std::sync::atomic::AtomicU64::new(0);
        // More threads than shards must run at the same time, or none of them shares a shard.
        let all_have_a_shard = std::sync::Barrier::new(THREADS);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let shard = Shard::current();
                    all_have_a_shard.wait();
                    let counts = if shard.owned().is_none() { 5_000_000 } else { 10_000 };
                    (0..counts).for_each(|_| metrics.count(Event::Denied, shard));
                    metrics.count(Event::Refused, shard);
                    expected.fetch_add(counts, Relaxed);
                });
            }
        });
        let events = [Event::Admitted, Event::Denied, Event::Refused, Event::Untracked];
        let expected = [0, expected.into_inner(), THREADS as u64, 0];
        assert_eq!(events.map(|event| metrics.sum(event)), expected);
    }
}
