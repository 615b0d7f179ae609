//! What an HTTP server sends, written into a buffer of the caller's.

use crate::argument::{fits, slice, text, write_optional};
use crate::config::tollgate_limiter;
use crate::decision::tollgate_policy_status;
use crate::guard::guard;
use crate::handle;
use crate::status::tollgate_status::{self, *};
use limiter::http::{QuotaExceeded, RateLimitDraft11, RateLimitPolicyDraft11, retry_after_seconds};
use limiter::{Limiter, MAX_CHARGES, PolicyId, PolicyStatus};
use std::ffi::c_char;
use std::fmt::{self, Display, Write};
use std::time::Duration;

/// The value of `Retry-After` for a wait: whole seconds, rounded up, at least 1. The wait of a denial
/// holds: who comes back after it has room, if nobody else has spent meanwhile.
#[unsafe(no_mangle)]
pub extern "C" fn tollgate_retry_after_seconds(retry_after_ns: u64) -> u64 {
    retry_after_seconds(Duration::from_nanos(retry_after_ns))
}

/// The value of `X-RateLimit-Reset` for a wait: whole seconds, rounded up.
#[unsafe(no_mangle)]
pub extern "C" fn tollgate_reset_seconds(reset_after_ns: u64) -> u64 {
    reset_after_ns.div_ceil(1_000_000_000)
}

/// Writes into a buffer and counts what would be needed.
struct Buffer {
    place: *mut c_char,
    size: usize,
    needed: usize,
}

impl Write for Buffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.size.saturating_sub(self.needed);
        if !self.place.is_null() {
            let fits = text.len().min(room);
            // SAFETY: within the buffer, which the caller has promised.
            unsafe {
                let place = self.place.add(self.needed.min(self.size)).cast::<u8>();
                place.copy_from_nonoverlapping(text.as_ptr(), fits);
            }
        }
        self.needed = self.needed.saturating_add(text.len());
        Ok(())
    }
}

/// Writes `value` and a NUL, or nothing but what is needed.
///
/// # Safety
/// `buffer` is NULL or can be written for `size` bytes, `length` is NULL or can be written.
unsafe fn write(
    value: impl Display,
    buffer: *mut c_char,
    size: usize,
    length: *mut usize,
) -> Result<tollgate_status, tollgate_status> {
    if !buffer.is_null() && size > 0 {
        fits(buffer, size)?;
    }
    let room = if buffer.is_null() { 0 } else { size };
    let mut text = Buffer { place: buffer, size: room, needed: 0 };
    // Cannot fail: what does not fit is counted.
    let _ = write!(text, "{value}");
    // SAFETY: the caller's promise.
    unsafe { write_optional(length, text.needed) }?;
    if text.needed < room {
        // SAFETY: within the buffer.
        unsafe { buffer.add(text.needed).write(0) };
        return Ok(TOLLGATE_OK);
    }
    if room > 0 {
        // SAFETY: within the buffer. Half a field is worse than none.
        unsafe { buffer.write(0) };
    }
    Err(TOLLGATE_E_BUFFER)
}

/// The layers on the stack, all of this limiter.
///
/// # Safety
/// The layers can be read.
unsafe fn layers_of(
    limiter: &Limiter,
    layers: *const tollgate_policy_status,
    count: usize,
) -> Result<([PolicyStatus; MAX_CHARGES], usize), tollgate_status> {
    if count > MAX_CHARGES {
        return Err(TOLLGATE_E_TOO_MANY);
    }
    let mut made = [PolicyStatus::default(); MAX_CHARGES];
    // SAFETY: the caller's promise.
    for (made, layer) in made.iter_mut().zip(unsafe { slice(layers, count) }?) {
        limiter.limit(PolicyId::from_bits(layer.policy))?;
        *made = layer.into();
    }
    Ok((made, count))
}

/// The value of `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11, section 3) for the
/// layers of a request, ended by a NUL. Send no field for no layers.
///
/// `*length`, without the NUL, is what is needed, also when the buffer is too small
/// (`TOLLGATE_E_BUFFER`, and the buffer holds an empty text); so a NULL buffer of size 0 asks for it.
/// Allocates nothing. Any thread. Other errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`,
/// `TOLLGATE_E_POLICY`, `TOLLGATE_E_TOO_MANY`.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_http_policy(
    limiter: *const tollgate_limiter,
    layers: *const tollgate_policy_status,
    count: usize,
    buffer: *mut c_char,
    size: usize,
    length: *mut usize,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's promise.
        let server = unsafe { handle::value(limiter) }?;
        // SAFETY: as above.
        let (layers, count) = unsafe { layers_of(&server.limiter, layers, count) }?;
        let items = server.limiter.http_items(&layers[..count]);
        // SAFETY: as above.
        unsafe { write(RateLimitPolicyDraft11(items), buffer, size, length) }
    })
}

/// The value of `RateLimit` (the same draft, section 4): how the policies stand now. As
/// `tollgate_http_policy`.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_http_limit(
    limiter: *const tollgate_limiter,
    layers: *const tollgate_policy_status,
    count: usize,
    buffer: *mut c_char,
    size: usize,
    length: *mut usize,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's promise.
        let server = unsafe { handle::value(limiter) }?;
        // SAFETY: as above.
        let (layers, count) = unsafe { layers_of(&server.limiter, layers, count) }?;
        let items = server.limiter.http_items(&layers[..count]);
        // SAFETY: as above.
        unsafe { write(RateLimitDraft11(items), buffer, size, length) }
    })
}

/// A problem body (RFC 9457, `application/problem+json`) for status 429 that names every policy
/// without room. `detail`, for people to read, is UTF-8 ended by a NUL, or NULL; what is not UTF-8 in
/// it is replaced. As `tollgate_http_policy`.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_http_problem(
    limiter: *const tollgate_limiter,
    layers: *const tollgate_policy_status,
    count: usize,
    detail: *const c_char,
    buffer: *mut c_char,
    size: usize,
    length: *mut usize,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's promise.
        let server = unsafe { handle::value(limiter) }?;
        // SAFETY: as above.
        let (layers, count) = unsafe { layers_of(&server.limiter, layers, count) }?;
        let problem = QuotaExceeded::new(server.limiter.http_items(&layers[..count]));
        // SAFETY: as above. Both ways of writing borrow what they write.
        unsafe {
            match text(detail).map(|detail| detail.to_string_lossy()) {
                Some(detail) => write(problem.detail(&detail), buffer, size, length),
                None => write(problem, buffer, size, length),
            }
        }
    })
}
