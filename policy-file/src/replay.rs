//! The entries of a replay: how the requests of a log are charged.
//!
//! They are part of the format, so that one file serves a server and the tool. They do not change the
//! policies: a server chooses the keys and costs of its requests itself.

use crate::error::Position;
use std::time::Duration;

/// How a replay charges the requests of a log under a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplaySpec {
    /// The key that is charged. `None` if the file has none: then it cannot be replayed.
    pub key: Option<KeySpec>,
    /// The position of the key, or of the policy's heading if there is no key.
    pub key_position: Position,
    /// The position of what replaces an absent key, or of the heading if there is no such entry.
    pub absent_position: Position,
    /// The cost of a request.
    pub cost: CostSpec,
    /// The position of the cost, or of the heading if there is no cost.
    pub cost_position: Position,
    /// The amount that a request reserves until its cost is known; `None` charges the cost at once.
    pub estimate: Option<CostSpec>,
    /// The position of the estimate, or of the heading if there is no estimate.
    pub estimate_position: Position,
}

/// The key that is charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySpec {
    /// One key for all requests: `"*"`.
    Shared,
    /// The value of a field.
    Field(FieldKey),
}

/// A field whose value is the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldKey {
    /// Its name.
    pub name: String,
    /// Whether its values are addresses; `None` if the file leaves it open.
    pub address: Option<bool>,
    /// What happens if a request has no value.
    pub absent: Absent,
}

/// What happens to a request without a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absent {
    /// It is not charged under the policy.
    Skip,
    /// All such requests share one key.
    Share,
    /// The value of this field is the key.
    Field(String),
}

/// The cost of a request: the sum of a fixed number and of fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CostSpec {
    /// The fixed number.
    pub fixed: u64,
    /// The fields whose values are added.
    pub fields: Vec<String>,
}

/// The duration of a request: a decimal number from the log, times a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurationSpec {
    /// The field that holds the number.
    pub field: String,
    /// The length of time of one unit.
    pub unit: Duration,
    /// The position of the duration.
    pub position: Position,
}
