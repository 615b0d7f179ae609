//! Describes a policy file in words.

use crate::text::{bytes, excerpt, printable, thousands};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;
use tollgate::{ConfigError, Limiter, Overflow};
use tollgate_policy_file::{
    Absent, CostSpec, DurationSpec, Interval, KeySpec, PolicyFile, PolicySpec, ReplaySpec,
};

/// Describes the policies of a checked file, as a server uses them.
///
/// # Errors
/// The limiter of the policies cannot be built.
pub fn describe(path: &Path, file: &PolicyFile) -> Result<String, ConfigError> {
    let limiter = file.build()?;
    let count = match file.specs.len() {
        1 => "1 policy".to_owned(),
        count => format!("{count} policies"),
    };
    let mut text = format!("{}: {count}\n", path.display());
    for spec in &file.specs {
        let _ = write!(text, "\n{}\n", printable(&spec.name));
        for (title, line) in lines(file, spec, &limiter)? {
            let _ = writeln!(text, "  {title:<8} {line}");
        }
    }
    let _ = writeln!(text, "\nmemory     {} at most in total", bytes(memory_bound(&limiter)));
    if let Some(duration) = &file.duration {
        let _ = writeln!(text, "duration   {}", duration_of(duration));
    }
    Ok(text)
}

/// The most memory of all policies.
fn memory_bound(limiter: &Limiter) -> usize {
    let ids = limiter.policies().filter_map(|policy| limiter.policy(policy.name()));
    ids.filter_map(|id| limiter.memory_bound(id).ok()).fold(0, usize::saturating_add)
}

/// The lines about a policy, with their titles.
fn lines(
    file: &PolicyFile,
    spec: &PolicySpec,
    limiter: &Limiter,
) -> Result<Vec<(&'static str, String)>, ConfigError> {
    let mut lines = vec![("limit", limit(spec)), ("counted", counted(spec)?)];
    if let Some(id) = limiter.policy(&spec.name) {
        let (most, keys) = (limiter.memory_bound(id)?, limiter.max_keys(id)?);
        let keys = thousands(keys as u64);
        lines.push(("memory", format!("{} at most, for {keys} keys", bytes(most))));
    }
    let overflow = spec.overflow.or(file.settings.overflow).unwrap_or_default();
    lines.push(("if full", full(overflow)));
    lines.push(("replay", replay(&spec.replay)));
    Ok(lines)
}

/// The limit, its interval, and the greatest limit.
fn limit(spec: &PolicySpec) -> String {
    let unit = match &spec.unit {
        Some(unit) => format!(" {}", excerpt(unit.as_bytes())),
        None => String::new(),
    };
    let mut text = format!("{}{unit} per key in ", thousands(spec.limit));
    text += &match spec.rate.interval {
        Interval::Sliding(_) => format!("any {}", spec.rate.text),
        Interval::Calendar(_) => {
            format!("each {} ({})", spec.rate.text, zone(spec.offset_seconds.unwrap_or(0)))
        }
    };
    match spec.max_limit {
        Some(limit) if limit > spec.limit => {
            let _ = write!(text, "; can be raised to {}", thousands(limit));
        }
        _ if spec.limit == 0 => text += "; denies every request",
        _ => {}
    }
    if spec.dry_run {
        text += "; a dry run, which denies nothing";
    }
    text
}

/// An offset from UTC: `UTC+05:30`.
fn zone(offset_s: i32) -> String {
    let (sign, offset_s) = (if offset_s < 0 { '-' } else { '+' }, offset_s.unsigned_abs());
    let [hours, minutes, seconds] = [offset_s / 3_600, offset_s / 60 % 60, offset_s % 60];
    match (hours, minutes, seconds) {
        (0, 0, 0) => "UTC".to_owned(),
        (_, _, 0) => format!("UTC{sign}{hours:02}:{minutes:02}"),
        _ => format!("UTC{sign}{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

/// How precisely the usage is counted.
fn counted(spec: &PolicySpec) -> Result<String, ConfigError> {
    Ok(match spec.policy().bucket_count()? {
        None => "exactly".to_owned(),
        Some(buckets) => {
            format!("in {buckets} buckets: never admits more than the limit, may deny for longer")
        }
    })
}

/// What happens to a new key when the table is full.
fn full(overflow: Overflow) -> String {
    match overflow {
        Overflow::Deny => "refuses new keys".to_owned(),
        Overflow::Allow => "allows new keys, and does not count them".to_owned(),
        Overflow::EvictLightest { allowance } => {
            let units = thousands(allowance);
            format!("evicts the keys with the least usage, and forgives a key at most {units}")
        }
        other => format!("{other:?}"),
    }
}

/// How a replay charges a request.
fn replay(spec: &ReplaySpec) -> String {
    let key = match &spec.key {
        None => return "not possible: the policy has no key".to_owned(),
        Some(KeySpec::Shared) => "one key for all requests".to_owned(),
        Some(KeySpec::Field(key)) => {
            let kind = match key.address {
                Some(true) => " as an address",
                Some(false) => " as text",
                None => "",
            };
            let absent = match &key.absent {
                Absent::Skip => String::new(),
                Absent::Share => ", or one key for all requests without it".to_owned(),
                Absent::Field(other) => format!(", or else {}", quoted(other)),
            };
            format!("key {}{kind}{absent}", quoted(&key.name))
        }
    };
    let estimate = match &spec.estimate {
        Some(estimate) => format!(", estimate {}", sum(estimate)),
        None => String::new(),
    };
    format!("{key}{estimate}, cost {}", sum(&spec.cost))
}

/// A cost: `"prompt" + 200`.
fn sum(cost: &CostSpec) -> String {
    let fixed = (cost.fixed > 0).then(|| thousands(cost.fixed));
    let terms: Vec<String> = cost.fields.iter().map(|field| quoted(field)).chain(fixed).collect();
    terms.join(" + ")
}

/// The duration of a request in a replay: `"tokens" times 20ms`.
fn duration_of(duration: &DurationSpec) -> String {
    let field = quoted(&duration.field);
    match duration.unit {
        unit if unit == Duration::from_secs(1) => format!("{field} in seconds, in a replay"),
        unit => format!("{field} times {unit:?}, in a replay"),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", excerpt(text.as_bytes()))
}
