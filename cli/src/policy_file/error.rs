//! What can be wrong with a policy file.

use std::fmt;
use std::io;
use std::path::PathBuf;
use tollgate::{ConfigError, MAX_CHARGES, MAX_RESERVED};

/// A policy file that cannot be used.
#[derive(Debug)]
pub struct PolicyFileError {
    /// The file.
    pub path: PathBuf,
    /// Where in it, when it is about one line.
    pub line: Option<usize>,
    /// The policy it is about, when it is about one that has a name.
    pub policy: Option<String>,
    /// What is wrong; boxed, as it is large and rare.
    pub problem: Box<Problem>,
}

/// What is wrong with a policy file.
#[derive(Debug)]
pub enum Problem {
    /// The file cannot be read.
    Read(io::Error),
    /// The file is not UTF-8.
    NotText,
    /// The file is not TOML.
    Syntax(String),
    /// Something else than policies and their duration at the top.
    UnknownTop { entry: String },
    /// `policy` is not a list of tables.
    NotList,
    /// No policy at all.
    NoPolicy,
    /// More policies than one request can be charged under.
    TooMany,
    /// An entry that policies do not have.
    Unknown { entry: String, known: &'static [&'static str] },
    /// An entry that every policy must have.
    Missing { entry: &'static str },
    /// An entry of the wrong kind.
    Kind { entry: &'static str, wanted: &'static str, found: &'static str },
    /// A text that must not be empty.
    EmptyText { entry: &'static str },
    /// A number out of range.
    Number { entry: &'static str, value: String, most: u64 },
    /// Numbers whose sum is too great.
    Sum { entry: &'static str },
    /// A duration's unit that is not a length of time.
    Unit { value: String },
    /// A duration where nothing is reserved, so that nothing is settled after it.
    NothingReserved,
    /// An estimate in a file of more policies than one reservation can be charged under.
    TooManyReserved { policies: usize },
    /// A window that is not a length of time.
    Window { value: String },
    /// A calendar period that does not exist.
    Calendar { value: String },
    /// Neither window nor calendar.
    NoRate,
    /// Both window and calendar.
    TwoRates,
    /// Buckets for a calendar policy, which has none.
    CalendarBuckets,
    /// A name that an earlier policy has.
    DuplicateName { first: usize },
    /// What the limiter has against the policy.
    Config(ConfigError),
    /// A field that the log does not have.
    NoField { entry: &'static str, field: String, fields: Vec<String> },
    /// A field that the log has more than once.
    TwoFields { entry: &'static str, field: String },
}

impl fmt::Display for PolicyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if let Some(policy) = &self.policy {
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
                    "unknown entry {entry:?}; a policy file holds [[policy]] tables and \"duration\""
                )
            }
            NotList => write!(f, "\"policy\" must be a list of tables: head each with [[policy]]"),
            NoPolicy => write!(f, "has no [[policy]]"),
            TooMany => write!(f, "one policy too many: at most {MAX_CHARGES} are possible"),
            Unknown { entry, known } => {
                write!(f, "unknown entry {entry:?}; the entries are {}", known.join(", "))
            }
            Missing { entry } => write!(f, "{entry:?} is missing"),
            Kind { entry, wanted, found } => {
                write!(f, "{entry:?} must be {wanted}, and is of the kind {found}")
            }
            EmptyText { entry } => write!(f, "{entry:?} is empty"),
            Number { entry, value, most } => {
                // As it stands in the file, which may hold anything.
                let value = value.escape_debug();
                write!(f, "{entry:?} is {value} and must be from 1 to {most}")
            }
            Sum { entry } => write!(f, "{entry:?} adds up to more than 64 bits hold"),
            Unit { value } => write!(
                f,
                "\"unit\" is {value:?} and must be a whole number with a unit (us, ms, s, m, h or d), such as \"20ms\""
            ),
            NothingReserved => {
                write!(f, "\"duration\" is for policies with \"estimate\", and there is none")
            }
            TooManyReserved { policies } => write!(
                f,
                "\"estimate\" is for files of at most {MAX_RESERVED} policies, and this one has {policies}"
            ),
            Window { value } => write!(
                f,
                "\"window\" is {value:?} and must be a whole number with a unit (ms, s, m, h or d), such as \"90s\""
            ),
            Calendar { value } => {
                write!(f, "\"calendar\" is {value:?} and must be \"hour\", \"day\" or \"month\"")
            }
            NoRate => write!(f, "\"window\" or \"calendar\" is missing"),
            TwoRates => write!(f, "\"window\" and \"calendar\" exclude each other"),
            CalendarBuckets => write!(f, "\"buckets\" is for windows; calendar policies are exact"),
            DuplicateName { first } => write!(f, "\"name\" is taken by the policy in line {first}"),
            Config(error) => write!(f, "{error}"),
            NoField { entry, field, fields } => {
                let fields = crate::text::list(fields);
                write!(
                    f,
                    "{entry:?} is {field:?}, which is not a field of the log; its fields are {fields}"
                )
            }
            TwoFields { entry, field } => {
                write!(f, "{entry:?} is {field:?}, which is more than one column of the log")
            }
        }
    }
}

impl std::error::Error for PolicyFileError {}
