//! The rules of a sliding window: what it would answer if its verbs came one after the other.
//!
//! Which reading of the clock a call is decided at is left open, as the contract leaves it open:
//! any from the call's own `now` to the latest that any thread had taken when the call returned,
//! but none before the key's newest charge. The search tries them.
//!
//! An answer reads the key word by word. No unit is added meanwhile, but some may come back: those
//! it may count still, if they came back after its call.

use super::holds::{Hold, Holds};
use super::linear::Rules;
use super::log::{Entry, Log, Measure};
use super::step::{Back, Charge, Event, From, Span, Step, Told};

/// Units that have come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Gone {
    time: u64,
    units: u64,
    /// That was before this instant.
    by: u64,
}

/// One key between two steps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct State {
    log: Log,
    /// The time of the newest charge ever.
    newest: u64,
    /// When charges were made within the last window.
    made: Vec<u64>,
    holds: Holds,
    gone: Vec<Gone>,
}

/// The rules of a sliding window.
#[derive(Debug)]
pub(super) struct Window {
    measure: Measure,
    /// What the clock has shown.
    readings: Vec<u64>,
    /// The calls and returns of those who read.
    answers: Vec<(u64, u64)>,
}

impl Window {
    pub(super) fn new(measure: Measure, readings: Vec<u64>, events: &[Event]) -> Self {
        let answers = events.iter().filter(|event| event.step.told().is_some());
        let answers = answers.map(|event| (event.called, event.returned)).collect();
        Window { measure, readings, answers }
    }

    /// The instants in `span` at which the answer could differ. An opener that finds a sealed
    /// bucket goes on to the next cell, and one that finds a live word waits until that expires.
    fn instants(&self, state: &State, span: Span) -> Vec<u64> {
        let Measure { length, cell, .. } = self.measure;
        let expiries = state.log.entries().iter().map(|entry| entry.time + length);
        let earliest = span.now.max(state.newest);
        let mut instants: Vec<_> = [earliest, (state.newest / cell + 1) * cell]
            .into_iter()
            .chain(expiries)
            .chain(self.readings.iter().copied())
            .filter(|at| (earliest..=span.latest).contains(at))
            .collect();
        instants.sort_unstable();
        instants.dedup();
        instants
    }

    /// What a reader that was called at `called` may see.
    fn views(state: &State, called: u64) -> Vec<Log> {
        let mut views = vec![state.log.clone()];
        for gone in state.gone.iter().filter(|gone| gone.by > called) {
            for place in 0..views.len() {
                let mut view = views[place].clone();
                view.add(Entry { time: gone.time, number: 0, units: gone.units });
                if !views.contains(&view) {
                    views.push(view);
                }
            }
        }
        views
    }

    /// Whether any view agrees at any instant.
    fn sees(
        &self,
        state: &State,
        span: Span,
        called: u64,
        agrees: impl Fn(&Log, u64) -> bool,
    ) -> bool {
        let views = Window::views(state, called);
        let instants = self.instants(state, span);
        instants.into_iter().any(|at| views.iter().any(|view| agrees(view, at)))
    }

    /// Whether `view` has these numbers at `at`.
    fn shows(&self, view: &Log, at: u64, now: u64, told: &Told) -> bool {
        let length = self.measure.length;
        told.remaining == told.limit.saturating_sub(view.used(length, at))
            && told.clear_at == view.clear_at(length, at, now)
    }

    fn has_room(&self, view: &Log, at: u64, cost: u64, limit: u64) -> bool {
        view.used(self.measure.length, at) + cost <= limit
    }

    /// The times at which a charge may have been recorded: the newest is this one, so that an
    /// answer tells.
    fn times(&self, state: &State, charge: &Charge, lent: bool) -> Vec<u64> {
        let Some(told) = charge.told.filter(|_| !lent) else {
            return self.instants(state, charge.span);
        };
        let earliest = charge.span.now.max(state.newest);
        let at = told.clear_at.checked_sub(self.measure.length);
        at.filter(|at| (earliest..=charge.span.latest).contains(at)).into_iter().collect()
    }

    /// Whether a charge at `at` could be answered so. One that is undone tells what is left then.
    fn admits(&self, view: &Log, at: u64, charge: &Charge, lent: bool) -> bool {
        let length = self.measure.length;
        if charge.limit.is_some_and(|limit| !self.has_room(view, at, charge.cost, limit)) {
            return false;
        }
        let Some(told) = charge.told else { return true };
        let used = view.used(length, at) + charge.cost;
        let undone = if lent { charge.cost } else { 0 };
        (used - undone..=used).any(|used| {
            let clear_at = if used > 0 { at + length } else { charge.span.now };
            told.remaining == told.limit.saturating_sub(used) && told.clear_at == clear_at
        })
    }

    fn charge(&self, state: &State, charge: &Charge, called: u64, lent: bool) -> Vec<State> {
        let views = Window::views(state, called);
        let times = self.times(state, charge, lent).into_iter();
        times
            .filter(|at| views.iter().any(|view| self.admits(view, *at, charge, lent)))
            .flat_map(|at| self.charged(state, at, charge))
            .collect()
    }

    /// What a charge at `at` leaves. It joins the newest ones of its cell. And where all words are
    /// in use, as refunds and debts may leave them, it may join them from a later cell.
    fn charged(&self, state: &State, at: u64, charge: &Charge) -> Vec<State> {
        let Measure { length, cell, words } = self.measure;
        let mut after = state.clone();
        after.log.expire(length, at);
        after.made.retain(|time| at - time < length);
        let joins = at / cell == state.newest / cell;
        let may_join = after.made.len() >= words;
        if joins {
            after.made.pop();
        }
        after.made.push(at);
        if let Some(hold) = charge.hold {
            after.holds.charge(hold, at, charge.cost);
        }
        after.newest = at;
        let mut joined = after.clone();
        joined.log.merge(state.newest, at);
        let entry = Entry { time: at, number: charge.number, units: charge.cost };
        after.log.add(entry);
        joined.log.add(entry);
        match (joins, may_join) {
            (true, _) => vec![joined],
            (_, true) => vec![after, joined],
            _ => vec![after],
        }
    }

    /// From which time on units are taken at `at`, and how many of them.
    fn reach(&self, hold: &Hold, at: u64) -> Option<(u64, u64)> {
        let Some(charged) = hold.charged else { return Some((0, u64::MAX)) };
        let counts = |time: u64| at - time < self.measure.length;
        let last = || counts(charged.last_at).then_some((charged.last_at, charged.last));
        if counts(charged.first_at) { Some((charged.first_at, u64::MAX)) } else { last() }
    }

    fn reached<'s>(
        &self,
        state: &'s State,
        at: u64,
        from: u64,
    ) -> impl Iterator<Item = &'s Entry> + use<'s> {
        let live = state.log.live(self.measure.length, at);
        live.filter(move |entry| entry.time >= from)
    }

    /// Takes at `at` as much as it may of the oldest within reach, all of one time at once.
    fn take(&self, state: &State, back: &Back, event: &Event, at: u64) -> Vec<State> {
        let hold = match state.holds.get(back.hold) {
            Some(hold) => hold,
            None if back.from == From::Hold => return vec![state.clone()],
            None => Hold::refund(back.hold),
        };
        let rest = hold.rest.unwrap_or(back.amount);
        let mut waits = state.clone();
        waits.holds.put(hold.owing(rest));
        let reach = self.reach(&hold, at).filter(|_| rest > 0);
        let Some((from, most)) = reach else { return vec![waits] };
        let Some(oldest) = self.reached(state, at, from).next() else { return vec![waits] };
        let mut takes = state.clone();
        let wanted = rest.min(most);
        let taken = takes.log.take(oldest.time, wanted);
        takes.holds.put(hold.owing(wanted - taken));
        self.note_gone(&mut takes, oldest.time, taken, event);
        let must = self.reached(state, at, from).any(|entry| entry.number <= back.known);
        if must { vec![takes] } else { vec![takes, waits] }
    }

    /// Whether it may end so: all came back, or nothing more was there to take.
    fn ends(&self, state: &State, back: &Back) -> bool {
        let Some(hold) = state.holds.get(back.hold) else { return true };
        let done = hold.rest.unwrap_or(back.amount) == 0;
        let nothing_left = || {
            self.instants(state, back.span).into_iter().any(|at| {
                let known = |entry: &Entry| entry.number <= back.known;
                let reach = self.reach(&hold, at);
                reach.is_none_or(|(from, _)| !self.reached(state, at, from).any(known))
            })
        };
        match back.from {
            From::Hold => done || nothing_left(),
            From::All { short } => done && (!short || nothing_left()),
        }
    }

    fn give(&self, state: &State, back: &Back, event: &Event, last: bool) -> Vec<State> {
        let mut after: Vec<State> = Vec::new();
        for at in self.instants(state, back.span) {
            for mut next in self.take(state, back, event, at) {
                if last {
                    if !self.ends(&next, back) {
                        continue;
                    }
                    next.holds.end(back.hold);
                }
                if !after.contains(&next) {
                    after.push(next);
                }
            }
        }
        after
    }

    /// Remembers what a reader may not have missed yet.
    fn note_gone(&self, state: &mut State, time: u64, units: u64, event: &Event) {
        let watched =
            |(called, returned): &(u64, u64)| *called < event.returned && event.called < *returned;
        if units > 0 && self.answers.iter().any(watched) {
            state.gone.push(Gone { time, units, by: event.returned });
        }
    }

    fn forget(&self, state: &State, number: usize, event: &Event) -> State {
        let mut state = state.clone();
        for Entry { time, units, .. } in state.log.forget(number) {
            self.note_gone(&mut state, time, units, event);
        }
        state
    }

    /// All that came before a step that has returned did so by then.
    fn settle(&self, state: &mut State, returned: u64) {
        state.gone.iter_mut().for_each(|gone| gone.by = gone.by.min(returned));
        let length = self.measure.length;
        let State { gone, newest, .. } = state;
        gone.retain(|gone| {
            let matters = self.answers.iter().any(|(called, _)| *called < gone.by);
            matters && newest.saturating_sub(gone.time) < length
        });
    }
}

impl Rules for Window {
    type Step = Step;
    type State = State;

    fn first(&self) -> State {
        State::default()
    }

    fn after(&self, state: &State, event: &Event) -> Vec<State> {
        let called = event.called;
        let same = |holds: bool| if holds { vec![state.clone()] } else { vec![] };
        let length = self.measure.length;
        let mut after = match &event.step {
            Step::Charge(charge) => self.charge(state, charge, called, false),
            Step::Lend(charge) => {
                let looked = charge.told.is_none_or(|told| {
                    let room = Step::Room { span: charge.span, cost: charge.cost, told };
                    let looked = Event { step: room, ..event.clone() };
                    !self.after(state, &looked).is_empty()
                });
                [same(looked), self.charge(state, charge, called, true)].concat()
            }
            Step::Room { span, cost, told } => same(self.sees(state, *span, called, |view, at| {
                self.has_room(view, at, *cost, told.limit) && self.shows(view, at, span.now, told)
            })),
            Step::Denied { span, cost, told, shared } => {
                same(self.sees(state, *span, called, |view, at| {
                    let fits_at = view.fits_at(length, at, *cost, told.limit);
                    let longer = *shared
                        && told.fits_at.is_none_or(|told| fits_at.is_some_and(|own| told >= own));
                    !self.has_room(view, at, *cost, told.limit)
                        && (told.fits_at == fits_at || longer)
                        && self.shows(view, at, span.now, told)
                }))
            }
            Step::Seen { span, told } => same(
                self.sees(state, *span, called, |view, at| self.shows(view, at, span.now, told)),
            ),
            Step::Take(back) => self.give(state, back, event, false),
            Step::End(back) => self.give(state, back, event, true),
            Step::Forget { number } => vec![self.forget(state, *number, event)],
            Step::Reset => unreachable!("a window is reset charge by charge"),
        };
        after.iter_mut().for_each(|state| self.settle(state, event.returned));
        after
    }
}

/// A window is reset word by word: each charge that may have come before is forgotten for itself,
/// those that were completed before for certain, the others or not.
pub(super) fn charge_by_charge(events: Vec<Event>) -> Vec<Event> {
    let number = |event: &Event| match &event.step {
        Step::Charge(charge) | Step::Lend(charge) => Some((charge.number, event.called)),
        _ => None,
    };
    let charges: Vec<_> = events.iter().filter_map(number).collect();
    let is_reset = |event: &Event| matches!(event.step, Step::Reset);
    let forget = |reset: &Event| {
        let Event { called, returned, .. } = *reset;
        let before = charges.iter().filter(move |(_, charged)| *charged < returned);
        before
            .map(move |(number, _)| Event {
                step: Step::Forget { number: *number },
                called,
                returned,
                behind: None,
            })
            .collect::<Vec<_>>()
    };
    let forgotten: Vec<_> =
        events.iter().filter(|event| is_reset(event)).flat_map(forget).collect();
    // Resets come last, so that the places of all others stay.
    events.into_iter().filter(|event| !is_reset(event)).chain(forgotten).collect()
}
