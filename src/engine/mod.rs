//! The policies of one limiter at run time, and the hash that turns keys into ids.

pub(crate) mod context;
mod counter_table;
mod fast_path;
pub(crate) mod item;
pub(crate) mod metrics;
pub(crate) mod policy_state;
pub(crate) mod resolved_charge;

use crate::charge::PolicyId;
use crate::engine::policy_state::PolicyState;
use crate::error::UnknownPolicy;
use crate::key::Key;
use crate::policy::Policy;
use crate::table::KeyId;
use std::hash::{BuildHasher, Hash, Hasher};

/// The policies of one limiter.
#[derive(Debug)]
pub(crate) struct Policies {
    list: Box<[PolicyState]>,
    hasher: ahash::RandomState,
    /// The mark of this limiter, which the ids of its policies contain.
    owner: u32,
}

impl Policies {
    pub(crate) fn new(list: Box<[PolicyState]>, hasher: ahash::RandomState, owner: u32) -> Self {
        Policies { list, hasher, owner }
    }

    /// The policy with this id. `None` if the id belongs to another limiter.
    #[inline]
    pub(crate) fn get(&self, policy: PolicyId) -> Option<&PolicyState> {
        let state = self.list.get(policy.index())?;
        (policy.owner() == self.owner).then_some(state)
    }

    /// The policy with this id, or an error if the id belongs to another limiter.
    pub(crate) fn get_or_error(&self, policy: PolicyId) -> Result<&PolicyState, UnknownPolicy> {
        self.get(policy).ok_or(UnknownPolicy { value: policy.index() })
    }

    pub(crate) fn find(&self, name: &str) -> Option<PolicyId> {
        let index = self.policies().position(|policy| policy.name() == name)?;
        Some(PolicyId::new(index, self.owner))
    }

    pub(crate) fn policies(&self) -> impl ExactSizeIterator<Item = &Policy> {
        self.list.iter().map(PolicyState::policy)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &PolicyState> {
        self.list.iter()
    }

    /// Hashes a key to its id.
    #[inline(always)]
    #[expect(
        clippy::manual_hash_one,
        reason = "`hash_one` is not inlined into callers that know the kind of the key"
    )]
    pub(crate) fn key_id(&self, key: Key<'_>) -> KeyId {
        let mut hasher = self.hasher.build_hasher();
        key.hash(&mut hasher);
        KeyId::new(hasher.finish())
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
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
            for kind in [0, 1, 2, 3, 4, 67, 131, u64::MAX] {
                let words = [number, kind].map(u64::to_le_bytes);
                let blocks = [number.into(), kind.into()].map(u128::to_le_bytes);
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

    fn distinct_keys(bytes: &[Vec<u8>]) -> Vec<Key<'_>> {
        let mut keys = vec![Key::SHARED];
        keys.extend(bytes.iter().map(|bytes| Key::from(bytes.as_slice())));
        keys.extend(numbers().into_iter().map(Key::from));
        let v4 = numbers().into_iter().filter_map(|number| u32::try_from(number).ok());
        keys.extend(v4.map(|v4| Key::from(IpAddr::from(Ipv4Addr::from(v4)))));
        for number in numbers() {
            let shifts = [0, 32, 64].map(|shift| u128::from(number) << shift);
            let addresses = shifts.map(|bits| IpAddr::from(Ipv6Addr::from(bits)));
            let prefixes = [0, 1, 48, 63, 64, 65, 96, 127, 128];
            keys.extend(addresses.iter().flat_map(|v6| prefixes.map(|len| Key::ip(*v6, len))));
        }
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
        let keys = distinct_keys(&bytes);
        assert!(keys.len() > 6_000, "{} keys", keys.len());
        let mut collisions = HashMap::<String, usize>::new();
        for [a, b, c, d] in seeds() {
            let hasher = ahash::RandomState::with_seeds(a, b, c, d);
            let policies = Policies::new(Box::default(), hasher, 1);
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
}
