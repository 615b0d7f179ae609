//! The key that a request is charged to.

mod network;

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

/// A key whose usage a policy counts: a user, an address, a tenant, or several of these together.
///
/// A key can have any length. It is hashed under random seeds and not stored. Two keys of one
/// policy with the same 64-bit hash share a counter. Among n keys, the probability of any such pair
/// is about n² / 2⁶⁵: 1 in 369,000 for 10 million keys. Keys of different kinds (text, number,
/// address, network, several parts) never compare equal.
///
/// ```
/// use std::net::IpAddr;
/// use tollgate::Key;
///
/// let user = Key::from("alice");
/// let tenant = Key::from(42_u64);
/// let user_of_tenant = [tenant, user];
/// let both = Key::parts(&user_of_tenant);
/// // IPv6 addresses count by their /64 network, the smallest that a subscriber gets.
/// let one: IpAddr = "2001:db8::1".parse()?;
/// let other: IpAddr = "2001:db8::ffff".parse()?;
/// assert_eq!(Key::from(one), Key::from(other));
/// // IPv4 addresses count in full, also if an IPv6 address stands for them.
/// let mapped: IpAddr = "::ffff:192.0.2.1".parse()?;
/// let plain: IpAddr = "192.0.2.1".parse()?;
/// assert_eq!(Key::from(mapped), Key::from(plain));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<'k>(pub(crate) Kind<'k>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind<'k> {
    Single(Single<'k>),
    Parts(&'k [Key<'k>]),
}

/// A key without parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Single<'k> {
    Shared,
    Bytes(&'k [u8]),
    Number(u64),
    V4 { network: u32, prefix: u8 },
    V6 { network: u128, prefix: u8 },
}

// Charges contain their keys, and requests copy charges.
const _: () = assert!(size_of::<Key<'_>>() <= 32);

/// The last number of the hash input of a kind of key.
mod last {
    pub(super) const SHARED: u64 = u64::MAX;
    pub(super) const NUMBER: u64 = 1;
    /// Added to a prefix length of up to 128.
    pub(super) const V6: u64 = 3;
    /// Added to a prefix length of up to 32.
    pub(super) const V4: u64 = V6 + 129;
    pub(super) const PARTS: u64 = V4 + 33;
    /// Follows bytes that are a part of another key.
    pub(super) const PART_OF_BYTES: u64 = PARTS + 1;
}

/// No two keys pass the same input to the hasher.
///
/// Every kind except bytes ends with a number of its own. Bytes are passed without such a number,
/// because the hasher mixes in their length. For an empty byte string, however, the AES hasher mixes
/// in only a zero. So no other kind may pass a single zero and nothing else.
///
/// A key with parts passes the input of each part, then the number of parts. A part of bytes is
/// followed by its length and a number of its own. So the last number of each part determines where
/// the part begins, and different lists of parts have different inputs. Such an input may begin like
/// that of a byte string, but it has more blocks than a byte string of that length.
impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.0 {
            Kind::Single(single) => single.hash(state),
            Kind::Parts(parts) => hash_parts(parts, state),
        }
    }
}

impl Hash for Single<'_> {
    #[inline(always)]
    fn hash<H: Hasher>(&self, state: &mut H) {
        match *self {
            Single::Bytes(bytes) => state.write(bytes),
            Single::Number(number) => {
                state.write_u64(number);
                state.write_u64(last::NUMBER);
            }
            Single::V4 { network, prefix } => {
                state.write_u64(network.into());
                state.write_u64(last::V4 + u64::from(prefix));
            }
            Single::V6 { network, prefix } => {
                state.write_u128(network);
                state.write_u64(last::V6 + u64::from(prefix));
            }
            Single::Shared => state.write_u64(last::SHARED),
        }
    }
}

fn hash_parts<H: Hasher>(parts: &[Key<'_>], state: &mut H) {
    for part in parts {
        part.hash(state);
        if let Kind::Single(Single::Bytes(bytes)) = part.0 {
            state.write_u64(bytes.len() as u64);
            state.write_u64(last::PART_OF_BYTES);
        }
    }
    state.write_u64(parts.len() as u64);
    state.write_u64(last::PARTS);
}

impl<'k> Key<'k> {
    /// One key for all requests: a limit on the whole service.
    pub const SHARED: Key<'static> = Key(Kind::Single(Single::Shared));

    /// Returns a key with several parts: one counter for each combination, for example for each
    /// model of each tenant.
    ///
    /// Keys are equal if all their parts are, in the same order. The boundaries between the parts
    /// matter: `("ab", "c")` differs from `("a", "bc")` and from `"abc"`. A part may itself have
    /// parts. The key borrows its parts, and allocates nothing.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::{Key, Limiter, Policy};
    ///
    /// let mut builder = Limiter::builder();
    /// let requests = builder.add(Policy::sliding("requests", 100, Duration::from_secs(60)));
    /// let limiter = builder.build()?;
    ///
    /// let (tenant, model) = (42_u64, "small");
    /// let parts = [Key::from(tenant), Key::from(model)];
    /// assert!(limiter.check(&[requests.charge(Key::parts(&parts), 1)]).is_allowed());
    /// # Ok::<(), tollgate::ConfigError>(())
    /// ```
    pub const fn parts(parts: &'k [Key<'k>]) -> Key<'k> {
        Key(Kind::Parts(parts))
    }

    /// Returns the key of the network of an address. IPv4 addresses count by their first `v4_prefix`
    /// bits, and IPv6 addresses by their first `v6_prefix` bits.
    ///
    /// `Key::from(address)` is `Key::network(address, 32, 64)`. A longer prefix than an address has
    /// bits counts the address in full. Networks whose prefixes have different lengths are different
    /// keys. [`canonical`](Self::canonical) lists the IPv6 addresses that count as IPv4 addresses.
    ///
    /// ```
    /// use std::net::IpAddr;
    /// use tollgate::Key;
    ///
    /// let [one, other] = ["192.0.2.1", "192.0.2.77"].map(|text| text.parse::<IpAddr>().unwrap());
    /// assert_eq!(Key::network(one, 24, 56), Key::network(other, 24, 56));
    /// assert_ne!(Key::from(one), Key::from(other));
    /// ```
    #[inline]
    pub fn network(address: IpAddr, v4_prefix: u8, v6_prefix: u8) -> Key<'static> {
        match network::canonical(address) {
            IpAddr::V4(v4) => {
                let prefix = v4_prefix.min(32);
                Key(Kind::Single(Single::V4 { network: network::v4(v4, prefix), prefix }))
            }
            IpAddr::V6(v6) => {
                let prefix = v6_prefix.min(128);
                Key(Kind::Single(Single::V6 { network: network::v6(v6, prefix), prefix }))
            }
        }
    }

    /// Returns the address as which keys count an address.
    ///
    /// These IPv6 addresses count as the IPv4 address in their last 32 bits:
    ///
    /// - mapped addresses, `::ffff:192.0.2.1`;
    /// - IPv4-compatible addresses, `::192.0.2.1`, but not `::` and `::1`;
    /// - NAT64 addresses with the well-known prefix, `64:ff9b::192.0.2.1`.
    ///
    /// All other addresses are returned unchanged. Among them are three kinds of IPv6 addresses that
    /// contain an IPv4 address:
    ///
    /// - Local NAT64 addresses, `64:ff9b:1::/48`. The position of the IPv4 address in them depends on
    ///   the configuration of that network. Behind such a translator, count the IPv4 address itself,
    ///   or all 128 bits.
    /// - 6to4 addresses, `2002::/16`. The IPv4 address is that of a router, which has the whole /48.
    /// - Teredo addresses, `2001::/32`. All clients of a Teredo server are in one /64.
    ///
    /// ```
    /// use std::net::IpAddr;
    /// use tollgate::Key;
    ///
    /// let address: IpAddr = "64:ff9b::192.0.2.1".parse().unwrap();
    /// assert_eq!(Key::canonical(address).to_string(), "192.0.2.1");
    /// ```
    #[inline]
    pub fn canonical(address: IpAddr) -> IpAddr {
        network::canonical(address)
    }
}

impl<'k> From<&'k [u8]> for Key<'k> {
    fn from(bytes: &'k [u8]) -> Self {
        Key(Kind::Single(Single::Bytes(bytes)))
    }
}

impl<'k> From<&'k str> for Key<'k> {
    fn from(text: &'k str) -> Self {
        Key(Kind::Single(Single::Bytes(text.as_bytes())))
    }
}

impl<'k> From<&'k String> for Key<'k> {
    fn from(text: &'k String) -> Self {
        Key(Kind::Single(Single::Bytes(text.as_bytes())))
    }
}

impl From<u64> for Key<'_> {
    fn from(number: u64) -> Self {
        Key(Kind::Single(Single::Number(number)))
    }
}

impl From<IpAddr> for Key<'_> {
    #[inline]
    fn from(address: IpAddr) -> Self {
        Key::network(address, 32, 64)
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn ipv6_keys_ignore_bits_after_the_prefix() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let v6 = |address: IpAddr, prefix: u8| Key::network(address, 32, prefix);
        let (a, b) = (address("2001:db8:0:1::1"), address("2001:db8:0:2::1"));
        assert_ne!(Key::from(a), Key::from(b));
        assert_eq!(v6(a, 48), v6(b, 48));
        assert_ne!(v6(a, 128), v6(address("2001:db8:0:1::2"), 128));
        assert_eq!(v6(a, 0), v6(address("fe80::1"), 0));
        assert_eq!(v6(a, 255), v6(a, 128));
        assert_ne!(v6(a, 0), Key::network(address("0.0.0.0"), 0, 0));
        assert_ne!(Key::from("42"), Key::from(42));
    }

    #[test]
    fn ipv4_keys_ignore_bits_after_the_prefix() {
        let key = |text: &str, prefix| Key::network(text.parse().unwrap(), prefix, 64);
        let address = "172.21.85.171";
        for prefix in 0..=32_u8 {
            for bit in 1..=32_u8 {
                let other = Ipv4Addr::from_bits(0xac15_55ab ^ 1 << (32 - bit));
                let is_same = key(address, prefix) == key(&other.to_string(), prefix);
                assert_eq!(is_same, bit > prefix, "{other}/{prefix}");
            }
            assert_eq!(key(address, prefix), key(&format!("::ffff:{address}"), prefix));
            assert_eq!(
                key(address, prefix) == Key::network(IpAddr::from([0; 4]), 0, 64),
                prefix == 0
            );
        }
        assert_eq!(key(address, 33), key(address, 32));
        assert_eq!(key(address, 255), Key::from(address.parse::<IpAddr>().unwrap()));
        // A network is not the address with the same bits.
        let networks = [0, 8, 24, 31, 32].map(|prefix| key("0.0.0.0", prefix));
        for (index, network) in networks.iter().enumerate() {
            assert!(!networks[..index].contains(network), "{network:?}");
        }
    }

    #[test]
    fn keys_with_parts_are_equal_if_all_parts_are() {
        let parts = |texts: &[&'static str]| texts.iter().map(|text| Key::from(*text)).collect();
        let (ab_c, a_bc): (Vec<Key<'_>>, Vec<Key<'_>>) = (parts(&["ab", "c"]), parts(&["a", "bc"]));
        let (again, swapped): (Vec<Key<'_>>, Vec<Key<'_>>) =
            (parts(&["ab", "c"]), parts(&["c", "ab"]));
        assert_eq!(Key::parts(&ab_c), Key::parts(&again));
        for other in [Key::parts(&a_bc), Key::parts(&swapped), Key::parts(&ab_c[..1]), "abc".into()]
        {
            assert_ne!(Key::parts(&ab_c), other);
        }
        let one = [Key::from("ab")];
        assert_ne!(Key::parts(&one), one[0]);
        assert_ne!(Key::parts(&[]), Key::from(""));
        assert_ne!(Key::parts(&[]), Key::SHARED);
    }

    #[test]
    fn addresses_that_stand_for_ipv4_count_as_ipv4() {
        let key = |text: &str| Key::from(text.parse::<IpAddr>().unwrap());
        for prefix in ["::ffff:", "::", "64:ff9b::"] {
            for v4 in ["192.0.2.1", "0.0.0.2", "0.1.0.0", "255.255.255.255"] {
                assert_eq!(key(&format!("{prefix}{v4}")), key(v4), "{prefix}{v4}");
            }
        }
        // The unspecified address and the loopback address are IPv6 addresses of their own.
        assert_eq!(key("::ffff:0.0.0.0"), key("0.0.0.0"));
        assert_eq!(key("64:ff9b::0.0.0.1"), key("0.0.0.1"));
        assert_ne!(key("::"), key("0.0.0.0"));
        assert_ne!(key("::1"), key("0.0.0.1"));
        // Neighbours of these ranges, local NAT64, 6to4, Teredo and translated addresses.
        for (one, other) in [
            ("0:0:0:1::c000:201", "0:0:0:1::c000:202"),
            ("::1:c000:201", "::1:c000:202"),
            ("::fffe:c000:201", "::fffe:c000:202"),
            ("::1:ffff:c000:201", "::1:ffff:c000:202"),
            ("64:ff9b::1:c000:201", "64:ff9b::1:c000:202"),
            ("64:ff9b:1::c000:201", "64:ff9b:1::c000:202"),
            ("2002:c000:201::1", "2002:c000:201::2"),
            ("2001:0:c000:201::3fff:fdfe", "2001:0:c000:201::3fff:fdfd"),
            ("::ffff:0:c000:201", "::ffff:0:c000:202"),
        ] {
            assert_eq!(key(one), key(other), "{one} and {other} are in one /64");
            assert_ne!(key(one), key("192.0.2.1"), "{one}");
        }
    }
}
