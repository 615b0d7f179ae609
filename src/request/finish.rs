//! The third step of a request: count the outcome of each charge, and report the decision.

use crate::counter::NEVER;
use crate::decision::{Decision, PolicyStatus, Verdict};
use crate::engine::context::Context;
use crate::engine::item::Item;
use crate::engine::metrics::Event;

impl Context<'_> {
    /// Counts the items of a request whose prepared charges are all committed, and returns the decision.
    #[inline(always)]
    pub(super) fn finish_committed(
        &self,
        items: &[Item<'_>],
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        self.write_statuses(items, statuses);
        for item in items {
            item.charge.policy.count(Event::Admitted, self.shard);
        }
        let remaining = |item: &Item<'_>| item.charge.limit - item.outcome.used;
        self.report_fewest(items, remaining, false)
    }

    /// Counts the items of an allowed request and returns the decision.
    #[inline(never)]
    pub(super) fn finish_admitted(
        &self,
        items: &[Item<'_>],
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        self.write_statuses(items, statuses);
        for item in items {
            item.charge.policy.count(item.event(), self.shard);
        }
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
                item.charge.policy.count(item.event(), self.shard);
            }
        }
        self.report(items, statuses)
    }

    /// Writes the statuses and returns the decision. Counts nothing.
    #[inline(always)]
    pub(super) fn report(&self, items: &[Item<'_>], statuses: &mut [PolicyStatus]) -> Decision {
        self.write_statuses(items, statuses);
        match items.iter().find(|item| !item.outcome.admitted) {
            Some(first) => self.report_denied(first, items),
            None => self.report_allowed(items),
        }
    }

    #[inline(always)]
    fn write_statuses(&self, items: &[Item<'_>], statuses: &mut [PolicyStatus]) {
        for (status, item) in statuses.iter_mut().zip(items) {
            *status = item.status(self.now);
        }
    }

    /// Reports a request of which all items were admitted.
    #[inline(always)]
    fn report_allowed(&self, items: &[Item<'_>]) -> Decision {
        self.report_fewest(items, Item::remaining, items.iter().any(|item| item.table_full))
    }

    /// Reports the item with the fewest remaining units.
    #[inline(always)]
    fn report_fewest<'i>(
        &self,
        items: &[Item<'i>],
        remaining: impl Fn(&Item<'i>) -> u64,
        table_full: bool,
    ) -> Decision {
        let (mut fewest, mut least) = (u64::MAX, 0);
        for (index, item) in items.iter().enumerate() {
            let remaining = remaining(item);
            if remaining < fewest {
                (fewest, least) = (remaining, index);
            }
        }
        let Some(item) = items.get(least) else {
            return Decision::default();
        };
        Decision { table_full, ..item.decision(Verdict::Allowed, None, self.now) }
    }

    /// Reports the policy of the first item without room. The wait is the longest of all items. If
    /// any item can never fit, the verdict is `Impossible` and there is no wait.
    #[inline(always)]
    fn report_denied(&self, first: &Item<'_>, items: &[Item<'_>]) -> Decision {
        let mut longest = Some(0);
        for item in items.iter().filter(|item| !item.outcome.admitted) {
            if item.outcome.fits_at == NEVER {
                return first.decision(Verdict::Impossible, None, self.now);
            }
            longest = longest.zip(item.wait_ns(self.now)).map(|(longest, wait)| wait.max(longest));
        }
        first.decision(Verdict::Denied, longest, self.now)
    }
}
