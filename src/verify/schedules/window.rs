//! The rules of a sliding window: what it would answer if its verbs came one after the other.
//!
//! Which reading of the clock a call is decided at is left open, as the contract leaves it open:
//! any from the call's own `now` to the latest that any thread had taken when the call returned,
//! but none before the key's newest charge. The search tries them.
//!
//! An answer reads the key word by word. No unit is added meanwhile, but some may come back: those
//! it may count still, if they came back after its call.

use super::holds::Holds;
use super::linear::Rules;
use super::log::{Entry, Log, Measure};
use super::step::{Charge, Event, Span, Step, Told};

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
    pub(super) log: Log,
    /// The time of the newest charge ever.
    newest: u64,
    /// When charges were made within the last window.
    made: Vec<u64>,
    pub(super) holds: Holds,
    gone: Vec<Gone>,
}

/// The rules of a sliding window.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) measure: Measure,
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
    pub(super) fn instants(&self, state: &State, span: Span) -> Vec<u64> {
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

    /// Remembers what a reader may not have missed yet.
    pub(super) fn note_gone(&self, state: &mut State, time: u64, units: u64, event: &Event) {
        let watched =
            |(called, returned): &(u64, u64)| *called < event.returned && event.called < *returned;
        if units > 0 && self.answers.iter().any(watched) {
            state.gone.push(Gone { time, units, by: event.returned });
        }
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
            Step::Full { span } => {
                let latest = span.latest.max(state.newest);
                same(state.log.used(length, latest) == 0)
            }
            Step::Take(back) => self.give(state, back, event, false),
            Step::End(back) => self.give(state, back, event, true),
            Step::Forget { number } => vec![self.forget(state, *number, event)],
            Step::Reset => unreachable!("a window is reset charge by charge"),
        };
        after.iter_mut().for_each(|state| self.settle(state, event.returned));
        after
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::*;
    use super::*;

    const MEASURE: Measure = Measure { length: LENGTH, cell: 1, words: 7 };

    fn window(events: &[Event]) -> usize {
        explained(&Window::new(MEASURE, vec![], events), events)
    }

    fn full() -> Vec<Step> {
        vec![charge(1, 20, 2), charge(2, 21, 1), charge(3, 22, 0)]
    }

    fn full_and(step: Step) -> usize {
        window(&in_turn([full(), vec![step]].concat()))
    }

    #[test]
    fn a_log_is_explained() {
        assert_eq!(full_and(denied(at(29), 30, 32)), 4);
        assert_eq!(full_and(charge(4, 30, 0)), 4);
        assert_eq!(full_and(room(at(31), 2, 32)), 4);
        assert_eq!(full_and(room(at(32), 3, 32)), 4);
    }

    #[test]
    fn one_too_many_is_not() {
        assert_eq!(full_and(charge(4, 29, 0)), 3);
    }

    #[test]
    fn a_needless_denial_is_not() {
        assert_eq!(full_and(denied(at(30), 31, 32)), 3);
        assert_eq!(window(&in_turn(vec![charge(1, 20, 2), denied(at(21), 30, 30)])), 1);
    }

    #[test]
    fn wrong_waits_are_not() {
        assert_eq!(full_and(denied(at(29), 31, 32)), 3);
        assert_eq!(full_and(denied(at(29), 30, 31)), 3);
    }

    #[test]
    fn a_wait_for_several_keys_is_not_shorter_than_for_one() {
        let shared = |fits_at| Step::Denied {
            span: at(29),
            cost: 1,
            told: told(0, fits_at, 32),
            shared: true,
        };
        assert_eq!([Some(30), Some(50), None].map(|fits_at| full_and(shared(fits_at))), [4; 3]);
        assert_eq!(full_and(shared(Some(29))), 3);
    }

    #[test]
    fn a_forgotten_charge_is_not() {
        assert_eq!(window(&in_turn(vec![charge(1, 20, 2), room(at(21), 3, 21)])), 1);
        assert_eq!(window(&in_turn(vec![charge(1, 20, 2), charge(2, 21, 2)])), 1);
    }

    #[test]
    fn time_does_not_go_back() {
        assert_eq!(window(&in_turn(vec![charge(1, 21, 2), charge(2, 20, 1)])), 1);
        // A late look is answered as of the newest charge.
        let late = room(Span { now: 5, latest: 21 }, 2, 31);
        assert_eq!(window(&in_turn(vec![charge(1, 21, 2), late])), 2);
    }

    #[test]
    fn another_thread_s_clock_may_count_if_it_was_read_in_time() {
        assert_eq!(full_and(room(Span { now: 29, latest: 30 }, 1, 32)), 4);
        assert_eq!(full_and(room(at(29), 1, 32)), 3);
    }

    #[test]
    fn a_debt_needs_no_room_and_is_remembered() {
        assert_eq!(full_and(forced(4, 23, 2, 0)), 4);
        let after = |step| window(&in_turn([full(), vec![forced(4, 23, 2, 0), step]].concat()));
        // Five are used: the three oldest have to pass.
        assert_eq!(after(denied(at(23), 32, 33)), 5);
        assert_eq!(after(denied(at(23), 30, 33)), 4);
        assert_eq!(after(charge(5, 31, 0)), 4);
        assert_eq!(after(charge(5, 32, 0)), 5);
    }

    #[test]
    fn a_charge_that_was_not_told_is_made_at_some_instant() {
        let untold = |latest| {
            let span = Span { now: 20, latest };
            Step::Charge(Charge { told: None, span, ..one(1, 20, 0) })
        };
        let seen = |latest| window(&in_turn(vec![untold(latest), room(at(23), 2, 33)]));
        let window = |latest| {
            let events = in_turn(vec![untold(latest), room(at(23), 2, 33)]);
            explained(&Window::new(MEASURE, vec![23], &events), &events)
        };
        assert_eq!((seen(20), window(22), window(23)), (1, 1, 2));
    }

    /// Of the units that come back during a look it may miss any, but none from before its call.
    #[test]
    fn a_look_may_miss_what_comes_back_meanwhile() {
        let look = |called, remaining, clear_at| {
            let mut events = in_turn([full(), refund(22, 1, false)].concat());
            // Called at 6, returned at 7; then a look that sees it gone.
            events.push(event(8, 9, room(at(22), 1, 32)));
            events.push(event(
                called,
                11,
                Step::Seen { span: at(22), told: told(remaining, None, clear_at) },
            ));
            window(&events)
        };
        assert_eq!(look(6, 0, 32), 6);
        assert_eq!(look(6, 1, 32), 6);
        assert_eq!(look(8, 1, 32), 6);
        assert_eq!(look(8, 0, 32), 5);
        assert_eq!(look(6, 2, 32), 5);
    }

    #[test]
    fn the_charges_of_a_cell_count_as_its_last() {
        let measure = Measure { cell: 5, ..MEASURE };
        let explained = |last: Step| {
            let events = in_turn(vec![charge(1, 20, 2), charge(2, 24, 1), last]);
            explained(&Window::new(measure, vec![], &events), &events)
        };
        assert_eq!(explained(room(at(33), 1, 34)), 3);
        assert_eq!(explained(room(at(33), 2, 34)), 2);
        assert_eq!(explained(charge(3, 33, 0)), 3);
        assert_eq!(explained(charge(3, 34, 2)), 3);
    }

    #[test]
    fn only_where_all_words_are_in_use_a_charge_may_join_the_last() {
        let joined = |words| {
            let [first, second] = [charge(1, 20, 2), charge(2, 21, 1)];
            let events = in_turn(vec![first, second, charge(3, 22, 0), room(at(31), 1, 32)]);
            let measure = Measure { words, ..MEASURE };
            explained(&Window::new(measure, vec![], &events), &events)
        };
        assert_eq!((joined(2), joined(3)), (4, 3));
    }
}
