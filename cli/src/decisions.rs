//! The decisions as CSV: `line,time,verdict,policy,retry_after_ms`, one row per request in time
//! order.

use crate::log::time;
use crate::replay::Outcome;
use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use tollgate_policy_file::PolicySpec;

/// A writer of decisions.
pub struct Decisions<'p> {
    path: PathBuf,
    policies: &'p [PolicySpec],
    out: csv::Writer<File>,
    time: Vec<u8>,
}

/// A failure to write a file.
#[derive(Debug)]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// The cause.
    pub error: io::Error,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: cannot be written: {}", self.path.display(), self.error)
    }
}

impl std::error::Error for WriteError {}

impl<'p> Decisions<'p> {
    /// Creates the file and writes the header.
    pub fn create(path: &Path, policies: &'p [PolicySpec]) -> Result<Self, WriteError> {
        let file = File::create(path);
        let fail = |error| WriteError { path: path.to_owned(), error };
        let out =
            csv::WriterBuilder::new().buffer_capacity(1 << 18).from_writer(file.map_err(fail)?);
        let mut decisions = Decisions { path: path.to_owned(), policies, out, time: Vec::new() };
        decisions.row([b"line", b"time", b"verdict", b"policy", b"retry_after_ms"])?;
        Ok(decisions)
    }

    /// Writes one decision.
    pub fn write(&mut self, outcome: &Outcome) -> Result<(), WriteError> {
        let line = outcome.stamp.line.to_string();
        let mut time = std::mem::take(&mut self.time);
        time.clear();
        write!(time, "{}", time::rfc3339(outcome.stamp.unix_ns))
            .map_err(|error| self.fail(error))?;
        let (verdict, policy, retry_after_ms) = match outcome.denial {
            None => ("admit", "", "0".to_owned()),
            Some(denial) => {
                let policy = self.policies.get(denial.policy).map_or("", |spec| &spec.name);
                let wait = denial.retry_after.map(|wait| wait.as_nanos().div_ceil(1_000_000));
                ("deny", policy, wait.map_or("-1".to_owned(), |wait| wait.to_string()))
            }
        };
        let fields = [
            line.as_bytes(),
            &time,
            verdict.as_bytes(),
            policy.as_bytes(),
            retry_after_ms.as_bytes(),
        ];
        self.row(fields)?;
        self.time = time;
        Ok(())
    }

    /// Flushes the buffer.
    pub fn finish(mut self) -> Result<(), WriteError> {
        self.out.flush().map_err(|error| self.fail(error))
    }

    fn row(&mut self, fields: [&[u8]; 5]) -> Result<(), WriteError> {
        self.out.write_record(fields).map_err(|error| self.fail(io::Error::from(error)))
    }

    fn fail(&self, error: io::Error) -> WriteError {
        WriteError { path: self.path.clone(), error }
    }
}
