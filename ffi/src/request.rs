//! Check, peek and forced charge.

use crate::argument::{aligned, fits, read_optional, slice, write_optional};
use crate::charge::{ChargeBuffer, tollgate_charge};
use crate::clock::tollgate_now;
use crate::decision::{status_of, tollgate_decision, tollgate_policy_status};
use crate::guard::guard;
use crate::handle;
use crate::limiter::{LimiterHandle, tollgate_limiter};
use crate::status::tollgate_status::{self, *};
use limiter::{
    Charge, Decision, Limiter, MAX_CHARGES, Now, PolicyId, PolicyStatus, Session, Verdict,
};

/// The number of charges that most requests do not exceed. Their buffer takes less of the stack.
const FEW: usize = 4;

/// Opens a session at the caller's time or, for NULL, at the clock's.
///
/// # Safety
/// `now` is NULL or readable.
#[inline(always)]
pub(crate) unsafe fn session_at(
    handle: &LimiterHandle,
    now: *const tollgate_now,
) -> Result<Session<'_>, tollgate_status> {
    // SAFETY: the caller's contract.
    Ok(session(&handle.limiter, unsafe { time(now) }?))
}

#[inline(always)]
fn session(limiter: &Limiter, now: Option<Now>) -> Session<'_> {
    match now {
        Some(now) => limiter.session_at(now),
        None => limiter.session(),
    }
}

/// The caller's time; `None` for NULL.
///
/// # Safety
/// `now` is NULL or readable.
#[inline(always)]
unsafe fn time(now: *const tollgate_now) -> Result<Option<Now>, tollgate_status> {
    // SAFETY: the caller's contract.
    Ok(unsafe { read_optional(now) }?.map(Now::from))
}

/// Checks a request at the caller's time, or at the clock's.
#[inline(always)]
fn check(limiter: &Limiter, now: Option<Now>, charges: &[Charge<'_>]) -> Decision {
    match now {
        Some(now) => limiter.check_at(now, charges),
        None => limiter.check(charges),
    }
}

/// [`check`] with the status of each policy.
fn check_with_status(
    limiter: &Limiter,
    now: Option<Now>,
    charges: &[Charge<'_>],
    statuses: &mut [PolicyStatus],
) -> Decision {
    match now {
        Some(now) => limiter.check_at_with_status(now, charges, statuses),
        None => limiter.check_with_status(charges, statuses),
    }
}

type Operation = fn(&Limiter, Option<Now>, &[Charge<'_>]) -> Decision;
type OperationWithStatus =
    fn(&Limiter, Option<Now>, &[Charge<'_>], &mut [PolicyStatus]) -> Decision;

/// Runs an operation on one request.
///
/// # Safety
/// The pointers meet the contract of the public function.
#[inline(always)]
unsafe fn decide(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    charges: *const tollgate_charge,
    count: usize,
    decision: *mut tollgate_decision,
    operation: Operation,
) -> tollgate_status {
    if count <= FEW {
        // SAFETY: the caller's contract.
        unsafe { decide_up_to::<FEW>(limiter, now, charges, count, decision, operation) }
    } else {
        // SAFETY: the caller's contract.
        unsafe { decide_up_to::<MAX_CHARGES>(limiter, now, charges, count, decision, operation) }
    }
}

/// Runs an operation on one request with up to `MAX` charges.
///
/// # Safety
/// The pointers meet the contract of the public function.
#[inline(always)]
unsafe fn decide_up_to<const MAX: usize>(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    charges: *const tollgate_charge,
    count: usize,
    decision: *mut tollgate_decision,
    operation: Operation,
) -> tollgate_status {
    guard(|| {
        let mut buffer = ChargeBuffer::<MAX>::new();
        // SAFETY: the caller's contract.
        let handle = unsafe { handle::value(limiter) }?;
        // SAFETY: as above.
        let charges = unsafe { buffer.convert(charges, count) }?;
        if !decision.is_null() {
            aligned(decision)?;
        }
        // SAFETY: as above.
        let decided = operation(&handle.limiter, unsafe { time(now) }?, charges);
        // SAFETY: as above.
        unsafe { write_optional(decision, (&decided).into()) }?;
        Ok(status_of(decided.verdict))
    })
}

/// Runs an operation on one request, and writes the status of each policy.
///
/// # Safety
/// The pointers meet the contract of the public function.
unsafe fn decide_with_status(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    charges: *const tollgate_charge,
    count: usize,
    decision: *mut tollgate_decision,
    statuses: *mut tollgate_policy_status,
    operation: OperationWithStatus,
) -> tollgate_status {
    guard(|| {
        let mut buffer = ChargeBuffer::<MAX_CHARGES>::new();
        // SAFETY: the caller's contract.
        let handle = unsafe { handle::value(limiter) }?;
        // SAFETY: as above.
        let charges = unsafe { buffer.convert(charges, count) }?;
        if !decision.is_null() {
            aligned(decision)?;
        }
        if count > 0 {
            fits(statuses, count)?;
        }
        let mut found = [PolicyStatus::default(); MAX_CHARGES];
        // SAFETY: the caller's contract.
        let now = unsafe { time(now) }?;
        let decided = operation(&handle.limiter, now, charges, &mut found[..count]);
        // SAFETY: as above.
        unsafe { write_optional(decision, (&decided).into()) }?;
        // SAFETY: as above; there is one for each charge.
        unsafe { write_statuses(statuses, &found[..count], decided.verdict) };
        Ok(status_of(decided.verdict))
    })
}

/// Writes the status of each policy. Writes nothing after an error.
///
/// # Safety
/// `out` is aligned and writable for as many statuses.
pub(crate) unsafe fn write_statuses(
    out: *mut tollgate_policy_status,
    statuses: &[PolicyStatus],
    verdict: Verdict,
) {
    if status_of(verdict).is_error() {
        return;
    }
    for (index, status) in statuses.iter().enumerate() {
        // SAFETY: the caller's contract.
        unsafe { out.add(index).write(status.into()) };
    }
}

/// Charges a request under all its policies or under none.
///
/// If any policy has no room, nothing is charged. The decision then names the first such policy, in
/// the order of the charges, and the longest wait over all policies. Several charges to one key under
/// one policy add up. A request has at most 16 charges; one without charges is allowed. `now` may be
/// NULL: the limiter then reads its clock. `decision` may be NULL.
///
/// Any thread. Takes no lock, and allocates nothing for keys that are already in a policy's table,
/// unless it renews a table's memory because of that memory's age.
///
/// Returns `TOLLGATE_OK`, `TOLLGATE_DENIED`, `TOLLGATE_IMPOSSIBLE` or `TOLLGATE_TABLE_FULL`.
/// Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT`, `TOLLGATE_E_POLICY`,
/// `TOLLGATE_E_TOO_MANY`. After an error nothing was charged, and the decision is written only for
/// `TOLLGATE_E_POLICY`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_check(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    charges: *const tollgate_charge,
    count: usize,
    decision: *mut tollgate_decision,
) -> tollgate_status {
    // SAFETY: the caller's contract.
    unsafe { decide(limiter, now, charges, count, decision, check) }
}

/// `tollgate_check` with the status of each policy: `statuses[i]` is for `charges[i]`. The array
/// must have room for `count` statuses. With `TOLLGATE_TABLE_FULL`, all fields of every status are 0.
/// After an error, the array is not written.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_check_with_status(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    charges: *const tollgate_charge,
    count: usize,
    decision: *mut tollgate_decision,
    statuses: *mut tollgate_policy_status,
) -> tollgate_status {
    // SAFETY: the caller's contract.
    unsafe {
        decide_with_status(limiter, now, charges, count, decision, statuses, check_with_status)
    }
}

/// `tollgate_check` for a single charge to a key of bytes.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_check_key(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    policy: u64,
    key: *const std::ffi::c_void,
    key_size: usize,
    cost: u64,
    decision: *mut tollgate_decision,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's contract.
        let handle = unsafe { handle::value(limiter) }?;
        // SAFETY: as above.
        let key = unsafe { slice(key.cast::<u8>(), key_size) }?;
        if !decision.is_null() {
            aligned(decision)?;
        }
        let charge = [PolicyId::from_bits(policy).charge(key, cost)];
        // SAFETY: as above.
        let decided = check(&handle.limiter, unsafe { time(now) }?, &charge);
        // SAFETY: as above.
        unsafe { write_optional(decision, (&decided).into()) }?;
        Ok(status_of(decided.verdict))
    })
}

/// Checks many requests of one charge each: `decisions[i]` is for `charges[i]`.
///
/// The result is that of `tollgate_check` for each charge in order, all at one time: `now`, or one
/// reading of the clock. The batch is faster if the keys are not in a CPU cache, because the cache
/// misses of several keys overlap. `*allowed` is the number of allowed requests. `decisions` and
/// `allowed` may be NULL.
///
/// Returns `TOLLGATE_OK` for any decisions. Errors: as `tollgate_check`, with three differences. Any
/// `count` is valid. A policy of another limiter is an error in its own decision only. The charges
/// are processed in groups of 32, and a charge with an invalid key stops the batch before its group,
/// with `TOLLGATE_E_ARGUMENT`, `TOLLGATE_E_NULL` or `TOLLGATE_E_TOO_MANY`: the earlier groups stay
/// charged, and `decisions` and `allowed` cover only them.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_check_many(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    charges: *const tollgate_charge,
    count: usize,
    decisions: *mut tollgate_decision,
    allowed: *mut usize,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's contract.
        let (handle, charges) = unsafe { (handle::value(limiter)?, slice(charges, count)?) };
        if !decisions.is_null() && count > 0 {
            fits(decisions, count)?;
        }
        // SAFETY: as above.
        unsafe { write_optional(allowed, 0) }?;
        // SAFETY: as above.
        let session = unsafe { session_at(handle, now) }?;
        let mut sum = 0;
        for (group, charges) in charges.chunks(GROUP).enumerate() {
            let mut buffer = ChargeBuffer::<GROUP>::new();
            // SAFETY: as above.
            let charges = unsafe { buffer.convert(charges.as_ptr(), charges.len()) }?;
            let mut decided = [Decision::default(); GROUP];
            sum += session.check_many(charges, &mut decided);
            if !decisions.is_null() {
                for (index, decided) in decided[..charges.len()].iter().enumerate() {
                    // SAFETY: as above; there is one for each charge.
                    unsafe { decisions.add(group * GROUP + index).write(decided.into()) };
                }
            }
            // SAFETY: as above.
            unsafe { write_optional(allowed, sum) }?;
        }
        Ok(TOLLGATE_OK)
    })
}

/// The number of charges of a batch that are decided together.
const GROUP: usize = 32;

/// Returns the decision of a `tollgate_check` without charging. `remaining` is what is left without
/// this request; other threads may use it before a later check. For a new key, the decision assumes
/// that the table has room, so the result is never `TOLLGATE_TABLE_FULL`. Arguments, other results
/// and errors: as `tollgate_check`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_peek(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    charges: *const tollgate_charge,
    count: usize,
    decision: *mut tollgate_decision,
) -> tollgate_status {
    // SAFETY: the caller's contract.
    unsafe {
        decide(limiter, now, charges, count, decision, |limiter, now, charges| {
            session(limiter, now).peek(charges)
        })
    }
}

/// `tollgate_peek` with the status of each policy, as in `tollgate_check_with_status`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_peek_with_status(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    charges: *const tollgate_charge,
    count: usize,
    decision: *mut tollgate_decision,
    statuses: *mut tollgate_policy_status,
) -> tollgate_status {
    let operation: OperationWithStatus =
        |limiter, now, charges, statuses| session(limiter, now).peek_with_status(charges, statuses);
    // SAFETY: the caller's contract.
    unsafe { decide_with_status(limiter, now, charges, count, decision, statuses, operation) }
}

/// Charges a request even over the limit, for costs that are known only afterwards. Later requests
/// are denied until the excess has expired. Units above 32 times the policy's `max_limit` in one
/// bucket (32 units if it is 0), or above twice the `max_limit` in one calendar period, may not be
/// counted.
///
/// Returns `TOLLGATE_OK` or `TOLLGATE_TABLE_FULL`. Errors: as `tollgate_check`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_force_charge(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    charges: *const tollgate_charge,
    count: usize,
    decision: *mut tollgate_decision,
) -> tollgate_status {
    // SAFETY: the caller's contract.
    unsafe {
        decide(limiter, now, charges, count, decision, |limiter, now, charges| {
            session(limiter, now).force_charge(charges)
        })
    }
}
