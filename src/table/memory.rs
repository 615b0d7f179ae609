//! Zeroed memory for an array.
//!
//! A large block is mapped from the system: its pages cost nothing until they are touched, and they
//! are returned when the array is freed. A small block comes from the allocator.

use super::error::OutOfMemory;
#[cfg(unix)]
use super::memory_bound::MIN_MAP;
use super::prefetch::CACHE_LINE;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// Bytes of the smallest block with huge pages. A block wastes half a huge page on average, which is
/// little for a large one.
#[cfg(target_os = "linux")]
const MIN_HUGE: usize = 8 << 20;
/// Bytes of a huge page.
#[cfg(target_os = "linux")]
const HUGE_PAGE: usize = 2 << 20;
/// Available since Linux 6.1 (`linux/mman.h`). The `libc` crate defines it for glibc only.
#[cfg(target_os = "linux")]
const MADV_COLLAPSE: libc::c_int = 25;
/// Bytes freed at a time: this takes the system some ten microseconds.
#[cfg(unix)]
const PIECE: usize = 128 << 10;

/// A block of memory that is zeroed at first. It starts on a cache line.
#[derive(Debug)]
pub(crate) enum Memory {
    /// From the allocator.
    Heap { block: NonNull<u8>, layout: Layout },
    /// From the system. The first `kept` bytes are not freed yet.
    #[cfg(unix)]
    Map { map: memmap2::MmapMut, kept: usize },
}

impl Memory {
    /// Allocates `bytes` zeroed bytes.
    pub(crate) fn zeroed(bytes: usize) -> Result<Self, OutOfMemory> {
        #[cfg(unix)]
        if bytes >= MIN_MAP {
            // Most of the block may never be touched, so no swap is reserved for it.
            let map = memmap2::MmapOptions::new().len(bytes).no_reserve_swap().map_anon();
            return Ok(Memory::Map { map: map.map_err(|_| OutOfMemory)?, kept: bytes });
        }
        Self::allocated(bytes)
    }

    /// Advises the system to back the first `in_use` bytes with huge pages. A lookup of a random key
    /// then costs one cache miss and a shorter page walk.
    ///
    /// Call it only for an array that stays in use. The system then merges small pages in the
    /// background, within minutes. Advice for a fresh array has two costs:
    /// - The thread that first touches a huge page waits until all of it is cleared. This takes
    ///   0.2 ms, or 4 ms in a virtual machine that has to get the memory from its host first.
    /// - While small pages are copied, page faults of other threads wait.
    pub(crate) fn advise_huge_pages(&self, in_use: usize) {
        #[cfg(target_os = "linux")]
        if let Memory::Map { map, .. } = self
            && in_use >= MIN_HUGE
        {
            // An error is ignored: without huge pages, lookups are only slower.
            let _ = map.advise_range(memmap2::Advice::HugePage, 0, in_use.min(map.len()));
        }
        let _ = in_use;
    }

    /// The number of huge pages that [`collapse`](Self::collapse) can make of the first `in_use`
    /// bytes.
    pub(crate) fn huge_pages(&self, in_use: usize) -> usize {
        #[cfg(target_os = "linux")]
        if let Memory::Map { map, .. } = self
            && in_use >= MIN_HUGE
        {
            let first = map.as_ptr().align_offset(HUGE_PAGE);
            return in_use.min(map.len()).saturating_sub(first) / HUGE_PAGE;
        }
        let _ = in_use;
        0
    }

    /// Makes one of the [huge pages](Self::huge_pages) now. Returns whether the system did.
    ///
    /// The system copies the small pages, which takes milliseconds. Threads that touch them in the
    /// meantime may wait.
    pub(crate) fn collapse(&self, page: usize) -> bool {
        #[cfg(target_os = "linux")]
        if let Memory::Map { map, .. } = self {
            let offset =
                map.as_ptr().align_offset(HUGE_PAGE).saturating_add(page.saturating_mul(HUGE_PAGE));
            if offset.saturating_add(HUGE_PAGE) > map.len() {
                return false;
            }
            let start = map.as_ptr().wrapping_add(offset).cast_mut().cast();
            // SAFETY: the range is within the map, and `MADV_COLLAPSE` does not change its contents.
            return unsafe { libc::madvise(start, HUGE_PAGE, MADV_COLLAPSE) } == 0;
        }
        let _ = page;
        false
    }

    fn allocated(bytes: usize) -> Result<Self, OutOfMemory> {
        // Up to this alignment `alloc_zeroed` returns pages that the system clears when they are
        // touched. For a larger one it clears the block itself. So the block has this alignment and
        // is one line longer, and `start` skips to the line boundary.
        const ALIGN: usize = 16;
        let size = bytes.checked_add(CACHE_LINE).ok_or(OutOfMemory)?;
        let layout = Layout::from_size_align(size, ALIGN).map_err(|_| OutOfMemory)?;
        // SAFETY: the layout is at least one line long, so not empty.
        let block = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(OutOfMemory)?;
        Ok(Memory::Heap { block, layout })
    }

    /// The first byte, on a cache line.
    pub(crate) fn start(&self) -> NonNull<u8> {
        match self {
            Memory::Heap { block, .. } => {
                let offset = block.as_ptr().align_offset(CACHE_LINE);
                // SAFETY: the block is one line longer than the requested size.
                unsafe { block.add(offset) }
            }
            // A map is not at address 0, and it starts on a page.
            #[cfg(unix)]
            Memory::Map { map, .. } => {
                NonNull::new(map.as_ptr().cast_mut()).unwrap_or(NonNull::dangling())
            }
        }
    }

    /// Returns the last piece of a map to the system. Returns whether any piece is left. A block
    /// from the allocator has no pieces.
    ///
    /// The bytes after the first `in_use` ones were hardly touched, so the first call returns all
    /// of them. The contents are lost: the block must not be read any more.
    pub(crate) fn free_piece(&mut self, in_use: usize) -> bool {
        match self {
            Memory::Heap { .. } => false,
            #[cfg(unix)]
            Memory::Map { map, kept } => {
                let end = *kept;
                *kept = end.min(in_use.saturating_add(PIECE)).saturating_sub(1) / PIECE * PIECE;
                // SAFETY: the block is owned, and its owner does not read it any more.
                let advised = unsafe {
                    map.unchecked_advise_range(
                        memmap2::UncheckedAdvice::DontNeed,
                        *kept,
                        end - *kept,
                    )
                };
                advised.is_ok() && *kept > 0
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
    fn blocks_are_zeroed_aligned_and_freed_in_pieces() {
        for bytes in [3, 1 << 10, 1 << 17, 9 << 20, 40 << 20] {
            let mut memory = Memory::zeroed(bytes).unwrap();
            memory.advise_huge_pages(bytes);
            let pages = memory.huge_pages(bytes);
            assert!(pages <= bytes >> 21);
            let first = memory.start().as_ptr();
            assert_eq!(first as usize % CACHE_LINE, 0);
            for offset in [0, bytes / 2, bytes - 1] {
                let byte = first.wrapping_add(offset);
                // SAFETY: within the block, which no other thread uses.
                assert_eq!(unsafe { byte.read() }, 0, "byte {offset} of {bytes}");
                // SAFETY: as above.
                unsafe { byte.write(7) };
            }
            // Whether or not the system makes the huge pages, no contents are lost.
            (0..=pages).for_each(|page| _ = memory.collapse(page));
            // SAFETY: as above.
            assert_eq!(unsafe { first.wrapping_add(bytes / 2).read() }, 7);
            let mut pieces = 0;
            while memory.free_piece(bytes) {
                pieces += 1;
            }
            // All but the last piece, after which none is left.
            assert_eq!(pieces, (bytes - 1) / PIECE);
        }
        assert!(Memory::zeroed(usize::MAX).is_err());
        assert!(Memory::zeroed(usize::MAX / 2).is_err());
    }
}
