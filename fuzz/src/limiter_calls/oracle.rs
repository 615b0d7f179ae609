//! The oracle: bounds on the usage of every key, computed without access to the limiter's state.
//!
//! The limiter records a charge at the clock's reading, or at the key's newest charge if that is
//! later. If the table has replaced its array, the recorded time may be any time from that time up to the
//! latest reading of a call. The oracle therefore keeps an earliest and a latest time for each charge. Two
//! bounds follow:
//!
//! - The minimum usage sums the charges that count at all possible times of charge and decision.
//! - The maximum usage sums the charges that count at some possible times of charge and decision.
//!
//! The oracle subtracts refunds from the newest charges, which count longest. The minimum usage is
//! therefore never too high, but it may be too low.

use super::config::{Interval, Setting};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::HashMap;
use std::time::Duration;
use tollgate::{Now, Period};

/// The usage bounds of all keys of one policy.
#[derive(Debug)]
pub struct PolicyOracle {
    time: PolicyTime,
    keys: HashMap<u32, KeyLog>,
}

/// The charges of one key.
#[derive(Debug, Default)]
struct KeyLog {
    charges: Vec<LoggedCharge>,
    /// The earliest possible time of the newest charge.
    newest: u64,
    /// Whether an exact policy must decide exactly: nothing was given back, forced or rolled back.
    exact: bool,
    /// The sum of all charges minus the amounts that refunds returned.
    balance: u128,
}

#[derive(Clone, Copy, Debug)]
struct LoggedCharge {
    earliest: u64,
    latest: u64,
    cost: u64,
}

/// The earliest and the latest possible time of an event, in the time of a policy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    pub earliest: u64,
    pub latest: u64,
}

/// The time of a policy: nanoseconds rounded down to its resolution, or calendar periods.
#[derive(Clone, Copy, Debug)]
pub enum PolicyTime {
    /// `window_ns` is the window of recorded times: the policy's window rounded up to whole units, plus one
    /// unit if a unit is longer than 1 ns.
    Window {
        window_ns: u64,
        unit_ns: u64,
    },
    Calendar {
        period: Period,
        offset_s: i32,
    },
}

impl PolicyTime {
    pub fn new(setting: &Setting, resolution: Duration) -> Self {
        match setting.interval {
            Interval::Window(window) => {
                let [window_ns, unit_ns] = [window, resolution].map(|time| time.as_nanos() as u64);
                let more = if unit_ns > 1 { unit_ns } else { 0 };
                let window_ns = window_ns.next_multiple_of(unit_ns) + more;
                PolicyTime::Window { window_ns, unit_ns }
            }
            Interval::Calendar { period, offset_s } => PolicyTime::Calendar { period, offset_s },
        }
    }

    pub fn at(self, now: Now) -> u64 {
        match self {
            PolicyTime::Window { unit_ns, .. } => now.monotonic_ns / unit_ns * unit_ns,
            PolicyTime::Calendar { period, offset_s } => {
                let local_s = (now.unix_ns / 1_000_000_000).saturating_add_signed(offset_s.into());
                match period {
                    Period::Hour => local_s / 3_600,
                    Period::Day => local_s / 86_400,
                    _ => month(local_s),
                }
            }
        }
    }

    /// Returns whether a charge at `then` counts at `now`.
    fn counts(self, then: u64, now: u64) -> bool {
        match self {
            PolicyTime::Window { window_ns, .. } => now.saturating_sub(then) < window_ns,
            PolicyTime::Calendar { .. } => now <= then,
        }
    }
}

/// The number of months since 1970, from an independent calendar.
fn month(local_s: u64) -> u64 {
    let instant = Timestamp::from_second(local_s as i64).expect("a time before the year 9999");
    let date = instant.to_zoned(TimeZone::UTC).date();
    (date.year() as u64 - 1970) * 12 + date.month() as u64 - 1
}

impl PolicyOracle {
    pub fn new(time: PolicyTime) -> Self {
        PolicyOracle { time, keys: HashMap::new() }
    }

    pub fn time(&self) -> PolicyTime {
        self.time
    }

    /// The possible times of a decision on this key: from `now`, or from the key's newest charge if that is
    /// later, up to `latest`.
    pub fn span(&self, key: u32, now: u64, latest: Option<u64>) -> Span {
        let newest = self.keys.get(&key).map_or(0, |log| log.newest);
        let earliest = now.max(newest);
        Span { earliest, latest: latest.map_or(earliest, |latest| latest.max(earliest)) }
    }

    /// The minimum usage of the key at every time in the span.
    pub fn min_usage(&self, key: u32, span: Span) -> u64 {
        let counts = |charge: &&LoggedCharge| self.time.counts(charge.earliest, span.latest);
        self.sum(key, counts)
    }

    /// The maximum usage of the key; `None` if its decisions need not be exact.
    pub fn max_usage(&self, key: u32, span: Span) -> Option<u64> {
        let counts = |charge: &&LoggedCharge| self.time.counts(charge.latest, span.earliest);
        let exact = self.keys.get(&key).is_none_or(|log| log.exact);
        exact.then(|| self.sum(key, counts))
    }

    fn sum(&self, key: u32, counts: impl Fn(&&LoggedCharge) -> bool) -> u64 {
        let charges = self.keys.get(&key).map_or(&[][..], |log| &log.charges);
        charges.iter().filter(counts).fold(0, |sum, charge| sum.saturating_add(charge.cost))
    }

    fn log(&mut self, key: u32) -> &mut KeyLog {
        self.keys.entry(key).or_insert_with(|| KeyLog { exact: true, ..KeyLog::default() })
    }

    pub fn charge(&mut self, key: u32, cost: u64, span: Span) {
        if cost == 0 {
            return;
        }
        let log = self.log(key);
        log.newest = span.earliest;
        log.balance += u128::from(cost);
        log.charges.push(LoggedCharge { earliest: span.earliest, latest: span.latest, cost });
    }

    /// Returns whether a part of a charge at `then` may still be held, so that it can be given back.
    pub fn may_be_held(&self, then: Span, now: Span) -> bool {
        self.time.counts(then.latest, now.earliest)
    }

    /// Records that up to `amount` was given back.
    pub fn give_back(&mut self, key: u32, amount: u64) {
        let log = self.log(key);
        log.exact = false;
        let mut rest = amount;
        for charge in log.charges.iter_mut().rev() {
            let given = rest.min(charge.cost);
            (charge.cost, rest) = (charge.cost - given, rest - given);
        }
    }

    /// Records a refund that returned `amount`.
    ///
    /// # Panics
    /// If refunds exceed all charges.
    pub fn refund(&mut self, key: u32, amount: u64) {
        let balance = &mut self.log(key).balance;
        *balance = balance.checked_sub(amount.into()).expect("refunds within the charges");
        self.give_back(key, amount);
    }

    /// Records a charge that was made regardless of the limit.
    pub fn force_charge(&mut self, key: u32, cost: u64, span: Span) {
        self.log(key).exact = false;
        self.charge(key, cost, span);
    }

    /// Records a charge that may be missing, or that may be only partly rolled back.
    pub fn charge_uncertain(&mut self, key: u32, cost: u64) {
        let log = self.log(key);
        log.exact = false;
        log.balance += u128::from(cost);
    }

    pub fn reset(&mut self, key: u32) {
        self.log(key).charges.clear();
    }

    /// The number of keys ever used.
    pub fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Records that a call used the key.
    pub fn add_key(&mut self, key: u32) {
        self.log(key);
    }
}
