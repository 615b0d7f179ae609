//! Addresses as logs write them: with a port, brackets or a zone, or in a list.

use std::net::IpAddr;
use tollgate::Key;

/// An address that a value of a log contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address as which keys count it: an IPv6 address that stands for an IPv4 address is that one.
    pub ip: IpAddr,
    /// Whether the value is the address and nothing else.
    pub is_bare: bool,
}

/// Finds the address of a client in a trimmed value. In a list, as in `X-Forwarded-For`, it is the first.
///
/// A port, brackets and a zone are left out: `192.0.2.1:80`, `[2001:db8::1]:80`, `fe80::1%eth0`.
pub fn parse(value: &str) -> Option<Address> {
    if let Ok(ip) = value.parse::<IpAddr>() {
        return Some(Address { ip: Key::canonical(ip), is_bare: true });
    }
    let first = value.split(',').next().unwrap_or(value).trim();
    let host = match first.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            if !rest.is_empty() && !rest.strip_prefix(':').is_some_and(is_port) {
                return None;
            }
            host
        }
        // An IPv6 address without brackets may look as if it ended with a port.
        None if first.parse::<IpAddr>().is_ok() => first,
        None => match first.rsplit_once(':') {
            Some((host, port)) if is_port(port) => host,
            _ => first,
        },
    };
    let (host, _zone) = host.split_once('%').unwrap_or((host, ""));
    let ip = host.parse::<IpAddr>().ok()?;
    Some(Address { ip: Key::canonical(ip), is_bare: false })
}

fn is_port(text: &str) -> bool {
    // `parse` alone would accept a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_port_brackets_and_a_zone_are_left_out() {
        for (value, ip, is_bare) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("::192.0.2.1", "192.0.2.1", true),
            ("64:ff9b::192.0.2.1", "192.0.2.1", true),
            ("64:ff9b:1::192.0.2.1", "64:ff9b:1::c000:201", true),
            ("::1", "::1", true),
            ("2001:db8::1:443", "2001:db8::1:443", true),
            ("192.0.2.1:80", "192.0.2.1", false),
            ("[192.0.2.1]:80", "192.0.2.1", false),
            ("[::ffff:192.0.2.1]:80", "192.0.2.1", false),
            ("[64:ff9b::192.0.2.1]:80", "192.0.2.1", false),
            ("[2001:db8::1]", "2001:db8::1", false),
            ("2001:db8::1:50001", "2001:db8::1", false),
            ("2001:db8:1:2:3:4:5:6:443", "2001:db8:1:2:3:4:5:6", false),
            ("fe80::1%eth0", "fe80::1", false),
            ("[fe80::1%25eth0]:65535", "fe80::1", false),
            ("192.0.2.1, 192.0.2.2", "192.0.2.1", false),
            ("2001:db8::1, 192.0.2.2", "2001:db8::1", false),
            ("[2001:db8::1]:80,192.0.2.2", "2001:db8::1", false),
        ] {
            let address = parse(value).unwrap_or_else(|| panic!("{value}"));
            assert_eq!(
                (address.ip.to_string().as_str(), address.is_bare),
                (ip, is_bare),
                "{value}"
            );
        }
    }

    #[test]
    fn other_values_are_no_addresses() {
        for value in [
            "",
            "-",
            "host.example",
            "host.example:80",
            "localhost",
            "192.0.2",
            "192.0.2.256",
            "192.0.2.1:65536",
            "192.0.2.1:x",
            "192.0.2.1:",
            "192.0.2.1:+80",
            "192.0.2.1/24",
            "[2001:db8::1",
            "[2001:db8::1]80",
            "[2001:db8::1]:",
            "[]",
            "12:30",
            "unknown, 192.0.2.1",
        ] {
            assert_eq!(parse(value), None, "{value}");
        }
    }
}
