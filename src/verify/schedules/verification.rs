//! Verifies an execution after all threads have ended: each contract separately, key by key.
//!
//! Linearizability is local: if the history of each key is linearizable, so is the whole history.

use super::budget::Budget;
use super::call::{Item, ThreadState};
use super::coverage::{self, CoveragePoint};
use super::fixture::{Fixture, fail};
use super::give_back::split_resets;
use super::layout::{HOUR, PolicyKind, WINDOW, WORDS};
use super::limits::LimitRegister;
use super::linearizability::{self, Specification};
use super::log::WindowShape;
use super::never_over::{self, Interval};
use super::window::Window;
use crate::{Now, PolicyId};
use std::fmt::Debug;

impl Fixture {
    /// Verifies all contracts.
    pub(super) fn verify(&self, state: &mut ThreadState) {
        for (policy, kind) in self.layout.policies.iter().enumerate() {
            assert_linearizable(
                &LimitRegister { initial: kind.limit() },
                self.history.limits_of(policy, self.layout.keys),
            );
        }
        let now = self.read_clock(false, state);
        if self.layout.allowance() > 0 {
            self.verify_evictions(now);
            return self.assert_no_violation();
        }
        for (policy, kind) in self.layout.policies.iter().enumerate() {
            for key in 0..self.layout.keys {
                self.peek_final_usage(policy, key, now);
                self.verify_key(policy, *kind, key);
            }
        }
        if self.layout.is_crowded() {
            self.ids.iter().for_each(|id| self.check_key_count(*id, now));
        }
        self.assert_no_violation();
        let renewed =
            |id: &PolicyId| self.limiter.stats(*id).is_ok_and(|stats| stats.migrations > 0);
        if self.layout.renews_by_age_only() && self.ids.iter().any(renewed) {
            coverage::count(CoveragePoint::RenewedByAge);
        }
    }

    /// Notes a violation if there are more keys than `max_keys` plus one for each charging thread.
    fn check_key_count(&self, id: PolicyId, now: u64) {
        let now = Now::from_unix_nanos(now);
        while !self.limiter.help_once(id, now) {}
        let stats = self.limiter.session_at(now).stats(id).expect("its policy");
        let max = self.max_keys + self.layout.threads;
        if stats.used_slots > max {
            self.note_violation("too many keys", (stats.used_slots, max));
        }
    }

    /// Peeks at the final usage of a key, and at the time when each unit of it expires.
    pub(super) fn peek_final_usage(&self, policy: usize, key: usize, now: u64) {
        let session = self.limiter.session_at(Now::from_unix_nanos(now));
        let limit = self.layout.policies[policy].max_limit();
        let peek = |cost| self.peek(&session, Item { policy, key, cost }, Some(limit));
        peek(1);
        let charge = self.ids[policy].charge(key as u64, 0).limit(limit);
        let used = limit - session.peek(&[charge]).remaining;
        if !self.layout.policies[policy].is_calendar() {
            (limit - used + 1..=limit).for_each(peek);
        }
    }

    /// Verifies the history of one key.
    fn verify_key(&self, policy: usize, kind: PolicyKind, key: usize) {
        let counter = self.counter(policy, key);
        let events = self.history.of(counter);
        let unit = self.unit(policy);
        let interval = self.interval(policy, kind);
        let (Interval::Window(length) | Interval::Period(length)) = interval;
        let excess = never_over::excess(interval, &events);
        if let Some(excess) = excess.filter(|_| !self.history.was_reset(counter)) {
            fail("over the limit", (excess, ordered(events)));
        }
        if kind.is_calendar() {
            return assert_linearizable(&Budget { period: length }, events);
        }
        let cell = match kind {
            PolicyKind::Buckets(_) => length.div_ceil(WORDS as u64 - 1),
            PolicyKind::Window(_) | PolicyKind::Hour(_) => 1,
        };
        let events = split_resets(events);
        let readings = self.history.readings().into_iter().map(|now| now / unit).collect();
        let shape = WindowShape { length, cell, words: WORDS };
        assert_linearizable(&Window::new(shape, readings, &events), events);
    }

    /// The interval over which a policy counts, in its units of time.
    pub(super) fn interval(&self, policy: usize, kind: PolicyKind) -> Interval {
        match kind {
            PolicyKind::Window(_) => Interval::Window(WINDOW),
            // One unit more, for the truncation of times to a coarser unit.
            PolicyKind::Buckets(_) => Interval::Window(WINDOW.div_ceil(self.unit(policy)) + 1),
            PolicyKind::Hour(_) => Interval::Period(HOUR),
        }
    }
}

/// Asserts that the events are linearizable.
fn assert_linearizable<R: Specification>(
    specification: &R,
    events: Vec<linearizability::Event<R::Step>>,
) where
    R::Step: Debug,
{
    if let Err(longest) = linearizability::linearize(specification, &events) {
        let progress = format!("at most {longest} of {} events", events.len());
        fail("not linearizable", (progress, ordered(events)));
    }
}

/// Sorts events by their invocation.
pub(super) fn ordered<S>(
    mut events: Vec<linearizability::Event<S>>,
) -> Vec<linearizability::Event<S>> {
    events.sort_by_key(|event| event.called);
    events
}
