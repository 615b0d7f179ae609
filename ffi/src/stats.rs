//! Statistics and maintenance.

use crate::argument::{aligned, write_optional};
use crate::guard::guard;
use crate::handle;
use crate::limiter::tollgate_limiter;
use crate::status::tollgate_status::{self, *};
use limiter::PolicyId;
use std::ptr;

/// The statistics of a policy. Set `struct_size` before the call, for example with
/// `TOLLGATE_STATS_INIT`: the call writes exactly that many bytes, because a later version may add
/// fields.
///
/// A table keeps its keys in the slots of an array. It replaces the array to grow or to shrink, and
/// when the array is old.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tollgate_stats {
    /// `sizeof(tollgate_stats)`, set by the caller.
    pub struct_size: u32,
    /// Reserved: 0.
    pub reserved: u32,
    /// Admitted charges.
    pub admitted: u64,
    /// Charges that had no room, or cost more than the limit.
    pub denied: u64,
    /// Charges refused with `TOLLGATE_TABLE_FULL`: a new key found no room, or the array had become too
    /// old for any key and there was no memory for a new one.
    pub refused: u64,
    /// Charges allowed without counting because the table was full.
    pub untracked: u64,
    /// Keys with usage that still counts, estimated from a sample.
    pub live_keys: u64,
    /// Slots that hold a key, live or expired.
    pub used_slots: u64,
    /// Slots of the current array.
    pub slots: u64,
    /// An upper bound of the policy's resident memory, in bytes, without replaced arrays that are not
    /// yet freed.
    pub bytes: u64,
    /// Arrays made after the first.
    pub migrations: u64,
    /// Live keys evicted to make room.
    pub evictions: u64,
    /// Units of usage that evictions have discarded.
    pub forgiven: u64,
    /// Charges that a dry run (`TOLLGATE_DRY_RUN`) let pass, although the policy would have denied them, or
    /// refused them for a full table. They are not in `denied` or `refused`.
    pub dry_run_denied: u64,
    /// Those of the denied charges that cost more than the limit, so that no wait helps.
    pub impossible: u64,
    /// The total cost of the admitted charges, modulo 2^64.
    pub admitted_units: u64,
    /// Units that `tollgate_refund`, `tollgate_settle` and `tollgate_cancel` have given back, modulo 2^64.
    /// Units that `tollgate_reset_key` cleared are not among them.
    pub refunded_units: u64,
}

/// The numbers of requests that a limiter has decided, by result. Set `struct_size` before the call, for
/// example with `TOLLGATE_REQUEST_STATS_INIT`, as for `tollgate_stats`.
///
/// Each check, each charge of `tollgate_check_many`, each forced charge, each reservation and each
/// extension of one is a request. Peeks, settlements and refunds are not, and neither are calls that fail
/// with an error other than `TOLLGATE_E_POLICY`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tollgate_request_stats {
    /// `sizeof(tollgate_request_stats)`, set by the caller.
    pub struct_size: u32,
    /// Reserved: 0.
    pub reserved: u32,
    /// Requests with `TOLLGATE_OK`.
    pub allowed: u64,
    /// Requests with `TOLLGATE_DENIED`.
    pub denied: u64,
    /// Requests with `TOLLGATE_IMPOSSIBLE`.
    pub impossible: u64,
    /// Requests with `TOLLGATE_TABLE_FULL`.
    pub table_full: u64,
    /// Requests with `TOLLGATE_E_POLICY`.
    pub invalid: u64,
    /// Reservations that were neither settled nor cancelled. One that is dropped without being closed
    /// stays in this number.
    pub open_reservations: u64,
}

/// Returns the statistics of a policy. Any thread. Takes microseconds. Errors: `TOLLGATE_E_NULL`,
/// `TOLLGATE_E_HANDLE`, `TOLLGATE_E_POLICY`, `TOLLGATE_E_ARGUMENT` (`struct_size`).
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_get_stats(
    limiter: *const tollgate_limiter,
    policy: u64,
    stats: *mut tollgate_stats,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's contract.
        let handle = unsafe { handle::value(limiter) }?;
        // SAFETY: as above.
        let struct_size = unsafe { stated_size(stats) }?;
        let found = handle.limiter.stats(PolicyId::from_bits(policy))?;
        let filled = tollgate_stats {
            struct_size,
            reserved: 0,
            admitted: found.admitted,
            denied: found.denied,
            refused: found.refused,
            untracked: found.untracked,
            live_keys: found.live_keys as u64,
            used_slots: found.used_slots as u64,
            slots: found.slots as u64,
            bytes: found.bytes as u64,
            migrations: found.migrations,
            evictions: found.evictions,
            forgiven: found.forgiven,
            dry_run_denied: found.dry_run_denied,
            impossible: found.impossible,
            admitted_units: found.admitted_units,
            refunded_units: found.refunded_units,
        };
        // SAFETY: as above.
        unsafe { write_sized(stats, struct_size, &filled) };
        Ok(TOLLGATE_OK)
    })
}

/// Returns the numbers of requests by result, and of open reservations. Any thread. Takes microseconds.
/// Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT` (`struct_size`).
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_get_request_stats(
    limiter: *const tollgate_limiter,
    stats: *mut tollgate_request_stats,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's contract.
        let handle = unsafe { handle::value(limiter) }?;
        // SAFETY: as above.
        let struct_size = unsafe { stated_size(stats) }?;
        let found = handle.limiter.request_stats();
        let filled = tollgate_request_stats {
            struct_size,
            reserved: 0,
            allowed: found.allowed,
            denied: found.denied,
            impossible: found.impossible,
            table_full: found.table_full,
            invalid: found.invalid,
            open_reservations: found.open_reservations,
        };
        // SAFETY: as above.
        unsafe { write_sized(stats, struct_size, &filled) };
        Ok(TOLLGATE_OK)
    })
}

/// Does maintenance in idle moments: moves up to about `slots` slots of each table that is being
/// resized, starts to shrink tables that are mostly idle and to renew old ones, and frees memory.
/// `*done` is 1 if no table has work left, else 0; `done` may be NULL.
///
/// You never need to call it: requests do the same work in small chunks, and the system makes huge
/// pages by itself later. On Linux the call also puts large tables into huge pages, about `slots`
/// slots per call. The system takes some milliseconds to make such a page, and a thread that touches
/// the page meanwhile may wait that long.
///
/// Any thread. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_maintain(
    limiter: *const tollgate_limiter,
    slots: usize,
    done: *mut i32,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's contract.
        let handle = unsafe { handle::value(limiter) }?;
        let all_done = handle.limiter.maintain(slots);
        // SAFETY: as above.
        unsafe { write_optional(done, i32::from(all_done)) }?;
        Ok(TOLLGATE_OK)
    })
}

/// Returns the size that the caller has stated in the first field of a struct of statistics.
///
/// # Safety
/// `stats` is NULL, or its first field is readable.
unsafe fn stated_size<T>(stats: *const T) -> Result<u32, tollgate_status> {
    aligned(stats)?;
    // SAFETY: the size is the first field of every version.
    let size = unsafe { *stats.cast::<u32>() };
    if (size_of::<u64>()..=4_096).contains(&(size as usize)) {
        Ok(size)
    } else {
        Err(TOLLGATE_E_ARGUMENT)
    }
}

/// Writes as many bytes as the caller has stated, with 0 for fields that this library lacks.
///
/// # Safety
/// `stats` is writable for `size` bytes. `T` has no padding.
unsafe fn write_sized<T: Copy>(stats: *mut T, size: u32, filled: &T) {
    let size = size as usize;
    let known = size.min(size_of::<T>());
    let bytes = ptr::from_ref(filled).cast::<u8>();
    // SAFETY: within the size that the caller has stated.
    unsafe {
        ptr::copy_nonoverlapping(bytes, stats.cast(), known);
        stats.cast::<u8>().add(known).write_bytes(0, size - known);
    }
}
