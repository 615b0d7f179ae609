//! The first contract, checked apart from everything else: however the answers came about, no
//! interval of the window's length, and no period, holds more admitted cost than the limit.

use super::linear::Event;
use super::spec::Step;

/// How time is counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Time {
    /// Nanoseconds of a sliding window.
    Window(u64),
    /// Nanoseconds of a calendar period that begins at zero.
    Period(u64),
}

/// Where the admitted cost of a key exceeds its limit, if it does anywhere.
///
/// An admitted charge is the newest of its key, so that its answer tells when it was recorded: that
/// must be a time between its call's `now` and the latest reading at its return. Refunds are taken
/// off wherever they came, so that what is reported is certain.
pub(super) fn excess(time: Time, events: &[Event<Step>]) -> Option<String> {
    let given = events.iter().filter(|event| matches!(event.step, Step::Give(_))).count() as u64;
    let mut charges = Vec::new();
    for event in events {
        if let Step::Admit { span, answer, .. } = &event.step {
            let (Time::Window(length) | Time::Period(length)) = time;
            let at = answer.clear_at.saturating_sub(length);
            let from = match time {
                Time::Window(_) => span.now,
                Time::Period(length) => span.now / length * length,
            };
            if !(from..=span.latest).contains(&at) {
                return Some(format!("recorded at {at}, outside of its call: {:?}", event.step));
            }
            charges.push((at, answer.cost, answer.limit));
        }
    }
    charges.sort_unstable();
    for &(end, ..) in &charges {
        let together = |at: u64| match time {
            Time::Window(length) => at <= end && end - at < length,
            Time::Period(_) => at == end,
        };
        let mine = charges.iter().filter(|(at, ..)| together(*at));
        let sum: u64 = mine.clone().map(|(_, cost, _)| cost).sum();
        let limit = mine.map(|(.., limit)| *limit).max().unwrap_or(0);
        if sum > limit + given {
            return Some(format!("{sum} of {limit} admitted up to {end}, {given} given back"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::spec::{Answer, Span};
    use super::*;

    const LENGTH: u64 = 10;

    fn admitted(at: u64, cost: u64) -> Event<Step> {
        let span = Span { now: at, latest: at };
        let answer =
            Answer { cost, limit: 3, remaining: 0, fits_at: None, clear_at: at + LENGTH, given: 0 };
        Event {
            step: Step::Admit { charge: 0, span, answer },
            called: 0,
            returned: 1,
            behind: None,
        }
    }

    #[test]
    fn a_window_does_not_count_its_end() {
        let window = Time::Window(LENGTH);
        assert!(excess(window, &[admitted(20, 2), admitted(29, 1)]).is_none());
        assert!(excess(window, &[admitted(20, 2), admitted(29, 2)]).is_some());
        assert!(excess(window, &[admitted(20, 2), admitted(30, 2)]).is_none());
    }

    #[test]
    fn a_period_ends_at_its_end() {
        let period = Time::Period(LENGTH);
        assert!(excess(period, &[admitted(20, 2), admitted(20, 2)]).is_some());
        assert!(excess(period, &[admitted(20, 2), admitted(30, 2)]).is_none());
    }

    #[test]
    fn a_charge_is_not_recorded_outside_of_its_call() {
        let mut early = admitted(20, 1);
        if let Step::Admit { span, .. } = &mut early.step {
            span.now = 21;
        }
        assert!(excess(Time::Window(LENGTH), &[early]).is_some());
    }
}
