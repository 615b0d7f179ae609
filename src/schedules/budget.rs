//! The rules of a calendar budget: what it would answer if its verbs came one after the other.
//!
//! The budget goes on to a period with its first charge there, and never back. What is given back
//! belongs to a period: it comes back if the budget is still in that one.

use super::holds::Holds;
use super::linear::Rules;
use super::step::{Back, Charge, Event, From, Span, Step, Told};

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

impl Budget {
    fn finds(&self, state: &State, span: Span) -> impl Iterator<Item = Seen> {
        let (period, used) = (state.period, state.used);
        let first = (span.now / self.period).max(period);
        let last = span.latest / self.period;
        (first..=last).map(move |at| Seen { period: at, used: if at == period { used } else { 0 } })
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
            Step::Take(_) => same(true),
            Step::End(back) => self.give(state, back),
            Step::Reset => vec![State { used: 0, ..state.clone() }],
            Step::Forget { .. } => unreachable!("a budget is reset at once"),
        }
    }
}
