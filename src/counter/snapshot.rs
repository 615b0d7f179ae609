//! What a ring's words say, and the one exchange that follows: pure, no atomics.

use super::scale::Scale;
use super::word::{MOVED, SEALED};
use super::{NEVER, Outcome};
use crate::breakage::{Breakage, broken};

/// The words of a ring as one charge saw them. Times count from the array's origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot<const R: usize> {
    pub(crate) words: [u64; R],
    /// The newest bucket.
    pub(crate) head: usize,
}

/// What to do about one charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Somebody went on since the head was found: look again.
    Stale,
    /// Nothing is written: the charge is denied, or costs nothing.
    Stay(Outcome),
    /// The charge is one exchange of the target.
    Write(u64, Outcome),
    /// The head is sealed first, then the next word is opened with the charge.
    Turn(u64, Outcome),
}

impl<const R: usize> Snapshot<R> {
    #[inline(always)]
    pub(crate) fn next(&self) -> usize {
        if self.head + 1 == R { 0 } else { self.head + 1 }
    }

    #[inline(always)]
    pub(crate) fn head_is_sealed(&self) -> bool {
        self.words[self.head] & SEALED != 0
    }

    /// The word that a charge changes. While it stands unchanged, no other word can gain a charge.
    #[inline(always)]
    pub(crate) fn target(&self) -> usize {
        if self.head_is_sealed() { self.next() } else { self.head }
    }

    /// The exchange that charges `cost` at `now`, which is not before the array's cutoff.
    #[inline]
    pub(crate) fn plan(&self, scale: &Scale, now: u64, cost: u64, limit: u64) -> Plan {
        let format = scale.format();
        let (head, next) = (self.words[self.head], self.words[self.next()]);
        let sealed = self.head_is_sealed();
        if sealed && format.time(next) > format.time(head) {
            return Plan::Stale;
        }
        let at = self.effective(scale, now);
        let used = self.used(scale, at);
        let after = used.saturating_add(cost);
        if after > limit || cost == 0 {
            return Plan::Stay(Outcome {
                admitted: after <= limit,
                used,
                at,
                fits_at: self.fits_at(scale, at, used, cost, limit),
                clear_at: self.clear_at(scale, at),
            });
        }
        let outcome =
            Outcome { admitted: true, used: after, at, fits_at: at, clear_at: at + scale.window() };
        let opened = format.pack(at, cost);
        if sealed {
            return Plan::Write(opened, outcome);
        }
        let head_used = counted(scale, head, at);
        if head_used == 0 {
            return Plan::Write(opened, outcome);
        }
        // A live word in the way is left by refunds or forced charges; merging only lets it
        // expire later.
        let blocked = !broken(Breakage::NoMerge) && counted(scale, next, at) > 0;
        if blocked || scale.cell(at) == scale.cell(format.time(head)) {
            return Plan::Write(format.pack(at, head_used.saturating_add(cost)), outcome);
        }
        Plan::Turn(opened, outcome)
    }

    /// The time to decide at: each part is a time that some thread's clock has reached, and with
    /// it the word behind a sealed head is always free.
    fn effective(&self, scale: &Scale, now: u64) -> u64 {
        let format = scale.format();
        let (head, next) = (self.words[self.head], self.words[self.next()]);
        let at = if broken(Breakage::OwnTime) {
            now
        } else if !self.head_is_sealed() {
            now.max(format.time(head))
        } else {
            let cell =
                if broken(Breakage::NoNextCell) { 0 } else { scale.next_cell(format.time(head)) };
            let at = now.max(cell).max(format.time(head));
            if format.count(next) > 0 && !broken(Breakage::NoNextExpiry) {
                at.max(format.time(next) + scale.window())
            } else {
                at
            }
        };
        at.clamp(1, format.max_time())
    }

    /// The sum of what is live at `at`.
    pub(crate) fn used(&self, scale: &Scale, at: u64) -> u64 {
        let mut sum = 0;
        for &word in &self.words {
            sum += counted(scale, word, at);
        }
        sum
    }

    /// Lets the oldest buckets expire one by one until the cost fits.
    fn fits_at(&self, scale: &Scale, at: u64, used: u64, cost: u64, limit: u64) -> u64 {
        if cost > limit {
            return NEVER;
        }
        let (mut used, mut fits_at) = (used, at);
        for word in self.oldest_first() {
            if used.saturating_add(cost) <= limit {
                break;
            }
            let count = counted(scale, word, at);
            if count > 0 {
                used -= count;
                fits_at = scale.format().time(word) + scale.window();
            }
        }
        fits_at
    }

    /// The first time at which nothing of what is used at `at` is left.
    pub(crate) fn clear_at(&self, scale: &Scale, at: u64) -> u64 {
        let mut clear_at = at;
        for &word in &self.words {
            if counted(scale, word, at) > 0 {
                clear_at = clear_at.max(scale.format().time(word) + scale.window());
            }
        }
        clear_at
    }

    /// The words in ring order from the one after the head, which is the oldest, to the head.
    pub(crate) fn oldest_first(&self) -> impl Iterator<Item = u64> + '_ {
        let next = self.next();
        self.words[next..].iter().chain(&self.words[..next]).copied()
    }

    /// The words for a fresh ring in an array whose origin lies `shift` later: the head at place 0
    /// and unsealed, the others behind it from the oldest on, zero for what had expired at
    /// `cutoff`, which is counted from the old origin.
    pub(crate) fn rebased(&self, scale: &Scale, cutoff: u64, shift: u64) -> [u64; R] {
        let format = scale.format();
        let mut words = [0; R];
        for (place, word) in self.oldest_first().enumerate() {
            let place = if place + 1 == R { 0 } else { place + 1 };
            if live(scale, word, cutoff) {
                let time = format.time(word).saturating_sub(shift).clamp(1, format.max_time());
                let sealed = if place == 0 { 0 } else { word & SEALED };
                words[place] = format.pack(time, format.count(word)) | sealed;
            }
        }
        words
    }
}

/// A charge is live at `at` iff `at - time < window`; a word that was never opened is not.
#[inline(always)]
pub(crate) fn live(scale: &Scale, word: u64, at: u64) -> bool {
    word & !MOVED != 0 && scale.format().time(word) + scale.window() > at
}

/// What a word counts for at `at`.
#[inline(always)]
fn counted(scale: &Scale, word: u64, at: u64) -> u64 {
    if live(scale, word, at) { scale.format().count(word) } else { 0 }
}
