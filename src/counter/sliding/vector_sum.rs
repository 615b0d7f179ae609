//! The sum of the older words of a ring, in AVX2 instructions.
//!
//! # Assumptions beyond Rust's memory model
//! Rust has no atomic vector loads, so each load is an `asm!` block. It relies on what x86-64
//! processors with AVX do:
//! - A vector load reads each aligned 8-byte word in it as a whole.
//! - Loads are not reordered with earlier loads. So the words are loaded after the head, as R2 needs.
//!
//! The compiler must not move the block before the Acquire load of the head, nor after the fence of a
//! denial, because the block may read any memory. No checker sees these loads: the models run
//! [`ScalarSum`](super::sum::ScalarSum), which a property test compares with this sum.

use super::sum::Sum;
use super::word::Live;
use crate::sync::AtomicU64;
use std::arch::asm;
use std::arch::x86_64::*;

/// The words of one vector.
const LANES: usize = 4;

/// Sums in AVX2 instructions. A value exists only where the processor has them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VectorSum(());

impl VectorSum {
    /// Returns whether the processor has the instructions.
    pub(crate) fn is_available() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
    }

    #[target_feature(enable = "avx2,bmi1,bmi2")]
    #[inline]
    pub(crate) fn new() -> Self {
        VectorSum(())
    }
}

impl Sum for VectorSum {
    const MAX_WORDS: usize = 31;

    #[inline(always)]
    fn older_count_bits<const R: usize>(
        self,
        words: &[AtomicU64; R],
        live: Live,
        head: u64,
    ) -> u64 {
        // SAFETY: the processor has the instructions, since `self` exists.
        unsafe {
            older_count_bits(words, live.min_word(), live.span_before(head), live.count_bits())
        }
    }
}

/// The sum of `word & count_bits` over all words for which `word - min_word < span`.
#[target_feature(enable = "avx2")]
#[inline]
fn older_count_bits<const R: usize>(
    words: &[AtomicU64; R],
    min_word: u64,
    span: u64,
    count_bits: u64,
) -> u64 {
    const { assert!(R % LANES == LANES - 1, "the last vector overlaps the one before by one word") };
    // AVX2 compares signed numbers only. With the top bit flipped these compare like unsigned ones.
    const FLIP: u64 = 1 << 63;
    let [min_word, span] = [min_word ^ FLIP, span ^ FLIP].map(|n| _mm256_set1_epi64x(n as i64));
    let bits = _mm256_set1_epi64x(count_bits as i64);
    let masked = |first: usize| {
        let loaded = load(words, first);
        let live = _mm256_cmpgt_epi64(span, _mm256_sub_epi64(loaded, min_word));
        _mm256_and_si256(_mm256_and_si256(loaded, bits), live)
    };
    // Without its first word, which the vector before includes.
    let last = _mm256_blend_epi32::<0b11>(masked(R - LANES), _mm256_setzero_si256());
    let sum =
        (0..R / LANES).fold(last, |sum, vector| _mm256_add_epi64(sum, masked(vector * LANES)));
    let halves = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
    _mm_cvtsi128_si64(_mm_add_epi64(halves, _mm_unpackhi_epi64(halves, halves))) as u64
}

/// Loads four words from index `first` on.
#[target_feature(enable = "avx2")]
#[inline]
fn load<const R: usize>(words: &[AtomicU64; R], first: usize) -> __m256i {
    let first: *const AtomicU64 = words[first..first + LANES].as_ptr();
    let loaded: __m256i;
    // SAFETY: the slice has four words. The block reads them and changes nothing.
    unsafe {
        asm!(
            "vmovdqu {loaded}, ymmword ptr [{first}]",
            loaded = out(ymm_reg) loaded,
            first = in(reg) first,
            options(nostack, readonly, preserves_flags),
        );
    }
    loaded
}

#[cfg(test)]
mod tests {
    use super::super::sum::ScalarSum;
    use super::super::word::{MOVED, SEALED, WordFormat};
    use super::*;
    use crate::error::MAX_LIMIT;
    use proptest::prelude::*;

    /// Asserts that both sums of a ring of this length are equal. Skips other lengths of `words`.
    fn assert_equal_sums<const R: usize>(words: &[u64], live: Live, head: u64) {
        #[target_feature(enable = "avx2,bmi1,bmi2")]
        fn vector<const R: usize>(words: &[AtomicU64; R], live: Live, head: u64) -> u64 {
            VectorSum::new().older_count_bits(words, live, head)
        }
        let words: [AtomicU64; R] = std::array::from_fn(|index| AtomicU64::new(words[index]));
        // SAFETY: the test has checked that the processor has the instructions.
        let vector = unsafe { vector(&words, live, head) };
        assert_eq!(vector, ScalarSum.older_count_bits(&words, live, head));
    }

    proptest! {
        #[test]
        fn vector_sum_equals_the_scalar_sum(
            limit in 1..=MAX_LIMIT,
            oldest in (1u64..20, prop::bool::ANY),
            head in (1u64..20, any::<u64>(), prop::bool::ANY),
            words in prop::collection::vec((0u64..20, any::<u64>(), 0u64..4, prop::bool::ANY), 31),
        ) {
            if !VectorSum::is_available() {
                println!("skipped: AVX2");
                return Ok(());
            }
            let format = WordFormat::for_limit(limit);
            // Late times set the top bit of a word. With early ones, they set that of the span.
            let time = |time, is_late| if is_late { time + format.max_time() - 20 } else { time };
            let live = Live::since(time(oldest.0, oldest.1), format);
            let pack = |&(early, count, flags, is_late): &(u64, u64, u64, bool)| match early {
                0 => flags & (SEALED | MOVED),
                _ => format.pack(time(early, is_late), count) | flags,
            };
            let words: Vec<u64> = words.iter().map(pack).collect();
            let head = format.pack(time(head.0, head.2), head.1);
            assert_equal_sums::<7>(&words, live, head);
            assert_equal_sums::<15>(&words, live, head);
            assert_equal_sums::<23>(&words, live, head);
            assert_equal_sums::<31>(&words, live, head);
        }
    }
}
