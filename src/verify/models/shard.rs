//! Numbers of threads: what the one before has counted is not lost.

use super::{catches, holds};
use crate::sync::shard::ShardPool;
use crate::sync::{AtomicU64, Ordering::Relaxed};
use crate::verify::mutants::Breakage;
use loom::thread;
use std::sync::Arc;

/// Two threads that each count once, one after the other or at the same time.
fn race() {
    let shared = Arc::new((ShardPool::new(), [AtomicU64::new(0), AtomicU64::new(0)]));
    let count = |shared: &(ShardPool, [AtomicU64; 2])| {
        let (pool, counts) = shared;
        let index = pool.allocate().expect("a free index");
        let count = &counts[usize::from(index)];
        count.store(count.load(Relaxed) + 1, Relaxed);
        pool.free(index);
    };
    let other = {
        let shared = shared.clone();
        thread::spawn(move || count(&shared))
    };
    count(&shared);
    other.join().unwrap();
    let sum: u64 = shared.1.iter().map(|count| count.load(Relaxed)).sum();
    assert_eq!(sum, 2, "a count was lost");
}

#[test]
fn handed_on() {
    holds("handed_on", None, 5, race);
    catches("handed_on", None, Breakage::TakeRelaxed, race);
    catches("handed_on", None, Breakage::HandOnRelaxed, race);
}
