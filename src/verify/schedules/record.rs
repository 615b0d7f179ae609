//! From what a call was told to what must have happened to each of its keys.

use super::entries::{self, Entry};
use super::history::Done;
use super::plan::Line;
use super::scene::{Scene, fault};
use super::step::{Back, Charge, From, Step, Told};
use crate::{Decision, PolicyStatus, Verdict};
use std::time::Duration;

/// What a request was told of one layer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answer {
    /// Whether it had no room, if that was told.
    pub(super) violated: Option<bool>,
    pub(super) told: Option<Told>,
    /// The wait is the longest over several layers.
    pub(super) shared: bool,
    /// There was no place for the key: allowed, and not counted.
    pub(super) uncounted: bool,
    /// Charged whatever the usage is.
    pub(super) forced: bool,
}

fn after(now: u64, wait: Duration) -> u64 {
    now + wait.as_nanos() as u64
}

impl Scene {
    /// The numbers of a decision, which concern `line`.
    pub(super) fn told(&self, done: Done, line: Line, decision: &Decision) -> Told {
        let now = done.span.now;
        let told = Told {
            limit: decision.limit,
            remaining: decision.remaining,
            fits_at: decision.retry_after().map(|wait| after(now, wait)),
            clear_at: after(now, decision.reset_after()),
        };
        told.in_units(self.unit(line.policy))
    }

    fn told_by_layer(&self, done: Done, line: Line, layer: &PolicyStatus) -> Told {
        let now = done.span.now;
        let told = Told {
            limit: layer.limit,
            remaining: layer.remaining,
            fits_at: layer.retry_after().map(|wait| after(now, wait)),
            clear_at: after(now, layer.reset_after()),
        };
        told.in_units(self.unit(line.policy))
    }

    pub(super) fn record(&self, done: Done, line: Line, steps: impl IntoIterator<Item = Step>) {
        self.history.record(self.counter(line.policy, line.key), done, steps);
    }

    /// A charge of `line` for a reservation, if any. Whatever the usage, if `forced`.
    pub(super) fn charge_of(
        &self,
        done: Done,
        line: Line,
        told: Option<Told>,
        hold: Option<usize>,
        forced: bool,
    ) -> Charge {
        let span = done.span.in_units(self.unit(line.policy));
        let greatest = self.layout.greatest_limit(line.policy);
        let limit = (!forced).then(|| told.map_or(greatest, |told| told.limit));
        Charge { number: self.history.number(), span, cost: line.cost, limit, told, hold }
    }

    /// The answer to a look at one key.
    pub(super) fn peeked(&self, done: Done, line: Line, decision: &Decision) {
        let told = self.told(done, line, decision);
        let span = done.span.in_units(self.unit(line.policy));
        let step = match decision.verdict {
            Verdict::Allowed => Step::Room { span, cost: line.cost, told },
            Verdict::Denied | Verdict::Impossible => {
                Step::Denied { span, cost: line.cost, told, shared: false }
            }
            Verdict::TableFull | Verdict::Invalid => fault("a look needs no place", decision),
        };
        self.record(done, line, [step]);
    }

    /// The answer to a request of one charge.
    pub(super) fn steps_of_one(&self, done: Done, line: Line, decision: &Decision) -> Vec<Step> {
        let told = Some(self.told(done, line, decision));
        match decision.verdict {
            Verdict::Allowed => {
                let uncounted = decision.table_full;
                let answer = Answer { told, uncounted, ..Answer::default() };
                self.steps_of_allowed(done, line, &answer, None)
            }
            Verdict::Denied | Verdict::Impossible => {
                let answer = Answer { violated: Some(true), told, ..Answer::default() };
                self.steps_of_denied(done, line, &answer)
            }
            Verdict::TableFull => vec![self.full(done, line)],
            Verdict::Invalid => fault("an invalid request", decision),
        }
    }

    /// The answer to a request that tells of all its layers.
    pub(super) fn answered(
        &self,
        done: Done,
        lines: &[Line],
        decision: &Decision,
        layers: &[PolicyStatus],
        hold: Option<usize>,
    ) {
        let answers: Vec<_> = lines
            .iter()
            .zip(layers)
            .map(|(line, layer)| Answer {
                violated: Some(layer.violated),
                told: Some(self.told_by_layer(done, *line, layer)),
                uncounted: layer.table_full,
                ..Answer::default()
            })
            .collect();
        self.decided(done, lines, decision, &answers, hold);
    }

    /// The answer to a request that tells of one of its layers: when it is refused the first that
    /// had no room, and the longest wait over all.
    pub(super) fn answered_in_short(
        &self,
        done: Done,
        lines: &[Line],
        decision: &Decision,
        hold: Option<usize>,
    ) {
        let of = self.place_of(lines, decision);
        let answer = |place: usize| {
            let told = (place == of).then(|| self.told(done, lines[place], decision));
            let violated = (place <= of).then_some(place == of);
            // Of several lines it does not show which.
            let uncounted = decision.table_full && lines.len() == 1;
            Answer { violated, told, shared: of + 1 < lines.len(), uncounted, forced: false }
        };
        let answers: Vec<_> = (0..lines.len()).map(answer).collect();
        self.decided(done, lines, decision, &answers, hold);
    }

    /// The answer to an extension, which is in short, and which of its lines were not counted.
    pub(super) fn extended(
        &self,
        done: Done,
        lines: &[Line],
        decision: &Decision,
        uncounted: &[bool],
        hold: usize,
    ) {
        if decision.is_allowed() && decision.table_full {
            let of = self.place_of(lines, decision);
            for (place, (line, uncounted)) in lines.iter().zip(uncounted).enumerate() {
                let told = (place == of).then(|| self.told(done, *line, decision));
                let answer = Answer { told, uncounted: *uncounted, ..Answer::default() };
                let steps = self.steps_of_allowed(done, *line, &answer, Some(hold));
                self.record(done, *line, steps);
            }
            return;
        }
        self.answered_in_short(done, lines, decision, Some(hold));
    }

    /// Which line a decision tells of.
    pub(super) fn place_of(&self, lines: &[Line], decision: &Decision) -> usize {
        let place = lines.iter().position(|line| self.ids[line.policy] == decision.policy);
        place.unwrap_or_else(|| fault("a decision about another policy", decision))
    }

    pub(super) fn decided(
        &self,
        done: Done,
        lines: &[Line],
        decision: &Decision,
        answers: &[Answer],
        hold: Option<usize>,
    ) {
        match decision.verdict {
            Verdict::Allowed => {
                for (line, answer) in lines.iter().zip(answers) {
                    let steps = self.steps_of_allowed(done, *line, answer, hold);
                    self.record(done, *line, steps);
                }
            }
            Verdict::Denied | Verdict::Impossible => self.refused(done, lines, answers),
            Verdict::TableFull => {
                self.found_no_place(done, lines, self.place_of(lines, decision), false);
            }
            Verdict::Invalid => fault("an invalid request", decision),
        }
    }

    pub(super) fn steps_of_allowed(
        &self,
        done: Done,
        line: Line,
        answer: &Answer,
        hold: Option<usize>,
    ) -> Vec<Step> {
        let span = done.span.in_units(self.unit(line.policy));
        let Answer { told, uncounted, forced, .. } = *answer;
        let (cost, seen) = (line.cost, told.map(|told| Step::Seen { span, told }));
        let room = told.map(|told| Step::Room { span, cost, told });
        match () {
            () if uncounted => {
                let found = if forced { seen } else { room };
                [self.uncounted(done, line)].into_iter().chain(found).collect()
            }
            () if cost > 0 => vec![Step::Charge(self.charge_of(done, line, told, hold, forced))],
            () => room.into_iter().collect(),
        }
    }

    fn steps_of_denied(&self, done: Done, line: Line, answer: &Answer) -> Vec<Step> {
        let span = done.span.in_units(self.unit(line.policy));
        let Answer { told, shared, .. } = *answer;
        told.map(|told| Step::Denied { span, cost: line.cost, told, shared }).into_iter().collect()
    }

    /// A request that was refused has charged nobody. The first layer without room may have lost a
    /// race for it: then the layers before it were charged for an instant, and those after it were
    /// looked at once more, which may have found no room there either.
    fn refused(&self, done: Done, lines: &[Line], answers: &[Answer]) {
        let violated = |answer: &Answer| answer.violated == Some(true);
        let first = answers.iter().position(violated);
        let first = first.unwrap_or_else(|| fault("a denial without a cause", (lines, answers)));
        for (place, (line, answer)) in lines.iter().zip(answers).enumerate() {
            let span = done.span.in_units(self.unit(line.policy));
            let Answer { violated, told, uncounted, .. } = *answer;
            match (violated, told) {
                (Some(true), _) => {
                    let steps = self.steps_of_denied(done, *line, answer);
                    self.record(done, *line, steps);
                }
                (Some(false), Some(told)) if uncounted => {
                    let room = Step::Room { span, cost: line.cost, told };
                    self.record(done, *line, [self.uncounted(done, *line), room]);
                }
                (Some(false), told) if place < first && line.cost > 0 => {
                    self.lent(done, *line, told, false);
                }
                (Some(false), Some(told)) => {
                    self.record(done, *line, [Step::Room { span, cost: line.cost, told }]);
                }
                _ => {}
            }
        }
    }

    /// A request whose key had no place under one policy has charged nobody: the lines before it
    /// were charged for an instant at the most.
    pub(super) fn found_no_place(&self, done: Done, lines: &[Line], full: usize, forced: bool) {
        for line in &lines[..full] {
            if line.cost > 0 {
                self.lent(done, *line, None, forced);
            }
        }
        let step = self.full(done, lines[full]);
        self.record(done, lines[full], [step]);
    }

    fn lent(&self, done: Done, line: Line, told: Option<Told>, forced: bool) {
        let mut charge = self.charge_of(done, line, told, None, forced);
        charge.hold = Some(charge.number);
        let Charge { number: hold, span, .. } = charge;
        let back = Back { hold, from: From::Hold, amount: line.cost, span, known: done.known };
        let takes = (1..line.cost).map(|_| Step::Take(back));
        self.record(
            done,
            line,
            [Step::Lend(charge)].into_iter().chain(takes).chain([Step::End(back)]),
        );
    }

    /// A key that found no place, refused.
    pub(super) fn full(&self, done: Done, line: Line) -> Step {
        entries::count(Entry::Refused);
        if self.layout.passes_uncounted() {
            fault("refused although the policy lets new keys pass", line);
        }
        self.no_place(done, line)
    }

    /// A key that found no place, let through.
    pub(super) fn uncounted(&self, done: Done, line: Line) -> Step {
        entries::count(Entry::Uncounted);
        if !self.layout.passes_uncounted() {
            fault("let through uncounted although the policy refuses new keys", line);
        }
        self.no_place(done, line)
    }

    /// There may be no place only if so many other keys have been charged.
    fn no_place(&self, done: Done, line: Line) -> Step {
        let keys = self.layout.keys;
        let others = self.history.others(self.counter(line.policy, line.key), keys, done);
        if others < self.max_keys {
            fault("no place for a key", (line, others, self.max_keys));
        }
        Step::Full { span: done.span.in_units(self.unit(line.policy)) }
    }
}
