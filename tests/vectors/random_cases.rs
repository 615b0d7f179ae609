//! Cases of pseudorandom calls, the same in every run.

use super::case_builder::{CaseBuilder, SECOND};
use super::format::*;
use super::load::mix;
use super::oracle::{Answer, Item};
use super::rust_runner::Runner;
use tollgate::Now;

const MILLI: u64 = 1_000_000;
const DAY: u64 = 24 * 3_600 * SECOND;

pub fn sliding(name: &str, limit: u64, window_ns: u64) -> Policy {
    Policy { name: name.into(), limit, window_ns: Some(window_ns), ..Policy::default() }
}

pub fn calendar(name: &str, limit: u64, period: Period) -> Policy {
    Policy { name: name.into(), limit, period: Some(period), ..Policy::default() }
}

pub fn setup(policies: Vec<Policy>) -> Setup {
    Setup { policies, ..Setup::default() }
}

/// A pseudorandom sequence.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = mix(self.0);
        self.0 % bound
    }

    fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }

    /// 1 to 3 items of policies with these limits.
    fn items(&mut self, limits: &[u64]) -> Vec<Item> {
        let count = 1 + self.below(3);
        (0..count).map(|_| self.item(limits)).collect()
    }

    /// An item of one of the policies, mostly of a few keys.
    fn item(&mut self, limits: &[u64]) -> Item {
        let policy = self.below(limits.len() as u64) as usize;
        let keys = self.one_of(&[1, 2, 2, 9]);
        let most = limits[policy];
        let cost = match self.below(30) {
            0 => 1 << 40,
            1 => most + 1 + self.below(3),
            2 => 0,
            3..=10 => 1 + self.below(most),
            _ => 1 + self.below(most / 8 + 1),
        };
        let limit = (self.below(8) == 0).then(|| self.below(most + most / 2));
        (policy, self.below(keys), cost, limit)
    }

    /// The next time: the same, a small step forward or back, the edge of a window of this length, or
    /// several such windows later.
    fn jump(&mut self, now: u64, length: u64) -> u64 {
        match self.below(12) {
            0..=3 => now + self.below(length / 16),
            4..=6 => now + self.below(length / 2),
            7 => now - self.below(5 * MILLI),
            8 | 9 => now + length + self.below(5) - 2,
            10 if self.below(2) == 0 => now + length * (1 + self.below(3)),
            _ => now,
        }
    }
}

/// The length of a jump in time. One time in 16, it is the window or period of a random policy. Otherwise
/// it is a sixteenth of one, but at least the shortest one: a longer jump expires everything in the
/// shorter windows.
fn some_length(builder: &CaseBuilder, random: &mut Random) -> u64 {
    let lengths: Vec<_> = builder.oracle.rules.iter().map(|rule| rule.kind.length()).collect();
    let shortest = *lengths.iter().min().expect("a policy");
    if random.below(16) == 0 {
        random.one_of(&lengths)
    } else {
        shortest.max(random.one_of(&lengths) / 16)
    }
}

/// Checks and peeks of one and several items, `check_many`, `set_limit` and `reset_key`. Some readings
/// are earlier than the one before.
fn exact(name: &str, policies: Vec<Policy>, offset_s: i64, calls: usize, seed: u64) -> Case {
    let mut random = Random(seed);
    let limits: Vec<_> = policies.iter().map(|policy| policy.limit).collect();
    let mut builder = CaseBuilder::new(name, setup(policies));
    builder.wall_clock_lag = offset_s * SECOND as i64;
    builder.now = DAY;
    while builder.case.calls.len() < calls {
        let length = some_length(&builder, &mut random);
        builder.now = random.jump(builder.now, length).min(6 * DAY);
        match random.below(20) {
            0..=8 => builder.check(&random.items(&limits), false),
            9..=12 => builder.check(&random.items(&limits), true),
            13 | 14 => builder.peek(&random.items(&limits), false),
            15 | 16 => builder.peek(&random.items(&limits), true),
            17 => {
                let items: Vec<_> = (0..random.below(6)).map(|_| random.item(&limits)).collect();
                builder.check_many(&items);
            }
            18 => builder
                .set_limit(random.below(limits.len() as u64) as usize, random.below(45).max(1)),
            _ => builder.reset_key(&random.item(&limits)),
        }
    }
    builder.case
}

/// Checks and peeks with statuses, forced charges, refunds, and all operations on reservations.
///
/// No charge is held longer than in the oracle's log: no reading is earlier than the one before, and
/// there are fewer calls than words in a ring (120 calls, 127 words), so each time has a word of its own.
fn every_operation(name: &str, policies: Vec<Policy>, calls: usize, seed: u64) -> Case {
    let mut random = Random(seed);
    let limits: Vec<_> = policies.iter().map(|policy| policy.limit).collect();
    let mut builder = CaseBuilder::new(name, setup(policies));
    builder.now = DAY;
    while builder.case.calls.len() < calls {
        let max_step = random.one_of(&[0, MILLI, SECOND, SECOND, 5 * SECOND, 40 * SECOND]);
        builder.now += random.below(max_step + 1);
        match random.below(20) {
            0..=4 => builder.check(&random.items(&limits), true),
            5 => builder.force(&random.items(&limits)),
            6 | 7 => builder.refund(&random.item(&limits)),
            8 | 9 => builder.peek(&random.items(&limits), true),
            10..=13 => {
                builder.reserve(&random.items(&limits));
            }
            choice => change_reservation(&mut builder, &mut random, choice),
        }
    }
    builder.case
}

/// Extends, settles or cancels one of the four newest reservations. `choice` is from 14 to 19. One time in
/// 12 there is one amount too many, which is an error.
fn change_reservation(builder: &mut CaseBuilder, random: &mut Random, choice: u64) {
    let Some(newest) = builder.reservations().checked_sub(1) else { return };
    let number = newest - random.below(4).min(newest as u64) as usize;
    let count = builder.item_count(number) + usize::from(random.below(12) == 0);
    let amounts: Vec<u64> = (0..count).map(|_| random.one_of(&[0, 1, 9, 50])).collect();
    match choice {
        14 | 15 => builder.extend(number, &amounts),
        16 | 17 => builder.settle(number, &amounts),
        _ => builder.cancel(number),
    }
}

/// Checks with the limiter's own answers. Each admission is checked against the oracle, and each wait by
/// peeks just before its end and at it.
fn bucketed(name: &str, policies: Vec<Policy>, calls: usize, seed: u64) -> Case {
    let mut random = Random(seed);
    let mut builder = CaseBuilder::new(name, setup(policies));
    let mut runner = Runner::new(&builder.case.limiter).expect("good policies");
    builder.now = DAY;
    while builder.case.calls.len() < calls {
        let policy = random.below(builder.oracle.rules.len() as u64) as usize;
        let (limit, length) =
            (builder.oracle.rules[policy].limit, builder.oracle.rules[policy].kind.length());
        let max_step =
            random.one_of(&[0, length / 100, length / 100, length / 20, length / 20, length / 4]);
        builder.now += random.below(max_step + 1);
        let item = (policy, random.one_of(&[0, 0, 0, 1]), 1 + random.below(limit / 4), None);
        let charges = builder.charges(&[item]);
        let expect =
            runner.call(Now::from_unix_nanos(builder.now), &Operation::Check(charges.clone()));
        let Expect::Decision(decision) = &expect else { panic!("{expect:?}") };
        match (decision.status, decision.deciding.retry_after_ns) {
            (status::ALLOWED, None) => {
                let oracle = builder.oracle.peek(builder.now, &[item]);
                assert!(matches!(oracle, Answer::Allowed(..)), "{oracle:?}");
                builder.oracle.charge(builder.now, &item);
            }
            (status::DENIED, Some(wait)) => {
                let mut allowed_at = |now| {
                    runner
                        .call(Now::from_unix_nanos(now), &Operation::Peek(charges.clone()))
                        .has_status(status::ALLOWED)
                };
                assert!(!allowed_at(builder.now + wait - 1) && allowed_at(builder.now + wait));
            }
            other => panic!("{other:?} of a bucketed policy"),
        }
        builder.push(Operation::Check(charges), expect);
    }
    builder.case
}

pub fn exact_cases() -> Vec<Case> {
    let bounded = |policy: Policy, max_limit| Policy { max_limit: Some(max_limit), ..policy };
    let small = vec![
        bounded(sliding("burst", 3, 10 * MILLI), 40),
        sliding("user", 20, SECOND),
        calendar("day", 50, Period::Day),
    ];
    let large = vec![
        sliding("one", 1, MILLI),
        bounded(sliding("minute", 30, 60 * SECOND), 127),
        calendar("hour", 30, Period::Hour),
        Policy { buckets: Some(7), ..sliding("seven", 6, 1_000_000_007) },
    ];
    vec![exact("small windows", small, 0, 180, 1), exact("large windows", large, 0, 180, 2)]
}

pub fn offset_cases() -> Vec<Case> {
    let with_offset = |offset_s: i32| {
        let shift = |policy: Policy| Policy { offset_seconds: Some(offset_s), ..policy };
        [calendar("day", 9, Period::Day), calendar("hour", 4, Period::Hour)].map(shift).into()
    };
    vec![
        exact("east of UTC", with_offset(19_800), 19_800, 50, 3),
        exact("west of UTC", with_offset(-64_800), -64_800, 50, 4),
    ]
}

pub fn operation_cases() -> Vec<Case> {
    let policies = vec![
        sliding("requests", 100, 60 * SECOND),
        sliding("tokens", 127, 30 * SECOND),
        calendar("budget", 200, Period::Hour),
    ];
    vec![
        every_operation("every operation", policies.clone(), 120, 5),
        every_operation("again", policies, 120, 6),
        settled_after_reset(),
    ]
}

/// Reservations whose key is reset before they are settled: of a window and of a budget.
fn settled_after_reset() -> Case {
    let policies = vec![sliding("window", 100, SECOND), calendar("budget", 100, Period::Hour)];
    let mut builder = CaseBuilder::new("settled after a reset", setup(policies));
    builder.now = 1_000 * SECOND;
    for policy in 0..2 {
        for later in [0, 1] {
            let item = |cost| (policy, 0, cost, None);
            let [settled, extended] =
                [50, 30].map(|cost| builder.reserve(&[item(cost)]).expect("there is room"));
            builder.reset_key(&item(0));
            builder.now += later;
            builder.check(&[item(25)], true);
            builder.extend(extended, &[10]);
            builder.settle(settled, &[0]);
            builder.cancel(extended);
            builder.peek(&[item(0)], true);
            builder.now += 2 * 3_600 * SECOND;
        }
    }
    builder.case
}

/// Policies under a dry run beside enforced ones, and alone.
pub fn dry_run_cases() -> Vec<Case> {
    let dry_run = |policy: Policy| Policy { dry_run: true, ..policy };
    let mixed = vec![
        dry_run(sliding("stricter", 3, 10 * MILLI)),
        sliding("user", 20, SECOND),
        Policy { max_limit: Some(40), ..dry_run(calendar("day", 20, Period::Day)) },
    ];
    let alone =
        vec![dry_run(sliding("user", 20, SECOND)), dry_run(calendar("hour", 30, Period::Hour))];
    let reserved = vec![
        sliding("requests", 100, 60 * SECOND),
        dry_run(sliding("tokens", 127, 30 * SECOND)),
        dry_run(calendar("budget", 200, Period::Hour)),
    ];
    vec![
        exact("a dry run beside an enforced policy", mixed, 0, 100, 8),
        exact("only dry runs", alone, 0, 60, 9),
        every_operation("every operation in a dry run", reserved, 110, 10),
    ]
}

pub fn bucketed_cases() -> Vec<Case> {
    let buckets = |policy: Policy, buckets| Policy { buckets: Some(buckets), ..policy };
    let policies = vec![
        sliding("fifteen", 1_000, SECOND),
        buckets(sliding("seven", 100_000, 60 * SECOND), 7),
        buckets(sliding("all", 1 << 40, 60 * SECOND), 127),
    ];
    vec![bucketed("bucketed", policies, 120, 7)]
}
