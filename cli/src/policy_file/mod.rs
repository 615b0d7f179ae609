//! The policy file: what is limited, read from TOML.
//!
//! ```toml
//! [[policy]]
//! name = "ip"          # shown in the tables and in the decisions
//! key = "ip"           # a field of the log, or "*" for one key that everybody shares
//! cost = 1             # a number, a field, or a list of them to be added; 1 by default
//! estimate = 1         # optional, as cost: what is reserved until the cost is known
//! limit = 100
//! window = "1m"        # or calendar = "hour", "day" or "month"
//! buckets = 31         # optional, for limits above 127
//! ```
//!
//! Where any policy has an estimate, requests are reserved, and settle to their cost when they end:
//! at once, or after the `duration` that stands above the policies.
//!
//! ```toml
//! duration = "seconds"                               # a field, in seconds
//! duration = { field = "tokens", unit = "20ms" }     # or a field, and what one of it takes
//! ```
//!
//! Every error names the entry and its line.

mod entry;
mod error;

pub use error::{PolicyFileError, Problem};

use entry::{Entries, Place};
use std::path::Path;
use std::time::Duration;
use tollgate::{Limiter, MAX_CHARGES, MAX_RESERVED, ManualClock, Period, Policy};
use toml::de::{DeTable, DeValue};

/// A policy file, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    /// In the order of the file; at least one.
    pub policies: Vec<PolicySpec>,
    /// How long requests take, so when they settle; at once where it is not said.
    pub duration: Option<DurationSpec>,
}

/// How long a request takes: so many units, which the log tells as a decimal number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurationSpec {
    /// The field that holds the number.
    pub field: String,
    /// What a one of it means.
    pub unit: Duration,
    /// The line of the duration.
    pub line: usize,
}

/// One `[[policy]]`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySpec {
    /// The line of its heading.
    pub line: usize,
    /// Its name, unique in the file.
    pub name: String,
    /// Who is charged.
    pub key: KeySpec,
    /// The line of the key.
    pub key_line: usize,
    /// How much a request costs.
    pub cost: CostSpec,
    /// The line of the cost, or of the heading where there is none.
    pub cost_line: usize,
    /// What a request reserves until its cost is known; nothing but the cost where it is not said.
    pub estimate: Option<CostSpec>,
    /// The line of the estimate, or of the heading where there is none.
    pub estimate_line: usize,
    /// The most that one key may spend.
    pub limit: u64,
    /// In what stretch of time.
    pub rate: Rate,
    /// How finely a sliding window is counted.
    pub buckets: Option<u32>,
}

/// Who is charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySpec {
    /// Everybody together: `"*"`.
    Shared,
    /// The value of this field.
    Field(String),
}

/// How much a request costs: all of this together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CostSpec {
    /// The same for every request.
    pub fixed: u64,
    /// What these fields hold.
    pub fields: Vec<String>,
}

/// The stretch of time that a limit is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// As it was written.
    pub text: String,
    /// What it means.
    pub stretch: Stretch,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stretch {
    /// Any interval of this length.
    Sliding(Duration),
    /// Each UTC hour, day or month.
    Calendar(Period),
}

impl PolicySpec {
    /// The policy as the limiter takes it.
    pub fn policy(&self) -> Policy {
        let policy = match self.rate.stretch {
            Stretch::Sliding(window) => Policy::sliding(&self.name, self.limit, window),
            Stretch::Calendar(period) => Policy::calendar(&self.name, self.limit, period),
        };
        match self.buckets {
            Some(buckets) => policy.buckets(buckets),
            None => policy,
        }
    }
}

/// Reads and checks a policy file.
pub fn read(path: &Path) -> Result<PolicyFile, PolicyFileError> {
    let bytes = std::fs::read(path).map_err(|error| at(path, None, Problem::Read(error)))?;
    from_bytes(path, bytes)
}

/// Checks the content of a policy file; `path` is what messages call it.
pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<PolicyFile, PolicyFileError> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        at(path, Some(line_of(error.as_bytes(), valid)), Problem::NotText)
    })?;
    parse(path, text.strip_prefix('\u{feff}').unwrap_or(&text))
}

fn at(path: &Path, line: Option<usize>, problem: Problem) -> PolicyFileError {
    PolicyFileError { path: path.to_owned(), line, policy: None, problem: Box::new(problem) }
}

fn parse(path: &Path, text: &str) -> Result<PolicyFile, PolicyFileError> {
    let place = Place { path, text };
    let document = DeTable::parse(text).map_err(|error| {
        let problem = Problem::Syntax(error.message().to_owned());
        place.error(error.span().map(|span| span.start), None, problem)
    })?;
    let mut specs: Vec<PolicySpec> = Vec::new();
    for (entry, value) in document.get_ref() {
        let offset = Some(entry.span().start);
        if entry.get_ref() == "duration" {
            continue;
        }
        if entry.get_ref() != "policy" {
            let entry = entry.get_ref().to_string();
            return Err(place.error(offset, None, Problem::UnknownTop { entry }));
        }
        let Some(policies) = value.get_ref().as_array() else {
            return Err(place.error(offset, None, Problem::NotList));
        };
        for policy in policies {
            let DeValue::Table(table) = policy.get_ref() else {
                return Err(place.error(Some(policy.span().start), None, Problem::NotList));
            };
            let spec = one(&place, policy.span().start, table, &specs)?;
            specs.push(spec);
        }
    }
    if specs.is_empty() {
        return Err(place.error(None, None, Problem::NoPolicy));
    }
    let top = Entries::new(&place, 0, document.get_ref());
    let file = PolicyFile { policies: specs, duration: top.duration("duration")? };
    let policies = file.policies.len();
    match file.policies.iter().find(|spec| spec.estimate.is_some()) {
        None if file.duration.is_some() => Err(top.error("duration", Problem::NothingReserved)),
        Some(spec) if policies > MAX_RESERVED => {
            let (line, policy) = (Some(spec.estimate_line), Some(spec.name.clone()));
            let problem = Box::new(Problem::TooManyReserved { policies });
            Err(PolicyFileError { path: path.to_owned(), line, policy, problem })
        }
        _ => Ok(file),
    }
}

/// Reads one policy; `earlier` are those above it.
fn one(
    place: &Place<'_>,
    start: usize,
    table: &DeTable<'_>,
    earlier: &[PolicySpec],
) -> Result<PolicySpec, PolicyFileError> {
    let entries = Entries::new(place, start, table);
    entries.only(&["name", "key", "cost", "estimate", "limit", "window", "calendar", "buckets"])?;
    let name = entries.text("name")?;
    if let Some(other) = earlier.iter().find(|spec| spec.name == name) {
        let problem = Problem::DuplicateName { first: other.line };
        return Err(entries.error("name", problem));
    }
    if earlier.len() == MAX_CHARGES {
        return Err(entries.error("", Problem::TooMany));
    }
    let spec = PolicySpec {
        line: entries.line(""),
        key: match entries.text("key")? {
            key if key == "*" => KeySpec::Shared,
            field => KeySpec::Field(field),
        },
        key_line: entries.line("key"),
        cost: entries.cost("cost")?.unwrap_or(CostSpec { fixed: 1, fields: Vec::new() }),
        cost_line: entries.line("cost"),
        estimate: entries.cost("estimate")?,
        estimate_line: entries.line("estimate"),
        limit: entries.number("limit")?.ok_or_else(|| entries.missing("limit"))?,
        rate: entries.rate("window", "calendar")?,
        buckets: entries.buckets("buckets")?,
        name,
    };
    // Alone, so that what the limiter has against it is known to be about this policy.
    let alone = Limiter::builder().policy(spec.policy()).max_keys(1).clock(ManualClock::new());
    alone.build().map_err(|error| entries.error("", Problem::Config(error)))?;
    Ok(spec)
}

/// The 1-based line that an offset is on.
fn line_of(text: &[u8], offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    memchr::memchr_iter(b'\n', before).count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<PolicyFile, String> {
        parse(Path::new("p.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_every_entry() {
        let file = parsed(
            "duration = 'took'\n\
             [[policy]]\nname = 'a'\nkey = '*'\ncost = ['x', 'y']\nestimate = ['x', 500, 7]\nlimit = 1_000\nwindow = '90s'\nbuckets = 31\n\
             [[policy]]\nname = 'b'\nkey = 'ip'\ncost = 0x10\nlimit = 20\ncalendar = 'month'\n",
        )
        .unwrap();
        let (specs, second) = (file.policies, Duration::from_secs(1));
        assert_eq!(
            file.duration,
            Some(DurationSpec { field: "took".into(), unit: second, line: 1 })
        );
        assert_eq!(specs[0].cost, CostSpec { fixed: 0, fields: vec!["x".into(), "y".into()] });
        assert_eq!(specs[0].estimate, Some(CostSpec { fixed: 507, fields: vec!["x".into()] }));
        assert_eq!(specs[0].limit, 1000);
        assert_eq!(specs[0].buckets, Some(31));
        assert_eq!(specs[0].rate.text, "90s");
        assert_eq!(specs[0].rate.stretch, Stretch::Sliding(Duration::from_secs(90)));
        assert_eq!((specs[0].key.clone(), specs[0].cost_line), (KeySpec::Shared, 5));
        assert_eq!(specs[0].estimate_line, 6);
        assert_eq!(specs[1].cost, CostSpec { fixed: 16, fields: Vec::new() });
        assert_eq!((specs[1].line, specs[1].key_line), (10, 12));
        assert_eq!(specs[1].estimate, None);
        assert_eq!(specs[1].rate.stretch, Stretch::Calendar(Period::Month));
    }

    #[test]
    fn a_duration_may_have_a_unit_of_its_own() {
        let policy =
            "\n[[policy]]\nname = 'a'\nkey = '*'\nestimate = 'x'\nlimit = 5\nwindow = '1m'\n";
        for (text, unit) in [
            ("duration = { field = 'took', unit = '20ms' }", Duration::from_millis(20)),
            ("[duration]\nunit = '1us'\nfield = 'took'", Duration::from_micros(1)),
        ] {
            let spec = parsed(&format!("{text}{policy}")).unwrap().duration;
            assert_eq!(spec, Some(DurationSpec { field: "took".into(), unit, line: 1 }));
        }
    }

    #[test]
    fn an_error_names_the_file_the_line_the_policy_and_the_entry() {
        let text = "# site\n[[policy]]\nname = 'ip'\nkey = 'ip'\nlimt = 5\nwindow = '1m'\n";
        let message = parsed(text).unwrap_err();
        assert!(
            message.starts_with("p.toml:5: policy \"ip\": unknown entry \"limt\""),
            "{message}"
        );
    }
}
