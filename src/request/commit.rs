//! The second step of a request: commit each prepared charge.

use crate::counter::prepared::PreparedCharge;
use crate::engine::item::Item;

/// Commits the prepared charges in order, up to the first item that has none or whose commit fails.
/// Returns the index of that item: the items before it are charged. Returns `None` if all are
/// charged. No two prepared charges have the same counter.
#[inline(always)]
pub(super) fn commit_all(items: &[Item<'_>]) -> Option<usize> {
    items.iter().position(|item| !item.prepared.is_some_and(PreparedCharge::commit))
}
