//! What a caller passes, checked as far as it can be: NULL, alignment, lengths, sizes of structs.
//!
//! What cannot be checked is the caller's promise, and the same for every function: a pointer that
//! is not NULL points to what its type and length say, readable, and writable where the function
//! writes, until the call returns.

use crate::status::tollgate_status::{self, *};
use std::ffi::{CStr, c_char};
use std::ptr;

/// What is behind a pointer that must not be NULL.
///
/// # Safety
/// The promise above.
#[inline(always)]
pub(crate) unsafe fn read<T: Copy>(place: *const T) -> Result<T, tollgate_status> {
    aligned(place)?;
    // SAFETY: the caller's promise, and aligned.
    Ok(unsafe { *place })
}

/// What is behind a pointer, or `None` for NULL.
///
/// # Safety
/// The promise above.
#[inline(always)]
pub(crate) unsafe fn read_optional<T: Copy>(place: *const T) -> Result<Option<T>, tollgate_status> {
    if place.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    unsafe { read(place) }.map(Some)
}

/// Writes to where the caller wants it, if the caller wants it.
///
/// # Safety
/// The promise above.
#[inline(always)]
pub(crate) unsafe fn write_optional<T>(place: *mut T, value: T) -> Result<(), tollgate_status> {
    if place.is_null() {
        return Ok(());
    }
    aligned(place)?;
    // SAFETY: the caller's promise, and aligned. What was there need not have been initialised.
    unsafe { place.write(value) };
    Ok(())
}

/// Whether something may be written there: not NULL, and aligned.
#[inline(always)]
pub(crate) fn aligned<T>(place: *const T) -> Result<(), tollgate_status> {
    match place {
        _ if place.is_null() => Err(TOLLGATE_E_NULL),
        _ if !place.is_aligned() => Err(TOLLGATE_E_ARGUMENT),
        _ => Ok(()),
    }
}

/// So many values; NULL is right for none.
///
/// # Safety
/// The promise above.
#[inline(always)]
pub(crate) unsafe fn slice<'a, T>(first: *const T, len: usize) -> Result<&'a [T], tollgate_status> {
    if len == 0 {
        return Ok(&[]);
    }
    fits(first, len)?;
    // SAFETY: the caller's promise; aligned, and no longer than an object can be.
    Ok(unsafe { std::slice::from_raw_parts(first, len) })
}

/// Whether so many values can lie there.
#[inline(always)]
pub(crate) fn fits<T>(first: *const T, len: usize) -> Result<(), tollgate_status> {
    aligned(first)?;
    match len.checked_mul(size_of::<T>()) {
        Some(bytes) if bytes <= isize::MAX as usize => Ok(()),
        _ => Err(TOLLGATE_E_ARGUMENT),
    }
}

/// Text that ends in NUL; `None` for NULL.
///
/// # Safety
/// The promise above.
pub(crate) unsafe fn text<'a>(first: *const c_char) -> Option<&'a CStr> {
    // SAFETY: the caller's promise.
    (!first.is_null()).then(|| unsafe { CStr::from_ptr(first) })
}

/// A struct that may have grown since the caller was compiled, or since this library was: what the
/// caller's does not have is 0, what this one does not know must be 0.
///
/// # Safety
/// The promise above, for as many bytes as the struct's own size, which is its first field, says;
/// and all-zero is a value of `T`.
pub(crate) unsafe fn read_sized<T: Copy>(place: *const T) -> Result<T, tollgate_status> {
    aligned(place)?;
    // SAFETY: the size comes first, in every version.
    let size = unsafe { *place.cast::<u32>() } as usize;
    if size < size_of::<u32>() || size > 4_096 {
        return Err(TOLLGATE_E_ARGUMENT);
    }
    let beyond = size.saturating_sub(size_of::<T>());
    // SAFETY: within the size that the caller has stated.
    let rest = unsafe { slice(place.cast::<u8>().add(size - beyond), beyond) }?;
    if rest.iter().any(|byte| *byte != 0) {
        return Err(TOLLGATE_E_ARGUMENT);
    }
    // SAFETY: all-zero is a value, by the caller's promise.
    let mut value: T = unsafe { std::mem::zeroed() };
    let known = size.min(size_of::<T>());
    // SAFETY: `known` bytes can be read there and written here.
    unsafe { ptr::copy_nonoverlapping(place.cast::<u8>(), (&raw mut value).cast(), known) };
    Ok(value)
}
