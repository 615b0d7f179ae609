//! The errors of a configuration and of policy ids.

use std::fmt;
use std::time::Duration;

use crate::charge::MAX_CHARGES;

/// The maximum limit of a policy, in units of cost.
pub const MAX_LIMIT: u64 = 1 << 40;
/// The maximum length of a policy's name, in bytes.
pub(crate) const MAX_NAME: usize = 64;

/// An invalid setting when a limiter is built or a limit is changed, or a lack of memory.
///
/// The text names the policy, the field and the value, where these exist.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The limiter has no policy.
    NoPolicy,
    /// The limiter has more policies than [`MAX_CHARGES`].
    TooManyPolicies {
        /// The number of policies.
        value: usize,
    },
    /// A name is empty, longer than 64 bytes, or not printable ASCII.
    Name {
        /// The name.
        value: String,
    },
    /// Two policies have the same name.
    DuplicateName {
        /// The name.
        value: String,
    },
    /// A policy's limit is above [`MAX_LIMIT`].
    Limit {
        /// The policy's name.
        policy: String,
        /// The limit.
        value: u64,
    },
    /// A [`max_limit`](crate::Policy::max_limit) is below the policy's limit or above
    /// [`MAX_LIMIT`].
    MaxLimit {
        /// The policy's name.
        policy: String,
        /// The `max_limit`.
        value: u64,
        /// The policy's limit.
        limit: u64,
    },
    /// A new limit is above the policy's [`max_limit`](crate::Policy::max_limit).
    LimitAboveMax {
        /// The policy's name.
        policy: String,
        /// The new limit.
        value: u64,
        /// The policy's `max_limit`.
        max_limit: u64,
    },
    /// A window is not from [`MIN_WINDOW`](crate::MIN_WINDOW) to
    /// [`MAX_WINDOW`](crate::MAX_WINDOW).
    Window {
        /// The policy's name.
        policy: String,
        /// The window.
        value: Duration,
    },
    /// The number of buckets is not from 2 to 127.
    Buckets {
        /// The policy's name.
        policy: String,
        /// The number of buckets.
        value: u32,
    },
    /// An offset is more than 18 hours from UTC.
    Offset {
        /// The policy's name.
        policy: String,
        /// The offset in seconds.
        value: i32,
    },
    /// The maximum number of keys is 0.
    MaxKeys {
        /// The policy's name. `None` for [`Builder::max_keys`](crate::Builder::max_keys).
        policy: Option<String>,
        /// The number of keys.
        value: usize,
    },
    /// A [`max_bytes`](crate::Policy::max_bytes) is too small for a table with one key.
    MaxBytes {
        /// The policy's name. `None` for [`Builder::max_bytes`](crate::Builder::max_bytes).
        policy: Option<String>,
        /// The number of bytes.
        value: usize,
        /// The least number of bytes that is enough.
        least: usize,
    },
    /// A policy id belongs to another limiter.
    UnknownPolicy {
        /// The index of the id.
        value: usize,
    },
    /// The allowance of [`Overflow::EvictLightest`](crate::Overflow::EvictLightest) is not from 1
    /// to the policy's [`max_limit`](crate::Policy::max_limit).
    Allowance {
        /// The policy's name.
        policy: String,
        /// The allowance.
        value: u64,
        /// The maximum: the policy's `max_limit`, or 1 if that is 0.
        limit: u64,
    },
    /// The memory for a policy's table or statistics could not be allocated.
    OutOfMemory {
        /// The policy's name.
        policy: String,
    },
}

impl ConfigError {
    /// Returns the name of the policy that has the invalid setting, if one has it.
    pub fn policy(&self) -> Option<&str> {
        use ConfigError::*;
        match self {
            Name { value: name }
            | DuplicateName { value: name }
            | Limit { policy: name, .. }
            | MaxLimit { policy: name, .. }
            | LimitAboveMax { policy: name, .. }
            | Window { policy: name, .. }
            | Buckets { policy: name, .. }
            | Offset { policy: name, .. }
            | Allowance { policy: name, .. }
            | OutOfMemory { policy: name } => Some(name),
            MaxKeys { policy, .. } | MaxBytes { policy, .. } => policy.as_deref(),
            NoPolicy | TooManyPolicies { .. } | UnknownPolicy { .. } => None,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ConfigError::*;
        match self {
            NoPolicy => write!(f, "a limiter needs at least one policy"),
            TooManyPolicies { value } => {
                write!(f, "{value} policies are too many: at most {MAX_CHARGES} are possible")
            }
            Name { value } => {
                write!(f, "name {value:?} must be 1 to {MAX_NAME} printable ASCII characters")
            }
            DuplicateName { value } => write!(f, "name {value:?} is taken by another policy"),
            Limit { policy, value } => {
                write!(f, "policy {policy:?}: limit {value} must be from 0 to {MAX_LIMIT}")
            }
            MaxLimit { policy, value, limit } => write!(
                f,
                "policy {policy:?}: max_limit {value} must be from the limit {limit} to {MAX_LIMIT}"
            ),
            LimitAboveMax { policy, value, max_limit } => {
                write!(f, "policy {policy:?}: the new limit {value} is above max_limit {max_limit}")
            }
            Window { policy, value } => {
                write!(f, "policy {policy:?}: window {value:?} must be from 1 ms to 400 days")
            }
            Buckets { policy, value } => {
                write!(f, "policy {policy:?}: buckets {value} must be from 2 to 127")
            }
            Offset { policy, value } => {
                write!(f, "policy {policy:?}: offset {value} s must be within 18 hours of UTC")
            }
            MaxKeys { policy: Some(policy), value } => {
                write!(f, "policy {policy:?}: max_keys {value} must be at least 1")
            }
            MaxKeys { policy: None, value } => write!(f, "max_keys {value} must be at least 1"),
            MaxBytes { policy: Some(policy), value, least } => {
                write!(f, "policy {policy:?}: max_bytes {value} must be at least {least}")
            }
            MaxBytes { policy: None, value, least } => {
                write!(f, "max_bytes {value} must be at least {least} for these policies")
            }
            UnknownPolicy { value } => crate::UnknownPolicy { value: *value }.fmt(f),
            Allowance { policy, value, limit } => {
                write!(f, "policy {policy:?}: allowance {value} must be from 1 to {limit}")
            }
            OutOfMemory { policy } => write!(f, "policy {policy:?}: no memory for its table"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// A [`PolicyId`](crate::PolicyId) that belongs to another limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownPolicy {
    /// The index of the id.
    pub value: usize,
}

impl fmt::Display for UnknownPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the policy id with index {} belongs to another limiter", self.value)
    }
}

impl std::error::Error for UnknownPolicy {}

impl From<UnknownPolicy> for ConfigError {
    fn from(UnknownPolicy { value }: UnknownPolicy) -> Self {
        ConfigError::UnknownPolicy { value }
    }
}
