//! How units come back to a sliding window: word by word, the oldest first.

use super::holds::Hold;
use super::log::{Entry, Measure};
use super::step::{Back, Event, From, Step};
use super::window::{State, Window};

impl Window {
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
        let early = self.take_early(state, hold.owing(rest), back, event, at);
        let reach = self.reach(&hold, at).filter(|_| rest > 0);
        let Some((from, most)) = reach else { return [vec![waits], early].concat() };
        let Some(oldest) = self.reached(state, at, from).next() else {
            return [vec![waits], early].concat();
        };
        let mut takes = state.clone();
        let wanted = rest.min(most);
        let taken = takes.log.take(oldest.time, wanted);
        takes.holds.put(hold.owing(wanted - taken));
        self.note_gone(&mut takes, oldest.time, taken, event);
        let must = self.reached(state, at, from).any(|entry| entry.number <= back.known);
        let taken = if must { vec![takes] } else { vec![takes, waits] };
        [taken, early].concat()
    }

    /// The same of a charge that counted at the call's own time and no longer at `at`, if its bucket
    /// does, since a later charge has joined it.
    fn take_early(
        &self,
        state: &State,
        hold: Hold,
        back: &Back,
        event: &Event,
        at: u64,
    ) -> Vec<State> {
        let Measure { length, cell, .. } = self.measure;
        let (Some(charged), Some(rest)) = (hold.charged, hold.rest) else { return vec![] };
        let first_at = charged.first_at;
        let edge = at - first_at >= length && back.span.now.saturating_sub(first_at) < length;
        let joined = |entry: &&Entry| cell > 1 && entry.time / cell == first_at / cell;
        let oldest = self.reached(state, at, first_at).find(joined).filter(|_| edge && rest > 0);
        let Some(oldest) = oldest else { return vec![] };
        let mut takes = state.clone();
        let taken = takes.log.take(oldest.time, rest);
        takes.holds.put(hold.owing(rest - taken));
        self.note_gone(&mut takes, oldest.time, taken, event);
        vec![takes]
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

    /// One more step of what comes back; after the last one all of it has.
    pub(super) fn give(&self, state: &State, back: &Back, event: &Event, last: bool) -> Vec<State> {
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

    pub(super) fn forget(&self, state: &State, number: usize, event: &Event) -> State {
        let mut state = state.clone();
        for Entry { time, units, .. } in state.log.forget(number) {
            self.note_gone(&mut state, time, units, event);
        }
        state
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

#[cfg(test)]
mod tests {
    use super::super::samples::*;
    use super::super::step::{Charge, Span};
    use super::*;

    fn is_explained(events: &[Event]) -> bool {
        let measure = Measure { length: LENGTH, cell: 1, words: 7 };
        explained(&Window::new(measure, vec![], events), events) == events.len()
    }

    /// Whether these steps, one after the other, can be explained.
    fn holds(steps: Vec<Vec<Step>>) -> bool {
        is_explained(&in_turn(steps.concat()))
    }

    #[test]
    fn refunds_take_the_oldest() {
        let full = || vec![charge(1, 20, 2), charge(2, 21, 1), charge(3, 22, 0)];
        assert!(holds(vec![full(), refund(22, 2, false), vec![room(at(22), 2, 32)]]));
        assert!(!holds(vec![full(), refund(22, 2, false), vec![room(at(22), 2, 30)]]));
        // What was given is what was there.
        assert!(holds(vec![full(), refund(30, 2, true)]));
        assert!(!holds(vec![full(), refund(30, 2, false), refund(30, 1, false)]));
        assert!(!holds(vec![full(), refund(30, 1, true)]));
    }

    #[test]
    fn a_settlement_gives_back_exactly_the_rest() {
        // Two of three are held from 21 on, the other is of 20.
        let before = || vec![charge(1, 20, 2), held(2, 50, 21, 2, 0)];
        let after = |amount: u64, seen: Step| {
            holds(vec![before(), returned(back(50, at(22), amount)), vec![seen]])
        };
        assert!(after(1, room(at(22), 1, 31)));
        assert!(after(2, room(at(22), 2, 30)));
        assert!(!after(1, room(at(22), 2, 30)), "too much");
        assert!(!after(2, room(at(22), 1, 31)), "too little");
        assert!(!after(2, room(at(22), 2, 31)), "of another's charge");
    }

    #[test]
    fn nothing_comes_back_of_what_has_passed() {
        let before = || vec![held(1, 50, 20, 2, 1), charge(2, 25, 0)];
        let after = |remaining, clear_at| {
            let back = returned(back(50, at(30), 2));
            holds(vec![before(), back, vec![room(at(30), remaining, clear_at)]])
        };
        assert!(after(2, 35));
        assert!(!after(3, 30));
    }

    #[test]
    fn of_a_long_stream_the_last_extension_comes_back() {
        let stream = || vec![held(1, 50, 20, 1, 2), held(2, 50, 25, 1, 1), held(3, 50, 28, 1, 0)];
        let after = |now, remaining, clear_at| {
            let back = returned(back(50, at(now), 3));
            holds(vec![stream(), back, vec![room(at(now), remaining, clear_at)]])
        };
        assert!(after(29, 3, 29), "all of it");
        assert!(after(30, 2, 35), "the last");
        assert!(!after(30, 3, 30), "more than the last");
        assert!(!after(30, 1, 38), "nothing");
        assert!(after(38, 3, 38), "nothing is left");
    }

    /// A window may have passed at the end of a call, but not at its beginning.
    #[test]
    fn either_side_of_the_end_of_a_window_is_right() {
        let during = Span { now: 29, latest: 30 };
        let after = |remaining, clear_at| {
            let steps =
                [vec![held(1, 50, 20, 2, 1), charge(2, 25, 0)], returned(back(50, during, 2))];
            holds(vec![steps.concat(), vec![room(at(29), remaining, clear_at)]])
        };
        assert!(after(2, 35));
        // It was given back before it passed, or not at all: what it held is gone at 30.
        let late = |remaining, clear_at| {
            let before = vec![held(1, 50, 20, 2, 1), charge(2, 25, 0)];
            let back = returned(back(50, during, 2));
            holds(vec![before, back, vec![room(at(30), remaining, clear_at)]])
        };
        assert!(late(2, 35));
        assert!(!late(3, 30));
    }

    /// The charge of 20 has joined one of 24, with which it counts until 34.
    #[test]
    fn what_was_joined_by_a_later_charge_may_come_back_with_it() {
        let measure = Measure { length: LENGTH, cell: 5, words: 7 };
        let explained = |now, last| {
            let during = Span { now, latest: 31 };
            let before = vec![held(1, 50, 20, 1, 2), charge(2, 24, 1), charge(3, 31, 0)];
            let back = returned(back(50, during, 1));
            let events = in_turn([before, back, vec![room(at(31), last, 41)]].concat());
            explained(&Window::new(measure, vec![31], &events), &events) == events.len()
        };
        assert!(explained(29, 1), "it counted at the call's time");
        assert!(!explained(31, 1), "it had passed");
        assert!(!explained(29, 2), "the other charge is kept");
    }

    #[test]
    fn a_loan_explains_a_denial_only_until_it_is_undone() {
        let lend = || {
            let charge = one(3, 22, 0);
            Step::Lend(Charge { hold: Some(3), told: None, ..charge })
        };
        let undo = || returned(back(3, at(22), 1));
        let two = || vec![charge(1, 20, 2), charge(2, 21, 1)];
        let denial = || vec![denied(at(22), 30, 32)];
        assert!(holds(vec![two(), vec![lend()], denial(), undo()]));
        assert!(!holds(vec![two(), vec![lend()], undo(), denial()]));
        assert!(!holds(vec![two(), denial()]));
        // Whether it was lent or not, nothing stays.
        assert!(holds(vec![two(), vec![lend()], undo(), vec![room(at(22), 1, 31)]]));
        assert!(!holds(vec![two(), vec![lend()], undo(), vec![room(at(22), 0, 32)]]));
    }

    #[test]
    fn what_was_charged_since_may_be_missed() {
        // The refund was called when no charge was known, or one.
        let missed = |known| {
            let all =
                |amount| Back { from: From::All { short: true }, known, ..back(9, at(20), amount) };
            holds(vec![vec![charge(1, 20, 2), Step::End(all(0)), room(at(20), 2, 30)]])
        };
        assert_eq!((missed(0), missed(1)), (true, false));
    }

    #[test]
    fn a_reset_forgets_what_was_completed_before() {
        let reset = |called, seen: Step| {
            let mut events = in_turn(vec![charge(1, 20, 2), charge(2, 21, 1)]);
            events.push(event(4, 5, seen));
            events.push(event(called, 5, Step::Reset));
            is_explained(&charge_by_charge(events))
        };
        assert!(reset(2, room(at(21), 2, 31)), "the second came later");
        assert!(reset(2, room(at(21), 3, 21)), "both are gone");
        assert!(reset(2, room(at(21), 1, 31)), "the look came first");
        assert!(!reset(2, room(at(21), 0, 31)));
    }
}
