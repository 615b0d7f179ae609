//! Fixed sequences of calls that random calls rarely produce.

use super::oracle::Item;
use super::strategies::{FIRST_BULK_KEY, FULLY_SCANNED};
use super::system::System;

/// Number of keys with which a table is large enough to shrink when they are idle.
pub const SHRINKABLE_KEYS: usize = 1_100;
/// Windows or periods until all keys are idle.
pub const IDLE_PERIODS: u64 = 4;

impl System {
    /// Charges `count` keys from `first` on.
    pub(super) fn charge_keys(&mut self, now: u64, rule: usize, first: u64, count: u64, cost: u64) {
        for key in first..first + count {
            let _ = self.check(now, &[(rule, key, cost, None)]);
            if self.tables.evicts(rule) {
                self.check_tables(now);
            }
        }
        self.check_tables(now);
    }

    /// Charges a key once per unit of time up to `now`. Two of three charges are refunded.
    pub(super) fn charge_and_refund(&mut self, now: u64, rule: usize, key: u64, times: u64) {
        for step in (0..times).rev() {
            let at = now - step * self.config.policies[rule].unit;
            let _ = self.check(at, &[(rule, key, 1, None)]);
            if step % 3 > 0 {
                self.refund(at, rule, key, 1);
            }
            self.check_tables(at);
        }
    }

    /// Reserves for a key, fills the table so that it may be evicted, charges it again, and cancels
    /// the reservation.
    pub(super) fn evict_reserved(&mut self, now: u64, item: Item, round: usize) {
        let (which, rule) = (self.held.len(), item.0);
        self.reserve(now, &[(rule, item.1, 1, None)]);
        self.check_tables(now);
        let strangers = self.config.policies[rule].max_keys.min(FULLY_SCANNED) as u64 + 1;
        let (first, cost) = (FIRST_BULK_KEY + round as u64 * strangers, 1 + item.2 % 2);
        self.charge_keys(now, rule, first, strangers, cost);
        let _ = self.check(now, &[item]);
        self.check_tables(now);
        self.settle(now, which, None);
    }

    /// How long before `now` a [`refill_expired`](Self::refill_expired) begins.
    pub fn refill_lead(length: u64) -> u64 {
        length + length / 16
    }

    /// Fills a table, lets a quarter of its keys expire, and charges new keys at `now`.
    pub(super) fn refill_expired(&mut self, now: u64, rule: usize) {
        let policy = &self.config.policies[rule];
        let (length, keys) = (policy.kind.length(), policy.max_keys.min(FULLY_SCANNED) as u64);
        let start = now - Self::refill_lead(length);
        self.charge_keys(start, rule, FIRST_BULK_KEY, keys / 4, 1);
        self.charge_keys(start + length / 4 * 3, rule, FIRST_BULK_KEY + keys, keys, 1);
        self.charge_keys(now, rule, FIRST_BULK_KEY + 2 * keys, 8, 1);
    }

    /// Charges many keys, and audits at `now` when all are idle.
    pub(super) fn fill_and_idle(&mut self, now: u64, rule: usize) {
        let start = now - IDLE_PERIODS * self.config.policies[rule].kind.length();
        self.charge_keys(start, rule, FIRST_BULK_KEY, SHRINKABLE_KEYS as u64, 1);
        self.audit(now);
    }
}
