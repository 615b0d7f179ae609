//! The policy file, in TOML.
//!
//! ```toml
//! [[policy]]
//! name = "ip"          # shown in the tables and in the decisions
//! key = "ip"           # a field of the log, or "*" for one key that all requests share
//! address = true       # optional: whether the key is an address; true for a field named ip
//! absent = "skip"      # optional: what happens without a key: "skip", "share", or another field
//! cost = 1             # a number, a field, or a list of them to add up; 1 by default
//! estimate = 1         # optional, same format as cost: reserved until the cost is known
//! limit = 100
//! window = "1m"        # or calendar = "hour", "day" or "month"
//! buckets = 31         # optional, for limits above 127
//! max_bytes = 16777216 # optional: new keys are denied when the policy's table takes this much memory
//! ```
//!
//! If any policy has an estimate, each request reserves the estimate (its cost under a policy without
//! one), and settles with its cost when it ends. A request ends at once, or after the `duration` that is
//! set above the policies.
//!
//! ```toml
//! duration = "seconds"                               # a field, in seconds
//! duration = { field = "tokens", unit = "20ms" }     # or a field and its unit
//! ```
//!
//! Each error names the entry and its line.

mod entry;
mod error;

pub use error::{PolicyFileError, Problem};

use entry::{Entries, FileText};
use std::path::Path;
use std::time::Duration;
use tollgate::{Limiter, MAX_CHARGES, MAX_RESERVED, ManualClock, Period, Policy};
use toml::de::{DeTable, DeValue};

/// A policy file, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    /// The policies, in the order of the file; at least one.
    pub policies: Vec<PolicySpec>,
    /// The duration of requests, after which they settle; `None` settles at once.
    pub duration: Option<DurationSpec>,
}

/// The duration of a request: a decimal number from the log, times a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurationSpec {
    /// The field that holds the number.
    pub field: String,
    /// The length of time of one unit.
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
    /// The key that is charged.
    pub key: KeySpec,
    /// The line of the key.
    pub key_line: usize,
    /// The line of what replaces an absent key, or of the heading if there is no such entry.
    pub absent_line: usize,
    /// The cost of a request.
    pub cost: CostSpec,
    /// The line of the cost, or of the heading if there is no cost.
    pub cost_line: usize,
    /// The amount that a request reserves until its cost is known; `None` charges the cost at once.
    pub estimate: Option<CostSpec>,
    /// The line of the estimate, or of the heading if there is no estimate.
    pub estimate_line: usize,
    /// The maximum that one key may spend in an interval.
    pub limit: u64,
    /// The interval of the limit.
    pub rate: Rate,
    /// The number of buckets of a sliding window.
    pub buckets: Option<u32>,
    /// The most memory of the policy, in bytes; `None` has room for every key of the log.
    pub max_bytes: Option<u64>,
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
    /// Each UTC hour, day or month.
    Calendar(Period),
}

impl PolicySpec {
    /// Converts the entry to a policy of the limiter.
    pub fn policy(&self) -> Policy {
        let policy = match self.rate.interval {
            Interval::Sliding(window) => Policy::sliding(&self.name, self.limit, window),
            Interval::Calendar(period) => Policy::calendar(&self.name, self.limit, period),
        };
        let policy = match self.buckets {
            Some(buckets) => policy.buckets(buckets),
            None => policy,
        };
        match self.max_bytes {
            Some(bytes) => policy.max_bytes(usize::try_from(bytes).unwrap_or(usize::MAX)),
            None => policy,
        }
    }
}

/// Reads and checks a policy file.
pub fn read(path: &Path) -> Result<PolicyFile, PolicyFileError> {
    let bytes = std::fs::read(path).map_err(|error| at(path, None, Problem::Read(error)))?;
    from_bytes(path, bytes)
}

/// Checks the content of a policy file. `path` is its name in messages.
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
    let file_text = FileText { path, text };
    let document = DeTable::parse(text).map_err(|error| {
        let problem = Problem::Syntax(error.message().to_owned());
        file_text.error(error.span().map(|span| span.start), None, problem)
    })?;
    let mut specs: Vec<PolicySpec> = Vec::new();
    for (entry, value) in document.get_ref() {
        let offset = Some(entry.span().start);
        if entry.get_ref() == "duration" {
            continue;
        }
        if entry.get_ref() != "policy" {
            let entry = entry.get_ref().to_string();
            return Err(file_text.error(offset, None, Problem::UnknownTop { entry }));
        }
        let Some(policies) = value.get_ref().as_array() else {
            return Err(file_text.error(offset, None, Problem::NotList));
        };
        for policy in policies {
            let DeValue::Table(table) = policy.get_ref() else {
                return Err(file_text.error(Some(policy.span().start), None, Problem::NotList));
            };
            let spec = read_policy(&file_text, policy.span().start, table, &specs)?;
            specs.push(spec);
        }
    }
    if specs.is_empty() {
        return Err(file_text.error(None, None, Problem::NoPolicy));
    }
    let top = Entries::new(&file_text, 0, document.get_ref());
    let file = PolicyFile { policies: specs, duration: top.duration("duration")? };
    let policies = file.policies.len();
    match file.policies.iter().find(|spec| spec.estimate.is_some()) {
        None if file.duration.is_some() => {
            Err(top.error("duration", Problem::DurationWithoutEstimate))
        }
        Some(spec) if policies > MAX_RESERVED => {
            let (line, policy) = (Some(spec.estimate_line), Some(spec.name.clone()));
            let problem = Box::new(Problem::TooManyReserved { policies });
            Err(PolicyFileError { path: path.to_owned(), line, policy, problem })
        }
        _ => Ok(file),
    }
}

/// Reads one policy; `earlier` are the policies above it.
fn read_policy(
    file_text: &FileText<'_>,
    start: usize,
    table: &DeTable<'_>,
    earlier: &[PolicySpec],
) -> Result<PolicySpec, PolicyFileError> {
    let entries = Entries::new(file_text, start, table);
    entries.reject_unknown(&[
        "name",
        "key",
        "address",
        "absent",
        "cost",
        "estimate",
        "limit",
        "window",
        "calendar",
        "buckets",
        "max_bytes",
    ])?;
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
        key: entries.key("key", "address", "absent")?,
        key_line: entries.line("key"),
        absent_line: entries.line("absent"),
        cost: entries.cost("cost")?.unwrap_or(CostSpec { fixed: 1, fields: Vec::new() }),
        cost_line: entries.line("cost"),
        estimate: entries.cost("estimate")?,
        estimate_line: entries.line("estimate"),
        limit: entries.limit("limit")?,
        rate: entries.rate("window", "calendar")?,
        buckets: entries.buckets("buckets")?,
        max_bytes: entries.bytes("max_bytes")?,
        name,
    };
    // Build a limiter with this policy alone, so that an error is about this policy.
    let alone = Limiter::builder().policy(spec.policy()).max_keys(1).clock(ManualClock::new());
    alone.build().map_err(|error| entries.config(error, &spec))?;
    Ok(spec)
}

/// The 1-based line of an offset.
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
             [[policy]]\nname = 'a'\nkey = '*'\ncost = ['x', 'y']\nestimate = ['x', 500, 7]\nlimit = 1_000\nwindow = '90s'\nbuckets = 31\nmax_bytes = 0x100_0000\n\
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
        assert_eq!((specs[0].max_bytes, specs[1].max_bytes), (Some(1 << 24), None));
        assert_eq!(specs[0].rate.text, "90s");
        assert_eq!(specs[0].rate.interval, Interval::Sliding(Duration::from_secs(90)));
        assert_eq!((specs[0].key.clone(), specs[0].cost_line), (KeySpec::Shared, 5));
        let ip = FieldKey { name: "ip".into(), address: None, absent: Absent::Skip };
        assert_eq!(specs[1].key, KeySpec::Field(ip));
        assert_eq!(specs[0].estimate_line, 6);
        assert_eq!(specs[1].cost, CostSpec { fixed: 16, fields: Vec::new() });
        assert_eq!((specs[1].line, specs[1].key_line), (11, 13));
        assert_eq!(specs[1].estimate, None);
        assert_eq!(specs[1].rate.interval, Interval::Calendar(Period::Month));
    }

    #[test]
    fn a_duration_may_set_its_unit() {
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
    fn a_key_may_be_an_address_and_may_be_absent() {
        let key = |text: &str| {
            let file = parsed(&format!(
                "[[policy]]\nname = 'a'\nkey = 'x'\n{text}\nlimit = 5\nwindow = '1m'\n"
            ));
            let spec = file.unwrap().policies.remove(0);
            assert_eq!(spec.absent_line, if text.contains("absent") { 4 } else { 1 });
            let KeySpec::Field(key) = spec.key else { panic!("{:?}", spec.key) };
            (key.address, key.absent)
        };
        assert_eq!(key("address = true"), (Some(true), Absent::Skip));
        assert_eq!(key("absent = 'share'"), (None, Absent::Share));
        assert_eq!(key("absent = 'y'"), (None, Absent::Field("y".into())));
    }

    #[test]
    fn an_error_escapes_control_characters_of_a_number() {
        let text =
            "[[policy]]\nname = \"p\"\nkey = \"ip\"\nlimit = 15_00\u{10}0_000\nwindow = \"1m\"\n";
        let message = parse(Path::new("p.toml"), text).unwrap_err().to_string();
        assert!(!message.contains(char::is_control), "{message:?}");
        assert!(message.contains("limit"), "{message}");
    }

    #[test]
    fn too_few_bytes_are_an_error_with_the_least_number() {
        let file = |bytes: &str| {
            let text =
                "[[policy]]\nname = 'ip'\nkey = 'ip'\nlimit = 5\nwindow = '1m'\nmax_bytes = ";
            parsed(&format!("{text}{bytes}\n"))
        };
        let message = file("1_000").unwrap_err();
        assert!(
            message.starts_with("p.toml:6: policy \"ip\": max_bytes 1000 must be at least "),
            "{message}"
        );
        let least = message.rsplit(' ').next().unwrap();
        assert!(file(least).is_ok());
        assert!(file("0").is_err());
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
