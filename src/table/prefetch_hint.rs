//! The location of the current array, readable without a pin.
//!
//! A request prefetches its key's memory before it reads the clock and pins the epoch. The array
//! may be freed by then. The prefetch is useless in that case, but safe: it reads nothing.

use super::array::{Array, home_group, preferred_slot};
use super::prefetch::prefetch_bytes;
use super::slot::{KeyId, Slot};
use super::tags::GROUP;
use crate::counter::Counter;
use crate::sync::{Ordering::Relaxed, Statistic};

/// The bits of `moved_below` that the hint stores: 64 steps for a whole move. Every request reads
/// the hint, so it should seldom change.
const MOVED_STEPS: u64 = 63 << 58;

/// The addresses of an array's tags and slots, and the number of its home groups. That number is 0
/// if the array stays in cache, where a prefetch gains nothing.
#[derive(Debug)]
struct Location {
    tags: Statistic,
    slots: Statistic,
    groups: Statistic,
}

/// The locations of the current array and of the one that is being moved into it.
///
/// The words may belong to different arrays: nothing but a prefetch depends on them.
// `repr(C)`: a request reads the fields in this order. They take one or two cache lines.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct PrefetchHint {
    /// The home groups of keys follow the order of their ids, and so does a move. Keys with smaller
    /// ids than this are in the current array, and the others in the previous one.
    moved_below: Statistic,
    /// Not 0 if either array is so large that a prefetch pays off.
    enabled: Statistic,
    current: Location,
    /// Bytes of a slot: stored, so that the code is the same for every counter type.
    slot_bytes: usize,
    /// Last: used only during a move.
    previous: Location,
}

impl Location {
    fn of<C: Counter>(array: &Array<C>) -> Self {
        let (tags, slots) = array.addresses();
        let groups = if array.stays_cached() { 0 } else { array.home_slots().len() / GROUP };
        let [tags, slots, groups] = [tags, slots, groups].map(|n| Statistic::new(n as u64));
        Location { tags, slots, groups }
    }

    fn words(&self) -> [&Statistic; 3] {
        [&self.tags, &self.slots, &self.groups]
    }

    /// Points to this array. If a thread stops in between, the next update completes it.
    fn update<C: Counter>(&self, array: &Array<C>) {
        let new = Location::of(array);
        for (word, new) in self.words().into_iter().zip(new.words()) {
            store_if_changed(word, new.load(Relaxed));
        }
    }
}

impl Location {
    /// The addresses of the key's home tags and of its preferred slot, among `groups` home groups.
    #[inline(always)]
    fn addresses(&self, key: KeyId, groups: usize, slot_bytes: usize) -> (usize, usize) {
        let [tags, slots] = [&self.tags, &self.slots].map(|n| n.load(Relaxed) as usize);
        let home = home_group(key, groups);
        let index = home.wrapping_mul(GROUP).wrapping_add(preferred_slot(key));
        // Wrapping: mixed from two arrays, the words may give no valid address.
        (
            tags.wrapping_add(home.wrapping_mul(size_of::<u64>())),
            slots.wrapping_add(index.wrapping_mul(slot_bytes)),
        )
    }
}

/// Relaxed: a hint. Written only if it changed, since every request reads the line.
fn store_if_changed(word: &Statistic, new: u64) {
    if word.load(Relaxed) != new {
        word.store(new, Relaxed);
    }
}

impl PrefetchHint {
    pub(super) fn of<C: Counter>(array: &Array<C>) -> Self {
        PrefetchHint {
            moved_below: Statistic::new(u64::MAX),
            enabled: Statistic::new(u64::from(!array.stays_cached())),
            current: Location::of(array),
            slot_bytes: size_of::<Slot<C>>(),
            previous: Location::of(array),
        }
    }

    /// Points the hint to this array, which holds all keys.
    pub(super) fn update<C: Counter>(&self, array: &Array<C>) {
        self.current.update(array);
        store_if_changed(&self.enabled, u64::from(!array.stays_cached()));
        store_if_changed(&self.moved_below, u64::MAX);
    }

    /// Points the hint to both arrays of a move. Most keys with smaller ids than `moved_below` were
    /// moved, and most others were not.
    pub(super) fn update_moving<C: Counter>(
        &self,
        previous: &Array<C>,
        current: &Array<C>,
        moved_below: u64,
    ) {
        // Most calls change nothing, and must not write: every request reads the line.
        let moved_below = moved_below & MOVED_STEPS;
        if self.moved_below.load(Relaxed) == moved_below {
            return;
        }
        self.previous.update(previous);
        self.current.update(current);
        let is_large = !previous.stays_cached() || !current.stays_cached();
        store_if_changed(&self.enabled, u64::from(is_large));
        // Last: if a thread stops before this, the next update completes it.
        self.moved_below.store(moved_below, Relaxed);
    }

    /// Returns whether an array is so large that a prefetch pays off.
    #[inline(always)]
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled.load(Relaxed) != 0
    }

    /// Prefetches the tags of the key's home group and its preferred slot.
    #[inline(always)]
    pub(crate) fn prefetch(&self, key: KeyId) {
        if !self.is_enabled() {
            return;
        }
        let is_moved = key.number() < self.moved_below.load(Relaxed);
        let location = if is_moved { &self.current } else { &self.previous };
        let groups = location.groups.load(Relaxed) as usize;
        if groups > 0 {
            let (tags, slot) = location.addresses(key, groups, self.slot_bytes);
            prefetch_bytes(tags, size_of::<u64>());
            prefetch_bytes(slot, self.slot_bytes);
        }
    }
}

#[cfg(all(test, not(tollgate_model)))]
impl PrefetchHint {
    /// Asserts that the hint points to these arrays. Returns the id below which it takes keys for
    /// moved.
    pub(super) fn assert_points_to<C: Counter>(
        &self,
        current: &Array<C>,
        previous: Option<&Array<C>>,
    ) -> u64 {
        let values = |location: &Location| location.words().map(|word| word.load(Relaxed));
        assert_eq!(values(&self.current), values(&Location::of(current)));
        if let Some(previous) = previous {
            assert_eq!(values(&self.previous), values(&Location::of(previous)));
        }
        self.moved_below.load(Relaxed)
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::super::size::Size;
    use super::*;
    use crate::counter::Counter;
    use crate::counter::calendar::{Budget, Quota};
    use crate::counter::sliding::Ring;
    use crate::counter::sliding::time_scale::TimeScale;
    use proptest::prelude::*;

    fn array_of<C: Counter>(spec: &C::Spec, groups: usize) -> Array<C> {
        let home_slots = groups * GROUP;
        let size =
            Size { home_slots, slots: home_slots + GROUP, capacity: home_slots, chunk_len: 1 };
        Array::new(size, C::base(spec, 1), false).unwrap()
    }

    /// Asserts that the only key of a fresh array is at the hinted addresses.
    fn assert_hinted<C: Counter>(spec: &C::Spec, groups: usize, key: KeyId) {
        let array = array_of::<C>(spec, groups);
        let (tags, slot_address) =
            Location::of(&array).addresses(key, groups, size_of::<Slot<C>>());
        let slot = array.find_or_claim(key).expect("the array is not being replaced");
        assert_eq!(slot_address, std::ptr::from_ref(slot).addr());
        let (first, _) = array.addresses();
        assert_eq!((tags - first) / size_of::<u64>(), array.index_of(slot) / GROUP);
    }

    #[test]
    fn cached_arrays_are_not_prefetched() {
        let hinted = |groups: usize| {
            let array = array_of::<Ring<7>>(&TimeScale::new(1 << 36, 20, 7), groups);
            PrefetchHint::of(&array).current.groups.load(Relaxed)
        };
        // From 4 MiB on: a group of eight slots takes 512 bytes.
        assert_eq!([8, 8191, 8192].map(hinted), [0, 0, 8192]);
    }

    proptest! {
        #[test]
        fn hint_points_to_the_only_key(groups in 1usize..2000, hash: u64) {
            let key = KeyId::new(hash);
            assert_hinted::<Quota>(&Budget::DAYS, groups, key);
            assert_hinted::<Ring<7>>(&TimeScale::new(1 << 36, 1 << 30, 7), groups, key);
            assert_hinted::<Ring<31>>(&TimeScale::new(1 << 36, 20, 31), groups, key);
        }
    }
}
