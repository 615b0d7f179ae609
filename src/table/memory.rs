//! Zeroed memory for an array: mapped from the system where it is large, so that pages cost nothing
//! until they are touched and go back when the array goes; from the allocator elsewhere.

use super::error::OutOfMemory;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// Every block starts on a cache line.
pub(crate) const LINE: usize = 64;
/// From here on a block is a map of its own.
#[cfg(unix)]
const LEAST_MAP: usize = 64 << 10;
/// From here on huge pages are asked for: half a page of waste is then nothing.
#[cfg(target_os = "linux")]
const LEAST_HUGE: usize = 8 << 20;
/// Bytes of a huge page.
#[cfg(target_os = "linux")]
const HUGE: usize = 2 << 20;
/// From Linux 6.1 on (`linux/mman.h`); the crate names it for glibc alone.
#[cfg(target_os = "linux")]
const MADV_COLLAPSE: libc::c_int = 25;
/// Given back at a time: some ten microseconds of the system's time.
#[cfg(unix)]
const PIECE: usize = 128 << 10;

/// A block of memory, zeroed when made.
#[derive(Debug)]
pub(crate) enum Memory {
    /// The allocator's.
    Heap { block: NonNull<u8>, layout: Layout },
    /// The system's.
    #[cfg(unix)]
    Map { map: memmap2::MmapMut, kept: usize },
}

impl Memory {
    /// `bytes` of zeros.
    pub(crate) fn zeroed(bytes: usize) -> Result<Self, OutOfMemory> {
        #[cfg(unix)]
        if bytes >= LEAST_MAP {
            // Most of the block may never be touched, so no swap is set aside for it.
            let map = memmap2::MmapOptions::new().len(bytes).no_reserve_swap().map_anon();
            return Ok(Memory::Map { map: map.map_err(|_| OutOfMemory)?, kept: bytes });
        }
        Self::allocated(bytes)
    }

    /// Asks for huge pages under the first `dense` bytes, where the system has them: a random key
    /// then costs one cache miss and a shorter walk to its page.
    ///
    /// ResolvedCharge only of an array that is here to stay: the system then makes huge pages of small ones
    /// beside the program, in minutes. If it were asked at once, whoever touches the first byte of
    /// a huge page would wait until all of it is cleared, 0.2 ms, and 4 ms in a virtual machine
    /// without memory at hand; and while small ones are copied, page faults of other threads wait.
    pub(crate) fn advise_huge_pages(&self, dense: usize) {
        #[cfg(target_os = "linux")]
        if let Memory::Map { map, .. } = self
            && dense >= LEAST_HUGE
        {
            // Without them it is only slower.
            let _ = map.advise_range(memmap2::Advice::HugePage, 0, dense.min(map.len()));
        }
        let _ = dense;
    }

    /// How many huge pages [`collapse`](Self::collapse) can make of the first `dense` bytes.
    pub(crate) fn huge_pages(&self, dense: usize) -> usize {
        #[cfg(target_os = "linux")]
        if let Memory::Map { map, .. } = self
            && dense >= LEAST_HUGE
        {
            let first = map.as_ptr().align_offset(HUGE);
            return dense.min(map.len()).saturating_sub(first) / HUGE;
        }
        let _ = dense;
        0
    }

    /// Makes one of the [huge pages](Self::huge_pages) now; false if the system does not. It copies
    /// small ones, for milliseconds, and whoever touches them meanwhile may wait.
    pub(crate) fn collapse(&self, page: usize) -> bool {
        #[cfg(target_os = "linux")]
        if let Memory::Map { map, .. } = self {
            let place = map.as_ptr().align_offset(HUGE).saturating_add(page.saturating_mul(HUGE));
            if place.saturating_add(HUGE) > map.len() {
                return false;
            }
            let start = map.as_ptr().wrapping_add(place).cast_mut().cast();
            // SAFETY: within the map, whose contents stay as they are.
            return unsafe { libc::madvise(start, HUGE, MADV_COLLAPSE) } == 0;
        }
        let _ = page;
        false
    }

    fn allocated(bytes: usize) -> Result<Self, OutOfMemory> {
        // Up to this alignment `alloc_zeroed` hands out pages that the system clears when they are
        // touched; beyond, it clears by hand. So the line boundary is found inside of the block.
        const ALIGN: usize = 16;
        let size = bytes.checked_add(LINE).ok_or(OutOfMemory)?;
        let layout = Layout::from_size_align(size, ALIGN).map_err(|_| OutOfMemory)?;
        // SAFETY: the layout is at least one line long, so not empty.
        let block = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(OutOfMemory)?;
        Ok(Memory::Heap { block, layout })
    }

    /// The first byte, on a cache line.
    pub(crate) fn start(&self) -> NonNull<u8> {
        match self {
            Memory::Heap { block, .. } => {
                let offset = block.as_ptr().align_offset(LINE);
                // SAFETY: the block is one line longer than asked for.
                unsafe { block.add(offset) }
            }
            // The map is not at address 0, and begins with a page.
            #[cfg(unix)]
            Memory::Map { map, .. } => {
                NonNull::new(map.as_ptr().cast_mut()).unwrap_or(NonNull::dangling())
            }
        }
    }

    /// Gives a piece back to the system, from the end on, and returns whether any is left. What
    /// lies beyond the `dense` bytes was hardly touched and goes at once. What it held is gone; the
    /// block must not be read any more.
    pub(crate) fn shed(&mut self, dense: usize) -> bool {
        match self {
            Memory::Heap { .. } => false,
            #[cfg(unix)]
            Memory::Map { map, kept } => {
                let end = *kept;
                *kept = end.min(dense.saturating_add(PIECE)).saturating_sub(1) / PIECE * PIECE;
                // SAFETY: the block is owned, and its owner reads it no more.
                let shed = unsafe {
                    map.unchecked_advise_range(
                        memmap2::UncheckedAdvice::DontNeed,
                        *kept,
                        end - *kept,
                    )
                };
                shed.is_ok() && *kept > 0
            }
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        match self {
            // SAFETY: allocated in `allocated` with this layout.
            Memory::Heap { block, layout } => unsafe { dealloc(block.as_ptr(), *layout) },
            #[cfg(unix)]
            Memory::Map { .. } => {}
        }
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::*;

    #[test]
    fn zeroed_and_aligned_and_given_back() {
        for bytes in [3, 1 << 10, 1 << 17, 9 << 20, 40 << 20] {
            let mut memory = Memory::zeroed(bytes).unwrap();
            memory.advise_huge_pages(bytes);
            let pages = memory.huge_pages(bytes);
            assert!(pages <= bytes >> 21);
            let first = memory.start().as_ptr();
            assert_eq!(first as usize % LINE, 0);
            for place in [0, bytes / 2, bytes - 1] {
                let byte = first.wrapping_add(place);
                // SAFETY: within the block, and nobody else has it.
                assert_eq!(unsafe { byte.read() }, 0, "byte {place} of {bytes}");
                // SAFETY: as above.
                unsafe { byte.write(7) };
            }
            // Whether it makes them or not, nothing is lost.
            (0..=pages).for_each(|page| _ = memory.collapse(page));
            // SAFETY: as above.
            assert_eq!(unsafe { first.wrapping_add(bytes / 2).read() }, 7);
            let mut pieces = 0;
            while memory.shed(bytes) {
                pieces += 1;
            }
            // All but the last piece, which goes with the rest.
            assert_eq!(pieces, (bytes - 1) / PIECE);
        }
        assert!(Memory::zeroed(usize::MAX).is_err());
        assert!(Memory::zeroed(usize::MAX / 2).is_err());
    }
}
