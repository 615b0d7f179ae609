//! What a limiter would answer if its verbs came one after the other: a textbook sliding log, a
//! calendar budget, and the limit that `set_limit` changes.
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
    /// A refund found no more to give back.
    NothingLeft(Span),
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
        (used + answer.cost <= answer.limit) == room
            && answer.remaining == answer.limit.saturating_sub(used)
            && answer.clear_at == clear_at
            && answer.fits_at == self.fits_at(log, at, answer)
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
                let told = answer.limit.checked_sub(used) == Some(answer.remaining);
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
            Step::NothingLeft(span) => {
                if self.instants(log, *span).iter().any(|at| self.used(log, *at) == 0) {
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

/// The rules of a calendar budget: what is used, and in which period.
pub(super) struct Budget {
    /// Nanoseconds.
    pub(super) period: u64,
}

impl Rules for Budget {
    type Step = Step;
    /// The period and the units used in it.
    type State = (u64, u64);

    fn first(&self) -> (u64, u64) {
        (0, 0)
    }

    fn after(&self, state: &(u64, u64), step: &Step) -> Vec<(u64, u64)> {
        let (period, used) = *state;
        let choices = |span: &Span| {
            let first = (span.now / self.period).max(period);
            let last = span.latest / self.period;
            (first..=last).map(|at| (at, if at == period { used } else { 0 })).collect::<Vec<_>>()
        };
        match step {
            Step::Admit { span, answer, .. } => choices(span)
                .into_iter()
                .map(|(at, used)| (at, used + answer.cost))
                .filter(|(at, used)| {
                    answer.limit.checked_sub(*used) == Some(answer.remaining)
                        && answer.clear_at == (at + 1) * self.period
                })
                .collect(),
            Step::Room { span, answer } | Step::Denied { span, answer } => {
                let room = matches!(step, Step::Room { .. });
                let agrees = |&(at, used): &(u64, u64)| {
                    let end = (at + 1) * self.period;
                    let helps = !room && answer.cost <= answer.limit;
                    (used + answer.cost <= answer.limit) == room
                        && answer.remaining == answer.limit.saturating_sub(used)
                        && answer.clear_at == if used > 0 { end } else { span.now }
                        && answer.fits_at == helps.then_some(end)
                };
                if choices(span).iter().any(agrees) { vec![*state] } else { vec![] }
            }
            Step::Give(span) => {
                let given = choices(span).into_iter().filter(|(at, used)| *at == period && *used > 0);
                given.map(|(at, used)| (at, used - 1)).collect()
            }
            Step::NothingLeft(span) => {
                let empty = choices(span).iter().any(|(_, used)| *used == 0);
                if empty { vec![*state] } else { vec![] }
            }
            Step::Lend { .. } | Step::Undo { .. } | Step::Forget { .. } => {
                unreachable!("budgets are not run in layers, nor reset")
            }
        }
    }
}

/// What happened to a policy's limit.
#[derive(Clone, Debug)]
pub(super) enum Limit {
    Set(u64),
    Applied(u64),
}

/// The rules of a limit that may be changed: each request is held to one that stood during its call.
pub(super) struct Limits {
    pub(super) first: u64,
}

impl Rules for Limits {
    type Step = Limit;
    type State = u64;

    fn first(&self) -> u64 {
        self.first
    }

    fn after(&self, state: &u64, step: &Limit) -> Vec<u64> {
        match step {
            Limit::Set(limit) => vec![*limit],
            Limit::Applied(limit) if limit == state => vec![*state],
            Limit::Applied(_) => vec![],
        }
    }
}
