//! When all is over: each contract for itself, key by key. An order that explains each key explains
//! them all.

use super::back::charge_by_charge;
use super::budget::Budget;
use super::entries::{self, Entry};
use super::layout::{HOUR, Kind, WINDOW, WORDS};
use super::limits::Limits;
use super::linear::{self, Rules};
use super::log::Measure;
use super::never_over::{self, Time};
use super::plan::{Line, Memory};
use super::scene::{Scene, fault};
use super::window::Window;
use crate::{Now, PolicyId};
use std::fmt::Debug;

impl Scene {
    pub(super) fn judge(&self, memory: &mut Memory) {
        for (policy, kind) in self.layout.policies.iter().enumerate() {
            explain(
                &Limits { first: kind.limit() },
                self.history.limits_of(policy, self.layout.keys),
            );
        }
        let now = self.reading(false, memory);
        if self.layout.allowance() > 0 {
            self.judge_evictions(now);
            return self.assert_no_complaint();
        }
        for (policy, kind) in self.layout.policies.iter().enumerate() {
            for key in 0..self.layout.keys {
                self.audit(policy, key, now);
                self.judge_key(policy, *kind, key);
            }
        }
        if self.layout.is_crowded() {
            self.ids.iter().for_each(|id| self.assert_keys_bounded(*id, now));
        }
        self.assert_no_complaint();
        let renewed = |id: &PolicyId| self.limiter.stats(*id).is_ok_and(|is| is.migrations > 0);
        if self.layout.renews_by_age_only() && self.ids.iter().any(renewed) {
            entries::count(Entry::RenewedByAge);
        }
    }

    /// There are no more keys than `max_keys`, give or take one for each thread that charges.
    fn assert_keys_bounded(&self, id: PolicyId, now: u64) {
        let now = Now::from_unix_nanos(now);
        while !self.limiter.help_once(id, now) {}
        let stats = self.limiter.session_at(now).stats(id).expect("its policy");
        let most = self.max_keys + self.layout.threads;
        if stats.used_slots > most {
            self.complain("too many keys", (stats.used_slots, most));
        }
    }

    /// Looks at what is left in the end: how much, and when each unit of it passes.
    pub(super) fn audit(&self, policy: usize, key: usize, now: u64) {
        let session = self.limiter.session_at(Now::from_unix_nanos(now));
        let limit = self.layout.policies[policy].max_limit();
        let look = |cost| self.peek(&session, Line { policy, key, cost }, Some(limit));
        look(1);
        let charge = self.ids[policy].charge(key as u64, 0).limit(limit);
        let used = limit - session.peek(&[charge]).remaining;
        if !self.layout.policies[policy].is_calendar() {
            (limit - used + 1..=limit).for_each(look);
        }
    }

    fn judge_key(&self, policy: usize, kind: Kind, key: usize) {
        let counter = self.counter(policy, key);
        let events = self.history.of(counter);
        let unit = self.unit(policy);
        let time = self.time(policy, kind);
        let (Time::Window(length) | Time::Period(length)) = time;
        let excess = never_over::excess(time, &events);
        if let Some(excess) = excess.filter(|_| !self.history.was_reset(counter)) {
            fault("over the limit", (excess, ordered(events)));
        }
        if kind.is_calendar() {
            return explain(&Budget { period: length }, events);
        }
        let cell = match kind {
            Kind::Buckets(_) => length.div_ceil(WORDS as u64 - 1),
            _ => 1,
        };
        let events = charge_by_charge(events);
        let readings = self.history.readings().into_iter().map(|now| now / unit).collect();
        let measure = Measure { length, cell, words: WORDS };
        explain(&Window::new(measure, readings, &events), events);
    }

    /// How a policy counts, in its units.
    pub(super) fn time(&self, policy: usize, kind: Kind) -> Time {
        match kind {
            Kind::Window(_) => Time::Window(WINDOW),
            // What a coarser unit cuts off is added.
            Kind::Buckets(_) => Time::Window(WINDOW.div_ceil(self.unit(policy)) + 1),
            Kind::Hour(_) => Time::Period(HOUR),
        }
    }
}

fn explain<R: Rules>(rules: &R, events: Vec<linear::Event<R::Step>>)
where
    R::Step: Debug,
{
    if let Err(placed) = linear::explain(rules, &events) {
        let most = format!("{placed} of {} events at the most", events.len());
        fault("no order explains the answers", (most, ordered(events)));
    }
}

pub(super) fn ordered<S>(mut events: Vec<linear::Event<S>>) -> Vec<linear::Event<S>> {
    events.sort_by_key(|event| event.called);
    events
}
