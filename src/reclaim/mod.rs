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
//! Models of tables use a stand-in, which keeps retired values until the execution ends. In the
//! `retire` models it also reports each access to a freed value. The models in
//! `verify/models/epoch.rs` check [`domain`] itself.

#[cfg(not(tollgate_shuttle))]
mod barrier;
#[cfg(not(all(test, tollgate_model)))]
mod crossbeam;
#[cfg(not(tollgate_shuttle))]
pub(crate) mod domain;
#[cfg(not(all(test, tollgate_model)))]
mod global;
#[cfg(not(tollgate_shuttle))]
pub(crate) mod limbo;
#[cfg(not(tollgate_shuttle))]
pub(crate) mod record;
#[cfg(all(test, tollgate_model))]
mod stand_in;
#[cfg(all(test, not(tollgate_model)))]
mod tests;
#[cfg(not(all(test, tollgate_model)))]
mod thread;

#[cfg(not(all(test, tollgate_model)))]
pub(crate) use global::{Guard, collect, collect_some, start};
#[cfg(not(all(test, tollgate_model)))]
pub(crate) use limbo::{Node, Retire};
#[cfg(not(all(test, tollgate_model)))]
pub(crate) use thread::pin;

#[cfg(all(test, tollgate_model))]
pub(crate) use stand_in::{
    Guard, Poison, collect, collect_some, free_all, pin, read_after_free, start,
};
#[cfg(all(test, tollgate_model, not(tollgate_shuttle)))]
pub(crate) use stand_in::{assert_sound, watch};
