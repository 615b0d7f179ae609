//! What a sliding window would answer if its verbs came one after the other: a textbook log.
//!
//! Which reading of the clock a call is decided at is left open, as the contract leaves it open:
//! any from the call's own `now` to the latest that any thread had taken when the call returned,
//! but none before the key's newest charge. The search tries them.

use super::linear::Rules;

/// An answer about one key, on the clock: all times are absolute, in nanoseconds.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) cost: u64,
    pub(super) limit: u64,
    pub(super) remaining: u64,
    /// From when on the charge would have room, for a denial that a wait would help.
    pub(super) fits_at: Option<u64>,
    /// From when on nothing is used; the call's own `now` if nothing is.
    pub(super) clear_at: u64,
    /// How many units were given back during the call, one by one. An answer may count them still,
    /// and one that was read word by word may count a later one and not an earlier one.
    pub(super) given: usize,
}

/// The instants that a call may have been decided at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) now: u64,
    /// The latest reading that any thread had taken when the call returned.
    pub(super) latest: u64,
}

/// One thing that happened to one key, at once.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// The charge of this number was admitted.
    Admit { charge: usize, span: Span, answer: Answer },
    /// Room was found, but nothing was charged.
    Room { span: Span, answer: Answer },
    /// There was no room.
    Denied { span: Span, answer: Answer },
    /// One unit was given back.
    Give(Span),
    /// A refund found no more to give back: nothing but charges that were made since its call, when
    /// `known` charges had been completed.
    NothingLeft { span: Span, known: usize },
    /// A denied request of several layers may have charged this one for an instant.
    Lend { charge: usize, span: Span, cost: u64, limit: u64 },
    /// And then has undone that.
    Undo { charge: usize },
    /// The charge of this number was forgotten, if it was there.
    Forget { charge: usize },
}

/// A log of the charges that count, oldest first, as (time, units, charge); and the time of the
/// newest charge ever.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Log {
    entries: Vec<(u64, u64, usize)>,
    newest: u64,
}

/// The rules of a sliding window.
pub(super) struct Window {
    pub(super) length: u64,
    /// What the clock has shown.
    pub(super) readings: Vec<u64>,
}

impl Window {
    /// The instants in `span` at which the answer could differ. An opener that finds a sealed
    /// bucket goes one unit beyond it, and one that finds a live word waits until that expires.
    fn instants(&self, log: &Log, span: Span) -> Vec<u64> {
        let expiries = log.entries.iter().map(|(at, ..)| at + self.length);
        let readings = self.readings.iter().copied();
        let mut instants: Vec<_> = [span.now.max(log.newest), log.newest + 1]
            .into_iter()
            .chain(expiries)
            .chain(readings)
            .filter(|at| (span.now.max(log.newest)..=span.latest).contains(at))
            .collect();
        instants.sort_unstable();
        instants.dedup();
        instants
    }

    fn live<'l>(&self, log: &'l Log, at: u64) -> impl Iterator<Item = &'l (u64, u64, usize)> {
        let length = self.length;
        log.entries.iter().filter(move |(time, ..)| at - time < length)
    }

    fn used(&self, log: &Log, at: u64) -> u64 {
        self.live(log, at).map(|(_, units, _)| units).sum()
    }

    /// Whether the log would say the same at `at`, before the charge.
    fn agrees(&self, log: &Log, at: u64, now: u64, answer: &Answer, room: bool) -> bool {
        let used = self.used(log, at);
        let clear_at = self.live(log, at).last().map_or(now, |(time, ..)| time + self.length);
        let told = answer.remaining == answer.limit.saturating_sub(used)
            && answer.clear_at == clear_at
            && answer.fits_at == self.fits_at(log, at, answer);
        (used + answer.cost <= answer.limit) == room && (told || answer.given > 1)
    }

    fn fits_at(&self, log: &Log, at: u64, answer: &Answer) -> Option<u64> {
        let mut used = self.used(log, at);
        if answer.cost > answer.limit || used + answer.cost <= answer.limit {
            return None;
        }
        for (time, units, _) in self.live(log, at) {
            used -= units;
            if used + answer.cost <= answer.limit {
                return Some(time + self.length);
            }
        }
        None
    }

    fn charged(&self, log: &Log, at: u64, units: u64, charge: usize) -> Log {
        let mut log = log.clone();
        log.entries.push((at, units, charge));
        log.newest = at;
        // No instant before the newest charge counts any more.
        log.entries.retain(|(time, ..)| at - time < self.length);
        log
    }

    fn without(log: &Log, charge: usize) -> Log {
        let mut log = log.clone();
        log.entries.retain(|(.., other)| *other != charge);
        log
    }
}

impl Rules for Window {
    type Step = Step;
    type State = Log;

    fn first(&self) -> Log {
        Log::default()
    }

    fn after(&self, log: &Log, step: &Step) -> Vec<Log> {
        let mut after = Vec::new();
        match step {
            Step::Admit { charge, span, answer } => {
                // The newest charge is this one, so the answer tells when it was recorded.
                let at = answer.clear_at - self.length;
                let used = self.used(log, at.max(log.newest)) + answer.cost;
                let left = answer.limit.checked_sub(used);
                let told = left == Some(answer.remaining)
                    || answer.given > 0 && left > Some(answer.remaining);
                if at >= span.now.max(log.newest) && at <= span.latest && told {
                    after.push(self.charged(log, at, answer.cost, *charge));
                }
            }
            Step::Room { span, answer } | Step::Denied { span, answer } => {
                let room = matches!(step, Step::Room { .. });
                let instants = self.instants(log, *span);
                if instants.iter().any(|at| self.agrees(log, *at, span.now, answer, room)) {
                    after.push(log.clone());
                }
            }
            Step::Give(span) => {
                for at in self.instants(log, *span) {
                    let oldest = log.entries.iter().position(|(time, ..)| at - time < self.length);
                    let Some(oldest) = oldest else { continue };
                    let mut log = log.clone();
                    log.entries[oldest].1 -= 1;
                    log.entries.retain(|(_, units, _)| *units > 0);
                    if !after.contains(&log) {
                        after.push(log);
                    }
                }
            }
            Step::NothingLeft { span, known } => {
                let is_known = |at| self.live(log, at).any(|(.., charge)| charge <= known);
                if self.instants(log, *span).into_iter().any(|at| !is_known(at)) {
                    after.push(log.clone());
                }
            }
            Step::Lend { charge, span, cost, limit } => {
                after.push(log.clone());
                let instants = self.instants(log, *span).into_iter();
                let with_room = instants.filter(|at| self.used(log, *at) + cost <= *limit);
                after.extend(with_room.map(|at| self.charged(log, at, *cost, *charge)));
            }
            Step::Undo { charge } | Step::Forget { charge } => {
                after.push(Window::without(log, *charge));
            }
        }
        after
    }
}

#[cfg(test)]
mod tests {
    use super::super::linear::{Event, explain};
    use super::*;

    const LENGTH: u64 = 10;

    fn event(called: u64, returned: u64, step: Step) -> Event<Step> {
        Event { step, called, returned, behind: None }
    }

    /// Of three units; nothing was read from the clock after `now`.
    fn answer(remaining: u64, fits_at: Option<u64>, clear_at: u64) -> Answer {
        Answer { cost: 1, limit: 3, remaining, fits_at, clear_at, given: 0 }
    }

    fn admit(charge: usize, at: u64, remaining: u64) -> Step {
        let span = Span { now: at, latest: at };
        Step::Admit { charge, span, answer: answer(remaining, None, at + LENGTH) }
    }

    fn room(now: u64, latest: u64, remaining: u64, clear_at: u64) -> Step {
        Step::Room { span: Span { now, latest }, answer: answer(remaining, None, clear_at) }
    }

    fn denied(now: u64, latest: u64, fits_at: u64, clear_at: u64) -> Step {
        Step::Denied { span: Span { now, latest }, answer: answer(0, Some(fits_at), clear_at) }
    }

    /// How many of the steps, one after the other, can be explained.
    fn explained(steps: Vec<Step>) -> usize {
        let number = steps.len();
        let at = |(place, step)| event(2 * place as u64, 2 * place as u64 + 1, step);
        let events: Vec<_> = steps.into_iter().enumerate().map(at).collect();
        let rules = Window { length: LENGTH, readings: vec![] };
        explain(&rules, &events).map_or_else(|placed| placed, |()| number)
    }

    fn full() -> Vec<Step> {
        vec![admit(1, 20, 2), admit(2, 21, 1), admit(3, 22, 0)]
    }

    fn full_and(step: Step) -> usize {
        explained([full(), vec![step]].concat())
    }

    #[test]
    fn a_log_is_explained() {
        assert_eq!(full_and(denied(29, 29, 30, 32)), 4);
        assert_eq!(full_and(admit(4, 30, 0)), 4);
        assert_eq!(full_and(room(31, 31, 2, 32)), 4);
        assert_eq!(full_and(room(32, 32, 3, 32)), 4);
    }

    #[test]
    fn one_too_many_is_not() {
        assert_eq!(full_and(admit(4, 29, 0)), 3);
    }

    #[test]
    fn a_needless_denial_is_not() {
        assert_eq!(full_and(denied(30, 30, 31, 32)), 3);
        assert_eq!(explained(vec![admit(1, 20, 2), denied(21, 21, 30, 30)]), 1);
    }

    #[test]
    fn wrong_waits_are_not() {
        assert_eq!(full_and(denied(29, 29, 31, 32)), 3);
        assert_eq!(full_and(denied(29, 29, 30, 31)), 3);
    }

    #[test]
    fn a_forgotten_charge_is_not() {
        assert_eq!(explained(vec![admit(1, 20, 2), room(21, 21, 3, 21)]), 1);
        assert_eq!(explained(vec![admit(1, 20, 2), admit(2, 21, 2)]), 1);
    }

    #[test]
    fn time_does_not_go_back() {
        assert_eq!(explained(vec![admit(1, 21, 2), admit(2, 20, 1)]), 1);
        // A late look is answered as of the newest charge.
        assert_eq!(explained(vec![admit(1, 21, 2), room(5, 21, 2, 31)]), 2);
    }

    #[test]
    fn another_thread_s_clock_may_count_if_it_was_read_in_time() {
        assert_eq!(full_and(room(29, 30, 1, 32)), 4);
        assert_eq!(full_and(room(29, 29, 1, 32)), 3);
    }

    #[test]
    fn refunds_take_the_oldest() {
        let give = || Step::Give(Span { now: 22, latest: 22 });
        assert_eq!(full_and(give()), 4);
        let after = |step| explained([full(), vec![give(), step]].concat());
        assert_eq!(after(room(22, 22, 1, 32)), 5);
        assert_eq!(after(room(22, 22, 1, 31)), 4);
        let span = Span { now: 22, latest: 22 };
        assert_eq!(full_and(Step::NothingLeft { span, known: 3 }), 3);
        assert_eq!(full_and(Step::NothingLeft { span, known: 0 }), 4);
    }

    #[test]
    fn a_loan_explains_a_denial_only_until_it_is_undone() {
        let span = Span { now: 22, latest: 22 };
        let lend = Step::Lend { charge: 3, span, cost: 1, limit: 3 };
        let two = vec![admit(1, 20, 2), admit(2, 21, 1)];
        let undo = Step::Undo { charge: 3 };
        let denial = denied(22, 22, 30, 32);
        let held = [two.clone(), vec![lend.clone(), denial.clone(), undo.clone()]].concat();
        assert_eq!(explained(held), 5);
        let undone = [two.clone(), vec![lend, undo, denial.clone()]].concat();
        assert_eq!(explained(undone), 4);
        assert_eq!(explained([two, vec![denial]].concat()), 2);
    }
}
