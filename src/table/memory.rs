//! Zeroed memory for an array: mapped from the system where it is large, so that pages cost nothing
//! until they are touched and go back when the array goes; from the allocator elsewhere.

use super::slots::OutOfMemory;
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
#[cfg(target_os = "linux")]
const HUGE_PAGE: usize = 2 << 20;
/// Given back at a time: what the system does in about the time of a page fault.
#[cfg(unix)]
const PIECE: usize = 4 << 20;

/// A block of memory, zeroed when made.
#[derive(Debug)]
pub(crate) enum Memory {
    /// The allocator's.
    Heap { block: NonNull<u8>, layout: Layout },
    /// The system's.
    #[cfg(unix)]
    Map { map: memmap2::MmapMut, offset: usize, kept: usize },
}

impl Memory {
    /// `bytes` of zeros, of which the first `dense` will be in use.
    pub(crate) fn zeroed(bytes: usize, dense: usize) -> Result<Self, OutOfMemory> {
        #[cfg(unix)]
        if bytes >= LEAST_MAP {
            return Self::mapped(bytes, dense);
        }
        let _ = dense;
        Self::allocated(bytes)
    }

    #[cfg(unix)]
    fn mapped(bytes: usize, dense: usize) -> Result<Self, OutOfMemory> {
        #[cfg(target_os = "linux")]
        let huge = dense >= LEAST_HUGE;
        #[cfg(target_os = "linux")]
        let spare = if huge { HUGE_PAGE } else { 0 };
        #[cfg(not(target_os = "linux"))]
        let spare = 0;
        let len = bytes.checked_add(spare).ok_or(OutOfMemory)?;
        let mut options = memmap2::MmapOptions::new();
        // Most of the block is never touched, so no swap is set aside for it.
        let map = options.len(len).no_reserve_swap().map_anon().map_err(|_| OutOfMemory)?;
        #[cfg(target_os = "linux")]
        let offset = if huge { map.as_ptr().align_offset(HUGE_PAGE) } else { 0 };
        #[cfg(not(target_os = "linux"))]
        let offset = 0;
        #[cfg(target_os = "linux")]
        if huge {
            // Without huge pages it is only slower.
            let _ = map.advise_range(memmap2::Advice::HugePage, offset, dense);
        }
        let _ = dense;
        Ok(Memory::Map { map, offset, kept: len })
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
            #[cfg(unix)]
            Memory::Map { map, offset, .. } => {
                let first = map.as_ptr().wrapping_add(*offset).cast_mut();
                // The map is not at address 0.
                NonNull::new(first).unwrap_or(NonNull::dangling())
            }
        }
    }

    /// Gives a piece back to the system, from the end on, and returns whether any is left. What it
    /// held is gone; the block must not be read any more.
    pub(crate) fn shed(&mut self) -> bool {
        match self {
            Memory::Heap { .. } => false,
            #[cfg(unix)]
            Memory::Map { map, offset, kept } => {
                let end = *kept;
                // Pieces end where huge pages do.
                let whole = end.saturating_sub(*offset + 1) / PIECE;
                *kept = if whole == 0 { 0 } else { *offset + whole * PIECE };
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
            let mut memory = Memory::zeroed(bytes, bytes).unwrap();
            let first = memory.start().as_ptr();
            assert_eq!(first as usize % LINE, 0);
            for place in [0, bytes / 2, bytes - 1] {
                // SAFETY: within the block, and nobody else has it.
                let byte = unsafe { &mut *first.add(place) };
                assert_eq!(*byte, 0, "byte {place} of {bytes}");
                *byte = 7;
            }
            let mut pieces = 0;
            while memory.shed() {
                pieces += 1;
            }
            assert!(pieces <= bytes >> 20);
        }
        assert!(Memory::zeroed(usize::MAX, 0).is_err());
        assert!(Memory::zeroed(usize::MAX / 2, 0).is_err());
    }
}
