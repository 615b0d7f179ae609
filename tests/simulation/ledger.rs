//! A ledger of all charges, computed only from the limiter's answers, which checks the invariants.
//!
//! Each admitted charge is recorded at the time that the answer implies. A refund is taken from the
//! newest charges of the request, so the ledger never holds more than what is used or still
//! reserved. The limiter must not count less than the ledger. If nothing was refunded, it must not
//! count more either, apart from the slack of a bucket.
//!
//! If the clock of a call is behind the others, the call may be decided at a later time that another
//! clock has shown. The ledger does not know that time. It therefore computes bounds: the usage at
//! the earliest and at the latest possible time.

use super::setup::{POLICIES, Rule, Span};
use std::collections::HashMap;
use tollgate::{Now, PolicyStatus};

/// One item of a request: policy, key and cost.
pub type Item = (usize, u64, u64);

#[derive(Clone, Copy, Debug)]
struct Charge {
    at: u64,
    cost: u64,
    number: u64,
}

/// The charges of one key under one policy.
#[derive(Clone, Debug, Default)]
struct Counter {
    charges: Vec<Charge>,
    newest: u64,
    /// The time of a charge at the time of the newest reset. It may be a tick later than all clocks.
    after_reset: u64,
    /// Incremented by every change.
    version: u64,
    /// Until this time, the limiter may have refunded other charges than the ledger assumes.
    reordered_until: u64,
}

/// The number of answers of each kind under one policy.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    pub admitted: u64,
    pub denied: u64,
    pub refused: u64,
}

#[derive(Clone, Debug)]
pub struct Ledger {
    pub rules: [Rule; POLICIES],
    pub tallies: [Tally; POLICIES],
    counters: HashMap<(usize, u64), Counter>,
    /// The latest clock readings passed to the limiter.
    latest: Now,
    /// The number of changes of each limit.
    limit_changes: [u64; POLICIES],
    /// The number of the newest charge.
    last_number: u64,
}

impl Ledger {
    pub fn new(rules: [Rule; POLICIES], start: Now) -> Self {
        Ledger {
            rules,
            tallies: [Tally::default(); POLICIES],
            counters: HashMap::new(),
            latest: start,
            limit_changes: [0; POLICIES],
            last_number: 0,
        }
    }

    /// Records a clock reading passed to the limiter.
    pub fn observe_time(&mut self, now: Now) {
        let Now { monotonic_ns, unix_ns } = self.latest;
        self.latest = Now::new(monotonic_ns.max(now.monotonic_ns), unix_ns.max(now.unix_ns));
    }

    /// Panics unless another clock has shown a later time.
    pub fn assert_other_clock_is_ahead(&self, rule: usize, now: Now) {
        assert!(
            self.rules[rule].time(self.latest) > self.rules[rule].time(now),
            "no other clock is ahead"
        );
    }

    fn counter(&mut self, rule: usize, key: u64) -> &mut Counter {
        self.counters.entry((rule, key)).or_default()
    }

    /// Returns the units that count at `at`; with `slack`, the units that may count.
    fn used(&self, rule: usize, key: u64, at: u64, slack: bool) -> u64 {
        let Some(counter) = self.counters.get(&(rule, key)) else { return 0 };
        let live = counter.charges.iter();
        let live = live.filter(|charge| self.rules[rule].counts(charge.at, at, slack));
        live.map(|charge| charge.cost).sum()
    }

    /// Returns the least and the greatest usage that a call at `now` may observe. The greatest is
    /// unknown for a while after a refund.
    pub fn bounds(&self, rule: usize, key: u64, now: Now) -> (u64, Option<u64>) {
        let (newest, reordered_until) = self
            .counters
            .get(&(rule, key))
            .map_or((0, 0), |counter| (counter.newest, counter.reordered_until));
        let early = self.rules[rule].time(now).max(newest);
        let late = self.rules[rule].time(self.latest).max(early);
        let most = (early >= reordered_until).then(|| self.used(rule, key, early, true));
        (self.used(rule, key, late, false), most)
    }

    /// Panics unless `left` is within the bounds.
    pub fn assert_left(&self, (rule, key, _): Item, now: Now, left: u64) {
        let limit = self.rules[rule].limit;
        let (least, most) = self.bounds(rule, key, now);
        assert!(left <= limit.saturating_sub(least), "{left} left of {limit}, {least} used");
        let enough = most.is_none_or(|most| left >= limit.saturating_sub(most));
        assert!(enough, "{left} left of {limit}, at most {most:?} used");
    }

    /// Records an admitted charge, given the status reported after it. Returns its number.
    pub fn admit(&mut self, (rule, key, cost): Item, now: Now, reported: &PolicyStatus) -> u64 {
        let (at, used) = self.time_and_usage(rule, key, now, reported);
        let limit = self.rules[rule].limit;
        assert_eq!(reported.limit, limit);
        assert!(used + cost <= limit, "over: {used} and {cost} of {limit} at {at}");
        self.record((rule, key, cost), now, reported)
    }

    /// Returns the time of a charge that the limiter just made, and the usage of the other charges at
    /// that time.
    fn time_and_usage(
        &self,
        rule: usize,
        key: u64,
        now: Now,
        reported: &PolicyStatus,
    ) -> (u64, u64) {
        let policy = &self.rules[rule];
        let at = policy.recorded(now, reported.reset_after_ns);
        assert!(at + policy.unit > policy.time(now), "recorded before the time of the call");
        let after_reset = self.counters.get(&(rule, key)).map_or(0, |counter| counter.after_reset);
        let latest = policy.time(self.latest).max(after_reset);
        assert!(at <= latest, "recorded at a time that no clock has shown");
        // The recorded time is rounded down; the reading is not.
        let at = at.max(policy.time(now));
        (at, self.used(rule, key, at, false))
    }

    /// Records a charge regardless of the limit. Returns its number.
    pub fn record(&mut self, (rule, key, cost): Item, now: Now, reported: &PolicyStatus) -> u64 {
        let (at, _) = self.time_and_usage(rule, key, now, reported);
        self.last_number += 1;
        let number = self.last_number;
        let policy = self.rules[rule];
        let counter = self.counter(rule, key);
        counter.newest = counter.newest.max(at);
        counter.version += 1;
        let newest = counter.newest;
        // Keep expired charges that slack or a clock that is behind may still count.
        let old = |at: u64| match policy.span {
            Span::Window(window) => at + 4 * window < newest,
            Span::Days(_) => at < newest,
        };
        counter.charges.retain(|charge| !old(charge.at));
        counter.charges.push(Charge { at, cost, number });
        let used = self.used(rule, key, at, false);
        assert!(
            reported.remaining <= policy.limit.saturating_sub(used),
            "{reported:?}, {used} used"
        );
        self.assert_left((rule, key, cost), now, reported.remaining);
        number
    }

    /// Refunds up to `amount` of these charges, newest first.
    pub fn give_back(&mut self, (rule, key): (usize, u64), numbers: &[u64], amount: u64) {
        let policy = self.rules[rule];
        let counter = self.counter(rule, key);
        counter.version += 1;
        counter.reordered_until =
            counter.reordered_until.max(policy.reordered_until(counter.newest));
        let mut rest = amount;
        let newest_first = counter.charges.iter_mut().rev();
        for charge in newest_first.filter(|charge| numbers.contains(&charge.number)) {
            let given = rest.min(charge.cost);
            (charge.cost, rest) = (charge.cost - given, rest - given);
        }
    }

    /// Returns whether a charge was recorded in the newest day of its key. False for an expired
    /// charge.
    pub fn is_in_newest_day(&self, rule: usize, key: u64, number: u64) -> bool {
        self.counters.get(&(rule, key)).is_some_and(|counter| {
            let mut charges = counter.charges.iter();
            charges.any(|charge| charge.number == number && charge.at == counter.newest)
        })
    }

    /// Records that a charge was made and rolled back.
    pub fn record_rollback(&mut self, rule: usize, key: u64) {
        self.counter(rule, key).version += 1;
    }

    pub fn reset(&mut self, rule: usize, key: u64) {
        let policy = self.rules[rule];
        let counter = self.counter(rule, key);
        if let Span::Window(_) = policy.span {
            counter.after_reset = counter.after_reset.max(counter.newest) + policy.unit;
        }
        counter.charges.clear();
        counter.version += 1;
    }

    pub fn set_limit(&mut self, rule: usize, limit: u64) {
        self.rules[rule].limit = limit;
        self.limit_changes[rule] += 1;
    }

    /// Returns a number that changes whenever the state of these items changes.
    pub fn version(&self, items: &[Item]) -> u64 {
        let version = |&(rule, key, _): &Item| {
            let counter = self.counters.get(&(rule, key));
            counter.map_or(0, |counter| counter.version) + self.limit_changes[rule]
        };
        items.iter().map(version).sum()
    }

    /// Returns all keys ever charged under a policy, in ascending order.
    pub fn keys(&self, rule: usize) -> Vec<u64> {
        let counters = self.counters.keys().filter(|(charged, _)| *charged == rule);
        let mut keys: Vec<u64> = counters.map(|(_, key)| *key).collect();
        keys.sort_unstable();
        keys
    }
}
