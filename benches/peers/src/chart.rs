//! A chart: bars for each scene on one logarithmic scale, readable on light and on dark ground.

use crate::contender::Side;
use crate::report::figure;
use crate::result::Outcome;

const WIDTH: f64 = 860.0;
/// Where bars begin and end.
const LEFT: f64 = 190.0;
const RIGHT: f64 = 800.0;
const BAR: f64 = 15.0;
const TITLE: f64 = 34.0;

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#333}.t{font-weight:600;font-size:13px}\
    .n{text-anchor:end}.own{fill:#2a78d6}.rival{fill:#9a9a9a}.other{fill:#c9c9c9}.grid{stroke:#8884}\
    @media(prefers-color-scheme:dark){text{fill:#ddd}.rival{fill:#8a8a8a}.other{fill:#5c5c5c}}";

/// The scenes' contenders, but for the parts of the floor, as an SVG document.
pub fn chart(outcomes: &[Outcome]) -> String {
    let bars =
        || outcomes.iter().flat_map(|outcome| &outcome.lines).filter(|line| limits(line.side));
    let least = bars().map(|line| line.ns).fold(f64::INFINITY, f64::min).max(0.1);
    let most = bars().map(|line| line.ns).fold(least, f64::max);
    let (first, last) =
        (least.log10().floor(), (most.log10().ceil()).max(least.log10().floor() + 1.0));
    let place =
        |value: f64| LEFT + (RIGHT - LEFT) * (value.max(least).log10() - first) / (last - first);

    let mut body = String::new();
    let mut top = 8.0;
    for outcome in outcomes {
        let title = format!("{} ({})", escaped(&outcome.title), escaped(outcome.unit));
        body += &format!("<text class='t' x='8' y='{:.0}'>{title}</text>\n", top + 20.0);
        top += TITLE;
        for line in outcome.lines.iter().filter(|line| limits(line.side)) {
            let class = match line.side {
                Side::Own => "own",
                Side::Rival | Side::CoarseRival => "rival",
                Side::Sketch | Side::Floor => "other",
            };
            let (y, end) = (top + BAR - 4.0, place(line.ns));
            let name = escaped(&line.name);
            body += &format!("<text class='n' x='{:.0}' y='{y:.0}'>{name}</text>", LEFT - 8.0);
            body += &format!(
                "<rect class='{class}' x='{LEFT:.0}' y='{top:.0}' width='{:.1}' height='{:.0}' rx='2'/>",
                end - LEFT,
                BAR - 3.0
            );
            body += &format!("<text x='{:.1}' y='{y:.0}'>{}</text>\n", end + 4.0, figure(line.ns));
            top += BAR;
        }
    }
    let grid: String = (first as i32..=last as i32)
        .map(|power| {
            let x = place(10_f64.powi(power));
            format!("<line class='grid' x1='{x:.1}' x2='{x:.1}' y1='{TITLE:.0}' y2='{top:.0}'/>\n")
        })
        .collect();
    let height = top + 12.0;
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH:.0} {height:.0}' \
         width='{WIDTH:.0}' height='{height:.0}'>\n<style>{STYLE}</style>\n{grid}{body}</svg>\n"
    )
}

fn limits(side: Side) -> bool {
    side != Side::Floor
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
