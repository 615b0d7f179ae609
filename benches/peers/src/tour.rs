//! Which keys are asked for, in which order.

use crate::keys::{KeyKind, key};
use std::sync::Arc;

/// Keys in the order in which they are visited, over and over: packed one after the other (texts as
/// the allocator packs them), so that reading them costs next to nothing and what is measured is
/// the limiter.
#[derive(Debug)]
pub struct Tour<K> {
    keys: Arc<[K]>,
    at: usize,
}

impl<K> Clone for Tour<K> {
    fn clone(&self) -> Self {
        Tour { keys: self.keys.clone(), at: self.at }
    }
}

impl<K> Tour<K> {
    /// Visits these keys, beginning with the first.
    pub fn new(keys: impl Into<Arc<[K]>>) -> Self {
        Tour { keys: keys.into(), at: 0 }
    }

    /// The same round of visits, begun at this share of it: for another thread.
    #[must_use]
    pub fn from_share(&self, share: f64) -> Self {
        Tour { keys: self.keys.clone(), at: (self.keys.len() as f64 * share) as usize }
    }

    /// Hands out the next `count` keys, in as few pieces as there are.
    #[inline]
    pub fn visit(&mut self, mut count: usize, mut piece: impl FnMut(&[K])) {
        while count > 0 {
            let rest = &self.keys[self.at..];
            let keys = &rest[..rest.len().min(count)];
            piece(keys);
            count -= keys.len();
            self.at = (self.at + keys.len()) % self.keys.len();
        }
    }
}

/// The keys of the counters from 0 to below `count`, in a random order: `shuffled(count, 1)` to
/// insert them, and another seed for another order.
pub fn shuffled<K: KeyKind>(count: usize, seed: u64) -> Vec<K> {
    let mut counters: Vec<u64> = (0..count as u64).collect();
    for last in (1..count).rev() {
        counters.swap(last, random(seed, last as u64, last as u64 + 1) as usize);
    }
    counters.into_iter().map(K::of).collect()
}

/// `visits` visits to `count` keys, each as likely as the other.
pub fn uniform<K: KeyKind>(count: usize, visits: usize, seed: u64) -> Vec<K> {
    (0..visits as u64).map(|visit| K::of(random(seed, visit, count as u64))).collect()
}

/// `visits` visits to `count` keys, the k-th of which comes with a frequency like 1 / k^0.99.
pub fn zipf<K: KeyKind>(count: usize, visits: usize, seed: u64) -> Vec<K> {
    let mut sum = 0.0;
    let below: Vec<f64> = (1..=count)
        .map(|rank| {
            sum += (rank as f64).powf(-0.99);
            sum
        })
        .collect();
    let visit = |visit| {
        let share = random(seed, visit, 1 << 53) as f64 / (1_u64 << 53) as f64;
        let rank = below.partition_point(|below| *below <= share * sum);
        K::of(rank.min(count - 1) as u64)
    };
    (0..visits as u64).map(visit).collect()
}

/// A number below `bound`, another for each `place`.
fn random(seed: u64, place: u64, bound: u64) -> u64 {
    let bits = key(key(seed).wrapping_add(place));
    ((u128::from(bits) * u128::from(bound)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    #[test]
    fn a_tour_goes_round() {
        let mut tour = Tour::new([1, 2, 3, 4, 5]);
        let mut seen = Vec::new();
        for count in [2, 0, 7, 3] {
            tour.visit(count, |keys| seen.extend_from_slice(keys));
        }
        assert_eq!(seen, [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2]);
        let mut seen = Vec::new();
        tour.from_share(0.6).visit(4, |keys| seen.extend_from_slice(keys));
        assert_eq!(seen, [4, 5, 1, 2]);
    }

    #[test]
    fn every_order_has_every_key_once() {
        let (one, other) = (shuffled(1000, 1), shuffled(1000, 2));
        assert_ne!(one, other);
        let all: HashSet<u64> = (0..1000).map(key).collect();
        assert_eq!(one.into_iter().collect::<HashSet<_>>(), all);
        assert_eq!(other.into_iter().collect::<HashSet<_>>(), all);
    }

    fn counts(visits: &[u64]) -> HashMap<u64, usize> {
        let mut counts = HashMap::new();
        for visit in visits {
            *counts.entry(*visit).or_insert(0) += 1;
        }
        counts
    }

    #[test]
    fn uniform_visits_are_even_and_zipf_visits_are_not() {
        let even = counts(&uniform(1000, 100_000, 3));
        assert_eq!(even.len(), 1000);
        assert!(even.values().all(|count| (50..150).contains(count)));

        let uneven = counts(&zipf(1000, 100_000, 3));
        // The sum of k^-0.99 up to 1000 is 7.73, so the first key has 12.9 % and the tenth 1.32 %.
        assert!((12_500..13_400).contains(&uneven[&key(0)]), "{}", uneven[&key(0)]);
        assert!((1_200..1_450).contains(&uneven[&key(9)]), "{}", uneven[&key(9)]);
    }
}
