//! The statistics of requests that are not counted with a charge, and of open reservations.

use crate::decision::Verdict;
use crate::engine::metrics::Metrics;
use crate::stats::RequestStats;
use crate::sync::alloc::OutOfMemory;
use crate::sync::shard::Shard;

const VERDICTS: usize = 5;
const RESERVED: usize = VERDICTS;
const CLOSED: usize = RESERVED + 1;

#[derive(Debug)]
pub(crate) struct RequestMetrics(Metrics<{ CLOSED + 1 }>);

const fn index(verdict: Verdict) -> usize {
    match verdict {
        Verdict::Allowed => 0,
        Verdict::Denied => 1,
        Verdict::Impossible => 2,
        Verdict::TableFull => 3,
        Verdict::Invalid => 4,
    }
}

impl RequestMetrics {
    pub(crate) fn new() -> Result<Self, OutOfMemory> {
        Metrics::new().map(RequestMetrics)
    }

    /// Counts a request.
    pub(crate) fn count(&self, verdict: Verdict, shard: Shard) {
        self.0.add([(index(verdict), 1)], shard);
    }

    /// Counts a reservation that was made.
    pub(crate) fn reserve(&self, shard: Shard) {
        self.0.add([(RESERVED, 1)], shard);
    }

    /// Counts a reservation that was closed.
    pub(crate) fn close(&self, shard: Shard) {
        self.0.add([(CLOSED, 1)], shard);
    }

    pub(crate) fn stats(&self) -> RequestStats {
        let requests = |verdict| self.0.sum(index(verdict));
        // The sum of the closed ones first: a reservation that is made and closed meanwhile must not count
        // as closed only.
        let closed = self.0.sum(CLOSED);
        RequestStats {
            allowed: requests(Verdict::Allowed),
            denied: requests(Verdict::Denied),
            impossible: requests(Verdict::Impossible),
            table_full: requests(Verdict::TableFull),
            invalid: requests(Verdict::Invalid),
            open_reservations: self.0.sum(RESERVED).saturating_sub(closed),
        }
    }
}
