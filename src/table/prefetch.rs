//! Prefetches, so that the cache misses of several keys overlap.

/// Bytes of a cache line. Some machines have shorter lines, of which this is a multiple.
pub(super) const CACHE_LINE: usize = 64;
/// The greatest number of lines to prefetch of one value. The rest of a larger counter is loaded on
/// demand.
const MAX_LINES: usize = 4;

/// Prefetches the first cache lines of `value`. Does nothing on architectures for which Rust has no
/// prefetch.
#[inline(always)]
pub(super) fn prefetch<T>(value: &T) {
    prefetch_bytes(std::ptr::from_ref(value).addr(), size_of::<T>());
}

/// Prefetches a value of `bytes` bytes at an address that may be invalid.
#[inline(always)]
pub(super) fn prefetch_bytes(address: usize, bytes: usize) {
    for line in 0..bytes.div_ceil(CACHE_LINE).min(MAX_LINES) {
        prefetch_line(std::ptr::without_provenance(address.wrapping_add(line * CACHE_LINE)));
    }
}

#[inline(always)]
fn prefetch_line(line: *const i8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing and faults at no address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}
