//! Deliberate breakages: each removes one step or one ordering that the protocol needs.
//!
//! A model is trusted only if it fails when its breakage is switched on. In the models a test
//! switches one on; in a build with `--cfg tollgate_mutants`, which the tests on real threads run in,
//! the variable `TOLLGATE_MUTANT` names one. In every other build [`broken`] is the constant `false`
//! and leaves no trace in the code.

use crate::sync::Ordering;

/// Declares [`Breakage`] and the list of all of them.
macro_rules! breakages {
    ($($(#[doc = $what:literal])+ $name:ident,)*) => {
        /// One step or ordering that can be switched off, named after what goes missing.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(dead_code, reason = "some concern what exists in models only")]
        pub(crate) enum Breakage {
            $($(#[doc = $what])+ $name,)*
        }

        #[cfg(any(all(test, tollgate_model), tollgate_mutants))]
        impl Breakage {
            /// Each with what it does.
            pub(crate) const ALL: &[(Breakage, &str)] =
                &[$((Breakage::$name, concat!($($what),+))),*];
        }
    };
}

breakages! {
    /// Ring: the words beside an unsealed head are those of the scan that found it.
    SumBeforeHead,
    /// Ring: the words beside a sealed head are those of the scan that found it.
    SumBeforeSealed,
    /// Ring: the search for the head loads relaxed.
    HeadRelaxed,
    /// Ring: the head counts as it stands when the others are loaded, not as it was seen.
    HeadSeenTwice,
    /// Ring: an offer takes the newest word for open, whatever its marks.
    OfferMarked,
    /// Ring: the opening exchange is relaxed.
    OpenRelaxed,
    /// Ring: the next word is opened while the head is still unsealed.
    NoSeal,
    /// Ring: a denial is not validated by a second look at the target.
    NoValidate,
    /// Ring: the second look is not preceded by an acquire fence.
    NoValidateFence,
    /// Ring: the caller's own time decides, also where the ring has seen a later one.
    OwnTime,
    /// Ring: behind a sealed head a late time decides as if the next cell had not begun.
    NoNextCell,
    /// Ring: behind a sealed head a late time decides as if the next word were still live.
    NoNextExpiry,
    /// Ring: an unsealed head is charged with a relaxed exchange.
    WriteRelaxed,
    /// Ring: a look is not validated by a second look at the target.
    LookUnvalidated,
    /// Ring: a charge whose bucket was merged is not looked for.
    NoRefundMerged,
    /// Ring: a charge that has expired is looked for as if it had been merged.
    RefundExpired,
    /// Table: what an eviction has forgiven is given back once more.
    RefundForgiven,
    /// Table: a slot is counted before it is claimed, also by a thread that loses it.
    CountedBeforeClaim,
    /// Table: a give-back that a move interrupts starts again with the whole amount.
    GivenTwice,
    /// Table: a receipt does not say in which array the charge was made.
    ReceiptWithoutGeneration,
    /// Move: a key's age is not carried over to the next array.
    AgeNotCarried,
    /// Move: a key's age is written after its counter was published.
    AgeLate,
    /// Table: a key's age is read without a fence after its counter.
    AgeUnfenced,
    /// Quota: a copied word is published relaxed.
    QuotaInstallRelaxed,
    /// Ring: a refund writes to a word that was moved.
    RefundMoved,
    /// Ring: a live word in the way is opened all the same.
    NoMerge,
    /// Ring: a refund stores in place of exchanging.
    RefundStores,
    /// Ring: a refund takes the seal off.
    RefundUnseals,
    /// Counter: a charge, or what is given back to a budget, is stored in place of exchanged.
    ChargeStores,
    /// Quota: an instant of an older period opens that period again.
    QuotaReopens,
    /// Move: only the head is frozen.
    FreezeHeadOnly,
    /// Move: the word that would be opened next is not frozen.
    FreezeNotNext,
    /// Move: the words are read, not frozen.
    NoFreeze,
    /// Move: the head is published before the older words.
    PublishHeadFirst,
    /// Move: the empty slot that ended the probe is left open.
    NoFreezeEmpty,
    /// Move: a key is dropped by the helper's own time, not by the array's cutoff.
    DropByOwnNow,
    /// Move: the end is told by the chunks that were taken, not by those that are done.
    TakenIsDone,
    /// Move: a counter is dropped though it has seen a time after the cutoff.
    DropsLater,
    /// Reclaim: readers are not known. Part of the model of the epoch itself.
    NoPin,
    /// Reclaim: two threads may both think that they unlinked the old array.
    UnlinkStores,
    /// Table: a time before the array's cutoff is used as it is.
    NoCutoff,
    /// Table: an id is claimed with a store in place of an exchange.
    ClaimStores,
    /// Table: a slot's tag is written before the slot is claimed.
    TagFirst,
    /// Table: a slot's tag is written relaxed.
    TellRelaxed,
    /// Table: the tags of a group are loaded relaxed.
    GroupRelaxed,
    /// Limits: a request is held to the limit that the policy was built with.
    OldLimit,
    /// Move: times in the new array begin at its cutoff, not before all that is live then.
    OriginAtCutoff,
    /// Layers: a lost race leaves the earlier layers charged.
    NoUndo,
    /// Ring: a refund or a reset loads its word relaxed.
    RefundLoadRelaxed,
    /// Ring: a word is frozen relaxed.
    FreezeRelaxed,
    /// Ring: a copied head is published relaxed.
    InstallRelaxed,
    /// Quota: the word is loaded relaxed before it is changed.
    QuotaLoadRelaxed,
    /// Quota: a look loads relaxed.
    QuotaLookRelaxed,
    /// Quota: the word is frozen relaxed.
    QuotaFreezeRelaxed,
    /// Table: a probe loads ids relaxed.
    FindRelaxed,
    /// Table: an empty slot is frozen relaxed.
    FreezeEmptyRelaxed,
    /// Table: the current array is found with a relaxed load.
    CurrentRelaxed,
    /// Table: a new array is published relaxed.
    PublishRelaxed,
    /// Table: the array that is being left is found with a relaxed load.
    PreviousRelaxed,
    /// Table: an array is unlinked relaxed.
    UnlinkRelaxed,
    /// Move: a chunk is told done relaxed.
    DoneRelaxed,
    /// Move: whether all chunks are done is told by relaxed loads.
    AllDoneRelaxed,
    /// Statistics: a thread's number is taken relaxed.
    TakeRelaxed,
    /// Statistics: a thread's number is handed on relaxed.
    HandOnRelaxed,
    /// Layers: what a look has found room for is charged, whatever has come since.
    LookIsEnough,
    /// Layers: a lost race is undone by taking what is oldest, not what was charged.
    UndoOldest,
    /// Reservation: all layers but the first stay charged with the estimate.
    SettleFirstLayer,
    /// Reservation: what comes back is taken from the present window or period.
    SettlePresent,
    /// Reservation: when the first charge has passed, the last extension stays charged.
    LastExtensionStays,
    /// Reservation: when the first charge has passed, more than the extension returns.
    LastExtensionUncut,
    /// Reservation: where less came back, the last extension does although the first still counts.
    LastExtensionTwice,
    /// Reservation: more than was reserved is charged only where there is room.
    DebtRefused,
    /// Reservation: more than was reserved is not charged at all.
    DebtForgiven,
    /// Reservation: all that was used is charged where that is more than reserved.
    DebtWhole,
    /// Reservation: more than was reserved is charged, but in no statistic.
    DebtUncounted,
    /// Reservation: a stop is noted as if it had been charged.
    StopNoted,
    /// Reservation: what was closed can be closed again.
    CloseTwice,
    /// Ring: a charge merged while it is given back is taken for a newer one.
    MergedIsNewer,
    /// Fast path: one charge is admitted though its exchange was lost.
    LostOneAdmitted,
    /// Fast path: several charges are admitted though the exchange of one was lost.
    LostSeveralAdmitted,
    /// Layers: a charge that was looked at is admitted though its exchange was lost.
    LostLineAdmitted,
    /// Counter: a charge is admitted by the loop of the whole way though its exchange was lost.
    LostLoopAdmitted,
    /// Fast path: a charge is prepared while the table is moving.
    PreparedWhileMoving,
    /// Reclaim: an array is freed as soon as it is retired.
    FreedAtOnce,
    /// Move: words behind an empty one are not moved, though they are live.
    EmptyEndsRing,
    /// Table: the cutoff of a new array may lie before that of the old one.
    CutoffBack,
    /// Eviction: what it has forgiven counts from the caller's own time, not from the cutoff.
    EvictionAtOwnNow,
    /// Eviction: what earlier evictions have forgiven does not count.
    EarlierEvictionsIgnored,
    /// Move: a chunk that two helpers have moved counts twice.
    ChunkCountedTwice,
    /// Table: an array is renewed by age while it is still filled from the one before.
    NoFinish,
    /// Table: a new key is refused though its full array was replaced meanwhile.
    StaleIsFull,
    /// Statistics: a thread counts under a number that it has given back.
    CountsAfterReturn,
    /// Reclaim: `maintain` frees nothing.
    MaintainCollectsNothing,
    /// Layers: a charge that passed uncounted is undone like any other.
    UndoUncounted,
    /// Table: keys are pending though their array was unlinked since, so that a new one is refused.
    UnlinkedSince,
}

#[cfg(all(test, tollgate_model))]
mod switch {
    use super::Breakage;
    use std::cell::Cell;

    // A model's threads all run on one OS thread, so this is one switch per model.
    thread_local!(static ACTIVE: Cell<Option<Breakage>> = const { Cell::new(None) });

    pub(crate) fn set(breakage: Option<Breakage>) {
        ACTIVE.set(breakage);
    }

    pub(crate) fn broken(breakage: Breakage) -> bool {
        ACTIVE.get() == Some(breakage)
    }
}

#[cfg(all(test, tollgate_model))]
pub(crate) use switch::{broken, set};

#[cfg(all(tollgate_mutants, not(all(test, tollgate_model))))]
mod process {
    use super::Breakage;
    use std::sync::OnceLock;

    static ACTIVE: OnceLock<Option<Breakage>> = OnceLock::new();

    /// The breakage that this process was started with.
    fn named() -> Option<Breakage> {
        let name = std::env::var("TOLLGATE_MUTANT").ok()?;
        let found = Breakage::ALL.iter().find(|(what, _)| format!("{what:?}") == name);
        Some(found.unwrap_or_else(|| panic!("no mutant is called {name}")).0)
    }

    pub(crate) fn broken(breakage: Breakage) -> bool {
        *ACTIVE.get_or_init(named) == Some(breakage)
    }
}

#[cfg(all(tollgate_mutants, not(all(test, tollgate_model))))]
pub(crate) use process::broken;

/// Whether this step is switched off; never in a build that is not made for it.
#[cfg(not(any(all(test, tollgate_model), tollgate_mutants)))]
#[inline(always)]
pub(crate) const fn broken(_: Breakage) -> bool {
    false
}

/// `ordering`, or `Relaxed` where the breakage is on.
#[inline(always)]
pub(crate) fn ordering(breakage: Breakage, ordering: Ordering) -> Ordering {
    if broken(breakage) { Ordering::Relaxed } else { ordering }
}
