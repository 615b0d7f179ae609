//! Through how many arrays each slot's key was moved since it was last inserted: kept where live keys
//! may be evicted, so that a charge from before an eviction is not given back to what the key was
//! charged after it.
//!
//! # Invariant
//! - E1: an age is written before the counter that it belongs to is published, and never changes
//!   after that: a key that is inserted here has age 0, and all who move a key here write the same.

use super::error::OutOfMemory;
use super::tags::GROUP;
use super::zeroed::{Zeroable, Zeroed};
use crate::sync::{AtomicU16, Ordering::*, fence};
use crate::verify::mutants::{Breakage, broken};

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

/// The ages of all slots; nothing where no live key is ever evicted.
#[derive(Debug)]
pub(crate) struct Ages(Option<Zeroed<Group>>);

impl Ages {
    /// Ages for so many groups, if they are `kept`.
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

    /// Notes that the key of slot `index` was moved here from slot `from` of the array before.
    /// Called before the counter is published.
    pub(crate) fn carry_over(&self, index: usize, old: &Ages, from: usize) {
        let (Some(new), Some(old)) = (self.slot(index), old.slot(from)) else { return };
        // Relaxed: the old age was seen with the old array, whose move had ended. The new one is
        // published by the Release of `install`. Saturated, it is younger than it should be: then
        // less is given back.
        let age = old.load(Relaxed).saturating_add(1);
        new.store(age, Relaxed);
    }

    /// Whether the key of slot `index`, whose counter was seen open, was not inserted anew within
    /// the last `arrays` moves.
    pub(crate) fn has_lasted(&self, index: usize, arrays: u64) -> bool {
        let Some(age) = self.slot(index) else { return true };
        if !broken(Breakage::AgeUnfenced) {
            // Acquire: the age was written before the counter was published. Pairs with the Release
            // of `install`. Model: refund_after_move with AgeUnfenced.
            fence(Acquire);
        }
        // Relaxed: ordered behind the fence.
        u64::from(age.load(Relaxed)) >= arrays
    }

    /// Bytes of the ages of the first `groups` groups.
    pub(crate) fn bytes(&self, groups: usize) -> usize {
        if self.are_kept() { groups * size_of::<Group>() } else { 0 }
    }

    /// As [`Zeroed::shed`].
    #[cfg(not(all(test, tollgate_model)))]
    pub(crate) fn shed(&mut self, dense: usize) -> bool {
        self.0.as_mut().is_some_and(|ages| ages.shed(dense))
    }

    #[cfg(all(test, tollgate_model))]
    pub(crate) fn poison(&self) {
        self.0.iter().for_each(Zeroed::poison);
    }
}
