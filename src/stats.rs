//! The statistics of one policy, for dashboards.

use crate::charge::PolicyId;

/// The statistics of one policy: see [`Limiter::stats`](crate::Limiter::stats).
///
/// The counts of charges are exact once the threads that made the charges have been joined. The
/// values about the table are no consistent snapshot: each is read at another instant of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The policy.
    pub policy: PolicyId,
    /// The number of admitted charges.
    ///
    /// A request with two charges under one policy counts twice. Each extension of a reservation
    /// counts again, and so does a settlement for more than was charged.
    pub admitted: u64,
    /// The number of charges that had no room or cost more than the limit.
    ///
    /// If a request is denied, its charges that had room count neither as denied nor as admitted.
    pub denied: u64,
    /// The number of charges that a [dry run](crate::Policy::dry_run) let pass, although the policy would
    /// have denied them or refused them for a full table. 0 for an enforced policy.
    ///
    /// As with `denied`, each charge without room counts, also if another policy denies the request.
    pub dry_run_denied: u64,
    /// The number of charges refused with [`Verdict::TableFull`](crate::Verdict::TableFull). Other
    /// charges of the same request do not count.
    pub refused: u64,
    /// The number of charges that passed uncounted because the table was full.
    pub untracked: u64,
    /// The number of live keys: those with usage that still counts.
    ///
    /// It is estimated from a sample of up to 1,024 slots, less accurately while keys move to
    /// another array.
    pub live_keys: usize,
    /// The number of slots that hold a key, live or expired. A key that is being moved may count
    /// twice.
    pub used_slots: usize,
    /// The number of slots of the current array.
    pub slots: usize,
    /// The memory of the policy, in bytes. It is an upper bound: some of it may not be resident yet.
    ///
    /// It does not include replaced arrays that are not yet freed, for example because a
    /// [`Session`](crate::Session) still pins them.
    pub bytes: usize,
    /// The number of arrays made after the first.
    pub migrations: u64,
    /// The number of live keys evicted to make room.
    pub evictions: u64,
    /// The total usage of the evicted keys when they were evicted, in units of cost.
    pub forgiven: u64,
}
