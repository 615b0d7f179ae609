//! Reservations, in the caller's memory.

use crate::argument::{aligned, fits, slice, write_optional};
use crate::charge::{ChargeBuffer, tollgate_charge};
use crate::clock::tollgate_now;
use crate::decision::{status_of, tollgate_decision, tollgate_policy_status};
use crate::guard::guard;
use crate::handle;
use crate::limiter::tollgate_limiter;
use crate::request::{session_at, write_statuses};
use crate::status::tollgate_status::{self, *};
use limiter::{Decision, MAX_RESERVED, PolicyStatus, Reservation, ReservationError, Session};
use std::mem::ManuallyDrop;

/// The size of a reservation in 64-bit words.
pub const TOLLGATE_RESERVATION_WORDS: usize = 128;

/// A reservation: a request that was charged its estimated cost, to be settled with its actual
/// cost.
///
/// Plain memory of the caller; nothing to free. It may be moved by copying it, also to another thread.
/// From then on, use only the copy. A reservation that was settled or cancelled is closed, and so are
/// copies that are made of it later: closing one again is `TOLLGATE_E_CLOSED`. A copy made
/// before that is not detected: settling it refunds or charges a second time.
///
/// If a reservation is dropped without `tollgate_settle` or `tollgate_cancel`, the estimate stays
/// charged until its window or period has passed.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tollgate_reservation {
    /// Internal. Do not write it.
    pub opaque: [u64; TOLLGATE_RESERVATION_WORDS],
}

/// The content of the caller's memory.
#[repr(C)]
struct Stored {
    mark: u64,
    reservation: ManuallyDrop<Reservation>,
}

const MARK: u64 = u64::from_le_bytes(*b"tgreserv");

const _: () = assert!(size_of::<Stored>() <= size_of::<tollgate_reservation>());
const _: () = assert!(align_of::<Stored>() <= align_of::<tollgate_reservation>());

/// The reservation in the caller's memory.
///
/// # Safety
/// `ptr` is NULL, or readable and writable by this thread alone.
unsafe fn stored<'a>(
    ptr: *mut tollgate_reservation,
) -> Result<&'a mut Reservation, tollgate_status> {
    aligned(ptr)?;
    let ptr = ptr.cast::<Stored>();
    // SAFETY: the caller's contract; the mark is within the reservation.
    if unsafe { (&raw const (*ptr).mark).read() } != MARK {
        return Err(TOLLGATE_E_HANDLE);
    }
    // SAFETY: `tollgate_reserve` wrote the mark, and the reservation with it.
    Ok(unsafe { &mut (*ptr).reservation })
}

/// The status of an error of a reservation.
fn status_of_error(error: ReservationError) -> tollgate_status {
    match error {
        ReservationError::Closed => TOLLGATE_E_CLOSED,
        ReservationError::Foreign => TOLLGATE_E_FOREIGN,
        ReservationError::Amounts { .. } => TOLLGATE_E_AMOUNTS,
        _ => TOLLGATE_E_ARGUMENT,
    }
}

/// Charges the estimated cost of a request under all its policies or under none. The request has at
/// most 8 charges. The estimate stays charged until the reservation is settled, or until its window
/// or period has passed, so concurrent requests cannot spend the same units.
///
/// `decision` may be NULL. `statuses` may be NULL; else it is written as by
/// `tollgate_check_with_status`. If the result is not `TOLLGATE_OK`, the reservation is marked as
/// invalid.
///
/// Any thread. Results and errors: as `tollgate_check`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_reserve(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    charges: *const tollgate_charge,
    count: usize,
    reservation: *mut tollgate_reservation,
    decision: *mut tollgate_decision,
    statuses: *mut tollgate_policy_status,
) -> tollgate_status {
    guard(|| {
        aligned(reservation)?;
        let ptr = reservation.cast::<Stored>();
        // SAFETY: the caller's contract; the mark is within the reservation.
        unsafe { (&raw mut (*ptr).mark).write(0) };
        let mut buffer = ChargeBuffer::<MAX_RESERVED>::new();
        // SAFETY: the caller's contract.
        let handle = unsafe { handle::value(limiter) }?;
        // SAFETY: as above.
        let charges = unsafe { buffer.convert(charges, count) }?;
        if !decision.is_null() {
            aligned(decision)?;
        }
        if !statuses.is_null() {
            fits(statuses, count)?;
        }
        let mut found = [PolicyStatus::default(); MAX_RESERVED];
        // SAFETY: as above.
        let session = unsafe { session_at(handle, now) }?;
        let reserved = session.reserve_with_status(charges, &mut found[..count]);
        let decided = match reserved {
            Ok(reserved) => {
                let decided = reserved.decision();
                let stored = Stored { mark: MARK, reservation: ManuallyDrop::new(reserved) };
                // SAFETY: as above; `Stored` is not larger than the caller's struct.
                unsafe { ptr.write(stored) };
                decided
            }
            Err(decided) => decided,
        };
        // SAFETY: as above.
        unsafe { write_optional(decision, (&decided).into()) }?;
        if !statuses.is_null() {
            // SAFETY: as above; there is one for each charge.
            unsafe { write_statuses(statuses, &found[..count], decided.verdict) };
        }
        Ok(status_of(decided.verdict))
    })
}

type Change = fn(&Session<'_>, &mut Reservation, &[u64]) -> Result<Decision, ReservationError>;

/// Changes a reservation.
///
/// # Safety
/// The pointers meet the contract of the public function.
unsafe fn change(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    reservation: *mut tollgate_reservation,
    amounts: *const u64,
    count: usize,
    decision: *mut tollgate_decision,
    change: Change,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's contract.
        let handle = unsafe { handle::value(limiter) }?;
        // SAFETY: as above.
        let (stored, amounts) = unsafe { (stored(reservation)?, slice(amounts, count)?) };
        if !decision.is_null() {
            aligned(decision)?;
        }
        // SAFETY: as above.
        let session = unsafe { session_at(handle, now) }?;
        let decided = change(&session, stored, amounts).map_err(status_of_error)?;
        // SAFETY: as above.
        unsafe { write_optional(decision, (&decided).into()) }?;
        Ok(status_of(decided.verdict))
    })
}

/// Adds to all charges of a reservation or to none: `more[i]` units to the charge with index i.
/// `count` is the number of charges of the reservation. `decision` may be NULL. If the result is not
/// `TOLLGATE_OK`, nothing is added and the reservation stays open: stop the work, then settle.
///
/// One thread at a time for one reservation. Results: as `tollgate_check`. Errors:
/// `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE` (not a reservation), `TOLLGATE_E_CLOSED`,
/// `TOLLGATE_E_FOREIGN`, `TOLLGATE_E_AMOUNTS`, `TOLLGATE_E_ARGUMENT`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_extend(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    reservation: *mut tollgate_reservation,
    more: *const u64,
    count: usize,
    decision: *mut tollgate_decision,
) -> tollgate_status {
    let operation: Change = |session, reservation, more| session.extend(reservation, more);
    // SAFETY: the caller's contract.
    unsafe { change(limiter, now, reservation, more, count, decision, operation) }
}

/// Closes a reservation with its actual costs: `actual[i]` units for the charge with index i. `count`
/// is the number of charges of the reservation. `decision` may be NULL.
///
/// An overestimate is refunded to the window or period that was charged, unless that has passed. If
/// the first charge of the reservation has expired, at most its last extension is refunded. An
/// underestimate is charged even over the limit, and the excess blocks later requests until it has
/// expired.
///
/// One thread at a time for one reservation. Returns `TOLLGATE_OK`, or `TOLLGATE_TABLE_FULL` if a
/// table has no room for a key any more: the excess of that charge is then not recorded, but the
/// other charges are settled and the reservation is closed. Errors: as `tollgate_extend`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_settle(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    reservation: *mut tollgate_reservation,
    actual: *const u64,
    count: usize,
    decision: *mut tollgate_decision,
) -> tollgate_status {
    let operation: Change = |session, reservation, actual| session.settle(reservation, actual);
    // SAFETY: the caller's contract.
    unsafe { change(limiter, now, reservation, actual, count, decision, operation) }
}

/// Closes a reservation with a cost of 0 for each charge. `decision` may be NULL. Threads, results and
/// errors: as `tollgate_settle`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_cancel(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    reservation: *mut tollgate_reservation,
    decision: *mut tollgate_decision,
) -> tollgate_status {
    let operation: Change = |session, reservation, _| session.cancel(reservation);
    // SAFETY: the caller's contract.
    unsafe { change(limiter, now, reservation, std::ptr::null(), 0, decision, operation) }
}

/// Returns the units charged so far for the charge with this index. After settling, they are its
/// actual cost, unless the table had no room for the excess. Errors: `TOLLGATE_E_NULL`,
/// `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT` if there is no such charge.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_reserved(
    reservation: *const tollgate_reservation,
    index: usize,
    units: *mut u64,
) -> tollgate_status {
    guard(|| {
        aligned(units)?;
        // SAFETY: the caller's contract; only read.
        let charged = unsafe { stored(reservation.cast_mut()) }?.charged(index);
        // SAFETY: the caller's contract.
        unsafe { write_optional(units, charged.ok_or(TOLLGATE_E_ARGUMENT)?) }?;
        Ok(TOLLGATE_OK)
    })
}
