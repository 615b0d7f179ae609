//! What a calendar budget would answer if its verbs came one after the other.

use super::linear::Rules;
use super::spec::{Span, Step};

/// The rules of a calendar budget: what is used, and in which period.
pub(super) struct Budget {
    /// Nanoseconds.
    pub(super) period: u64,
}

impl Rules for Budget {
    type Step = Step;
    /// The period and the units used in it.
    type State = (u64, u64);

    fn first(&self) -> (u64, u64) {
        (0, 0)
    }

    fn after(&self, state: &(u64, u64), step: &Step) -> Vec<(u64, u64)> {
        let (period, used) = *state;
        let choices = |span: &Span| {
            let first = (span.now / self.period).max(period);
            let last = span.latest / self.period;
            (first..=last).map(|at| (at, if at == period { used } else { 0 })).collect::<Vec<_>>()
        };
        match step {
            Step::Admit { span, answer, .. } => choices(span)
                .into_iter()
                .map(|(at, used)| (at, used + answer.cost))
                .filter(|(at, used)| {
                    answer.limit.checked_sub(*used) == Some(answer.remaining)
                        && answer.clear_at == (at + 1) * self.period
                })
                .collect(),
            Step::Room { span, answer } | Step::Denied { span, answer } => {
                let room = matches!(step, Step::Room { .. });
                let agrees = |&(at, used): &(u64, u64)| {
                    let end = (at + 1) * self.period;
                    let helps = !room && answer.cost <= answer.limit;
                    (used + answer.cost <= answer.limit) == room
                        && answer.remaining == answer.limit.saturating_sub(used)
                        && answer.clear_at == if used > 0 { end } else { span.now }
                        && answer.fits_at == helps.then_some(end)
                };
                if choices(span).iter().any(agrees) { vec![*state] } else { vec![] }
            }
            Step::Give(span) => {
                let given =
                    choices(span).into_iter().filter(|(at, used)| *at == period && *used > 0);
                given.map(|(at, used)| (at, used - 1)).collect()
            }
            Step::NothingLeft { span, .. } => {
                let empty = choices(span).iter().any(|(_, used)| *used == 0);
                if empty { vec![*state] } else { vec![] }
            }
            Step::Lend { .. } | Step::Undo { .. } | Step::Forget { .. } => {
                unreachable!("budgets are not run in layers, nor reset")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::linear::{Event, explain};
    use super::super::spec::Answer;
    use super::*;

    const PERIOD: u64 = 10;

    /// One unit of three, charged by a thread that had read `now` while others had read 30.
    fn admit(called: u64, now: u64, remaining: u64, clear_at: u64) -> Event<Step> {
        let span = Span { now, latest: 30 };
        let answer = Answer { cost: 1, limit: 3, remaining, fits_at: None, clear_at, given: 0 };
        let step = Step::Admit { charge: 0, span, answer };
        Event { step, called, returned: called + 1, behind: None }
    }

    #[test]
    fn a_budget_does_not_go_back_to_a_period() {
        let budget = Budget { period: PERIOD };
        // Charges tell their period by its end.
        let held = [admit(0, 25, 2, 30), admit(2, 30, 2, 40), admit(4, 25, 1, 40)];
        assert_eq!(explain(&budget, &held), Ok(()));
        let reopened = [admit(0, 25, 2, 30), admit(2, 30, 2, 40), admit(4, 25, 1, 30)];
        assert_eq!(explain(&budget, &reopened), Err(2));
    }

    #[test]
    fn a_lost_charge_is_not_explained() {
        let lost = [admit(0, 25, 2, 30), admit(2, 25, 2, 30)];
        assert_eq!(explain(&Budget { period: PERIOD }, &lost), Err(1));
    }
}
