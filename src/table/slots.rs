//! The slots of an array in zeroed memory.

use super::error::OutOfMemory;
use super::slot::Slot;
use crate::counter::Counter;
#[cfg(all(test, tollgate_model))]
use crate::sync::{Ordering::Relaxed, Statistic};

#[cfg(not(all(test, tollgate_model)))]
mod zeroed {
    use super::super::memory::{LINE, Memory};
    use super::*;
    use std::ptr::NonNull;

    /// A fixed number of slots, zero when made.
    #[derive(Debug)]
    pub(crate) struct Slots<C> {
        first: NonNull<Slot<C>>,
        len: usize,
        memory: Memory,
    }

    // SAFETY: the slots are reached by shared reference only, and `Slot` is Sync.
    unsafe impl<C: Counter> Send for Slots<C> {}
    // SAFETY: as above.
    unsafe impl<C: Counter> Sync for Slots<C> {}

    impl<C: Counter> Slots<C> {
        pub(crate) fn new(len: usize) -> Result<Self, OutOfMemory> {
            const { assert!(align_of::<Slot<C>>() <= LINE && align_of::<Slot<C>>() >= 8) };
            let bytes = len.checked_mul(size_of::<Slot<C>>()).ok_or(OutOfMemory)?;
            let memory = Memory::zeroed(bytes)?;
            Ok(Slots { first: memory.start().cast(), len, memory })
        }

        /// The first `dense` slots are here to stay.
        pub(crate) fn settle(&self, dense: usize) {
            self.memory.settle(dense.saturating_mul(size_of::<Slot<C>>()));
        }

        /// Gives a piece of the memory back, of which the first `dense` slots were in use, and
        /// returns whether any is left. No slot is left at once.
        pub(crate) fn shed(&mut self, dense: usize) -> bool {
            self.len = 0;
            self.memory.shed(dense.saturating_mul(size_of::<Slot<C>>()))
        }
    }

    impl<C> std::ops::Deref for Slots<C> {
        type Target = [Slot<C>];

        #[inline(always)]
        fn deref(&self) -> &[Slot<C>] {
            // SAFETY: `len` slots lie from `first` on, zeroed, which is a valid slot: an id and a
            // counter made of 64-bit atomics.
            unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.len) }
        }
    }
}

#[cfg(not(all(test, tollgate_model)))]
pub(crate) use zeroed::Slots;

#[cfg(all(test, tollgate_model))]
pub(crate) type Slots<C> = ModelSlots<C>;

/// A checker's atomics cannot be made by zeroing memory.
#[cfg(all(test, tollgate_model))]
#[derive(Debug)]
pub(crate) struct ModelSlots<C> {
    slots: Box<[Slot<C>]>,
    freed: Statistic,
}

#[cfg(all(test, tollgate_model))]
impl<C: Counter> ModelSlots<C> {
    pub(crate) fn new(len: usize) -> Result<Self, OutOfMemory> {
        let slots = (0..len).map(|_| Slot::zeroed()).collect();
        Ok(ModelSlots { slots, freed: Statistic::new(0) })
    }

    pub(crate) fn settle(&self, _: usize) {}

    /// Every access from now on is one to freed memory.
    pub(crate) fn poison(&self) {
        self.freed.store(1, Relaxed);
    }
}

#[cfg(all(test, tollgate_model))]
impl<C> std::ops::Deref for ModelSlots<C> {
    type Target = [Slot<C>];

    fn deref(&self) -> &[Slot<C>] {
        if self.freed.load(Relaxed) > 0 {
            super::reclaim::read_after_free();
        }
        &self.slots
    }
}
