//! Layouts: the dimensions of an execution.

use crate::Overflow;

/// An operation of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// A request of one charge.
    Check,
    /// Several requests of one charge each, in one call.
    CheckMany,
    /// A request with one charge for each policy.
    CheckAll,
    /// A forced charge of one policy or of all, whatever the usage is.
    Force,
    Peek,
    /// Refunds the newest charge of this thread that it has not refunded yet.
    Refund,
    /// Reserves units of one policy or of all.
    Reserve,
    /// Extends a reservation of this thread, or makes a new one if it has none.
    Extend,
    /// Settles a reservation of this thread, for less or for more than is charged, or makes a new
    /// one.
    Settle,
    /// Cancels a reservation of this thread, or makes a new one.
    Cancel,
    SetLimit,
    Reset,
    /// Calls `maintain`, which moves keys and renews arrays ahead of need.
    Maintain,
    /// Advances the clock by at most a window or a period.
    Tick,
    /// Advances the clock by about the time span of an array.
    Leap,
}

/// A kind of policy with its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PolicyKind {
    /// An exact sliding window.
    Window(u64),
    /// A sliding window that is counted in buckets.
    Buckets(u64),
    /// An hourly budget.
    Hour(u64),
}

/// The dimensions of an execution.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) name: &'static str,
    pub(super) policies: &'static [PolicyKind],
    pub(super) keys: usize,
    /// The least number of slots minus the number of keys. If negative, there are fewer slots than
    /// keys.
    pub(super) spare_slots: isize,
    pub(super) overflow: Overflow,
    pub(super) threads: usize,
    /// Additional threads that renew arrays and move keys.
    pub(super) movers: usize,
    /// The operations of the threads, each equally likely.
    pub(super) operations: &'static [Operation],
    pub(super) max_cost: u64,
    /// The greatest number of calls before the threads begin.
    pub(super) max_setup_calls: u64,
    /// Whether the clock advances by one nanosecond before each call, so that nearly every charge
    /// opens a new word of the ring.
    pub(super) advances_each_call: bool,
}

/// The greatest number of policies in a layout.
pub(super) const MAX_POLICIES: usize = 3;
/// The greatest limit that `set_limit` sets.
pub(super) const MAX_SET_LIMIT: u64 = 4;

/// The length of a sliding window in nanoseconds.
pub(super) const WINDOW: u64 = 1_000_000;
/// The unit of time of a bucketed window of length [`WINDOW`], in nanoseconds.
pub(super) const BUCKET_UNIT: u64 = 1 << 7;
/// The length of a calendar period in nanoseconds.
pub(super) const HOUR: u64 = 3_600_000_000_000;
/// The number of words in each ring.
pub(super) const WORDS: usize = 7;

impl PolicyKind {
    pub(super) fn limit(self) -> u64 {
        match self {
            PolicyKind::Window(limit) | PolicyKind::Buckets(limit) | PolicyKind::Hour(limit) => {
                limit
            }
        }
    }

    /// The greatest limit that a single charge may request.
    pub(super) fn max_limit(self) -> u64 {
        match self {
            PolicyKind::Window(_) => WORDS as u64,
            PolicyKind::Buckets(_) => 100,
            PolicyKind::Hour(_) => 1 << 20,
        }
    }

    pub(super) fn is_calendar(self) -> bool {
        match self {
            PolicyKind::Hour(_) => true,
            PolicyKind::Window(_) | PolicyKind::Buckets(_) => false,
        }
    }

    /// The steps by which [`Operation::Tick`] advances the clock.
    pub(super) fn tick_sizes(self) -> [u64; 4] {
        match self {
            PolicyKind::Window(_) => [1, WINDOW / 2, WINDOW - 1, WINDOW],
            PolicyKind::Buckets(_) => [BUCKET_UNIT, WINDOW / 6, WINDOW / 2, WINDOW],
            PolicyKind::Hour(_) => [1, HOUR / 2, HOUR - 1, HOUR],
        }
    }

    /// The steps by which [`Operation::Leap`] advances the clock: around the age at which an array
    /// is renewed, which is three quarters of its time field, and beyond the end of the field.
    pub(super) fn leap_sizes(self) -> [u64; 4] {
        // The time field has 64 bits minus two flags and the count. The count has 8 bits for a
        // limit of 7, and 12 bits for a limit of 100.
        let field = match self {
            PolicyKind::Window(_) => 1 << 54,
            PolicyKind::Buckets(_) => BUCKET_UNIT << 50,
            PolicyKind::Hour(_) => 1_000 * HOUR,
        };
        let renewal = field / 4 * 3;
        [renewal - WINDOW, renewal, renewal + 1, field + WINDOW]
    }
}

impl Layout {
    /// The greatest limit that a policy may have.
    pub(super) fn greatest_limit(&self, policy: usize) -> u64 {
        let first = self.policies[policy].limit();
        if self.operations.contains(&Operation::SetLimit) {
            first.max(MAX_SET_LIMIT)
        } else {
            first
        }
    }

    /// The greatest number of units that evictions may forgive a key.
    pub(super) fn allowance(&self) -> u64 {
        match self.overflow {
            Overflow::EvictLightest { allowance } => allowance,
            _ => 0,
        }
    }

    /// Returns whether only the bound of evictions is verified, because units of a window expire one
    /// by one.
    pub(super) fn verifies_eviction_bound_only(&self) -> bool {
        self.operations.contains(&Operation::Tick)
            && !self.policies.iter().all(|kind| kind.is_calendar())
    }

    /// Returns whether arrays are renewed only because of their age.
    pub(super) fn renews_by_age_only(&self) -> bool {
        self.operations.contains(&Operation::Leap) && self.keys == 1 && self.movers == 0
    }

    /// Returns whether there are fewer slots than keys.
    pub(super) fn is_crowded(&self) -> bool {
        self.spare_slots < 0
    }

    /// Returns whether a new key is allowed without being counted if the table is full.
    pub(super) fn allows_uncounted(&self) -> bool {
        self.overflow == Overflow::Allow
    }
}
