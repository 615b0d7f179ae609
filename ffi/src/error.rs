//! Configuration errors in C.

use crate::argument::write_optional;
use crate::status::tollgate_status::{self, *};
use limiter::{ConfigError, UnknownPolicy};
use std::ffi::c_char;
use std::fmt::{self, Write};

/// The size of an error's message in bytes, with its NUL.
pub const TOLLGATE_MESSAGE_SIZE: usize = 248;

/// An error of `tollgate_new`, `tollgate_new_from_toml` or `tollgate_set_limit`: a status and a
/// message. If a field is not valid, the message names the policy, the field and the value, for example
/// `policies[1]: policy "day": period 0 must be ...`. Plain memory of the caller; nothing to free.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tollgate_error {
    /// The status that the function returns.
    pub status: tollgate_status,
    /// Reserved: 0.
    pub reserved: u32,
    /// ASCII text, truncated to fit and always NUL-terminated.
    pub message: [c_char; TOLLGATE_MESSAGE_SIZE],
}

impl tollgate_error {
    fn new(status: tollgate_status, message: impl fmt::Display) -> Self {
        let mut error = tollgate_error { status, reserved: 0, message: [0; TOLLGATE_MESSAGE_SIZE] };
        let mut text = AsciiText { length: 0, message: &mut error.message };
        // An error means that the text was truncated.
        let _ = write!(text, "{message}");
        error
    }
}

/// A writer of ASCII text that leaves room for a NUL.
struct AsciiText<'m> {
    length: usize,
    message: &'m mut [c_char; TOLLGATE_MESSAGE_SIZE],
}

impl Write for AsciiText<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if self.length + 1 >= TOLLGATE_MESSAGE_SIZE {
                return Err(fmt::Error);
            }
            let byte = match c {
                ' '..='~' => c as u8,
                // The unit of short windows: "999µs".
                'µ' => b'u',
                _ => b'?',
            };
            self.message[self.length] = byte as c_char;
            self.length += 1;
        }
        Ok(())
    }
}

impl From<UnknownPolicy> for tollgate_status {
    fn from(_: UnknownPolicy) -> Self {
        TOLLGATE_E_POLICY
    }
}

/// Fills the caller's error and returns the status.
///
/// # Safety
/// `out` is NULL or writable.
pub(crate) unsafe fn fill_error(
    out: *mut tollgate_error,
    status: tollgate_status,
    message: impl fmt::Display,
) -> tollgate_status {
    // SAFETY: the caller's contract.
    match unsafe { write_optional(out, tollgate_error::new(status, message)) } {
        Ok(()) => status,
        Err(other) => other,
    }
}

/// The status of a configuration error.
pub(crate) fn status_of(error: &ConfigError) -> tollgate_status {
    match error {
        ConfigError::NoPolicy | ConfigError::TooManyPolicies { .. } => TOLLGATE_E_POLICIES,
        ConfigError::Name { .. } => TOLLGATE_E_NAME,
        ConfigError::DuplicateName { .. } => TOLLGATE_E_DUPLICATE_NAME,
        ConfigError::Limit { .. } => TOLLGATE_E_LIMIT,
        ConfigError::MaxLimit { .. } | ConfigError::LimitAboveMax { .. } => TOLLGATE_E_MAX_LIMIT,
        ConfigError::Window { .. } => TOLLGATE_E_WINDOW,
        ConfigError::Buckets { .. } => TOLLGATE_E_BUCKETS,
        ConfigError::Offset { .. } => TOLLGATE_E_OFFSET,
        ConfigError::MaxKeys { .. } => TOLLGATE_E_MAX_KEYS,
        ConfigError::MaxBytes { .. } => TOLLGATE_E_MAX_BYTES,
        ConfigError::UnknownPolicy { .. } => TOLLGATE_E_POLICY,
        ConfigError::Allowance { .. } => TOLLGATE_E_ALLOWANCE,
        ConfigError::OutOfMemory { .. } => TOLLGATE_E_NO_MEMORY,
        _ => TOLLGATE_E_CONFIG,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    #[test]
    fn a_long_message_is_truncated_and_terminated() {
        let long = "é".repeat(400);
        let error = tollgate_error::new(TOLLGATE_E_NAME, &long);
        // SAFETY: NUL-terminated within the array.
        let text = unsafe { CStr::from_ptr(error.message.as_ptr()) };
        assert_eq!(text.to_bytes(), "?".repeat(TOLLGATE_MESSAGE_SIZE - 1).as_bytes());
    }

    #[test]
    fn a_non_ascii_character_becomes_one_ascii_character() {
        let error = tollgate_error::new(TOLLGATE_E_WINDOW, "é: 999.5µs");
        // SAFETY: NUL-terminated within the array.
        let text = unsafe { CStr::from_ptr(error.message.as_ptr()) };
        assert_eq!(text, c"?: 999.5us");
    }
}
