//! The verbs of one request: check, peek, charge, refund, forget.

use crate::argument::{aligned, fits, read, read_optional, slice, write_optional};
use crate::charge::{charge_of, key_of, tollgate_charge};
use crate::clock::tollgate_now;
use crate::config::{Server, tollgate_limiter};
use crate::decision::{status_of, tollgate_decision, tollgate_policy_status};
use crate::guard::guard;
use crate::handle;
use crate::status::tollgate_status::{self, *};
use limiter::{
    Charge, Decision, Key, Limiter, MAX_CHARGES, Now, PolicyId, PolicyStatus, Session, Verdict,
};

/// A charge that stands for none in an array on the stack.
pub(crate) fn none<'k>() -> Charge<'k> {
    PolicyId::default().charge(Key::SHARED, 0)
}

/// The charges of one request, on the stack.
///
/// # Safety
/// The charges and their keys can be read for as long as the result is used.
#[inline(always)]
pub(crate) unsafe fn charges_of<'k, const MOST: usize>(
    charges: *const tollgate_charge,
    count: usize,
) -> Result<([Charge<'k>; MOST], usize), tollgate_status> {
    if count > MOST {
        return Err(TOLLGATE_E_TOO_MANY);
    }
    // SAFETY: the caller's promise.
    let given = unsafe { slice(charges, count) }?;
    let mut made = [none(); MOST];
    for (made, charge) in made.iter_mut().zip(given) {
        // SAFETY: the caller's promise.
        *made = unsafe { charge_of(charge) }?;
    }
    Ok((made, count))
}

/// The verbs at the caller's instant, or at the clock's.
///
/// # Safety
/// `now` is NULL or can be read.
#[inline(always)]
pub(crate) unsafe fn session_at(
    server: &Server,
    now: *const tollgate_now,
) -> Result<Session<'_>, tollgate_status> {
    // SAFETY: the caller's promise.
    Ok(session(&server.limiter, unsafe { instant(now) }?))
}

#[inline(always)]
fn session(limiter: &Limiter, now: Option<Now>) -> Session<'_> {
    match now {
        Some(now) => limiter.session_at(now),
        None => limiter.session(),
    }
}

/// The caller's instant, if there is one.
///
/// # Safety
/// `now` is NULL or can be read.
#[inline(always)]
unsafe fn instant(now: *const tollgate_now) -> Result<Option<Now>, tollgate_status> {
    // SAFETY: the caller's promise.
    Ok(unsafe { read_optional(now) }?.map(Now::from))
}

/// At the caller's instant, or at the clock's.
#[inline(always)]
fn check(limiter: &Limiter, now: Option<Now>, charges: &[Charge<'_>]) -> Decision {
    match now {
        Some(now) => limiter.check_at(now, charges),
        None => limiter.check(charges),
    }
}

/// As [`check`], and tells how each layer stands.
fn check_with_status(
    limiter: &Limiter,
    now: Option<Now>,
    charges: &[Charge<'_>],
    layers: &mut [PolicyStatus],
) -> Decision {
    match now {
        Some(now) => limiter.check_at_with_status(now, charges, layers),
        None => limiter.check_with_status(charges, layers),
    }
}

type Verb = fn(&Limiter, Option<Now>, &[Charge<'_>]) -> Decision;
type VerbWithStatus = fn(&Limiter, Option<Now>, &[Charge<'_>], &mut [PolicyStatus]) -> Decision;

/// A verb over one request.
///
/// # Safety
/// The pointers are as their functions say.
#[inline(always)]
unsafe fn decide(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    charges: *const tollgate_charge,
    count: usize,
    decision: *mut tollgate_decision,
    verb: Verb,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's promise.
        let (server, made) = unsafe { (handle::value(limiter)?, charges_of(charges, count)?) };
        let (charges, count): ([_; MAX_CHARGES], _) = made;
        if !decision.is_null() {
            aligned(decision)?;
        }
        // SAFETY: the caller's promise.
        let decided = verb(&server.limiter, unsafe { instant(now) }?, &charges[..count]);
        // SAFETY: as above.
        unsafe { write_optional(decision, (&decided).into()) }?;
        Ok(status_of(decided.verdict))
    })
}

/// A verb over one request that tells how each layer stands.
///
/// # Safety
/// The pointers are as their functions say.
unsafe fn decide_with_status(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    charges: *const tollgate_charge,
    count: usize,
    decision: *mut tollgate_decision,
    layers: *mut tollgate_policy_status,
    verb: VerbWithStatus,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's promise.
        let (server, made) = unsafe { (handle::value(limiter)?, charges_of(charges, count)?) };
        let (charges, count): ([_; MAX_CHARGES], _) = made;
        if !decision.is_null() {
            aligned(decision)?;
        }
        if count > 0 {
            fits(layers, count)?;
        }
        let mut told = [PolicyStatus::default(); MAX_CHARGES];
        // SAFETY: the caller's promise.
        let now = unsafe { instant(now) }?;
        let decided = verb(&server.limiter, now, &charges[..count], &mut told[..count]);
        // SAFETY: as above.
        unsafe { write_optional(decision, (&decided).into()) }?;
        // SAFETY: as above; there is one for each charge.
        unsafe { write_layers(layers, &told[..count], decided.verdict) };
        Ok(status_of(decided.verdict))
    })
}

/// Tells how each layer stands; after an error nothing.
///
/// # Safety
/// As many can be written, and the place is aligned.
pub(crate) unsafe fn write_layers(
    place: *mut tollgate_policy_status,
    told: &[PolicyStatus],
    verdict: Verdict,
) {
    if status_of(verdict).is_error() {
        return;
    }
    for (index, layer) in told.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { place.add(index).write(layer.into()) };
    }
}

/// Charges a request under all its policies, or under none.
///
/// If any policy has no room, nothing is charged; the decision names the first such policy in the
/// order of the charges, and the longest wait over all of them. Two charges to one key add up. At
/// most 16 charges; no charges at all are allowed. `now` may be NULL: then the limiter reads its
/// clock. `decision` may be NULL.
///
/// Any thread. Allocates nothing for a known key; takes no lock.
///
/// Answers `TOLLGATE_OK`, `TOLLGATE_DENIED`, `TOLLGATE_IMPOSSIBLE` or `TOLLGATE_TABLE_FULL`.
/// Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT`, `TOLLGATE_E_POLICY`,
/// `TOLLGATE_E_TOO_MANY`; then nothing was charged, and of these only `TOLLGATE_E_POLICY` writes the
/// decision.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_check(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    charges: *const tollgate_charge,
    count: usize,
    decision: *mut tollgate_decision,
) -> tollgate_status {
    // SAFETY: the caller's promise.
    unsafe { decide(limiter, now, charges, count, decision, check) }
}

/// As `tollgate_check`, and tells how each policy stands after it: `layers[i]` is that of
/// `charges[i]`. There must be room for `count` of them. After an error they are untouched.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_check_with_status(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    charges: *const tollgate_charge,
    count: usize,
    decision: *mut tollgate_decision,
    layers: *mut tollgate_policy_status,
) -> tollgate_status {
    // SAFETY: the caller's promise.
    unsafe { decide_with_status(limiter, now, charges, count, decision, layers, check_with_status) }
}

/// One charge to one key of bytes: `tollgate_check` without a struct to fill in.
///
/// # Safety
/// See the introduction.
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
        // SAFETY: the caller's promise.
        let server = unsafe { handle::value(limiter) }?;
        // SAFETY: as above.
        let key = unsafe { slice(key.cast::<u8>(), key_size) }?;
        if !decision.is_null() {
            aligned(decision)?;
        }
        let charge = [PolicyId::from_bits(policy).charge(key, cost)];
        // SAFETY: as above.
        let decided = check(&server.limiter, unsafe { instant(now) }?, &charge);
        // SAFETY: as above.
        unsafe { write_optional(decision, (&decided).into()) }?;
        Ok(status_of(decided.verdict))
    })
}

/// Checks many requests of one charge each: `decisions[i]` is that of `charges[i]`. The same as
/// `tollgate_check` for each of them in order and at one instant, but the memory that they need is
/// asked for ahead, so that keys which are in no cache wait together and not one by one.
///
/// `decisions` and `allowed`, how many were allowed, may be NULL. Answers `TOLLGATE_OK` whatever was
/// decided. Errors: as `tollgate_check`, but a policy of another limiter is told by that charge's
/// decision alone. A charge whose key is none stops the batch: `TOLLGATE_E_ARGUMENT` or
/// `TOLLGATE_E_NULL`, and `allowed` tells of those before it; `*decisions` has been written for all
/// groups of 32 before it.
///
/// # Safety
/// See the introduction.
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
        // SAFETY: the caller's promise.
        let (server, charges) = unsafe { (handle::value(limiter)?, slice(charges, count)?) };
        if !decisions.is_null() && count > 0 {
            fits(decisions, count)?;
        }
        // SAFETY: as above.
        unsafe { write_optional(allowed, 0) }?;
        // SAFETY: as above.
        let session = unsafe { session_at(server, now) }?;
        let mut sum = 0;
        for (group, charges) in charges.chunks(GROUP).enumerate() {
            let mut made = [none(); GROUP];
            for (made, charge) in made.iter_mut().zip(charges) {
                // SAFETY: as above.
                *made = unsafe { charge_of(charge) }?;
            }
            let mut decided = [Decision::default(); GROUP];
            sum += session.check_many(&made[..charges.len()], &mut decided);
            if !decisions.is_null() {
                for (place, decided) in decided[..charges.len()].iter().enumerate() {
                    // SAFETY: as above; there is one for each charge.
                    unsafe { decisions.add(group * GROUP + place).write(decided.into()) };
                }
            }
            // SAFETY: as above.
            unsafe { write_optional(allowed, sum) }?;
        }
        Ok(TOLLGATE_OK)
    })
}

/// How many charges of a batch are decided together.
const GROUP: usize = 32;

/// What `tollgate_check` would decide; charges nothing. `remaining` is what is left without the
/// request. Other threads may spend it in the next moment.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_peek(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    charges: *const tollgate_charge,
    count: usize,
    decision: *mut tollgate_decision,
) -> tollgate_status {
    // SAFETY: the caller's promise.
    unsafe {
        decide(limiter, now, charges, count, decision, |limiter, now, charges| {
            session(limiter, now).peek(charges)
        })
    }
}

/// As `tollgate_peek`, and tells how each policy stands, as `tollgate_check_with_status` does.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_peek_with_status(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    charges: *const tollgate_charge,
    count: usize,
    decision: *mut tollgate_decision,
    layers: *mut tollgate_policy_status,
) -> tollgate_status {
    let verb: VerbWithStatus =
        |limiter, now, charges, layers| session(limiter, now).peek_with_status(charges, layers);
    // SAFETY: the caller's promise.
    unsafe { decide_with_status(limiter, now, charges, count, decision, layers, verb) }
}

/// Charges whatever the usage is, for costs that are known only afterwards. Usage may then exceed
/// the limit, and later requests are denied until it has passed.
///
/// Answers `TOLLGATE_OK`, or `TOLLGATE_TABLE_FULL`. Errors: as `tollgate_check`.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_force_charge(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    charges: *const tollgate_charge,
    count: usize,
    decision: *mut tollgate_decision,
) -> tollgate_status {
    // SAFETY: the caller's promise.
    unsafe {
        decide(limiter, now, charges, count, decision, |limiter, now, charges| {
            session(limiter, now).force_charge(charges)
        })
    }
}

/// Gives up to the cost of a charge back to its key; `given`, how much that was, may be NULL. Units
/// are taken from the oldest charges that still count: give back only what still counts.
///
/// Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT`, `TOLLGATE_E_POLICY`.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_refund(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    charge: *const tollgate_charge,
    given: *mut u64,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's promise.
        let (server, charge) = unsafe { (handle::value(limiter)?, read(charge)?) };
        // SAFETY: as above.
        unsafe { write_optional(given, 0) }?;
        // SAFETY: as above.
        let units = unsafe { session_at(server, now)?.refund(&charge_of(&charge)?) }?;
        // SAFETY: as above.
        unsafe { write_optional(given, units) }?;
        Ok(TOLLGATE_OK)
    })
}

/// Forgets everything that the key of `charge` has used under its policy; the cost does not matter.
/// Close the key's open reservations first: what they give back afterwards may be units that were
/// charged since.
///
/// Errors: as `tollgate_refund`.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_reset_key(
    limiter: *const tollgate_limiter,
    now: *const tollgate_now,
    charge: *const tollgate_charge,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's promise.
        let (server, charge) = unsafe { (handle::value(limiter)?, read(charge)?) };
        let policy = PolicyId::from_bits(charge.policy);
        // SAFETY: as above.
        unsafe { session_at(server, now)?.reset_key(policy, key_of(&charge)?) }?;
        Ok(TOLLGATE_OK)
    })
}
