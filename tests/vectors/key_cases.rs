//! Pairs of keys, and whether they share a counter. The answers are computed by hand.

use super::case_builder::SECOND;
use super::format::*;
use super::random_cases::{setup, sliding};

const V4: [u8; 4] = [192, 0, 2, 1];

fn text(text: &str) -> Key {
    Key::Text(text.into())
}

fn ip(bytes: &[u8]) -> Key {
    Key::Ip(bytes.into())
}

fn network(bytes: &[u8], v4: u8, v6: u8) -> Key {
    Key::Network(bytes.into(), v4, v6)
}

fn parts<const COUNT: usize>(parts: [Key; COUNT]) -> Key {
    Key::Parts(parts.into())
}

/// An IPv6 address with these groups at its start, and the address `V4` at its end.
fn with_v4(groups: &[u16]) -> Vec<u8> {
    let mut bytes: Vec<u8> = groups.iter().flat_map(|group| group.to_be_bytes()).collect();
    bytes.resize(12, 0);
    [&bytes[..], &V4].concat()
}

/// An IPv6 address.
fn v6(groups: [u16; 8]) -> Vec<u8> {
    groups.iter().flat_map(|group| group.to_be_bytes()).collect()
}

fn text_and_numbers() -> Vec<(Key, Key, bool)> {
    vec![
        (text("alice"), text("alice"), true),
        (text("alice"), text("alicf"), false),
        (text(""), Key::Shared, false),
        (text("42"), Key::Number(42), false),
        (Key::Number(42), Key::Number(42 << 32), false),
        (Key::Number(0xc000_0201), ip(&V4), false),
    ]
}

fn addresses() -> Vec<(Key, Key, bool)> {
    let (host, neighbour) =
        (v6([0x2001, 0xdb8, 0, 1, 0, 0, 0, 1]), v6([0x2001, 0xdb8, 0, 1, 9, 0, 0, 1]));
    let next = v6([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]);
    let mut pairs = vec![
        (ip(&host), ip(&neighbour), true),
        (ip(&host), ip(&next), false),
        (ip(&host), network(&neighbour, 8, 64), true),
        (network(&host, 24, 48), network(&next, 32, 48), true),
        (network(&host, 24, 128), network(&neighbour, 24, 128), false),
        (network(&host, 24, 48), network(&host, 24, 56), false),
        (ip(&V4), ip(&[192, 0, 2, 2]), false),
        (network(&V4, 24, 64), network(&[192, 0, 2, 255], 24, 1), true),
        (network(&V4, 24, 64), network(&[192, 0, 3, 1], 24, 64), false),
        (network(&[192, 0, 2, 0], 24, 64), ip(&[192, 0, 2, 0]), false),
        (network(&V4, 32, 48), ip(&V4), true),
        (network(&V4, 1, 64), network(&[255, 0, 0, 0], 1, 64), true),
        // `::` and `::1` are IPv6 addresses.
        (ip(&[0; 16]), ip(&[0; 4]), false),
        (ip(&v6([0, 0, 0, 0, 0, 0, 0, 1])), ip(&[0, 0, 0, 1]), false),
        (ip(&v6([0, 0, 0, 0, 0, 0, 0, 2])), ip(&[0, 0, 0, 2]), true),
    ];
    // Addresses that stand for an IPv4 address.
    for groups in [&[0, 0, 0, 0, 0, 0xffff][..], &[], &[0x64, 0xff9b]] {
        pairs.push((ip(&with_v4(groups)), ip(&V4), true));
        pairs.push((network(&with_v4(groups), 24, 48), network(&V4, 24, 64), true));
    }
    // Local NAT64, 6to4, Teredo, translated addresses, and neighbours of the ranges above.
    for groups in [
        &[0x64, 0xff9b, 1][..],
        &[0x2002, 0xc000, 0x201],
        &[0x2001, 0, 0xc000, 0x201],
        &[0, 0, 0, 0, 0xffff],
        &[0, 0, 0, 0, 0, 0xfffe],
        &[0x64, 0xff9b, 0, 0, 0, 1],
    ] {
        pairs.push((ip(&with_v4(groups)), ip(&V4), false));
    }
    pairs
}

fn composite() -> Vec<(Key, Key, bool)> {
    let [a, ab, b, bc, c] = ["a", "ab", "b", "bc", "c"].map(text);
    let mapped = with_v4(&[0, 0, 0, 0, 0, 0xffff]);
    vec![
        (parts([ab.clone(), c.clone()]), parts([ab.clone(), c.clone()]), true),
        (parts([ab.clone(), c.clone()]), parts([a.clone(), bc]), false),
        (parts([ab.clone(), c.clone()]), parts([c.clone(), ab.clone()]), false),
        (parts([ab.clone(), c.clone()]), text("abc"), false),
        (parts([ab.clone(), c.clone()]), parts([a.clone(), b, c.clone()]), false),
        (parts([ab.clone()]), ab.clone(), false),
        (parts([ab.clone(), text("")]), parts([ab.clone()]), false),
        (parts([]), text(""), false),
        (parts([]), Key::Shared, false),
        (parts([Key::Number(7), a.clone()]), parts([Key::Number(7), a.clone()]), true),
        (parts([Key::Number(7), a.clone()]), parts([Key::Number(8), a.clone()]), false),
        (parts([Key::Number(7), a.clone()]), parts([text("7"), a.clone()]), false),
        (parts([a.clone(), ip(&V4)]), parts([a.clone(), ip(&mapped)]), true),
        (parts([a.clone(), ip(&V4)]), parts([a.clone(), network(&V4, 24, 64)]), false),
        (parts([a.clone(), Key::Shared]), parts([a.clone()]), false),
        (Key::Parts(vec![a.clone(); 8]), Key::Parts(vec![a.clone(); 7]), false),
        (Key::Parts(vec![a.clone(); 8]), Key::Parts(vec![a; 8]), true),
    ]
}

/// Charges 2 of 5 units to the first key of each pair, then 1 to the second. Both keys are reset
/// before. Each pair has a time of its own, because a charge at the time of a reset counts later.
pub fn key_cases() -> Vec<Case> {
    let files = [
        ("text and numbers", text_and_numbers()),
        ("addresses", addresses()),
        ("keys with parts", composite()),
    ];
    files.map(|(name, pairs)| case(name, pairs)).into()
}

fn case(name: &str, pairs: Vec<(Key, Key, bool)>) -> Case {
    let limiter = setup(vec![sliding("key", 5, SECOND)]);
    let mut case = Case { name: name.into(), limiter, error: None, calls: Vec::new() };
    for (number, (one, other, is_same)) in (1..).zip(pairs) {
        let now = number * SECOND;
        let mut call = |operation, expect| {
            case.calls.push(Call { monotonic_ns: now, unix_ns: now, operation, expect });
        };
        let charge = |key: &Key, cost| Charge { policy: 0, key: key.clone(), cost, limit: None };
        for key in [&one, &other] {
            call(Operation::ResetKey(charge(key, 0)), Expect::Status(status::ALLOWED));
        }
        call(Operation::Check(vec![charge(&one, 2)]), allowed(3));
        call(Operation::Check(vec![charge(&other, 1)]), allowed(if is_same { 2 } else { 4 }));
    }
    case
}

fn allowed(remaining: u64) -> Expect {
    let deciding = PolicyStatus {
        policy: 0,
        limit: 5,
        remaining,
        retry_after_ns: None,
        reset_after_ns: SECOND,
        violated: false,
        table_full: false,
        dry_run: false,
    };
    Expect::Decision(Decision { status: status::ALLOWED, deciding, layers: Vec::new() })
}
