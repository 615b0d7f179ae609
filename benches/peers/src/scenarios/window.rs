//! A minimal window of seven buckets. It is correct for one thread only: words have no marks, do
//! not migrate, and are not validated.

use crate::slots::Words;
use std::hint::{black_box, cold_path};
use std::sync::atomic::Ordering::*;
use std::time::Duration;

/// The position of a word's time above its count.
const TIME_SHIFT: u32 = 27;
const COUNT: u64 = (1 << TIME_SHIFT) - 1;
/// The unit of times is 2^12 ns; a word covers six days.
const UNIT_BITS: u32 = 12;
/// Buckets of a window; the ring has one more.
const BUCKETS: u64 = 6;

/// The parameters of a window. Its length is rounded down to whole units.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    limit: u64,
    /// In units.
    window: u64,
    /// Log2 of the span of a bucket, in units.
    span_bits: u32,
}

/// A whole decision.
#[derive(Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "the benchmarks read only `allowed`"))]
pub(super) struct Decision {
    pub(super) allowed: bool,
    pub(super) limit: u64,
    pub(super) remaining: u64,
    pub(super) retry_after: Option<u64>,
    pub(super) reset_after: u64,
}

impl Window {
    /// Creates a window of about this length, or up to twice as long.
    pub(super) fn new(limit: u32, window: Duration) -> Self {
        let units = (window.as_nanos() as u64) >> UNIT_BITS;
        let span = units.div_ceil(BUCKETS).next_power_of_two();
        let window = Window {
            limit: limit.into(),
            window: span * BUCKETS,
            span_bits: span.trailing_zeros(),
        };
        // Hide the values from the compiler, as those of a real limiter are.
        black_box(window)
    }

    /// The first valid time, in nanoseconds.
    pub(super) fn start(&self) -> u64 {
        self.window << UNIT_BITS
    }

    /// Charges one unit if there is room, and returns whether it did.
    #[inline(always)]
    pub(super) fn admit(&self, words: &Words, now_ns: u64) -> bool {
        let now = now_ns >> UNIT_BITS;
        let newest = newest(words);
        self.used(words, newest, now) < self.limit && self.charge(words, newest, now)
    }

    /// Charges one unit if there is room, and returns a whole decision.
    // Not inlined, so that the decision is returned through memory, as that of a real limiter is.
    #[inline(never)]
    pub(super) fn decide(&self, words: &Words, now_ns: u64) -> Decision {
        let now = now_ns >> UNIT_BITS;
        let newest = newest(words);
        let used = self.used(words, newest, now);
        if used >= self.limit {
            return self.denial(words, newest, now);
        }
        Decision {
            allowed: self.charge(words, newest, now),
            limit: self.limit,
            remaining: self.limit - used - 1,
            retry_after: None,
            reset_after: self.window << UNIT_BITS,
        }
    }

    /// The sum of the live buckets.
    #[inline(always)]
    fn used(&self, words: &Words, newest: usize, now: u64) -> u64 {
        let oldest = self.oldest_live(now);
        let count = |word| if word >= oldest { word & COUNT } else { 0 };
        let before = if newest == 0 { words.len() - 1 } else { newest - 1 };
        if words[before].load(Relaxed) < oldest {
            // All others are older.
            cold_path();
            return count(words[newest].load(Relaxed));
        }
        words.iter().map(|word| count(word.load(Relaxed))).sum()
    }

    /// Adds one unit to the bucket of this time.
    #[inline(always)]
    fn charge(&self, words: &Words, newest: usize, now: u64) -> bool {
        let (time, head) = (now << TIME_SHIFT, words[newest].load(Acquire));
        let (index, old, new) = if head >> (TIME_SHIFT + self.span_bits) == now >> self.span_bits {
            (newest, head, (time | (head & COUNT)) + 1)
        } else {
            cold_path();
            let next = if newest + 1 == words.len() { 0 } else { newest + 1 };
            (next, words[next].load(Relaxed), time | 1)
        };
        words[index].compare_exchange(old, new, Release, Relaxed).is_ok()
    }

    /// The smallest word that can be live.
    #[inline(always)]
    fn oldest_live(&self, now: u64) -> u64 {
        (now - self.window + 1) << TIME_SHIFT
    }

    /// Sums from the newest bucket back to the one that must expire before there is room.
    #[inline(always)]
    fn denial(&self, words: &Words, newest: usize, now: u64) -> Decision {
        let oldest = self.oldest_live(now);
        let (newer, older) = words.split_at(newest + 1);
        let (mut used, mut blocker) = (0, 0);
        for word in newer.iter().rev().chain(older.iter().rev()) {
            let word = word.load(Relaxed);
            if word < oldest {
                break;
            }
            used += word & COUNT;
            if blocker == 0 && used >= self.limit {
                blocker = word;
            }
        }
        let end = |word: u64| (word >> TIME_SHIFT) + self.window;
        let until = |word| end(word).saturating_sub(now) << UNIT_BITS;
        Decision {
            allowed: false,
            limit: self.limit,
            remaining: self.limit.saturating_sub(used),
            retry_after: Some(until(blocker)),
            reset_after: until(words[newest].load(Relaxed)),
        }
    }
}

/// The newest word, by binary search: times increase along the ring from the first word to the
/// newest.
#[inline(always)]
fn newest(words: &Words) -> usize {
    let first = words[0].load(Acquire);
    let mut newest = 0;
    for step in [4, 2, 1] {
        match words.get(newest + step) {
            Some(word) if word.load(Acquire) > first => newest += step,
            // A predicted branch: a conditional move would wait for the previous load.
            _ => cold_path(),
        }
    }
    newest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A window admits at most the limit, and nearly the whole limit.
    #[test]
    fn admits_nearly_the_limit_and_never_more() {
        let window = Window::new(20, Duration::from_nanos(600 << UNIT_BITS));
        assert_eq!(window.window, 768);
        let words = Words::default();
        let mut admitted = Vec::new();
        for now in (window.window..20_000).step_by(7) {
            let inside = |then: &&u64| now - **then < window.window;
            let decision = window.decide(&words, now << UNIT_BITS);
            assert_eq!(decision.limit, 20);
            if decision.allowed {
                assert!(admitted.iter().filter(inside).count() < 20);
                assert_eq!(decision.remaining, 19 - used(&admitted, &window, now));
                admitted.push(now);
            } else {
                let wait = decision.retry_after.expect("a denial has a wait");
                assert!(0 < wait && wait <= decision.reset_after);
                assert!(decision.reset_after <= window.window << UNIT_BITS);
                assert_eq!(decision.remaining, 20 - used(&admitted, &window, now));
            }
        }
        // 25 windows; a bucket expires as a whole, which loses at most a sixth.
        assert!(admitted.len() >= 25 * 20 * 5 / 6, "{}", admitted.len());
    }

    /// The sum of the buckets whose newest charge is inside the window.
    fn used(admitted: &[u64], window: &Window, now: u64) -> u64 {
        let bucket = |time: &u64| time >> window.span_bits;
        let newest = |of: &u64| admitted.iter().rev().find(|time| bucket(time) == bucket(of));
        let live = |time: &&u64| newest(time).is_some_and(|newest| now - newest < window.window);
        admitted.iter().filter(live).count() as u64
    }
}
