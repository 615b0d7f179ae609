//! One execution: a small limiter whose tables are renewed all the time, some threads with a few
//! calls each, and the judgement of what they were told.

use super::entries::{self, Entry};
use super::history::{Done, History};
use super::layout::{HOUR, Kind, Layout, MOST_LAYERS, MOST_SET, Verb, WINDOW};
use super::plan::{Call, Line, Memory, below};
use super::step::{Back, From, Step};
use crate::sync::{AtomicU64, Ordering::Relaxed};
use crate::{Charge, Limiter, ManualClock, Now, Period, Policy, PolicyId, Session};
use shuttle::thread;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const NAMES: [&str; MOST_LAYERS] = ["first", "second", "third"];

/// The contract that was broken, and how.
pub(super) fn fault(contract: &'static str, how: impl Debug) -> ! {
    super::FAULT.set(contract);
    panic!("{contract}: {how:#?}");
}

/// The limiter, and the record of what it answered.
pub(super) struct Scene {
    pub(super) layout: &'static Layout,
    pub(super) limiter: Limiter,
    /// Places of each policy.
    pub(super) max_keys: usize,
    pub(super) ids: Vec<PolicyId>,
    pub(super) history: History,
    /// A step that the schedule sees, between one call and the next.
    between: AtomicU64,
    /// Answers that are wrong in themselves. The contracts speak first: what comes of such an
    /// answer shows them broken as well.
    complaints: Mutex<Vec<(&'static str, String)>>,
}

/// One execution of a layout.
pub(super) fn run(layout: &'static Layout) {
    let scene = Arc::new(Scene::new(layout));
    let mut before = Memory::default();
    let first: Vec<_> = [Verb::Check, Verb::Reserve, Verb::Tick]
        .into_iter()
        .filter(|verb| *verb == Verb::Check || layout.verbs.contains(verb))
        .collect();
    for _ in 0..below(1 + layout.before) {
        scene.call(Call::random(layout, &first), &mut before);
    }
    let plan = |calls: u64| (0..calls).map(|_| Call::random(layout, layout.verbs)).collect();
    let plans: Vec<Vec<Call>> = (0..layout.threads).map(|_| plan(2 + below(3))).collect();
    let mut threads = Vec::new();
    for calls in plans {
        let (scene, mut memory) = (scene.clone(), Memory::at(before.now));
        // A reservation may be extended and closed by any thread.
        memory.open.extend(before.open.pop());
        let calls = move || calls.into_iter().for_each(|call| scene.call(call, &mut memory));
        threads.push(thread::spawn(calls));
    }
    for _ in 0..layout.movers {
        let rounds: Vec<_> = (0..1 + below(3)).map(|_| (below(6), below(9), below(4))).collect();
        let (scene, mut memory) = (scene.clone(), Memory::at(before.now));
        threads.push(thread::spawn(move || {
            for (policy, chunks, late) in rounds {
                scene.renew(policy as usize, chunks, late == 0, &mut memory);
            }
        }));
    }
    threads.into_iter().for_each(|thread| thread.join().expect("a thread has failed"));
    scene.judge(&mut before);
}

impl Kind {
    fn policy(self, name: &str) -> Policy {
        let window = Duration::from_nanos(WINDOW);
        let policy = match self {
            Kind::Window(limit) => Policy::sliding(name, limit, window),
            Kind::Buckets(limit) => Policy::sliding(name, limit, window).buckets(7),
            Kind::Hour(limit) => Policy::calendar(name, limit, Period::Hour),
        };
        policy.max_limit(self.max_limit())
    }
}

impl Scene {
    fn new(layout: &'static Layout) -> Self {
        let calendar = layout.policies.iter().any(|policy| policy.is_calendar());
        let start = if calendar { 100_000 * HOUR } else { 10 * WINDOW };
        let clock = ManualClock::new();
        if calendar {
            clock.set(Now::from_unix_nanos(start));
        }
        // Where it is crowded, it is in each execution.
        let more = if layout.is_crowded() { 0 } else { below(3) as usize };
        let max_keys = layout.keys.saturating_add_signed(layout.spare) + more;
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
        let (history, between) = (History::new(start), AtomicU64::new(0));
        let complaints = Mutex::default();
        Scene { layout, limiter, max_keys, ids, history, between, complaints }
    }

    /// Notes an answer that is wrong in itself.
    pub(super) fn complain(&self, contract: &'static str, how: impl Debug) {
        let mut complaints = self.complaints.lock().expect("no thread panics in here");
        complaints.push((contract, format!("{how:#?}")));
    }

    pub(super) fn assert_no_complaint(&self) {
        let complaints = self.complaints.lock().expect("no thread panics in here");
        if let Some((contract, how)) = complaints.first() {
            fault(contract, how);
        }
    }

    pub(super) fn counter(&self, policy: usize, key: usize) -> usize {
        policy * self.layout.keys + key
    }

    /// Nanoseconds of a policy's unit of time.
    pub(super) fn unit(&self, policy: usize) -> u64 {
        let resolution = self.limiter.resolution(self.ids[policy]).expect("one of its policies");
        resolution.as_nanos() as u64
    }

    fn charge(&self, line: &Line) -> Charge<'static> {
        self.ids[line.policy].charge(line.key as u64, line.cost)
    }

    pub(super) fn charges(&self, lines: &[Line]) -> Vec<Charge<'static>> {
        lines.iter().map(|line| self.charge(line)).collect()
    }

    pub(super) fn reading(&self, late: bool, memory: &mut Memory) -> u64 {
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
            self.count_arrays(policy);
        }
    }

    /// Keys are found in two arrays at the most.
    fn count_arrays(&self, policy: PolicyId) {
        let arrays = self.limiter.arrays(policy);
        if arrays > 2 {
            self.complain("more than two arrays", arrays);
        }
    }

    /// The charges of a request, of one policy or of all.
    pub(super) fn lines(&self, call: &Call, all: bool) -> Vec<Line> {
        let wanted = |policy: &usize| all || *policy == call.policy;
        let line = |policy| Line { policy, key: call.keys[policy], cost: call.costs[policy] };
        (0..self.ids.len()).filter(wanted).map(line).collect()
    }

    pub(super) fn call(&self, call: Call, memory: &mut Memory) {
        if call.verb == Verb::Tick {
            let step = self.layout.policies[call.policy].steps()[call.choice as usize];
            return self.history.tick(step);
        }
        if call.verb == Verb::Leap {
            let step = self.layout.policies[call.policy].leaps()[call.choice as usize];
            return self.history.tick(step);
        }
        if self.layout.turns {
            self.history.tick(1);
        }
        let now = self.reading(call.late, memory);
        let session = self.limiter.session_at(Now::from_unix_nanos(now));
        match call.verb {
            Verb::Check => self.check(&session, &call, memory),
            Verb::CheckMany => self.check_many(&session, &call, memory),
            Verb::Layered => self.check_with_status(&session, &call, memory),
            Verb::Force => self.force(&session, &call, memory),
            Verb::Peek => self.peek(&session, self.lines(&call, false)[0], None),
            Verb::Refund => self.refund(&session, memory),
            Verb::Reserve => self.reserve(&session, &call, memory),
            Verb::Extend | Verb::Settle | Verb::Cancel if memory.open.is_empty() => {
                self.reserve(&session, &call, memory);
            }
            Verb::Extend => self.extend(&session, &call, memory),
            Verb::Settle | Verb::Cancel => self.close(&session, &call, memory),
            Verb::SetLimit => self.set_limit(call.policy, 1 + call.choice % MOST_SET, now),
            Verb::Reset => self.reset(&session, call.policy, call.keys[call.policy]),
            Verb::Maintain => self.maintain(&session, &call),
            Verb::Tick | Verb::Leap => {}
        }
    }

    pub(super) fn begin(&self, session: &Session<'_>) -> super::history::Call {
        self.history.call(session.now().unix_ns)
    }

    /// As [`begin`](Self::begin), of a call that may insert these keys.
    pub(super) fn begin_charge(
        &self,
        session: &Session<'_>,
        lines: &[Line],
    ) -> super::history::Call {
        let begun = self.begin(session);
        let counters = lines.iter().map(|line| self.counter(line.policy, line.key));
        counters.for_each(|counter| self.history.try_charge(counter, &begun));
        begun
    }

    /// In the session's time, or in that of the limiter's own clock: the earliest of all.
    fn maintain(&self, session: &Session<'_>, call: &Call) {
        entries::count(Entry::Maintain);
        let slots = call.choice as usize;
        match call.coin {
            true => session.maintain(slots),
            false => self.limiter.maintain(slots),
        };
        self.ids.iter().for_each(|id| self.count_arrays(*id));
    }

    /// At a limit of its own, if any.
    pub(super) fn peek(&self, session: &Session<'_>, line: Line, limit: Option<u64>) {
        let begun = self.begin(session);
        let charge = self.charge(&line);
        let charge = limit.map_or(charge, |limit| charge.limit(limit));
        let decision = session.peek(&[charge]);
        self.peeked(self.history.finish(begun), line, &decision);
    }

    fn refund(&self, session: &Session<'_>, memory: &mut Memory) {
        let Some((policy, key, cost)) = memory.paid.pop() else { return };
        let line = Line { policy, key, cost };
        let begun = self.begin(session);
        let amount = session.refund(&self.charge(&line)).expect("one of its policies");
        let done = self.history.finish(begun);
        let from = From::All { short: amount < cost };
        self.gave(done, line, self.history.number(), from, amount, None);
    }

    fn set_limit(&self, policy: usize, limit: u64, now: u64) {
        let begun = self.history.call(now);
        self.limiter.set_limit(self.ids[policy], limit).expect("not too much");
        self.history.record_limit(policy, limit, self.history.finish(begun));
    }

    fn reset(&self, session: &Session<'_>, policy: usize, key: usize) {
        let begun = self.begin(session);
        session.reset_key(self.ids[policy], key as u64).expect("one of its policies");
        self.history.record_reset(self.counter(policy, key), self.history.finish(begun));
    }

    /// Records that units came back, and what was seen then.
    pub(super) fn gave(
        &self,
        done: Done,
        line: Line,
        hold: usize,
        from: From,
        amount: u64,
        seen: Option<Step>,
    ) {
        let span = done.span.in_units(self.unit(line.policy));
        let back = Back { hold, from, amount, span, known: done.known };
        let takes = (1..amount).map(|_| Step::Take(back));
        let steps = takes.chain([Step::End(back)]).chain(seen);
        self.history.record(self.counter(line.policy, line.key), done, steps);
    }
}
