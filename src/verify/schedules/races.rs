//! Races by themselves, where each needs a state that random calls seldom bring about.

use super::Scheduler::{Priorities, Random};
use super::layout::{WINDOW, WORDS};
use super::scene::fault;
use super::{scene_catches, scene_holds};
use crate::verify::mutants::Breakage;
use crate::{Limiter, ManualClock, Now, Policy, PolicyId, Reservation, Session};
use shuttle::thread;
use std::sync::Arc;
use std::time::Duration;

const START: u64 = 10 * WINDOW;

fn limiter(limit: u64, max_keys: usize) -> (Arc<Limiter>, PolicyId) {
    let limiter = Limiter::builder()
        .policy(Policy::sliding("p", limit, Duration::from_nanos(WINDOW)))
        .max_keys(max_keys)
        .seed([1, 2, 3, 4])
        .clock(ManualClock::new())
        .build()
        .expect("a small limiter");
    let policy = limiter.policy("p").expect("its policy");
    (Arc::new(limiter), policy)
}

fn at(limiter: &Limiter, after: u64) -> Session<'_> {
    limiter.session_at(Now::from_unix_nanos(START + after))
}

/// Every word of the ring is in use, from 1 on; a hole makes room for one more charge, and a live
/// word is in its way. The reservation stands in the head.
fn full_ring() -> (Arc<Limiter>, PolicyId, Reservation) {
    let words = WORDS as u64;
    let (limiter, policy) = limiter(words, 1);
    let reserve = |after| {
        let reserved = at(&limiter, after).reserve(&[policy.charge("k", 1)]);
        reserved.expect("room for each word")
    };
    let mut kept: Vec<_> = (1..=words).map(reserve).collect();
    let head = kept.pop().expect("the newest");
    let hole = kept.last_mut().expect("the one before");
    at(&limiter, words).cancel(hole).map(drop).expect("it is open");
    (limiter, policy, head)
}

/// A reservation is cancelled while its bucket is merged into a later one.
fn cancelled_while_merged() {
    let (limiter, policy, mut reservation) = full_ring();
    let words = WORDS as u64;
    let cancelling = {
        let limiter = limiter.clone();
        thread::spawn(move || at(&limiter, words).cancel(&mut reservation).map(drop))
    };
    let merged = at(&limiter, words + 1).check(&[policy.charge("k", 1)]);
    let cancelled = cancelling.join().expect("a thread has failed");
    assert_eq!((merged.is_allowed(), cancelled), (true, Ok(())));
    let left = at(&limiter, words + 1).peek(&[policy.charge("k", 0)]).remaining;
    // The hole's unit was spent, the reservation's came back.
    if left != 1 {
        fault("what was held did not come back", left);
    }
}

#[test]
fn cancelled_against_merge() {
    scene_holds("cancelled against merge", 2_000, cancelled_while_merged);
    for scheduler in [Random, Priorities] {
        let what = Breakage::MergedIsNewer;
        scene_catches("cancelled against merge", what, scheduler, 5_000, cancelled_while_merged);
    }
}

/// The last place of a table is claimed while the other key is moved.
fn claimed_while_moved() {
    let (limiter, policy) = limiter(1, 2);
    let check = |key: u64| at(&limiter, 0).check(&[policy.charge(key, 1)]);
    assert!(check(1).is_allowed(), "an empty table");
    let now = Now::from_unix_nanos(START);
    limiter.start_renewal(policy, now);
    let moving = {
        let limiter = limiter.clone();
        thread::spawn(move || while !limiter.help_once(policy, now) {})
    };
    let decision = check(2);
    if !decision.is_allowed() {
        fault("no place for a key", decision);
    }
    moving.join().expect("a thread has failed");
    assert!(!check(1).is_allowed() && !check(2).is_allowed(), "both are known");
}

#[test]
fn claimed_against_move() {
    scene_holds("claimed against move", 2_000, claimed_while_moved);
    let what = Breakage::UnlinkedSince;
    scene_catches("claimed against move", what, Priorities, 100_000, claimed_while_moved);
}

/// What a reservation held was reset. It is cancelled while another request is charged, in the time
/// of its extension.
fn cancelled_after_reset() {
    let (limiter, policy) = limiter(4, 1);
    let mut reservation = at(&limiter, 0).reserve(&[policy.charge("k", 1)]).expect("an empty key");
    let extended = at(&limiter, 1).extend(&mut reservation, &[1]).expect("it is open");
    at(&limiter, 1).reset_key(policy, "k").expect("its policy");
    let cancelling = {
        let limiter = limiter.clone();
        thread::spawn(move || at(&limiter, 1).cancel(&mut reservation).map(drop))
    };
    let charged = at(&limiter, 1).check(&[policy.charge("k", 2)]);
    let cancelled = cancelling.join().expect("a thread has failed");
    assert!(extended.is_allowed() && charged.is_allowed() && cancelled == Ok(()));
    let left = at(&limiter, 1).peek(&[policy.charge("k", 0)]).remaining;
    // As many as it had held, or none, if there were none yet.
    if left != 2 && left != 4 {
        fault("what was not held came back", left);
    }
}

#[test]
fn cancelled_against_charge_after_reset() {
    scene_holds("cancelled after reset", 2_000, cancelled_after_reset);
    let what = Breakage::LastExtensionTwice;
    scene_catches("cancelled after reset", what, Random, 5_000, cancelled_after_reset);
}
