//! The setup of a seed: its policies, its random numbers, and the feature it omits.

use super::load::mix;
use std::time::Duration;
use tollgate::{Limiter, ManualClock, Now, Period, Policy};

pub const SECOND: u64 = 1_000_000_000;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;
pub const DAY: u64 = 24 * HOUR;

/// The readings of correct clocks at the start of the day.
pub const START: Now = Now::new(HOUR, 20_000 * DAY + 11 * HOUR);

/// The indexes of the policies.
pub const IP: usize = 0;
pub const USER: usize = 1;
pub const PACE: usize = 2;
pub const BUDGET: usize = 3;
pub const POLICIES: usize = 4;
const NAMES: [&str; POLICIES] = ["ip", "user", "pace", "budget"];

/// A pseudorandom sequence derived from the seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(mix(seed))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = mix(self.0);
        self.0
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn within(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    pub fn one_in(&mut self, number: u64) -> bool {
        self.below(number) == 0
    }

    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// A feature of the traffic. Each seed omits one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    Drift,
    Step,
    Freeze,
    Burst,
    Churn,
    Stream,
    Retry,
    Refund,
    SetLimit,
    Reset,
    Maintain,
}

impl Feature {
    const ALL: [Feature; 11] = [
        Feature::Drift,
        Feature::Step,
        Feature::Freeze,
        Feature::Burst,
        Feature::Churn,
        Feature::Stream,
        Feature::Retry,
        Feature::Refund,
        Feature::SetLimit,
        Feature::Reset,
        Feature::Maintain,
    ];
}

/// How a policy counts time.
#[derive(Clone, Copy, Debug)]
pub enum Span {
    /// A window in nanoseconds.
    Window(u64),
    /// Days that begin this many nanoseconds before UTC days.
    Days(u64),
}

/// The ledger's view of one policy.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub span: Span,
    pub limit: u64,
    /// The greatest limit that may be set.
    pub greatest: u64,
    /// Recorded times are rounded down to a multiple of this.
    pub unit: u64,
    /// The number of buckets; none for an exact policy.
    pub buckets: Option<u64>,
}

/// The limiter and traffic of a seed.
#[derive(Clone, Debug)]
pub struct Setup {
    pub seed: u64,
    pub omitted: Feature,
    pub rules: [Rule; POLICIES],
    max_keys: usize,
}

impl Setup {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x3A4B);
        let omitted = Feature::ALL[(seed % Feature::ALL.len() as u64) as usize];
        let mut rule = |span, (least, most), buckets| {
            let limit = random.within(least, most);
            Rule { span, limit, greatest: 2 * limit, unit: 1, buckets }
        };
        let rules = [
            rule(Span::Window(MINUTE), (5, 60), None),
            rule(Span::Window(MINUTE), (3, 20), None),
            rule(Span::Window(MINUTE), (1_000, 6_000), Some(15)),
            rule(Span::Days(5 * HOUR + 30 * MINUTE), (8_000, 40_000), None),
        ];
        let max_keys = random.one_of(&[25, 150, 5_000]);
        Setup { seed, omitted, rules, max_keys }.measured()
    }

    fn measured(mut self) -> Self {
        let limiter = self.limiter();
        for (rule, name) in self.rules.iter_mut().zip(NAMES) {
            let id = limiter.policy(name).unwrap();
            rule.unit = limiter.resolution(id).unwrap().as_nanos() as u64;
        }
        self
    }

    pub fn limiter(&self) -> Limiter {
        let clock = ManualClock::new();
        clock.set(Now::new(0, START.unix_ns));
        let builder = Limiter::builder().clock(clock).max_keys(self.max_keys);
        let builder = builder.seed([self.seed, 1, 2, 3]);
        let policies = self.rules.iter().zip(NAMES).map(|(rule, name)| {
            let policy = match rule.span {
                Span::Window(window) => {
                    Policy::sliding(name, rule.limit, Duration::from_nanos(window))
                }
                Span::Days(early) => {
                    let offset = (early / SECOND) as i32;
                    Policy::calendar(name, rule.limit, Period::Day).offset_seconds(offset)
                }
            };
            policy.max_limit(rule.greatest)
        });
        policies.fold(builder, |builder, policy| builder.policy(policy)).build().unwrap()
    }

    pub fn has(&self, feature: Feature) -> bool {
        self.omitted != feature
    }
}

impl Rule {
    /// The policy's time at a reading: nanoseconds, or the number of the day.
    pub fn time(&self, now: Now) -> u64 {
        match self.span {
            Span::Window(_) => now.monotonic_ns,
            Span::Days(early) => (now.unix_ns + early) / DAY,
        }
    }

    /// The time of the newest charge, given the reported `reset_after`.
    pub fn recorded(&self, now: Now, reset_after: u64) -> u64 {
        match self.span {
            // A window is rounded up to whole units. If a unit is longer than 1 ns, one unit is added.
            Span::Window(window) => {
                let more = if self.unit > 1 { self.unit } else { 0 };
                now.monotonic_ns + reset_after - window.next_multiple_of(self.unit) - more
            }
            Span::Days(early) => {
                let end = now.unix_ns + early + reset_after;
                assert_eq!(end % DAY, 0, "a budget that does not end at midnight");
                end / DAY - 1
            }
        }
    }

    /// Returns whether a charge counts at `at`; with `slack`, whether it may still count.
    pub fn counts(&self, charged: u64, at: u64, slack: bool) -> bool {
        match (self.span, self.buckets) {
            (Span::Days(_), _) => charged == at,
            (Span::Window(window), Some(buckets)) if slack => {
                at.saturating_sub(charged) < window + window / (buckets - 1) + 4 * self.unit
            }
            (Span::Window(window), _) => at.saturating_sub(charged) < window,
        }
    }

    /// The time until which the limiter may have refunded other charges of a key than the ledger assumes.
    pub fn reordered_until(&self, newest: u64) -> u64 {
        match self.span {
            Span::Window(window) => newest + 2 * window,
            Span::Days(_) => 0,
        }
    }
}
