//! The sequential specification of a key that may be evicted.
//!
//! Between any two steps an eviction may reset the key and forgive its usage. In the end, the
//! forgiven units and the evictions of all keys must equal the statistics.

use super::budget::periods;
use super::linearizability::{Event, Specification};
use super::step::{self, Charge, GiveBack, Reported, Span, Step};

/// The specification of one key.
#[derive(Debug)]
pub(super) struct EvictableKey {
    /// Nanoseconds of a calendar period. `None` for a window in which nothing expires.
    pub(super) period: Option<u64>,
    /// The greatest number of units that evictions may forgive within one period or window.
    pub(super) allowance: u64,
    /// Calls before this instant are verified by their charges only, not by the numbers in their
    /// answers. An answer of a window may still count units that are being given back.
    pub(super) answers_from: u64,
}

/// The state of one key between two steps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct State {
    period: u64,
    used: u64,
    /// The numbers of the reservations that were charged in this period and not evicted since.
    reservations: Vec<usize>,
    forgiven_in_period: u64,
    pub(super) totals: Totals,
}

/// The effects of evictions on one key or on all keys.
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
    /// The state at this period, which is its own or a later one.
    fn at(&self, period: u64) -> State {
        if period == self.period {
            return self.clone();
        }
        State { period, totals: self.totals, ..State::default() }
    }

    /// The state after an eviction.
    fn evicted(&self) -> State {
        let own = Totals { forgiven: self.used, evictions: 1 };
        State {
            period: self.period,
            forgiven_in_period: self.forgiven_in_period + self.used,
            totals: self.totals.plus(own),
            ..State::default()
        }
    }

    /// The state after this charge.
    fn charged(mut self, charge: &Charge) -> State {
        self.used += charge.cost;
        self.reservations.extend(charge.reservation);
        self.reservations.sort_unstable();
        self
    }
}

impl EvictableKey {
    /// The states that a call in this span may observe.
    fn possible_states(&self, state: &State, span: Span) -> impl Iterator<Item = State> {
        let range = match self.period {
            Some(length) => periods(span, state.period, length),
            None => 0..=0,
        };
        range.map(|period| state.at(period))
    }

    fn matches(&self, used: u64, reported: &Reported, called: u64) -> bool {
        called < self.answers_from || reported.remaining == reported.limit.saturating_sub(used)
    }

    /// The states after a charge. Only a certain charge is compared with its answer.
    fn charge(&self, state: &State, charge: &Charge, called: u64, tentative: bool) -> Vec<State> {
        let possible_states = self.possible_states(state, charge.span);
        let admits = |found: &State| {
            let used = found.used + charge.cost;
            let shown = charge
                .reported
                .is_none_or(|reported| tentative || self.matches(used, &reported, called));
            charge.limit.is_none_or(|limit| used <= limit) && shown
        };
        possible_states.filter(admits).map(|found| found.charged(charge)).collect()
    }

    /// The states after a give-back.
    fn give_back(&self, state: &State, give_back: &GiveBack) -> Vec<State> {
        let Some(index) =
            state.reservations.iter().position(|reservation| *reservation == give_back.reservation)
        else {
            return vec![state.clone()];
        };
        let mut kept = state.clone();
        kept.reservations.remove(index);
        kept.used = kept.used.saturating_sub(give_back.amount);
        vec![kept]
    }

    /// The states after a step without an eviction.
    fn step(&self, state: &State, event: &step::Event) -> Vec<State> {
        let called = event.called;
        let observes = |span: &Span, agrees: &dyn Fn(u64) -> bool| {
            let seen = self.possible_states(state, *span).any(|found| agrees(found.used));
            if seen { vec![state.clone()] } else { vec![] }
        };
        let compared = called >= self.answers_from;
        match &event.step {
            Step::Charge(charge) => self.charge(state, charge, called, false),
            Step::Tentative(charge) => {
                [vec![state.clone()], self.charge(state, charge, called, true)].concat()
            }
            Step::Room { span, cost, reported } => observes(span, &|used| {
                !compared || used + cost <= reported.limit && self.matches(used, reported, called)
            }),
            Step::Denied { span, cost, reported, .. } => observes(span, &|used| {
                !compared || used + cost > reported.limit && self.matches(used, reported, called)
            }),
            Step::Observed { span, reported } => {
                observes(span, &|used| self.matches(used, reported, called))
            }
            Step::TableFull { span } => observes(span, &|used| used == 0),
            Step::GiveBackPart(_) => vec![state.clone()],
            Step::GiveBackEnd(give_back) => self.give_back(state, give_back),
            Step::Reset | Step::ResetBegins | Step::ResetHead | Step::Forget { .. } => {
                unreachable!("layouts with evictions reset no key")
            }
        }
    }
}

impl Specification for EvictableKey {
    type Step = Step;
    type State = State;

    fn initial(&self) -> State {
        State::default()
    }

    fn next_states(&self, state: &State, event: &Event<Step>) -> Vec<State> {
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
    use super::super::linearizability::final_states;
    use super::super::samples::*;
    use super::*;

    /// The possible totals after these steps, with an allowance of 2.
    fn totals(steps: Vec<Vec<Step>>) -> Vec<(u64, u64)> {
        let specification = EvictableKey { period: None, allowance: 2, answers_from: 0 };
        let found = final_states(&specification, &sequential(steps.concat()));
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
        vec![Step::Observed { span: at(22), reported: reported(remaining, None, 32) }]
    }

    #[test]
    fn used_and_forgiven_units_add_up_to_the_charges() {
        let two = || vec![charge(1, 20, 2), charge(2, 21, 1)];
        assert_eq!(totals(vec![two(), seen(1)]), [(0, 0)]);
        assert_eq!(totals(vec![two(), seen(3)]), [(2, 1)]);
        assert_eq!(totals(vec![two(), seen(2)]), []);
        // The key was evicted after the first charge.
        let anew = vec![charge(1, 20, 2), charge(2, 21, 2)];
        assert_eq!(totals(vec![anew, seen(2)]), [(1, 1)]);
    }

    #[test]
    fn at_most_the_allowance_is_forgiven() {
        let three = || vec![charge(1, 20, 2), charge(2, 20, 1), charge(3, 20, 0)];
        assert_eq!(totals(vec![three(), seen(3)]), []);
        let twice = vec![reservation_charge(1, 50, 20, 2, 1), reservation_charge(2, 51, 20, 2, 1)];
        assert_eq!(totals(vec![twice, seen(3)]), []);
    }

    #[test]
    fn forgiven_units_are_not_given_back() {
        let reservation = || vec![reservation_charge(1, 50, 20, 1, 2), charge(2, 21, 2)];
        let give_back = || give_back_steps(give_back(50, at(22), 1));
        assert_eq!(totals(vec![reservation(), give_back(), seen(2)]), [(1, 1)]);
        assert_eq!(totals(vec![reservation(), give_back(), seen(3)]), [(2, 2)]);
        let kept = || vec![reservation_charge(1, 50, 20, 1, 2), charge(2, 21, 1)];
        assert_eq!(totals(vec![kept(), give_back(), seen(2)]), [(0, 0)]);
        assert_eq!(totals(vec![kept(), give_back(), seen(1)]), []);
    }
}
