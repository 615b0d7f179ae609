//! Exact policies decide as the textbook does: verdict, policy, limit, remaining, retry_after and
//! reset_after, step by step, under clocks that stand still, jump and step back.

mod reference;

use proptest::prelude::*;
use reference::{Answer, Kind, Line, Rule, Textbook, answer, assert_never_over, cases};
use std::time::Duration;
use tollgate::{Charge, Limiter, ManualClock, Now, Period, Policy, PolicyId};

const HOUR: u64 = 3_600_000_000_000;
const WINDOWS: [u64; 4] = [1_000_000, 10_000_000, 1_000_000_007, 60_000_000_000];
/// Far from zero, so that clocks can step back.
const START: u64 = 24 * HOUR;
/// Arrays are renewed after nine days, and then no earlier time counts: see the wrap's own test.
const END: u64 = 8 * 24 * HOUR;

#[derive(Clone, Debug)]
enum Step {
    Check(Vec<Line>),
    Peek(Vec<Line>),
    SetLimit(usize, u64),
    Reset(usize, u64),
    Refund(usize, u64, u64),
    Force(Line),
    Time(Jump),
}

#[derive(Clone, Copy, Debug)]
enum Jump {
    On(u64),
    Back(u64),
    /// To this many units around a window's or period's length from now.
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

fn line() -> impl Strategy<Value = Line> {
    let limit = prop_oneof![5 => Just(None), 1 => (0u64..20).prop_map(Some)];
    (0usize..4, 0u64..3, prop_oneof![6 => Just(1), 2 => 0u64..4, 1 => 0u64..150], limit)
}

fn jump() -> impl Strategy<Value = Jump> {
    prop_oneof![
        4 => (0u64..2_000_000).prop_map(Jump::On),
        2 => (0u64..2_000_000_000).prop_map(Jump::On),
        2 => (0u64..5_000_000).prop_map(Jump::Back),
        3 => (-2i64..=2).prop_map(Jump::Edge),
        1 => (1u64..4).prop_map(Jump::Windows),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let lines = || prop::collection::vec(line(), 1..4);
    prop_oneof![
        12 => lines().prop_map(Step::Check),
        3 => lines().prop_map(Step::Peek),
        1 => (0usize..4, 1u64..127).prop_map(|(rule, limit)| Step::SetLimit(rule, limit)),
        1 => (0usize..4, 0u64..3).prop_map(|(rule, key)| Step::Reset(rule, key)),
        3 => (0usize..4, 0u64..3, 0u64..6).prop_map(|(r, k, c)| Step::Refund(r, k, c)),
        1 => line().prop_map(Step::Force),
        8 => jump().prop_map(Step::Time),
    ]
}

struct Bench {
    limiter: Limiter,
    ids: Vec<PolicyId>,
    textbook: Textbook,
    /// The greatest limit of each rule.
    greatest: Vec<u64>,
    now: u64,
}

impl Bench {
    fn new(rules: Vec<Rule>) -> Self {
        let clock = ManualClock::new();
        clock.set(Now::from_unix_nanos(0));
        let mut builder = Limiter::builder().clock(clock).max_keys(100);
        for (place, rule) in rules.iter().enumerate() {
            let name = format!("rule {place}");
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
        Bench { limiter, ids, textbook: Textbook::new(rules), greatest, now: START }
    }

    fn rule(&self, number: usize) -> usize {
        number % self.ids.len()
    }

    /// Lines of rules that exist, with limits cut as the limiter cuts them.
    fn lines(&self, lines: &[Line]) -> Vec<Line> {
        let cut = |(rule, key, cost, limit): Line| {
            let rule = self.rule(rule);
            (rule, key, cost, limit.map(|limit| limit.min(self.greatest[rule])))
        };
        lines.iter().copied().map(cut).collect()
    }

    fn charges(&self, lines: &[Line]) -> Vec<Charge<'static>> {
        let charge = |(rule, key, cost, limit): &Line| {
            let charge = self.ids[*rule].charge(*key, *cost);
            limit.map_or(charge, |limit| charge.limit(limit))
        };
        lines.iter().map(charge).collect()
    }

    fn jump(&mut self, jump: Jump) {
        let length = match self.textbook.rules[0].kind {
            Kind::Sliding(window) => window,
            Kind::Fixed(length) => length,
        };
        let on = match jump {
            Jump::On(by) => self.now + by,
            Jump::Back(by) => self.now - by,
            Jump::Edge(by) => (self.now + length).saturating_add_signed(by),
            Jump::Windows(count) => self.now + count * length,
        };
        self.now = if on < END { on } else { self.now };
    }
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn decides_as_the_textbook(rules in rules(), steps in prop::collection::vec(step(), 1..120)) {
        let mut bench = Bench::new(rules);
        for step in steps {
            let session = bench.limiter.session_at(Now::from_unix_nanos(bench.now));
            match step {
                Step::Check(lines) => {
                    let lines = bench.lines(&lines);
                    let ours = answer(&session.check(&bench.charges(&lines)));
                    prop_assert_eq!(ours, bench.textbook.check(bench.now, &lines));
                }
                Step::Peek(lines) => {
                    let lines = bench.lines(&lines);
                    let ours = answer(&session.peek(&bench.charges(&lines)));
                    prop_assert_eq!(ours, bench.textbook.peek(bench.now, &lines));
                }
                Step::SetLimit(rule, limit) => {
                    let rule = bench.rule(rule);
                    let limit = limit.min(bench.greatest[rule]);
                    bench.limiter.set_limit(bench.ids[rule], limit).unwrap();
                    bench.textbook.rules[rule].limit = limit;
                }
                Step::Reset(rule, key) => {
                    let rule = bench.rule(rule);
                    session.reset_key(bench.ids[rule], key).unwrap();
                    bench.textbook.reset(rule, key);
                }
                Step::Time(jump) => bench.jump(jump),
                // After these an exact policy may be late: the next test's matter.
                Step::Refund(..) | Step::Force(_) => {}
            }
        }
    }

    /// With refunds and forced charges an exact policy may hold a charge longer, never shorter.
    #[test]
    fn never_admits_what_the_textbook_would_refuse(
        rules in rules(), steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut bench = Bench::new(rules);
        for step in steps {
            let session = bench.limiter.session_at(Now::from_unix_nanos(bench.now));
            match step {
                Step::Check(lines) | Step::Peek(lines) => {
                    let lines = bench.lines(&lines);
                    let allowed = session.check(&bench.charges(&lines)).is_allowed();
                    let textbook = bench.textbook.peek(bench.now, &lines);
                    if allowed {
                        prop_assert!(matches!(textbook, Answer::Allowed(..)), "{textbook:?}");
                        lines.iter().for_each(|line| bench.textbook.charge(bench.now, line));
                    }
                }
                Step::Refund(rule, key, cost) => {
                    let rule = bench.rule(rule);
                    let given = session.refund(&bench.ids[rule].charge(key, cost)).unwrap();
                    prop_assert!(given <= cost);
                    // What was given back beyond the textbook's would be a gift.
                    let due = bench.textbook.refund(bench.now, rule, key, given);
                    prop_assert!(due <= given);
                }
                Step::Force(line) => {
                    let lines = bench.lines(&[line]);
                    prop_assert!(session.force_charge(&bench.charges(&lines)).is_allowed());
                    bench.textbook.charge(bench.now, &lines[0]);
                }
                Step::Reset(rule, key) => {
                    let rule = bench.rule(rule);
                    session.reset_key(bench.ids[rule], key).unwrap();
                    bench.textbook.reset(rule, key);
                }
                Step::Time(jump) => bench.jump(jump),
                Step::SetLimit(..) => {}
            }
        }
    }

    /// Denied at every instant before retry_after, allowed at it, if nobody else spends.
    #[test]
    fn retry_after_is_accurate(
        limit in 1u64..=127,
        window in prop::sample::select(WINDOWS.to_vec()),
        gaps in prop::collection::vec((0u64..2_000_000_000, 1u64..9), 1..200),
        sooner in 0.0f64..1.0,
    ) {
        let mut bench = Bench::new(vec![Rule { limit, kind: Kind::Sliding(window) }]);
        for (gap, cost) in gaps {
            bench.now += gap % (window / limit * 2);
            let cost = cost.min(limit);
            let try_at = |now: u64| {
                let session = bench.limiter.session_at(Now::from_unix_nanos(now));
                session.peek(&[bench.ids[0].charge(0u64, cost)])
            };
            let session = bench.limiter.session_at(Now::from_unix_nanos(bench.now));
            let decision = session.check(&[bench.ids[0].charge(0u64, cost)]);
            if let Some(wait) = decision.retry_after_ns {
                prop_assert!(wait > 0);
                for before in [0, (wait as f64 * sooner) as u64, wait - 1] {
                    let early = before.min(wait - 1);
                    prop_assert!(!try_at(bench.now + early).is_allowed());
                }
                prop_assert!(try_at(bench.now + wait).is_allowed());
            }
        }
    }
}

/// The reference itself: an independent pass finds its admissions lawful, and a wrong one unlawful.
#[test]
fn the_textbook_is_lawful() {
    let rule = Rule { limit: 3, kind: Kind::Sliding(10) };
    let mut textbook = Textbook::new(vec![rule]);
    for now in 0..100 {
        textbook.check(now, &[(0, 0, 1, None)]);
    }
    let history = textbook.history(0, 0);
    assert_eq!(history.len(), 30);
    assert_never_over(&history, 10, 3);
    let over = std::panic::catch_unwind(|| assert_never_over(&history, 11, 3));
    assert!(over.is_err());
}
