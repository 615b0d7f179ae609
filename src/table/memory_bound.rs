//! A bound on the memory of a table, known before the table is made: pure arithmetic.
//!
//! A table has at most two arrays, and none is larger than one for `max_keys` keys. The bound counts two
//! of these. It does not count replaced arrays that another thread or a session can still read.

use super::prefetch::CACHE_LINE;
use super::size::{FINE_CHUNK, Size};

/// Bytes of the smallest block that is a memory map. Smaller blocks come from the allocator.
pub(super) const MIN_MAP: usize = if cfg!(unix) { 64 << 10 } else { usize::MAX };
/// Bytes of the largest page. A page of a map takes memory once any byte of it is touched.
const PAGE: usize = 64 << 10;
/// The number of spill slots that may be touched.
///
/// In an array at its capacity, the number of spilled keys exceeds *n* with a probability of about
/// exp(-0.129 *n*) if the hashes are random: the home groups are a queue that takes 8 keys at a time,
/// and 7.5 arrive on average. For 512 this is less than 2^-90.
const SPILL_SLOTS: usize = 512;

/// The parts of a table whose sizes depend on the type of its counters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) slot_bytes: usize,
    pub(super) generation_bytes: usize,
    /// Whether live keys may be evicted, so that ages are kept.
    pub(super) evicts: bool,
}

impl Layout {
    /// The most bytes that a table for this many keys can take. Saturates.
    pub(super) fn bound(self, max_keys: usize) -> usize {
        let size = Size::largest(max_keys);
        let age_bytes = if self.evicts { size_of::<u16>() } else { 0 };
        let arrays = [self.slot_bytes, size_of::<u8>(), age_bytes].map(|each| column(size, each));
        let chunks = size.home_slots.div_ceil(FINE_CHUNK);
        let flags = chunks.div_ceil(u64::BITS as usize).saturating_mul(size_of::<u64>());
        let generation = arrays.into_iter().fold(self.generation_bytes, usize::saturating_add);
        generation.saturating_add(flags).saturating_mul(2)
    }
}

/// The most bytes in use of a block with `each` bytes for each slot.
fn column(size: Size, each: usize) -> usize {
    let reserved = size.slots.saturating_mul(each);
    let touched = size.slots.min(size.home_slots.saturating_add(SPILL_SLOTS)).saturating_mul(each);
    match reserved {
        0 => 0,
        _ if reserved < MIN_MAP => reserved + CACHE_LINE,
        _ => touched
            .checked_next_multiple_of(PAGE)
            .map_or(usize::MAX, |pages| pages.saturating_add(CACHE_LINE)),
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A table for more keys has no smaller bound, so that a search finds the greatest number of keys
        /// within a number of bytes. The bound is at least two arrays of home slots, and not much more for
        /// a large table.
        #[test]
        fn the_bound_grows_with_the_keys(
            keys in 1usize..1 << 26, more in 0usize..100, words in 1usize..128, evicts: bool,
        ) {
            let slot_bytes = 8 + 8 * words;
            let layout = Layout { slot_bytes, generation_bytes: 600, evicts };
            let bound = layout.bound(keys);
            prop_assert!(bound <= layout.bound(keys.saturating_add(more)));
            let arrays = 2 * Size::largest(keys).home_slots * (slot_bytes + 1 + 2 * usize::from(evicts));
            prop_assert!(bound > arrays);
            prop_assert!(keys < 100_000 || bound < arrays + arrays / 10 + (1 << 20), "{bound}: {arrays}");
        }
    }

    #[test]
    fn the_bound_saturates() {
        let layout = Layout { slot_bytes: 1_024, generation_bytes: 600, evicts: true };
        assert_eq!(layout.bound(usize::MAX), usize::MAX);
        assert!(layout.bound(1) < 1 << 20);
    }
}
