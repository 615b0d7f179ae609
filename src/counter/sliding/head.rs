//! The newest bucket of a ring, and the write that a charge makes there. Pure: no atomics.

use super::time_scale::TimeScale;
use std::hint::cold_path;

/// The index of a ring word and the value that was loaded from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ObservedWord {
    pub(crate) index: usize,
    pub(crate) word: u64,
}

/// The head and, if the head is sealed, the word after it, as one charge has loaded them.
///
/// The word after the head is the oldest of the ring. Times count from the array's origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadSnapshot {
    pub(crate) head: ObservedWord,
    pub(crate) next: Option<ObservedWord>,
}

/// The write of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// Replaces the target by this value.
    Target(u64),
    /// Seals the head, then replaces the observed next word by this value.
    SealAndOpen(ObservedWord, u64),
}

impl HeadSnapshot {
    #[inline(always)]
    pub(crate) fn is_sealed(&self) -> bool {
        self.next.is_some()
    }

    /// The word that a charge changes. While it is unchanged, no other word can gain a charge.
    #[inline(always)]
    pub(crate) fn target(&self) -> ObservedWord {
        self.next.unwrap_or(self.head)
    }

    /// Returns whether the snapshot is inconsistent: other threads wrote during the loads.
    ///
    /// An unsealed bucket is always the head, and a fresh ring starts at index 0. A sealed bucket is
    /// the head only if the next word is older.
    #[inline(always)]
    pub(crate) fn is_inconsistent(&self) -> bool {
        match self.next {
            Some(next) => next.word > self.head.word,
            None => self.head.word == 0 && self.head.index > 0,
        }
    }

    /// The time of the decision.
    ///
    /// It is the latest of these times, but at most the greatest time of a word:
    /// - the caller's time;
    /// - the time of the head;
    /// - after a sealed head, the first time at which the next word can be opened.
    ///
    /// Some thread's clock has reached each of these times, except that a reset moves the head to the next
    /// tick. Hence a charge is recorded ahead of all clocks only after a reset, and the word after a sealed
    /// head can always be opened. Models: late_time with OwnTime, late_cell with NoNextCell, late_opener
    /// with NoNextExpiry.
    #[inline(always)]
    pub(crate) fn effective_time(&self, scale: &TimeScale, now: u64) -> u64 {
        let format = scale.format();
        let newest = format.time(self.head.word);
        // Branches, not `max`: the time to write then does not wait for the loaded time.
        let mut at = now;
        if newest > at {
            cold_path();
            at = newest;
        }
        if let Some(next) = self.next {
            at = at.max(self.next_free_time(next.word, scale));
        }
        if at > format.max_time() {
            cold_path();
            at = format.max_time();
        }
        at
    }

    /// The first time at which the word after the sealed head can be opened.
    #[cold]
    fn next_free_time(self, next: u64, scale: &TimeScale) -> u64 {
        let format = scale.format();
        let newest = format.time(self.head.word);
        let cell_start = scale.next_cell(newest);
        if format.count(next) > 0 {
            cell_start.max(format.time(next) + scale.window())
        } else {
            cell_start
        }
    }

    /// Returns the target's new value with `cost` charged at the effective time `at`.
    ///
    /// `None` if the cell of an unsealed head has ended while the head has a live count: then use
    /// [`write_in_new_cell`](Self::write_in_new_cell).
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

    /// The write that charges `cost` when the head's cell has ended and `next` follows the head.
    #[inline(always)]
    pub(crate) fn write_in_new_cell(
        &self,
        scale: &TimeScale,
        at: u64,
        cost: u64,
        next: ObservedWord,
    ) -> Write {
        let format = scale.format();
        // Refunds or forced charges can leave the next word live. Then the head's bucket is merged
        // into the new cell, which only lets its charges expire later. Model: merge with NoMerge.
        if scale.live_in_range(at).count(next.word) > 0 {
            let head_count = format.count(self.head.word);
            return Write::Target(format.pack(at, head_count.saturating_add(cost)));
        }
        Write::SealAndOpen(next, format.pack(at, cost))
    }
}
