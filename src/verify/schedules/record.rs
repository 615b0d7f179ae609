//! Translates the answer of a call to the steps that must have happened to each of its keys.

use super::call::Item;
use super::coverage::{self, CoveragePoint};
use super::fixture::{Fixture, fail};
use super::history::Completed;
use super::step::{Charge, GiveBack, Reported, Source, Step};
use crate::{Decision, PolicyStatus, Verdict};
use std::time::Duration;

/// The answer to a request about one of its items.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answer {
    /// Whether the item had no room. `None` if the call does not report it.
    pub(super) violated: Option<bool>,
    pub(super) reported: Option<Reported>,
    /// Whether the wait is the longest over several policies.
    pub(super) shared: bool,
    /// Whether the item was allowed without being counted because the table was full.
    pub(super) uncounted: bool,
    /// Whether it was charged whatever the usage is.
    pub(super) forced: bool,
}

fn time_after(now: u64, wait: Duration) -> u64 {
    now + wait.as_nanos() as u64
}

impl Fixture {
    /// The numbers that a decision reports about `item`.
    pub(super) fn reported(&self, done: Completed, item: Item, decision: &Decision) -> Reported {
        let now = done.span.now;
        let reported = Reported {
            limit: decision.limit,
            remaining: decision.remaining,
            fits_at: decision.retry_after().map(|wait| time_after(now, wait)),
            clear_at: time_after(now, decision.reset_after()),
        };
        reported.in_units(self.unit(item.policy))
    }

    /// The numbers that a status reports about `item`.
    fn reported_by_status(&self, done: Completed, item: Item, status: &PolicyStatus) -> Reported {
        let now = done.span.now;
        let reported = Reported {
            limit: status.limit,
            remaining: status.remaining,
            fits_at: status.retry_after().map(|wait| time_after(now, wait)),
            clear_at: time_after(now, status.reset_after()),
        };
        reported.in_units(self.unit(item.policy))
    }

    pub(super) fn record(
        &self,
        done: Completed,
        item: Item,
        steps: impl IntoIterator<Item = Step>,
    ) {
        self.history.record(self.counter(item.policy, item.key), done, steps);
    }

    /// A charge of `item`, for a reservation if one is given. Without a limit if `forced`.
    pub(super) fn charge_of(
        &self,
        done: Completed,
        item: Item,
        reported: Option<Reported>,
        reservation: Option<usize>,
        forced: bool,
    ) -> Charge {
        let span = done.span.in_units(self.unit(item.policy));
        let greatest = self.layout.greatest_limit(item.policy);
        let limit = (!forced).then(|| reported.map_or(greatest, |reported| reported.limit));
        Charge {
            number: self.history.number(),
            span,
            cost: item.cost,
            limit,
            reported,
            reservation,
        }
    }

    /// Records the answer to a peek at one key.
    pub(super) fn record_peek(&self, done: Completed, item: Item, decision: &Decision) {
        let reported = self.reported(done, item, decision);
        let span = done.span.in_units(self.unit(item.policy));
        let step = match decision.verdict {
            Verdict::Allowed => Step::Room { span, cost: item.cost, reported },
            Verdict::Denied | Verdict::Impossible => {
                Step::Denied { span, cost: item.cost, reported, shared: false }
            }
            Verdict::TableFull => fail("a peek that needs a slot", decision),
            Verdict::Invalid => fail("an invalid request", decision),
        };
        self.record(done, item, [step]);
    }

    /// The steps of a request of one charge.
    pub(super) fn steps_of_single_check(
        &self,
        done: Completed,
        item: Item,
        decision: &Decision,
    ) -> Vec<Step> {
        let reported = Some(self.reported(done, item, decision));
        match decision.verdict {
            Verdict::Allowed => {
                let uncounted = decision.table_full;
                let answer = Answer { reported, uncounted, ..Answer::default() };
                self.steps_of_allowed(done, item, &answer, None)
            }
            Verdict::Denied | Verdict::Impossible => {
                let answer = Answer { violated: Some(true), reported, ..Answer::default() };
                self.steps_of_denied(done, item, &answer)
            }
            Verdict::TableFull => vec![self.refused_step(done, item)],
            Verdict::Invalid => fail("an invalid request", decision),
        }
    }

    /// Records the answer to a request that reports the status of every policy.
    pub(super) fn record_with_statuses(
        &self,
        done: Completed,
        items: &[Item],
        decision: &Decision,
        statuses: &[PolicyStatus],
        reservation: Option<usize>,
    ) {
        let answers: Vec<_> = items
            .iter()
            .zip(statuses)
            .map(|(item, status)| Answer {
                violated: Some(status.violated),
                reported: Some(self.reported_by_status(done, *item, status)),
                uncounted: status.table_full,
                ..Answer::default()
            })
            .collect();
        self.record_decision(done, items, decision, &answers, reservation);
    }

    /// Records the answer to a request that reports one policy only. A denial reports the first
    /// policy without room, and the longest wait over all.
    pub(super) fn record_without_statuses(
        &self,
        done: Completed,
        items: &[Item],
        decision: &Decision,
        reservation: Option<usize>,
    ) {
        let reported_index = self.reported_index(items, decision);
        let answer = |index: usize| {
            let reported =
                (index == reported_index).then(|| self.reported(done, items[index], decision));
            let violated = (index <= reported_index).then_some(index == reported_index);
            // With several items, the decision does not show which of them was not counted.
            let uncounted = decision.table_full && items.len() == 1;
            Answer {
                violated,
                reported,
                shared: reported_index + 1 < items.len(),
                uncounted,
                forced: false,
            }
        };
        let answers: Vec<_> = (0..items.len()).map(answer).collect();
        self.record_decision(done, items, decision, &answers, reservation);
    }

    /// Records the answer to an extension, which reports one policy only. `uncounted` marks the
    /// items that were not counted.
    pub(super) fn record_extension(
        &self,
        done: Completed,
        items: &[Item],
        decision: &Decision,
        uncounted: &[bool],
        reservation: usize,
    ) {
        if decision.is_allowed() && decision.table_full {
            let reported_index = self.reported_index(items, decision);
            for (index, (item, uncounted)) in items.iter().zip(uncounted).enumerate() {
                let reported =
                    (index == reported_index).then(|| self.reported(done, *item, decision));
                let answer = Answer { reported, uncounted: *uncounted, ..Answer::default() };
                let steps = self.steps_of_allowed(done, *item, &answer, Some(reservation));
                self.record(done, *item, steps);
            }
            return;
        }
        self.record_without_statuses(done, items, decision, Some(reservation));
    }

    /// The index of the item that a decision reports.
    pub(super) fn reported_index(&self, items: &[Item], decision: &Decision) -> usize {
        let index = items.iter().position(|item| self.ids[item.policy] == decision.policy);
        index.unwrap_or_else(|| fail("a decision about another policy", decision))
    }

    /// Records a decision with the answer about each item.
    pub(super) fn record_decision(
        &self,
        done: Completed,
        items: &[Item],
        decision: &Decision,
        answers: &[Answer],
        reservation: Option<usize>,
    ) {
        match decision.verdict {
            Verdict::Allowed => {
                for (item, answer) in items.iter().zip(answers) {
                    let steps = self.steps_of_allowed(done, *item, answer, reservation);
                    self.record(done, *item, steps);
                }
            }
            Verdict::Denied | Verdict::Impossible => self.record_denial(done, items, answers),
            Verdict::TableFull => {
                self.record_table_full(done, items, self.reported_index(items, decision), false);
            }
            Verdict::Invalid => fail("an invalid request", decision),
        }
    }

    /// The steps of an item of an allowed request.
    pub(super) fn steps_of_allowed(
        &self,
        done: Completed,
        item: Item,
        answer: &Answer,
        reservation: Option<usize>,
    ) -> Vec<Step> {
        let span = done.span.in_units(self.unit(item.policy));
        let Answer { reported, uncounted, forced, .. } = *answer;
        let (cost, seen) = (item.cost, reported.map(|reported| Step::Observed { span, reported }));
        let room = reported.map(|reported| Step::Room { span, cost, reported });
        match () {
            () if uncounted => {
                let found = if forced { seen } else { room };
                [self.uncounted_step(done, item)].into_iter().chain(found).collect()
            }
            () if cost > 0 => {
                vec![Step::Charge(self.charge_of(done, item, reported, reservation, forced))]
            }
            () => room.into_iter().collect(),
        }
    }

    fn steps_of_denied(&self, done: Completed, item: Item, answer: &Answer) -> Vec<Step> {
        let span = done.span.in_units(self.unit(item.policy));
        let Answer { reported, shared, .. } = *answer;
        reported
            .map(|reported| Step::Denied { span, cost: item.cost, reported, shared })
            .into_iter()
            .collect()
    }

    /// Records a denied request, which has charged nothing in the end.
    ///
    /// The first item without room may have lost a race for it. Then the items before it were
    /// charged and rolled back. If statuses were requested, the items after it were peeked at again,
    /// and may have had no room.
    fn record_denial(&self, done: Completed, items: &[Item], answers: &[Answer]) {
        let violated = |answer: &Answer| answer.violated == Some(true);
        let first = answers.iter().position(violated);
        let first = first.unwrap_or_else(|| {
            fail("a denial that reports no item without room", (items, answers))
        });
        for (index, (item, answer)) in items.iter().zip(answers).enumerate() {
            let span = done.span.in_units(self.unit(item.policy));
            let Answer { violated, reported, uncounted, .. } = *answer;
            match (violated, reported) {
                (Some(true), _) => {
                    let steps = self.steps_of_denied(done, *item, answer);
                    self.record(done, *item, steps);
                }
                (Some(false), Some(reported)) if uncounted => {
                    let room = Step::Room { span, cost: item.cost, reported };
                    self.record(done, *item, [self.uncounted_step(done, *item), room]);
                }
                (Some(false), reported) if index < first && item.cost > 0 => {
                    self.record_tentative(done, *item, reported, false);
                }
                (Some(false), Some(reported)) => {
                    self.record(done, *item, [Step::Room { span, cost: item.cost, reported }]);
                }
                _ => {}
            }
        }
    }

    /// Records a request that was refused because the table of one policy was full. The items
    /// before it may have been charged and rolled back.
    pub(super) fn record_table_full(
        &self,
        done: Completed,
        items: &[Item],
        full: usize,
        forced: bool,
    ) {
        for item in &items[..full] {
            if item.cost > 0 {
                self.record_tentative(done, *item, None, forced);
            }
        }
        let step = self.refused_step(done, items[full]);
        self.record(done, items[full], [step]);
    }

    /// Records a charge that may have been made and rolled back.
    fn record_tentative(
        &self,
        done: Completed,
        item: Item,
        reported: Option<Reported>,
        forced: bool,
    ) {
        let mut charge = self.charge_of(done, item, reported, None, forced);
        charge.reservation = Some(charge.number);
        let Charge { number: reservation, span, .. } = charge;
        let give_back = GiveBack {
            reservation,
            source: Source::Reservation,
            amount: item.cost,
            span,
            completed_before: done.completed_before,
        };
        let takes = (1..item.cost).map(|_| Step::GiveBackPart(give_back));
        self.record(
            done,
            item,
            [Step::Tentative(charge)]
                .into_iter()
                .chain(takes)
                .chain([Step::GiveBackEnd(give_back)]),
        );
    }

    /// The step of a new key that was refused because the table was full.
    pub(super) fn refused_step(&self, done: Completed, item: Item) -> Step {
        coverage::count(CoveragePoint::Refused);
        if self.layout.allows_uncounted() {
            fail("refused although the policy allows new keys", item);
        }
        self.table_full_step(done, item)
    }

    /// The step of a new key that was allowed without being counted because the table was full.
    pub(super) fn uncounted_step(&self, done: Completed, item: Item) -> Step {
        coverage::count(CoveragePoint::Uncounted);
        if !self.layout.allows_uncounted() {
            fail("allowed uncounted although the policy refuses new keys", item);
        }
        self.table_full_step(done, item)
    }

    /// The step of a call that found the table full. Fails unless enough other keys may have been
    /// charged to fill it.
    fn table_full_step(&self, done: Completed, item: Item) -> Step {
        let keys = self.layout.keys;
        let other_keys = self.history.other_keys(self.counter(item.policy, item.key), keys, done);
        if other_keys < self.max_keys {
            fail("the table was not full", (item, other_keys, self.max_keys));
        }
        Step::TableFull { span: done.span.in_units(self.unit(item.policy)) }
    }
}
