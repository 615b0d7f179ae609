//! Sample histories for the tests of the checkers, with a limit of 3 over 10 units of time.

use super::linearizability::{Specification, linearize};
use super::step::{Charge, Event, GiveBack, Reported, Source, Span, Step};

pub(super) const LENGTH: u64 = 10;
pub(super) const LIMIT: u64 = 3;

/// The span of a call at `now`, when no thread has read a later time.
pub(super) fn at(now: u64) -> Span {
    Span { now, latest: now }
}

pub(super) fn reported(remaining: u64, fits_at: Option<u64>, clear_at: u64) -> Reported {
    Reported { limit: LIMIT, remaining, fits_at, clear_at }
}

pub(super) fn event(called: u64, returned: u64, step: Step) -> Event {
    Event { step, called, returned, after: None }
}

/// Events that do not overlap, one for each step. The first is called at instant 0.
pub(super) fn sequential(steps: Vec<Step>) -> Vec<Event> {
    let event = |(index, step)| event(2 * index as u64, 2 * index as u64 + 1, step);
    steps.into_iter().enumerate().map(event).collect()
}

/// The greatest number of events that can be linearized.
pub(super) fn linearized<R: Specification<Step = Step>>(
    specification: &R,
    events: &[Event],
) -> usize {
    linearize(specification, events).map_or_else(|longest| longest, |()| events.len())
}

/// A charge of one unit at `now`.
pub(super) fn unit_charge(number: usize, now: u64, remaining: u64) -> Charge {
    let reported = Some(reported(remaining, None, now + LENGTH));
    Charge { number, span: at(now), cost: 1, limit: Some(LIMIT), reported, reservation: None }
}

pub(super) fn charge(number: usize, now: u64, remaining: u64) -> Step {
    Step::Charge(unit_charge(number, now, remaining))
}

/// A charge for a reservation.
pub(super) fn reservation_charge(
    number: usize,
    reservation: usize,
    now: u64,
    cost: u64,
    remaining: u64,
) -> Step {
    Step::Charge(Charge {
        cost,
        reservation: Some(reservation),
        ..unit_charge(number, now, remaining)
    })
}

/// A forced charge.
pub(super) fn forced_charge(number: usize, now: u64, cost: u64, remaining: u64) -> Step {
    Step::Charge(Charge { cost, limit: None, ..unit_charge(number, now, remaining) })
}

pub(super) fn room(span: Span, remaining: u64, clear_at: u64) -> Step {
    Step::Room { span, cost: 1, reported: reported(remaining, None, clear_at) }
}

pub(super) fn denied(span: Span, fits_at: u64, clear_at: u64) -> Step {
    Step::Denied { span, cost: 1, reported: reported(0, Some(fits_at), clear_at), shared: false }
}

/// A give-back of a reservation, after charges up to number 9 were completed.
pub(super) fn give_back(reservation: usize, span: Span, amount: u64) -> GiveBack {
    GiveBack { reservation, source: Source::Reservation, amount, span, completed_before: 9 }
}

/// All steps of a give-back.
pub(super) fn give_back_steps(give_back: GiveBack) -> Vec<Step> {
    let takes = (1..give_back.amount).map(|_| Step::GiveBackPart(give_back));
    takes.chain([Step::GiveBackEnd(give_back)]).collect()
}

pub(super) fn refund(now: u64, amount: u64, short: bool) -> Vec<Step> {
    give_back_steps(GiveBack { source: Source::All { short }, ..give_back(100, at(now), amount) })
}
