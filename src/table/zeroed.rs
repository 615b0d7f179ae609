//! A fixed-size array of values in zeroed memory.

use super::error::OutOfMemory;
#[cfg(all(test, tollgate_model))]
use crate::sync::{Ordering::Relaxed, Statistic};

/// A type for which zeroed memory is a valid value.
///
/// # Safety
/// All zeros must be a valid value. Shared references to it must be safe to use from any thread:
/// [`Zeroed`] gives no other access.
pub(crate) unsafe trait Zeroable {
    #[cfg(all(test, tollgate_model))]
    fn zeroed() -> Self;
}

// SAFETY: an array of values for which zeros are valid.
unsafe impl<T: Zeroable, const N: usize> Zeroable for [T; N] {
    #[cfg(all(test, tollgate_model))]
    fn zeroed() -> Self {
        std::array::from_fn(|_| T::zeroed())
    }
}

#[cfg(not(all(test, tollgate_model)))]
mod mapped {
    use super::super::memory::Memory;
    use super::super::prefetch::CACHE_LINE;
    use super::*;
    use std::ptr::NonNull;

    /// A fixed number of values, zeroed at first.
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
            const { assert!(align_of::<T>() <= CACHE_LINE && align_of::<T>() >= 8) };
            let bytes = len.checked_mul(size_of::<T>()).ok_or(OutOfMemory)?;
            let memory = Memory::zeroed(bytes)?;
            Ok(Zeroed { first: memory.start().cast(), len, memory })
        }

        /// See [`Memory::advise_huge_pages`]; counts the first `in_use` values.
        pub(crate) fn advise_huge_pages(&self, in_use: usize) {
            self.memory.advise_huge_pages(in_use.saturating_mul(size_of::<T>()));
        }

        /// See [`Memory::huge_pages`]; counts the first `in_use` values.
        pub(crate) fn huge_pages(&self, in_use: usize) -> usize {
            self.memory.huge_pages(in_use.saturating_mul(size_of::<T>()))
        }

        /// See [`Memory::collapse`].
        pub(crate) fn collapse(&self, page: usize) -> bool {
            self.memory.collapse(page)
        }

        /// Frees a piece of the memory, of which the first `in_use` values were in use. Returns
        /// whether any is left. From the first call on there are no values.
        pub(crate) fn free_piece(&mut self, in_use: usize) -> bool {
            self.len = 0;
            self.memory.free_piece(in_use.saturating_mul(size_of::<T>()))
        }
    }

    impl<T: Zeroable> std::ops::Deref for Zeroed<T> {
        type Target = [T];

        #[inline(always)]
        fn deref(&self) -> &[T] {
            // SAFETY: there are `len` values from `first` on. They were zeroed, which is valid:
            // `Zeroable`.
            unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.len) }
        }
    }
}

#[cfg(not(all(test, tollgate_model)))]
pub(crate) use mapped::Zeroed;

#[cfg(all(test, tollgate_model))]
pub(crate) type Zeroed<T> = Modelled<T>;

/// [`Zeroed`] for models: a checker's atomics cannot be created by zeroing memory.
#[cfg(all(test, tollgate_model))]
#[derive(Debug)]
pub(crate) struct Modelled<T> {
    values: Box<[T]>,
    freed: Statistic,
    /// Written when the memory is freed, and read at each access: loom reports those that are not ordered.
    #[cfg(not(tollgate_shuttle))]
    memory: loom::cell::UnsafeCell<()>,
}

// SAFETY: loom reports every access to `memory` that races.
#[cfg(all(test, tollgate_model, not(tollgate_shuttle)))]
unsafe impl<T: Zeroable> Send for Modelled<T> {}
// SAFETY: as above.
#[cfg(all(test, tollgate_model, not(tollgate_shuttle)))]
unsafe impl<T: Zeroable> Sync for Modelled<T> {}

#[cfg(all(test, tollgate_model))]
impl<T: Zeroable> Modelled<T> {
    pub(crate) fn new(len: usize) -> Result<Self, OutOfMemory> {
        let values = (0..len).map(|_| T::zeroed()).collect();
        Ok(Modelled {
            values,
            freed: Statistic::new(0),
            #[cfg(not(tollgate_shuttle))]
            memory: loom::cell::UnsafeCell::new(()),
        })
    }

    pub(crate) fn advise_huge_pages(&self, _: usize) {}

    pub(crate) fn huge_pages(&self, _: usize) -> usize {
        0
    }

    pub(crate) fn collapse(&self, _: usize) -> bool {
        false
    }

    /// Marks the memory as freed, and reports every later access. Returns false: nothing is left.
    pub(crate) fn free_piece(&mut self, _: usize) -> bool {
        self.freed.store(1, Relaxed);
        #[cfg(not(tollgate_shuttle))]
        self.memory.with_mut(|_| ());
        false
    }
}

#[cfg(all(test, tollgate_model))]
impl<T> std::ops::Deref for Modelled<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        if self.freed.load(Relaxed) > 0 {
            crate::reclaim::read_after_free();
        }
        #[cfg(not(tollgate_shuttle))]
        self.memory.with(|_| ());
        &self.values
    }
}
