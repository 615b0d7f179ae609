//! The charges of one key, and which of them count.

/// How long a charge counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A window in nanoseconds.
    Sliding(u64),
    /// Periods of a fixed length in nanoseconds: UTC hours or days.
    Fixed(u64),
}

impl Kind {
    /// The first instant at which a charge no longer counts.
    pub fn expiry(self, charged: u64) -> u64 {
        match self {
            Kind::Sliding(window) => charged + window,
            Kind::Fixed(length) => (charged / length + 1) * length,
        }
    }

    /// The length of the window or period.
    pub fn length(self) -> u64 {
        match self {
            Kind::Sliding(length) | Kind::Fixed(length) => length,
        }
    }
}

/// All charges ever made to one key, oldest first, and the time of the newest.
#[derive(Clone, Debug, Default)]
pub struct ChargeLog {
    charges: Vec<(u64, u64)>,
    newest: u64,
}

impl ChargeLog {
    pub fn charges(&self) -> &[(u64, u64)] {
        &self.charges
    }

    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Records a charge. A cost of 0 records only the time.
    pub fn charge(&mut self, at: u64, cost: u64) {
        self.newest = at;
        self.charges.push((at, cost));
    }

    /// The live charges at `at` as (expiry, cost), oldest first.
    fn live(&self, kind: Kind, at: u64) -> impl Iterator<Item = (u64, u64)> {
        let charges = self.charges.iter().map(move |(t, cost)| (kind.expiry(*t), *cost));
        charges.filter(move |(expiry, cost)| *expiry > at && *cost > 0)
    }

    pub fn used(&self, kind: Kind, at: u64) -> u64 {
        self.live(kind, at).map(|(_, cost)| cost).sum()
    }

    /// The first time not before `at` at which `cost` fits under `limit`.
    pub fn fits_at(&self, kind: Kind, at: u64, cost: u64, limit: u64) -> u64 {
        let (mut used, mut fits_at) = (self.used(kind, at), at);
        for (expiry, gone) in self.live(kind, at) {
            if used + cost <= limit {
                break;
            }
            (used, fits_at) = (used - gone, expiry);
        }
        fits_at
    }

    /// The first time at which nothing is used; none if nothing is used at `at`.
    pub fn clear_at(&self, kind: Kind, at: u64) -> Option<u64> {
        self.live(kind, at).map(|(expiry, _)| expiry).max()
    }

    /// Gives back up to `amount` of the charges whose time is accepted, oldest first.
    pub fn give_back(&mut self, amount: u64, accepts: impl Fn(u64) -> bool) -> u64 {
        let mut rest = amount;
        for (_, cost) in self.charges.iter_mut().filter(|(charged, _)| accepts(*charged)) {
            let given = rest.min(*cost);
            (*cost, rest) = (*cost - given, rest - given);
        }
        amount - rest
    }

    /// Clears all costs. Later charges are at least `step` later than the newest one.
    pub fn reset(&mut self, step: u64) {
        self.charges.iter_mut().for_each(|(_, cost)| *cost = 0);
        self.newest += step;
    }

    /// The number of distinct times of the charges that are not expired at `at`, refunded ones included.
    pub fn distinct_times(&self, kind: Kind, at: u64) -> usize {
        let mut times: Vec<_> = self.charges.iter().map(|(charged, _)| *charged).collect();
        times.retain(|charged| kind.expiry(*charged) > at);
        times.dedup();
        times.len()
    }
}
