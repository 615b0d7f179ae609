//! Guarantees A and B: exact policies decide as the oracle does, call by call, with clocks that stand
//! still, jump and step back. Verdict and policy are compared; for an allowed or denied request also the
//! limit and the remaining units, with `reset_after` if it is allowed and `retry_after` if it is denied.

mod oracle;

use oracle::{Answer, Item, Kind, Oracle, Rule, answer, assert_never_over, cases};
use proptest::prelude::*;
use std::time::Duration;
use tollgate::{Charge, Limiter, ManualClock, Now, Period, Policy, PolicyId};

const HOUR: u64 = 3_600_000_000_000;
const WINDOWS: [u64; 4] = [1_000_000, 10_000_000, 1_000_000_007, 60_000_000_000];
/// Far from zero, so that clocks can step back.
const START: u64 = 24 * HOUR;
/// The end of a run. The first array would be replaced after nine days. From then on, a reading from before
/// the replacement counts as a later one, which `time_wraparound.rs` tests.
const END: u64 = 8 * 24 * HOUR;

#[derive(Clone, Debug)]
enum Step {
    Check(Vec<Item>),
    Peek(Vec<Item>),
    SetLimit(usize, u64),
    Reset(usize, u64),
    Refund(usize, u64, u64),
    Force(Item),
    Time(Jump),
}

#[derive(Clone, Copy, Debug)]
enum Jump {
    Forward(u64),
    Back(u64),
    /// The length of a window or period, and a few nanoseconds more or less.
    Edge(i64),
    Windows(u64),
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let sliding = (1u64..=127, prop::sample::select(WINDOWS.to_vec()))
        .prop_map(|(limit, window)| Rule { limit, kind: Kind::Sliding(window) });
    let small = (1u64..=8, prop::sample::select(WINDOWS.to_vec()))
        .prop_map(|(limit, window)| Rule { limit, kind: Kind::Sliding(window) });
    let fixed = (1u64..=50, prop::sample::select(vec![HOUR, 24 * HOUR]))
        .prop_map(|(limit, length)| Rule { limit, kind: Kind::Fixed(length) });
    prop::collection::vec(prop_oneof![2 => sliding, 4 => small, 1 => fixed], 1..4)
}

fn item() -> impl Strategy<Value = Item> {
    let limit = prop_oneof![5 => Just(None), 1 => (0u64..20).prop_map(Some)];
    (0usize..4, 0u64..3, prop_oneof![6 => Just(1), 2 => 0u64..4, 1 => 0u64..150], limit)
}

fn jump() -> impl Strategy<Value = Jump> {
    prop_oneof![
        4 => (0u64..2_000_000).prop_map(Jump::Forward),
        2 => (0u64..2_000_000_000).prop_map(Jump::Forward),
        2 => (0u64..5_000_000).prop_map(Jump::Back),
        3 => (-2i64..=2).prop_map(Jump::Edge),
        1 => (1u64..4).prop_map(Jump::Windows),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let items = || prop::collection::vec(item(), 1..4);
    prop_oneof![
        12 => items().prop_map(Step::Check),
        3 => items().prop_map(Step::Peek),
        1 => (0usize..4, 0u64..127).prop_map(|(rule, limit)| Step::SetLimit(rule, limit)),
        1 => (0usize..4, 0u64..3).prop_map(|(rule, key)| Step::Reset(rule, key)),
        3 => (0usize..4, 0u64..3, 0u64..6).prop_map(|(r, k, c)| Step::Refund(r, k, c)),
        1 => item().prop_map(Step::Force),
        8 => jump().prop_map(Step::Time),
    ]
}

/// Guarantee A: with a resolution above 1 ns, a charge expires when its window has passed, rounded up
/// to whole units and one unit longer.
#[test]
fn charges_at_a_coarse_resolution_do_not_expire_early() {
    for window in [0, 1, 255, 256].map(|less| 400 * 24 * HOUR - less) {
        for offset in [0, 1, 100, 255] {
            let policy = Policy::sliding("p", 127, Duration::from_nanos(window));
            let limiter =
                Limiter::builder().policy(policy).clock(ManualClock::new()).build().unwrap();
            let id = limiter.policy("p").unwrap();
            let unit = limiter.resolution(id).unwrap().as_nanos() as u64;
            assert_eq!(unit, 256);
            let at = |now: u64| limiter.session_at(Now::from_unix_nanos(now));
            let charged = START / unit * unit + offset;
            assert!(at(charged).check(&[id.charge("k", 127)]).is_allowed());
            let last = charged + window - 1;
            assert!(!at(last).peek(&[id.charge("k", 1)]).is_allowed(), "expired early");
            let end = charged - offset + window.next_multiple_of(unit) + unit;
            let denied = at(charged).peek(&[id.charge("k", 1)]);
            assert_eq!(denied.retry_after_ns, Some(end - charged));
            assert!(!at(end - 1).peek(&[id.charge("k", 1)]).is_allowed());
            assert!(at(end).peek(&[id.charge("k", 127)]).is_allowed());
        }
    }
}

struct Comparison {
    limiter: Limiter,
    ids: Vec<PolicyId>,
    oracle: Oracle,
    /// The greatest limit of each rule.
    greatest: Vec<u64>,
    now: u64,
}

impl Comparison {
    fn new(rules: Vec<Rule>) -> Self {
        let clock = ManualClock::new();
        clock.set(Now::from_unix_nanos(0));
        let mut builder = Limiter::builder().clock(clock).max_keys(100);
        for (index, rule) in rules.iter().enumerate() {
            let name = format!("rule {index}");
            builder = builder.policy(match rule.kind {
                Kind::Sliding(window) => {
                    Policy::sliding(name, rule.limit, Duration::from_nanos(window))
                }
                Kind::Fixed(HOUR) => Policy::calendar(name, rule.limit, Period::Hour),
                Kind::Fixed(_) => Policy::calendar(name, rule.limit, Period::Day),
            });
        }
        let limiter = builder.build().unwrap();
        let ids = (0..rules.len()).map(|n| limiter.policy(&format!("rule {n}")).unwrap()).collect();
        let greatest = rules.iter().map(|rule| rule.limit).collect();
        Comparison { limiter, ids, oracle: Oracle::new(rules), greatest, now: START }
    }

    fn rule(&self, number: usize) -> usize {
        number % self.ids.len()
    }

    /// Items of existing rules, with limits cut as the limiter cuts them.
    fn items(&self, items: &[Item]) -> Vec<Item> {
        let cut = |(rule, key, cost, limit): Item| {
            let rule = self.rule(rule);
            (rule, key, cost, limit.map(|limit| limit.min(self.greatest[rule])))
        };
        items.iter().copied().map(cut).collect()
    }

    fn charges(&self, items: &[Item]) -> Vec<Charge<'static>> {
        let charge = |(rule, key, cost, limit): &Item| {
            let charge = self.ids[*rule].charge(*key, *cost);
            limit.map_or(charge, |limit| charge.limit(limit))
        };
        items.iter().map(charge).collect()
    }

    fn jump(&mut self, jump: Jump) {
        let length = match self.oracle.rules[0].kind {
            Kind::Sliding(window) => window,
            Kind::Fixed(length) => length,
        };
        let next = match jump {
            Jump::Forward(by) => self.now + by,
            Jump::Back(by) => self.now - by,
            Jump::Edge(by) => (self.now + length).saturating_add_signed(by),
            Jump::Windows(count) => self.now + count * length,
        };
        self.now = if next < END { next } else { self.now };
    }
}

proptest! {
    #![proptest_config(cases(1_000))]

    /// Guarantee B: every decision equals the oracle's.
    #[test]
    fn exact_policies_decide_as_the_oracle(rules in rules(), steps in prop::collection::vec(step(), 1..120)) {
        let mut comparison = Comparison::new(rules);
        for step in steps {
            let session = comparison.limiter.session_at(Now::from_unix_nanos(comparison.now));
            match step {
                Step::Check(items) => {
                    let items = comparison.items(&items);
                    let decided = answer(&session.check(&comparison.charges(&items)));
                    prop_assert_eq!(decided, comparison.oracle.check(comparison.now, &items));
                }
                Step::Peek(items) => {
                    let items = comparison.items(&items);
                    let decided = answer(&session.peek(&comparison.charges(&items)));
                    prop_assert_eq!(decided, comparison.oracle.peek(comparison.now, &items));
                }
                Step::SetLimit(rule, limit) => {
                    let rule = comparison.rule(rule);
                    let limit = limit.min(comparison.greatest[rule]);
                    comparison.limiter.set_limit(comparison.ids[rule], limit).unwrap();
                    comparison.oracle.rules[rule].limit = limit;
                }
                Step::Reset(rule, key) => {
                    let rule = comparison.rule(rule);
                    session.reset_key(comparison.ids[rule], key).unwrap();
                    comparison.oracle.reset(rule, key);
                }
                Step::Time(jump) => comparison.jump(jump),
                // After these, an exact policy may hold a charge longer than the oracle. The next test
                // covers them.
                Step::Refund(..) | Step::Force(_) => {}
            }
        }
    }

    /// Guarantee A: after refunds and forced charges an exact policy may hold a charge longer,
    /// never shorter.
    #[test]
    fn no_admission_that_the_oracle_denies(
        rules in rules(), steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut comparison = Comparison::new(rules);
        for step in steps {
            let session = comparison.limiter.session_at(Now::from_unix_nanos(comparison.now));
            match step {
                Step::Check(items) | Step::Peek(items) => {
                    let items = comparison.items(&items);
                    let allowed = session.check(&comparison.charges(&items)).is_allowed();
                    let oracle = comparison.oracle.peek(comparison.now, &items);
                    if allowed {
                        prop_assert!(matches!(oracle, Answer::Allowed(..)), "{oracle:?}");
                        items.iter().for_each(|item| comparison.oracle.charge(comparison.now, item));
                    }
                }
                Step::Refund(rule, key, cost) => {
                    let rule = comparison.rule(rule);
                    let given = session.refund(&comparison.ids[rule].charge(key, cost)).unwrap();
                    prop_assert!(given <= cost);
                    // The oracle may count less by now, and then refunds less.
                    comparison.oracle.refund(comparison.now, rule, key, given);
                }
                Step::Force(item) => {
                    let items = comparison.items(&[item]);
                    prop_assert!(session.force_charge(&comparison.charges(&items)).is_allowed());
                    comparison.oracle.charge(comparison.now, &items[0]);
                }
                Step::Reset(rule, key) => {
                    let rule = comparison.rule(rule);
                    session.reset_key(comparison.ids[rule], key).unwrap();
                    comparison.oracle.reset(rule, key);
                }
                Step::Time(jump) => comparison.jump(jump),
                Step::SetLimit(..) => {}
            }
        }
    }

    /// Guarantee B: a request is denied at every instant before `retry_after` and admitted at it,
    /// if no other request is charged.
    #[test]
    fn retry_after_is_accurate(
        limit in 1u64..=127,
        window in prop::sample::select(WINDOWS.to_vec()),
        gaps in prop::collection::vec((0u64..2_000_000_000, 1u64..9), 1..200),
        sooner in 0.0f64..1.0,
    ) {
        let mut comparison = Comparison::new(vec![Rule { limit, kind: Kind::Sliding(window) }]);
        for (gap, cost) in gaps {
            comparison.now += gap % (window / limit * 2);
            let cost = cost.min(limit);
            let try_at = |now: u64| {
                let session = comparison.limiter.session_at(Now::from_unix_nanos(now));
                session.peek(&[comparison.ids[0].charge(0u64, cost)])
            };
            let session = comparison.limiter.session_at(Now::from_unix_nanos(comparison.now));
            let decision = session.check(&[comparison.ids[0].charge(0u64, cost)]);
            if let Some(wait) = decision.retry_after_ns {
                prop_assert!(wait > 0);
                for before in [0, (wait as f64 * sooner) as u64, wait - 1] {
                    let early = before.min(wait - 1);
                    prop_assert!(!try_at(comparison.now + early).is_allowed());
                }
                prop_assert!(try_at(comparison.now + wait).is_allowed());
            }
        }
    }
}

/// The oracle's admissions pass an independent check, which fails for a longer window.
#[test]
fn oracle_never_exceeds_the_limit() {
    let rule = Rule { limit: 3, kind: Kind::Sliding(10) };
    let mut oracle = Oracle::new(vec![rule]);
    for now in 0..100 {
        oracle.check(now, &[(0, 0, 1, None)]);
    }
    let history = oracle.history(0, 0);
    assert_eq!(history.len(), 30);
    assert_never_over(&history, 10, 3);
    let over = std::panic::catch_unwind(|| assert_never_over(&history, 11, 3));
    assert!(over.is_err());
}
