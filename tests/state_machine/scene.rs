//! What is played: the limiter's make, the threads' clocks, and which call comes next.
//!
//! This is the reference of the state machine: it knows what has to be known beforehand to choose
//! calls that matter. What the limiter must answer is the [`books`](super::books)' matter.

use super::aim;
use super::reference::gate::Fault;
use super::reference::{Kind, Line};
use super::stories::REST;
use super::world::World;
use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;
use std::time::Duration;
use tollgate::{Limiter, ManualClock, Now, Overflow, Period, Policy};

pub const HOUR: u64 = 3_600_000_000_000;
/// No clock goes further: hours are told apart until 2209.
pub const END: u64 = 7_000_000_000_000_000_000;
/// How many calls' times are remembered, to aim at the edges of their windows.
const MARKS: usize = 12;

/// The make of one policy.
#[derive(Clone, Debug)]
pub struct Shape {
    pub limit: u64,
    /// The greatest limit that may be asked for.
    pub greatest: u64,
    pub kind: Kind,
    pub buckets: Option<u32>,
    pub max_keys: usize,
    pub overflow: Overflow,
    /// To what times are cut.
    pub unit: u64,
}

/// What is wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wrong {
    Limiter(Fault),
    /// The textbook's windows are a nanosecond too short.
    Textbook,
}

/// The make of a limiter and of its threads.
#[derive(Clone, Debug)]
pub struct Config {
    pub shapes: Vec<Shape>,
    /// The instant at which it is built.
    pub start: u64,
    /// How far the monotonic clock lies behind the wall clock.
    pub behind: u64,
    pub threads: usize,
    pub seed: u64,
    /// Whether some keys are looked at after every call: a look moves a key to the newer array.
    pub probing: bool,
    /// Whether clocks mostly go on by a little, so that many charges fall into one window.
    pub calm: bool,
    pub wrong: Option<Wrong>,
}

impl Shape {
    /// The words of the ring; none for a calendar budget.
    pub fn words(&self) -> Option<u64> {
        let Kind::Sliding(_) = self.kind else { return None };
        let exact = (self.greatest <= 127).then_some(self.greatest);
        let wanted = self.buckets.map(u64::from).or(exact).unwrap_or(15);
        [7, 15, 31, 63, 127].into_iter().find(|words| *words >= wanted)
    }

    pub fn is_bucketed(&self) -> bool {
        self.words().is_some_and(|words| self.greatest > words)
    }

    /// How much longer than its window a charge may count.
    pub fn slack(&self) -> u64 {
        let words = self.words().filter(|_| self.is_bucketed());
        words.map_or(0, |words| self.kind.length() / (words - 1) + 4 * self.unit)
    }

    /// How far the time field of a word reaches: 64 bits less two marks, those of the greatest
    /// limit, and five for debt. A calendar budget has no such end.
    pub fn field(&self) -> Option<u64> {
        let bits = 62 - 5 - (u64::BITS - self.greatest.leading_zeros());
        self.words().map(|_| self.unit << bits)
    }

    fn policy(&self, name: String) -> Policy {
        let policy = match self.kind {
            Kind::Sliding(window) => {
                Policy::sliding(name, self.limit, Duration::from_nanos(window))
            }
            Kind::Fixed(HOUR) => Policy::calendar(name, self.limit, Period::Hour),
            Kind::Fixed(_) => Policy::calendar(name, self.limit, Period::Day),
        };
        let policy = policy.max_limit(self.greatest).max_keys(self.max_keys);
        let policy = self.buckets.map_or(policy.clone(), |buckets| policy.buckets(buckets));
        policy.overflow(self.overflow)
    }
}

impl Config {
    pub fn limiter(&self) -> Limiter {
        let clock = ManualClock::new();
        clock.set(self.now(self.start));
        let builder = Limiter::builder().clock(clock).seed([self.seed; 4]);
        let named = self.shapes.iter().enumerate();
        let policies = named.map(|(place, shape)| shape.policy(format!("p{place}")));
        policies.fold(builder, |builder, policy| builder.policy(policy)).build().unwrap()
    }

    /// The reading of both clocks at an instant of the wall's.
    pub fn now(&self, at: u64) -> Now {
        Now::new(at.saturating_sub(self.behind), at)
    }

    /// With each policy's resolution, which the limiter tells.
    pub fn measured(mut self) -> Self {
        let limiter = self.limiter();
        for (place, shape) in self.shapes.iter_mut().enumerate() {
            let id = limiter.policy(&format!("p{place}")).unwrap();
            shape.unit = limiter.resolution(id).unwrap().as_nanos() as u64;
        }
        self
    }
}

/// What has to be known to choose the next call.
#[derive(Clone, Debug)]
pub struct Scene {
    pub config: Config,
    /// What each thread's clock shows.
    pub clocks: Vec<u64>,
    /// When something was asked, newest last.
    pub marks: Vec<u64>,
    /// How many reservations were tried.
    pub reserved: usize,
}

/// What a layer of a reservation has cost in the end.
#[derive(Clone, Copy, Debug)]
pub enum Cost {
    /// So many hundredths of what was reserved.
    Less(u64),
    Equal,
    /// So much more.
    More(u64),
}

/// One call of one thread, or a move of clocks.
#[derive(Clone, Debug)]
pub enum Call {
    Check(Vec<Line>),
    Peek(Vec<Line>),
    Charge(Vec<Line>),
    Refund(usize, u64, u64),
    Reserve(Vec<Line>),
    Extend(usize, [u64; 3]),
    Settle(usize, [Cost; 3]),
    Cancel(usize),
    /// Extends and settles by a wrong number of amounts.
    Misuse(usize),
    Reset(usize, u64),
    SetLimit(usize, u64),
    Maintain(usize),
    /// So often, each time a unit later, one is charged to a key and mostly given back: more times
    /// than a ring has words.
    Flap(usize, u64, u64),
    /// A key reserves one unit, strangers fill the table and may evict it, it is charged again, and
    /// the reservation is cancelled: so many rounds, each with other strangers.
    Squeeze(usize, u64, u64, usize),
    /// So many keys from one on are charged, each so much.
    Crowd(usize, u64, u64, u64),
    /// A full table, of which a quarter expires before others come.
    Turnover(usize),
    /// A large table whose keys all go idle.
    Exodus(usize),
    /// Maintains until nothing is left to do, and looks at every key.
    Audit,
    /// The thread's clock shows this.
    Clock(u64),
    /// All threads' clocks show this.
    Clocks(u64),
}

/// A call and its thread.
#[derive(Clone, Debug)]
pub struct Transition {
    pub thread: usize,
    pub call: Call,
}

impl ReferenceStateMachine for Scene {
    type State = Scene;
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<Scene> {
        let scene = |config: Config| {
            let clocks = vec![config.start; config.threads];
            let marks = vec![config.start];
            Scene { config: config.measured(), clocks, marks, reserved: 0 }
        };
        aim::config().prop_map(scene).boxed()
    }

    fn transitions(scene: &Scene) -> BoxedStrategy<Transition> {
        aim::transition(scene)
    }

    fn apply(mut scene: Scene, Transition { thread, call }: &Transition) -> Scene {
        match call {
            Call::Clock(to) => scene.clocks[*thread] = *to,
            Call::Clocks(to) => scene.clocks.fill(*to),
            Call::Turnover(rule) => {
                scene.clocks[*thread] += World::lead(scene.config.shapes[*rule].kind.length());
            }
            Call::Exodus(rule) => {
                let rest = REST * scene.config.shapes[*rule].kind.length();
                let now = scene.clocks[*thread] + rest;
                scene.clocks.fill(now);
            }
            Call::Squeeze(.., rounds) => scene.reserved += rounds,
            Call::Flap(rule, _, times) => {
                scene.clocks[*thread] += scene.config.shapes[*rule].unit * times;
            }
            Call::Check(_) | Call::Charge(_) | Call::Reserve(_) | Call::Extend(..) => {
                if scene.marks.len() == MARKS {
                    scene.marks.remove(0);
                }
                scene.marks.push(scene.clocks[*thread]);
                scene.reserved += usize::from(matches!(call, Call::Reserve(_)));
            }
            _ => {}
        }
        scene
    }

    /// Whether there is all that the call names: fewer policies, threads and reservations may be
    /// left when a failure is shrunk.
    fn preconditions(scene: &Scene, Transition { thread, call }: &Transition) -> bool {
        let shapes = &scene.config.shapes;
        let named = match call {
            Call::Check(lines) | Call::Peek(lines) | Call::Charge(lines) | Call::Reserve(lines) => {
                lines.iter().all(|line| line.0 < shapes.len())
            }
            Call::Extend(which, _)
            | Call::Settle(which, _)
            | Call::Cancel(which)
            | Call::Misuse(which) => *which < scene.reserved,
            Call::Refund(rule, ..)
            | Call::Reset(rule, _)
            | Call::Flap(rule, ..)
            | Call::Squeeze(rule, ..)
            | Call::Crowd(rule, ..) => *rule < shapes.len(),
            Call::Turnover(rule) | Call::Exodus(rule) => {
                let rest = |shape: &Shape| REST * shape.kind.length();
                let time = scene.clocks.get(*thread).zip(shapes.get(*rule).map(rest));
                time.is_some_and(|(now, rest)| now + rest <= END)
            }
            Call::SetLimit(rule, limit) => {
                shapes.get(*rule).is_some_and(|shape| *limit <= shape.greatest)
            }
            _ => true,
        };
        named && *thread < scene.config.threads
    }
}
