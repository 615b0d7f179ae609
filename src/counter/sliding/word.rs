//! The format of a ring word, and the transitions of one bucket. Pure: no atomics.
//!
//! ```text
//!  63                                              0
//! [ time of the newest charge | count | MOVED | SEALED ]
//! ```
//!
//! The limit determines the split between time and count: a small limit leaves more bits for the
//! time. The time is in the top bits, so that words compare by time. It starts at 1, so that an
//! opened word is never 0.

use std::hint::cold_path;

/// The bucket takes no more charges. A thread that finds it as the head opens the next bucket.
pub(crate) const SEALED: u64 = 1;
/// The bucket is frozen for a move to another array and never changes again in this one.
pub(crate) const MOVED: u64 = 2;

const FLAG_BITS: u32 = 2;

/// Extra bits of the count. A bucket holds at least 2^5 times the limit, so that most forced charges
/// are recorded in full.
const HEADROOM_BITS: u32 = 5;

/// The bit layout of a policy's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WordFormat {
    time_shift: u32,
    /// The mask of the count.
    count_bits: u64,
    max_time: u64,
}

impl WordFormat {
    /// The format for limits up to `max_limit` (not above [`MAX_LIMIT`](crate::error::MAX_LIMIT)).
    pub(crate) fn for_limit(max_limit: u64) -> Self {
        let count_bits = u64::BITS - max_limit.leading_zeros() + HEADROOM_BITS;
        let time_shift = FLAG_BITS + count_bits;
        let count_bits = ((1 << count_bits) - 1) << FLAG_BITS;
        WordFormat { time_shift, count_bits, max_time: u64::MAX >> time_shift }
    }

    #[inline(always)]
    pub(crate) fn time(self, word: u64) -> u64 {
        word >> self.time_shift
    }

    #[inline(always)]
    pub(crate) fn count(self, word: u64) -> u64 {
        (word & self.count_bits) >> FLAG_BITS
    }

    /// Packs an unsealed bucket. The count saturates at [`max_count`](Self::max_count).
    #[inline(always)]
    pub(crate) fn pack(self, time: u64, count: u64) -> u64 {
        debug_assert!(time >= 1 && time <= self.max_time());
        let mut stored = count;
        if count > self.max_count() {
            // A branch, not `min`: the result then does not wait for the comparison.
            cold_path();
            stored = self.max_count();
        }
        (time << self.time_shift) | (stored << FLAG_BITS)
    }

    /// The first word with this time: the one without a count and marks.
    #[inline(always)]
    pub(crate) fn start_of(self, time: u64) -> u64 {
        debug_assert!(time >= 1 && time <= self.max_time());
        time << self.time_shift
    }

    /// A span of time, at the position of the time field.
    pub(crate) fn span_of(self, span: u64) -> u64 {
        debug_assert!(span <= self.max_time());
        span << self.time_shift
    }

    /// The last word with the same time as `start`, a word without a count and marks.
    #[inline(always)]
    pub(crate) fn last_word(self, start: u64) -> u64 {
        start + self.count_bits + (SEALED | MOVED)
    }

    /// The word without its count and marks.
    #[inline(always)]
    pub(crate) fn start(self, word: u64) -> u64 {
        word & !(self.count_bits | SEALED | MOVED)
    }

    /// A count at its bit position. Saturates at the greatest count that can be shifted there.
    #[inline(always)]
    pub(crate) fn to_bits(self, count: u64) -> u64 {
        count.min(u64::MAX >> FLAG_BITS) << FLAG_BITS
    }

    /// The word with `cost` more in its count, which must not overflow.
    #[inline(always)]
    pub(crate) fn charged(self, word: u64, cost: u64) -> u64 {
        debug_assert!(self.count(word) + cost <= self.max_count());
        word + (cost << FLAG_BITS)
    }

    /// Returns the word with up to `amount` less in its count, and the units given back.
    ///
    /// A saturated count may be lower than the real usage, so it is kept until it expires.
    #[inline]
    pub(crate) fn give_back(self, word: u64, amount: u64) -> (u64, u64) {
        let count = self.count(word);
        if count == self.max_count() {
            return (word, 0);
        }
        let given = amount.min(count);
        (word - (given << FLAG_BITS), given)
    }

    /// The word with a count of 0, even if the count was saturated.
    pub(crate) fn clear(self, word: u64) -> u64 {
        word & !self.count_bits
    }

    #[inline(always)]
    pub(crate) fn max_count(self) -> u64 {
        self.count_bits >> FLAG_BITS
    }

    #[inline(always)]
    pub(crate) fn max_time(self) -> u64 {
        self.max_time
    }
}

/// The set of words that are live at one instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Live {
    /// The smallest live word. Words compare by time, so every greater word is live as well.
    min_word: u64,
    format: WordFormat,
}

impl Live {
    /// Words whose time is `oldest` or later. `oldest` is at least 1: a word that was never opened
    /// has time 0 and is not live.
    #[inline(always)]
    pub(crate) fn since(oldest: u64, format: WordFormat) -> Self {
        if oldest > format.max_time() {
            cold_path();
            return Live { min_word: u64::MAX, format };
        }
        Live::since_in_range(oldest, format)
    }

    /// Like [`since`](Self::since), for a time that fits the format.
    #[inline(always)]
    pub(crate) fn since_in_range(oldest: u64, format: WordFormat) -> Self {
        Live::from_word(format.start_of(oldest), format)
    }

    /// Words from `min_word` on. `min_word` has no count and no marks.
    #[inline(always)]
    pub(crate) fn from_word(min_word: u64, format: WordFormat) -> Self {
        Live { min_word, format }
    }

    /// The smallest live word.
    #[inline(always)]
    pub(crate) fn min_word(self) -> u64 {
        self.min_word
    }

    #[inline(always)]
    pub(crate) fn has(self, word: u64) -> bool {
        word >= self.min_word
    }

    /// The word's count if it is live, else 0.
    #[inline(always)]
    pub(crate) fn count(self, word: u64) -> u64 {
        self.sum([word])
    }

    /// The sum of the counts of the live words.
    #[inline(always)]
    pub(crate) fn sum(self, words: impl IntoIterator<Item = u64>) -> u64 {
        self.count_from_bits(words.into_iter().map(|word| self.live_count_bits(word)).sum())
    }

    /// The count bits of the word if it is live, else 0.
    #[inline(always)]
    pub(crate) fn live_count_bits(self, word: u64) -> u64 {
        if self.has(word) { self.count_bits_of(word) } else { 0 }
    }

    /// The count bits of a word: the count at its bit position. So a sum of them needs only one shift.
    #[inline(always)]
    pub(crate) fn count_bits_of(self, word: u64) -> u64 {
        word & self.count_bits()
    }

    /// Shifts a sum of count bits to units. The sum cannot overflow: count bits are below bit 48, which
    /// leaves room for the sum of a whole ring.
    #[inline(always)]
    pub(crate) fn count_from_bits(self, sum: u64) -> u64 {
        sum >> FLAG_BITS
    }

    /// The mask of a word's count.
    #[inline(always)]
    pub(crate) fn count_bits(self) -> u64 {
        self.format.count_bits
    }

    /// The span `s` such that `word - min_word < s`, with a wrapping subtraction, holds exactly for the
    /// live words older than `head`.
    #[inline(always)]
    pub(crate) fn span_before(self, head: u64) -> u64 {
        // The head without its count. A smaller word is older, or has the same time and no count.
        let head_start = head - self.count_bits_of(head);
        head_start.saturating_sub(self.min_word)
    }

    /// The sum of the count bits of the live words that are older than `head`.
    #[inline(always)]
    pub(crate) fn older_count_bits(self, head: u64, words: impl IntoIterator<Item = u64>) -> u64 {
        let span = self.span_before(head);
        // One unsigned comparison checks both ends. `min_word` has time bits only, so subtracting
        // it keeps the count; if it is `u64::MAX` then `span` is 0.
        let masked = |word: u64| {
            let offset = word.wrapping_sub(self.min_word);
            self.count_bits_of(if offset < span { offset } else { 0 })
        };
        words.into_iter().map(masked).sum()
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::*;
    use crate::error::MAX_LIMIT;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packs_and_unpacks(limit in 1..=MAX_LIMIT, time: u64, count: u64) {
            let format = WordFormat::for_limit(limit);
            let time = time % format.max_time() + 1;
            let word = format.pack(time, count);
            prop_assert_eq!(format.time(word), time);
            prop_assert_eq!(format.count(word), count.min(format.max_count()));
            prop_assert_eq!(word & (SEALED | MOVED), 0);
            prop_assert!(word != 0);
            prop_assert!(format.max_count() >= limit * 32 - 1);
            // The count has no bit too many, and the word has no unused bit.
            prop_assert!(format.max_count() < limit * 64);
            let values = (format.max_time() as u128 + 1) * (format.max_count() as u128 + 1);
            prop_assert_eq!(values << 2, 1 << 64);
            for flags in [SEALED, MOVED, SEALED | MOVED] {
                prop_assert_eq!(format.time(word | flags), time);
                prop_assert_eq!(format.count(word | flags), format.count(word));
                prop_assert_eq!(format.clear(word | flags), format.pack(time, 0) | flags);
            }
        }

        #[test]
        fn words_compare_by_time(limit in 1..=MAX_LIMIT, a: u64, b: u64, m: u64, n: u64) {
            let format = WordFormat::for_limit(limit);
            let (a, b) = (a % format.max_time() + 1, b % format.max_time() + 1);
            prop_assume!(a != b);
            let (a, b) = (a.min(b), a.max(b));
            prop_assert!(format.pack(a, m) | SEALED | MOVED < format.pack(b, n));
        }

        #[test]
        fn word_is_live_from_its_time_on(
            limit in 1..=MAX_LIMIT, time: u64, oldest: u64, count: u64, flags in 0u64..4,
        ) {
            let format = WordFormat::for_limit(limit);
            let [time, oldest] = [time, oldest].map(|time| time % format.max_time() + 1);
            let word = format.pack(time, count) | flags;
            for oldest in [oldest, (time - 1).max(1), time, time.min(format.max_time() - 1) + 1] {
                let live = Live::since(oldest, format);
                prop_assert_eq!(live.has(word), time >= oldest);
                let expected = if time >= oldest { format.count(word) } else { 0 };
                prop_assert_eq!(live.count(word), expected);
                prop_assert!(!live.has(flags));
                prop_assert!(!Live::since(format.max_time() + oldest, format).has(word));
            }
            let last = format.max_time();
            prop_assert!(Live::since(last, format).has(format.pack(last, count)));
        }

        #[test]
        fn older_words_are_summed(
            limit in 1..=MAX_LIMIT, oldest in 1u64..20, head in 1u64..20,
            words in prop::collection::vec((1u64..20, 0u64..9, 0u64..4), 0..20),
        ) {
            let format = WordFormat::for_limit(limit);
            let live = Live::since(oldest, format);
            let pack = |(time, count, flags): &(u64, u64, u64)| format.pack(*time, *count) | flags;
            let packed = words.iter().map(pack);
            let sum = |newest: u64| -> u64 {
                let counts = words.iter().filter(|(time, ..)| (oldest..newest).contains(time));
                counts.map(|(_, count, _)| (*count).min(format.max_count())).sum()
            };
            prop_assert_eq!(live.sum(packed.clone()), sum(20));
            let masked = live.older_count_bits(format.pack(head, 3) | SEALED, packed);
            prop_assert_eq!(live.count_from_bits(masked), sum(head));
        }

        #[test]
        fn gives_back_up_to_the_count(
            limit in 1..=MAX_LIMIT, count: u64, amount: u64, flags in 0u64..4,
        ) {
            let format = WordFormat::for_limit(limit);
            let count = count % (format.max_count() + 1);
            let word = format.pack(7, count) | flags;
            let (after, given) = format.give_back(word, amount);
            let expected = if count == format.max_count() { 0 } else { amount.min(count) };
            prop_assert_eq!(given, expected);
            prop_assert_eq!(after, format.pack(7, count - given) | flags);
        }
    }
}
