//! A request of two policies charges both or neither.

use super::{assert_caught, assert_caught_in_an_order, assert_holds, assert_holds_in_both_orders};
use crate::{Decision, Limiter, ManualClock, Now, Policy};
use loom::thread;
use std::sync::Arc;
use std::time::Duration;

/// Races two requests. The second policy has room for one of them. After `before` earlier requests
/// both keys are known, so that both requests take the fast path.
fn race(before: u64) -> impl Fn() + Send + Sync + 'static {
    move || {
        let window = Duration::from_secs(1);
        let limiter = Limiter::builder()
            .policy(Policy::sliding("wide", 5 + before, window))
            .policy(Policy::sliding("narrow", 1 + before, window))
            .max_keys(1)
            .seed([1, 2, 3, 4])
            .clock(ManualClock::new())
            .build()
            .unwrap();
        let limiter = Arc::new(limiter);
        let now = Now::from_unix_nanos(1_000);
        let ids = ["wide", "narrow"].map(|name| limiter.policy(name).unwrap());
        let request = move |limiter: &Limiter| {
            let charges = ids.map(|policy| policy.charge("k", 1));
            limiter.session_at(now).check(&charges).is_allowed()
        };
        (0..before).for_each(|_| assert!(request(&limiter)));
        let other = {
            let limiter = limiter.clone();
            thread::spawn(move || request(&limiter))
        };
        let mine = request(&limiter);
        let theirs = other.join().unwrap();
        assert!(mine != theirs, "exactly one of the two has room");
        let remaining = limiter.session_at(now).peek(&[ids[0].charge("k", 1)]).remaining;
        assert_eq!(remaining, 4, "a denied request has charged the first policy");
    }
}

/// Races two requests of one charge each on a key with room for one. One request uses `check`, the
/// other one `check_many`. The key is new unless it is `known`.
fn one_charge(known: bool, swap: bool) -> impl Fn() + Send + Sync + 'static {
    move || {
        let limit = if known { 2 } else { 1 };
        let limiter = Limiter::builder()
            .policy(Policy::sliding("p", limit, Duration::from_secs(1)))
            .max_keys(1)
            .seed([1, 2, 3, 4])
            .clock(ManualClock::new())
            .build()
            .unwrap();
        let (limiter, now) = (Arc::new(limiter), Now::from_unix_nanos(1_000));
        let charge = limiter.policy("p").unwrap().charge(7, 1);
        if known {
            assert!(limiter.check_at(now, &[charge]).is_allowed());
        }
        let check = move |limiter: &Limiter, by_session: bool| {
            if by_session {
                return limiter.session_at(now).check(&[charge]).is_allowed();
            }
            let mut decisions = [Decision::default()];
            limiter.session_at(now).check_many(&[charge], &mut decisions) == 1
        };
        let other = {
            let limiter = limiter.clone();
            thread::spawn(move || check(&limiter, swap))
        };
        let mine = check(&limiter, !swap);
        assert!(mine != other.join().unwrap(), "exactly one of the two has room");
    }
}

/// Guarantees A and D: see [`one_charge`].
#[test]
fn one_against_one() {
    let known = |swap| one_charge(true, swap);
    assert_holds_in_both_orders("one_against_one", 11, known);
    for mutant in ["LostOneAdmitted", "ChargeStores"] {
        assert_caught_in_an_order("one_against_one", None, mutant, known);
    }
    let new = |swap| one_charge(false, swap);
    for swap in [false, true] {
        assert_holds("one_against_one, new", Some(2), 140, new(swap));
    }
    assert_caught_in_an_order("one_against_one, new", Some(2), "LostLoopAdmitted", new);
}

/// Guarantees A, C and D: both keys are new, so one of the two requests is rolled back.
#[test]
fn roll_back() {
    assert_holds("roll_back", Some(1), 2_200, race(0));
    assert_caught("roll_back", Some(1), "NoRollback", race(0));
}

/// Guarantees A, C and D: both keys are known, so both requests take the fast path.
#[test]
fn known() {
    assert_holds("known", Some(2), 41, race(1));
    assert_caught("known", Some(2), "NoRollback", race(1));
    assert_caught("known", Some(2), "ChargeStores", race(1));
    assert_caught("known", Some(2), "LostSeveralAdmitted", race(1));
}
