//! Requests of one charge. A check does the three steps in registers.

use crate::counter::NEVER;
use crate::counter::prepared::PreparedCharge;
use crate::decision::{Decision, PolicyStatus, Verdict};
use crate::engine::metrics::Event;
use crate::engine::policy_state::PolicyState;
use crate::request::item::{Item, ResolvedCharge};
use crate::request::{Context, Mode, refused};
use crate::table::KeyId;
use crate::verify::path::{self, Path};

impl<'l> Context<'l> {
    /// Decides a peek, a forced charge, or a check with a status, of one charge.
    #[inline(never)]
    pub(super) fn decide_one(
        &self,
        charge: ResolvedCharge<'_>,
        mode: Mode,
        statuses: &mut [PolicyStatus],
    ) -> Decision {
        self.decide_items(&mut [Item::new(charge)], mode, statuses)
    }

    /// Fast path: known key, no contention. Everything else is in
    /// [`check_one_slow`](Self::check_one_slow).
    // Not inlined: one copy of this body is enough. Only the hash of the key is inlined into the
    // caller, which knows the kind of the key.
    #[inline(never)]
    pub(super) fn check_one(
        &self,
        policy: &'l PolicyState,
        key: KeyId,
        cost: u64,
        limit: u64,
    ) -> Decision {
        if cost > 0
            && let Some((evaluated, prepared)) =
                policy.evaluate(key, cost, limit, self.now, &self.guard)
            && prepared.is_none_or(PreparedCharge::commit)
        {
            path::count(Path::One);
            let mut item = Item::new(ResolvedCharge { policy, key, cost, limit });
            item.outcome = evaluated.outcome;
            return self.finish_one(&item);
        }
        self.check_one_slow(policy, key, cost, limit)
    }

    /// Slow path of [`check_one`](Self::check_one): new keys, lost commits, migrations, costs of 0.
    #[cold]
    #[inline(never)]
    fn check_one_slow(
        &self,
        policy: &'l PolicyState,
        key: KeyId,
        cost: u64,
        limit: u64,
    ) -> Decision {
        path::count(Path::OneFallback);
        let mut item = Item::new(ResolvedCharge { policy, key, cost, limit });
        match self.charge_item(&mut item, Mode::Check) {
            Ok(()) => self.finish_one(&item),
            Err(_) => {
                policy.count(Event::Refused, self.shard);
                refused(policy.id())
            }
        }
    }

    /// Counts the outcome of a request of one item, and returns its decision.
    #[inline(always)]
    fn finish_one(&self, item: &Item<'l>) -> Decision {
        let count = |event| item.charge.policy.count(event, self.shard);
        // Not by `Item::event`: that takes more instructions here.
        if item.outcome.admitted {
            count(if item.table_full { Event::Untracked } else { Event::Admitted });
            return item.decision(Verdict::Allowed, None, self.now);
        }
        count(Event::Denied);
        if item.outcome.fits_at == NEVER {
            item.decision(Verdict::Impossible, None, self.now)
        } else {
            item.decision(Verdict::Denied, item.wait_ns(self.now), self.now)
        }
    }
}
