//! Which version this is.

use std::ffi::{CStr, c_char};

/// Grows when programs must be built anew. The same as the number in the shared library's name.
pub const TOLLGATE_ABI_VERSION: u32 = 0;
/// The version of this header: major.
pub const TOLLGATE_VERSION_MAJOR: u32 = 0;
/// The version of this header: minor.
pub const TOLLGATE_VERSION_MINOR: u32 = 1;
/// The version of this header: patch.
pub const TOLLGATE_VERSION_PATCH: u32 = 0;

const TEXT: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("a version has no NUL"),
    };

/// The version of the library that runs: "0.1.0". Static.
#[unsafe(no_mangle)]
pub extern "C" fn tollgate_version() -> *const c_char {
    TEXT.as_ptr()
}

/// `TOLLGATE_ABI_VERSION` of the library that runs.
#[unsafe(no_mangle)]
pub extern "C" fn tollgate_abi_version() -> u32 {
    TOLLGATE_ABI_VERSION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_the_package_s() {
        let numbers =
            format!("{TOLLGATE_VERSION_MAJOR}.{TOLLGATE_VERSION_MINOR}.{TOLLGATE_VERSION_PATCH}");
        assert_eq!(numbers, env!("CARGO_PKG_VERSION"));
        assert_eq!(TEXT.to_str(), Ok(numbers.as_str()));
    }
}
