//! What each thread will do, drawn before it begins.

use super::layout::{Layout, MOST_LAYERS, Verb};
use crate::Reservation;
use shuttle::rand::{Rng, thread_rng};

/// A number below `bound`, drawn from the schedule's own source, so that a schedule replays with
/// the same calls.
pub(super) fn below(bound: u64) -> u64 {
    thread_rng().gen_range(0..bound)
}

/// The most requests of one call.
pub(super) const MOST_MANY: usize = 4;

/// One call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) verb: Verb,
    pub(super) policy: usize,
    /// For each policy.
    pub(super) keys: [usize; MOST_LAYERS],
    pub(super) costs: [u64; MOST_LAYERS],
    /// At the reading of the thread's call before, not at a new one.
    pub(super) late: bool,
    /// Which of several entry points.
    pub(super) entry: u64,
    /// Of a call with several requests: each request's policy, key and cost, and how many they are.
    pub(super) many: [Line; MOST_MANY],
    pub(super) count: usize,
    /// Which amount: the clock's step, the limit that is set, the reservation that is meant.
    pub(super) choice: u64,
    /// Whether a reservation is of all policies, and whether it is closed once more.
    pub(super) coin: bool,
    /// How much more an extension asks for, and what is used in the end, counted round.
    pub(super) more: [u64; MOST_LAYERS],
    pub(super) used: [u64; MOST_LAYERS],
}

impl Call {
    pub(super) fn random(layout: &Layout, verbs: &[Verb]) -> Self {
        let policy = below(layout.policies.len() as u64) as usize;
        let each = |draw: &dyn Fn(usize) -> u64| std::array::from_fn(draw);
        let most_cost = |policy: usize| {
            let limit = layout.policies.get(policy).map_or(1, |policy| policy.limit());
            layout.most_cost.min(limit)
        };
        Call {
            verb: verbs[below(verbs.len() as u64) as usize],
            policy,
            keys: std::array::from_fn(|_| below(layout.keys as u64) as usize),
            costs: each(&|policy| 1 + below(most_cost(policy))),
            late: below(4) == 0,
            entry: below(4),
            many: std::array::from_fn(|_| {
                let policy = below(layout.policies.len() as u64) as usize;
                let key = below(layout.keys as u64) as usize;
                Line { policy, key, cost: 1 + below(most_cost(policy)) }
            }),
            count: 2 + below(MOST_MANY as u64 - 1) as usize,
            choice: below(4),
            coin: below(2) == 0,
            more: each(&|policy| below(1 + most_cost(policy))),
            used: each(&|_| below(60)),
        }
    }
}

/// What a thread remembers from call to call.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) now: Option<u64>,
    /// Charges that were admitted and not given back, as (policy, key, cost).
    pub(super) paid: Vec<(usize, usize, u64)>,
    pub(super) open: Vec<Open>,
}

impl Memory {
    pub(super) fn at(now: Option<u64>) -> Self {
        Memory { now, ..Memory::default() }
    }
}

/// A reservation that was not closed yet.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) number: usize,
    pub(super) reservation: Reservation,
    pub(super) lines: Vec<Line>,
}

/// One charge of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) policy: usize,
    pub(super) key: usize,
    /// What is asked for or, of a reservation, all that was charged.
    pub(super) cost: u64,
}
