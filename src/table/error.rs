//! What can be wanting: memory for an array, or a place for a key.

pub(crate) use crate::sync::alloc::OutOfMemory;

/// Why a key has no counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimError {
    /// A new key found `max_keys` keys, or no memory for more.
    Full,
    /// The array is past the end of its time, and there is no memory for another.
    Outlived,
}
