//! The age of each slot's key: the number of moves from array to array since the key was last
//! inserted.
//!
//! Ages are kept only where live keys may be evicted. They separate charges made before an
//! eviction from later ones, so that a refund of the former does not take units of the latter.
//!
//! # Invariant
//! - E1: an age is written before the counter that it belongs to is published, and never changes
//!   afterwards. A key that is inserted here has age 0. All threads that move a key here write the
//!   same age.

use super::error::OutOfMemory;
use super::tags::GROUP;
use super::zeroed::{Zeroable, Zeroed};
use crate::sync::{AtomicU16, Ordering::*, fence};

/// The ages of one group of slots.
#[derive(Debug)]
#[repr(align(16))]
struct Group([AtomicU16; GROUP]);

// SAFETY: atomic numbers, of which 0 is a valid one.
unsafe impl Zeroable for Group {
    #[cfg(all(test, tollgate_model))]
    fn zeroed() -> Self {
        Group(std::array::from_fn(|_| AtomicU16::new(0)))
    }
}

/// The ages of all slots, or nothing where no live key is ever evicted.
#[derive(Debug)]
pub(crate) struct Ages(Option<Zeroed<Group>>);

impl Ages {
    /// Creates the ages of `groups` groups, if they are `kept`.
    pub(crate) fn new(groups: usize, kept: bool) -> Result<Self, OutOfMemory> {
        Ok(Ages(if kept { Some(Zeroed::new(groups)?) } else { None }))
    }

    pub(crate) fn are_kept(&self) -> bool {
        self.0.is_some()
    }

    fn slot(&self, index: usize) -> Option<&AtomicU16> {
        let group = index / GROUP;
        self.0.as_ref()?.get(group)?.0.get(index - group * GROUP)
    }

    /// Records that the key of slot `index` was moved here from slot `from` of the array before.
    /// Call it before the counter is published.
    pub(crate) fn carry_over(&self, index: usize, old: &Ages, from: usize) {
        let (Some(new), Some(old)) = (self.slot(index), old.slot(from)) else { return };
        // Relaxed: the move into the old array ended before the new array was published, so this
        // thread sees the old array's final ages. The new age is published by the Release of
        // `install`. A saturated age is too low, so less is given back than could be.
        let age = old.load(Relaxed).saturating_add(1);
        new.store(age, Relaxed);
    }

    /// Returns whether the key of slot `index` was inserted before the last `moves` moves, and not
    /// anew since. The caller must have seen its counter open.
    pub(crate) fn has_survived(&self, index: usize, moves: u64) -> bool {
        let Some(age) = self.slot(index) else { return true };
        // Acquire: the age was written before the counter was published. Pairs with the Release of
        // `install`. Model: refund_after_move with AgeUnfenced.
        fence(Acquire);
        // Relaxed: ordered after the fence.
        u64::from(age.load(Relaxed)) >= moves
    }

    /// Bytes of the ages of the first `groups` groups.
    pub(crate) fn bytes(&self, groups: usize) -> usize {
        if self.are_kept() { groups * size_of::<Group>() } else { 0 }
    }

    /// See [`Zeroed::free_piece`].
    pub(crate) fn free_piece(&mut self, in_use: usize) -> bool {
        self.0.as_mut().is_some_and(|ages| ages.free_piece(in_use))
    }
}
