//! Cases with answers computed by hand: months, full tables, invalid requests and configurations.

use super::case_builder::{CaseBuilder, SECOND};
use super::format::*;
use super::random_cases::{calendar, setup, sliding};
use super::rust_runner::{Runner, status_of};

const DAY: u64 = 24 * 3_600;

/// A decision of policy 0 without item statuses.
fn decision(status: i32, limit: u64, remaining: u64, retry: Option<u64>, reset: u64) -> Expect {
    let deciding = PolicyStatus {
        policy: 0,
        limit,
        remaining,
        retry_after_ns: retry,
        reset_after_ns: reset,
        violated: false,
        table_full: false,
    };
    Expect::Decision(Decision { status, deciding, layers: Vec::new() })
}

fn charge(key: u64, cost: u64) -> Charge {
    Charge { policy: 0, key: Key::Number(key), cost, limit: None }
}

fn case(name: &str, limiter: Setup) -> Case {
    Case { name: name.into(), limiter, error: None, calls: Vec::new() }
}

/// Checks `cost` at a time in seconds since 1970.
fn at(case: &mut Case, unix_s: u64, cost: u64, expect: Expect) {
    let now = unix_s * SECOND;
    let operation = Operation::Check(vec![charge(1, cost)]);
    case.calls.push(Call { monotonic_ns: now, unix_ns: now, operation, expect });
}

/// February of a leap year, the end of a year, and a wall clock that steps back over a month's end.
fn months() -> Case {
    const LAST_OF_FEBRUARY: u64 = 1_709_251_199; // 2024-02-29T23:59:59Z
    const NEW_YEAR: u64 = 1_735_689_600; // 2025-01-01T00:00:00Z
    let seconds = |count: u64| count * SECOND;
    let mut case = case("months", setup(vec![calendar("month", 5, Period::Month)]));
    let noon = LAST_OF_FEBRUARY + 1 - DAY * 3 / 2;
    at(&mut case, noon, 3, decision(status::ALLOWED, 5, 2, None, seconds(DAY * 3 / 2)));
    at(
        &mut case,
        LAST_OF_FEBRUARY,
        3,
        decision(status::DENIED, 5, 2, Some(seconds(1)), seconds(1)),
    );
    at(&mut case, LAST_OF_FEBRUARY, 2, decision(status::ALLOWED, 5, 0, None, seconds(1)));
    at(
        &mut case,
        LAST_OF_FEBRUARY + 1,
        5,
        decision(status::ALLOWED, 5, 0, None, seconds(31 * DAY)),
    );
    let march = seconds(31 * DAY + 1);
    at(&mut case, LAST_OF_FEBRUARY, 1, decision(status::DENIED, 5, 0, Some(march), march));
    at(&mut case, NEW_YEAR - 1, 6, decision(status::IMPOSSIBLE, 5, 5, None, 0));
    at(&mut case, NEW_YEAR - 1, 4, decision(status::ALLOWED, 5, 1, None, seconds(1)));
    at(&mut case, NEW_YEAR, 4, decision(status::ALLOWED, 5, 1, None, seconds(31 * DAY)));
    case
}

/// A month that begins five hours after UTC's.
fn months_of_the_west() -> Case {
    const MARCH: u64 = 1_709_269_200; // 2024-03-01T05:00:00Z
    let month = Policy { offset_seconds: Some(-5 * 3_600), ..calendar("m", 5, Period::Month) };
    let mut case = case("months of the west", setup(vec![month]));
    at(&mut case, MARCH - 1, 5, decision(status::ALLOWED, 5, 0, None, SECOND));
    at(&mut case, MARCH - 1, 1, decision(status::DENIED, 5, 0, Some(SECOND), SECOND));
    at(&mut case, MARCH, 5, decision(status::ALLOWED, 5, 0, None, 31 * DAY * SECOND));
    case
}

/// A table with room for eight keys. New keys have no room until those have expired.
fn full(name: &str, overflow: Option<Overflow>, of_policy: Option<Overflow>) -> Case {
    let policy = Policy { overflow: of_policy, ..sliding("user", 3, SECOND) };
    let setup = Setup { max_keys: Some(8), overflow, policies: vec![policy] };
    let admits_untracked = of_policy.or(overflow) == Some(Overflow::Allow);
    let mut case = case(name, setup);
    let mut call = |now: u64, key: u64, expect: Expect| {
        let operation = Operation::Check(vec![charge(key, 1)]);
        case.calls.push(Call { monotonic_ns: now, unix_ns: now, operation, expect });
    };
    for key in 0..8 {
        call(SECOND, key, decision(status::ALLOWED, 3, 2, None, SECOND));
    }
    for key in 8..10 {
        let untracked = decision(status::ALLOWED, 3, 3, None, 0);
        let refused = decision(status::TABLE_FULL, 0, 0, None, 0);
        let mut expect = if admits_untracked { untracked } else { refused };
        if let Expect::Decision(decision) = &mut expect {
            decision.deciding.table_full = true;
        }
        call(SECOND, key, expect);
    }
    call(SECOND, 5, decision(status::ALLOWED, 3, 1, None, SECOND));
    call(5 * SECOND, 8, decision(status::ALLOWED, 3, 2, None, SECOND));
    case
}

/// A charge to a policy that does not exist.
fn invalid() -> Case {
    let mut builder = CaseBuilder::new("no such policy", setup(vec![sliding("user", 3, SECOND)]));
    let unknown = Charge { policy: 1, ..charge(1, 1) };
    builder.push(
        Operation::Check(vec![charge(1, 1), unknown.clone()]),
        Expect::Status(status::POLICY),
    );
    builder.push(Operation::Peek(vec![unknown]), Expect::Status(status::POLICY));
    builder.check(&[(0, 1, 1, None)], false);
    builder.case
}

/// Each invalid configuration that every language can express, with its C status.
fn faults() -> Vec<(i32, Vec<Policy>)> {
    let user = || sliding("user", 20, 60 * SECOND);
    let day = |offset_s| Policy { offset_seconds: Some(offset_s), ..calendar("d", 5, Period::Day) };
    let named = |name: &str| vec![Policy { name: name.into(), ..user() }];
    let allowance = |units| Policy { overflow: Some(Overflow::EvictLightest(units)), ..user() };
    let numbered = |index: u64| Policy { name: format!("policy {index}"), ..user() };
    vec![
        (status::POLICIES, vec![]),
        (status::POLICIES, (0..17).map(numbered).collect()),
        (status::NAME, named("")),
        (status::NAME, named(&"x".repeat(65))),
        (status::NAME, named("a\ttab")),
        (status::DUPLICATE_NAME, vec![user(), user()]),
        (status::LIMIT, vec![sliding("user", 0, SECOND)]),
        (status::LIMIT, vec![user(), sliding("b", (1 << 40) + 1, SECOND)]),
        (status::MAX_LIMIT, vec![Policy { max_limit: Some(19), ..user() }]),
        (status::MAX_LIMIT, vec![Policy { max_limit: Some((1 << 40) + 1), ..user() }]),
        (status::WINDOW, vec![sliding("user", 1, 999_999)]),
        (status::WINDOW, vec![sliding("user", 1, 400 * DAY * SECOND + 1)]),
        (status::BUCKETS, vec![Policy { buckets: Some(1), ..user() }]),
        (status::BUCKETS, vec![Policy { buckets: Some(128), ..user() }]),
        (status::OFFSET, vec![day(18 * 3_600 + 1)]),
        (status::OFFSET, vec![day(-18 * 3_600 - 1)]),
        (status::ALLOWANCE, vec![allowance(0)]),
        (status::ALLOWANCE, vec![allowance(21)]),
    ]
}

/// A case for an invalid configuration. Its text is the limiter's error, in ASCII.
fn unbuildable((status, policies): (i32, Vec<Policy>)) -> Case {
    let limiter = setup(policies);
    let why = Runner::new(&limiter).err().unwrap_or_else(|| panic!("{limiter:?} is good"));
    assert_eq!(status_of(&why), status, "{limiter:?}");
    let error = BuildError { status, message: why.to_string().replace('µ', "u") };
    Case { error: Some(error), ..case("an invalid configuration", limiter) }
}

pub fn month_cases() -> Vec<Case> {
    vec![months(), months_of_the_west()]
}

pub fn full_cases() -> Vec<Case> {
    vec![
        full("refused by default", None, None),
        full("refused", Some(Overflow::Deny), None),
        full("let pass", Some(Overflow::Allow), None),
        full("let pass by the policy", Some(Overflow::Deny), Some(Overflow::Allow)),
    ]
}

pub fn fault_cases() -> Vec<Case> {
    let unbuildable = faults().into_iter().map(unbuildable);
    std::iter::once(invalid()).chain(unbuildable).collect()
}
