//! What the threads of one execution did: every call with the instants of its invocation and its
//! return, and the clock that all of them read.
//!
//! One thread runs at a time and none is interrupted here, so a plain lock records without adding
//! to what the checker may schedule.

use super::limits::Limit;
use super::linear;
use super::step::{Event, Span, Step};
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};

/// A part of a call that concerns one key.
#[derive(Clone, Debug)]
struct Part {
    /// Which key of which policy.
    counter: usize,
    step: Step,
    called: u64,
    returned: u64,
    /// The part of the same call that comes before this one.
    behind: Option<usize>,
}

#[derive(Debug, Default)]
struct State {
    /// Counts invocations and returns.
    instant: u64,
    /// What the clock has shown, in order.
    readings: Vec<u64>,
    /// The latest that any thread has read.
    latest: u64,
    parts: Vec<Part>,
    /// Charges that were tried, as (counter, called).
    tried: Vec<(usize, u64)>,
    /// Resets, as (counter, called, returned).
    resets: Vec<(usize, u64, u64)>,
    /// Changes of a limit, as (policy, event).
    limits: Vec<(usize, linear::Event<Limit>)>,
    /// How many numbers were given.
    numbers: usize,
}

/// The clock and the record of one execution.
#[derive(Debug)]
pub(super) struct History {
    state: Mutex<State>,
}

/// A call that has not returned yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    called: u64,
    now: u64,
    known: usize,
}

/// A call that has returned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    called: u64,
    returned: u64,
    /// In nanoseconds.
    pub(super) span: Span,
    /// Charges up to this number had been completed at the call.
    pub(super) known: usize,
}

impl History {
    pub(super) fn new(start: u64) -> Self {
        let state = State { readings: vec![start], ..State::default() };
        History { state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics in here")
    }

    /// The clock goes on.
    pub(super) fn tick(&self, by: u64) {
        let mut state = self.state();
        let now = state.readings.last().expect("a clock shows something") + by;
        state.readings.push(now);
    }

    /// A reading of the clock.
    pub(super) fn now(&self) -> u64 {
        let mut state = self.state();
        let now = *state.readings.last().expect("a clock shows something");
        state.latest = state.latest.max(now);
        now
    }

    /// The number of the last invocation or return.
    pub(super) fn instant(&self) -> u64 {
        self.state().instant
    }

    /// All that the clock has shown.
    pub(super) fn readings(&self) -> Vec<u64> {
        self.state().readings.clone()
    }

    pub(super) fn call(&self, now: u64) -> Call {
        let mut state = self.state();
        state.instant += 1;
        Call { called: state.instant, now, known: state.numbers }
    }

    pub(super) fn finish(&self, call: Call) -> Done {
        let mut state = self.state();
        state.instant += 1;
        let span = Span { now: call.now, latest: state.latest };
        Done { called: call.called, returned: state.instant, span, known: call.known }
    }

    /// Records that a call may insert this key.
    pub(super) fn try_charge(&self, counter: usize, call: &Call) {
        self.state().tried.push((counter, call.called));
    }

    /// How many other keys of the policy may have been inserted before the call returned.
    pub(super) fn others(&self, counter: usize, keys: usize, done: Done) -> usize {
        let state = self.state();
        let before = state.tried.iter().filter(|(_, called)| *called < done.returned);
        let others = before
            .map(|(other, _)| *other)
            .filter(|other| *other != counter && other / keys == counter / keys);
        others.collect::<HashSet<_>>().len()
    }

    /// A number for a charge or a hold, in the order of returns.
    pub(super) fn number(&self) -> usize {
        let mut state = self.state();
        state.numbers += 1;
        state.numbers
    }

    /// Records what a call did to one key. The steps take effect in their order.
    pub(super) fn record(&self, counter: usize, done: Done, steps: impl IntoIterator<Item = Step>) {
        let mut state = self.state();
        let mut behind = None;
        for step in steps {
            let (called, returned) = (done.called, done.returned);
            state.parts.push(Part { counter, step, called, returned, behind });
            behind = Some(state.parts.len() - 1);
        }
    }

    pub(super) fn record_reset(&self, counter: usize, done: Done) {
        self.state().resets.push((counter, done.called, done.returned));
    }

    pub(super) fn record_limit(&self, policy: usize, limit: u64, done: Done) {
        let (called, returned) = (done.called, done.returned);
        let event = linear::Event { step: Limit::Set(limit), called, returned, behind: None };
        self.state().limits.push((policy, event));
    }

    /// How the limit of a policy was changed, and which limits its requests were held to.
    pub(super) fn limits_of(&self, policy: usize, keys: usize) -> Vec<linear::Event<Limit>> {
        let state = self.state();
        let set = state.limits.iter().filter(|(other, _)| *other == policy);
        let parts = state.parts.iter().filter(|part| part.counter / keys == policy);
        let applied = parts.filter_map(|part| {
            let (called, returned) = (part.called, part.returned);
            let step = Limit::Applied(part.step.told()?.limit);
            Some(linear::Event { step, called, returned, behind: None })
        });
        set.map(|(_, event)| event.clone()).chain(applied).collect()
    }

    pub(super) fn was_reset(&self, counter: usize) -> bool {
        self.state().resets.iter().any(|(other, ..)| *other == counter)
    }

    /// What happened to one key; resets come last.
    pub(super) fn of(&self, counter: usize) -> Vec<Event> {
        let state = self.state();
        let mine: Vec<_> =
            (0..state.parts.len()).filter(|place| state.parts[*place].counter == counter).collect();
        let place_of = |before| mine.iter().position(|place| *place == before);
        let parts = mine.iter().map(|place| {
            let Part { step, called, returned, behind, .. } = state.parts[*place].clone();
            Event { step, called, returned, behind: behind.and_then(place_of) }
        });
        let resets = state.resets.iter().filter(|(other, ..)| *other == counter);
        let resets = resets.map(|&(_, called, returned)| Event {
            step: Step::Reset,
            called,
            returned,
            behind: None,
        });
        parts.chain(resets).collect()
    }
}
