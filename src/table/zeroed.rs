//! A fixed number of values in zeroed memory.

use super::error::OutOfMemory;
#[cfg(all(test, tollgate_model))]
use crate::sync::{Ordering::Relaxed, Statistic};

/// A value that memory of zeros is.
///
/// # Safety
/// Zeros are a valid value, which is reached by shared reference only and may be by any thread.
pub(crate) unsafe trait Zeroable {
    #[cfg(all(test, tollgate_model))]
    fn zeroed() -> Self;
}

// SAFETY: of values that are.
unsafe impl<T: Zeroable, const N: usize> Zeroable for [T; N] {
    #[cfg(all(test, tollgate_model))]
    fn zeroed() -> Self {
        std::array::from_fn(|_| T::zeroed())
    }
}

#[cfg(not(all(test, tollgate_model)))]
mod mapped {
    use super::super::memory::{LINE, Memory};
    use super::*;
    use std::ptr::NonNull;

    /// A fixed number of values, zero when made.
    #[derive(Debug)]
    pub(crate) struct Zeroed<T> {
        first: NonNull<T>,
        len: usize,
        memory: Memory,
    }

    // SAFETY: `Zeroable`.
    unsafe impl<T: Zeroable> Send for Zeroed<T> {}
    // SAFETY: `Zeroable`.
    unsafe impl<T: Zeroable> Sync for Zeroed<T> {}

    impl<T: Zeroable> Zeroed<T> {
        pub(crate) fn new(len: usize) -> Result<Self, OutOfMemory> {
            const { assert!(align_of::<T>() <= LINE && align_of::<T>() >= 8) };
            let bytes = len.checked_mul(size_of::<T>()).ok_or(OutOfMemory)?;
            let memory = Memory::zeroed(bytes)?;
            Ok(Zeroed { first: memory.start().cast(), len, memory })
        }

        /// The first `dense` values are here to stay.
        pub(crate) fn advise_huge_pages(&self, dense: usize) {
            self.memory.advise_huge_pages(dense.saturating_mul(size_of::<T>()));
        }

        /// As [`Memory::huge_pages`], of the first `dense` values.
        pub(crate) fn huge_pages(&self, dense: usize) -> usize {
            self.memory.huge_pages(dense.saturating_mul(size_of::<T>()))
        }

        /// As [`Memory::collapse`].
        pub(crate) fn collapse(&self, page: usize) -> bool {
            self.memory.collapse(page)
        }

        /// Gives a piece of the memory back, of which the first `dense` values were in use, and
        /// returns whether any is left. No value is left at once.
        pub(crate) fn shed(&mut self, dense: usize) -> bool {
            self.len = 0;
            self.memory.shed(dense.saturating_mul(size_of::<T>()))
        }
    }

    impl<T: Zeroable> std::ops::Deref for Zeroed<T> {
        type Target = [T];

        #[inline(always)]
        fn deref(&self) -> &[T] {
            // SAFETY: `len` values lie from `first` on, zeroed, which is valid: `Zeroable`.
            unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.len) }
        }
    }
}

#[cfg(not(all(test, tollgate_model)))]
pub(crate) use mapped::Zeroed;

#[cfg(all(test, tollgate_model))]
pub(crate) type Zeroed<T> = Modelled<T>;

/// A checker's atomics cannot be made by zeroing memory.
#[cfg(all(test, tollgate_model))]
#[derive(Debug)]
pub(crate) struct Modelled<T> {
    values: Box<[T]>,
    freed: Statistic,
}

#[cfg(all(test, tollgate_model))]
impl<T: Zeroable> Modelled<T> {
    pub(crate) fn new(len: usize) -> Result<Self, OutOfMemory> {
        let values = (0..len).map(|_| T::zeroed()).collect();
        Ok(Modelled { values, freed: Statistic::new(0) })
    }

    pub(crate) fn advise_huge_pages(&self, _: usize) {}

    pub(crate) fn huge_pages(&self, _: usize) -> usize {
        0
    }

    pub(crate) fn collapse(&self, _: usize) -> bool {
        false
    }

    /// Every access from now on is one to freed memory.
    pub(crate) fn poison(&self) {
        self.freed.store(1, Relaxed);
    }
}

#[cfg(all(test, tollgate_model))]
impl<T> std::ops::Deref for Modelled<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        if self.freed.load(Relaxed) > 0 {
            super::epoch::read_after_free();
        }
        &self.values
    }
}
