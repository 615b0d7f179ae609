//! A request over several policies: look at all of them, charge in order, undo if a race is lost.

use crate::breakage::{Breakage, broken};
use crate::charge::{Charge, MAX_CHARGES, PolicyId};
use crate::counter::NEVER;
use crate::counter::offer::Offer;
use crate::decision::{Decision, Layer, Verdict};
use crate::meters::Meters;
use crate::request::{Context, Line, Mode, invalid, refused};
use crate::tally::Event;
use std::borrow::Borrow;
use std::ptr;

/// Most requests have no more charges than this: less is then laid out for them.
const FEW: usize = 4;

/// Decides a request. The context is made when the memory of all charges has been asked for, if there
/// are several; who has made one already gains nothing by asking early for one.
#[inline(always)]
pub(crate) fn decide<'l, C: Borrow<Context<'l>>>(
    meters: &'l Meters,
    charges: &[Charge<'_>],
    mode: Mode,
    layers: &mut [Layer],
    context: impl FnOnce() -> C,
) -> Decision {
    match charges {
        [] => Decision::default(),
        [charge] => match Line::of(meters, charge) {
            Some(line) => context().borrow().decide_line(line, mode, layers),
            None => invalid(charge.policy),
        },
        [..] if charges.len() <= FEW => {
            decide_up_to::<FEW, C>(meters, charges, mode, layers, context)
        }
        [..] => decide_up_to::<MAX_CHARGES, C>(meters, charges, mode, layers, context),
    }
}

// By itself, so that few lines do not take the stack of many.
#[inline(never)]
fn decide_up_to<'l, const MOST: usize, C: Borrow<Context<'l>>>(
    meters: &'l Meters,
    charges: &[Charge<'_>],
    mode: Mode,
    layers: &mut [Layer],
    context: impl FnOnce() -> C,
) -> Decision {
    let mut lines = [None; MOST];
    match lines_of(meters, charges, &mut lines) {
        Ok(lines) => context().borrow().decide_lines(lines, mode, layers),
        Err(policy) => invalid(policy),
    }
}

/// The lines of these charges; the policy that is not of this limiter, or one too many.
pub(crate) fn lines_of<'g, 'a>(
    meters: &'g Meters,
    charges: &[Charge<'_>],
    lines: &'a mut [Option<Line<'g>>],
) -> Result<&'a mut [Option<Line<'g>>], PolicyId> {
    if let Some(beyond) = charges.get(lines.len()) {
        return Err(beyond.policy);
    }
    for (line, charge) in lines.iter_mut().zip(charges) {
        let made = Line::of(meters, charge).ok_or(charge.policy)?;
        // All of them, before the first is waited for.
        made.meter.prefetch_unheld(made.key);
        *line = Some(made);
    }
    Ok(&mut lines[..charges.len()])
}

impl Context<'_> {
    /// Charges all lines or none, and tells how each stands.
    pub(crate) fn decide_lines<'g>(
        &'g self,
        lines: &mut [Option<Line<'g>>],
        mode: Mode,
        layers: &mut [Layer],
    ) -> Decision {
        let repeats = self.prefetch_and_compare(lines);
        if mode != Mode::Check || repeats {
            return self.decide_in_order(lines, mode, repeats, layers);
        }
        if !self.offer_all(lines) {
            return self.deny(lines, layers);
        }
        match take_all(lines) {
            None => self.tell_taken(lines, layers),
            Some(lost) => {
                let charged = self.charge_from(lost, lines, mode, repeats);
                self.tell_charged(lines, charged, layers)
            }
        }
    }

    /// As [`decide_lines`](Self::decide_lines), one line after the other.
    #[inline(never)]
    fn decide_in_order<'g>(
        &'g self,
        lines: &mut [Option<Line<'g>>],
        mode: Mode,
        repeats: bool,
        layers: &mut [Layer],
    ) -> Decision {
        let room = mode == Mode::Force || self.look_at_all(lines, mode);
        match () {
            () if mode == Mode::Peek => self.tell_all(lines, layers),
            () if !room => self.deny(lines, layers),
            () => {
                let charged = self.charge_from(0, lines, mode, repeats);
                self.tell_charged(lines, charged, layers)
            }
        }
    }

    /// Asks for the memory of all lines before the first is looked at. Tells, on the way, whether any
    /// two of them are of one counter.
    #[inline(always)]
    fn prefetch_and_compare(&self, lines: &[Option<Line<'_>>]) -> bool {
        // Most requests have each policy once, and that is seen soon.
        let (mut seen, mut again) = (0_u64, false);
        for line in all(lines) {
            line.meter.prefetch(line.key, &self.guard);
            let bit = 1 << (line.meter.id().index() % u64::BITS as usize);
            again |= seen & bit != 0;
            seen |= bit;
        }
        again && repeats(lines)
    }

    /// What each line would get where no two are of one counter; whether all have room.
    #[inline(always)]
    fn offer_all<'g>(&'g self, lines: &mut [Option<Line<'g>>]) -> bool {
        let mut room = true;
        for line in all_mut(lines) {
            self.offer_line(line);
            room &= line.outcome.admitted;
        }
        room
    }

    // By itself: there all that it works with has a register.
    #[inline(never)]
    fn offer_line<'g>(&'g self, line: &mut Line<'g>) {
        match self.offer(line) {
            Some((charged, offer)) => {
                (line.outcome, line.generation) = (charged.outcome, charged.generation);
                line.offer = offer;
            }
            None => line.outcome = self.look(*line, line.cost),
        }
    }

    /// What each line would get, with those before it of the same counter; whether all have room.
    #[inline(never)]
    fn look_at_all<'g>(&'g self, lines: &mut [Option<Line<'g>>], mode: Mode) -> bool {
        let mut room = true;
        for place in 0..lines.len() {
            let (before, rest) = lines.split_at_mut(place);
            let Some(Some(line)) = rest.first_mut() else {
                continue;
            };
            match line.cost_before(before) {
                0 if mode == Mode::Check => self.offer_line(line),
                earlier => line.outcome = self.look(*line, line.cost.saturating_add(earlier)),
            }
            room &= line.outcome.admitted;
        }
        room
    }

    /// Counts the lines that deny a request, and tells all. It looks what those are left with that had
    /// an offer and were not charged, if anybody asks.
    #[inline(never)]
    fn deny<'g>(&'g self, lines: &mut [Option<Line<'g>>], layers: &mut [Layer]) -> Decision {
        for line in all_mut(lines) {
            if line.offer.is_some() && !layers.is_empty() {
                line.outcome = self.look(*line, line.cost);
            }
            if !line.outcome.admitted {
                self.count(line, Ok(()));
            }
        }
        self.tell_all(lines, layers)
    }

    /// Counts and tells lines whose offers were all taken.
    #[inline(always)]
    fn tell_taken(&self, lines: &[Option<Line<'_>>], layers: &mut [Layer]) -> Decision {
        let lines = all(lines);
        self.tell_layers(lines.clone(), layers);
        self.least(lines.inspect(|line| line.meter.count(Event::Admitted, self.shard)))
    }

    /// Counts and tells lines that were charged, as far as they were.
    #[inline(never)]
    fn tell_charged<'g>(
        &'g self,
        lines: &mut [Option<Line<'g>>],
        charged: Result<bool, PolicyId>,
        layers: &mut [Layer],
    ) -> Decision {
        match charged {
            Ok(true) => {
                all(lines).for_each(|line| self.count(line, Ok(())));
                self.tell_all(lines, layers)
            }
            Ok(false) => self.deny(lines, layers),
            Err(policy) => refused(policy),
        }
    }

    fn tell_all(&self, lines: &[Option<Line<'_>>], layers: &mut [Layer]) -> Decision {
        let lines = all(lines);
        self.tell_layers(lines.clone(), layers);
        self.report(lines)
    }

    #[inline(always)]
    fn tell_layers<'a, 'g: 'a>(
        &self,
        lines: impl Iterator<Item = &'a Line<'g>>,
        layers: &mut [Layer],
    ) {
        for (layer, line) in layers.iter_mut().zip(lines) {
            *layer = line.layer(self.now);
        }
    }

    /// Charges the lines from this one on, in their order. If one is lost to a race, those before it
    /// are undone and its outcome tells; the policy that has no place for its key is told at once.
    #[inline(never)]
    fn charge_from<'g>(
        &'g self,
        first: usize,
        lines: &mut [Option<Line<'g>>],
        mode: Mode,
        repeats: bool,
    ) -> Result<bool, PolicyId> {
        for place in first..lines.len() {
            let (charged, rest) = lines.split_at_mut(place);
            let Some(Some(line)) = rest.first_mut() else {
                continue;
            };
            // Schedules: layers with LookIsEnough.
            let mode = if broken(Breakage::LookIsEnough) { Mode::Force } else { mode };
            let full = match line.offer {
                Some(offer) if mode == Mode::Check && offer.take() => Ok(()),
                _ => {
                    line.offer = None;
                    self.charge_line(line, mode)
                }
            };
            if full.is_ok() && line.outcome.admitted {
                if repeats {
                    line.correct(charged);
                }
                continue;
            }
            self.undo_all(charged, repeats);
            return match full {
                Ok(()) => Ok(false),
                Err(_) => {
                    self.count(line, full);
                    Err(line.meter.id())
                }
            };
        }
        Ok(true)
    }

    /// Gives back what these lines were charged, and tells each what is left without it.
    fn undo_all(&self, lines: &mut [Option<Line<'_>>], repeats: bool) {
        for place in (0..lines.len()).rev() {
            let (before, rest) = lines.split_at_mut(place);
            let Some(line) = &mut rest[0] else {
                continue;
            };
            self.undo(line);
            if repeats {
                line.correct(before);
            }
        }
        // What the first line of a counter was left with, all of them are.
        for place in (0..lines.len()).filter(|_| repeats) {
            let (line, after) = lines[place..].split_at_mut(1);
            if let Some(line) = &line[0] {
                line.correct(after);
            }
        }
    }

    fn undo(&self, line: &mut Line<'_>) {
        line.offer = None;
        if broken(Breakage::NoUndo) || line.table_full {
            return;
        }
        // By receipt: it may have expired. Schedules: late undo with UndoOldest.
        let from = if broken(Breakage::UndoOldest) { None } else { Some(line.receipt()) };
        let given = line.meter.give_back(line.key, self.now, from, line.cost, &self.guard);
        line.outcome.used = line.outcome.used.saturating_sub(given.units);
    }

    /// The decision that the lines' outcomes add up to.
    pub(crate) fn report<'a, 'g: 'a>(
        &self,
        lines: impl Iterator<Item = &'a Line<'g>> + Clone,
    ) -> Decision {
        match lines.clone().find(|line| !line.outcome.admitted) {
            Some(first) => self.denial(first, lines),
            None => {
                let table_full = lines.clone().any(|line| line.table_full);
                Decision { table_full, ..self.least(lines) }
            }
        }
    }

    /// The decision where all have room: that of the line with the least remaining.
    #[inline(always)]
    fn least<'a, 'g: 'a>(&self, lines: impl Iterator<Item = &'a Line<'g>>) -> Decision {
        let least = lines.min_by_key(|line| line.remaining());
        least.map_or(Decision::default(), |line| line.decision(Verdict::Allowed, None, self.now))
    }

    /// The decision where `first` is the first of the lines that has no room.
    #[inline(never)]
    fn denial<'a, 'g: 'a>(
        &self,
        first: &Line<'g>,
        lines: impl Iterator<Item = &'a Line<'g>> + Clone,
    ) -> Decision {
        let mut lacking = lines.filter(|line| !line.outcome.admitted);
        if lacking.clone().any(|line| line.outcome.fits_at == NEVER) {
            return first.decision(Verdict::Impossible, None, self.now);
        }
        let longest = lacking.try_fold(0, |longest, line| {
            Some(line.meter.wait_ns(line.outcome.fits_at, self.now)?.max(longest))
        });
        first.decision(Verdict::Denied, longest, self.now)
    }
}

/// All of them: nothing but `None` follows the first `None`.
#[inline(always)]
fn all<'a, 'g>(lines: &'a [Option<Line<'g>>]) -> impl Iterator<Item = &'a Line<'g>> + Clone {
    lines.iter().map_while(Option::as_ref)
}

#[inline(always)]
fn all_mut<'a, 'g>(lines: &'a mut [Option<Line<'g>>]) -> impl Iterator<Item = &'a mut Line<'g>> {
    lines.iter_mut().map_while(Option::as_mut)
}

/// Charges by the offers of all lines, which are of different counters. The place of the first that
/// has no offer, or one that stands no more: those before it are charged.
#[inline(always)]
fn take_all(lines: &[Option<Line<'_>>]) -> Option<usize> {
    let takes = |line: &Option<Line<'_>>| {
        line.as_ref().and_then(|line| line.offer).is_some_and(Offer::take)
    };
    lines.iter().position(|line| !takes(line))
}

/// Whether two of the lines are of the same counter.
#[inline(never)]
fn repeats(lines: &[Option<Line<'_>>]) -> bool {
    (1..lines.len()).any(|place| {
        let (before, rest) = lines.split_at(place);
        let is_before = |line: &Line<'_>| all(before).any(|other| line.is_same_counter(other));
        rest[0].as_ref().is_some_and(is_before)
    })
}

impl Line<'_> {
    #[inline(always)]
    fn is_same_counter(&self, other: &Line<'_>) -> bool {
        self.key == other.key && ptr::eq(self.meter, other.meter)
    }

    /// What those of the lines before cost that are of the same counter.
    fn cost_before(&self, before: &[Option<Line<'_>>]) -> u64 {
        let same = all(before).filter(|other| self.is_same_counter(other));
        same.fold(0, |sum, other| sum.saturating_add(other.cost))
    }

    /// Tells the lines before of the same counter what is left after this one: what is left to a
    /// key is what is left after the whole request.
    pub(crate) fn correct(&self, before: &mut [Option<Line<'_>>]) {
        let same = all_mut(before).filter(|other| self.is_same_counter(other));
        same.for_each(|other| {
            other.outcome.used = self.outcome.used;
            other.outcome.clear_at = self.outcome.clear_at;
        });
    }
}
