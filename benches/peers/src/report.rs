//! What came out, for the terminal and as Markdown.

use crate::contender::Side;
use crate::memory::huge_pages;
use crate::peers;
use crate::result::{Line, Outcome, Shown};
use crate::scene::Goal;
use crate::table::Table;
use crate::versions::version;
use std::fs;
use std::num::NonZeroUsize;
use std::thread;

/// The rivals' packages.
const PACKAGES: [&str; 4] = ["governor", "rate-net", "pingora-limits", "limitador"];

/// What it was measured on, and the versions of what was measured.
pub fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let pages = huge_pages().unwrap_or_else(|| "unknown".into());
    let versions = PACKAGES.map(|name| format!("{name} {}", version(name).unwrap_or("?")));
    format!("{model}, {cores} cores, huge pages: {pages}; {}", versions.join(", "))
}

/// A scene's contenders. `low` and `high` leave a tenth of the rounds on each side.
pub fn scene(outcome: &Outcome) -> String {
    let rival = outcome.fastest(Side::Rival).map(|line| line.ns);
    let mut table = Table::new(["", outcome.unit, "low", "high", "/ rival"]);
    for line in &outcome.lines {
        let ratio = rival.filter(|_| line.side != Side::Floor).map(|rival| line.ns / rival);
        table.row([
            line.name.clone(),
            figure(line.ns),
            figure(line.low),
            figure(line.high),
            ratio.map_or_else(String::new, |ratio| Table::number(Some(ratio), 2)),
        ]);
    }
    let disturbed = outcome.disturbed.map_or_else(String::new, |share| {
        format!(" ({:.0} % of the turns were disturbed)", share * 100.0)
    });
    format!("{}: {}{disturbed}\n{table}", outcome.name, outcome.title)
}

/// Every aim, whether it is met or not.
pub fn aims(outcomes: &[Outcome]) -> String {
    let mut table = Table::new(AIMS_HEAD);
    for shown in outcomes.iter().flat_map(|outcome| &outcome.shown) {
        table.row(aim_cells(shown));
    }
    table.to_string()
}

const AIMS_HEAD: [&str; 8] =
    ["work", "tollgate", "beside", "which takes", "ratio", "aim", "met", "the least"];

fn aim_cells(shown: &Shown) -> [String; 8] {
    let goal = match shown.aim.goal {
        Goal::Time(most) => format!("<= {most}"),
        Goal::Throughput(least) => format!(">= {least}"),
    };
    [
        shown.aim.work.into(),
        figure(shown.own),
        shown.beside.clone(),
        figure(shown.other),
        Table::number(Some(shown.ratio), 2),
        goal,
        if shown.met { "yes" } else { "no" }.into(),
        shown.least.map_or_else(String::new, |ratio| Table::number(Some(ratio), 2)),
    ]
}

/// What the figures do not tell: what each peer promises.
pub fn promises() -> String {
    let mut text = String::new();
    for (name, promises) in limiters() {
        text += &format!("{name}\n  counts:        {}\n", promises.counting);
        text += &format!("  in any window: {}\n", promises.most);
        text += &format!("  memory:        {}\n", promises.memory);
        text += &format!("  may wait for:  {}\n", promises.waiting);
    }
    text
}

fn limiters() -> impl Iterator<Item = &'static (&'static str, crate::peer::Promises)> {
    peers::ALL.iter().filter(|(name, _)| !name.starts_with("control"))
}

/// All of it as Markdown: the aims, every figure, what the scenes are, the promises.
pub fn markdown(outcomes: &[Outcome], keys: &str) -> String {
    let aims = outcomes.iter().flat_map(|outcome| &outcome.shown).map(aim_cells);
    let mut text = format!("{}; {keys}.\n\n", machine());
    text += &rows(&AIMS_HEAD, aims);
    text += "\nUnder `the least` is the same ratio of what does little else: a bare table, with a window or without,\n\
         a pin and a clock where the work needs them, or a limiter for each thread. Where keys come from\n\
         memory it is the quicker of two: one laid out as ours is, and one of two lines a key. Layers are of\n\
         the latter.\n\
         \nMedians; nanoseconds of wall time per decision of all threads together, but under `worst`\n\
         nanoseconds on the processor of the worst call, and under `bytes` bytes a key. `disturbed` is\n\
         the share of turns in which a thread was set aside.\n\n";
    text += &figures(outcomes);
    text += "\n";
    for outcome in outcomes {
        text += &format!("- `{}`: {}\n", outcome.name, outcome.title);
    }
    text += "\n";
    let promises = limiters().map(|(name, promises)| {
        [*name, promises.counting, promises.most, promises.memory, promises.waiting]
            .map(str::to_owned)
    });
    text + &rows(&["", "counts", "in any window", "memory", "may wait for"], promises)
}

/// A row for each contender, a column for each scene.
fn figures(outcomes: &[Outcome]) -> String {
    let mut names: Vec<(&str, Side)> = Vec::new();
    for line in outcomes.iter().flat_map(|outcome| &outcome.lines) {
        if !names.iter().any(|(name, _)| *name == line.name) {
            names.push((&line.name, line.side));
        }
    }
    names.sort_by_key(|(_, side)| *side);
    let mut head = vec![""];
    head.extend(outcomes.iter().map(|outcome| outcome.name));
    let row = |(name, _): (&str, Side)| {
        let cell = |outcome: &Outcome| {
            let line = outcome.lines.iter().find(|line: &&Line| line.name == name);
            line.map_or_else(String::new, |line| figure(line.ns))
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

/// Three digits or more.
pub(crate) fn figure(value: f64) -> String {
    Table::number(Some(value), usize::from(value < 100.0))
}
