//! The model state of the state machine: the configuration, the threads' clocks and the next call.
//!
//! It holds what the strategies need to choose useful calls. The expected answers are in
//! [`oracle_pair`](super::oracle_pair).

use super::call_sequences::IDLE_PERIODS;
use super::oracle::faulty_limiter::Fault;
use super::oracle::{Item, Kind};
use super::strategies;
use super::system::System;
use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;
use std::time::Duration;
use tollgate::{Limiter, ManualClock, Now, Overflow, Period, Policy};

pub const HOUR: u64 = 3_600_000_000_000;
/// The latest reading of any clock: calendar hours are distinct until 2209.
pub const END: u64 = 7_000_000_000_000_000_000;
/// The number of call times to keep, for readings at the edges of their windows.
const MAX_CALL_TIMES: usize = 12;

/// The configuration of one policy.
#[derive(Clone, Debug)]
pub struct PolicyConfig {
    pub limit: u64,
    /// The greatest limit that may be set.
    pub greatest: u64,
    pub kind: Kind,
    pub buckets: Option<u32>,
    pub max_keys: usize,
    pub overflow: Overflow,
    /// Times are rounded down to a multiple of this.
    pub unit: u64,
    pub dry_run: bool,
}

/// A fault planted on purpose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Planted {
    Limiter(Fault),
    /// The oracle's windows are a nanosecond too short.
    Oracle,
}

/// The configuration of a limiter and its threads.
#[derive(Clone, Debug)]
pub struct Config {
    pub policies: Vec<PolicyConfig>,
    /// The wall-clock time at which it is built.
    pub start: u64,
    /// How far the monotonic clock is behind the wall clock.
    pub monotonic_lag: u64,
    pub threads: usize,
    pub seed: u64,
    /// Whether some keys are peeked after every call. A peek moves a key to the newer array.
    pub peeks_after_calls: bool,
    /// Whether clocks mostly advance in small steps, so that many charges fall into one window.
    pub small_steps: bool,
    pub planted: Option<Planted>,
}

impl PolicyConfig {
    /// The number of words in the ring; none for a calendar budget.
    pub fn words(&self) -> Option<u64> {
        let Kind::Sliding(_) = self.kind else { return None };
        let exact = (self.greatest <= 127).then_some(self.greatest);
        let wanted = self.buckets.map(u64::from).or(exact).unwrap_or(15);
        [7, 15, 23, 31, 47, 63, 95, 127].into_iter().find(|words| *words >= wanted)
    }

    pub fn is_bucketed(&self) -> bool {
        self.words().is_some_and(|words| self.greatest > words)
    }

    /// How long a charge counts in recorded times, if the policy is exact. A window is rounded up to
    /// whole units, plus one unit above 1 ns.
    pub fn recorded_kind(&self) -> Kind {
        match self.kind {
            Kind::Sliding(window) if self.unit > 1 => {
                Kind::Sliding(window.next_multiple_of(self.unit) + self.unit)
            }
            kind => kind,
        }
    }

    /// How long after its window a charge may still count.
    pub fn slack(&self) -> u64 {
        let words = self.words().filter(|_| self.is_bucketed());
        words.map_or(0, |words| self.kind.length() / (words - 1) + 4 * self.unit)
    }

    /// The range of the time field of a ring word: 64 bits minus two flags, the bits of the
    /// greatest limit, and five bits for debt. None for a calendar budget.
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
        policy.overflow(self.overflow).dry_run(self.dry_run)
    }
}

impl Config {
    pub fn limiter(&self) -> Limiter {
        let clock = ManualClock::new();
        clock.set(self.now(self.start));
        let builder = Limiter::builder().clock(clock).seed([self.seed; 4]);
        let named = self.policies.iter().enumerate();
        let policies = named.map(|(index, policy)| policy.policy(format!("p{index}")));
        policies.fold(builder, |builder, policy| builder.policy(policy)).build().unwrap()
    }

    /// The readings of both clocks at a wall-clock time.
    pub fn now(&self, at: u64) -> Now {
        Now::new(at.saturating_sub(self.monotonic_lag), at)
    }

    /// Sets each policy's unit to the resolution that the limiter reports.
    pub fn measured(mut self) -> Self {
        let limiter = self.limiter();
        for (index, policy) in self.policies.iter_mut().enumerate() {
            let id = limiter.policy(&format!("p{index}")).unwrap();
            policy.unit = limiter.resolution(id).unwrap().as_nanos() as u64;
        }
        self
    }
}

/// The state from which the next call is chosen.
#[derive(Clone, Debug)]
pub struct Model {
    pub config: Config,
    /// The wall-clock reading of each thread.
    pub clocks: Vec<u64>,
    /// The times of recent calls, newest last.
    pub call_times: Vec<u64>,
    /// The number of reservations attempted.
    pub reserved: usize,
}

/// The actual cost of one item of a reservation.
#[derive(Clone, Copy, Debug)]
pub enum Cost {
    /// This many percent of what is charged.
    Less(u64),
    Equal,
    /// This much more than what is charged.
    More(u64),
}

/// A call of one thread, or a change of clocks.
#[derive(Clone, Debug)]
pub enum Call {
    Check(Vec<Item>),
    Peek(Vec<Item>),
    Charge(Vec<Item>),
    Refund(usize, u64, u64),
    Reserve(Vec<Item>),
    Extend(usize, [u64; 3]),
    Settle(usize, [Cost; 3]),
    Cancel(usize),
    /// Extends and settles with a wrong number of amounts.
    Misuse(usize),
    Reset(usize, u64),
    SetLimit(usize, u64),
    Maintain(usize),
    /// Charges a key this many times, a unit of time apart, and refunds most charges. These can be
    /// more times than a ring has words.
    ChargeAndRefund(usize, u64, u64),
    /// Reserves for a key, fills the table so that it may be evicted, charges it again, and cancels
    /// the reservation. Repeats this many times, with new keys each time.
    EvictReserved(usize, u64, u64, usize),
    /// Charges this many keys from the first on, each with the same cost.
    ChargeKeys(usize, u64, u64, u64),
    /// Fills a table, lets a quarter of its keys expire, and charges new ones.
    RefillExpired(usize),
    /// Fills a large table and lets all its keys go idle.
    FillAndIdle(usize),
    /// Calls `maintain` until nothing is left to do, and checks every key.
    Audit,
    /// Sets the thread's clock.
    SetClock(u64),
    /// Sets the clocks of all threads.
    SetAllClocks(u64),
}

/// A call and its thread.
#[derive(Clone, Debug)]
pub struct Transition {
    pub thread: usize,
    pub call: Call,
}

impl ReferenceStateMachine for Model {
    type State = Model;
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<Model> {
        let model = |config: Config| {
            let clocks = vec![config.start; config.threads];
            let call_times = vec![config.start];
            Model { config: config.measured(), clocks, call_times, reserved: 0 }
        };
        strategies::config().prop_map(model).boxed()
    }

    fn transitions(model: &Model) -> BoxedStrategy<Transition> {
        strategies::transition(model)
    }

    fn apply(mut model: Model, Transition { thread, call }: &Transition) -> Model {
        match call {
            Call::SetClock(to) => model.clocks[*thread] = *to,
            Call::SetAllClocks(to) => model.clocks.fill(*to),
            Call::RefillExpired(rule) => {
                model.clocks[*thread] +=
                    System::refill_lead(model.config.policies[*rule].kind.length());
            }
            Call::FillAndIdle(rule) => {
                let rest = IDLE_PERIODS * model.config.policies[*rule].kind.length();
                let now = model.clocks[*thread] + rest;
                model.clocks.fill(now);
            }
            Call::EvictReserved(.., rounds) => model.reserved += rounds,
            Call::ChargeAndRefund(rule, _, times) => {
                model.clocks[*thread] += model.config.policies[*rule].unit * times;
            }
            Call::Check(_) | Call::Charge(_) | Call::Reserve(_) | Call::Extend(..) => {
                if model.call_times.len() == MAX_CALL_TIMES {
                    model.call_times.remove(0);
                }
                model.call_times.push(model.clocks[*thread]);
                model.reserved += usize::from(matches!(call, Call::Reserve(_)));
            }
            _ => {}
        }
        model
    }

    /// Returns whether the policies, threads and reservations named in the call exist. Shrinking a
    /// failure may have removed them.
    fn preconditions(model: &Model, Transition { thread, call }: &Transition) -> bool {
        let policies = &model.config.policies;
        let named = match call {
            Call::Check(items) | Call::Peek(items) | Call::Charge(items) | Call::Reserve(items) => {
                items.iter().all(|item| item.0 < policies.len())
            }
            Call::Extend(which, _)
            | Call::Settle(which, _)
            | Call::Cancel(which)
            | Call::Misuse(which) => *which < model.reserved,
            Call::Refund(rule, ..)
            | Call::Reset(rule, _)
            | Call::ChargeAndRefund(rule, ..)
            | Call::EvictReserved(rule, ..)
            | Call::ChargeKeys(rule, ..) => *rule < policies.len(),
            Call::RefillExpired(rule) | Call::FillAndIdle(rule) => {
                let rest = |policy: &PolicyConfig| IDLE_PERIODS * policy.kind.length();
                let time = model.clocks.get(*thread).zip(policies.get(*rule).map(rest));
                time.is_some_and(|(now, rest)| now + rest <= END)
            }
            Call::SetLimit(rule, limit) => {
                policies.get(*rule).is_some_and(|policy| *limit <= policy.greatest)
            }
            _ => true,
        };
        named && *thread < model.config.threads
    }
}
