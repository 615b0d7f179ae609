//! Why a limiter could not be built or changed, in a struct of the caller's.

use crate::argument::write_optional;
use crate::status::tollgate_status::{self, *};
use limiter::{ConfigError, UnknownPolicy};
use std::ffi::c_char;
use std::fmt::{self, Write};

/// Bytes of an error's text, the NUL at its end included.
pub const TOLLGATE_MESSAGE_SIZE: usize = 248;

/// Why a limiter could not be built or changed: a number and a text that names the field and the
/// value. Plain data of the caller's; nothing is to be freed.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tollgate_error {
    /// The same as the function answers.
    pub status: tollgate_status,
    /// 0.
    pub reserved: u32,
    /// ASCII, cut to fit, and always ended by a NUL.
    pub message: [c_char; TOLLGATE_MESSAGE_SIZE],
}

impl tollgate_error {
    fn new(status: tollgate_status, message: impl fmt::Display) -> Self {
        let mut error = tollgate_error { status, reserved: 0, message: [0; TOLLGATE_MESSAGE_SIZE] };
        let mut text = Text { place: 0, message: &mut error.message };
        // Cut where it does not fit.
        let _ = write!(text, "{message}");
        error
    }
}

/// Writes ASCII as far as it fits before the last byte.
struct Text<'m> {
    place: usize,
    message: &'m mut [c_char; TOLLGATE_MESSAGE_SIZE],
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if self.place + 1 >= TOLLGATE_MESSAGE_SIZE {
                return Err(fmt::Error);
            }
            let byte = match c {
                ' '..='~' => c as u8,
                // In windows: "999µs".
                'µ' => b'u',
                _ => b'?',
            };
            self.message[self.place] = byte as c_char;
            self.place += 1;
        }
        Ok(())
    }
}

impl From<UnknownPolicy> for tollgate_status {
    fn from(_: UnknownPolicy) -> Self {
        TOLLGATE_E_POLICY
    }
}

/// Tells the caller why, and answers the status.
///
/// # Safety
/// `place` is NULL or can be written.
pub(crate) unsafe fn tell(
    place: *mut tollgate_error,
    status: tollgate_status,
    message: impl fmt::Display,
) -> tollgate_status {
    // SAFETY: the caller's promise.
    match unsafe { write_optional(place, tollgate_error::new(status, message)) } {
        Ok(()) => status,
        Err(other) => other,
    }
}

/// As [`tell`], in the status's own words.
///
/// # Safety
/// As [`tell`].
pub(crate) unsafe fn tell_status(
    place: *mut tollgate_error,
    status: tollgate_status,
) -> tollgate_status {
    // SAFETY: the caller's promise.
    unsafe { tell(place, status, status.text().to_string_lossy()) }
}

/// The number of a fault of the configuration.
pub(crate) fn status_of(error: &ConfigError) -> tollgate_status {
    match error {
        ConfigError::NoPolicy | ConfigError::TooManyPolicies { .. } => TOLLGATE_E_POLICIES,
        ConfigError::Name { .. } => TOLLGATE_E_NAME,
        ConfigError::DuplicateName { .. } => TOLLGATE_E_DUPLICATE_NAME,
        ConfigError::Limit { .. } => TOLLGATE_E_LIMIT,
        ConfigError::MaxLimit { .. } => TOLLGATE_E_MAX_LIMIT,
        ConfigError::Window { .. } => TOLLGATE_E_WINDOW,
        ConfigError::Buckets { .. } => TOLLGATE_E_BUCKETS,
        ConfigError::Offset { .. } => TOLLGATE_E_OFFSET,
        ConfigError::MaxKeys { .. } => TOLLGATE_E_MAX_KEYS,
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
    fn a_long_text_is_cut_and_ended() {
        let long = "é".repeat(400);
        let error = tollgate_error::new(TOLLGATE_E_NAME, &long);
        // SAFETY: ended within the array.
        let text = unsafe { CStr::from_ptr(error.message.as_ptr()) };
        assert_eq!(text.to_bytes(), "?".repeat(TOLLGATE_MESSAGE_SIZE - 1).as_bytes());
    }

    #[test]
    fn what_is_not_ascii_is_one_character_still() {
        let error = tollgate_error::new(TOLLGATE_E_WINDOW, "é: 999.5µs");
        // SAFETY: ended within the array.
        let text = unsafe { CStr::from_ptr(error.message.as_ptr()) };
        assert_eq!(text, c"?: 999.5us");
    }
}
