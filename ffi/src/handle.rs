//! What C holds on to: a pointer to something that it cannot see into, and that is known again.
//!
//! A handle begins with a number of its kind, which is wiped when it is freed. So another kind of
//! handle, or memory that is something else, is told from a live one as long as it can be read. In
//! builds with debug assertions there is also a list of all live handles, so that a freed one is
//! told for certain.

use crate::argument::aligned;
use crate::status::tollgate_status::{self, *};

/// A kind of handle, as C names it.
pub(crate) trait Kind {
    /// What is behind it.
    type Value;
    /// A number that other memory hardly begins with.
    const MARK: u64;
}

/// Behind a handle's pointer.
#[repr(C)]
#[derive(Debug)]
struct Handle<T> {
    mark: u64,
    value: T,
}

/// Gives a value to C, or nothing if there is no memory.
pub(crate) fn make<K: Kind>(value: K::Value) -> Result<*mut K, tollgate_status> {
    let mut one = Vec::new();
    one.try_reserve_exact(1).map_err(|_| TOLLGATE_E_NO_MEMORY)?;
    one.push(Handle { mark: K::MARK, value });
    let place = Box::into_raw(one.into_boxed_slice()).cast::<K>();
    live::add(place.addr());
    Ok(place)
}

/// The value behind a handle.
///
/// # Safety
/// The handle is NULL, or came from [`make`] and was not freed, or can be read: then it is told from
/// a live one. It is not freed while the reference is used.
#[inline(always)]
pub(crate) unsafe fn value<'a, K: Kind>(place: *const K) -> Result<&'a K::Value, tollgate_status> {
    let place = check(place)?;
    // SAFETY: a live handle of this kind.
    Ok(unsafe { &(*place).value })
}

#[inline(always)]
fn check<K: Kind>(place: *const K) -> Result<*const Handle<K::Value>, tollgate_status> {
    if place.is_null() {
        return Err(TOLLGATE_E_NULL);
    }
    let place = place.cast::<Handle<K::Value>>();
    aligned(place).map_err(|_| TOLLGATE_E_HANDLE)?;
    if !live::has(place.addr()) {
        return Err(TOLLGATE_E_HANDLE);
    }
    // SAFETY: the promise of `value`.
    let mark = unsafe { (&raw const (*place).mark).read_volatile() };
    if mark == K::MARK { Ok(place) } else { Err(TOLLGATE_E_HANDLE) }
}

/// Frees a handle; NULL is nothing to free.
///
/// # Safety
/// As [`value`], and nobody else uses the handle now or later.
pub(crate) unsafe fn free<K: Kind>(place: *mut K) -> Result<(), tollgate_status> {
    if place.is_null() {
        return Ok(());
    }
    let place = check(place)?.cast_mut();
    live::remove(place.addr());
    // SAFETY: live until now, and the caller's promise. Volatile, since nothing in Rust reads it
    // again.
    unsafe { (&raw mut (*place).mark).write_volatile(0) };
    // SAFETY: `make` made it a slice of one, which has the layout of the one.
    drop(unsafe { Box::from_raw(place) });
    Ok(())
}

/// The addresses of all live handles, in builds that check them. Without a lock: another thread could
/// hold it at a fork, and the child would wait for ever.
#[cfg(debug_assertions)]
mod live {
    use std::iter::successors;
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::*};

    /// There are as many as handles ever lived at once. They are never freed.
    struct Place {
        /// 0 if it is free.
        handle: AtomicUsize,
        next: Option<&'static Place>,
    }

    static FIRST: AtomicPtr<Place> = AtomicPtr::new(ptr::null_mut());

    fn places() -> impl Iterator<Item = &'static Place> {
        // Acquire: pairs with the release in `add`.
        let first = FIRST.load(Acquire);
        // SAFETY: NULL, or a place that is never freed.
        successors(unsafe { first.as_ref() }, |place| place.next)
    }

    // Relaxed for the addresses: whoever may use a handle was given it after it was added.
    fn change(from: usize, to: usize) -> bool {
        places().any(|place| place.handle.compare_exchange(from, to, Relaxed, Relaxed).is_ok())
    }

    pub(super) fn add(handle: usize) {
        if change(0, handle) {
            return;
        }
        let place = Box::leak(Box::new(Place { handle: AtomicUsize::new(handle), next: None }));
        let mut first = FIRST.load(Acquire);
        loop {
            // SAFETY: as in `places`.
            place.next = unsafe { first.as_ref() };
            match FIRST.compare_exchange(first, place, AcqRel, Acquire) {
                Ok(_) => return,
                Err(other) => first = other,
            }
        }
    }

    pub(super) fn remove(handle: usize) {
        change(handle, 0);
    }

    pub(super) fn has(handle: usize) -> bool {
        places().any(|place| place.handle.load(Relaxed) == handle)
    }
}

#[cfg(not(debug_assertions))]
mod live {
    pub(super) fn add(_: usize) {}

    pub(super) fn remove(_: usize) {}

    #[inline(always)]
    pub(super) fn has(_: usize) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One;
    struct Other;

    impl Kind for One {
        type Value = u32;
        const MARK: u64 = 0x6f6e_6531_6f6e_6531;
    }

    impl Kind for Other {
        type Value = ();
        const MARK: u64 = 0x6f74_6865_6f74_6865;
    }

    #[test]
    fn a_handle_is_known_again() {
        let handle = make::<One>(7).unwrap();
        // SAFETY: live, or another kind, or not a handle at all but readable.
        unsafe {
            assert_eq!(value(handle), Ok(&7));
            assert_eq!(value(handle.cast::<Other>()).map(|_| ()), Err(TOLLGATE_E_HANDLE));
            assert_eq!(value::<One>(std::ptr::null()).map(|_| ()), Err(TOLLGATE_E_NULL));
            let unaligned = handle.wrapping_byte_add(1);
            assert_eq!(value(unaligned).map(|_| ()), Err(TOLLGATE_E_HANDLE));
            assert_eq!(free(handle.cast::<Other>()), Err(TOLLGATE_E_HANDLE));
            assert_eq!(free(handle), Ok(()));
            assert_eq!(free::<One>(std::ptr::null_mut()), Ok(()));
        }
        #[cfg(debug_assertions)]
        // SAFETY: not read, since it is not on the list.
        unsafe {
            assert_eq!(value(handle).map(|_| ()), Err(TOLLGATE_E_HANDLE));
            assert_eq!(free(handle), Err(TOLLGATE_E_HANDLE));
        }
    }
}
