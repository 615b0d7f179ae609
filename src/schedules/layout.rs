//! What an execution is made of.

/// What a thread may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// A request of one layer.
    Check,
    /// A request of all layers.
    Layered,
    Peek,
    /// Gives back the whole of the newest charge that this thread still has.
    Refund,
    /// Of one layer, or of all.
    Reserve,
    /// A reservation that this thread has, or else a new one.
    Extend,
    /// The same, for less in some layers and for more in others.
    Settle,
    Cancel,
    SetLimit,
    Reset,
    /// The clock goes on.
    Tick,
}

/// A policy: how it counts, and its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A sliding window that is exact.
    Window(u64),
    /// A sliding window that is counted in buckets.
    Buckets(u64),
    /// A budget for each hour.
    Hour(u64),
}

/// What an execution is made of.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) name: &'static str,
    pub(super) policies: &'static [Kind],
    pub(super) keys: usize,
    /// Places beyond those of the keys, at the least.
    pub(super) spare: usize,
    pub(super) threads: usize,
    /// Threads that renew and move, beside those.
    pub(super) movers: usize,
    /// Each equally likely.
    pub(super) verbs: &'static [Verb],
    pub(super) most_cost: u64,
    /// The most calls before the threads begin.
    pub(super) before: u64,
    /// Whether the clock goes on by the least step before each call, so that the ring turns at
    /// nearly every charge.
    pub(super) turns: bool,
}

/// The most policies of a layout.
pub(super) const MOST_LAYERS: usize = 3;

/// Nanoseconds of a sliding window.
pub(super) const WINDOW: u64 = 1_000_000;
/// Nanoseconds of a calendar period.
pub(super) const HOUR: u64 = 3_600_000_000_000;
/// Words of each ring.
pub(super) const WORDS: usize = 7;

impl Kind {
    pub(super) fn limit(self) -> u64 {
        match self {
            Kind::Window(limit) | Kind::Buckets(limit) | Kind::Hour(limit) => limit,
        }
    }

    /// The greatest limit that a single charge may ask for.
    pub(super) fn max_limit(self) -> u64 {
        match self {
            Kind::Window(_) => WORDS as u64,
            Kind::Buckets(_) => 100,
            Kind::Hour(_) => 1 << 20,
        }
    }

    pub(super) fn is_calendar(self) -> bool {
        matches!(self, Kind::Hour(_))
    }

    /// By how much the clock may go on.
    pub(super) fn steps(self) -> [u64; 4] {
        match self {
            Kind::Window(_) => [1, WINDOW / 2, WINDOW - 1, WINDOW],
            Kind::Buckets(_) => [100, WINDOW / 6, WINDOW / 2, WINDOW],
            Kind::Hour(_) => [1, HOUR / 2, HOUR - 1, HOUR],
        }
    }
}

/// The greatest limit that `set_limit` sets.
pub(super) const MOST_SET: u64 = 4;

impl Layout {
    /// The greatest limit that a policy may have.
    pub(super) fn greatest_limit(&self, policy: usize) -> u64 {
        let first = self.policies[policy].limit();
        if self.verbs.contains(&Verb::SetLimit) { first.max(MOST_SET) } else { first }
    }
}
