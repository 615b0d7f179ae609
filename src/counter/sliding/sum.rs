//! The sum of the older words of a ring, in scalar instructions.

use super::word::Live;
use super::{SHORT, load_word};
use crate::sync::AtomicU64;

/// A way to sum the words of a ring. A value exists only where the processor has the instructions for
/// it.
pub(crate) trait Sum: Copy {
    /// The length of the longest ring that is summed as a whole. In longer rings, the sum stops at the
    /// first word that is not live.
    const MAX_WORDS: usize;

    /// The sum of the count bits of the live words that are older than `head`. The head must have
    /// been loaded before this call.
    fn older_count_bits<const R: usize>(self, words: &[AtomicU64; R], live: Live, head: u64)
    -> u64;
}

/// Sums in scalar instructions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScalarSum;

impl Sum for ScalarSum {
    const MAX_WORDS: usize = SHORT;

    #[inline(always)]
    fn older_count_bits<const R: usize>(
        self,
        words: &[AtomicU64; R],
        live: Live,
        head: u64,
    ) -> u64 {
        // No branch to mispredict, and no order between the loads.
        live.older_count_bits(head, words.iter().map(load_word))
    }
}
