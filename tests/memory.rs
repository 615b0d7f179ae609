//! Guarantee F: memory follows the live keys. It is little for an empty table with any bound,
//! follows a formula for live keys, and is returned when keys go idle.

mod load;

use load::{MIB, by_size, is_full, mib, resident};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tollgate::{Limiter, ManualClock, Now, Period, Policy, PolicyId, Stats};

const SECOND: u64 = 1_000_000_000;
/// The bytes of a slot: a key's id, a ring of seven words, and a tag.
const SLOT: usize = 65;

/// Resident memory is measured for the whole process, so one test runs at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn limiter(policy: Policy) -> (Limiter, PolicyId) {
    let limiter = Limiter::builder().policy(policy.max_keys(1 << 30)).clock(ManualClock::new());
    let limiter = limiter.seed([1, 2, 3, 4]).build().unwrap();
    let id = limiter.policies().next().map(|policy| limiter.policy(policy.name()).unwrap());
    (limiter, id.unwrap())
}

fn sliding() -> Policy {
    Policy::sliding("p", 5, Duration::from_secs(60))
}

fn stats(limiter: &Limiter, id: PolicyId, now: u64) -> Stats {
    limiter.session_at(Now::from_unix_nanos(now)).stats(id).unwrap()
}

fn admit(limiter: &Limiter, id: PolicyId, key: u64, now: u64) {
    let session = limiter.session_at(Now::from_unix_nanos(now));
    assert!(session.check(&[id.charge(key, 1)]).is_allowed(), "key {key}");
}

/// Completes all moves.
fn complete_moves(limiter: &Limiter, now: u64) {
    while !limiter.session_at(Now::from_unix_nanos(now)).maintain(10_000) {}
}

/// Guarantee F: an empty table for up to 2^30 keys takes less than a MiB.
#[test]
fn an_empty_table_is_small() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let policies = [
        sliding(),
        Policy::sliding("p", 1_000, Duration::from_secs(1)).buckets(127),
        Policy::calendar("p", 1_000, Period::Day),
    ];
    for policy in policies {
        let before = resident();
        let (limiter, id) = limiter(policy);
        let bytes = stats(&limiter, id, SECOND).bytes;
        println!("empty: {:.1} KiB", bytes as f64 / 1024.0);
        assert!(bytes > SLOT && bytes < 1 << 20, "{bytes} bytes for an empty table");
        if let (Some(before), Some(after)) = (before, resident()) {
            let taken = after.saturating_sub(before);
            assert!(taken < MIB, "{taken} bytes became resident");
        }
    }
}

/// Guarantee F: for any number of live keys, an array has 16/15 slots for each key that it has room
/// for, and room for at most 5/3 of the live keys.
#[test]
fn memory_of_live_keys_is_within_the_formula() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let keys = by_size(300_000, 10_000_000);
    let (before, (limiter, id)) = (resident(), limiter(sliding()));
    let fixed = stats(&limiter, id, SECOND).bytes;
    let (mut next, mut most, mut least) = (1_000, 0.0_f64, f64::MAX);
    for key in 0..keys {
        admit(&limiter, id, key, SECOND);
        if key + 1 != next && key + 1 != keys {
            continue;
        }
        complete_moves(&limiter, SECOND);
        let (live, stats) = (key as usize + 1, stats(&limiter, id, SECOND));
        assert_eq!((stats.used_slots, stats.live_keys), (live, live));
        let bound = live * 5 / 3 * 16 / 15 * SLOT + fixed;
        assert!(stats.bytes <= bound, "{} bytes for {live} keys: {stats:?}", stats.bytes);
        assert!(stats.bytes >= stats.slots * SLOT && stats.slots * 15 / 16 >= live, "{stats:?}");
        let each = stats.bytes as f64 / live as f64;
        (most, least) = (most.max(each), least.min(each));
        next += next / 16;
        if key + 1 == keys {
            println!(
                "live: {live} keys in {} slots of {SLOT} bytes, {:.1} MiB: {each:.1} bytes a key, \
                 {least:.1} to {most:.1} on the way, 116 by the formula",
                stats.slots,
                mib(stats.bytes as u64),
            );
        }
    }
    if let (true, Some(before), Some(after)) = (is_full(), before, resident()) {
        let each = after.saturating_sub(before) as f64 / keys as f64;
        println!("live: {each:.1} resident bytes a key");
        assert!(each < 256.0, "more than two arrays are resident");
    }
}

/// Guarantee F: when all keys are idle, requests of a few new keys shrink the table and the
/// process. One request for every fifty idle keys is enough.
#[test]
fn memory_of_idle_keys_is_returned() {
    idle(false, 50);
}

/// Guarantee F: the same, for keys that go idle when the table has just begun to grow. The move
/// must end first. A window after it began, each request with a new key moves 64 slots, and each
/// other request at most 2. A quarter of the requests have new keys, so the move takes about one
/// request for every fifteen keys. Then the table shrinks.
#[test]
fn memory_of_idle_keys_is_returned_after_a_move() {
    idle(true, 8);
}

/// Guarantee F: calls of `maintain` alone return the memory of idle keys.
#[test]
fn maintenance_returns_memory() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let keys = by_size(300_000, 10_000_000);
    let before = resident().filter(|_| is_full());
    let clock = ManualClock::new();
    let builder = Limiter::builder().policy(sliding().max_keys(1 << 30)).clock(clock.clone());
    let limiter = builder.seed([1, 2, 3, 4]).build().unwrap();
    let id = limiter.policy("p").unwrap();
    (0..keys).for_each(|key| admit(&limiter, id, key, SECOND));
    let taken = || before.and_then(|before| resident().map(|now| now.saturating_sub(before)));
    let (peak, resident_peak) = (stats(&limiter, id, SECOND).bytes, taken());
    clock.set(Now::from_unix_nanos(62 * SECOND));
    let is_small = || {
        let table = limiter.stats(id).unwrap().bytes < peak / 10;
        table && taken().zip(resident_peak).is_none_or(|(now, peak)| now < peak / 10)
    };
    let calls = (1..10_000).find(|_| limiter.maintain(10_000) && is_small());
    println!("maintained: small after {calls:?} calls of 10,000 slots for {keys} keys");
    let enough = 100 + keys as usize / 1_000;
    assert!(calls.is_some_and(|calls| calls < enough), "not small after {enough} calls");
}

/// Lets all keys go idle, during a move or not. Asserts that one request for every `part` keys is
/// enough to shrink the table to a tenth.
fn idle(is_moving: bool, part: u64) {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut keys = by_size(300_000, 10_000_000);
    let before = resident().filter(|_| is_full());
    let taken = || before.and_then(|before| resident().map(|now| now.saturating_sub(before)));
    let start = Instant::now();
    let (limiter, id) = limiter(sliding());
    let (mut peak, mut resident_peak) = (0, 0);
    let mut grow = |keys: std::ops::Range<u64>| {
        for key in keys {
            admit(&limiter, id, key, SECOND);
            if key % 256 == 0 {
                peak = peak.max(stats(&limiter, id, SECOND).bytes);
                resident_peak = resident_peak.max(taken().unwrap_or(0));
            }
        }
    };
    grow(0..keys);
    complete_moves(&limiter, SECOND);
    let arrays = stats(&limiter, id, SECOND).migrations;
    while is_moving && stats(&limiter, id, SECOND).migrations == arrays {
        grow(keys..keys + 256);
        keys += 256;
    }
    let now = SECOND + 61 * SECOND;
    let (mut table_after, mut process_after) = (None, before.is_none().then_some(0));
    let mut requests = 0;
    while requests < keys / part && (table_after.is_none() || process_after.is_none()) {
        requests += 1;
        admit(&limiter, id, keys + requests / 4, now);
        if requests % 64 == 0 {
            let is_small = stats(&limiter, id, now).bytes < peak / 10;
            table_after = table_after.or(is_small.then_some(requests));
            let is_small = taken().is_some_and(|bytes| bytes < resident_peak / 10);
            process_after = process_after.or(is_small.then_some(requests));
        }
    }
    let bytes = stats(&limiter, id, now).bytes as u64;
    let percent = |after: Option<u64>| after.map_or(f64::NAN, |n| n as f64 * 100.0 / keys as f64);
    println!(
        "idle: {keys} keys took {:.1} MiB, {:.1} MiB after {:.2} % as many requests, {:.1} s",
        mib(peak as u64),
        mib(bytes),
        percent(table_after),
        start.elapsed().as_secs_f64(),
    );
    match taken() {
        Some(taken) => println!(
            "idle: resident {:.1} MiB, {:.1} MiB after {:.2} % as many requests",
            mib(resident_peak),
            mib(taken),
            percent(process_after),
        ),
        None => println!("idle: resident memory skipped"),
    }
    assert!(table_after.is_some(), "the table is still large: {bytes} of {peak} bytes");
    assert!(process_after.is_some(), "the process is still large: {:?}", taken());
}
