//! Handles: opaque pointers that C keeps, and their checks.
//!
//! A handle begins with a mark for its kind, which is cleared when the handle is freed. The mark
//! detects a handle of another kind and, as long as the memory is readable and not reused, a freed
//! one. Builds with debug assertions also keep a list of all live handles, which detects every
//! freed one.

use crate::argument::aligned;
use crate::status::tollgate_status::{self, *};

/// The C type of a kind of handle.
pub(crate) trait Kind {
    /// The object that the handle owns.
    type Value;
    /// A number that other memory is unlikely to begin with.
    const MARK: u64;
}

/// The allocation of a handle.
#[repr(C)]
#[derive(Debug)]
struct Allocation<T> {
    mark: u64,
    value: T,
}

/// Makes a handle that owns `value`. Fails if there is no memory.
pub(crate) fn make<K: Kind>(value: K::Value) -> Result<*mut K, tollgate_status> {
    let mut one = Vec::new();
    one.try_reserve_exact(1).map_err(|_| TOLLGATE_E_NO_MEMORY)?;
    one.push(Allocation { mark: K::MARK, value });
    let handle = Box::into_raw(one.into_boxed_slice()).cast::<K>();
    live::add(handle.addr());
    Ok(handle)
}

/// The object of a handle.
///
/// # Safety
/// The pointer is NULL, a live handle from [`make`], or readable memory, which is then rejected.
/// The handle is not freed while the reference is in use.
#[inline(always)]
pub(crate) unsafe fn value<'a, K: Kind>(handle: *const K) -> Result<&'a K::Value, tollgate_status> {
    let allocation = check(handle)?;
    // SAFETY: a live handle of this kind.
    Ok(unsafe { &(*allocation).value })
}

/// Checks that a pointer is a live handle of this kind.
#[inline(always)]
fn check<K: Kind>(handle: *const K) -> Result<*const Allocation<K::Value>, tollgate_status> {
    if handle.is_null() {
        return Err(TOLLGATE_E_NULL);
    }
    let allocation = handle.cast::<Allocation<K::Value>>();
    aligned(allocation).map_err(|_| TOLLGATE_E_HANDLE)?;
    if !live::contains(allocation.addr()) {
        return Err(TOLLGATE_E_HANDLE);
    }
    // SAFETY: the contract of `value`.
    let mark = unsafe { (&raw const (*allocation).mark).read_volatile() };
    if mark == K::MARK { Ok(allocation) } else { Err(TOLLGATE_E_HANDLE) }
}

/// Frees a handle. Does nothing for NULL.
///
/// # Safety
/// As [`value`]. No other thread uses the handle, and it is not used again.
pub(crate) unsafe fn free<K: Kind>(handle: *mut K) -> Result<(), tollgate_status> {
    if handle.is_null() {
        return Ok(());
    }
    let allocation = check(handle)?.cast_mut();
    live::remove(allocation.addr());
    // SAFETY: live until now; the caller's contract. Volatile keeps the store, which no Rust code
    // reads.
    unsafe { (&raw mut (*allocation).mark).write_volatile(0) };
    // SAFETY: `make` allocated a slice of one, which has the layout of its element.
    drop(unsafe { Box::from_raw(allocation) });
    Ok(())
}

/// The addresses of all live handles, in builds with debug assertions. A lock-free list: a lock
/// held by another thread at a fork would block the child for ever.
#[cfg(debug_assertions)]
mod live {
    use std::iter::successors;
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::*};

    /// A node of the list. Nodes are reused and never freed.
    struct HandleNode {
        /// The address, or 0 if the node is free.
        handle: AtomicUsize,
        next: Option<&'static HandleNode>,
    }

    static FIRST: AtomicPtr<HandleNode> = AtomicPtr::new(ptr::null_mut());

    fn nodes() -> impl Iterator<Item = &'static HandleNode> {
        // Acquire: pairs with the release in `add`.
        let first = FIRST.load(Acquire);
        // SAFETY: NULL, or a node that is never freed.
        successors(unsafe { first.as_ref() }, |node| node.next)
    }

    // Relaxed for the addresses: a thread gets a handle only after it was added.
    fn change(from: usize, to: usize) -> bool {
        nodes().any(|node| node.handle.compare_exchange(from, to, Relaxed, Relaxed).is_ok())
    }

    pub(super) fn add(handle: usize) {
        if change(0, handle) {
            return;
        }
        let node = Box::leak(Box::new(HandleNode { handle: AtomicUsize::new(handle), next: None }));
        let mut first = FIRST.load(Acquire);
        loop {
            // SAFETY: as in `nodes`.
            node.next = unsafe { first.as_ref() };
            match FIRST.compare_exchange(first, node, AcqRel, Acquire) {
                Ok(_) => return,
                Err(other) => first = other,
            }
        }
    }

    pub(super) fn remove(handle: usize) {
        change(handle, 0);
    }

    pub(super) fn contains(handle: usize) -> bool {
        nodes().any(|node| node.handle.load(Relaxed) == handle)
    }
}

#[cfg(not(debug_assertions))]
mod live {
    pub(super) fn add(_: usize) {}

    pub(super) fn remove(_: usize) {}

    #[inline(always)]
    pub(super) fn contains(_: usize) -> bool {
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
    fn a_live_handle_is_accepted_and_others_are_rejected() {
        let handle = make::<One>(7).unwrap();
        // SAFETY: a live handle, or readable memory that is rejected.
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
        // SAFETY: not read, because it is not on the list.
        unsafe {
            assert_eq!(value(handle).map(|_| ()), Err(TOLLGATE_E_HANDLE));
            assert_eq!(free(handle), Err(TOLLGATE_E_HANDLE));
        }
    }
}
