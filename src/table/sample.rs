//! Estimates from a sample of an array's slots: pure arithmetic.

/// Slots of the largest sample.
pub(crate) const MAX_SAMPLE: usize = 1024;

/// The most keys of a sample that can be in its lightest eighth.
const MAX_LIGHTEST: usize = MAX_SAMPLE / 8;

/// The number of keys of an array, and counts of the keys in a sample by their usage.
///
/// It does not store every usage: a sample is taken on the stack of a request.
#[derive(Clone, Debug)]
pub(crate) struct UsageSample {
    claimed: usize,
    /// The number of sampled keys.
    len: usize,
    /// The number of those that have used nothing: they have expired.
    expired: usize,
    /// The number of those that have used more than the threshold.
    above: usize,
    /// The lowest usages, in ascending order.
    lightest: [u64; MAX_LIGHTEST],
}

impl UsageSample {
    /// The number of slots to sample in an array with `home_slots` home slots.
    pub(crate) fn sample_slots(home_slots: usize) -> usize {
        home_slots.min(MAX_SAMPLE)
    }

    /// Creates a sample with these usages, from an array of `claimed` keys. It counts the keys that
    /// have used more than `threshold`.
    pub(crate) fn new(claimed: usize, threshold: u64, usages: impl Iterator<Item = u64>) -> Self {
        let (len, expired, above) = (0, 0, 0);
        let mut sample = UsageSample { claimed, len, expired, above, lightest: [0; MAX_LIGHTEST] };
        usages.take(MAX_SAMPLE).for_each(|usage| sample.add(usage, threshold));
        sample
    }

    fn add(&mut self, usage: u64, threshold: u64) {
        self.expired += usize::from(usage == 0);
        self.above += usize::from(usage > threshold);
        // Insertion sort: most usages are not among the lowest, and end here.
        let kept = self.len.min(MAX_LIGHTEST);
        let index = self.lightest[..kept].partition_point(|lighter| *lighter <= usage);
        if index < MAX_LIGHTEST {
            self.lightest.copy_within(index..kept.min(MAX_LIGHTEST - 1), index + 1);
            self.lightest[index] = usage;
        }
        self.len += 1;
    }

    pub(crate) fn claimed(&self) -> usize {
        self.claimed
    }

    /// An estimate of the number of live keys.
    pub(crate) fn live(&self) -> usize {
        self.scaled(self.len - self.expired)
    }

    /// An upper bound on the number of keys that have used more than the threshold. It is six
    /// standard deviations above the estimate, but at most `claimed`. It is too low in about one of
    /// 10⁸ samples.
    pub(crate) fn max_above(&self) -> usize {
        self.scaled(self.above + 6 * self.above.isqrt() + 18)
    }

    /// Scales a number of sampled keys up to the array.
    fn scaled(&self, keys: usize) -> usize {
        let scaled = (keys as u128 * self.claimed as u128).div_ceil(self.len.max(1) as u128);
        usize::try_from(scaled).unwrap_or(usize::MAX).min(self.claimed)
    }

    /// Returns whether any sampled key has expired.
    pub(crate) fn has_expired_key(&self) -> bool {
        self.expired > 0
    }

    /// The least eviction threshold that drops an eighth of the sampled keys: 0 if that many have
    /// expired. `None` if it is greater than `max`, or if the sample has no keys.
    pub(crate) fn lightest_eighth(&self, max: u64) -> Option<u64> {
        let index = self.len.div_ceil(8).checked_sub(1)?;
        self.lightest.get(index).copied().filter(|used| *used <= max)
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::*;
    use crate::table::size::Size;
    use proptest::prelude::*;

    fn sample(claimed: usize, used: &[u64]) -> UsageSample {
        UsageSample::new(claimed, 0, used.iter().copied())
    }

    #[test]
    fn sample_is_scaled_to_the_array() {
        let sample = sample(1_600, &[0, 3, 0, 5, 1, 1, 2, 9, 0, 7, 8, 8, 8, 8, 8, 8]);
        assert_eq!(sample.live(), 1_300);
        assert!(sample.has_expired_key());
        assert_eq!(sample.lightest_eighth(0), Some(0));
        assert_eq!(sample.max_above(), 1_600);
    }

    #[test]
    fn lightest_eighth_is_the_least_threshold() {
        let sample = sample(16, &[4, 3, 9, 5, 7, 9, 2, 9, 8, 7, 8, 8, 8, 8, 8, 8]);
        assert_eq!(sample.lightest_eighth(2), None);
        assert_eq!(sample.lightest_eighth(3), Some(3));
        assert_eq!(sample.lightest_eighth(100), Some(3));
        assert_eq!(UsageSample::new(0, 0, std::iter::empty()).lightest_eighth(9), None);
    }

    proptest! {
        /// The moved keys and the new keys that complete the move fit into the next array, so that it
        /// is never full before the move ends. Every key that can enter has a slot, wherever its home
        /// group is.
        #[test]
        fn moved_and_new_keys_fit(
            capacity in 1usize..50_000_000,
            share in 0.0..1.0f64,
            live in 0.0..1.0f64,
            bound in 1usize..100_000_000,
        ) {
            let bound = bound.max(capacity);
            let mut size = Size::first(bound);
            while size.capacity < capacity.min(bound) {
                let next = size.next(size.capacity, size.capacity, bound);
                prop_assert!(next.capacity > size.capacity);
                size = next;
            }
            let claimed = (size.capacity as f64 * share) as usize;
            let live = (claimed as f64 * live) as usize;
            let next = size.next(claimed, live, bound);
            let new_keys = size.new_keys_per_move(next);
            prop_assert!(next.capacity <= bound);
            prop_assert!(next.home_slots >= next.capacity * 16 / 15);
            prop_assert!(next.capacity == bound || live + new_keys <= next.capacity);
            // T3 bounds them as well.
            let keys = (next.capacity + claimed.max(size.capacity)).min(bound);
            prop_assert!(next.slots >= next.home_slots + keys);
        }

        /// The counts are those of the sorted usages.
        #[test]
        fn counts_follow_the_usages(
            mut used in prop::collection::vec(0u64..40, 0..1100), threshold in 0u64..40,
        ) {
            let sample = UsageSample::new(used.len(), threshold, used.iter().copied());
            used.truncate(MAX_SAMPLE);
            prop_assert_eq!(sample.above, used.iter().filter(|used| **used > threshold).count());
            prop_assert_eq!(sample.has_expired_key(), used.contains(&0));
            used.sort_unstable();
            let lightest = used.len().div_ceil(8).checked_sub(1).map(|index| used[index]);
            prop_assert_eq!(sample.lightest_eighth(u64::MAX), lightest);
        }

        #[test]
        fn live_keys_are_not_underestimated(keys in prop::collection::vec(0u64..2, 1..1024)) {
            let live = keys.iter().filter(|used| **used > 0).count();
            let sample = sample(keys.len(), &keys);
            prop_assert_eq!(sample.live(), live);
            prop_assert!(sample.max_above() >= live);
        }
    }
}
