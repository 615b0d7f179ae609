//! The size of the next array: pure arithmetic.

use super::tags::GROUP;

/// Keys of the smallest array.
const MIN_CAPACITY: usize = if MODEL { 1 } else { 192 };
/// Slots moved at a time where most of them are in use.
pub(super) const FINE_CHUNK: usize = if MODEL { 1 } else { 16 };
/// Slots moved at a time where few of them are in use: an unused one costs little.
const COARSE_CHUNK: usize = if MODEL { 2 } else { 256 };
/// Threads that may insert at the same moment.
const MAX_INSERTING_THREADS: usize = if MODEL { 8 } else { 256 };
/// No array shrinks by more than this factor. Keys that are charged again between the sample and
/// the move were not counted as live; the floor keeps their probes short.
const MAX_SHRINK: usize = 16;

const MODEL: bool = cfg!(all(test, tollgate_model));

/// The dimensions of one array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Slots that keys hash to: whole groups.
    pub(crate) home_slots: usize,
    /// All slots: whole groups.
    ///
    /// Those after the home slots take the keys that spill over the end. They would hold every key
    /// even if all hashed to the last home group. Their pages are hardly ever touched.
    pub(crate) slots: usize,
    /// New keys may enter while there are fewer keys than this: at most 15/16 of the home slots, so
    /// that probes stay short.
    pub(crate) capacity: usize,
    /// Slots of the previous array that one charge moves.
    pub(crate) chunk_len: usize,
}

impl Size {
    /// The size of a table's first array. It is small whatever the bound, because memory grows with
    /// the keys.
    pub(crate) fn first(max_keys: usize) -> Self {
        Self::for_capacity(max_keys.min(MIN_CAPACITY), 0, FINE_CHUNK)
    }

    /// The size of the array after this one, which has `claimed` keys, of which at most `live` are
    /// moved.
    ///
    /// Up to `max_keys`, its capacity is at least 1.5 times the live keys. It is also at least the
    /// live keys plus two for each chunk: each key that is inserted during the move first moves a
    /// chunk, so the move ends before the array is full.
    pub(crate) fn next(self, claimed: usize, live: usize, max_keys: usize) -> Self {
        let chunk_len = if live >= self.home_slots / 8 { FINE_CHUNK } else { COARSE_CHUNK };
        let chunks = self.home_slots.div_ceil(chunk_len);
        let min = capacity_of(self.home_slots / MAX_SHRINK).max(MIN_CAPACITY);
        let capacity = (live + live / 2).max(live + 2 * chunks).max(min).min(max_keys);
        Self::for_capacity(capacity, claimed.max(self.capacity), chunk_len)
    }

    /// The size of a next array with the same capacity.
    #[cfg(all(test, tollgate_model))]
    pub(crate) fn unchanged(self) -> Self {
        Self { chunk_len: FINE_CHUNK, ..self }
    }

    /// The size for `capacity` keys, one more from each thread that inserts at the same moment, and
    /// `moved` keys that are moved in regardless of the capacity.
    fn for_capacity(capacity: usize, moved: usize, chunk_len: usize) -> Self {
        let groups = capacity.saturating_add(capacity / 15) / GROUP + 1;
        let home_slots = groups.saturating_mul(GROUP);
        let most = capacity.saturating_add(moved).saturating_add(MAX_INSERTING_THREADS);
        let slots = home_slots.saturating_add(most.div_ceil(GROUP).saturating_mul(GROUP));
        Size { home_slots, slots, capacity, chunk_len }
    }
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
            let size = Size::for_capacity(capacity, 0, FINE_CHUNK);
            let claimed = (capacity as f64 * share) as usize;
            let live = (claimed as f64 * idle) as usize;
            let next = size.next(claimed, live, usize::MAX / 8);
            prop_assert!(next.home_slots * 15 / 16 >= next.capacity);
            prop_assert!(
                next.slots >= next.home_slots + next.capacity + claimed + MAX_INSERTING_THREADS
            );
            prop_assert!(next.capacity >= live + size.home_slots.div_ceil(next.chunk_len));
            prop_assert!(next.capacity >= live + live / 2);
        }
    }
}
