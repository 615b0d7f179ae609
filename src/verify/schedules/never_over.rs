//! The first contract, checked apart from everything else: however the answers came about, no
//! interval of the window's length, and no period, holds more admitted cost than the limit.
//!
//! What is settled for more than was reserved is charged whatever the usage is. It may exceed the
//! limit by what it declares and by no more: it counts against all that is admitted after it.

use super::step::{self, Event, From, Step};

/// How time is counted, in the units of the policy.
#[derive(Clone, Copy, Debug)]
pub(super) enum Time {
    /// A sliding window of this length.
    Window(u64),
    /// A calendar period of this length, the first of which begins at zero.
    Period(u64),
}

/// One charge that was recorded, at a time within `from..=to`.
#[derive(Clone, Copy, Debug)]
struct Recorded {
    from: u64,
    to: u64,
    cost: u64,
    /// None for what was charged whatever the usage was.
    limit: Option<u64>,
    hold: Option<usize>,
    called: u64,
    returned: u64,
}

/// Units that came back, or may have.
#[derive(Clone, Copy, Debug)]
struct Given {
    /// The reservation that held them; none for a refund, which takes from whatever is oldest.
    hold: Option<usize>,
    amount: u64,
    called: u64,
}

/// Where the admitted cost of a key exceeds its limit, if it does anywhere.
///
/// Only what is certain is reported: a charge counts where every time at which it can have been
/// recorded does, and what may have come back by then has.
pub(super) fn excess(time: Time, events: &[Event]) -> Option<String> {
    let given: Vec<_> = events.iter().filter_map(given).collect();
    let mut charges = Vec::new();
    for event in events {
        if let Step::Charge(charge) = &event.step {
            match time.recorded(charge, event) {
                Some(recorded) => charges.push(recorded),
                None => return Some(format!("recorded outside of its call: {charge:?}")),
            }
        }
    }
    let admitted = charges.iter().filter_map(|charge| Some((charge, charge.limit?)));
    let over = |(charge, limit)| {
        beyond_own_limit(time, charge, limit, &charges, &given)
            .or_else(|| beyond_all_limits(time, charge, limit, &charges, &given))
    };
    admitted.into_iter().find_map(over)
}

/// What was charged for certain before this charge was asked for, debts and all, left room for it.
fn beyond_own_limit(
    time: Time,
    charge: &Recorded,
    limit: u64,
    charges: &[Recorded],
    given: &[Given],
) -> Option<String> {
    let before =
        |other: &&Recorded| other.returned < charge.called && time.is_within(other.from, charge.to);
    let counted: Vec<_> = charges.iter().filter(before).chain([charge]).collect();
    let sum = left(&counted, given, charge.returned);
    (sum > limit).then(|| format!("{sum} of {limit} at {charge:?}: {counted:?}, {given:?}"))
}

/// All that was admitted within the window up to this charge is within the greatest limit there.
fn beyond_all_limits(
    time: Time,
    charge: &Recorded,
    limit: u64,
    charges: &[Recorded],
    given: &[Given],
) -> Option<String> {
    let together = |other: &&Recorded| {
        other.limit.is_some() && other.to <= charge.from && time.is_within(other.from, charge.to)
    };
    let counted: Vec<_> = charges.iter().filter(together).collect();
    let until = counted.iter().map(|charge| charge.returned).fold(charge.returned, u64::max);
    let limit = counted.iter().filter_map(|charge| charge.limit).fold(limit, u64::max);
    let sum = left(&counted, given, until);
    (sum > limit).then(|| format!("{sum} of {limit} up to {charge:?}: {counted:?}, {given:?}"))
}

/// What these charges still hold at least, when all that was called before `until` has come back.
fn left(charges: &[&Recorded], given: &[Given], until: u64) -> u64 {
    let given = |hold| {
        let mine = given.iter().filter(move |given| given.hold == hold && given.called < until);
        mine.map(|given| given.amount).sum::<u64>()
    };
    let mut holds: Vec<_> = charges.iter().map(|charge| charge.hold).collect();
    holds.sort_unstable();
    holds.dedup();
    let charged = |hold| {
        let mine = charges.iter().filter(move |charge| charge.hold == hold);
        mine.map(|charge| charge.cost).sum::<u64>()
    };
    // What is held by nobody does not come back to anybody.
    let own = |hold: &Option<usize>| hold.map_or(0, |_| given(*hold));
    let sum: u64 = holds.iter().map(|hold| charged(*hold).saturating_sub(own(hold))).sum();
    sum.saturating_sub(given(None))
}

fn given(event: &Event) -> Option<Given> {
    let Step::End(back) = &event.step else { return None };
    let hold = (back.from == From::Hold).then_some(back.hold);
    Some(Given { hold, amount: back.amount, called: event.called })
}

impl Time {
    /// Whether a charge recorded at `from` or later counts at `to`.
    fn is_within(self, from: u64, to: u64) -> bool {
        match self {
            Time::Window(length) => to.saturating_sub(from) < length,
            Time::Period(_) => from >= to,
        }
    }

    /// An admitted charge is the newest of its key, so that its answer tells when it was recorded:
    /// that must be a time between its call's `now` and the latest reading at its return.
    fn recorded(self, charge: &step::Charge, event: &Event) -> Option<Recorded> {
        let (length, begin) = match self {
            Time::Window(length) => (length, 1),
            Time::Period(length) => (length, length),
        };
        let [earliest, latest] = [charge.span.now, charge.span.latest].map(|at| at / begin * begin);
        let told = charge.told.map(|told| told.clear_at.saturating_sub(length));
        if told.is_some_and(|at| !(earliest..=latest).contains(&at)) {
            return None;
        }
        Some(Recorded {
            from: told.unwrap_or(earliest),
            to: told.unwrap_or(latest),
            cost: charge.cost,
            limit: charge.limit,
            hold: charge.hold,
            called: event.called,
            returned: event.returned,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::*;
    use super::super::step::{Charge, Span};
    use super::*;

    fn is_over(time: Time, steps: Vec<Vec<Step>>) -> bool {
        excess(time, &in_turn(steps.concat())).is_some()
    }

    fn window(steps: Vec<Vec<Step>>) -> bool {
        is_over(Time::Window(LENGTH), steps)
    }

    /// So many units, each a charge of its own.
    fn units(number: usize, now: u64) -> Vec<Step> {
        (0..number).map(|place| charge(place, now, 0)).collect()
    }

    #[test]
    fn a_window_does_not_count_its_end() {
        assert!(!window(vec![units(2, 20), units(1, 29)]));
        assert!(window(vec![units(2, 20), units(2, 29)]));
        assert!(!window(vec![units(2, 20), units(2, 30)]));
    }

    #[test]
    fn a_period_ends_at_its_end() {
        let period = |steps| is_over(Time::Period(LENGTH), steps);
        assert!(period(vec![units(2, 20), units(2, 20)]));
        assert!(!period(vec![units(2, 20), units(2, 30)]));
    }

    #[test]
    fn a_charge_is_not_recorded_outside_of_its_call() {
        let early = Charge { span: at(21), ..one(1, 20, 0) };
        assert!(window(vec![vec![Step::Charge(early)]]));
    }

    #[test]
    fn a_debt_counts_against_what_comes_after() {
        // Whatever is used, it may be charged.
        assert!(!window(vec![units(3, 20), vec![forced(4, 21, 2, 0)]]));
        assert!(!window(vec![vec![forced(4, 20, 2, 0)], units(1, 20)]));
        assert!(window(vec![vec![forced(4, 20, 2, 0)], units(2, 20)]));
        assert!(window(vec![vec![forced(4, 20, 3, 0)], units(1, 29)]));
        assert!(!window(vec![vec![forced(4, 20, 3, 0)], units(1, 30)]));
    }

    #[test]
    fn what_comes_back_makes_room_once() {
        let hold = |now| vec![held(1, 50, now, 2, 1)];
        let rest = |now| returned(back(50, at(now), 1));
        assert!(window(vec![hold(20), units(2, 21)]));
        assert!(!window(vec![hold(20), rest(21), units(2, 21)]));
        assert!(window(vec![hold(20), rest(21), units(3, 21)]));
        // What was held in another window makes none.
        assert!(window(vec![hold(20), units(3, 30), rest(30), units(1, 30)]));
        // What came back only afterwards has made none either.
        assert!(window(vec![hold(20), units(2, 21), rest(21)]));
        // A refund makes room wherever it came from.
        assert!(!window(vec![units(3, 20), refund(20, 2, false), units(2, 21)]));
        assert!(window(vec![units(3, 20), refund(20, 2, false), units(3, 21)]));
    }

    /// A later limit does not allow what an earlier one had no room for.
    #[test]
    fn each_charge_is_within_its_own_limit() {
        let lowered = Charge { limit: Some(2), told: Some(told(0, None, 31)), ..one(9, 21, 0) };
        assert!(window(vec![units(2, 20), vec![Step::Charge(lowered)]]));
        assert!(!window(vec![units(1, 20), vec![Step::Charge(lowered)]]));
    }

    #[test]
    fn what_was_not_told_counts_where_it_is_certain() {
        let untold = |latest| {
            let span = Span { now: 20, latest };
            Step::Charge(Charge { told: None, span, cost: 3, ..one(1, 20, 0) })
        };
        assert!(window(vec![vec![untold(22)], units(1, 29)]));
        assert!(!window(vec![vec![untold(22)], units(1, 31)]));
    }
}
