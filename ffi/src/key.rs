//! Keys in C, and their conversion to the Rust type.

use crate::argument::slice;
use crate::sockaddr;
use crate::status::tollgate_status::{self, *};
use limiter::Key;
use std::mem::MaybeUninit;
use std::net::IpAddr;

/// Key kind: `size` bytes at `data`, for example a user name. NULL with 0 bytes is the empty key.
pub const TOLLGATE_KEY_BYTES: u32 = 0;
/// Key kind: the number in `number`.
pub const TOLLGATE_KEY_NUMBER: u32 = 1;
/// Key kind: an IP address, `size` (4 or 16) bytes at `data` in network order. Some IPv6 addresses
/// stand for an IPv4 address and count as that one: mapped addresses (`::ffff:192.0.2.1`),
/// IPv4-compatible ones (`::192.0.2.1`, but not `::` and `::1`), and NAT64 addresses with the
/// well-known prefix (`64:ff9b::192.0.2.1`). All others count as IPv6, also local NAT64
/// (`64:ff9b:1::/48`), 6to4 and Teredo addresses.
pub const TOLLGATE_KEY_IP: u32 = 2;
/// Key kind: a single key, shared by all requests.
pub const TOLLGATE_KEY_SHARED: u32 = 3;
/// Key kind: the IP address in a `struct sockaddr` of `size` bytes at `data`, with any alignment. It is
/// the same key as that address as `TOLLGATE_KEY_IP`: the port does not count. The family must be
/// `AF_INET` or `AF_INET6`. Only on Unix.
pub const TOLLGATE_KEY_SOCKADDR: u32 = 4;
/// Key kind: several parts, `size` values of type `tollgate_key` at `data`, at most
/// `TOLLGATE_MAX_PARTS`. Such keys are equal if all their parts are, in the same order: ("ab", "c")
/// differs from ("a", "bc") and from "abc". A part has any other kind.
pub const TOLLGATE_KEY_PARTS: u32 = 5;

/// The greatest number of parts of a key.
pub const TOLLGATE_MAX_PARTS: usize = 8;

/// The key of a charge, or a part of a key. Keys of different kinds are never equal, and a key with
/// parts never equals a key without. The `tollgate_key_*` functions at the end of this header fill it
/// in.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tollgate_key {
    /// The bytes, the address or the parts, for the kinds that have them; not kept.
    pub data: *const std::ffi::c_void,
    /// The number of bytes or parts.
    pub size: usize,
    /// The number, for `TOLLGATE_KEY_NUMBER`; else 0.
    pub number: u64,
    /// The kind: one of `TOLLGATE_KEY_*`.
    pub kind: u32,
    /// An IPv4 address counts by its first `v4_prefix` bits, 1 to 32; 0 means 32. Must be 0 if the key
    /// is not an address.
    pub v4_prefix: u8,
    /// An IPv6 address counts by its first `v6_prefix` bits, 1 to 128; 0 means 64. Must be 0 if the key
    /// is not an address.
    pub v6_prefix: u8,
    /// Reserved: must be 0.
    pub reserved: u16,
}

/// Memory for the parts of one key.
pub(crate) type Room<'k> = [MaybeUninit<Key<'k>>; TOLLGATE_MAX_PARTS];

/// Memory for the parts of one key, not initialized.
pub(crate) const fn room<'k>() -> Room<'k> {
    [MaybeUninit::uninit(); TOLLGATE_MAX_PARTS]
}

/// Converts a key, and passes it to `then`. The parts of the key are written to `room`.
///
/// # Safety
/// The key's bytes and parts are readable for as long as the result is used.
#[inline(always)]
pub(crate) unsafe fn with_key<'k, T>(
    key: &tollgate_key,
    room: &'k mut Room<'k>,
    then: impl FnOnce(Key<'k>) -> T,
) -> Result<T, tollgate_status> {
    // SAFETY: the caller's contract.
    unsafe { with_frequent_key(key, then, || rare_key(key, room)) }
}

/// Passes a key of a frequent kind to `then`, or else the result of `rare`. Each kind calls `then` itself,
/// so that it writes the key directly to where `then` puts it.
///
/// # Safety
/// The key's bytes are readable for as long as the result is used.
#[inline(always)]
unsafe fn with_frequent_key<'k, T>(
    key: &tollgate_key,
    then: impl FnOnce(Key<'k>) -> T,
    rare: impl FnOnce() -> Result<Key<'k>, tollgate_status>,
) -> Result<T, tollgate_status> {
    const BYTES: u64 = TOLLGATE_KEY_BYTES as u64;
    const NUMBER: u64 = TOLLGATE_KEY_NUMBER as u64;
    const IP: u64 = TOLLGATE_KEY_IP as u64;
    const SHARED: u64 = TOLLGATE_KEY_SHARED as u64;
    let others = [key.v4_prefix, key.v6_prefix].map(u64::from);
    let others = u64::from(key.reserved) << 16 | others[1] << 8 | others[0];
    // One comparison of all fields: the kind is frequent, and the other fields are 0.
    Ok(match others << 32 | u64::from(key.kind) {
        // SAFETY: the caller's contract.
        BYTES => then(Key::from(unsafe { bytes(key) }?)),
        NUMBER => then(Key::from(key.number)),
        // SAFETY: the caller's contract.
        IP => then(Key::from(address(unsafe { bytes(key) }?).ok_or(TOLLGATE_E_ARGUMENT)?)),
        SHARED => then(Key::SHARED),
        _ => then(rare()?),
    })
}

/// Converts a key that is not frequent. Not inlined.
///
/// # Safety
/// As [`with_key`].
#[inline(never)]
unsafe fn rare_key<'k>(
    key: &tollgate_key,
    room: &'k mut Room<'k>,
) -> Result<Key<'k>, tollgate_status> {
    if key.kind != TOLLGATE_KEY_PARTS {
        // SAFETY: the caller's contract.
        return unsafe { network_key(key) };
    }
    if (key.v4_prefix, key.v6_prefix, key.reserved) != (0, 0, 0) {
        return Err(TOLLGATE_E_ARGUMENT);
    }
    let room = room.get_mut(..key.size).ok_or(TOLLGATE_E_TOO_MANY)?;
    // SAFETY: the caller's contract.
    let parts = unsafe { slice(key.data.cast::<tollgate_key>(), key.size) }?;
    for (converted, part) in room.iter_mut().zip(parts) {
        // SAFETY: the caller's contract. A part that has parts is an error.
        let part = unsafe { with_frequent_key(part, |key| key, || network_key(part)) }?;
        converted.write(part);
    }
    // SAFETY: there is a part for each element, and each was written.
    Ok(Key::parts(unsafe { room.assume_init_ref() }))
}

/// Converts an address with prefix lengths, or of a socket. Keys of other kinds are an error.
///
/// # Safety
/// The key's bytes are readable.
unsafe fn network_key(key: &tollgate_key) -> Result<Key<'static>, tollgate_status> {
    let tollgate_key { v4_prefix, v6_prefix, .. } = *key;
    if key.reserved != 0 || v4_prefix > 32 || v6_prefix > 128 {
        return Err(TOLLGATE_E_ARGUMENT);
    }
    let address = match key.kind {
        // SAFETY: the caller's contract.
        TOLLGATE_KEY_IP => address(unsafe { bytes(key) }?),
        TOLLGATE_KEY_SOCKADDR if key.data.is_null() => return Err(TOLLGATE_E_NULL),
        // SAFETY: the caller's contract.
        TOLLGATE_KEY_SOCKADDR => sockaddr::address(unsafe { bytes(key) }?),
        _ => None,
    };
    let or = |given: u8, default: u8| if given == 0 { default } else { given };
    let address = address.ok_or(TOLLGATE_E_ARGUMENT)?;
    Ok(Key::network(address, or(v4_prefix, 32), or(v6_prefix, 64)))
}

/// The bytes of a key.
///
/// # Safety
/// They are readable for as long as the result is used.
#[inline(always)]
unsafe fn bytes<'k>(key: &tollgate_key) -> Result<&'k [u8], tollgate_status> {
    // SAFETY: the caller's contract.
    unsafe { slice(key.data.cast(), key.size) }
}

/// An address of 4 or 16 bytes.
#[inline(always)]
fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
