//! Keys that are evicted to make room, while their reservations are open: what is used in the end,
//! what was given back, what has expired and what was forgiven is what was charged.

use super::Scheduler::{Priorities, Random};
use super::evicting::{Evicting, State, Totals};
use super::judge::ordered;
use super::layout::Kind::{self, Hour, Window};
use super::layout::Layout;
use super::layout::Verb::*;
use super::linear::outcomes;
use super::never_over::{self, Time};
use super::scene::{Scene, fault};
use super::step::{Event, Step};
use super::{catches, holds};
use crate::verify::mutants::Breakage;
use crate::{Now, Overflow};
use std::collections::HashSet;

impl Scene {
    /// Each key for itself, and the sums of all with the statistics.
    pub(super) fn judge_evictions(&self, now: u64) {
        let quiet = self.history.finish(self.history.call(now)).span;
        for (policy, kind) in self.layout.policies.iter().enumerate() {
            // What is evicted is counted when it is moved.
            while !self.limiter.help_once(self.ids[policy], Now::from_unix_nanos(now)) {}
            let keys = 0..self.layout.keys;
            let before: Vec<Vec<Event>> =
                keys.clone().map(|key| self.history.of(self.counter(policy, key))).collect();
            let time = self.time(policy, *kind);
            before.iter().for_each(|events| self.assert_never_over(time, events));
            if self.layout.only_bounds_evictions() {
                continue;
            }
            let answers_from = if kind.is_calendar() { 0 } else { self.history.instant() };
            keys.clone().for_each(|key| self.audit(policy, key, quiet.latest));
            let ends = keys.map(|key| self.ends_of(policy, *kind, key, answers_from));
            let none = HashSet::from([Totals::default()]);
            let sums = ends.fold(none, |sums, ends| {
                let plus = |end: State| sums.iter().map(move |sum| end.totals.plus(*sum));
                ends.into_iter().flat_map(plus).collect()
            });
            self.assert_stats(policy, &sums);
        }
    }

    /// What a key gains by evictions is the allowance at the most.
    fn assert_never_over(&self, time: Time, events: &[Event]) {
        let mut allowed = events.to_vec();
        for event in &mut allowed {
            if let Step::Charge(charge) = &mut event.step {
                charge.limit = charge.limit.map(|limit| limit + self.layout.allowance());
            }
        }
        if let Some(excess) = never_over::excess(time, &allowed) {
            fault("over the limit and the allowance", (excess, ordered(allowed)));
        }
    }

    fn ends_of(&self, policy: usize, kind: Kind, key: usize, answers_from: u64) -> Vec<State> {
        let events = self.history.of(self.counter(policy, key));
        let (Time::Window(length) | Time::Period(length)) = self.time(policy, kind);
        let rules = Evicting {
            period: kind.is_calendar().then_some(length),
            allowance: self.layout.allowance(),
            answers_from,
        };
        outcomes(&rules, &events).unwrap_or_else(|placed| {
            let most = format!("{placed} of {} events at the most", events.len());
            fault("no evictions explain the answers", (most, ordered(events)))
        })
    }

    fn assert_stats(&self, policy: usize, sums: &HashSet<Totals>) {
        let now = Now::from_unix_nanos(self.history.now());
        let stats = self.limiter.session_at(now).stats(self.ids[policy]).expect("its policy");
        let counted = Totals { forgiven: stats.forgiven, evictions: stats.evictions };
        if !sums.contains(&counted) {
            fault("the statistics count other evictions", (counted, sums));
        }
        for _ in 0..stats.evictions {
            super::entries::count(super::entries::Entry::Evicted);
        }
    }
}

const EVICTED_BUDGETS: Layout = Layout {
    name: "evicted, budgets",
    policies: &[Hour(4)],
    keys: 4,
    spare: -2,
    overflow: Overflow::EvictLightest { allowance: 2 },
    threads: 3,
    movers: 1,
    verbs: &[Check, Check, Reserve, Settle, Cancel, CheckMany],
    most_cost: 2,
    before: 6,
    turns: false,
};

/// Periods end meanwhile.
const EVICTED_PERIODS: Layout = Layout {
    name: "evicted, periods",
    verbs: &[Check, Check, Reserve, Settle, Cancel, Force, Peek, Tick],
    ..EVICTED_BUDGETS
};

/// The clock goes on within one window.
const EVICTED_WINDOWS: Layout =
    Layout { name: "evicted, windows", policies: &[Window(4)], turns: true, ..EVICTED_BUDGETS };

/// Windows end meanwhile.
const EVICTED_EXPIRED: Layout = Layout {
    name: "evicted, expired",
    policies: &[Window(3)],
    verbs: &[Check, Check, Check, CheckMany, Maintain, Tick],
    ..EVICTED_BUDGETS
};

#[test]
fn evicted() {
    holds(&EVICTED_BUDGETS, 5_000);
    holds(&EVICTED_PERIODS, 5_000);
    holds(&EVICTED_WINDOWS, 5_000);
    holds(&EVICTED_EXPIRED, 5_000);
}

#[test]
fn broken_evictions_are_caught() {
    catches(&EVICTED_BUDGETS, Breakage::ChunkCountedTwice, Random, 20_000);
    catches(&EVICTED_BUDGETS, Breakage::EarlierEvictionsIgnored, Random, 20_000);
    catches(&EVICTED_BUDGETS, Breakage::RefundForgiven, Random, 5_000);
    catches(&EVICTED_WINDOWS, Breakage::ChunkCountedTwice, Priorities, 5_000);
    catches(&EVICTED_WINDOWS, Breakage::RefundForgiven, Random, 20_000);
    catches(&EVICTED_BUDGETS, Breakage::ReceiptWithoutGeneration, Random, 20_000);
    catches(&EVICTED_WINDOWS, Breakage::AgeNotCarried, Random, 20_000);
    catches(&EVICTED_BUDGETS, Breakage::AgeNotCarried, Priorities, 20_000);
}
