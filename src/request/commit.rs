//! The second step of a request over several policies: commit each prepared charge with one CAS.

use crate::request::item::Item;
use crate::verify::mutants::is_on;

/// Commits all prepared charges, which have different counters. Returns the index of the first item
/// that has none or whose CAS failed. Those before it are charged.
#[inline(always)]
pub(super) fn commit_all(items: &[Item<'_>]) -> Option<usize> {
    let commits = |item: &Item<'_>| {
        item.prepared.is_some_and(|prepared| prepared.commit() || is_on("LostSeveralAdmitted"))
    };
    items.iter().position(|item| !commits(item))
}
