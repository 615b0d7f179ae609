//! An SVG chart for light and dark backgrounds: a panel of bars for each scenario that has rivals.

use crate::contender::Side;
use crate::figures::median;
use crate::report::figure;
use crate::result::{ContenderResult, Outcome};

const COLUMNS: usize = 2;
const PANEL: f64 = 450.0;
/// The left end of all bars in a panel.
const LEFT: f64 = 160.0;
/// The maximum length of a bar.
const LENGTH: f64 = 180.0;
const BAR: f64 = 15.0;
const TITLE: f64 = 34.0;
/// A bar is cut if its figure is more than this many times the median of its panel, so that one slow
/// contender does not shrink the bars of the others.
const CUT: f64 = 3.0;

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#333}.t{font-weight:600;font-size:13px}\
    .n{text-anchor:end}.own{fill:#2a78d6}.rival{fill:#9a9a9a}.other{fill:#c9c9c9}\
    @media(prefers-color-scheme:dark){text{fill:#ddd}.rival{fill:#8a8a8a}.other{fill:#5c5c5c}}";

/// Draws the scenarios with rivals as an SVG document.
pub fn chart(outcomes: &[Outcome]) -> String {
    let shown: Vec<&Outcome> =
        outcomes.iter().filter(|outcome| outcome.fastest(Side::Rival).is_some()).collect();
    let mut body = String::new();
    let mut top = 0.0;
    for row in shown.chunks(COLUMNS) {
        let mut height: f64 = 0.0;
        for (outcome, column) in row.iter().zip(0..) {
            let left = PANEL * f64::from(column);
            body += &format!("<g transform='translate({left:.0},{top:.0})'>\n");
            height = height.max(panel(&mut body, outcome));
            body += "</g>\n";
        }
        top += height + 10.0;
    }
    let width = PANEL * COLUMNS as f64;
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width:.0} {top:.0}' \
         width='{width:.0}' height='{top:.0}'>\n<style>{STYLE}</style>\n{body}</svg>\n"
    )
}

/// Draws the contenders of one scenario without the baselines, and returns the panel's height.
fn panel(body: &mut String, outcome: &Outcome) -> f64 {
    let results: Vec<&ContenderResult> =
        outcome.results.iter().filter(|result| result.side != Side::Baseline).collect();
    let figures: Vec<f64> = results.iter().map(|result| result.ns).collect();
    let cut = median(figures.clone()).unwrap_or(1.0) * CUT;
    let longest = figures.into_iter().filter(|ns| *ns <= cut).fold(0.0, f64::max);
    let title = format!("{}, {}", escaped(&outcome.title), escaped(outcome.unit));
    *body += &format!("<text class='t' x='8' y='24'>{title}</text>\n");
    let mut top = TITLE;
    for result in results {
        let class = match result.side {
            Side::Own => "own",
            Side::Rival | Side::CoarseRival => "rival",
            Side::Sketch | Side::Baseline => "other",
        };
        let length = LENGTH * (result.ns / longest).min(1.0);
        let mark = if result.ns > longest { "… " } else { "" };
        let (y, name) = (top + BAR - 4.0, escaped(&result.name));
        *body += &format!("<text class='n' x='{:.0}' y='{y:.0}'>{name}</text>", LEFT - 6.0);
        *body += &format!("<rect class='{class}' x='{LEFT:.0}' y='{top:.0}' width='{length:.1}' ");
        *body += &format!("height='{:.0}' rx='2'/>", BAR - 3.0);
        let end = LEFT + length + 4.0;
        *body += &format!("<text x='{end:.1}' y='{y:.0}'>{mark}{}</text>\n", figure(result.ns));
        top += BAR;
    }
    top
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limiter_has_a_bar_and_long_bars_are_cut() {
        let result = |name: &str, side, ns| ContenderResult::new(name, side, vec![ns]);
        let results = vec![
            result("tollgate", Side::Own, 10.0),
            result("one & <other>", Side::Rival, 20.0),
            result("slow", Side::Rival, 5000.0),
            result("clock", Side::Baseline, 9.0),
        ];
        let scenario = Outcome::new("s", "a title".into(), "ns", results, &[]);
        let alone = vec![result("no rival", Side::Own, 1.0)];
        let alone = Outcome::new("t", "another".into(), "ns", alone, &[]);
        let svg = chart(&[scenario, alone]);
        assert_eq!(svg.matches("<rect").count(), 3);
        assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
        assert!(svg.contains("one &amp; &lt;other&gt;"));
        assert!(svg.contains("width='90.0'") && svg.contains("width='180.0'"), "{svg}");
        assert!(svg.contains("… 5,000") && !svg.contains("clock") && !svg.contains("another"));
    }
}
