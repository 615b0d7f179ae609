//! The statistics of one policy: its charges by outcome, and its units.

use crate::engine::metrics::Metrics;
use crate::stats::RequestStats;
use crate::sync::alloc::OutOfMemory;
use crate::sync::shard::Shard;

/// The outcome of a charge, for the statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Admitted,
    /// The charge passed uncounted because the table was full.
    Untracked,
    /// There was no room under the limit.
    Denied,
    /// The cost was above the limit.
    Impossible,
    /// The table had no slot for the key.
    Refused,
}

const EVENTS: usize = 5;

/// What an event counts. A request of one charge needs no counter of its own, because its verdict follows
/// from the event of the charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// A charge, and the request that it begins.
    Request,
    /// A charge of a request that is counted elsewhere.
    Charge,
}

const ADMITTED_UNITS: usize = 2 * EVENTS;
const REFUNDED_UNITS: usize = ADMITTED_UNITS + 1;
const COUNTERS: usize = REFUNDED_UNITS + 1;

#[derive(Debug)]
pub(crate) struct PolicyMetrics(Metrics<COUNTERS>);

const fn index(event: Event, scope: Scope) -> usize {
    scope as usize * EVENTS + event as usize
}

impl PolicyMetrics {
    pub(crate) fn new() -> Result<Self, OutOfMemory> {
        Metrics::new().map(PolicyMetrics)
    }

    /// Counts an event. An admitted charge is counted by [`admit`](Self::admit).
    #[inline(always)]
    pub(crate) fn count(&self, event: Event, scope: Scope, shard: Shard) {
        self.0.add([(index(event, scope), 1)], shard);
    }

    /// Counts an admitted charge of this many units.
    #[inline(always)]
    pub(crate) fn admit(&self, units: u64, scope: Scope, shard: Shard) {
        self.0.add([(index(Event::Admitted, scope), 1), (ADMITTED_UNITS, units)], shard);
    }

    /// Counts units that were given back.
    pub(crate) fn refund(&self, units: u64, shard: Shard) {
        self.0.add([(REFUNDED_UNITS, units)], shard);
    }

    /// The number of charges with this outcome.
    pub(crate) fn charges(&self, event: Event) -> u64 {
        let scopes = [Scope::Request, Scope::Charge];
        scopes.iter().map(|scope| self.0.sum(index(event, *scope))).fold(0, u64::wrapping_add)
    }

    pub(crate) fn admitted_units(&self) -> u64 {
        self.0.sum(ADMITTED_UNITS)
    }

    pub(crate) fn refunded_units(&self) -> u64 {
        self.0.sum(REFUNDED_UNITS)
    }

    /// Adds the requests that were counted with their charges. Those under a dry run were all allowed.
    pub(crate) fn add_requests(&self, dry_run: bool, stats: &mut RequestStats) {
        let requests = |event| self.0.sum(index(event, Scope::Request));
        let refusals = [
            (Event::Denied, &mut stats.denied),
            (Event::Impossible, &mut stats.impossible),
            (Event::Refused, &mut stats.table_full),
        ];
        stats.allowed += requests(Event::Admitted) + requests(Event::Untracked);
        for (event, count) in refusals {
            *if dry_run { &mut stats.allowed } else { count } += requests(event);
        }
    }

    /// The bytes of a policy's statistics.
    pub(crate) const BYTES: usize = Metrics::<COUNTERS>::BYTES;
}
