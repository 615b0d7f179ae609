//! A line asked for ahead of time, so that the misses of several keys overlap.

/// Bytes of a cache line, on all machines that matter or a multiple of it.
const LINE: usize = 64;
/// Of a large counter the rest is fetched on demand.
const MOST_LINES: usize = 4;

/// Asks for the first lines of `value`. A hint, and nothing at all where Rust has no way to say it.
#[inline(always)]
pub(super) fn prefetch<T>(value: &T) {
    prefetch_bytes(std::ptr::from_ref(value).addr(), size_of::<T>());
}

/// As [`prefetch`] of a value of so many bytes that may or may not be at this address.
#[inline(always)]
pub(super) fn prefetch_bytes(address: usize, bytes: usize) {
    for line in 0..bytes.div_ceil(LINE).min(MOST_LINES) {
        ask_for(std::ptr::without_provenance(address.wrapping_add(line * LINE)));
    }
}

#[inline(always)]
fn ask_for(place: *const i8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing and faults at no address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(place);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}
