//! The network by which an address is counted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The first 96 bits of an IPv6 address that stands for an IPv4 address.
const COMPATIBLE: u128 = 0;
const MAPPED: u128 = 0xffff;
const NAT64: u128 = 0x64_ff9b << 64;

/// Replaces an IPv6 address that stands for an IPv4 address by that address.
#[inline]
pub(super) fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => embedded_v4(v6).map_or(address, IpAddr::V4),
    }
}

#[inline]
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = address.to_bits();
    let stands_for_v4 = match bits >> 32 {
        // `::` and `::1` have a meaning of their own.
        COMPATIBLE => bits > 1,
        MAPPED | NAT64 => true,
        _ => false,
    };
    stands_for_v4.then(|| Ipv4Addr::from_bits(bits as u32))
}

/// The first `prefix` bits of an address; the other bits are 0.
#[inline]
pub(super) fn v4(address: Ipv4Addr, prefix: u8) -> u32 {
    let host_bits = 32 - u32::from(prefix);
    address.to_bits() & u32::MAX.checked_shl(host_bits).unwrap_or(0)
}

/// The first `prefix` bits of an address; the other bits are 0.
#[inline]
pub(super) fn v6(address: Ipv6Addr, prefix: u8) -> u128 {
    let host_bits = 128 - u32::from(prefix);
    address.to_bits() & u128::MAX.checked_shl(host_bits).unwrap_or(0)
}
