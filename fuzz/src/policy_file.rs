//! Target: policy files. An accepted file builds a limiter and keeps its meaning when it is written
//! again. A rejected file gives a located error.

use crate::Reached;
use std::fmt::Write as _;
use std::path::Path;
use tollgate::{Limiter, ManualClock, Period};
use tollgate_cli::policy_file::{
    self, Absent, CostSpec, FieldKey, Interval, KeySpec, PolicyFile, PolicyFileError, PolicySpec,
};

/// The cases that the corpus must reach.
pub const CASES: [&str; 9] = [
    "not UTF-8",
    "not TOML",
    "rejected",
    "several policies",
    "calendar",
    "estimate",
    "duration",
    "buckets",
    "max_bytes",
];

/// The name of the file in messages.
const NAME: &str = "p.toml";

/// Reads `data` as a policy file, and checks the result.
///
/// # Panics
/// If an error has a wrong location, if an accepted file does not build a limiter, or if its
/// meaning changes when it is written again.
pub fn run(data: &[u8]) -> Reached {
    match policy_file::from_bytes(Path::new(NAME), data.to_vec()) {
        Err(error) => {
            check_error(&error, data);
            Reached::from([kind(&error)])
        }
        Ok(file) => {
            check_limiter(&file);
            check_meaning(&file);
            reached(&file)
        }
    }
}

/// Checks that an error is one line without control characters. The line must start with the file name,
/// and with the line number if the error has one.
fn check_error(error: &PolicyFileError, data: &[u8]) {
    let message = error.to_string();
    assert!(!message.contains(char::is_control), "{message:?}");
    let lines = data.split(|byte| *byte == b'\n').count();
    let location = match error.line {
        Some(line) => {
            assert!((1..=lines).contains(&line), "{message:?} of {lines} lines");
            format!("{NAME}:{line}: ")
        }
        None => format!("{NAME}: "),
    };
    assert!(message.starts_with(&location) && message.len() > location.len(), "{message:?}");
}

fn check_limiter(file: &PolicyFile) {
    let builder = Limiter::builder().clock(ManualClock::new());
    let policies = file.policies.iter().map(PolicySpec::policy);
    let limiter = policies.fold(builder, |builder, policy| builder.policy(policy)).build();
    let limiter = limiter.expect("a limiter of the accepted policies");
    for spec in &file.policies {
        let id = limiter.policy(&spec.name).expect("a policy of that name");
        assert_eq!(limiter.limit(id), Ok(spec.limit));
    }
}

/// Writes the parsed file, reads it again, and checks that the result is equal.
fn check_meaning(file: &PolicyFile) {
    let text = written(file);
    let again = policy_file::from_bytes(Path::new(NAME), text.clone().into_bytes());
    let again = again.unwrap_or_else(|error| panic!("{error} in\n{text}"));
    assert_eq!(bare(again), bare(file.clone()), "{text}");
}

/// Removes line numbers and original text, which depend on the layout of the file.
fn bare(mut file: PolicyFile) -> PolicyFile {
    file.duration.iter_mut().for_each(|duration| duration.line = 0);
    for spec in &mut file.policies {
        (spec.line, spec.key_line, spec.absent_line) = (0, 0, 0);
        (spec.cost_line, spec.estimate_line) = (0, 0);
        spec.rate.text.clear();
    }
    file
}

fn written(file: &PolicyFile) -> String {
    let mut text = String::new();
    if let Some(duration) = &file.duration {
        let (field, unit_us) = (quoted(&duration.field), duration.unit.as_micros());
        text += &format!("duration = {{ field = {field}, unit = '{unit_us}us' }}\n");
    }
    for spec in &file.policies {
        text += &format!("[[policy]]\nname = {}\n{}", quoted(&spec.name), key(&spec.key));
        text += &format!("cost = {}\nlimit = {}\n", sum(&spec.cost), spec.limit);
        text += &match spec.rate.interval {
            Interval::Sliding(window) => format!("window = '{}ms'\n", window.as_millis()),
            Interval::Calendar(Period::Hour) => "calendar = 'hour'\n".to_owned(),
            Interval::Calendar(Period::Day) => "calendar = 'day'\n".to_owned(),
            Interval::Calendar(Period::Month) => "calendar = 'month'\n".to_owned(),
            Interval::Calendar(other) => panic!("{other:?} cannot be written"),
        };
        if let Some(estimate) = &spec.estimate {
            text += &format!("estimate = {}\n", sum(estimate));
        }
        if let Some(buckets) = spec.buckets {
            text += &format!("buckets = {buckets}\n");
        }
        if let Some(bytes) = spec.max_bytes {
            text += &format!("max_bytes = {bytes}\n");
        }
    }
    text
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
        policy_file::Problem::NotText => "not UTF-8",
        policy_file::Problem::Syntax(_) => "not TOML",
        _ => "rejected",
    }
}

fn reached(file: &PolicyFile) -> Reached {
    let any = |is: fn(&PolicySpec) -> bool| file.policies.iter().any(is);
    let reached = [
        ("several policies", file.policies.len() > 2),
        ("calendar", any(|spec| matches!(spec.rate.interval, Interval::Calendar(_)))),
        ("estimate", any(|spec| spec.estimate.is_some())),
        ("duration", file.duration.is_some()),
        ("buckets", any(|spec| spec.buckets.is_some())),
        ("max_bytes", any(|spec| spec.max_bytes.is_some())),
    ];
    reached.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect()
}
