//! Keys that are evicted while their reservations are open.
//!
//! The units that are used in the end, given back, expired or forgiven must add up to the units
//! that were charged.

use super::Scheduler::{Priorities, Random};
use super::evictable_key::{EvictableKey, State, Totals};
use super::fixture::{Fixture, fail};
use super::layout::Layout;
use super::layout::Operation::*;
use super::layout::PolicyKind::{self, Hour, Window};
use super::linearizability::final_states;
use super::never_over::{self, Interval};
use super::step::{Event, Step};
use super::verification::ordered;
use super::{assert_caught, assert_holds};
use crate::{Now, Overflow};
use std::collections::HashSet;

impl Fixture {
    /// Verifies each key, and the sums over all keys against the statistics.
    pub(super) fn verify_evictions(&self, now: u64) {
        let last = self.history.finish(self.history.invoke(now)).span;
        for (policy, kind) in self.layout.policies.iter().enumerate() {
            // A move counts its evictions, so complete it first.
            while !self.limiter.help_once(self.ids[policy], Now::from_unix_nanos(now)) {}
            let keys = 0..self.layout.keys;
            let before: Vec<Vec<Event>> =
                keys.clone().map(|key| self.history.of(self.counter(policy, key))).collect();
            let interval = self.interval(policy, *kind);
            before.iter().for_each(|events| self.assert_never_over(interval, events));
            if self.layout.verifies_eviction_bound_only() {
                continue;
            }
            let answers_from = if kind.is_calendar() { 0 } else { self.history.instant() };
            keys.clone().for_each(|key| self.peek_final_usage(policy, key, last.latest));
            let states = keys.map(|key| self.final_states_of(policy, *kind, key, answers_from));
            let none = HashSet::from([Totals::default()]);
            let sums = states.fold(none, |sums, states| {
                let plus = |state: State| sums.iter().map(move |sum| state.totals.plus(*sum));
                states.into_iter().flat_map(plus).collect()
            });
            self.assert_stats(policy, &sums);
        }
    }

    /// Asserts that evictions raise what is admitted to a key by at most the allowance.
    fn assert_never_over(&self, interval: Interval, events: &[Event]) {
        let mut allowed = events.to_vec();
        for event in &mut allowed {
            if let Step::Charge(charge) = &mut event.step {
                charge.limit = charge.limit.map(|limit| limit + self.layout.allowance());
            }
        }
        if let Some(excess) = never_over::excess(interval, &allowed) {
            fail("over the limit plus the allowance", (excess, ordered(allowed)));
        }
    }

    /// The possible final states of one key.
    fn final_states_of(
        &self,
        policy: usize,
        kind: PolicyKind,
        key: usize,
        answers_from: u64,
    ) -> Vec<State> {
        let events = self.history.of(self.counter(policy, key));
        let (Interval::Window(length) | Interval::Period(length)) = self.interval(policy, kind);
        let specification = EvictableKey {
            period: kind.is_calendar().then_some(length),
            allowance: self.layout.allowance(),
            answers_from,
        };
        final_states(&specification, &events).unwrap_or_else(|longest| {
            let progress = format!("at most {longest} of {} events", events.len());
            fail("not linearizable with any evictions", (progress, ordered(events)))
        })
    }

    fn assert_stats(&self, policy: usize, sums: &HashSet<Totals>) {
        let now = Now::from_unix_nanos(self.history.now());
        let stats = self.limiter.session_at(now).stats(self.ids[policy]).expect("its policy");
        let counted = Totals { forgiven: stats.forgiven, evictions: stats.evictions };
        if !sums.contains(&counted) {
            fail("the statistics of evictions are wrong", (counted, sums));
        }
        for _ in 0..stats.evictions {
            super::coverage::count(super::coverage::CoveragePoint::Evicted);
        }
    }
}

const EVICTED_BUDGETS: Layout = Layout {
    name: "evicted, budgets",
    policies: &[Hour(4)],
    keys: 4,
    spare_slots: -2,
    overflow: Overflow::EvictLightest { allowance: 2 },
    threads: 3,
    movers: 1,
    operations: &[Check, Check, Reserve, Settle, Cancel, CheckMany],
    max_cost: 2,
    max_setup_calls: 6,
    advances_each_call: false,
};

/// Periods end during the execution.
const EVICTED_PERIODS: Layout = Layout {
    name: "evicted, periods",
    operations: &[Check, Check, Reserve, Settle, Cancel, Force, Peek, Tick],
    ..EVICTED_BUDGETS
};

/// The clock advances within one window.
const EVICTED_WINDOWS: Layout = Layout {
    name: "evicted, windows",
    policies: &[Window(4)],
    advances_each_call: true,
    ..EVICTED_BUDGETS
};

/// Windows end during the execution.
const EVICTED_EXPIRED: Layout = Layout {
    name: "evicted, expired",
    policies: &[Window(3)],
    operations: &[Check, Check, Check, CheckMany, Maintain, Tick],
    ..EVICTED_BUDGETS
};

#[test]
fn evicted() {
    assert_holds(&EVICTED_BUDGETS, 5_000);
    assert_holds(&EVICTED_PERIODS, 5_000);
    assert_holds(&EVICTED_WINDOWS, 5_000);
    assert_holds(&EVICTED_EXPIRED, 5_000);
}

#[test]
fn mutants_of_evictions_are_caught() {
    assert_caught(&EVICTED_BUDGETS, "ChunkCountedTwice", Random, 20_000);
    assert_caught(&EVICTED_BUDGETS, "EarlierEvictionsIgnored", Random, 20_000);
    assert_caught(&EVICTED_BUDGETS, "RefundForgiven", Random, 5_000);
    assert_caught(&EVICTED_WINDOWS, "ChunkCountedTwice", Priorities, 5_000);
    assert_caught(&EVICTED_WINDOWS, "RefundForgiven", Random, 20_000);
    assert_caught(&EVICTED_BUDGETS, "ReceiptWithoutGeneration", Random, 20_000);
    assert_caught(&EVICTED_WINDOWS, "AgeNotCarried", Random, 20_000);
    assert_caught(&EVICTED_BUDGETS, "AgeNotCarried", Priorities, 20_000);
}
