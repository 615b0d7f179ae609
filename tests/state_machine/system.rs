//! The system under test beside its oracles: each call is made, checked and recorded.

use super::model::{Call, Config, Cost, Model, Planted, Transition};
use super::oracle::faulty_limiter::{FaultyLimiter, FaultySession};
use super::oracle::{
    ExpectedStatus, Item, Kind, OracleReservation, ReservedItem, answer, combine, reported_status,
};
use super::oracle_pair::OraclePair;
use super::table_checks::{Requests, Tables};
use std::cell::Cell;
use std::collections::BTreeMap;
use tollgate::{Charge, Decision, PolicyId, PolicyStatus, Reservation, ReservationError, Verdict};

/// The greatest number of items of a request.
pub(super) const MAX_ITEMS: usize = 3;

/// A reservation of the limiter and of the oracle.
#[derive(Debug)]
pub(super) struct HeldReservation {
    reservation: Reservation,
    oracle: OracleReservation,
}

#[derive(Debug)]
pub struct System {
    pub(super) config: Config,
    pub(super) limiter: FaultyLimiter,
    pub(super) ids: Vec<PolicyId>,
    pub(super) oracles: OraclePair,
    pub(super) tables: Tables,
    pub(super) requests: Requests,
    pub(super) held: Vec<Option<HeldReservation>>,
}

thread_local! {
    /// Event counts over all cases of this thread.
    pub static COVERAGE: Cell<Coverage> = const { Cell::new(Coverage::NOTHING) };
}

/// Counts of the events that a run must cover.
#[derive(Clone, Copy, Debug)]
pub struct Coverage {
    pub admitted: u64,
    pub denied: u64,
    pub refused: u64,
    pub untracked: u64,
    pub evicted: u64,
    pub migrations: u64,
    pub shrunk: u64,
    pub settled: u64,
    /// Extensions without room.
    pub denied_extensions: u64,
    /// Calls by a thread whose clock was behind another's.
    pub late: u64,
    /// Charges for which a ring may have merged two times.
    pub merged: u64,
    /// Charges without room that a dry run let pass.
    pub passed: u64,
}

impl Coverage {
    const NOTHING: Coverage = Coverage {
        admitted: 0,
        denied: 0,
        refused: 0,
        untracked: 0,
        evicted: 0,
        migrations: 0,
        shrunk: 0,
        settled: 0,
        denied_extensions: 0,
        late: 0,
        merged: 0,
        passed: 0,
    };
}

/// Counts an event.
pub fn cover(count: impl FnOnce(&mut Coverage)) {
    let mut coverage = COVERAGE.get();
    count(&mut coverage);
    COVERAGE.set(coverage);
}

impl System {
    pub fn new(model: &Model) -> Self {
        let config = model.config.clone();
        let fault = match config.planted {
            Some(Planted::Limiter(fault)) => Some(fault),
            _ => None,
        };
        let limiter = FaultyLimiter::new(config.limiter(), fault);
        let ids = (0..config.policies.len())
            .map(|index| limiter.limiter.policy(&format!("p{index}")).unwrap())
            .collect();
        let (oracles, tables) = (OraclePair::new(&config), Tables::new(&config));
        let requests = Requests::default();
        System { config, limiter, ids, oracles, tables, requests, held: Vec::new() }
    }

    pub(super) fn at(&self, now: u64) -> FaultySession<'_> {
        self.limiter.at(self.config.now(now))
    }

    pub fn apply(&mut self, model: &Model, Transition { thread, call }: Transition) {
        let now = model.clocks[thread];
        if model.clocks.iter().any(|other| *other > now) {
            cover(|coverage| coverage.late += 1);
        }
        match call {
            Call::Check(items) => drop(self.check(now, &self.items(&items))),
            Call::Peek(items) => self.peek(now, &self.items(&items)),
            Call::Charge(items) => self.charge(now, &self.items(&items)),
            Call::Refund(rule, key, cost) => self.refund(now, rule, key, cost),
            Call::Reserve(items) => self.reserve(now, &self.items(&items)),
            Call::Extend(which, more) => self.extend(now, which, &more),
            Call::Settle(which, costs) => self.settle(now, which, Some(&costs)),
            Call::Cancel(which) => self.settle(now, which, None),
            Call::Misuse(which) => self.misuse(now, which),
            Call::Reset(rule, key) => {
                self.at(now).reset_key(self.ids[rule], key);
                self.oracles.reset(rule, key);
            }
            Call::SetLimit(rule, limit) => {
                self.limiter.limiter.set_limit(self.ids[rule], limit).unwrap();
                assert_eq!(self.limiter.limiter.limit(self.ids[rule]), Ok(limit));
                self.oracles.set_limit(rule, limit);
            }
            Call::Maintain(budget) => drop(self.at(now).inner().maintain(budget)),
            Call::ChargeAndRefund(rule, key, times) => {
                self.charge_and_refund(now, rule, key, times)
            }
            Call::EvictReserved(rule, key, cost, rounds) => {
                (0..rounds)
                    .for_each(|round| self.evict_reserved(now, (rule, key, cost, None), round));
            }
            Call::ChargeKeys(rule, first, count, cost) => {
                self.charge_keys(now, rule, first, count, cost)
            }
            Call::RefillExpired(rule) => self.refill_expired(now, rule),
            Call::FillAndIdle(rule) => self.fill_and_idle(now, rule),
            Call::Audit => self.audit(now),
            Call::SetClock(_) | Call::SetAllClocks(_) => {}
        }
        self.check_tables(now);
    }

    /// Cuts item limits to the greatest limit, as the limiter does. For a table that may be full,
    /// uses one key per policy, so that a refusal identifies the key. A request that may be refused has
    /// no dry run whose table may be full: it would not be known whether that was charged.
    fn items(&self, items: &[Item]) -> Vec<Item> {
        let is_dry_run = |item: &Item| self.config.policies[item.0].dry_run;
        let may_be_full = |item: &&Item| self.tables.may_be_full(item.0);
        let may_be_refused = items.iter().filter(may_be_full).any(|item| !is_dry_run(item));
        let is_kept = |item: &&Item| !may_be_refused || !is_dry_run(item) || !may_be_full(item);
        let item = |&(rule, key, cost, limit): &Item| {
            let first = items.iter().find(|item| item.0 == rule).map_or(key, |item| item.1);
            let key = if self.tables.may_be_full(rule) { first } else { key };
            let greatest = self.config.policies[rule].greatest;
            (rule, key, cost, limit.map(|limit: u64| limit.min(greatest)))
        };
        items.iter().filter(is_kept).map(item).collect()
    }

    pub(super) fn charges(&self, items: &[Item]) -> Vec<Charge<'static>> {
        let charge = |(rule, key, cost, limit): &Item| {
            let charge = self.ids[*rule].charge(*key, *cost);
            limit.map_or(charge, |limit| charge.limit(limit))
        };
        items.iter().map(charge).collect()
    }

    /// The usage that the limiter reports for a key. The usage never exceeds the greatest limit
    /// here, so the report is complete.
    pub(super) fn used(&self, now: u64, rule: usize, key: u64) -> u64 {
        let item = (rule, key, 0, Some(self.config.policies[rule].greatest));
        let decision = self.at(now).inner().peek(&self.charges(&[item]));
        decision.limit - decision.remaining
    }

    /// The reported usage of each key of a request.
    pub(super) fn usage(&self, now: u64, items: &[Item]) -> Usage {
        let counters = items.iter().map(|item| (item.0, item.1));
        counters.map(|(rule, key)| ((rule, key), self.used(now, rule, key))).collect()
    }

    /// The reported usage of each key of a reservation.
    fn reserved_usage(&self, now: u64, oracle: &OracleReservation) -> Usage {
        self.usage(now, &oracle.request(&[0; MAX_ITEMS]))
    }

    /// Reduces costs so that no usage exceeds the greatest limit. A decision does not show how much
    /// a greater usage is.
    fn within_visible_debt(&self, now: u64, items: &[Item]) -> Vec<Item> {
        let mut usage = self.usage(now, items);
        let within = |&(rule, key, cost, limit): &Item| {
            let used = usage.get_mut(&(rule, key)).unwrap();
            let cost = cost.min(self.config.policies[rule].greatest.saturating_sub(*used));
            *used += cost;
            (rule, key, cost, limit)
        };
        items.iter().map(within).collect()
    }

    pub(super) fn check(&mut self, now: u64, items: &[Item]) -> Decision {
        let (before, passed) = (self.usage_before(now, items), self.passed(now, items));
        let mut statuses = [PolicyStatus::default(); MAX_ITEMS];
        let statuses = &mut statuses[..items.len()];
        let decision = self.at(now).check(&self.charges(items), statuses);
        self.record_decision(now, items, &passed, &decision, statuses, &before);
        decision
    }

    fn peek(&self, now: u64, items: &[Item]) {
        let mut statuses = [PolicyStatus::default(); MAX_ITEMS];
        let statuses = &mut statuses[..items.len()];
        let decision = self.at(now).inner().peek_with_status(&self.charges(items), statuses);
        let reported: Vec<ExpectedStatus> = statuses.iter().map(reported_status).collect();
        let passed: Vec<bool> = reported.iter().map(ExpectedStatus::is_passed).collect();
        let bounds = self.oracles.before(now, items, &passed);
        bounds
            .iter()
            .zip(&reported)
            .for_each(|(bounds, reported)| bounds.assert_contains(reported));
        assert_eq!(answer(&decision), combine(items, &reported));
    }

    fn charge(&mut self, now: u64, items: &[Item]) {
        let items = self.within_visible_debt(now, items);
        let before = self.usage_before(now, &items);
        let decision = self.at(now).inner().force_charge(&self.charges(&items));
        self.requests.count(decision.verdict);
        if decision.verdict == Verdict::TableFull {
            return self.refused(now, &items, &vec![false; items.len()], &decision);
        }
        let counted = self.counted(now, &items, &decision, &before);
        for (item, counted) in items.iter().zip(&counted) {
            if item.2 > 0 && counted.2 == 0 && !self.tables.allows_overflow(item.0) {
                self.passed_full(now, item);
            } else {
                self.tables.admitted_or_untracked(item.0, counted.2);
            }
        }
        counted.iter().for_each(|item| self.oracles.charge(now, item));
        self.assert_charged(now, &items, &decision);
    }

    pub(super) fn refund(&mut self, now: u64, rule: usize, key: u64, cost: u64) {
        let used = self.used(now, rule, key);
        let given = self.at(now).inner().refund(&self.ids[rule].charge(key, cost)).unwrap();
        assert_eq!(given, used.min(cost));
        self.tables.refunded(rule, given, given);
        let due = self.oracles.refund(now, (rule, key), given);
        assert!(due == given || !self.oracles.is_exact(now, (rule, key)), "{due} of {given}");
    }

    pub(super) fn reserve(&mut self, now: u64, items: &[Item]) {
        let (before, passed) = (self.usage_before(now, items), self.passed(now, items));
        let mut statuses = [PolicyStatus::default(); MAX_ITEMS];
        let statuses = &mut statuses[..items.len()];
        let reserved = self.at(now).reserve(&self.charges(items), statuses);
        let reservation = match reserved {
            Ok(reservation) => reservation,
            Err(decision) => {
                assert!(!decision.is_allowed());
                self.record_decision(now, items, &passed, &decision, statuses, &before);
                return self.held.push(None);
            }
        };
        // As in `check`, but the oracle also records the charges of the reservation.
        let bounds = self.oracles.before(now, items, &passed);
        let room = bounds.iter().all(|bounds| bounds.may_pass());
        assert!(room, "reserved what the log of all admissions denies: {items:?}");
        let mut oracle = OracleReservation::new(items);
        for (index, reserved) in oracle.items.iter_mut().enumerate() {
            let charged = reservation.charged(index).unwrap();
            if statuses[index].violated {
                assert_eq!(charged, 0, "charged although it was let pass: {items:?}");
                self.record_passed(now, &items[index], &statuses[index]);
                reserved.pass_first();
                continue;
            }
            let is_uncounted = charged == 0 && self.tables.allows_overflow(reserved.rule);
            assert!(charged == items[index].2 || is_uncounted, "{charged} charged of {items:?}");
            self.oracles.charge_reserved(now, reserved, charged);
            self.tables.admitted_or_untracked(reserved.rule, charged);
        }
        self.requests.count(Verdict::Allowed);
        self.requests.open_reservations += 1;
        self.assert_allowed(now, items, &bounds, &reservation.decision(), statuses);
        cover(|coverage| coverage.admitted += 1);
        self.held.push(Some(HeldReservation { reservation, oracle }));
    }

    /// Takes out a reservation, if it exists. The caller puts it back.
    fn take(&mut self, which: usize) -> Option<HeldReservation> {
        self.held.get_mut(which)?.take()
    }

    fn extend(&mut self, now: u64, which: usize, more: &[u64]) {
        let Some(mut held) = self.take(which) else { return };
        let more = &more[..held.oracle.items.len()];
        let items = held.oracle.extension(more);
        let charges = self.charges(&items);
        let mut statuses = [PolicyStatus::default(); MAX_ITEMS];
        let statuses = &mut statuses[..items.len()];
        let before = self.usage_before(now, &items);
        let room = self.at(now).inner().peek_with_status(&charges, statuses).is_allowed();
        let passed: Vec<bool> =
            statuses.iter().map(|one| reported_status(one).is_passed()).collect();
        let extended = self.at(now).extend(&mut held.reservation, &charges, more);
        match extended {
            Err(error) => {
                assert_eq!((error, held.oracle.open), (ReservationError::Closed, false));
            }
            Ok(decision) if decision.is_allowed() => {
                let bounds = self.oracles.before(now, &items, &passed);
                assert!(bounds.iter().all(|bounds| bounds.may_pass()), "extended: {items:?}");
                for (index, reserved) in held.oracle.items.iter_mut().enumerate() {
                    let (rule, cost) = (reserved.rule, items[index].2);
                    let charged = held.reservation.charged(index).unwrap() - reserved.charged();
                    let is_full = charged == 0 && cost > 0 && !self.tables.allows_overflow(rule);
                    if passed[index] || is_full {
                        assert_eq!(charged, 0, "charged although it was let pass: {items:?}");
                        let mut status = statuses[index];
                        status.table_full = is_full && !passed[index];
                        self.record_passed(now, &items[index], &status);
                        reserved.pass_extension(cost);
                        continue;
                    }
                    let is_uncounted = charged == 0 && self.tables.allows_overflow(rule);
                    assert!(charged == cost || is_uncounted, "{charged} charged of {items:?}");
                    self.oracles.charge_reserved(now, reserved, charged);
                    self.tables.admitted_or_untracked(rule, charged);
                }
                self.requests.count(decision.verdict);
                assert!(room, "peek found no room");
                self.assert_charged(now, &items, &decision);
            }
            Ok(decision) => {
                assert!(held.oracle.open);
                self.record_decision(now, &items, &passed, &decision, statuses, &before);
                cover(|coverage| coverage.denied_extensions += 1);
            }
        }
        self.held[which] = Some(held);
    }

    /// The actual cost of each item; 0 for a cancellation.
    fn costs(&self, now: u64, held: &HeldReservation, costs: Option<&[Cost]>) -> Vec<u64> {
        let Some(costs) = costs else { return vec![0; held.oracle.items.len()] };
        let reserved_items = held.oracle.items.iter().zip(costs);
        let excess: Vec<Item> = reserved_items
            .clone()
            .map(|(reserved, cost)| {
                reserved.item(if let Cost::More(more) = cost { *more } else { 0 })
            })
            .collect();
        let excess = self.within_visible_debt(now, &excess);
        let cost = |((reserved, cost), excess): ((&ReservedItem, &Cost), &Item)| {
            let charged = u128::from(reserved.charged());
            let used = match cost {
                Cost::Less(share) => charged * u128::from(*share) / 100,
                Cost::Equal => charged,
                Cost::More(_) => charged + u128::from(excess.2),
            };
            used as u64
        };
        reserved_items.zip(&excess).map(cost).collect()
    }

    pub(super) fn settle(&mut self, now: u64, which: usize, costs: Option<&[Cost]>) {
        let Some(mut held) = self.take(which) else { return };
        let actual = self.costs(now, &held, costs);
        let before = self.reserved_usage(now, &held.oracle);
        let session = self.at(now);
        let settled = match costs {
            Some(_) => session.settle(&mut held.reservation, &actual),
            None => session.inner().cancel(&mut held.reservation),
        };
        drop(session);
        assert!(!held.reservation.is_open());
        match settled {
            Err(error) => {
                assert_eq!((error, held.oracle.open), (ReservationError::Closed, false));
                assert_eq!(self.reserved_usage(now, &held.oracle), before, "settled twice");
            }
            Ok(decision) => self.record_settlement(now, &mut held, &actual, &decision, &before),
        }
        self.held[which] = Some(held);
    }

    /// Checks and records what a settle gave back and charged.
    fn record_settlement(
        &mut self,
        now: u64,
        held: &mut HeldReservation,
        actual: &[u64],
        decision: &Decision,
        before: &Usage,
    ) {
        assert!(std::mem::replace(&mut held.oracle.open, false), "settled twice");
        self.requests.open_reservations -= 1;
        let items = held.oracle.request(actual);
        let after = self.reserved_usage(now, &held.oracle);
        for (index, (reserved, actual)) in held.oracle.items.iter().zip(actual).enumerate() {
            if held.reservation.charged(index) != Some(reserved.settled(*actual)) {
                if self.config.policies[reserved.rule].dry_run {
                    assert!(decision.table_full && reserved.excess(*actual) > 0);
                } else {
                    assert_eq!(decision.verdict, Verdict::TableFull);
                }
                self.tables.refused(now, reserved.rule);
            } else if reserved.excess(*actual) > 0 {
                // Its units are added below.
                self.tables.admitted_or_untracked(reserved.rule, 0);
            }
        }
        for (counter, used) in before {
            let mut reserved_items = held.oracle.items_of(*counter, actual);
            let excess: u64 =
                reserved_items.iter().map(|(reserved, actual)| reserved.excess(*actual)).sum();
            // A key without a slot has nothing to give back, and its charge may not be counted.
            let is_new = decision.table_full && *used == 0;
            let mut charged = if is_new { after[counter] } else { excess };
            let given = (used + charged).checked_sub(after[counter]).expect("more is used");
            self.tables.add_units(counter.0, charged);
            self.oracles.give_back_late(now, *counter, given);
            let mut given_early = 0;
            for (reserved, actual) in &mut reserved_items {
                let rest = reserved.charged().saturating_sub(*actual);
                given_early += self.oracles.give_back_early(now, reserved, rest);
                let more = reserved.excess(*actual).min(charged);
                charged -= more;
                self.oracles.charge_reserved(now, reserved, more);
            }
            // Units of a period that has passed are no usage now. They are given back as well, unless
            // the table has dropped the key since.
            let is_window = matches!(self.config.policies[counter.0].kind, Kind::Sliding(_));
            let most = if is_window { given } else { given.max(given_early) };
            self.tables.refunded(counter.0, given, most);
            let due = self.oracles.early.used(counter.0, counter.1, now);
            let reported = after[counter];
            assert!(
                reported == due || !self.oracles.is_exact(now, *counter),
                "{reported} used of {due}"
            );
        }
        if decision.verdict != Verdict::TableFull {
            self.assert_charged(now, &items, decision);
        }
        cover(|coverage| coverage.settled += 1);
    }

    /// Extends and settles with one amount too many. Nothing may change.
    fn misuse(&mut self, now: u64, which: usize) {
        let Some(mut held) = self.take(which) else { return };
        let expected = held.oracle.items.len();
        let amounts = vec![1; expected + 1];
        let error = Some(ReservationError::Amounts { expected, value: expected + 1 });
        let before = self.reserved_usage(now, &held.oracle);
        let session = self.at(now);
        assert_eq!(session.inner().extend(&mut held.reservation, &amounts).err(), error);
        assert_eq!(session.inner().settle(&mut held.reservation, &amounts).err(), error);
        assert_eq!(held.reservation.is_open(), held.oracle.open);
        drop(session);
        assert_eq!(self.reserved_usage(now, &held.oracle), before);
        self.held[which] = Some(held);
    }
}

pub(super) type Usage = BTreeMap<(usize, u64), u64>;
