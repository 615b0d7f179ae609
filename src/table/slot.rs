//! One key's place in an array: its id and its counter.

use super::zeroed::Zeroable;
use crate::counter::Counter;
use crate::sync::{AtomicU64, Ordering::*};
use crate::verify::mutants::{Breakage, ordering};

/// The id of a key in a table: its keyed hash, but with a lowest byte that is more than 1, so that
/// it is none of the reserved values, and this byte can be its [tag](super::tags).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyId(u64);

/// A place that a key may claim.
pub(super) const EMPTY: u64 = 0;
/// A place that no key can claim any more.
pub(super) const FROZEN: u64 = 1;

impl KeyId {
    /// The id of no key that anybody asks for.
    pub(crate) const NONE: KeyId = KeyId(u64::MAX);

    #[inline(always)]
    pub(crate) fn new(hash: u64) -> Self {
        KeyId(if (hash as u8) < 2 { hash | 2 } else { hash })
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
    /// The id for good: an empty slot is frozen first, so that nobody can claim it afterwards.
    pub(crate) fn freeze_or_id(&self) -> Option<KeyId> {
        // Relaxed: a slot's id is all that is asked for.
        let mut id = self.id.load(Relaxed);
        if id == EMPTY {
            // Release: from here on this place ends every probe that passes through it, and whoever
            // meets it sees the array that took this one's place. Pairs with `Array::find`. Model:
            // absent_against_move with FreezeEmptyRelaxed.
            let release = ordering(Breakage::FreezeEmptyRelaxed, Release);
            match self.id.compare_exchange(EMPTY, FROZEN, release, Relaxed) {
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

    /// The key that holds the slot. A hint, which a checker need not follow.
    pub(crate) fn peek_id(&self) -> Option<KeyId> {
        if cfg!(all(test, tollgate_model)) {
            return None;
        }
        // Relaxed: a hint.
        let id = self.id.load(Relaxed);
        (id > FROZEN).then_some(KeyId(id))
    }

    /// Whether a key holds the slot. A hint.
    pub(crate) fn is_claimed(&self) -> bool {
        // Relaxed: a hint.
        self.id.load(Relaxed) > FROZEN
    }
}
