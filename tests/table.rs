//! The table: bounded, and exact for the keys that it knows, however many come and go.

mod oracle;

use oracle::{Kind, Oracle, Rule, answer, cases};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tollgate::{Limiter, MAX_LIMIT, ManualClock, Now, Policy, PolicyId, Verdict};

const SECOND: u64 = 1_000_000_000;

fn limiter(limit: u64, max_keys: usize) -> (Limiter, PolicyId) {
    let policy = Policy::sliding("p", limit, Duration::from_secs(1)).max_keys(max_keys);
    let limiter = Limiter::builder().policy(policy).clock(ManualClock::new()).build().unwrap();
    let id = limiter.policy("p").unwrap();
    (limiter, id)
}

fn verdict(limiter: &Limiter, id: PolicyId, now: u64, key: u64) -> Verdict {
    limiter.session_at(Now::from_unix_nanos(now)).check(&[id.charge(key, 1)]).verdict
}

/// Exactly `max_keys` keys find a place; the others do when those have expired.
#[test]
fn the_bound_holds_and_expired_keys_make_room() {
    for max_keys in [1, 2, 7, 100, 10_000] {
        let (limiter, id) = limiter(3, max_keys);
        for round in 0..6 {
            let now = SECOND + round * 2 * SECOND;
            let first = round * 1_000_000;
            let keys = first..first + 2 * max_keys as u64;
            let admitted: Vec<u64> = keys
                .clone()
                .filter(|key| verdict(&limiter, id, now, *key) == Verdict::Allowed)
                .collect();
            assert_eq!(admitted.len(), max_keys, "round {round} of {max_keys} keys");
            // Refused keys are told why, and known ones are served as ever.
            for key in keys {
                let known = admitted.contains(&key);
                let expected = if known { Verdict::Allowed } else { Verdict::TableFull };
                if key % 97 == 0 || max_keys < 1_000 {
                    assert_eq!(verdict(&limiter, id, now + 1, key), expected);
                }
            }
        }
    }
}

/// Renewals by age drop nothing that is live, and let nobody in beyond the bound, however many.
#[test]
fn the_bound_holds_over_renewals_by_age() {
    // The greatest limit has the shortest time field: some 65,000 units.
    let policy = Policy::sliding("p", MAX_LIMIT, Duration::from_secs(1)).max_keys(1_200);
    let limiter = Limiter::builder().policy(policy).clock(ManualClock::new()).build().unwrap();
    let id = limiter.policy("p").unwrap();
    let keys = 0..1_200;
    for step in 0..600 {
        let now = step * SECOND / 4;
        for key in keys.clone() {
            assert_eq!(verdict(&limiter, id, now, key), Verdict::Allowed);
        }
        for key in 0..20 {
            let newcomer = 1_000_000 + step * 1_000 + key;
            assert_eq!(verdict(&limiter, id, now, newcomer), Verdict::TableFull);
        }
    }
}

/// A cost that can never pass takes no place from those that can.
#[test]
fn the_impossible_takes_no_place() {
    let (limiter, id) = limiter(5, 100);
    let session = limiter.session_at(Now::from_unix_nanos(SECOND));
    for key in 0..1_000_u64 {
        assert_eq!(session.check(&[id.charge(key, 6)]).verdict, Verdict::Impossible);
    }
    assert!((5_000..5_100_u64).all(|key| session.check(&[id.charge(key, 5)]).is_allowed()));
}

/// Two new keys at once meet a table of expired ones: both find room.
#[test]
fn expired_keys_make_room_for_all_who_come() {
    for _ in 0..500 {
        let (limiter, id) = limiter(5, 40);
        (0..40).for_each(|key| assert_eq!(verdict(&limiter, id, 0, key), Verdict::Allowed));
        let (limiter, barrier) = (&limiter, &std::sync::Barrier::new(2));
        std::thread::scope(|scope| {
            for key in [100, 200] {
                scope.spawn(move || {
                    barrier.wait();
                    assert_eq!(verdict(limiter, id, 10 * SECOND, key), Verdict::Allowed);
                });
            }
        });
    }
}

/// A tenth that has expired makes room in the end, though it is no eighth.
#[test]
fn a_few_expired_keys_make_room_in_time() {
    let (limiter, id) = limiter(20, 1_000);
    (0..1_000).for_each(|key| assert_eq!(verdict(&limiter, id, 0, key), Verdict::Allowed));
    let mut newcomers = 0;
    for step in 1..60 {
        let now = step * SECOND / 4;
        (0..900).for_each(|key| assert_eq!(verdict(&limiter, id, now, key), Verdict::Allowed));
        let came = verdict(&limiter, id, now + 1, 5_000 + step) == Verdict::Allowed;
        newcomers += u64::from(came);
    }
    assert!(newcomers > 30, "{newcomers} of 59 found room");
}

/// A flood of new keys changes nothing for those that were there.
#[test]
fn known_keys_are_exact_under_a_flood() {
    let (limiter, id) = limiter(5, 1_000);
    let mut textbook = Oracle::new(vec![Rule { limit: 5, kind: Kind::Sliding(SECOND) }]);
    let mut refused = 0;
    for turn in 0..400_000_u64 {
        let now = SECOND + turn * 20_000;
        let known = turn * 7919 % 300;
        if turn % 4 == 0 {
            let session = limiter.session_at(Now::from_unix_nanos(now));
            let decision = session.check(&[id.charge(known, 1)]);
            assert_eq!(answer(&decision), textbook.check(now, &[(0, known, 1, None)]));
        } else {
            let flood = verdict(&limiter, id, now, 1_000_000 + turn);
            refused += u64::from(flood == Verdict::TableFull);
        }
    }
    assert!(refused > 10_000, "the flood met no bound: {refused}");
}

proptest! {
    #![proptest_config(cases(200))]

    /// Keys that come and go over many renewals are counted as the textbook counts them.
    #[test]
    fn renewals_lose_nothing(
        max_keys in 1usize..40, limit in 1u64..20,
        steps in prop::collection::vec((0u64..60, 0u64..SECOND / 4, 1u64..3), 1..600),
    ) {
        let (limiter, id) = limiter(limit, max_keys);
        let mut textbook = Oracle::new(vec![Rule { limit, kind: Kind::Sliding(SECOND) }]);
        let mut now = SECOND;
        for (key, gap, cost) in steps {
            now += gap * u64::from(gap % 5 == 0);
            let session = limiter.session_at(Now::from_unix_nanos(now));
            let decision = session.check(&[id.charge(key, cost)]);
            if decision.verdict != Verdict::TableFull {
                prop_assert_eq!(answer(&decision), textbook.check(now, &[(0, key, cost, None)]));
                let live = (0..60).filter(|key| textbook.used(0, *key, now) > 0).count();
                prop_assert!(live <= max_keys, "{live} keys where {max_keys} are let in");
            } else {
                // Only a key without live charges can be without a place.
                prop_assert_eq!(textbook.used(0, key, now), 0);
            }
        }
    }
}

/// Threads with keys of their own, in a table that is renewed all the time. A charge is recorded at
/// a time from the thread's own `now` to the clock's when the call returned: no window that surely
/// holds its charges holds more than the limit, and no denial is without charges that may be live.
#[test]
fn renewals_under_threads_lose_nothing() {
    const LIMIT: usize = 4;
    let (limiter, id) = limiter(LIMIT as u64, 400);
    let clock = AtomicU64::new(SECOND);
    let worker = &|thread: u64| {
        let mut logs: HashMap<u64, Vec<(u64, u64)>> = HashMap::new();
        let (mut denied, mut full) = (0, 0);
        for turn in 0..100_000_u64 {
            // A slow drift over the keys: 40 of each thread's are in use at a time.
            let key = thread << 32 | (turn / 100 + turn * 7919 % 40);
            let log = logs.entry(key).or_default();
            let now = clock.fetch_add(1_000_000, Relaxed);
            let verdict = verdict(&limiter, id, now, key);
            let end = clock.load(Relaxed);
            match verdict {
                Verdict::Allowed => {
                    let surely = log.iter().filter(|(start, _)| end - start < SECOND).count();
                    assert!(surely < LIMIT, "over-admitted {key} at {now}");
                    log.push((now, end));
                }
                Verdict::Denied => {
                    let perhaps = log.iter().filter(|(_, last)| last + SECOND > now).count();
                    assert!(perhaps >= LIMIT, "denied {key} at {now} without a cause");
                    denied += 1;
                }
                _ => full += 1,
            }
        }
        let admitted: usize = logs.values().map(Vec::len).sum();
        assert!(admitted > 10_000 && denied > 100, "{admitted} admitted, {denied} denied, {full}");
    };
    std::thread::scope(|scope| {
        (0..4_u64).for_each(|thread| drop(scope.spawn(move || worker(thread))));
    });
}

/// A session that is held for long, while tables are renewed two thousand times: what was retired
/// meanwhile goes in the end, without a stack as deep as it is much.
#[test]
fn what_a_session_held_goes_in_the_end() {
    let policy = Policy::sliding("p", 127, Duration::from_secs(1)).max_keys(300);
    let limiter = Limiter::builder().policy(policy).clock(ManualClock::new()).build().unwrap();
    let id = limiter.policy("p").unwrap();
    let (held, release) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let session = limiter.session_at(Now::from_unix_nanos(SECOND));
            held.wait();
            release.wait();
            drop(session);
        });
        held.wait();
        let (mut now, mut key) = (SECOND, 0);
        while limiter.stats(id).unwrap().migrations < 2_000 {
            for _ in 0..400 {
                verdict(&limiter, id, now, key);
                key += 1;
            }
            now += 3 * SECOND;
        }
        release.wait();
        for _ in 0..2_000 {
            limiter.maintain(4_096);
        }
    });
}

/// A table that is full to its bound shrinks as well when its keys are idle.
#[test]
fn a_full_table_is_shrunk_by_maintenance() {
    let (limiter, id) = limiter(20, 100_000);
    let session = |now| limiter.session_at(Now::from_unix_nanos(now));
    for key in 0..100_000 {
        verdict(&limiter, id, SECOND, key);
    }
    while !session(SECOND).maintain(1 << 20) {}
    let before = session(SECOND).stats(id).unwrap();
    assert_eq!(before.used_slots, 100_000);
    for step in 0..50 {
        session((10 + step) * SECOND).maintain(1 << 20);
    }
    let after = session(100 * SECOND).stats(id).unwrap();
    assert!(after.bytes * 10 < before.bytes, "{} of {}", after.bytes, before.bytes);
}

/// A small budget gets there as well.
#[test]
fn maintenance_ends_with_any_budget() {
    for budget in [1, 100, 1_000] {
        let (limiter, id) = limiter(20, 100_000);
        let session = |now| limiter.session_at(Now::from_unix_nanos(now));
        for key in 0..50_000 {
            verdict(&limiter, id, SECOND, key);
        }
        let mut calls = 0;
        while !session(100 * SECOND + calls * 1_000_000).maintain(budget) {
            calls += 1;
            assert!(calls < 300_000, "maintain({budget}) does not end");
        }
        assert!(session(1_000 * SECOND).stats(id).unwrap().slots < 50_000);
    }
}

/// Evictions in a calendar budget do not wait for the next period.
#[test]
fn evictions_within_a_period() {
    let policy = Policy::calendar("p", 100, tollgate::Period::Day)
        .max_keys(1_000)
        .overflow(tollgate::Overflow::EvictLightest { allowance: 5 });
    let limiter = Limiter::builder().policy(policy).clock(ManualClock::new()).build().unwrap();
    let id = limiter.policy("p").unwrap();
    let admitted =
        (0..20_000).filter(|key| verdict(&limiter, id, SECOND, *key) == Verdict::Allowed);
    // Each of five units of the allowance drops all that have used one.
    assert!(admitted.count() >= 5_000);
    assert!(limiter.stats(id).unwrap().evictions >= 4_000);
}
