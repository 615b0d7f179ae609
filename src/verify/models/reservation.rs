//! Reservations that are settled or extended while other threads reserve, move the key or change
//! the limit.

use super::{assert_caught_in_an_order, assert_holds};
use crate::{Limiter, ManualClock, Now, Policy, PolicyId, Reservation};
use loom::thread;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const WINDOW: u64 = 1_000_000;
const START: u64 = 10 * WINDOW;

fn new_limiter(limit: u64) -> (Arc<Limiter>, PolicyId) {
    let limiter = Limiter::builder()
        .policy(Policy::sliding("p", limit, Duration::from_nanos(WINDOW)))
        .max_keys(1)
        .seed([1, 2, 3, 4])
        .clock(ManualClock::new())
        .build()
        .unwrap();
    let policy = limiter.policy("p").unwrap();
    (Arc::new(limiter), policy)
}

fn used(limiter: &Limiter, policy: PolicyId, now: u64) -> u64 {
    let decision = limiter.session_at(Now::from_unix_nanos(now)).peek(&[policy.charge("k", 0)]);
    decision.limit - decision.remaining
}

fn reserve(limiter: &Limiter, policy: PolicyId, now: u64, cost: u64) -> Option<Reservation> {
    limiter.session_at(Now::from_unix_nanos(now)).reserve(&[policy.charge("k", cost)]).ok()
}

fn settle(limiter: &Limiter, mut reservation: Reservation, now: u64, actual: u64) {
    let session = limiter.session_at(Now::from_unix_nanos(now));
    session.settle(&mut reservation, &[actual]).map(drop).expect("open, and of this limiter");
}

/// Runs both closures concurrently, one of them in its own thread. `swap` selects which.
fn run_concurrently(
    swap: bool,
    one: impl FnOnce() + Send + 'static,
    other: impl FnOnce() + Send + 'static,
) {
    let there = if swap {
        let there = thread::spawn(one);
        other();
        there
    } else {
        let there = thread::spawn(other);
        one();
        there
    };
    there.join().unwrap();
}

/// Settles one reservation while another thread reserves. The second reservation is `later` ticks
/// after the first. With 0 it charges the same bucket, otherwise it seals that bucket.
fn settle_against_reserve(later: u64, swap: bool) -> impl Fn() + Send + Sync {
    move || {
        let (limiter, policy) = new_limiter(4);
        let reservation = reserve(&limiter, policy, START, 3).expect("room");
        let admitted = Arc::new(Mutex::new(0));
        let settling = {
            let limiter = limiter.clone();
            move || settle(&limiter, reservation, START, 1)
        };
        let reserving = {
            let (limiter, admitted) = (limiter.clone(), admitted.clone());
            move || {
                if reserve(&limiter, policy, START + later, 1).is_some() {
                    *admitted.lock().unwrap() += 1;
                }
            }
        };
        run_concurrently(swap, settling, reserving);
        let admitted = *admitted.lock().unwrap();
        assert_eq!(admitted, 1, "there was room before and after the settlement");
        assert_eq!(used(&limiter, policy, START + later), 2, "the actual costs are charged");
    }
}

/// Two threads reserve the remaining units of a known key. Exactly one of them has room.
fn reserve_against_reserve(swap: bool) -> impl Fn() + Send + Sync {
    move || {
        let (limiter, policy) = new_limiter(3);
        let held = reserve(&limiter, policy, START, 1);
        assert!(held.is_some());
        let admitted = Arc::new(Mutex::new(0));
        let reserving = |cost: u64| {
            let (limiter, admitted) = (limiter.clone(), admitted.clone());
            move || {
                if reserve(&limiter, policy, START, cost).is_some() {
                    *admitted.lock().unwrap() += cost;
                }
            }
        };
        run_concurrently(swap, reserving(2), reserving(1));
        let admitted = *admitted.lock().unwrap();
        assert!(admitted == 1 || admitted == 2, "exactly one of the two has room");
        assert_eq!(used(&limiter, policy, START), 1 + admitted);
    }
}

/// Guarantees A and D: see [`reserve_against_reserve`].
#[test]
fn reserved_against_reserve() {
    for swap in [false, true] {
        assert_holds("reserved_against_reserve", Some(2), 6, reserve_against_reserve(swap));
    }
    let mutant = "LostSeveralAdmitted";
    assert_caught_in_an_order("reserved_against_reserve", Some(2), mutant, reserve_against_reserve);
}

/// Guarantees A, C and D: a reservation is settled while another one is charged to the same bucket.
#[test]
fn settled_against_reserve() {
    let body = |swap| settle_against_reserve(0, swap);
    for swap in [false, true] {
        assert_holds("settled_against_reserve", Some(3), 13, body(swap));
    }
    assert_caught_in_an_order("settled_against_reserve", Some(3), "RefundStores", body);
}

/// Guarantees A, C and D: a reservation is settled while another one seals its bucket.
#[test]
fn settled_against_seal() {
    let body = |swap| settle_against_reserve(1, swap);
    for swap in [false, true] {
        assert_holds("settled_against_seal", Some(3), 35, body(swap));
    }
    assert_caught_in_an_order("settled_against_seal", Some(3), "RefundStores", body);
}

/// Guarantees A, C and D: a reservation is settled while its key moves to another array.
#[test]
fn settled_against_move() {
    let body = |swap: bool| {
        move || {
            let (limiter, policy) = new_limiter(4);
            let reservation = reserve(&limiter, policy, START, 3).expect("room");
            let settling = {
                let limiter = limiter.clone();
                move || settle(&limiter, reservation, START, 1)
            };
            let moving = {
                let limiter = limiter.clone();
                move || {
                    let now = Now::from_unix_nanos(START);
                    limiter.start_renewal(policy, now);
                    while !limiter.help_once(policy, now) {}
                }
            };
            run_concurrently(swap, settling, moving);
            assert_eq!(used(&limiter, policy, START), 1, "the actual cost is charged");
        }
    };
    for swap in [false, true] {
        assert_holds("settled_against_move", Some(1), 270, body(swap));
    }
    assert_caught_in_an_order("settled_against_move", Some(1), "RefundMoved", body);
}

/// Guarantees A and D: the limit is lowered while a reservation is extended. Later extensions obey
/// the lower limit.
#[test]
fn extended_against_set_limit() {
    let body = |swap: bool| {
        move || {
            let (limiter, policy) = new_limiter(4);
            let reservation = reserve(&limiter, policy, START, 1).expect("room");
            let reservation = Arc::new(Mutex::new(reservation));
            let extend = {
                let limiter = limiter.clone();
                move |reservation: &mut Reservation| {
                    let session = limiter.session_at(Now::from_unix_nanos(START));
                    session.extend(reservation, &[1]).expect("open").is_allowed()
                }
            };
            let extending = {
                let (reservation, extend) = (reservation.clone(), extend.clone());
                move || assert!(extend(&mut reservation.lock().unwrap()), "room under both limits")
            };
            let lowering = {
                let limiter = limiter.clone();
                move || limiter.set_limit(policy, 2).expect("a lower limit")
            };
            run_concurrently(swap, extending, lowering);
            let mut reservation = reservation.lock().unwrap();
            assert!(!extend(&mut reservation), "extended beyond the limit");
            assert_eq!(used(&limiter, policy, START), 2);
        }
    };
    for swap in [false, true] {
        assert_holds("extended_against_set_limit", Some(3), 3, body(swap));
    }
    assert_caught_in_an_order("extended_against_set_limit", Some(3), "OldLimit", body);
}
