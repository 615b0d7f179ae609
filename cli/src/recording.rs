//! A log in memory, as small as a replay needs it.
//!
//! # Memory
//!
//! A line takes `16 + 4 k + 8 c` bytes: 8 for its time, 4 for its number, 4 for its place, 4 for each
//! of the `k` fields that some policy has for its key, and 8 for each of the `c` costs that come from
//! the log. Policies with the same key or cost share them. A distinct key's text is kept once per
//! field, and beside it what the limiter and the counts take for a key. Lines are not kept.

use crate::log::{Reason, Request, Sink};
use crate::policy_file::{CostSpec, KeySpec, PolicyFileError, PolicySpec, Problem};
use crate::text;
use indexmap::IndexSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use tollgate::Key;

/// When a line's request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// In nanoseconds since 1970.
    pub unix_ns: u64,
    /// The order in which the lines were read; where the line's keys and costs are.
    pub row: u32,
    /// The 1-based number of the line.
    pub line: u32,
}

/// What a policy charges, in terms of the recording.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// Which key column; none for the shared key.
    pub key: Option<usize>,
    cost: Cost,
}

#[derive(Clone, Copy, Debug)]
enum Cost {
    Fixed(u64),
    Column(usize),
}

/// One field that policies have for their key.
#[derive(Debug)]
pub struct KeyColumn {
    /// The field's index in the log.
    field: usize,
    is_ip: bool,
    texts: IndexSet<Box<str>>,
}

/// The sum of these fields.
#[derive(Debug, PartialEq, Eq)]
struct CostColumn {
    fields: Vec<usize>,
}

/// The columns that the policies need, known once the log's fields are.
#[derive(Debug)]
struct Columns {
    keys: Vec<KeyColumn>,
    costs: Vec<CostColumn>,
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
    columns: Columns,
}

/// Takes a log's requests and makes a [`Recording`] of them.
#[derive(Debug)]
pub struct Recorder<'p> {
    path: &'p Path,
    policies: &'p [PolicySpec],
    recording: Option<Recording>,
    scratch: String,
}

/// Why a log cannot be recorded.
#[derive(Debug)]
pub enum RecordError {
    /// A policy and the log's fields do not go together.
    Policy(PolicyFileError),
    /// More lines than can be told apart.
    TooManyLines,
}

impl<'p> Recorder<'p> {
    /// Records what these policies need; `path` is their file.
    pub fn new(path: &'p Path, policies: &'p [PolicySpec]) -> Self {
        Recorder { path, policies, recording: None, scratch: String::new() }
    }

    /// The recording in time order; lines of one time stay in the order of the log.
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
                let columns = Columns::bind(self.path, self.policies, request.names)
                    .map_err(RecordError::Policy)?;
                self.recording.insert(Recording::new(columns))
            }
        };
        let (Ok(line), Ok(row)) =
            (u32::try_from(request.line), u32::try_from(recording.stamps.len()))
        else {
            return Err(RecordError::TooManyLines);
        };
        if let Err(reason) = recording.push_costs(request) {
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
    fn bind(
        path: &Path,
        policies: &[PolicySpec],
        names: &[String],
    ) -> Result<Self, PolicyFileError> {
        let mut columns = Columns { keys: Vec::new(), costs: Vec::new(), bindings: Vec::new() };
        for spec in policies {
            let find = |entry, field: &str| {
                let mut places = (0..names.len()).filter(|index| names[*index] == field);
                let line = if entry == "key" { spec.key_line } else { spec.cost_line };
                let problem = match (places.next(), places.next()) {
                    (Some(index), None) => return Ok(index),
                    (Some(_), Some(_)) => Problem::TwoFields { entry, field: field.to_owned() },
                    (None, _) => {
                        Problem::NoField { entry, field: field.to_owned(), fields: names.to_vec() }
                    }
                };
                let (path, policy) = (PathBuf::from(path), Some(spec.name.clone()));
                Err(PolicyFileError { path, line: Some(line), policy, problem: Box::new(problem) })
            };
            let key = match &spec.key {
                KeySpec::Shared => None,
                KeySpec::Field(field) => Some(columns.key(find("key", field)?, field == "ip")),
            };
            let cost = match &spec.cost {
                CostSpec::Fixed(cost) => Cost::Fixed(*cost),
                CostSpec::Fields(fields) => {
                    let fields = fields.iter().map(|field| find("cost", field));
                    Cost::Column(columns.cost(fields.collect::<Result<_, _>>()?))
                }
            };
            columns.bindings.push(Binding { key, cost });
        }
        Ok(columns)
    }

    fn key(&mut self, field: usize, is_ip: bool) -> usize {
        let known = self.keys.iter().position(|column| column.field == field);
        known.unwrap_or_else(|| {
            self.keys.push(KeyColumn { field, is_ip, texts: IndexSet::new() });
            self.keys.len() - 1
        })
    }

    fn cost(&mut self, fields: Vec<usize>) -> usize {
        let column = CostColumn { fields };
        let known = self.costs.iter().position(|other| *other == column);
        known.unwrap_or_else(|| {
            self.costs.push(column);
            self.costs.len() - 1
        })
    }
}

impl KeyColumn {
    /// The number of this key, the same for all texts that the limiter takes for one.
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
            debug_assert!(written.is_ok(), "a String takes everything");
        }
        let number = match self.texts.get_index_of(scratch.as_str()) {
            Some(number) => number,
            None => self.texts.insert_full(scratch.as_str().into()).0,
        };
        // There are no more keys than rows, and those are counted in 32 bits.
        number as u32
    }

    /// How many distinct keys there are.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// A key's text; an IPv6 address is shown as the network that it counts for.
    pub fn text(&self, key: u32) -> &str {
        self.texts.get_index(key as usize).map_or("", |text| text)
    }

    /// The keys as the limiter takes them, by number.
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
        Recording { stamps: Vec::new(), keys: Vec::new(), costs: Vec::new(), columns }
    }

    /// Adds all costs of a request, or none.
    fn push_costs(&mut self, request: &Request<'_>) -> Result<(), Reason> {
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
        Ok(())
    }

    /// When the requests came, in time order.
    pub fn stamps(&self) -> &[Stamp] {
        &self.stamps
    }

    /// What each policy charges, in the order of the file.
    pub fn bindings(&self) -> &[Binding] {
        &self.columns.bindings
    }

    /// The fields that policies have for their key.
    pub fn key_columns(&self) -> &[KeyColumn] {
        &self.columns.keys
    }

    /// The number of a row's key in a key column.
    pub fn key(&self, row: u32, column: usize) -> u32 {
        self.keys[row as usize * self.columns.keys.len() + column]
    }

    /// What a row costs under a policy.
    pub fn cost(&self, row: u32, binding: Binding) -> u64 {
        match binding.cost {
            Cost::Fixed(cost) => cost,
            Cost::Column(column) => self.costs[row as usize * self.columns.costs.len() + column],
        }
    }

    /// What each line takes of memory; see the module.
    pub fn bytes_per_line(&self) -> usize {
        size_of::<Stamp>()
            + size_of::<u32>() * self.columns.keys.len()
            + size_of::<u64>() * self.columns.costs.len()
    }
}

impl CostColumn {
    fn sum(&self, request: &Request<'_>) -> Result<u64, Reason> {
        self.fields.iter().try_fold(0_u64, |sum, field| {
            let value = request.values.get(*field).trim_ascii();
            let cost = match value {
                b"-" => 0,
                _ => std::str::from_utf8(value)
                    .ok()
                    .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
                    .and_then(|digits| digits.parse().ok())
                    .ok_or_else(|| Reason::Cost {
                        field: request.names.get(*field).cloned().unwrap_or_default(),
                        value: text::excerpt(value),
                    })?,
            };
            sum.checked_add(cost).ok_or(Reason::CostSum)
        })
    }
}

impl std::fmt::Display for RecordError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RecordError::Policy(error) => error.fmt(f),
            RecordError::TooManyLines => {
                write!(f, "the log has more lines than a replay can hold: at most {}", u32::MAX)
            }
        }
    }
}

impl std::error::Error for RecordError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_takes_what_the_module_says() {
        assert_eq!(size_of::<Stamp>(), 16);
    }

    #[test]
    fn texts_of_one_key_have_one_number() {
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
