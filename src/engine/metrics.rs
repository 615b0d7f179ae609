//! The counters of statistics. Up to 64 threads at a time count in cache lines of their own. All
//! others share one shard.

use crate::sync::alloc::{OutOfMemory, vector};
use crate::sync::shard::{SHARDS, SHARED, Shard};
use crate::sync::{Ordering::Relaxed, Statistic};
use std::hint::cold_path;

/// The counters of one shard. They are aligned to two cache lines, since the CPU prefetches lines in
/// pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Counters<const N: usize>([Statistic; N]);

/// `N` counters in shards.
#[derive(Debug)]
pub(crate) struct Metrics<const N: usize> {
    shards: Box<[Counters<N>; SHARDS]>,
}

impl<const N: usize> Metrics<N> {
    pub(crate) fn new() -> Result<Self, OutOfMemory> {
        let mut shards = vector(SHARDS)?;
        shards.resize_with(SHARDS, || Counters(std::array::from_fn(|_| Statistic::new(0))));
        let shards = shards.into_boxed_slice().try_into().map_err(|_| OutOfMemory)?;
        Ok(Metrics { shards })
    }

    /// Adds these amounts to the counters with these indices.
    // Several at once, so that the shard is looked up once.
    #[inline(always)]
    pub(crate) fn add<const COUNT: usize>(&self, amounts: [(usize, u64); COUNT], shard: Shard) {
        match shard.owned() {
            Some(own) => {
                for (index, amount) in amounts {
                    let own = &self.shards[own].0[index];
                    // Relaxed: no other thread writes here.
                    own.store(own.load(Relaxed).wrapping_add(amount), Relaxed);
                }
            }
            None => {
                cold_path();
                for (index, amount) in amounts {
                    self.shards[SHARED].0[index].fetch_add(amount, Relaxed);
                }
            }
        }
    }

    /// Returns the sum of a counter over all shards. It wraps around.
    pub(crate) fn sum(&self, index: usize) -> u64 {
        // Relaxed: exact for joined threads, possibly outdated for running ones.
        let counts = self.shards.iter().map(|counters| counters.0[index].load(Relaxed));
        counts.fold(0, u64::wrapping_add)
    }

    /// The bytes of all shards.
    pub(crate) const BYTES: usize = size_of::<[Counters<N>; SHARDS]>();
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::*;

    #[test]
    fn more_threads_than_shards_lose_no_count() {
        const THREADS: usize = SHARDS + 3;
        let _lock = crate::sync::shard::tests::lock_indices();
        let metrics = Metrics::<4>::new().unwrap();
        let expected = std::sync::atomic::AtomicU64::new(0);
        // More threads than shards must run at the same time, or none of them shares a shard.
        let all_have_a_shard = std::sync::Barrier::new(THREADS);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let shard = Shard::current();
                    all_have_a_shard.wait();
                    let counts = if shard.owned().is_none() { 5_000_000 } else { 10_000 };
                    (0..counts).for_each(|_| metrics.add([(1, 1), (2, 3)], shard));
                    metrics.add([(3, 1)], shard);
                    expected.fetch_add(counts, Relaxed);
                });
            }
        });
        let counted = expected.into_inner();
        let expected = [0, counted, 3 * counted, THREADS as u64];
        assert_eq!([0, 1, 2, 3].map(|index| metrics.sum(index)), expected);
    }
}
