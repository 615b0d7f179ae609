//! Refunds, and resets of a key.

use crate::argument::{read, write_optional};
use crate::charge::{charge_of, tollgate_charge};
use crate::clock::tollgate_now;
use crate::guard::guard;
use crate::handle;
use crate::key::{room, with_key};
use crate::limiter::tollgate_limiter;
use crate::request::session_at;
use crate::status::tollgate_status::{self, TOLLGATE_OK};
use limiter::PolicyId;

/// Refunds up to the cost of a charge to its key. `refunded` is the number of units refunded; it
/// may be NULL. Any thread.
///
/// Units are taken from the oldest charges that still count. Refund only units that still count: a
/// refund of an expired charge takes units of other charges.
///
/// Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT`, `TOLLGATE_E_POLICY`,
/// `TOLLGATE_E_TOO_MANY` (parts of the key).
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_refund(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    charge: *const tollgate_charge,
    refunded: *mut u64,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's contract.
        let (handle, charge) = unsafe { (handle::value(limiter)?, read(charge)?) };
        let mut room = room();
        // SAFETY: as above.
        unsafe { write_optional(refunded, 0) }?;
        // SAFETY: as above.
        let units = unsafe { session_at(handle, now)?.refund(&charge_of(&charge, &mut room)?) }?;
        // SAFETY: as above.
        unsafe { write_optional(refunded, units) }?;
        Ok(TOLLGATE_OK)
    })
}

/// Clears the usage of the key of `charge` under its policy. The cost is ignored. Any thread.
///
/// The key's open reservations then hold nothing: settling one gives back at most its last extension, if
/// that was made after the reset. In a sliding policy, a charge at or before the time of the newest charge
/// before the reset is recorded one unit of the policy's resolution after that time. After many resets,
/// reservations of other keys may give back nothing.
///
/// Errors: as `tollgate_refund`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_reset_key(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    charge: *const tollgate_charge,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's contract.
        let (handle, charge) = unsafe { (handle::value(limiter)?, read(charge)?) };
        let mut room = room();
        let policy = PolicyId::from_bits(charge.policy);
        // SAFETY: as above.
        unsafe {
            session_at(handle, now)?.reset_key(policy, with_key(&charge.key, &mut room, |key| key)?)
        }?;
        Ok(TOLLGATE_OK)
    })
}
