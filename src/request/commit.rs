//! The second step of a request over several policies: commit each prepared charge with one CAS.

use crate::counter::prepared::PreparedCharge;
use crate::request::item::Item;

/// Commits all prepared charges, which have different counters. Returns the index of the first item
/// that has none or whose CAS failed. Those before it are charged.
#[inline(always)]
pub(super) fn commit_all(items: &[Item<'_>]) -> Option<usize> {
    items.iter().position(|item| !item.prepared.is_some_and(PreparedCharge::commit))
}
