//! A request over two layers: charged in both or in none.

use super::{catches, caught_in_one, holds, holds_in_both};
use crate::verify::mutants::Breakage;
use crate::{Decision, Limiter, ManualClock, Now, Policy};
use loom::thread;
use std::sync::Arc;
use std::time::Duration;

/// Two requests, of which the second layer has room for one; or so many came before, so that both
/// find their keys in place and charge what they have looked at.
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
        assert!(mine != theirs, "one has room, not both");
        let left = limiter.session_at(now).peek(&[ids[0].charge("k", 1)]).remaining;
        assert_eq!(left, 4, "a denied request has charged the first layer");
    }
}

/// Two requests of one charge to a key that has room for one, known or new, by the entry points of a
/// session.
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
        assert!(mine != other.join().unwrap(), "one has room, not both");
    }
}

#[test]
fn one_against_one() {
    let known = |swap| one_charge(true, swap);
    holds_in_both("one_against_one", 20, known);
    for what in [Breakage::LostOneAdmitted, Breakage::ChargeStores] {
        caught_in_one("one_against_one", None, what, known);
    }
    let new = |swap| one_charge(false, swap);
    for swap in [false, true] {
        holds("one_against_one, new", Some(2), 20, new(swap));
    }
    caught_in_one("one_against_one, new", Some(2), Breakage::LostLoopAdmitted, new);
}

#[test]
fn undo() {
    holds("undo", Some(1), 100, race(0));
    catches("undo", Some(1), Breakage::NoUndo, race(0));
}

#[test]
fn known() {
    holds("known", Some(2), 50, race(1));
    catches("known", Some(2), Breakage::NoUndo, race(1));
    catches("known", Some(2), Breakage::ChargeStores, race(1));
    catches("known", Some(2), Breakage::LostSeveralAdmitted, race(1));
}
