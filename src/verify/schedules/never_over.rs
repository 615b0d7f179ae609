//! Guarantee A, checked independently of the linearizability checker: no interval of the window's
//! length, and no period, contains more admitted cost than the limit.
//!
//! A forced charge, and the excess of a settlement over its reservation, are charged whatever the
//! usage is. They alone may exceed the limit, and they count against everything that is admitted
//! after them.

use super::step::{self, Event, Source, Step};

/// The interval over which a limit holds, in the units of the policy.
#[derive(Clone, Copy, Debug)]
pub(super) enum Interval {
    /// A sliding window of this length.
    Window(u64),
    /// A calendar period of this length. The first period begins at zero.
    Period(u64),
}

/// One charge, recorded at a time within `from..=to`.
#[derive(Clone, Copy, Debug)]
struct RecordedCharge {
    from: u64,
    to: u64,
    cost: u64,
    /// `None` for a forced charge.
    limit: Option<u64>,
    reservation: Option<usize>,
    called: u64,
    returned: u64,
}

/// Units that were given back.
#[derive(Clone, Copy, Debug)]
struct GivenBack {
    /// The reservation that they were charged for. `None` for a refund, which takes the oldest
    /// units.
    reservation: Option<usize>,
    amount: u64,
    called: u64,
}

/// Describes an interval in which the admitted cost of a key exceeds its limit, if there is one.
///
/// Reports a violation only if it is certain. A charge counts if it is in the interval at every
/// time at which it may have been recorded. Units that may have been given back by then do not
/// count.
pub(super) fn excess(interval: Interval, events: &[Event]) -> Option<String> {
    let given_back: Vec<_> = events.iter().filter_map(given_back_by).collect();
    let mut charges = Vec::new();
    for event in events {
        if let Step::Charge(charge) = &event.step {
            match interval.recorded(charge, event) {
                Some(recorded) => charges.push(recorded),
                None => return Some(format!("recorded outside of its call: {charge:?}")),
            }
        }
    }
    let admitted = charges.iter().filter_map(|charge| Some((charge, charge.limit?)));
    let over = |(charge, limit)| {
        beyond_own_limit(interval, charge, limit, &charges, &given_back)
            .or_else(|| beyond_all_limits(interval, charge, limit, &charges, &given_back))
    };
    admitted.into_iter().find_map(over)
}

/// Checks this charge against its own limit: the charges that were certainly completed before its
/// invocation, forced ones included, must have left room for it.
fn beyond_own_limit(
    interval: Interval,
    charge: &RecordedCharge,
    limit: u64,
    charges: &[RecordedCharge],
    given_back: &[GivenBack],
) -> Option<String> {
    let before = |other: &&RecordedCharge| {
        other.returned < charge.called && interval.is_within(other.from, charge.to)
    };
    let counted: Vec<_> = charges.iter().filter(before).chain([charge]).collect();
    let sum = least_remaining(&counted, given_back, charge.returned);
    (sum > limit).then(|| format!("{sum} of {limit} at {charge:?}: {counted:?}, {given_back:?}"))
}

/// Checks everything that was admitted in the interval up to this charge against the greatest limit
/// in it.
fn beyond_all_limits(
    interval: Interval,
    charge: &RecordedCharge,
    limit: u64,
    charges: &[RecordedCharge],
    given_back: &[GivenBack],
) -> Option<String> {
    let together = |other: &&RecordedCharge| {
        other.limit.is_some()
            && other.to <= charge.from
            && interval.is_within(other.from, charge.to)
    };
    let counted: Vec<_> = charges.iter().filter(together).collect();
    let until = counted.iter().map(|charge| charge.returned).fold(charge.returned, u64::max);
    let limit = counted.iter().filter_map(|charge| charge.limit).fold(limit, u64::max);
    let sum = least_remaining(&counted, given_back, until);
    (sum > limit).then(|| format!("{sum} of {limit} up to {charge:?}: {counted:?}, {given_back:?}"))
}

/// The least number of units of these charges that still count. Every give-back that was called
/// before `until` is assumed to be complete.
fn least_remaining(charges: &[&RecordedCharge], given_back: &[GivenBack], until: u64) -> u64 {
    let given_back = |reservation| {
        let mine = given_back.iter().filter(move |given_back| {
            given_back.reservation == reservation && given_back.called < until
        });
        mine.map(|given_back| given_back.amount).sum::<u64>()
    };
    let mut reservations: Vec<_> = charges.iter().map(|charge| charge.reservation).collect();
    reservations.sort_unstable();
    reservations.dedup();
    let charged = |reservation| {
        let mine = charges.iter().filter(move |charge| charge.reservation == reservation);
        mine.map(|charge| charge.cost).sum::<u64>()
    };
    // Only a charge of a reservation has give-backs of its own.
    let own = |reservation: &Option<usize>| reservation.map_or(0, |_| given_back(*reservation));
    let sum: u64 = reservations
        .iter()
        .map(|reservation| charged(*reservation).saturating_sub(own(reservation)))
        .sum();
    sum.saturating_sub(given_back(None))
}

fn given_back_by(event: &Event) -> Option<GivenBack> {
    let Step::GiveBackEnd(give_back) = &event.step else { return None };
    let reservation = (give_back.source == Source::Reservation).then_some(give_back.reservation);
    Some(GivenBack { reservation, amount: give_back.amount, called: event.called })
}

impl Interval {
    /// Returns whether a charge recorded at `from` or later counts at `to`.
    fn is_within(self, from: u64, to: u64) -> bool {
        match self {
            Interval::Window(length) => to.saturating_sub(from) < length,
            Interval::Period(_) => from >= to,
        }
    }

    /// The recorded time of a charge, or `None` if that time is outside of its call.
    ///
    /// An admitted charge is the newest of its key, so `clear_at` of its answer shows its recorded
    /// time. That time must be between the call's `now` and the latest reading at its response.
    fn recorded(self, charge: &step::Charge, event: &Event) -> Option<RecordedCharge> {
        let (length, unit) = match self {
            Interval::Window(length) => (length, 1),
            Interval::Period(length) => (length, length),
        };
        let [earliest, latest] = [charge.span.now, charge.span.latest].map(|at| at / unit * unit);
        let reported = charge.reported.map(|reported| reported.clear_at.saturating_sub(length));
        if reported.is_some_and(|at| !(earliest..=latest).contains(&at)) {
            return None;
        }
        Some(RecordedCharge {
            from: reported.unwrap_or(earliest),
            to: reported.unwrap_or(latest),
            cost: charge.cost,
            limit: charge.limit,
            reservation: charge.reservation,
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

    fn is_over(interval: Interval, steps: Vec<Vec<Step>>) -> bool {
        excess(interval, &sequential(steps.concat())).is_some()
    }

    fn window(steps: Vec<Vec<Step>>) -> bool {
        is_over(Interval::Window(LENGTH), steps)
    }

    /// This number of charges of one unit each.
    fn units(number: usize, now: u64) -> Vec<Step> {
        (0..number).map(|index| charge(index, now, 0)).collect()
    }

    #[test]
    fn a_window_does_not_count_its_end() {
        assert!(!window(vec![units(2, 20), units(1, 29)]));
        assert!(window(vec![units(2, 20), units(2, 29)]));
        assert!(!window(vec![units(2, 20), units(2, 30)]));
    }

    #[test]
    fn a_period_ends_at_its_end() {
        let period = |steps| is_over(Interval::Period(LENGTH), steps);
        assert!(period(vec![units(2, 20), units(2, 20)]));
        assert!(!period(vec![units(2, 20), units(2, 30)]));
    }

    #[test]
    fn a_charge_is_not_recorded_outside_of_its_call() {
        let early = Charge { span: at(21), ..unit_charge(1, 20, 0) };
        assert!(window(vec![vec![Step::Charge(early)]]));
    }

    #[test]
    fn a_forced_charge_counts_against_later_charges() {
        // A forced charge needs no room.
        assert!(!window(vec![units(3, 20), vec![forced_charge(4, 21, 2, 0)]]));
        assert!(!window(vec![vec![forced_charge(4, 20, 2, 0)], units(1, 20)]));
        assert!(window(vec![vec![forced_charge(4, 20, 2, 0)], units(2, 20)]));
        assert!(window(vec![vec![forced_charge(4, 20, 3, 0)], units(1, 29)]));
        assert!(!window(vec![vec![forced_charge(4, 20, 3, 0)], units(1, 30)]));
    }

    #[test]
    fn given_back_units_make_room_once() {
        let reservation = |now| vec![reservation_charge(1, 50, now, 2, 1)];
        let rest = |now| give_back_steps(give_back(50, at(now), 1));
        assert!(window(vec![reservation(20), units(2, 21)]));
        assert!(!window(vec![reservation(20), rest(21), units(2, 21)]));
        assert!(window(vec![reservation(20), rest(21), units(3, 21)]));
        // Units that were charged in another window make no room.
        assert!(window(vec![reservation(20), units(3, 30), rest(30), units(1, 30)]));
        // Units that were given back only afterwards made no room either.
        assert!(window(vec![reservation(20), units(2, 21), rest(21)]));
        // A refund makes room whichever charge it belongs to.
        assert!(!window(vec![units(3, 20), refund(20, 2, false), units(2, 21)]));
        assert!(window(vec![units(3, 20), refund(20, 2, false), units(3, 21)]));
    }

    /// A charge is checked against its own limit, even if other charges had a greater one.
    #[test]
    fn each_charge_is_within_its_own_limit() {
        let lowered = Charge {
            limit: Some(2),
            reported: Some(reported(0, None, 31)),
            ..unit_charge(9, 21, 0)
        };
        assert!(window(vec![units(2, 20), vec![Step::Charge(lowered)]]));
        assert!(!window(vec![units(1, 20), vec![Step::Charge(lowered)]]));
    }

    #[test]
    fn an_unreported_charge_counts_where_it_is_certain() {
        let unreported = |latest| {
            let span = Span { now: 20, latest };
            Step::Charge(Charge { reported: None, span, cost: 3, ..unit_charge(1, 20, 0) })
        };
        assert!(window(vec![vec![unreported(22)], units(1, 29)]));
        assert!(!window(vec![vec![unreported(22)], units(1, 31)]));
    }
}
