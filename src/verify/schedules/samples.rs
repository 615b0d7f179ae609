//! Made-up histories, for the tests of the checkers: under a limit of 3, over 10 units of time.

use super::linear::{Rules, explain};
use super::step::{Back, Charge, Event, From, Span, Step, Told};

pub(super) const LENGTH: u64 = 10;
pub(super) const LIMIT: u64 = 3;

/// Read off the clock at `now`, when nobody had read a later time.
pub(super) fn at(now: u64) -> Span {
    Span { now, latest: now }
}

pub(super) fn told(remaining: u64, fits_at: Option<u64>, clear_at: u64) -> Told {
    Told { limit: LIMIT, remaining, fits_at, clear_at }
}

pub(super) fn event(called: u64, returned: u64, step: Step) -> Event {
    Event { step, called, returned, behind: None }
}

/// One step after the other, the first at instant 0.
pub(super) fn in_turn(steps: Vec<Step>) -> Vec<Event> {
    let event = |(place, step)| event(2 * place as u64, 2 * place as u64 + 1, step);
    steps.into_iter().enumerate().map(event).collect()
}

/// How many events can be explained.
pub(super) fn explained<R: Rules<Step = Step>>(rules: &R, events: &[Event]) -> usize {
    explain(rules, events).map_or_else(|placed| placed, |()| events.len())
}

/// One unit that was charged at `now`.
pub(super) fn one(number: usize, now: u64, remaining: u64) -> Charge {
    let told = Some(told(remaining, None, now + LENGTH));
    Charge { number, span: at(now), cost: 1, limit: Some(LIMIT), told, hold: None }
}

pub(super) fn charge(number: usize, now: u64, remaining: u64) -> Step {
    Step::Charge(one(number, now, remaining))
}

/// So much for a reservation.
pub(super) fn held(number: usize, hold: usize, now: u64, cost: u64, remaining: u64) -> Step {
    Step::Charge(Charge { cost, hold: Some(hold), ..one(number, now, remaining) })
}

/// So much whatever the usage is.
pub(super) fn forced(number: usize, now: u64, cost: u64, remaining: u64) -> Step {
    Step::Charge(Charge { cost, limit: None, ..one(number, now, remaining) })
}

pub(super) fn room(span: Span, remaining: u64, clear_at: u64) -> Step {
    Step::Room { span, cost: 1, told: told(remaining, None, clear_at) }
}

pub(super) fn denied(span: Span, fits_at: u64, clear_at: u64) -> Step {
    Step::Denied { span, cost: 1, told: told(0, Some(fits_at), clear_at), shared: false }
}

/// What a reservation gives back, when all charges up to number 9 have been completed.
pub(super) fn back(hold: usize, span: Span, amount: u64) -> Back {
    Back { hold, from: From::Hold, amount, span, known: 9 }
}

/// All of it, without anything in between.
pub(super) fn returned(back: Back) -> Vec<Step> {
    let takes = (1..back.amount).map(|_| Step::Take(back));
    takes.chain([Step::End(back)]).collect()
}

pub(super) fn refund(now: u64, amount: u64, short: bool) -> Vec<Step> {
    returned(Back { from: From::All { short }, ..back(100, at(now), amount) })
}
