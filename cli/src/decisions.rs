//! The decisions as CSV: `line,time,verdict,policy,retry_after_ms`, one row per request in time
//! order. If any policy is a dry run, a sixth column `dry_run` names the first one that would have
//! denied the request.

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
    has_dry_run: bool,
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
        let has_dry_run = policies.iter().any(|spec| spec.dry_run);
        let mut decisions =
            Decisions { path: path.to_owned(), policies, has_dry_run, out, time: Vec::new() };
        decisions.row([b"line", b"time", b"verdict", b"policy", b"retry_after_ms", b"dry_run"])?;
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
                let policy = self.name(Some(denial.policy));
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
            self.name(outcome.would_deny.first()).as_bytes(),
        ];
        self.row(fields)?;
        self.time = time;
        Ok(())
    }

    /// Flushes the buffer.
    pub fn finish(mut self) -> Result<(), WriteError> {
        self.out.flush().map_err(|error| self.fail(error))
    }

    fn name(&self, policy: Option<usize>) -> &'p str {
        policy.and_then(|policy| self.policies.get(policy)).map_or("", |spec| &spec.name)
    }

    /// Writes a row, without the last field if no policy is a dry run.
    fn row(&mut self, fields: [&[u8]; 6]) -> Result<(), WriteError> {
        let fields = &fields[..if self.has_dry_run { 6 } else { 5 }];
        self.out.write_record(fields).map_err(|error| self.fail(io::Error::from(error)))
    }

    fn fail(&self, error: io::Error) -> WriteError {
        WriteError { path: self.path.clone(), error }
    }
}
