//! A limiter with an optional planted fault. A test that checks the limiter must find each fault.

use std::cell::Cell;
use std::time::Duration;
use tollgate::{
    Charge, Decision, Limiter, MAX_CHARGES, MAX_RESERVED, Now, PolicyId, PolicyStatus, Reservation,
    ReservationError, Session,
};

/// A fault to plant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// One in this many admitted requests is not charged.
    OneChargeSkippedIn(u32),
    /// `retry_after` is a nanosecond too short.
    WaitTooShort,
    /// `retry_after` is a nanosecond too long.
    WaitTooLong,
    /// A denied request is charged to the policies that had room.
    DenialCharged,
    /// An overestimate is not refunded when it is settled.
    OverestimateKept,
    /// An underestimate is not charged when it is settled.
    UnderestimateUncharged,
    /// An admitted extension is not charged.
    ExtensionUncharged,
    /// A reset of a key does nothing.
    ResetIgnored,
}

impl Fault {
    pub const ALL: [Fault; 8] = [
        Fault::OneChargeSkippedIn(7),
        Fault::WaitTooShort,
        Fault::WaitTooLong,
        Fault::DenialCharged,
        Fault::OverestimateKept,
        Fault::UnderestimateUncharged,
        Fault::ExtensionUncharged,
        Fault::ResetIgnored,
    ];
}

/// A limiter and its planted fault, if any.
#[derive(Debug)]
pub struct FaultyLimiter {
    pub limiter: Limiter,
    fault: Option<Fault>,
    admitted: Cell<u32>,
}

impl FaultyLimiter {
    pub fn new(limiter: Limiter, fault: Option<Fault>) -> Self {
        FaultyLimiter { limiter, fault, admitted: Cell::new(0) }
    }

    pub fn at(&self, now: Now) -> FaultySession<'_> {
        FaultySession { session: self.limiter.session_at(now), limiter: self }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// Counts an admitted request. Returns whether its charge must be skipped.
    fn skips_charge(&self) -> bool {
        let Some(Fault::OneChargeSkippedIn(number)) = self.fault else { return false };
        self.admitted.set(self.admitted.get() + 1);
        self.admitted.get().is_multiple_of(number)
    }
}

/// A session of a faulty limiter.
#[derive(Debug)]
pub struct FaultySession<'l> {
    session: Session<'l>,
    limiter: &'l FaultyLimiter,
}

impl FaultySession<'_> {
    /// The session without the fault.
    pub fn inner(&self) -> &Session<'_> {
        &self.session
    }

    pub fn check(&self, charges: &[Charge<'_>], statuses: &mut [PolicyStatus]) -> Decision {
        let mut reported = [PolicyStatus::default(); MAX_CHARGES];
        let mut decision = self.session.check_with_status(charges, &mut reported);
        if decision.is_allowed() && self.limiter.skips_charge() {
            self.give_back(charges);
        }
        if decision.retry_after_ns.is_some() {
            self.charge_denied(charges, &reported);
        }
        reported.iter_mut().for_each(|status| self.shift_wait(&mut status.retry_after_ns));
        self.shift_wait(&mut decision.retry_after_ns);
        statuses.iter_mut().zip(reported).for_each(|(status, reported)| *status = reported);
        decision
    }

    pub fn reserve(
        &self,
        charges: &[Charge<'_>],
        statuses: &mut [PolicyStatus],
    ) -> Result<Reservation, Decision> {
        let reserved = self.session.reserve_with_status(charges, statuses);
        if reserved.is_ok() && self.limiter.skips_charge() {
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
        if decision.is_allowed() && self.limiter.has(Fault::ExtensionUncharged) {
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
        for (index, (settled, actual)) in settled.iter_mut().zip(actual).enumerate() {
            let charged = reservation.charged(index).unwrap_or_default();
            *settled = match self.limiter.fault {
                Some(Fault::OverestimateKept) => charged.max(*actual),
                Some(Fault::UnderestimateUncharged) => charged.min(*actual),
                _ => *actual,
            };
        }
        self.session.settle(reservation, settled.get(..actual.len()).unwrap_or(actual))
    }

    pub fn reset_key(&self, policy: PolicyId, key: u64) {
        if !self.limiter.has(Fault::ResetIgnored) {
            self.session.reset_key(policy, key).expect("a policy of this limiter");
        }
    }

    fn give_back(&self, charges: &[Charge<'_>]) {
        for charge in charges {
            self.session.refund(charge).expect("a policy of this limiter");
        }
    }

    fn charge_denied(&self, charges: &[Charge<'_>], statuses: &[PolicyStatus]) {
        if self.limiter.has(Fault::DenialCharged) {
            for (charge, _) in charges.iter().zip(statuses).filter(|(_, status)| !status.violated) {
                let _ = self.session.check(&[*charge]);
            }
        }
    }

    fn shift_wait(&self, wait_ns: &mut Option<u64>) {
        if let Some(wait_ns) = wait_ns {
            match self.limiter.fault {
                Some(Fault::WaitTooShort) => *wait_ns -= 1,
                Some(Fault::WaitTooLong) => *wait_ns += 1,
                _ => {}
            }
        }
    }
}
