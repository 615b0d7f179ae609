//! The policy file: what is limited, read from TOML.
//!
//! ```toml
//! [[policy]]
//! name = "ip"          # shown in the tables and in the decisions
//! key = "ip"           # a field of the log, or "*" for one key that everybody shares
//! cost = 1             # a number, a field, or a list of fields that are added; 1 by default
//! limit = 100
//! window = "1m"        # or calendar = "hour", "day" or "month"
//! buckets = 31         # optional, for limits above 127
//! ```
//!
//! Every error names the entry and its line.

mod entry;
mod error;

pub use error::{PolicyFileError, Problem};

use entry::{Entries, Place};
use std::path::Path;
use std::time::Duration;
use tollgate::{Limiter, MAX_CHARGES, ManualClock, Period, Policy};
use toml::de::{DeTable, DeValue};

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

/// How much a request costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CostSpec {
    /// The same for every request.
    Fixed(u64),
    /// The sum of these fields.
    Fields(Vec<String>),
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
pub fn read(path: &Path) -> Result<Vec<PolicySpec>, PolicyFileError> {
    let at = |line, problem| PolicyFileError {
        path: path.to_owned(),
        line,
        policy: None,
        problem: Box::new(problem),
    };
    let bytes = std::fs::read(path).map_err(|error| at(None, Problem::Read(error)))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        at(Some(line_of(error.as_bytes(), valid)), Problem::NotText)
    })?;
    parse(path, text.strip_prefix('\u{feff}').unwrap_or(&text))
}

fn parse(path: &Path, text: &str) -> Result<Vec<PolicySpec>, PolicyFileError> {
    let place = Place { path, text };
    let document = DeTable::parse(text).map_err(|error| {
        let problem = Problem::Syntax(error.message().to_owned());
        place.error(error.span().map(|span| span.start), None, problem)
    })?;
    let mut specs: Vec<PolicySpec> = Vec::new();
    for (entry, value) in document.get_ref() {
        let offset = Some(entry.span().start);
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
    Ok(specs)
}

/// Reads one policy; `earlier` are those above it.
fn one(
    place: &Place<'_>,
    start: usize,
    table: &DeTable<'_>,
    earlier: &[PolicySpec],
) -> Result<PolicySpec, PolicyFileError> {
    let entries = Entries::new(place, start, table);
    entries.only(&["name", "key", "cost", "limit", "window", "calendar", "buckets"])?;
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
        cost: entries.cost("cost")?,
        cost_line: entries.line("cost"),
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

    fn parsed(text: &str) -> Result<Vec<PolicySpec>, String> {
        parse(Path::new("p.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_every_entry() {
        let specs = parsed(
            "[[policy]]\nname = 'a'\nkey = '*'\ncost = ['x', 'y']\nlimit = 1_000\nwindow = '90s'\nbuckets = 31\n\
             [[policy]]\nname = 'b'\nkey = 'ip'\ncost = 0x10\nlimit = 20\ncalendar = 'month'\n",
        )
        .unwrap();
        assert_eq!(specs[0].cost, CostSpec::Fields(vec!["x".into(), "y".into()]));
        assert_eq!(specs[0].limit, 1000);
        assert_eq!(specs[0].buckets, Some(31));
        assert_eq!(specs[0].rate.text, "90s");
        assert_eq!(specs[0].rate.stretch, Stretch::Sliding(Duration::from_secs(90)));
        assert_eq!((specs[0].key.clone(), specs[0].cost_line), (KeySpec::Shared, 4));
        assert_eq!(specs[1].cost, CostSpec::Fixed(16));
        assert_eq!((specs[1].line, specs[1].key_line), (8, 10));
        assert_eq!(specs[1].rate.stretch, Stretch::Calendar(Period::Month));
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
