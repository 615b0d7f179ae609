//! A control without a limiter: a bare table that grows. It is a lower bound for new keys in a
//! table with one cache line for each key and few empty lines.

use super::control::NONE;
use crate::keys::KeyKind;
use crate::peer::{Guarantees, Peer, Setting};
use crate::slots::{DENSE, FIRST, Slots, nonzero_hash};
use memmap2::MmapMut;
use std::sync::Mutex;
use std::sync::atomic::Ordering::*;

/// A table in the layout of this project's tables, with one cache line for each key. It grows by
/// half, as they do, but moves all keys at once.
#[derive(Debug)]
pub struct GrowingTable {
    /// The mutex is never contended, as in [`FirstTouch`](super::FirstTouch).
    table: Mutex<Table>,
    hasher: ahash::RandomState,
}

#[derive(Debug)]
struct Table {
    /// Zeroed by the system.
    blocks: [MmapMut; 2],
    capacity: usize,
    keys: usize,
}

impl Table {
    fn of(capacity: usize) -> Self {
        let bytes = Slots::<DENSE>::bytes(capacity);
        let blocks = bytes.map(|bytes| MmapMut::map_anon(bytes).expect("memory for a table"));
        Table { blocks, capacity, keys: 0 }
    }

    fn slots(&mut self) -> Slots<'_, DENSE> {
        Slots::from_zeroed(self.blocks.each_mut().map(|block| &mut block[..]))
    }

    fn grow(&mut self) {
        let mut next = Table::of(self.capacity + self.capacity / 2);
        next.keys = self.keys;
        let to = next.slots();
        for (hash, words) in self.slots().all() {
            for (to, word) in to.find_or_insert(hash).iter().zip(words) {
                to.store(word.load(Relaxed), Relaxed);
            }
        }
        *self = next;
    }
}

impl<K: KeyKind> Peer<K> for GrowingTable {
    const NAME: &'static str = "control-table";
    const GUARANTEES: Guarantees =
        Guarantees { memory: "grows with its keys", locks: "a lock", ..NONE };

    fn new(_: &Setting) -> Self {
        GrowingTable { table: Mutex::new(Table::of(FIRST)), hasher: ahash::RandomState::new() }
    }

    #[inline]
    fn check(&self, key: &K) -> bool {
        let mut table = self.table.lock().expect("no holder panics");
        if table.keys == table.capacity {
            table.grow();
        }
        let hash = nonzero_hash(self.hasher.hash_one(key.borrowed()));
        let slots = table.slots();
        slots.prefetch_entry(hash);
        let count = &slots.find_or_insert(hash)[0];
        let old = count.load(Relaxed);
        let raised = count.compare_exchange(old, old + 1, Release, Relaxed).is_ok();
        table.keys += usize::from(old == 0);
        raised
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn growth_keeps_all_counts() {
        let setting = Setting { limit: 1, window: Duration::from_secs(1), max_keys: 1 };
        let peer = <GrowingTable as Peer>::new(&setting);
        for _ in 0..3 {
            assert!((0..10_000).all(|counter| peer.check(&u64::of(counter))));
        }
        let mut table = peer.table.into_inner().unwrap();
        assert!(table.capacity > 10_000);
        let counts: Vec<_> = table.slots().all().map(|(_, words)| words[0].load(Relaxed)).collect();
        assert_eq!(counts, [3; 10_000]);
    }
}
