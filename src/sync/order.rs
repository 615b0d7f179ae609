//! The memory orderings that the protocol needs, as pairs of a Release and an Acquire.
//!
//! A decision depends on what a thread has seen, so each step that publishes something is paired
//! with the load that relies on it:
//!
//! - **A charge and a sum.** A thread that loads a head as [`ring_head`] sees every charge that
//!   came before it, because heads are written as [`ring_open`] and [`ring_charge`]. The loads of a
//!   sum may therefore be relaxed. A relaxed CAS on the same word continues the release sequence.
//! - **A reset and a give-back.** A reset is recorded before it writes the head as [`ring_reset`], so a
//!   give-back that loads a later word as [`ring_update`] finds the record. A record is given to another
//!   key as [`mark_take`] and [`mark_replace`]. Threads that still use it come before ([`mark_keep`]) or
//!   see the raised floor ([`mark_find`]).
//! - **A moved word and its new array.** A thread that loads a MOVED word ([`ring_search`],
//!   [`ring_head`], [`ring_update`], [`budget_load`], [`budget_update`], [`budget_peek`]) finds the
//!   array that it was moved to, because movers freeze words as [`ring_freeze`] and
//!   [`budget_freeze`]. A copied counter is published by [`ring_install`] and [`budget_install`].
//! - **A slot.** A probe loads ids as [`slot_probe`] and tags as [`tags_load`]. A probe that
//!   ends at a frozen slot ([`slot_freeze`]) sees the new array, and one that sees a tag
//!   ([`tag_publish`]) sees the slot's id.
//! - **An array.** [`current_load`] sees the contents of an array that [`current_publish`] made
//!   the current one. [`previous_load`] sees everything moved before [`previous_unlink`], and so does
//!   [`fast_ticks_load`], because a thread that comes after the unlinking writes as [`fast_path_open`].
//! - **A chunk of a move.** A thread that finds every flag set ([`chunk_check`]) sees every chunk
//!   moved ([`chunk_done`]).
//! - **A shard of the statistics.** A thread that allocates an index ([`shard_allocate`]) continues
//!   from the counts of the thread that freed it ([`shard_free`]).
//!
//! - **A pin.** A thread that pins as [`pin_epoch`] sees every unlinking before the current epoch
//!   ([`epoch_stamp`], continued by [`epoch_advance`]). A thread that scans the pins ([`pin_scan`])
//!   comes after the reads of every pin that has ended ([`unpin`], [`pin_held`]). A thread that
//!   advances the epoch ([`epoch_load`]) must see the unlinkings. A thread that frees
//!   ([`epoch_due`]) must come after the reads. In the shared record a pin is
//!   [`shared_pin_epoch`], its end [`shared_unpin`], and the scan [`shared_scan`].
//! - **A record of pins.** Its next owner ([`record_own`]) continues from the last ([`record_end`],
//!   or [`ended_return`] if the record was still pinned), and comes after the last guard of a thread
//!   that has ended ([`ended_check`]).
//! - **A retired value.** A thread that takes a list of retired values ([`limbo_take`]) sees the
//!   nodes that were pushed to it ([`limbo_push`]).
//!
//! Two acquire fences complete the argument, each between relaxed loads: in `Ring::is_unchanged`
//! and in `Ages::has_survived`. A pin and an advance of the epoch are ordered by a pair of fences
//! ([`crate::reclaim`]). Every other access is relaxed, and a comment says why it may be.
//!
//! Each ordering is used at one place, and has a mutant that makes it relaxed. The comment at that
//! place names the model that fails with the mutant.

use super::Ordering::{self, Acquire, Relaxed, Release};
use crate::verify::mutants::is_on;

/// Declares one function for each ordering. Without mutants, each is a constant.
macro_rules! orders {
    ($($name:ident: $ordering:ident, or relaxed with $mutant:ident;)*) => {$(
        #[inline(always)]
        pub(crate) fn $name() -> Ordering {
            if is_on(stringify!($mutant)) { Relaxed } else { $ordering }
        }
    )*};
}

orders! {
    ring_search: Acquire, or relaxed with SearchRelaxed;
    ring_head: Acquire, or relaxed with HeadRelaxed;
    ring_update: Acquire, or relaxed with RefundLoadRelaxed;
    ring_open: Release, or relaxed with OpenRelaxed;
    ring_charge: Release, or relaxed with WriteRelaxed;
    ring_freeze: Release, or relaxed with FreezeRelaxed;
    ring_install: Release, or relaxed with InstallRelaxed;

    ring_reset: Release, or relaxed with ResetRelaxed;

    mark_keep: Release, or relaxed with MarkKeepRelaxed;
    mark_take: Acquire, or relaxed with MarkTakeRelaxed;
    mark_replace: Release, or relaxed with MarkReplaceRelaxed;
    mark_find: Acquire, or relaxed with MarkFindRelaxed;

    budget_load: Acquire, or relaxed with QuotaLoadRelaxed;
    budget_update: Acquire, or relaxed with QuotaUpdateRelaxed;
    budget_peek: Acquire, or relaxed with QuotaPeekRelaxed;
    budget_freeze: Release, or relaxed with QuotaFreezeRelaxed;
    budget_install: Release, or relaxed with QuotaInstallRelaxed;

    slot_probe: Acquire, or relaxed with FindRelaxed;
    slot_freeze: Release, or relaxed with FreezeEmptyRelaxed;
    tags_load: Acquire, or relaxed with GroupRelaxed;
    tag_publish: Release, or relaxed with TagPublishRelaxed;

    current_load: Acquire, or relaxed with CurrentRelaxed;
    current_publish: Release, or relaxed with PublishRelaxed;
    previous_load: Acquire, or relaxed with PreviousRelaxed;
    previous_unlink: Release, or relaxed with UnlinkRelaxed;
    fast_ticks_load: Acquire, or relaxed with FastTicksRelaxed;
    fast_path_open: Release, or relaxed with FastOpenRelaxed;

    chunk_check: Acquire, or relaxed with AllDoneRelaxed;
    chunk_done: Release, or relaxed with DoneRelaxed;

    shard_allocate: Acquire, or relaxed with ShardAllocateRelaxed;
    shard_free: Release, or relaxed with ShardFreeRelaxed;

    pin_epoch: Acquire, or relaxed with PinEpochRelaxed;
    pin_held: Release, or relaxed with PinHeldRelaxed;
    pin_scan: Acquire, or relaxed with ScanRelaxed;
    unpin: Release, or relaxed with UnpinRelaxed;
    shared_pin_epoch: Acquire, or relaxed with SharedPinEpochRelaxed;
    shared_scan: Acquire, or relaxed with SharedScanRelaxed;
    shared_unpin: Release, or relaxed with SharedUnpinRelaxed;
    epoch_stamp: Release, or relaxed with StampRelaxed;
    epoch_advance: Release, or relaxed with AdvanceRelaxed;
    epoch_load: Acquire, or relaxed with EpochLoadRelaxed;
    epoch_due: Acquire, or relaxed with EpochDueRelaxed;

    record_own: Acquire, or relaxed with RecordOwnRelaxed;
    record_end: Release, or relaxed with RecordEndRelaxed;
    ended_check: Acquire, or relaxed with EndedCheckRelaxed;
    ended_return: Release, or relaxed with EndedReturnRelaxed;
    limbo_push: Release, or relaxed with LimboPushRelaxed;
    limbo_take: Acquire, or relaxed with LimboTakeRelaxed;
}
