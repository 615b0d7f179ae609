//! The expected answers: exactly the oracle's, or between those of two oracles.
//!
//! Both oracles hold the charges that the limiter has made. In the *early* one, charges expire when
//! their window ends: no policy may count less. In the *late* one, charges expire as late as a
//! bucket may keep them: no policy may count more. For an exact policy both are equal.
//!
//! After refunds and forced charges, a key of an exact policy can have more times than its ring has
//! words. The ring then merges two times, and may hold a charge longer until both have expired. How
//! much longer is not promised.

use super::model::{Config, Planted, PolicyConfig};
use super::oracle::{ExpectedStatus, Item, Kind, Oracle, ReservedItem, Rule};
use super::system::cover;
use std::collections::HashMap;

type Counter = (usize, u64);

#[derive(Debug)]
pub struct OraclePair {
    pub early: Oracle,
    late: Oracle,
    policies: Vec<PolicyConfig>,
    /// For each key of an exact policy whose ring may have merged times: the time until which it
    /// may hold charges longer.
    merged_until: HashMap<Counter, u64>,
}

/// The bounds on the status of one item.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    early: ExpectedStatus,
    late: Option<ExpectedStatus>,
}

fn oracle(config: &Config, late: bool) -> Oracle {
    let short = u64::from(config.planted == Some(Planted::Oracle));
    let rule = |policy: &PolicyConfig| {
        let longer = if late { policy.slack() } else { 0 };
        let kind = if policy.is_bucketed() { policy.kind } else { policy.recorded_kind() };
        let kind = match kind {
            Kind::Sliding(window) => Kind::Sliding(window + longer - short),
            fixed => fixed,
        };
        Rule { limit: policy.limit, kind }
    };
    let mut oracle = Oracle::new(config.policies.iter().map(rule).collect());
    oracle.dry_runs = config.policies.iter().map(|policy| policy.dry_run).collect();
    for (params, policy) in oracle.time_params.iter_mut().zip(&config.policies) {
        params.unit = if policy.is_bucketed() { 1 } else { policy.unit };
        params.grace = if late { 0 } else { policy.slack() };
        // Budgets accept any time; windows accept none before the limiter was built.
        params.floor = policy.words().map_or(0, |_| config.start);
    }
    oracle
}

impl OraclePair {
    pub fn new(config: &Config) -> Self {
        let (early, late) = (oracle(config, false), oracle(config, true));
        OraclePair { early, late, policies: config.policies.clone(), merged_until: HashMap::new() }
    }

    /// Returns whether the answer about a key must equal the oracle's.
    pub fn is_exact(&self, now: u64, (rule, key): Counter) -> bool {
        !self.policies[rule].is_bucketed() && !self.is_merged(now, (rule, key))
    }

    fn is_merged(&self, now: u64, (rule, key): Counter) -> bool {
        let until = self.merged_until.get(&(rule, key));
        until.is_some_and(|until| self.early.effective_time(rule, key, now) < *until)
    }

    /// Returns whether any key of the rule was ever merged.
    pub fn was_merged(&self, rule: usize) -> bool {
        self.merged_until.keys().any(|(merged_rule, _)| *merged_rule == rule)
    }

    pub fn all_exact(&self, now: u64, items: &[Item]) -> bool {
        items.iter().all(|item| self.is_exact(now, (item.0, item.1)))
    }

    fn both(
        &self,
        now: u64,
        items: &[Item],
        early: Vec<ExpectedStatus>,
        late: Vec<ExpectedStatus>,
    ) -> Vec<Bounds> {
        let pairs = early.into_iter().zip(late).zip(items);
        let bounds = |((early, late), item): ((ExpectedStatus, ExpectedStatus), &Item)| match () {
            () if self.policies[item.0].is_bucketed() => Bounds { early, late: Some(late) },
            () if self.is_merged(now, (item.0, item.1)) => Bounds { early, late: None },
            () => Bounds { early, late: Some(early) },
        };
        pairs.map(bounds).collect()
    }

    /// The bounds on each item before the request is charged, if a dry run lets the `passed` items pass.
    pub fn before(&self, now: u64, items: &[Item], passed: &[bool]) -> Vec<Bounds> {
        let statuses = |oracle: &Oracle| oracle.statuses_if(now, items, passed);
        self.both(now, items, statuses(&self.early), statuses(&self.late))
    }

    /// The bounds on each item after the request was charged.
    pub fn after(&self, now: u64, items: &[Item]) -> Vec<Bounds> {
        self.both(
            now,
            items,
            self.early.statuses_after(now, items),
            self.late.statuses_after(now, items),
        )
    }

    /// The number of keys that certainly have usage, and the number of keys that may have some.
    pub fn live(&self, rule: usize, now: u64) -> (usize, usize) {
        let live = |oracle: &Oracle| {
            oracle.keys(rule).into_iter().filter(|key| oracle.used(rule, *key, now) > 0).count()
        };
        let late = if self.policies[rule].is_bucketed() { &self.late } else { &self.early };
        (live(&self.early), live(late))
    }

    /// Records a charge at a new time. If every word of the ring may be in use, the limiter may
    /// merge two times.
    fn record_time(&mut self, now: u64, (rule, key): Counter) {
        let policy = &self.policies[rule];
        let Some(words) = policy.words().filter(|_| !policy.is_bucketed()) else {
            return;
        };
        let at = self.early.effective_time(rule, key, now);
        let is_new = at != self.early.newest(rule, key);
        if is_new && self.early.distinct_times(rule, key, now) as u64 >= words {
            cover(|coverage| coverage.merged += 1);
            self.mark_merged((rule, key), at + policy.recorded_kind().length());
        }
    }

    fn mark_merged(&mut self, counter: Counter, until: u64) {
        let merged_until = self.merged_until.entry(counter).or_default();
        *merged_until = until.max(*merged_until);
    }

    /// Records a give-back. While the key may hold charges longer, the give-back may leave any of
    /// them charged.
    fn record_give_back(&mut self, now: u64, (rule, key): Counter) {
        if self.is_merged(now, (rule, key)) {
            let newest = self.early.newest(rule, key);
            self.mark_merged((rule, key), newest + self.policies[rule].recorded_kind().length());
        }
    }

    pub fn charge(&mut self, now: u64, item: &Item) {
        if item.2 > 0 {
            self.record_time(now, (item.0, item.1));
            self.early.charge(now, item);
            self.late.charge(now, item);
        }
    }

    /// Records a charge that was rolled back.
    pub fn touch(&mut self, now: u64, item: &Item) {
        if item.2 > 0 {
            self.record_time(now, (item.0, item.1));
            self.early.touch(now, item);
            self.late.touch(now, item);
        }
    }

    pub fn charge_reserved(&mut self, now: u64, reserved: &mut ReservedItem, cost: u64) {
        if cost > 0 {
            self.record_time(now, (reserved.rule, reserved.key));
            self.late.charge(now, &reserved.item(cost));
            self.early.charge_reserved(now, reserved, cost);
        }
    }

    /// Records a refund of `given` units. Returns what the oracle refunds.
    pub fn refund(&mut self, now: u64, (rule, key): Counter, given: u64) -> u64 {
        self.record_give_back(now, (rule, key));
        self.late.refund(now, rule, key, given);
        self.early.refund(now, rule, key, given)
    }

    /// Gives back charges of a reserved item in the early oracle. Returns the units given back.
    pub fn give_back_early(&mut self, now: u64, reserved: &ReservedItem, amount: u64) -> u64 {
        self.record_give_back(now, (reserved.rule, reserved.key));
        self.early.give_back(now, reserved, amount)
    }

    /// Gives back charges in the late oracle, oldest first. Whichever units the limiter gave back,
    /// no more remains than without the oldest.
    pub fn give_back_late(&mut self, now: u64, (rule, key): Counter, given: u64) {
        self.late.refund(now, rule, key, given);
    }

    pub fn reset(&mut self, rule: usize, key: u64) {
        self.early.reset(rule, key);
        self.late.reset(rule, key);
    }

    /// Returns whether the key has a charge later than its array's cutoff. Such a key is not
    /// dropped.
    pub fn is_ahead(&self, rule: usize, key: u64) -> bool {
        // Windows compare ticks, budgets compare periods.
        let tick = match self.policies[rule].kind {
            Kind::Sliding(_) => self.policies[rule].unit,
            Kind::Fixed(length) => length,
        };
        self.early.newest(rule, key) / tick > self.early.time_params[rule].floor / tick
    }

    /// Drops a key with all its charges.
    pub fn drop_key(&mut self, rule: usize, key: u64) {
        self.early.drop_key(rule, key);
        self.late.drop_key(rule, key);
    }

    pub fn set_limit(&mut self, rule: usize, limit: u64) {
        self.early.set_limit(rule, limit);
        self.late.set_limit(rule, limit);
    }

    pub fn raise_floor(&mut self, rule: usize, at: u64) {
        self.early.raise_floor(rule, at);
        self.late.raise_floor(rule, at);
    }
}

impl Bounds {
    /// Returns whether the request may pass the item.
    pub fn may_pass(&self) -> bool {
        !self.early.violated || self.early.dry_run
    }

    /// The least and the most that may remain.
    pub fn left(&self) -> (u64, u64) {
        (self.late.map_or(0, |late| late.remaining), self.early.remaining)
    }

    /// Panics unless a reported status is within the bounds.
    pub fn assert_contains(&self, reported: &ExpectedStatus) {
        if self.late == Some(self.early) {
            assert_eq!(*reported, self.early, "not the oracle's answer");
        }
        self.assert_usage(reported);
        self.assert_room(reported);
    }

    /// Panics unless the reported usage is within the bounds.
    pub fn assert_usage(&self, reported: &ExpectedStatus) {
        let Bounds { early, late } = self;
        assert_eq!((reported.limit, reported.dry_run), (early.limit, early.dry_run));
        assert!(reported.remaining <= early.remaining, "too much is left: {reported:?}, {self:?}");
        assert!(
            reported.reset_after >= early.reset_after,
            "reset_after is too short: {reported:?}, {self:?}"
        );
        if let Some(late) = late {
            assert!(
                reported.remaining >= late.remaining,
                "too little is left: {reported:?}, {self:?}"
            );
            assert!(
                reported.reset_after <= late.reset_after,
                "reset_after is too long: {reported:?}, {self:?}"
            );
        }
    }

    /// Panics unless the reported violation and its wait are within the bounds.
    pub fn assert_room(&self, reported: &ExpectedStatus) {
        let Bounds { early, late } = self;
        assert!(
            reported.violated || !early.violated,
            "admitted without room: {reported:?}, {self:?}"
        );
        let in_time = reported
            .retry_after
            .zip(early.retry_after)
            .is_none_or(|(reported, early)| reported >= early);
        assert!(in_time, "the wait is too short: {reported:?}, {self:?}");
        let never = reported.violated && reported.retry_after.is_none();
        assert_eq!(never, early.violated && early.retry_after.is_none(), "{reported:?}, {self:?}");
        if let Some(late) = late {
            assert!(
                !reported.violated || late.violated,
                "room was not found: {reported:?}, {self:?}"
            );
            let in_time = reported
                .retry_after
                .zip(late.retry_after)
                .is_none_or(|(reported, late)| reported <= late);
            assert!(in_time, "the wait is too long: {reported:?}, {self:?}");
        }
    }
}
