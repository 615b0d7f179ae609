//! Where the current array lies, for those who do not hold it yet: before the clock is read and the
//! epoch pinned, a request asks for the memory that its key is most likely in. The array may be gone
//! by then, and then it asks in vain: a prefetch reads nothing.

use super::array::{Array, home, preferred};
use super::prefetch::prefetch_bytes;
use super::slot::{KeyId, Slot};
use super::tags::GROUP;
use crate::counter::Counter;
use crate::sync::{Ordering::Relaxed, Statistic};

/// Addresses, and how many groups lie there: none where nothing is gained by asking early. Nothing
/// rests on them, so they may be of two arrays.
#[derive(Debug)]
pub(crate) struct PrefetchHint {
    tags: Statistic,
    slots: Statistic,
    groups: Statistic,
    /// Bytes of a slot, known here without its type: whatever the table, the way is the same.
    slot: usize,
}

impl PrefetchHint {
    pub(super) fn of<C: Counter>(array: &Array<C>) -> Self {
        let (tags, slots) = array.addresses();
        let groups = if array.is_near() { 0 } else { array.homes().len() / GROUP };
        let [tags, slots, groups] = [tags, slots, groups].map(|n| Statistic::new(n as u64));
        PrefetchHint { tags, slots, groups, slot: size_of::<Slot<C>>() }
    }

    fn words(&self) -> [&Statistic; 3] {
        [&self.tags, &self.slots, &self.groups]
    }

    /// Tells of this array, unless it does already. A thread that stopped on its way here leaves
    /// nothing to mend but this, and the next one does.
    pub(super) fn update<C: Counter>(&self, array: &Array<C>) {
        let is = PrefetchHint::of(array);
        for (told, is) in self.words().into_iter().zip(is.words()) {
            // Relaxed: a hint. Looked at first, for every request reads it.
            let is = is.load(Relaxed);
            if told.load(Relaxed) != is {
                told.store(is, Relaxed);
            }
        }
    }

    /// Whether anything is gained by asking early.
    #[inline(always)]
    pub(crate) fn is_far(&self) -> bool {
        self.groups.load(Relaxed) > 0
    }

    /// Asks for the tags of the key's home and for the place that it prefers there.
    #[inline(always)]
    pub(crate) fn prefetch(&self, key: KeyId) {
        let groups = self.groups.load(Relaxed) as usize;
        if groups > 0 {
            let (tags, slot) = self.places(key, groups);
            prefetch_bytes(tags, size_of::<u64>());
            prefetch_bytes(slot, self.slot);
        }
    }

    /// Where they are among so many groups.
    #[inline(always)]
    pub(super) fn places(&self, key: KeyId, groups: usize) -> (usize, usize) {
        let [tags, slots] = [&self.tags, &self.slots].map(|n| n.load(Relaxed) as usize);
        let home = home(key, groups);
        let place = home.wrapping_mul(GROUP).wrapping_add(preferred(key));
        // Of two arrays, these may be no addresses at all.
        (
            tags.wrapping_add(home.wrapping_mul(size_of::<u64>())),
            slots.wrapping_add(place.wrapping_mul(self.slot)),
        )
    }
}

#[cfg(all(test, not(tollgate_model)))]
impl PrefetchHint {
    /// All that it tells.
    pub(super) fn told(&self) -> [u64; 3] {
        self.words().map(|word| word.load(Relaxed))
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::super::size::Size;
    use super::*;
    use crate::counter::Counter;
    use crate::counter::calendar::{Periods, Quota};
    use crate::counter::sliding::Ring;
    use crate::counter::sliding::time_scale::TimeScale;
    use proptest::prelude::*;

    /// That the slot of a key which has a fresh array for itself is where the hint says.
    fn assert_found<C: Counter>(spec: &C::Spec, groups: usize, key: KeyId) {
        let homes = groups * GROUP;
        let size = Size { homes, slots: homes + GROUP, room: homes, chunk: 1 };
        let array = Array::<C>::new(size, C::base(spec, 1), false).unwrap();
        let (tags, place) = PrefetchHint::of(&array).places(key, groups);
        let slot = array.find_or_claim(key).expect("nobody leaves this array");
        assert_eq!(place, std::ptr::from_ref(slot).addr());
        let (first, _) = array.addresses();
        assert_eq!((tags - first) / size_of::<u64>(), array.index_of(slot) / GROUP);
    }

    #[test]
    fn near_arrays_are_not_asked_for() {
        let told = |groups: usize| {
            let homes = groups * GROUP;
            let size = Size { homes, slots: homes + GROUP, room: homes, chunk: 1 };
            let array = Array::<Ring<7>>::new(
                size,
                Ring::<7>::base(&TimeScale::new(1 << 36, 20, 7), 1),
                false,
            );
            PrefetchHint::of(&array.unwrap()).groups.load(Relaxed)
        };
        // 4 MiB, in groups of eight lines.
        assert_eq!([8, 8191, 8192].map(told), [0, 0, 8192]);
    }

    proptest! {
        #[test]
        fn a_lone_key_is_where_it_says(groups in 1usize..2000, hash: u64) {
            let key = KeyId::new(hash);
            assert_found::<Quota>(&Periods, groups, key);
            assert_found::<Ring<7>>(&TimeScale::new(1 << 36, 1 << 30, 7), groups, key);
            assert_found::<Ring<31>>(&TimeScale::new(1 << 36, 20, 31), groups, key);
        }
    }
}
