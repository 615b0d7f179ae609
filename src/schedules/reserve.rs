//! The life of a reservation in the hands of a thread.

use super::history::Done;
use super::layout::{MOST_LAYERS, Verb};
use super::plan::{Call, Line, Memory, Open};
use super::scene::{Scene, fault};
use super::step::{From, Step};
use crate::{Decision, Layer, ReservationError, Session, Verdict};

impl Scene {
    pub(super) fn reserve(&self, session: &Session<'_>, call: &Call, memory: &mut Memory) {
        let lines = self.lines(call, call.coin);
        let mut layers = [Layer::default(); MOST_LAYERS];
        let begun = self.begin(session);
        let reserved = session.reserve_layers(&self.charges(&lines), &mut layers);
        let done = self.history.finish(begun);
        match reserved {
            Ok(reservation) => {
                let number = self.history.number();
                self.answered(done, &lines, &reservation.decision(), &layers, Some(number));
                let open = Open { number, reservation, lines };
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
        let begun = self.begin(session);
        let decision = session.extend(&mut open.reservation, &costs(&lines));
        let done = self.history.finish(begun);
        let decision = decision.unwrap_or_else(|error| fault("an open reservation", error));
        self.answered_in_short(done, &lines, &decision, Some(open.number));
        if decision.is_allowed() {
            for (line, more) in open.lines.iter_mut().zip(&lines) {
                line.cost += more.cost;
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
        let begun = self.begin(session);
        let decision = match cancel {
            true => session.cancel(&mut open.reservation),
            false => session.settle(&mut open.reservation, &used),
        };
        let done = self.history.finish(begun);
        match decision {
            Ok(decision) => self.closed(done, &open, &used, &decision),
            Err(error) => fault("an open reservation", error),
        }
        for (line, used) in open.lines.iter_mut().zip(used) {
            line.cost = used;
        }
        self.tells_what_is_charged(&open);
        if call.coin {
            self.close_again(session, call, open);
        }
    }

    /// Records what each layer must have seen: less goes back, more is charged, and one tells.
    fn closed(&self, done: Done, open: &Open, used: &[u64], decision: &Decision) {
        if decision.verdict != Verdict::Allowed {
            self.complain("a settlement was refused", decision);
        }
        let of = self.place_of(&open.lines, decision);
        for (place, (line, used)) in open.lines.iter().zip(used).enumerate() {
            let told = (place == of).then(|| self.told(done, *line, decision));
            let span = done.span.in_units(self.unit(line.policy));
            let seen = told.map(|told| Step::Seen { span, told });
            if *used > line.cost {
                let excess = Line { cost: used - line.cost, ..*line };
                let charge = self.charge_of(done, excess, told, None, true);
                self.record(done, *line, [Step::Charge(charge)]);
            } else if *used < line.cost {
                self.gave(done, *line, open.number, From::Hold, line.cost - used, seen);
            } else {
                self.record(done, *line, seen);
            }
        }
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
