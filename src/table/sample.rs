//! What a sample of an array's slots tells of its keys: pure arithmetic on the numbers seen.

/// Slots of the largest sample.
pub(crate) const MOST_SAMPLES: usize = 1024;

/// How many keys there are and what those of a sample have used.
#[derive(Clone, Debug)]
pub(crate) struct UsageSample {
    claimed: usize,
    /// What each key seen has used, in order.
    used: [u64; MOST_SAMPLES],
    seen: usize,
}

impl UsageSample {
    /// Slots to look at in an array with so many homes.
    pub(crate) fn samples(homes: usize) -> usize {
        homes.min(MOST_SAMPLES)
    }

    /// Of an array of `claimed` keys, in which a sample met keys with these uses.
    pub(crate) fn new(claimed: usize, uses: impl Iterator<Item = u64>) -> Self {
        let mut used = [0; MOST_SAMPLES];
        let mut seen = 0;
        for (place, count) in used.iter_mut().zip(uses) {
            *place = count;
            seen += 1;
        }
        used[..seen].sort_unstable();
        UsageSample { claimed, used, seen }
    }

    pub(crate) fn claimed(&self) -> usize {
        self.claimed
    }

    fn used(&self) -> &[u64] {
        &self.used[..self.seen]
    }

    /// Keys of the sample that have used more than `forgiven`.
    fn above(&self, forgiven: u64) -> usize {
        self.seen - self.used().partition_point(|used| *used <= forgiven)
    }

    /// About how many keys are live.
    pub(crate) fn live(&self) -> usize {
        self.scaled(self.above(0))
    }

    /// How many keys may have used more than `forgiven`: six deviations above what was seen, which
    /// is exceeded once in 10⁸ times, but never more than all.
    pub(crate) fn at_most_above(&self, forgiven: u64) -> usize {
        let above = self.above(forgiven);
        self.scaled(above + 6 * above.isqrt() + 18)
    }

    fn scaled(&self, keys: usize) -> usize {
        let scaled = (keys as u128 * self.claimed as u128).div_ceil(self.seen.max(1) as u128);
        usize::try_from(scaled).unwrap_or(usize::MAX).min(self.claimed)
    }

    /// Whether any key of the sample has expired.
    pub(crate) fn saw_idle(&self) -> bool {
        self.used().first() == Some(&0)
    }

    /// The least use whose keys, with all lighter ones, are an eighth of all: 0 if so many have
    /// expired. `None` above `most`, or where no key was seen.
    pub(crate) fn lightest_eighth(&self, most: u64) -> Option<u64> {
        let place = self.seen.div_ceil(8).checked_sub(1)?;
        Some(self.used[place]).filter(|used| *used <= most)
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::*;
    use crate::table::size::Size;
    use proptest::prelude::*;

    fn sample(claimed: usize, used: &[u64]) -> UsageSample {
        UsageSample::new(claimed, used.iter().copied())
    }

    #[test]
    fn tells_what_it_saw() {
        let sample = sample(1_600, &[0, 3, 0, 5, 1, 1, 2, 9, 0, 7, 8, 8, 8, 8, 8, 8]);
        assert_eq!(sample.live(), 1_300);
        assert!(sample.saw_idle());
        assert_eq!(sample.lightest_eighth(0), Some(0));
        assert_eq!(sample.at_most_above(0), 1_600);
    }

    #[test]
    fn an_eighth_is_bought_with_the_least_allowance() {
        let sample = sample(16, &[4, 3, 9, 5, 7, 9, 2, 9, 8, 7, 8, 8, 8, 8, 8, 8]);
        assert_eq!(sample.lightest_eighth(2), None);
        assert_eq!(sample.lightest_eighth(3), Some(3));
        assert_eq!(sample.lightest_eighth(100), Some(3));
        assert_eq!(super::UsageSample::new(0, std::iter::empty()).lightest_eighth(9), None);
    }

    proptest! {
        /// The keys that are moved and one new key for each chunk find room, so that an array is
        /// never full before it is filled from the one before; and every key that can ever enter
        /// has a slot, wherever its home is.
        #[test]
        fn moved_and_new_keys_fit(
            room in 1usize..50_000_000,
            share in 0.0..1.0f64,
            live in 0.0..1.0f64,
            bound in 1usize..100_000_000,
        ) {
            let bound = bound.max(room);
            let mut size = Size::first(bound);
            while size.room < room.min(bound) {
                let next = size.next(size.room, size.room, bound);
                prop_assert!(next.room > size.room);
                size = next;
            }
            let claimed = (size.room as f64 * share) as usize;
            let live = (claimed as f64 * live) as usize;
            let next = size.next(claimed, live, bound);
            prop_assert!(next.room <= bound);
            prop_assert!(next.homes >= next.room * 16 / 15);
            prop_assert!(next.room == bound || live + size.homes.div_ceil(next.chunk) <= next.room);
            prop_assert!(next.slots >= next.homes + next.room + claimed.max(size.room));
        }

        #[test]
        fn live_keys_are_not_taken_for_fewer(keys in prop::collection::vec(0u64..2, 1..1024)) {
            let live = keys.iter().filter(|used| **used > 0).count();
            let sample = sample(keys.len(), &keys);
            prop_assert_eq!(sample.live(), live);
            prop_assert!(sample.at_most_above(0) >= live);
        }
    }
}
