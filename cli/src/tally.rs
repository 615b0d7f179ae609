//! Counts the outcomes of requests: by policy, by key, and over time.

use crate::recording::{Binding, Recording};
use crate::replay::Outcome;

const SECOND_NS: u64 = 1_000_000_000;
const DAY_NS: u64 = 86_400 * SECOND_NS;

/// The possible widths of time buckets, from a millisecond to a year.
const WIDTHS_NS: [u64; 24] = [
    1_000_000,
    10_000_000,
    100_000_000,
    SECOND_NS,
    2 * SECOND_NS,
    5 * SECOND_NS,
    10 * SECOND_NS,
    15 * SECOND_NS,
    30 * SECOND_NS,
    60 * SECOND_NS,
    120 * SECOND_NS,
    300 * SECOND_NS,
    600 * SECOND_NS,
    900 * SECOND_NS,
    1_800 * SECOND_NS,
    3_600 * SECOND_NS,
    7_200 * SECOND_NS,
    10_800 * SECOND_NS,
    21_600 * SECOND_NS,
    43_200 * SECOND_NS,
    DAY_NS,
    7 * DAY_NS,
    30 * DAY_NS,
    365 * DAY_NS,
];

/// The maximum number of bars in a chart, unless the log is longer than 96 years.
const MAX_BUCKETS: u64 = 96;

/// The counted outcomes of a replay.
#[derive(Debug)]
pub struct Tally<'r> {
    recording: &'r Recording,
    /// The number of admitted requests.
    pub admitted: u64,
    /// For each policy, the number of requests for which it was the first without room; for a dry run,
    /// the number that it would have denied.
    pub denied: Vec<u64>,
    /// For each policy, the number of requests that it is charged for and that no earlier policy denied. A
    /// dry run denies nothing.
    reached: Vec<u64>,
    /// For each policy, the number of requests of each key.
    key_requests: Vec<Vec<u64>>,
    /// For each policy, the number of denied requests of each key.
    key_denied: Vec<Vec<u64>>,
    /// For each policy with an estimate, the sums over the admitted requests.
    pub reserved: Vec<Option<Reserved>>,
    /// The outcomes over time.
    pub timeline: Timeline,
}

/// The sums of estimates and costs of the admitted requests under one policy.
///
/// If no sum saturates, `estimated - unused + excess == used`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserved {
    /// The sum of the estimates.
    pub estimated: u64,
    /// The sum of the costs.
    pub used: u64,
    /// The estimates minus the costs, summed over the requests that cost less than estimated.
    pub unused: u64,
    /// The costs minus the estimates, summed over the requests that cost more than estimated.
    pub excess: u64,
}

impl Reserved {
    fn add(&mut self, estimate: u64, cost: u64) {
        // The sums of a log's numbers can exceed 64 bits. They then saturate.
        let add = |sum: &mut u64, more| *sum = sum.saturating_add(more);
        add(&mut self.estimated, estimate);
        add(&mut self.used, cost);
        add(&mut self.unused, estimate.saturating_sub(cost));
        add(&mut self.excess, cost.saturating_sub(estimate));
    }
}

/// Outcomes by time bucket.
#[derive(Debug)]
pub struct Timeline {
    /// The start of the first bucket.
    pub start_ns: u64,
    /// The width of a bucket.
    pub width_ns: u64,
    /// For each bucket, the number of admitted requests, then the number denied by each policy or that a
    /// dry run would have denied.
    counts: Vec<u64>,
    per_bucket: usize,
}

/// A key with denied requests under one policy.
#[derive(Debug, PartialEq, Eq)]
pub struct DeniedKey<'r> {
    /// The index of the policy.
    pub policy: usize,
    /// The key.
    pub key: &'r str,
    /// The number of requests of the key that the policy denied; a dry run would have denied them.
    pub denied: u64,
    /// The number of all requests of the key.
    pub requests: u64,
}

impl<'r> Tally<'r> {
    /// Creates a tally without outcomes.
    pub fn new(recording: &'r Recording) -> Self {
        let bindings = recording.bindings();
        let per_key = || bindings.iter().map(|binding| vec![0; recording.key_count(*binding)]);
        let reserved = |binding: &Binding| binding.is_estimated().then(Reserved::default);
        Tally {
            recording,
            admitted: 0,
            denied: vec![0; bindings.len()],
            reached: vec![0; bindings.len()],
            key_requests: per_key().collect(),
            key_denied: per_key().collect(),
            reserved: bindings.iter().map(reserved).collect(),
            timeline: Timeline::new(recording),
        }
    }

    /// Counts one outcome.
    pub fn count(&mut self, outcome: &Outcome) {
        let row = outcome.stamp.row;
        let denying = outcome.denial.map(|denial| denial.policy);
        for (policy, binding) in self.recording.bindings().iter().enumerate() {
            let Some(key) = self.recording.key(row, *binding) else { continue };
            let key = self.recording.key_index(key, *binding);
            self.key_requests[policy][key] += 1;
            if denying.is_some_and(|denying| denying < policy) {
                continue;
            }
            self.reached[policy] += 1;
            if denying == Some(policy) || outcome.would_deny.contains(policy) {
                self.denied[policy] += 1;
                self.key_denied[policy][key] += 1;
                self.timeline.count(outcome.stamp.unix_ns, policy + 1);
            }
        }
        if denying.is_none() {
            self.admitted += 1;
            self.count_reserved(outcome);
            self.timeline.count(outcome.stamp.unix_ns, 0);
        }
    }

    /// Adds the estimates and costs of an admitted request, without the policies that would have denied it.
    fn count_reserved(&mut self, outcome: &Outcome) {
        let row = outcome.stamp.row;
        let policies = self.reserved.iter_mut().zip(self.recording.bindings()).enumerate();
        for (policy, (reserved, binding)) in policies {
            if outcome.would_deny.contains(policy) {
                continue;
            }
            let key = self.recording.key(row, *binding);
            let estimate = key.and_then(|_| self.recording.estimate(row, *binding));
            if let (Some(reserved), Some(estimate)) = (reserved, estimate) {
                reserved.add(estimate, self.recording.cost(row, *binding));
            }
        }
    }

    /// The number of requests.
    pub fn requests(&self) -> u64 {
        self.recording.stamps().len() as u64
    }

    /// The number of requests that the policy is charged for and that no earlier policy denied.
    pub fn reached(&self, policy: usize) -> u64 {
        self.reached[policy]
    }

    /// The keys with the most denials, at most `count` of them.
    pub fn most_denied(&self, count: usize) -> Vec<DeniedKey<'r>> {
        let recording = self.recording;
        let mut found = Vec::new();
        for (policy, denied) in self.key_denied.iter().enumerate() {
            for (key, denied) in denied.iter().enumerate().filter(|(_, denied)| **denied > 0) {
                found.push((*denied, policy, key));
            }
        }
        found.sort_unstable_by_key(|(denied, policy, key)| {
            (std::cmp::Reverse(*denied), *policy, *key)
        });
        found.truncate(count);
        let shown = found.into_iter().map(|(denied, policy, key)| DeniedKey {
            policy,
            key: recording.key_text(key, recording.bindings()[policy]),
            denied,
            requests: self.key_requests[policy][key],
        });
        shown.collect()
    }
}

impl Timeline {
    fn new(recording: &Recording) -> Self {
        let stamps = recording.stamps();
        let first_ns = stamps.first().map_or(0, |stamp| stamp.unix_ns);
        let last_ns = stamps.last().map_or(0, |stamp| stamp.unix_ns);
        let buckets = |width_ns: u64| last_ns / width_ns - first_ns / width_ns + 1;
        let fits = |width_ns: &u64| buckets(*width_ns) <= MAX_BUCKETS;
        let width_ns = WIDTHS_NS.into_iter().find(fits).unwrap_or(365 * DAY_NS);
        let per_bucket = recording.bindings().len() + 1;
        Timeline {
            start_ns: first_ns / width_ns * width_ns,
            width_ns,
            counts: vec![0; buckets(width_ns) as usize * per_bucket],
            per_bucket,
        }
    }

    fn count(&mut self, unix_ns: u64, kind: usize) {
        let bucket = unix_ns.saturating_sub(self.start_ns) / self.width_ns;
        self.counts[bucket as usize * self.per_bucket + kind] += 1;
    }

    /// The counts of each bucket: admitted requests, then the requests denied by each policy. Those of a
    /// dry run are also among the others.
    pub fn buckets(&self) -> impl ExactSizeIterator<Item = &[u64]> {
        self.counts.chunks(self.per_bucket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_minus_unused_plus_excess_equal_the_costs() {
        let mut reserved = Reserved::default();
        for (estimate, cost) in [(100, 30), (100, 100), (100, 250), (0, 7)] {
            reserved.add(estimate, cost);
        }
        assert_eq!(reserved, Reserved { estimated: 300, used: 387, unused: 70, excess: 157 });
        assert_eq!(reserved.estimated - reserved.unused + reserved.excess, reserved.used);
        reserved.add(u64::MAX, 0);
        assert_eq!(reserved.estimated, u64::MAX);
    }
}
