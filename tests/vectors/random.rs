//! Scenes of random calls: the same in every run.

use super::author::{Author, SECOND};
use super::format::*;
use super::load::mix;
use super::reference::{Answer, Line};
use super::run::Host;
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

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = mix(self.0);
        self.0 % bound
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// 1 to 3 lines of these policies.
    fn lines(&mut self, limits: &[u64]) -> Vec<Line> {
        let count = 1 + self.below(3);
        (0..count).map(|_| self.line(limits)).collect()
    }

    /// A line of one of the policies, which have these limits; mostly of a few keys.
    fn line(&mut self, limits: &[u64]) -> Line {
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
        let limit = (self.below(8) == 0).then(|| 1 + self.below(most + most / 2));
        (policy, self.below(keys), cost, limit)
    }

    /// The next instant: a little on, back, to the edge of a window, or some windows on.
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

/// The length of any policy of the author's; seldom a long one, or there are no others in its time.
fn some_length(author: &Author, dice: &mut Dice) -> u64 {
    let lengths: Vec<_> = author.textbook.rules.iter().map(|rule| rule.kind.length()).collect();
    let shortest = *lengths.iter().min().expect("a policy");
    if dice.below(16) == 0 {
        dice.one_of(&lengths)
    } else {
        shortest.max(dice.one_of(&lengths) / 16)
    }
}

/// Checks and peeks in one layer and many, from clocks that are late as well.
fn exact(name: &str, policies: Vec<Policy>, offset_s: i64, calls: usize, seed: u64) -> Scene {
    let mut dice = Dice(seed);
    let limits: Vec<_> = policies.iter().map(|policy| policy.limit).collect();
    let mut author = Author::new(name, setup(policies));
    author.behind = offset_s * SECOND as i64;
    author.now = DAY;
    while author.scene.calls.len() < calls {
        let length = some_length(&author, &mut dice);
        author.now = dice.jump(author.now, length).min(6 * DAY);
        match dice.below(20) {
            0..=8 => author.check(&dice.lines(&limits), false),
            9..=12 => author.check(&dice.lines(&limits), true),
            13 | 14 => author.peek(&dice.lines(&limits), false),
            15 | 16 => author.peek(&dice.lines(&limits), true),
            17 => {
                let lines: Vec<_> = (0..dice.below(6)).map(|_| dice.line(&limits)).collect();
                author.check_many(&lines);
            }
            18 => author.set_limit(dice.below(limits.len() as u64) as usize, dice.below(45)),
            _ => author.reset_key(&dice.line(&limits)),
        }
    }
    author.scene
}

/// All verbs, where the ring has a word for every time, so that nothing is held longer than the log
/// would: no late clocks, and fewer calls than the limit.
fn every_verb(name: &str, policies: Vec<Policy>, calls: usize, seed: u64) -> Scene {
    let mut dice = Dice(seed);
    let limits: Vec<_> = policies.iter().map(|policy| policy.limit).collect();
    let mut author = Author::new(name, setup(policies));
    author.now = DAY;
    while author.scene.calls.len() < calls {
        let on = dice.one_of(&[0, MILLI, SECOND, SECOND, 5 * SECOND, 40 * SECOND]);
        author.now += dice.below(on + 1);
        match dice.below(20) {
            0..=4 => author.check(&dice.lines(&limits), true),
            5 => author.force(&dice.lines(&limits)),
            6 | 7 => author.refund(&dice.line(&limits)),
            8 | 9 => author.peek(&dice.lines(&limits), true),
            10..=13 => {
                author.reserve(&dice.lines(&limits));
            }
            other => change_reservation(&mut author, &mut dice, other),
        }
    }
    author.scene
}

fn change_reservation(author: &mut Author, dice: &mut Dice, how: u64) {
    let Some(newest) = author.reservations().checked_sub(1) else { return };
    let number = newest - dice.below(4).min(newest as u64) as usize;
    let layers = author.layers(number) + usize::from(dice.below(12) == 0);
    let amounts: Vec<u64> = (0..layers).map(|_| dice.one_of(&[0, 1, 9, 50])).collect();
    match how {
        14 | 15 => author.extend(number, &amounts),
        16..=17 => author.settle(number, &amounts),
        _ => author.cancel(number),
    }
}

/// What the limiter itself has answered, held to the laws: it admits nothing that the textbook
/// would refuse, and a wait is neither too short nor too long.
fn bucketed(name: &str, policies: Vec<Policy>, calls: usize, seed: u64) -> Scene {
    let mut dice = Dice(seed);
    let mut author = Author::new(name, setup(policies));
    let mut host = Host::new(&author.scene.limiter).expect("good policies");
    author.now = DAY;
    while author.scene.calls.len() < calls {
        let policy = dice.below(author.textbook.rules.len() as u64) as usize;
        let (limit, length) =
            (author.textbook.rules[policy].limit, author.textbook.rules[policy].kind.length());
        let on =
            dice.one_of(&[0, length / 100, length / 100, length / 20, length / 20, length / 4]);
        author.now += dice.below(on + 1);
        let line = (policy, dice.one_of(&[0, 0, 0, 1]), 1 + dice.below(limit / 4), None);
        let charges = author.charges(&[line]);
        let expect = host.call(Now::from_unix_nanos(author.now), &Verb::Check(charges.clone()));
        let Expect::Decision(decision) = &expect else { panic!("{expect:?}") };
        match (decision.status, decision.stand.retry_after_ns) {
            (0, None) => {
                let textbook = author.textbook.peek(author.now, &[line]);
                assert!(matches!(textbook, Answer::Allowed(..)), "{textbook:?}");
                author.textbook.charge(author.now, &line);
            }
            (1, Some(wait)) => {
                let mut allowed_at = |now| {
                    host.call(Now::from_unix_nanos(now), &Verb::Peek(charges.clone())).has_status(0)
                };
                assert!(!allowed_at(author.now + wait - 1) && allowed_at(author.now + wait));
            }
            other => panic!("{other:?} of a bucketed policy"),
        }
        author.push(Verb::Check(charges), expect);
    }
    author.scene
}

pub fn exact_scenes() -> Vec<Scene> {
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

pub fn offset_scenes() -> Vec<Scene> {
    let of = |offset_s: i32| {
        let offset = |policy: Policy| Policy { offset_seconds: Some(offset_s), ..policy };
        [calendar("day", 9, Period::Day), calendar("hour", 4, Period::Hour)].map(offset).into()
    };
    vec![
        exact("east of UTC", of(19_800), 19_800, 50, 3),
        exact("west of UTC", of(-64_800), -64_800, 50, 4),
    ]
}

pub fn verb_scenes() -> Vec<Scene> {
    let policies = vec![
        sliding("requests", 100, 60 * SECOND),
        sliding("tokens", 127, 30 * SECOND),
        calendar("budget", 200, Period::Hour),
    ];
    vec![every_verb("every verb", policies.clone(), 120, 5), every_verb("again", policies, 120, 6)]
}

pub fn bucketed_scenes() -> Vec<Scene> {
    let buckets = |policy: Policy, buckets| Policy { buckets: Some(buckets), ..policy };
    let policies = vec![
        sliding("fifteen", 1_000, SECOND),
        buckets(sliding("seven", 100_000, 60 * SECOND), 7),
        buckets(sliding("all", 1 << 40, 60 * SECOND), 127),
    ];
    vec![bucketed("bucketed", policies, 120, 7)]
}
