//! Decisions of requests over several rules, computed from a log of each key's charges.

use super::charge_log::{ChargeLog, Kind};
use std::cmp::Ordering;
use std::collections::HashMap;

/// One policy of the oracle.
#[derive(Clone, Debug)]
pub struct Rule {
    pub limit: u64,
    pub kind: Kind,
}

/// One charge of a request: rule, key, cost, and a limit that replaces the rule's.
pub type Item = (usize, u64, u64, Option<u64>);

/// A decision of the oracle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// Rule with the least share of its limit left, its limit, units remaining, nanoseconds until
    /// nothing is used.
    Allowed(usize, u64, u64, u64),
    /// First rule without room, its limit, units remaining, nanoseconds until the request fits.
    Denied(usize, u64, u64, u64),
    /// First rule without room, where some cost is above its limit.
    Impossible(usize),
}

/// The expected `PolicyStatus` of one item of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpectedStatus {
    pub limit: u64,
    pub remaining: u64,
    /// Whether the item has no room.
    pub violated: bool,
    /// Nanoseconds until it has room, unless its cost is above the limit.
    pub retry_after: Option<u64>,
    /// Nanoseconds until nothing is used.
    pub reset_after: u64,
    /// Whether the rule is a dry run, which refuses nothing.
    pub dry_run: bool,
}

impl ExpectedStatus {
    /// Returns whether a dry run lets the item pass uncharged.
    pub fn is_passed(&self) -> bool {
        self.violated && self.dry_run
    }

    /// The status after the request, given the one before it: an item that was let pass keeps its wait.
    pub fn after(self, before: &ExpectedStatus) -> ExpectedStatus {
        match before.is_passed() {
            true => ExpectedStatus { violated: true, retry_after: before.retry_after, ..self },
            false => self,
        }
    }
}

/// How a rule reads time.
#[derive(Clone, Copy, Debug)]
pub struct TimeParams {
    /// Readings are rounded down to a multiple of this.
    pub unit: u64,
    /// An earlier reading counts as this time.
    pub floor: u64,
    /// How long after its expiry a charge may still be refunded.
    pub grace: u64,
}

/// The reference implementation: all charges of every rule and key.
#[derive(Clone, Debug)]
pub struct Oracle {
    pub rules: Vec<Rule>,
    pub time_params: Vec<TimeParams>,
    /// Whether each rule is a dry run.
    pub dry_runs: Vec<bool>,
    logs: HashMap<(usize, u64), ChargeLog>,
    /// How often each key was dropped.
    drop_counts: HashMap<(usize, u64), u32>,
}

impl Oracle {
    pub fn new(rules: Vec<Rule>) -> Self {
        let time_params = vec![TimeParams { unit: 1, floor: 0, grace: 0 }; rules.len()];
        let dry_runs = vec![false; rules.len()];
        Oracle { rules, time_params, dry_runs, logs: HashMap::new(), drop_counts: HashMap::new() }
    }

    pub(super) fn kind(&self, rule: usize) -> Kind {
        self.rules[rule].kind
    }

    fn log(&self, rule: usize, key: u64) -> Option<&ChargeLog> {
        self.logs.get(&(rule, key))
    }

    fn log_mut(&mut self, rule: usize, key: u64) -> &mut ChargeLog {
        self.logs.entry((rule, key)).or_default()
    }

    /// The time of a charge made at `now`: never before the newest charge of its key.
    pub fn effective_time(&self, rule: usize, key: u64, now: u64) -> u64 {
        let TimeParams { unit, floor, .. } = self.time_params[rule];
        let newest = self.log(rule, key).map_or(0, ChargeLog::newest);
        let now = now.max(floor);
        newest.max(now - now % unit)
    }

    pub fn used(&self, rule: usize, key: u64, now: u64) -> u64 {
        let at = self.effective_time(rule, key, now);
        self.log(rule, key).map_or(0, |log| log.used(self.kind(rule), at))
    }

    pub fn limit(&self, item: &Item) -> u64 {
        item.3.unwrap_or(self.rules[item.0].limit)
    }

    /// The status of each item before the request is charged. Items of one key add up, except those that
    /// a dry run lets pass.
    pub fn statuses(&self, now: u64, items: &[Item]) -> Vec<ExpectedStatus> {
        let mut statuses = Vec::new();
        for index in 0..items.len() {
            let passed: Vec<bool> = statuses.iter().map(ExpectedStatus::is_passed).collect();
            statuses.push(self.status_of(now, items, index, &passed));
        }
        statuses
    }

    /// The statuses if a dry run lets these items pass.
    pub fn statuses_if(&self, now: u64, items: &[Item], passed: &[bool]) -> Vec<ExpectedStatus> {
        (0..items.len()).map(|index| self.status_of(now, items, index, passed)).collect()
    }

    fn status_of(&self, now: u64, items: &[Item], index: usize, passed: &[bool]) -> ExpectedStatus {
        let item = &items[index];
        let before = items[..index].iter().zip(passed).filter(|(_, passed)| !**passed);
        let same = before.filter(|(other, _)| (other.0, other.1) == (item.0, item.1));
        self.status(now, item, item.2 + same.map(|(other, _)| other.2).sum::<u64>())
    }

    /// The status of an item if it were to charge `cost`.
    pub fn status(&self, now: u64, item: &Item, cost: u64) -> ExpectedStatus {
        let (rule, key, limit) = (item.0, item.1, self.limit(item));
        let at = self.effective_time(rule, key, now);
        let empty = ChargeLog::default();
        let log = self.log(rule, key).unwrap_or(&empty);
        let used = log.used(self.kind(rule), at);
        let violated = used + cost > limit;
        let fits_at = log.fits_at(self.kind(rule), at, cost, limit);
        let clear_at = log.clear_at(self.kind(rule), at).unwrap_or(now);
        ExpectedStatus {
            limit,
            remaining: limit.saturating_sub(used),
            violated,
            retry_after: (violated && cost <= limit).then(|| fits_at - now),
            reset_after: clear_at - now,
            dry_run: self.dry_runs[rule],
        }
    }

    pub fn check(&mut self, now: u64, items: &[Item]) -> Answer {
        let statuses = self.statuses(now, items);
        let answer = combine(items, &statuses);
        let Answer::Allowed(..) = answer else {
            return answer;
        };
        self.charge_all(now, items, &statuses);
        self.answer_after(now, items)
    }

    pub fn peek(&self, now: u64, items: &[Item]) -> Answer {
        combine(items, &self.statuses(now, items))
    }

    /// Charges the items of an allowed request, except those that a dry run lets pass.
    pub fn charge_all(&mut self, now: u64, items: &[Item], before: &[ExpectedStatus]) {
        for (item, _) in items.iter().zip(before).filter(|(_, status)| !status.is_passed()) {
            self.charge(now, item);
        }
    }

    /// The status of each item after the request was charged, if none was let pass.
    pub fn statuses_after(&self, now: u64, items: &[Item]) -> Vec<ExpectedStatus> {
        // With a debt even a cost of 0 has no room. An admitted request does not report that.
        let admitted = |status| ExpectedStatus { violated: false, retry_after: None, ..status };
        items.iter().map(|item| admitted(self.status(now, item, 0))).collect()
    }

    /// The answer to a request after it was charged.
    pub fn answer_after(&self, now: u64, items: &[Item]) -> Answer {
        combine(items, &self.statuses_after(now, items))
    }

    /// Charges an item even over its limit.
    pub fn charge(&mut self, now: u64, item: &Item) {
        if item.2 > 0 {
            let at = self.effective_time(item.0, item.1, now);
            self.log_mut(item.0, item.1).charge(at, item.2);
        }
    }

    /// Records a charge that was rolled back: only its time remains.
    pub fn touch(&mut self, now: u64, item: &Item) {
        if item.2 > 0 {
            let at = self.effective_time(item.0, item.1, now);
            self.log_mut(item.0, item.1).charge(at, 0);
        }
    }

    /// Refunds up to `amount`, oldest live charge first. Returns the units refunded.
    pub fn refund(&mut self, now: u64, rule: usize, key: u64, amount: u64) -> u64 {
        let at = self.effective_time(rule, key, now);
        self.refund_since((rule, key), at, 0, amount)
    }

    /// Refunds up to `amount` of the charges made at `from` or later that count at `at`.
    pub(super) fn refund_since(
        &mut self,
        counter: (usize, u64),
        at: u64,
        from: u64,
        amount: u64,
    ) -> u64 {
        let (kind, grace) = (self.kind(counter.0), self.time_params[counter.0].grace);
        let Some(log) = self.logs.get_mut(&counter) else { return 0 };
        // The refund may have used up charges that expired within the grace period. Clear them, so that
        // an earlier clock does not count them.
        let lingers = |charged| kind.expiry(charged) <= at && kind.expiry(charged) + grace > at;
        let most = if amount > 0 { u64::MAX } else { 0 };
        log.give_back(most, |charged| charged >= from && lingers(charged));
        log.give_back(amount, |charged| charged >= from && kind.expiry(charged) > at)
    }

    pub fn reset(&mut self, rule: usize, key: u64) {
        let (kind, unit) = (self.kind(rule), self.time_params[rule].unit);
        let Some(log) = self.logs.get_mut(&(rule, key)) else { return };
        let is_used = log.used(kind, log.newest()) > 0;
        let (step, is_reset) = match kind {
            Kind::Sliding(_) => (unit, true),
            // A budget without usage stays as it is.
            Kind::Fixed(_) => (0, is_used),
        };
        log.reset(step);
        if is_reset {
            // Reservations hold nothing any more, as if the key had been dropped.
            *self.drop_counts.entry((rule, key)).or_default() += 1;
        }
    }

    /// Drops a key with all its charges. A later refund does not find them.
    pub fn drop_key(&mut self, rule: usize, key: u64) {
        self.logs.remove(&(rule, key));
        *self.drop_counts.entry((rule, key)).or_default() += 1;
    }

    pub(super) fn drop_count(&self, rule: usize, key: u64) -> u32 {
        self.drop_counts.get(&(rule, key)).copied().unwrap_or_default()
    }

    pub fn set_limit(&mut self, rule: usize, limit: u64) {
        self.rules[rule].limit = limit;
    }

    /// Makes every reading before `at` count as `at`.
    pub fn raise_floor(&mut self, rule: usize, at: u64) {
        let floor = &mut self.time_params[rule].floor;
        *floor = at.max(*floor);
    }

    /// Every key that has a log under a rule, in ascending order.
    pub fn keys(&self, rule: usize) -> Vec<u64> {
        let mut keys: Vec<u64> = self
            .logs
            .keys()
            .filter(|(charged_rule, _)| *charged_rule == rule)
            .map(|(_, key)| *key)
            .collect();
        keys.sort_unstable();
        keys
    }

    /// The number of distinct times of unexpired charges, refunded ones included.
    pub fn distinct_times(&self, rule: usize, key: u64, now: u64) -> usize {
        let at = self.effective_time(rule, key, now);
        self.log(rule, key).map_or(0, |log| log.distinct_times(self.kind(rule), at))
    }

    pub fn newest(&self, rule: usize, key: u64) -> u64 {
        self.log(rule, key).map_or(0, ChargeLog::newest)
    }

    /// All charges of a key as (time, cost), for independent checks.
    pub fn history(&self, rule: usize, key: u64) -> Vec<(u64, u64)> {
        self.log(rule, key).map_or(Vec::new(), |log| log.charges().to_vec())
    }
}

/// The answer to a request whose items have these statuses.
pub fn combine(items: &[Item], statuses: &[ExpectedStatus]) -> Answer {
    let both = || items.iter().zip(statuses);
    let denies = |status: &ExpectedStatus| status.violated && !status.dry_run;
    let Some((first, status)) = both().find(|(_, status)| denies(status)) else {
        // A dry run is reported only if there is no other rule.
        let is_reported = |dry_run: bool| !dry_run || statuses.iter().all(|status| status.dry_run);
        let reported = both().filter(|(_, status)| is_reported(status.dry_run));
        let left = |status: &ExpectedStatus| (status.remaining, status.limit);
        let least = reported.min_by(|(_, one), (_, other)| compare_shares(left(one), left(other)));
        let (item, status) = least.unwrap();
        return Answer::Allowed(item.0, status.limit, status.remaining, status.reset_after);
    };
    let denials = statuses.iter().filter(|status| denies(status));
    let waits: Option<Vec<u64>> = denials.map(|status| status.retry_after).collect();
    match waits {
        Some(waits) => Answer::Denied(
            first.0,
            status.limit,
            status.remaining,
            waits.into_iter().max().unwrap(),
        ),
        None => Answer::Impossible(first.0),
    }
}

/// Compares two shares, each given as the remaining units and the limit. A limit of 0 leaves nothing.
pub fn compare_shares(one: (u64, u64), other: (u64, u64)) -> Ordering {
    let product = |remaining: u64, limit: u64| u128::from(remaining) * u128::from(limit.max(1));
    product(one.0, other.1).cmp(&product(other.0, one.1))
}
