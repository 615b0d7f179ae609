//! An account of what was charged, kept without looking into the limiter.
//!
//! A charge's recorded time is the clock's reading, or the key's newest charge where that is later.
//! Only when a table was renewed may it be any time up to the latest reading that the limiter was
//! given. So each charge has an earliest and a latest time, a key has spent *at least* what surely
//! counts at every time that a request may be decided at, and *at most* what may count at any.
//!
//! What was given back is taken off where that leaves least for later: off the newest charges. So
//! the account never says more than was spent, and may say less.

use super::config::{Setting, Stretch};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::HashMap;
use std::time::Duration;
use tollgate::{Now, Period};

/// All keys of one policy.
#[derive(Debug)]
pub struct Account {
    measure: Measure,
    keys: HashMap<u32, Log>,
}

/// What one key was charged.
#[derive(Debug, Default)]
struct Log {
    charges: Vec<Charged>,
    /// The earliest time that the newest charge can have.
    newest: u64,
    /// Nothing was given back, forced or undone, so that exact policies owe an exact answer.
    exact: bool,
    /// All that was ever charged, less what a refund said to have given.
    balance: u128,
}

#[derive(Clone, Copy, Debug)]
struct Charged {
    earliest: u64,
    latest: u64,
    cost: u64,
}

/// When something happened, as a policy tells time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    pub earliest: u64,
    pub latest: u64,
}

/// How a policy tells time: in nanoseconds cut to its resolution, or in periods.
#[derive(Clone, Copy, Debug)]
pub enum Measure {
    Window { window_ns: u64, unit_ns: u64 },
    Calendar { period: Period, offset_s: i32 },
}

impl Measure {
    pub fn new(setting: &Setting, resolution: Duration) -> Self {
        match setting.stretch {
            Stretch::Window(window) => Measure::Window {
                window_ns: window.as_nanos() as u64,
                unit_ns: resolution.as_nanos() as u64,
            },
            Stretch::Calendar { period, offset_s } => Measure::Calendar { period, offset_s },
        }
    }

    pub fn at(self, now: Now) -> u64 {
        match self {
            Measure::Window { unit_ns, .. } => now.monotonic_ns / unit_ns * unit_ns,
            Measure::Calendar { period, offset_s } => {
                let local_s = (now.unix_ns / 1_000_000_000).saturating_add_signed(offset_s.into());
                match period {
                    Period::Hour => local_s / 3_600,
                    Period::Day => local_s / 86_400,
                    _ => month(local_s),
                }
            }
        }
    }

    /// Whether what was charged at `then` counts at `now`.
    fn counts(self, then: u64, now: u64) -> bool {
        match self {
            Measure::Window { window_ns, .. } => now.saturating_sub(then) < window_ns,
            Measure::Calendar { .. } => now <= then,
        }
    }

    /// The same, with the window rounded up to the resolution.
    fn may_count(self, then: u64, now: u64) -> bool {
        match self {
            Measure::Window { window_ns, unit_ns } => {
                now.saturating_sub(then) < window_ns.next_multiple_of(unit_ns)
            }
            Measure::Calendar { .. } => now <= then,
        }
    }

    /// Whether it may count in a bucket that lasts longer, by less than two of its units.
    fn may_be_held(self, then: u64, now: u64) -> bool {
        match self {
            Measure::Window { window_ns, unit_ns } => {
                now.saturating_sub(then) < window_ns.saturating_add(2 * unit_ns)
            }
            Measure::Calendar { .. } => now <= then,
        }
    }
}

/// Months since 1970, by a calendar of others.
fn month(local_s: u64) -> u64 {
    let instant = Timestamp::from_second(local_s as i64).expect("a time before the year 9999");
    let date = instant.to_zoned(TimeZone::UTC).date();
    (date.year() as u64 - 1970) * 12 + date.month() as u64 - 1
}

impl Account {
    pub fn new(measure: Measure) -> Self {
        Account { measure, keys: HashMap::new() }
    }

    pub fn measure(&self) -> Measure {
        self.measure
    }

    /// When a request of this key is decided: at `now`, or at its newest charge, or up to `latest`.
    pub fn span(&self, key: u32, now: u64, latest: Option<u64>) -> Span {
        let newest = self.keys.get(&key).map_or(0, |log| log.newest);
        let earliest = now.max(newest);
        Span { earliest, latest: latest.map_or(earliest, |latest| latest.max(earliest)) }
    }

    /// What the key has spent at least, whenever in this span that is asked.
    pub fn at_least(&self, key: u32, span: Span) -> u64 {
        let counts = |charged: &&Charged| self.measure.counts(charged.earliest, span.latest);
        self.sum(key, counts)
    }

    /// What it has spent at the most; `None` where it owes no exact answer.
    pub fn at_most(&self, key: u32, span: Span) -> Option<u64> {
        let counts = |charged: &&Charged| self.measure.may_count(charged.latest, span.earliest);
        let exact = self.keys.get(&key).is_none_or(|log| log.exact);
        exact.then(|| self.sum(key, counts))
    }

    fn sum(&self, key: u32, counts: impl Fn(&&Charged) -> bool) -> u64 {
        let charges = self.keys.get(&key).map_or(&[][..], |log| &log.charges);
        charges.iter().filter(counts).fold(0, |sum, charged| sum.saturating_add(charged.cost))
    }

    fn log(&mut self, key: u32) -> &mut Log {
        self.keys.entry(key).or_insert_with(|| Log { exact: true, ..Log::default() })
    }

    pub fn charge(&mut self, key: u32, cost: u64, span: Span) {
        if cost == 0 {
            return;
        }
        let log = self.log(key);
        log.newest = span.earliest;
        log.balance += u128::from(cost);
        log.charges.push(Charged { earliest: span.earliest, latest: span.latest, cost });
    }

    /// Whether any of what was charged at `then` may still be there to be given back.
    pub fn may_be_held(&self, then: Span, now: Span) -> bool {
        self.measure.may_be_held(then.latest, now.earliest)
    }

    /// Up to so much was given back.
    pub fn give_back(&mut self, key: u32, amount: u64) {
        let log = self.log(key);
        log.exact = false;
        let mut rest = amount;
        for charged in log.charges.iter_mut().rev() {
            let given = rest.min(charged.cost);
            (charged.cost, rest) = (charged.cost - given, rest - given);
        }
    }

    /// A refund says that it gave so much.
    ///
    /// # Panics
    /// If that is more than was ever charged.
    pub fn refund(&mut self, key: u32, given: u64) {
        let balance = &mut self.log(key).balance;
        *balance = balance.checked_sub(given.into()).expect("no more back than was charged");
        self.give_back(key, given);
    }

    /// So much was charged whatever the usage was.
    pub fn force(&mut self, key: u32, cost: u64, span: Span) {
        self.log(key).exact = false;
        self.charge(key, cost, span);
    }

    /// So much may have been charged, or was and is undone as far as it was found.
    pub fn doubt(&mut self, key: u32, cost: u64) {
        let log = self.log(key);
        log.exact = false;
        log.balance += u128::from(cost);
    }

    pub fn reset(&mut self, key: u32) {
        self.log(key).charges.clear();
    }

    /// How many keys were ever spoken of.
    pub fn known(&self) -> usize {
        self.keys.len()
    }

    /// The key is spoken of.
    pub fn know(&mut self, key: u32) {
        self.log(key);
    }
}
