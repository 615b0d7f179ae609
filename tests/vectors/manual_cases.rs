//! Cases with answers computed by hand: months, full tables, invalid requests and configurations.

use super::case_builder::{CaseBuilder, SECOND};
use super::format::*;
use super::random_cases::{calendar, setup, sliding};
use super::rust_runner::{Runner, build_error};

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
        dry_run: false,
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

/// A limit of 0 in a policy, in a charge and in `set_limit`.
fn zero(name: &str, policy: Policy, reset: u64) -> Case {
    let policies = vec![Policy { limit: 0, max_limit: Some(5), ..policy }];
    let mut case = case(name, setup(policies));
    let mut call = |operation: Operation, expect: Expect| {
        case.calls.push(Call { monotonic_ns: SECOND, unix_ns: SECOND, operation, expect });
    };
    let check = |charge: Charge| Operation::Check(vec![charge]);
    let with_limit = |limit: u64, cost: u64| Charge { limit: Some(limit), ..charge(1, cost) };
    let done = Expect::Status(status::ALLOWED);
    let blocked = |reset| decision(status::IMPOSSIBLE, 0, 0, None, reset);
    // By the policy. A cost of 0 is allowed without usage.
    call(check(charge(1, 1)), blocked(0));
    call(Operation::Peek(vec![charge(1, 1)]), blocked(0));
    call(Operation::Reserve(0, vec![charge(1, 1)]), with_status(blocked(0)));
    call(check(charge(1, 0)), decision(status::ALLOWED, 0, 0, None, 0));
    // A charge with a limit of its own is allowed, and its usage denies a cost of 0.
    call(check(with_limit(9, 2)), decision(status::ALLOWED, 5, 3, None, reset));
    call(check(charge(1, 1)), blocked(reset));
    call(check(charge(1, 0)), decision(status::DENIED, 0, 0, Some(reset), reset));
    // By the charge.
    call(Operation::SetLimit(0, 4), done.clone());
    call(check(with_limit(0, 1)), blocked(reset));
    call(check(charge(1, 1)), decision(status::ALLOWED, 4, 1, None, reset));
    // By `set_limit`.
    call(Operation::SetLimit(0, 0), done);
    call(Operation::CheckWithStatus(vec![charge(1, 1)]), with_status(blocked(reset)));
    call(Operation::SetLimit(0, 6), Expect::Status(status::MAX_LIMIT));
    call(check(charge(2, 1)), blocked(0));
    case
}

/// A limit of 0 without a `max_limit`: the limit of a charge is lowered to 0.
fn never_admits() -> Case {
    let mut case = case("zero at most", setup(vec![sliding("user", 0, SECOND)]));
    let mut call = |operation: Operation, expect: Expect| {
        case.calls.push(Call { monotonic_ns: 0, unix_ns: 0, operation, expect });
    };
    let raised = Charge { limit: Some(7), ..charge(1, 1) };
    call(Operation::Check(vec![raised]), decision(status::IMPOSSIBLE, 0, 0, None, 0));
    call(Operation::SetLimit(0, 1), Expect::Status(status::MAX_LIMIT));
    call(Operation::SetLimit(0, 0), Expect::Status(status::ALLOWED));
    case
}

/// The refusal of a request of one charge, with the status of its policy.
fn with_status(refused: Expect) -> Expect {
    let Expect::Decision(decision) = refused else { panic!("{refused:?} is no decision") };
    let layers = vec![PolicyStatus { violated: true, ..decision.deciding }];
    Expect::Decision(Decision { layers, ..decision })
}

/// A table with room for one key, under a dry run. Other keys pass uncharged.
fn full_in_dry_run() -> Case {
    let dry = Policy { dry_run: true, ..sliding("dry", 3, SECOND) };
    let limiter = Setup { max_keys: Some(1), ..setup(vec![dry, sliding("other", 3, SECOND)]) };
    let mut case = case("a full table in a dry run", limiter);
    let mut call = |operation: Operation, expect: Expect| {
        case.calls.push(Call { monotonic_ns: SECOND, unix_ns: SECOND, operation, expect });
    };
    let passed = |mut expect: Expect| {
        if let Expect::Decision(decision) = &mut expect {
            decision.deciding.table_full = true;
        }
        expect
    };
    let known = decision(status::ALLOWED, 3, 2, None, SECOND);
    call(Operation::Check(vec![charge(0, 1)]), known);
    let new = passed(decision(status::ALLOWED, 3, 3, None, 0));
    call(Operation::Check(vec![charge(1, 1)]), new.clone());
    call(Operation::Charge(vec![charge(1, 1)]), new);
    let layer = PolicyStatus {
        limit: 3,
        remaining: 3,
        violated: true,
        table_full: true,
        dry_run: true,
        ..PolicyStatus::default()
    };
    let other = PolicyStatus {
        policy: 1,
        limit: 3,
        remaining: 1,
        reset_after_ns: SECOND,
        ..PolicyStatus::default()
    };
    let both = Decision {
        status: status::ALLOWED,
        deciding: PolicyStatus { table_full: true, ..other },
        layers: vec![layer, other],
    };
    let request = vec![charge(1, 1), Charge { policy: 1, ..charge(0, 2) }];
    call(Operation::CheckWithStatus(request), Expect::Decision(both));
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
        (status::NAME, vec![user(), numbered(1), Policy { name: "tab\t".into(), ..user() }]),
        (status::DUPLICATE_NAME, vec![user(), user()]),
        (status::DUPLICATE_NAME, vec![numbered(0), user(), Policy { limit: 1 << 41, ..user() }]),
        (status::LIMIT, vec![sliding("user", 1 << 63, SECOND)]),
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
        (status::ALLOWANCE, vec![Policy { limit: 0, ..allowance(2) }]),
    ]
}

/// A case for an invalid configuration. Its text is the limiter's error, in ASCII.
fn unbuildable((status, policies): (i32, Vec<Policy>)) -> Case {
    let limiter = setup(policies);
    let why = Runner::new(&limiter).err().unwrap_or_else(|| panic!("{limiter:?} is good"));
    let error = build_error(&limiter, &why);
    assert_eq!(error.status, status, "{limiter:?}");
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
        full_in_dry_run(),
    ]
}

pub fn zero_cases() -> Vec<Case> {
    vec![
        zero("zero", sliding("user", 0, SECOND), SECOND),
        zero("zero a day", calendar("day", 0, Period::Day), (DAY - 1) * SECOND),
        never_admits(),
    ]
}

pub fn fault_cases() -> Vec<Case> {
    let unbuildable = faults().into_iter().map(unbuildable);
    std::iter::once(invalid()).chain(unbuildable).collect()
}
