//! Reads the entries of a policy of the limiter.

use crate::entry::{Entries, Read};
use crate::error::{PolicyFileError, Problem, config_entry};
use crate::length;
use crate::spec::{Interval, PolicySpec, Rate};
use tollgate::{ConfigError, Limiter, MAX_CHARGES, MAX_LIMIT, Overflow, Period};

/// The entries of a policy.
const POLICY_ENTRIES: &[&str] = &[
    "name",
    "limit",
    "window",
    "calendar",
    "buckets",
    "max_limit",
    "offset_seconds",
    "max_keys",
    "max_bytes",
    "overflow",
    "allowance",
    "unit",
    "dry_run",
    "key",
    "address",
    "absent",
    "cost",
    "estimate",
];

impl Entries<'_> {
    /// Reads one policy; `earlier` are the policies above it.
    pub fn policy(&self, earlier: &[PolicySpec]) -> Read<PolicySpec> {
        self.reject_unknown(POLICY_ENTRIES)?;
        let name = self.required_text("name")?;
        if let Some(other) = earlier.iter().find(|spec| spec.name == name) {
            let problem = Problem::DuplicateName { value: name, first: other.position.line };
            return Err(self.error_at_name("name", problem));
        }
        if earlier.len() == MAX_CHARGES {
            return Err(self.error_at_name("", Problem::TooMany));
        }
        let spec = PolicySpec {
            position: self.position(""),
            limit: self.limit("limit")?,
            rate: self.rate("window", "calendar")?,
            buckets: self.buckets("buckets")?,
            max_limit: self.number("max_limit", 0..=MAX_LIMIT)?,
            offset_seconds: self.offset("offset_seconds")?,
            max_keys: self.count("max_keys")?,
            max_bytes: self.count("max_bytes")?,
            overflow: self.overflow("overflow", "allowance")?,
            unit: self.text("unit")?,
            dry_run: self.flag("dry_run")?.unwrap_or(false),
            replay: self.replay()?,
            name,
        };
        // Check this policy alone, so that an error is about this policy.
        let alone = Limiter::builder().policy(spec.policy()).memory_bound();
        alone.map_err(|error| self.config(error, &spec))?;
        Ok(spec)
    }

    /// Places an error of the limiter at the entry that causes it.
    fn config(&self, error: ConfigError, spec: &PolicySpec) -> PolicyFileError {
        let entry = config_entry(&error).unwrap_or_default();
        let problem = match error {
            ConfigError::Window { .. } => Problem::WindowRange { value: spec.rate.text.clone() },
            ConfigError::Name { value } => Problem::Name { value },
            other => Problem::Config(other),
        };
        self.error_at_value(entry, problem)
    }

    /// Reads a limit. A limit of 0 denies every request.
    fn limit(&self, entry: &'static str) -> Read<u64> {
        self.number(entry, 0..=MAX_LIMIT)?.ok_or_else(|| self.missing(entry))
    }

    /// Reads either the window or the calendar period.
    fn rate(&self, window: &'static str, calendar: &'static str) -> Read<Rate> {
        const PERIODS: [Period; 3] = [Period::Hour, Period::Day, Period::Month];
        const NAMES: [&str; 3] = ["hour", "day", "month"];
        match (self.value(window), self.choice(calendar, &NAMES)?) {
            (Some(_), Some(_)) => Err(self.error_at_name(calendar, Problem::TwoRates)),
            (None, None) => Err(self.error_at_name(window, Problem::NoRate)),
            (Some(value), None) => {
                let text = self.text_in(value, "a string")?;
                match length::length(&text) {
                    Some(window) => Ok(Rate { text, interval: Interval::Sliding(window) }),
                    None => Err(self.length_error(window, text, "ms, s, m, h or d", "90s")),
                }
            }
            (None, Some(index)) => {
                let interval = Interval::Calendar(PERIODS[index]);
                Ok(Rate { text: NAMES[index].to_owned(), interval })
            }
        }
    }

    /// Reads the number of buckets, which only a sliding window has.
    fn buckets(&self, entry: &'static str) -> Read<Option<u32>> {
        let buckets = self.number(entry, 2..=127)?;
        self.reject_with(entry, "calendar")?;
        Ok(buckets)
    }

    /// Reads the offset of calendar periods from UTC, in seconds.
    fn offset(&self, entry: &'static str) -> Read<Option<i32>> {
        const MAX: i32 = 18 * 60 * 60;
        let offset = self.number(entry, -MAX..=MAX)?;
        self.reject_with(entry, "window")?;
        Ok(offset)
    }

    /// Rejects an entry in a table with another entry.
    fn reject_with(&self, entry: &'static str, other: &'static str) -> Read<()> {
        match self.has(entry) && self.has(other) {
            true => Err(self.error_at_name(entry, Problem::NotWith { entry, other })),
            false => Ok(()),
        }
    }

    /// Reads what happens to new keys when a table is full.
    pub fn overflow(&self, entry: &'static str, allowance: &'static str) -> Read<Option<Overflow>> {
        let overflow = self.choice(entry, &["deny", "allow", "evict_lightest"])?;
        let units = self.number(allowance, 1..=MAX_LIMIT)?;
        Ok(Some(match (overflow, units) {
            (Some(2), Some(allowance)) => Overflow::EvictLightest { allowance },
            (Some(2), None) => return Err(self.missing(allowance)),
            (_, Some(_)) => {
                return Err(self.error_at_name(allowance, Problem::AllowanceWithoutEviction));
            }
            (None, None) => return Ok(None),
            (Some(0), None) => Overflow::Deny,
            (Some(_), None) => Overflow::Allow,
        }))
    }
}
