//! From what a call was told to what must have happened to each of its keys.

use super::history::Done;
use super::plan::Line;
use super::scene::{Scene, fault};
use super::step::{Back, Charge, From, Step, Told};
use crate::{Decision, Layer, Verdict};
use std::time::Duration;

/// What a request was told of one layer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answer {
    /// Whether it had no room, if that was told.
    violated: Option<bool>,
    told: Option<Told>,
    /// The wait is the longest over several layers.
    shared: bool,
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

    fn told_by_layer(&self, done: Done, line: Line, layer: &Layer) -> Told {
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
            Verdict::TableFull | Verdict::Invalid => fault("no place for a key", decision),
        };
        self.record(done, line, [step]);
    }

    /// The answer to a request that tells of all its layers.
    pub(super) fn answered(
        &self,
        done: Done,
        lines: &[Line],
        decision: &Decision,
        layers: &[Layer],
        hold: Option<usize>,
    ) {
        let answers: Vec<_> = lines
            .iter()
            .zip(layers)
            .map(|(line, layer)| Answer {
                violated: Some(layer.violated),
                told: Some(self.told_by_layer(done, *line, layer)),
                shared: false,
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
            Answer { violated, told, shared: of + 1 < lines.len() }
        };
        let answers: Vec<_> = (0..lines.len()).map(answer).collect();
        self.decided(done, lines, decision, &answers, hold);
    }

    /// Which line a decision tells of.
    pub(super) fn place_of(&self, lines: &[Line], decision: &Decision) -> usize {
        let place = lines.iter().position(|line| self.ids[line.policy] == decision.policy);
        place.unwrap_or_else(|| fault("a decision about another policy", decision))
    }

    fn decided(
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
                    self.allowed(done, *line, answer.told, hold);
                }
            }
            Verdict::Denied | Verdict::Impossible => self.refused(done, lines, answers),
            Verdict::TableFull | Verdict::Invalid => fault("no place for a key", decision),
        }
    }

    fn allowed(&self, done: Done, line: Line, told: Option<Told>, hold: Option<usize>) {
        let span = done.span.in_units(self.unit(line.policy));
        let step = match told {
            _ if line.cost > 0 => Step::Charge(self.charge_of(done, line, told, hold, false)),
            Some(told) => Step::Room { span, cost: 0, told },
            None => return,
        };
        self.record(done, line, [step]);
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
            let Answer { violated, told, shared } = *answer;
            match (violated, told) {
                (Some(true), Some(told)) => {
                    let denied = Step::Denied { span, cost: line.cost, told, shared };
                    self.record(done, *line, [denied]);
                }
                (Some(false), told) if place < first && line.cost > 0 => {
                    self.lent(done, *line, told);
                }
                (Some(false), Some(told)) => {
                    self.record(done, *line, [Step::Room { span, cost: line.cost, told }]);
                }
                _ => {}
            }
        }
    }

    fn lent(&self, done: Done, line: Line, told: Option<Told>) {
        let mut charge = self.charge_of(done, line, told, None, false);
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
}
