//! Versions.

use std::ffi::{CStr, c_char};

/// The ABI version. It grows when programs must be rebuilt, and is the number in the SONAME.
pub const TOLLGATE_ABI_VERSION: u32 = 0;
/// The major version of this header.
pub const TOLLGATE_VERSION_MAJOR: u32 = 0;
/// The minor version of this header.
pub const TOLLGATE_VERSION_MINOR: u32 = 1;
/// The patch version of this header.
pub const TOLLGATE_VERSION_PATCH: u32 = 0;

const TEXT: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("a version has no NUL"),
    };

/// Returns the version of the library at run time, for example "0.1.0". The text is static.
#[unsafe(no_mangle)]
pub extern "C" fn tollgate_version() -> *const c_char {
    TEXT.as_ptr()
}

/// Returns the ABI version of the library at run time: compare it with `TOLLGATE_ABI_VERSION`.
#[unsafe(no_mangle)]
pub extern "C" fn tollgate_abi_version() -> u32 {
    TOLLGATE_ABI_VERSION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_match_the_package() {
        let numbers =
            format!("{TOLLGATE_VERSION_MAJOR}.{TOLLGATE_VERSION_MINOR}.{TOLLGATE_VERSION_PATCH}");
        assert_eq!(numbers, env!("CARGO_PKG_VERSION"));
        assert_eq!(TEXT.to_str(), Ok(numbers.as_str()));
    }
}
