//! Little more than a window of seven buckets must do for a decision. It is enough for one thread which
//! nobody disturbs: there are no marks, no moves and no second looks.

use crate::places::Words;
use std::hint::{black_box, cold_path};
use std::sync::atomic::Ordering::*;
use std::time::Duration;

/// Where a word's time begins, and its count ends.
const TIME_SHIFT: u32 = 27;
const COUNT: u64 = (1 << TIME_SHIFT) - 1;
/// Times are told in units of 2^12 ns: six days of them.
const UNIT_BITS: u32 = 12;
/// Buckets a window is divided into; the ring has one more.
const BUCKETS: u64 = 6;

/// The measures of a window. It may be too short by what is cut off to the unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    limit: u64,
    /// In units.
    window: u64,
    /// Every bucket begins at a multiple of 2 to this power, in units.
    span_bits: u32,
}

/// All that a caller is told.
#[derive(Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "the benches read no more than whether"))]
pub(super) struct Answer {
    pub(super) allowed: bool,
    pub(super) limit: u64,
    pub(super) remaining: u64,
    pub(super) retry_after: Option<u64>,
    pub(super) reset_after: u64,
}

impl Window {
    /// About as long as this, or up to twice as long.
    pub(super) fn new(limit: u32, window: Duration) -> Self {
        let units = (window.as_nanos() as u64) >> UNIT_BITS;
        let span = units.div_ceil(BUCKETS).next_power_of_two();
        let window = Window {
            limit: limit.into(),
            window: span * BUCKETS,
            span_bits: span.trailing_zeros(),
        };
        // Not known to the compiler, as a limiter's are not.
        black_box(window)
    }

    /// The first instant that can be told, in nanoseconds, as all of them.
    pub(super) fn start(&self) -> u64 {
        self.window << UNIT_BITS
    }

    /// Charges one unit if there is room.
    #[inline(always)]
    pub(super) fn allows(&self, words: &Words, now_ns: u64) -> bool {
        let now = now_ns >> UNIT_BITS;
        let newest = newest(words);
        self.used(words, newest, now) < self.limit && self.charge(words, newest, now)
    }

    /// The same, and tells it all.
    // By itself, so that the answer goes through memory, as that of any limiter does.
    #[inline(never)]
    pub(super) fn answers(&self, words: &Words, now_ns: u64) -> Answer {
        let now = now_ns >> UNIT_BITS;
        let newest = newest(words);
        let used = self.used(words, newest, now);
        if used >= self.limit {
            return self.denial(words, newest, now);
        }
        Answer {
            allowed: self.charge(words, newest, now),
            limit: self.limit,
            remaining: self.limit - used - 1,
            retry_after: None,
            reset_after: self.window << UNIT_BITS,
        }
    }

    /// The sum of what is live.
    #[inline(always)]
    fn used(&self, words: &Words, newest: usize, now: u64) -> u64 {
        let least = self.least(now);
        let count = |word| if word >= least { word & COUNT } else { 0 };
        let before = if newest == 0 { words.len() - 1 } else { newest - 1 };
        if words[before].load(Relaxed) < least {
            // The others are older still.
            cold_path();
            return count(words[newest].load(Relaxed));
        }
        words.iter().map(|word| count(word.load(Relaxed))).sum()
    }

    /// One unit more in the bucket of this time.
    #[inline(always)]
    fn charge(&self, words: &Words, newest: usize, now: u64) -> bool {
        let (time, head) = (now << TIME_SHIFT, words[newest].load(Acquire));
        let (place, old, new) = if head >> (TIME_SHIFT + self.span_bits) == now >> self.span_bits {
            (newest, head, (time | (head & COUNT)) + 1)
        } else {
            cold_path();
            let next = if newest + 1 == words.len() { 0 } else { newest + 1 };
            (next, words[next].load(Relaxed), time | 1)
        };
        words[place].compare_exchange(old, new, Release, Relaxed).is_ok()
    }

    /// The word that is as old as any live one can be.
    #[inline(always)]
    fn least(&self, now: u64) -> u64 {
        (now - self.window + 1) << TIME_SHIFT
    }

    /// From the newest bucket back to the one that must expire before there is room.
    #[inline(always)]
    fn denial(&self, words: &Words, newest: usize, now: u64) -> Answer {
        let least = self.least(now);
        let (newer, older) = words.split_at(newest + 1);
        let (mut used, mut blocker) = (0, 0);
        for word in newer.iter().rev().chain(older.iter().rev()) {
            let word = word.load(Relaxed);
            if word < least {
                break;
            }
            used += word & COUNT;
            if blocker == 0 && used >= self.limit {
                blocker = word;
            }
        }
        let end = |word: u64| (word >> TIME_SHIFT) + self.window;
        let until = |word| end(word).saturating_sub(now) << UNIT_BITS;
        Answer {
            allowed: false,
            limit: self.limit,
            remaining: self.limit.saturating_sub(used),
            retry_after: Some(until(blocker)),
            reset_after: until(words[newest].load(Relaxed)),
        }
    }
}

/// The last of those that are newer than the first: times grow along a ring.
#[inline(always)]
fn newest(words: &Words) -> usize {
    let first = words[0].load(Acquire);
    let mut newest = 0;
    for step in [4, 2, 1] {
        match words.get(newest + step) {
            Some(word) if word.load(Acquire) > first => newest += step,
            // A branch, which is guessed: a select would wait for the load before.
            _ => cold_path(),
        }
    }
    newest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Admits as a window does: never more than the limit in one, and nearly all of it in each.
    #[test]
    fn it_is_a_window() {
        let window = Window::new(20, Duration::from_nanos(600 << UNIT_BITS));
        assert_eq!(window.window, 768);
        let words = Words::default();
        let mut admitted = Vec::new();
        for now in (window.window..20_000).step_by(7) {
            let inside = |then: &&u64| now - **then < window.window;
            let answer = window.answers(&words, now << UNIT_BITS);
            assert_eq!(answer.limit, 20);
            if answer.allowed {
                assert!(admitted.iter().filter(inside).count() < 20);
                assert_eq!(answer.remaining, 19 - used(&admitted, &window, now));
                admitted.push(now);
            } else {
                let wait = answer.retry_after.expect("a denial tells when");
                assert!(0 < wait && wait <= answer.reset_after);
                assert!(answer.reset_after <= window.window << UNIT_BITS);
                assert_eq!(answer.remaining, 20 - used(&admitted, &window, now));
            }
        }
        // 25 windows; a bucket expires as a whole, which costs a sixth at most.
        assert!(admitted.len() >= 25 * 20 * 5 / 6, "{}", admitted.len());
    }

    /// What counts: the buckets whose newest charge is inside the window.
    fn used(admitted: &[u64], window: &Window, now: u64) -> u64 {
        let bucket = |time: &u64| time >> window.span_bits;
        let newest = |of: &u64| admitted.iter().rev().find(|time| bucket(time) == bucket(of));
        let live = |time: &&u64| newest(time).is_some_and(|newest| now - newest < window.window);
        admitted.iter().filter(live).count() as u64
    }
}
