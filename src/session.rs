//! The verbs, at one instant: look at all layers, charge in order, undo if a race is lost.

use crate::breakage::{Breakage, broken};
use crate::charge::{Charge, MAX_CHARGES, PolicyId};
use crate::clock::Now;
use crate::counter::{NEVER, Outcome};
use crate::decision::{Decision, Layer, Verdict};
use crate::key::Key;
use crate::meter::Meter;
use crate::meters::Meters;
use crate::shard::Shard;
use crate::stats::Stats;
use crate::table::reclaim::{self, Guard};
use crate::table::{KeyId, NoPlace};
use crate::tally::Event;
use std::time::Duration;

/// A limiter at one instant.
///
/// Short-lived: while it exists, memory of tables that were replaced is not freed. It belongs to
/// one thread.
#[derive(Debug)]
pub struct Session<'l> {
    meters: &'l Meters,
    now: Now,
    guard: Guard,
    shard: Shard,
}

/// One charge of a request, with everything looked up.
#[derive(Clone, Copy, Debug)]
struct Line<'l> {
    policy: PolicyId,
    meter: &'l Meter,
    key: KeyId,
    cost: u64,
    limit: u64,
    outcome: Outcome,
    /// The table had no place for the key.
    table_full: bool,
}

/// The lines of a request, on the stack.
type Lines<'l> = [Option<Line<'l>>; MAX_CHARGES];

/// How a request is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Check,
    Peek,
    Force,
}

impl<'l> Session<'l> {
    #[inline]
    pub(crate) fn new(meters: &'l Meters, now: Now) -> Self {
        Session { meters, now, guard: reclaim::pin(), shard: Shard::mine() }
    }

    /// The instant of this session.
    pub fn now(&self) -> Now {
        self.now
    }

    /// Charges a request under all its policies, or under none.
    ///
    /// If any policy has no room, nothing is charged, and the decision names the first such policy
    /// in the order of the charges and the longest wait over all of them. Two charges of one
    /// request to one key add up. No charges at all are allowed.
    ///
    /// While another thread's request is being decided, a layer may look charged that is given
    /// back in the next moment because a later layer had no room. So this may deny a request that
    /// would have had room an instant later, and never admits one too many.
    ///
    /// ```
    /// use std::{net::IpAddr, time::Duration};
    /// use tollgate::{Limiter, Period, Policy};
    ///
    /// let minute = Duration::from_secs(60);
    /// let limiter = Limiter::builder()
    ///     .policy(Policy::sliding("ip", 100, minute))
    ///     .policy(Policy::sliding("user", 2, minute))
    ///     .policy(Policy::calendar("tokens", 10_000, Period::Day))
    ///     .build()?;
    /// let [ip, user, tokens] = ["ip", "user", "tokens"].map(|name| limiter.policy(name).unwrap());
    /// let address: IpAddr = "192.0.2.1".parse().unwrap();
    ///
    /// let request = [ip.charge(address, 1), user.charge("alice", 1), tokens.charge("alice", 512)];
    /// assert!(limiter.check(&request).is_allowed());
    /// assert!(limiter.check(&request).is_allowed());
    /// let decision = limiter.check(&request);
    /// assert!(!decision.is_allowed());
    /// assert_eq!(decision.policy, user);
    /// assert!(decision.retry_after.unwrap() <= minute);
    /// // The denial has cost nothing.
    /// assert_eq!(limiter.peek(&[ip.charge(address, 1)]).remaining, 98);
    /// # Ok::<(), tollgate::ConfigError>(())
    /// ```
    #[inline]
    pub fn check(&self, charges: &[Charge<'_>]) -> Decision {
        self.decide(charges, Mode::Check, &mut [])
    }

    /// As [`check`](Self::check), and tells how each policy stands after it: `layers[i]` is that of
    /// `charges[i]`, as far as both go.
    pub fn check_layers(&self, charges: &[Charge<'_>], layers: &mut [Layer]) -> Decision {
        self.decide(charges, Mode::Check, layers)
    }

    /// What [`check`](Self::check) would decide; charges nothing. `remaining` is what is left
    /// without the request. Other threads may spend it in the next moment. A new key is told what it
    /// would get if it found a place.
    pub fn peek(&self, charges: &[Charge<'_>]) -> Decision {
        self.decide(charges, Mode::Peek, &mut [])
    }

    /// As [`peek`](Self::peek), and tells how each policy stands.
    pub fn peek_layers(&self, charges: &[Charge<'_>], layers: &mut [Layer]) -> Decision {
        self.decide(charges, Mode::Peek, layers)
    }

    /// Charges whatever the usage is, for costs that are known only afterwards. Usage may then
    /// exceed the limit, and later requests are denied until it has passed. A bucket remembers up to
    /// 32 times the greatest limit, a calendar period up to 2⁴² units.
    ///
    /// The verdict is [`Verdict::Allowed`] unless a key found no place
    /// ([`Verdict::TableFull`]) or a charge is [`Verdict::Invalid`]; then nothing was charged, but
    /// for a debt beyond what its bucket remembers, which cannot be told from more and stays.
    pub fn charge(&self, charges: &[Charge<'_>]) -> Decision {
        self.decide(charges, Mode::Force, &mut [])
    }

    /// Gives up to the cost of `charge` back to its key, and returns how much that was.
    ///
    /// Units are taken from the oldest charges that still count, so that what is left expires no
    /// earlier than if the right one had been taken. So give back only what still counts: units of a
    /// charge that has expired would be taken from others.
    pub fn refund(&self, charge: &Charge<'_>) -> u64 {
        match self.meters.get(charge.policy) {
            Some(meter) => {
                let key = self.meters.key_id(charge.key);
                meter.give_back(key, self.now, None, charge.cost, &self.guard)
            }
            None => 0,
        }
    }

    /// Forgets everything that a key has used under a policy. Charges of other threads that are
    /// made meanwhile may be forgotten or kept.
    pub fn reset_key<'k>(&self, policy: PolicyId, key: impl Into<Key<'k>>) {
        if let Some(meter) = self.meters.get(policy) {
            meter.reset(self.meters.key_id(key.into()), self.now, &self.guard);
        }
    }

    /// Housekeeping ahead of need: see [`Limiter::maintain`](crate::Limiter::maintain).
    pub fn maintain(&self, slots: usize) -> bool {
        let done = |meter: &Meter| meter.maintain(slots, self.now, &self.guard);
        self.meters.all().fold(true, |all, meter| all & done(meter))
    }

    /// How a policy stands: see [`Limiter::stats`](crate::Limiter::stats).
    pub fn stats(&self, policy: PolicyId) -> Option<Stats> {
        let meter = self.meters.get(policy)?;
        Some(meter.stats(policy, self.now, &self.guard))
    }

    #[inline]
    fn decide(&self, charges: &[Charge<'_>], mode: Mode, layers: &mut [Layer]) -> Decision {
        match charges {
            [] => decision(Verdict::Allowed, PolicyId::default()),
            [charge] => self.decide_one(charge, mode, layers),
            _ => self.decide_all(charges, mode, layers),
        }
    }

    #[inline]
    fn line(&self, charge: &Charge<'_>) -> Option<Line<'l>> {
        let meter = self.meters.get(charge.policy)?;
        let key = self.meters.key_id(charge.key);
        let limit = meter.limit(charge.limit);
        let outcome = Outcome { admitted: true, used: 0, at: 0, fits_at: 0, clear_at: 0 };
        let (policy, cost) = (charge.policy, charge.cost);
        Some(Line { policy, meter, key, cost, limit, outcome, table_full: false })
    }

    #[inline]
    fn decide_one(&self, charge: &Charge<'_>, mode: Mode, layers: &mut [Layer]) -> Decision {
        let Some(mut line) = self.line(charge) else {
            return decision(Verdict::Invalid, charge.policy);
        };
        match mode {
            Mode::Peek => line.outcome = self.look(&line, line.cost),
            Mode::Check | Mode::Force => {
                let charged = self.charge_line(&mut line, mode);
                self.count(&line, charged);
                if charged.is_err() {
                    return refused(charge.policy);
                }
            }
        }
        if let Some(layer) = layers.first_mut() {
            *layer = line.layer(self.now);
        }
        self.report(std::iter::once(&line))
    }

    #[inline(never)]
    fn decide_all(&self, charges: &[Charge<'_>], mode: Mode, layers: &mut [Layer]) -> Decision {
        if charges.len() > MAX_CHARGES {
            return decision(Verdict::Invalid, charges[MAX_CHARGES].policy);
        }
        let mut lines: Lines<'l> = [None; MAX_CHARGES];
        for (place, charge) in charges.iter().enumerate() {
            let Some(mut line) = self.line(charge) else {
                return decision(Verdict::Invalid, charge.policy);
            };
            if mode != Mode::Force {
                let same = lines.iter().flatten().filter(|other| line.is_same_counter(other));
                let cost = same.fold(line.cost, |sum, other| sum.saturating_add(other.cost));
                line.outcome = self.look(&line, cost);
            }
            lines[place] = Some(line);
        }
        let lines = &mut lines[..charges.len()];
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

    /// Charges all lines in their order. If one is lost to a race, those before it are undone and
    /// its outcome tells.
    fn charge_all(&self, lines: &mut [Option<Line<'l>>], mode: Mode) -> Result<(), Line<'l>> {
        for place in 0..lines.len() {
            let (charged, rest) = lines.split_at_mut(place);
            let Some(Some(line)) = rest.first_mut() else {
                continue;
            };
            let full = self.charge_line(line, mode);
            if full.is_ok() && line.outcome.admitted {
                // What is left to a key is what is left after the whole request.
                let same = charged.iter_mut().flatten().filter(|other| line.is_same_counter(other));
                same.for_each(|other| {
                    other.outcome.used = line.outcome.used;
                    other.outcome.clear_at = line.outcome.clear_at;
                });
                continue;
            }
            charged.iter_mut().flatten().rev().for_each(|line| self.undo(line));
            return full.map_err(|_| *line);
        }
        Ok(())
    }

    #[inline]
    fn charge_line(&self, line: &mut Line<'l>, mode: Mode) -> Result<(), NoPlace> {
        let limit = if mode == Mode::Force { u64::MAX } else { line.limit };
        if line.cost == 0 || line.cost > limit {
            // Nothing can be written, so an absent key is not given a place.
            line.outcome = self.look(line, line.cost);
            line.outcome.admitted |= mode == Mode::Force;
            return Ok(());
        }
        match line.meter.charge(line.key, line.cost, limit, self.now, &self.guard) {
            Ok(outcome) => line.outcome = outcome,
            Err(NoPlace::Full) if line.meter.lets_overflow() => {
                line.outcome = self.look(line, line.cost);
                line.outcome.admitted |= mode == Mode::Force;
                line.table_full = true;
            }
            Err(full) => return Err(full),
        }
        Ok(())
    }

    /// Counts how a charge went, for the statistics.
    #[inline]
    fn count(&self, line: &Line<'l>, charged: Result<(), NoPlace>) {
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

    fn look(&self, line: &Line<'l>, cost: u64) -> Outcome {
        line.meter.look(line.key, cost, line.limit, self.now, &self.guard)
    }

    fn undo(&self, line: &mut Line<'l>) {
        if broken(Breakage::NoUndo) || line.table_full {
            return;
        }
        let from = Some(line.outcome.at);
        let given = line.meter.give_back(line.key, self.now, from, line.cost, &self.guard);
        line.outcome.used = line.outcome.used.saturating_sub(given);
    }

    /// The decision that the lines' outcomes add up to.
    #[inline]
    fn report<'a>(&self, lines: impl Iterator<Item = &'a Line<'l>> + Clone) -> Decision
    where
        'l: 'a,
    {
        let mut lacking = lines.clone().filter(|line| !line.outcome.admitted);
        let Some(first) = lacking.clone().next() else {
            let table_full = lines.clone().any(|line| line.table_full);
            let least = lines.min_by_key(|line| line.remaining());
            let least = least.map_or(decision(Verdict::Allowed, PolicyId::default()), |line| {
                line.decision(Verdict::Allowed, None, self.now)
            });
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

    #[inline]
    fn remaining(&self) -> u64 {
        self.limit.saturating_sub(self.outcome.used)
    }

    fn reset_after(&self, now: Now) -> Duration {
        if self.outcome.used == 0 {
            return Duration::ZERO;
        }
        self.meter.wait(self.outcome.clear_at, now).unwrap_or(Duration::MAX)
    }

    #[inline]
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

    fn layer(&self, now: Now) -> Layer {
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

/// The decision about a new key that found no place.
fn refused(policy: PolicyId) -> Decision {
    Decision { table_full: true, ..decision(Verdict::TableFull, policy) }
}

/// A decision that no counter had a part in.
fn decision(verdict: Verdict, policy: PolicyId) -> Decision {
    let remaining = if verdict == Verdict::Allowed { u64::MAX } else { 0 };
    Decision {
        verdict,
        policy,
        limit: remaining,
        remaining,
        retry_after: None,
        reset_after: Duration::ZERO,
        table_full: false,
    }
}
