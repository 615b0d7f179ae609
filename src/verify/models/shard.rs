//! Thread numbers: a thread that reuses a number keeps the counts of its previous owner.

use super::{assert_caught, assert_holds};
use crate::sync::shard::ShardPool;
use crate::sync::{AtomicU64, Ordering::Relaxed};
use loom::thread;
use std::sync::Arc;

/// Runs two threads that each take a number, count once under it and release it.
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
    assert_holds("handed_on", None, 5, race);
    assert_caught("handed_on", None, "TakeRelaxed", race);
    assert_caught("handed_on", None, "HandOnRelaxed", race);
}
