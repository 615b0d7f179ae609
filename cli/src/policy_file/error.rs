//! Errors of a policy file.

use std::fmt;
use std::io;
use std::path::PathBuf;
use tollgate::{ConfigError, MAX_CHARGES, MAX_RESERVED, MAX_WINDOW, MIN_WINDOW};

/// A policy file that cannot be used.
#[derive(Debug)]
pub struct PolicyFileError {
    /// The file.
    pub path: PathBuf,
    /// The 1-based line, if the error belongs to one line.
    pub line: Option<usize>,
    /// The name of the policy, if the error belongs to a policy with a name.
    pub policy: Option<String>,
    /// The problem. Boxed, because it is large and rare.
    pub problem: Box<Problem>,
}

/// A problem of a policy file.
#[derive(Debug)]
pub enum Problem {
    /// The file cannot be read.
    Read(io::Error),
    /// The file is not UTF-8.
    NotText,
    /// The file is not TOML.
    Syntax(String),
    /// A top-level entry other than `policy` and `duration`.
    UnknownTop { entry: String },
    /// `policy` is not a list of tables.
    NotList,
    /// A file without policies.
    NoPolicy,
    /// More policies than one request can charge.
    TooMany,
    /// An unknown entry.
    Unknown { entry: String, known: &'static [&'static str] },
    /// A missing entry that is required.
    Missing { entry: &'static str },
    /// An entry of the wrong type.
    WrongType { entry: &'static str, expected: &'static str, found: &'static str },
    /// An empty string or list.
    Empty { entry: &'static str },
    /// A number out of range.
    Number { entry: &'static str, value: String, min: u64, max: u64 },
    /// Numbers whose sum exceeds 64 bits.
    Sum { entry: &'static str },
    /// A unit of the duration that is not a length of time.
    Unit { value: String },
    /// A duration in a file without estimates.
    DurationWithoutEstimate,
    /// An estimate in a file with more policies than one reservation can charge.
    TooManyReserved { policies: usize },
    /// A window that is not a length of time.
    Window { value: String },
    /// A window that is too short or too long.
    WindowRange { value: String },
    /// A name that the limiter rejects.
    Name { value: String },
    /// An entry that applies only to the key of a field.
    SharedKey { entry: &'static str },
    /// An unknown calendar period.
    Calendar { value: String },
    /// Neither window nor calendar.
    NoRate,
    /// Both window and calendar.
    TwoRates,
    /// Buckets for a calendar policy, which has none.
    CalendarBuckets,
    /// A name that an earlier policy already uses.
    DuplicateName { first: usize },
    /// The limiter's reason to reject the policy.
    Config(ConfigError),
    /// A field that the log does not have.
    NoField { entry: &'static str, field: String, fields: Vec<String> },
    /// A field that the log has more than once.
    TwoFields { entry: &'static str, field: String },
    /// A key that is an address with a port, brackets or a zone, or a list of addresses.
    Address { entry: &'static str, field: String, value: String, log_line: u64 },
}

impl fmt::Display for PolicyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        // Some errors of the limiter name the policy.
        let names_policy = matches!(*self.problem, Problem::Config(_));
        if let Some(policy) = self.policy.as_ref().filter(|_| !names_policy) {
            write!(f, " policy {policy:?}:")?;
        }
        write!(f, " {}", self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Problem::*;
        match self {
            Read(error) => write!(f, "cannot be read: {error}"),
            NotText => write!(f, "is not UTF-8 text"),
            Syntax(message) => write!(f, "{}", message.replace('\n', "; ")),
            UnknownTop { entry } => {
                write!(
                    f,
                    "unknown entry {entry:?}; valid entries are [[policy]] tables and \"duration\""
                )
            }
            NotList => write!(f, "\"policy\" must be a list of tables; start each with [[policy]]"),
            NoPolicy => write!(f, "the file has no policy; add a [[policy]] table"),
            TooMany => write!(f, "too many policies: at most {MAX_CHARGES} are allowed"),
            Unknown { entry, known } => {
                write!(f, "unknown entry {entry:?}; valid entries are {}", known.join(", "))
            }
            Missing { entry } => write!(f, "{entry:?} is missing"),
            WrongType { entry, expected, found } => {
                write!(f, "{entry:?} must be {expected}, but its type is {found}")
            }
            Empty { entry } => write!(f, "{entry:?} is empty"),
            Number { entry, value, min, max } => {
                // Escaped: the raw value may contain control characters.
                let value = value.escape_debug();
                write!(f, "{entry:?} is {value}, but must be from {min} to {max}")
            }
            Sum { entry } => write!(f, "the sum of the numbers in {entry:?} exceeds 64 bits"),
            Unit { value } => write!(
                f,
                "\"unit\" is {value:?}, but must be a whole number with a unit (us, ms, s, m, h or d), such as \"20ms\""
            ),
            DurationWithoutEstimate => {
                write!(f, "\"duration\" needs a policy with \"estimate\"; add one, or remove it")
            }
            TooManyReserved { policies } => write!(
                f,
                "\"estimate\" is allowed in files with at most {MAX_RESERVED} policies, but this file has {policies}"
            ),
            Window { value } => write!(
                f,
                "\"window\" is {value:?}, but must be a whole number with a unit (ms, s, m, h or d), such as \"90s\""
            ),
            WindowRange { value } => {
                let [min, max] = [MIN_WINDOW, MAX_WINDOW].map(|window| {
                    crate::log::time::span(u64::try_from(window.as_nanos()).unwrap_or(u64::MAX))
                });
                write!(f, "\"window\" is {value:?}, but must be from {min} to {max}")
            }
            Name { value } => write!(
                f,
                "\"name\" is {value:?}, but must have 1 to 64 characters, all of them printable ASCII"
            ),
            SharedKey { entry } => {
                write!(f, "{entry:?} applies only if \"key\" is a field; remove it")
            }
            Calendar { value } => {
                write!(f, "\"calendar\" is {value:?}, but must be \"hour\", \"day\" or \"month\"")
            }
            NoRate => write!(f, "\"window\" or \"calendar\" is missing"),
            TwoRates => write!(f, "\"window\" and \"calendar\" exclude each other; remove one"),
            CalendarBuckets => write!(f, "\"buckets\" does not apply to \"calendar\"; remove it"),
            DuplicateName { first } => {
                write!(f, "\"name\" is already used by the policy in line {first}")
            }
            Config(error) => write!(f, "{error}"),
            NoField { entry, field, fields } => {
                let fields = crate::text::list(fields);
                write!(
                    f,
                    "{entry:?} is {field:?}, which is not a field of the log; its fields are {fields}"
                )
            }
            TwoFields { entry, field } => {
                write!(
                    f,
                    "{entry:?} is {field:?}, but the log has more than one column of this name"
                )
            }
            Address { entry, field, value, log_line } => write!(
                f,
                "{entry:?} is {field:?}, which is \"{value}\" in line {log_line} of the log; add address = \
                 true to count by address, or address = false to count by text"
            ),
        }
    }
}

impl std::error::Error for PolicyFileError {}
