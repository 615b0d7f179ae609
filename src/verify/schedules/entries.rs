//! Counts of what a run has exercised: calls of each entry point, and the path that decided them.
//! A run that leaves one out proves nothing about it, so each has a floor.

use super::layout::{Layout, Verb};
use crate::verify::path::{Path, take_counts};
use std::cell::Cell;

/// An entry point of the limiter, or an answer that a layout is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Check,
    CheckAt,
    CheckManyOfOne,
    CheckLayersOfOne,
    CheckOfSeveral,
    CheckLayers,
    CheckMany,
    Charge,
    Maintain,
    /// An execution in which an array was renewed because of its age.
    RenewedByAge,
    /// A live key that was evicted.
    Evicted,
    /// A key that found no place: refused.
    Refused,
    /// A key that found no place: allowed and not counted.
    Uncounted,
}

const ALL: [Entry; 13] = [
    Entry::Check,
    Entry::CheckAt,
    Entry::CheckManyOfOne,
    Entry::CheckLayersOfOne,
    Entry::CheckOfSeveral,
    Entry::CheckLayers,
    Entry::CheckMany,
    Entry::Charge,
    Entry::Maintain,
    Entry::RenewedByAge,
    Entry::Evicted,
    Entry::Refused,
    Entry::Uncounted,
];

// All threads of an execution share one thread of the system.
thread_local!(static COUNTS: Cell<[u64; ALL.len()]> = const { Cell::new([0; ALL.len()]) });

/// Counts one call.
pub(super) fn count(entry: Entry) {
    let mut counts = COUNTS.get();
    counts[entry as usize] += 1;
    COUNTS.set(counts);
}

/// Forgets what was counted.
pub(super) fn reset() {
    COUNTS.take();
    take_counts();
}

/// Prints the counts of a run and asserts the floors of its layout.
pub(super) fn assert_floors(layout: &Layout, executions: usize) {
    let floor = (executions / 40) as u64;
    let (entries, paths) = (COUNTS.take(), take_counts());
    let used = ALL.into_iter().filter(|entry| entry.is_of(layout));
    let used: Vec<_> = used.map(|entry| (entry, entries[entry as usize])).collect();
    println!("schedules {}: {used:?}, paths {paths:?}", layout.name);
    for (entry, count) in used {
        assert!(count >= floor, "{}: only {count} times {entry:?}", layout.name);
    }
    let path = |path: Path| paths[path as usize];
    if layout.verbs.contains(&Verb::Check) {
        for one in [Path::One, Path::OneFallback] {
            assert!(path(one) >= floor, "{}: only {} times {one:?}", layout.name, path(one));
        }
    }
    if layout.verbs.contains(&Verb::Layered) {
        for several in [Path::Several, Path::SeveralDenied, Path::SeveralFallback] {
            let count = path(several);
            assert!(count >= floor, "{}: only {count} times {several:?}", layout.name);
        }
    }
}

impl Entry {
    /// Whether the calls of a layout use it.
    fn is_of(self, layout: &Layout) -> bool {
        let has = |verb| layout.verbs.contains(&verb);
        match self {
            Entry::Check | Entry::CheckAt | Entry::CheckManyOfOne | Entry::CheckLayersOfOne => {
                has(Verb::Check)
            }
            Entry::CheckOfSeveral => has(Verb::Layered) && !layout.passes_uncounted(),
            Entry::CheckLayers => has(Verb::Layered),
            Entry::CheckMany => has(Verb::CheckMany),
            Entry::Charge => has(Verb::Force),
            Entry::Maintain => has(Verb::Maintain),
            Entry::RenewedByAge => layout.renews_by_age_only(),
            Entry::Evicted => layout.allowance() > 0 && !layout.only_bounds_evictions(),
            Entry::Refused => layout.is_crowded() && !layout.passes_uncounted(),
            Entry::Uncounted => layout.is_crowded() && layout.passes_uncounted(),
        }
    }
}
