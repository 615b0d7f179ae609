//! The history of one execution: every call with the instants of its invocation and its response,
//! and the clock that all threads read.
//!
//! Only one thread runs at a time, and none is preempted in this module. So a plain lock suffices,
//! and it adds no scheduling points.

use super::limits::LimitAccess;
use super::linearizability;
use super::step::{Event, Span, Step};
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};

/// One step of a call, on one key.
#[derive(Clone, Debug)]
struct Part {
    /// The index of the key and its policy.
    counter: usize,
    step: Step,
    called: u64,
    returned: u64,
    /// The index of the previous part of the same call.
    after: Option<usize>,
}

#[derive(Debug, Default)]
struct State {
    /// Counts invocations and responses.
    instant: u64,
    /// Every value of the clock, in order.
    readings: Vec<u64>,
    /// The latest value that any thread has read.
    latest: u64,
    parts: Vec<Part>,
    /// Attempted charges, as (counter, called).
    attempts: Vec<(usize, u64)>,
    /// Resets, as (counter, called, returned).
    resets: Vec<(usize, u64, u64)>,
    /// Changes of a limit, as (policy, event).
    limits: Vec<(usize, linearizability::Event<LimitAccess>)>,
    /// The last number that was handed out.
    numbers: usize,
}

/// The clock and the record of one execution.
#[derive(Debug)]
pub(super) struct History {
    state: Mutex<State>,
}

/// The invocation of a call that has not returned yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Invocation {
    called: u64,
    now: u64,
    completed_before: usize,
}

/// A completed call: its invocation and its response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completed {
    called: u64,
    returned: u64,
    /// The possible times of its decision, in nanoseconds.
    pub(super) span: Span,
    /// Charges up to this number were completed before the invocation.
    pub(super) completed_before: usize,
}

impl History {
    pub(super) fn new(start: u64) -> Self {
        let state = State { readings: vec![start], ..State::default() };
        History { state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics in here")
    }

    /// Advances the clock.
    pub(super) fn tick(&self, by: u64) {
        let mut state = self.state();
        let now = state.readings.last().expect("the clock has a value") + by;
        state.readings.push(now);
    }

    /// Reads the clock.
    pub(super) fn now(&self) -> u64 {
        let mut state = self.state();
        let now = *state.readings.last().expect("the clock has a value");
        state.latest = state.latest.max(now);
        now
    }

    /// The instant of the last invocation or response.
    pub(super) fn instant(&self) -> u64 {
        self.state().instant
    }

    /// Every value of the clock, in order.
    pub(super) fn readings(&self) -> Vec<u64> {
        self.state().readings.clone()
    }

    /// Begins a call that is made at time `now`.
    pub(super) fn invoke(&self, now: u64) -> Invocation {
        let mut state = self.state();
        state.instant += 1;
        Invocation { called: state.instant, now, completed_before: state.numbers }
    }

    /// Ends a call.
    pub(super) fn finish(&self, call: Invocation) -> Completed {
        let mut state = self.state();
        state.instant += 1;
        let span = Span { now: call.now, latest: state.latest };
        Completed {
            called: call.called,
            returned: state.instant,
            span,
            completed_before: call.completed_before,
        }
    }

    /// Notes that a call may insert this key.
    pub(super) fn note_attempt(&self, counter: usize, call: &Invocation) {
        self.state().attempts.push((counter, call.called));
    }

    /// The number of other keys of the policy that may have been inserted before the call returned.
    pub(super) fn other_keys(&self, counter: usize, keys: usize, done: Completed) -> usize {
        let state = self.state();
        let before = state.attempts.iter().filter(|(_, called)| *called < done.returned);
        let other_keys = before
            .map(|(other, _)| *other)
            .filter(|other| *other != counter && other / keys == counter / keys);
        other_keys.collect::<HashSet<_>>().len()
    }

    /// A number for a charge, a reservation or a refund, in the order of responses.
    pub(super) fn number(&self) -> usize {
        let mut state = self.state();
        state.numbers += 1;
        state.numbers
    }

    /// Records the steps of a call on one key. They take effect in this order.
    pub(super) fn record(
        &self,
        counter: usize,
        done: Completed,
        steps: impl IntoIterator<Item = Step>,
    ) {
        let mut state = self.state();
        let mut after = None;
        for step in steps {
            let (called, returned) = (done.called, done.returned);
            state.parts.push(Part { counter, step, called, returned, after });
            after = Some(state.parts.len() - 1);
        }
    }

    pub(super) fn record_reset(&self, counter: usize, done: Completed) {
        self.state().resets.push((counter, done.called, done.returned));
    }

    pub(super) fn record_limit(&self, policy: usize, limit: u64, done: Completed) {
        let (called, returned) = (done.called, done.returned);
        let event =
            linearizability::Event { step: LimitAccess::Set(limit), called, returned, after: None };
        self.state().limits.push((policy, event));
    }

    /// The changes of a policy's limit, and the limits that its requests reported.
    pub(super) fn limits_of(
        &self,
        policy: usize,
        keys: usize,
    ) -> Vec<linearizability::Event<LimitAccess>> {
        let state = self.state();
        let set = state.limits.iter().filter(|(other, _)| *other == policy);
        let parts = state.parts.iter().filter(|part| part.counter / keys == policy);
        let applied = parts.filter_map(|part| {
            let (called, returned) = (part.called, part.returned);
            let step = LimitAccess::Applied(part.step.reported()?.limit);
            Some(linearizability::Event { step, called, returned, after: None })
        });
        set.map(|(_, event)| event.clone()).chain(applied).collect()
    }

    pub(super) fn was_reset(&self, counter: usize) -> bool {
        self.state().resets.iter().any(|(other, ..)| *other == counter)
    }

    /// The events of one key. Resets come last.
    pub(super) fn of(&self, counter: usize) -> Vec<Event> {
        let state = self.state();
        let mine: Vec<_> =
            (0..state.parts.len()).filter(|index| state.parts[*index].counter == counter).collect();
        let index_of = |before| mine.iter().position(|index| *index == before);
        let parts = mine.iter().map(|index| {
            let Part { step, called, returned, after, .. } = state.parts[*index].clone();
            Event { step, called, returned, after: after.and_then(index_of) }
        });
        let resets = state.resets.iter().filter(|(other, ..)| *other == counter);
        let resets = resets.map(|&(_, called, returned)| Event {
            step: Step::Reset,
            called,
            returned,
            after: None,
        });
        parts.chain(resets).collect()
    }
}
