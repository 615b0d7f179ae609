//! The life of a reservation in the hands of a thread.

use super::history::Done;
use super::layout::{MOST_LAYERS, Verb};
use super::plan::{Call, Line, Memory, Open};
use super::record::Answer;
use super::scene::{Scene, fault};
use super::step::{From, Step, Told};
use crate::{Decision, PolicyStatus, ReservationError, Session, Verdict};

impl Scene {
    pub(super) fn reserve(&self, session: &Session<'_>, call: &Call, memory: &mut Memory) {
        let lines = self.lines(call, call.coin);
        let mut layers = [PolicyStatus::default(); MOST_LAYERS];
        let begun = self.begin_charge(session, &lines);
        let reserved = session.reserve_with_status(&self.charges(&lines), &mut layers);
        let done = self.history.finish(begun);
        match reserved {
            Ok(reservation) => {
                let number = self.history.number();
                self.answered(done, &lines, &reservation.decision(), &layers, Some(number));
                let lines = lines.iter().zip(&layers).map(|(line, layer)| Line {
                    cost: if layer.table_full { 0 } else { line.cost },
                    ..*line
                });
                let open = Open { number, reservation, lines: lines.collect() };
                self.tells_what_is_charged(&open);
                memory.open.push(open);
            }
            Err(decision) => self.answered(done, &lines, &decision, &layers, None),
        }
    }

    pub(super) fn extend(&self, session: &Session<'_>, call: &Call, memory: &mut Memory) {
        let place = call.choice as usize % memory.open.len();
        let open = &mut memory.open[place];
        let asked = |line: &Line| Line { cost: call.more[line.policy], ..*line };
        let lines: Vec<_> = open.lines.iter().map(asked).collect();
        let begun = self.begin_charge(session, &lines);
        let decision = session.extend(&mut open.reservation, &costs(&lines));
        let done = self.history.finish(begun);
        let decision = decision.unwrap_or_else(|error| fault("an open reservation", error));
        // The reservation shows which lines were not counted.
        let charged = |place: usize| open.reservation.charged(place).unwrap_or_default();
        let uncounted: Vec<_> = (0..lines.len())
            .map(|place| {
                let none = charged(place) == open.lines[place].cost;
                decision.table_full && none && lines[place].cost > 0
            })
            .collect();
        self.extended(done, &lines, &decision, &uncounted, open.number);
        if decision.is_allowed() {
            for ((line, more), uncounted) in open.lines.iter_mut().zip(&lines).zip(uncounted) {
                line.cost += if uncounted { 0 } else { more.cost };
            }
        }
        self.tells_what_is_charged(open);
    }

    /// Settles for what was used, or for nothing.
    pub(super) fn close(&self, session: &Session<'_>, call: &Call, memory: &mut Memory) {
        let place = call.choice as usize % memory.open.len();
        let mut open = memory.open.swap_remove(place);
        let cancel = call.verb == Verb::Cancel;
        // Up to two more than was charged.
        let used = |line: &Line| if cancel { 0 } else { call.used[line.policy] % (line.cost + 3) };
        let used: Vec<_> = open.lines.iter().map(used).collect();
        let begun = self.begin_charge(session, &open.lines);
        let decision = match cancel {
            true => session.cancel(&mut open.reservation),
            false => session.settle(&mut open.reservation, &used),
        };
        let done = self.history.finish(begun);
        let decision = decision.unwrap_or_else(|error| fault("an open reservation", error));
        self.closed(done, &open, &used, &decision);
        for (place, (line, used)) in open.lines.iter_mut().zip(used).enumerate() {
            // What found no place stays as it was, if the policy refuses new keys.
            let full = decision.verdict == Verdict::TableFull;
            let kept = full && open.reservation.charged(place) == Some(line.cost);
            line.cost = if kept { line.cost } else { used };
        }
        self.tells_what_is_charged(&open);
        if call.coin {
            self.close_again(session, call, open);
        }
    }

    /// Records what each layer must have seen: less goes back, more is charged, and one tells.
    fn closed(&self, done: Done, open: &Open, used: &[u64], decision: &Decision) {
        let of = self.place_of(&open.lines, decision);
        let full = decision.verdict == Verdict::TableFull;
        let expected = decision.is_allowed() || full && self.layout.is_crowded();
        if !expected {
            self.complain("a settlement was refused", decision);
        }
        for (place, (line, used)) in open.lines.iter().zip(used).enumerate() {
            let told = (place == of && !full).then(|| self.told(done, *line, decision));
            let span = done.span.in_units(self.unit(line.policy));
            let seen = told.map(|told| Step::Seen { span, told });
            if *used > line.cost {
                let excess = Line { cost: used - line.cost, ..*line };
                let refused = full && open.reservation.charged(place) == Some(line.cost);
                self.charged_more(done, excess, told, decision, refused, open.lines.len());
            } else if *used < line.cost {
                self.gave(done, *line, open.number, From::Hold, line.cost - used, seen);
            } else {
                self.record(done, *line, seen);
            }
        }
    }

    /// Records what a settlement has charged beyond what was reserved.
    fn charged_more(
        &self,
        done: Done,
        excess: Line,
        told: Option<Told>,
        decision: &Decision,
        refused: bool,
        lines: usize,
    ) {
        let uncounted = decision.is_allowed() && decision.table_full;
        if refused {
            let full = self.full(done, excess);
            return self.record(done, excess, [full]);
        }
        if uncounted && lines > 1 {
            // This one or another was not counted.
            let charge = self.charge_of(done, excess, None, None, true);
            return self.record(done, excess, [Step::Lend(charge)]);
        }
        let answer = Answer { told, uncounted, forced: true, ..Answer::default() };
        let steps = self.steps_of_allowed(done, excess, &answer, None);
        self.record(done, excess, steps);
    }

    /// What is closed stays so, and nothing comes back once more.
    fn close_again(&self, session: &Session<'_>, call: &Call, mut open: Open) {
        let amounts = vec![call.more[0]; open.lines.len()];
        let again = match call.choice {
            0 => session.extend(&mut open.reservation, &amounts),
            1 => session.settle(&mut open.reservation, &amounts),
            _ => session.cancel(&mut open.reservation),
        };
        if again != Err(ReservationError::Closed) || open.reservation.is_open() {
            self.complain("a reservation was closed twice", again);
        }
        self.tells_what_is_charged(&open);
    }

    fn tells_what_is_charged(&self, open: &Open) {
        for (place, line) in open.lines.iter().enumerate() {
            if open.reservation.charged(place) != Some(line.cost) {
                self.complain("a reservation tells another charge", open);
            }
        }
    }
}

fn costs(lines: &[Line]) -> Vec<u64> {
    lines.iter().map(|line| line.cost).collect()
}
