//! The policies of a limiter, by name or by index, and their limits.

use crate::argument::{aligned, aligned_optional, text, write_optional};
use crate::error::{fill_error, status_of, tollgate_error};
use crate::failure::Reason;
use crate::guard::guard;
use crate::handle;
use crate::limiter::tollgate_limiter;
use crate::status::tollgate_status::{self, *};
use limiter::{ConfigError, PolicyId};
use std::ffi::c_char;
use std::fmt::Display;

/// Finds a policy by name. `*policy` is valid for this limiter only. Any thread. Errors:
/// `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_POLICY` if no policy has this name: `*policy`
/// is then 0, which is never a policy.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_policy_find(
    limiter: *const tollgate_limiter,
    name: *const c_char,
    policy: *mut u64,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's contract.
        let handle = unsafe { handle::value(limiter) }?;
        aligned(policy)?;
        // SAFETY: as above.
        unsafe { write_optional(policy, 0) }?;
        // SAFETY: as above.
        let name = unsafe { text(name) }.ok_or(TOLLGATE_E_NULL)?;
        let found = name.to_str().ok().and_then(|name| handle.limiter.policy(name));
        // SAFETY: as above.
        unsafe { write_optional(policy, found.ok_or(TOLLGATE_E_POLICY)?.to_bits()) }?;
        Ok(TOLLGATE_OK)
    })
}

/// Returns the policy with this index. The indices begin at 0, in the order of `tollgate_new`.
/// `policy` and `name` may be NULL. The name is valid until the limiter is freed. Any thread. Errors:
/// `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_POLICY` after the last index. After an error,
/// neither is written.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_policy_at(
    limiter: *const tollgate_limiter,
    index: usize,
    policy: *mut u64,
    name: *mut *const c_char,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's contract.
        let handle = unsafe { handle::value(limiter) }?;
        aligned_optional(policy)?;
        aligned_optional(name)?;
        let found = handle.names.get(index).ok_or(TOLLGATE_E_POLICY)?;
        let id = found.to_str().ok().and_then(|name| handle.limiter.policy(name));
        // SAFETY: as above.
        unsafe { write_optional(policy, id.ok_or(TOLLGATE_E_POLICY)?.to_bits()) }?;
        // SAFETY: as above.
        unsafe { write_optional(name, found.as_ptr()) }?;
        Ok(TOLLGATE_OK)
    })
}

/// Returns the current limit of a policy. Any thread. Errors: `TOLLGATE_E_NULL`,
/// `TOLLGATE_E_HANDLE`, `TOLLGATE_E_POLICY`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_get_limit(
    limiter: *const tollgate_limiter,
    policy: u64,
    limit: *mut u64,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's contract.
        let handle = unsafe { handle::value(limiter) }?;
        aligned(limit)?;
        let found = handle.limiter.limit(PolicyId::from_bits(policy))?;
        // SAFETY: as above.
        unsafe { write_optional(limit, found) }?;
        Ok(TOLLGATE_OK)
    })
}

/// Returns the most keys that a policy's table can have, and the most bytes that the policy takes: see
/// `tollgate_memory_bound`. They follow from `max_keys` and `max_bytes` of the policy and of the options.
/// `max_keys` and `max_bytes` may be NULL. Any thread. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`,
/// `TOLLGATE_E_POLICY`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_get_bounds(
    limiter: *const tollgate_limiter,
    policy: u64,
    max_keys: *mut u64,
    max_bytes: *mut u64,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's contract.
        let handle = unsafe { handle::value(limiter) }?;
        let policy = PolicyId::from_bits(policy);
        let (keys, bytes) =
            (handle.limiter.max_keys(policy)?, handle.limiter.memory_bound(policy)?);
        // SAFETY: as above.
        unsafe { write_optional(max_keys, keys as u64) }?;
        // SAFETY: as above.
        unsafe { write_optional(max_bytes, bytes as u64) }?;
        Ok(TOLLGATE_OK)
    })
}

/// Changes the limit of a policy for later requests. Usage stays as it is. A limit of 0 refuses every
/// cost above 0, with `TOLLGATE_IMPOSSIBLE`. Any thread. If the call fails, `*error` is filled; `error`
/// may be NULL. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_POLICY`,
/// `TOLLGATE_E_MAX_LIMIT` above the policy's `max_limit`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_set_limit(
    limiter: *const tollgate_limiter,
    policy: u64,
    limit: u64,
    error: *mut tollgate_error,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's contract, here and below.
        let fail = |status, why: &dyn Display| unsafe { fill_error(error, status, why) };
        // SAFETY: as above.
        let handle = unsafe { handle::value(limiter) }.map_err(|status| match status {
            TOLLGATE_E_NULL => fail(status, &Reason::Pointer("limiter", status)),
            _ => fail(status, &"limiter is not a live limiter"),
        })?;
        match handle.limiter.set_limit(PolicyId::from_bits(policy), limit) {
            Ok(()) => Ok(TOLLGATE_OK),
            Err(ConfigError::UnknownPolicy { .. }) => {
                let why = format_args!("policy {policy} is not a policy of this limiter");
                Err(fail(TOLLGATE_E_POLICY, &why))
            }
            Err(why) => Err(fail(status_of(&why), &why)),
        }
    })
}

/// Returns the resolution with which a policy records time, in nanoseconds: a power of two. Any
/// thread. Errors: as `tollgate_get_limit`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_resolution(
    limiter: *const tollgate_limiter,
    policy: u64,
    resolution_ns: *mut u64,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's contract.
        let handle = unsafe { handle::value(limiter) }?;
        aligned(resolution_ns)?;
        let found = handle.limiter.resolution(PolicyId::from_bits(policy));
        let ns = found?.as_nanos();
        // SAFETY: as above.
        unsafe { write_optional(resolution_ns, u64::try_from(ns).unwrap_or(u64::MAX)) }?;
        Ok(TOLLGATE_OK)
    })
}
