//! Errors of a table: no memory for an array, or no slot for a key.

pub(crate) use crate::sync::alloc::OutOfMemory;

/// The reason why a key has no counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimError {
    /// There are `max_keys` keys already, or there is no memory for more.
    Full,
    /// The array is past the end of its time range, and there is no memory for another.
    Outlived,
}
