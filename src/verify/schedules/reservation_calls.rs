//! Calls that reserve, extend and close reservations.

use super::call::{Call, HeldReservation, Item, ThreadState};
use super::fixture::{Fixture, fail};
use super::history::Completed;
use super::layout::{MAX_POLICIES, Operation};
use super::record::Answer;
use super::step::{Reported, Source, Step};
use crate::{Decision, PolicyStatus, ReservationError, Session, Verdict};

impl Fixture {
    /// Reserves units of one policy or of all.
    pub(super) fn reserve(&self, session: &Session<'_>, call: &Call, state: &mut ThreadState) {
        let items = self.items(call, call.coin);
        let mut statuses = [PolicyStatus::default(); MAX_POLICIES];
        let invocation = self.invoke_charge(session, &items);
        let reserved = session.reserve_with_status(&self.charges(&items), &mut statuses);
        let done = self.history.finish(invocation);
        match reserved {
            Ok(reservation) => {
                let number = self.history.number();
                self.record_with_statuses(
                    done,
                    &items,
                    &reservation.decision(),
                    &statuses,
                    Some(number),
                );
                let items = items.iter().zip(&statuses).map(|(item, status)| Item {
                    cost: if status.table_full { 0 } else { item.cost },
                    ..*item
                });
                let held = HeldReservation { number, reservation, items: items.collect() };
                self.check_reported_charge(&held);
                state.reservations.push(held);
            }
            Err(decision) => self.record_with_statuses(done, &items, &decision, &statuses, None),
        }
    }

    /// Extends a reservation of this thread.
    pub(super) fn extend(&self, session: &Session<'_>, call: &Call, state: &mut ThreadState) {
        let index = call.choice as usize % state.reservations.len();
        let held = &mut state.reservations[index];
        let extension = |item: &Item| Item { cost: call.extend_by[item.policy], ..*item };
        let items: Vec<_> = held.items.iter().map(extension).collect();
        let invocation = self.invoke_charge(session, &items);
        let decision = session.extend(&mut held.reservation, &costs(&items));
        let done = self.history.finish(invocation);
        let decision = decision.unwrap_or_else(|error| fail("an open reservation", error));
        // The charges of the reservation show which items were not counted.
        let charged = |index: usize| held.reservation.charged(index).unwrap_or_default();
        let uncounted: Vec<_> = (0..items.len())
            .map(|index| {
                let none = charged(index) == held.items[index].cost;
                decision.table_full && none && items[index].cost > 0
            })
            .collect();
        self.record_extension(done, &items, &decision, &uncounted, held.number);
        if decision.is_allowed() {
            for ((item, more), uncounted) in held.items.iter_mut().zip(&items).zip(uncounted) {
                item.cost += if uncounted { 0 } else { more.cost };
            }
        }
        self.check_reported_charge(held);
    }

    /// Settles a reservation with its actual cost, or cancels it.
    pub(super) fn close(&self, session: &Session<'_>, call: &Call, state: &mut ThreadState) {
        let index = call.choice as usize % state.reservations.len();
        let mut held = state.reservations.swap_remove(index);
        let cancel = call.operation == Operation::Cancel;
        // At most two units more than are charged.
        let actual =
            |item: &Item| if cancel { 0 } else { call.actual[item.policy] % (item.cost + 3) };
        let actual: Vec<_> = held.items.iter().map(actual).collect();
        let invocation = self.invoke_charge(session, &held.items);
        let decision = match cancel {
            true => session.cancel(&mut held.reservation),
            false => session.settle(&mut held.reservation, &actual),
        };
        let done = self.history.finish(invocation);
        let decision = decision.unwrap_or_else(|error| fail("an open reservation", error));
        self.record_closing(done, &held, &actual, &decision);
        for (index, (item, actual)) in held.items.iter_mut().zip(actual).enumerate() {
            // If the table was full and the policy refuses new keys, the charge is unchanged.
            let full = decision.verdict == Verdict::TableFull;
            let kept = full && held.reservation.charged(index) == Some(item.cost);
            item.cost = if kept { item.cost } else { actual };
        }
        self.check_reported_charge(&held);
        if call.coin {
            self.close_again(session, call, held);
        }
    }

    /// Records the closing of a reservation. Unused units are given back, an excess is charged, and
    /// one policy is reported.
    fn record_closing(
        &self,
        done: Completed,
        held: &HeldReservation,
        actual: &[u64],
        decision: &Decision,
    ) {
        let reported_index = self.reported_index(&held.items, decision);
        let full = decision.verdict == Verdict::TableFull;
        let expected = decision.is_allowed() || full && self.layout.is_crowded();
        if !expected {
            self.note_violation("a settlement was refused", decision);
        }
        for (index, (item, actual)) in held.items.iter().zip(actual).enumerate() {
            let reported =
                (index == reported_index && !full).then(|| self.reported(done, *item, decision));
            let span = done.span.in_units(self.unit(item.policy));
            let seen = reported.map(|reported| Step::Observed { span, reported });
            if *actual > item.cost {
                let excess = Item { cost: actual - item.cost, ..*item };
                let refused = full && held.reservation.charged(index) == Some(item.cost);
                self.record_excess(done, excess, reported, decision, refused, held.items.len());
            } else if *actual < item.cost {
                self.record_give_back(
                    done,
                    *item,
                    held.number,
                    Source::Reservation,
                    item.cost - actual,
                    seen,
                );
            } else {
                self.record(done, *item, seen);
            }
        }
    }

    /// Records the charge of an excess over the reserved units.
    fn record_excess(
        &self,
        done: Completed,
        excess: Item,
        reported: Option<Reported>,
        decision: &Decision,
        refused: bool,
        items: usize,
    ) {
        let uncounted = decision.is_allowed() && decision.table_full;
        if refused {
            let full = self.refused_step(done, excess);
            return self.record(done, excess, [full]);
        }
        if uncounted && items > 1 {
            // At least one item was not counted, perhaps another one.
            let charge = self.charge_of(done, excess, None, None, true);
            return self.record(done, excess, [Step::Tentative(charge)]);
        }
        let answer = Answer { reported, uncounted, forced: true, ..Answer::default() };
        let steps = self.steps_of_allowed(done, excess, &answer, None);
        self.record(done, excess, steps);
    }

    /// Uses a closed reservation again, which must return an error and change nothing.
    fn close_again(&self, session: &Session<'_>, call: &Call, mut held: HeldReservation) {
        let amounts = vec![call.extend_by[0]; held.items.len()];
        let again = match call.choice {
            0 => session.extend(&mut held.reservation, &amounts),
            1 => session.settle(&mut held.reservation, &amounts),
            _ => session.cancel(&mut held.reservation),
        };
        if again != Err(ReservationError::Closed) || held.reservation.is_open() {
            self.note_violation("a reservation was closed twice", again);
        }
        self.check_reported_charge(&held);
    }

    /// Notes a violation unless the reservation reports the units that are charged.
    fn check_reported_charge(&self, held: &HeldReservation) {
        for (index, item) in held.items.iter().enumerate() {
            if held.reservation.charged(index) != Some(item.cost) {
                self.note_violation("a reservation reports a wrong charge", held);
            }
        }
    }
}

fn costs(items: &[Item]) -> Vec<u64> {
    items.iter().map(|item| item.cost).collect()
}
