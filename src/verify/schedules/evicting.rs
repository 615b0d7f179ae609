//! The rules of a key that may be evicted: between any two calls it may start anew, and what it had
//! used is forgiven. How much that was in the end must add up to the statistics.

use super::budget::periods;
use super::linear::{Event, Rules};
use super::step::{self, Back, Charge, Span, Step, Told};

/// The rules of one key.
#[derive(Debug)]
pub(super) struct Evicting {
    /// Nanoseconds of a calendar period; none for a window in which nothing expires.
    pub(super) period: Option<u64>,
    /// What may be forgiven within one period or window.
    pub(super) allowance: u64,
    /// Answers to calls before this instant are not compared, but for what they charge: an answer
    /// of a window may count units that come back meanwhile.
    pub(super) answers_from: u64,
}

/// One key between two steps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct State {
    period: u64,
    used: u64,
    /// Reservations that were charged in this period and not evicted since, by their numbers.
    held: Vec<usize>,
    forgiven_in_period: u64,
    pub(super) totals: Totals,
}

/// What evictions have done to a key, or to all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Totals {
    pub(super) forgiven: u64,
    pub(super) evictions: u64,
}

impl Totals {
    pub(super) fn plus(self, other: Totals) -> Totals {
        Totals {
            forgiven: self.forgiven + other.forgiven,
            evictions: self.evictions + other.evictions,
        }
    }
}

impl State {
    /// The same in a later period, or in its own.
    fn at(&self, period: u64) -> State {
        if period == self.period {
            return self.clone();
        }
        State { period, totals: self.totals, ..State::default() }
    }

    fn evicted(&self) -> State {
        let own = Totals { forgiven: self.used, evictions: 1 };
        State {
            period: self.period,
            forgiven_in_period: self.forgiven_in_period + self.used,
            totals: self.totals.plus(own),
            ..State::default()
        }
    }

    fn charged(mut self, charge: &Charge) -> State {
        self.used += charge.cost;
        self.held.extend(charge.hold);
        self.held.sort_unstable();
        self
    }
}

impl Evicting {
    fn finds(&self, state: &State, span: Span) -> impl Iterator<Item = State> {
        let range = match self.period {
            Some(length) => periods(span, state.period, length),
            None => 0..=0,
        };
        range.map(|period| state.at(period))
    }

    fn shows(&self, used: u64, told: &Told, called: u64) -> bool {
        called < self.answers_from || told.remaining == told.limit.saturating_sub(used)
    }

    /// A charge that is compared with its answer unless it was lent.
    fn charge(&self, state: &State, charge: &Charge, called: u64, lent: bool) -> Vec<State> {
        let finds = self.finds(state, charge.span);
        let admits = |found: &State| {
            let used = found.used + charge.cost;
            let shown = charge.told.is_none_or(|told| lent || self.shows(used, &told, called));
            charge.limit.is_none_or(|limit| used <= limit) && shown
        };
        finds.filter(admits).map(|found| found.charged(charge)).collect()
    }

    fn give(&self, state: &State, back: &Back) -> Vec<State> {
        let Some(place) = state.held.iter().position(|hold| *hold == back.hold) else {
            return vec![state.clone()];
        };
        let mut kept = state.clone();
        kept.held.remove(place);
        kept.used = kept.used.saturating_sub(back.amount);
        vec![kept]
    }

    /// What a step does to a key that is not evicted by it.
    fn step(&self, state: &State, event: &step::Event) -> Vec<State> {
        let called = event.called;
        let sees = |span: &Span, agrees: &dyn Fn(u64) -> bool| {
            let seen = self.finds(state, *span).any(|found| agrees(found.used));
            if seen { vec![state.clone()] } else { vec![] }
        };
        let compared = called >= self.answers_from;
        match &event.step {
            Step::Charge(charge) => self.charge(state, charge, called, false),
            Step::Lend(charge) => {
                [vec![state.clone()], self.charge(state, charge, called, true)].concat()
            }
            Step::Room { span, cost, told } => sees(span, &|used| {
                !compared || used + cost <= told.limit && self.shows(used, told, called)
            }),
            Step::Denied { span, cost, told, .. } => sees(span, &|used| {
                !compared || used + cost > told.limit && self.shows(used, told, called)
            }),
            Step::Seen { span, told } => sees(span, &|used| self.shows(used, told, called)),
            Step::Full { span } => sees(span, &|used| used == 0),
            Step::Take(_) => vec![state.clone()],
            Step::End(back) => self.give(state, back),
            Step::Reset | Step::Forget { .. } => unreachable!("no key is reset beside evictions"),
        }
    }
}

impl Rules for Evicting {
    type Step = Step;
    type State = State;

    fn first(&self) -> State {
        State::default()
    }

    fn after(&self, state: &State, event: &Event<Step>) -> Vec<State> {
        let mut after = self.step(state, event);
        let forgiven = state.forgiven_in_period + state.used;
        if state.used > 0 && forgiven <= self.allowance {
            after.extend(self.step(&state.evicted(), event));
        }
        after
    }
}

#[cfg(test)]
mod tests {
    use super::super::linear::outcomes;
    use super::super::samples::*;
    use super::*;

    /// The totals that can explain these steps, with an allowance of 2.
    fn totals(steps: Vec<Vec<Step>>) -> Vec<(u64, u64)> {
        let rules = Evicting { period: None, allowance: 2, answers_from: 0 };
        let found = outcomes(&rules, &in_turn(steps.concat()));
        let mut all: Vec<_> = found
            .unwrap_or_default()
            .into_iter()
            .map(|state| (state.totals.forgiven, state.totals.evictions))
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn seen(remaining: u64) -> Vec<Step> {
        vec![Step::Seen { span: at(22), told: told(remaining, None, 32) }]
    }

    #[test]
    fn what_is_used_or_forgiven_was_charged() {
        let two = || vec![charge(1, 20, 2), charge(2, 21, 1)];
        assert_eq!(totals(vec![two(), seen(1)]), [(0, 0)]);
        assert_eq!(totals(vec![two(), seen(3)]), [(2, 1)]);
        assert_eq!(totals(vec![two(), seen(2)]), []);
        // Evicted after the first.
        let anew = vec![charge(1, 20, 2), charge(2, 21, 2)];
        assert_eq!(totals(vec![anew, seen(2)]), [(1, 1)]);
    }

    #[test]
    fn no_more_is_forgiven_than_the_allowance() {
        let three = || vec![charge(1, 20, 2), charge(2, 20, 1), charge(3, 20, 0)];
        assert_eq!(totals(vec![three(), seen(3)]), []);
        let twice = vec![held(1, 50, 20, 2, 1), held(2, 51, 20, 2, 1)];
        assert_eq!(totals(vec![twice, seen(3)]), []);
    }

    #[test]
    fn nothing_comes_back_of_what_was_forgiven() {
        let hold = || vec![held(1, 50, 20, 1, 2), charge(2, 21, 2)];
        let back = || returned(back(50, at(22), 1));
        assert_eq!(totals(vec![hold(), back(), seen(2)]), [(1, 1)]);
        assert_eq!(totals(vec![hold(), back(), seen(3)]), [(2, 2)]);
        let kept = || vec![held(1, 50, 20, 1, 2), charge(2, 21, 1)];
        assert_eq!(totals(vec![kept(), back(), seen(2)]), [(0, 0)]);
        assert_eq!(totals(vec![kept(), back(), seen(1)]), []);
    }
}
