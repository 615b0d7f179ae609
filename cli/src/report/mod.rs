//! The report: one self-contained HTML page.

mod chart;

use crate::decisions::WriteError;
use crate::log::time;
use crate::summary::{Findings, TOP_KEYS};
use crate::text::{percent, printable, thousands};
use chart::{Chart, Series};
use std::fmt::{self, Display, Write as _};
use std::path::Path;

const STYLE: &str = include_str!("style.css");

const ADMITTED: Series = Series { class: "admitted", label: "admitted" };
const DENIED: Series = Series { class: "denied", label: "denied" };
const DENIED_HERE: Series = Series { class: "denied", label: "denied by this policy" };
const WOULD_BE_DENIED: Series = Series { class: "denied", label: "would be denied by this policy" };
const OTHERS: Series = Series { class: "admitted", label: "other requests" };
const DENIED_BY_ANOTHER: Series =
    Series { class: "denied-by-another", label: "denied by another policy" };

/// Writes the report to a file.
pub fn write(path: &Path, findings: &Findings<'_>) -> Result<(), WriteError> {
    std::fs::write(path, page(findings))
        .map_err(|error| WriteError { path: path.to_owned(), error })
}

/// The report as HTML.
pub fn page(findings: &Findings<'_>) -> String {
    Page(findings).to_string()
}

/// Text from a log, escaped for HTML.
struct Escaped<'t>(&'t str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        printable(self.0).chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            other => f.write_char(other),
        })
    }
}

struct Page<'f, 'r>(&'f Findings<'r>);

impl Display for Page<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let log = Escaped(self.0.log);
        write!(
            f,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{log}: replay under rate limits</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
        )?;
        self.head(f)?;
        self.overall(f)?;
        self.policies(f)?;
        self.most_denied(f)?;
        self.foot(f)?;
        f.write_str("</main>\n</body>\n</html>\n")
    }
}

impl Page<'_, '_> {
    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let findings = self.0;
        let tally = findings.tally;
        let (requests, admitted) = (tally.requests(), tally.admitted);
        let denied = requests - admitted;
        let stamps = findings.recording.stamps();
        let (first, last) = match (stamps.first(), stamps.last()) {
            (Some(first), Some(last)) => (first.unix_ns, last.unix_ns),
            _ => (0, 0),
        };
        let log = Escaped(findings.log);
        let (begin, end) = (time::rfc3339(first), time::rfc3339(last));
        writeln!(f, "<header>\n<h1>{log}</h1>")?;
        writeln!(
            f,
            "<p>The effect of these rate limits on the traffic from {begin} to {end}.</p>\n</header>"
        )?;
        writeln!(f, "<dl class=\"tiles\">")?;
        let tiles = [
            ("requests", thousands(requests), format!("in {}", time::span(last - first))),
            ("admitted", thousands(admitted), percent(admitted, requests)),
            ("denied", thousands(denied), percent(denied, requests)),
        ];
        for (title, value, note) in tiles {
            writeln!(
                f,
                "<div class=\"tile {title}\"><dt>{title}</dt><dd>{value}<span>{note}</span></dd></div>"
            )?;
        }
        writeln!(f, "</dl>")
    }

    /// The denied requests of a time bucket. A dry run denies none.
    fn denied(&self, counts: &[u64]) -> u64 {
        let policies = self.0.policies.iter().zip(&counts[1..]);
        policies.filter(|(policy, _)| !policy.dry_run).map(|(_, denied)| denied).sum()
    }

    fn overall(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timeline = &self.0.tally.timeline;
        let bars = timeline.buckets().map(|counts| vec![counts[0], self.denied(counts)]);
        let chart = Chart {
            id: "overall".to_owned(),
            title: "All requests over time".to_owned(),
            height: 300.0,
            series: &[ADMITTED, DENIED],
            bars: bars.collect(),
            timeline,
        };
        writeln!(f, "<section>\n<h2>All requests</h2>\n{chart}</section>")
    }

    fn policies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let findings = self.0;
        let tally = findings.tally;
        for (index, policy) in findings.policies.iter().enumerate() {
            let name = Escaped(&policy.name);
            let (reached, denied) = (tally.reached(index), tally.denied[index]);
            writeln!(f, "<section>\n<h2>{name} <small>{}</small></h2>", Findings::rate(policy))?;
            let requests = match index {
                0 => "requests",
                _ => "requests that no earlier policy denied",
            };
            let verb = if policy.dry_run { "Would have denied" } else { "Denied" };
            writeln!(
                f,
                "<p>{verb} {} of {} {requests}: {}.</p>",
                thousands(denied),
                thousands(reached),
                percent(denied, reached)
            )?;
            if let Some(reserved) = tally.reserved[index] {
                let [estimated, used, unused, excess] =
                    [reserved.estimated, reserved.used, reserved.unused, reserved.excess]
                        .map(thousands);
                writeln!(
                    f,
                    "<p>The admitted requests reserved {estimated} and used {used}. Reserved but unused: {unused} \
                     ({}). Used beyond the estimates: {excess}.</p>",
                    percent(reserved.unused, reserved.estimated)
                )?;
            }
            let split = |counts: &[u64]| {
                let (here, denied) = (counts[index + 1], self.denied(counts));
                match policy.dry_run {
                    true => vec![counts[0] + denied - here, here],
                    false => vec![counts[0], here, denied - here],
                }
            };
            let series: &[Series] = match findings.policies.len() {
                _ if policy.dry_run => &[OTHERS, WOULD_BE_DENIED],
                1 => &[ADMITTED, DENIED_HERE],
                _ => &[ADMITTED, DENIED_HERE, DENIED_BY_ANOTHER],
            };
            let chart = Chart {
                id: format!("policy-{index}"),
                title: format!("Requests over time under {name}"),
                height: 190.0,
                series,
                bars: tally.timeline.buckets().map(split).collect(),
                timeline: &tally.timeline,
            };
            writeln!(f, "{chart}</section>")?;
        }
        Ok(())
    }

    fn most_denied(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.0.tally.most_denied(TOP_KEYS);
        writeln!(f, "<section>\n<h2>Most denied keys</h2>")?;
        let Some(max_denied) = keys.first().map(|key| key.denied) else {
            return writeln!(f, "<p>No request was denied.</p>\n</section>");
        };
        writeln!(
            f,
            "<div class=\"scroll\"><table>\n<thead><tr><th scope=\"col\">Policy</th><th scope=\"col\">Key</th>\
             <th scope=\"col\" class=\"number\">Denied</th><th scope=\"col\" class=\"number\">Requests</th>\
             <th scope=\"col\" class=\"number\">Share</th><th aria-hidden=\"true\"></th></tr></thead>\n<tbody>"
        )?;
        for key in keys {
            writeln!(
                f,
                "<tr><td>{}</td><td class=\"key\">{}</td><td class=\"number\">{}</td>\
                 <td class=\"number\">{}</td><td class=\"number\">{}</td>\
                 <td class=\"meter\" aria-hidden=\"true\"><i style=\"width:{:.1}%\"></i></td></tr>",
                Escaped(&self.0.policies[key.policy].name),
                Escaped(key.key),
                thousands(key.denied),
                thousands(key.requests),
                percent(key.denied, key.requests),
                key.denied as f64 * 100.0 / max_denied as f64,
            )?;
        }
        writeln!(f, "</tbody>\n</table></div>\n</section>")
    }

    fn foot(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let findings = self.0;
        let notes = findings.notes();
        if !notes.is_empty() {
            writeln!(f, "<section>\n<h2>Notes on the log</h2>\n<ul>")?;
            notes.iter().try_for_each(|note| writeln!(f, "<li>{}</li>", Escaped(note)))?;
            writeln!(f, "</ul>\n</section>")?;
        }
        let unparsable = findings.unparsable;
        if unparsable.count > 0 {
            let [skipped, lines] = [unparsable.count, findings.lines()].map(thousands);
            writeln!(f, "<section>\n<h2>Skipped lines</h2>")?;
            writeln!(f, "<p>{skipped} of {lines} lines could not be read:</p>")?;
            writeln!(f, "<pre>{}</pre>\n</section>", Lines(&unparsable.to_string()))?;
        }
        writeln!(
            f,
            "<footer>Every request is charged under all policies for which it has a key, in their order, or under \
             none. A denial is counted under the first policy without room. A dry run denies nothing. Times are UTC. Generated by tollgate, which decided {} requests \
             per second on one core.</footer>",
            thousands(findings.speed.per_second() as u64)
        )
    }
}

/// Text of several lines, each escaped for HTML.
struct Lines<'t>(&'t str);

impl Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.lines().try_for_each(|line| writeln!(f, "{}", Escaped(line.trim_start())))
    }
}

#[cfg(test)]
mod tests {
    use super::Escaped;

    #[test]
    fn text_from_a_log_is_escaped() {
        let text = "<script>alert('x')</script>&\"\u{0}\u{202e}";
        let escaped = Escaped(text).to_string();
        assert_eq!(
            escaped,
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;\\0\\u{202e}"
        );
    }
}
