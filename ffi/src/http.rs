//! HTTP field values and bodies, written to the caller's buffer.

use crate::argument::{aligned_optional, fits, slice, text, write_optional};
use crate::decision::{TOLLGATE_NEVER, tollgate_policy_status};
use crate::guard::guard;
use crate::handle;
use crate::limiter::tollgate_limiter;
use crate::status::tollgate_status::{self, *};
use limiter::http::{QuotaExceeded, RateLimitDraft11, RateLimitPolicyDraft11, retry_after_seconds};
use limiter::{Limiter, MAX_CHARGES, PolicyId, PolicyStatus};
use std::ffi::c_char;
use std::fmt::{self, Display, Write};
use std::time::Duration;

/// Returns the value of `Retry-After` for a wait: whole seconds, rounded up, at least 1. After that
/// time a denied request has room, if no other requests were charged meanwhile.
///
/// For `TOLLGATE_NEVER`, it returns `TOLLGATE_NEVER`, which is not a value of the field: send no
/// `Retry-After`, because no wait is known to help.
#[unsafe(no_mangle)]
pub extern "C" fn tollgate_retry_after_seconds(retry_after_ns: u64) -> u64 {
    match retry_after_ns {
        TOLLGATE_NEVER => TOLLGATE_NEVER,
        wait_ns => retry_after_seconds(Duration::from_nanos(wait_ns)),
    }
}

/// Returns the value of `X-RateLimit-Reset` for a wait: whole seconds, rounded up.
#[unsafe(no_mangle)]
pub extern "C" fn tollgate_reset_seconds(reset_after_ns: u64) -> u64 {
    reset_after_ns.div_ceil(1_000_000_000)
}

/// A writer to a buffer that also counts the bytes that do not fit.
struct Buffer {
    ptr: *mut c_char,
    size: usize,
    needed: usize,
}

impl Write for Buffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.size.saturating_sub(self.needed);
        if !self.ptr.is_null() {
            let fits = text.len().min(room);
            // SAFETY: within the caller's buffer.
            unsafe {
                let end = self.ptr.add(self.needed.min(self.size)).cast::<u8>();
                end.copy_from_nonoverlapping(text.as_ptr(), fits);
            }
        }
        self.needed = self.needed.saturating_add(text.len());
        Ok(())
    }
}

/// Writes `value` and a NUL, and the length of `value` to `length`. If the buffer is too small,
/// writes an empty string in place of `value`.
///
/// # Safety
/// `buffer` is NULL or writable for `size` bytes. `length` is NULL or writable.
unsafe fn write(
    value: impl Display,
    buffer: *mut c_char,
    size: usize,
    length: *mut usize,
) -> Result<tollgate_status, tollgate_status> {
    aligned_optional(length)?;
    if !buffer.is_null() && size > 0 {
        fits(buffer, size)?;
    }
    let room = if buffer.is_null() { 0 } else { size };
    let mut text = Buffer { ptr: buffer, size: room, needed: 0 };
    // Cannot fail: a text that does not fit is counted.
    let _ = write!(text, "{value}");
    // SAFETY: the caller's contract.
    unsafe { write_optional(length, text.needed) }?;
    if text.needed < room {
        // SAFETY: within the buffer.
        unsafe { buffer.add(text.needed).write(0) };
        return Ok(TOLLGATE_OK);
    }
    if room > 0 {
        // SAFETY: within the buffer. An empty field is better than a truncated one.
        unsafe { buffer.write(0) };
    }
    Err(TOLLGATE_E_BUFFER)
}

/// Converts policy statuses to an array on the stack. Fails if a policy is not of this limiter, or if a
/// reserved field is not 0.
///
/// # Safety
/// The statuses are readable.
unsafe fn statuses_of(
    limiter: &Limiter,
    statuses: *const tollgate_policy_status,
    count: usize,
) -> Result<([PolicyStatus; MAX_CHARGES], usize), tollgate_status> {
    if count > MAX_CHARGES {
        return Err(TOLLGATE_E_TOO_MANY);
    }
    let mut converted = [PolicyStatus::default(); MAX_CHARGES];
    // SAFETY: the caller's contract.
    for (converted, status) in converted.iter_mut().zip(unsafe { slice(statuses, count) }?) {
        if status.reserved != 0 {
            return Err(TOLLGATE_E_ARGUMENT);
        }
        limiter.limit(PolicyId::from_bits(status.policy))?;
        *converted = status.into();
    }
    Ok((converted, count))
}

/// Writes the value of `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11, section 3) for
/// the policies of a request, NUL-terminated. If `count` is 0, send no such field.
///
/// `*length` is the length of the value without the NUL, also if the buffer is too small. In that
/// case the buffer holds an empty string and the status is `TOLLGATE_E_BUFFER`. Call with a NULL
/// buffer of size 0 to get the length alone. `length` may be NULL.
///
/// Allocates nothing. Any thread. Other errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`,
/// `TOLLGATE_E_ARGUMENT`, `TOLLGATE_E_POLICY`, `TOLLGATE_E_TOO_MANY` (more than 16 statuses).
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_http_policy(
    limiter: *const tollgate_limiter,
    statuses: *const tollgate_policy_status,
    count: usize,
    buffer: *mut c_char,
    size: usize,
    length: *mut usize,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's contract.
        let handle = unsafe { handle::value(limiter) }?;
        // SAFETY: as above.
        let (statuses, count) = unsafe { statuses_of(&handle.limiter, statuses, count) }?;
        let items = handle.limiter.http_items(&statuses[..count]);
        // SAFETY: as above.
        unsafe { write(RateLimitPolicyDraft11(items), buffer, size, length) }
    })
}

/// Writes the value of `RateLimit` (the same draft, section 4): for each policy the remaining units,
/// and a time in seconds. If the charge was denied and has room later, this is the time until then;
/// else it is the time until the whole limit is free. Buffer, length and errors: as for
/// `tollgate_http_policy`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_http_limit(
    limiter: *const tollgate_limiter,
    statuses: *const tollgate_policy_status,
    count: usize,
    buffer: *mut c_char,
    size: usize,
    length: *mut usize,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's contract.
        let handle = unsafe { handle::value(limiter) }?;
        // SAFETY: as above.
        let (statuses, count) = unsafe { statuses_of(&handle.limiter, statuses, count) }?;
        let items = handle.limiter.http_items(&statuses[..count]);
        // SAFETY: as above.
        unsafe { write(RateLimitDraft11(items), buffer, size, length) }
    })
}

/// Writes a problem body (RFC 9457, `application/problem+json`) for status 429, which names every
/// policy without room. `detail` is a NUL-terminated message for people, in UTF-8, or NULL. Bytes
/// that are not UTF-8 are replaced; only then does the call allocate. Buffer, length and errors: as
/// for `tollgate_http_policy`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_http_problem(
    limiter: *const tollgate_limiter,
    statuses: *const tollgate_policy_status,
    count: usize,
    detail: *const c_char,
    buffer: *mut c_char,
    size: usize,
    length: *mut usize,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's contract.
        let handle = unsafe { handle::value(limiter) }?;
        // SAFETY: as above.
        let (statuses, count) = unsafe { statuses_of(&handle.limiter, statuses, count) }?;
        let problem = QuotaExceeded::new(handle.limiter.http_items(&statuses[..count]));
        // SAFETY: as above.
        unsafe {
            match text(detail).map(|detail| detail.to_string_lossy()) {
                Some(detail) => write(problem.detail(&detail), buffer, size, length),
                None => write(problem, buffer, size, length),
            }
        }
    })
}
