//! The third step of a request: count the outcome of each charge, and report the decision.

use crate::counter::NEVER;
use crate::decision::{Decision, PolicyStatus, Verdict};
use crate::engine::context::Context;
use crate::engine::item::Item;
use crate::engine::policy_metrics::Scope;

impl Context<'_> {
    /// Counts the items of a request whose prepared charges are all committed, and returns the decision.
    #[inline(always)]
    pub(super) fn finish_committed(
        &self,
        items: &[Item<'_>],
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        if !statuses.is_empty() {
            self.write_statuses(items, statuses);
        }
        let Some((first, rest)) = items.split_first() else {
            return self.finish_empty();
        };
        let count = |item: &Item<'_>, scope| {
            item.charge.policy.count_admitted(item.charge.cost, scope, self.shard);
        };
        // The request is counted with its first charge.
        count(first, Scope::Request);
        rest.iter().for_each(|item| count(item, Scope::Charge));
        items[most_spent(first, rest)].committed_decision(self.now)
    }

    /// Counts a request without charges and returns the decision: allowed.
    #[cold]
    fn finish_empty(&self) -> Decision {
        self.policies.requests().count(Verdict::Allowed, self.shard);
        Decision::default()
    }

    /// Counts the items of an allowed request and returns the decision.
    #[inline(never)]
    pub(super) fn finish_admitted(
        &self,
        items: &[Item<'_>],
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        self.write_statuses(items, statuses);
        items.iter().for_each(|item| item.count(self.shard));
        self.policies.requests().count(Verdict::Allowed, self.shard);
        self.report_allowed(items)
    }

    /// Counts the items without room and returns the decision.
    ///
    /// If statuses are requested, it peeks again at the items with a prepared charge: their
    /// evaluations include their own cost, which was not charged.
    #[inline(never)]
    pub(super) fn finish_denied<'g>(
        &'g self,
        items: &mut [Item<'g>],
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        for item in items.iter_mut() {
            if item.prepared.is_some() && !statuses.is_empty() {
                item.outcome = self.peek(&item.charge, item.charge.cost);
            }
            if !item.outcome.admitted {
                item.count(self.shard);
            }
        }
        let decision = self.report(items, statuses);
        self.policies.requests().count(decision.verdict, self.shard);
        decision
    }

    /// Writes the statuses and returns the decision. Counts nothing.
    #[inline(always)]
    pub(super) fn report(&self, items: &[Item<'_>], statuses: &mut [PolicyStatus]) -> Decision {
        self.write_statuses(items, statuses);
        match items.iter().find(|item| !item.passes()) {
            Some(first) => self.report_denied(first, items),
            None => self.report_allowed(items),
        }
    }

    #[inline(never)]
    fn write_statuses(&self, items: &[Item<'_>], statuses: &mut [PolicyStatus]) {
        for (status, item) in statuses.iter_mut().zip(items) {
            *status = item.status(self.now);
        }
    }

    /// Reports a request that passed all items: an enforced policy, if the request has one.
    #[inline(always)]
    fn report_allowed(&self, items: &[Item<'_>]) -> Decision {
        let is_enforced = |item: &&Item<'_>| !item.charge.policy.is_dry_run();
        let most_spent = |most, item| {
            if Spent::new(item).is_more_than(Spent::new(most)) { item } else { most }
        };
        let enforced = items.iter().filter(is_enforced).reduce(most_spent);
        match enforced.or_else(|| items.iter().reduce(most_spent)) {
            Some(item) => {
                let table_full = items.iter().any(|item| item.table_full);
                Decision { table_full, ..item.decision(Verdict::Allowed, None, self.now) }
            }
            None => Decision::default(),
        }
    }

    /// Reports the policy of the first item without room. The wait is the longest of all items, without
    /// those of dry runs. If any of them can never fit, the verdict is `Impossible` and there is no wait.
    #[inline(always)]
    fn report_denied(&self, first: &Item<'_>, items: &[Item<'_>]) -> Decision {
        let mut longest = Some(0);
        for item in items.iter().filter(|item| !item.passes()) {
            if item.outcome.fits_at == NEVER {
                return first.decision(Verdict::Impossible, None, self.now);
            }
            longest = longest.zip(item.wait_ns(self.now)).map(|(longest, wait)| wait.max(longest));
        }
        first.decision(Verdict::Denied, longest, self.now)
    }
}

/// The used part of a limit.
#[derive(Clone, Copy, Debug)]
struct Spent {
    /// At most the limit.
    used: u64,
    /// Not 0.
    limit: u64,
}

impl Spent {
    fn new(item: &Item<'_>) -> Self {
        match item.charge.limit {
            // A limit of 0 counts as used up.
            0 => Spent { used: 1, limit: 1 },
            limit => Spent { used: item.outcome.used.min(limit), limit },
        }
    }

    /// Compares the shares of the two limits.
    #[inline(always)]
    fn is_more_than(self, other: Spent) -> bool {
        // Cross multiplication is exact.
        let product = |used: u64, limit: u64| u128::from(used) * u128::from(limit);
        product(self.used, other.limit) > product(other.used, self.limit)
    }
}

/// The index of the item with the greatest share of its limit used, which is the one with the least share
/// left; of several, the first. All prepared charges are committed.
// An index, since the compiler selects a reference field by field.
#[inline(always)]
fn most_spent(first: &Item<'_>, rest: &[Item<'_>]) -> usize {
    // Every charge had room, so no usage is above its limit. No cost is 0, so no limit is.
    let spent = |item: &Item<'_>| Spent { used: item.outcome.used, limit: item.charge.limit };
    let (mut index, mut most) = (0, spent(first));
    for (next, item) in (1..).zip(rest) {
        let spent = spent(item);
        if spent.is_more_than(most) {
            (index, most) = (next, spent);
        }
    }
    index
}
