//! One policy at run time: its current limit, its time scale, its table of counters, and its statistics.

use crate::charge::PolicyId;
use crate::clock::Now;
use crate::counter::calendar::{Periods, Quota};
use crate::counter::sliding::Ring;
use crate::counter::sliding::time_scale::TimeScale;
use crate::counter::{ChargeArgs, NEVER, Outcome};
use crate::engine::metrics::{Event, Metrics};
use crate::error::ConfigError;
use crate::policy::calendar::Calendar;
use crate::policy::overflow::Overflow;
use crate::policy::{Plan, Policy};
use crate::reclaim::Guard;
use crate::stats::Stats;
use crate::sync::shard::Shard;
use crate::sync::{AtomicU64, Ordering::Relaxed};
use crate::table::{
    Bounds, Charged, ClaimError, Evaluation, KeyId, OutOfMemory, PrefetchHint, Receipt, Returned,
    Table, TableStats,
};
use std::time::Duration;

/// One policy at run time.
#[derive(Debug)]
pub(crate) struct PolicyState {
    id: PolicyId,
    policy: Policy,
    limit: AtomicU64,
    time: Time,
    table: CounterTable,
    metrics: Metrics,
}

/// The conversion between clock readings and ticks.
#[derive(Debug)]
enum Time {
    Window(TimeScale),
    Calendar(Calendar),
}

/// The table of a policy's counters. Each ring length has a variant, so that the length is a constant on
/// the request path.
#[derive(Debug)]
enum CounterTable {
    Ring7(Table<Ring<7>>),
    Ring15(Table<Ring<15>>),
    Ring31(Table<Ring<31>>),
    Ring63(Table<Ring<63>>),
    Ring127(Table<Ring<127>>),
    Quota(Table<Quota>),
}

/// Runs an operation on the table, compiled once for each type of table.
macro_rules! with_table {
    ($counter_table:expr, $table:ident => $operation:expr) => {
        match $counter_table {
            CounterTable::Ring7($table) => $operation,
            CounterTable::Ring15($table) => $operation,
            CounterTable::Ring31($table) => $operation,
            CounterTable::Ring63($table) => $operation,
            CounterTable::Ring127($table) => $operation,
            CounterTable::Quota($table) => $operation,
        }
    };
}

impl PolicyState {
    pub(crate) fn new(id: PolicyId, policy: Policy, now: Now) -> Result<Self, ConfigError> {
        let plan = policy.plan()?;
        let max_keys = policy.effective_max_keys();
        let bounds = Bounds { max_keys, allowance: policy.effective_overflow().allowance() };
        let (time, table) = match plan {
            Plan::Ring { window_ns, words } => {
                let words = u64::from(words);
                let scale = TimeScale::new(window_ns, policy.effective_max_limit(), words);
                let first = scale.tick(now.monotonic_ns);
                (Time::Window(scale), CounterTable::rings(scale, words, bounds, first))
            }
            Plan::Quota { period, offset_s } => {
                // The cutoff is period 0, the first one: nothing was dropped yet, so any period may
                // be charged.
                let table = Table::new(Periods, bounds, 0).map(CounterTable::Quota);
                (Time::Calendar(Calendar::new(period, offset_s)), table)
            }
        };
        let (table, metrics) = match (table, Metrics::new()) {
            (Ok(table), Ok(metrics)) => (table, metrics),
            _ => return Err(ConfigError::OutOfMemory { policy: policy.into_name() }),
        };
        let limit = AtomicU64::new(policy.limit());
        Ok(PolicyState { id, policy, limit, time, table, metrics })
    }

    #[inline(always)]
    pub(crate) fn id(&self) -> PolicyId {
        self.id
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The unit in which times are recorded.
    pub(crate) fn resolution(&self) -> Duration {
        match &self.time {
            Time::Window(scale) => Duration::from_nanos(scale.unit_ns()),
            Time::Calendar(_) => Duration::from_nanos(1),
        }
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
        let policy = || self.policy.name().to_owned();
        if limit == 0 {
            return Err(ConfigError::Limit { policy: policy(), value: limit });
        }
        let greatest = self.policy.effective_max_limit();
        if limit > greatest {
            return Err(ConfigError::MaxLimit { policy: policy(), value: greatest, limit });
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
        let args = ChargeArgs { now: self.time.tick(now), cost, limit };
        with_table!(&self.table, table => table.charge(key, &args, guard))
    }

    /// Evaluates a charge read-only. `None` if the charge must take the slow path.
    #[inline(always)]
    pub(crate) fn evaluate<'g>(
        &self,
        key: KeyId,
        cost: u64,
        limit: u64,
        now: Now,
        guard: &'g Guard,
    ) -> Option<Evaluation<'g>> {
        let args = ChargeArgs { now: self.time.tick(now), cost, limit };
        with_table!(&self.table, table => table.evaluate(key, &args, guard))
    }

    /// Evaluates a charge like [`evaluate`](Self::evaluate), and passes the evaluation to `store`.
    /// Returns false if the charge must take the slow path.
    // Compiled for each type of table, so that `store` stores registers. A returned evaluation would
    // be copied from the stack.
    #[inline(always)]
    pub(crate) fn evaluate_with<'g>(
        &self,
        key: KeyId,
        cost: u64,
        limit: u64,
        now: Now,
        guard: &'g Guard,
        store: impl FnOnce(Evaluation<'g>),
    ) -> bool {
        let args = ChargeArgs { now: self.time.tick(now), cost, limit };
        with_table!(&self.table, table => table.evaluate(key, &args, guard).map(store).is_some())
    }

    /// The prefetch hint. It has the same offset in every type of table, so reading it needs no branch.
    #[inline(always)]
    fn hint(&self) -> &PrefetchHint {
        with_table!(&self.table, table => table.hint())
    }

    /// Prefetches the likely slot of a key, before the epoch is pinned.
    #[inline(always)]
    pub(crate) fn prefetch_unpinned(&self, key: KeyId) {
        self.hint().prefetch(key);
    }

    /// Prefetches the slot of a key, if the table is too large to stay in the CPU's caches.
    #[inline(always)]
    pub(crate) fn prefetch(&self, key: KeyId, guard: &Guard) {
        if self.hint().is_enabled() {
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
        let args = ChargeArgs { now: self.time.tick(now), cost, limit };
        with_table!(&self.table, table => table.peek(key, &args, guard))
    }

    /// Gives back up to `amount` units. With a receipt, they are taken from the caller's charges from that
    /// one on. Without one, they are taken from all charges.
    pub(crate) fn give_back(
        &self,
        key: KeyId,
        now: Now,
        from: Option<Receipt>,
        amount: u64,
        guard: &Guard,
    ) -> Returned {
        let tick = self.time.tick(now);
        with_table!(&self.table, table => table.give_back(key, tick, from, amount, guard))
    }

    /// Resets a key's usage to zero.
    pub(crate) fn reset(&self, key: KeyId, guard: &Guard) {
        with_table!(&self.table, table => table.reset(key, guard))
    }

    /// Returns whether new keys pass uncounted when the table is full.
    pub(crate) fn allows_overflow(&self) -> bool {
        self.policy.effective_overflow() == Overflow::Allow
    }

    /// Counts an event in the statistics.
    #[inline(always)]
    pub(crate) fn count(&self, event: Event, shard: Shard) {
        self.metrics.count(event, shard);
    }

    /// Does pending work of about `budget` slots. Returns whether no work is left.
    pub(crate) fn maintain(&self, budget: usize, now: Now, guard: &Guard) -> bool {
        let tick = self.time.tick(now);
        with_table!(&self.table, table => table.maintain(budget, tick, guard))
    }

    pub(crate) fn stats(&self, now: Now, guard: &Guard) -> Stats {
        let tick = self.time.tick(now);
        let table: TableStats = with_table!(&self.table, table => table.stats(tick, guard));
        Stats {
            policy: self.id,
            admitted: self.metrics.sum(Event::Admitted),
            denied: self.metrics.sum(Event::Denied),
            refused: self.metrics.sum(Event::Refused),
            untracked: self.metrics.sum(Event::Untracked),
            live_keys: table.live_keys,
            used_slots: table.used_slots,
            slots: table.slots,
            bytes: table.bytes + self.metrics.bytes(),
            migrations: table.migrations,
            evictions: table.evictions,
            forgiven: table.forgiven,
        }
    }

    /// The wait from `now` until a tick, in nanoseconds. `None` if the tick is [`NEVER`].
    #[inline(always)]
    pub(crate) fn wait_ns(&self, tick: u64, now: Now) -> Option<u64> {
        if tick == NEVER {
            return None;
        }
        Some(match &self.time {
            Time::Window(scale) => scale.instant_ns(tick).saturating_sub(now.monotonic_ns),
            Time::Calendar(calendar) => calendar.start_ns(tick).saturating_sub(now.unix_ns),
        })
    }
}

#[cfg(all(test, tollgate_model))]
impl PolicyState {
    pub(crate) fn start_renewal(&self, now: Now) {
        let tick = self.time.tick(now);
        with_table!(&self.table, table => table.start_resize(tick, 0));
    }

    pub(crate) fn help_once(&self, now: Now) -> bool {
        let tick = self.time.tick(now);
        with_table!(&self.table, table => table.help_once(tick))
    }

    #[cfg(tollgate_shuttle)]
    pub(crate) fn arrays(&self) -> usize {
        with_table!(&self.table, table => table.generation_count())
    }
}

impl Time {
    #[inline(always)]
    fn tick(&self, now: Now) -> u64 {
        match self {
            Time::Window(scale) => scale.tick(now.monotonic_ns),
            Time::Calendar(calendar) => calendar.index(now.unix_ns),
        }
    }
}

impl CounterTable {
    /// A table of rings with this many words, in use from `first` on.
    fn rings(
        scale: TimeScale,
        words: u64,
        bounds: Bounds,
        first: u64,
    ) -> Result<Self, OutOfMemory> {
        Ok(match words {
            7 => CounterTable::Ring7(Table::new(scale, bounds, first)?),
            15 => CounterTable::Ring15(Table::new(scale, bounds, first)?),
            31 => CounterTable::Ring31(Table::new(scale, bounds, first)?),
            63 => CounterTable::Ring63(Table::new(scale, bounds, first)?),
            _ => CounterTable::Ring127(Table::new(scale, bounds, first)?),
        })
    }
}
