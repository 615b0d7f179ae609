//! Guarantee F: a table is bounded, and exact for its known keys, however many keys come and go.

mod oracle;

use oracle::{Kind, Oracle, Rule, answer, cases};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tollgate::{
    Charge, Decision, Limiter, MAX_LIMIT, ManualClock, Now, Overflow, Policy, PolicyId,
    PolicyStatus, Verdict,
};

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

/// Guarantee F: denied requests of one charge end the move that is under way, by whichever call they are
/// decided.
#[test]
fn denials_of_one_charge_end_a_move() {
    let mut statuses = [PolicyStatus::default()];
    type Request<'a> = &'a mut dyn FnMut(&Limiter, &[Charge<'_>]) -> Verdict;
    let requests: [Request<'_>; 4] = [
        &mut |limiter, request| limiter.check(request).verdict,
        &mut |limiter, request| limiter.check_with_status(request, &mut statuses).verdict,
        &mut |limiter, request| limiter.session().reserve(request).unwrap_err().verdict,
        &mut |limiter, request| {
            let mut decisions = [Decision::default()];
            limiter.check_many(request, &mut decisions);
            decisions[0].verdict
        },
    ];
    for (kind, request) in requests.into_iter().enumerate() {
        let (limiter, id) = limiter(1, 10_000);
        let (mut keys, stats) = (0.., || limiter.stats(id).unwrap());
        let charges_until_the_move = keys.by_ref().take_while(|key| {
            assert_eq!(verdict(&limiter, id, 0, *key), Verdict::Allowed);
            stats().migrations < 4
        });
        assert!(charges_until_the_move.count() > 500);
        let both = stats().bytes;
        let denials = (0..1_000).take_while(|_| {
            assert_eq!(request(&limiter, &[id.charge(0_u64, 1)]), Verdict::Denied);
            stats().bytes == both
        });
        assert!(denials.count() < 500, "request {kind} does not move keys");
    }
}

/// Guarantee F: exactly `max_keys` keys are admitted, and as many others once these have expired.
#[test]
fn the_key_bound_is_exact_and_expired_keys_make_room() {
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
            // Refused keys stay refused, and known keys are admitted.
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

/// Guarantee F: replacing an array because of its age drops no live key and admits none beyond the
/// bound.
#[test]
fn the_key_bound_holds_when_arrays_are_replaced_by_age() {
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

/// A request with an impossible cost takes no slot.
#[test]
fn impossible_costs_take_no_slot() {
    let (limiter, id) = limiter(5, 100);
    let session = limiter.session_at(Now::from_unix_nanos(SECOND));
    for key in 0..1_000_u64 {
        assert_eq!(session.check(&[id.charge(key, 6)]).verdict, Verdict::Impossible);
    }
    assert!((5_000..5_100_u64).all(|key| session.check(&[id.charge(key, 5)]).is_allowed()));
}

/// Guarantee A: peeks at known keys during a move do not make a table seem full. Otherwise new keys
/// would pass uncounted.
#[test]
fn peeks_during_a_move_do_not_fill_the_table() {
    const MAX_KEYS: u64 = 100_000;
    let policy = Policy::sliding("p", 1, Duration::from_secs(3_600)).overflow(Overflow::Allow);
    let limiter = Limiter::builder().policy(policy).max_keys(MAX_KEYS as usize);
    let limiter = limiter.clock(ManualClock::new()).seed([1, 2, 3, 4]).build().unwrap();
    let id = limiter.policy("p").unwrap();
    let (mut keys, mut moves) = (0, 0);
    loop {
        keys += 1;
        assert!(limiter.check(&[id.charge(keys, 1)]).is_allowed());
        let stats = limiter.stats(id).unwrap();
        // The last growth has begun: the new array has room for all keys.
        if stats.migrations > moves && stats.slots as u64 > MAX_KEYS {
            break;
        }
        moves = stats.migrations;
    }
    assert!(keys < MAX_KEYS * 9 / 10, "{keys} keys");
    for key in 1..=keys {
        assert!(!limiter.peek(&[id.charge(key, 1)]).is_allowed());
    }
    let passed = (0..10_000).filter(|_| limiter.check(&[id.charge("new", 1)]).is_allowed()).count();
    assert_eq!(passed, 1, "a limit of 1, {} keys of {MAX_KEYS}", keys + 1);
}

/// Guarantee F: two concurrent new keys in a table full of expired keys are both admitted.
#[test]
fn expired_keys_make_room_for_concurrent_new_keys() {
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

/// Guarantee F: expired keys make room for new ones even if they are only a tenth of the keys. An eighth
/// would make room at once, fewer only after two windows.
#[test]
fn a_few_expired_keys_make_room_eventually() {
    let (limiter, id) = limiter(20, 1_000);
    (0..1_000).for_each(|key| assert_eq!(verdict(&limiter, id, 0, key), Verdict::Allowed));
    let mut newcomers = 0;
    for step in 1..60 {
        let now = step * SECOND / 4;
        (0..900).for_each(|key| assert_eq!(verdict(&limiter, id, now, key), Verdict::Allowed));
        let is_admitted = verdict(&limiter, id, now + 1, 5_000 + step) == Verdict::Allowed;
        newcomers += u64::from(is_admitted);
    }
    assert!(newcomers > 30, "{newcomers} of 59 were admitted");
}

/// Guarantee F: known keys decide as the oracle does during a flood of new keys.
#[test]
fn known_keys_are_exact_under_a_flood() {
    let (limiter, id) = limiter(5, 1_000);
    let mut oracle = Oracle::new(vec![Rule { limit: 5, kind: Kind::Sliding(SECOND) }]);
    let mut refused = 0;
    for turn in 0..400_000_u64 {
        let now = SECOND + turn * 20_000;
        let known = turn * 7919 % 300;
        if turn % 4 == 0 {
            let session = limiter.session_at(Now::from_unix_nanos(now));
            let decision = session.check(&[id.charge(known, 1)]);
            assert_eq!(answer(&decision), oracle.check(now, &[(0, known, 1, None)]));
        } else {
            let flood = verdict(&limiter, id, now, 1_000_000 + turn);
            refused += u64::from(flood == Verdict::TableFull);
        }
    }
    assert!(refused > 10_000, "the flood did not reach the key bound: {refused}");
}

proptest! {
    #![proptest_config(cases(200))]

    /// Guarantee B: keys that come and go while arrays are replaced decide as the oracle does.
    #[test]
    fn replaced_arrays_lose_no_charge(
        max_keys in 1usize..40, limit in 1u64..20,
        steps in prop::collection::vec((0u64..60, 0u64..SECOND / 4, 1u64..3), 1..600),
    ) {
        let (limiter, id) = limiter(limit, max_keys);
        let mut oracle = Oracle::new(vec![Rule { limit, kind: Kind::Sliding(SECOND) }]);
        let mut now = SECOND;
        for (key, gap, cost) in steps {
            now += gap * u64::from(gap % 5 == 0);
            let session = limiter.session_at(Now::from_unix_nanos(now));
            let decision = session.check(&[id.charge(key, cost)]);
            if decision.verdict != Verdict::TableFull {
                prop_assert_eq!(answer(&decision), oracle.check(now, &[(0, key, cost, None)]));
                let live = (0..60).filter(|key| oracle.used(0, *key, now) > 0).count();
                prop_assert!(live <= max_keys, "{live} live keys, but max_keys is {max_keys}");
            } else {
                // Only a key without live charges may have no slot.
                prop_assert_eq!(oracle.used(0, key, now), 0);
            }
        }
    }
}

/// Guarantee A: threads with keys of their own, in a table that replaces its arrays all the time. A
/// charge is recorded between the thread's own `now` and the clock's reading after the call. No
/// window that surely contains its charges exceeds the limit, and each denial has enough charges
/// that may be live.
#[test]
fn replaced_arrays_lose_no_charge_of_concurrent_threads() {
    const LIMIT: usize = 4;
    let (limiter, id) = limiter(LIMIT as u64, 400);
    let clock = AtomicU64::new(SECOND);
    let worker = &|thread: u64| {
        let mut logs: HashMap<u64, Vec<(u64, u64)>> = HashMap::new();
        let (mut denied, mut full) = (0, 0);
        for turn in 0..100_000_u64 {
            // The keys drift: each thread uses 40 at a time.
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

/// Guarantee F: two thousand arrays are retired while one session stays open. Freeing all of them
/// when it ends does not overflow the stack.
#[test]
fn many_arrays_retired_during_one_session_are_freed() {
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

/// Guarantee F: maintenance shrinks a table that is full to its bound when its keys are idle.
#[test]
fn maintenance_shrinks_a_full_table() {
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

/// Guarantee F: maintenance with any budget shrinks the table. A call moves at most its budget, rounded up
/// to a chunk of 256 slots.
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
        let most_slots = calls * budget.next_multiple_of(256) as u64;
        assert!(most_slots >= 50_000, "maintain({budget}) moved all in {calls} calls");
        assert!(session(1_000 * SECOND).stats(id).unwrap().slots < 50_000);
    }
}

/// Guarantee F: a table of calendar budgets evicts several times within one period.
#[test]
fn calendar_budgets_evict_within_a_period() {
    let policy = Policy::calendar("p", 100, tollgate::Period::Day)
        .max_keys(1_000)
        .overflow(tollgate::Overflow::EvictLightest { allowance: 5 });
    let limiter = Limiter::builder().policy(policy).clock(ManualClock::new()).build().unwrap();
    let id = limiter.policy("p").unwrap();
    let admitted =
        (0..20_000).filter(|key| verdict(&limiter, id, SECOND, *key) == Verdict::Allowed);
    // Each unit of the allowance lets a full table be evicted once: five times 1,000 keys.
    assert!(admitted.count() >= 5_000);
    assert!(limiter.stats(id).unwrap().evictions >= 4_000);
}
