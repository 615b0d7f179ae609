//! What the threads of one execution did: every call with the instants of its invocation and its
//! return, and the clock that all of them read.
//!
//! One thread runs at a time and none is interrupted here, so a plain lock records without adding
//! to what the checker may schedule.

use super::limits::Limit;
use super::linear::Event;
use super::spec::{Span, Step};
use std::sync::{Mutex, MutexGuard};

/// A part of a call that concerns one key.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// Which key of which policy.
    pub(super) counter: usize,
    pub(super) step: Step,
    pub(super) called: u64,
    pub(super) returned: u64,
    /// The part of the same call that comes before this one.
    pub(super) behind: Option<usize>,
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
    /// Resets, as (counter, called, returned).
    resets: Vec<(usize, u64, u64)>,
    /// Changes of a limit, as (policy, event).
    limits: Vec<(usize, Event<Limit>)>,
    /// How many charges were given a number.
    charges: usize,
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
    /// How many charges had been completed.
    pub(super) known: usize,
}

/// A call that has returned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    pub(super) called: u64,
    pub(super) returned: u64,
    pub(super) span: Span,
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

    /// All that the clock has shown.
    pub(super) fn readings(&self) -> Vec<u64> {
        self.state().readings.clone()
    }

    pub(super) fn call(&self, now: u64) -> Call {
        let mut state = self.state();
        state.instant += 1;
        Call { called: state.instant, now, known: state.charges }
    }

    pub(super) fn finish(&self, call: Call) -> Done {
        let mut state = self.state();
        state.instant += 1;
        let span = Span { now: call.now, latest: state.latest };
        Done { called: call.called, returned: state.instant, span }
    }

    /// A number for a charge.
    pub(super) fn charge(&self) -> usize {
        let mut state = self.state();
        state.charges += 1;
        state.charges
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
        let event = Event { step: Limit::Set(limit), called, returned, behind: None };
        self.state().limits.push((policy, event));
    }

    /// How the limit of a policy was changed, and which limits its requests were held to.
    pub(super) fn limits_of(&self, policy: usize, keys: usize) -> Vec<Event<Limit>> {
        let state = self.state();
        let set = state.limits.iter().filter(|(other, _)| *other == policy);
        let parts = state.parts.iter().filter(|part| part.counter / keys == policy);
        let applied = parts.filter_map(|part| {
            let limit = match &part.step {
                Step::Admit { answer, .. } => answer.limit,
                Step::Room { answer, .. } | Step::Denied { answer, .. } => answer.limit,
                _ => return None,
            };
            let (called, returned) = (part.called, part.returned);
            Some(Event { step: Limit::Applied(limit), called, returned, behind: None })
        });
        set.map(|(_, event)| event.clone()).chain(applied).collect()
    }

    pub(super) fn was_reset(&self, counter: usize) -> bool {
        self.state().resets.iter().any(|(other, ..)| *other == counter)
    }

    /// What happened to one key. A reset forgets each charge that may have come before it, one by
    /// one: those that were completed before it for certain, the others or not.
    pub(super) fn of(&self, counter: usize) -> Vec<Event<Step>> {
        let state = self.state();
        let mine: Vec<_> =
            (0..state.parts.len()).filter(|place| state.parts[*place].counter == counter).collect();
        let place_of = |before| mine.iter().position(|place| *place == before);
        let mut events: Vec<_> = mine
            .iter()
            .map(|place| {
                let Part { step, called, returned, behind, .. } = state.parts[*place].clone();
                Event { step, called, returned, behind: behind.and_then(place_of) }
            })
            .collect();
        for &(_, called, returned) in state.resets.iter().filter(|(other, ..)| *other == counter) {
            let forgotten: Vec<_> = events
                .iter()
                .filter(|event| event.called < returned)
                .filter_map(|event| match event.step {
                    Step::Admit { charge, .. } => Some(Step::Forget { charge }),
                    _ => None,
                })
                .collect();
            let forget = |step| Event { step, called, returned, behind: None };
            events.extend(forgotten.into_iter().map(forget));
        }
        drop(state);
        count_given(&mut events);
        events
    }
}

/// Tells each answer how many units were given back during its call.
fn count_given(events: &mut [Event<Step>]) {
    let gives =
        |step: &Step| matches!(step, Step::Give(_) | Step::Undo { .. } | Step::Forget { .. });
    let given: Vec<_> = events
        .iter()
        .filter(|event| gives(&event.step))
        .map(|event| (event.called, event.returned))
        .collect();
    for event in events {
        let (called, returned) = (event.called, event.returned);
        if let Step::Admit { answer, .. }
        | Step::Room { answer, .. }
        | Step::Denied { answer, .. } = &mut event.step
        {
            let during = given.iter().filter(|give| give.0 < returned && called < give.1);
            answer.given = during.count();
        }
    }
}
