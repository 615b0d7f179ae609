//! The memory of an array: zeroed slots on cache-line boundaries.

use super::slot::Slot;
use crate::counter::Counter;

/// No array could be allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfMemory;

#[cfg(not(all(test, tollgate_model)))]
mod zeroed {
    use super::*;
    use std::alloc::{Layout, alloc_zeroed, dealloc};
    use std::ptr::NonNull;

    const LINE: usize = 64;
    /// Up to this alignment `alloc_zeroed` hands out pages that the system clears when they are
    /// first touched; beyond, it clears by hand. So the line boundary is found inside the block.
    const BLOCK_ALIGN: usize = 16;

    /// A fixed number of slots, zero when made.
    #[derive(Debug)]
    pub(crate) struct Slots<C> {
        first: NonNull<Slot<C>>,
        len: usize,
        block: NonNull<u8>,
        layout: Layout,
    }

    // SAFETY: the slots are reached by shared reference only, and `Slot` is Sync.
    unsafe impl<C: Counter> Send for Slots<C> {}
    // SAFETY: as above.
    unsafe impl<C: Counter> Sync for Slots<C> {}

    impl<C: Counter> Slots<C> {
        pub(crate) fn new(len: usize) -> Result<Self, OutOfMemory> {
            const { assert!(align_of::<Slot<C>>() <= LINE && align_of::<Slot<C>>() >= 8) };
            let bytes = len.checked_mul(size_of::<Slot<C>>()).and_then(|b| b.checked_add(LINE));
            let layout = bytes.and_then(|b| Layout::from_size_align(b, BLOCK_ALIGN).ok());
            let layout = layout.ok_or(OutOfMemory)?;
            // SAFETY: the layout is at least one line long, so not empty.
            let block = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(OutOfMemory)?;
            let offset = block.as_ptr().align_offset(LINE);
            // SAFETY: the block is one line longer than the slots, and `offset` is less than a line.
            let first = unsafe { block.add(offset) }.cast();
            Ok(Slots { first, len, block, layout })
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

    impl<C> Drop for Slots<C> {
        fn drop(&mut self) {
            // SAFETY: allocated in `new` with this layout; slots need no drop.
            unsafe { dealloc(self.block.as_ptr(), self.layout) };
        }
    }
}

#[cfg(not(all(test, tollgate_model)))]
pub(crate) use zeroed::Slots;

#[cfg(all(test, tollgate_model))]
pub(crate) type Slots<C> = ModelSlots<C>;

/// Loom's atomics cannot be made by zeroing memory.
#[cfg(all(test, tollgate_model))]
#[derive(Debug)]
pub(crate) struct ModelSlots<C>(Box<[Slot<C>]>);

#[cfg(all(test, tollgate_model))]
impl<C: Counter> ModelSlots<C> {
    pub(crate) fn new(len: usize) -> Result<Self, OutOfMemory> {
        Ok(ModelSlots((0..len).map(|_| Slot::zeroed()).collect()))
    }
}

#[cfg(all(test, tollgate_model))]
impl<C> std::ops::Deref for ModelSlots<C> {
    type Target = [Slot<C>];

    fn deref(&self) -> &[Slot<C>] {
        &self.0
    }
}
