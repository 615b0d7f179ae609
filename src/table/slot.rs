//! A slot of an array: one key's id and its counter.

use super::zeroed::Zeroable;
use crate::counter::Counter;
use crate::sync::{AtomicU64, Ordering::*, order};

/// A key's id in a table: its keyed hash, with a lowest byte greater than 1.
///
/// So no id is one of the reserved values, and the lowest byte serves as the [tag](super::tags).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyId(u64);

/// The id of a slot that a key may claim.
pub(super) const EMPTY: u64 = 0;
/// The id of a slot that was frozen empty: no key can claim it any more.
pub(super) const FROZEN: u64 = 1;

impl KeyId {
    #[inline(always)]
    pub(crate) fn new(hash: u64) -> Self {
        KeyId(hash | 2)
    }

    #[inline(always)]
    pub(super) fn number(self) -> u64 {
        self.0
    }
}

/// One key: its id and its counter.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Slot<C> {
    pub(super) id: AtomicU64,
    pub(crate) counter: C,
}

// SAFETY: an empty id and a fresh counter, both made of atomics: `Counter`.
unsafe impl<C: Counter> Zeroable for Slot<C> {
    #[cfg(all(test, tollgate_model))]
    fn zeroed() -> Self {
        Slot { id: AtomicU64::new(EMPTY), counter: C::zeroed() }
    }
}

impl<C> Slot<C> {
    /// Returns the id of the key that holds the slot, which never changes. If there is none,
    /// returns `None`, and the slot is frozen: no key can claim it afterwards.
    pub(crate) fn freeze_or_id(&self) -> Option<KeyId> {
        // Relaxed: only the id itself is used.
        let mut id = self.id.load(Relaxed);
        if id == EMPTY {
            // Release: a frozen slot ends every probe that meets it, and such a probe sees the
            // array that replaced this one. Pairs with `Array::find`. Model: absent_against_move
            // with FreezeEmptyRelaxed.
            match self.id.compare_exchange(EMPTY, FROZEN, order::slot_freeze(), Relaxed) {
                Ok(_) => return None,
                Err(claimed) => id = claimed,
            }
        }
        (id != FROZEN).then_some(KeyId(id))
    }

    /// The key that holds the slot.
    #[cfg(all(test, tollgate_model))]
    pub(crate) fn id(&self) -> Option<KeyId> {
        let id = self.id.load(Relaxed);
        (id > FROZEN).then_some(KeyId(id))
    }

    /// The key that holds the slot, as a hint. Always `None` in a model, so that the checker has no
    /// load to explore.
    pub(crate) fn peek_id(&self) -> Option<KeyId> {
        if cfg!(all(test, tollgate_model)) {
            return None;
        }
        // Relaxed: a hint.
        let id = self.id.load(Relaxed);
        (id > FROZEN).then_some(KeyId(id))
    }

    /// Returns whether a key holds the slot. A hint.
    pub(crate) fn is_claimed(&self) -> bool {
        // Relaxed: a hint.
        self.id.load(Relaxed) > FROZEN
    }
}
