//! Target: HTTP fields and bodies of items with hostile names, units, numbers and times.

use crate::{Reached, http_checks};
use arbitrary::{Arbitrary, Unstructured};
use std::time::Duration;
use tollgate::PolicyStatus;
use tollgate::http::Item;

/// The cases that the corpus must reach.
pub const CASES: [&str; 6] =
    ["detail", "no items", "several items", "not ASCII", "unit", "violated"];

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    wait: Duration,
    detail: Option<&'a str>,
    items: Vec<Sample<'a>>,
}

/// The data of an [`Item`].
#[derive(Arbitrary, Debug)]
struct Sample<'a> {
    name: &'a str,
    unit: Option<Unit<'a>>,
    window: Duration,
    limit: u64,
    remaining: u64,
    violated: bool,
    retry_after_ns: Option<u64>,
    reset_after_ns: u64,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Unit<'a> {
    Any(&'a str),
    Requests,
    ContentBytes,
    ConcurrentRequests,
}

impl<'a> Sample<'a> {
    fn item(&self) -> Item<'a> {
        let mut status = PolicyStatus::default();
        (status.limit, status.remaining, status.violated) =
            (self.limit, self.remaining, self.violated);
        (status.retry_after_ns, status.reset_after_ns) = (self.retry_after_ns, self.reset_after_ns);
        let item = Item::new(self.name, self.window, status);
        match self.unit {
            None => item,
            Some(Unit::Any(unit)) => item.with_unit(unit),
            Some(Unit::Requests) => item.with_unit("requests"),
            Some(Unit::ContentBytes) => item.with_unit("content-bytes"),
            Some(Unit::ConcurrentRequests) => item.with_unit("concurrent-requests"),
        }
    }
}

/// Creates items from `data`, and checks their fields and bodies.
///
/// # Panics
/// If a field or a body is wrong or cannot be parsed.
pub fn run(data: &[u8]) -> Reached {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else {
        return Reached::new();
    };
    let items: Vec<Item<'_>> = input.items.iter().map(Sample::item).collect();
    http_checks::check(&items, input.detail);
    http_checks::check_wait(input.wait);
    let reached = [
        ("detail", input.detail.is_some_and(|detail| !detail.is_empty())),
        ("no items", items.is_empty()),
        ("several items", items.len() > 2),
        ("not ASCII", items.iter().any(|item| !item.name.is_ascii())),
        ("unit", items.iter().any(|item| item.unit.is_some())),
        ("violated", items.iter().any(|item| item.status.violated)),
    ];
    reached.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect()
}
