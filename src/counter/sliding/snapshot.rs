//! A copy of a ring's words. Pure: no atomics.

use super::time_scale::TimeScale;
use super::word::{MOVED, SEALED};

/// The words of a ring, without MOVED marks. Times count from the array's origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot<const R: usize> {
    words: [u64; R],
    /// The index of the newest bucket.
    head: usize,
}

impl<const R: usize> Snapshot<R> {
    /// A snapshot of these words. Removes their MOVED marks.
    pub(crate) fn new(mut words: [u64; R]) -> Self {
        let mut head = 0;
        for index in 0..R {
            words[index] &= !MOVED;
            if words[index] > words[head] {
                head = index;
            }
        }
        Snapshot { words, head }
    }

    /// The word of the newest bucket.
    pub(crate) fn newest(&self) -> u64 {
        self.words[self.head]
    }

    /// The sum of the counts that are live at `at`.
    pub(crate) fn used(&self, scale: &TimeScale, at: u64) -> u64 {
        scale.live(at).sum(self.words)
    }

    /// The words in ring order: from the word after the head, the oldest, to the head.
    pub(crate) fn oldest_first(&self) -> impl Iterator<Item = u64> + '_ {
        let (newer, older) = self.words.split_at(self.head + 1);
        older.iter().chain(newer).copied()
    }

    /// Returns the words for a fresh ring in an array whose origin is `shift` later.
    ///
    /// The head is at index 0 and unsealed. The others follow from the oldest on. Words that had
    /// expired at `cutoff` are 0. `cutoff` counts from the old origin.
    pub(crate) fn rebased(&self, scale: &TimeScale, cutoff: u64, shift: u64) -> [u64; R] {
        let (format, live) = (scale.format(), scale.live(cutoff));
        let mut words = [0; R];
        for (index, word) in self.oldest_first().enumerate() {
            let index = if index + 1 == R { 0 } else { index + 1 };
            if live.has(word) {
                let time = format.time(word).saturating_sub(shift).clamp(1, format.max_time());
                let sealed = if index == 0 { 0 } else { word & SEALED };
                words[index] = format.pack(time, format.count(word)) | sealed;
            }
        }
        words
    }
}
