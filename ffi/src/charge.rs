//! Charges in C, and their conversion to the Rust type.

use crate::argument::slice;
use crate::key::{Room, room, tollgate_key, with_key};
use crate::status::tollgate_status::{self, TOLLGATE_E_TOO_MANY};
use limiter::{Charge, Key, PolicyId};
use std::mem::MaybeUninit;

/// In place of the `limit` of a charge: the charge has no limit of its own, so the policy's applies.
pub const TOLLGATE_POLICY_LIMIT: u64 = u64::MAX;

/// One charge of a request: a policy, a key and a cost. The `tollgate_charge_*` functions at the end of
/// this header fill it in, with `TOLLGATE_POLICY_LIMIT`. A charge that you fill in yourself needs its
/// `limit`: zero bytes mean a limit of 0, which refuses every cost above 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tollgate_charge {
    /// A policy of the limiter, from `tollgate_policy_find` or `tollgate_policy_at`.
    pub policy: u64,
    /// The key.
    pub key: tollgate_key,
    /// Units of cost. A cost of 0 is allowed while the usage is within the limit, and writes
    /// nothing.
    pub cost: u64,
    /// `TOLLGATE_POLICY_LIMIT` for the policy's own limit, or another limit for this charge. A limit
    /// above the policy's `max_limit` is lowered to it. 0 refuses every cost above 0, with
    /// `TOLLGATE_IMPOSSIBLE`; a cost of 0 is then allowed while the usage is 0.
    pub limit: u64,
}

/// Memory for the converted charges of a request of up to `MAX` charges, and for the parts of their
/// keys. Nothing is initialized before a request is converted.
pub(crate) struct ChargeBuffer<'k, const MAX: usize> {
    charges: [MaybeUninit<Charge<'k>>; MAX],
    rooms: [Room<'k>; MAX],
}

impl<'k, const MAX: usize> ChargeBuffer<'k, MAX> {
    pub(crate) const fn new() -> Self {
        ChargeBuffer { charges: [MaybeUninit::uninit(); MAX], rooms: [room(); MAX] }
    }

    /// Converts the charges of one request.
    ///
    /// # Safety
    /// The charges are readable, and so are the bytes and parts of their keys for as long as the result is
    /// used.
    #[inline(always)]
    pub(crate) unsafe fn convert(
        &'k mut self,
        charges: *const tollgate_charge,
        count: usize,
    ) -> Result<&'k [Charge<'k>], tollgate_status> {
        let converted = self.charges.get_mut(..count).ok_or(TOLLGATE_E_TOO_MANY)?;
        // SAFETY: the caller's contract.
        let charges = unsafe { slice(charges, count) }?;
        for ((converted, charge), room) in converted.iter_mut().zip(charges).zip(&mut self.rooms) {
            let write = |key| {
                converted.write(charge_to(charge, key));
            };
            // SAFETY: the caller's contract.
            unsafe { with_key(&charge.key, room, write) }?;
        }
        // SAFETY: each was written; there are as many charges as elements, and at least as many rooms.
        Ok(unsafe { converted.assume_init_ref() })
    }
}

/// Converts a charge. The parts of its key are written to `room`.
///
/// # Safety
/// The key's bytes and parts are readable for as long as the result is used.
pub(crate) unsafe fn charge_of<'k>(
    charge: &tollgate_charge,
    room: &'k mut Room<'k>,
) -> Result<Charge<'k>, tollgate_status> {
    // SAFETY: the caller's contract.
    unsafe { with_key(&charge.key, room, |key| charge_to(charge, key)) }
}

/// Converts a charge to a key that was converted.
#[inline(always)]
fn charge_to<'k>(charge: &tollgate_charge, key: Key<'k>) -> Charge<'k> {
    let converted = PolicyId::from_bits(charge.policy).charge(key, charge.cost);
    match charge.limit {
        TOLLGATE_POLICY_LIMIT => converted,
        limit => converted.limit(limit),
    }
}
