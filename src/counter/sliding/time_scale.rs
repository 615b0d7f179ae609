//! The time scale of a sliding window: the unit of time, and the window and cells in this unit.
//!
//! Clock readings are rounded down to the unit. It is 1 ns or a power of ten of it: 10 ns, 100 ns, ...
//!
//! - An exact policy uses the finest unit with which the word's time field spans eight windows. For
//!   windows up to days this is 1 ns.
//! - A bucketed policy uses the coarsest unit that still divides each bucket's span into at least 1024
//!   parts, since the time field lasts longer with a coarse unit. If the unit is coarser than 1 ns,
//!   one unit is added to the window, so that rounding never lets a charge expire too early.

use super::reciprocal::Reciprocal;
use super::word::{Live, WordFormat};
use std::hint::cold_path;

/// The minimum number of windows that the time field must span.
///
/// An array is renewed before its time field is exhausted. After a renewal the field starts one
/// window before the present.
const MIN_WINDOWS_PER_TIME_FIELD: u64 = 8;

/// The minimum number of time units per bucket that a bucketed policy aims for.
const MIN_UNITS_PER_BUCKET: u64 = 1024;

/// The time scale of one policy's rings. A tick is one time unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeScale {
    /// Nanoseconds per tick.
    unit: Reciprocal,
    /// Ticks per cell.
    cell: Reciprocal,
    /// Ticks per window.
    window: u64,
    /// The tick of clock time 0.
    first_tick: u64,
    format: WordFormat,
}

impl TimeScale {
    /// The scale for rings of `words` words. It is exact if the ring has a word for each unit of
    /// the limit.
    pub(crate) fn new(window_ns: u64, max_limit: u64, words: u64) -> Self {
        let format = WordFormat::for_limit(max_limit);
        let exact = max_limit <= words;
        let unit = unit_ns(window_ns, words, exact, format);
        let coarse = !exact && unit > 1;
        let window = window_ns.div_ceil(unit) + u64::from(coarse);
        let span = if exact { 1 } else { window.div_ceil(words - 1) };
        // Leaves room for the origin of an array created at clock time 0: it is more than a window
        // earlier.
        let first_tick = (window.div_ceil(span) + 2) * span;
        TimeScale {
            unit: Reciprocal::new(unit),
            cell: Reciprocal::new(span),
            window,
            first_tick,
            format,
        }
    }

    /// A scale small enough for a model: ticks of 1 ns, starting with tick 0 at clock time 0.
    #[cfg(all(test, tollgate_model))]
    pub(crate) fn tiny(window: u64, max_limit: u64, words: u64) -> Self {
        let span = if max_limit <= words { 1 } else { window.div_ceil(words - 1) };
        let (unit, cell) = (Reciprocal::new(1), Reciprocal::new(span));
        TimeScale { unit, cell, window, first_tick: 0, format: WordFormat::for_limit(max_limit) }
    }

    /// The tick that contains an instant of the clock.
    #[inline(always)]
    pub(crate) fn tick(&self, ns: u64) -> u64 {
        let Some(tick) = self.unit.divide(ns).checked_add(self.first_tick) else {
            cold_path();
            return u64::MAX;
        };
        tick
    }

    /// The first instant of a tick, in nanoseconds of the clock.
    pub(crate) fn instant_ns(&self, tick: u64) -> u64 {
        tick.saturating_sub(self.first_tick).saturating_mul(self.unit.divisor())
    }

    /// The resolution of recorded times.
    pub(crate) fn unit_ns(&self) -> u64 {
        self.unit.divisor()
    }

    /// The window in ticks.
    #[inline(always)]
    pub(crate) fn window(&self) -> u64 {
        self.window
    }

    #[inline(always)]
    pub(crate) fn format(&self) -> WordFormat {
        self.format
    }

    /// The words that are live at `at`. A charge made at `time` is live if `at - time < window`.
    #[inline(always)]
    pub(crate) fn live(&self, at: u64) -> Live {
        Live::since(self.oldest_live(at), self.format)
    }

    /// Like [`live`](Self::live), at a time that fits the word format.
    #[inline(always)]
    pub(crate) fn live_in_range(&self, at: u64) -> Live {
        debug_assert!(at <= self.format.max_time());
        Live::since_in_range(self.oldest_live(at), self.format)
    }

    #[inline(always)]
    fn oldest_live(&self, at: u64) -> u64 {
        if at >= self.window {
            at - self.window + 1
        } else {
            // A branch, not a saturating subtraction: it is well predicted, since the times of an
            // array start more than a window after its origin.
            cold_path();
            1
        }
    }

    /// The number of the cell that contains a time.
    ///
    /// Works for ticks and for times that count from an origin: an origin is the start of a cell.
    #[inline(always)]
    pub(crate) fn cell(&self, time: u64) -> u64 {
        self.cell.divide(time)
    }

    /// The start of the cell after the one that contains `time`.
    #[inline(always)]
    pub(crate) fn next_cell(&self, time: u64) -> u64 {
        (self.cell(time) + 1) * self.cell.divisor()
    }

    /// The origin, as a tick, of an array with this cutoff: the start of a cell, earlier than every
    /// charge that is live at the cutoff.
    pub(crate) fn origin(&self, cutoff: u64) -> u64 {
        // Model: publish with OriginAtCutoff.
        let oldest = cutoff.saturating_sub(self.window + 1);
        oldest - oldest % self.cell.divisor()
    }

    /// The number of ticks after its origin at which an array should be renewed.
    pub(crate) fn renew_at(&self) -> u64 {
        self.format.max_time() / 4 * 3
    }
}

fn unit_ns(window_ns: u64, words: u64, exact: bool, format: WordFormat) -> u64 {
    let mut unit: u64 = 1;
    if !exact {
        let min_units = MIN_UNITS_PER_BUCKET * (words - 1);
        while window_ns / (unit * 10) >= min_units {
            unit *= 10;
        }
    }
    while (window_ns.div_ceil(unit) + 1) * MIN_WINDOWS_PER_TIME_FIELD > format.max_time() {
        unit *= 10;
    }
    unit
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::*;
    use crate::counter::sliding::word::{MOVED, SEALED};
    use crate::error::MAX_LIMIT;
    use crate::policy::{MAX_WINDOW, MIN_WINDOW};
    use proptest::prelude::*;

    const MINUTE: u64 = 60_000_000_000;

    #[test]
    fn small_limits_have_fine_units() {
        assert_eq!(TimeScale::new(MINUTE, 20, 31).unit_ns(), 1);
        assert_eq!(TimeScale::new(24 * 60 * MINUTE, 127, 127).unit_ns(), 1);
        assert_eq!(TimeScale::new(400 * 24 * 60 * MINUTE, 127, 127).unit_ns(), 1_000);
        assert_eq!(TimeScale::new(MINUTE, 100_000, 15).unit_ns(), 1_000_000);
    }

    /// Returns whether the time field spans enough windows with a unit of this many ns.
    fn fits(scale: &TimeScale, window_ns: u64, unit: u64) -> bool {
        let windows = MIN_WINDOWS_PER_TIME_FIELD as u128 * (window_ns.div_ceil(unit) as u128 + 1);
        windows <= scale.format().max_time() as u128
    }

    /// Asserts that the unit is the finest that fits and, for buckets, no finer than needed.
    fn assert_finest_unit(window_ns: u64, limit: u64, words: u64) {
        let scale = TimeScale::new(window_ns, limit, words);
        let (unit, min_units) = (scale.unit_ns(), MIN_UNITS_PER_BUCKET * (words - 1));
        let exact = limit <= words;
        assert!(fits(&scale, window_ns, unit));
        assert!(exact || window_ns / unit / 10 < min_units, "finer than buckets need");
        let needed = !exact && window_ns / unit >= min_units;
        assert!(
            unit == 1 || needed || !fits(&scale, window_ns, unit / 10),
            "coarser than it must be"
        );
    }

    #[test]
    fn unit_is_the_finest_that_fits() {
        for words in [7, 15, 31, 63, 127] {
            for limit in (0..=40).map(|bits| MAX_LIMIT >> bits) {
                let max_window =
                    WordFormat::for_limit(limit).max_time() / MIN_WINDOWS_PER_TIME_FIELD;
                let spans = [MIN_UNITS_PER_BUCKET * (words - 1), MIN_UNITS_PER_BUCKET * words];
                for edge in [max_window, spans[0], spans[1]] {
                    for window_ns in (0..9).map(|digits| edge.saturating_mul(10_u64.pow(digits))) {
                        for window_ns in (0..9).map(|delta| window_ns.saturating_add(delta) - 4) {
                            if window_ns <= MAX_WINDOW.as_nanos() as u64 {
                                assert_finest_unit(window_ns, limit, words);
                            }
                        }
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn every_policy_fits_the_time_field(
            window_ns in prop_oneof![
                MIN_WINDOW.as_nanos() as u64..=MAX_WINDOW.as_nanos() as u64,
                MIN_WINDOW.as_nanos() as u64..2 * MIN_WINDOW.as_nanos() as u64,
            ],
            limit in 1..=MAX_LIMIT, shift in 0u32..40,
            words in prop::sample::select(vec![7u64, 15, 31, 63, 127]),
            now in prop_oneof![0u64..3, any::<u64>()],
        ) {
            let limit = (limit >> shift).max(1);
            let scale = TimeScale::new(window_ns, limit, words);
            assert_finest_unit(window_ns, limit, words);
            let (window, unit) = (scale.window() as u128, scale.unit_ns() as u128);
            prop_assert!(!scale.live(now).has(SEALED | MOVED), "an unopened word is live");
            // Never shorter than the policy's window, and longer by less than two units.
            prop_assert!(window * unit >= window_ns as u128);
            prop_assert!(window * unit < window_ns as u128 + 2 * unit);
            let longest = window_ns as u128 * 101 / 100;
            prop_assert!(window * unit <= longest, "unit {unit} of {window_ns}");
            // With a unit of 1 ns nothing is rounded, so nothing is added. With coarser units a
            // bucketed charge never expires too early, and an exact one by less than a unit.
            prop_assert!(unit > 1 || window == window_ns as u128);
            let exact = limit <= words;
            let last = now.saturating_add(window_ns - 1);
            let apart = scale.tick(last) - scale.tick(now);
            prop_assert!(apart < scale.window() || exact && apart == scale.window());
            // The cells other than the head's span a window, and none of them is superfluous.
            let (cells, span) = (words - 1, scale.next_cell(0));
            prop_assert!(exact && span == 1 || cells * span >= scale.window());
            prop_assert!(cells * (span - 1) < scale.window());
            // An array is renewed more than two windows after its cutoff.
            let cutoff = scale.tick(now);
            let origin = scale.origin(cutoff);
            prop_assert!(cutoff - origin > scale.window());
            prop_assert_eq!(scale.cell(origin) * scale.cell.divisor(), origin);
            prop_assert!(cutoff - origin + 2 * scale.window() < scale.renew_at());
            // `instant_ns` inverts `tick`, up to rounding.
            if cutoff < u64::MAX {
                prop_assert!(scale.instant_ns(cutoff) <= now);
                prop_assert!(now - scale.instant_ns(cutoff) < scale.unit_ns());
            }
        }
    }
}
