//! Who a request is charged to, as C says it.

use crate::status::tollgate_status::{self, *};
use limiter::{Charge, Key, PolicyId};
use std::net::IpAddr;

/// The key is `key_size` bytes at `key`: a user's name, say. NULL with 0 bytes is the empty key.
pub const TOLLGATE_KEY_BYTES: u32 = 0;
/// The key is `number`.
pub const TOLLGATE_KEY_NUMBER: u32 = 1;
/// The key is an address: 4 or 16 bytes at `key`, in network order. IPv6 addresses count by their
/// first `number` bits, 0 for 64; IPv4 addresses whole, also when they come mapped into IPv6.
pub const TOLLGATE_KEY_IP: u32 = 2;
/// One key for everybody.
pub const TOLLGATE_KEY_SHARED: u32 = 3;

/// One line of a request: who pays how much under which policy. Keys of different kinds never
/// compare equal. `tollgate_charge_bytes` and the like in this header fill one in.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tollgate_charge {
    /// From `tollgate_policy_find` or `tollgate_policy_at`.
    pub policy: u64,
    /// The key's bytes, as its kind says; not kept.
    pub key: *const std::ffi::c_void,
    /// How many bytes.
    pub key_size: usize,
    /// As the key's kind says; else 0.
    pub number: u64,
    /// Units of cost. 0 asks whether the usage is within the limit, and writes nothing.
    pub cost: u64,
    /// A limit in place of the policy's own, cut to its greatest; 0: the policy's own.
    pub limit: u64,
    /// One of `TOLLGATE_KEY_*`.
    pub key_kind: u32,
    /// 0.
    pub reserved: u32,
}

/// # Safety
/// The key's bytes can be read for as long as the charge is used.
#[inline(always)]
pub(crate) unsafe fn charge_of<'k>(
    charge: &tollgate_charge,
) -> Result<Charge<'k>, tollgate_status> {
    // SAFETY: the caller's promise.
    let key = unsafe { key_of(charge) }?;
    let made = PolicyId::from_bits(charge.policy).charge(key, charge.cost);
    Ok(if charge.limit > 0 { made.limit(charge.limit) } else { made })
}

/// # Safety
/// As [`charge_of`].
#[inline(always)]
pub(crate) unsafe fn key_of<'k>(charge: &tollgate_charge) -> Result<Key<'k>, tollgate_status> {
    // SAFETY: the caller's promise.
    let bytes = || unsafe { crate::argument::slice(charge.key.cast::<u8>(), charge.key_size) };
    match charge.key_kind {
        TOLLGATE_KEY_BYTES => Ok(Key::from(bytes()?)),
        TOLLGATE_KEY_NUMBER => Ok(Key::from(charge.number)),
        TOLLGATE_KEY_IP => address(bytes()?, charge.number),
        TOLLGATE_KEY_SHARED => Ok(Key::SHARED),
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
        1..=128 => Ok(Key::ip(address, prefix as u8)),
        _ => Err(TOLLGATE_E_ARGUMENT),
    }
}
