//! Epoch-based reclamation: a retired value is freed when no thread that could read it is pinned.
//!
//! Threads pin the epoch while they read. A value is unlinked, then retired, and freed two epochs
//! later. There are two implementations; the process chooses one when it builds its first limiter:
//!
//! - [`domain`], on Linux. A pin is a plain store, and whoever advances the epoch pays for the
//!   ordering with the system call `membarrier` ([`barrier`]). Nothing here allocates or aborts,
//!   except that the C library allocates an entry for the destructor of a thread.
//! - [`crossbeam`], which wraps `crossbeam-epoch`: on other systems, under Miri, and where the system
//!   refuses `membarrier`. It allocates when a thread pins for the first time, when a value is
//!   retired, and occasionally within a pin.
//!
//! Both hand over values that nobody can read to one list ([`limbo`]), which calls about new keys
//! and `Limiter::maintain` free piece by piece. A call about known keys frees nothing, unless it
//! renews an array.
//!
//! # Invariants
//! - P1: a value that was retired in epoch `e` is freed in epoch `e + 2` or later.
//! - P2: the epoch advances from `e` to `e + 1` only while every pin is of epoch `e`.
//! - P3: if a thread can still reach a value, it has pinned the epoch in which the value was
//!   retired, or an earlier one.
//!
//! So the pin of a thread that can reach a value of epoch `e` stops the epoch at `e + 1` at the
//! latest.
//!
//! # Progress
//! A pin and an unpin are wait-free, except in the shared record: there a pin is lock-free. Retiring
//! and freeing are lock-free. A thread that is stopped while it is pinned stops the epoch: memory is
//! kept, and no call waits for it.
//!
//! # Tests
//! The random schedules run [`domain`] under the whole limiter, with two records, so that most threads
//! pin in the shared one. The memory of a freed value is kept until the execution ends, and each access to
//! it is an error (`retired`).
//!
//! The loom models in `verify/models/epoch.rs` check [`domain`] without a table, with weak memory
//! orderings. The `retire` models check it under a table. All other loom models of tables free nothing, and
//! their pins do nothing (`stand_in`): the atomics of the pins would multiply their executions.

mod barrier;
#[cfg(not(all(test, tollgate_model, not(tollgate_shuttle))))]
mod crossbeam;
pub(crate) mod domain;
#[cfg(not(all(test, tollgate_model, not(tollgate_shuttle))))]
mod global;
pub(crate) mod limbo;
pub(crate) mod record;
#[cfg(all(test, tollgate_shuttle))]
mod retired;
#[cfg(all(test, tollgate_model, not(tollgate_shuttle)))]
mod stand_in;
#[cfg(all(test, not(tollgate_model)))]
mod tests;
#[cfg(not(all(test, tollgate_model, not(tollgate_shuttle))))]
mod thread;

#[cfg(not(all(test, tollgate_model, not(tollgate_shuttle))))]
pub(crate) use global::{Guard, collect, collect_some, start};
pub(crate) use limbo::{Node, Retire};
#[cfg(not(all(test, tollgate_model)))]
pub(crate) use thread::pin;

#[cfg(all(test, tollgate_shuttle))]
pub(crate) use retired::{
    Event, assert_all_freed, fault, free_all, pin, read_after_free, take_counts,
};
#[cfg(all(test, tollgate_model, not(tollgate_shuttle)))]
pub(crate) use stand_in::{
    Guard, advance, assert_sound, collect, collect_some, free_all, pin, read_after_free, start,
    watch,
};
