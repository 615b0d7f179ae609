//! One key's counter: its usage in a sliding window or in a calendar period.
//!
//! All times are in ticks. For a [`Ring`](sliding::Ring), a tick is a fixed number of nanoseconds. For a
//! [`Quota`](calendar::Quota), a tick is a period, and times are the numbers of periods.

pub(crate) mod calendar;
pub(crate) mod prepared;
pub(crate) mod sliding;

use crate::clock::Now;
use prepared::CounterEvaluation;
use sliding::sum::Sum;

/// The `fits_at` of a charge that costs more than its limit.
pub(crate) const NEVER: u64 = u64::MAX;

/// The arguments of one charge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChargeArgs {
    /// The caller's tick.
    pub(crate) now: u64,
    /// Units to charge; 0 writes nothing.
    pub(crate) cost: u64,
    /// The limit to apply; `u64::MAX` admits every charge.
    pub(crate) limit: u64,
}

/// The decision of one counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) admitted: bool,
    /// Usage after the decision.
    pub(crate) used: u64,
    /// The tick of the decision. An admitted charge is recorded at it.
    pub(crate) at: u64,
    /// The first tick at which the charge fits if nothing else is charged, or [`NEVER`].
    pub(crate) fits_at: u64,
    /// The first tick at which usage is 0 if nothing else is charged.
    pub(crate) clear_at: u64,
}

/// The time range of an array of counters, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeBase {
    /// The tick from which the times in the array's words count.
    pub(crate) origin: u64,
    /// The earliest time that may be used in this array: charges that had expired by then were not
    /// copied into it.
    pub(crate) cutoff: u64,
    /// The array should be renewed before it is used after this tick.
    pub(crate) renew_after: u64,
    /// The number of ticks, from the cutoff on, in which the fast path can use the array.
    pub(crate) fast_ticks: u64,
}

impl TimeBase {
    /// The last tick of the fast path. It is so far below `u64::MAX` that no sum of times overflows.
    const LAST_FAST: u64 = u64::MAX / 2;

    pub(crate) const fn new(origin: u64, cutoff: u64, renew_after: u64) -> Self {
        let last_fast = if renew_after < Self::LAST_FAST { renew_after } else { Self::LAST_FAST };
        let fast_ticks = (last_fast + 1).saturating_sub(cutoff);
        TimeBase { origin, cutoff, renew_after, fast_ticks }
    }

    /// The same time base, with a fast path that uses no tick after `last`.
    pub(crate) fn fast_until(self, last: u64) -> Self {
        let ticks = last.saturating_add(1).saturating_sub(self.cutoff);
        TimeBase { fast_ticks: self.fast_ticks.min(ticks), ..self }
    }

    /// Returns whether the array should be renewed before it is used at `now`.
    #[inline(always)]
    pub(crate) fn needs_renewal(self, now: u64) -> bool {
        now > self.renew_after
    }

    /// Returns whether the fast path can use the array at `now`: not before its cutoff, and not when
    /// the array should be renewed. A tick that has wrapped around is not covered either.
    #[inline(always)]
    pub(crate) fn covers(&self, now: u64) -> bool {
        now.wrapping_sub(self.cutoff) < self.fast_ticks
    }
}

/// The charge from which on a give-back takes units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Since<F> {
    /// The tick of the charge.
    pub(crate) at: u64,
    /// Returns whether the key was reset after the charge. Valid once a word of the counter was loaded.
    pub(crate) was_reset: F,
}

#[cfg(test)]
impl Since<fn() -> bool> {
    /// The charge made at this tick, of a key that was never reset. `None` for all charges.
    pub(crate) fn tick(at: Option<u64>) -> Option<Self> {
        at.map(|at| Since { at, was_reset: (|| false) as fn() -> bool })
    }
}

/// The error of an operation on a counter that was moved to another array. The caller must look up the
/// key again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved;

/// One key's counter. Zeroed memory is a fresh counter, and every operation is lock-free.
///
/// An operation that needs times takes the [`TimeBase`] of the array that holds the counter. All callers
/// must pass the same one.
pub(crate) trait Counter: Sized + Send + Sync + 'static {
    /// The configuration of a policy's counters.
    type Spec: Copy + Send + Sync + core::fmt::Debug;
    /// A frozen copy of a counter.
    type Frozen: Copy;

    #[cfg(all(test, tollgate_model))]
    fn zeroed() -> Self;

    /// The tick of an instant.
    fn tick(spec: &Self::Spec, now: Now) -> u64;

    /// Like [`tick`](Self::tick), but may wrap around instead of saturating.
    fn wrapping_tick(spec: &Self::Spec, now: Now) -> u64;

    /// The nanoseconds from `now` until a later tick begins, if they are less than 2^64.
    fn ns_until(spec: &Self::Spec, tick: u64, now: Now) -> u64;

    /// The nanoseconds from `now` until a tick begins. 0 if it has begun.
    fn wait_ns(spec: &Self::Spec, tick: u64, now: Now) -> u64;

    /// The resolution of recorded times, in nanoseconds.
    fn resolution_ns(spec: &Self::Spec) -> u64;

    /// Returns the time base of an array that is created with this cutoff.
    fn base(spec: &Self::Spec, cutoff: u64) -> TimeBase;

    /// Returns whether `now` is later than an array with this base can represent. Nothing may be
    /// charged there at such a time: the charge would be recorded too early.
    fn is_out_of_range(spec: &Self::Spec, base: TimeBase, now: u64) -> bool;

    /// The number of ticks for which a charge counts.
    fn window(spec: &Self::Spec) -> u64;

    /// Evaluates a charge; writes nothing. Returns the charge to commit, or the denial.
    ///
    /// The cost must not be 0. `args.now` must not be before the base's cutoff, and an array with this
    /// base must be able to represent it.
    ///
    /// This is a single attempt. It returns `None` if the cost is above the limit, if the counter was
    /// moved, if its head is sealed, if a concurrent write has outdated the evaluation, and in a few
    /// rare states. There is no retry loop, because a loop costs registers that the fast path needs.
    fn prepare<'a, S: Sum>(
        &'a self,
        spec: &Self::Spec,
        base: TimeBase,
        args: &ChargeArgs,
        sum: S,
    ) -> Option<CounterEvaluation<'a>>;

    /// Charges the cost if it fits. A denial writes nothing.
    fn charge(
        &self,
        spec: &Self::Spec,
        base: TimeBase,
        args: &ChargeArgs,
    ) -> Result<Outcome, Moved>;

    /// The outcome that [`charge`](Self::charge) would have; writes nothing. `used` excludes the cost.
    fn peek(&self, spec: &Self::Spec, base: TimeBase, args: &ChargeArgs) -> Result<Outcome, Moved>;

    /// Gives back up to `amount` units.
    ///
    /// The units are taken from live charges made at `since` or later, or from all live charges if
    /// `since` is `None`. The oldest come first. Returns false, and takes no more units, once the
    /// charge made at `since` has expired or was reset. `amount` is lowered by the units given back, so
    /// that the caller can continue after a move.
    ///
    /// A caller that gives back no more than it charged at `since` or later takes its own units or
    /// older ones. Hence the remaining usage never expires earlier than if the caller had taken only
    /// its own.
    fn give_back(
        &self,
        spec: &Self::Spec,
        base: TimeBase,
        now: u64,
        since: Option<Since<impl Fn() -> bool>>,
        amount: &mut u64,
    ) -> Result<bool, Moved>;

    /// Removes every charge that was completed before the call. Before a count is lowered, `record`
    /// gets the tick of the newest charge. No later charge has that tick or an earlier one.
    ///
    /// `newest` is `None` at first, and becomes that tick once the reset has taken effect, so that the
    /// caller can continue after a move.
    fn reset(
        &self,
        spec: &Self::Spec,
        base: TimeBase,
        newest: &mut Option<u64>,
        record: impl Fn(u64),
    ) -> Result<(), Moved>;

    /// Returns whether the counter was ever charged in this array, or copied into it.
    fn is_open(&self) -> bool;

    /// Returns whether a [`freeze`](Self::freeze) has begun. A hint: the result may be outdated, but not
    /// after an operation has returned [`Moved`].
    fn is_frozen(&self) -> bool;

    /// The usage that dropping the counter at `cutoff` would forgive: the units that are live at the
    /// cutoff.
    ///
    /// `u64::MAX` if the counter has recorded a later time: it may then have overwritten charges that are
    /// live at the cutoff but had expired by that later time. The result is a hint: it may be outdated
    /// on return.
    fn weight(&self, spec: &Self::Spec, base: TimeBase, cutoff: u64) -> u64;

    /// Makes the counter immutable. Every call returns the same copy.
    fn freeze(&self) -> Self::Frozen;

    /// The [`weight`](Self::weight) of a frozen counter. It never changes.
    fn frozen_weight(frozen: &Self::Frozen, spec: &Self::Spec, base: TimeBase, cutoff: u64) -> u64;

    /// Copies a frozen counter into this fresh counter of another array.
    ///
    /// Concurrent helpers install the same copy. A late install changes nothing.
    fn install(&self, spec: &Self::Spec, frozen: &Self::Frozen, from: TimeBase, to: TimeBase);
}
