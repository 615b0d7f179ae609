//! Checks of decisions and their statuses, and the record of what each request charged.

use super::oracle::{ExpectedStatus, Item, answer, combine, reported_status};
use super::oracle_pair::Bounds;
use super::system::{MAX_ITEMS, System, Usage, cover};
use tollgate::{Charge, Decision, PolicyStatus, Verdict};

impl System {
    /// Returns which items a dry run lets pass for lack of room under the limit. A peek before the request
    /// shows it.
    pub(super) fn passed(&self, now: u64, items: &[Item]) -> Vec<bool> {
        let mut statuses = [PolicyStatus::default(); MAX_ITEMS];
        let statuses = &mut statuses[..items.len()];
        if items.iter().any(|item| self.config.policies[item.0].dry_run) {
            let _ = self.at(now).inner().peek_with_status(&self.charges(items), statuses);
        }
        statuses.iter().map(|status| reported_status(status).is_passed()).collect()
    }

    /// Checks an allowed request whose charges are recorded already. `before` has the bounds before it.
    pub(super) fn assert_allowed(
        &self,
        now: u64,
        items: &[Item],
        before: &[Bounds],
        decision: &Decision,
        statuses: &[PolicyStatus],
    ) {
        let after = self.oracles.after(now, items);
        for (status, (before, after)) in statuses.iter().zip(before.iter().zip(after)) {
            let reported = reported_status(status);
            assert!(!reported.violated || reported.dry_run, "allowed, but violated: {reported:?}");
            if reported.violated && status.table_full {
                assert_eq!(reported.retry_after, None, "a wait for a full table");
            } else if reported.dry_run {
                before.assert_room(&reported);
            }
            after.assert_contains(&ExpectedStatus {
                violated: false,
                retry_after: None,
                ..reported
            });
        }
        self.assert_reported(now, items, decision, statuses);
    }

    /// Checks a decision against the statuses reported with it.
    fn assert_reported(
        &self,
        now: u64,
        items: &[Item],
        decision: &Decision,
        statuses: &[PolicyStatus],
    ) {
        let reported: Vec<ExpectedStatus> = statuses.iter().map(reported_status).collect();
        assert_eq!(
            answer(decision),
            combine(items, &reported),
            "the decision differs from its statuses"
        );
        let policies = statuses.iter().map(|status| status.policy.index());
        assert!(policies.eq(items.iter().map(|item| item.0)));
        self.assert_waits(now, items, decision);
        for (item, status) in items.iter().zip(statuses) {
            let same = items.iter().filter(|other| (other.0, other.1) == (item.0, item.1));
            if same.count() == 1 && status.dry_run {
                self.assert_dry_run_wait(now, item, status);
            }
        }
    }

    /// Checks the waits: denied before `retry_after` and admitted at it; something is used before
    /// `reset_after` and nothing at it.
    fn assert_waits(&self, now: u64, items: &[Item], decision: &Decision) {
        let peek = |at: u64, charges: &[Charge<'_>]| self.at(at).inner().peek(charges);
        if let Some(wait) = decision.retry_after_ns {
            let charges = self.charges(items);
            assert!(!peek(now + wait - 1, &charges).is_allowed(), "room before retry_after");
            assert!(peek(now + wait, &charges).is_allowed(), "no room at retry_after");
        }
        let first = items.iter().find(|item| item.0 == decision.policy.index());
        let alone = items.iter().filter(|item| item.0 == decision.policy.index()).count() == 1;
        let (Some(item), true) = (first, alone) else { return };
        let used = |at| self.used(at, item.0, item.1);
        let reset = decision.reset_after_ns;
        assert_eq!(used(now + reset), 0, "something is used at reset_after");
        assert!(reset == 0 || used(now + reset - 1) > 0, "nothing is used before reset_after");
    }

    /// Checks that an item of a dry run has no room before its wait, and room after it.
    fn assert_dry_run_wait(&self, now: u64, item: &Item, status: &PolicyStatus) {
        let Some(wait) = status.retry_after_ns else { return };
        assert!(!self.passed(now + wait, &[*item])[0], "no room at retry_after");
        assert!(self.passed(now + wait - 1, &[*item])[0], "room before retry_after");
    }

    /// The items as they were counted. A full table with `Overflow::Allow`, or under a dry run, counts
    /// nothing of a new key.
    pub(super) fn counted(
        &self,
        now: u64,
        items: &[Item],
        decision: &Decision,
        before: &Usage,
    ) -> Vec<Item> {
        let mut after = if decision.table_full { self.usage(now, items) } else { Usage::new() };
        let counted = |&(rule, key, cost, limit): &Item| {
            let Some(used) = after.get_mut(&(rule, key)).filter(|_| cost > 0) else {
                return (rule, key, cost, limit);
            };
            let counted = (*used - before[&(rule, key)]).min(cost);
            let may_pass = self.tables.allows_overflow(rule) || self.config.policies[rule].dry_run;
            assert!(counted == cost || may_pass, "{items:?}");
            *used -= counted;
            cover(|coverage| coverage.untracked += u64::from(counted == 0));
            (rule, key, counted, limit)
        };
        items.iter().map(counted).collect()
    }

    /// The usage before a request, if it is needed to determine what the request charged.
    pub(super) fn usage_before(&self, now: u64, items: &[Item]) -> Usage {
        let may_differ = |rule: usize| {
            let dry_run = self.config.policies[rule].dry_run;
            dry_run || self.tables.allows_overflow(rule) || self.tables.evicts(rule)
        };
        let may_differ = items.iter().any(|item| may_differ(item.0));
        if may_differ { self.usage(now, items) } else { Usage::new() }
    }

    /// Checks and records a decided request. A dry run lets the `passed` items pass.
    pub(super) fn record_decision(
        &mut self,
        now: u64,
        items: &[Item],
        passed: &[bool],
        decision: &Decision,
        statuses: &[PolicyStatus],
        before: &Usage,
    ) {
        let bounds = self.oracles.before(now, items, passed);
        self.requests.count(decision.verdict);
        match decision.verdict {
            Verdict::Allowed => {
                let room = bounds.iter().all(|bounds| bounds.may_pass());
                assert!(room, "admitted what the log of all admissions denies: {items:?}");
                let charged = items.iter().zip(statuses).map(|(item, status)| {
                    (item.0, item.1, if status.violated { 0 } else { item.2 }, item.3)
                });
                let charged: Vec<Item> = charged.collect();
                let counted = self.counted(now, &charged, decision, before);
                for (item, status) in counted.iter().zip(statuses) {
                    if status.violated {
                        self.record_passed(now, item, status);
                    } else {
                        self.tables.admitted_or_untracked(item.0, item.2);
                    }
                }
                counted.iter().for_each(|item| self.oracles.charge(now, item));
                self.assert_allowed(now, items, &bounds, decision, statuses);
                cover(|coverage| coverage.admitted += 1);
            }
            Verdict::Denied | Verdict::Impossible => {
                let reported = statuses.iter().map(reported_status);
                bounds.iter().zip(reported).for_each(|(bounds, one)| bounds.assert_contains(&one));
                self.assert_reported(now, items, decision, statuses);
                for status in statuses.iter().filter(|status| status.violated) {
                    self.tables.denied(status.policy.index(), status);
                }
                cover(|coverage| coverage.denied += 1);
            }
            Verdict::TableFull => self.refused(now, items, passed, decision),
            verdict => panic!("{verdict:?} of a valid request: {items:?}"),
        }
    }

    /// Records an item that a dry run let pass uncharged.
    pub(super) fn record_passed(&mut self, now: u64, item: &Item, status: &PolicyStatus) {
        if status.table_full {
            self.passed_full(now, item);
        } else {
            self.tables.denied(item.0, status);
        }
        cover(|coverage| coverage.passed += 1);
    }

    /// Records a new key that passed the full table of a dry run.
    pub(super) fn passed_full(&mut self, now: u64, item: &Item) {
        assert!(self.config.policies[item.0].dry_run, "passed uncharged: {item:?}");
        self.assert_new_key_has_no_slot(now, item);
        self.tables.refused(now, item.0);
    }

    fn assert_new_key_has_no_slot(&self, now: u64, item: &Item) {
        let (rule, key) = (item.0, item.1);
        let (live, _) = self.oracles.live(rule, now);
        assert_eq!(self.oracles.early.used(rule, key, now), 0, "a known key is refused");
        self.tables.assert_full(rule, &self.stats(now, rule), live);
        self.assert_no_room(now, rule);
    }

    /// Records a refused new key: nothing is charged, and earlier items were rolled back.
    pub(super) fn refused(
        &mut self,
        now: u64,
        items: &[Item],
        passed: &[bool],
        decision: &Decision,
    ) {
        let rule = decision.policy.index();
        assert!(!self.config.policies[rule].dry_run, "a dry run has refused {items:?}");
        let index = items.iter().position(|item| item.0 == rule && item.2 > 0).unwrap();
        self.assert_new_key_has_no_slot(now, &items[index]);
        for (item, _) in items[..index].iter().zip(passed).filter(|(_, passed)| !**passed) {
            self.oracles.touch(now, item);
        }
        self.tables.refused(now, rule);
        cover(|coverage| coverage.refused += 1);
    }

    /// Checks the answer to a request whose charges are recorded already.
    pub(super) fn assert_charged(&self, now: u64, items: &[Item], decision: &Decision) {
        assert_eq!(decision.verdict, Verdict::Allowed);
        if self.oracles.all_exact(now, items) {
            assert_eq!(answer(decision), self.oracles.early.answer_after(now, items), "{items:?}");
        }
    }
}
