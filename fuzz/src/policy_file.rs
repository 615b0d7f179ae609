//! Policy files: what is accepted makes a limiter and means what it says, what is not is named.

use crate::Reached;
use std::fmt::Write as _;
use std::path::Path;
use tollgate::{Limiter, ManualClock, Period};
use tollgate_cli::policy_file::{
    self, CostSpec, KeySpec, PolicyFile, PolicyFileError, PolicySpec, Stretch,
};

pub const WANTED: [&str; 8] = [
    "no text",
    "no TOML",
    "refused",
    "several policies",
    "calendar",
    "estimate",
    "duration",
    "buckets",
];

/// What messages call the file.
const NAME: &str = "p.toml";

/// # Panics
/// If an error has no place in the file, or an accepted file no limiter, or another meaning when
/// its content is written anew.
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

/// An error is one harmless line that begins with the file and, where it has one, a line of it.
fn check_error(error: &PolicyFileError, data: &[u8]) {
    let message = error.to_string();
    assert!(!message.contains(char::is_control), "{message:?}");
    let lines = data.split(|byte| *byte == b'\n').count();
    let place = match error.line {
        Some(line) => {
            assert!((1..=lines).contains(&line), "{message:?} of {lines} lines");
            format!("{NAME}:{line}: ")
        }
        None => format!("{NAME}: "),
    };
    assert!(message.starts_with(&place) && message.len() > place.len(), "{message:?}");
}

fn check_limiter(file: &PolicyFile) {
    let mut builder = Limiter::builder().clock(ManualClock::new());
    let ids: Vec<_> = file.policies.iter().map(|spec| builder.add(spec.policy())).collect();
    let limiter = builder.build().expect("a limiter of the accepted policies");
    for (spec, id) in file.policies.iter().zip(ids) {
        assert_eq!(limiter.policy(&spec.name), Some(id));
        assert_eq!(limiter.limit(id), Ok(spec.limit));
    }
}

/// The file that is written from what was read says the same.
fn check_meaning(file: &PolicyFile) {
    let text = written(file);
    let again = policy_file::from_bytes(Path::new(NAME), text.clone().into_bytes());
    let again = again.unwrap_or_else(|error| panic!("{error} in\n{text}"));
    assert_eq!(bare(again), bare(file.clone()), "{text}");
}

/// Without what depends on how the file was written.
fn bare(mut file: PolicyFile) -> PolicyFile {
    file.duration.iter_mut().for_each(|duration| duration.line = 0);
    for spec in &mut file.policies {
        (spec.line, spec.key_line, spec.cost_line, spec.estimate_line) = (0, 0, 0, 0);
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
        let key = match &spec.key {
            KeySpec::Shared => "'*'".to_owned(),
            KeySpec::Field(field) => quoted(field),
        };
        text += &format!("[[policy]]\nname = {}\nkey = {key}\n", quoted(&spec.name));
        text += &format!("cost = {}\nlimit = {}\n", sum(&spec.cost), spec.limit);
        text += &match spec.rate.stretch {
            Stretch::Sliding(window) => format!("window = '{}ms'\n", window.as_millis()),
            Stretch::Calendar(Period::Hour) => "calendar = 'hour'\n".to_owned(),
            Stretch::Calendar(Period::Day) => "calendar = 'day'\n".to_owned(),
            Stretch::Calendar(Period::Month) => "calendar = 'month'\n".to_owned(),
            Stretch::Calendar(other) => panic!("{other:?} cannot be written"),
        };
        if let Some(estimate) = &spec.estimate {
            text += &format!("estimate = {}\n", sum(estimate));
        }
        if let Some(buckets) = spec.buckets {
            text += &format!("buckets = {buckets}\n");
        }
    }
    text
}

/// A cost as a list; a number of 0, which cannot be written, is what a list without one has.
fn sum(cost: &CostSpec) -> String {
    let fixed = Some(cost.fixed).filter(|fixed| *fixed > 0).map(|fixed| fixed.to_string());
    let terms: Vec<String> =
        fixed.into_iter().chain(cost.fields.iter().map(|field| quoted(field))).collect();
    format!("[{}]", terms.join(", "))
}

/// A TOML string: everything but plain characters by its number.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            c if c.is_ascii_alphanumeric() => quoted.push(c),
            c => write!(quoted, "\\U{:08X}", u32::from(c)).expect("a String takes everything"),
        }
    }
    quoted + "\""
}

fn kind(error: &PolicyFileError) -> &'static str {
    match *error.problem {
        policy_file::Problem::NotText => "no text",
        policy_file::Problem::Syntax(_) => "no TOML",
        _ => "refused",
    }
}

fn reached(file: &PolicyFile) -> Reached {
    let any = |is: fn(&PolicySpec) -> bool| file.policies.iter().any(is);
    let reached = [
        ("several policies", file.policies.len() > 2),
        ("calendar", any(|spec| matches!(spec.rate.stretch, Stretch::Calendar(_)))),
        ("estimate", any(|spec| spec.estimate.is_some())),
        ("duration", file.duration.is_some()),
        ("buckets", any(|spec| spec.buckets.is_some())),
    ];
    reached.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect()
}
