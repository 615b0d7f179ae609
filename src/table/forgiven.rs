//! What evictions have forgiven: a bound on it per key and window, carried from array to array.
//!
//! A key that is dropped while it is live starts anew. If it had used at most `units` by then, it
//! gains at most those. So as long as the units of all copies within one window add up to no more
//! than the allowance, no key gains more than the allowance in any window.

/// Evicting copies that one window can hold.
const COPIES: usize = 8;

/// The evicting copies of the last window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Forgiven {
    /// The cutoff of each copy and the units that it forgave a key at the most.
    copies: [(u64, u64); COPIES],
}

impl Forgiven {
    /// The units that one more copy at `now` may forgive.
    pub(crate) fn left(&self, allowance: u64, window: u64, now: u64) -> u64 {
        let live = self.copies.iter().filter(|copy| is_live(**copy, window, now));
        if live.clone().count() == COPIES {
            return 0;
        }
        live.fold(allowance, |left, (_, units)| left.saturating_sub(*units))
    }

    /// Whether a key that had used `units` at `at` may have been dropped since.
    pub(crate) fn may_include(&self, at: u64, units: u64) -> bool {
        self.copies.iter().any(|(cutoff, most)| *cutoff >= at && *most >= units.max(1))
    }

    /// With one more copy. There is place for it if [`left`](Self::left) was not 0.
    pub(crate) fn and(mut self, units: u64, window: u64, now: u64) -> Self {
        if units > 0
            && let Some(place) = self.copies.iter_mut().find(|copy| !is_live(**copy, window, now))
        {
            *place = (now, units);
        }
        self
    }
}

fn is_live((at, units): (u64, u64), window: u64, now: u64) -> bool {
    units > 0 && now.saturating_sub(at) < window
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
            steps in prop::collection::vec((0u64..20, 1u64..20), 1..100),
        ) {
            let mut forgiven = Forgiven::default();
            let mut copies: Vec<(u64, u64)> = Vec::new();
            let mut now = 1;
            for (gap, wanted) in steps {
                now += gap;
                let units = wanted.min(forgiven.left(allowance, window, now));
                forgiven = forgiven.and(units, window, now);
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
