//! Scenes whose answers were worked out by hand: months, full tables, requests and configurations
//! that are none.

use super::author::{Author, SECOND};
use super::format::*;
use super::random::{calendar, setup, sliding};
use super::run::{Host, status_of};

const DAY: u64 = 24 * 3_600;

/// A decision of policy 0 without layers.
fn decision(status: i32, limit: u64, remaining: u64, retry: Option<u64>, reset: u64) -> Expect {
    let stand = Stand {
        policy: 0,
        limit,
        remaining,
        retry_after_ns: retry,
        reset_after_ns: reset,
        violated: false,
        table_full: false,
    };
    Expect::Decision(Decision { status, stand, layers: Vec::new() })
}

fn charge(key: u64, cost: u64) -> Charge {
    Charge { policy: 0, key: Key::Number(key), cost, limit: None }
}

fn scene(name: &str, limiter: Setup) -> Scene {
    Scene { name: name.into(), limiter, error: None, calls: Vec::new() }
}

/// Checks `cost` at seconds since 1970.
fn at(scene: &mut Scene, unix_s: u64, cost: u64, expect: Expect) {
    let now = unix_s * SECOND;
    let verb = Verb::Check(vec![charge(1, cost)]);
    scene.calls.push(Call { monotonic_ns: now, unix_ns: now, verb, expect });
}

/// February of a leap year, the end of a year, and a wall clock that steps back over an end.
fn months() -> Scene {
    const LAST_OF_FEBRUARY: u64 = 1_709_251_199; // 2024-02-29T23:59:59Z
    const NEW_YEAR: u64 = 1_735_689_600; // 2025-01-01T00:00:00Z
    let seconds = |count: u64| count * SECOND;
    let mut scene = scene("months", setup(vec![calendar("month", 5, Period::Month)]));
    let noon = LAST_OF_FEBRUARY + 1 - DAY * 3 / 2;
    at(&mut scene, noon, 3, decision(0, 5, 2, None, seconds(DAY * 3 / 2)));
    at(&mut scene, LAST_OF_FEBRUARY, 3, decision(1, 5, 2, Some(seconds(1)), seconds(1)));
    at(&mut scene, LAST_OF_FEBRUARY, 2, decision(0, 5, 0, None, seconds(1)));
    at(&mut scene, LAST_OF_FEBRUARY + 1, 5, decision(0, 5, 0, None, seconds(31 * DAY)));
    let march = seconds(31 * DAY + 1);
    at(&mut scene, LAST_OF_FEBRUARY, 1, decision(1, 5, 0, Some(march), march));
    at(&mut scene, NEW_YEAR - 1, 6, decision(2, 5, 5, None, 0));
    at(&mut scene, NEW_YEAR - 1, 4, decision(0, 5, 1, None, seconds(1)));
    at(&mut scene, NEW_YEAR, 4, decision(0, 5, 1, None, seconds(31 * DAY)));
    scene
}

/// A month that begins five hours later than UTC's.
fn months_of_the_west() -> Scene {
    const MARCH: u64 = 1_709_269_200; // 2024-03-01T05:00:00Z
    let month = Policy { offset_seconds: Some(-5 * 3_600), ..calendar("m", 5, Period::Month) };
    let mut scene = scene("months of the west", setup(vec![month]));
    at(&mut scene, MARCH - 1, 5, decision(0, 5, 0, None, SECOND));
    at(&mut scene, MARCH - 1, 1, decision(1, 5, 0, Some(SECOND), SECOND));
    at(&mut scene, MARCH, 5, decision(0, 5, 0, None, 31 * DAY * SECOND));
    scene
}

/// Eight keys have room, the ninth has not until those have expired.
fn full(name: &str, overflow: Option<Overflow>, of_policy: Option<Overflow>) -> Scene {
    let policy = Policy { overflow: of_policy, ..sliding("user", 3, SECOND) };
    let setup = Setup { max_keys: Some(8), overflow, policies: vec![policy] };
    let lets_pass = of_policy.or(overflow) == Some(Overflow::Allow);
    let mut scene = scene(name, setup);
    let mut call = |now: u64, key: u64, expect: Expect| {
        let verb = Verb::Check(vec![charge(key, 1)]);
        scene.calls.push(Call { monotonic_ns: now, unix_ns: now, verb, expect });
    };
    for key in 0..8 {
        call(SECOND, key, decision(0, 3, 2, None, SECOND));
    }
    for key in 8..10 {
        let uncounted = decision(0, 3, 3, None, 0);
        let refused = decision(3, 0, 0, None, 0);
        let mut expect = if lets_pass { uncounted } else { refused };
        if let Expect::Decision(decision) = &mut expect {
            decision.stand.table_full = true;
        }
        call(SECOND, key, expect);
    }
    call(SECOND, 5, decision(0, 3, 1, None, SECOND));
    call(5 * SECOND, 8, decision(0, 3, 2, None, SECOND));
    scene
}

/// A policy that the limiter has not.
fn invalid() -> Scene {
    let mut author = Author::new("no such policy", setup(vec![sliding("user", 3, SECOND)]));
    let stranger = Charge { policy: 1, ..charge(1, 1) };
    author.push(Verb::Check(vec![charge(1, 1), stranger.clone()]), Expect::Status(-4));
    author.push(Verb::Peek(vec![stranger]), Expect::Status(-4));
    author.check(&[(0, 1, 1, None)], false);
    author.scene
}

/// Each fault that a configuration can have in every language, and its number.
fn faults() -> Vec<(i32, Vec<Policy>)> {
    let user = || sliding("user", 20, 60 * SECOND);
    let day = |offset_s| Policy { offset_seconds: Some(offset_s), ..calendar("d", 5, Period::Day) };
    let named = |name: &str| vec![Policy { name: name.into(), ..user() }];
    let allowance = |units| Policy { overflow: Some(Overflow::EvictLightest(units)), ..user() };
    let numbered = |place: u64| Policy { name: format!("policy {place}"), ..user() };
    vec![
        (-20, vec![]),
        (-20, (0..17).map(numbered).collect()),
        (-21, named("")),
        (-21, named(&"x".repeat(65))),
        (-21, named("a\ttab")),
        (-22, vec![user(), user()]),
        (-23, vec![sliding("user", 0, SECOND)]),
        (-23, vec![user(), sliding("b", (1 << 40) + 1, SECOND)]),
        (-24, vec![Policy { max_limit: Some(19), ..user() }]),
        (-24, vec![Policy { max_limit: Some((1 << 40) + 1), ..user() }]),
        (-25, vec![sliding("user", 1, 999_999)]),
        (-25, vec![sliding("user", 1, 400 * DAY * SECOND + 1)]),
        (-26, vec![Policy { buckets: Some(1), ..user() }]),
        (-26, vec![Policy { buckets: Some(128), ..user() }]),
        (-27, vec![day(18 * 3_600 + 1)]),
        (-27, vec![day(-18 * 3_600 - 1)]),
        (-29, vec![allowance(0)]),
        (-29, vec![allowance(21)]),
    ]
}

/// The texts are the limiter's own, in ASCII.
fn unbuildable((status, policies): (i32, Vec<Policy>)) -> Scene {
    let limiter = setup(policies);
    let why = Host::new(&limiter).err().unwrap_or_else(|| panic!("{limiter:?} is good"));
    assert_eq!(status_of(&why), status, "{limiter:?}");
    let error = Refusal { status, message: why.to_string().replace('µ', "u") };
    Scene { error: Some(error), ..scene("a configuration that is none", limiter) }
}

pub fn month_scenes() -> Vec<Scene> {
    vec![months(), months_of_the_west()]
}

pub fn full_scenes() -> Vec<Scene> {
    vec![
        full("refused by default", None, None),
        full("refused", Some(Overflow::Deny), None),
        full("let pass", Some(Overflow::Allow), None),
        full("let pass by the policy", Some(Overflow::Deny), Some(Overflow::Allow)),
    ]
}

pub fn fault_scenes() -> Vec<Scene> {
    let unbuildable = faults().into_iter().map(unbuildable);
    std::iter::once(invalid()).chain(unbuildable).collect()
}
