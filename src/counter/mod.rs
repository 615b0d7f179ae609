//! What one key's slot holds: a counter over a window or over a calendar period.
//!
//! Everything here speaks in ticks: units of the policy's own time, a scale of nanoseconds for a
//! [`ring`](ring::Ring) and the number of the period for a [`quota`](quota::Quota).

pub(crate) mod calendar;
pub(crate) mod prepared;
pub(crate) mod sliding;

use prepared::CounterEvaluation;

/// `fits_at` of a charge that costs more than its limit.
pub(crate) const NEVER: u64 = u64::MAX;

/// What a caller asks of one counter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// The caller's tick.
    pub(crate) now: u64,
    /// Units to charge; 0 asks without writing.
    pub(crate) cost: u64,
    /// The limit to apply; `u64::MAX` charges whatever the usage is.
    pub(crate) limit: u64,
}

/// What one counter answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) admitted: bool,
    /// Usage after the decision.
    pub(crate) used: u64,
    /// The effective tick; of an admitted charge the recorded one.
    pub(crate) at: u64,
    /// The first tick at which the charge has room if nobody else spends, or [`NEVER`].
    pub(crate) fits_at: u64,
    /// The first tick at which nothing is used if nobody spends.
    pub(crate) clear_at: u64,
}

/// The times that an array of counters lives by, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeBase {
    /// The array's words count time from here.
    pub(crate) origin: u64,
    /// Charges that had expired by then were not copied into this array, so that no earlier time
    /// is ever used in it.
    pub(crate) cutoff: u64,
    /// After this the array should be renewed before it is used.
    pub(crate) lasts_until: u64,
}

impl TimeBase {
    /// Whether the array should be renewed before it is used at `now`.
    #[inline(always)]
    pub(crate) fn is_outlived(self, now: u64) -> bool {
        now > self.lasts_until
    }
}

/// The counter was moved to another array; the caller finds it through the table again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved;

/// One key's counter: zeroed memory is a fresh one, and every verb is lock-free.
///
/// The verbs need the [`TimeBase`] of the array that the counter lies in, always the same one.
pub(crate) trait Counter: Sized + Send + Sync + 'static {
    /// The measures of a policy.
    type Spec: Copy + Send + Sync + core::fmt::Debug;
    /// What a freeze saw.
    type Frozen: Copy;

    #[cfg(all(test, tollgate_model))]
    fn zeroed() -> Self;

    /// The base of an array born at `cutoff`.
    fn base(spec: &Self::Spec, cutoff: u64) -> TimeBase;

    /// Whether `now` lies beyond what the counters of an array with this base can tell. Nothing may
    /// be charged there then: it would be recorded too early.
    fn is_beyond(spec: &Self::Spec, base: TimeBase, now: u64) -> bool;

    /// How many ticks a charge counts.
    fn window(spec: &Self::Spec) -> u64;

    /// The charge that the cost has room for, or the denial; writes nothing. `None` or `Moved` if it
    /// takes more than one look, at what others left half done, moved, or write just now.
    ///
    /// Not in a loop: that would make ready for a second turn, which hardly any request takes.
    fn prepare<'a>(
        &'a self,
        spec: &Self::Spec,
        base: TimeBase,
        request: &Request,
    ) -> Result<Option<CounterEvaluation<'a>>, Moved>;

    /// Charges the cost if it has room; denials write nothing.
    fn charge(
        &self,
        spec: &Self::Spec,
        base: TimeBase,
        request: &Request,
    ) -> Result<Outcome, Moved>;

    /// What [`charge`](Self::charge) would outcome; writes nothing. `used` excludes the cost.
    fn peek(&self, spec: &Self::Spec, base: TimeBase, request: &Request) -> Result<Outcome, Moved>;

    /// Gives up to `amount` units back, from the oldest live charges on that were made at `from` or
    /// later, or from all live ones; nothing if what was charged at `from` has expired: then the
    /// outcome is false. `amount` is lowered by what was given, so that the caller can go on after a
    /// move.
    ///
    /// Whoever gives back what was charged at `from` or later, and no more of it than that, takes
    /// units of his own or older ones: what is left expires no earlier than if they were his own.
    fn give_back(
        &self,
        spec: &Self::Spec,
        base: TimeBase,
        now: u64,
        from: Option<u64>,
        amount: &mut u64,
    ) -> Result<bool, Moved>;

    /// Forgets every charge that was completed before the call.
    fn reset(&self, spec: &Self::Spec, base: TimeBase) -> Result<(), Moved>;

    /// Whether the counter was ever charged in this array, or copied into it.
    fn is_open(&self) -> bool;

    /// What dropping the counter at `cutoff` would forgive: what is live then. `u64::MAX` if it has
    /// seen a later time: charges that had expired by that are forgotten, but could be live at the
    /// cutoff. A hint: it may be outdated when it returns.
    fn weight(&self, spec: &Self::Spec, base: TimeBase, cutoff: u64) -> u64;

    /// After this nobody can change the counter, and everybody who freezes sees the same.
    fn freeze(&self) -> Self::Frozen;

    /// The [`weight`](Self::weight) of a frozen counter, for good.
    fn frozen_weight(frozen: &Self::Frozen, spec: &Self::Spec, base: TimeBase, cutoff: u64) -> u64;

    /// Copies a frozen counter into this fresh one of another array. All who do so copy the same,
    /// and a late copy changes nothing.
    fn install(&self, spec: &Self::Spec, frozen: &Self::Frozen, from: TimeBase, to: TimeBase);
}
