//! Mutants of the production code. Each one removes one step or one ordering that the protocol
//! needs.
//!
//! A model is trusted only if it fails with each of its mutants. In models and schedules, a test
//! activates a mutant. In a build with `--cfg tollgate_mutants`, which the tests on real threads
//! use, the environment variable `TOLLGATE_MUTANT` names it. In every other build [`is_on`] is the
//! constant `false` and leaves no trace in the compiled code.

/// Declares [`Mutant`] and the list of its variants.
macro_rules! mutants {
    ($($(#[doc = $description:literal])+ $name:ident,)*) => {
        /// A mutant, named after its defect.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(dead_code, reason = "some mutants change code that only models contain")]
        pub(crate) enum Mutant {
            $($(#[doc = $description])+ $name,)*
        }

        #[cfg(any(all(test, tollgate_model), tollgate_mutants))]
        impl Mutant {
            /// Every mutant with its description.
            pub(crate) const ALL: &[(Mutant, &str)] =
                &[$((Mutant::$name, concat!($($description),+))),*];
        }
    };
}

mutants! {
    /// Ring: with an unsealed head, sums words that were read before the head was found.
    SumBeforeHead,
    /// Ring: with a sealed head, sums words that were read before the head was found.
    SumBeforeSealed,
    /// Ring: loads words relaxed in the search for the head.
    HeadRelaxed,
    /// Ring: loads the head again for the sum, and ignores the value seen first.
    HeadSeenTwice,
    /// Ring: prepares a charge of the newest word even if it is sealed or moved.
    OfferMarked,
    /// Ring: opens a word with a relaxed CAS.
    OpenRelaxed,
    /// Ring: opens the next word without sealing the head.
    NoSeal,
    /// Ring: denies without loading the target word a second time.
    NoValidate,
    /// Ring: omits the acquire fence before the second load of the target word.
    NoValidateFence,
    /// Ring: decides at the caller's time even if the ring has recorded a later one.
    OwnTime,
    /// Ring: after a sealed head, does not raise a late time to the next cell.
    NoNextCell,
    /// Ring: after a sealed head, does not raise a late time to the next word's expiry.
    NoNextExpiry,
    /// Ring: charges an unsealed head with a relaxed CAS.
    WriteRelaxed,
    /// Ring: peeks without loading the target word a second time.
    LookUnvalidated,
    /// Ring: does not search for a charge whose bucket was merged into a later one.
    NoRefundMerged,
    /// Ring: searches for an expired charge as if its bucket had been merged.
    RefundExpired,
    /// Table: gives back units that an eviction has already forgiven.
    RefundForgiven,
    /// Table: a slot is counted before it is claimed, also by a thread that loses it.
    CountedBeforeClaim,
    /// Table: a give-back that is interrupted by a move starts again with the whole amount.
    GivenTwice,
    /// Table: leaves the array of the charge out of the receipt.
    ReceiptWithoutGeneration,
    /// Move: does not copy a key's age to the next array.
    AgeNotCarried,
    /// Move: writes a key's age after publishing its counter.
    AgeLate,
    /// Table: omits the fence between the loads of a key's counter and its age.
    AgeUnfenced,
    /// Quota: publishes a copied word relaxed.
    QuotaInstallRelaxed,
    /// Ring: writes a refund to a word that was moved.
    RefundMoved,
    /// Ring: opens the next word even if it is live, in place of merging.
    NoMerge,
    /// Ring: writes a refund with a store in place of a CAS.
    RefundStores,
    /// Ring: clears the seal of a word that it refunds.
    RefundUnseals,
    /// Counter: writes a charge or a budget's give-back with a store in place of a CAS.
    ChargeStores,
    /// Quota: opens an older period again when a caller's time is in it.
    QuotaReopens,
    /// Move: freezes only the head.
    FreezeHeadOnly,
    /// Move: does not freeze the word that would be opened next.
    FreezeNotNext,
    /// Move: reads the words without freezing them.
    NoFreeze,
    /// Move: publishes the head before the older words.
    PublishHeadFirst,
    /// Move: does not freeze the empty slot that ended the probe.
    NoFreezeEmpty,
    /// Move: drops keys by the helper's time in place of the array's cutoff.
    DropByOwnNow,
    /// Move: ends the move when all chunks are taken, not when all are done.
    TakenIsDone,
    /// Move: drops a counter even if it has recorded a time after the cutoff.
    DropsLater,
    /// Reclaim: ignores pinned readers. Part of the model of the epoch itself.
    NoPin,
    /// Reclaim: unlinks the old array with a store, so that two threads may retire it.
    UnlinkStores,
    /// Table: does not raise a caller's time to the array's cutoff.
    NoCutoff,
    /// Table: claims a slot with a store in place of a CAS.
    ClaimStores,
    /// Table: publishes a slot's tag before claiming the slot.
    TagFirst,
    /// Table: publishes a slot's tag relaxed.
    TellRelaxed,
    /// Table: loads the tags of a group relaxed.
    GroupRelaxed,
    /// Limits: applies the limit that the policy was built with, not the current one.
    OldLimit,
    /// Move: sets the new array's origin to its cutoff, though older charges are live.
    OriginAtCutoff,
    /// Layers: does not roll back the earlier charges of a request after a lost race.
    NoUndo,
    /// Ring: loads the word of a refund or a reset relaxed.
    RefundLoadRelaxed,
    /// Ring: freezes words relaxed.
    FreezeRelaxed,
    /// Ring: publishes a copied head relaxed.
    InstallRelaxed,
    /// Quota: loads the word relaxed before changing it.
    QuotaLoadRelaxed,
    /// Quota: peeks with a relaxed load.
    QuotaLookRelaxed,
    /// Quota: freezes the word relaxed.
    QuotaFreezeRelaxed,
    /// Table: loads the ids of a probe relaxed.
    FindRelaxed,
    /// Table: freezes an empty slot relaxed.
    FreezeEmptyRelaxed,
    /// Table: loads the current array relaxed.
    CurrentRelaxed,
    /// Table: publishes a new array relaxed.
    PublishRelaxed,
    /// Table: loads the previous array relaxed.
    PreviousRelaxed,
    /// Table: unlinks an array relaxed.
    UnlinkRelaxed,
    /// Move: marks a chunk as done relaxed.
    DoneRelaxed,
    /// Move: checks with relaxed loads that all chunks are done.
    AllDoneRelaxed,
    /// Statistics: takes a thread's number relaxed.
    TakeRelaxed,
    /// Statistics: releases a thread's number relaxed.
    HandOnRelaxed,
    /// Layers: commits an evaluated charge even if others have used up its room since.
    LookIsEnough,
    /// Layers: rolls back the oldest units in place of the ones that were charged.
    UndoOldest,
    /// Reservation: settles only the first policy; the others keep the estimate.
    SettleFirstLayer,
    /// Reservation: gives back from the current window or period, not the charged one.
    SettlePresent,
    /// Reservation: after the first charge has expired, keeps the last extension charged.
    LastExtensionStays,
    /// Reservation: after the first charge has expired, gives back more than the last extension.
    LastExtensionUncut,
    /// Reservation: gives the last extension back too, though the first charge still counts.
    LastExtensionTwice,
    /// Reservation: charges an excess over the estimate only if there is room.
    DebtRefused,
    /// Reservation: does not charge an excess over the estimate.
    DebtForgiven,
    /// Reservation: charges the whole actual cost in place of the excess.
    DebtWhole,
    /// Reservation: leaves a charged excess out of the statistics.
    DebtUncounted,
    /// Reservation: notes a denied extension as if it had been charged.
    StopNoted,
    /// Reservation: closes a reservation that is already closed.
    CloseTwice,
    /// Ring: treats a charge that is merged during its give-back as a newer one.
    MergedIsNewer,
    /// Fast path: admits a single charge although its CAS failed.
    LostOneAdmitted,
    /// Fast path: admits several charges although the CAS of one failed.
    LostSeveralAdmitted,
    /// Layers: admits an evaluated charge although its CAS failed.
    LostLineAdmitted,
    /// Counter: admits a charge of the retry loop although its CAS failed.
    LostLoopAdmitted,
    /// Fast path: prepares a charge while the table is moving.
    PreparedWhileMoving,
    /// Reclaim: frees an array as soon as it is retired.
    FreedAtOnce,
    /// Move: does not move the live words that follow an empty one.
    EmptyEndsRing,
    /// Table: lets a new array's cutoff be earlier than the old one's.
    CutoffBack,
    /// Eviction: dates an eviction by the caller's time, not by the cutoff.
    EvictionAtOwnNow,
    /// Eviction: ignores what earlier evictions have forgiven.
    EarlierEvictionsIgnored,
    /// Move: counts a chunk twice if two helpers have moved it.
    ChunkCountedTwice,
    /// Table: renews an array by age before the move that fills it has ended.
    NoFinish,
    /// Table: refuses a new key even if its full array was replaced meanwhile.
    StaleIsFull,
    /// Statistics: counts under a thread's number after releasing it.
    CountsAfterReturn,
    /// Reclaim: frees nothing in `maintain`.
    MaintainCollectsNothing,
    /// Layers: rolls back a charge that was allowed without being counted.
    UndoUncounted,
    /// Table: treats a move as pending after its old array was unlinked, and refuses a new key.
    UnlinkedSince,
}

#[cfg(all(test, tollgate_model))]
mod switch {
    use super::Mutant;
    use std::cell::Cell;

    // All threads of a model run on one OS thread, so this holds one mutant per model.
    thread_local!(static ACTIVE: Cell<Option<Mutant>> = const { Cell::new(None) });

    pub(crate) fn set(mutant: Option<Mutant>) {
        ACTIVE.set(mutant);
    }

    pub(crate) fn is_on(mutant: Mutant) -> bool {
        ACTIVE.get() == Some(mutant)
    }
}

#[cfg(all(test, tollgate_model))]
pub(crate) use switch::{is_on, set};

#[cfg(all(tollgate_mutants, not(all(test, tollgate_model))))]
mod process {
    use super::Mutant;
    use std::sync::OnceLock;

    static ACTIVE: OnceLock<Option<Mutant>> = OnceLock::new();

    /// The mutant that `TOLLGATE_MUTANT` names.
    fn from_env() -> Option<Mutant> {
        let name = std::env::var("TOLLGATE_MUTANT").ok()?;
        let found = Mutant::ALL.iter().find(|(mutant, _)| format!("{mutant:?}") == name);
        Some(found.unwrap_or_else(|| panic!("no mutant is called {name}")).0)
    }

    pub(crate) fn is_on(mutant: Mutant) -> bool {
        *ACTIVE.get_or_init(from_env) == Some(mutant)
    }
}

#[cfg(all(tollgate_mutants, not(all(test, tollgate_model))))]
pub(crate) use process::is_on;

/// Returns whether this mutant is active. Always false in builds without mutants.
#[cfg(not(any(all(test, tollgate_model), tollgate_mutants)))]
#[inline(always)]
pub(crate) const fn is_on(_: Mutant) -> bool {
    false
}
