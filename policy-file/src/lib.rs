//! Policies of the rate limiter [`tollgate`] from a file in TOML.
//!
//! A server, the C library and the tool `tollgate` read the same format.
//!
//! ```no_run
//! use tollgate_policy_file::PolicyFile;
//!
//! let limiter = PolicyFile::read("policies.toml")?.build()?;
//! let user = limiter.policy("user").ok_or("no policy named user")?;
//! assert!(limiter.check(&[user.charge("alice", 1)]).is_allowed());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Format
//!
//! ```toml
//! max_bytes = 268_435_456      # optional, for all policies: also max_keys, overflow, allowance
//!
//! [[policy]]
//! name = "user"
//! limit = 100
//! window = "1m"                # ms, s, m, h or d; or calendar = "hour", "day" or "month"
//! buckets = 31                 # optional, for limits above 127
//! max_limit = 1_000            # optional
//! max_keys = 100_000           # optional
//! max_bytes = 16_777_216       # optional
//! overflow = "evict_lightest"  # optional: "deny", "allow" or "evict_lightest"
//! allowance = 10               # with "evict_lightest"
//! unit = "tokens"              # optional: the unit of the cost in HTTP fields
//! key = "user"                 # for a replay: also address, absent, cost, estimate
//! ```
//!
//! The entries of a [`PolicySpec`] are those of [`tollgate::Policy`]. `offset_seconds` is an entry of
//! calendar policies. The entries of a [`ReplaySpec`] and the `duration` say how the tool charges the
//! requests of a log. A server ignores them after they have been checked. `docs/policy-file.md` describes all
//! entries.
//!
//! # Errors
//!
//! The whole file is checked before anything of it can be used. A [`PolicyFileError`] names the policy,
//! the entry, the value, the line and the column.

// Each module imports only modules that are further down.
mod source;

mod file;

mod read_policy;
mod read_replay;

mod entry;

mod spec;

mod replay;

mod error;
mod length;

pub use error::{Location, MAX_BYTES, PolicyFileError, Position, Problem};
pub use file::PolicyFile;
pub use replay::{Absent, CostSpec, DurationSpec, FieldKey, KeySpec, ReplaySpec};
pub use spec::{Interval, PolicySpec, Rate, Settings};

#[cfg(doctest)]
#[doc = include_str!("../../docs/policy-file.md")]
struct Documentation;
