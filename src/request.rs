//! One request: what it is decided with, and the way of a single charge.

use crate::breakage::{Breakage, broken};
use crate::charge::{Charge, PolicyId};
use crate::clock::Now;
use crate::counter::offer::Offer;
use crate::counter::{NEVER, Outcome};
use crate::decision::{Decision, Layer, Verdict};
use crate::meter::Meter;
use crate::meters::Meters;
use crate::path::{self, Path};
use crate::shard::Shard;
use crate::table::reclaim::{self, Guard};
use crate::table::{Charged, KeyId, NoPlace, Receipt, Told};
use crate::tally::Event;
use std::ptr;

/// What a request is decided with: the policies, one instant, and this thread's hold on the tables.
#[derive(Debug)]
pub(crate) struct Context<'l> {
    pub(crate) meters: &'l Meters,
    pub(crate) now: Now,
    pub(crate) guard: Guard,
    pub(crate) shard: Shard,
}

/// One charge of a request, with everything looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'l> {
    pub(crate) meter: &'l Meter,
    pub(crate) key: KeyId,
    pub(crate) cost: u64,
    pub(crate) limit: u64,
}

/// The same, and how it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'l> {
    pub(crate) asked: Asked<'l>,
    pub(crate) outcome: Outcome,
    /// The table's generation that was charged.
    pub(crate) generation: u64,
    /// What would charge it, as long as it was only looked at and has room.
    pub(crate) offer: Option<Offer<'l>>,
    /// The table had no place for the key.
    pub(crate) table_full: bool,
}

/// How a request is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Check,
    Peek,
    Force,
}

impl<'l> Context<'l> {
    #[inline(always)]
    pub(crate) fn new(meters: &'l Meters, now: Now) -> Self {
        Context { meters, now, guard: reclaim::pin(), shard: Shard::mine() }
    }

    /// Decides a request of one charge.
    #[inline(always)]
    pub(crate) fn decide_one(
        &self,
        asked: Asked<'l>,
        mode: Mode,
        layers: &mut [Layer],
    ) -> Decision {
        if mode == Mode::Check && layers.is_empty() {
            self.check_line(asked.meter, asked.key, asked.cost, asked.limit)
        } else {
            self.decide_apart(Line::new(asked), mode, layers)
        }
    }

    /// The way of most requests: the key is known, and nobody else writes its counter just now.
    ///
    /// What is known where the caller stands, a key's kind say, is used there; from here on all go
    /// one way in one piece, and what is not on it is somewhere else.
    #[inline(never)]
    pub(crate) fn check_line(
        &self,
        meter: &'l Meter,
        key: KeyId,
        cost: u64,
        limit: u64,
    ) -> Decision {
        let asked = Asked { meter, key, cost, limit };
        if cost > 0
            && let Some((charged, offer)) = self.offer(&asked)
            && (offer.is_none_or(Offer::take) || broken(Breakage::LostOneAdmitted))
        {
            path::count(Path::One);
            let mut line = Line::new(asked);
            line.outcome = charged.outcome;
            return self.tell(&line, Ok(()));
        }
        self.check_apart(meter, key, cost, limit)
    }

    /// As [`check_line`](Self::check_line) where more is to be done.
    #[cold]
    #[inline(never)]
    fn check_apart(&self, meter: &'l Meter, key: KeyId, cost: u64, limit: u64) -> Decision {
        path::count(Path::OneFallback);
        let mut line = Line::new(Asked { meter, key, cost, limit });
        let charged = self.charge_line(&mut line, Mode::Check);
        self.tell(&line, charged)
    }

    fn decide_apart(&self, mut line: Line<'l>, mode: Mode, layers: &mut [Layer]) -> Decision {
        let decision = if mode == Mode::Peek {
            line.outcome = self.look(&line.asked, line.asked.cost);
            line.alone(self.now)
        } else {
            let charged = self.charge_line(&mut line, mode);
            self.tell(&line, charged)
        };
        if decision.verdict != Verdict::TableFull
            && let Some(layer) = layers.first_mut()
        {
            *layer = line.layer(self.now);
        }
        decision
    }

    /// Counts how the charge of a line alone went, and tells it.
    #[inline(always)]
    fn tell(&self, line: &Line<'l>, charged: Result<(), NoPlace>) -> Decision {
        match charged {
            // First the way of most, so that nothing of the others is made ready.
            Ok(()) if line.outcome.admitted && !line.table_full => {
                line.asked.meter.count(Event::Admitted, self.shard);
                line.decision(Verdict::Allowed, None, self.now)
            }
            Ok(()) => {
                self.count(line, charged);
                line.alone(self.now)
            }
            Err(_) => {
                self.count(line, charged);
                refused(line.asked.meter.id())
            }
        }
    }

    pub(crate) fn charge_line(&self, line: &mut Line<'l>, mode: Mode) -> Result<(), NoPlace> {
        let Asked { meter, key, cost, limit } = line.asked;
        let limit = if mode == Mode::Force { u64::MAX } else { limit };
        if cost == 0 || cost > limit {
            // Nothing can be written, so an absent key is not given a place.
            line.outcome = self.pass(*line, mode);
            return Ok(());
        }
        match meter.charge(key, cost, limit, self.now, &self.guard) {
            Ok(charged) => {
                (line.outcome, line.generation) = (charged.outcome, charged.generation);
            }
            Err(NoPlace::Full) if meter.lets_overflow() => {
                line.outcome = self.pass(*line, mode);
                line.table_full = true;
            }
            Err(full) => return Err(full),
        }
        Ok(())
    }

    /// The outcome of a line that writes nothing.
    // By value, as all that is off the usual way: there the line stays in registers.
    #[cold]
    fn pass(&self, line: Line<'l>, mode: Mode) -> Outcome {
        let mut outcome = self.look(&line.asked, line.asked.cost);
        outcome.admitted |= mode == Mode::Force;
        outcome
    }

    /// Counts how a charge went, for the statistics.
    #[inline(always)]
    pub(crate) fn count(&self, line: &Line<'_>, charged: Result<(), NoPlace>) {
        let event = match charged {
            Err(_) => Event::Refused,
            Ok(()) if !line.outcome.admitted => Event::Denied,
            Ok(()) if line.table_full => Event::Untracked,
            Ok(()) => Event::Admitted,
        };
        line.asked.meter.count(event, self.shard);
    }

    #[inline(always)]
    fn offer<'g>(&'g self, asked: &Asked<'g>) -> Option<Told<'g>> {
        asked.meter.offer(asked.key, asked.cost, asked.limit, self.now, &self.guard)
    }

    pub(crate) fn look(&self, asked: &Asked<'_>, cost: u64) -> Outcome {
        asked.meter.look(asked.key, cost, asked.limit, self.now, &self.guard)
    }
}

impl<'l> Asked<'l> {
    /// By a charge; `None` under a policy of another limiter.
    #[inline(always)]
    pub(crate) fn by(meters: &'l Meters, charge: &Charge<'_>) -> Option<Self> {
        let meter = meters.get(charge.policy)?;
        let key = meters.key_id(charge.key);
        Some(Asked { meter, key, cost: charge.cost, limit: meter.limit(charge.limit) })
    }

    #[inline(always)]
    pub(crate) fn is_same_counter(&self, other: &Asked<'_>) -> bool {
        self.key == other.key && ptr::eq(self.meter, other.meter)
    }

    #[inline(always)]
    pub(crate) fn remaining(&self, outcome: &Outcome) -> u64 {
        self.limit.saturating_sub(outcome.used)
    }

    #[inline(always)]
    fn reset_after_ns(&self, outcome: &Outcome, now: Now) -> u64 {
        if outcome.used == 0 {
            return 0;
        }
        self.meter.wait_ns(outcome.clear_at, now).unwrap_or(u64::MAX)
    }

    /// The decision that rests on how this charge stands.
    #[inline(always)]
    pub(crate) fn decision(
        &self,
        outcome: &Outcome,
        verdict: Verdict,
        retry_after_ns: Option<u64>,
        now: Now,
    ) -> Decision {
        Decision {
            verdict,
            policy: self.meter.id(),
            limit: self.limit,
            remaining: self.remaining(outcome),
            retry_after_ns,
            reset_after_ns: self.reset_after_ns(outcome, now),
            table_full: false,
        }
    }

    pub(crate) fn layer(&self, outcome: &Outcome, now: Now) -> Layer {
        let violated = !outcome.admitted;
        let fits_at = if violated { outcome.fits_at } else { NEVER };
        Layer {
            policy: self.meter.id(),
            limit: self.limit,
            remaining: self.remaining(outcome),
            violated,
            retry_after_ns: self.meter.wait_ns(fits_at, now),
            reset_after_ns: self.reset_after_ns(outcome, now),
            table_full: false,
        }
    }
}

impl<'l> Line<'l> {
    /// Of what was not looked at yet.
    #[inline(always)]
    pub(crate) fn new(asked: Asked<'l>) -> Self {
        let outcome = Outcome { admitted: true, used: 0, at: 0, fits_at: 0, clear_at: 0 };
        Line::told(asked, &(Charged { outcome, generation: 0 }, None))
    }

    /// Of what was told this, and not charged.
    #[inline(always)]
    pub(crate) fn told(asked: Asked<'l>, (charged, offer): &Told<'l>) -> Self {
        let Charged { outcome, generation } = *charged;
        Line { asked, outcome, generation, offer: *offer, table_full: false }
    }

    /// Of a charge that was made.
    pub(crate) fn receipt(&self) -> Receipt {
        Receipt { at: self.outcome.at, units: self.asked.cost, generation: self.generation }
    }

    #[inline(always)]
    pub(crate) fn decision(
        &self,
        verdict: Verdict,
        retry_after_ns: Option<u64>,
        now: Now,
    ) -> Decision {
        self.asked.decision(&self.outcome, verdict, retry_after_ns, now)
    }

    /// The decision about a request of this line alone.
    #[inline(always)]
    pub(crate) fn alone(&self, now: Now) -> Decision {
        let Outcome { admitted, fits_at, .. } = self.outcome;
        match admitted {
            true => Decision {
                table_full: self.table_full,
                ..self.decision(Verdict::Allowed, None, now)
            },
            false if fits_at == NEVER => self.decision(Verdict::Impossible, None, now),
            false => self.decision(Verdict::Denied, self.asked.meter.wait_ns(fits_at, now), now),
        }
    }

    pub(crate) fn layer(self, now: Now) -> Layer {
        Layer { table_full: self.table_full, ..self.asked.layer(&self.outcome, now) }
    }
}

/// The decision about a policy of another limiter, or too many charges.
pub(crate) fn invalid(policy: PolicyId) -> Decision {
    Decision::of_none(Verdict::Invalid, policy)
}

/// The decision about a new key that found no place.
pub(crate) fn refused(policy: PolicyId) -> Decision {
    Decision { table_full: true, ..Decision::of_none(Verdict::TableFull, policy) }
}
