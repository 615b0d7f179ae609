//! How one policy of a limiter stands, for dashboards.

use crate::charge::PolicyId;

/// How one policy stands: see [`Limiter::stats`](crate::Limiter::stats).
///
/// The counts of requests are exact once the threads that made them have returned; what is told of
/// the table was true at some instant of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The policy.
    pub policy: PolicyId,
    /// Charges that were made. A request with two charges under one policy counts twice, and so does
    /// a reservation that was extended, or settled for more than it held.
    pub admitted: u64,
    /// Charges that had no room, or cost more than the limit. A charge that had room in a request
    /// that was denied for another one is not counted.
    pub denied: u64,
    /// Charges that were refused because the table was full.
    pub refused: u64,
    /// Charges that were let through uncounted because the table was full.
    pub untracked: u64,
    /// Keys that have used anything that still counts: estimated from a sample of up to 1,024
    /// slots, roughly while keys are moving.
    pub live_keys: usize,
    /// Slots that hold a key, live or not; a key that is just moving may be counted twice.
    pub used_slots: usize,
    /// Slots of the present array.
    pub slots: usize,
    /// Bytes that the policy may keep resident now, but for arrays that a
    /// [`Session`](crate::Session) of before still holds.
    pub bytes: usize,
    /// How many arrays were made after the first.
    pub migrations: u64,
    /// Live keys that were dropped to make room.
    pub evictions: u64,
    /// Units that those had used.
    pub forgiven: u64,
}
