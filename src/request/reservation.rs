//! A charge whose cost is known only afterwards: reserved, extended, settled.

use crate::charge::{Charge, PolicyId};
use crate::decision::{Decision, PolicyStatus};
use crate::request::optimistic::resolve_all;
use crate::request::{Context, Item, Mode, ResolvedCharge, invalid, refused};
use crate::table::{KeyId, Receipt, Returned};
use crate::verify::mutants::{Breakage, broken};
use std::fmt;

/// The most charges of one reservation.
pub const MAX_RESERVED: usize = 8;

/// A request that has been charged an estimate, and may cost more or less.
///
/// ```text
/// reserve(estimate) -> extend(more)* -> settle(actual) | cancel()
/// ```
///
/// The estimate is charged at once, under all policies of the request or under none, so that
/// requests that run at the same time cannot spend the same units. What was charged never is less
/// than what was reserved, and stays charged until it is settled.
///
/// - **extend** charges more to each layer, or to none: then the answer is 'stop now', with the
///   layer and the wait.
/// - **settle** with less gives the difference back to the window or the period that was charged:
///   nothing if that has passed. With more it charges the difference whatever the usage is, so that
///   a debt blocks later requests until it has passed.
/// - **cancel** settles with nothing.
///
/// A reservation is plain data: it can be kept as long as a response streams, and sent between
/// threads. *Dropped unsettled it stays charged* until its window or period has passed; nothing
/// sweeps and nothing leaks.
///
/// Amounts are given for each charge, in their order, in the units of its policy. A reservation
/// that is extended for longer than a window, or whose key was evicted meanwhile
/// ([`Overflow::EvictLightest`](crate::Overflow::EvictLightest)), gives back no more than its last
/// extension, since what came before no longer counts in part.
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
/// // The prompt is known, the answer is not: reserve room for 500 tokens of it.
/// let charges = [requests.charge("alice", 1), tokens.charge("alice", 1_200 + 500)];
/// let mut reservation = limiter.reserve(&charges).expect("there is room");
/// // The answer is getting longer.
/// let decision = limiter.extend(&mut reservation, &[0, 500])?;
/// if !decision.is_allowed() {
///     // Stop the stream here.
/// }
/// // One request, and so many tokens in the end.
/// let decision = limiter.settle(&mut reservation, &[1, 1_200 + 640])?;
/// assert_eq!(limiter.peek(&[tokens.charge("alice", 0)]).remaining, 100_000 - 1_840);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "an unsettled reservation stays charged until its window has passed"]
pub struct Reservation {
    held: [Held; MAX_RESERVED],
    len: usize,
    open: bool,
    decision: Decision,
}

/// What is charged to one layer.
#[derive(Clone, Copy, Debug)]
struct Held {
    policy: PolicyId,
    key: KeyId,
    limit: Option<u64>,
    /// All that was charged.
    charged: u64,
    /// The first charge; all others came later.
    first: Receipt,
    /// The newest charge.
    last: Receipt,
}

/// Why a reservation was not touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReservationError {
    /// It has been settled or cancelled already.
    Closed,
    /// It was made by another limiter.
    Foreign,
    /// There must be one amount for each charge.
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
            ReservationError::Closed => write!(f, "the reservation is settled already"),
            ReservationError::Foreign => write!(f, "the reservation is one of another limiter"),
            ReservationError::Amounts { expected, value } => {
                write!(f, "{value} amounts for a reservation of {expected} charges")
            }
        }
    }
}

impl std::error::Error for ReservationError {}

impl Reservation {
    /// The decision that allowed it.
    pub fn decision(&self) -> Decision {
        self.decision
    }

    /// What is charged now to the layer of this place, in its units; after settling what it has
    /// cost. `None` beyond the last layer.
    pub fn charged(&self, layer: usize) -> Option<u64> {
        self.held().get(layer).map(|held| held.charged)
    }

    /// Whether it can still be extended and settled.
    pub fn is_open(&self) -> bool {
        self.open
    }

    fn held(&self) -> &[Held] {
        &self.held[..self.len]
    }

    /// Whether it is open, of this limiter, and has so many layers.
    fn expect(&self, context: &Context<'_>, amounts: usize) -> Result<(), ReservationError> {
        if self.held().iter().any(|held| context.policies.get(held.policy).is_none()) {
            return Err(ReservationError::Foreign);
        }
        if amounts != self.len {
            return Err(ReservationError::Amounts { expected: self.len, value: amounts });
        }
        let open = self.open || broken(Breakage::CloseTwice);
        if open { Ok(()) } else { Err(ReservationError::Closed) }
    }
}

impl Held {
    const NOTHING: Held = Held {
        policy: PolicyId::NONE,
        key: KeyId::NONE,
        limit: None,
        charged: 0,
        first: Receipt::NONE,
        last: Receipt::NONE,
    };

    /// Notes a charge that was made.
    fn add(&mut self, item: &Item<'_>) {
        if item.resolved.cost == 0 || item.table_full {
            return;
        }
        self.last = item.receipt();
        if self.charged == 0 {
            self.first = self.last;
        }
        self.charged = self.charged.saturating_add(item.resolved.cost);
    }

    /// Gives `amount` of what was charged back.
    fn give_back(&self, context: &Context<'_>, item: &Item<'_>, amount: u64) {
        let give_back = |from: Receipt, amount: u64| {
            // By receipt: it may have expired. Schedules: reserved with SettlePresent.
            let from = if broken(Breakage::SettlePresent) { None } else { Some(from) };
            item.resolved.policy.give_back(self.key, context.now, from, amount, &context.guard)
        };
        // As long as the first charge counts, so do all, and this takes them all.
        let Returned { units, is_gone } = give_back(self.first, amount);
        // Schedules: cancelled after reset with LastExtensionTwice.
        let is_gone = is_gone || broken(Breakage::LastExtensionTwice);
        // Schedules: streams with LastExtensionStays and LastExtensionUncut.
        let extended = self.last.may_outlast(&self.first) && !broken(Breakage::LastExtensionStays);
        if units < amount && is_gone && extended {
            let uncut = broken(Breakage::LastExtensionUncut);
            let most = if uncut { amount } else { self.last.units };
            give_back(self.last, (amount - units).min(most));
        }
    }

    fn item<'l>(&self, context: &Context<'l>, cost: u64) -> Option<Item<'l>> {
        let policy = context.policies.get(self.policy)?;
        Some(Item::new(ResolvedCharge {
            policy,
            key: self.key,
            cost,
            limit: policy.limit(self.limit),
        }))
    }
}

pub(crate) fn reserve(
    context: &Context<'_>,
    charges: &[Charge<'_>],
    layers: &mut [PolicyStatus],
) -> Result<Reservation, Decision> {
    let mut resolved = [None; MAX_RESERVED];
    resolve_all(context.policies, charges, &mut resolved).map_err(invalid)?;
    let mut items = resolved.map(|resolved| resolved.map(Item::new));
    let decision = context.decide_items(&mut items, Mode::Check, layers);
    if !decision.is_allowed() {
        return Err(decision);
    }
    let mut held = [Held::NOTHING; MAX_RESERVED];
    for ((held, item), charge) in held.iter_mut().zip(items.iter().flatten()).zip(charges) {
        *held = Held {
            policy: item.resolved.policy.id(),
            key: item.resolved.key,
            limit: charge.limit,
            ..Held::NOTHING
        };
        held.add(item);
    }
    Ok(Reservation { held, len: charges.len(), open: true, decision })
}

pub(crate) fn extend(
    context: &Context<'_>,
    reservation: &mut Reservation,
    more: &[u64],
) -> Result<Decision, ReservationError> {
    reservation.expect(context, more.len())?;
    let mut items = [None; MAX_RESERVED];
    for ((item, held), more) in items.iter_mut().zip(reservation.held()).zip(more) {
        *item = held.item(context, *more);
    }
    let items = &mut items[..more.len()];
    let decision = context.decide_items(items, Mode::Check, &mut []);
    if decision.is_allowed() || broken(Breakage::StopNoted) {
        for (held, item) in reservation.held.iter_mut().zip(items.iter().flatten()) {
            held.add(item);
        }
    }
    Ok(decision)
}

pub(crate) fn settle(
    context: &Context<'_>,
    reservation: &mut Reservation,
    actual: &[u64],
) -> Result<Decision, ReservationError> {
    reservation.expect(context, actual.len())?;
    reservation.open = false;
    let mut items = [None; MAX_RESERVED];
    let mut full = None;
    for (place, (held, actual)) in reservation.held.iter_mut().zip(actual).enumerate() {
        let (before, rest) = items.split_at_mut(place);
        let Some(item) = rest.first_mut() else { break };
        *item = held.item(context, excess(*actual, held.charged));
        let Some(item) = item else { continue };
        // Schedules: reserved, layers with SettleFirstLayer.
        let forgotten = broken(Breakage::SettleFirstLayer) && place > 0;
        if *actual < held.charged && !forgotten {
            held.give_back(context, item, held.charged - actual);
        }
        // Each layer by itself: what was spent is charged wherever it can be. Schedules: reserved
        // with DebtRefused.
        let mode = if broken(Breakage::DebtRefused) { Mode::Check } else { Mode::Force };
        if let Err(refused) = context.charge_item(item, mode) {
            context.count(item, Err(refused));
            full = Some(item.resolved.policy.id());
            continue;
        }
        if item.resolved.cost > 0 && !broken(Breakage::DebtUncounted) {
            context.count(item, Ok(()));
        }
        held.charged = *actual;
        item.copy_usage_to(before);
    }
    Ok(match full {
        Some(policy) => refused(policy),
        None => context.report_items(items.iter().flatten()),
    })
}

/// What is still to be charged. Schedules: reserved with DebtForgiven and DebtWhole.
fn excess(actual: u64, charged: u64) -> u64 {
    match actual.saturating_sub(charged) {
        0 => 0,
        _ if broken(Breakage::DebtForgiven) => 0,
        _ if broken(Breakage::DebtWhole) => actual,
        excess => excess,
    }
}

pub(crate) fn cancel(
    context: &Context<'_>,
    reservation: &mut Reservation,
) -> Result<Decision, ReservationError> {
    settle(context, reservation, &[0; MAX_RESERVED][..reservation.len])
}

/// Sent between threads and kept for as long as a response streams.
const _: fn() = || {
    fn sent<T: Send + Sync + 'static>() {}
    sent::<Reservation>();
};
