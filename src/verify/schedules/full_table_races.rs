//! Single races on a full table. Each one needs a state that random calls rarely produce.

use super::Scheduler::{Priorities, Random};
use super::fixture::fail;
use super::layout::WINDOW;
use super::{assert_race_caught, assert_race_holds};
use crate::{
    Limiter, ManualClock, Now, Overflow, Policy, PolicyId, PolicyStatus, Session, Verdict,
};
use shuttle::thread;
use std::sync::Arc;
use std::time::Duration;

const START: u64 = 10 * WINDOW;
const LIMIT: u64 = 4;

fn limiter<const N: usize>(policies: [Policy; N]) -> Arc<Limiter> {
    let builder = Limiter::builder().clock(ManualClock::new()).seed([1, 2, 3, 4]);
    let builder = policies.into_iter().fold(builder, |builder, policy| builder.policy(policy));
    Arc::new(builder.build().expect("a small limiter"))
}

/// A policy with a slot for one key.
fn policy(name: &str, limit: u64, overflow: Overflow) -> Policy {
    let policy = Policy::sliding(name, limit, Duration::from_nanos(WINDOW));
    policy.max_keys(1).overflow(overflow)
}

fn at(limiter: &Limiter, after: u64) -> Session<'_> {
    limiter.session_at(Now::from_unix_nanos(START + after))
}

/// A charge that was allowed without being counted is rolled back. Meanwhile its key got a slot and
/// was charged by another thread.
fn uncounted_rolled_back() {
    let wide = policy("wide", LIMIT, Overflow::Allow);
    let limiter = limiter([wide, policy("narrow", 1, Overflow::Deny)]);
    let [wide, narrow] = ["wide", "narrow"].map(|name| limiter.policy(name).expect("just added"));
    assert!(at(&limiter, 0).check(&[wide.charge("other", 1)]).is_allowed(), "the only slot");
    let later = 4 * WINDOW;
    let faster = thread::spawn({
        let limiter = limiter.clone();
        move || {
            // By then the other key has expired, so its slot is free.
            let counted = at(&limiter, later).check(&[wide.charge("k", 2)]);
            let last = at(&limiter, later).check(&[narrow.charge("k", 1)]);
            (counted, last)
        }
    });
    let mut statuses = [PolicyStatus::default(); 2];
    let charges = [wide.charge("k", 1), narrow.charge("k", 1)];
    let decision = at(&limiter, 0).check_with_status(&charges, &mut statuses);
    let (counted, _) = faster.join().expect("a thread has failed");
    let used = LIMIT - at(&limiter, later).peek(&[wide.charge("k", 0)]).remaining;
    let least = if counted.table_full { 0 } else { 2 };
    // The charge with the earlier time counts if it was made after the one with the later time.
    let most = least + u64::from(decision.is_allowed() && !statuses[0].table_full);
    if !counted.is_allowed() || !(least..=most).contains(&used) {
        fail("an uncounted charge was given back", (used, counted, decision, statuses));
    }
}

#[test]
fn uncounted_against_rollback() {
    assert_race_holds("uncounted against rollback", 2_000, uncounted_rolled_back);
    let mutant = "RollbackUncounted";
    assert_race_caught(
        "uncounted against rollback",
        mutant,
        Priorities,
        20_000,
        uncounted_rolled_back,
    );
}

/// A thread with a late clock evicts a reserved key, and the key is charged anew. The reservation
/// is cancelled while the key is charged once more.
fn cancelled_after_eviction() {
    let limiter = limiter([policy("p", LIMIT, Overflow::EvictLightest { allowance: 2 })]);
    let policy = limiter.policy("p").expect("just added");
    assert!(at(&limiter, 0).check(&[policy.charge("first", 1)]).is_allowed(), "the only slot");
    let reserve = |after: u64, key: &str| {
        let reserved = at(&limiter, after).reserve(&[policy.charge(key, 1)]);
        reserved.expect("one unit of each key is within the allowance")
    };
    // Evicts the first key. From then on no earlier time is used.
    let mut reservation = reserve(10, "k");
    // Evicts the second key. Cancelling frees the slot again.
    let mut late = reserve(5, "late");
    at(&limiter, 10).cancel(&mut late).map(drop).expect("it is open");
    assert!(at(&limiter, 10).check(&[policy.charge("k", 1)]).is_allowed(), "a free slot");
    let charging = thread::spawn({
        let limiter = limiter.clone();
        move || at(&limiter, 11).check(&[policy.charge("k", 1)]).is_allowed()
    });
    at(&limiter, 11).cancel(&mut reservation).map(drop).expect("it is open");
    assert!(charging.join().expect("a thread has failed"), "room for four");
    let used = LIMIT - at(&limiter, 11).peek(&[policy.charge("k", 0)]).remaining;
    if used != 2 {
        fail("an evicted charge was given back", used);
    }
}

#[test]
fn cancelled_against_charge_after_eviction() {
    assert_race_holds("cancelled after eviction", 2_000, cancelled_after_eviction);
    let mutant = "RefundForgiven";
    assert_race_caught("cancelled after eviction", mutant, Random, 5_000, cancelled_after_eviction);
}

/// An eviction by a thread with a late clock uses up the allowance. Two threads with new keys are
/// refused while that eviction counts: for one window from the array's cutoff, not from the late
/// clock.
fn tried_after_late_eviction() {
    let limiter = limiter([policy("p", LIMIT, Overflow::EvictLightest { allowance: 2 })]);
    let policy = limiter.policy("p").expect("just added");
    let check = move |limiter: &Limiter, after: u64, key: u64| {
        at(limiter, after).check(&[policy.charge(key, 1)]).verdict
    };
    // The second key evicts the first and raises the cutoff to 10. The third, late, evicts the
    // second.
    let verdicts = [(0, 1), (10, 2), (5, 3)].map(|(after, key)| check(&limiter, after, key));
    assert_eq!(verdicts, [Verdict::Allowed; 3], "within the allowance");
    let within = WINDOW + 7;
    let trying = thread::spawn({
        let limiter = limiter.clone();
        move || check(&limiter, within, 4)
    });
    let attempts = [check(&limiter, within, 5), trying.join().expect("a thread has failed")];
    if attempts != [Verdict::TableFull; 2] {
        fail("more than the allowance was forgiven", attempts);
    }
}

#[test]
fn tries_after_late_eviction() {
    assert_race_holds("tried after late eviction", 2_000, tried_after_late_eviction);
    let mutant = "EvictionAtOwnNow";
    assert_race_caught(
        "tried after late eviction",
        mutant,
        Random,
        5_000,
        tried_after_late_eviction,
    );
}

/// A table that is full with the keys 0 and 1, and the time of both.
fn table_of_two() -> (Arc<Limiter>, PolicyId, Now) {
    let window = Duration::from_nanos(WINDOW);
    let limiter = limiter([Policy::sliding("p", LIMIT, window).max_keys(2)]);
    let policy = limiter.policy("p").expect("just added");
    assert!((0..2).all(|key| is_allowed(&limiter, policy, key)), "two slots");
    (limiter, policy, Now::from_unix_nanos(START))
}

fn is_allowed(limiter: &Limiter, policy: PolicyId, key: u64) -> bool {
    at(limiter, 0).check(&[policy.charge(key, 1)]).is_allowed()
}

/// The array of a full table is renewed repeatedly while one thread tries new keys. At most one key
/// more than the bound is admitted.
fn tried_while_moved() {
    let (limiter, policy, now) = table_of_two();
    let check = |key: u64| is_allowed(&limiter, policy, key);
    let moving = thread::spawn({
        let limiter = limiter.clone();
        move || {
            for _ in 0..3 {
                limiter.start_renewal(policy, now);
                while !limiter.help_once(policy, now) {}
            }
        }
    });
    let admitted = (2..6).filter(|key| check(*key)).count();
    moving.join().expect("a thread has failed");
    if admitted > 1 {
        fail("too many keys", admitted);
    }
}

#[test]
fn tries_against_moves() {
    assert_race_holds("tried while moved", 2_000, tried_while_moved);
}

/// The array of a full table is renewed, and its keys are moved, each time that one thread tries a new
/// key. At most one key more than the bound is admitted: one thread inserts.
fn tried_in_each_move() {
    let (limiter, policy, now) = table_of_two();
    let check = |key: u64| is_allowed(&limiter, policy, key);
    let mut admitted = 0;
    for key in 2..4 {
        limiter.start_renewal(policy, now);
        let moving = thread::spawn({
            let limiter = limiter.clone();
            move || while !limiter.help_once(policy, now) {}
        });
        admitted += usize::from(check(key));
        moving.join().expect("a thread has failed");
    }
    if admitted > 1 {
        fail("too many keys", admitted);
    }
}

#[test]
fn tries_in_each_move() {
    assert_race_holds("tried in each move", 2_000, tried_in_each_move);
    let mutant = "PendingLast";
    assert_race_caught("tried in each move", mutant, Priorities, 200_000, tried_in_each_move);
}
