//! Counts the code paths that decide requests, so that schedules can show that they run each one.
//!
//! Only test builds for models and schedules count. In other builds this compiles to nothing.

/// A code path that ends in a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// A check of one charge: the fast path.
    One,
    /// A check of one charge: the slow path.
    OneFallback,
    /// A request in `Context::decide_evaluated` (several charges, for example): all charges were
    /// prepared and committed.
    Several,
    /// A request in `Context::decide_evaluated`: denied after one evaluation of each charge.
    SeveralDenied,
    /// A request in `Context::decide_evaluated`: a commit failed, a charge was not prepared, or the
    /// request was forced.
    SeveralFallback,
}

/// Counts one decision on this path.
#[inline(always)]
#[cfg_attr(
    not(all(test, tollgate_model)),
    expect(unused_variables, reason = "counted in models only")
)]
pub(crate) fn count(path: Path) {
    #[cfg(all(test, tollgate_model))]
    model::COUNTS.with(|counts| {
        let mut all = counts.get();
        all[path as usize] += 1;
        counts.set(all);
    });
}

#[cfg(all(test, tollgate_shuttle))]
pub(crate) use model::take_counts;

#[cfg(all(test, tollgate_model))]
mod model {
    use super::Path;
    use std::cell::Cell;

    const ALL: usize = Path::SeveralFallback as usize + 1;

    // All threads of a model run on one OS thread.
    thread_local!(pub(super) static COUNTS: Cell<[u64; ALL]> = const { Cell::new([0; ALL]) });

    /// Returns how often each path was taken since the last call, in the order of [`Path`].
    #[cfg(tollgate_shuttle)]
    pub(crate) fn take_counts() -> [u64; ALL] {
        COUNTS.take()
    }
}
