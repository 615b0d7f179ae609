//! Checks the HTTP fields and bodies of any items with independent parsers.

use serde_json::Value;
use sfv::{BareItem, Item as SfItem, List, ListEntry, Parser};
use std::time::Duration;
use tollgate::http::{
    Item, QuotaExceeded, RateLimitDraft11, RateLimitPolicyDraft11, XRateLimitDelta,
    retry_after_seconds,
};

const REGISTERED_UNITS: [&str; 3] = ["requests", "content-bytes", "concurrent-requests"];

/// Panics unless the fields and the body contain exactly the data of `items`.
pub fn check(items: &[Item<'_>], detail: Option<&str>) {
    policies(items);
    limits(items);
    problem(items, detail);
    for item in items {
        let values = XRateLimitDelta::from(&item.status).fields().map(|field| field.1);
        let reset_s = ceil_seconds(item.status.reset_after());
        assert_eq!(values, [item.status.limit, item.status.remaining, reset_s]);
        item.status.retry_after().into_iter().for_each(check_wait);
    }
}

/// Panics unless `retry-after` is the wait rounded up to seconds, and at least 1.
pub fn check_wait(wait: Duration) {
    assert_eq!(retry_after_seconds(wait), ceil_seconds(wait).max(1));
}

fn policies(items: &[Item<'_>]) {
    let field = RateLimitPolicyDraft11(items).to_string();
    for (item, member) in items.iter().zip(members(&field, items.len())) {
        assert_eq!(string(&member.bare_item), printable(item.name));
        assert_eq!(parameter(&member, "q"), number(item.status.limit));
        assert_eq!(parameter(&member, "w"), number(ceil_seconds(item.window).max(1)));
        let Some(unit) = item.unit else {
            assert_eq!(member.params.len(), 2);
            continue;
        };
        let key = if REGISTERED_UNITS.contains(&unit) { "qu" } else { "tollgate-unit" };
        assert_eq!(string(&member.params[key]), printable(unit));
        assert_eq!(member.params.len(), 3);
    }
}

fn limits(items: &[Item<'_>]) {
    let field = RateLimitDraft11(items).to_string();
    for (item, member) in items.iter().zip(members(&field, items.len())) {
        let wait = item.status.retry_after().unwrap_or(item.status.reset_after());
        assert_eq!(string(&member.bare_item), printable(item.name));
        assert_eq!(parameter(&member, "r"), number(item.status.remaining));
        assert_eq!(parameter(&member, "t"), number(ceil_seconds(wait)));
        assert_eq!(member.params.len(), 2);
    }
}

fn problem(items: &[Item<'_>], detail: Option<&str>) {
    let body = QuotaExceeded::new(items);
    let body = match detail {
        Some(detail) => body.detail(detail).to_string(),
        None => body.to_string(),
    };
    assert!(!body.contains(['\r', '\n']), "{body:?}");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let violated: Vec<&str> =
        items.iter().filter(|item| item.status.violated).map(|item| item.name).collect();
    assert_eq!(body["violated-policies"], Value::from(violated));
    assert_eq!(body["status"], Value::from(429));
    assert_eq!(body.get("detail"), detail.map(Value::from).as_ref());
    let members = body.as_object().map_or(0, serde_json::Map::len);
    assert_eq!(members, 4 + usize::from(detail.is_some()));
}

/// Parses a header field as a structured list, and checks the number of its members.
fn members(field: &str, count: usize) -> Vec<SfItem> {
    assert!(field.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{field:?}");
    let list: List = Parser::new(field).parse().expect("a structured field");
    let item = |entry| match entry {
        ListEntry::Item(item) => item,
        ListEntry::InnerList(list) => panic!("{list:?} in {field:?}"),
    };
    let members: Vec<SfItem> = list.into_iter().map(item).collect();
    assert_eq!(members.len(), count, "{field:?}");
    members
}

fn string(item: &BareItem) -> &str {
    item.as_string().expect("a string").as_str()
}

fn parameter(member: &SfItem, key: &str) -> i64 {
    member.params[key].as_integer().expect("an integer").into()
}

/// A number, limited to the maximum of a structured field: fifteen digits.
fn number(value: u64) -> i64 {
    i64::try_from(value).map_or(999_999_999_999_999, |value| value.min(999_999_999_999_999))
}

fn printable(text: &str) -> String {
    let visible = |c: char| c.is_ascii_graphic() || c == ' ';
    text.chars().map(|c| if visible(c) { c } else { '?' }).collect()
}

fn ceil_seconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u64::MAX)
}
