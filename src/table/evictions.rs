//! A bound on what evictions forgive a key within one window, carried from generation to
//! generation.
//!
//! An evicted key starts over at zero usage, so it gains the units that it had used, at most the
//! move's eviction threshold. No key gains more than the allowance in any window, because the
//! thresholds of all evicting moves within one window add up to no more than the allowance.

/// The greatest number of evicting moves within one window.
const MAX_EVICTIONS: usize = 8;

/// The evicting moves of the last window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EvictionLedger {
    evictions: [Eviction; MAX_EVICTIONS],
}

/// A move into a new generation that drops live keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Eviction {
    pub(crate) cutoff: u64,
    /// The most units that it may forgive one key. 0 marks an empty entry.
    pub(crate) units: u64,
}

impl EvictionLedger {
    /// The units that one more move at `now` may forgive.
    pub(crate) fn remaining(&self, allowance: u64, window: u64, now: u64) -> u64 {
        let live = self.evictions.iter().filter(|eviction| eviction.is_live(window, now));
        if live.clone().count() == MAX_EVICTIONS {
            return 0;
        }
        live.fold(allowance, |remaining, eviction| remaining.saturating_sub(eviction.units))
    }

    /// Returns the ledger with one more eviction. It has room for that if
    /// [`remaining`](Self::remaining) was not 0.
    pub(crate) fn with(mut self, eviction: Eviction, window: u64) -> Self {
        if eviction.units > 0
            && let Some(entry) =
                self.evictions.iter_mut().find(|entry| !entry.is_live(window, eviction.cutoff))
        {
            *entry = eviction;
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
        /// Evictions forgive no more than the allowance in any window, and can use all of it.
        #[test]
        fn evictions_stay_within_the_allowance(
            allowance in 1u64..20,
            window in 1u64..50,
            steps in prop_oneof![Just(3u64), Just(20)]
                .prop_flat_map(|most| prop::collection::vec((0..most, 1..most), 1..100)),
        ) {
            let mut ledger = EvictionLedger::default();
            let mut evictions: Vec<(u64, u64)> = Vec::new();
            let mut now = 1;
            for (gap, wanted) in steps {
                now += gap;
                let units = wanted.min(ledger.remaining(allowance, window, now));
                ledger = ledger.with(Eviction { cutoff: now, units }, window);
                evictions.push((now, units));
                let sum: u64 = evictions
                    .iter()
                    .filter(|(at, _)| now - at < window)
                    .map(|(_, units)| units)
                    .sum();
                prop_assert!(sum <= allowance, "{sum} of {allowance}");
                // All of the allowance can be spent, unless the ledger is full.
                let live = evictions.iter().filter(|(at, units)| now - at < window && *units > 0);
                if live.count() < MAX_EVICTIONS {
                    prop_assert_eq!(ledger.remaining(allowance, window, now), allowance - sum);
                }
            }
        }
    }
}
