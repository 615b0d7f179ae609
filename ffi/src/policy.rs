//! A limiter's policies: found by name or by place, and their limits.

use crate::argument::{aligned, text, write_optional};
use crate::config::tollgate_limiter;
use crate::error::{status_of, tell, tell_status, tollgate_error};
use crate::guard::guard;
use crate::handle;
use crate::status::tollgate_status::{self, *};
use limiter::PolicyId;
use std::ffi::c_char;

/// The policy of a name, as a number that other limiters do not know. Any thread. Errors:
/// `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_POLICY` if there is none; then `*policy` is
/// 0, which is no policy.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_policy_find(
    limiter: *const tollgate_limiter,
    name: *const c_char,
    policy: *mut u64,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's promise.
        let server = unsafe { handle::value(limiter) }?;
        aligned(policy)?;
        // SAFETY: as above.
        unsafe { write_optional(policy, 0) }?;
        // SAFETY: as above.
        let name = unsafe { text(name) }.ok_or(TOLLGATE_E_NULL)?;
        let found = name.to_str().ok().and_then(|name| server.limiter.policy(name));
        // SAFETY: as above.
        unsafe { write_optional(policy, found.ok_or(TOLLGATE_E_POLICY)?.to_bits()) }?;
        Ok(TOLLGATE_OK)
    })
}

/// The policy of a place in the order of `tollgate_new`, from 0. `policy` and `name` may be NULL;
/// the name lives as long as the limiter. Any thread. Errors: `TOLLGATE_E_NULL`,
/// `TOLLGATE_E_HANDLE`, `TOLLGATE_E_POLICY` beyond the last: so a loop ends.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_policy_at(
    limiter: *const tollgate_limiter,
    place: usize,
    policy: *mut u64,
    name: *mut *const c_char,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's promise.
        let server = unsafe { handle::value(limiter) }?;
        let found = server.names.get(place).ok_or(TOLLGATE_E_POLICY)?;
        let id = found.to_str().ok().and_then(|name| server.limiter.policy(name));
        // SAFETY: as above.
        unsafe { write_optional(policy, id.ok_or(TOLLGATE_E_POLICY)?.to_bits()) }?;
        // SAFETY: as above.
        unsafe { write_optional(name, found.as_ptr()) }?;
        Ok(TOLLGATE_OK)
    })
}

/// The limit that applies now to charges without one of their own. Any thread. Errors:
/// `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_POLICY`.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_get_limit(
    limiter: *const tollgate_limiter,
    policy: u64,
    limit: *mut u64,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's promise.
        let server = unsafe { handle::value(limiter) }?;
        aligned(limit)?;
        let found = server.limiter.limit(PolicyId::from_bits(policy))?;
        // SAFETY: as above.
        unsafe { write_optional(limit, found) }?;
        Ok(TOLLGATE_OK)
    })
}

/// Changes a policy's limit for all coming requests; what has been used stays used. Any thread.
/// `error` may be NULL. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_POLICY`,
/// `TOLLGATE_E_LIMIT` for 0, `TOLLGATE_E_MAX_LIMIT` above the policy's greatest.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_set_limit(
    limiter: *const tollgate_limiter,
    policy: u64,
    limit: u64,
    error: *mut tollgate_error,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's promise.
        let server =
            unsafe { handle::value(limiter).map_err(|status| tell_status(error, status)) }?;
        match server.limiter.set_limit(PolicyId::from_bits(policy), limit) {
            Ok(()) => Ok(TOLLGATE_OK),
            // SAFETY: as above.
            Err(why) => Err(unsafe { tell(error, status_of(&why), why) }),
        }
    })
}

/// To what fraction of a second a policy records time, in nanoseconds. Any thread. Errors: as
/// `tollgate_get_limit`.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_resolution(
    limiter: *const tollgate_limiter,
    policy: u64,
    resolution_ns: *mut u64,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's promise.
        let server = unsafe { handle::value(limiter) }?;
        aligned(resolution_ns)?;
        let found = server.limiter.resolution(PolicyId::from_bits(policy));
        let ns = found?.as_nanos();
        // SAFETY: as above.
        unsafe { write_optional(resolution_ns, u64::try_from(ns).unwrap_or(u64::MAX)) }?;
        Ok(TOLLGATE_OK)
    })
}
