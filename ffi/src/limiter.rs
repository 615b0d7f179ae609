//! The limiter handle.

use crate::guard::guard;
use crate::handle::{self, Kind};
use crate::status::tollgate_status::{self, TOLLGATE_OK};
use limiter::Limiter;
use std::ffi::CString;

/// A limiter: decides which requests may proceed. Threads share it without locks.
#[derive(Debug)]
pub struct tollgate_limiter {
    _private: (),
}

/// The object that a [`tollgate_limiter`] handle points to.
#[derive(Debug)]
pub(crate) struct LimiterHandle {
    pub(crate) limiter: Limiter,
    /// The names of the policies as C strings.
    pub(crate) names: Vec<CString>,
}

impl Kind for tollgate_limiter {
    type Value = LimiterHandle;
    const MARK: u64 = u64::from_le_bytes(*b"tglimit1");
}

/// Frees a limiter. Does nothing for NULL. No other thread may be using the limiter, and no session
/// of it may be open. Errors: `TOLLGATE_E_HANDLE`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_free(limiter: *mut tollgate_limiter) -> tollgate_status {
    // SAFETY: the caller's contract.
    guard(|| unsafe { handle::free(limiter) }.map(|()| TOLLGATE_OK))
}
