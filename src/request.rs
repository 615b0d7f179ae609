//! One request over its policies: look at all layers, charge in order, undo if a race is lost.

use crate::breakage::{Breakage, broken};
use crate::charge::{Charge, MAX_CHARGES, PolicyId};
use crate::clock::Now;
use crate::counter::{NEVER, Outcome};
use crate::decision::{Decision, Layer, Verdict};
use crate::meter::Meter;
use crate::meters::Meters;
use crate::shard::Shard;
use crate::table::reclaim::{self, Guard};
use crate::table::{KeyId, NoPlace};
use crate::tally::Event;
use std::time::Duration;

/// What a request is decided with: the policies, one instant, and this thread's hold on the tables.
#[derive(Debug)]
pub(crate) struct Context<'l> {
    pub(crate) meters: &'l Meters,
    pub(crate) now: Now,
    pub(crate) guard: Guard,
    shard: Shard,
}

/// One charge of a request, with everything looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'l> {
    pub(crate) policy: PolicyId,
    pub(crate) meter: &'l Meter,
    pub(crate) key: KeyId,
    pub(crate) cost: u64,
    limit: u64,
    pub(crate) outcome: Outcome,
    /// The table had no place for the key.
    pub(crate) table_full: bool,
}

/// The lines of a request, on the stack.
pub(crate) type Lines<'l> = [Option<Line<'l>>; MAX_CHARGES];

/// How a request is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Check,
    Peek,
    Force,
}

impl<'l> Context<'l> {
    #[inline]
    pub(crate) fn new(meters: &'l Meters, now: Now) -> Self {
        Context { meters, now, guard: reclaim::pin(), shard: Shard::mine() }
    }

    #[inline]
    pub(crate) fn decide(
        &self,
        charges: &[Charge<'_>],
        mode: Mode,
        layers: &mut [Layer],
    ) -> Decision {
        match charges {
            [] => Decision::default(),
            [charge] => self.decide_one(charge, mode, layers),
            _ => self.decide_all(charges, mode, layers),
        }
    }

    #[inline(always)]
    fn line(&self, charge: &Charge<'_>) -> Option<Line<'l>> {
        self.line_for(charge.policy, || self.meters.key_id(charge.key), charge.cost, charge.limit)
    }

    /// A charge with everything looked up; `None` under a policy of another limiter.
    #[inline(always)]
    pub(crate) fn line_for(
        &self,
        policy: PolicyId,
        key: impl FnOnce() -> KeyId,
        cost: u64,
        limit: Option<u64>,
    ) -> Option<Line<'l>> {
        let meter = self.meters.get(policy)?;
        let outcome = Outcome { admitted: true, used: 0, at: 0, fits_at: 0, clear_at: 0 };
        let limit = meter.limit(limit);
        Some(Line { policy, meter, key: key(), cost, limit, outcome, table_full: false })
    }

    #[inline(always)]
    fn decide_one(&self, charge: &Charge<'_>, mode: Mode, layers: &mut [Layer]) -> Decision {
        match self.line(charge) {
            Some(line) => self.decide_line(line, mode, layers),
            None => invalid(charge.policy),
        }
    }

    /// A request of one charge to a key that was hashed already.
    pub(crate) fn decide_keyed(&self, charge: &Charge<'_>, key: KeyId) -> Decision {
        match self.line_for(charge.policy, || key, charge.cost, charge.limit) {
            Some(line) => self.decide_line(line, Mode::Check, &mut []),
            None => invalid(charge.policy),
        }
    }

    #[inline(always)]
    fn decide_line(&self, mut line: Line<'l>, mode: Mode, layers: &mut [Layer]) -> Decision {
        match mode {
            Mode::Peek => line.outcome = self.look(line, line.cost),
            Mode::Check | Mode::Force => {
                let charged = self.charge_line(&mut line, mode);
                self.count(&line, charged);
                if charged.is_err() {
                    return refused(line.policy);
                }
            }
        }
        if let Some(layer) = layers.first_mut() {
            *layer = line.layer(self.now);
        }
        line.alone(self.now)
    }

    #[inline(never)]
    fn decide_all(&self, charges: &[Charge<'_>], mode: Mode, layers: &mut [Layer]) -> Decision {
        let mut lines: Lines<'l> = [None; MAX_CHARGES];
        match self.lines(charges, &mut lines) {
            Ok(lines) => self.decide_lines(lines, mode, layers),
            Err(policy) => invalid(policy),
        }
    }

    /// The lines of these charges; the policy that is not of this limiter, or one too many.
    pub(crate) fn lines<'a>(
        &self,
        charges: &[Charge<'_>],
        lines: &'a mut [Option<Line<'l>>],
    ) -> Result<&'a mut [Option<Line<'l>>], PolicyId> {
        if let Some(beyond) = charges.get(lines.len()) {
            return Err(beyond.policy);
        }
        for (line, charge) in lines.iter_mut().zip(charges) {
            *line = Some(self.line(charge).ok_or(charge.policy)?);
        }
        Ok(&mut lines[..charges.len()])
    }

    /// Charges all lines or none, and tells how each stands.
    pub(crate) fn decide_lines(
        &self,
        lines: &mut [Option<Line<'l>>],
        mode: Mode,
        layers: &mut [Layer],
    ) -> Decision {
        if mode != Mode::Force {
            self.look_at_all(lines);
        }
        let room = lines.iter().flatten().all(|line| line.outcome.admitted);
        if mode != Mode::Peek {
            let charged = if room { self.charge_all(lines, mode) } else { Ok(()) };
            match charged {
                Ok(()) => self.count_all(lines),
                Err(line) => {
                    self.count(&line, Err(NoPlace::Full));
                    return refused(line.policy);
                }
            }
        }
        for (layer, line) in layers.iter_mut().zip(lines.iter().flatten()) {
            *layer = line.layer(self.now);
        }
        self.report(lines.iter().flatten())
    }

    /// What each line would get, with those before it of the same counter.
    fn look_at_all(&self, lines: &mut [Option<Line<'l>>]) {
        for place in 0..lines.len() {
            let (before, rest) = lines.split_at_mut(place);
            if let Some(Some(line)) = rest.first_mut() {
                let same = before.iter().flatten().filter(|other| line.is_same_counter(other));
                let cost = same.fold(line.cost, |sum, other| sum.saturating_add(other.cost));
                line.outcome = self.look(*line, cost);
            }
        }
    }

    /// Charges all lines in their order. If one is lost to a race, those before it are undone and
    /// its outcome tells.
    fn charge_all(&self, lines: &mut [Option<Line<'l>>], mode: Mode) -> Result<(), Line<'l>> {
        for place in 0..lines.len() {
            let (charged, rest) = lines.split_at_mut(place);
            let Some(Some(line)) = rest.first_mut() else {
                continue;
            };
            // Schedules: layers with LookIsEnough.
            let mode = if broken(Breakage::LookIsEnough) { Mode::Force } else { mode };
            let full = self.charge_line(line, mode);
            if full.is_ok() && line.outcome.admitted {
                line.correct(charged);
                continue;
            }
            charged.iter_mut().flatten().rev().for_each(|line| self.undo(line));
            return full.map_err(|_| *line);
        }
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn charge_line(&self, line: &mut Line<'l>, mode: Mode) -> Result<(), NoPlace> {
        let limit = if mode == Mode::Force { u64::MAX } else { line.limit };
        if line.cost == 0 || line.cost > limit {
            // Nothing can be written, so an absent key is not given a place.
            line.outcome = self.pass(*line, mode);
            return Ok(());
        }
        match line.meter.charge(line.key, line.cost, limit, self.now, &self.guard) {
            Ok(outcome) => line.outcome = outcome,
            Err(NoPlace::Full) if line.meter.lets_overflow() => {
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
        let mut outcome = self.look(line, line.cost);
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
        line.meter.count(event, self.shard);
    }

    /// Counts the lines of a request that was charged in all, or those that denied it.
    fn count_all(&self, lines: &[Option<Line<'l>>]) {
        let allowed = lines.iter().flatten().all(|line| line.outcome.admitted);
        let counted = |line: &&Line<'_>| allowed || !line.outcome.admitted;
        lines.iter().flatten().filter(counted).for_each(|line| self.count(line, Ok(())));
    }

    fn look(&self, line: Line<'l>, cost: u64) -> Outcome {
        line.meter.look(line.key, cost, line.limit, self.now, &self.guard)
    }

    fn undo(&self, line: &mut Line<'l>) {
        if broken(Breakage::NoUndo) || line.table_full {
            return;
        }
        // By receipt: it may have expired. Schedules: late undo with UndoOldest.
        let receipt = (line.outcome.at, line.cost);
        let from = if broken(Breakage::UndoOldest) { None } else { Some(receipt) };
        let given = line.meter.give_back(line.key, self.now, from, line.cost, &self.guard);
        line.outcome.used = line.outcome.used.saturating_sub(given);
    }

    /// The decision that the lines' outcomes add up to.
    pub(crate) fn report<'a>(&self, lines: impl Iterator<Item = &'a Line<'l>> + Clone) -> Decision
    where
        'l: 'a,
    {
        let mut lacking = lines.clone().filter(|line| !line.outcome.admitted);
        let Some(first) = lacking.clone().next() else {
            let table_full = lines.clone().any(|line| line.table_full);
            let least = lines.min_by_key(|line| line.remaining());
            let least = least.map_or(Decision::default(), |line| line.alone(self.now));
            return Decision { table_full, ..least };
        };
        if lacking.clone().any(|line| line.outcome.fits_at == NEVER) {
            return first.decision(Verdict::Impossible, None, self.now);
        }
        let longest = lacking.try_fold(Duration::ZERO, |longest, line| {
            Some(longest.max(line.meter.wait(line.outcome.fits_at, self.now)?))
        });
        first.decision(Verdict::Denied, longest, self.now)
    }
}

impl Line<'_> {
    fn is_same_counter(&self, other: &Line<'_>) -> bool {
        self.policy == other.policy && self.key == other.key
    }

    /// Tells the lines before of the same counter what is left after this one: what is left to a
    /// key is what is left after the whole request.
    pub(crate) fn correct(&self, before: &mut [Option<Line<'_>>]) {
        let same = before.iter_mut().flatten().filter(|other| self.is_same_counter(other));
        same.for_each(|other| {
            other.outcome.used = self.outcome.used;
            other.outcome.clear_at = self.outcome.clear_at;
        });
    }

    #[inline(always)]
    fn remaining(&self) -> u64 {
        self.limit.saturating_sub(self.outcome.used)
    }

    #[inline(always)]
    fn reset_after(&self, now: Now) -> Duration {
        if self.outcome.used == 0 {
            return Duration::ZERO;
        }
        self.meter.wait(self.outcome.clear_at, now).unwrap_or(Duration::MAX)
    }

    #[inline(always)]
    fn decision(&self, verdict: Verdict, retry_after: Option<Duration>, now: Now) -> Decision {
        Decision {
            verdict,
            policy: self.policy,
            limit: self.limit,
            remaining: self.remaining(),
            retry_after,
            reset_after: self.reset_after(now),
            table_full: false,
        }
    }

    /// The decision about a request of this line alone.
    #[inline(always)]
    fn alone(&self, now: Now) -> Decision {
        let Outcome { admitted, fits_at, .. } = self.outcome;
        match admitted {
            true => Decision {
                table_full: self.table_full,
                ..self.decision(Verdict::Allowed, None, now)
            },
            false if fits_at == NEVER => self.decision(Verdict::Impossible, None, now),
            false => self.decision(Verdict::Denied, self.meter.wait(fits_at, now), now),
        }
    }

    fn layer(self, now: Now) -> Layer {
        let violated = !self.outcome.admitted;
        let retry_after = if violated { self.meter.wait(self.outcome.fits_at, now) } else { None };
        Layer {
            policy: self.policy,
            limit: self.limit,
            remaining: self.remaining(),
            violated,
            retry_after,
            reset_after: self.reset_after(now),
            table_full: self.table_full,
        }
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
