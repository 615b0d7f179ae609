//! The command line.

use crate::log::Format;
use crate::sample;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Replays a log against rate-limit policies and shows what they would have done to it.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, about)]
pub struct Args {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    Replay(Replay),
    Sample(Sample),
}

/// What would these limits have done to this traffic?
///
/// LOG is in Common or Combined Log Format (its fields are ip, user, path, status and bytes) or CSV
/// with a header line (its fields are the columns), plain or gzip. Lines are taken in order of
/// time. Every request is charged under all policies, in the order of the file, or under none.
///
/// A policy with an estimate is for costs that are known only afterwards: a request reserves the
/// estimate, and settles to its cost when it is over.
///
/// Memory: 16 + 4 k + 8 c bytes per line, for k fields that policies have for their key and c
/// costs, estimates and durations that come from the log; each distinct key once; and about 1 KiB
/// for each request that is reserved and not over.
#[derive(Debug, Parser)]
pub struct Replay {
    /// The policies (TOML)
    #[arg(long, value_name = "FILE")]
    pub policy: PathBuf,
    /// The log, or - for standard input
    #[arg(value_name = "LOG", required_unless_present = "sample")]
    pub log: Option<PathBuf>,
    /// Replay a made-up log of a day in place of LOG
    #[arg(long, conflicts_with_all = ["log", "time"])]
    pub sample: bool,
    /// The log's format; told from its first lines by default
    #[arg(long)]
    pub format: Option<Format>,
    /// The CSV column that holds the time; the first by default
    #[arg(long, value_name = "COLUMN")]
    pub time: Option<String>,
    /// Write what became of each request, as CSV
    #[arg(long, value_name = "OUT.csv")]
    pub decisions: Option<PathBuf>,
    /// Write a report with charts, as a page of HTML
    #[arg(long, value_name = "OUT.html")]
    pub report: Option<PathBuf>,
}

/// Write a made-up log to standard output
///
/// A day of traffic with crawlers and bursts of abuse: a web server's log, or, as CSV, that of an
/// LLM service. The same seed gives the same log.
#[derive(Debug, Parser)]
pub struct Sample {
    /// How many lines
    #[arg(long, default_value_t = sample::LINES)]
    pub lines: u64,
    /// Which log
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The format
    #[arg(long, default_value = "clf")]
    pub format: Format,
}
