//! The only file that names atomics: the standard ones or, in a model, those of the checker that
//! chooses the schedule: loom's, or shuttle's.

#[cfg(not(all(test, tollgate_model)))]
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};

#[cfg(all(test, tollgate_model, not(tollgate_shuttle)))]
pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};

#[cfg(all(test, tollgate_shuttle))]
pub(crate) use shuttle::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};

/// A number that no decision rests on, so that no checker needs to see it.
pub(crate) use std::sync::atomic::AtomicU64 as Statistic;
