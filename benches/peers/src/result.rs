//! The results of a scenario.

use crate::contender::Side;
use crate::figures::median;
use crate::scenario::{Goal, Reference, Scenario, Target};
use crate::turns::Turns;

/// The result of one contender.
#[derive(Clone, Debug)]
pub struct ContenderResult {
    /// The contender's name.
    pub name: String,
    /// The contender's group.
    pub side: Side,
    /// The figure, in the outcome's unit: nanoseconds per decision in most scenarios. It is the median
    /// over the rounds; in `after-inserts`, the highest or the median of the results of all populations.
    pub ns: f64,
    /// The tenth percentile.
    pub low: f64,
    /// The ninetieth percentile.
    pub high: f64,
}

/// A target and its measured ratio.
#[derive(Clone, Debug)]
pub struct TargetResult {
    /// The target.
    pub target: Target,
    /// The figure of tollgate's contender.
    pub own: f64,
    /// The name of the reference.
    pub reference: String,
    /// The figure of the reference.
    pub other: f64,
    /// The measured ratio: of the figures, or of the decisions per second, as the target's bound says.
    pub ratio: f64,
    /// Whether the ratio meets the target; `None` for a ratio without a bound.
    pub met: Option<bool>,
}

/// The results of a scenario, or of a part of it: `new` and `after-inserts`, for example, have several.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The name of the scenario or of its part.
    pub name: &'static str,
    /// The description.
    pub title: String,
    /// The unit of the figures.
    pub unit: &'static str,
    /// The contenders' results, in the scenario's order.
    pub results: Vec<ContenderResult>,
    /// The targets' results.
    pub targets: Vec<TargetResult>,
    /// The share of disturbed turns, or in `after-inserts` of disturbed blocks of calls, if known. In a
    /// disturbed turn or block, a thread was descheduled for more than 2 % of the time.
    pub disturbed: Option<f64>,
}

impl Outcome {
    /// Measures the contenders of a scenario in turns.
    pub fn of(mut scenario: Scenario, turns: Turns) -> Outcome {
        let (figures, disturbed) = turns.take(&mut scenario.contenders);
        let results: Vec<ContenderResult> = scenario
            .contenders
            .iter()
            .zip(figures)
            .map(|(contender, figures)| {
                ContenderResult::new(&contender.name, contender.side, figures)
            })
            .collect();
        let outcome = Self::new(scenario.name, scenario.title, "ns", results, &scenario.targets);
        Outcome { disturbed: Some(disturbed), ..outcome }
    }

    /// Creates an outcome, and compares the results with the targets.
    ///
    /// # Panics
    /// If a target names a contender or a group without a result.
    pub fn new(
        name: &'static str,
        title: String,
        unit: &'static str,
        results: Vec<ContenderResult>,
        targets: &[Target],
    ) -> Outcome {
        let targets = targets.iter().map(|target| TargetResult::new(target, &results)).collect();
        Outcome { name, title, unit, results, targets, disturbed: None }
    }

    /// The fastest contender of a group.
    pub fn fastest(&self, side: Side) -> Option<&ContenderResult> {
        fastest(&self.results, side)
    }
}

fn fastest(results: &[ContenderResult], side: Side) -> Option<&ContenderResult> {
    results.iter().filter(|result| result.side == side).min_by(|a, b| a.ns.total_cmp(&b.ns))
}

impl ContenderResult {
    /// Creates a result with the median and the percentiles of `figures`.
    ///
    /// # Panics
    /// If there are no figures.
    pub fn new(name: &str, side: Side, mut figures: Vec<f64>) -> ContenderResult {
        figures.sort_by(f64::total_cmp);
        let tenth = figures.len() / 10;
        let (low, high) = (figures[tenth], figures[figures.len() - 1 - tenth]);
        let ns = median(figures).expect("at least one round");
        ContenderResult { name: name.into(), side, ns, low, high }
    }
}

impl TargetResult {
    /// Compares tollgate's contender with the reference.
    ///
    /// # Panics
    /// If the target names a contender or a group without a result.
    pub(crate) fn new(target: &Target, results: &[ContenderResult]) -> TargetResult {
        let named = |name: &str| {
            let result = results.iter().find(|result| result.name == name);
            result.unwrap_or_else(|| panic!("{}: no contender {name}", target.name))
        };
        let own = named(target.own).ns;
        let reference = match target.reference {
            Reference::Fastest(side) => {
                fastest(results, side).unwrap_or_else(|| panic!("{}: no reference", target.name))
            }
            Reference::Named(name) => named(name),
        };
        let other = reference.ns;
        let (ratio, met) = match target.goal {
            Goal::Time(most) => (own / other, Some(own / other <= most)),
            Goal::Throughput(least) => (other / own, Some(other / own >= least)),
            Goal::Unbounded => (own / other, None),
        };
        let reference = reference.name.clone();
        TargetResult { target: target.clone(), own, reference, other, ratio, met }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(name: &str, side: Side, ns: f64) -> ContenderResult {
        ContenderResult::new(name, side, vec![ns])
    }

    #[test]
    fn a_result_has_the_median_and_the_outer_tenths() {
        let result = ContenderResult::new("x", Side::Own, (1..=20).rev().map(f64::from).collect());
        assert_eq!((result.low, result.ns, result.high), (3.0, 10.5, 18.0));
    }

    #[test]
    fn own_contenders_are_compared_with_their_references() {
        let results = vec![
            result("tollgate", Side::Own, 30.0),
            result("slow", Side::Rival, 90.0),
            result("fast", Side::Rival, 60.0),
            result("sketch", Side::Sketch, 10.0),
            result("a", Side::Baseline, 12.0),
        ];
        let targets = [
            Target::time("w", "tollgate", 0.5),
            Target::time("w", "tollgate", 0.49),
            Target::throughput("w", "tollgate", 2.0),
            Target::throughput("w", "tollgate", 2.1),
            Target::time("w", "tollgate", 2.5).against(Reference::Named("a")),
            Target::new("w", "tollgate", Goal::Unbounded),
        ];
        let outcome = Outcome::new("s", "s".into(), "ns", results, &targets);
        let targets = outcome.targets.iter().map(|t| (t.reference.as_str(), t.ratio, t.met));
        let expected = [
            ("fast", 0.5, Some(true)),
            ("fast", 0.5, Some(false)),
            ("fast", 2.0, Some(true)),
            ("fast", 2.0, Some(false)),
            ("a", 2.5, Some(true)),
            ("fast", 0.5, None),
        ];
        assert_eq!(targets.collect::<Vec<_>>(), expected);
    }
}
