//! The stand-in of loom models of tables: it frees nothing before the execution ends. After [`watch`] it
//! also reports each access to a value that would be freed.

use super::Retire;
use crate::sync::{Ordering::SeqCst, fence};
use std::cell::RefCell;
use std::collections::BTreeSet;

type Free = Box<dyn FnOnce()>;

/// A retired value, and the guards that may still read it.
struct Retired {
    address: usize,
    holders: BTreeSet<u64>,
    poison: Box<dyn Fn()>,
    free: Free,
}

#[derive(Default)]
struct Epoch {
    /// Whether accesses to freed memory are reported.
    strict: bool,
    guards: u64,
    pinned: BTreeSet<u64>,
    retired: Vec<Retired>,
    fault: Option<&'static str>,
}

// A model's threads all run on one OS thread.
thread_local!(static EPOCH: RefCell<Epoch> = RefCell::default());

#[derive(Debug)]
pub(crate) struct Guard(u64);

pub(crate) fn pin() -> Guard {
    let (strict, id) = EPOCH.with_borrow_mut(|epoch| {
        epoch.guards += 1;
        epoch.pinned.insert(epoch.guards);
        (epoch.strict, epoch.guards)
    });
    if strict {
        // As in the real pin: ordered after every retirement that did not see this guard.
        fence(SeqCst);
    }
    Guard(id)
}

impl Drop for Guard {
    fn drop(&mut self) {
        EPOCH.with_borrow_mut(|epoch| {
            epoch.pinned.remove(&self.0);
            for retired in &mut epoch.retired {
                retired.holders.remove(&self.0);
                if epoch.strict && retired.holders.is_empty() {
                    (retired.poison)();
                }
            }
        });
    }
}

impl Guard {
    /// Keeps `value` until [`free_all`]. Poisons it once all guards that exist now are dropped.
    pub(crate) unsafe fn retire<T: Retire>(&self, value: *mut T) {
        if EPOCH.with_borrow(|epoch| epoch.strict) {
            fence(SeqCst);
        }
        let address = value as usize;
        // SAFETY: only `free_all` releases it. Until then its memory is only marked as freed.
        let poison = Box::new(move || _ = unsafe { (*value).free_piece() });
        let free = Box::new(move || {
            // SAFETY: `free_all` runs when no thread of the model is left.
            drop(unsafe { Box::from_raw(value) });
        });
        EPOCH.with_borrow_mut(|epoch| {
            if epoch.retired.iter().any(|retired| retired.address == address) {
                epoch.fault = Some("retired twice");
                return;
            }
            let holders = epoch.pinned.clone();
            if epoch.strict && holders.is_empty() {
                poison();
            }
            epoch.retired.push(Retired { address, holders, poison, free });
        });
    }
}

/// Reports, from now on until [`free_all`], every access to a retired value that no guard
/// holds.
pub(crate) fn watch() {
    EPOCH.with_borrow_mut(|epoch| epoch.strict = true);
}

/// Records an access to freed memory for [`assert_sound`]: a panic here would unwind through
/// the checker's threads.
pub(crate) fn read_after_free() {
    EPOCH.with_borrow_mut(|epoch| epoch.fault = Some("read after it was freed"));
}

/// Panics if this execution retired a value twice or accessed freed memory.
pub(crate) fn assert_sound() {
    let fault = EPOCH.with_borrow(|epoch| epoch.fault);
    assert!(fault.is_none(), "{fault:?}");
}

/// Chooses nothing: models have no other implementation.
pub(crate) fn start() {}

pub(crate) fn collect(_: usize) {}

pub(crate) fn collect_some() {}

/// Frees the values that this execution has retired.
pub(crate) fn free_all() {
    let epoch = EPOCH.with_borrow_mut(std::mem::take);
    epoch.retired.into_iter().for_each(|retired| (retired.free)());
}
