//! What an execution is made of.

use crate::Overflow;

/// What a thread may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// A request of one layer.
    Check,
    /// Several requests of one layer each, in one call.
    CheckMany,
    /// A request of all layers.
    Layered,
    /// A charge of one layer or of all, whatever the usage is.
    Force,
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
    /// Moves and renews ahead of need.
    Maintain,
    /// The clock goes on.
    Tick,
    /// The clock goes on by about as much as an array can tell.
    Leap,
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
    /// Places beyond those of the keys, at the least; fewer places than keys where it is negative.
    pub(super) spare: isize,
    pub(super) overflow: Overflow,
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

    /// By how much the clock may leap: around the age at which an array is renewed, three quarters
    /// of its time field, and beyond its end.
    pub(super) fn leaps(self) -> [u64; 4] {
        // 64 bits less two flags and the count: 8 bits for a limit of 7, 12 for one of 100, which
        // is counted in units of 100 ns.
        let field = match self {
            Kind::Window(_) => 1 << 54,
            Kind::Buckets(_) => 100 << 50,
            Kind::Hour(_) => 1_000 * HOUR,
        };
        let renewal = field / 4 * 3;
        [renewal - WINDOW, renewal, renewal + 1, field + WINDOW]
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

    /// What evictions may forgive a key.
    pub(super) fn allowance(&self) -> u64 {
        match self.overflow {
            Overflow::EvictLightest { allowance } => allowance,
            _ => 0,
        }
    }

    /// Whether evictions are held to their bound only: units of a window expire one by one.
    pub(super) fn only_bounds_evictions(&self) -> bool {
        self.verbs.contains(&Verb::Tick) && !self.policies.iter().all(|kind| kind.is_calendar())
    }

    /// Whether nothing but its age renews an array.
    pub(super) fn renews_by_age_only(&self) -> bool {
        self.verbs.contains(&Verb::Leap) && self.keys == 1 && self.movers == 0
    }

    /// Whether there are fewer places than keys.
    pub(super) fn is_crowded(&self) -> bool {
        self.spare < 0
    }

    /// Whether a key that finds no place passes uncounted.
    pub(super) fn passes_uncounted(&self) -> bool {
        self.overflow == Overflow::Allow
    }
}
