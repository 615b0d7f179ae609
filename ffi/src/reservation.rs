//! Charges whose cost is known only afterwards, in memory of the caller's.

use crate::argument::{aligned, slice, write_optional};
use crate::charge::tollgate_charge;
use crate::clock::tollgate_now;
use crate::config::{Server, tollgate_limiter};
use crate::decision::{status_of, tollgate_decision, tollgate_policy_status};
use crate::guard::guard;
use crate::handle;
use crate::request::{charges_of, session_at, write_layers};
use crate::status::tollgate_status::{self, *};
use limiter::{Decision, MAX_RESERVED, PolicyStatus, Reservation, ReservationError, Session};
use std::mem::ManuallyDrop;

/// 64-bit numbers that a reservation takes.
pub const TOLLGATE_RESERVATION_WORDS: usize = 128;

/// A request that has been charged an estimate, and may cost more or less. Plain memory of the
/// caller's: it may be copied to another place, sent between threads, and forgotten; then the
/// estimate stays charged until its window has passed. Of several copies use one. Nothing is to be
/// freed.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tollgate_reservation {
    /// Written by `tollgate_reserve` and by nobody else.
    pub opaque: [u64; TOLLGATE_RESERVATION_WORDS],
}

/// What is in the caller's memory.
#[repr(C)]
struct Held {
    mark: u64,
    reservation: ManuallyDrop<Reservation>,
}

const MARK: u64 = u64::from_le_bytes(*b"tgreserv");

const _: () = assert!(size_of::<Held>() <= size_of::<tollgate_reservation>());
const _: () = assert!(align_of::<Held>() <= align_of::<tollgate_reservation>());

/// # Safety
/// The place is NULL or can be read and written, by this thread alone.
unsafe fn held<'a>(
    place: *mut tollgate_reservation,
) -> Result<&'a mut Reservation, tollgate_status> {
    aligned(place)?;
    let place = place.cast::<Held>();
    // SAFETY: the caller's promise; the mark lies within.
    if unsafe { (&raw const (*place).mark).read() } != MARK {
        return Err(TOLLGATE_E_HANDLE);
    }
    // SAFETY: what has the mark was written by `reserve`.
    Ok(unsafe { &mut (*place).reservation })
}

fn status_of_error(error: ReservationError) -> tollgate_status {
    match error {
        ReservationError::Closed => TOLLGATE_E_CLOSED,
        ReservationError::Foreign => TOLLGATE_E_FOREIGN,
        ReservationError::Amounts { .. } => TOLLGATE_E_AMOUNTS,
        _ => TOLLGATE_E_ARGUMENT,
    }
}

/// Charges an estimate under all policies of a request, or under none: at most 8 charges. What was
/// charged stays so until it is settled, so that requests that run at the same time cannot spend the
/// same units.
///
/// `decision` may be NULL. `layers` may be NULL; else there must be room for `count`. The
/// reservation is written if the answer is `TOLLGATE_OK`, and marked as none otherwise.
///
/// Answers and errors: as `tollgate_check`.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_reserve(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    charges: *const tollgate_charge,
    count: usize,
    reservation: *mut tollgate_reservation,
    decision: *mut tollgate_decision,
    layers: *mut tollgate_policy_status,
) -> tollgate_status {
    guard(|| {
        aligned(reservation)?;
        let place = reservation.cast::<Held>();
        // SAFETY: the caller's promise; the mark lies within.
        unsafe { (&raw mut (*place).mark).write(0) };
        // SAFETY: the caller's promise.
        let (server, made) = unsafe { (handle::value(limiter)?, charges_of(charges, count)?) };
        let (charges, count): ([_; MAX_RESERVED], _) = made;
        if !decision.is_null() {
            aligned(decision)?;
        }
        if !layers.is_null() {
            crate::argument::fits(layers, count)?;
        }
        let mut told = [PolicyStatus::default(); MAX_RESERVED];
        // SAFETY: as above.
        let session = unsafe { session_at(server, now) }?;
        let reserved = session.reserve_with_status(&charges[..count], &mut told[..count]);
        let decided = match reserved {
            Ok(made) => {
                let decided = made.decision();
                let held = Held { mark: MARK, reservation: ManuallyDrop::new(made) };
                // SAFETY: as above, and as large as that.
                unsafe { place.write(held) };
                decided
            }
            Err(decided) => decided,
        };
        // SAFETY: as above.
        unsafe { write_optional(decision, (&decided).into()) }?;
        if !layers.is_null() {
            // SAFETY: as above; there is one for each charge.
            unsafe { write_layers(layers, &told[..count], decided.verdict) };
        }
        Ok(status_of(decided.verdict))
    })
}

type Change = fn(&Session<'_>, &mut Reservation, &[u64]) -> Result<Decision, ReservationError>;

/// # Safety
/// The pointers are as their functions say.
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
        // SAFETY: the caller's promise.
        let server: &Server = unsafe { handle::value(limiter) }?;
        // SAFETY: as above.
        let (held, amounts) = unsafe { (held(reservation)?, slice(amounts, count)?) };
        if !decision.is_null() {
            aligned(decision)?;
        }
        // SAFETY: as above.
        let session = unsafe { session_at(server, now) }?;
        let decided = change(&session, held, amounts).map_err(status_of_error)?;
        // SAFETY: as above.
        unsafe { write_optional(decision, (&decided).into()) }?;
        Ok(status_of(decided.verdict))
    })
}

/// Charges `more[i]` units more to layer i of a reservation, or nothing to any: then the answer is
/// 'stop now', with the layer and the wait. One amount for each charge that was reserved.
///
/// One thread at a time for one reservation. Answers: as `tollgate_check`. Errors:
/// `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE` (no reservation), `TOLLGATE_E_CLOSED`,
/// `TOLLGATE_E_FOREIGN`, `TOLLGATE_E_AMOUNTS`, `TOLLGATE_E_ARGUMENT`.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_extend(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    reservation: *mut tollgate_reservation,
    more: *const u64,
    count: usize,
    decision: *mut tollgate_decision,
) -> tollgate_status {
    let verb: Change = |session, reservation, more| session.extend(reservation, more);
    // SAFETY: the caller's promise.
    unsafe { change(limiter, now, reservation, more, count, decision, verb) }
}

/// Closes a reservation with what each layer has really cost. Less than was reserved gives the
/// difference back to the window or the period that was charged: nothing if that has passed. More
/// charges the difference whatever the usage is, so that a debt blocks later requests until it has
/// passed.
///
/// Answers `TOLLGATE_OK`, or `TOLLGATE_TABLE_FULL` if a key found no place any more. Errors: as
/// `tollgate_extend`.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_settle(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    reservation: *mut tollgate_reservation,
    actual: *const u64,
    count: usize,
    decision: *mut tollgate_decision,
) -> tollgate_status {
    let verb: Change = |session, reservation, actual| session.settle(reservation, actual);
    // SAFETY: the caller's promise.
    unsafe { change(limiter, now, reservation, actual, count, decision, verb) }
}

/// Closes a reservation that has cost nothing. Answers and errors: as `tollgate_settle`.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_cancel(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    reservation: *mut tollgate_reservation,
    decision: *mut tollgate_decision,
) -> tollgate_status {
    let verb: Change = |session, reservation, _| session.cancel(reservation);
    // SAFETY: the caller's promise.
    unsafe { change(limiter, now, reservation, std::ptr::null(), 0, decision, verb) }
}

/// What is charged now to a layer of a reservation, in its units; after settling what it has cost.
/// Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT` beyond the last layer.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_reserved(
    reservation: *const tollgate_reservation,
    layer: usize,
    units: *mut u64,
) -> tollgate_status {
    guard(|| {
        aligned(units)?;
        // SAFETY: the caller's promise; only read.
        let charged = unsafe { held(reservation.cast_mut()) }?.charged(layer);
        // SAFETY: the caller's promise.
        unsafe { write_optional(units, charged.ok_or(TOLLGATE_E_ARGUMENT)?) }?;
        Ok(TOLLGATE_OK)
    })
}
