//! What evictions have forgiven: a bound on it per key and window, carried from array to array.
//!
//! A key that is dropped while it is live starts anew. If it had used at most `units` by then, it
//! gains at most those. So as long as the units of all copies within one window add up to no more
//! than the allowance, no key gains more than the allowance in any window.

use crate::breakage::{Breakage, broken};

/// Evicting copies that one window can hold.
const COPIES: usize = 8;

/// The evicting copies of the last window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Forgiven {
    copies: [Eviction; COPIES],
}

/// A copy into a new generation that dropped live keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Eviction {
    pub(crate) cutoff: u64,
    /// What it forgave a key at the most.
    pub(crate) units: u64,
}

impl Forgiven {
    /// The units that one more copy at `now` may forgive.
    pub(crate) fn left(&self, allowance: u64, window: u64, now: u64) -> u64 {
        if broken(Breakage::EarlierEvictionsIgnored) {
            return allowance;
        }
        let live = self.copies.iter().filter(|copy| copy.is_live(window, now));
        if live.clone().count() == COPIES {
            return 0;
        }
        live.fold(allowance, |left, copy| left.saturating_sub(copy.units))
    }

    /// With one more copy. There is place for it if [`left`](Self::left) was not 0.
    pub(crate) fn and(mut self, copy: Eviction, window: u64) -> Self {
        if copy.units > 0
            && let Some(place) =
                self.copies.iter_mut().find(|other| !other.is_live(window, copy.cutoff))
        {
            *place = copy;
        }
        self
    }
}

impl Eviction {
    fn is_live(&self, window: u64, now: u64) -> bool {
        self.units > 0 && now.saturating_sub(self.cutoff) < window
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// In no window do the copies forgive more than the allowance.
        #[test]
        fn within_the_allowance(
            allowance in 1u64..20,
            window in 1u64..50,
            steps in prop_oneof![Just(3u64), Just(20)]
                .prop_flat_map(|most| prop::collection::vec((0..most, 1..most), 1..100)),
        ) {
            let mut forgiven = Forgiven::default();
            let mut copies: Vec<(u64, u64)> = Vec::new();
            let mut now = 1;
            for (gap, wanted) in steps {
                now += gap;
                let units = wanted.min(forgiven.left(allowance, window, now));
                forgiven = forgiven.and(Eviction { cutoff: now, units }, window);
                copies.push((now, units));
                let sum: u64 = copies
                    .iter()
                    .filter(|(at, _)| now - at < window)
                    .map(|(_, units)| units)
                    .sum();
                prop_assert!(sum <= allowance, "{sum} of {allowance}");
                // And all of it can be spent, but for the number of copies.
                let live = copies.iter().filter(|(at, units)| now - at < window && *units > 0);
                if live.count() < COPIES {
                    prop_assert_eq!(forgiven.left(allowance, window, now), allowance - sum);
                }
            }
        }
    }
}
