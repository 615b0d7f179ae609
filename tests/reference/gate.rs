//! The limiter as it is, or with a fault planted in front of it: a checker that finds none of these
//! proves nothing.

use std::cell::Cell;
use std::time::Duration;
use tollgate::{
    Charge, Decision, Limiter, MAX_CHARGES, MAX_RESERVED, Now, PolicyId, PolicyStatus, Reservation,
    ReservationError, Session,
};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// One admitted request in so many is not charged.
    ForgetsOneIn(u32),
    /// `retry_after` is a nanosecond too short.
    HastyWait,
    /// `retry_after` is a nanosecond too long.
    LazyWait,
    /// A denied request is charged to the layers that had room.
    ChargesTheDenied,
    /// What was reserved in vain is not given back.
    KeepsTheRest,
    /// What a reservation has cost beyond its estimate is not charged.
    ForgivesTheExcess,
    /// An extension is granted and not charged.
    ForgetsExtensions,
    /// A budget or window is not cleared.
    IgnoresReset,
}

impl Fault {
    pub const ALL: [Fault; 8] = [
        Fault::ForgetsOneIn(7),
        Fault::HastyWait,
        Fault::LazyWait,
        Fault::ChargesTheDenied,
        Fault::KeepsTheRest,
        Fault::ForgivesTheExcess,
        Fault::ForgetsExtensions,
        Fault::IgnoresReset,
    ];
}

/// A limiter, and what is wrong with it.
#[derive(Debug)]
pub struct Gate {
    pub limiter: Limiter,
    fault: Option<Fault>,
    admitted: Cell<u32>,
}

impl Gate {
    pub fn new(limiter: Limiter, fault: Option<Fault>) -> Self {
        Gate { limiter, fault, admitted: Cell::new(0) }
    }

    pub fn at(&self, now: Now) -> Desk<'_> {
        Desk { session: self.limiter.session_at(now), gate: self }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// Whether this is the admitted request that is forgotten.
    fn forgets(&self) -> bool {
        let Some(Fault::ForgetsOneIn(number)) = self.fault else { return false };
        self.admitted.set(self.admitted.get() + 1);
        self.admitted.get().is_multiple_of(number)
    }
}

/// A session behind the fault.
#[derive(Debug)]
pub struct Desk<'l> {
    session: Session<'l>,
    gate: &'l Gate,
}

impl Desk<'_> {
    pub fn session(&self) -> &Session<'_> {
        &self.session
    }

    pub fn check(&self, charges: &[Charge<'_>], layers: &mut [PolicyStatus]) -> Decision {
        let mut own = [PolicyStatus::default(); MAX_CHARGES];
        let mut decision = self.session.check_with_status(charges, &mut own);
        if decision.is_allowed() && self.gate.forgets() {
            self.give_back(charges);
        }
        if decision.retry_after_ns.is_some() {
            self.denied(charges, &own);
        }
        own.iter_mut().for_each(|layer| self.tell(&mut layer.retry_after_ns));
        self.tell(&mut decision.retry_after_ns);
        layers.iter_mut().zip(own).for_each(|(layer, own)| *layer = own);
        decision
    }

    pub fn reserve(
        &self,
        charges: &[Charge<'_>],
        layers: &mut [PolicyStatus],
    ) -> Result<Reservation, Decision> {
        let reserved = self.session.reserve_with_status(charges, layers);
        if reserved.is_ok() && self.gate.forgets() {
            self.give_back(charges);
        }
        reserved
    }

    pub fn extend(
        &self,
        reservation: &mut Reservation,
        charges: &[Charge<'_>],
        more: &[u64],
    ) -> Result<Decision, ReservationError> {
        let decision = self.session.extend(reservation, more)?;
        if decision.is_allowed() && self.gate.has(Fault::ForgetsExtensions) {
            self.give_back(charges);
        }
        Ok(decision)
    }

    pub fn settle(
        &self,
        reservation: &mut Reservation,
        actual: &[u64],
    ) -> Result<Decision, ReservationError> {
        let mut settled = [0; MAX_RESERVED];
        for (layer, (settled, actual)) in settled.iter_mut().zip(actual).enumerate() {
            let charged = reservation.charged(layer).unwrap_or_default();
            *settled = match self.gate.fault {
                Some(Fault::KeepsTheRest) => charged.max(*actual),
                Some(Fault::ForgivesTheExcess) => charged.min(*actual),
                _ => *actual,
            };
        }
        self.session.settle(reservation, settled.get(..actual.len()).unwrap_or(actual))
    }

    pub fn reset_key(&self, policy: PolicyId, key: u64) {
        if !self.gate.has(Fault::IgnoresReset) {
            self.session.reset_key(policy, key).expect("a policy of this limiter");
        }
    }

    fn give_back(&self, charges: &[Charge<'_>]) {
        for charge in charges {
            self.session.refund(charge).expect("a policy of this limiter");
        }
    }

    fn denied(&self, charges: &[Charge<'_>], layers: &[PolicyStatus]) {
        if self.gate.has(Fault::ChargesTheDenied) {
            for (charge, _) in charges.iter().zip(layers).filter(|(_, layer)| !layer.violated) {
                let _ = self.session.check(&[*charge]);
            }
        }
    }

    fn tell(&self, wait_ns: &mut Option<u64>) {
        if let Some(wait_ns) = wait_ns {
            match self.gate.fault {
                Some(Fault::HastyWait) => *wait_ns -= 1,
                Some(Fault::LazyWait) => *wait_ns += 1,
                _ => {}
            }
        }
    }
}
