//! The calls of each thread, drawn at random before the thread begins.

use super::layout::{Layout, MAX_POLICIES, Operation};
use crate::Reservation;
use shuttle::rand::{Rng, thread_rng};

/// A random number below `bound`. It is drawn from the schedule's generator, so that a replayed
/// schedule makes the same calls.
pub(super) fn below(bound: u64) -> u64 {
    thread_rng().gen_range(0..bound)
}

/// The greatest number of requests in one call.
pub(super) const MAX_BATCH: usize = 4;

/// One call with its arguments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) operation: Operation,
    pub(super) policy: usize,
    /// The key and the cost for each policy.
    pub(super) keys: [usize; MAX_POLICIES],
    pub(super) costs: [u64; MAX_POLICIES],
    /// Whether the call reuses the thread's previous reading of the clock.
    pub(super) late: bool,
    /// Selects one of several entry points.
    pub(super) entry_point: u64,
    /// The requests of a call with several requests, and their number.
    pub(super) batch: [Item; MAX_BATCH],
    pub(super) batch_len: usize,
    /// Depends on the operation: selects the step of the clock, the new limit, or the reservation
    /// and the call that is made after it was closed. For `maintain`, it is the number of slots.
    pub(super) choice: u64,
    /// Depends on the operation: whether a reservation or a forced charge covers all policies,
    /// whether a closed reservation is used again, or whether `maintain` is called on the session.
    pub(super) coin: bool,
    /// The units of an extension for each policy. The first number is also the amount for each
    /// charge when a closed reservation is used again.
    pub(super) extend_by: [u64; MAX_POLICIES],
    /// A random number for each policy. The actual cost of a settlement is this number modulo
    /// (charged units + 3), so it exceeds the charged units by at most 2.
    pub(super) actual: [u64; MAX_POLICIES],
}

impl Call {
    pub(super) fn random(layout: &Layout, operations: &[Operation]) -> Self {
        let policy = below(layout.policies.len() as u64) as usize;
        let each = |draw: &dyn Fn(usize) -> u64| std::array::from_fn(draw);
        let max_cost = |policy: usize| {
            let limit = layout.policies.get(policy).map_or(1, |policy| policy.limit());
            layout.max_cost.min(limit)
        };
        Call {
            operation: operations[below(operations.len() as u64) as usize],
            policy,
            keys: std::array::from_fn(|_| below(layout.keys as u64) as usize),
            costs: each(&|policy| 1 + below(max_cost(policy))),
            late: below(4) == 0,
            entry_point: below(4),
            batch: std::array::from_fn(|_| {
                let policy = below(layout.policies.len() as u64) as usize;
                let key = below(layout.keys as u64) as usize;
                Item { policy, key, cost: 1 + below(max_cost(policy)) }
            }),
            batch_len: 2 + below(MAX_BATCH as u64 - 1) as usize,
            choice: below(4),
            coin: below(2) == 0,
            extend_by: each(&|policy| below(1 + max_cost(policy))),
            actual: each(&|_| below(60)),
        }
    }
}

/// The state of a thread between its calls.
#[derive(Debug, Default)]
pub(super) struct ThreadState {
    /// The last reading of the clock.
    pub(super) now: Option<u64>,
    /// Admitted charges that were not refunded, as (policy, key, cost).
    pub(super) refundable: Vec<(usize, usize, u64)>,
    pub(super) reservations: Vec<HeldReservation>,
}

impl ThreadState {
    pub(super) fn at(now: Option<u64>) -> Self {
        ThreadState { now, ..ThreadState::default() }
    }
}

/// A reservation of a thread that is not closed yet.
#[derive(Debug)]
pub(super) struct HeldReservation {
    pub(super) number: usize,
    pub(super) reservation: Reservation,
    pub(super) items: Vec<Item>,
}

/// One charge of a request or of a reservation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) policy: usize,
    pub(super) key: usize,
    /// The requested units or, for a reservation, all units that are charged.
    pub(super) cost: u64,
}
