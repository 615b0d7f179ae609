//! Tracks open reservations from call to call, and checks every misuse of them.

use super::oracle::Span;
use super::request::{Answer, Peeked, Request};
use super::tested_limiter::{Entry, TestedLimiter};
use crate::Reached;
use tollgate::{Charge, Now, Reservation, ReservationError, Verdict};

/// A reservation and its expected state.
pub struct TrackedReservation {
    pub reservation: Reservation,
    /// Whether the second limiter made it.
    pub second: bool,
    pub entries: Vec<Entry>,
    /// The expected charge under each policy.
    pub charged: Vec<u64>,
    /// The possible times of the last charge under each policy.
    pub last: Vec<Span>,
    pub open: bool,
}

/// A way to close a reservation.
#[derive(Clone, Copy, Debug)]
pub enum Close<'a> {
    Settle(&'a [u64]),
    Cancel,
}

impl TrackedReservation {
    /// The expected error of a call with this number of amounts, at the second limiter or at the first;
    /// `None` if the call is valid.
    fn misuse(&self, second: bool, amounts: usize) -> Option<ReservationError> {
        let expected = self.entries.len();
        match () {
            () if self.second != second && expected > 0 => Some(ReservationError::Foreign),
            () if amounts != expected => {
                Some(ReservationError::Amounts { expected, value: amounts })
            }
            () if !self.open => Some(ReservationError::Closed),
            () => None,
        }
    }

    /// Panics unless the reservation reports the expected state.
    pub fn check(&self) {
        assert_eq!(self.reservation.is_open(), self.open);
        assert_eq!(self.reservation.charged(self.entries.len()), None);
        for (index, charged) in self.charged.iter().enumerate() {
            assert_eq!(self.reservation.charged(index), Some(*charged));
        }
    }

    /// Extends the reservation, and checks the result.
    pub fn extend(
        &mut self,
        (tested, second): (&mut TestedLimiter<'_>, bool),
        now: Now,
        more: &[u64],
        reached: &mut Reached,
    ) {
        let extras: Vec<Entry> = self
            .entries
            .iter()
            .zip(more)
            .map(|(entry, cost)| Entry { cost: *cost, ..*entry })
            .collect();
        let misuse = self.misuse(second, more.len());
        let charges: Vec<Charge<'static>> = match misuse {
            Some(_) => Vec::new(),
            None => extras.iter().map(|entry| tested.charge(entry)).collect(),
        };
        let session = tested.limiter.session_at(now);
        let peeked = Peeked::new(&session, &charges);
        let outcome = session.extend(&mut self.reservation, more);
        drop(session);
        match (outcome, misuse) {
            (Ok(decision), None) => {
                let request = Request { now, charges: &charges, entries: Some(&extras) };
                let answer = Answer { decision, statuses: None };
                tested.check_decision(&request, &peeked, &answer, reached);
                if decision.is_allowed() {
                    self.record_extension((tested, now), &extras, decision.table_full);
                    reached.insert("extended");
                }
            }
            (Err(error), Some(misuse)) => {
                assert_eq!(error, misuse);
                reached.insert(name(error));
            }
            (outcome, misuse) => panic!("{outcome:?}, expected {misuse:?}"),
        }
        self.check();
    }

    /// Records an extension. If a charge may have passed uncounted, only the reservation knows the charged
    /// amount.
    fn record_extension(
        &mut self,
        (tested, now): (&TestedLimiter<'_>, Now),
        extras: &[Entry],
        table_full: bool,
    ) {
        for (index, extra) in extras.iter().enumerate() {
            if extra.cost > 0 {
                self.last[index] = tested.span(extra, now);
            }
            if !table_full || !tested.allows_overflow(extra) {
                self.charged[index] = self.charged[index].saturating_add(extra.cost);
            } else {
                self.charged[index] =
                    self.reservation.charged(index).expect("a charge of the reservation");
            }
        }
    }

    /// Closes the reservation, and checks the result.
    pub fn close(
        &mut self,
        (tested, second): (&mut TestedLimiter<'_>, bool),
        now: Now,
        close: Close<'_>,
        reached: &mut Reached,
    ) {
        let nothing = vec![0; self.entries.len()];
        let session = tested.limiter.session_at(now);
        let (outcome, actual) = match close {
            Close::Settle(actual) => (session.settle(&mut self.reservation, actual), actual),
            Close::Cancel => (session.cancel(&mut self.reservation), &nothing[..]),
        };
        drop(session);
        match (outcome, self.misuse(second, actual.len())) {
            (Ok(decision), None) => {
                self.open = false;
                self.record_close(tested, now, actual, decision.table_full);
                match decision.verdict {
                    Verdict::TableFull => tested.check_full(decision.policy.index()),
                    verdict => assert_eq!(verdict, Verdict::Allowed),
                }
                reached.insert("closed");
            }
            (Err(error), Some(misuse)) => {
                assert_eq!(error, misuse);
                reached.insert(name(error));
            }
            (outcome, misuse) => panic!("{outcome:?}, expected {misuse:?}"),
        }
        self.check();
    }

    /// Updates the oracle after a settlement or cancellation.
    fn record_close(
        &mut self,
        tested: &mut TestedLimiter<'_>,
        now: Now,
        actual: &[u64],
        table_full: bool,
    ) {
        for (index, (entry, actual)) in self.entries.iter().zip(actual).enumerate() {
            let charged = self.charged[index];
            let (back, more) = (charged.saturating_sub(*actual), actual.saturating_sub(charged));
            let span = tested.span(entry, now);
            // An expired charge is not given back, in particular not from later charges.
            if back > 0 && tested.oracle(entry).may_be_held(self.last[index], span) {
                tested.oracle(entry).give_back(entry.key, back);
            }
            let reported = self.reservation.charged(index).expect("a charge of the reservation");
            assert!(
                reported == *actual || table_full && reported == charged,
                "{reported} of {actual}"
            );
            self.charged[index] = reported;
            if more > 0 && reported == *actual {
                tested.record_allowed(entry);
            }
            if more > 0 && reported == *actual && !(table_full && tested.allows_overflow(entry)) {
                tested.oracle(entry).force_charge(entry.key, more, span);
            } else if more > 0 {
                tested.oracle(entry).charge_uncertain(entry.key, more);
            }
        }
    }
}

fn name(error: ReservationError) -> &'static str {
    match error {
        ReservationError::Closed => "already closed",
        ReservationError::Foreign => "foreign",
        _ => "wrong amounts",
    }
}
