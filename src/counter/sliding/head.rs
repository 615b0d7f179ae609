//! The newest bucket of a ring, and what a charge makes of it: pure, no atomics.

use super::time_scale::TimeScale;
use crate::verify::mutants::{Breakage, broken};
use std::hint::cold_path;

/// One word of a ring, as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ObservedWord {
    pub(crate) index: usize,
    pub(crate) word: u64,
}

/// The newest bucket and, behind a sealed one, the word after it, which is the oldest, as one charge
/// saw them. Times count from the array's origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadSnapshot {
    pub(crate) head: ObservedWord,
    pub(crate) next: Option<ObservedWord>,
}

/// What a charge writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// One exchange of the target.
    Target(u64),
    /// The head is sealed first, then the next word, as it was seen, is opened with the charge.
    SealAndOpen(ObservedWord, u64),
}

impl HeadSnapshot {
    #[inline(always)]
    pub(crate) fn is_sealed(&self) -> bool {
        self.next.is_some()
    }

    /// The word that a charge changes. While it unchanged unchanged, no other word can gain a charge.
    #[inline(always)]
    pub(crate) fn target(&self) -> ObservedWord {
        self.next.unwrap_or(self.head)
    }

    /// Whether this is the snapshot of no ring, or was left before the next word was seen. An unsealed
    /// bucket is the newest one wherever it was found; a fresh ring begins at index 0.
    #[inline(always)]
    pub(crate) fn is_inconsistent(&self) -> bool {
        match self.next {
            Some(next) => next.word > self.head.word,
            None => self.head.word == 0 && self.head.index > 0,
        }
    }

    /// The time to decide at: each part is a time that some thread's clock has reached, and with
    /// it the word behind a sealed head is always free.
    #[inline(always)]
    pub(crate) fn effective_time(&self, scale: &TimeScale, now: u64) -> u64 {
        let format = scale.format();
        let newest = format.time(self.head.word);
        // By branches, so that the time to write need not wait for the time that was read.
        let mut at = now;
        if newest > at && !broken(Breakage::OwnTime) {
            cold_path();
            at = newest;
        }
        if let Some(next) = self.next
            && !broken(Breakage::OwnTime)
        {
            at = at.max(self.next_free_time(next.word, scale));
        }
        if at > format.max_time() {
            cold_path();
            at = format.max_time();
        }
        at
    }

    /// The first time at which the word behind the sealed head can be opened.
    #[cold]
    fn next_free_time(self, next: u64, scale: &TimeScale) -> u64 {
        let format = scale.format();
        let newest = format.time(self.head.word);
        let cell_start = if broken(Breakage::NoNextCell) { 0 } else { scale.next_cell(newest) };
        if format.count(next) > 0 && !broken(Breakage::NoNextExpiry) {
            cell_start.max(format.time(next) + scale.window())
        } else {
            cell_start
        }
    }

    /// The target's word with `cost` charged at the effective time `at`; `None` if the cell of an
    /// unsealed head has ended: then the [`seal_and_open`](Self::seal_and_open) tells.
    #[inline(always)]
    pub(crate) fn charged_word(&self, scale: &TimeScale, at: u64, cost: u64) -> Option<u64> {
        let (format, live) = (scale.format(), scale.live_in_range(at));
        let head_count = format.count(self.head.word);
        if self.is_sealed() || !live.has(self.head.word) || head_count == 0 {
            return Some(format.pack(at, cost));
        }
        let same_cell = at < scale.next_cell(format.time(self.head.word));
        same_cell.then(|| format.pack(at, head_count.saturating_add(cost)))
    }

    /// What charges `cost` where the head's cell has ended and `next` comes after it.
    #[inline(always)]
    pub(crate) fn seal_and_open(
        &self,
        scale: &TimeScale,
        at: u64,
        cost: u64,
        next: ObservedWord,
    ) -> Write {
        let format = scale.format();
        // A live word in the way is left by refunds or forced charges; merging only lets it
        // expire later.
        if !broken(Breakage::NoMerge) && scale.live_in_range(at).count(next.word) > 0 {
            let head_count = format.count(self.head.word);
            return Write::Target(format.pack(at, head_count.saturating_add(cost)));
        }
        Write::SealAndOpen(next, format.pack(at, cost))
    }
}
