//! A flood of keys that were never seen before, fifty times as many as the table has room for.
//!
//! Whatever becomes of the new ones, a known key that has used more than the allowance is decided
//! as a log of its charges decides; memory stays within two arrays for `max_keys`; every request is
//! told under one of the statistics; and nobody, however it times its requests to the evictions, is
//! admitted more than the limit and the allowance in any window.

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
/// A known key asks so often in a window that it has never used as little as the allowance.
const ASKS: u64 = 40;
/// 16/15 of a slot for each key, of eight words and a tag.
const BYTES_PER_KEY: u64 = 65 * 16 / 15;
const MODES: [Overflow; 3] =
    [Overflow::Deny, Overflow::Allow, Overflow::EvictLightest { allowance: ALLOWANCE }];

/// Resident memory is the whole process's, so one flood at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// The sliding log of one key: the times of what was admitted in the last window.
#[derive(Clone, Default)]
struct Log(VecDeque<u64>);

impl Log {
    fn at(&mut self, now: u64) -> &mut VecDeque<u64> {
        while self.0.front().is_some_and(|time| now - time >= WINDOW) {
            self.0.pop_front();
        }
        &mut self.0
    }

    /// What a request for one unit must be told: verdict, what is left, and two waits.
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

/// The requests that were told each verdict, by the test's own count.
#[derive(Default)]
struct Told {
    calls: u64,
    admitted: u64,
    denied: u64,
    refused: u64,
    untracked: u64,
}

struct Flood {
    limiter: Limiter,
    id: PolicyId,
    told: Told,
    known: Vec<Log>,
    /// Keys that hope to be evicted, and the most that one of them was admitted in a window.
    light: Vec<Log>,
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
        Flood { limiter, id, told: Told::default(), known, light, most: 0 }
    }

    fn stats(&self, now: u64) -> Stats {
        self.limiter.session_at(Now::from_unix_nanos(now)).stats(self.id).unwrap()
    }

    fn ask(&mut self, key: u64, now: u64) -> Decision {
        let session = self.limiter.session_at(Now::from_unix_nanos(now));
        let decision = session.check(&[self.id.charge(key, 1)]);
        let told = &mut self.told;
        told.calls += 1;
        match (decision.verdict, decision.table_full) {
            (Verdict::Allowed, false) => told.admitted += 1,
            (Verdict::Denied, false) => told.denied += 1,
            (Verdict::TableFull, true) => told.refused += 1,
            (Verdict::Allowed, true) => told.untracked += 1,
            other => panic!("{other:?}"),
        }
        decision
    }

    /// A known key asks, and is told what the log says.
    fn ask_known(&mut self, key: u64, now: u64) {
        let is = self.ask(key, now);
        let expected = self.known[key as usize].check(now);
        let told = (is.verdict, is.remaining, is.retry_after(), is.reset_after());
        assert_eq!(told, expected, "known key {key} at {now}");
    }

    /// A light key asks up to so many times, until it is not admitted.
    fn ask_light(&mut self, light: u64, times: u64, now: u64) {
        for _ in 0..times {
            let decision = self.ask(1 << 40 | light, now);
            if decision.table_full || !decision.is_allowed() {
                return;
            }
            let log = self.light[light as usize].at(now);
            log.push_back(now);
            self.most = self.most.max(log.len() as u64);
        }
    }
}

/// All at one instant: nothing expires, and the lightest are evicted once.
#[test]
fn at_one_instant() {
    MODES.iter().for_each(|mode| flood(*mode, 0));
}

/// Within a window: no new key expires, so there is only room for them by evictions.
#[test]
fn within_a_window() {
    flood(MODES[2], WINDOW / 2);
}

/// Spread over ten windows: expired keys make room for new ones.
#[test]
fn over_ten_windows() {
    MODES.iter().for_each(|mode| flood(*mode, 10 * WINDOW));
}

fn flood(overflow: Overflow, lasts: u64) {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let (max_keys, keys) = by_size((20_000, 1_000_000), (1_000_000, 50_000_000_u64));
    let slack = by_size(4 * MIB, 64 * MIB);
    let (before, start) = (resident(), Instant::now());
    let mut flood = Flood::new(max_keys, overflow);
    // The known keys ask in turn, evenly over one window, until they have used all.
    let turn = WINDOW / (KNOWN * ASKS);
    let mut now = WINDOW;
    for asked in 0..KNOWN * ASKS {
        now += turn;
        flood.ask_known(asked % KNOWN, now);
    }
    let (start_of_flood, mut asked) = (now, 0);
    let (mut peak, mut rounds, mut greatest_use) = (0, 0, 0);
    let (mut evictions, mut array) = (0, 0);
    let checkpoint = max_keys / 50;
    for key in 0..keys {
        now = start_of_flood + (lasts as u128 * u128::from(key) / u128::from(keys)) as u64;
        let new = 2 << 40 | key;
        // One in a thousand of the new keys asks as often as it is let in.
        let times = if key % 1_000 == 0 { LIMIT + ALLOWANCE + 1 } else { 1 };
        let admitted = (0..times)
            .filter(|_| {
                let decision = flood.ask(new, now);
                decision.is_allowed() && !decision.table_full
            })
            .count() as u64;
        greatest_use = greatest_use.max(admitted);
        // As often in each window as before, or, where the time stands still, a request in ten.
        let due = if lasts > 0 { (now - start_of_flood) / turn } else { key / 10 };
        while asked < due {
            asked += 1;
            flood.ask_known(asked % KNOWN, now);
        }
        if key % checkpoint == 0 {
            let mut stats = flood.stats(now);
            if stats.used_slots as u64 > max_keys {
                // Keys that asked during a move are in two arrays until it ends.
                while !flood.limiter.session_at(Now::from_unix_nanos(now)).maintain(1_000) {}
                stats = flood.stats(now);
            }
            assert!(stats.used_slots as u64 <= max_keys, "{stats:?}");
            assert!(stats.bytes as u64 <= 2 * max_keys * BYTES_PER_KEY + MIB, "{stats:?}");
            peak = peak.max(resident().unwrap_or(0));
            // After each eviction the light keys use as little as the lightest, and when no more is
            // to be hoped for all that they can get. Some do not wait so long.
            if stats.evictions > evictions && stats.migrations > array {
                (rounds, array) = (rounds + 1, stats.migrations);
            }
            evictions = stats.evictions;
            for light in 0..LIGHT {
                let little = flood.light[light as usize].at(now).len() as u64 <= rounds;
                let is_greedy = mix(key << 8 | light).is_multiple_of(50 << (light % 4))
                    || rounds >= ALLOWANCE && lasts < WINDOW;
                let times = if is_greedy { LIMIT } else { u64::from(little) };
                flood.ask_light(light, times, now);
            }
        }
    }
    let (stats, told) = (flood.stats(now), &flood.told);
    let bound = 2 * max_keys * BYTES_PER_KEY + slack;
    println!(
        "{overflow:?}: {} calls in {:.1} s: {} admitted, {} denied, {} refused, {} untracked; \
         {} arrays, {} slots used, {} evicted, {} forgiven, a light key got {} of {LIMIT}",
        told.calls,
        start.elapsed().as_secs_f64(),
        told.admitted,
        told.denied,
        told.refused,
        told.untracked,
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
    assert_eq!(stats.admitted, told.admitted);
    assert_eq!(stats.denied, told.denied);
    assert_eq!((stats.refused, stats.untracked), (told.refused, told.untracked));
    let sum = stats.admitted + stats.denied + stats.refused + stats.untracked;
    assert_eq!(sum, told.calls, "each request is told once");
    let evicts = overflow == MODES[2];
    let most = if evicts { LIMIT + ALLOWANCE } else { LIMIT };
    assert!(flood.most <= most, "a light key was admitted {} in a window", flood.most);
    assert!(greatest_use <= most, "a new key was admitted {greatest_use} at once");
    assert!(flood.most > LIMIT || !evicts || lasts == 0, "no light key has gained by an eviction");
    assert_eq!(stats.evictions > 0, evicts);
    assert!(stats.forgiven <= ALLOWANCE * stats.evictions);
    assert_eq!(told.untracked > 0, overflow == Overflow::Allow);
    assert_eq!(told.refused == 0, overflow == Overflow::Allow);
    if lasts == 0 {
        assert_eq!(stats.used_slots as u64, max_keys, "as many keys as there is room for");
    }
    if lasts > WINDOW {
        let room = 3 * max_keys;
        assert!(told.admitted > room, "expired keys have made no room: {}", told.admitted);
    }
}
