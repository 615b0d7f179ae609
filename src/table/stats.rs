//! Statistics of a table.

/// A table's figures. They are no consistent snapshot: each was true at some instant of the call,
/// except `live_keys`, which is estimated from a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TableStats {
    pub(crate) live_keys: usize,
    pub(crate) used_slots: usize,
    pub(crate) slots: usize,
    pub(crate) bytes: usize,
    pub(crate) migrations: u64,
    pub(crate) evictions: u64,
    pub(crate) forgiven: u64,
}
