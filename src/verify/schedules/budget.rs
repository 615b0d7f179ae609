//! The sequential specification of a calendar budget.
//!
//! A budget enters a period with its first charge there, and never returns to an earlier one. A
//! give-back of a reservation belongs to the periods of its first and its last charge. It has an
//! effect only while the budget is in one of them. A refund takes units of the budget's current
//! period.

use super::linearizability::Specification;
use super::open_reservations::OpenReservations;
use super::step::{Charge, Event, GiveBack, Reported, Source, Span, Step};
use std::ops::RangeInclusive;

/// The specification of a calendar budget.
#[derive(Debug)]
pub(super) struct Budget {
    /// The length of a period in nanoseconds.
    pub(super) period: u64,
}

/// The usage of the current period.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct State {
    period: u64,
    /// The number of resets in the period.
    resets: u64,
    used: u64,
    reservations: OpenReservations,
}

impl State {
    /// The period and the number of its resets, which tell a receipt from those of other charges.
    fn stamp(&self) -> u64 {
        self.period << 8 | self.resets
    }
}

/// The state that a call observes: a period and its usage.
#[derive(Clone, Copy, Debug)]
struct Observation {
    period: u64,
    used: u64,
}

/// The periods that a call may be decided in. `newest` is the newest period that was charged.
pub(super) fn periods(span: Span, newest: u64, length: u64) -> RangeInclusive<u64> {
    (span.now / length).max(newest)..=span.latest / length
}

impl Budget {
    /// The observations that a call in this span may make.
    fn observations(&self, state: &State, span: Span) -> impl Iterator<Item = Observation> {
        let (period, used) = (state.period, state.used);
        periods(span, period, self.period)
            .map(move |at| Observation { period: at, used: if at == period { used } else { 0 } })
    }

    fn end_of(&self, period: u64) -> u64 {
        (period + 1) * self.period
    }

    /// Returns whether an answer reports this observation.
    fn matches(&self, seen: Observation, now: u64, reported: &Reported) -> bool {
        let clear_at = if seen.used > 0 { self.end_of(seen.period) } else { now };
        reported.remaining == reported.limit.saturating_sub(seen.used)
            && reported.clear_at == clear_at
    }

    /// Returns whether a charge that makes this observation may have the answer that was recorded.
    /// A tentative charge may report the usage before the charge or after it.
    fn admits(&self, seen: Observation, charge: &Charge, tentative: bool) -> bool {
        let used = seen.used + charge.cost;
        if charge.limit.is_some_and(|limit| used > limit) {
            return false;
        }
        let rolled_back = if tentative { charge.cost } else { 0 };
        let shown = |used| {
            let reported = charge.reported.as_ref();
            reported.is_none_or(|reported| {
                self.matches(Observation { used, ..seen }, charge.span.now, reported)
            })
        };
        (used - rolled_back..=used).any(shown)
    }

    /// The states after a charge.
    fn charge(&self, state: &State, charge: &Charge, tentative: bool) -> Vec<State> {
        let observations = self.observations(state, charge.span);
        let admitted = observations.filter(|seen| self.admits(*seen, charge, tentative));
        let charged = admitted.map(|Observation { period, used }| {
            let reservations = state.reservations.clone();
            let resets = if period == state.period { state.resets } else { 0 };
            let mut after = State { period, resets, used: used + charge.cost, reservations };
            if let Some(reservation) = charge.reservation {
                after.reservations.charge(reservation, after.stamp(), charge.cost);
            }
            after
        });
        charged.collect()
    }

    /// The states after a give-back, which takes effect at once.
    fn give_back(&self, state: &State, give_back: &GiveBack) -> Vec<State> {
        let mut after = state.clone();
        match give_back.source {
            Source::Reservation => {
                let charged = state
                    .reservations
                    .get(give_back.reservation)
                    .and_then(|reservation| reservation.charged);
                let given = charged.map_or(0, |charged| match state.stamp() {
                    stamp if stamp == charged.first_at => give_back.amount,
                    stamp if stamp == charged.last_at => give_back.amount.min(charged.last_units),
                    _ => 0,
                });
                after.used -= given.min(state.used);
                after.reservations.end(give_back.reservation);
            }
            Source::All { short } => {
                let agrees = |seen: Observation| {
                    let there = if seen.period == state.period { seen.used } else { 0 };
                    give_back.amount == there || !short && give_back.amount < there
                };
                if !self.observations(state, give_back.span).any(agrees) {
                    return vec![];
                }
                after.used -= give_back.amount;
            }
        }
        vec![after]
    }
}

impl Specification for Budget {
    type Step = Step;
    type State = State;

    fn initial(&self) -> State {
        State::default()
    }

    fn next_states(&self, state: &State, event: &Event) -> Vec<State> {
        let same = |possible: bool| if possible { vec![state.clone()] } else { vec![] };
        let observes = |span: &Span, reported: &Reported, agrees: &dyn Fn(Observation) -> bool| {
            let mut observations = self.observations(state, *span);
            same(observations.any(|seen| agrees(seen) && self.matches(seen, span.now, reported)))
        };
        match &event.step {
            Step::Charge(charge) => self.charge(state, charge, false),
            Step::Tentative(charge) => {
                let Charge { span, cost, reported, .. } = charge;
                let observed = match reported {
                    Some(reported) => {
                        observes(span, reported, &|seen| seen.used + cost <= reported.limit)
                    }
                    None => same(true),
                };
                [observed, self.charge(state, charge, true)].concat()
            }
            Step::Room { span, cost, reported } => {
                observes(span, reported, &|seen| seen.used + cost <= reported.limit)
            }
            Step::Denied { span, cost, reported, shared } => observes(span, reported, &|seen| {
                let fits_at = (*cost <= reported.limit).then_some(self.end_of(seen.period));
                let longer = *shared
                    && reported
                        .fits_at
                        .is_none_or(|reported| fits_at.is_some_and(|own| reported >= own));
                seen.used + cost > reported.limit && (reported.fits_at == fits_at || longer)
            }),
            Step::Observed { span, reported } => observes(span, reported, &|_| true),
            Step::TableFull { span } => {
                same(self.observations(state, *span).any(|seen| seen.used == 0))
            }
            Step::GiveBackPart(_) => same(true),
            Step::GiveBackEnd(give_back) => self.give_back(state, give_back),
            Step::Reset => {
                let resets = state.resets + u64::from(state.used > 0);
                vec![State { resets, used: 0, ..state.clone() }]
            }
            Step::ResetBegins | Step::ResetHead | Step::Forget { .. } => {
                unreachable!("the reset of a budget is one step")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::*;
    use super::*;

    const BUDGET: Budget = Budget { period: LENGTH };

    fn is_valid_sequence(steps: Vec<Vec<Step>>) -> bool {
        let events = sequential(steps.concat());
        linearized(&BUDGET, &events) == events.len()
    }

    /// A charge of one unit, by a thread that had read `now` while others had read 30.
    fn charge(now: u64, remaining: u64, clear_at: u64) -> Step {
        let span = Span { now, latest: 30 };
        let reported = Some(reported(remaining, None, clear_at));
        Step::Charge(Charge { span, reported, ..unit_charge(1, now, remaining) })
    }

    /// A charge for a reservation, by a thread whose reading is the latest.
    fn reserve(reservation: usize, now: u64, cost: u64, remaining: u64) -> Step {
        let end = (now / LENGTH + 1) * LENGTH;
        match reservation_charge(1, reservation, now, cost, remaining) {
            Step::Charge(charge) => {
                let reported = Some(reported(remaining, None, end));
                Step::Charge(Charge { reported, ..charge })
            }
            step => step,
        }
    }

    #[test]
    fn a_budget_does_not_go_back_to_a_period() {
        // The answer to a charge shows the period by its end.
        assert!(is_valid_sequence(vec![vec![
            charge(25, 2, 30),
            charge(30, 2, 40),
            charge(25, 1, 40)
        ]]));
        assert!(!is_valid_sequence(vec![vec![
            charge(25, 2, 30),
            charge(30, 2, 40),
            charge(25, 1, 30)
        ]]));
    }

    #[test]
    fn a_lost_charge_is_rejected() {
        assert!(!is_valid_sequence(vec![vec![charge(25, 2, 30), charge(25, 2, 30)]]));
    }

    #[test]
    fn a_settlement_gives_back_to_the_period_that_was_charged() {
        let after = |amount: u64, seen: Step| {
            is_valid_sequence(vec![
                vec![reserve(50, 21, 3, 0)],
                give_back_steps(give_back(50, at(25), amount)),
                vec![seen],
            ])
        };
        assert!(after(2, room(at(25), 2, 30)));
        assert!(!after(2, room(at(25), 1, 30)));
        assert!(!after(2, room(at(25), 3, 25)));
    }

    #[test]
    fn units_of_another_period_are_not_given_back() {
        let after = |remaining, clear_at| {
            let charged = vec![reserve(50, 21, 3, 0), reserve(60, 31, 2, 1)];
            let give_back = give_back_steps(give_back(50, at(31), 3));
            is_valid_sequence(vec![charged, give_back, vec![room(at(31), remaining, clear_at)]])
        };
        assert!(after(1, 40));
        assert!(!after(3, 31));
        // If a reservation was extended in the next period, its last extension is given back.
        let stream = |remaining, clear_at| {
            let charged = vec![reserve(50, 21, 3, 0), reserve(50, 31, 1, 2), reserve(60, 31, 1, 1)];
            let give_back = give_back_steps(give_back(50, at(31), 4));
            is_valid_sequence(vec![charged, give_back, vec![room(at(31), remaining, clear_at)]])
        };
        assert!(stream(2, 40));
        assert!(!stream(1, 40));
        assert!(!stream(3, 31));
    }

    #[test]
    fn a_refund_gives_back_at_most_the_usage() {
        let charged = || vec![reserve(50, 21, 2, 1)];
        assert!(is_valid_sequence(vec![charged(), refund(25, 1, false), refund(25, 1, true)]));
        assert!(!is_valid_sequence(vec![charged(), refund(25, 1, true)]));
        assert!(!is_valid_sequence(vec![charged(), refund(25, 3, false)]));
        assert!(!is_valid_sequence(vec![charged(), refund(30, 1, false)]));
    }

    #[test]
    fn a_forced_charge_needs_no_room() {
        let forced = |cost| match forced_charge(2, 22, cost, 0) {
            Step::Charge(charge) => {
                Step::Charge(Charge { reported: Some(reported(0, None, 30)), ..charge })
            }
            step => step,
        };
        let after =
            |seen: Step| is_valid_sequence(vec![vec![reserve(50, 21, 2, 1), forced(3), seen]]);
        assert!(after(denied(at(25), 30, 30)));
        assert!(!after(room(at(25), 1, 30)));
    }

    #[test]
    fn a_reset_is_one_step() {
        let seen = |remaining, clear_at| {
            let mut events = sequential(vec![reserve(50, 21, 2, 1), Step::Reset]);
            events.push(event(4, 5, room(at(22), remaining, clear_at)));
            linearized(&BUDGET, &events) == 3
        };
        assert!(seen(3, 22));
        assert!(!seen(2, 30));
    }
}
