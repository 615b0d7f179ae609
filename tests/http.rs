//! HTTP fields and bodies have the right values, read back by parsers that share no code with their
//! writers.

use std::time::Duration;

use proptest::prelude::*;
use tollgate::PolicyStatus;
use tollgate::http::{
    Item, QuotaExceeded, RateLimitDraft11, RateLimitPolicyDraft11, XRateLimitDelta,
    retry_after_seconds,
};

/// A strict parser of the part of RFC 9651 that a list of strings with parameters needs.
mod structured_field {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Value {
        Integer(u64),
        String(String),
    }

    pub type Parameters = Vec<(String, Value)>;

    pub fn parse_list(field: &str) -> Option<Vec<(String, Parameters)>> {
        let mut rest = field;
        let mut members = Vec::new();
        while !rest.is_empty() {
            let (name, after) = parse_string(rest)?;
            let (parameters, after) = parse_parameters(after)?;
            members.push((name, parameters));
            rest = match after.strip_prefix(',') {
                // A trailing comma is an error.
                Some(next) => {
                    Some(next.trim_start_matches([' ', '\t'])).filter(|s| !s.is_empty())?
                }
                None if after.is_empty() => after,
                None => return None,
            };
        }
        Some(members)
    }

    fn parse_parameters(mut rest: &str) -> Option<(Parameters, &str)> {
        let mut parameters = Vec::new();
        while let Some(after) = rest.strip_prefix(';') {
            let (key, after) = after.split_once('=')?;
            let key_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if !key.starts_with(|c: char| c.is_ascii_lowercase()) || !key.chars().all(key_char) {
                return None;
            }
            let (value, after) = match parse_string(after) {
                Some((string, after)) => (Value::String(string), after),
                None => parse_integer(after)?,
            };
            parameters.push((key.to_owned(), value));
            rest = after;
        }
        Some((parameters, rest))
    }

    fn parse_integer(text: &str) -> Option<(Value, &str)> {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, rest) = text.split_at(end);
        let value = digits.parse().ok().filter(|_| digits.len() <= 15)?;
        Some((Value::Integer(value), rest))
    }

    fn parse_string(text: &str) -> Option<(String, &str)> {
        let mut string = String::new();
        let mut chars = text.strip_prefix('"')?.chars();
        loop {
            match chars.next()? {
                '"' => return Some((string, chars.as_str())),
                '\\' => string.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
                c if (' '..='~').contains(&c) => string.push(c),
                _ => return None,
            }
        }
    }
}

/// A parser of flat JSON objects without white space, strict in its strings except for the digits of an
/// escape.
mod json {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Value {
        Number(u64),
        String(String),
        Strings(Vec<String>),
    }

    pub fn parse_object(text: &str) -> Option<Vec<(String, Value)>> {
        let mut rest = text.strip_prefix('{')?;
        let mut members = Vec::new();
        loop {
            let (key, after) = parse_string(rest)?;
            let (value, after) = parse_value(after.strip_prefix(':')?)?;
            members.push((key, value));
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None => return (after == "}").then_some(members),
            }
        }
    }

    fn parse_value(text: &str) -> Option<(Value, &str)> {
        if let Some((string, rest)) = parse_string(text) {
            return Some((Value::String(string), rest));
        }
        if let Some(rest) = text.strip_prefix('[') {
            return parse_strings(rest);
        }
        let end = text.find(|c: char| !c.is_ascii_digit())?;
        Some((Value::Number(text[..end].parse().ok()?), &text[end..]))
    }

    fn parse_strings(text: &str) -> Option<(Value, &str)> {
        let mut strings = Vec::new();
        if let Some(rest) = text.strip_prefix(']') {
            return Some((Value::Strings(strings), rest));
        }
        let mut rest = text;
        loop {
            let (string, after) = parse_string(rest)?;
            strings.push(string);
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None => return Some((Value::Strings(strings), after.strip_prefix(']')?)),
            }
        }
    }

    fn parse_string(text: &str) -> Option<(String, &str)> {
        let mut string = String::new();
        let mut chars = text.strip_prefix('"')?.chars();
        loop {
            match chars.next()? {
                '"' => return Some((string, chars.as_str())),
                '\\' => match chars.next()? {
                    c @ ('"' | '\\' | '/') => string.push(c),
                    'u' => {
                        let code: String = chars.by_ref().take(4).collect();
                        let code =
                            u32::from_str_radix(&code, 16).ok().filter(|_| code.len() == 4)?;
                        string.push(char::from_u32(code)?);
                    }
                    _ => return None,
                },
                // RFC 8259: control characters must be escaped.
                '\0'..='\u{1f}' => return None,
                c => string.push(c),
            }
        }
    }
}

use structured_field::Value::{Integer, String as Text};

/// The owned parts of an [`Item`].
#[derive(Clone, Debug)]
struct Sample {
    name: String,
    window: Duration,
    unit: Option<String>,
    status: PolicyStatus,
}

impl Sample {
    fn item(&self) -> Item<'_> {
        let item = Item::new(&self.name, self.window, self.status);
        match &self.unit {
            Some(unit) => item.with_unit(unit),
            None => item,
        }
    }
}

fn items(samples: &[Sample]) -> Vec<Item<'_>> {
    samples.iter().map(Sample::item).collect()
}

fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        3 => (0..100_000_u64, 0..1_000_000_000_u32).prop_map(|(s, ns)| Duration::new(s, ns)),
        2 => (0..100_000_u64).prop_map(Duration::from_secs),
        1 => (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(s, ns)| Duration::new(s, ns)),
        1 => Just(Duration::MAX),
    ]
}

fn any_quantity() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..100_000_u64, 1 => any::<u64>(), 1 => Just(u64::MAX)]
}

/// Any text, biased towards characters that must be escaped.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z-]{1,12}",
        r#"[ -~"\\]{0,12}"#,
        "[\"\\\\\0-\x1f\u{7f}\u{2028}é]{0,8}",
        any::<String>()
    ]
}

prop_compose! {
    fn any_status()(
        (limit, remaining) in (any_quantity(), any_quantity()),
        retry_after_ns in proptest::option::of(any_quantity()),
        reset_after_ns in any_quantity(),
        violated in any::<bool>(),
    ) -> PolicyStatus {
        let mut status = PolicyStatus::default();
        (status.limit, status.remaining, status.violated) = (limit, remaining, violated);
        (status.retry_after_ns, status.reset_after_ns) = (retry_after_ns, reset_after_ns);
        status
    }
}

prop_compose! {
    fn any_samples()(samples in prop::collection::vec(
        (any_text(), any_duration(), proptest::option::of(any_text()), any_status()),
        0..5,
    )) -> Vec<Sample> {
        let sample = |(name, window, unit, status)| Sample { name, window, unit, status };
        samples.into_iter().map(sample).collect()
    }
}

/// Rounds up to seconds, computed from nanoseconds.
fn ceil(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u64::MAX)
}

fn integer(value: u64) -> structured_field::Value {
    Integer(value.min(999_999_999_999_999))
}

fn printable(text: &str) -> String {
    let visible = |c: char| c.is_ascii_graphic() || c == ' ';
    text.chars().map(|c| if visible(c) { c } else { '?' }).collect()
}

fn is_visible_ascii(field: &str) -> bool {
    field.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    /// `Retry-After` is the wait, rounded up to seconds, and at least one second.
    #[test]
    fn retry_after_is_never_early_nor_a_second_late(wait in any_duration()) {
        let value = retry_after_seconds(wait);
        let rounded = Duration::from_secs(value);
        prop_assert!(value >= 1);
        prop_assert!(rounded >= wait || value == u64::MAX);
        prop_assert!(value == 1 || rounded - Duration::from_secs(1) < wait);
    }

    /// `RateLimit` parses to the names, remaining costs and waits of its items.
    #[test]
    fn rate_limit_reads_back(samples in any_samples()) {
        let field = RateLimitDraft11(&items(&samples)).to_string();
        let expected: Vec<_> = samples.iter().map(|Sample { name, status, .. }| {
            let wait = status.retry_after().unwrap_or(status.reset_after());
            let (r, t) = (integer(status.remaining), integer(ceil(wait)));
            (printable(name), vec![("r".to_owned(), r), ("t".to_owned(), t)])
        }).collect();
        prop_assert!(is_visible_ascii(&field));
        prop_assert_eq!(structured_field::parse_list(&field), Some(expected));
    }

    /// `RateLimit-Policy` parses to the names, limits, windows and units of its items.
    #[test]
    fn rate_limit_policy_reads_back(samples in any_samples()) {
        let field = RateLimitPolicyDraft11(&items(&samples)).to_string();
        let expected: Vec<_> = samples.iter().map(|sample| {
            let window_s = ceil(sample.window).max(1);
            let mut parameters = vec![
                ("q".to_owned(), integer(sample.status.limit)),
                ("w".to_owned(), integer(window_s)),
            ];
            if let Some(unit) = &sample.unit {
                parameters.push(("tollgate-unit".to_owned(), Text(printable(unit))));
            }
            (printable(&sample.name), parameters)
        }).collect();
        prop_assert!(is_visible_ascii(&field));
        prop_assert_eq!(structured_field::parse_list(&field), Some(expected));
    }

    /// The problem body parses to the violated policies and the detail.
    #[test]
    fn problem_reads_back(samples in any_samples(), detail in proptest::option::of(any_text())) {
        let items = items(&samples);
        let body = QuotaExceeded::new(&items);
        let body = match &detail {
            Some(detail) => body.detail(detail).to_string(),
            None => body.to_string(),
        };
        let members = json::parse_object(&body).expect("valid JSON");
        let get = |key: &str| members.iter().find(|(k, _)| k == key).map(|(_, value)| value.clone());
        let violated = samples.iter().filter(|s| s.status.violated).map(|s| s.name.clone()).collect();
        prop_assert_eq!(get("status"), Some(json::Value::Number(429)));
        prop_assert_eq!(get("violated-policies"), Some(json::Value::Strings(violated)));
        prop_assert_eq!(get("detail"), detail.map(json::Value::String));
        prop_assert_eq!(members.len(), 4 + usize::from(get("detail").is_some()));
    }

    /// The `X-RateLimit` fields have the numbers of the policy status.
    #[test]
    fn x_rate_limit_has_the_numbers_of_the_status(status in any_status()) {
        let values = XRateLimitDelta::from(&status).fields().map(|(_, value)| value);
        prop_assert_eq!(values, [status.limit, status.remaining, ceil(status.reset_after())]);
    }

    /// As the draft requires, `Retry-After` is not earlier than the `t` of any policy without room.
    #[test]
    fn retry_after_is_not_before_t(statuses in prop::collection::vec(any_status(), 1..5)) {
        let longest = statuses.iter().filter_map(|status| status.retry_after()).max();
        let Some(retry_after) = longest.map(retry_after_seconds) else { return Ok(()) };
        for status in statuses.into_iter().filter(|status| status.retry_after().is_some()) {
            let field = RateLimitDraft11([Item::new("p", Duration::ZERO, status)]).to_string();
            let members = structured_field::parse_list(&field).expect("a list");
            let t = match members[0].1.last() {
                Some((_, Integer(t))) => *t,
                other => panic!("no t but {other:?}"),
            };
            prop_assert!(retry_after >= t);
        }
    }
}

/// Units that the draft registers use its own parameter `qu`.
#[test]
fn registered_units_use_the_parameter_of_the_draft() {
    let item = Item::new("p", Duration::from_secs(1), PolicyStatus::default());
    for unit in ["requests", "content-bytes", "concurrent-requests"] {
        let field = RateLimitPolicyDraft11([item.with_unit(unit)]).to_string();
        assert_eq!(field, format!(r#""p";q=0;w=1;qu="{unit}""#));
    }
}

/// Without items, each field is an empty list.
#[test]
fn no_items_give_empty_lists() {
    let none: [Item<'_>; 0] = [];
    assert_eq!(RateLimitDraft11(&none).to_string(), "");
    assert_eq!(RateLimitPolicyDraft11(&none).to_string(), "");
    assert!(QuotaExceeded::new(&none).to_string().ends_with(r#""violated-policies":[]}"#));
}

/// Slices, arrays and iterators of items are written in the same way.
#[test]
fn any_iterable_of_items_is_accepted() {
    let names = ["a", "b"];
    let item = |name| Item::new(name, Duration::from_secs(1), PolicyStatus::default());
    let array = names.map(item);
    let expected = r#""a";r=0;t=0, "b";r=0;t=0"#;
    assert_eq!(RateLimitDraft11(&array[..]).to_string(), expected);
    assert_eq!(RateLimitDraft11(array).to_string(), expected);
    assert_eq!(RateLimitDraft11(names.iter().map(|name| item(name))).to_string(), expected);
}

/// Guarantee H: the greatest numbers are cut to what a field can hold.
#[test]
fn greatest_numbers_are_clamped() {
    let mut status = PolicyStatus::default();
    (status.limit, status.remaining) = (u64::MAX, u64::MAX);
    status.reset_after_ns = u64::MAX;
    let items = [Item::new("p", Duration::MAX, status)];
    let most = "999999999999999";
    let latest = "18446744074";
    assert_eq!(RateLimitDraft11(&items).to_string(), format!(r#""p";r={most};t={latest}"#));
    assert_eq!(RateLimitPolicyDraft11(&items).to_string(), format!(r#""p";q={most};w={most}"#));
    assert_eq!(retry_after_seconds(Duration::MAX), u64::MAX);
    let window_0 = [Item::new("p", Duration::ZERO, PolicyStatus::default())];
    assert_eq!(RateLimitPolicyDraft11(&window_0).to_string(), r#""p";q=0;w=1"#);
}
