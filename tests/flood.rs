//! Guarantee F: a flood of new keys, fifty times as many as the table has room for.
//!
//! - A known key that has used more than the allowance is decided as by a log of its charges.
//! - Memory stays within two arrays for `max_keys`.
//! - The statistics count each request once.
//! - No key is admitted more than the limit plus the allowance in any window, however its requests
//!   are timed to the evictions.

mod load;

use load::{MIB, by_size, mib, mix, resident};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tollgate::{Decision, Limiter, ManualClock, Now, Overflow, Policy, PolicyId, Stats, Verdict};

const LIMIT: u64 = 7;
const ALLOWANCE: u64 = 2;
const WINDOW: u64 = 60_000_000_000;
const KNOWN: u64 = 1_000;
const LIGHT: u64 = 100;
/// Requests of each known key in a window: so many that its usage always exceeds the allowance.
const REQUESTS: u64 = 40;
/// The bytes of 16/15 slots. A slot has eight words of 8 bytes, and a tag of 1 byte.
const BYTES_PER_KEY: u64 = 65 * 16 / 15;
const EVICT: Overflow = Overflow::EvictLightest { allowance: ALLOWANCE };
const MODES: [Overflow; 3] = [Overflow::Deny, Overflow::Allow, EVICT];

/// Resident memory is measured for the whole process, so one flood runs at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// The oracle for one key: the times of the units admitted in the last window.
#[derive(Clone, Default)]
struct Log(VecDeque<u64>);

impl Log {
    /// Drops the expired times.
    fn at(&mut self, now: u64) -> &mut VecDeque<u64> {
        while self.0.front().is_some_and(|time| now - time >= WINDOW) {
            self.0.pop_front();
        }
        &mut self.0
    }

    /// Decides a request for one unit: verdict, remaining units, `retry_after` and `reset_after`.
    fn check(&mut self, now: u64) -> (Verdict, u64, Option<Duration>, Duration) {
        let log = self.at(now);
        let has_room = (log.len() as u64) < LIMIT;
        if has_room {
            log.push_back(now);
        }
        let left = LIMIT - log.len() as u64;
        let wait = |time: Option<&u64>| Duration::from_nanos(time.unwrap() + WINDOW - now);
        let verdict = if has_room { Verdict::Allowed } else { Verdict::Denied };
        (verdict, left, (!has_room).then(|| wait(log.front())), wait(log.back()))
    }
}

/// The test's own counts of requests by their decision.
#[derive(Default)]
struct Counts {
    calls: u64,
    admitted: u64,
    denied: u64,
    refused: u64,
    untracked: u64,
}

struct Flood {
    limiter: Limiter,
    id: PolicyId,
    counts: Counts,
    known: Vec<Log>,
    /// Keys that use little in order to be evicted.
    light: Vec<Log>,
    /// The most units that one of the light keys was admitted in a window.
    most: u64,
}

impl Flood {
    fn new(max_keys: u64, overflow: Overflow) -> Self {
        let policy = Policy::sliding("p", LIMIT, Duration::from_nanos(WINDOW)).overflow(overflow);
        let builder = Limiter::builder().policy(policy.max_keys(max_keys as usize));
        let limiter = builder.clock(ManualClock::new()).seed([1, 2, 3, 4]).build().unwrap();
        let id = limiter.policy("p").unwrap();
        let (known, light) =
            (vec![Log::default(); KNOWN as usize], vec![Log::default(); LIGHT as usize]);
        Flood { limiter, id, counts: Counts::default(), known, light, most: 0 }
    }

    fn stats(&self, now: u64) -> Stats {
        self.limiter.session_at(Now::from_unix_nanos(now)).stats(self.id).unwrap()
    }

    fn check(&mut self, key: u64, now: u64) -> Decision {
        let session = self.limiter.session_at(Now::from_unix_nanos(now));
        let decision = session.check(&[self.id.charge(key, 1)]);
        let counts = &mut self.counts;
        counts.calls += 1;
        match (decision.verdict, decision.table_full) {
            (Verdict::Allowed, false) => counts.admitted += 1,
            (Verdict::Denied, false) => counts.denied += 1,
            (Verdict::TableFull, true) => counts.refused += 1,
            (Verdict::Allowed, true) => counts.untracked += 1,
            other => panic!("{other:?}"),
        }
        decision
    }

    /// Decides a request of a known key, and compares the decision with its log.
    fn check_known(&mut self, key: u64, now: u64) {
        let decision = self.check(key, now);
        let expected = self.known[key as usize].check(now);
        let actual =
            (decision.verdict, decision.remaining, decision.retry_after(), decision.reset_after());
        assert_eq!(actual, expected, "known key {key} at {now}");
    }

    /// Sends up to `times` requests of a light key, until one is not admitted.
    fn check_light(&mut self, light: u64, times: u64, now: u64) {
        for _ in 0..times {
            let decision = self.check(1 << 40 | light, now);
            if decision.table_full || !decision.is_allowed() {
                return;
            }
            let log = self.light[light as usize].at(now);
            log.push_back(now);
            self.most = self.most.max(log.len() as u64);
        }
    }
}

/// Guarantee F: a flood at one instant. Nothing expires, and the lightest keys are evicted once.
#[test]
fn flood_at_one_instant() {
    MODES.iter().for_each(|mode| flood(*mode, 0));
}

/// Guarantee F: a flood within a window. No new key expires, so only evictions make room.
#[test]
fn flood_within_a_window() {
    flood(EVICT, WINDOW / 2);
}

/// Guarantee F: a flood over ten windows. Expired keys make room for new ones.
#[test]
fn flood_over_ten_windows() {
    MODES.iter().for_each(|mode| flood(*mode, 10 * WINDOW));
}

/// Sends new keys for `length` nanoseconds, and requests of known and of light keys among them.
fn flood(overflow: Overflow, length: u64) {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let (max_keys, keys) = by_size((20_000, 1_000_000), (1_000_000, 50_000_000_u64));
    let slack = by_size(4 * MIB, 64 * MIB);
    let (before, start) = (resident(), Instant::now());
    let mut flood = Flood::new(max_keys, overflow);
    // The known keys send requests in turn, evenly over one window, until they have used their
    // limit.
    let turn = WINDOW / (KNOWN * REQUESTS);
    let mut now = WINDOW;
    for request in 0..KNOWN * REQUESTS {
        now += turn;
        flood.check_known(request % KNOWN, now);
    }
    let (start_of_flood, mut known_requests) = (now, 0);
    let (mut peak, mut rounds, mut greatest_use) = (0, 0, 0);
    let (mut evictions, mut migrations) = (0, 0);
    let checkpoint = max_keys / 50;
    for key in 0..keys {
        now = start_of_flood + (length as u128 * u128::from(key) / u128::from(keys)) as u64;
        let new = 2 << 40 | key;
        // One in a thousand of the new keys sends more requests than can be admitted.
        let times = if key % 1_000 == 0 { LIMIT + ALLOWANCE + 1 } else { 1 };
        let admitted = (0..times)
            .filter(|_| {
                let decision = flood.check(new, now);
                decision.is_allowed() && !decision.table_full
            })
            .count() as u64;
        greatest_use = greatest_use.max(admitted);
        // While time passes, the known keys keep their rate. At one instant they send one request for
        // every ten new keys.
        let due = if length > 0 { (now - start_of_flood) / turn } else { key / 10 };
        while known_requests < due {
            known_requests += 1;
            flood.check_known(known_requests % KNOWN, now);
        }
        if key % checkpoint == 0 {
            let mut stats = flood.stats(now);
            if stats.used_slots as u64 > max_keys {
                // Keys that were charged during a move are in two arrays until it ends.
                while !flood.limiter.session_at(Now::from_unix_nanos(now)).maintain(1_000) {}
                stats = flood.stats(now);
            }
            assert!(stats.used_slots as u64 <= max_keys, "{stats:?}");
            assert!(stats.bytes as u64 <= 2 * max_keys * BYTES_PER_KEY + MIB, "{stats:?}");
            peak = peak.max(resident().unwrap_or(0));
            // After each round of evictions, a light key sends one more request, so that it stays among
            // the lightest keys. When no more evictions are possible, the light keys use all that they
            // can. Some do so earlier.
            if stats.evictions > evictions && stats.migrations > migrations {
                (rounds, migrations) = (rounds + 1, stats.migrations);
            }
            evictions = stats.evictions;
            for light in 0..LIGHT {
                let is_lightest = flood.light[light as usize].at(now).len() as u64 <= rounds;
                let is_greedy = mix(key << 8 | light).is_multiple_of(50 << (light % 4))
                    || rounds >= ALLOWANCE && length < WINDOW;
                let times = if is_greedy { LIMIT } else { u64::from(is_lightest) };
                flood.check_light(light, times, now);
            }
        }
    }
    let (stats, counts) = (flood.stats(now), &flood.counts);
    let bound = 2 * max_keys * BYTES_PER_KEY + slack;
    println!(
        "{overflow:?}: {} calls in {:.1} s: {} admitted, {} denied, {} refused, {} untracked; \
         {} arrays, {} slots used, {} evicted, {} forgiven, a light key got {} of {LIMIT}",
        counts.calls,
        start.elapsed().as_secs_f64(),
        counts.admitted,
        counts.denied,
        counts.refused,
        counts.untracked,
        stats.migrations,
        stats.used_slots,
        stats.evictions,
        stats.forgiven,
        flood.most,
    );
    match before {
        Some(before) => {
            let peak = peak.saturating_sub(before);
            println!("    bound {:.1} MiB, peak {:.1} MiB", mib(bound), mib(peak));
            assert!(peak <= bound, "{peak} of {bound} bytes");
        }
        None => println!("    resident memory skipped"),
    }
    assert_eq!(stats.admitted, counts.admitted);
    assert_eq!(stats.denied, counts.denied);
    assert_eq!((stats.refused, stats.untracked), (counts.refused, counts.untracked));
    let sum = stats.admitted + stats.denied + stats.refused + stats.untracked;
    assert_eq!(sum, counts.calls, "the statistics do not count each request once");
    let evicts = overflow == EVICT;
    let most = if evicts { LIMIT + ALLOWANCE } else { LIMIT };
    assert!(flood.most <= most, "a light key was admitted {} in a window", flood.most);
    assert!(greatest_use <= most, "a new key was admitted {greatest_use} at once");
    assert!(
        flood.most > LIMIT || !evicts || length == 0,
        "no light key has gained from an eviction"
    );
    assert_eq!(stats.evictions > 0, evicts);
    assert!(stats.forgiven <= ALLOWANCE * stats.evictions);
    assert_eq!(counts.untracked > 0, overflow == Overflow::Allow);
    assert_eq!(counts.refused == 0, overflow == Overflow::Allow);
    if length == 0 {
        assert_eq!(stats.used_slots as u64, max_keys, "the table is not full");
    }
    if length > WINDOW {
        let room = 3 * max_keys;
        assert!(counts.admitted > room, "expired keys made no room: {}", counts.admitted);
    }
}
