//! Checks of the tables: statistics, resizes, evictions and refusals.

use super::model::{Config, Model};
use super::oracle::{Kind, assert_never_over};
use super::strategies::{FULLY_SCANNED, NEVER_FULL, SINGLE_KEYS};
use super::system::{System, cover};
use std::collections::BTreeMap;
use tollgate::{Overflow, PolicyStatus, RequestStats, Stats, Verdict};

/// An array of this many slots or fewer does not shrink.
const MIN_SHRINK_SLOTS: usize = 1_028;

/// The expected state of one policy's table.
#[derive(Clone, Debug)]
struct Table {
    kind: Kind,
    max_keys: usize,
    overflow: Overflow,
    dry_run: bool,
    admitted_or_untracked: u64,
    denied: u64,
    impossible: u64,
    refused: u64,
    admitted_units: u64,
    /// The least and the most units that were given back.
    refunded_units: (u64, u64),
    migrations: u64,
    slots: usize,
    /// The units forgiven to each key by evictions, with their times.
    forgiven: BTreeMap<u64, Vec<(u64, u64)>>,
    /// The latest time of a resize or a refusal. The table need not scan again soon after.
    last_scan: u64,
    /// The latest time of any call.
    newest: u64,
}

#[derive(Clone, Debug)]
pub struct Tables(Vec<Table>);

impl Tables {
    pub fn new(config: &Config) -> Self {
        let table = |policy: &super::model::PolicyConfig| Table {
            kind: policy.kind,
            max_keys: policy.max_keys,
            overflow: policy.overflow,
            dry_run: policy.dry_run,
            admitted_or_untracked: 0,
            denied: 0,
            impossible: 0,
            refused: 0,
            admitted_units: 0,
            refunded_units: (0, 0),
            migrations: 0,
            slots: 0,
            forgiven: BTreeMap::new(),
            last_scan: config.start,
            newest: config.start,
        };
        Tables(config.policies.iter().map(table).collect())
    }

    pub fn may_be_full(&self, rule: usize) -> bool {
        self.0[rule].max_keys < NEVER_FULL
    }

    pub fn allows_overflow(&self, rule: usize) -> bool {
        self.0[rule].overflow == Overflow::Allow
    }

    fn allowance(&self, rule: usize) -> Option<u64> {
        match self.0[rule].overflow {
            Overflow::EvictLightest { allowance } => Some(allowance),
            _ => None,
        }
    }

    pub fn evicts(&self, rule: usize) -> bool {
        self.allowance(rule).is_some()
    }

    /// Counts a charge of this many units, or a new key admitted without tracking, with 0 units.
    pub fn admitted_or_untracked(&mut self, rule: usize, units: u64) {
        self.0[rule].admitted_or_untracked += 1;
        self.0[rule].admitted_units += units;
    }

    /// Counts a charge without room.
    pub fn denied(&mut self, rule: usize, status: &PolicyStatus) {
        self.0[rule].denied += 1;
        self.0[rule].impossible += u64::from(status.retry_after_ns.is_none());
    }

    pub fn add_units(&mut self, rule: usize, units: u64) {
        self.0[rule].admitted_units += units;
    }

    /// Counts units that were given back: from `least` to `most`.
    pub fn refunded(&mut self, rule: usize, least: u64, most: u64) {
        let units = &mut self.0[rule].refunded_units;
        *units = (units.0 + least, units.1 + most);
    }

    pub fn refused(&mut self, now: u64, rule: usize) {
        let table = &mut self.0[rule];
        table.refused += 1;
        table.last_scan = table.last_scan.max(now);
    }

    /// Panics unless the table that refused a key is full.
    pub fn assert_full(&self, rule: usize, stats: &Stats, live: usize) {
        let table = &self.0[rule];
        assert!(table.overflow != Overflow::Allow, "refused where new keys may pass");
        assert!(stats.used_slots >= table.max_keys, "refused with room: {stats:?}");
        assert!(live <= table.max_keys, "{live} live keys of {}", table.max_keys);
    }
}

/// The expected numbers of requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Requests {
    allowed: u64,
    denied: u64,
    impossible: u64,
    table_full: u64,
    pub open_reservations: u64,
}

impl Requests {
    pub fn count(&mut self, verdict: Verdict) {
        let count = match verdict {
            Verdict::Allowed => &mut self.allowed,
            Verdict::Denied => &mut self.denied,
            Verdict::Impossible => &mut self.impossible,
            Verdict::TableFull => &mut self.table_full,
            verdict => panic!("{verdict:?} of a valid request"),
        };
        *count += 1;
    }

    fn assert_equal(&self, stats: &RequestStats) {
        let requests = [stats.allowed, stats.denied, stats.impossible, stats.table_full];
        assert_eq!(requests, [self.allowed, self.denied, self.impossible, self.table_full]);
        assert_eq!((stats.invalid, stats.open_reservations), (0, self.open_reservations));
    }
}

impl Table {
    fn assert_counts(&self, stats: &Stats) {
        assert_eq!(stats.admitted + stats.untracked, self.admitted_or_untracked, "{stats:?}");
        let denials = (stats.denied, stats.refused, stats.dry_run_denied);
        let (denied, refused) = (self.denied, self.refused);
        let due = if self.dry_run { (0, 0, denied + refused) } else { (denied, refused, 0) };
        assert_eq!(denials, due, "{stats:?}");
        let impossible = if self.dry_run { 0 } else { self.impossible };
        assert_eq!(stats.impossible, impossible, "{stats:?}");
        assert!(stats.untracked == 0 || self.overflow == Overflow::Allow, "{stats:?}");
    }

    fn assert_units(&self, stats: &Stats) {
        let (least, most) = self.refunded_units;
        assert_eq!(stats.admitted_units, self.admitted_units, "{stats:?}");
        assert!((least..=most).contains(&stats.refunded_units), "{least} to {most}: {stats:?}");
    }

    fn assert_size(&self, stats: &Stats) {
        assert!(stats.live_keys <= stats.used_slots, "{stats:?}");
        // A key being moved may be counted twice.
        assert!(stats.used_slots <= 2 * self.max_keys, "{stats:?}");
        // Slots come in whole groups of eight.
        assert!(stats.slots <= self.max_keys + self.max_keys / 15 + 8, "{stats:?}");
        assert!(stats.bytes > 0 && stats.migrations >= self.migrations, "{stats:?}");
    }
}

impl System {
    pub(super) fn stats(&self, now: u64, rule: usize) -> Stats {
        self.at(now).inner().stats(self.ids[rule]).unwrap()
    }

    /// Checks the statistics after a call, and follows a resize.
    pub(super) fn check_tables(&mut self, now: u64) {
        // A planted fault makes calls of its own.
        if self.config.planted.is_none() {
            self.requests.assert_equal(&self.at(now).inner().request_stats());
        }
        for rule in 0..self.ids.len() {
            let stats = self.stats(now, rule);
            let table = &mut self.tables.0[rule];
            table.assert_counts(&stats);
            table.assert_size(&stats);
            if self.config.planted.is_none() {
                table.assert_units(&stats);
            }
            table.newest = table.newest.max(now);
            if stats.migrations > table.migrations {
                let before = std::mem::replace(&mut table.slots, stats.slots);
                cover(|coverage| {
                    coverage.migrations += stats.migrations - table.migrations;
                    coverage.shrunk += u64::from(stats.slots < before);
                });
                table.migrations = stats.migrations;
                table.last_scan = table.last_scan.max(now);
                // The new array uses no earlier time.
                self.oracles.raise_floor(rule, now);
                if self.tables.allowance(rule).is_some() {
                    self.find_dropped_keys(now, rule);
                }
            }
        }
    }

    /// Finds the keys dropped by a resize: keys without usage, and evicted ones. Checks that no key
    /// is forgiven more than the allowance in a window.
    fn find_dropped_keys(&mut self, now: u64, rule: usize) {
        let allowance = self.tables.allowance(rule).unwrap();
        for key in self.oracles.early.keys(rule) {
            if self.used(now, rule, key) > 0 || self.oracles.is_ahead(rule, key) {
                continue;
            }
            let due = self.oracles.early.used(rule, key, now);
            if due == 0 {
                self.oracles.drop_key(rule, key);
                continue;
            }
            let at = self.oracles.early.effective_time(rule, key, now);
            let table = &mut self.tables.0[rule];
            let forgiven = table.forgiven.entry(key).or_default();
            forgiven.push((at, due));
            match table.kind {
                Kind::Sliding(window) => assert_never_over(forgiven, window, allowance),
                Kind::Fixed(length) => {
                    let period = forgiven.iter().filter(|(then, _)| then / length == at / length);
                    let sum: u64 = period.map(|(_, units)| units).sum();
                    assert!(sum <= allowance, "{sum} of {allowance} forgiven in a period");
                }
            }
            self.oracles.drop_key(rule, key);
            cover(|coverage| coverage.evicted += 1);
        }
    }

    /// Checks that a refusal is justified although expired keys hold slots: the last scan was a short time
    /// ago, or few keys have expired.
    pub(super) fn assert_no_room(&self, now: u64, rule: usize) {
        let table = &self.tables.0[rule];
        let length = table.kind.length();
        let is_late = now < table.newest;
        if is_late || table.max_keys > FULLY_SCANNED || self.oracles.was_merged(rule) {
            return;
        }
        let (_, live) = self.oracles.live(rule, now);
        let patience = match table.kind {
            Kind::Sliding(_) => length / 64 + 2 * self.config.policies[rule].unit,
            Kind::Fixed(_) => length,
        };
        let idle = table.max_keys.saturating_sub(live);
        if now > table.last_scan + patience {
            // An eighth, plus a few keys that no sample covers.
            assert!(idle <= table.max_keys / 8 + 8, "{idle} of {} are idle", table.max_keys);
        }
    }

    /// Checks all keys after maintenance: each is within its bounds, and idle memory is given back.
    pub(super) fn audit(&mut self, now: u64) {
        let all_idle: Vec<bool> = self
            .tables
            .0
            .iter()
            .map(|table| now > table.newest + 2 * table.kind.length())
            .collect();
        let mut calls = 0;
        while !self.at(now).inner().maintain(1 << 20) {
            calls += 1;
            assert!(calls < 100, "maintenance does not end");
        }
        self.check_tables(now);
        for (rule, is_idle) in all_idle.into_iter().enumerate() {
            for key in self.oracles.early.keys(rule) {
                self.assert_key(now, rule, key);
            }
            let stats = self.stats(now, rule);
            let (live, may_be_live) = self.oracles.live(rule, now);
            assert!(live <= self.tables.0[rule].max_keys, "{live} live keys, {stats:?}");
            assert!(stats.used_slots <= self.tables.0[rule].max_keys, "{stats:?}");
            self.assert_evictions(rule, &stats);
            if is_idle && may_be_live == 0 && !self.oracles.was_merged(rule) {
                assert!(
                    stats.slots <= MIN_SHRINK_SLOTS,
                    "an idle table keeps its memory: {stats:?}"
                );
            }
        }
    }

    /// Checks that the eviction statistics equal the evictions found, when no move is pending.
    fn assert_evictions(&self, rule: usize, stats: &Stats) {
        let forgiven = self.tables.0[rule].forgiven.values().flatten();
        let (keys, units) =
            forgiven.fold((0, 0), |(keys, sum), (_, units)| (keys + 1, sum + units));
        assert!((keys, units) <= (stats.evictions, stats.forgiven), "{stats:?}");
        if !self.config.policies[rule].is_bucketed() && !self.oracles.was_merged(rule) {
            assert_eq!((keys, units), (stats.evictions, stats.forgiven), "{stats:?}");
        }
    }

    fn assert_key(&self, now: u64, rule: usize, key: u64) {
        let item = [(rule, key, 0, Some(self.config.policies[rule].greatest))];
        let used = self.used(now, rule, key);
        let left = item[0].3.unwrap_or_default() - used;
        let (least, most) = self.oracles.after(now, &item)[0].left();
        assert!(
            (least..=most).contains(&left),
            "{left} of {least} to {most} left to {item:?} at {now}"
        );
    }

    /// Checks the keys that are charged one by one after every call, with every clock.
    pub fn assert_invariants(&self, model: &Model) {
        if !self.config.peeks_after_calls {
            return;
        }
        for now in &model.clocks {
            for rule in 0..self.ids.len() {
                (0..SINGLE_KEYS).for_each(|key| self.assert_key(*now, rule, key));
            }
        }
    }
}
