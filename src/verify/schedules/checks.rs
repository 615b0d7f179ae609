//! Requests that are charged at once, through each of the entry points that users call.

use super::entries::{self, Entry};
use super::history::Done;
use super::layout::MOST_LAYERS;
use super::plan::{Call, Line, MOST_MANY, Memory};
use super::record::Answer;
use super::scene::{Scene, fault};
use crate::{Decision, Now, PolicyStatus, Session, Verdict};

impl Scene {
    /// A request of one charge.
    pub(super) fn check(&self, session: &Session<'_>, call: &Call, memory: &mut Memory) {
        let lines = self.lines(call, false);
        let charges = self.charges(&lines);
        let begun = self.begin_charge(session, &lines);
        let mut layers = [PolicyStatus::default(); MOST_LAYERS];
        let (entry, decision) = match call.entry {
            0 => (Entry::Check, session.check(&charges)),
            1 => {
                let now = Now::from_unix_nanos(session.now().unix_ns);
                (Entry::CheckAt, self.limiter.check_at(now, &charges))
            }
            2 => {
                let mut decisions = [Decision::default(); 2];
                session.check_many(&charges, &mut decisions);
                (Entry::CheckManyOfOne, decisions[0])
            }
            _ => (Entry::CheckLayersOfOne, session.check_with_status(&charges, &mut layers)),
        };
        let done = self.history.finish(begun);
        entries::count(entry);
        if entry == Entry::CheckLayersOfOne {
            self.answered(done, &lines, &decision, &layers, None);
        } else {
            self.answered_in_short(done, &lines, &decision, None);
        }
        self.note_paid(&lines, &decision, decision.table_full, memory);
    }

    /// A request of one charge for each policy.
    pub(super) fn check_with_status(
        &self,
        session: &Session<'_>,
        call: &Call,
        memory: &mut Memory,
    ) {
        let lines = self.lines(call, true);
        let charges = self.charges(&lines);
        let begun = self.begin_charge(session, &lines);
        // Where some may be uncounted, only the layers show which.
        if call.entry == 0 && !self.layout.passes_uncounted() {
            let decision = session.check(&charges);
            let done = self.history.finish(begun);
            entries::count(Entry::CheckOfSeveral);
            self.answered_in_short(done, &lines, &decision, None);
            return self.note_paid(&lines, &decision, false, memory);
        }
        let mut layers = [PolicyStatus::default(); MOST_LAYERS];
        let decision = session.check_with_status(&charges, &mut layers);
        let done = self.history.finish(begun);
        entries::count(Entry::CheckLayers);
        self.answered(done, &lines, &decision, &layers, None);
        for (line, layer) in lines.iter().zip(&layers) {
            self.note_paid(&[*line], &decision, layer.table_full, memory);
        }
    }

    /// Several requests of one charge each: decided in order, each for itself.
    pub(super) fn check_many(&self, session: &Session<'_>, call: &Call, memory: &mut Memory) {
        let lines = &call.many[..call.count];
        let mut decisions = [Decision::default(); MOST_MANY];
        let begun = self.begin_charge(session, lines);
        let allowed = session.check_many(&self.charges(lines), &mut decisions);
        let done = self.history.finish(begun);
        entries::count(Entry::CheckMany);
        let decisions = &decisions[..lines.len()];
        if allowed != decisions.iter().filter(|decision| decision.is_allowed()).count() {
            self.complain("another number of requests was allowed", decisions);
        }
        let counter = |line: &Line| self.counter(line.policy, line.key);
        for (place, line) in lines.iter().enumerate() {
            self.note_paid(&[*line], &decisions[place], decisions[place].table_full, memory);
            if lines[..place].iter().any(|before| counter(before) == counter(line)) {
                continue;
            }
            // Those of one key in their order.
            let same =
                lines.iter().zip(decisions).filter(|(other, _)| counter(other) == counter(line));
            let steps: Vec<_> = same
                .flat_map(|(line, decision)| self.steps_of_one(done, *line, decision))
                .collect();
            self.record(done, *line, steps);
        }
    }

    /// A charge whatever the usage is, of one policy or of all.
    pub(super) fn force(&self, session: &Session<'_>, call: &Call, memory: &mut Memory) {
        let all = call.coin && !self.layout.passes_uncounted();
        let lines = self.lines(call, all);
        let begun = self.begin_charge(session, &lines);
        let decision = session.force_charge(&self.charges(&lines));
        let done = self.history.finish(begun);
        entries::count(Entry::Charge);
        self.forced(done, &lines, &decision);
        self.note_paid(&lines, &decision, decision.table_full, memory);
    }

    fn forced(&self, done: Done, lines: &[Line], decision: &Decision) {
        let of = self.place_of(lines, decision);
        match decision.verdict {
            Verdict::Allowed => {}
            Verdict::TableFull => return self.found_no_place(done, lines, of, true),
            _ => fault("a forced charge was denied", decision),
        }
        for (place, line) in lines.iter().enumerate() {
            let told = (place == of).then(|| self.told(done, *line, decision));
            let uncounted = decision.table_full;
            let answer = Answer { told, uncounted, forced: true, ..Answer::default() };
            let steps = self.steps_of_allowed(done, *line, &answer, None);
            self.record(done, *line, steps);
        }
    }

    /// Notes what may be refunded later.
    fn note_paid(&self, lines: &[Line], decision: &Decision, uncounted: bool, memory: &mut Memory) {
        if decision.is_allowed() && !uncounted {
            memory.paid.extend(lines.iter().map(|line| (line.policy, line.key, line.cost)));
        }
    }
}
