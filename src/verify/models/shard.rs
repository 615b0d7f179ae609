//! Shard indices: a thread that reuses an index continues from the counts of its previous owner.

use super::{assert_caught, assert_holds};
use crate::sync::shard::ShardPool;
use crate::sync::{AtomicU64, Ordering::Relaxed};
use loom::thread;
use std::sync::Arc;

/// Runs two threads that each allocate an index, count once under it and free it.
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

/// Guarantee D: a thread that reuses an index continues from the counts of its previous owner.
#[test]
fn index_reuse() {
    assert_holds("index_reuse", None, 20, race);
    assert_caught("index_reuse", None, "ShardAllocateRelaxed", race);
    assert_caught("index_reuse", None, "ShardFreeRelaxed", race);
}
