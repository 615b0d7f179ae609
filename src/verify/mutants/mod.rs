//! Activates a mutant of the production code by its name, in builds with `--cfg tollgate_mutants`.
//!
//! In models and schedules, a test activates a mutant. Elsewhere the environment variable
//! `TOLLGATE_MUTANT` names it. In every other build [`is_on`] is the constant `false` and leaves no
//! trace in the compiled code. A misspelt name activates nothing, so the check that uses it fails.

/// Every mutant with its description.
#[cfg(all(test, tollgate_model))]
pub(crate) const ALL: &[(&str, &str)] = &[
    (
        "SumBeforeHead",
        " Ring: with an unsealed head, sums words that were read before the head was found.",
    ),
    (
        "SumBeforeSealed",
        " Ring: with a sealed head, sums words that were read before the head was found.",
    ),
    ("HeadRelaxed", " Ring: loads words relaxed in the search for the head."),
    ("HeadSeenTwice", " Ring: loads the head again for the sum, and ignores the value seen first."),
    ("OfferMarked", " Ring: prepares a charge of the newest word even if it is sealed or moved."),
    ("OpenRelaxed", " Ring: opens a word with a relaxed CAS."),
    ("NoSeal", " Ring: opens the next word without sealing the head."),
    ("NoValidate", " Ring: denies without loading the target word a second time."),
    (
        "NoValidateFence",
        " Ring: omits the acquire fence before the second load of the target word.",
    ),
    ("OwnTime", " Ring: decides at the caller's time even if the ring has recorded a later one."),
    ("NoNextCell", " Ring: after a sealed head, does not raise a late time to the next cell."),
    (
        "NoNextExpiry",
        " Ring: after a sealed head, does not raise a late time to the next word's expiry.",
    ),
    ("WriteRelaxed", " Ring: charges an unsealed head with a relaxed CAS."),
    ("LookUnvalidated", " Ring: peeks without loading the target word a second time."),
    (
        "NoRefundMerged",
        " Ring: does not search for a charge whose bucket was merged into a later one.",
    ),
    ("RefundExpired", " Ring: searches for an expired charge as if its bucket had been merged."),
    ("RefundForgiven", " Table: gives back units that an eviction has already forgiven."),
    (
        "CountedBeforeClaim",
        " Table: a slot is counted before it is claimed, also by a thread that loses it.",
    ),
    (
        "GivenTwice",
        " Table: a give-back that is interrupted by a move starts again with the whole amount.",
    ),
    ("ReceiptWithoutGeneration", " Table: leaves the array of the charge out of the receipt."),
    ("AgeNotCarried", " Move: does not copy a key's age to the next array."),
    ("AgeLate", " Move: writes a key's age after publishing its counter."),
    ("AgeUnfenced", " Table: omits the fence between the loads of a key's counter and its age."),
    ("QuotaInstallRelaxed", " Quota: publishes a copied word relaxed."),
    ("RefundMoved", " Ring: writes a refund to a word that was moved."),
    ("NoMerge", " Ring: opens the next word even if it is live, in place of merging."),
    ("RefundStores", " Ring: writes a refund with a store in place of a CAS."),
    ("RefundUnseals", " Ring: clears the seal of a word that it refunds."),
    (
        "ChargeStores",
        " Counter: writes a charge or a budget's give-back with a store in place of a CAS.",
    ),
    ("QuotaReopens", " Quota: opens an older period again when a caller's time is in it."),
    ("FreezeHeadOnly", " Move: freezes only the head."),
    ("FreezeNotNext", " Move: does not freeze the word that would be opened next."),
    ("NoFreeze", " Move: reads the words without freezing them."),
    ("PublishHeadFirst", " Move: publishes the head before the older words."),
    ("NoFreezeEmpty", " Move: does not freeze the empty slot that ended the probe."),
    ("DropByOwnNow", " Move: drops keys by the helper's time in place of the array's cutoff."),
    ("TakenIsDone", " Move: ends the move when all chunks are taken, not when all are done."),
    ("DropsLater", " Move: drops a counter even if it has recorded a time after the cutoff."),
    ("NoPin", " Reclaim: ignores pinned readers. Part of the model of the epoch itself."),
    (
        "UnlinkStores",
        " Reclaim: unlinks the old array with a store, so that two threads may retire it.",
    ),
    ("NoCutoff", " Table: does not raise a caller's time to the array's cutoff."),
    ("ClaimStores", " Table: claims a slot with a store in place of a CAS."),
    ("TagFirst", " Table: publishes a slot's tag before claiming the slot."),
    ("TellRelaxed", " Table: publishes a slot's tag relaxed."),
    ("GroupRelaxed", " Table: loads the tags of a group relaxed."),
    ("OldLimit", " Limits: applies the limit that the policy was built with, not the current one."),
    (
        "OriginAtCutoff",
        " Move: sets the new array's origin to its cutoff, though older charges are live.",
    ),
    ("NoUndo", " Layers: does not roll back the earlier charges of a request after a lost race."),
    ("RefundLoadRelaxed", " Ring: loads the word of a refund or a reset relaxed."),
    ("FreezeRelaxed", " Ring: freezes words relaxed."),
    ("InstallRelaxed", " Ring: publishes a copied head relaxed."),
    ("QuotaLoadRelaxed", " Quota: loads the word relaxed before changing it."),
    ("QuotaLookRelaxed", " Quota: peeks with a relaxed load."),
    ("QuotaFreezeRelaxed", " Quota: freezes the word relaxed."),
    ("FindRelaxed", " Table: loads the ids of a probe relaxed."),
    ("FreezeEmptyRelaxed", " Table: freezes an empty slot relaxed."),
    ("CurrentRelaxed", " Table: loads the current array relaxed."),
    ("PublishRelaxed", " Table: publishes a new array relaxed."),
    ("PreviousRelaxed", " Table: loads the previous array relaxed."),
    ("UnlinkRelaxed", " Table: unlinks an array relaxed."),
    ("DoneRelaxed", " Move: marks a chunk as done relaxed."),
    ("AllDoneRelaxed", " Move: checks with relaxed loads that all chunks are done."),
    ("TakeRelaxed", " Statistics: takes a thread's number relaxed."),
    ("HandOnRelaxed", " Statistics: releases a thread's number relaxed."),
    (
        "LookIsEnough",
        " Layers: commits an evaluated charge even if others have used up its room since.",
    ),
    ("UndoOldest", " Layers: rolls back the oldest units in place of the ones that were charged."),
    (
        "SettleFirstLayer",
        " Reservation: settles only the first policy; the others keep the estimate.",
    ),
    (
        "SettlePresent",
        " Reservation: gives back from the current window or period, not the charged one.",
    ),
    (
        "LastExtensionStays",
        " Reservation: after the first charge has expired, keeps the last extension charged.",
    ),
    (
        "LastExtensionUncut",
        " Reservation: after the first charge has expired, gives back more than the last extension.",
    ),
    (
        "LastExtensionTwice",
        " Reservation: gives the last extension back too, though the first charge still counts.",
    ),
    ("DebtRefused", " Reservation: charges an excess over the estimate only if there is room."),
    ("DebtForgiven", " Reservation: does not charge an excess over the estimate."),
    ("DebtWhole", " Reservation: charges the whole actual cost in place of the excess."),
    ("DebtUncounted", " Reservation: leaves a charged excess out of the statistics."),
    ("StopNoted", " Reservation: notes a denied extension as if it had been charged."),
    ("CloseTwice", " Reservation: closes a reservation that is already closed."),
    ("MergedIsNewer", " Ring: treats a charge that is merged during its give-back as a newer one."),
    ("LostOneAdmitted", " Fast path: admits a single charge although its CAS failed."),
    ("LostSeveralAdmitted", " Fast path: admits several charges although the CAS of one failed."),
    ("LostLoopAdmitted", " Counter: admits a charge of the retry loop although its CAS failed."),
    ("PreparedWhileMoving", " Fast path: prepares a charge while the table is moving."),
    ("FreedAtOnce", " Reclaim: frees an array as soon as it is retired."),
    ("EmptyEndsRing", " Move: does not move the live words that follow an empty one."),
    ("CutoffBack", " Table: lets a new array's cutoff be earlier than the old one's."),
    ("EvictionAtOwnNow", " Eviction: dates an eviction by the caller's time, not by the cutoff."),
    ("EarlierEvictionsIgnored", " Eviction: ignores what earlier evictions have forgiven."),
    ("ChunkCountedTwice", " Move: counts a chunk twice if two helpers have moved it."),
    ("NoFinish", " Table: renews an array by age before the move that fills it has ended."),
    ("StaleIsFull", " Table: refuses a new key even if its full array was replaced meanwhile."),
    ("CountsAfterReturn", " Statistics: counts under a thread's number after releasing it."),
    ("MaintainCollectsNothing", " Reclaim: frees nothing in `maintain`."),
    ("UndoUncounted", " Layers: rolls back a charge that was allowed without being counted."),
    (
        "UnlinkedSince",
        " Table: treats a move as pending after its old array was unlinked, and refuses a new key.",
    ),
];

#[cfg(all(test, tollgate_model))]
mod switch {
    use std::cell::Cell;

    // All threads of a model run on one OS thread, so this holds one mutant per model.
    thread_local!(static ACTIVE: Cell<Option<&'static str>> = const { Cell::new(None) });

    pub(crate) fn set(mutant: Option<&'static str>) {
        ACTIVE.set(mutant);
    }

    pub(crate) fn is_on(mutant: &str) -> bool {
        ACTIVE.get() == Some(mutant)
    }
}

#[cfg(all(test, tollgate_model))]
pub(crate) use switch::{is_on, set};

#[cfg(all(tollgate_mutants, not(all(test, tollgate_model))))]
mod process {
    use std::sync::LazyLock;

    /// The mutant that `TOLLGATE_MUTANT` names.
    static ACTIVE: LazyLock<Option<String>> =
        LazyLock::new(|| std::env::var("TOLLGATE_MUTANT").ok());

    pub(crate) fn is_on(mutant: &str) -> bool {
        ACTIVE.as_deref() == Some(mutant)
    }
}

#[cfg(all(tollgate_mutants, not(all(test, tollgate_model))))]
pub(crate) use process::is_on;

/// Returns whether this mutant is active. Always false in builds without mutants.
#[cfg(not(any(all(test, tollgate_model), tollgate_mutants)))]
#[inline(always)]
pub(crate) const fn is_on(_: &str) -> bool {
    false
}
