//! A ledger of all charges, computed only from the limiter's answers. It checks the invariants.
//!
//! Each admitted charge is recorded at the time that the answer implies. A give-back is taken from
//! the newest charges of the client, so the ledger never holds more than what is used or still
//! reserved. A window must not count less than that. Where nothing was given back, it must not
//! count more either, apart from the slack of a bucket.
//!
//! A call with a late clock is decided at a time that some other clock has shown. The ledger does
//! not know which one, so the answer must lie between the answers for both.

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
    /// Incremented by every change.
    version: u64,
    /// Until this time a give-back may have left other charges than the ledger assumes.
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
    limiter: HashMap<(usize, u64), Counter>,
    /// The latest readings given to the limiter.
    latest: Now,
    /// How often each limit was set.
    limits: [u64; POLICIES],
    charges: u64,
}

impl Ledger {
    pub fn new(rules: [Rule; POLICIES], start: Now) -> Self {
        let (tallies, limits) = ([Tally::default(); POLICIES], [0; POLICIES]);
        Ledger { rules, tallies, limiter: HashMap::new(), latest: start, limits, charges: 0 }
    }

    /// Records a reading given to the limiter.
    pub fn observe_time(&mut self, now: Now) {
        let Now { monotonic_ns, unix_ns } = self.latest;
        self.latest = Now::new(monotonic_ns.max(now.monotonic_ns), unix_ns.max(now.unix_ns));
    }

    /// Panics unless some clock has shown a later time.
    pub fn assert_past(&self, rule: usize, now: Now) {
        assert!(
            self.rules[rule].time(self.latest) > self.rules[rule].time(now),
            "no clock is ahead"
        );
    }

    fn counter(&mut self, rule: usize, key: u64) -> &mut Counter {
        self.limiter.entry((rule, key)).or_default()
    }

    /// The units that count at `at`; with `slack`, those that may count.
    fn used(&self, rule: usize, key: u64, at: u64, slack: bool) -> u64 {
        let Some(counter) = self.limiter.get(&(rule, key)) else { return 0 };
        let live = counter.charges.iter();
        let live = live.filter(|charge| self.rules[rule].counts(charge.at, at, slack));
        live.map(|charge| charge.cost).sum()
    }

    /// The least and the greatest usage that a clock may observe. The greatest is unknown for a
    /// while after a give-back.
    pub fn bounds(&self, rule: usize, key: u64, now: Now) -> (u64, Option<u64>) {
        let (newest, reordered_until) = self
            .limiter
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
        assert!(enough, "{left} left of {limit}, {most:?} used at the most");
    }

    /// Records an admitted charge, given the status reported after it. Returns its number.
    pub fn admit(&mut self, (rule, key, cost): Item, now: Now, reported: &PolicyStatus) -> u64 {
        let (at, used) = self.recorded(rule, key, now, reported);
        let limit = self.rules[rule].limit;
        assert_eq!(reported.limit, limit);
        assert!(used + cost <= limit, "over: {used} and {cost} of {limit} at {at}");
        self.write((rule, key, cost), now, reported)
    }

    /// The time of the newest charge, and the usage of the other charges at that time.
    fn recorded(&self, rule: usize, key: u64, now: Now, reported: &PolicyStatus) -> (u64, u64) {
        let of = &self.rules[rule];
        let at = of.recorded(now, reported.reset_after_ns);
        assert!(at + of.unit > of.time(now), "recorded before it came");
        assert!(at <= of.time(self.latest), "recorded at a time that no clock has shown");
        // The recorded time is rounded down; the reading is not.
        let at = at.max(of.time(now));
        (at, self.used(rule, key, at, false))
    }

    /// Records a charge regardless of the limit. Returns its number.
    pub fn write(&mut self, (rule, key, cost): Item, now: Now, reported: &PolicyStatus) -> u64 {
        let (at, _) = self.recorded(rule, key, now, reported);
        self.charges += 1;
        let number = self.charges;
        let of = self.rules[rule];
        let counter = self.counter(rule, key);
        counter.newest = counter.newest.max(at);
        counter.version += 1;
        let newest = counter.newest;
        // Keep charges for the slack and for late clocks.
        let old = |at: u64| match of.span {
            Span::Window(window) => at + 4 * window < newest,
            Span::Days(_) => at < newest,
        };
        counter.charges.retain(|charge| !old(charge.at));
        counter.charges.push(Charge { at, cost, number });
        let used = self.used(rule, key, at, false);
        assert!(reported.remaining <= of.limit.saturating_sub(used), "{reported:?}, {used} used");
        self.assert_left((rule, key, cost), now, reported.remaining);
        number
    }

    /// Takes back up to `amount` of these charges, newest first.
    pub fn give_back(&mut self, (rule, key): (usize, u64), numbers: &[u64], amount: u64) {
        let of = self.rules[rule];
        let counter = self.counter(rule, key);
        counter.version += 1;
        counter.reordered_until = counter.reordered_until.max(of.reordered_until(counter.newest));
        let mut rest = amount;
        let ours = counter.charges.iter_mut().rev();
        for charge in ours.filter(|charge| numbers.contains(&charge.number)) {
            let given = rest.min(charge.cost);
            (charge.cost, rest) = (charge.cost - given, rest - given);
        }
    }

    /// Returns whether a charge was recorded in the newest day of its key. An expired charge was
    /// not.
    pub fn is_of_today(&self, rule: usize, key: u64, number: u64) -> bool {
        self.limiter.get(&(rule, key)).is_some_and(|counter| {
            let mut charges = counter.charges.iter();
            charges.any(|charge| charge.number == number && charge.at == counter.newest)
        })
    }

    /// Records a charge that was rolled back.
    pub fn touch(&mut self, rule: usize, key: u64) {
        self.counter(rule, key).version += 1;
    }

    pub fn reset(&mut self, rule: usize, key: u64) {
        let counter = self.counter(rule, key);
        counter.charges.clear();
        counter.version += 1;
    }

    pub fn set_limit(&mut self, rule: usize, limit: u64) {
        self.rules[rule].limit = limit;
        self.limits[rule] += 1;
    }

    /// A sum that changes whenever the state of these items changes.
    pub fn version(&self, items: &[Item]) -> u64 {
        let version = |&(rule, key, _): &Item| {
            let counter = self.limiter.get(&(rule, key));
            counter.map_or(0, |counter| counter.version) + self.limits[rule]
        };
        items.iter().map(version).sum()
    }

    /// All keys ever charged under a policy, in ascending order.
    pub fn keys(&self, rule: usize) -> Vec<u64> {
        let of = self.limiter.keys().filter(|(of, _)| *of == rule);
        let mut keys: Vec<u64> = of.map(|(_, key)| *key).collect();
        keys.sort_unstable();
        keys
    }
}
