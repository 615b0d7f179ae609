//! The statistics of one policy, for dashboards.

use crate::charge::PolicyId;

/// The statistics of one policy: see [`Limiter::stats`](crate::Limiter::stats).
///
/// The counts of charges are exact once the threads that made them have returned. The values of the
/// table were true at some instant of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The policy.
    pub policy: PolicyId,
    /// The number of admitted charges.
    ///
    /// A request with two charges under one policy counts twice. So does a reservation that is
    /// extended, or settled for more than it was charged.
    pub admitted: u64,
    /// The number of charges that had no room or cost more than the limit.
    ///
    /// A charge that had room does not count if its request was denied for another charge.
    pub denied: u64,
    /// The number of charges refused with [`Verdict::TableFull`](crate::Verdict::TableFull): a new key
    /// found no room, or any key found an array that has outlived its time range, without memory for
    /// a new one.
    pub refused: u64,
    /// The number of charges that passed uncounted because the table was full.
    pub untracked: u64,
    /// The number of live keys: those with usage that still counts.
    ///
    /// It is estimated from a sample of up to 1,024 slots, less accurately while keys move to
    /// another array.
    pub live_keys: usize,
    /// The number of slots that hold a key, live or expired. A key that is moving may count twice.
    pub used_slots: usize,
    /// The number of slots of the current array.
    pub slots: usize,
    /// The maximum memory that the policy keeps resident now, in bytes.
    ///
    /// It does not include replaced arrays that are not yet freed, for example because a
    /// [`Session`](crate::Session) still pins them.
    pub bytes: usize,
    /// The number of arrays made after the first.
    pub migrations: u64,
    /// The number of live keys evicted to make room.
    pub evictions: u64,
    /// The units that evicted keys had used, in units of cost.
    pub forgiven: u64,
}
