//! One execution: a small limiter whose tables are renewed all the time, some threads with a few
//! calls each, and the judgement of what they were told.
//!
//! Everything that is chosen is drawn from the schedule's own source of numbers, so that a schedule
//! replays with the same calls.

use super::budget::Budget;
use super::history::{Done, History};
use super::limits::{Limit, Limits};
use super::linear::{self, Event, Rules};
use super::never_over::{self, Time};
use super::spec::{Answer, Step, Window};
use crate::sync::{AtomicU64, Ordering::Relaxed};
use crate::{
    Charge, Decision, Layer, Limiter, ManualClock, Now, Period, Policy, PolicyId, Verdict,
};
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

/// What a thread may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// A request of one layer.
    Check,
    /// The same, just after the clock went on by the least step.
    Turn,
    /// A request of two layers.
    Both,
    Peek,
    /// Gives back the whole of the newest charge that this thread still has.
    Refund,
    SetLimit,
    Reset,
    /// The clock goes on.
    Tick,
}

/// What an execution is made of.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) name: &'static str,
    /// The limit of each policy.
    pub(super) limits: &'static [u64],
    pub(super) calendar: bool,
    pub(super) keys: usize,
    /// Places beyond those of the keys, at the least.
    pub(super) spare: usize,
    pub(super) threads: usize,
    /// Threads that renew and move, beside those.
    pub(super) movers: usize,
    /// Each equally likely.
    pub(super) verbs: &'static [Verb],
    pub(super) most_cost: u64,
}

const WINDOW: u64 = 1_000_000;
const HOUR: u64 = 3_600_000_000_000;
const NAMES: [&str; 2] = ["first", "second"];

/// The contract that was broken, and how.
pub(super) fn fault(contract: &'static str, how: impl Debug) -> ! {
    super::FAULT.set(contract);
    panic!("{contract}: {how:#?}");
}

fn below(bound: u64) -> u64 {
    thread_rng().gen_range(0..bound)
}

#[derive(Clone, Copy, Debug)]
struct Call {
    verb: Verb,
    policy: usize,
    keys: [usize; 2],
    cost: u64,
    /// At the reading of the thread's call before, not at a new one.
    late: bool,
    /// Which amount: the clock's step, or the limit that is set.
    choice: u64,
}

impl Call {
    fn random(layout: &Layout, verbs: &[Verb]) -> Self {
        let key = || below(layout.keys as u64) as usize;
        Call {
            verb: verbs[below(verbs.len() as u64) as usize],
            policy: below(layout.limits.len() as u64) as usize,
            keys: [key(), key()],
            cost: 1 + below(layout.most_cost),
            late: below(4) == 0,
            choice: below(4),
        }
    }
}

/// What a thread remembers from call to call.
#[derive(Debug, Default)]
struct Memory {
    now: Option<u64>,
    /// Charges that were admitted and not given back, as (policy, key, cost).
    paid: Vec<(usize, usize, u64)>,
}

struct Scene {
    layout: &'static Layout,
    limiter: Limiter,
    ids: Vec<PolicyId>,
    history: History,
    /// A step that the schedule sees, between one call and the next.
    between: AtomicU64,
}

/// One execution of a layout.
pub(super) fn run(layout: &'static Layout) {
    let scene = Arc::new(Scene::new(layout));
    let plan = |calls: u64| (0..calls).map(|_| Call::random(layout, layout.verbs)).collect();
    let mut before = Memory::default();
    let ticks = layout.verbs.contains(&Verb::Tick);
    let verbs: &[Verb] =
        if ticks { &[Verb::Check, Verb::Check, Verb::Tick] } else { &[Verb::Check] };
    for _ in 0..below(5) {
        scene.call(Call::random(layout, verbs), &mut before);
    }
    let plans: Vec<Vec<Call>> = (0..layout.threads).map(|_| plan(2 + below(3))).collect();
    let callers = plans.into_iter().map(|calls| {
        let (scene, mut memory) = (scene.clone(), Memory { now: before.now, paid: vec![] });
        thread::spawn(move || calls.into_iter().for_each(|call| scene.call(call, &mut memory)))
    });
    let mut threads: Vec<_> = callers.collect();
    for _ in 0..layout.movers {
        let rounds: Vec<_> = (0..1 + below(3)).map(|_| (below(2), below(9), below(4))).collect();
        let (scene, mut memory) = (scene.clone(), Memory { now: before.now, paid: vec![] });
        threads.push(thread::spawn(move || {
            for (policy, chunks, late) in rounds {
                scene.renew(policy as usize, chunks, late == 0, &mut memory);
            }
        }));
    }
    threads.into_iter().for_each(|thread| thread.join().expect("a thread has failed"));
    for policy in 0..layout.limits.len() {
        for key in 0..layout.keys {
            let (verb, keys) = (Verb::Peek, [key, key]);
            let peek = Call { verb, policy, keys, cost: 1, late: false, choice: 0 };
            scene.call(peek, &mut before);
        }
    }
    scene.judge();
}

impl Scene {
    fn new(layout: &'static Layout) -> Self {
        let start = if layout.calendar { 100_000 * HOUR } else { 10 * WINDOW };
        let max_keys = layout.keys + layout.spare + below(3) as usize;
        let builder = Limiter::builder().clock(ManualClock::new()).max_keys(max_keys).seed([
            1 + below(16),
            2,
            3,
            4,
        ]);
        let policies = layout.limits.iter().zip(NAMES).map(|(limit, name)| {
            if layout.calendar {
                Policy::calendar(name, *limit, Period::Hour)
            } else {
                Policy::sliding(name, *limit, Duration::from_nanos(WINDOW)).max_limit(7)
            }
        });
        let limiter = policies.fold(builder, |builder, policy| builder.policy(policy));
        let limiter = limiter.build().expect("a small limiter");
        let ids = NAMES[..layout.limits.len()]
            .iter()
            .map(|name| limiter.policy(name).expect("one of its policies"))
            .collect();
        let (history, between) = (History::new(start), AtomicU64::new(0));
        Scene { layout, limiter, ids, history, between }
    }

    fn counter(&self, policy: usize, key: usize) -> usize {
        policy * self.layout.keys + key
    }

    fn charge(&self, policy: usize, key: usize, cost: u64) -> Charge<'static> {
        self.ids[policy].charge(key as u64, cost)
    }

    fn reading(&self, late: bool, memory: &mut Memory) -> u64 {
        // Relaxed: only a place to switch threads.
        self.between.load(Relaxed);
        let now = memory.now.filter(|_| late).unwrap_or_else(|| self.history.now());
        memory.now = Some(now);
        now
    }

    fn renew(&self, policy: usize, chunks: u64, late: bool, memory: &mut Memory) {
        let policy = self.ids[policy % self.ids.len()];
        let now = self.reading(late, memory);
        self.limiter.start_renewal(policy, Now::from_unix_nanos(now));
        for _ in 0..chunks {
            let now = self.reading(late, memory);
            self.limiter.help_once(policy, Now::from_unix_nanos(now));
        }
    }

    fn call(&self, call: Call, memory: &mut Memory) {
        if call.verb == Verb::Tick {
            let unit = if self.layout.calendar { HOUR } else { WINDOW };
            return self.history.tick([1, unit / 2, unit - 1, unit][call.choice as usize]);
        }
        if call.verb == Verb::Turn {
            self.history.tick(1);
        }
        let now = self.reading(call.late, memory);
        let [key, other] = call.keys;
        let begun = self.history.call(now);
        let session = self.limiter.session_at(Now::from_unix_nanos(now));
        match call.verb {
            Verb::Check | Verb::Turn => {
                let decision = session.check(&[self.charge(call.policy, key, call.cost)]);
                let done = self.history.finish(begun);
                if decision.is_allowed() {
                    memory.paid.push((call.policy, key, call.cost));
                }
                self.told(call, done, &decision);
            }
            Verb::Peek => {
                let decision = session.peek(&[self.charge(call.policy, key, call.cost)]);
                let done = self.history.finish(begun);
                self.told(call, done, &decision);
            }
            Verb::Both => {
                let cost = [call.cost, 1];
                let charges = [self.charge(0, key, cost[0]), self.charge(1, other, cost[1])];
                let mut layers = [Layer::default(); 2];
                let decision = session.check_layers(&charges, &mut layers);
                let done = self.history.finish(begun);
                self.told_both(call.keys, cost, done, &decision, &layers);
            }
            Verb::Refund => {
                let Some((policy, key, cost)) = memory.paid.pop() else { return };
                let given = session.refund(&self.charge(policy, key, cost));
                let done = self.history.finish(begun);
                let mut steps = vec![Step::Give(done.span); given as usize];
                let nothing_left = Step::NothingLeft { span: done.span, known: begun.known };
                steps.extend((given < cost).then_some(nothing_left));
                self.history.record(self.counter(policy, key), done, steps);
            }
            Verb::SetLimit => {
                let limit = 1 + call.choice;
                self.limiter.set_limit(self.ids[call.policy], limit).expect("not too much");
                self.history.record_limit(call.policy, limit, self.history.finish(begun));
            }
            Verb::Reset => {
                session.reset_key(self.ids[call.policy], key as u64);
                let done = self.history.finish(begun);
                self.history.record_reset(self.counter(call.policy, key), done);
            }
            Verb::Tick => {}
        }
    }

    /// Records the answer to a request of one layer.
    fn told(&self, call: Call, done: Done, decision: &Decision) {
        let span = done.span;
        let answer = Answer {
            cost: call.cost,
            limit: decision.limit,
            remaining: decision.remaining,
            fits_at: decision.retry_after.map(|wait| after(span.now, wait)),
            clear_at: after(span.now, decision.reset_after),
            given: 0,
        };
        let step = match decision.verdict {
            Verdict::Allowed if call.verb != Verb::Peek => {
                Step::Admit { charge: self.history.charge(), span, answer }
            }
            Verdict::Allowed => Step::Room { span, answer },
            Verdict::Denied | Verdict::Impossible => Step::Denied { span, answer },
            Verdict::TableFull | Verdict::Invalid => fault("no place for a key", (call, decision)),
        };
        self.history.record(self.counter(call.policy, call.keys[0]), done, [step]);
    }

    /// Records the answer to a request of two layers.
    fn told_both(
        &self,
        keys: [usize; 2],
        cost: [u64; 2],
        done: Done,
        decision: &Decision,
        layers: &[Layer; 2],
    ) {
        let span = done.span;
        if !matches!(decision.verdict, Verdict::Allowed | Verdict::Denied) {
            fault("no place for a key", decision);
        }
        for place in 0..2 {
            let layer = layers[place];
            let answer = Answer {
                cost: cost[place],
                limit: layer.limit,
                remaining: layer.remaining,
                fits_at: layer.retry_after.map(|wait| after(span.now, wait)),
                clear_at: after(span.now, layer.reset_after),
                given: 0,
            };
            let charge = self.history.charge();
            let steps = if decision.is_allowed() {
                vec![Step::Admit { charge, span, answer }]
            } else if layer.violated {
                vec![Step::Denied { span, answer }]
            } else if place == 1 {
                vec![Step::Room { span, answer }]
            } else {
                let Answer { cost, limit, .. } = answer;
                vec![Step::Lend { charge, span, cost, limit }, Step::Undo { charge }]
            };
            self.history.record(self.counter(place, keys[place]), done, steps);
        }
    }

    /// Each contract for itself, key by key: an order that explains each key explains them all.
    fn judge(&self) {
        for (policy, first) in self.layout.limits.iter().enumerate() {
            for key in 0..self.layout.keys {
                let counter = self.counter(policy, key);
                let events = self.history.of(counter);
                let (time, length) = match self.layout.calendar {
                    true => (Time::Period(HOUR), HOUR),
                    false => (Time::Window(WINDOW), WINDOW),
                };
                let excess = never_over::excess(time, &events);
                if let Some(excess) = excess.filter(|_| !self.history.was_reset(counter)) {
                    fault("over the limit", (excess, ordered(events)));
                }
                if self.layout.calendar {
                    explain(&Budget { period: length }, events);
                } else {
                    explain(&Window { length, readings: self.history.readings() }, events);
                }
            }
            let limits: Vec<Event<Limit>> = self.history.limits_of(policy, self.layout.keys);
            explain(&Limits { first: *first }, limits);
        }
    }
}

fn after(now: u64, wait: Duration) -> u64 {
    now + wait.as_nanos() as u64
}

fn explain<R: Rules>(rules: &R, events: Vec<Event<R::Step>>)
where
    R::Step: Debug,
{
    if let Err(placed) = linear::explain(rules, &events) {
        let most = format!("{placed} of {} events at the most", events.len());
        fault("no order explains the answers", (most, ordered(events)));
    }
}

fn ordered<S>(mut events: Vec<Event<S>>) -> Vec<Event<S>> {
    events.sort_by_key(|event| event.called);
    events
}
