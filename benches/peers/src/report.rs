//! Reports for the terminal and in Markdown.

use crate::contender::Side;
use crate::memory::huge_pages;
use crate::peers;
use crate::result::{ContenderResult, Outcome, TargetResult};
use crate::scenario::Goal;
use crate::table::Table;
use crate::versions::version;
use std::fs;
use std::num::NonZeroUsize;
use std::thread;

/// The packages of the rivals.
const PACKAGES: [&str; 4] = ["governor", "rate-net", "pingora-limits", "limitador"];

/// The machine, and the versions of the measured packages.
pub fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let pages = huge_pages().unwrap_or_else(|| "unknown".into());
    let versions = PACKAGES.map(|name| format!("{name} {}", version(name).unwrap_or("?")));
    format!("{model}, {cores} cores, huge pages: {pages}; {}", versions.join(", "))
}

/// A table of the contenders of a scenario. `low` and `high` are the tenth and the ninetieth percentile,
/// and `/ rival` is the ratio to the fastest rival. The title has the share of disturbed turns, or of
/// disturbed blocks: see [`Outcome::disturbed`].
pub fn scenario(outcome: &Outcome) -> String {
    let rival = outcome.fastest(Side::Rival).map(|result| result.ns);
    let mut table = Table::new(["", outcome.unit, "low", "high", "/ rival"]);
    for result in &outcome.results {
        let ratio = rival.filter(|_| result.side != Side::Baseline).map(|rival| result.ns / rival);
        table.row([
            result.name.clone(),
            figure(result.ns),
            figure(result.low),
            figure(result.high),
            ratio.map_or_else(String::new, |ratio| Table::number(Some(ratio), 2)),
        ]);
    }
    let disturbed = outcome.disturbed.map_or_else(String::new, |share| {
        let note = if share > UNRELIABLE { ": not reliable" } else { "" };
        format!(" ({:.0} % of the turns or blocks were disturbed{note})", share * 100.0)
    });
    format!("{}: {}{disturbed}\n{table}", outcome.name, outcome.title)
}

/// Figures of a scenario with a larger share of disturbed turns or blocks are not reliable.
const UNRELIABLE: f64 = 0.1;

/// Names the scenarios whose share of disturbed turns or blocks is above 10 %; `None` if there are none.
pub fn unreliable(outcomes: &[Outcome]) -> Option<String> {
    let share = |outcome: &Outcome| {
        let share = outcome.disturbed.filter(|share| *share > UNRELIABLE)?;
        Some(format!("`{}` ({:.0} %)", outcome.name, share * 100.0))
    };
    let names: Vec<String> = outcomes.iter().filter_map(share).collect();
    let names = (!names.is_empty()).then(|| names.join(", "))?;
    Some(format!(
        "Not reliable, because more than 10 % of the turns or blocks were disturbed: {names}."
    ))
}

/// A table of all ratios, with or without a target.
pub fn targets(outcomes: &[Outcome]) -> String {
    let mut table = Table::new(TARGETS_HEAD);
    for result in outcomes.iter().flat_map(|outcome| &outcome.targets) {
        table.row(target_cells(result));
    }
    table.to_string()
}

const TARGETS_HEAD: [&str; 7] =
    ["row", "tollgate", "reference", "reference figure", "ratio", "target", "met"];

fn target_cells(result: &TargetResult) -> [String; 7] {
    let goal = match result.target.goal {
        Goal::Time(most) => format!("<= {most}"),
        Goal::Throughput(least) => format!(">= {least}"),
        Goal::Unbounded => String::new(),
    };
    let met = result.met.map_or("", |met| if met { "yes" } else { "no" });
    [
        result.target.name.clone(),
        figure(result.own),
        result.reference.clone(),
        figure(result.other),
        Table::number(Some(result.ratio), 2),
        goal,
        met.into(),
    ]
}

/// The guarantees of each limiter.
pub fn guarantees() -> String {
    let mut text = String::new();
    for (name, guarantees) in limiters() {
        text += &format!("{name}\n  counts:        {}\n", guarantees.counting);
        text += &format!("  in any window: {}\n", guarantees.max_per_window);
        text += &format!("  memory:        {}\n", guarantees.memory);
        text += &format!("  may wait for:  {}\n", guarantees.locks);
    }
    text
}

fn limiters() -> impl Iterator<Item = &'static (&'static str, crate::peer::Guarantees)> {
    peers::ALL.iter().filter(|(name, _)| !name.starts_with("control"))
}

/// The whole report in Markdown: targets, figures, scenarios and guarantees.
pub fn markdown(outcomes: &[Outcome], keys: &str) -> String {
    let targets = outcomes.iter().flat_map(|outcome| &outcome.targets).map(target_cells);
    let mut text = format!("{}; {keys}.\n\n", machine());
    text += &rows(&TARGETS_HEAD, targets);
    text += "\n\
         Figures are medians of nanoseconds per decision: wall time, divided by the decisions of all\n\
         threads. Under `worst` and `after-...` they are nanoseconds of CPU time, and under\n\
         `bytes...` bytes per key. `maintain` is called only for rows that say `maintained`.\n\
         `disturbed` is the share of turns (under `after-...`, of blocks of calls) in which a\n\
         thread was descheduled for more than 2 % of the time.\n\
         \n";
    if let Some(note) = unreliable(outcomes) {
        text += &format!("{note}\n\n");
    }
    text += &figures(outcomes);
    text += "\n";
    for outcome in outcomes {
        text += &format!("- `{}`: {}\n", outcome.name, outcome.title);
    }
    text += "\n";
    let guarantees = limiters().map(|(name, guarantees)| {
        [*name, guarantees.counting, guarantees.max_per_window, guarantees.memory, guarantees.locks]
            .map(str::to_owned)
    });
    text + &rows(&["", "counts", "in any window", "memory", "may wait for"], guarantees)
}

/// A table with a row for each contender and a column for each scenario.
fn figures(outcomes: &[Outcome]) -> String {
    let mut names: Vec<(&str, Side)> = Vec::new();
    for result in outcomes.iter().flat_map(|outcome| &outcome.results) {
        if !names.iter().any(|(name, _)| *name == result.name) {
            names.push((&result.name, result.side));
        }
    }
    names.sort_by_key(|(_, side)| *side);
    let mut head = vec![""];
    head.extend(outcomes.iter().map(|outcome| outcome.name));
    let row = |(name, _): (&str, Side)| {
        let cell = |outcome: &Outcome| {
            let result =
                outcome.results.iter().find(|result: &&ContenderResult| result.name == name);
            result.map_or_else(String::new, |result| figure(result.ns))
        };
        let mut cells = vec![name.to_owned()];
        cells.extend(outcomes.iter().map(cell));
        cells
    };
    let share = |outcome: &Outcome| match outcome.disturbed {
        Some(share) => format!("{:.0} %", share * 100.0),
        None => String::new(),
    };
    let disturbed = [vec!["*disturbed*".into()], outcomes.iter().map(share).collect()].concat();
    rows(&head, names.into_iter().map(row).chain([disturbed]))
}

fn rows(head: &[&str], rows: impl Iterator<Item = impl AsRef<[String]>>) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        text += &format!("| {} |\n", row.as_ref().join(" | "));
    }
    text
}

/// Formats a figure: with one decimal below 100, as an integer above.
pub(crate) fn figure(value: f64) -> String {
    Table::number(Some(value), usize::from(value < 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_with_many_disturbances_are_named() {
        let results = || vec![ContenderResult::new("tollgate", Side::Own, vec![1.0])];
        let outcome = |name, disturbed| Outcome {
            disturbed,
            ..Outcome::new(name, name.into(), "ns", results(), &[])
        };
        let quiet = [outcome("a", None), outcome("b", Some(0.1))];
        assert_eq!(unreliable(&quiet), None);
        assert!(!scenario(&quiet[1]).contains("not reliable"));
        let noisy = [outcome("a", Some(0.05)), outcome("b", Some(0.11))];
        let note = unreliable(&noisy).unwrap();
        assert!(note.contains("`b` (11 %)") && !note.contains("`a`"), "{note}");
        assert!(scenario(&noisy[1]).contains("not reliable"));
        assert!(markdown(&noisy, "keys").contains(&note));
    }
}
