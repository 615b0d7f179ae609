//! The kinds of decisions.

use std::hint::black_box;
use std::time::Duration;
use tollgate::{Charge, Decision, Limiter, Now, Period, Policy, PolicyId};

const WINDOW: Duration = Duration::from_secs(60);
/// The first time, well after the creation of the limiter.
const START: u64 = 1 << 40;
/// Nanoseconds between decisions in most kinds. Many decisions share a bucket.
const STEP: u64 = 10_000_000;
const KEY: &str = "203.0.113.66";
const BATCH: u64 = 32;

/// The name of a kind, and a function that makes the given number of decisions and returns how many
/// were allowed.
pub type Kind = (&'static str, fn(u64) -> u64);

/// All kinds. Unless the name says otherwise, a request is for a known key in a window of 7 words, and
/// is admitted.
///
/// In `check`, `check_number`, `session`, `denied` and `new_key` one word of the window is live, because
/// all charges of a key are in the same bucket. In kinds with `all_live` all seven words are live, as
/// they are for a key in constant use. The other kinds on sliding windows advance the time, so that all
/// words are live as well.
pub const KINDS: &[Kind] = &[
    ("check", check),
    ("check_number", check_number),
    ("session", session),
    ("check_at", |times| check_at(roomy(), STEP, times)),
    ("denied", |times| check_at(Policy::sliding("user", 5, WINDOW), 1, times)),
    ("new_key", new_key),
    ("three_layers", three_layers),
    ("check_all_live", check_all_live),
    ("session_all_live", session_all_live),
    ("denied_all_live", denied_all_live),
    ("exact_7", |times| exact(7, times)),
    ("exact_20", |times| exact(20, times)),
    ("exact_100", |times| exact(100, times)),
    ("calendar", |times| check_at(Policy::calendar("user", 1 << 30, Period::Day), STEP, times)),
    ("check_many_32", check_many),
];

/// Runs `decide` the given number of times. Only this function is counted.
#[inline(never)]
fn counted(times: u64, mut decide: impl FnMut(u64) -> Decision) -> u64 {
    (0..times).map(|time| u64::from(black_box(&decide(time)).is_allowed())).sum()
}

fn limiter<const N: usize>(policies: [Policy; N]) -> (Limiter, [PolicyId; N]) {
    let mut builder = Limiter::builder().seed([1, 2, 3, 4]);
    let ids = policies.map(|policy| builder.add(policy));
    (builder.build().expect("valid policies"), ids)
}

fn with_one(policy: Policy) -> (Limiter, PolicyId) {
    let (limiter, [policy]) = limiter([policy]);
    (limiter, policy)
}

fn roomy() -> Policy {
    Policy::sliding("user", 1 << 30, WINDOW).buckets(7)
}

fn now(ns: u64) -> Now {
    Now::new(START + ns, START + ns)
}

/// Charges at times that advance to `WINDOW` and further, so that all words are live.
///
/// A limiter cannot be charged at times before its creation, so these times are after the readings of its
/// clock. A later `check` is therefore decided at the time of the last charge, and in the bucket of that
/// charge.
fn make_all_live(limiter: &Limiter, charges: &[Charge<'_>]) -> Now {
    const CHARGES: u64 = 10_000;
    for time in 0..CHARGES {
        assert!(limiter.check_at(now(time * STEP), charges).is_allowed());
    }
    now((CHARGES - 1) * STEP)
}

/// Warms up with the same decision, then runs the counted decisions.
fn after_warming(times: u64, mut decide: impl FnMut(u64) -> Decision) -> u64 {
    const WARM: u64 = 10_000;
    (0..WARM).for_each(|time| {
        let _ = black_box(decide(time));
    });
    counted(times, |time| decide(WARM + time))
}

fn check(times: u64) -> u64 {
    let (limiter, user) = with_one(roomy());
    check_now(&limiter, user, times)
}

fn check_all_live(times: u64) -> u64 {
    let (limiter, user) = with_one(roomy());
    make_all_live(&limiter, &[user.charge(KEY, 1)]);
    check_now(&limiter, user, times)
}

fn denied_all_live(times: u64) -> u64 {
    let (limiter, user) = with_one(roomy());
    make_all_live(&limiter, &[user.charge(KEY, 1)]);
    limiter.set_limit(user, 5).expect("a valid limit");
    check_now(&limiter, user, times)
}

/// Decides at the time of the limiter's clock. Not inlined, so that all its callers run the same code.
#[inline(never)]
fn check_now(limiter: &Limiter, user: PolicyId, times: u64) -> u64 {
    after_warming(times, |_| limiter.check(&[user.charge(black_box(KEY), 1)]))
}

/// `check` with a number as the key. This is a second call site of `Limiter::check`, which is compiled
/// alike at every call site.
fn check_number(times: u64) -> u64 {
    let (limiter, user) = with_one(roomy());
    after_warming(times, |_| limiter.check(&[user.charge(black_box(42_u64), 1)]))
}

fn session(times: u64) -> u64 {
    let (limiter, user) = with_one(roomy());
    let session = limiter.session_at(now(0));
    after_warming(times, |_| session.check(&[user.charge(black_box(KEY), 1)]))
}

fn session_all_live(times: u64) -> u64 {
    let (limiter, user) = with_one(roomy());
    let session = limiter.session_at(make_all_live(&limiter, &[user.charge(KEY, 1)]));
    after_warming(times, |_| session.check(&[user.charge(black_box(KEY), 1)]))
}

fn check_at(policy: Policy, step: u64, times: u64) -> u64 {
    let (limiter, user) = with_one(policy);
    after_warming(times, |time| {
        limiter.check_at(now(time * step), &[user.charge(black_box(KEY), 1)])
    })
}

/// Decides requests at the limit: one expires for each new one, so that all words are live.
fn exact(limit: u64, times: u64) -> u64 {
    let step = WINDOW.as_nanos() as u64 / limit + 1;
    check_at(Policy::sliding("user", limit, WINDOW), step, times)
}

/// Inserts new keys into an empty limiter, including its growth.
fn new_key(times: u64) -> u64 {
    let (limiter, user) = with_one(roomy());
    counted(times, |time| limiter.check_at(now(0), &[user.charge(time, 1)]))
}

fn three_layers(times: u64) -> u64 {
    let (limiter, [ip, user, tokens]) = limiter([
        Policy::sliding("ip", 1 << 30, WINDOW).buckets(7),
        Policy::sliding("user", 1 << 30, WINDOW).buckets(7),
        Policy::calendar("tokens", 1 << 30, Period::Day),
    ]);
    after_warming(times, |time| {
        let key = black_box(KEY);
        let request = [ip.charge(key, 1), user.charge("alice", 1), tokens.charge("alice", 512)];
        limiter.check_at(now(time * STEP), &request)
    })
}

/// Decides batches; the count is per key.
fn check_many(times: u64) -> u64 {
    let (limiter, user) = with_one(roomy());
    let charges: Vec<_> = (0..BATCH).map(|key| user.charge(key, 1)).collect();
    let mut decisions = [Decision::default(); BATCH as usize];
    after_warming(times / BATCH, |time| {
        limiter.session_at(now(time * STEP)).check_many(black_box(&charges), &mut decisions);
        decisions[0]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bucket has a sixth of the window's charges, so the usage is that of more than six words.
    #[test]
    fn all_words_are_live() {
        let (limiter, user) = with_one(roomy());
        let charge = [user.charge(KEY, 1)];
        let last = make_all_live(&limiter, &charge);
        let used = |decision: Decision| decision.limit - decision.remaining;
        let bucket = (WINDOW.as_nanos() as u64 / STEP) / 6;
        assert!(used(limiter.session_at(last).peek(&charge)) > 6 * bucket);
        // The reading of the precise clock is before the last charge.
        assert!(used(limiter.peek(&charge)) > 6 * bucket);
    }

    #[test]
    fn every_kind_has_the_expected_verdicts() {
        const TIMES: u64 = 3200;
        for (name, run) in KINDS {
            let allowed = match *name {
                "denied" | "denied_all_live" => 0,
                "check_many_32" => TIMES / BATCH,
                _ => TIMES,
            };
            assert_eq!(run(TIMES), allowed, "{name}");
        }
    }
}
