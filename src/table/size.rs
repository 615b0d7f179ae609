//! How large an array is, after the one before it: pure arithmetic.

use super::tags::GROUP;

/// Keys of the smallest array.
const LEAST_ROOM: usize = if MODEL { 1 } else { 192 };
/// Slots moved at a time where most of them are in use.
pub(super) const FINE_CHUNK: usize = if MODEL { 1 } else { 16 };
/// Slots moved at a time where few of them are: passing over them costs little.
const COARSE_CHUNK: usize = if MODEL { 2 } else { 256 };
/// Threads that insert at the same moment.
const THREADS: usize = if MODEL { 8 } else { 256 };
/// No array is smaller than this part of the one before. Keys that come back to life between the
/// sample and the move are more than were counted: they still find short probes.
const GREATEST_SHRINK: usize = 16;

const MODEL: bool = cfg!(all(test, tollgate_model));

/// The measures of one array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Slots that a key's hash points to: whole groups.
    pub(crate) homes: usize,
    /// All slots. Those after the homes take what spills over the end, and every key if all hashes
    /// pointed to the last home; their pages are hardly ever touched. Whole groups as well.
    pub(crate) slots: usize,
    /// New keys are let in while there are fewer keys than this: fifteen sixteenths of the homes,
    /// so that probes stay short.
    pub(crate) room: usize,
    /// Slots of the array before that one charge moves.
    pub(crate) chunk: usize,
}

impl Size {
    /// The first array: small whatever the bound, for memory follows the keys.
    pub(crate) fn first(max_keys: usize) -> Self {
        Self::for_room(max_keys.min(LEAST_ROOM), 0, FINE_CHUNK)
    }

    /// The array after this one of `claimed` keys, of which at most `live` are taken along.
    ///
    /// It has room for half as many keys again as are live, and for those that come before the move
    /// has ended, one for each chunk.
    pub(crate) fn next(self, claimed: usize, live: usize, max_keys: usize) -> Self {
        let chunk = if live >= self.homes / 8 { FINE_CHUNK } else { COARSE_CHUNK };
        let moves = self.homes.div_ceil(chunk);
        let least = room_of(self.homes / GREATEST_SHRINK).max(LEAST_ROOM);
        let room = (live + live / 2).max(live + 2 * moves).max(least).min(max_keys);
        Self::for_room(room, claimed.max(self.room), chunk)
    }

    /// The array after one that is not known to hold a dead key, of the same room.
    #[cfg(all(test, tollgate_model))]
    pub(crate) fn same(self) -> Self {
        Self { chunk: FINE_CHUNK, ..self }
    }

    /// Slots for `room` keys, for one more that each thread may let in at the same moment, and for
    /// `before` that are moved there whatever the room.
    fn for_room(room: usize, before: usize, chunk: usize) -> Self {
        let groups = room.saturating_add(room / 15) / GROUP + 1;
        let homes = groups.saturating_mul(GROUP);
        let most = room.saturating_add(before).saturating_add(THREADS);
        let slots = homes.saturating_add(most.div_ceil(GROUP).saturating_mul(GROUP));
        Size { homes, slots, room, chunk }
    }
}

/// The room of an array with so many homes.
fn room_of(homes: usize) -> usize {
    homes / 16 * 15
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_array_is_small() {
        assert_eq!(Size::first(1 << 20).room, 192);
        assert_eq!(Size::first(5).room, 5);
    }

    proptest! {
        /// A probe finds an end, a known key its place; and what is live has room, and as much
        /// again as comes while it is moved.
        #[test]
        fn the_next_array_holds_what_is_moved(
            room in 1usize..1 << 24, share in 0.0f64..=1.0, idle in 0.0f64..=1.0,
        ) {
            let size = Size::for_room(room, 0, FINE_CHUNK);
            let claimed = (room as f64 * share) as usize;
            let live = (claimed as f64 * idle) as usize;
            let next = size.next(claimed, live, usize::MAX / 8);
            prop_assert!(next.homes * 15 / 16 >= next.room);
            prop_assert!(next.slots >= next.homes + next.room + claimed + THREADS);
            prop_assert!(next.room >= live + size.homes.div_ceil(next.chunk));
            prop_assert!(next.room >= live + live / 2);
        }
    }
}
