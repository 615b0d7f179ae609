//! A request over two layers: charged in both or in none.

use super::{catches, holds};
use crate::breakage::Breakage;
use crate::{Limiter, ManualClock, Now, Policy};
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
}
