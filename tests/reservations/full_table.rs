//! Reservations of keys for which the table has no slot.

use super::{HOUR, MINUTE, SECOND, START, at, hourly, limiter, tokens, used};
use std::time::Duration;
use tollgate::{Overflow, Policy, Verdict};

/// A reservation that passed uncounted at a full table gives nothing back, even if the key has a slot
/// by the time it is cancelled.
#[test]
fn an_uncounted_reservation_gives_nothing_back() {
    let (limiter, ids) = limiter([tokens(10).max_keys(1).overflow(Overflow::Allow)]);
    let check = |now, key: &str, cost| at(&limiter, now).check(&[ids[0].charge(key, cost)]);
    assert!(check(START, "other", 1).is_allowed());
    let mut reservation = at(&limiter, START).reserve(&[ids[0].charge("k", 5)]).unwrap();
    assert!(reservation.decision().table_full);
    assert_eq!(reservation.charged(0), Some(0));
    at(&limiter, START).reset_key(ids[0], "other").unwrap();
    let later = START + 5 * SECOND;
    let counted = check(later, "k", 3);
    assert!(counted.is_allowed() && !counted.table_full);
    let _ = at(&limiter, later).cancel(&mut reservation).unwrap();
    assert_eq!(used(&limiter, ids[0], later), 3);
}

/// At a full table, the statistics count an excess as `untracked`, as they did the estimate.
#[test]
fn an_uncounted_excess_is_untracked() {
    let (limiter, ids) = limiter([tokens(10).max_keys(1).overflow(Overflow::Allow)]);
    assert!(at(&limiter, START).check(&[ids[0].charge("other", 1)]).is_allowed());
    let mut reservation = at(&limiter, START).reserve(&[ids[0].charge("k", 5)]).unwrap();
    assert_eq!(limiter.stats(ids[0]).unwrap().untracked, 1);
    let decision = at(&limiter, START).settle(&mut reservation, &[7]).unwrap();
    assert!(decision.is_allowed() && decision.table_full);
    let stats = limiter.stats(ids[0]).unwrap();
    assert_eq!((stats.admitted, stats.untracked, stats.denied, stats.refused), (1, 2, 0, 0));
    assert_eq!(used(&limiter, ids[0], START), 0);
}

/// If one policy's table is full, `settle` still charges the excess to the other policies, whatever
/// their order.
#[test]
fn settle_with_a_full_table_charges_the_other_policies() {
    let full = Policy::sliding("full", 10, Duration::from_nanos(MINUTE)).max_keys(4);
    let (limiter, ids) = limiter([tokens(100), full, hourly(100)]);
    let [tokens, full, hourly] = [ids[0], ids[1], ids[2]];
    let orders = [[full, tokens, hourly], [tokens, full, hourly], [tokens, hourly, full]];
    for (order, hour) in orders.into_iter().zip(0..) {
        for id in order {
            limiter.reset_key(id, "k").unwrap();
        }
        // Each order starts in a fresh hour.
        let now = START + hour * HOUR;
        let charges = order.map(|id| id.charge("k", 1));
        let mut reservation = at(&limiter, now).reserve(&charges).unwrap();

        // Fill the table.
        let later = now + 2 * MINUTE;
        let fill = |key: u64| at(&limiter, later).check(&[full.charge(key, 1)]).verdict;
        (0..).map(fill).find(|verdict| *verdict == Verdict::TableFull);
        let before = limiter.stats(full).unwrap();
        let decision = at(&limiter, later).settle(&mut reservation, &[3; 3]).unwrap();
        assert_eq!((decision.verdict, decision.policy), (Verdict::TableFull, full));
        assert_eq!(used(&limiter, tokens, later), 2, "the charge of 1 has expired");
        assert_eq!(used(&limiter, hourly, later), 3);
        assert_eq!(used(&limiter, full, later), 0);
        let after = limiter.stats(full).unwrap();
        assert_eq!((after.refused, after.admitted), (before.refused + 1, before.admitted));
    }
}
