//! A request over several policies. Most are decided by their [offers](super::offers); the others, that
//! are only looked at, charged whatever there is, ask twice for one counter, or lost a race, go the long
//! way: look at all of them, charge in order, undo if a race is lost.

use crate::breakage::{Breakage, broken};
use crate::charge::{Charge, MAX_CHARGES, PolicyId};
use crate::decision::{Decision, Layer};
use crate::meters::Meters;
use crate::offers::{all, ask_all, repeats, take_all};
use crate::path::{self, Path};
use crate::request::{Asked, Context, Line, Mode, invalid, refused};
use crate::table::Told;
use std::borrow::Borrow;

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
        [charge] => match Asked::by(meters, charge) {
            Some(asked) => context().borrow().decide_one(asked, mode, layers),
            None => invalid(charge.policy),
        },
        [..] if charges.len() <= FEW => {
            decide_up_to::<FEW, C>(meters, charges, mode, layers, context)
        }
        [..] => decide_up_to::<MAX_CHARGES, C>(meters, charges, mode, layers, context),
    }
}

// By itself, so that few charges do not take the stack of many.
#[inline(never)]
fn decide_up_to<'l, const MOST: usize, C: Borrow<Context<'l>>>(
    meters: &'l Meters,
    charges: &[Charge<'_>],
    mode: Mode,
    layers: &mut [Layer],
    context: impl FnOnce() -> C,
) -> Decision {
    let mut asked = [None; MOST];
    let asked = match ask_all(meters, charges, &mut asked) {
        Ok(asked) => asked,
        Err(policy) => return invalid(policy),
    };
    let context = context();
    let context = context.borrow();
    if mode != Mode::Check || repeats(all(asked)) {
        return context.decide_asked::<MOST>(asked, mode, layers);
    }
    let mut told = [None; MOST];
    if !context.offer_all(asked, &mut told) {
        path::count(Path::SeveralDenied);
        return context.tell_denied(asked, &mut told, layers);
    }
    match take_all(&told[..asked.len()]) {
        None => {
            path::count(Path::Several);
            context.tell_taken(asked, &told, layers)
        }
        Some(lost) => {
            path::count(Path::SeveralFallback);
            context.charge_rest::<MOST>(lost, asked, &told, layers)
        }
    }
}

impl Context<'_> {
    /// As [`decide_lines`](Self::decide_lines), of what was not looked at yet.
    #[inline(never)]
    fn decide_asked<'g, const MOST: usize>(
        &'g self,
        asked: &[Option<Asked<'g>>],
        mode: Mode,
        layers: &mut [Layer],
    ) -> Decision {
        let mut lines = [None; MOST];
        for (line, asked) in lines.iter_mut().zip(all(asked)) {
            *line = Some(Line::new(*asked));
        }
        self.decide_lines(&mut lines, mode, layers)
    }

    /// Where those before `lost` have taken their offers, and it could not.
    #[inline(never)]
    fn charge_rest<'g, const MOST: usize>(
        &'g self,
        lost: usize,
        asked: &[Option<Asked<'g>>],
        told: &[Option<Told<'g>>],
        layers: &mut [Layer],
    ) -> Decision {
        let mut lines = [None; MOST];
        for (line, (asked, told)) in lines.iter_mut().zip(all(asked).zip(all(told))) {
            *line = Some(Line::told(*asked, told));
        }
        let charged = self.charge_from(lost, &mut lines, Mode::Check, false);
        self.tell_charged(&mut lines, charged, layers)
    }

    /// Charges all lines or none, and tells how each stands.
    pub(crate) fn decide_lines<'g>(
        &'g self,
        lines: &mut [Option<Line<'g>>],
        mode: Mode,
        layers: &mut [Layer],
    ) -> Decision {
        all(lines).for_each(|Line { asked, .. }| asked.meter.prefetch(asked.key, &self.guard));
        let repeats = repeats(all(lines).map(|line| &line.asked));
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
                0 if mode == Mode::Check => {
                    *line = Line::told(line.asked, &self.offer_or_look(&line.asked));
                }
                earlier => {
                    line.outcome = self.look(&line.asked, line.asked.cost.saturating_add(earlier))
                }
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
                line.outcome = self.look(&line.asked, line.asked.cost);
            }
            if !line.outcome.admitted {
                self.count(line, Ok(()));
            }
        }
        self.tell_all(lines, layers)
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
        for (layer, line) in layers.iter_mut().zip(all(lines)) {
            *layer = line.layer(self.now);
        }
        self.report_lines(all(lines))
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
                Some(offer)
                    if mode == Mode::Check
                        && (offer.take() || broken(Breakage::LostLineAdmitted)) =>
                {
                    Ok(())
                }
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
                    Err(line.asked.meter.id())
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
        let uncounted = line.table_full && !broken(Breakage::UndoUncounted);
        if broken(Breakage::NoUndo) || uncounted {
            return;
        }
        // By receipt: it may have expired. Schedules: late undo with UndoOldest.
        let from = if broken(Breakage::UndoOldest) { None } else { Some(line.receipt()) };
        let Asked { meter, key, cost, .. } = line.asked;
        let given = meter.give_back(key, self.now, from, cost, &self.guard);
        line.outcome.used = line.outcome.used.saturating_sub(given.units);
    }

    /// The decision that the lines add up to.
    pub(crate) fn report_lines<'a, 'g: 'a>(
        &self,
        lines: impl Iterator<Item = &'a Line<'g>> + Clone,
    ) -> Decision {
        let table_full = lines.clone().any(|line| line.table_full);
        let decision = self.report(lines.map(|line| (&line.asked, &line.outcome)));
        Decision { table_full: table_full && decision.is_allowed(), ..decision }
    }
}

#[inline(always)]
fn all_mut<'a, 'g>(lines: &'a mut [Option<Line<'g>>]) -> impl Iterator<Item = &'a mut Line<'g>> {
    lines.iter_mut().map_while(Option::as_mut)
}

impl Line<'_> {
    /// What those of the lines before cost that are of the same counter.
    fn cost_before(&self, before: &[Option<Line<'_>>]) -> u64 {
        let same = all(before).filter(|other| self.asked.is_same_counter(&other.asked));
        same.fold(0, |sum, other| sum.saturating_add(other.asked.cost))
    }

    /// Tells the lines before of the same counter what is left after this one: what is left to a
    /// key is what is left after the whole request.
    pub(crate) fn correct(&self, before: &mut [Option<Line<'_>>]) {
        let same = all_mut(before).filter(|other| self.asked.is_same_counter(&other.asked));
        same.for_each(|other| {
            other.outcome.used = self.outcome.used;
            other.outcome.clear_at = self.outcome.clear_at;
        });
    }
}
