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

use crate::log::{Reason, Request, Sink, time};
use crate::policy_file::{CostSpec, KeySpec, PolicyFile, PolicyFileError, PolicySpec, Problem};
use crate::text;
use indexmap::IndexSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;
use tollgate::Key;

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

/// The key, the cost and the estimate of a policy: columns of the recording, or fixed numbers.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The index of the key column; `None` for the shared key.
    pub key: Option<usize>,
    cost: Cost,
    estimate: Option<Cost>,
}

#[derive(Clone, Copy, Debug)]
enum Cost {
    Fixed(u64),
    Column(usize),
}

impl Binding {
    /// Returns whether requests reserve an estimate under this policy.
    pub fn is_estimated(&self) -> bool {
        self.estimate.is_some()
    }
}

/// A field that policies use as key.
#[derive(Debug)]
pub struct KeyColumn {
    /// The field's index among the fields of the log.
    field: usize,
    is_ip: bool,
    texts: IndexSet<Box<str>>,
}

/// The sum of a fixed number and of fields.
#[derive(Debug)]
struct CostColumn {
    fixed: u64,
    fields: Vec<usize>,
    /// Its entry in the first policy that uses it: "cost" or "estimate".
    entry: &'static str,
}

/// The field with the duration of a request, and its unit.
#[derive(Clone, Copy, Debug)]
struct DurationColumn {
    field: usize,
    unit: Duration,
}

/// The columns that the policies need. Created when the fields of the log are known.
#[derive(Debug)]
struct Columns {
    keys: Vec<KeyColumn>,
    costs: Vec<CostColumn>,
    duration: Option<DurationColumn>,
    bindings: Vec<Binding>,
}

/// All requests of a log.
#[derive(Debug)]
pub struct Recording {
    stamps: Vec<Stamp>,
    /// For each row, the number of its key in each key column.
    keys: Vec<u32>,
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
    Policy(PolicyFileError),
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
                    .map_err(RecordError::Policy)?;
                self.recording.insert(Recording::new(columns))
            }
        };
        let (Ok(line), Ok(row)) =
            (u32::try_from(request.line), u32::try_from(recording.stamps.len()))
        else {
            return Err(RecordError::TooManyLines);
        };
        if let Err(reason) = recording.push_numbers(request) {
            return Ok(Err(reason));
        }
        for column in &mut recording.columns.keys {
            let key = column.intern(request.values.get(column.field), &mut self.scratch);
            recording.keys.push(key);
        }
        recording.stamps.push(Stamp { unix_ns: request.unix_ns, row, line });
        Ok(Ok(()))
    }
}

impl Columns {
    fn bind(path: &Path, file: &PolicyFile, names: &[String]) -> Result<Self, PolicyFileError> {
        let find = |spec: Option<&PolicySpec>, line, entry, field: &str| {
            let mut matches = (0..names.len()).filter(|index| names[*index] == field);
            let problem = match (matches.next(), matches.next()) {
                (Some(index), None) => return Ok(index),
                (Some(_), Some(_)) => Problem::TwoFields { entry, field: field.to_owned() },
                (None, _) => {
                    Problem::NoField { entry, field: field.to_owned(), fields: names.to_vec() }
                }
            };
            let (path, policy) = (path.to_owned(), spec.map(|spec| spec.name.clone()));
            Err(PolicyFileError { path, line: Some(line), policy, problem: Box::new(problem) })
        };
        let mut columns =
            Columns { keys: Vec::new(), costs: Vec::new(), duration: None, bindings: Vec::new() };
        if let Some(duration) = &file.duration {
            let field = find(None, duration.line, "duration", &duration.field)?;
            columns.duration = Some(DurationColumn { field, unit: duration.unit });
        }
        for spec in &file.policies {
            let key = match &spec.key {
                KeySpec::Shared => None,
                KeySpec::Field(field) => {
                    let index = find(Some(spec), spec.key_line, "key", field)?;
                    Some(columns.key(index, field == "ip"))
                }
            };
            let mut bind = |cost: &CostSpec, line, entry| {
                let fields = cost.fields.iter().map(|field| find(Some(spec), line, entry, field));
                let fields = fields.collect::<Result<_, _>>()?;
                Ok(columns.cost(CostColumn { fixed: cost.fixed, fields, entry }))
            };
            let cost = bind(&spec.cost, spec.cost_line, "cost")?;
            let estimate = spec.estimate.as_ref();
            let estimate = estimate.map(|cost| bind(cost, spec.estimate_line, "estimate"));
            columns.bindings.push(Binding { key, cost, estimate: estimate.transpose()? });
        }
        Ok(columns)
    }

    fn key(&mut self, field: usize, is_ip: bool) -> usize {
        let existing = self.keys.iter().position(|column| column.field == field);
        existing.unwrap_or_else(|| {
            self.keys.push(KeyColumn { field, is_ip, texts: IndexSet::new() });
            self.keys.len() - 1
        })
    }

    fn cost(&mut self, column: CostColumn) -> Cost {
        if column.fields.is_empty() {
            return Cost::Fixed(column.fixed);
        }
        let same =
            |other: &CostColumn| (other.fixed, &other.fields) == (column.fixed, &column.fields);
        let existing = self.costs.iter().position(same);
        Cost::Column(existing.unwrap_or_else(|| {
            self.costs.push(column);
            self.costs.len() - 1
        }))
    }
}

impl KeyColumn {
    /// The number of this key. In the `ip` column, all spellings of one address have the same number, and so
    /// have all addresses of one IPv6 /64 network.
    fn intern(&mut self, value: &[u8], scratch: &mut String) -> u32 {
        scratch.clear();
        scratch.push_str(&String::from_utf8_lossy(value));
        if self.is_ip
            && let Ok(address) = scratch.parse::<IpAddr>()
        {
            scratch.clear();
            let written = match address.to_canonical() {
                IpAddr::V4(address) => write!(scratch, "{address}"),
                IpAddr::V6(address) => write!(scratch, "{}/64", network(address)),
            };
            debug_assert!(written.is_ok(), "writing to a String cannot fail");
        }
        let number = match self.texts.get_index_of(scratch.as_str()) {
            Some(number) => number,
            None => self.texts.insert_full(scratch.as_str().into()).0,
        };
        // Lossless: there are at most as many keys as rows, and a row fits in 32 bits.
        number as u32
    }

    /// The number of distinct keys.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// The text of a key. In the `ip` column, the key of an IPv6 address is its /64 network.
    pub fn text(&self, key: u32) -> &str {
        self.texts.get_index(key as usize).map_or("", |text| text)
    }

    /// The keys of the limiter, indexed by number.
    pub fn keys(&self) -> Vec<Key<'_>> {
        let key = |text: &'_ str| {
            let address = text.strip_suffix("/64").unwrap_or(text).parse::<IpAddr>();
            address.ok().filter(|_| self.is_ip).map(Key::from)
        };
        self.texts.iter().map(|text| key(text).unwrap_or_else(|| Key::from(&**text))).collect()
    }
}

/// The first 64 bits of an address.
fn network(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))
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

    /// The number of a row's key in a key column.
    pub fn key(&self, row: u32, column: usize) -> u32 {
        self.keys[row as usize * self.columns.keys.len() + column]
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

impl CostColumn {
    fn sum(&self, request: &Request<'_>) -> Result<u64, Reason> {
        let entry = self.entry;
        self.fields.iter().try_fold(self.fixed, |sum, field| {
            let value = request.values.get(*field).trim_ascii();
            let cost = match value {
                b"-" => 0,
                _ => std::str::from_utf8(value)
                    .ok()
                    .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
                    .and_then(|digits| digits.parse().ok())
                    .ok_or_else(|| {
                        let (field, value) = quoted(request, *field);
                        Reason::Cost { entry, field, value }
                    })?,
            };
            sum.checked_add(cost).ok_or(Reason::CostSum { entry })
        })
    }
}

impl DurationColumn {
    /// The duration of the request; `u64::MAX` if it does not fit.
    fn duration_ns(self, request: &Request<'_>) -> Result<u64, Reason> {
        let value = request.values.get(self.field).trim_ascii();
        let length = if value == b"-" { Some(0) } else { time::length_ns(value, self.unit) };
        length.ok_or_else(|| {
            let (field, value) = quoted(request, self.field);
            Reason::Duration { field, value }
        })
    }
}

/// The name and the value of a field, for a message.
fn quoted(request: &Request<'_>, field: usize) -> (String, String) {
    let name = request.names.get(field).cloned().unwrap_or_default();
    (name, text::excerpt(request.values.get(field).trim_ascii()))
}

impl std::fmt::Display for RecordError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RecordError::Policy(error) => error.fmt(f),
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

    #[test]
    fn spellings_of_one_address_or_network_have_one_number() {
        let mut column = KeyColumn { field: 0, is_ip: true, texts: IndexSet::new() };
        let mut scratch = String::new();
        let mut number = |text: &str| column.intern(text.as_bytes(), &mut scratch);
        assert_eq!(number("192.0.2.1"), 0);
        assert_eq!(number("::ffff:192.0.2.1"), 0);
        assert_eq!(number("2001:db8::1"), 1);
        assert_eq!(number("2001:DB8::2"), 1);
        assert_eq!(number("2001:db8:0:1::1"), 2);
        assert_eq!(number("host.example"), 3);
        assert_eq!(column.text(1), "2001:db8::/64");
        let address: IpAddr = "2001:db8::9".parse().unwrap();
        assert_eq!(column.keys()[1], Key::from(address));
        assert_eq!(column.keys()[3], Key::from("host.example"));
    }
}
