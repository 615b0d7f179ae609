//! Statistics of a table.

/// A table's figures. They are no consistent snapshot: each is read at another instant of the call.
/// `live_keys` is estimated from a sample, and `used_slots` may count a key twice while it is moved.
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
