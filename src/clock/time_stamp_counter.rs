//! The processor's time stamp counter, read without quanta's choice of a source at each reading.
//!
//! When a clock is created, quanta decides whether the counter is fit for use, and calibrates it.

/// Two readings, one just after the other, that differ by this many ticks or more are not of the same
/// counter.
const MAX_DIFFERENCE: u64 = 1 << 24;
/// quanta multiplies ticks by a factor and shifts right by at most this many bits. So its result for
/// 2⁵⁰ ticks gives its scale exactly.
const SPAN_BITS: u32 = 50;

/// The counter that a quanta clock reads, and the clock's scale.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeStampCounter {
    /// The raw reading at time 0.
    start: u64,
    /// 2⁶⁴ times the nanoseconds of a tick.
    scale: u64,
}

impl TimeStampCounter {
    /// The counter that this clock reads, with its raw reading `start` as time 0. `None` if the
    /// clock reads something else, if a tick is not shorter than a nanosecond, or on other processors
    /// than x86-64.
    pub(super) fn of(clock: &quanta::Clock, start: u64) -> Option<Self> {
        let span_ns = clock.delta_as_nanos(0, 1 << SPAN_BITS);
        Self::new(start, span_ns, || Some(read()?.abs_diff(clock.raw())))
    }

    /// `difference` reads the counter and the clock, and returns the difference of the raw readings. If
    /// it is large, the clock reads something else.
    fn new(start: u64, span_ns: u64, difference: impl FnOnce() -> Option<u64>) -> Option<Self> {
        // If quanta uses the system clock, a tick is 1 ns. Then do not read the counter: the system may
        // forbid it.
        if span_ns >= 1 << SPAN_BITS || difference()? >= MAX_DIFFERENCE {
            return None;
        }
        Some(TimeStampCounter { start, scale: span_ns << (u64::BITS - SPAN_BITS) })
    }

    /// Nanoseconds since the start.
    #[inline(always)]
    pub(super) fn elapsed_ns(&self) -> u64 {
        // Saturating: the counters of two processors can differ a little. `read` returns a value here,
        // as it did in `of`.
        self.nanoseconds(read().unwrap_or_default().saturating_sub(self.start))
    }

    /// The nanoseconds of a number of ticks: the same as quanta's.
    #[inline(always)]
    fn nanoseconds(&self, ticks: u64) -> u64 {
        ((u128::from(ticks) * u128::from(self.scale)) >> u64::BITS) as u64
    }
}

/// Reads the counter. `None` where this file does not know how.
#[inline(always)]
fn read() -> Option<u64> {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: every x86-64 processor has the instruction.
    return Some(unsafe { std::arch::x86_64::_rdtsc() });
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    None
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The counter of a new clock. Prints a line and returns `None` where the clock does not read it.
    fn counter() -> Option<(quanta::Clock, TimeStampCounter)> {
        let clock = quanta::Clock::new();
        let counter = TimeStampCounter::of(&clock, clock.raw());
        let has_short_ticks = clock.delta_as_nanos(0, 1 << SPAN_BITS) < 1 << SPAN_BITS;
        let is_known = cfg!(all(target_arch = "x86_64", not(miri)));
        assert_eq!(counter.is_some(), is_known && has_short_ticks, "quanta reads the counter");
        if counter.is_none() {
            eprintln!("skipped: time stamp counter");
        }
        Some((clock, counter?))
    }

    #[test]
    fn another_source_is_not_taken_for_the_counter() {
        let (same, span) = (MAX_DIFFERENCE - 1, 1 << SPAN_BITS);
        assert!(TimeStampCounter::new(0, span - 1, || Some(same)).is_some());
        assert!(TimeStampCounter::new(0, span - 1, || Some(MAX_DIFFERENCE)).is_none());
        assert!(TimeStampCounter::new(0, span, || panic!("reads the counter")).is_none());
    }

    #[test]
    fn nanoseconds_equal_those_of_quanta() {
        let Some((clock, counter)) = counter() else { return };
        proptest!(|(ticks: u64, bits in 0..64)| {
            let ticks = ticks >> bits;
            prop_assert_eq!(counter.nanoseconds(ticks), clock.delta_as_nanos(0, ticks));
        });
    }

    #[test]
    fn a_reading_is_between_two_readings_of_quanta() {
        let Some((clock, counter)) = counter() else { return };
        let quanta = || clock.delta_as_nanos(counter.start, clock.raw());
        for _ in 0..1_000 {
            let (before, reading, after) = (quanta(), counter.elapsed_ns(), quanta());
            // A thread that moves to another processor may see its counter a little behind.
            let error = 1_000;
            assert!(before <= reading + error && reading <= after + error);
        }
    }
}
