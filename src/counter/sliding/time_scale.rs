//! The time scale of a sliding window: the length of a tick, and the window and cells in ticks.
//!
//! Clock readings are rounded down to whole ticks. The nanoseconds of a tick are a power of two, so
//! that the conversion is a shift.
//!
//! - An exact policy uses the shortest tick with which the word's time field spans eight windows. For
//!   windows up to 39 hours, or longer if the limit is small, this is 1 ns.
//! - A bucketed policy uses the longest tick that still divides each bucket's span into at least 1024
//!   ticks, since the time field then lasts longer.
//!
//! The window is rounded up to whole ticks. If a tick is longer than 1 ns, one tick is added, so that
//! rounding never lets a charge expire too early.

use super::reciprocal::Reciprocal;
use super::word::{Live, WordFormat};
use std::hint::cold_path;

/// The minimum number of windows that the time field must span.
///
/// An array is renewed before its time field is exhausted. After a renewal the field starts one
/// window before the present.
const MIN_WINDOWS_PER_TIME_FIELD: u64 = 8;

/// The minimum number of ticks per bucket that a bucketed policy aims for.
const MIN_TICKS_PER_BUCKET: u64 = 1024;

/// The time scale of one policy's rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeScale {
    /// Log2 of the nanoseconds per tick.
    tick_bits: u32,
    /// The ticks from clock time 0 to the last clock reading.
    max_ticks: u64,
    ticks_per_cell: Reciprocal,
    /// The window in ticks.
    window: u64,
    /// One tick less than a window, at the position of a word's time field.
    reach: u64,
    /// A cell, at the position of a word's time field.
    cell_span: u64,
    /// The tick of clock time 0. It is greater than 0, so that the origin of an array made at that time
    /// fits before it.
    first_tick: u64,
    format: WordFormat,
}

impl TimeScale {
    /// The scale for rings of `words` words. It is exact if the ring has a word for each unit of
    /// the limit.
    pub(crate) fn new(window_ns: u64, max_limit: u64, words: u64) -> Self {
        let format = WordFormat::for_limit(max_limit);
        let exact = max_limit <= words;
        let tick_bits = tick_bits(window_ns, words, exact, format);
        let window = window_ns.div_ceil(1 << tick_bits) + u64::from(tick_bits > 0);
        let span = if exact { 1 } else { window.div_ceil(words - 1) };
        // The origin of an array is more than a window before its cutoff, rounded down to a cell.
        let first_tick = (window.div_ceil(span) + 2) * span;
        Self::from_parts(tick_bits, span, window, first_tick, format)
    }

    /// A scale small enough for a model: ticks of 1 ns, starting with tick 0 at clock time 0.
    #[cfg(all(test, tollgate_model))]
    pub(crate) fn tiny(window: u64, max_limit: u64, words: u64) -> Self {
        let span = if max_limit <= words { 1 } else { window.div_ceil(words - 1) };
        Self::from_parts(0, span, window, 0, WordFormat::for_limit(max_limit))
    }

    fn from_parts(
        tick_bits: u32,
        span: u64,
        window: u64,
        first_tick: u64,
        format: WordFormat,
    ) -> Self {
        // The quotients are exact: a bucket spans at most 2,049 ticks, and the times of a bucketed policy
        // have at most 53 bits.
        let ticks_per_cell = Reciprocal::new(span, format.max_time());
        let (max_ticks, reach) = (u64::MAX >> tick_bits, format.span_of(window - 1));
        let cell_span = format.span_of(span);
        TimeScale {
            tick_bits,
            max_ticks,
            ticks_per_cell,
            window,
            reach,
            cell_span,
            first_tick,
            format,
        }
    }

    /// The tick that contains an instant of the clock.
    #[inline(always)]
    pub(crate) fn tick(&self, ns: u64) -> u64 {
        let Some(tick) = (ns >> self.tick_bits).checked_add(self.first_tick) else {
            cold_path();
            return u64::MAX;
        };
        tick
    }

    /// The tick that contains an instant, modulo 2^64.
    #[inline(always)]
    pub(crate) fn wrapping_tick(&self, ns: u64) -> u64 {
        (ns >> self.tick_bits).wrapping_add(self.first_tick)
    }

    /// The nanoseconds from `ns` to a later tick, less than 2^64 of them.
    #[inline(always)]
    pub(crate) fn ns_until(&self, tick: u64, ns: u64) -> u64 {
        // Exact even if the start of the tick overflows.
        (tick.wrapping_sub(self.first_tick) << self.tick_bits).wrapping_sub(ns)
    }

    /// The first instant of a tick, in nanoseconds of the clock. Saturates at 0 and `u64::MAX`.
    #[inline(always)]
    pub(crate) fn instant_ns(&self, tick: u64) -> u64 {
        match tick.checked_sub(self.first_tick) {
            Some(ticks) if ticks <= self.max_ticks => ticks << self.tick_bits,
            outside => {
                cold_path();
                if outside.is_some() { u64::MAX } else { 0 }
            }
        }
    }

    /// The last tick whose window ends at an instant that a clock can read. From a later one, a wait
    /// saturates.
    pub(crate) fn last_exact_tick(&self) -> u64 {
        (self.max_ticks - self.window).saturating_add(self.first_tick)
    }

    /// The resolution of recorded times.
    pub(crate) fn tick_ns(&self) -> u64 {
        1 << self.tick_bits
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

    /// Like [`live_in_range`](Self::live_in_range), at the time of `start`, a word without a count.
    #[inline(always)]
    pub(crate) fn live_from(&self, start: u64) -> Live {
        let mut min_word = start.wrapping_sub(self.reach);
        if start <= self.reach {
            cold_path();
            min_word = self.format.start_of(1);
        }
        Live::from_word(min_word, self.format)
    }

    /// The number of the cell that contains a time. The time counts from an origin, which is the
    /// start of a cell.
    #[inline(always)]
    pub(crate) fn cell(&self, time: u64) -> u64 {
        self.ticks_per_cell.divide(time)
    }

    /// The start of the cell that contains `time`, at the position of a word's time field.
    #[inline(always)]
    pub(crate) fn cell_start_word(&self, time: u64) -> u64 {
        self.cell(time) * self.cell_span
    }

    /// The start of the cell after the one that contains `time`.
    #[inline(always)]
    pub(crate) fn next_cell(&self, time: u64) -> u64 {
        (self.cell(time) + 1) * self.ticks_per_cell.divisor()
    }

    /// The origin, as a tick, of an array with this cutoff: the start of a cell, earlier than every
    /// charge that is live at the cutoff.
    pub(crate) fn origin(&self, cutoff: u64) -> u64 {
        // Model: publish with OriginAtCutoff.
        let oldest = cutoff.saturating_sub(self.window + 1);
        oldest - oldest % self.ticks_per_cell.divisor()
    }

    /// The number of ticks after its origin at which an array should be renewed.
    pub(crate) fn renew_at(&self) -> u64 {
        self.format.max_time() / 4 * 3
    }
}

/// Log2 of the nanoseconds per tick.
fn tick_bits(window_ns: u64, words: u64, exact: bool, format: WordFormat) -> u32 {
    let mut bits = 0;
    if !exact {
        let min_ticks = MIN_TICKS_PER_BUCKET * (words - 1);
        while window_ns >> (bits + 1) >= min_ticks {
            bits += 1;
        }
    }
    while (window_ns.div_ceil(1 << bits) + 1) * MIN_WINDOWS_PER_TIME_FIELD > format.max_time() {
        bits += 1;
    }
    bits
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
    fn small_limits_have_short_ticks() {
        assert_eq!(TimeScale::new(MINUTE, 20, 31).tick_ns(), 1);
        assert_eq!(TimeScale::new(24 * 60 * MINUTE, 127, 127).tick_ns(), 1);
        assert_eq!(TimeScale::new(400 * 24 * 60 * MINUTE, 127, 127).tick_ns(), 256);
        assert_eq!(TimeScale::new(MINUTE, 100_000, 15).tick_ns(), 1 << 21);
    }

    /// Returns whether the time field spans enough windows with ticks of this many ns.
    fn fits(scale: &TimeScale, window_ns: u64, tick_ns: u64) -> bool {
        let windows =
            MIN_WINDOWS_PER_TIME_FIELD as u128 * (window_ns.div_ceil(tick_ns) as u128 + 1);
        windows <= scale.format().max_time() as u128
    }

    /// Asserts that the tick is the shortest that fits and, for buckets, no shorter than needed.
    fn assert_shortest_tick(window_ns: u64, limit: u64, words: u64) {
        let scale = TimeScale::new(window_ns, limit, words);
        let (tick_ns, min_ticks) = (scale.tick_ns(), MIN_TICKS_PER_BUCKET * (words - 1));
        let exact = limit <= words;
        assert!(tick_ns.is_power_of_two() && fits(&scale, window_ns, tick_ns));
        assert!(exact || window_ns / tick_ns / 2 < min_ticks, "shorter than buckets need");
        let needed = !exact && window_ns / tick_ns >= min_ticks;
        assert!(
            tick_ns == 1 || needed || !fits(&scale, window_ns, tick_ns / 2),
            "longer than it must be"
        );
    }

    #[test]
    fn tick_is_the_shortest_that_fits() {
        for words in [7, 15, 23, 31, 47, 63, 95, 127] {
            for limit in (0..=40).map(|bits| MAX_LIMIT >> bits) {
                let max_window =
                    WordFormat::for_limit(limit).max_time() / MIN_WINDOWS_PER_TIME_FIELD;
                let spans = [MIN_TICKS_PER_BUCKET * (words - 1), MIN_TICKS_PER_BUCKET * words];
                for edge in [max_window, spans[0], spans[1]] {
                    for window_ns in (0..30).map(|bits| edge.saturating_mul(1 << bits)) {
                        for window_ns in (0..9).map(|delta| window_ns.saturating_add(delta) - 4) {
                            if window_ns <= MAX_WINDOW.as_nanos() as u64 {
                                assert_shortest_tick(window_ns, limit, words);
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
            words in prop::sample::select(vec![7u64, 15, 23, 31, 47, 63, 95, 127]),
            now in prop_oneof![0u64..3, any::<u64>()],
        ) {
            let limit = (limit >> shift).max(1);
            let scale = TimeScale::new(window_ns, limit, words);
            assert_shortest_tick(window_ns, limit, words);
            let (window, tick_ns) = (scale.window() as u128, scale.tick_ns() as u128);
            prop_assert!(!scale.live(now).has(SEALED | MOVED), "an unopened word is live");
            // Never shorter than the policy's window, and longer by less than two ticks.
            prop_assert!(window * tick_ns >= window_ns as u128);
            prop_assert!(window * tick_ns < window_ns as u128 + 2 * tick_ns);
            let longest = window_ns as u128 * 1_001 / 1_000;
            prop_assert!(window * tick_ns <= longest, "tick_ns {tick_ns} of {window_ns}");
            // With ticks of 1 ns nothing is rounded, so nothing is added. With longer ticks no
            // charge expires too early.
            prop_assert!(tick_ns > 1 || window == window_ns as u128);
            let exact = limit <= words;
            let last = now.saturating_add(window_ns - 1);
            prop_assert!(scale.tick(last) - scale.tick(now) < scale.window());
            // The cells other than the head's span a window, and none of them is superfluous.
            let (cells, span) = (words - 1, scale.next_cell(0));
            prop_assert!(exact && span == 1 || cells * span >= scale.window());
            prop_assert!(cells * (span - 1) < scale.window());
            // An array is renewed more than two windows after its cutoff.
            let cutoff = scale.tick(now);
            let origin = scale.origin(cutoff);
            prop_assert!(cutoff - origin > scale.window());
            prop_assert_eq!(origin % span, 0);
            // Cells are exact up to the last time.
            let last = scale.format().max_time();
            for time in [last, last / span * span, last / span * span - 1, now.min(last)] {
                prop_assert_eq!(scale.cell(time), time / span);
                prop_assert_eq!(scale.next_cell(time), time - time % span + span);
            }
            prop_assert!(cutoff - origin + 2 * scale.window() < scale.renew_at());
            // `instant_ns` inverts `tick`, up to rounding.
            prop_assert_eq!(scale.instant_ns(0), 0);
            let last = u128::from(u64::MAX - scale.first_tick) * tick_ns;
            prop_assert_eq!(u128::from(scale.instant_ns(u64::MAX)), last.min(u64::MAX.into()));
            if cutoff < u64::MAX {
                prop_assert!(scale.instant_ns(cutoff) <= now);
                prop_assert!(now - scale.instant_ns(cutoff) < scale.tick_ns());
            }
        }
    }
}
