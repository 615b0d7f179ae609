//! Reservations whose key is reset before they are settled: they hold nothing any more.

use super::{HOUR, START, at, hourly, limiter, tokens, used};
use std::time::Duration;
use tollgate::{Limiter, Policy, PolicyId, Reservation};

fn reserve(limiter: &Limiter, id: PolicyId, key: u64, now: u64, cost: u64) -> Reservation {
    at(limiter, now).reserve(&[id.charge(key, cost)]).expect("there is room")
}

fn policies() -> [Policy; 4] {
    let minute = Duration::from_secs(60);
    [Policy::sliding("exact", 100, minute), tokens(1_000), hourly(100), {
        Policy::sliding("evicts", 100, minute)
            .overflow(tollgate::Overflow::EvictLightest { allowance: 5 })
    }]
}

/// The units of another charge stay, whether it comes at the time of the reset or later.
#[test]
fn settling_after_a_reset_gives_back_nothing_of_others() {
    for (policy, later) in policies()
        .into_iter()
        .flat_map(|policy| [0, 1, 5_000_000_000].map(|later| (policy.clone(), later)))
    {
        let (limiter, ids) = limiter([policy]);
        let id = ids[0];
        let mut reservation = at(&limiter, START).reserve(&[id.charge("k", 50)]).unwrap();
        at(&limiter, START).reset_key(id, "k").unwrap();
        assert_eq!(used(&limiter, id, START), 0);
        assert!(at(&limiter, START + later).check(&[id.charge("k", 25)]).is_allowed());
        let settled = at(&limiter, START + later).settle(&mut reservation, &[0]).unwrap();
        assert!(settled.is_allowed());
        assert_eq!(used(&limiter, id, START + later), 25);
    }
}

/// A reservation gives back what it has charged since the reset: its last extension.
#[test]
fn an_extension_after_a_reset_is_given_back() {
    for policy in policies() {
        let (limiter, ids) = limiter([policy]);
        let id = ids[0];
        let mut reservation = at(&limiter, START).reserve(&[id.charge("k", 50)]).unwrap();
        at(&limiter, START).reset_key(id, "k").unwrap();
        assert!(at(&limiter, START).check(&[id.charge("k", 25)]).is_allowed());
        assert!(at(&limiter, START).extend(&mut reservation, &[10]).unwrap().is_allowed());
        assert_eq!(used(&limiter, id, START), 35);
        _ = at(&limiter, START).cancel(&mut reservation).unwrap();
        assert_eq!(used(&limiter, id, START), 25);
    }
}

/// A reservation made after a reset is settled as usual, also at the time of the reset.
#[test]
fn a_reservation_after_a_reset_is_given_back() {
    for policy in policies() {
        let (limiter, ids) = limiter([policy]);
        let id = ids[0];
        for round in 0..3 {
            let mut before = at(&limiter, START).reserve(&[id.charge("k", 40)]).unwrap();
            at(&limiter, START).reset_key(id, "k").unwrap();
            let mut after = at(&limiter, START).reserve(&[id.charge("k", 30)]).unwrap();
            _ = at(&limiter, START).cancel(&mut before).unwrap();
            assert_eq!(used(&limiter, id, START), 30, "round {round}");
            _ = at(&limiter, START).settle(&mut after, &[7]).unwrap();
            assert_eq!(used(&limiter, id, START), 7, "round {round}");
            at(&limiter, START).reset_key(id, "k").unwrap();
        }
    }
}

/// A reset also holds after the key was moved to another array, and for a reservation that is settled
/// in a later window.
#[test]
fn a_reset_lasts_over_moves_and_windows() {
    for policy in policies() {
        let (limiter, ids) = limiter([policy]);
        let id = ids[0];
        let mut reservation = reserve(&limiter, id, 0, START, 50);
        at(&limiter, START).reset_key(id, 0).unwrap();
        let migrations = limiter.stats(id).unwrap().migrations;
        for key in 1..5_000 {
            assert!(at(&limiter, START).check(&[id.charge(key, 1)]).is_allowed());
        }
        while !at(&limiter, START).maintain(1_000) {}
        assert!(limiter.stats(id).unwrap().migrations > migrations);
        assert!(at(&limiter, START + HOUR / 2).check(&[id.charge(0, 25)]).is_allowed());
        _ = at(&limiter, START + HOUR / 2).cancel(&mut reservation).unwrap();
        let decision = at(&limiter, START + HOUR / 2).peek(&[id.charge(0, 0)]);
        assert_eq!(decision.limit - decision.remaining, 25);
    }
}

/// Resets of other keys change nothing, up to a few hundred at nearly the same time. After more, a
/// reservation made before them may give back nothing, but never too much.
#[test]
fn resets_of_other_keys_change_nothing() {
    for policy in policies() {
        let (limiter, ids) = limiter([policy]);
        let id = ids[0];
        let mut reservation = reserve(&limiter, id, 0, START, 50);
        let mut late = reserve(&limiter, id, 1, START, 50);
        let reset = |keys: std::ops::Range<u64>| {
            for key in keys {
                assert!(at(&limiter, START).check(&[id.charge(key, 1)]).is_allowed());
                at(&limiter, START).reset_key(id, key).unwrap();
            }
        };
        reset(100..130);
        _ = at(&limiter, START).settle(&mut reservation, &[10]).unwrap();
        let used = |key: u64| {
            let decision = at(&limiter, START).peek(&[id.charge(key, 0)]);
            decision.limit - decision.remaining
        };
        assert_eq!(used(0), 10);
        reset(1_000..5_000);
        _ = at(&limiter, START).settle(&mut late, &[10]).unwrap();
        assert!([10, 50].contains(&used(1)), "{}", used(1));
        // A later reservation is not affected.
        let mut later = at(&limiter, START + 1_000_000_000).reserve(&[id.charge(2, 50)]).unwrap();
        _ = at(&limiter, START + 1_000_000_000).settle(&mut later, &[10]).unwrap();
        assert_eq!(
            at(&limiter, START + 1_000_000_000).peek(&[id.charge(2, 0)]).remaining,
            at(&limiter, START).peek(&[id.charge(3, 0)]).limit - 10
        );
    }
}
