//! A limiter from a policy file in TOML.

use crate::argument::{aligned, slice, write_optional};
use crate::config::{builder_with, tollgate_options};
use crate::error::{fill_error, tollgate_error};
use crate::failure::{Failure, Reason};
use crate::guard::guard;
use crate::handle;
use crate::limiter::{LimiterHandle, tollgate_limiter};
use crate::status::tollgate_status::{self, *};
use std::ffi::{CString, c_char};
use std::ptr;
use tollgate_policy_file::PolicyFile;

/// Creates a limiter with the policies of a policy file: `length` bytes of TOML in UTF-8, at most 1 MiB.
/// The format is described in docs/policy-file.md.
///
/// The whole text is checked before the limiter is made. `tollgate_policy_find` finds a policy by its
/// name, and `tollgate_policy_at` uses the order of the file. `options` may be NULL. A setting above
/// the policies of the file has precedence over that of the options. `*limiter` is NULL unless the status
/// is `TOLLGATE_OK`. Free the limiter with `tollgate_free`. If the call fails, `*error` is filled; `error`
/// may be NULL. The message names the line and column of the text, the policy, the field and the value.
///
/// The text is not kept, and need not be NUL-terminated. To parse it takes up to about 100 times its
/// length of memory for that time. The process aborts if there is no such memory.
///
/// Errors: `TOLLGATE_E_POLICY_FILE` for the text, `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE` (the clock),
/// `TOLLGATE_E_ARGUMENT` (an unknown overflow mode or `struct_size`), `TOLLGATE_E_NO_MEMORY`; the
/// statuses from `TOLLGATE_E_MAX_KEYS` to `TOLLGATE_E_MAX_BYTES` if the options do not fit the policies.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_new_from_toml(
    options: *const tollgate_options,
    text: *const c_char,
    length: usize,
    limiter: *mut *mut tollgate_limiter,
    error: *mut tollgate_error,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's contract, here and below.
        let fail = |why: Failure<'_>| unsafe { fill_error(error, why.status(), why) };
        aligned(limiter).map_err(|status| fail(Reason::Pointer("limiter", status).in_call()))?;
        // SAFETY: as above.
        unsafe { write_optional(limiter, ptr::null_mut()) }?;
        // SAFETY: as above.
        let built = unsafe { build(options, text, length) }.map_err(fail)?;
        let handle =
            handle::make(built).map_err(|status| fail(Reason::Status(status).in_call()))?;
        // SAFETY: as above.
        unsafe { write_optional(limiter, handle) }?;
        Ok(TOLLGATE_OK)
    })
}

/// Builds a limiter from the text.
///
/// # Safety
/// As [`tollgate_new_from_toml`].
unsafe fn build(
    options: *const tollgate_options,
    text: *const c_char,
    length: usize,
) -> Result<LimiterHandle, Failure<'static>> {
    // Also with a length of 0: an empty text has no policies.
    aligned(text).map_err(|status| Reason::Pointer("text", status).in_call())?;
    // SAFETY: the caller's contract.
    let text = unsafe { slice(text.cast::<u8>(), length) }
        .map_err(|status| Reason::Status(status).in_call())?;
    // SAFETY: the caller's contract.
    let builder = unsafe { builder_with(options) }?;
    let file = PolicyFile::from_bytes(text).map_err(|error| Reason::PolicyFile(error).in_call())?;
    let built = file.add_to(builder).build();
    let limiter = built.map_err(|error| Reason::Config(error).in_call())?;
    // The limiter has checked that its names are printable ASCII.
    let names = limiter.policies().map(|policy| CString::new(policy.name()));
    let names = names.collect::<Result<_, _>>();
    let names = names.map_err(|_| Reason::Status(TOLLGATE_E_NAME).in_call())?;
    Ok(LimiterHandle { limiter, names })
}
