//! The keys of a workload, and their order.

use crate::keys::{KeyKind, key};
use std::sync::Arc;

/// A cyclic sequence of keys. Keys and their texts are allocated in the order of use, so that reading
/// them costs little compared with the limiter.
#[derive(Debug)]
pub struct KeySequence<K> {
    keys: Arc<[K]>,
    at: usize,
}

impl<K> Clone for KeySequence<K> {
    fn clone(&self) -> Self {
        KeySequence { keys: self.keys.clone(), at: self.at }
    }
}

impl<K> KeySequence<K> {
    /// Creates a sequence that starts with the first key.
    pub fn new(keys: impl Into<Arc<[K]>>) -> Self {
        KeySequence { keys: keys.into(), at: 0 }
    }

    /// The same sequence for another thread, which starts at this share of the length (0 to below 1).
    #[must_use]
    pub fn from_share(&self, share: f64) -> Self {
        KeySequence { keys: self.keys.clone(), at: (self.keys.len() as f64 * share) as usize }
    }

    /// Passes the next `count` keys to `chunk`, in as few calls as possible.
    #[inline]
    pub fn for_each_chunk(&mut self, mut count: usize, mut chunk: impl FnMut(&[K])) {
        while count > 0 {
            let rest = &self.keys[self.at..];
            let keys = &rest[..rest.len().min(count)];
            chunk(keys);
            count -= keys.len();
            self.at = (self.at + keys.len()) % self.keys.len();
        }
    }
}

/// The keys with the indices below `count`, each once, in a random order that depends on the seed.
pub fn shuffled<K: KeyKind>(count: usize, seed: u64) -> Vec<K> {
    let mut indices: Vec<u64> = (0..count as u64).collect();
    for last in (1..count).rev() {
        indices.swap(last, random(seed, last as u64, last as u64 + 1) as usize);
    }
    indices.into_iter().map(K::of).collect()
}

/// A sequence of `len` random keys out of `count`, all equally likely.
pub fn uniform<K: KeyKind>(count: usize, len: usize, seed: u64) -> Vec<K> {
    (0..len as u64).map(|index| K::of(random(seed, index, count as u64))).collect()
}

/// A sequence of `len` random keys out of `count`. The probability of the k-th key is proportional to
/// 1 / k^0.99.
pub fn zipf<K: KeyKind>(count: usize, len: usize, seed: u64) -> Vec<K> {
    let mut sum = 0.0;
    let below: Vec<f64> = (1..=count)
        .map(|rank| {
            sum += (rank as f64).powf(-0.99);
            sum
        })
        .collect();
    let key = |index| {
        let share = random(seed, index, 1 << 53) as f64 / (1_u64 << 53) as f64;
        let rank = below.partition_point(|below| *below <= share * sum);
        K::of(rank.min(count - 1) as u64)
    };
    (0..len as u64).map(key).collect()
}

/// A pseudorandom number below `bound`, a function of `seed` and `index`.
fn random(seed: u64, index: u64, bound: u64) -> u64 {
    let bits = key(key(seed).wrapping_add(index));
    ((u128::from(bits) * u128::from(bound)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    #[test]
    fn a_sequence_is_cyclic() {
        let mut sequence = KeySequence::new([1, 2, 3, 4, 5]);
        let mut seen = Vec::new();
        for count in [2, 0, 7, 3] {
            sequence.for_each_chunk(count, |keys| seen.extend_from_slice(keys));
        }
        assert_eq!(seen, [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2]);
        let mut seen = Vec::new();
        sequence.from_share(0.6).for_each_chunk(4, |keys| seen.extend_from_slice(keys));
        assert_eq!(seen, [4, 5, 1, 2]);
    }

    #[test]
    fn each_shuffle_has_each_key_once() {
        let (one, other) = (shuffled(1000, 1), shuffled(1000, 2));
        assert_ne!(one, other);
        let all: HashSet<u64> = (0..1000).map(key).collect();
        assert_eq!(one.into_iter().collect::<HashSet<_>>(), all);
        assert_eq!(other.into_iter().collect::<HashSet<_>>(), all);
    }

    fn counts(keys: &[u64]) -> HashMap<u64, usize> {
        let mut counts = HashMap::new();
        for key in keys {
            *counts.entry(*key).or_insert(0) += 1;
        }
        counts
    }

    #[test]
    fn uniform_and_zipf_have_their_distributions() {
        let even = counts(&uniform(1000, 100_000, 3));
        assert_eq!(even.len(), 1000);
        assert!(even.values().all(|count| (50..150).contains(count)));

        let uneven = counts(&zipf(1000, 100_000, 3));
        // The sum of k^-0.99 up to 1000 is 7.73, so the first key has 12.9 % and the tenth 1.32 %.
        assert!((12_500..13_400).contains(&uneven[&key(0)]), "{}", uneven[&key(0)]);
        assert!((1_200..1_450).contains(&uneven[&key(9)]), "{}", uneven[&key(9)]);
    }
}
