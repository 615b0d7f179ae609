//! The fixture of one execution: a small limiter whose tables are renewed all the time, some
//! threads with a few calls each, and the verification of their answers.

use super::call::{Call, Item, ThreadState, below};
use super::coverage::{self, CoveragePoint};
use super::history::{Completed, History};
use super::layout::{
    BUCKET_UNIT, HOUR, Layout, MAX_POLICIES, MAX_SET_LIMIT, Operation, PolicyKind, WINDOW,
};
use super::step::{GiveBack, Source, Step};
use crate::reclaim::{self, take_counts as take_events};
use crate::sync::{AtomicU64, Ordering::Relaxed};
use crate::{Charge, Limiter, ManualClock, Now, Period, Policy, PolicyId, Session};
use shuttle::thread;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const NAMES: [&str; MAX_POLICIES] = ["first", "second", "third"];

/// Panics with the violated contract and its details.
pub(super) fn fail(contract: &'static str, details: impl Debug) -> ! {
    super::VIOLATION.set(contract);
    panic!("{contract}: {details:#?}");
}

/// The limiter, and the history of its answers.
pub(super) struct Fixture {
    pub(super) layout: &'static Layout,
    pub(super) limiter: Limiter,
    /// The maximum number of keys of each policy.
    pub(super) max_keys: usize,
    pub(super) ids: Vec<PolicyId>,
    pub(super) history: History,
    /// An atomic that is loaded between calls, as a scheduling point.
    scheduling_point: AtomicU64,
    /// Violations that a single answer shows. They are reported after the contracts are verified,
    /// since such an answer usually violates a contract too, which is the better report.
    violations: Mutex<Vec<(&'static str, String)>>,
}

/// Runs one execution of a layout.
pub(super) fn run(layout: &'static Layout) {
    let fixture = Arc::new(Fixture::new(layout));
    let mut setup = ThreadState::default();
    let first: Vec<_> = [Operation::Check, Operation::Reserve, Operation::Tick]
        .into_iter()
        .filter(|operation| *operation == Operation::Check || layout.operations.contains(operation))
        .collect();
    for _ in 0..below(1 + layout.max_setup_calls) {
        fixture.call(Call::random(layout, &first), &mut setup);
    }
    take_events();
    let plan = |calls: u64| (0..calls).map(|_| Call::random(layout, layout.operations)).collect();
    let plans: Vec<Vec<Call>> = (0..layout.threads).map(|_| plan(2 + below(3))).collect();
    let mut threads = Vec::new();
    for calls in plans {
        let (fixture, mut state) = (fixture.clone(), ThreadState::at(setup.now));
        // A reservation may be extended and closed by any thread.
        state.reservations.extend(setup.reservations.pop());
        let calls = move || calls.into_iter().for_each(|call| fixture.call(call, &mut state));
        threads.push(thread::spawn(calls));
    }
    for _ in 0..layout.movers {
        let rounds: Vec<_> = (0..1 + below(3)).map(|_| (below(6), below(9), below(4))).collect();
        let (fixture, mut state) = (fixture.clone(), ThreadState::at(setup.now));
        threads.push(thread::spawn(move || {
            for (policy, chunks, late) in rounds {
                fixture.renew(policy as usize, chunks, late == 0, &mut state);
            }
        }));
    }
    threads.into_iter().for_each(|thread| thread.join().expect("a thread has failed"));
    coverage::count_reclamation();
    fixture.verify(&mut setup);
}

impl PolicyKind {
    fn policy(self, name: &str) -> Policy {
        let window = Duration::from_nanos(WINDOW);
        let policy = match self {
            PolicyKind::Window(limit) => Policy::sliding(name, limit, window),
            PolicyKind::Buckets(limit) => Policy::sliding(name, limit, window).buckets(7),
            PolicyKind::Hour(limit) => Policy::calendar(name, limit, Period::Hour),
        };
        policy.max_limit(self.max_limit())
    }
}

impl Fixture {
    fn new(layout: &'static Layout) -> Self {
        let calendar = layout.policies.iter().any(|policy| policy.is_calendar());
        let start = if calendar { 100_000 * HOUR } else { 10 * WINDOW };
        let clock = ManualClock::new();
        if calendar {
            clock.set(Now::from_unix_nanos(start));
        }
        // A crowded layout is crowded in each execution.
        let extra_slots = if layout.is_crowded() { 0 } else { below(3) as usize };
        let max_keys = layout.keys.saturating_add_signed(layout.spare_slots) + extra_slots;
        let seed = [1 + below(16), 2, 3, 4];
        let builder = Limiter::builder().clock(clock).max_keys(max_keys).seed(seed);
        let builder = builder.overflow(layout.overflow);
        let policies = layout.policies.iter().zip(NAMES).map(|(kind, name)| kind.policy(name));
        let limiter = policies.fold(builder, |builder, policy| builder.policy(policy));
        let limiter = limiter.build().expect("a small limiter");
        let ids = NAMES[..layout.policies.len()]
            .iter()
            .map(|name| limiter.policy(name).expect("one of its policies"))
            .collect();
        let (history, scheduling_point) = (History::new(start), AtomicU64::new(0));
        let violations = Mutex::default();
        let fixture =
            Fixture { layout, limiter, max_keys, ids, history, scheduling_point, violations };
        for (policy, kind) in layout.policies.iter().enumerate() {
            if let PolicyKind::Buckets(_) = kind {
                assert_eq!(fixture.unit(policy), BUCKET_UNIT);
            }
        }
        fixture
    }

    /// Notes a violation that a single answer shows.
    pub(super) fn note_violation(&self, contract: &'static str, details: impl Debug) {
        let mut violations = self.violations.lock().expect("no thread panics in here");
        violations.push((contract, format!("{details:#?}")));
    }

    pub(super) fn assert_no_violation(&self) {
        let violations = self.violations.lock().expect("no thread panics in here");
        if let Some((contract, details)) = violations.first() {
            fail(contract, details);
        }
    }

    /// The index of a key of a policy.
    pub(super) fn counter(&self, policy: usize, key: usize) -> usize {
        policy * self.layout.keys + key
    }

    /// A policy's unit of time in nanoseconds.
    pub(super) fn unit(&self, policy: usize) -> u64 {
        let resolution = self.limiter.resolution(self.ids[policy]).expect("one of its policies");
        resolution.as_nanos() as u64
    }

    fn charge(&self, item: &Item) -> Charge<'static> {
        self.ids[item.policy].charge(item.key as u64, item.cost)
    }

    pub(super) fn charges(&self, items: &[Item]) -> Vec<Charge<'static>> {
        items.iter().map(|item| self.charge(item)).collect()
    }

    /// Reads the clock, or returns the thread's last reading if `late`.
    pub(super) fn read_clock(&self, late: bool, state: &mut ThreadState) -> u64 {
        // Relaxed: it is only a scheduling point.
        self.scheduling_point.load(Relaxed);
        let now = state.now.filter(|_| late).unwrap_or_else(|| self.history.now());
        state.now = Some(now);
        now
    }

    /// Starts a renewal of a policy's table and moves some chunks. Frees memory after each.
    fn renew(&self, policy: usize, chunks: u64, late: bool, state: &mut ThreadState) {
        let policy = self.ids[policy % self.ids.len()];
        let now = self.read_clock(late, state);
        self.limiter.start_renewal(policy, Now::from_unix_nanos(now));
        for _ in 0..chunks {
            let now = self.read_clock(late, state);
            self.limiter.help_once(policy, Now::from_unix_nanos(now));
            self.check_array_count(policy);
            reclaim::collect(1);
        }
    }

    /// Notes a violation if keys are in more than two arrays.
    fn check_array_count(&self, policy: PolicyId) {
        let arrays = self.limiter.arrays(policy);
        if arrays > 2 {
            self.note_violation("more than two arrays", arrays);
        }
    }

    /// The charges of a request, of one policy or of all.
    pub(super) fn items(&self, call: &Call, all: bool) -> Vec<Item> {
        let wanted = |policy: &usize| all || *policy == call.policy;
        let item = |policy| Item { policy, key: call.keys[policy], cost: call.costs[policy] };
        (0..self.ids.len()).filter(wanted).map(item).collect()
    }

    /// Makes one call, and records its answer.
    pub(super) fn call(&self, call: Call, state: &mut ThreadState) {
        if call.operation == Operation::Tick {
            let step = self.layout.policies[call.policy].tick_sizes()[call.choice as usize];
            return self.history.tick(step);
        }
        if call.operation == Operation::Leap {
            let step = self.layout.policies[call.policy].leap_sizes()[call.choice as usize];
            return self.history.tick(step);
        }
        if self.layout.advances_each_call {
            self.history.tick(1);
        }
        let now = self.read_clock(call.late, state);
        let session = self.limiter.session_at(Now::from_unix_nanos(now));
        match call.operation {
            Operation::Check => self.check(&session, &call, state),
            Operation::CheckMany => self.check_many(&session, &call, state),
            Operation::CheckAll => self.check_all(&session, &call, state),
            Operation::Force => self.force(&session, &call, state),
            Operation::Peek => self.peek(&session, self.items(&call, false)[0], None),
            Operation::Refund => self.refund(&session, state),
            Operation::Reserve => self.reserve(&session, &call, state),
            Operation::Extend | Operation::Settle | Operation::Cancel
                if state.reservations.is_empty() =>
            {
                self.reserve(&session, &call, state);
            }
            Operation::Extend => self.extend(&session, &call, state),
            Operation::Settle | Operation::Cancel => self.close(&session, &call, state),
            Operation::SetLimit => {
                self.set_limit(call.policy, 1 + call.choice % MAX_SET_LIMIT, now)
            }
            Operation::Reset => self.reset(&session, call.policy, call.keys[call.policy]),
            Operation::Maintain => self.maintain(&session, &call),
            Operation::Tick | Operation::Leap => {}
        }
    }

    /// Records the invocation of a call.
    pub(super) fn invoke(&self, session: &Session<'_>) -> super::history::Invocation {
        self.history.invoke(session.now().unix_ns)
    }

    /// Records the invocation of a call that may insert these keys.
    pub(super) fn invoke_charge(
        &self,
        session: &Session<'_>,
        items: &[Item],
    ) -> super::history::Invocation {
        let invocation = self.invoke(session);
        let counters = items.iter().map(|item| self.counter(item.policy, item.key));
        counters.for_each(|counter| self.history.note_attempt(counter, &invocation));
        invocation
    }

    /// Calls `maintain` at the session's time, or at the time of the limiter's own clock, which is
    /// the earliest of all.
    fn maintain(&self, session: &Session<'_>, call: &Call) {
        coverage::count(CoveragePoint::Maintain);
        let slots = call.choice as usize;
        match call.coin {
            true => session.maintain(slots),
            false => self.limiter.maintain(slots),
        };
        self.ids.iter().for_each(|id| self.check_array_count(*id));
    }

    /// Peeks at a key, with a limit of the charge's own if one is given.
    pub(super) fn peek(&self, session: &Session<'_>, item: Item, limit: Option<u64>) {
        let invocation = self.invoke(session);
        let charge = self.charge(&item);
        let charge = limit.map_or(charge, |limit| charge.limit(limit));
        let decision = session.peek(&[charge]);
        self.record_peek(self.history.finish(invocation), item, &decision);
    }

    /// Refunds the thread's newest charge.
    fn refund(&self, session: &Session<'_>, state: &mut ThreadState) {
        let Some((policy, key, cost)) = state.refundable.pop() else { return };
        let item = Item { policy, key, cost };
        let invocation = self.invoke(session);
        let amount = session.refund(&self.charge(&item)).expect("one of its policies");
        let done = self.history.finish(invocation);
        let source = Source::All { short: amount < cost };
        self.record_give_back(done, item, self.history.number(), source, amount, None);
    }

    fn set_limit(&self, policy: usize, limit: u64, now: u64) {
        let invocation = self.history.invoke(now);
        self.limiter.set_limit(self.ids[policy], limit).expect("not too much");
        self.history.record_limit(policy, limit, self.history.finish(invocation));
    }

    fn reset(&self, session: &Session<'_>, policy: usize, key: usize) {
        let invocation = self.invoke(session);
        session.reset_key(self.ids[policy], key as u64).expect("one of its policies");
        self.history.record_reset(self.counter(policy, key), self.history.finish(invocation));
    }

    /// Records a give-back, and the usage that was observed after it.
    pub(super) fn record_give_back(
        &self,
        done: Completed,
        item: Item,
        reservation: usize,
        source: Source,
        amount: u64,
        seen: Option<Step>,
    ) {
        let span = done.span.in_units(self.unit(item.policy));
        let give_back =
            GiveBack { reservation, source, amount, span, completed_before: done.completed_before };
        let takes = (1..amount).map(|_| Step::GiveBackPart(give_back));
        let steps = takes.chain([Step::GiveBackEnd(give_back)]).chain(seen);
        self.history.record(self.counter(item.policy, item.key), done, steps);
    }
}
