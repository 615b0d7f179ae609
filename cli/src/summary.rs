//! The summary of a replay, printed to standard output.

use crate::log::{Unparsable, time};
use crate::notes::notes;
use crate::recording::Recording;
use crate::replay::Speed;
use crate::tally::{Reserved, Tally};
use crate::text::{percent, printable, thousands};
use std::io::{self, Write};
use tollgate_policy_file::PolicySpec;

/// The maximum length of the list of the keys with the most denials.
pub const TOP_KEYS: usize = 10;
const MAX_KEY_CHARS: usize = 60;

/// The result of a replay.
#[derive(Debug)]
pub struct Findings<'r> {
    /// The name of the log.
    pub log: &'r str,
    /// The policies.
    pub policies: &'r [PolicySpec],
    /// The requests.
    pub recording: &'r Recording,
    /// The counted outcomes.
    pub tally: &'r Tally<'r>,
    /// The lines that could not be read.
    pub unparsable: &'r Unparsable,
    /// The speed of the decisions.
    pub speed: Speed,
}

/// A text table. The first `left` columns are aligned left, and the others right.
struct Table {
    left: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(left: usize, header: &[&str]) -> Self {
        Table { left, rows: vec![header.iter().map(|title| (*title).to_owned()).collect()] }
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let gap = if column > 0 { "  " } else { "" };
                line += &match column < self.left {
                    true => format!("{gap}{cell:<width$}"),
                    false => format!("{gap}{cell:>width$}"),
                };
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

impl Findings<'_> {
    /// The limit of a policy and its interval: `100 / 1m`. A dry run is marked.
    pub fn rate(policy: &PolicySpec) -> String {
        let mark = if policy.dry_run { ", dry run" } else { "" };
        format!("{} / {}{mark}", thousands(policy.limit), policy.rate.text)
    }

    /// The number of requests and unreadable lines.
    pub fn lines(&self) -> u64 {
        self.tally.requests() + self.unparsable.count
    }

    /// The notes on the values of the log.
    pub fn notes(&self) -> Vec<String> {
        notes(self.recording, self.policies)
    }

    /// Prints the summary.
    pub fn print(&self, out: &mut impl Write) -> io::Result<()> {
        self.policies_table().print(out)?;
        writeln!(out)?;
        if let Some(table) = self.reserved_table() {
            table.print(out)?;
            writeln!(out)?;
        }
        if let Some(table) = self.keys_table() {
            table.print(out)?;
            writeln!(out)?;
        }
        self.footer(out)?;
        out.flush()
    }

    fn policies_table(&self) -> Table {
        let tally = self.tally;
        let header = ["policy", "limit", "requests", "admitted", "denied", "share"];
        let mut table = Table::new(1, &header);
        let mut row = |name: &str, rate: String, requests: u64, denied: u64| {
            let admitted = requests - denied;
            let counts = [requests, admitted, denied].map(thousands);
            let mut cells = vec![printable(name), rate];
            cells.extend(counts);
            cells.push(percent(denied, requests));
            table.rows.push(cells);
        };
        for (index, policy) in self.policies.iter().enumerate() {
            row(&policy.name, Self::rate(policy), tally.reached(index), tally.denied[index]);
        }
        row("all", String::new(), tally.requests(), tally.requests() - tally.admitted);
        table
    }

    fn reserved_table(&self) -> Option<Table> {
        let header = ["reserved under", "estimated", "used", "unused", "share", "excess"];
        let mut table = Table::new(1, &header);
        for (policy, reserved) in self.policies.iter().zip(&self.tally.reserved) {
            let Some(Reserved { estimated, used, unused, excess }) = *reserved else { continue };
            let mut cells = vec![printable(&policy.name)];
            cells.extend([estimated, used, unused].map(thousands));
            cells.extend([percent(unused, estimated), thousands(excess)]);
            table.rows.push(cells);
        }
        (table.rows.len() > 1).then_some(table)
    }

    fn keys_table(&self) -> Option<Table> {
        let mut table = Table::new(2, &["most denied under", "key", "denied", "requests"]);
        for denied in self.tally.most_denied(TOP_KEYS) {
            let mut key: String = printable(denied.key);
            if let Some((cut, _)) = key.char_indices().nth(MAX_KEY_CHARS) {
                key.truncate(cut);
                key.push('…');
            }
            let name = printable(&self.policies[denied.policy].name);
            table.rows.push(vec![name, key, thousands(denied.denied), thousands(denied.requests)]);
        }
        (table.rows.len() > 1).then_some(table)
    }

    fn footer(&self, out: &mut impl Write) -> io::Result<()> {
        let stamps = self.recording.stamps();
        if let (Some(first), Some(last)) = (stamps.first(), stamps.last()) {
            let length = time::span(last.unix_ns - first.unix_ns);
            let (first, last) = (time::rfc3339(first.unix_ns), time::rfc3339(last.unix_ns));
            writeln!(out, "time      {first} to {last} ({length})")?;
        }
        let per_second = thousands(self.speed.per_second() as u64);
        writeln!(out, "decided   {per_second} requests per second on one core")?;
        let bytes = self.recording.bytes_per_line();
        writeln!(out, "memory    {bytes} bytes per line, plus each distinct key once")?;
        for note in self.notes() {
            writeln!(out, "note      {note}")?;
        }
        if self.unparsable.count > 0 {
            let (skipped, lines) = (self.unparsable.count, self.lines());
            let [skipped, lines] = [skipped, lines].map(thousands);
            writeln!(out, "skipped   {skipped} of {lines} lines could not be read")?;
            writeln!(out, "{}", self.unparsable)?;
        }
        Ok(())
    }
}
