//! The account: it knows what the limiter has answered and nothing else, and holds it to its laws.
//!
//! Every admitted charge is written down with the time at which the answer says it was recorded.
//! What is given back is taken from what the client was charged last, so that the account never
//! holds more than what was truly used and is still reserved: no window may hold less. Where
//! nothing was given back it may not hold more either, but for the slack of a bucket.
//!
//! A thread whose clock is late is answered as of a time that some clock has shown: which one, the
//! account does not know. Then what is told must lie between the answers for both.

use super::make::{POLICIES, Rule, Span};
use std::collections::HashMap;
use tollgate::{Now, PolicyStatus};

/// One line of a request: policy, key and cost.
pub type Line = (usize, u64, u64);

#[derive(Clone, Copy, Debug)]
struct Charge {
    at: u64,
    cost: u64,
    number: u64,
}

/// What one key was charged under one policy.
#[derive(Clone, Debug, Default)]
struct Counter {
    charges: Vec<Charge>,
    newest: u64,
    /// Goes on whenever anything is changed.
    version: u64,
    /// Until when what was given back may have left others than the account thinks.
    unsettled: u64,
}

/// How often what was answered under one policy.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    pub admitted: u64,
    pub denied: u64,
    pub refused: u64,
}

#[derive(Clone, Debug)]
pub struct Account {
    pub rules: [Rule; POLICIES],
    pub tallies: [Tally; POLICIES],
    counters: HashMap<(usize, u64), Counter>,
    /// The latest readings that the limiter was given.
    seen: Now,
    /// How often each limit was set.
    limits: [u64; POLICIES],
    charges: u64,
}

impl Account {
    pub fn new(rules: [Rule; POLICIES], start: Now) -> Self {
        let (tallies, limits) = ([Tally::default(); POLICIES], [0; POLICIES]);
        Account { rules, tallies, counters: HashMap::new(), seen: start, limits, charges: 0 }
    }

    /// The limiter is given this reading.
    pub fn see(&mut self, now: Now) {
        let Now { monotonic_ns, unix_ns } = self.seen;
        self.seen = Now::new(monotonic_ns.max(now.monotonic_ns), unix_ns.max(now.unix_ns));
    }

    /// Panics unless some clock has shown a later time.
    pub fn assert_past(&self, rule: usize, now: Now) {
        assert!(self.rules[rule].time(self.seen) > self.rules[rule].time(now), "no clock is ahead");
    }

    fn counter(&mut self, rule: usize, key: u64) -> &mut Counter {
        self.counters.entry((rule, key)).or_default()
    }

    /// What counts at `at`, or may.
    fn used(&self, rule: usize, key: u64, at: u64, slack: bool) -> u64 {
        let Some(counter) = self.counters.get(&(rule, key)) else { return 0 };
        let live = counter.charges.iter();
        let live = live.filter(|charge| self.rules[rule].counts(charge.at, at, slack));
        live.map(|charge| charge.cost).sum()
    }

    /// The least and the most that may be used by a thread's clock; the most is unknown for a while
    /// after something was given back.
    pub fn bounds(&self, rule: usize, key: u64, now: Now) -> (u64, Option<u64>) {
        let (newest, unsettled) = self
            .counters
            .get(&(rule, key))
            .map_or((0, 0), |counter| (counter.newest, counter.unsettled));
        let early = self.rules[rule].time(now).max(newest);
        let late = self.rules[rule].time(self.seen).max(early);
        let most = (early >= unsettled).then(|| self.used(rule, key, early, true));
        (self.used(rule, key, late, false), most)
    }

    /// Panics unless what is left is within bounds.
    pub fn assert_left(&self, (rule, key, _): Line, now: Now, left: u64) {
        let limit = self.rules[rule].limit;
        let (least, most) = self.bounds(rule, key, now);
        assert!(left <= limit.saturating_sub(least), "{left} left of {limit}, {least} used");
        let enough = most.is_none_or(|most| left >= limit.saturating_sub(most));
        assert!(enough, "{left} left of {limit}, {most:?} used at the most");
    }

    /// Writes an admitted charge down, by what is told after it; returns its number.
    pub fn admit(&mut self, (rule, key, cost): Line, now: Now, told: &PolicyStatus) -> u64 {
        let (at, used) = self.recorded(rule, key, now, told);
        let limit = self.rules[rule].limit;
        assert_eq!(told.limit, limit);
        assert!(used + cost <= limit, "over: {used} and {cost} of {limit} at {at}");
        self.write((rule, key, cost), now, told)
    }

    /// When what was charged last was recorded, and what else counts then.
    fn recorded(&self, rule: usize, key: u64, now: Now, told: &PolicyStatus) -> (u64, u64) {
        let of = &self.rules[rule];
        let at = of.recorded(now, told.reset_after_ns);
        assert!(at + of.unit > of.time(now), "recorded before it came");
        assert!(at <= of.time(self.seen), "recorded at a time that no clock has shown");
        // A reading is not earlier than its cut.
        let at = at.max(of.time(now));
        (at, self.used(rule, key, at, false))
    }

    /// Writes a charge down, whatever the limit is.
    pub fn write(&mut self, (rule, key, cost): Line, now: Now, told: &PolicyStatus) -> u64 {
        let (at, _) = self.recorded(rule, key, now, told);
        self.charges += 1;
        let number = self.charges;
        let of = self.rules[rule];
        let counter = self.counter(rule, key);
        counter.newest = counter.newest.max(at);
        counter.version += 1;
        let newest = counter.newest;
        // With the slack, and some more for clocks that are late.
        let old = |at: u64| match of.span {
            Span::Window(window) => at + 4 * window < newest,
            Span::Days(_) => at < newest,
        };
        counter.charges.retain(|charge| !old(charge.at));
        counter.charges.push(Charge { at, cost, number });
        let used = self.used(rule, key, at, false);
        assert!(told.remaining <= of.limit.saturating_sub(used), "{told:?}, {used} used");
        self.assert_left((rule, key, cost), now, told.remaining);
        number
    }

    /// Takes back of these charges, from the newest on.
    pub fn take_back(&mut self, (rule, key): (usize, u64), numbers: &[u64], amount: u64) {
        let of = self.rules[rule];
        let counter = self.counter(rule, key);
        counter.version += 1;
        counter.unsettled = counter.unsettled.max(of.settled(counter.newest));
        let mut rest = amount;
        let ours = counter.charges.iter_mut().rev();
        for charge in ours.filter(|charge| numbers.contains(&charge.number)) {
            let given = rest.min(charge.cost);
            (charge.cost, rest) = (charge.cost - given, rest - given);
        }
    }

    /// Whether a charge was recorded in the newest day that its key was charged in. One that has
    /// passed is nowhere.
    pub fn is_of_today(&self, rule: usize, key: u64, number: u64) -> bool {
        self.counters.get(&(rule, key)).is_some_and(|counter| {
            let mut charges = counter.charges.iter();
            charges.any(|charge| charge.number == number && charge.at == counter.newest)
        })
    }

    /// A charge was made and undone.
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

    /// Changes whenever anything that a request depends on does.
    pub fn version(&self, lines: &[Line]) -> u64 {
        let version = |&(rule, key, _): &Line| {
            let counter = self.counters.get(&(rule, key));
            counter.map_or(0, |counter| counter.version) + self.limits[rule]
        };
        lines.iter().map(version).sum()
    }

    /// All keys that were ever charged under a policy, in order.
    pub fn keys(&self, rule: usize) -> Vec<u64> {
        let of = self.counters.keys().filter(|(of, _)| *of == rule);
        let mut keys: Vec<u64> = of.map(|(_, key)| *key).collect();
        keys.sort_unstable();
        keys
    }
}
