//! What a ring's words say when nobody changes them any more: pure, no atomics.

use super::time_scale::TimeScale;
use super::word::{MOVED, SEALED};

/// The words of a ring. Times count from the array's origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot<const R: usize> {
    words: [u64; R],
    /// The newest bucket.
    head: usize,
}

impl<const R: usize> Snapshot<R> {
    /// Of these words, without their marks.
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

    /// The newest bucket.
    pub(crate) fn newest(&self) -> u64 {
        self.words[self.head]
    }

    /// The sum of what is live at `at`.
    pub(crate) fn used(&self, scale: &TimeScale, at: u64) -> u64 {
        scale.live(at).sum(self.words)
    }

    /// The words in ring order from the one after the head, which is the oldest, to the head.
    pub(crate) fn oldest_first(&self) -> impl Iterator<Item = u64> + '_ {
        let (newer, older) = self.words.split_at(self.head + 1);
        older.iter().chain(newer).copied()
    }

    /// The words for a fresh ring in an array whose origin lies `shift` later: the head at index 0
    /// and unsealed, the others behind it from the oldest on, zero for what had expired at
    /// `cutoff`, which is counted from the old origin.
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
