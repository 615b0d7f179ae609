//! The figures of one run of one peer, and their text form between processes.

/// The figures of a measurement, which defines their order. `None` is a figure that the system does not
/// provide.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures(pub Vec<Option<f64>>);

/// The text of a missing figure.
pub(crate) const MISSING: &str = "n/a";

impl Figures {
    /// Formats the figures as one line of text.
    pub fn to_line(&self) -> String {
        let words: Vec<String> = self
            .0
            .iter()
            .map(|figure| figure.map_or_else(|| MISSING.into(), |value| value.to_string()))
            .collect();
        words.join(" ")
    }

    /// Parses a line of [`to_line`](Self::to_line); `None` if it is malformed.
    pub fn parse(line: &str) -> Option<Figures> {
        let figure = |word: &str| match word {
            MISSING => Some(None),
            _ => word.parse().ok().map(Some),
        };
        line.split_whitespace().map(figure).collect::<Option<Vec<_>>>().map(Figures)
    }

    /// The median of each figure over the rounds; `None` if it is missing in any round.
    pub fn medians(rounds: &[Figures]) -> Figures {
        let columns = rounds.iter().map(|round| round.0.len()).min().unwrap_or(0);
        let column =
            |index: usize| rounds.iter().map(|round| round.0[index]).collect::<Option<Vec<f64>>>();
        Figures((0..columns).map(|index| column(index).and_then(median)).collect())
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_round_trip() {
        let figures = Figures(vec![Some(1.25), None, Some(3e9)]);
        assert_eq!(Figures::parse(&figures.to_line()), Some(figures));
        assert_eq!(Figures::parse("1 two"), None);
    }

    #[test]
    fn medians_are_per_figure() {
        let rounds: Vec<Figures> = [[5.0, 1.0], [1.0, 2.0], [3.0, 9.0], [4.0, 4.0]]
            .map(|round| Figures(round.map(Some).to_vec()))
            .to_vec();
        assert_eq!(Figures::medians(&rounds), Figures(vec![Some(3.5), Some(3.0)]));
        let missing = [Figures(vec![Some(1.0)]), Figures(vec![None])];
        assert_eq!(Figures::medians(&missing), Figures(vec![None]));
    }
}
