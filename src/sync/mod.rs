//! Atomics: those of the standard library or, in model tests, those of loom or shuttle. Production
//! code imports them only from here, except the compiler fence in `reclaim/barrier.rs`.

pub(crate) mod alloc;
#[cfg(all(test, tollgate_shuttle))]
pub(crate) mod local;
pub(crate) mod order;
pub(crate) mod progress;
pub(crate) mod shard;

#[cfg(not(any(debug_assertions, all(test, tollgate_model))))]
pub(crate) use std::sync::atomic::AtomicU64;
#[cfg(not(all(test, tollgate_model)))]
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU16, AtomicUsize, Ordering, fence};

/// A cell that one thread at a time accesses. In loom models, every access by another thread that is
/// not ordered is an error.
#[cfg(not(all(test, tollgate_model, not(tollgate_shuttle))))]
pub(crate) use std::cell::Cell;

#[cfg(all(test, tollgate_model, not(tollgate_shuttle)))]
pub(crate) use loom::cell::Cell;

#[cfg(all(debug_assertions, not(all(test, tollgate_model))))]
pub(crate) use counted::AtomicU64;
#[cfg(all(debug_assertions, not(all(test, tollgate_model))))]
pub use counted::failed_exchanges;

#[cfg(all(test, tollgate_model, not(tollgate_shuttle)))]
pub(crate) use loom::sync::atomic::{
    AtomicPtr, AtomicU16, AtomicU64, AtomicUsize, Ordering, fence,
};

#[cfg(all(test, tollgate_shuttle))]
pub(crate) use shuttle::sync::atomic::{
    AtomicPtr, AtomicU16, AtomicU64, AtomicUsize, Ordering, fence,
};

/// A statistic. It is always a standard atomic: no decision depends on it, so models can skip it.
pub(crate) use std::sync::atomic::AtomicU64 as Statistic;

/// A count of failed CAS operations, so that a test can show that its threads were in contention.
/// Only builds with debug assertions have it.
#[cfg(all(debug_assertions, not(all(test, tollgate_model))))]
mod counted {
    use super::{Ordering, Ordering::Relaxed, Statistic};

    static FAILED: Statistic = Statistic::new(0);

    /// Returns how many CAS operations of this process found another value than they expected. They
    /// lost a race, or only loaded the id of a claimed slot (`Array::find_to_claim`).
    pub fn failed_exchanges() -> u64 {
        FAILED.load(Relaxed)
    }

    /// The standard atomic, except that it counts a failed CAS.
    #[derive(Debug)]
    #[repr(transparent)]
    pub(crate) struct AtomicU64(std::sync::atomic::AtomicU64);

    impl AtomicU64 {
        pub(crate) const fn new(value: u64) -> Self {
            AtomicU64(std::sync::atomic::AtomicU64::new(value))
        }

        #[inline(always)]
        pub(crate) fn compare_exchange(
            &self,
            current: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            let exchanged = self.0.compare_exchange(current, new, success, failure);
            if exchanged.is_err() {
                // Relaxed: a statistic.
                FAILED.fetch_add(1, Relaxed);
            }
            exchanged
        }
    }

    impl std::ops::Deref for AtomicU64 {
        type Target = std::sync::atomic::AtomicU64;

        #[inline(always)]
        fn deref(&self) -> &Self::Target {
            &self.0
        }
    }
}
