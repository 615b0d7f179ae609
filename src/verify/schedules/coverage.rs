//! Coverage counts of a run: calls of each entry point, outcomes that need special states, and the
//! code paths that decided requests.
//!
//! A run proves nothing about a point that it never reaches, so each count has a floor.

use super::layout::{Layout, Operation};
use crate::reclaim::{Event, take_counts as take_events};
use crate::verify::path::{Path, take_counts};
use std::cell::Cell;

/// An entry point of the limiter and the operation that calls it, or an outcome that a layout must
/// produce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CoveragePoint {
    /// `Session::check` of one charge.
    Check,
    /// `Limiter::check_at` of one charge.
    CheckAt,
    /// `Session::check_many` of one request.
    CheckManyOfOne,
    /// `Session::check_with_status` of one charge.
    CheckWithStatusOfOne,
    /// `Session::check` of a charge for every policy.
    CheckAll,
    /// `Session::check_with_status` of a charge for every policy.
    CheckAllWithStatus,
    /// `Session::check_many` of several requests.
    CheckMany,
    /// `Session::force_charge`.
    ForceCharge,
    /// `Session::maintain` or `Limiter::maintain`.
    Maintain,
    /// An execution that renewed an array because of its age.
    RenewedByAge,
    /// An eviction of a live key.
    Evicted,
    /// A new key that was refused because the table was full.
    Refused,
    /// A new key that was allowed without being counted because the table was full.
    Uncounted,
    /// A pin in a thread's own record.
    OwnPin,
    /// A pin in the shared record.
    SharedPin,
    /// An array that was freed while threads ran.
    Freed,
}

const ALL: [CoveragePoint; 16] = [
    CoveragePoint::Check,
    CoveragePoint::CheckAt,
    CoveragePoint::CheckManyOfOne,
    CoveragePoint::CheckWithStatusOfOne,
    CoveragePoint::CheckAll,
    CoveragePoint::CheckAllWithStatus,
    CoveragePoint::CheckMany,
    CoveragePoint::ForceCharge,
    CoveragePoint::Maintain,
    CoveragePoint::RenewedByAge,
    CoveragePoint::Evicted,
    CoveragePoint::Refused,
    CoveragePoint::Uncounted,
    CoveragePoint::OwnPin,
    CoveragePoint::SharedPin,
    CoveragePoint::Freed,
];

// All threads of an execution run on one OS thread.
thread_local!(static COUNTS: Cell<[u64; ALL.len()]> = const { Cell::new([0; ALL.len()]) });

/// Counts one visit of a point.
pub(super) fn count(point: CoveragePoint) {
    add(point, 1);
}

fn add(point: CoveragePoint, visits: u64) {
    let mut counts = COUNTS.get();
    counts[point as usize] += visits;
    COUNTS.set(counts);
}

/// Counts the pins and frees since the threads began.
pub(super) fn count_reclamation() {
    let events = take_events();
    add(CoveragePoint::OwnPin, events[Event::Pin as usize]);
    add(CoveragePoint::SharedPin, events[Event::SharedPin as usize]);
    add(CoveragePoint::Freed, events[Event::Free as usize]);
}

/// Sets all counts to zero.
pub(super) fn reset() {
    COUNTS.take();
    take_counts();
}

/// Prints the counts of a run, and asserts the floor of each point that the layout must reach.
pub(super) fn assert_floors(layout: &Layout, executions: usize) {
    let floor = (executions / 40) as u64;
    let (counts, paths) = (COUNTS.take(), take_counts());
    let used = ALL.into_iter().filter(|point| point.is_of(layout));
    let used: Vec<_> = used.map(|point| (point, counts[point as usize])).collect();
    println!("schedules {}: {used:?}, paths {paths:?}", layout.name);
    for (point, count) in used {
        assert!(count >= floor, "{}: only {count} times {point:?}", layout.name);
    }
    let path = |path: Path| paths[path as usize];
    if layout.operations.contains(&Operation::Check) {
        for one in [Path::One, Path::OneFallback] {
            assert!(path(one) >= floor, "{}: only {} times {one:?}", layout.name, path(one));
        }
    }
    if layout.operations.contains(&Operation::CheckAll) {
        for several in [Path::Several, Path::SeveralDenied, Path::SeveralFallback] {
            let count = path(several);
            assert!(count >= floor, "{}: only {count} times {several:?}", layout.name);
        }
    }
}

impl CoveragePoint {
    /// Returns whether executions of this layout must reach the point.
    fn is_of(self, layout: &Layout) -> bool {
        let has = |operation| layout.operations.contains(&operation);
        match self {
            CoveragePoint::Check
            | CoveragePoint::CheckAt
            | CoveragePoint::CheckManyOfOne
            | CoveragePoint::CheckWithStatusOfOne => has(Operation::Check),
            CoveragePoint::CheckAll => has(Operation::CheckAll) && !layout.allows_uncounted(),
            CoveragePoint::CheckAllWithStatus => has(Operation::CheckAll),
            CoveragePoint::CheckMany => has(Operation::CheckMany),
            CoveragePoint::ForceCharge => has(Operation::Force),
            CoveragePoint::Maintain => has(Operation::Maintain),
            CoveragePoint::RenewedByAge => layout.renews_by_age_only(),
            CoveragePoint::Evicted => {
                layout.allowance() > 0 && !layout.verifies_eviction_bound_only()
            }
            CoveragePoint::Refused => layout.is_crowded() && !layout.allows_uncounted(),
            CoveragePoint::Uncounted => layout.is_crowded() && layout.allows_uncounted(),
            CoveragePoint::OwnPin | CoveragePoint::SharedPin => true,
            CoveragePoint::Freed => layout.movers > 0,
        }
    }
}
