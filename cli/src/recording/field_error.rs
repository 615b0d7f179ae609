//! Errors of policies that do not match the fields of the log.

use crate::text;
use std::fmt;
use std::path::Path;
use tollgate_policy_file::{Location, PolicySpec, Position};

/// A policy, or the duration, that does not match the fields of the log.
#[derive(Debug)]
pub struct FieldError {
    /// The place in the policy file.
    pub location: Location,
    /// The problem. Boxed, because it is large and rare.
    pub problem: Box<FieldProblem>,
}

/// A mismatch of a policy file and a log.
#[derive(Debug)]
pub enum FieldProblem {
    /// A policy without a key.
    NoKey,
    /// A field that the log does not have.
    NoField { entry: &'static str, field: String, fields: Vec<String> },
    /// A field that the log has more than once.
    TwoFields { entry: &'static str, field: String },
    /// A key that is an address with a port, brackets or a zone, or a list of addresses.
    Address { entry: &'static str, field: String, value: String, log_line: u64 },
}

impl FieldError {
    pub fn new(
        path: &Path,
        position: Position,
        spec: Option<&PolicySpec>,
        problem: FieldProblem,
    ) -> Self {
        let (path, position) = (Some(path.to_owned()), Some(position));
        let location = Location { path, position, policy: spec.map(|spec| spec.name.clone()) };
        FieldError { location, problem: Box::new(problem) }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.location, self.problem)
    }
}

impl fmt::Display for FieldProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use FieldProblem::*;
        match self {
            NoKey => {
                write!(f, "\"key\" is missing: a replay needs the field with the key, or \"*\"")
            }
            NoField { entry, field, fields } => {
                let fields = text::list(fields);
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

impl std::error::Error for FieldError {}
