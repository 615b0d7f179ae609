//! A prepared charge: evaluated, not yet committed.

use super::Outcome;
use super::sliding::word::SEALED;
use crate::sync::{AtomicU64, Ordering, Ordering::*, order};

/// The write of a charge that fits. Nothing is charged until it is committed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PreparedCharge<'a> {
    /// The head, if it must be sealed before the next word is opened.
    pub(crate) head: Option<ObservedAtomic<'a>>,
    /// The word that the charge changes. While it is unchanged, the counter gains no other charge.
    pub(crate) target: ObservedAtomic<'a>,
    /// The target's new value.
    pub(crate) word: u64,
    /// Whether the target is a new bucket and becomes the head.
    pub(crate) opens_bucket: bool,
}

/// An atomic word of a counter and the value that was loaded from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ObservedAtomic<'a> {
    pub(crate) atomic: &'a AtomicU64,
    pub(crate) word: u64,
}

/// An outcome and, if the charge fits and its cost is not 0, the charge to commit.
pub(crate) type CounterEvaluation<'a> = (Outcome, Option<PreparedCharge<'a>>);

impl PreparedCharge<'_> {
    /// Commits the charge. Returns false, and charges nothing, if another thread has changed the
    /// head or the target since the evaluation.
    #[inline(always)]
    pub(crate) fn commit(self) -> bool {
        if self.head.is_some_and(|head| !head.seal()) {
            return false;
        }
        // Release: a thread that acquires this word as the head of a ring sees every write that this
        // thread's sum has counted, and the seal. A calendar budget needs no ordering here: it is a
        // single word. Pairs with the Acquire in `Ring::head`. Models: scan with OpenRelaxed,
        // denial_in_the_head with WriteRelaxed.
        let release = if self.opens_bucket { order::ring_open() } else { order::ring_charge() };
        self.target.compare_exchange(self.word, release)
    }
}

impl ObservedAtomic<'_> {
    /// Seals the head. If this thread stops before it opens the next word, any other thread can
    /// open it.
    pub(crate) fn seal(self) -> bool {
        // Relaxed: the CAS continues the release sequence of the charge that it seals, so a thread
        // that acquires the sealed head also acquires that charge. The opening CAS that follows
        // publishes the seal.
        self.compare_exchange(self.word | SEALED, Relaxed)
    }

    /// Replaces the observed value by `word`. Returns false if the value has changed.
    #[inline(always)]
    pub(crate) fn compare_exchange(self, word: u64, order: Ordering) -> bool {
        // Models: rollover and known with ChargeStores.
        self.atomic.compare_exchange(self.word, word, order, Relaxed).is_ok()
    }
}
