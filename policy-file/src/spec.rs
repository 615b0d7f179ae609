//! The entries of the limiter: one policy, and the settings of all policies.

use crate::error::Position;
use crate::replay::ReplaySpec;
use std::time::Duration;
use tollgate::{Builder, Overflow, Period, Policy};

/// One `[[policy]]`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicySpec {
    /// The position of its heading.
    pub position: Position,
    /// Its name, unique in the file.
    pub name: String,
    /// The maximum that one key may spend in an interval, in units of cost.
    pub limit: u64,
    /// The interval of the limit.
    pub rate: Rate,
    /// The number of buckets of a sliding window.
    pub buckets: Option<u32>,
    /// The greatest limit that can be set later, in units of cost.
    pub max_limit: Option<u64>,
    /// The offset of calendar periods from UTC, in seconds east.
    pub offset_seconds: Option<i32>,
    /// The most keys in the policy's table.
    pub max_keys: Option<u64>,
    /// The most memory of the policy, in bytes.
    pub max_bytes: Option<u64>,
    /// What happens to a new key when the policy's table is full.
    pub overflow: Option<Overflow>,
    /// The unit of the cost in HTTP fields.
    pub unit: Option<String>,
    /// Whether the policy denies nothing: what it would deny is only counted.
    pub dry_run: bool,
    /// How a replay charges the requests of a log.
    pub replay: ReplaySpec,
}

/// The interval of a limit, as written and as parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The text in the file.
    pub text: String,
    /// The parsed interval.
    pub interval: Interval,
}

/// An interval of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    /// Every window of this length.
    Sliding(Duration),
    /// Each hour, day or month.
    Calendar(Period),
}

/// The settings above the policies. They are the limiter's defaults for policies without their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The most keys in the table of each policy.
    pub max_keys: Option<u64>,
    /// The most memory of all policies in total, in bytes.
    pub max_bytes: Option<u64>,
    /// What happens to a new key when a policy's table is full.
    pub overflow: Option<Overflow>,
}

impl PolicySpec {
    /// Converts the entry to a policy of the limiter.
    pub fn policy(&self) -> Policy {
        let mut policy = match self.rate.interval {
            Interval::Sliding(window) => Policy::sliding(&self.name, self.limit, window),
            Interval::Calendar(period) => Policy::calendar(&self.name, self.limit, period),
        };
        if let Some(buckets) = self.buckets {
            policy = policy.buckets(buckets);
        }
        if let Some(limit) = self.max_limit {
            policy = policy.max_limit(limit);
        }
        if let Some(seconds) = self.offset_seconds {
            policy = policy.offset_seconds(seconds);
        }
        if let Some(keys) = self.max_keys {
            policy = policy.max_keys(saturated(keys));
        }
        if let Some(bytes) = self.max_bytes {
            policy = policy.max_bytes(saturated(bytes));
        }
        if let Some(overflow) = self.overflow {
            policy = policy.overflow(overflow);
        }
        policy = policy.dry_run(self.dry_run);
        match &self.unit {
            Some(unit) => policy.unit(unit),
            None => policy,
        }
    }
}

impl Settings {
    /// Applies the settings to a builder. A setting that the file does not have stays as it is.
    pub fn apply(&self, mut builder: Builder) -> Builder {
        if let Some(keys) = self.max_keys {
            builder = builder.max_keys(saturated(keys));
        }
        if let Some(bytes) = self.max_bytes {
            builder = builder.max_bytes(saturated(bytes));
        }
        match self.overflow {
            Some(overflow) => builder.overflow(overflow),
            None => builder,
        }
    }
}

/// A number of keys or bytes above `usize::MAX` is no bound.
fn saturated(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
