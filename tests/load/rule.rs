//! Policies for tests with many threads, with the parameters by which these tests judge decisions: the
//! shortest and the longest time for which a charge counts.

use super::MICRO;
use std::time::Duration;
use tollgate::{MAX_LIMIT, Period, Policy};

const HOUR: u64 = 3_600_000_000_000;
/// About a millisecond. A multiple of the resolution of each policy, which is a power of two of at most
/// 512 ns.
const ABOUT_A_MILLI: u64 = 1 << 20;
/// About four microseconds. Also a multiple of each resolution.
const STEP: u64 = 1 << 12;
/// More than three times each resolution: a window is up to two units longer than configured, and the
/// span of a bucket is rounded up to a whole unit.
const ROUNDING: u64 = 3 * MICRO;

/// A policy and its parameters.
pub struct Rule {
    pub policy: Policy,
    pub limit: u64,
    pub window: u64,
    /// The clock's step per request: a multiple of the policy's resolution.
    pub step: u64,
    /// How much longer than the window a charge may count: the span of a bucket, and rounding.
    pub slack: u64,
}

impl Rule {
    /// A sliding window of `length` times [`ABOUT_A_MILLI`].
    pub fn sliding(name: &str, limit: u64, length: u64, buckets: Option<u32>) -> Self {
        let window = length * ABOUT_A_MILLI;
        let policy = Policy::sliding(name, limit, Duration::from_nanos(window));
        let policy = buckets.map_or(policy.clone(), |buckets| policy.buckets(buckets));
        let slack = buckets.map_or(0, |buckets| window / u64::from(buckets - 1) + ROUNDING);
        Rule { policy, limit, window, step: STEP, slack }
    }

    pub fn all() -> Vec<Self> {
        // The greatest `max_limit` leaves few bits for times, so an array is replaced after milliseconds.
        let mut short_lived = Self::sliding("short-lived arrays", 1_000, 1, Some(7));
        short_lived.policy = short_lived.policy.max_limit(MAX_LIMIT);
        let policy = Policy::calendar("hour", 1_000, Period::Hour);
        let hour = Rule { policy, limit: 1_000, window: HOUR, step: HOUR / 500, slack: 0 };
        vec![
            Self::sliding("exact", 5, 1, None),
            Self::sliding("7 buckets", 1_000, 4, Some(7)),
            Self::sliding("15 buckets", 1_000, 1, Some(15)),
            short_lived,
            hour,
        ]
    }

    pub fn is_calendar(&self) -> bool {
        self.policy.period().is_some()
    }

    /// Returns the cost of each request of a key.
    pub fn cost(&self, key: u64) -> u64 {
        if self.limit < 10 { 1 + key % 2 } else { self.limit / 7 + key % 100 }
    }

    /// Returns whether every charge recorded at `earliest` or later still counts at `at`.
    pub fn surely_counts(&self, earliest: u64, at: u64) -> bool {
        if self.is_calendar() { earliest / HOUR >= at / HOUR } else { earliest + self.window > at }
    }

    /// Returns whether a charge recorded at `latest` or before may still count at `at`.
    pub fn may_count(&self, latest: u64, at: u64) -> bool {
        self.surely_counts(latest + self.slack, at)
    }
}
