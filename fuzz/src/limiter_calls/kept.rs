//! Reservations that are kept from call to call, and every misuse of them.

use super::account::Span;
use super::request::{Answer, Asked, Looked};
use super::side::{Entry, Side};
use crate::Reached;
use tollgate::{Charge, Now, Reservation, ReservationError, Verdict};

/// A reservation and what is known of it.
pub struct Kept {
    pub reservation: Reservation,
    /// Which limiter made it.
    pub other: bool,
    pub entries: Vec<Entry>,
    /// What each layer should be charged.
    pub charged: Vec<u64>,
    /// When each was charged last.
    pub last: Vec<Span>,
    pub open: bool,
}

/// How a reservation is closed.
#[derive(Clone, Copy, Debug)]
pub enum Close<'a> {
    Settle(&'a [u64]),
    Cancel,
}

impl Kept {
    /// What must be wrong with so many amounts for a reservation at this limiter.
    fn misuse(&self, other: bool, amounts: usize) -> Option<ReservationError> {
        let expected = self.entries.len();
        match () {
            () if self.other != other && expected > 0 => Some(ReservationError::Foreign),
            () if amounts != expected => {
                Some(ReservationError::Amounts { expected, value: amounts })
            }
            () if !self.open => Some(ReservationError::Closed),
            () => None,
        }
    }

    /// Panics unless it says of itself what is known.
    pub fn check(&self) {
        assert_eq!(self.reservation.is_open(), self.open);
        assert_eq!(self.reservation.charged(self.entries.len()), None);
        for (layer, charged) in self.charged.iter().enumerate() {
            assert_eq!(self.reservation.charged(layer), Some(*charged));
        }
    }

    /// Extends it, whatever comes of that.
    pub fn extend(
        &mut self,
        (side, other): (&mut Side<'_>, bool),
        now: Now,
        more: &[u64],
        reached: &mut Reached,
    ) {
        let lines: Vec<Entry> = self
            .entries
            .iter()
            .zip(more)
            .map(|(entry, cost)| Entry { cost: *cost, ..*entry })
            .collect();
        let misuse = self.misuse(other, more.len());
        let charges: Vec<Charge<'static>> = match misuse {
            Some(_) => Vec::new(),
            None => lines.iter().map(|entry| side.charge(entry)).collect(),
        };
        let session = side.limiter.session_at(now);
        let looked = Looked::new(&session, &charges);
        let outcome = session.extend(&mut self.reservation, more);
        drop(session);
        match (outcome, misuse) {
            (Ok(decision), None) => {
                let asked = Asked { now, charges: &charges, entries: Some(&lines) };
                let answer = Answer { decision, layers: None };
                side.judge(&asked, &looked, &answer, reached);
                if decision.is_allowed() {
                    self.extended((side, now), &lines, decision.table_full);
                    reached.insert("extended");
                }
            }
            (Err(error), Some(misuse)) => {
                assert_eq!(error, misuse);
                reached.insert(name(error));
            }
            (outcome, misuse) => panic!("{outcome:?} where {misuse:?} was due"),
        }
        self.check();
    }

    /// What an uncounted extension has charged only the reservation can tell.
    fn extended(&mut self, (side, now): (&Side<'_>, Now), lines: &[Entry], table_full: bool) {
        for (layer, line) in lines.iter().enumerate() {
            if line.cost > 0 {
                self.last[layer] = side.span(line, now);
            }
            if !table_full || !side.lets_overflow(line) {
                self.charged[layer] = self.charged[layer].saturating_add(line.cost);
            } else {
                self.charged[layer] = self.reservation.charged(layer).expect("a layer");
            }
        }
    }

    /// Closes it, whatever comes of that.
    pub fn close(
        &mut self,
        (side, other): (&mut Side<'_>, bool),
        now: Now,
        close: Close<'_>,
        reached: &mut Reached,
    ) {
        let nothing = vec![0; self.entries.len()];
        let session = side.limiter.session_at(now);
        let (outcome, actual) = match close {
            Close::Settle(actual) => (session.settle(&mut self.reservation, actual), actual),
            Close::Cancel => (session.cancel(&mut self.reservation), &nothing[..]),
        };
        drop(session);
        match (outcome, self.misuse(other, actual.len())) {
            (Ok(decision), None) => {
                self.open = false;
                self.closed(side, now, actual, decision.table_full);
                match decision.verdict {
                    Verdict::TableFull => side.check_full(decision.policy.index()),
                    verdict => assert_eq!(verdict, Verdict::Allowed),
                }
                reached.insert("closed in time");
            }
            (Err(error), Some(misuse)) => {
                assert_eq!(error, misuse);
                reached.insert(name(error));
            }
            (outcome, misuse) => panic!("{outcome:?} where {misuse:?} was due"),
        }
        self.check();
    }

    fn closed(&mut self, side: &mut Side<'_>, now: Now, actual: &[u64], table_full: bool) {
        for (layer, (entry, actual)) in self.entries.iter().zip(actual).enumerate() {
            let charged = self.charged[layer];
            let (back, more) = (charged.saturating_sub(*actual), actual.saturating_sub(charged));
            let span = side.span(entry, now);
            // What has passed is not given back, least of all from what others have charged since.
            if back > 0 && side.account(entry).may_be_held(self.last[layer], span) {
                side.account(entry).give_back(entry.key, back);
            }
            let told = self.reservation.charged(layer).expect("a layer");
            assert!(told == *actual || table_full && told == charged, "{told} of {actual}");
            self.charged[layer] = told;
            if more > 0 && told == *actual {
                side.passed(entry);
            }
            if more > 0 && told == *actual && !(table_full && side.lets_overflow(entry)) {
                side.account(entry).force(entry.key, more, span);
            } else if more > 0 {
                side.account(entry).doubt(entry.key, more);
            }
        }
    }
}

fn name(error: ReservationError) -> &'static str {
    match error {
        ReservationError::Closed => "closed already",
        ReservationError::Foreign => "foreign",
        _ => "wrong amounts",
    }
}
