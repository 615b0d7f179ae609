//! How a policy stands, for dashboards; and housekeeping.

use crate::argument::{aligned, write_optional};
use crate::config::tollgate_limiter;
use crate::guard::guard;
use crate::handle;
use crate::status::tollgate_status::{self, *};
use limiter::PolicyId;
use std::ptr;

/// How one policy stands. It may grow: set `struct_size` before the call, and read no more than
/// that.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tollgate_stats {
    /// `sizeof(tollgate_stats)`, set by the caller.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Charges that were made.
    pub admitted: u64,
    /// Charges that had no room, or cost more than the limit.
    pub denied: u64,
    /// Charges that were refused because the table was full.
    pub refused: u64,
    /// Charges that were let through uncounted because the table was full.
    pub untracked: u64,
    /// Keys that have used anything that still counts: estimated from a sample.
    pub live_keys: u64,
    /// Slots that hold a key, live or not.
    pub used_slots: u64,
    /// Slots of the present array.
    pub slots: u64,
    /// Bytes that the policy may keep resident now.
    pub bytes: u64,
    /// How many arrays were made after the first.
    pub migrations: u64,
    /// Live keys that were dropped to make room.
    pub evictions: u64,
    /// Units that those had used.
    pub forgiven: u64,
}

/// Tells how a policy stands. Any thread; takes microseconds. Errors: `TOLLGATE_E_NULL`,
/// `TOLLGATE_E_HANDLE`, `TOLLGATE_E_POLICY`, `TOLLGATE_E_ARGUMENT` (the size).
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_get_stats(
    limiter: *const tollgate_limiter,
    policy: u64,
    stats: *mut tollgate_stats,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's promise.
        let server = unsafe { handle::value(limiter) }?;
        aligned(stats)?;
        // SAFETY: the size comes first, in every version.
        let struct_size = unsafe { *stats.cast::<u32>() };
        let size = struct_size as usize;
        if !(size_of::<u64>()..=4_096).contains(&size) {
            return Err(TOLLGATE_E_ARGUMENT);
        }
        let found = server.limiter.stats(PolicyId::from_bits(policy))?;
        let made = tollgate_stats {
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
        };
        let known = size.min(size_of::<tollgate_stats>());
        // SAFETY: as many bytes as the caller has said, the rest of them 0.
        unsafe {
            ptr::copy_nonoverlapping((&raw const made).cast::<u8>(), stats.cast(), known);
            stats.cast::<u8>().add(known).write_bytes(0, size - known);
        }
        Ok(TOLLGATE_OK)
    })
}

/// Housekeeping ahead of need, for hosts that have idle moments: moves up to `slots` slots of each
/// table that is being moved, and gives memory back. `done`, 1 when no table has anything left to
/// move, may be NULL. On Linux it also lays tables that stay in huge pages, those of about `slots`
/// slots at a time; that takes the system some milliseconds a page, and a thread that touches it
/// meanwhile may wait as long.
/// Never needed: requests with new keys do the same, a small chunk each, and the system makes huge
/// pages by itself, later. Any thread. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_maintain(
    limiter: *const tollgate_limiter,
    slots: usize,
    done: *mut i32,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's promise.
        let server = unsafe { handle::value(limiter) }?;
        let all = server.limiter.maintain(slots);
        // SAFETY: as above.
        unsafe { write_optional(done, i32::from(all)) }?;
        Ok(TOLLGATE_OK)
    })
}
