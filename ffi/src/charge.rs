//! Keys and charges in C, and their conversion to the Rust types.

use crate::status::tollgate_status::{self, *};
use limiter::{Charge, Key, PolicyId};
use std::net::IpAddr;

/// Key kind: `key_size` bytes at `key`, for example a user name. NULL with 0 bytes is the empty
/// key.
pub const TOLLGATE_KEY_BYTES: u32 = 0;
/// Key kind: the number in `number`.
pub const TOLLGATE_KEY_NUMBER: u32 = 1;
/// Key kind: an IP address, 4 or 16 bytes at `key` in network order. An IPv6 address counts by its
/// first `number` bits; 0 means 64. An IPv4 address counts in full, also if it is mapped into IPv6.
pub const TOLLGATE_KEY_IP: u32 = 2;
/// Key kind: a single key, shared by all requests.
pub const TOLLGATE_KEY_SHARED: u32 = 3;

/// In place of the `limit` of a charge: the charge has no limit of its own, so the policy's applies.
pub const TOLLGATE_POLICY_LIMIT: u64 = u64::MAX;

/// One charge of a request: a policy, a key and a cost. Keys of different kinds are never equal.
/// The `tollgate_charge_*` functions at the end of this header fill it in, with
/// `TOLLGATE_POLICY_LIMIT`. A charge that you fill in yourself needs its `limit`: zero bytes mean a
/// limit of 0, which refuses every cost above 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tollgate_charge {
    /// A policy of the limiter, from `tollgate_policy_find` or `tollgate_policy_at`.
    pub policy: u64,
    /// The bytes of the key, for the kinds that use them; not kept.
    pub key: *const std::ffi::c_void,
    /// The number of bytes.
    pub key_size: usize,
    /// The number, for the kinds that use it; else 0.
    pub number: u64,
    /// Units of cost. A cost of 0 is allowed while the usage is within the limit, and writes
    /// nothing.
    pub cost: u64,
    /// `TOLLGATE_POLICY_LIMIT` for the policy's own limit, or another limit for this charge. A limit
    /// above the policy's `max_limit` is lowered to it. 0 refuses every cost above 0, with
    /// `TOLLGATE_IMPOSSIBLE`; a cost of 0 is then allowed while the usage is 0.
    pub limit: u64,
    /// The key kind: one of `TOLLGATE_KEY_*`.
    pub key_kind: u32,
    /// Reserved: must be 0.
    pub reserved: u32,
}

/// Converts a charge.
///
/// # Safety
/// The key's bytes are readable for as long as the charge is used.
#[inline(always)]
pub(crate) unsafe fn charge_of<'k>(
    charge: &tollgate_charge,
) -> Result<Charge<'k>, tollgate_status> {
    // SAFETY: the caller's contract.
    let key = unsafe { key_of(charge) }?;
    let converted = PolicyId::from_bits(charge.policy).charge(key, charge.cost);
    Ok(match charge.limit {
        TOLLGATE_POLICY_LIMIT => converted,
        limit => converted.limit(limit),
    })
}

/// Converts the key of a charge.
///
/// # Safety
/// As [`charge_of`].
#[inline(always)]
pub(crate) unsafe fn key_of<'k>(charge: &tollgate_charge) -> Result<Key<'k>, tollgate_status> {
    // SAFETY: the caller's contract.
    let bytes = || unsafe { crate::argument::slice(charge.key.cast::<u8>(), charge.key_size) };
    const BYTES: u64 = TOLLGATE_KEY_BYTES as u64;
    const NUMBER: u64 = TOLLGATE_KEY_NUMBER as u64;
    const IP: u64 = TOLLGATE_KEY_IP as u64;
    const SHARED: u64 = TOLLGATE_KEY_SHARED as u64;
    // One comparison of both fields: with a reserved field that is not 0, no kind is valid.
    match u64::from(charge.reserved) << 32 | u64::from(charge.key_kind) {
        BYTES => Ok(Key::from(bytes()?)),
        NUMBER => Ok(Key::from(charge.number)),
        IP => address(bytes()?, charge.number),
        SHARED => Ok(Key::SHARED),
        _ => Err(TOLLGATE_E_ARGUMENT),
    }
}

fn address(bytes: &[u8], prefix: u64) -> Result<Key<'static>, tollgate_status> {
    let address = match (<[u8; 4]>::try_from(bytes), <[u8; 16]>::try_from(bytes)) {
        (Ok(v4), _) => IpAddr::from(v4),
        (_, Ok(v6)) => IpAddr::from(v6),
        _ => return Err(TOLLGATE_E_ARGUMENT),
    };
    match prefix {
        0 => Ok(Key::from(address)),
        1..=128 => Ok(Key::network(address, 32, prefix as u8)),
        _ => Err(TOLLGATE_E_ARGUMENT),
    }
}
