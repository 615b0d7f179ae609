//! Reservations: charges whose cost is known only afterwards.

use crate::charge::{Charge, PolicyId};
use crate::decision::{Decision, PolicyStatus};
use crate::engine::context::Context;
use crate::engine::item::Item;
use crate::engine::policy_metrics::{Event, Scope};
use crate::engine::resolved_charge::ResolvedCharge;
use crate::request::{Mode, resolve_all};
use crate::table::{KeyId, Receipt, Returned};
use arrayvec::ArrayVec;
use std::fmt;

/// The greatest number of charges in one reservation.
pub const MAX_RESERVED: usize = 8;

/// A request that was charged an estimate, and is settled with its actual cost.
///
/// ```text
/// reserve(estimate) -> extend(more)* -> settle(actual) | cancel()
/// ```
///
/// `reserve` charges the estimate under all policies of the request or under none, so that concurrent
/// requests cannot spend the same units. An open reservation holds at least its estimate, until its
/// window or period has passed. A *layer* is one charge of the request: a key under a policy.
///
/// - **extend** charges more to each layer, or nothing to any. After a denial, stop the response. The
///   decision reports the policy that denied, and the wait.
/// - **settle** replaces the estimate by the actual cost. An overestimate is refunded to the window or
///   period that was charged, unless that has passed. An underestimate is charged even over
///   the limit, and blocks later requests until it has expired.
/// - **cancel** settles with a cost of 0.
///
/// A reservation is plain data: it can be sent between threads and kept as long as a response streams. *A
/// reservation that is dropped without being settled stays charged* until its window or period has
/// passed. It leaks no memory, and nothing has to clean it up.
///
/// Amounts are given for each charge, in order, in the units of its policy.
///
/// A reservation that is extended for longer than a window gives back at most its last extension, since
/// earlier charges have expired in part. So does one whose key was evicted meanwhile
/// ([`Overflow::EvictLightest`](crate::Overflow::EvictLightest)).
///
/// ```
/// use std::time::Duration;
/// use tollgate::{Limiter, Period, Policy};
///
/// let minute = Duration::from_secs(60);
/// let limiter = Limiter::builder()
///     .policy(Policy::sliding("requests", 10, minute))
///     .policy(Policy::sliding("tokens", 100_000, minute))
///     .build()?;
/// let [requests, tokens] = ["requests", "tokens"].map(|name| limiter.policy(name).unwrap());
///
/// // The prompt is known, the answer is not: reserve 500 tokens for it.
/// let charges = [requests.charge("alice", 1), tokens.charge("alice", 1_200 + 500)];
/// let mut reservation = limiter.reserve(&charges).expect("there is room");
/// // The answer grows: extend the reservation.
/// let decision = limiter.extend(&mut reservation, &[0, 500])?;
/// if !decision.is_allowed() {
///     // Stop the stream here.
/// }
/// // The actual cost: one request and 1,840 tokens.
/// let decision = limiter.settle(&mut reservation, &[1, 1_200 + 640])?;
/// assert_eq!(limiter.peek(&[tokens.charge("alice", 0)]).remaining, 100_000 - 1_840);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "an unsettled reservation stays charged until its window has passed"]
pub struct Reservation {
    held: ArrayVec<Held, MAX_RESERVED>,
    open: bool,
    decision: Decision,
}

/// The charges of one layer.
#[derive(Clone, Copy, Debug)]
struct Held {
    policy: PolicyId,
    key: KeyId,
    limit: Option<u64>,
    /// The sum of all charges.
    charged: u64,
    /// The sum of the extensions that a dry run let pass uncharged. `u64::MAX` if it let the first charge
    /// pass: an enforced policy would have denied the reservation, so nothing is charged any more.
    passed: u64,
    /// The first charge.
    first: Receipt,
    /// The newest charge.
    last: Receipt,
}

/// The error of an operation on a reservation. The operation has changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReservationError {
    /// The reservation was settled or cancelled already.
    Closed,
    /// The reservation was made by another limiter.
    Foreign,
    /// The number of amounts is not the number of charges.
    Amounts {
        /// The number of charges.
        expected: usize,
        /// The number of amounts.
        value: usize,
    },
}

impl fmt::Display for ReservationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReservationError::Closed => {
                write!(f, "the reservation is already settled or cancelled")
            }
            ReservationError::Foreign => write!(f, "the reservation belongs to another limiter"),
            ReservationError::Amounts { expected, value } => {
                write!(f, "{value} amounts for a reservation of {expected} charges")
            }
        }
    }
}

impl std::error::Error for ReservationError {}

impl Reservation {
    /// The decision that allowed the request.
    pub fn decision(&self) -> Decision {
        self.decision
    }

    /// Returns the units that are charged to a layer, given by its index in the request. After settling,
    /// they are the actual cost, unless the table had no room for it or a
    /// [dry run](crate::Policy::dry_run) let a part of it pass. `None` if there is no such layer.
    pub fn charged(&self, layer: usize) -> Option<u64> {
        self.held.get(layer).map(|held| held.charged)
    }

    /// Returns whether the reservation can still be extended and settled.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// One item for each layer, which charges `cost(index, held)`. The reservation must be of this
    /// limiter.
    fn items<'l>(
        &self,
        context: &Context<'l>,
        cost: impl Fn(usize, &Held) -> u64,
    ) -> ArrayVec<Item<'l>, MAX_RESERVED> {
        let layers = self.held.iter().enumerate();
        layers.filter_map(|(index, held)| held.item(context, cost(index, held))).collect()
    }

    /// Checks that the reservation is open, belongs to this limiter, and has `amounts` layers.
    fn validate(&self, context: &Context<'_>, amounts: usize) -> Result<(), ReservationError> {
        if self.held.iter().any(|held| context.policies.get(held.policy).is_none()) {
            return Err(ReservationError::Foreign);
        }
        if amounts != self.held.len() {
            return Err(ReservationError::Amounts { expected: self.held.len(), value: amounts });
        }
        if self.open { Ok(()) } else { Err(ReservationError::Closed) }
    }
}

impl Held {
    /// Holds the first charge of a layer, which is committed.
    fn new(item: &Item<'_>, limit: Option<u64>) -> Self {
        let (policy, key) = (item.charge.policy.id(), item.charge.key);
        let (first, last) = (Receipt::NONE, Receipt::NONE);
        let mut held = Held { policy, key, limit, charged: 0, passed: 0, first, last };
        held.add(item);
        if !item.outcome.admitted {
            held.passed = u64::MAX;
        }
        held
    }

    /// Adds a charge that is committed, or that a dry run let pass.
    fn add(&mut self, item: &Item<'_>) {
        if !item.outcome.admitted {
            self.passed = self.passed.saturating_add(item.charge.cost);
        }
        if !item.is_charged() {
            return;
        }
        self.last = item.receipt();
        if self.charged == 0 {
            self.first = self.last;
        }
        self.charged = self.charged.saturating_add(item.charge.cost);
    }

    /// The cost to charge for an extension by `more`.
    fn extension(&self, more: u64) -> u64 {
        if self.passed == u64::MAX { 0 } else { more }
    }

    /// The part of the actual cost that is neither charged nor let pass.
    fn excess(&self, actual: u64) -> u64 {
        actual.saturating_sub(self.charged.saturating_add(self.passed))
    }

    /// Gives back up to `amount` of the charged units, and returns how many.
    fn give_back(&self, context: &Context<'_>, item: &Item<'_>, amount: u64) -> u64 {
        let give_back_from = |from: Receipt, amount: u64| {
            // The receipt prevents units of other charges from being given back if this charge has
            // expired. Schedules: reserved with SettlePresent.
            let from = Some(from);
            item.charge.policy.give_back(self.key, context.now, from, amount, &context.guard)
        };
        // While the first charge counts, so do all later ones, and this call takes from all of them.
        let Returned { units, is_gone } = give_back_from(self.first, amount);
        // If it no longer does, at most the last extension is given back: the units of each charge
        // in between are not known. Schedules: cancelled after refund with LastExtensionTwice;
        // streams with LastExtensionStays and LastExtensionUncut.
        if units < amount && is_gone && self.last.may_outlast(&self.first) {
            let most = self.last.units;
            return units + give_back_from(self.last, (amount - units).min(most)).units;
        }
        units
    }

    /// An item that charges `cost` more to this layer. `None` if the policy is of another limiter.
    fn item<'l>(&self, context: &Context<'l>, cost: u64) -> Option<Item<'l>> {
        let policy = context.policies.get(self.policy)?;
        let limit = policy.limit(self.limit);
        Some(Item::new(ResolvedCharge { policy, key: self.key, cost, limit }))
    }
}

/// Charges the estimate of a request under all its policies, or under none.
pub(crate) fn reserve(
    context: &Context<'_>,
    charges: &[Charge<'_>],
    statuses: &mut [PolicyStatus],
) -> Result<Reservation, Decision> {
    let mut items = ArrayVec::<_, MAX_RESERVED>::new();
    resolve_all(context.policies, charges, &mut items)
        .map_err(|policy| context.policies.refuse_invalid(policy))?;
    let decision = context.decide_items(&mut items, Mode::Check, statuses);
    if !decision.is_allowed() {
        return Err(decision);
    }
    context.policies.requests().reserve(context.shard);
    let held = items.iter().zip(charges).map(|(item, charge)| Held::new(item, charge.limit));
    Ok(Reservation { held: held.collect(), open: true, decision })
}

/// Charges more to each layer, or nothing to any.
pub(crate) fn extend(
    context: &Context<'_>,
    reservation: &mut Reservation,
    more: &[u64],
) -> Result<Decision, ReservationError> {
    reservation.validate(context, more.len())?;
    let mut items = reservation.items(context, |index, held| held.extension(more[index]));
    let decision = context.decide_items(&mut items, Mode::Check, &mut []);
    if decision.is_allowed() {
        for (held, item) in reservation.held.iter_mut().zip(&items) {
            held.add(item);
        }
    }
    Ok(decision)
}

/// Closes a reservation with its actual cost.
pub(crate) fn settle(
    context: &Context<'_>,
    reservation: &mut Reservation,
    actual: &[u64],
) -> Result<Decision, ReservationError> {
    reservation.validate(context, actual.len())?;
    reservation.open = false;
    context.policies.requests().close(context.shard);
    let mut items = reservation.items(context, |index, held| held.excess(actual[index]));
    let mut full_policy = None;
    for (index, (held, actual)) in reservation.held.iter_mut().zip(actual).enumerate() {
        let (before, rest) = items.split_at_mut(index);
        let item = &mut rest[0];
        // Schedules: reserved with ExcessForgiven and ExcessWhole; reserved, layers with
        // SettleFirstLayer.
        if *actual < held.charged {
            let units = held.give_back(context, item, held.charged - actual);
            item.charge.policy.count_refunded(units, context.shard);
            held.charged = *actual;
        }
        let policy = item.charge.policy;
        // Not all or nothing: each layer is charged its actual cost if its table has a slot for the key.
        // Schedules: reserved with ExcessRefused.
        if context.charge_item(item, Mode::Force).is_err() {
            policy.count(Event::Refused, Scope::Charge, context.shard);
            full_policy = Some(policy.id());
            continue;
        }
        if item.charge.cost > 0 {
            item.count(context.shard);
        }
        if item.outcome.admitted {
            held.charged = held.charged.saturating_add(item.charge.cost);
        }
        item.copy_usage_to(before);
    }
    Ok(match full_policy {
        Some(policy) => Decision::refused(policy),
        None => context.report(&items, &mut []),
    })
}

/// Closes a reservation with a cost of 0.
pub(crate) fn cancel(
    context: &Context<'_>,
    reservation: &mut Reservation,
) -> Result<Decision, ReservationError> {
    settle(context, reservation, &[0; MAX_RESERVED][..reservation.held.len()])
}

/// Asserts at compile time that a reservation can be sent to another thread and kept forever.
const _: fn() = || {
    fn can_be_sent<T: Send + Sync + 'static>() {}
    can_be_sent::<Reservation>();
};
