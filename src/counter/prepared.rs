//! A charge that has room, before it is made.

use super::Outcome;
use super::sliding::word::SEALED;
use crate::sync::{AtomicU64, Ordering, Ordering::*};
use crate::verify::mutants::{Breakage, broken, ordering};

/// What a charge will write if nobody is faster. Until then it costs nobody anything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PreparedCharge<'a> {
    /// The head, which is sealed first where the next word is opened.
    pub(crate) head: Option<ObservedCell<'a>>,
    /// What the charge changes. While it unchanged unchanged, there is as much room as there was.
    pub(crate) target: ObservedCell<'a>,
    pub(crate) word: u64,
    /// Whether the target becomes the newest word.
    pub(crate) opens_bucket: bool,
}

/// One word of a counter, as it was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ObservedCell<'a> {
    pub(crate) atomic: &'a AtomicU64,
    pub(crate) word: u64,
}

/// What a charge is settles, and what makes it if there is room and anything to charge.
pub(crate) type CounterEvaluation<'a> = (Outcome, Option<PreparedCharge<'a>>);

impl PreparedCharge<'_> {
    /// Charges; false if anything has been charged since, and nothing is now.
    #[inline(always)]
    pub(crate) fn commit(self) -> bool {
        if self.head.is_some_and(|head| !head.seal()) {
            return false;
        }
        // Release: whoever acquires this word as the head sees all that this thread's sum rests on,
        // the seal included. Pairs with the Acquire in `Ring::head`. Models: scan with
        // OpenRelaxed, denial_in_the_head with WriteRelaxed.
        let mutant = if self.opens_bucket { Breakage::OpenRelaxed } else { Breakage::WriteRelaxed };
        self.target.compare_exchange(self.word, ordering(mutant, Release))
    }
}

impl ObservedCell<'_> {
    /// Seals the head. If this thread stops before it opens the next word, anyone opens.
    pub(crate) fn seal(self) -> bool {
        // Relaxed: it goes on with the release of the charge that it seals, so who acquires the
        // sealed head sees that charge; and it unchanged before the opening that follows.
        broken(Breakage::NoSeal) || self.compare_exchange(self.word | SEALED, Relaxed)
    }

    #[inline(always)]
    pub(crate) fn compare_exchange(self, word: u64, order: Ordering) -> bool {
        // Models: rollover and known with ChargeStores.
        if broken(Breakage::ChargeStores) {
            self.atomic.store(word, Release);
            return true;
        }
        self.atomic.compare_exchange(self.word, word, order, Relaxed).is_ok()
    }
}
