//! One policy at run time: its current limit, its time scale, its table of counters, and its statistics.

use crate::charge::{Charge, PolicyId};
use crate::clock::Now;
use crate::counter::{ChargeArgs, Outcome};
use crate::decision::Decision;
use crate::engine::context::Context;
use crate::engine::counter_table::{CounterTable, PolicyCounter, with_table};
use crate::engine::fast_path::{FastPath, check_slow};
use crate::engine::policy_metrics::{Event, PolicyMetrics, Scope};
use crate::error::ConfigError;
use crate::policy::overflow::Overflow;
use crate::policy::{Plan, Policy};
use crate::reclaim::Guard;
use crate::stats::{RequestStats, Stats};
use crate::sync::shard::Shard;
use crate::sync::{AtomicU64, Ordering::Relaxed};
use crate::table::{
    Bounds, Charged, ClaimError, KeyId, PrefetchHint, Receipt, Returned, Table, TableStats,
};
use std::time::Duration;

/// One policy at run time.
#[derive(Debug)]
pub(crate) struct PolicyState {
    id: PolicyId,
    policy: Policy,
    limit: AtomicU64,
    /// The fast path for the counters of the table.
    fast_path: FastPath,
    table: CounterTable,
    metrics: PolicyMetrics,
}

impl PolicyState {
    pub(crate) fn new(id: PolicyId, policy: Policy, now: Now) -> Result<Self, ConfigError> {
        let plan = policy.plan()?;
        let allowance = policy.effective_overflow().allowance();
        let bounds = Bounds { max_keys: policy.effective_max_keys(), allowance };
        let table = CounterTable::new(plan, policy.counter_max_limit(), bounds, now);
        let (table, metrics) = match (table, PolicyMetrics::new()) {
            (Ok(table), Ok(metrics)) => (table, metrics),
            _ => return Err(ConfigError::OutOfMemory { policy: policy.into_name() }),
        };
        let limit = AtomicU64::new(policy.limit());
        let dry_run = policy.is_dry_run();
        let fast_path = with_table!(&table, table => fast_path_of(table, dry_run));
        Ok(PolicyState { id, policy, limit, fast_path, table, metrics })
    }

    /// The most bytes that a policy with this counter and these bounds takes. Saturates.
    ///
    /// Replaced arrays that another thread or a session can still read are not included.
    pub(crate) fn memory_bound_of(plan: Plan, bounds: Bounds) -> usize {
        CounterTable::memory_bound(plan, bounds).saturating_add(Self::FIXED_BYTES)
    }

    /// The most bytes that this policy takes.
    pub(crate) fn memory_bound(&self) -> usize {
        let table = with_table!(&self.table, table => table.memory_bound());
        table.saturating_add(Self::FIXED_BYTES)
    }

    /// The bytes of a policy apart from its table's arrays.
    const FIXED_BYTES: usize = PolicyMetrics::BYTES + size_of::<Self>();

    #[inline(always)]
    pub(crate) fn id(&self) -> PolicyId {
        self.id
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The resolution of recorded times.
    pub(crate) fn resolution(&self) -> Duration {
        with_table!(&self.table, table => Duration::from_nanos(table.resolution_ns()))
    }

    /// The limit that applies to a charge: its own, lowered to the policy's maximum, or else the policy's
    /// current limit.
    #[inline]
    pub(crate) fn limit(&self, own: Option<u64>) -> u64 {
        match own {
            Some(own) => own.min(self.policy.effective_max_limit()),
            // Relaxed: a limit publishes no other data. Model: extended_against_set_limit with
            // OldLimit.
            None => self.limit.load(Relaxed),
        }
    }

    /// Changes the limit of all later charges.
    pub(crate) fn set_limit(&self, limit: u64) -> Result<(), ConfigError> {
        let max_limit = self.policy.effective_max_limit();
        if limit > max_limit {
            let policy = self.policy.name().to_owned();
            return Err(ConfigError::LimitAboveMax { policy, value: limit, max_limit });
        }
        self.limit.store(limit, Relaxed);
        Ok(())
    }

    /// Charges a key on the slow path; inserts it if it is new.
    pub(crate) fn charge(
        &self,
        key: KeyId,
        cost: u64,
        limit: u64,
        now: Now,
        guard: &Guard,
    ) -> Result<Charged, ClaimError> {
        with_table!(&self.table, table => {
            let args = ChargeArgs { now: table.tick(now), cost, limit };
            table.charge(key, &args, guard)
        })
    }

    /// The prefetch hint. It has the same offset in every type of table, so reading it needs no branch.
    #[inline(always)]
    fn hint(&self) -> &PrefetchHint {
        with_table!(&self.table, table => table.hint())
    }

    /// Returns whether the table is so large that a prefetch pays off.
    #[inline(always)]
    pub(crate) fn prefetches(&self) -> bool {
        self.hint().is_enabled()
    }

    /// Prefetches the likely slot of a key, before the epoch is pinned.
    #[inline(always)]
    pub(crate) fn prefetch_unpinned(&self, key: KeyId) {
        self.hint().prefetch(key);
    }

    /// Prefetches the slot of a key, if the table is too large to stay in the CPU's caches.
    #[inline(always)]
    pub(crate) fn prefetch(&self, key: KeyId, guard: &Guard) {
        if self.prefetches() {
            with_table!(&self.table, table => table.prefetch(key, guard));
        }
    }

    /// Decides a charge without writing.
    pub(crate) fn peek(
        &self,
        key: KeyId,
        cost: u64,
        limit: u64,
        now: Now,
        guard: &Guard,
    ) -> Outcome {
        with_table!(&self.table, table => {
            let args = ChargeArgs { now: table.tick(now), cost, limit };
            table.peek(key, &args, guard)
        })
    }

    /// Gives back up to `amount` units. With a receipt, they are taken from live charges made at
    /// the time of its charge or later. Without one, they are taken from all live charges.
    pub(crate) fn give_back(
        &self,
        key: KeyId,
        now: Now,
        from: Option<Receipt>,
        amount: u64,
        guard: &Guard,
    ) -> Returned {
        with_table!(&self.table, table => table.give_back(key, table.tick(now), from, amount, guard))
    }

    /// Resets a key's usage to zero.
    pub(crate) fn reset(&self, key: KeyId, guard: &Guard) {
        with_table!(&self.table, table => table.reset(key, guard))
    }

    /// Returns whether new keys pass uncounted when the table is full.
    pub(crate) fn allows_overflow(&self) -> bool {
        self.policy.effective_overflow() == Overflow::Allow
    }

    /// Returns whether the policy refuses nothing.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.policy.is_dry_run()
    }

    /// Counts an event in the statistics; an admitted charge by [`count_admitted`](Self::count_admitted).
    #[inline(always)]
    pub(crate) fn count(&self, event: Event, scope: Scope, shard: Shard) {
        self.metrics.count(event, scope, shard);
    }

    /// Counts an admitted charge of this many units.
    #[inline(always)]
    pub(crate) fn count_admitted(&self, units: u64, scope: Scope, shard: Shard) {
        self.metrics.admit(units, scope, shard);
    }

    /// Counts units that were given back.
    pub(crate) fn count_refunded(&self, units: u64, shard: Shard) {
        self.metrics.refund(units, shard);
    }

    /// Does pending work of about `budget` slots. Returns whether no work is left.
    pub(crate) fn maintain(&self, budget: usize, now: Now, guard: &Guard) -> bool {
        with_table!(&self.table, table => table.maintain(budget, table.tick(now), guard))
    }

    pub(crate) fn stats(&self, now: Now, guard: &Guard) -> Stats {
        let table: TableStats =
            with_table!(&self.table, table => table.stats(table.tick(now), guard));
        let charges = |event| self.metrics.charges(event);
        let impossible = charges(Event::Impossible);
        let (denied, refused) = (charges(Event::Denied) + impossible, charges(Event::Refused));
        let dry_run = self.is_dry_run();
        let if_enforced = |count: u64| if dry_run { 0 } else { count };
        Stats {
            policy: self.id,
            admitted: charges(Event::Admitted),
            denied: if_enforced(denied),
            impossible: if_enforced(impossible),
            dry_run_denied: if dry_run { denied + refused } else { 0 },
            refused: if_enforced(refused),
            untracked: charges(Event::Untracked),
            admitted_units: self.metrics.admitted_units(),
            refunded_units: self.metrics.refunded_units(),
            live_keys: table.live_keys,
            used_slots: table.used_slots,
            slots: table.slots,
            bytes: table.bytes + PolicyMetrics::BYTES,
            migrations: table.migrations,
            evictions: table.evictions,
            forgiven: table.forgiven,
        }
    }

    /// Adds the requests that were counted with a charge.
    pub(crate) fn add_requests(&self, stats: &mut RequestStats) {
        self.metrics.add_requests(self.is_dry_run(), stats);
    }

    /// The nanoseconds from `now` until a tick begins. 0 if it has begun.
    #[inline(always)]
    pub(crate) fn wait_ns(&self, tick: u64, now: Now) -> u64 {
        with_table!(&self.table, table => table.wait_ns(tick, now))
    }

    #[inline(always)]
    pub(super) fn fast_path(&self) -> FastPath {
        self.fast_path
    }

    #[inline(always)]
    pub(super) fn table(&self) -> &CounterTable {
        &self.table
    }

    /// Checks one charge.
    #[inline(always)]
    pub(crate) fn check(
        &self,
        context: &Context<'_>,
        key: KeyId,
        cost: u64,
        limit: u64,
    ) -> Decision {
        // Tested here, where many callers know the cost.
        if cost == 0 {
            return check_slow(context, self, key, cost, limit);
        }
        self.fast_path.check(context, self, key, cost, limit)
    }

    /// Checks the first charges of the list, up to one of another policy, as requests of their own.
    /// Returns their number.
    #[inline(always)]
    pub(crate) fn check_run(
        &self,
        context: &Context<'_>,
        charges: &[Charge<'_>],
        decisions: &mut [Decision],
    ) -> usize {
        self.fast_path.check_run(context, self, charges, decisions)
    }
}

fn fast_path_of<C: PolicyCounter>(_: &Table<C>, dry_run: bool) -> FastPath {
    FastPath::new::<C>(dry_run)
}

#[cfg(all(test, tollgate_model))]
impl PolicyState {
    pub(crate) fn start_renewal(&self, now: Now) {
        with_table!(&self.table, table => table.start_resize(table.tick(now), 0));
    }

    pub(crate) fn help_once(&self, now: Now) -> bool {
        with_table!(&self.table, table => table.help_once(table.tick(now)))
    }

    #[cfg(tollgate_shuttle)]
    pub(crate) fn arrays(&self) -> usize {
        with_table!(&self.table, table => table.generation_count())
    }
}
