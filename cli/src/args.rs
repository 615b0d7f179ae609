//! The command line.

use crate::log::{CsvOptions, Format, Options, TimeUnit};
use crate::sample;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Checks rate-limit policies, and replays a log against them
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, about)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Check(Check),
    Replay(Replay),
    Sample(Sample),
}

/// Check a policy file, and describe its policies
///
/// Prints the limit of each policy, how it is counted, the most memory that it takes in a server, what happens
/// to new keys when its table is full, and how a replay charges it. If the file is not valid, prints the
/// place and the problem, and exits with 2.
#[derive(Debug, Parser)]
pub struct Check {
    /// The policy file (TOML)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Replay a log against rate-limit policies
///
/// LOG is in Common or Combined Log Format (its fields are ip, user, path, status and bytes) or in
/// CSV (its fields are the columns). It may be compressed with gzip. Requests are replayed in order
/// of time. Each request is charged under all policies for which it has a key, in the order of the
/// policy file, or under none.
///
/// Give a policy an estimate if the cost of a request is known only when the request ends. The
/// request then reserves the estimate, and settles with its cost when it ends.
///
/// Memory: 16 + 4 k + 8 c bytes per line, where k is the number of log fields used as keys, and c
/// is the number of costs, estimates and durations read from the log. Each distinct key is stored
/// once. Each reserved request that has not ended takes about 1 KiB.
#[derive(Debug, Parser)]
pub struct Replay {
    /// The policy file (TOML)
    #[arg(long, value_name = "FILE")]
    pub policy: PathBuf,
    /// The log, or - for standard input
    #[arg(value_name = "LOG", required_unless_present = "sample")]
    pub log: Option<PathBuf>,
    /// Replay a generated log of one day instead of LOG
    #[arg(
        long,
        conflicts_with_all = ["log", "time", "date", "time_unit", "midnight", "no_header"],
    )]
    pub sample: bool,
    /// The format of the log; detected from its first readable line by default
    #[arg(long)]
    pub format: Option<Format>,
    /// The CSV column that holds the time; the first column by default
    #[arg(long, value_name = "COLUMN")]
    pub time: Option<String>,
    /// The CSV column that holds the date, if the time column holds only the time of day; if there
    /// are columns called date and time, they are joined by default
    #[arg(long, value_name = "COLUMN", conflicts_with = "time_unit")]
    pub date: Option<String>,
    /// Read times that are numbers, in this unit: since 1970, or since the start of the log
    #[arg(long, value_name = "UNIT")]
    pub time_unit: Option<TimeUnit>,
    /// Read a date without a time as midnight (UTC)
    #[arg(long, conflicts_with = "time_unit")]
    pub midnight: bool,
    /// The CSV has no header line: its columns are named 1, 2, 3 and so on
    #[arg(long)]
    pub no_header: bool,
    /// Write the decision on each request, as CSV
    #[arg(long, value_name = "OUT.csv")]
    pub decisions: Option<PathBuf>,
    /// Write a report with charts, as an HTML page
    #[arg(long, value_name = "OUT.html")]
    pub report: Option<PathBuf>,
}

impl Replay {
    /// How to read the log.
    pub fn options(&self) -> Options {
        let csv = CsvOptions {
            time: self.time.clone(),
            date: self.date.clone(),
            time_unit: self.time_unit,
            midnight: self.midnight,
            no_header: self.no_header,
        };
        Options { format: self.format, csv }
    }
}

/// Write a generated log to standard output
///
/// The log is one day of traffic with crawlers and bursts of abuse. As clf, it is the access log of
/// a web server. As csv, it is the log of an LLM service. The same seed gives the same log.
#[derive(Debug, Parser)]
pub struct Sample {
    /// The number of lines
    #[arg(long, default_value_t = sample::LINES)]
    pub lines: u64,
    /// The seed of the generator
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The format of the log
    #[arg(long, default_value = "clf")]
    pub format: Format,
}
