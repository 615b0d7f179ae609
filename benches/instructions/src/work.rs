//! The kinds of work.

use std::hint::black_box;
use std::time::Duration;
use tollgate::{Decision, Limiter, Now, Period, Policy, PolicyId};

const WINDOW: Duration = Duration::from_secs(60);
/// The first instant, well after the limiter's own beginning.
const START: u64 = 1 << 40;
/// Time from one decision to the next where many lie in one bucket.
const STEP: u64 = 10_000_000;
const KEY: &str = "203.0.113.66";
const BATCH: u64 = 32;

/// A kind's name, and what does it so many times and tells how many were allowed.
pub type Kind = (&'static str, fn(u64) -> u64);

/// Admitted is a request of a known key with room in a window of 7 words, unless the name says
/// more.
pub const KINDS: &[Kind] = &[
    ("one_shot", one_shot),
    ("in_session", in_session),
    ("own_now", |times| at_own_now(roomy(), STEP, times)),
    ("denied", |times| at_own_now(Policy::sliding("user", 5, WINDOW), 1, times)),
    ("new_key", new_key),
    ("three_layers", three_layers),
    ("exact_7", |times| exact(7, times)),
    ("exact_20", |times| exact(20, times)),
    ("exact_100", |times| exact(100, times)),
    ("calendar", |times| at_own_now(Policy::calendar("user", 1 << 30, Period::Day), STEP, times)),
    ("batch_of_32", batch),
];

/// Runs `decide` so many times; nothing but this is counted.
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

/// As many of the same decision as make everything known and warm, then those to count.
fn after_warming(times: u64, mut decide: impl FnMut(u64) -> Decision) -> u64 {
    const WARM: u64 = 10_000;
    (0..WARM).for_each(|time| {
        let _ = black_box(decide(time));
    });
    counted(times, |time| decide(WARM + time))
}

fn one_shot(times: u64) -> u64 {
    let (limiter, user) = with_one(roomy());
    after_warming(times, |_| limiter.check(&[user.charge(black_box(KEY), 1)]))
}

fn in_session(times: u64) -> u64 {
    let (limiter, user) = with_one(roomy());
    let session = limiter.session_at(now(0));
    after_warming(times, |_| session.check(&[user.charge(black_box(KEY), 1)]))
}

fn at_own_now(policy: Policy, step: u64, times: u64) -> u64 {
    let (limiter, user) = with_one(policy);
    after_warming(times, |time| {
        limiter.check_at(now(time * step), &[user.charge(black_box(KEY), 1)])
    })
}

/// Each request comes as the one before the last `limit` ones expires, so that all words are live.
fn exact(limit: u64, times: u64) -> u64 {
    let step = WINDOW.as_nanos() as u64 / limit + 1;
    at_own_now(Policy::sliding("user", limit, WINDOW), step, times)
}

/// Into an empty limiter, its growth included.
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

/// In batches, for each key of it.
fn batch(times: u64) -> u64 {
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

    #[test]
    fn every_kind_is_what_its_name_says() {
        const TIMES: u64 = 3200;
        for (name, run) in KINDS {
            let allowed = match *name {
                "denied" => 0,
                "batch_of_32" => TIMES / BATCH,
                _ => TIMES,
            };
            assert_eq!(run(TIMES), allowed, "{name}");
        }
    }
}
