//! No limiter: a bare table that grows, which is what new keys cost at the least where each has a line
//! of memory and few lines are empty.

use super::control::NONE;
use crate::keys::KeyKind;
use crate::peer::{Peer, Promises, Setting};
use crate::places::{DENSE, FIRST, Places, settled};
use memmap2::MmapMut;
use std::sync::Mutex;
use std::sync::atomic::Ordering::*;

/// A line for each key, in a table laid out as this project's are. It grows by half, as they do, and
/// moves all keys at once.
#[derive(Debug)]
pub struct GrowingTable {
    /// Behind a mutex that nobody else takes, as in [`FirstTouch`](super::FirstTouch).
    table: Mutex<Table>,
    hasher: ahash::RandomState,
}

#[derive(Debug)]
struct Table {
    /// As the system hands them out: all zeros.
    blocks: [MmapMut; 2],
    room: usize,
    keys: usize,
}

impl Table {
    fn of(room: usize) -> Self {
        let bytes = Places::<DENSE>::bytes(room);
        let blocks = bytes.map(|bytes| MmapMut::map_anon(bytes).expect("memory for a table"));
        Table { blocks, room, keys: 0 }
    }

    fn places(&mut self) -> Places<'_, DENSE> {
        Places::of(self.blocks.each_mut().map(|block| &mut block[..]))
    }

    fn grow(&mut self) {
        let mut next = Table::of(self.room + self.room / 2);
        next.keys = self.keys;
        let to = next.places();
        for (hash, words) in self.places().all() {
            for (to, word) in to.words(hash).iter().zip(words) {
                to.store(word.load(Relaxed), Relaxed);
            }
        }
        *self = next;
    }
}

impl<K: KeyKind> Peer<K> for GrowingTable {
    const NAME: &'static str = "control-table";
    const PROMISES: Promises =
        Promises { memory: "grows with its keys", waiting: "a lock", ..NONE };

    fn new(_: &Setting) -> Self {
        GrowingTable { table: Mutex::new(Table::of(FIRST)), hasher: ahash::RandomState::new() }
    }

    #[inline]
    fn check(&self, key: &K) -> bool {
        let mut table = self.table.lock().expect("no holder panics");
        if table.keys == table.room {
            table.grow();
        }
        let hash = settled(self.hasher.hash_one(key.borrowed()));
        let places = table.places();
        places.ask_for(hash);
        let count = &places.words(hash)[0];
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
    fn counts_are_kept_while_it_grows() {
        let setting = Setting { limit: 1, window: Duration::from_secs(1), max_keys: 1 };
        let peer = <GrowingTable as Peer>::new(&setting);
        for _ in 0..3 {
            assert!((0..10_000).all(|counter| peer.check(&u64::of(counter))));
        }
        let mut table = peer.table.into_inner().unwrap();
        assert!(table.room > 10_000);
        let counts: Vec<_> =
            table.places().all().map(|(_, words)| words[0].load(Relaxed)).collect();
        assert_eq!(counts, [3; 10_000]);
    }
}
