//! A compact copy of a log in memory, with only the data that a replay needs.
//!
//! # Memory
//!
//! A line takes `16 + 4 k + 8 c` bytes. The 16 bytes are 8 for its time, 4 for its line number and
//! 4 for its row. Each of the `k` log fields used as keys takes 4 bytes. Each of the `c` costs,
//! estimates and durations read from the log takes 8 bytes. Policies with the same key or cost
//! share a column.
//!
//! The text of each distinct key is stored once per field. Each key also takes memory in the
//! limiter and in the tally. The text of the lines is not kept.

mod amount;
mod columns;
mod field_error;
mod key;

use crate::log::{Reason, Request, Sink};
use crate::{text, value};
use columns::{Columns, Cost};
use key::KeyNumber;
use std::path::Path;
use tollgate_policy_file::PolicyFile;

pub use columns::{Binding, KeyBinding};
pub use field_error::{FieldError, FieldProblem};
pub use key::KeyColumn;

/// The time and the line of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Its time, in nanoseconds since 1970.
    pub unix_ns: u64,
    /// Its index in the order of the log, and in the columns of keys and costs.
    pub row: u32,
    /// The 1-based number of its line.
    pub line: u32,
}

/// The key that a row is charged to under a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKey {
    /// The key that all rows share.
    Shared,
    /// A key of a key column.
    InColumn { column: usize, index: usize },
}

/// All requests of a log.
#[derive(Debug)]
pub struct Recording {
    stamps: Vec<Stamp>,
    /// For each row, the number of its key in each key column.
    keys: Vec<KeyNumber>,
    /// For each row, its cost in each cost column.
    costs: Vec<u64>,
    /// For each row, its duration; empty if the policy file sets no duration.
    durations_ns: Vec<u64>,
    columns: Columns,
}

/// A sink that builds a [`Recording`] from the requests of a log.
#[derive(Debug)]
pub struct Recorder<'p> {
    path: &'p Path,
    file: &'p PolicyFile,
    recording: Option<Recording>,
    scratch: String,
}

/// The reason why a log cannot be recorded.
#[derive(Debug)]
pub enum RecordError {
    /// A policy, or the duration, does not match the fields of the log.
    Fields(FieldError),
    /// More lines than 32 bits can number.
    TooManyLines,
}

impl<'p> Recorder<'p> {
    /// Creates a recorder for the policies of `file`. `path` is its name in messages.
    pub fn new(path: &'p Path, file: &'p PolicyFile) -> Self {
        Recorder { path, file, recording: None, scratch: String::new() }
    }

    /// Returns the recording in time order; `None` if there was no request. Requests with equal times stay
    /// in the order of the log.
    pub fn finish(self) -> Option<Recording> {
        let mut recording = self.recording?;
        recording.stamps.sort_unstable_by_key(|stamp| (stamp.unix_ns, stamp.row));
        Some(recording)
    }
}

impl Sink for Recorder<'_> {
    type Error = RecordError;

    fn request(&mut self, request: &Request<'_>) -> Result<Result<(), Reason>, RecordError> {
        let recording = match &mut self.recording {
            Some(recording) => recording,
            None => {
                let columns = Columns::bind(self.path, self.file, request.names)
                    .map_err(RecordError::Fields)?;
                self.recording.insert(Recording::new(columns))
            }
        };
        let (Ok(line), Ok(row)) =
            (u32::try_from(request.line), u32::try_from(recording.stamps.len()))
        else {
            return Err(RecordError::TooManyLines);
        };
        // The greatest number means an absent key.
        if row == u32::MAX {
            return Err(RecordError::TooManyLines);
        }
        if let Err(reason) = recording.push_numbers(request) {
            return Ok(Err(reason));
        }
        if let Err(undecided) = recording.push_keys(request, &mut self.scratch) {
            let columns = &recording.columns;
            let error = columns.undecided(self.path, self.file, request.line, undecided);
            return Err(RecordError::Fields(error));
        }
        recording.stamps.push(Stamp { unix_ns: request.unix_ns, row, line });
        Ok(Ok(()))
    }
}

impl Recording {
    fn new(columns: Columns) -> Self {
        let (keys, costs, durations_ns) = (Vec::new(), Vec::new(), Vec::new());
        Recording { stamps: Vec::new(), keys, costs, durations_ns, columns }
    }

    /// Adds all costs and the duration of a request. Adds nothing on error.
    fn push_numbers(&mut self, request: &Request<'_>) -> Result<(), Reason> {
        let duration_ns =
            self.columns.duration.map(|column| column.duration_ns(request)).transpose()?;
        let before = self.costs.len();
        for column in &self.columns.costs {
            match column.sum(request) {
                Ok(cost) => self.costs.push(cost),
                Err(reason) => {
                    self.costs.truncate(before);
                    return Err(reason);
                }
            }
        }
        self.durations_ns.extend(duration_ns);
        self.columns.numbers.iter_mut().for_each(|number| number.count(request));
        Ok(())
    }

    /// Adds the keys of a request.
    fn push_keys(
        &mut self,
        request: &Request<'_>,
        scratch: &mut String,
    ) -> Result<(), key::Undecided> {
        for column in &mut self.columns.keys {
            self.keys.push(column.add(request.values.get(column.field()), scratch)?);
        }
        Ok(())
    }

    /// The time and line of each request, in time order.
    pub fn stamps(&self) -> &[Stamp] {
        &self.stamps
    }

    /// The columns of each policy, in the order of the file.
    pub fn bindings(&self) -> &[Binding] {
        &self.columns.bindings
    }

    /// The fields that policies use as keys.
    pub fn key_columns(&self) -> &[KeyColumn] {
        &self.columns.keys
    }

    /// The key that a row is charged to under a policy; `None` if it is not charged.
    pub fn key(&self, row: u32, binding: Binding) -> Option<RowKey> {
        let index = |column| key::index(self.keys[row as usize * self.columns.keys.len() + column]);
        let in_column = |column| index(column).map(|index| RowKey::InColumn { column, index });
        match binding.key {
            KeyBinding::Shared => Some(RowKey::Shared),
            KeyBinding::Column { first, other } => {
                in_column(first).or_else(|| other.and_then(in_column))
            }
        }
    }

    /// The number of distinct keys of a policy.
    pub fn key_count(&self, binding: Binding) -> usize {
        let count = |column: usize| self.columns.keys[column].len();
        match binding.key {
            KeyBinding::Shared => 1,
            KeyBinding::Column { first, other } => count(first) + other.map_or(0, count),
        }
    }

    /// The index of a key among those of a policy.
    pub fn key_index(&self, key: RowKey, binding: Binding) -> usize {
        match (key, binding.key) {
            (RowKey::InColumn { column, index }, KeyBinding::Column { first, .. })
                if column != first =>
            {
                self.columns.keys[first].len() + index
            }
            (RowKey::InColumn { index, .. }, _) => index,
            (RowKey::Shared, _) => 0,
        }
    }

    /// The text of a key by its index among those of a policy.
    pub fn key_text(&self, index: usize, binding: Binding) -> &str {
        let text = |column: usize, index| self.columns.keys[column].text(index);
        match binding.key {
            KeyBinding::Shared => "*",
            KeyBinding::Column { first, other } => {
                match (index.checked_sub(self.columns.keys[first].len()), other) {
                    (Some(index), Some(other)) => text(other, index),
                    _ => text(first, index),
                }
            }
        }
    }

    /// The number of requests that are not charged under a policy, because they have no key.
    pub fn uncharged(&self, binding: Binding) -> u64 {
        let rows = self.stamps.iter().map(|stamp| stamp.row);
        rows.filter(|row| self.key(*row, binding).is_none()).count() as u64
    }

    /// The names of the log's fields.
    pub fn names(&self) -> &[String] {
        &self.columns.names
    }

    /// The fields with costs, estimates or durations that are absent in some request, and in how many.
    pub fn absent_numbers(&self) -> impl Iterator<Item = (&str, u64)> {
        let absent = self.columns.numbers.iter().filter(|number| number.absent > 0);
        absent.map(|number| (self.columns.names[number.field].as_str(), number.absent))
    }

    /// The cost of a row under a policy.
    pub fn cost(&self, row: u32, binding: Binding) -> u64 {
        self.amount(row, binding.cost)
    }

    /// The amount that a row reserves under a policy; `None` if the policy has no estimate.
    pub fn estimate(&self, row: u32, binding: Binding) -> Option<u64> {
        binding.estimate.map(|estimate| self.amount(row, estimate))
    }

    /// Returns whether any policy has an estimate. If so, every request is reserved.
    pub fn is_reserved(&self) -> bool {
        self.columns.bindings.iter().any(Binding::is_estimated)
    }

    /// The time when a request ends and its cost is known: its start if there is no duration.
    pub fn end_ns(&self, stamp: Stamp) -> u64 {
        let duration_ns = self.durations_ns.get(stamp.row as usize).copied().unwrap_or(0);
        stamp.unix_ns.saturating_add(duration_ns)
    }

    fn amount(&self, row: u32, cost: Cost) -> u64 {
        match cost {
            Cost::Fixed(cost) => cost,
            Cost::Column(column) => self.costs[row as usize * self.columns.costs.len() + column],
        }
    }

    /// The bytes of memory per line; see the module documentation.
    pub fn bytes_per_line(&self) -> usize {
        size_of::<Stamp>()
            + size_of::<u32>() * self.columns.keys.len()
            + size_of::<u64>() * self.columns.costs.len()
            + size_of::<u64>() * usize::from(self.columns.duration.is_some())
    }
}

/// The name and the value of a field, for a message.
fn quoted(request: &Request<'_>, field: usize) -> (String, String) {
    let name = request.names.get(field).cloned().unwrap_or_default();
    (name, text::excerpt(value::trim(request.values.get(field))))
}

impl std::fmt::Display for RecordError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RecordError::Fields(error) => error.fmt(f),
            RecordError::TooManyLines => {
                write!(f, "the log has too many lines: a replay holds at most {}", u32::MAX)
            }
        }
    }
}

impl std::error::Error for RecordError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_takes_16_bytes() {
        assert_eq!(size_of::<Stamp>(), 16);
    }
}
