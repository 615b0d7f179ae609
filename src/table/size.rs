//! The size of the next array: pure arithmetic.

use super::prefetch::CACHE_LINE;
use super::tags::GROUP;

/// Keys of the smallest array.
const MIN_CAPACITY: usize = if MODEL { 1 } else { 192 };
/// Slots of a chunk if at least an eighth of the old array's slots have a live key.
pub(super) const FINE_CHUNK: usize = if MODEL { 1 } else { 2 };
/// Slots of a chunk if fewer have a live key. A slot without one takes less time to move.
const COARSE_CHUNK: usize = if MODEL { 2 } else { 4 };
/// Fine chunks that a new key moves.
const FINE_CHUNKS_PER_NEW_KEY: usize = if LOOM {
    1
} else if MODEL {
    2
} else {
    8
};
/// Coarse chunks that a new key moves.
const COARSE_CHUNKS_PER_NEW_KEY: usize = if MODEL { 1 } else { 96 };
/// An array whose slots take at most this many bytes stays in the fastest caches.
const SMALL_BYTES: usize = 1 << 18;
/// The greatest number of threads that insert at the same moment.
const MAX_INSERTING_THREADS: usize = if MODEL { 8 } else { 256 };
/// No array shrinks by more than this factor. A key that has expired when the sample is taken, but
/// is charged again before it is moved, is not counted as live. This bound keeps probes short even
/// if there are many such keys.
const MAX_SHRINK: usize = 16;

const MODEL: bool = cfg!(all(test, tollgate_model));
const LOOM: bool = cfg!(all(test, tollgate_model, not(tollgate_shuttle)));

/// The dimensions of one array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// The slots that keys hash to, in whole groups.
    pub(crate) home_slots: usize,
    /// All slots, in whole groups.
    ///
    /// Those after the home slots take the keys that spill over the end. They would hold every key
    /// that the array can have (T3), even if all hashed to the last home group. Their pages are hardly
    /// ever touched.
    pub(crate) slots: usize,
    /// New keys may enter while there are fewer keys than this: at most 15/16 of the home slots, so
    /// that probes stay short.
    pub(crate) capacity: usize,
    /// The number of slots of the previous array in one chunk.
    pub(crate) chunk_len: usize,
}

impl Size {
    /// The size of a table's first array. It is small whatever the bound, because memory grows with
    /// the keys.
    pub(crate) fn first(max_keys: usize) -> Self {
        let capacity = max_keys.min(MIN_CAPACITY);
        Self::for_capacity(capacity, capacity, FINE_CHUNK)
    }

    /// The size of the largest array of a table. No array of the table has more home slots or more
    /// slots.
    pub(super) fn largest(max_keys: usize) -> Self {
        Self::for_capacity(max_keys, max_keys, FINE_CHUNK)
    }

    /// The size of the next array. This one has `claimed` keys, and at most `live` of them are
    /// moved.
    ///
    /// Its capacity is at least 5/3 of the live keys, and at least the live keys plus twice the
    /// number of new keys that complete the move, but at most `max_keys`. Each key that is inserted
    /// during the move first moves [`chunks_per_new_key`](Self::chunks_per_new_key) chunks. So the
    /// move ends before the array is full, unless `max_keys` bounds the capacity. Known keys need
    /// no room of their own, since they are among the live keys.
    pub(crate) fn next(self, claimed: usize, live: usize, max_keys: usize) -> Self {
        let chunk_len = if live >= self.home_slots / 8 { FINE_CHUNK } else { COARSE_CHUNK };
        let new_keys = self.home_slots.div_ceil(slots_per_new_key(chunk_len));
        let min = capacity_of(self.home_slots / MAX_SHRINK).max(MIN_CAPACITY);
        let capacity = (live + live * 2 / 3).max(live + 2 * new_keys).max(min).min(max_keys);
        let moved = claimed.max(self.capacity);
        Self::for_capacity(capacity, capacity.saturating_add(moved).min(max_keys), chunk_len)
    }

    /// The number of new keys that complete the move into the next array.
    #[cfg(not(all(test, tollgate_model, not(tollgate_shuttle))))]
    pub(crate) fn new_keys_per_move(self, next: Self) -> usize {
        self.home_slots.div_ceil(slots_per_new_key(next.chunk_len))
    }

    /// The number of chunks that a new key moves.
    pub(crate) fn chunks_per_new_key(self) -> usize {
        chunks_per_new_key(self.chunk_len)
    }

    /// Returns whether at least an eighth of the previous array's slots had a live key.
    pub(crate) fn is_fine(self) -> bool {
        self.chunk_len <= FINE_CHUNK
    }

    /// The size of a next array with the same capacity.
    #[cfg(all(test, tollgate_model))]
    pub(crate) fn unchanged(self) -> Self {
        Self { chunk_len: FINE_CHUNK, ..self }
    }

    /// The size for `capacity` keys. With the keys that are moved in regardless of the capacity, the
    /// array can have `most_keys` keys, and one more from each thread that inserts at the same moment.
    fn for_capacity(capacity: usize, most_keys: usize, chunk_len: usize) -> Self {
        let groups = capacity.saturating_add(capacity / 15) / GROUP + 1;
        let home_slots = groups.saturating_mul(GROUP);
        let most = most_keys.saturating_add(MAX_INSERTING_THREADS);
        let slots = home_slots.saturating_add(most.div_ceil(GROUP).saturating_mul(GROUP));
        Size { home_slots, slots, capacity, chunk_len }
    }
}

/// The charges of known keys for each chunk that they move into an array with `home_slots` slots of
/// `slot_bytes` bytes. The number is larger where the move of a chunk takes more time: in arrays
/// that leave the fastest caches, and for counters of many words.
pub(super) fn charges_per_chunk(slot_bytes: usize, home_slots: usize) -> u64 {
    let charges = match slot_bytes.div_ceil(CACHE_LINE) {
        _ if MODEL => return 2,
        0 | 1 => 1,
        lines => 2 * lines as u64,
    };
    if home_slots * slot_bytes <= SMALL_BYTES { charges } else { 2 * charges }
}

fn chunks_per_new_key(chunk_len: usize) -> usize {
    if chunk_len <= FINE_CHUNK { FINE_CHUNKS_PER_NEW_KEY } else { COARSE_CHUNKS_PER_NEW_KEY }
}

fn slots_per_new_key(chunk_len: usize) -> usize {
    chunk_len * chunks_per_new_key(chunk_len)
}

/// The capacity of an array with this many home slots.
fn capacity_of(home_slots: usize) -> usize {
    home_slots / 16 * 15
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn first_array_is_small() {
        assert_eq!(Size::first(1 << 20).capacity, 192);
        assert_eq!(Size::first(5).capacity, 5);
    }

    proptest! {
        /// Every probe ends, every moved key finds a slot, and the capacity covers the live keys
        /// and those that are inserted during the move.
        #[test]
        fn next_array_holds_the_moved_keys(
            capacity in 1usize..1 << 24, share in 0.0f64..=1.0, idle in 0.0f64..=1.0,
        ) {
            let size = Size::for_capacity(capacity, capacity, FINE_CHUNK);
            let claimed = (capacity as f64 * share) as usize;
            let live = (claimed as f64 * idle) as usize;
            let next = size.next(claimed, live, usize::MAX / 8);
            prop_assert!(next.home_slots * 15 / 16 >= next.capacity);
            prop_assert!(
                next.slots >= next.home_slots + next.capacity + claimed + MAX_INSERTING_THREADS
            );
            prop_assert!(next.capacity >= live + size.new_keys_per_move(next));
            prop_assert!(next.capacity >= live + live / 2);
        }

        /// No array of a table is larger than the largest one, in home slots or in all slots.
        #[test]
        fn no_array_is_larger_than_the_largest(
            max_keys in 1usize..1 << 24, share in 0.0f64..=1.0, live in 0.0f64..=1.0,
        ) {
            let largest = Size::largest(max_keys);
            let mut size = Size::first(max_keys);
            for _ in 0..40 {
                prop_assert!(size.home_slots <= largest.home_slots && size.slots <= largest.slots);
                let claimed = (size.capacity as f64 * share) as usize;
                size = size.next(claimed, (claimed as f64 * live) as usize, max_keys);
            }
        }
    }
}
