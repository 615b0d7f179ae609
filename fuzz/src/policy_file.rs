//! Target: policy files. An accepted file builds a limiter and keeps its meaning when it is written
//! again. A rejected file gives a located error.

use crate::Reached;
use std::fmt::{Display, Write as _};
use tollgate::{ManualClock, Overflow, Period};
use tollgate_policy_file::{
    Absent, CostSpec, FieldKey, Interval, KeySpec, PolicyFile, PolicyFileError, PolicySpec,
    Position, Problem,
};

/// The cases that the corpus must reach.
pub const CASES: [&str; 17] = [
    "not UTF-8",
    "not TOML",
    "rejected",
    "several policies",
    "calendar",
    "estimate",
    "duration",
    "buckets",
    "max_bytes",
    "max_keys",
    "max_limit",
    "offset",
    "overflow",
    "unit",
    "no key",
    "settings",
    "dry_run",
];

/// The name of the file in messages.
const NAME: &str = "p.toml";

/// Reads `data` as a policy file, and checks the result.
///
/// # Panics
/// If an error has a wrong location, if an accepted file does not build a limiter, or if its
/// meaning changes when it is written again.
pub fn run(data: &[u8]) -> Reached {
    match PolicyFile::from_bytes(data) {
        Err(error) => {
            let kind = kind(&error);
            check_error(error.in_file(NAME), data);
            Reached::from([kind])
        }
        Ok(file) => {
            check_limiter(&file);
            check_meaning(&file);
            reached(&file)
        }
    }
}

/// Checks that an error is one line without control characters. The line must start with the file name,
/// and with the position if the error has one, which must be in the file.
fn check_error(error: PolicyFileError, data: &[u8]) {
    let message = error.to_string();
    assert!(!message.contains(char::is_control), "{message:?}");
    let location = match error.location.position {
        Some(Position { line, column }) => {
            let text = data.split(|byte| *byte == b'\n').nth(line.wrapping_sub(1));
            let characters =
                String::from_utf8_lossy(text.expect("a line of the file")).chars().count();
            assert!((1..=characters + 1).contains(&column), "{message:?}");
            format!("{NAME}:{line}:{column}: ")
        }
        None => format!("{NAME}: "),
    };
    assert!(message.starts_with(&location) && message.len() > location.len(), "{message:?}");
}

fn check_limiter(file: &PolicyFile) {
    let builder = file.limiter_builder().clock(ManualClock::new());
    let limiter = builder.build().expect("a limiter of the accepted policies");
    for spec in &file.specs {
        let id = limiter.policy(&spec.name).expect("a policy of that name");
        assert_eq!(limiter.limit(id), Ok(spec.limit));
    }
}

/// Writes the parsed file, reads it again, and checks that the result is equal.
fn check_meaning(file: &PolicyFile) {
    let text = written(file);
    let again = PolicyFile::parse(&text);
    let again = again.unwrap_or_else(|error| panic!("{error} in\n{text}"));
    assert_eq!(bare(again), bare(file.clone()), "{text}");
}

/// Removes positions and original text, which depend on the layout of the file.
fn bare(mut file: PolicyFile) -> PolicyFile {
    let none = Position::default();
    file.duration.iter_mut().for_each(|duration| duration.position = none);
    for spec in &mut file.specs {
        spec.position = none;
        spec.rate.text.clear();
        let replay = &mut spec.replay;
        (replay.key_position, replay.absent_position) = (none, none);
        (replay.cost_position, replay.estimate_position) = (none, none);
    }
    file
}

fn written(file: &PolicyFile) -> String {
    let mut text = String::new();
    if let Some(duration) = &file.duration {
        let (field, unit_us) = (quoted(&duration.field), duration.unit.as_micros());
        text += &format!("duration = {{ field = {field}, unit = '{unit_us}us' }}\n");
    }
    text += &entry("max_keys", file.settings.max_keys);
    text += &entry("max_bytes", file.settings.max_bytes);
    text += &overflow(file.settings.overflow);
    for spec in &file.specs {
        let key = spec.replay.key.as_ref().map_or(String::new(), key);
        text += &format!("[[policy]]\nname = {}\n{key}", quoted(&spec.name));
        text += &format!("cost = {}\nlimit = {}\n", sum(&spec.replay.cost), spec.limit);
        text += &match spec.rate.interval {
            Interval::Sliding(window) => format!("window = '{}ms'\n", window.as_millis()),
            Interval::Calendar(Period::Hour) => "calendar = 'hour'\n".to_owned(),
            Interval::Calendar(Period::Day) => "calendar = 'day'\n".to_owned(),
            Interval::Calendar(Period::Month) => "calendar = 'month'\n".to_owned(),
            Interval::Calendar(other) => panic!("{other:?} cannot be written"),
        };
        text += &entry("estimate", spec.replay.estimate.as_ref().map(sum));
        text += &entry("buckets", spec.buckets);
        text += &entry("max_limit", spec.max_limit);
        text += &entry("offset_seconds", spec.offset_seconds);
        text += &entry("max_keys", spec.max_keys);
        text += &entry("max_bytes", spec.max_bytes);
        text += &entry("unit", spec.unit.as_deref().map(quoted));
        text += &overflow(spec.overflow);
        if spec.dry_run {
            text += "dry_run = true\n";
        }
    }
    text
}

/// Writes an optional entry.
fn entry(name: &str, value: Option<impl Display>) -> String {
    value.map_or(String::new(), |value| format!("{name} = {value}\n"))
}

/// Writes the entries of an overflow mode.
fn overflow(overflow: Option<Overflow>) -> String {
    match overflow {
        None => String::new(),
        Some(Overflow::Deny) => "overflow = 'deny'\n".to_owned(),
        Some(Overflow::Allow) => "overflow = 'allow'\n".to_owned(),
        Some(Overflow::EvictLightest { allowance }) => {
            format!("overflow = 'evict_lightest'\nallowance = {allowance}\n")
        }
        Some(other) => panic!("{other:?} cannot be written"),
    }
}

/// Writes the entries of a key.
fn key(key: &KeySpec) -> String {
    let KeySpec::Field(FieldKey { name, address, absent }) = key else {
        return "key = '*'\n".to_owned();
    };
    let absent = match absent {
        Absent::Skip => quoted("skip"),
        Absent::Share => quoted("share"),
        Absent::Field(field) => quoted(field),
    };
    let address = address.map(|is_address| format!("address = {is_address}\n"));
    format!("key = {}\nabsent = {absent}\n{}", quoted(name), address.unwrap_or_default())
}

/// Formats a cost as a list. A fixed number of 0 is left out, because a file cannot contain it.
fn sum(cost: &CostSpec) -> String {
    let fixed = Some(cost.fixed).filter(|fixed| *fixed > 0).map(|fixed| fixed.to_string());
    let terms: Vec<String> =
        fixed.into_iter().chain(cost.fields.iter().map(|field| quoted(field))).collect();
    format!("[{}]", terms.join(", "))
}

/// Formats a TOML string. Every character except ASCII letters and digits is escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            c if c.is_ascii_alphanumeric() => quoted.push(c),
            c => {
                write!(quoted, "\\U{:08X}", u32::from(c)).expect("writing to a String cannot fail")
            }
        }
    }
    quoted + "\""
}

fn kind(error: &PolicyFileError) -> &'static str {
    match *error.problem {
        Problem::NotText => "not UTF-8",
        Problem::Syntax(_) => "not TOML",
        _ => "rejected",
    }
}

fn reached(file: &PolicyFile) -> Reached {
    let any = |is: fn(&PolicySpec) -> bool| file.specs.iter().any(is);
    let settings = &file.settings;
    let reached = [
        ("several policies", file.specs.len() > 2),
        ("calendar", any(|spec| matches!(spec.rate.interval, Interval::Calendar(_)))),
        ("estimate", any(|spec| spec.replay.estimate.is_some())),
        ("duration", file.duration.is_some()),
        ("buckets", any(|spec| spec.buckets.is_some())),
        ("max_bytes", any(|spec| spec.max_bytes.is_some())),
        ("max_keys", any(|spec| spec.max_keys.is_some())),
        ("max_limit", any(|spec| spec.max_limit.is_some())),
        ("offset", any(|spec| spec.offset_seconds.is_some())),
        ("overflow", any(|spec| spec.overflow.is_some())),
        ("unit", any(|spec| spec.unit.is_some())),
        ("no key", any(|spec| spec.replay.key.is_none())),
        (
            "settings",
            settings.max_keys.is_some()
                && settings.max_bytes.is_some()
                && settings.overflow.is_some(),
        ),
        ("dry_run", any(|spec| spec.dry_run)),
    ];
    reached.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect()
}
