//! The tables: what is counted, when an array is renewed, who is evicted, and who is refused.

use super::aim::{REGULARS, ROOMY, SMALL};
use super::reference::{Kind, assert_never_over};
use super::scene::{Config, Scene};
use super::world::{World, saw};
use std::collections::BTreeMap;
use tollgate::{Overflow, Stats};

/// An array with so many slots is not made smaller.
const LEAST: usize = 1_028;

/// What is known of one policy's table.
#[derive(Clone, Debug)]
struct Table {
    kind: Kind,
    max_keys: usize,
    overflow: Overflow,
    passed: u64,
    denied: u64,
    refused: u64,
    migrations: u64,
    slots: usize,
    /// What evictions have forgiven to each key, and when.
    forgiven: BTreeMap<u64, Vec<(u64, u64)>>,
    /// The latest time of a renewal or of a refusal: none need be looked for soon after.
    looked: u64,
    /// The latest time at which anything was done.
    newest: u64,
}

#[derive(Clone, Debug)]
pub struct Tables(Vec<Table>);

impl Tables {
    pub fn new(config: &Config) -> Self {
        let table = |shape: &super::scene::Shape| Table {
            kind: shape.kind,
            max_keys: shape.max_keys,
            overflow: shape.overflow,
            passed: 0,
            denied: 0,
            refused: 0,
            migrations: 0,
            slots: 0,
            forgiven: BTreeMap::new(),
            looked: config.start,
            newest: config.start,
        };
        Tables(config.shapes.iter().map(table).collect())
    }

    pub fn may_be_full(&self, rule: usize) -> bool {
        self.0[rule].max_keys < ROOMY
    }

    pub fn lets_overflow(&self, rule: usize) -> bool {
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

    /// A charge was made, or let through uncounted.
    pub fn passed(&mut self, rule: usize) {
        self.0[rule].passed += 1;
    }

    pub fn denied(&mut self, rule: usize) {
        self.0[rule].denied += 1;
    }

    pub fn refused(&mut self, now: u64, rule: usize) {
        let table = &mut self.0[rule];
        table.refused += 1;
        table.looked = table.looked.max(now);
    }

    /// A refusal has a cause: there are as many keys as there may be.
    pub fn assert_full(&self, rule: usize, stats: &Stats, live: usize) {
        let table = &self.0[rule];
        assert!(table.overflow != Overflow::Allow, "refused where new keys may pass");
        assert!(stats.used_slots >= table.max_keys, "refused with room: {stats:?}");
        assert!(live <= table.max_keys, "{live} live keys of {}", table.max_keys);
    }
}

impl Table {
    fn assert_counts(&self, stats: &Stats) {
        assert_eq!(stats.admitted + stats.untracked, self.passed, "{stats:?}");
        assert_eq!((stats.denied, stats.refused), (self.denied, self.refused), "{stats:?}");
        assert!(stats.untracked == 0 || self.overflow == Overflow::Allow, "{stats:?}");
    }

    fn assert_size(&self, stats: &Stats) {
        assert!(stats.live_keys <= stats.used_slots, "{stats:?}");
        // A key that is just moving may be counted twice.
        assert!(stats.used_slots <= 2 * self.max_keys, "{stats:?}");
        // Whole groups of eight.
        assert!(stats.slots <= self.max_keys + self.max_keys / 15 + 8, "{stats:?}");
        assert!(stats.bytes > 0 && stats.migrations >= self.migrations, "{stats:?}");
    }
}

impl World {
    pub(super) fn stats(&self, now: u64, rule: usize) -> Stats {
        self.at(now).session().stats(self.ids[rule]).unwrap()
    }

    /// After a call: what was counted, and whether an array was renewed.
    pub(super) fn look_at_tables(&mut self, now: u64) {
        for rule in 0..self.ids.len() {
            let stats = self.stats(now, rule);
            let table = &mut self.tables.0[rule];
            table.assert_counts(&stats);
            table.assert_size(&stats);
            table.newest = table.newest.max(now);
            if stats.migrations > table.migrations {
                let before = std::mem::replace(&mut table.slots, stats.slots);
                saw(|seen| {
                    seen.migrations += stats.migrations - table.migrations;
                    seen.shrunk += u64::from(stats.slots < before);
                });
                table.migrations = stats.migrations;
                table.looked = table.looked.max(now);
                // No earlier time counts in the new array.
                self.books.raise_floor(rule, now);
                if self.tables.allowance(rule).is_some() {
                    self.look_for_dropped(now, rule);
                }
            }
        }
    }

    /// Keys that a renewal has dropped start anew: those that had nothing left, and those that were
    /// evicted. None is forgiven more than the allowance in a window.
    fn look_for_dropped(&mut self, now: u64, rule: usize) {
        let allowance = self.tables.allowance(rule).unwrap();
        for key in self.books.early.keys(rule) {
            if self.used(now, rule, key) > 0 || self.books.is_ahead(rule, key) {
                continue;
            }
            let due = self.books.early.used(rule, key, now);
            if due == 0 {
                self.books.forget(rule, key);
                continue;
            }
            let at = self.books.early.effective(rule, key, now);
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
            self.books.forget(rule, key);
            saw(|seen| seen.evicted += 1);
        }
    }

    /// A refusal where expired keys could make room: allowed only shortly after the last look for
    /// some, and where too few have expired.
    pub(super) fn assert_no_room(&self, now: u64, rule: usize) {
        let table = &self.tables.0[rule];
        let length = table.kind.length();
        let is_late = now < table.newest;
        if is_late || table.max_keys > SMALL || self.books.was_blurred(rule) {
            return;
        }
        let (_, live) = self.books.live(rule, now);
        let patience = match table.kind {
            Kind::Sliding(_) => length / 64 + 2 * self.config.shapes[rule].unit,
            Kind::Fixed(_) => length,
        };
        let idle = table.max_keys.saturating_sub(live);
        if now > table.looked + patience {
            // An eighth, and a few that lie where no sample looks.
            assert!(idle <= table.max_keys / 8 + 8, "{idle} of {} are idle", table.max_keys);
        }
    }

    /// Nothing is left to move, every key stands as the books say, and what is idle is given back.
    pub(super) fn audit(&mut self, now: u64) {
        let rested: Vec<bool> = self
            .tables
            .0
            .iter()
            .map(|table| now > table.newest + 2 * table.kind.length())
            .collect();
        let mut calls = 0;
        while !self.at(now).session().maintain(1 << 20) {
            calls += 1;
            assert!(calls < 100, "maintenance does not end");
        }
        self.look_at_tables(now);
        for (rule, rested) in rested.into_iter().enumerate() {
            for key in self.books.early.keys(rule) {
                self.assert_key(now, rule, key);
            }
            let stats = self.stats(now, rule);
            let (live, perhaps) = self.books.live(rule, now);
            assert!(live <= self.tables.0[rule].max_keys, "{live} live keys, {stats:?}");
            assert!(stats.used_slots <= self.tables.0[rule].max_keys, "{stats:?}");
            self.assert_evictions(rule, &stats);
            if rested && perhaps == 0 && !self.books.was_blurred(rule) {
                assert!(stats.slots <= LEAST, "an idle table keeps its memory: {stats:?}");
            }
        }
    }

    /// With nothing left to move, the statistics tell of the same evictions.
    fn assert_evictions(&self, rule: usize, stats: &Stats) {
        let forgiven = self.tables.0[rule].forgiven.values().flatten();
        let (keys, units) =
            forgiven.fold((0, 0), |(keys, sum), (_, units)| (keys + 1, sum + units));
        assert!((keys, units) <= (stats.evictions, stats.forgiven), "{stats:?}");
        if !self.config.shapes[rule].is_bucketed() && !self.books.was_blurred(rule) {
            assert_eq!((keys, units), (stats.evictions, stats.forgiven), "{stats:?}");
        }
    }

    fn assert_key(&self, now: u64, rule: usize, key: u64) {
        let line = [(rule, key, 0, Some(self.config.shapes[rule].greatest))];
        let used = self.used(now, rule, key);
        let left = line[0].3.unwrap_or_default() - used;
        let (least, most) = self.books.after(now, &line)[0].left();
        assert!(
            (least..=most).contains(&left),
            "{left} of {least} to {most} left to {line:?} at {now}"
        );
    }

    /// After every call: those who are asked one by one stand as the books say, by every clock.
    pub fn assert_invariants(&self, scene: &Scene) {
        if !self.config.probing {
            return;
        }
        for now in &scene.clocks {
            for rule in 0..self.ids.len() {
                (0..REGULARS).for_each(|key| self.assert_key(*now, rule, key));
            }
        }
    }
}
