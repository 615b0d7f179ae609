//! The rules of a calendar budget: what it would answer if its verbs came one after the other.
//!
//! The budget goes on to a period with its first charge there, and never back. What is given back
//! belongs to a period: it comes back if the budget is still in that one.

use super::holds::Holds;
use super::linear::Rules;
use super::step::{Back, Charge, Event, From, Span, Step, Told};
use std::ops::RangeInclusive;

/// The rules of a calendar budget.
#[derive(Debug)]
pub(super) struct Budget {
    /// Nanoseconds.
    pub(super) period: u64,
}

/// What is used, and in which period.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct State {
    period: u64,
    used: u64,
    holds: Holds,
}

/// What a call finds: a period and what is used in it.
#[derive(Clone, Copy, Debug)]
struct Seen {
    period: u64,
    used: u64,
}

/// The periods that a call may find, where the key has been in this one.
pub(super) fn periods(span: Span, newest: u64, length: u64) -> RangeInclusive<u64> {
    (span.now / length).max(newest)..=span.latest / length
}

impl Budget {
    fn finds(&self, state: &State, span: Span) -> impl Iterator<Item = Seen> {
        let (period, used) = (state.period, state.used);
        periods(span, period, self.period)
            .map(move |at| Seen { period: at, used: if at == period { used } else { 0 } })
    }

    fn end_of(&self, period: u64) -> u64 {
        (period + 1) * self.period
    }

    /// Whether an answer has these numbers.
    fn shows(&self, seen: Seen, now: u64, told: &Told) -> bool {
        let clear_at = if seen.used > 0 { self.end_of(seen.period) } else { now };
        told.remaining == told.limit.saturating_sub(seen.used) && told.clear_at == clear_at
    }

    /// Whether a charge could be answered so. One that is undone tells what is left then.
    fn admits(&self, seen: Seen, charge: &Charge, lent: bool) -> bool {
        let used = seen.used + charge.cost;
        if charge.limit.is_some_and(|limit| used > limit) {
            return false;
        }
        let undone = if lent { charge.cost } else { 0 };
        let shown = |used| {
            let told = charge.told.as_ref();
            told.is_none_or(|told| self.shows(Seen { used, ..seen }, charge.span.now, told))
        };
        (used - undone..=used).any(shown)
    }

    fn charge(&self, state: &State, charge: &Charge, lent: bool) -> Vec<State> {
        let finds = self.finds(state, charge.span);
        let admitted = finds.filter(|seen| self.admits(*seen, charge, lent));
        let charged = admitted.map(|Seen { period, used }| {
            let holds = state.holds.clone();
            let mut after = State { period, used: used + charge.cost, holds };
            if let Some(hold) = charge.hold {
                after.holds.charge(hold, period, charge.cost);
            }
            after
        });
        charged.collect()
    }

    /// All that comes back does so at once.
    fn give(&self, state: &State, back: &Back) -> Vec<State> {
        let mut after = state.clone();
        match back.from {
            From::Hold => {
                let charged = state.holds.get(back.hold).and_then(|hold| hold.charged);
                let given = charged.map_or(0, |charged| match state.period {
                    period if period == charged.first_at => back.amount,
                    period if period == charged.last_at => back.amount.min(charged.last),
                    _ => 0,
                });
                after.used -= given.min(state.used);
                after.holds.end(back.hold);
            }
            From::All { short } => {
                let agrees = |seen: Seen| {
                    let there = if seen.period == state.period { seen.used } else { 0 };
                    back.amount == there || !short && back.amount < there
                };
                if !self.finds(state, back.span).any(agrees) {
                    return vec![];
                }
                after.used -= back.amount;
            }
        }
        vec![after]
    }
}

impl Rules for Budget {
    type Step = Step;
    type State = State;

    fn first(&self) -> State {
        State::default()
    }

    fn after(&self, state: &State, event: &Event) -> Vec<State> {
        let same = |holds: bool| if holds { vec![state.clone()] } else { vec![] };
        let sees = |span: &Span, told: &Told, agrees: &dyn Fn(Seen) -> bool| {
            let mut finds = self.finds(state, *span);
            same(finds.any(|seen| agrees(seen) && self.shows(seen, span.now, told)))
        };
        match &event.step {
            Step::Charge(charge) => self.charge(state, charge, false),
            Step::Lend(charge) => {
                let Charge { span, cost, told, .. } = charge;
                let looked = match told {
                    Some(told) => sees(span, told, &|seen| seen.used + cost <= told.limit),
                    None => same(true),
                };
                [looked, self.charge(state, charge, true)].concat()
            }
            Step::Room { span, cost, told } => {
                sees(span, told, &|seen| seen.used + cost <= told.limit)
            }
            Step::Denied { span, cost, told, shared } => sees(span, told, &|seen| {
                let fits_at = (*cost <= told.limit).then_some(self.end_of(seen.period));
                let longer = *shared
                    && told.fits_at.is_none_or(|told| fits_at.is_some_and(|own| told >= own));
                seen.used + cost > told.limit && (told.fits_at == fits_at || longer)
            }),
            Step::Seen { span, told } => sees(span, told, &|_| true),
            Step::Full { span } => same(self.finds(state, *span).any(|seen| seen.used == 0)),
            Step::Take(_) => same(true),
            Step::End(back) => self.give(state, back),
            Step::Reset => vec![State { used: 0, ..state.clone() }],
            Step::Forget { .. } => unreachable!("a budget is reset at once"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::*;
    use super::*;

    const BUDGET: Budget = Budget { period: LENGTH };

    fn holds(steps: Vec<Vec<Step>>) -> bool {
        let events = in_turn(steps.concat());
        explained(&BUDGET, &events) == events.len()
    }

    /// One unit of three, charged by a thread that had read `now` while others had read 30.
    fn charge(now: u64, remaining: u64, clear_at: u64) -> Step {
        let span = Span { now, latest: 30 };
        let told = Some(told(remaining, None, clear_at));
        Step::Charge(Charge { span, told, ..one(1, now, remaining) })
    }

    /// The same, as told at the clock's own time.
    fn hold(hold: usize, now: u64, cost: u64, remaining: u64) -> Step {
        let end = (now / LENGTH + 1) * LENGTH;
        match held(1, hold, now, cost, remaining) {
            Step::Charge(charge) => {
                let told = Some(told(remaining, None, end));
                Step::Charge(Charge { told, ..charge })
            }
            step => step,
        }
    }

    #[test]
    fn a_budget_does_not_go_back_to_a_period() {
        // Charges tell their period by its end.
        assert!(holds(vec![vec![charge(25, 2, 30), charge(30, 2, 40), charge(25, 1, 40)]]));
        assert!(!holds(vec![vec![charge(25, 2, 30), charge(30, 2, 40), charge(25, 1, 30)]]));
    }

    #[test]
    fn a_lost_charge_is_not_explained() {
        assert!(!holds(vec![vec![charge(25, 2, 30), charge(25, 2, 30)]]));
    }

    #[test]
    fn a_settlement_gives_back_to_the_period_that_was_charged() {
        let after = |amount: u64, seen: Step| {
            holds(vec![vec![hold(50, 21, 3, 0)], returned(back(50, at(25), amount)), vec![seen]])
        };
        assert!(after(2, room(at(25), 2, 30)));
        assert!(!after(2, room(at(25), 1, 30)));
        assert!(!after(2, room(at(25), 3, 25)));
    }

    #[test]
    fn nothing_comes_back_to_another_period() {
        let after = |remaining, clear_at| {
            let charged = vec![hold(50, 21, 3, 0), hold(60, 31, 2, 1)];
            let back = returned(back(50, at(31), 3));
            holds(vec![charged, back, vec![room(at(31), remaining, clear_at)]])
        };
        assert!(after(1, 40));
        assert!(!after(3, 31));
        // Of a stream over the turn of the period the last extension does.
        let stream = |remaining, clear_at| {
            let charged = vec![hold(50, 21, 3, 0), hold(50, 31, 1, 2), hold(60, 31, 1, 1)];
            let back = returned(back(50, at(31), 4));
            holds(vec![charged, back, vec![room(at(31), remaining, clear_at)]])
        };
        assert!(stream(2, 40));
        assert!(!stream(1, 40));
        assert!(!stream(3, 31));
    }

    #[test]
    fn a_refund_gives_what_there_is() {
        let charged = || vec![hold(50, 21, 2, 1)];
        assert!(holds(vec![charged(), refund(25, 1, false), refund(25, 1, true)]));
        assert!(!holds(vec![charged(), refund(25, 1, true)]));
        assert!(!holds(vec![charged(), refund(25, 3, false)]));
        assert!(!holds(vec![charged(), refund(30, 1, false)]));
    }

    #[test]
    fn a_debt_is_charged_without_room() {
        let debt = |cost| match forced(2, 22, cost, 0) {
            Step::Charge(charge) => {
                Step::Charge(Charge { told: Some(told(0, None, 30)), ..charge })
            }
            step => step,
        };
        let after = |seen: Step| holds(vec![vec![hold(50, 21, 2, 1), debt(3), seen]]);
        assert!(after(denied(at(25), 30, 30)));
        assert!(!after(room(at(25), 1, 30)));
    }

    #[test]
    fn a_reset_is_at_once() {
        let seen = |remaining, clear_at| {
            let mut events = in_turn(vec![hold(50, 21, 2, 1), Step::Reset]);
            events.push(event(4, 5, room(at(22), remaining, clear_at)));
            explained(&BUDGET, &events) == 3
        };
        assert!(seen(3, 22));
        assert!(!seen(2, 30));
    }
}
