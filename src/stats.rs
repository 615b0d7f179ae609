//! The statistics of a policy and of a limiter, for dashboards.

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
    /// The number of those `denied` charges for which no wait helps, because they cost more than the
    /// limit, alone or together with earlier charges of the request to the same key.
    pub impossible: u64,
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
    /// The total cost of the `admitted` charges, in units of cost, modulo 2⁶⁴.
    pub admitted_units: u64,
    /// The units that [`refund`](crate::Session::refund), [`settle`](crate::Session::settle) and
    /// [`cancel`](crate::Session::cancel) have given back, modulo 2⁶⁴.
    ///
    /// It does not include units that [`reset_key`](crate::Session::reset_key) cleared. A request that is
    /// rolled back counts neither here nor in `admitted_units`. Under a calendar policy, a reservation
    /// gives back to the period that was charged. Once that period has passed, the units count here only
    /// if the table still has the key.
    pub refunded_units: u64,
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

/// The numbers of requests that a limiter has decided: see
/// [`Limiter::request_stats`](crate::Limiter::request_stats).
///
/// Each check, each charge of [`check_many`](crate::Session::check_many), each forced charge and each
/// reservation is a request, and so is each extension of a reservation. Peeks, settlements and refunds
/// are not. The numbers are exact once the threads that made the requests have been joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestStats {
    /// The number of requests with the verdict [`Allowed`](crate::Verdict::Allowed).
    pub allowed: u64,
    /// The number of requests with the verdict [`Denied`](crate::Verdict::Denied).
    pub denied: u64,
    /// The number of requests with the verdict [`Impossible`](crate::Verdict::Impossible).
    pub impossible: u64,
    /// The number of requests with the verdict [`TableFull`](crate::Verdict::TableFull).
    pub table_full: u64,
    /// The number of requests with the verdict [`Invalid`](crate::Verdict::Invalid).
    pub invalid: u64,
    /// The number of reservations that were neither settled nor cancelled.
    ///
    /// A reservation that is dropped without being closed stays in this number, also when its charges
    /// have expired. So a number that keeps growing shows that reservations are lost.
    pub open_reservations: u64,
}
