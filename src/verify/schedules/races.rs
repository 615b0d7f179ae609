//! Single races. Each one needs a state that random calls rarely produce.

use super::Scheduler::{Priorities, Random};
use super::fixture::fail;
use super::layout::{WINDOW, WORDS};
use super::{assert_race_caught, assert_race_holds};
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

/// A ring with every word in use, and a reservation that is charged in the head.
///
/// The charges are at times 1, 2 and so on. One cancelled reservation leaves room for one more
/// charge, but the next word is still live.
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
    let remaining = at(&limiter, words + 1).peek(&[policy.charge("k", 0)]).remaining;
    // The charge used the room of the first cancelled unit, and the head's unit was given back.
    if remaining != 1 {
        fail("the cancelled units were not given back", remaining);
    }
}

#[test]
fn cancelled_against_merge() {
    assert_race_holds("cancelled against merge", 2_000, cancelled_while_merged);
    for scheduler in [Random, Priorities] {
        let mutant = "MergedIsNewer";
        assert_race_caught(
            "cancelled against merge",
            mutant,
            scheduler,
            5_000,
            cancelled_while_merged,
        );
    }
}

/// The last slot of a table is claimed while the other key is moved.
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
        fail("refused although a slot was free", decision);
    }
    moving.join().expect("a thread has failed");
    assert!(!check(1).is_allowed() && !check(2).is_allowed(), "both are known");
}

#[test]
fn claimed_against_move() {
    assert_race_holds("claimed against move", 2_000, claimed_while_moved);
    let mutant = "UnlinkedSince";
    assert_race_caught("claimed against move", mutant, Priorities, 100_000, claimed_while_moved);
}

/// The units of a reservation were refunded. The reservation is cancelled while another request is
/// charged. The time of both is that of the reservation's extension.
fn cancelled_after_refund() {
    let (limiter, policy) = limiter(4, 1);
    let mut reservation = at(&limiter, 0).reserve(&[policy.charge("k", 1)]).expect("an empty key");
    let extended = at(&limiter, 1).extend(&mut reservation, &[1]).expect("it is open");
    assert_eq!(at(&limiter, 1).refund(&policy.charge("k", 2)), Ok(2));
    let cancelling = {
        let limiter = limiter.clone();
        thread::spawn(move || at(&limiter, 1).cancel(&mut reservation).map(drop))
    };
    let charged = at(&limiter, 1).check(&[policy.charge("k", 2)]);
    let cancelled = cancelling.join().expect("a thread has failed");
    assert!(extended.is_allowed() && charged.is_allowed() && cancelled == Ok(()));
    let remaining = at(&limiter, 1).peek(&[policy.charge("k", 0)]).remaining;
    // The cancellation gave back as many units as the reservation had, or none if it came first.
    if remaining != 2 && remaining != 4 {
        fail("a wrong number of units was given back", remaining);
    }
}

#[test]
fn cancelled_against_charge_after_refund() {
    assert_race_holds("cancelled after refund", 2_000, cancelled_after_refund);
    let mutant = "LastExtensionTwice";
    assert_race_caught("cancelled after refund", mutant, Random, 5_000, cancelled_after_refund);
}

/// A reservation takes the whole limit. Its key is reset, it is settled to half of it, and another request
/// takes the whole limit, all at the same time. The request has room only after the reset.
///
/// The limit is so great that charges share buckets.
fn settled_while_reset() {
    let limit = 200;
    let (limiter, policy) = limiter(limit, 1);
    let all = || [policy.charge("k", limit)];
    let mut reservation = at(&limiter, 0).reserve(&all()).expect("an empty key");
    let resetting = {
        let limiter = limiter.clone();
        thread::spawn(move || at(&limiter, 0).reset_key(policy, "k"))
    };
    let settling = {
        let limiter = limiter.clone();
        thread::spawn(move || at(&limiter, 0).settle(&mut reservation, &[limit / 2]).map(drop))
    };
    let charged = at(&limiter, 0).check(&all()).is_allowed();
    let settled = settling.join().expect("a thread has failed");
    assert!(resetting.join().expect("a thread has failed").is_ok() && settled == Ok(()));
    let remaining = at(&limiter, 0).peek(&[policy.charge("k", 0)]).remaining;
    if remaining != if charged { 0 } else { limit } {
        fail("units of another request were given back", (charged, remaining));
    }
}

#[test]
fn settled_against_reset() {
    assert_race_holds("settled while reset", 2_000, settled_while_reset);
    let mutant = "ResetSeenBefore";
    assert_race_caught("settled while reset", mutant, Priorities, 100_000, settled_while_reset);
}
