//! Calls that check or charge, through each public entry point.

use super::call::{Call, Item, MAX_BATCH, ThreadState};
use super::coverage::{self, CoveragePoint};
use super::fixture::{Fixture, fail};
use super::history::Completed;
use super::layout::MAX_POLICIES;
use super::record::Answer;
use crate::{Decision, Now, PolicyStatus, Session, Verdict};

impl Fixture {
    /// Checks a request of one charge.
    pub(super) fn check(&self, session: &Session<'_>, call: &Call, state: &mut ThreadState) {
        let items = self.items(call, false);
        let charges = self.charges(&items);
        let invocation = self.invoke_charge(session, &items);
        let mut statuses = [PolicyStatus::default(); MAX_POLICIES];
        let (point, decision) = match call.entry_point {
            0 => (CoveragePoint::Check, session.check(&charges)),
            1 => {
                let now = Now::from_unix_nanos(session.now().unix_ns);
                (CoveragePoint::CheckAt, self.limiter.check_at(now, &charges))
            }
            2 => {
                let mut decisions = [Decision::default(); 2];
                session.check_many(&charges, &mut decisions);
                (CoveragePoint::CheckManyOfOne, decisions[0])
            }
            _ => (
                CoveragePoint::CheckWithStatusOfOne,
                session.check_with_status(&charges, &mut statuses),
            ),
        };
        let done = self.history.finish(invocation);
        coverage::count(point);
        if point == CoveragePoint::CheckWithStatusOfOne {
            self.record_with_statuses(done, &items, &decision, &statuses, None);
        } else {
            self.record_without_statuses(done, &items, &decision, None);
        }
        self.note_refundable(&items, &decision, decision.table_full, state);
    }

    /// Checks a request with one charge for each policy.
    pub(super) fn check_all(&self, session: &Session<'_>, call: &Call, state: &mut ThreadState) {
        let items = self.items(call, true);
        let charges = self.charges(&items);
        let invocation = self.invoke_charge(session, &items);
        // If a charge may be uncounted, only the statuses show which one.
        if call.entry_point == 0 && !self.layout.allows_uncounted() {
            let decision = session.check(&charges);
            let done = self.history.finish(invocation);
            coverage::count(CoveragePoint::CheckAll);
            self.record_without_statuses(done, &items, &decision, None);
            return self.note_refundable(&items, &decision, false, state);
        }
        let mut statuses = [PolicyStatus::default(); MAX_POLICIES];
        let decision = session.check_with_status(&charges, &mut statuses);
        let done = self.history.finish(invocation);
        coverage::count(CoveragePoint::CheckAllWithStatus);
        self.record_with_statuses(done, &items, &decision, &statuses, None);
        for (item, status) in items.iter().zip(&statuses) {
            self.note_refundable(&[*item], &decision, status.table_full, state);
        }
    }

    /// Checks several requests of one charge each in one call. They are decided in order.
    pub(super) fn check_many(&self, session: &Session<'_>, call: &Call, state: &mut ThreadState) {
        let items = &call.batch[..call.batch_len];
        let mut decisions = [Decision::default(); MAX_BATCH];
        let invocation = self.invoke_charge(session, items);
        let allowed = session.check_many(&self.charges(items), &mut decisions);
        let done = self.history.finish(invocation);
        coverage::count(CoveragePoint::CheckMany);
        let decisions = &decisions[..items.len()];
        if allowed != decisions.iter().filter(|decision| decision.is_allowed()).count() {
            self.note_violation("the number of allowed requests is wrong", decisions);
        }
        let counter = |item: &Item| self.counter(item.policy, item.key);
        for (index, item) in items.iter().enumerate() {
            self.note_refundable(&[*item], &decisions[index], decisions[index].table_full, state);
            if items[..index].iter().any(|before| counter(before) == counter(item)) {
                continue;
            }
            // All requests of this key, in their order.
            let same =
                items.iter().zip(decisions).filter(|(other, _)| counter(other) == counter(item));
            let steps: Vec<_> = same
                .flat_map(|(item, decision)| self.steps_of_single_check(done, *item, decision))
                .collect();
            self.record(done, *item, steps);
        }
    }

    /// Charges one policy or all of them, whatever the usage is.
    pub(super) fn force(&self, session: &Session<'_>, call: &Call, state: &mut ThreadState) {
        let all = call.coin && !self.layout.allows_uncounted();
        let items = self.items(call, all);
        let invocation = self.invoke_charge(session, &items);
        let decision = session.force_charge(&self.charges(&items));
        let done = self.history.finish(invocation);
        coverage::count(CoveragePoint::ForceCharge);
        self.record_forced(done, &items, &decision);
        self.note_refundable(&items, &decision, decision.table_full, state);
    }

    /// Records the answer to a forced charge.
    fn record_forced(&self, done: Completed, items: &[Item], decision: &Decision) {
        let reported_index = self.reported_index(items, decision);
        match decision.verdict {
            Verdict::Allowed => {}
            Verdict::TableFull => return self.record_table_full(done, items, reported_index, true),
            _ => fail("a forced charge was denied", decision),
        }
        for (index, item) in items.iter().enumerate() {
            let reported = (index == reported_index).then(|| self.reported(done, *item, decision));
            let uncounted = decision.table_full;
            let answer = Answer { reported, uncounted, forced: true, ..Answer::default() };
            let steps = self.steps_of_allowed(done, *item, &answer, None);
            self.record(done, *item, steps);
        }
    }

    /// Notes the charges that may be refunded later.
    fn note_refundable(
        &self,
        items: &[Item],
        decision: &Decision,
        uncounted: bool,
        state: &mut ThreadState,
    ) {
        if decision.is_allowed() && !uncounted {
            state.refundable.extend(items.iter().map(|item| (item.policy, item.key, item.cost)));
        }
    }
}
