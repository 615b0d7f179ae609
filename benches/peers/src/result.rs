//! What came out of a scene.

use crate::contender::Side;
use crate::figures::median;
use crate::scene::{Aim, Beside, Goal, Scene};
use crate::turns::Turns;

/// How one contender did.
#[derive(Clone, Debug)]
pub struct Line {
    /// The contender.
    pub name: String,
    /// Whose it is.
    pub side: Side,
    /// The median over the rounds, in the outcome's unit: nanoseconds per decision in most.
    pub ns: f64,
    /// A tenth of the rounds took less,
    pub low: f64,
    /// and a tenth took more.
    pub high: f64,
}

/// An aim, and what there is to show for it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// What was wanted.
    pub aim: Aim,
    /// What the own contender took.
    pub own: f64,
    /// Whom it was compared with,
    pub beside: String,
    /// and what that took.
    pub other: f64,
    /// The ratio that the goal is about.
    pub ratio: f64,
    /// Whether that is what was wanted.
    pub met: bool,
    /// The ratio of the quickest contender that does little else.
    pub least: Option<f64>,
}

/// A scene after its rounds.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The scene's name.
    pub name: &'static str,
    /// The scene in words.
    pub title: String,
    /// What its figures are.
    pub unit: &'static str,
    /// Its contenders, in the scene's order.
    pub lines: Vec<Line>,
    /// Its aims.
    pub shown: Vec<Shown>,
    /// The share of its turns in which a thread was set aside, as far as is known.
    pub disturbed: Option<f64>,
}

impl Outcome {
    /// Lets a scene's contenders take turns.
    pub fn of(mut scene: Scene, turns: Turns) -> Outcome {
        let (figures, disturbed) = turns.take(&mut scene.contenders);
        let lines: Vec<Line> = scene
            .contenders
            .iter()
            .zip(figures)
            .map(|(contender, figures)| Line::new(&contender.name, contender.side, figures))
            .collect();
        let outcome = Self::new(scene.name, scene.title, "ns", lines, &scene.aims);
        Outcome { disturbed: Some(disturbed), ..outcome }
    }

    /// Holds figures, however they were got, to the aims.
    ///
    /// # Panics
    /// If an aim is about a contender that is not among the lines.
    pub fn new(
        name: &'static str,
        title: String,
        unit: &'static str,
        lines: Vec<Line>,
        aims: &[Aim],
    ) -> Outcome {
        let shown = aims.iter().map(|aim| Shown::new(*aim, &lines)).collect();
        Outcome { name, title, unit, lines, shown, disturbed: None }
    }

    /// The fastest contender of a side.
    pub fn fastest(&self, side: Side) -> Option<&Line> {
        fastest(&self.lines, side)
    }
}

fn fastest(lines: &[Line], side: Side) -> Option<&Line> {
    lines.iter().filter(|line| line.side == side).min_by(|a, b| a.ns.total_cmp(&b.ns))
}

impl Line {
    /// # Panics
    /// Without any figure.
    pub fn new(name: &str, side: Side, mut figures: Vec<f64>) -> Line {
        figures.sort_by(f64::total_cmp);
        let tenth = figures.len() / 10;
        let (low, high) = (figures[tenth], figures[figures.len() - 1 - tenth]);
        let ns = median(figures).expect("at least one round");
        Line { name: name.into(), side, ns, low, high }
    }
}

impl Shown {
    fn new(aim: Aim, lines: &[Line]) -> Shown {
        let named = |name: &str| {
            let line = lines.iter().find(|line| line.name == name);
            line.unwrap_or_else(|| panic!("{}: there is no {name}", aim.work)).ns
        };
        let taken = |beside| match beside {
            Beside::Fastest(side) => {
                let line = fastest(lines, side).unwrap_or_else(|| panic!("{}: nobody", aim.work));
                (line.name.clone(), line.ns)
            }
            Beside::Sum(names) => (names.join(" + "), names.iter().map(|name| named(name)).sum()),
        };
        let ratio = |own: f64, other: f64| match aim.goal {
            Goal::Time(_) => own / other,
            Goal::Throughput(_) => other / own,
        };
        let (own, (beside, other)) = (named(aim.own), taken(aim.beside));
        let met = match aim.goal {
            Goal::Time(most) => ratio(own, other) <= most,
            Goal::Throughput(least) => ratio(own, other) >= least,
        };
        let least = aim.least.map(|least| {
            let quickest = least.names.iter().copied().map(named).fold(f64::INFINITY, f64::min);
            ratio(quickest, least.beside.map_or(other, |beside| taken(beside).1))
        });
        Shown { aim, own, beside, other, ratio: ratio(own, other), met, least }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, side: Side, ns: f64) -> Line {
        Line::new(name, side, vec![ns])
    }

    #[test]
    fn a_line_is_the_median_and_leaves_a_tenth_on_each_side() {
        let line = Line::new("x", Side::Own, (1..=20).rev().map(f64::from).collect());
        assert_eq!((line.low, line.ns, line.high), (3.0, 10.5, 18.0));
    }

    #[test]
    fn aims_are_held_to_the_fastest_of_the_right_side() {
        let lines = vec![
            line("tollgate", Side::Own, 30.0),
            line("slow", Side::Rival, 90.0),
            line("quick", Side::Rival, 60.0),
            line("sketch", Side::Sketch, 10.0),
            line("a", Side::Floor, 12.0),
            line("b", Side::Floor, 8.0),
        ];
        let aims = [
            Aim::time("w", "tollgate", 0.5),
            Aim::time("w", "tollgate", 0.49),
            Aim::throughput("w", "tollgate", 2.0),
            Aim::throughput("w", "tollgate", 2.1),
            Aim::time("w", "tollgate", 1.5).beside(Beside::Sum(&["a", "b"])),
            Aim::time("w", "tollgate", 0.5).least(&["slow", "a"]),
            Aim::throughput("w", "tollgate", 2.0).least_beside(&["a"], Beside::Sum(&["b"])),
        ];
        let outcome = Outcome::new("s", "s".into(), "ns", lines, &aims);
        let shown: Vec<_> =
            outcome.shown.iter().map(|s| (s.beside.as_str(), s.ratio, s.met, s.least)).collect();
        let expected = [
            ("quick", 0.5, true, None),
            ("quick", 0.5, false, None),
            ("quick", 2.0, true, None),
            ("quick", 2.0, false, None),
            ("a + b", 1.5, true, None),
            ("quick", 0.5, true, Some(0.2)),
            ("quick", 2.0, true, Some(8.0 / 12.0)),
        ];
        assert_eq!(shown, expected);
    }
}
