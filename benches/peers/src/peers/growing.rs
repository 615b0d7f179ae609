//! No limiter: a bare table that grows, which is what new keys cost at the least where each has a line
//! of memory and few lines are empty.

use super::control::NONE;
use crate::keys::KeyKind;
use crate::peer::{Peer, Promises, Setting};
use crate::places::{DENSE, Places, settled};
use memmap2::MmapMut;
use std::sync::Mutex;
use std::sync::atomic::Ordering::*;

/// Keys of the first table.
const FIRST: usize = 192;

/// A line for each key, in a table as dense as this project's. It grows by half, as that does, and
/// moves all keys at once.
#[derive(Debug)]
pub struct GrowingTable {
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
    const PROMISES: Promises = NONE;

    fn new(_: &Setting) -> Self {
        GrowingTable { table: Mutex::new(Table::of(FIRST)), hasher: ahash::RandomState::new() }
    }

    #[inline]
    fn check(&self, key: &K) -> bool {
        let mut table = self.table.lock().expect("no holder panics");
        if table.keys == table.room {
            table.grow();
        }
        let count = &table.places().words(settled(self.hasher.hash_one(key.borrowed())))[0];
        let old = count.load(Relaxed);
        let raised = count.compare_exchange(old, old + 1, Release, Relaxed).is_ok();
        table.keys += usize::from(old == 0);
        raised
    }
}
