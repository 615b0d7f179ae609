//! Checks of the caller's arguments: NULL, alignment, lengths and struct sizes.
//!
//! What cannot be checked is the caller's contract, which is the same for every function: a pointer
//! that is not NULL points to memory that is readable for its type and length, and writable where the
//! function writes, until the call returns.

use crate::status::tollgate_status::{self, *};
use std::ffi::{CStr, c_char};
use std::ptr;

/// Reads through a pointer that must not be NULL.
///
/// # Safety
/// The contract above.
#[inline(always)]
pub(crate) unsafe fn read<T: Copy>(ptr: *const T) -> Result<T, tollgate_status> {
    aligned(ptr)?;
    // SAFETY: the caller's contract; aligned.
    Ok(unsafe { *ptr })
}

/// Reads through a pointer; `None` for NULL.
///
/// # Safety
/// The contract above.
#[inline(always)]
pub(crate) unsafe fn read_optional<T: Copy>(ptr: *const T) -> Result<Option<T>, tollgate_status> {
    if ptr.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's contract.
    unsafe { read(ptr) }.map(Some)
}

/// Writes to an out pointer unless it is NULL.
///
/// # Safety
/// The contract above.
#[inline(always)]
pub(crate) unsafe fn write_optional<T>(out: *mut T, value: T) -> Result<(), tollgate_status> {
    if out.is_null() {
        return Ok(());
    }
    aligned(out)?;
    // SAFETY: the caller's contract; aligned. The old value may be uninitialised.
    unsafe { out.write(value) };
    Ok(())
}

/// Checks that a pointer is not NULL and is aligned.
#[inline(always)]
pub(crate) fn aligned<T>(ptr: *const T) -> Result<(), tollgate_status> {
    match ptr {
        _ if ptr.is_null() => Err(TOLLGATE_E_NULL),
        _ if !ptr.is_aligned() => Err(TOLLGATE_E_ARGUMENT),
        _ => Ok(()),
    }
}

/// A slice of `len` values. With a length of 0, `first` may be NULL.
///
/// # Safety
/// The contract above.
#[inline(always)]
pub(crate) unsafe fn slice<'a, T>(first: *const T, len: usize) -> Result<&'a [T], tollgate_status> {
    if len == 0 {
        return Ok(&[]);
    }
    fits(first, len)?;
    // SAFETY: the caller's contract; aligned, and at most as long as an object can be.
    Ok(unsafe { std::slice::from_raw_parts(first, len) })
}

/// Checks that an array of `len` values can be at `first`.
#[inline(always)]
pub(crate) fn fits<T>(first: *const T, len: usize) -> Result<(), tollgate_status> {
    aligned(first)?;
    match len.checked_mul(size_of::<T>()) {
        Some(bytes) if bytes <= isize::MAX as usize => Ok(()),
        _ => Err(TOLLGATE_E_ARGUMENT),
    }
}

/// Checks that an optional output is NULL or aligned.
#[inline(always)]
pub(crate) fn aligned_optional<T>(ptr: *const T) -> Result<(), tollgate_status> {
    if ptr.is_null() { Ok(()) } else { aligned(ptr) }
}

/// A NUL-terminated string; `None` for NULL.
///
/// # Safety
/// The contract above.
pub(crate) unsafe fn text<'a>(first: *const c_char) -> Option<&'a CStr> {
    // SAFETY: the caller's contract.
    (!first.is_null()).then(|| unsafe { CStr::from_ptr(first) })
}

/// An invalid `struct_size`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SizeError {
    /// The struct of no version has this size.
    Size { value: u32, known: usize },
    /// The struct is of a newer version, and uses fields that this library lacks.
    Rest { value: u32, known: usize },
}

/// Reads a struct whose first field is its size. The caller's version may be older or newer: fields
/// that it lacks are 0, and fields that this library lacks must be 0.
///
/// # Safety
/// The contract above, for as many bytes as the struct's first field says. The pointer is aligned and
/// not NULL. A `T` may have all its bytes 0.
pub(crate) unsafe fn read_sized<T: Copy>(ptr: *const T) -> Result<T, SizeError> {
    let known = size_of::<T>();
    // SAFETY: the size is the first field of every version.
    let value = unsafe { *ptr.cast::<u32>() };
    let size = value as usize;
    // The size of a struct is a multiple of its alignment. Hence no size ends within a pointer.
    if size == 0 || !size.is_multiple_of(align_of::<T>()) || size > 4_096 {
        return Err(SizeError::Size { value, known });
    }
    let excess = size.saturating_sub(known);
    // SAFETY: within the size that the caller has stated.
    let rest = unsafe { std::slice::from_raw_parts(ptr.cast::<u8>().add(size - excess), excess) };
    if rest.iter().any(|byte| *byte != 0) {
        return Err(SizeError::Rest { value, known });
    }
    // SAFETY: zero bytes are a valid `T`, by the caller's contract.
    let mut filled: T = unsafe { std::mem::zeroed() };
    let common = size.min(known);
    // SAFETY: `common` bytes are readable at `ptr` and writable in `filled`.
    unsafe { ptr::copy_nonoverlapping(ptr.cast::<u8>(), (&raw mut filled).cast(), common) };
    Ok(filled)
}
