//! Reservations of the oracle: the charges of each, and the refund when it is settled.

use super::charge_log::Kind;
use super::requests::{Answer, Item, Oracle};

/// A reservation.
#[derive(Clone, Debug)]
pub struct OracleReservation {
    pub items: Vec<ReservedItem>,
    pub open: bool,
}

/// One item of a reservation.
#[derive(Clone, Debug)]
pub struct ReservedItem {
    pub rule: usize,
    pub key: u64,
    limit: Option<u64>,
    /// All its charges, oldest first.
    charges: Vec<Charge>,
    /// The units of the extensions that a dry run let pass. `u64::MAX` if it let the first charge pass:
    /// nothing is charged then any more.
    passed: u64,
}

#[derive(Clone, Copy, Debug)]
struct Charge {
    at: u64,
    cost: u64,
    /// How often the key had been dropped before this charge.
    drop_count: u32,
}

impl ReservedItem {
    pub fn new(item: &Item) -> Self {
        ReservedItem { rule: item.0, key: item.1, limit: item.3, charges: Vec::new(), passed: 0 }
    }

    /// A request item that charges `cost`.
    pub fn item(&self, cost: u64) -> Item {
        (self.rule, self.key, cost, self.limit)
    }

    pub fn charged(&self) -> u64 {
        self.charges.iter().map(|charge| charge.cost).sum()
    }

    /// The part of `actual` that is neither charged yet nor let pass.
    pub fn excess(&self, actual: u64) -> u64 {
        actual.saturating_sub(self.charged().saturating_add(self.passed))
    }

    /// The cost that an extension by `more` charges.
    pub fn extension(&self, more: u64) -> u64 {
        if self.passed == u64::MAX { 0 } else { more }
    }

    /// The units that are charged once the reservation is settled.
    pub fn settled(&self, actual: u64) -> u64 {
        self.charged().min(actual) + self.excess(actual)
    }

    /// Records that a dry run let the first charge pass.
    pub fn pass_first(&mut self) {
        self.passed = u64::MAX;
    }

    /// Records that a dry run let an extension by `more` pass.
    pub fn pass_extension(&mut self, more: u64) {
        self.passed = self.passed.saturating_add(more);
    }
}

impl OracleReservation {
    /// A reservation without charges.
    pub fn new(items: &[Item]) -> Self {
        OracleReservation { items: items.iter().map(ReservedItem::new).collect(), open: true }
    }

    /// The items of one rule and key, each with its amount.
    pub fn items_of(
        &mut self,
        counter: (usize, u64),
        amounts: &[u64],
    ) -> Vec<(&mut ReservedItem, u64)> {
        let items = self.items.iter_mut().zip(amounts.iter().copied());
        items.filter(|(item, _)| (item.rule, item.key) == counter).collect()
    }

    /// A request that extends each item.
    pub fn extension(&self, more: &[u64]) -> Vec<Item> {
        let items = self.items.iter().zip(more);
        items.map(|(item, more)| item.item(item.extension(*more))).collect()
    }

    /// A request that charges these costs, one for each item.
    pub fn request(&self, costs: &[u64]) -> Vec<Item> {
        self.items.iter().zip(costs).map(|(item, cost)| item.item(*cost)).collect()
    }
}

impl Oracle {
    /// Charges one item even over its limit.
    pub fn charge_reserved(&mut self, now: u64, item: &mut ReservedItem, cost: u64) {
        if cost > 0 {
            self.charge(now, &item.item(cost));
            let at = self.newest(item.rule, item.key);
            let drop_count = self.drop_count(item.rule, item.key);
            item.charges.push(Charge { at, cost, drop_count });
        }
    }

    /// Gives back up to `amount` of an item's charges from the first one on, if the first may still count.
    /// Unless it surely counts, also gives back up to `amount` of the last charge. In the grace period both
    /// happen, so that the usage is a lower bound. Returns the units given back.
    pub fn give_back(&mut self, now: u64, item: &ReservedItem, amount: u64) -> u64 {
        let (Some(first), Some(last)) = (item.charges.first(), item.charges.last()) else {
            return 0;
        };
        let expires = self.kind(item.rule).expiry(first.at);
        let counts = !self.is_dropped(item, first) && expires > self.settle_time(now, item);
        let given = self.give_back_from(now, item, first, amount.min(item.charged()));
        let more = if counts { 0 } else { amount.min(last.cost) };
        given + self.give_back_from(now, item, last, more)
    }

    /// Returns whether the key was dropped after this charge.
    fn is_dropped(&self, item: &ReservedItem, charge: &Charge) -> bool {
        charge.drop_count != self.drop_count(item.rule, item.key)
    }

    fn give_back_from(&mut self, now: u64, item: &ReservedItem, from: &Charge, amount: u64) -> u64 {
        let (at, grace) = (self.settle_time(now, item), self.time_params[item.rule].grace);
        let may_count = self.kind(item.rule).expiry(from.at) + grace > at;
        if !may_count || self.is_dropped(item, from) {
            return 0;
        }
        self.refund_since((item.rule, item.key), at, from.at, amount)
    }

    /// The time that decides which charges still count.
    fn settle_time(&self, now: u64, item: &ReservedItem) -> u64 {
        match self.kind(item.rule) {
            Kind::Sliding(_) => self.effective_time(item.rule, item.key, now),
            // Units can be given back in the newest period that the key was charged in, even with a late
            // clock.
            Kind::Fixed(_) => self.newest(item.rule, item.key),
        }
    }

    /// Closes a reservation with the actual cost of each item.
    pub fn settle(
        &mut self,
        now: u64,
        reservation: &mut OracleReservation,
        actual: &[u64],
    ) -> Answer {
        reservation.open = false;
        for (item, actual) in reservation.items.iter_mut().zip(actual) {
            self.give_back(now, item, item.charged().saturating_sub(*actual));
            self.charge_reserved(now, item, item.excess(*actual));
        }
        self.answer_after(now, &reservation.request(actual))
    }
}
