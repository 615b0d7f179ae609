//! The implementation that wraps `crossbeam-epoch`.
//!
//! It allocates 2 KiB when a thread pins for the first time, and again when a value is retired. It
//! aborts if there is no memory. A later pin may free such a block, and seldom allocates one.

use super::limbo::{Limbo, Node};
use crate::sync::{Ordering::Relaxed, Statistic};

/// Values that were retired and that a thread may still read.
static EARLY: Statistic = Statistic::new(0);

pub(super) use crossbeam_epoch::{Guard, pin};

/// Retires a value: hands it to `limbo` once all guards that exist now are dropped.
///
/// # Safety
/// As for `Domain::retire`.
pub(super) unsafe fn retire(guard: &Guard, node: *mut Node, limbo: &'static Limbo) {
    EARLY.fetch_add(1, Relaxed);
    let hand_over = move || {
        // SAFETY: the caller's promise; the epoch has passed every thread that could read it.
        unsafe { limbo.due.push(node) };
        EARLY.fetch_sub(1, Relaxed);
    };
    // SAFETY: the closure owns nothing of the caller's stack, and any thread may hand over a value.
    unsafe { guard.defer_unchecked(hand_over) };
    // Values are large and seldom retired, so this one must not wait in the thread's local bag.
    guard.flush();
}

/// Hands over what is due.
///
/// Does not pin if nothing is retired, because a thread's first pin allocates.
pub(super) fn advance() {
    // Relaxed: a hint.
    if EARLY.load(Relaxed) > 0 {
        pin().flush();
    }
}
