//! The key that a request is charged to.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr};

/// A key whose usage a policy counts: a user, an address, a tenant.
///
/// A key can have any length. It is hashed under random seeds and not stored. Two keys of one
/// policy with the same 64-bit hash share a counter. Among n keys, the probability of any such pair
/// is about n² / 2⁶⁵: 1 in 369,000 for 10 million keys. Keys of different kinds (text, number,
/// address) never compare equal.
///
/// ```
/// use std::net::IpAddr;
/// use tollgate::Key;
///
/// let user = Key::from("alice");
/// let tenant = Key::from(42_u64);
/// // IPv6 addresses count by their /64 network, the smallest that a subscriber gets.
/// // IPv4 addresses count whole, even if they are mapped into IPv6.
/// let one: IpAddr = "2001:db8::1".parse()?;
/// let other: IpAddr = "2001:db8::ffff".parse()?;
/// assert_eq!(Key::from(one), Key::from(other));
/// let mapped: IpAddr = "::ffff:192.0.2.1".parse()?;
/// let plain: IpAddr = "192.0.2.1".parse()?;
/// assert_eq!(Key::from(mapped), Key::from(plain));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<'k>(Kind<'k>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind<'k> {
    Shared,
    Bytes(&'k [u8]),
    Number(u64),
    V4(u32),
    V6 { network: u128, prefix: u8 },
}

/// No two kinds pass the same input to the hasher. Every kind except bytes ends with a number of its
/// own. Bytes are passed without such a number, because the hasher mixes in their length. For an
/// empty byte string, however, the AES hasher mixes in only a zero. So no other kind may pass a single
/// zero and nothing else.
impl Hash for Key<'_> {
    #[inline(always)]
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.0 {
            Kind::Bytes(bytes) => state.write(bytes),
            Kind::Number(number) => {
                state.write_u64(number);
                state.write_u64(1);
            }
            Kind::V4(address) => {
                state.write_u64(address.into());
                state.write_u64(2);
            }
            Kind::V6 { network, prefix } => {
                state.write_u128(network);
                state.write_u64(3 + u64::from(prefix));
            }
            Kind::Shared => state.write_u64(u64::MAX),
        }
    }
}

/// The default prefix length of IPv6 addresses.
const V6_PREFIX: u8 = 64;

impl<'k> Key<'k> {
    /// One key for all requests: a limit on the whole service.
    pub const SHARED: Key<'static> = Key(Kind::Shared);

    /// Returns the key of an address. IPv6 addresses count by their first `v6_prefix` bits.
    ///
    /// A prefix above 128 counts as 128. IPv4 addresses, mapped into IPv6 or not, count whole.
    pub fn ip(address: IpAddr, v6_prefix: u8) -> Key<'static> {
        match address.to_canonical() {
            IpAddr::V4(v4) => Key(Kind::V4(v4.to_bits())),
            IpAddr::V6(v6) => {
                let prefix = v6_prefix.min(128);
                Key(Kind::V6 { network: network(v6, prefix), prefix })
            }
        }
    }
}

fn network(address: Ipv6Addr, prefix: u8) -> u128 {
    let host_bits = 128 - u32::from(prefix);
    address.to_bits() & u128::MAX.checked_shl(host_bits).unwrap_or(0)
}

impl<'k> From<&'k [u8]> for Key<'k> {
    fn from(bytes: &'k [u8]) -> Self {
        Key(Kind::Bytes(bytes))
    }
}

impl<'k> From<&'k str> for Key<'k> {
    fn from(text: &'k str) -> Self {
        Key(Kind::Bytes(text.as_bytes()))
    }
}

impl<'k> From<&'k String> for Key<'k> {
    fn from(text: &'k String) -> Self {
        Key(Kind::Bytes(text.as_bytes()))
    }
}

impl From<u64> for Key<'_> {
    fn from(number: u64) -> Self {
        Key(Kind::Number(number))
    }
}

impl From<IpAddr> for Key<'_> {
    fn from(address: IpAddr) -> Self {
        Key::ip(address, V6_PREFIX)
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::*;

    #[test]
    fn ipv6_keys_ignore_bits_after_the_prefix() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let (a, b) = (address("2001:db8:0:1::1"), address("2001:db8:0:2::1"));
        assert_ne!(Key::from(a), Key::from(b));
        assert_eq!(Key::ip(a, 48), Key::ip(b, 48));
        assert_ne!(Key::ip(a, 128), Key::ip(address("2001:db8:0:1::2"), 128));
        assert_eq!(Key::ip(a, 0), Key::ip(address("fe80::1"), 0));
        assert_eq!(Key::ip(a, 255), Key::ip(a, 128));
        assert_ne!(Key::ip(a, 0), Key::ip(address("0.0.0.0"), 0));
        assert_ne!(Key::from("42"), Key::from(42));
    }
}
