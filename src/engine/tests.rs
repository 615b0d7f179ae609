//! Tests of the hash of keys.

use super::*;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Simple seeds, which conceal the fewest bits of a key, and random seeds.
fn seeds() -> impl Iterator<Item = [u64; 4]> {
    let state = std::hash::RandomState::new();
    let random = move |round: u64| [0_u64, 1, 2, 3].map(|word| state.hash_one((round, word)));
    let plain = [[0; 4], [u64::MAX; 4], [1, 2, 3, 4], [0, 0, 1, 1], [1, 1, 0, 0]];
    plain.into_iter().chain((0..60).map(random))
}

/// Byte keys that would collide with other keys if their length were not hashed.
fn byte_keys() -> Vec<Vec<u8>> {
    let mut keys = vec![Vec::new()];
    for len in 1..=150 {
        // One byte repeated: words of the hash input that overlap are equal at many lengths.
        keys.extend([0, 1, 2, 3, 67, b'a', 255].map(|byte| vec![byte; len]));
        // A byte before zeros, and a byte after zeros.
        for mark in [1, b'a'] {
            let (mut first, mut last) = (vec![0; len], vec![0; len]);
            (first[0], last[len - 1]) = (mark, mark);
            keys.extend([first, last]);
        }
        keys.push((0..len as u8).map(|byte| byte.wrapping_mul(37) | 1).collect());
    }
    // The hash input of a number or an address, as a byte key.
    for number in numbers() {
        keys.push(number.to_le_bytes().to_vec());
        keys.push(number.to_be_bytes().to_vec());
        for kind in [0, 1, 3, 4, 67, 131, 132, 164, 165, 166, u64::MAX] {
            let words = [number, kind].map(u64::to_le_bytes);
            let blocks = [number.into(), kind.into()].map(u128::to_le_bytes);
            keys.extend([words.concat(), blocks.concat()]);
            // A key whose only part is a number.
            let words = [number, kind, 1, 165].map(u64::to_le_bytes);
            let blocks = [number, kind, 1, 165].map(|word| u128::from(word).to_le_bytes());
            keys.extend([words.concat(), blocks.concat()]);
        }
    }
    keys.extend(["ab", "abb", "abcd", "abcdabcd", "42", "0", "192.0.2.1"].map(Vec::from));
    keys
}

fn numbers() -> Vec<u64> {
    let powers = (0..64).map(|bit| 1_u64 << bit);
    let near = powers.flat_map(|power| [power - 1, power, power + 1]);
    near.chain([u64::MAX - 1, u64::MAX, 67, 131, 0xc000_0201]).collect()
}

/// Zeros except for one byte.
const fn with_byte<const LEN: usize>(index: usize, byte: u8) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes[index] = byte;
    bytes
}

/// The parts of keys that would collide if the boundaries, the order or the kinds of the parts were
/// not hashed.
fn part_lists() -> Vec<Vec<Key<'static>>> {
    const A: &str =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const ZEROS: &[u8] = &[0; 80];
    let mut lists = vec![Vec::new()];
    // One text, cut in each way into two or three parts.
    for len in [0, 1, 2, 7, 8, 9, 16, 17, 33, 65, 80] {
        for text in [A.as_bytes(), ZEROS].map(|bytes| &bytes[..len]) {
            lists.push(vec![text.into()]);
            for cut in 0..=len {
                let (head, tail) = text.split_at(cut);
                lists.push(vec![head.into(), tail.into()]);
                lists.push(vec![head.into(), "".into(), tail.into()]);
            }
        }
    }
    // Each kind of part, alone, in pairs in each order, and repeated.
    let address = |prefix| Key::network(IpAddr::from([0, 0, 0, 3]), prefix, 64);
    let network = |prefix| Key::network(IpAddr::from(Ipv6Addr::LOCALHOST), 32, prefix);
    let singles = [
        Key::SHARED,
        "".into(),
        "\0".into(),
        "\0\0\0\0\0\0\0\0".into(),
        "ab".into(),
        0.into(),
        1.into(),
        2.into(),
        3.into(),
        67.into(),
        131.into(),
        164.into(),
        165.into(),
        166.into(),
        u64::MAX.into(),
        address(0),
        address(24),
        address(32),
        network(0),
        network(64),
        network(128),
    ];
    for one in singles {
        lists.extend((1..6).map(|count| vec![one; count]));
        lists.extend(singles.map(|other| vec![one, other]));
    }
    // Bytes that contain the number after a part of bytes, 166.
    lists.push(vec![b"a\xa6\0\0\0\0\0\0\0b".as_slice().into(), "c".into()]);
    lists.push(vec!["a".into(), b"b\xa6\0\0\0\0\0\0\0c".as_slice().into()]);
    // 67 bytes, and a /64 network: 67 is the number after a network of that length.
    const WITH_59: &[u8] = &with_byte::<67>(43, 59);
    const WITH_NUMBER: &[u8] = &with_byte::<59>(8, 1);
    lists.push(vec![0.into(), WITH_59.into()]);
    lists.push(vec![WITH_NUMBER.into(), Key::network(Ipv6Addr::UNSPECIFIED.into(), 32, 64)]);
    lists
}

/// Lists of which one part has parts.
fn nested_lists<'k>(flat: &'k [Vec<Key<'k>>]) -> Vec<Vec<Key<'k>>> {
    let short = flat.iter().filter(|parts| parts.len() <= 3).step_by(7).chain(&flat[..1]);
    let nested = short.flat_map(|parts| {
        let inner = Key::parts(parts);
        let with_more = [vec![inner], vec![inner, "ab".into()], vec!["ab".into(), inner]];
        let spread = parts.split_first().map(|(first, rest)| vec![*first, Key::parts(rest)]);
        with_more.into_iter().chain(spread)
    });
    nested.collect()
}

fn distinct_keys<'k>(bytes: &'k [Vec<u8>], lists: &'k [Vec<Key<'k>>]) -> Vec<Key<'k>> {
    let mut keys = vec![Key::SHARED];
    keys.extend(bytes.iter().map(|bytes| Key::from(bytes.as_slice())));
    keys.extend(numbers().into_iter().map(Key::from));
    let v4 = numbers().into_iter().filter_map(|number| u32::try_from(number).ok());
    keys.extend(v4.map(|v4| Key::from(IpAddr::from(Ipv4Addr::from(v4)))));
    for number in numbers() {
        let shifts = [0, 32, 64].map(|shift| u128::from(number) << shift);
        let addresses = shifts.map(|bits| IpAddr::from(Ipv6Addr::from(bits)));
        let prefixes = [0, 1, 48, 63, 64, 65, 96, 127, 128];
        let key = |v6: IpAddr| prefixes.map(|prefix| Key::network(v6, 32, prefix));
        keys.extend(addresses.into_iter().flat_map(key));
        let v4 = IpAddr::from(Ipv4Addr::from_bits(number as u32));
        keys.extend((0..=32).map(|prefix| Key::network(v4, prefix, 64)));
    }
    keys.extend(lists.iter().map(|parts| Key::parts(parts)));
    let mut distinct: Vec<Key<'_>> = Vec::new();
    let mut by_name = HashMap::new();
    for key in keys {
        by_name.entry(format!("{key:?}")).or_insert_with(|| distinct.push(key));
    }
    distinct
}

/// Keys of different kinds, lengths and edge values have different hash inputs, whichever hasher
/// the build has. A collision under any of these seeds is structural, not chance.
#[test]
fn distinct_keys_have_distinct_ids() {
    let bytes = byte_keys();
    let flat = part_lists();
    let nested = nested_lists(&flat);
    let lists = [flat.clone(), nested].concat();
    let keys = distinct_keys(&bytes, &lists);
    assert!(keys.len() > 15_000, "{} keys", keys.len());
    let mut collisions = HashMap::<String, usize>::new();
    for [a, b, c, d] in seeds() {
        let hasher = ahash::RandomState::with_seeds(a, b, c, d);
        let policies = Policies::new(Box::default(), hasher, 1, RequestMetrics::new().unwrap());
        let mut ids: Vec<_> =
            keys.iter().map(|key| (format!("{:?}", policies.key_id(*key)), key)).collect();
        ids.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        for pair in ids.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            *collisions.entry(format!("{:?} and {:?}", pair[0].1, pair[1].1)).or_default() += 1;
        }
    }
    assert!(
        collisions.is_empty(),
        "pairs of keys with the same id, and the number of such seeds: {collisions:?}"
    );
}

/// A hasher that keeps its input, and nothing about the lengths of its parts.
#[derive(Default)]
struct Input(Vec<u8>);

impl Hasher for Input {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("only the input is used")
    }
}

/// The hash input of a key other than bytes determines the key, also without the lengths that the
/// hashers of the builds mix in.
#[test]
fn distinct_keys_have_distinct_inputs() {
    let flat = part_lists();
    let nested = nested_lists(&flat);
    let lists = [flat.clone(), nested].concat();
    let mut keys = HashMap::new();
    for key in distinct_keys(&[], &lists) {
        let mut input = Input::default();
        key.hash(&mut input);
        if let Some(other) = keys.insert(input.0, key) {
            panic!("{key:?} and {other:?} have the same input");
        }
    }
    assert!(keys.len() > 5_000, "{} keys", keys.len());
}

/// Only the AES hasher gives an empty byte string and a zero the same hash. This shows which hasher
/// a build has, and so which one the test above has covered. It is also why the hash input of
/// `Key::SHARED` must not be a zero.
#[test]
fn only_the_aes_hasher_hashes_no_bytes_like_a_zero() {
    let state = ahash::RandomState::with_seeds(1, 2, 3, 4);
    let [mut empty, mut zero] = [(), ()].map(|()| state.build_hasher());
    empty.write(&[]);
    zero.write_u64(0);
    let is_x86 = cfg!(any(target_arch = "x86", target_arch = "x86_64"));
    let has_aes = is_x86 && cfg!(all(target_feature = "aes", not(miri)));
    assert_eq!(empty.finish() == zero.finish(), has_aes);
}
