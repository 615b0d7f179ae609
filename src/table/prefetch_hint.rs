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

/// The addresses of an array's tags and slots, and the number of its home groups: 0 if the array
/// stays in cache, where a prefetch gains nothing.
///
/// The words may belong to two different arrays: nothing but a prefetch depends on them.
#[derive(Debug)]
pub(crate) struct PrefetchHint {
    tags: Statistic,
    slots: Statistic,
    groups: Statistic,
    /// Bytes of a slot: stored, so that the code is the same for every counter type.
    slot_bytes: usize,
}

impl PrefetchHint {
    pub(super) fn of<C: Counter>(array: &Array<C>) -> Self {
        let (tags, slots) = array.addresses();
        let groups = if array.stays_cached() { 0 } else { array.home_slots().len() / GROUP };
        let [tags, slots, groups] = [tags, slots, groups].map(|n| Statistic::new(n as u64));
        PrefetchHint { tags, slots, groups, slot_bytes: size_of::<Slot<C>>() }
    }

    fn words(&self) -> [&Statistic; 3] {
        [&self.tags, &self.slots, &self.groups]
    }

    /// Points the hint to this array. If a thread stops in between, the next update completes it.
    pub(super) fn update<C: Counter>(&self, array: &Array<C>) {
        let new = PrefetchHint::of(array);
        for (word, new) in self.words().into_iter().zip(new.words()) {
            // Relaxed: a hint. Written only if it changed, since every request reads the line.
            let new = new.load(Relaxed);
            if word.load(Relaxed) != new {
                word.store(new, Relaxed);
            }
        }
    }

    /// Returns whether the array is so large that a prefetch pays off.
    #[inline(always)]
    pub(crate) fn is_enabled(&self) -> bool {
        self.groups.load(Relaxed) > 0
    }

    /// Prefetches the tags of the key's home group and its preferred slot.
    #[inline(always)]
    pub(crate) fn prefetch(&self, key: KeyId) {
        let groups = self.groups.load(Relaxed) as usize;
        if groups > 0 {
            let (tags, slot) = self.addresses(key, groups);
            prefetch_bytes(tags, size_of::<u64>());
            prefetch_bytes(slot, self.slot_bytes);
        }
    }

    /// The addresses of the key's home tags and of its preferred slot, among `groups` home groups.
    #[inline(always)]
    pub(super) fn addresses(&self, key: KeyId, groups: usize) -> (usize, usize) {
        let [tags, slots] = [&self.tags, &self.slots].map(|n| n.load(Relaxed) as usize);
        let home = home_group(key, groups);
        let index = home.wrapping_mul(GROUP).wrapping_add(preferred_slot(key));
        // Wrapping: mixed from two arrays, the words may give no valid address.
        (
            tags.wrapping_add(home.wrapping_mul(size_of::<u64>())),
            slots.wrapping_add(index.wrapping_mul(self.slot_bytes)),
        )
    }
}

#[cfg(all(test, not(tollgate_model)))]
impl PrefetchHint {
    /// The values of all words.
    pub(super) fn values(&self) -> [u64; 3] {
        self.words().map(|word| word.load(Relaxed))
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::super::size::Size;
    use super::*;
    use crate::counter::Counter;
    use crate::counter::calendar::Quota;
    use crate::counter::sliding::Ring;
    use crate::counter::sliding::time_scale::TimeScale;
    use crate::policy::calendar::Calendar;
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
        let (tags, slot_address) = PrefetchHint::of(&array).addresses(key, groups);
        let slot = array.find_or_claim(key).expect("the array is not being replaced");
        assert_eq!(slot_address, std::ptr::from_ref(slot).addr());
        let (first, _) = array.addresses();
        assert_eq!((tags - first) / size_of::<u64>(), array.index_of(slot) / GROUP);
    }

    #[test]
    fn cached_arrays_are_not_prefetched() {
        let hinted = |groups: usize| {
            let array = array_of::<Ring<7>>(&TimeScale::new(1 << 36, 20, 7), groups);
            PrefetchHint::of(&array).groups.load(Relaxed)
        };
        // From 4 MiB on: a group has eight lines.
        assert_eq!([8, 8191, 8192].map(hinted), [0, 0, 8192]);
    }

    proptest! {
        #[test]
        fn hint_points_to_the_only_key(groups in 1usize..2000, hash: u64) {
            let key = KeyId::new(hash);
            assert_hinted::<Quota>(&Calendar::DAYS, groups, key);
            assert_hinted::<Ring<7>>(&TimeScale::new(1 << 36, 1 << 30, 7), groups, key);
            assert_hinted::<Ring<31>>(&TimeScale::new(1 << 36, 20, 31), groups, key);
        }
    }
}
