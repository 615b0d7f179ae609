//! Errors of a whole log, and of single lines.

use super::time::TimeError;
use super::{Format, MAX_LINE};
use crate::text;
use std::fmt;
use std::io;

/// A log that cannot be read.
#[derive(Debug)]
pub enum LogError {
    /// It cannot be opened.
    Open { name: String, error: io::Error },
    /// It is a directory.
    Directory { name: String },
    /// A read failed after the log was opened.
    Read { name: String, gzip: bool, error: io::Error },
    /// It has no lines.
    Empty { name: String },
    /// Its header lacks the column of an option.
    NoColumn { name: String, option: &'static str, column: String, columns: Vec<String> },
    /// None of its lines could be read in any of the formats tried.
    NothingParsed { name: String, tried: Vec<(Format, Unparsable)> },
}

/// The unreadable lines of a log.
#[derive(Debug, Default)]
pub struct Unparsable {
    /// Their number.
    pub count: u64,
    /// The first few of them.
    pub first: Vec<Problem>,
}

/// An unreadable line.
#[derive(Debug)]
pub struct Problem {
    /// Its 1-based number.
    pub line: u64,
    /// The start of its text.
    pub excerpt: String,
    /// The reason.
    pub reason: Reason,
}

/// The reason why a line could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The line, or the text of the CSV record that it is part of, is longer than [`MAX_LINE`].
    TooLong,
    /// A missing part of Common Log Format.
    NoPart(&'static str),
    /// Two addresses in front of the time, of which either may be the client.
    TwoAddresses { host: String, ident: String },
    /// A part of Common Log Format that is not a number.
    BadPart { part: &'static str, value: String },
    /// A first line of a CSV log that looks like a request.
    NoHeader,
    /// A time that cannot be used.
    Time { value: String, error: TimeError },
    /// A number of fields that differs from that of the header, or of the first line if there is no header.
    FieldCount { found: usize, first: usize, is_header: bool },
    /// A quote that is not closed before the end of the log.
    OpenQuote,
    /// A cost or an estimate that is not a whole number.
    Cost { entry: &'static str, field: String, value: String },
    /// Costs or estimates whose sum exceeds 64 bits.
    CostSum { entry: &'static str },
    /// A duration that is not a decimal number.
    Duration { field: String, value: String },
}

/// The number of unreadable lines that are shown.
const SHOWN: usize = 3;

impl Unparsable {
    /// Counts a line, and keeps it if it is one of the first.
    pub fn add(&mut self, line: u64, excerpt: impl FnOnce() -> String, reason: Reason) {
        self.count += 1;
        if self.first.len() < SHOWN {
            self.first.push(Problem { line, excerpt: excerpt(), reason });
        }
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::Open { name, error } => write!(f, "{name}: cannot be opened: {error}"),
            LogError::Directory { name } => write!(f, "{name}: is a directory; give a log file"),
            LogError::Read { name, gzip: true, error }
                if error.kind() == io::ErrorKind::UnexpectedEof =>
            {
                write!(f, "{name}: the gzip data is truncated")
            }
            LogError::Read { name, gzip: true, error } => {
                write!(f, "{name}: the gzip data cannot be read: {error}")
            }
            LogError::Read { name, gzip: false, error } => {
                write!(f, "{name}: cannot be read: {error}")
            }
            LogError::Empty { name } => write!(f, "{name}: the log is empty"),
            LogError::NoColumn { name, option, column, columns } => write!(
                f,
                "{name}: has no column {column:?}; set {option} to one of its columns: {}",
                text::list(columns)
            ),
            LogError::NothingParsed { name, tried } => {
                write!(f, "{name}: no line could be read; check --format and --time")?;
                tried.iter().try_for_each(|(format, unparsable)| {
                    write!(f, "\n  as {}:", format.title())?;
                    match unparsable.count {
                        0 => write!(f, " no requests"),
                        _ => write!(f, "\n{unparsable}"),
                    }
                })
            }
        }
    }
}

impl Format {
    fn title(self) -> &'static str {
        match self {
            Format::Clf => "Common Log Format",
            Format::Csv => "CSV",
        }
    }
}

impl fmt::Display for Unparsable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.first.iter().enumerate() {
            let end = if index > 0 { "\n" } else { "" };
            write!(f, "{end}    line {}: {}: {}", problem.line, problem.reason, problem.excerpt)?;
        }
        match self.count.saturating_sub(self.first.len() as u64) {
            0 => Ok(()),
            more => write!(f, "\n    and {} more", text::thousands(more)),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::TooLong => write!(f, "the line is longer than {} MiB", MAX_LINE >> 20),
            Reason::NoPart(part) => write!(f, "the {part} is missing"),
            Reason::TwoAddresses { host, ident } => write!(
                f,
                "the host and the ident are addresses, {host:?} and {ident:?}, and either may be the client"
            ),
            Reason::NoHeader => write!(
                f,
                "the first line looks like a request, not like a header; if so, add --no-header, which names \
                 the columns 1, 2, 3 and so on"
            ),
            Reason::BadPart { part, value } => write!(f, "the {part} is not a number: {value:?}"),
            Reason::Time { value, error } => write!(f, "the time {value:?} {error}"),
            Reason::FieldCount { found, first, is_header } => {
                let name = if *is_header { "header" } else { "first line" };
                write!(f, "{found} fields, but the {name} has {first}")
            }
            Reason::OpenQuote => write!(f, "a quote is not closed before the end of the log"),
            Reason::Cost { entry, field, value } => {
                write!(f, "the {entry} {field:?} is not a whole number: {value:?}")
            }
            Reason::CostSum { entry } => {
                write!(f, "the sum of the {entry}s exceeds 64 bits")
            }
            Reason::Duration { field, value } => {
                write!(f, "the duration {field:?} is not a decimal number: {value:?}")
            }
        }
    }
}

impl std::error::Error for LogError {}
