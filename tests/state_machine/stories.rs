//! Several calls in a row that hardly come about by chance.

use super::aim::{SMALL, STRANGERS};
use super::reference::Line;
use super::world::World;

/// So many keys make a table large enough to be made smaller when they are idle.
pub const MANY: usize = 1_100;
/// How many windows or periods pass until they are.
pub const REST: u64 = 4;

impl World {
    /// Keys from one on are charged, one after the other.
    pub(super) fn crowd(&mut self, now: u64, rule: usize, first: u64, count: u64, cost: u64) {
        for key in first..first + count {
            let _ = self.check(now, &[(rule, key, cost, None)]);
            if self.tables.evicts(rule) {
                self.look_at_tables(now);
            }
        }
        self.look_at_tables(now);
    }

    /// Up to `now`, a unit of time between charges that are mostly given back.
    pub(super) fn flap(&mut self, now: u64, rule: usize, key: u64, times: u64) {
        for step in (0..times).rev() {
            let at = now - step * self.config.shapes[rule].unit;
            let _ = self.check(at, &[(rule, key, 1, None)]);
            if step % 3 > 0 {
                self.refund(at, rule, key, 1);
            }
            self.look_at_tables(at);
        }
    }

    /// A key reserves, may be evicted, is charged again, and its reservation is cancelled.
    pub(super) fn squeeze(&mut self, now: u64, line: Line, round: usize) {
        let (which, rule) = (self.held.len(), line.0);
        self.reserve(now, &[(rule, line.1, 1, None)]);
        self.look_at_tables(now);
        let strangers = self.config.shapes[rule].max_keys.min(SMALL) as u64 + 1;
        let (first, cost) = (STRANGERS + round as u64 * strangers, 1 + line.2 % 2);
        self.crowd(now, rule, first, strangers, cost);
        let _ = self.check(now, &[line]);
        self.look_at_tables(now);
        self.settle(now, which, None);
    }

    /// How long before `now` a [`turnover`](Self::turnover) begins.
    pub fn lead(length: u64) -> u64 {
        length + length / 16
    }

    /// A table fills up; then a quarter of its keys expire, and others come at `now`.
    pub(super) fn turnover(&mut self, now: u64, rule: usize) {
        let shape = &self.config.shapes[rule];
        let (length, keys) = (shape.kind.length(), shape.max_keys.min(SMALL) as u64);
        let start = now - Self::lead(length);
        self.crowd(start, rule, STRANGERS, keys / 4, 1);
        self.crowd(start + length / 4 * 3, rule, STRANGERS + keys, keys, 1);
        self.crowd(now, rule, STRANGERS + 2 * keys, 8, 1);
    }

    /// Many keys come, and at `now` all have long been idle.
    pub(super) fn exodus(&mut self, now: u64, rule: usize) {
        let start = now - REST * self.config.shapes[rule].kind.length();
        self.crowd(start, rule, STRANGERS, MANY as u64, 1);
        self.audit(now);
    }
}
