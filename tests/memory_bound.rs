//! Guarantee F: the memory of a limiter stays within a bound that is known before it is built, under a
//! flood of twice as many new keys as fit and through all moves. The bound is at most twice of what is
//! needed, and known keys are decided exactly meanwhile.
//!
//! The bytes of the heap are counted by the allocator. Larger arrays are memory maps, whose bytes are
//! those that become resident.

mod load;

use load::{MIB, mib, resident};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tollgate::{Builder, Limiter, ManualClock, Now, Overflow, Period, Policy, PolicyId, Verdict};

thread_local! {
    /// The bytes that this thread has allocated and not freed, and their peak. `None` while they do not
    /// count.
    static HEAP: Cell<Option<(isize, isize)>> = const { Cell::new(None) };
}

fn count(bytes: isize) {
    if let Some((in_use, peak)) = HEAP.get() {
        HEAP.set(Some((in_use + bytes, peak.max(in_use + bytes))));
    }
}

/// An allocator that counts bytes. The threads of the test harness do not count.
struct Counting;

// SAFETY: forwards every call to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Returns the peak of the bytes that `work` has allocated.
fn peak_of_heap(work: impl FnOnce()) -> usize {
    HEAP.set(Some((0, 0)));
    work();
    HEAP.take().map_or(0, |(_, peak)| peak as usize)
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Memory is measured for the whole process, so one test runs at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

const WINDOW: u64 = 60_000_000_000;
const LIMIT: u64 = 5;
/// The blocks of `crossbeam-epoch` where the system has no `membarrier`. The bound does not include them.
const CROSSBEAM: usize = 16 << 10;

/// The statistics of requests, which the bound does not include.
const REQUESTS: usize = 8_320;

fn sliding(limit: u64) -> Policy {
    Policy::sliding("p", limit, Duration::from_nanos(WINDOW))
}

fn builder(policy: Policy) -> Builder {
    Limiter::builder().policy(policy).clock(ManualClock::new()).seed([1, 2, 3, 4])
}

fn modes() -> [Overflow; 3] {
    [Overflow::Deny, Overflow::Allow, Overflow::EvictLightest { allowance: 2 }]
}

fn check(limiter: &Limiter, id: PolicyId, key: u64, now: u64) -> tollgate::Decision {
    limiter.session_at(Now::from_unix_nanos(now)).check(&[id.charge(key, 1)])
}

/// Keys that have used their whole limit, and are decided exactly during a flood.
const KNOWN: u64 = 20;

/// Sends new keys, twice as many as fit, in each of some rounds. Everything expires between the rounds, so
/// that arrays of the greatest size follow each other. Calls `measure` now and then.
fn flood(limiter: &Limiter, id: PolicyId, mut measure: impl FnMut()) {
    let max_keys = limiter.max_keys(id).unwrap() as u64;
    let limit = limiter.limit(id).unwrap();
    let mut key = KNOWN;
    for round in 0..4 {
        let start = WINDOW + 40 * 24 * 3_600_000_000_000 * round;
        for known in 0..KNOWN {
            for used in 1..=limit {
                assert_eq!(check(limiter, id, known, start).remaining, limit - used);
            }
        }
        for turn in 0..2 * max_keys {
            key += 1;
            let decision = check(limiter, id, key, start + turn);
            assert!(matches!(decision.verdict, Verdict::Allowed | Verdict::TableFull));
            if turn.is_multiple_of(64) {
                let decision = check(limiter, id, key / 64 % KNOWN, start + turn);
                assert_eq!(decision.verdict, Verdict::Denied, "a known key at {turn}");
                measure();
            }
        }
        let stats = limiter.stats(id).unwrap();
        assert!(stats.used_slots as u64 <= max_keys, "{stats:?}");
        assert!(stats.bytes <= limiter.memory_bound(id).unwrap(), "{stats:?}");
    }
}

/// Guarantee F: the bytes of the heap, for tables that are small enough to be there.
#[test]
fn heap_stays_within_the_bound() {
    let _alone = alone();
    let budget = Policy::calendar("p", LIMIT, Period::Month);
    for (policy, max_keys) in [(budget, 1_800), (sliding(LIMIT), 350), (sliding(LIMIT), 40)] {
        for mode in modes() {
            let builder = builder(policy.clone().max_keys(max_keys).overflow(mode));
            let bound = builder.memory_bound().unwrap();
            let peak = peak_of_heap(|| {
                let limiter = builder.build().unwrap();
                let id = limiter.policy("p").unwrap();
                assert_eq!(limiter.memory_bound(id), Ok(bound));
                flood(&limiter, id, || ());
            });
            println!("{mode:?}, {max_keys} keys: {peak} of {bound} bytes");
            assert!(peak <= bound + REQUESTS + CROSSBEAM, "{peak} of {bound} bytes: {mode:?}");
            assert!(peak >= bound / 2, "only {peak} of {bound} bytes: {mode:?}");
        }
    }
}

/// Guarantee F: the resident bytes of large tables, with the default bound and with an explicit one.
#[test]
fn resident_memory_stays_within_the_bound() {
    let _alone = alone();
    for (policy, most) in [
        (sliding(100), 128 * MIB),
        (sliding(100).max_bytes(24 << 20), 24 * MIB),
        (sliding(20).max_bytes(24 << 20).overflow(Overflow::Allow), 24 * MIB),
        (sliding(20).max_bytes(24 << 20).overflow(modes()[2]), 24 * MIB),
    ] {
        let (builder, Some(before)) = (builder(policy), resident()) else {
            println!("skipped: no resident memory");
            return;
        };
        let bound = builder.memory_bound().unwrap() as u64;
        assert!(bound <= most && bound > most - MIB, "a bound of {bound} bytes");
        let limiter = builder.build().unwrap();
        let id = limiter.policy("p").unwrap();
        let (mut peak, mut turn) = (0, 0_u64);
        flood(&limiter, id, || {
            turn += 1;
            if turn.is_multiple_of(8) {
                peak = peak.max(resident().unwrap_or(0));
            }
        });
        let peak = peak.saturating_sub(before);
        println!(
            "{} keys: {:.1} MiB of {:.1} MiB",
            limiter.max_keys(id).unwrap(),
            mib(peak),
            mib(bound)
        );
        assert!(peak <= bound + MIB, "{peak} of {bound} bytes");
        assert!(peak >= bound / 2, "only {peak} of {bound} bytes");
    }
}

/// Guarantee F: the same for several policies, which share a bound. All get the same number of keys.
#[test]
fn policies_share_the_bound() {
    let _alone = alone();
    let mut builder = Limiter::builder().clock(ManualClock::new()).max_bytes(32 << 20);
    let ids = [
        Policy::sliding("exact", 100, Duration::from_nanos(WINDOW)),
        Policy::sliding("bucketed", 1_000, Duration::from_nanos(WINDOW)),
        Policy::calendar("budget", 1_000, Period::Month),
    ]
    .map(|policy| builder.add(policy));
    let bound = builder.memory_bound().unwrap() as u64;
    assert!(bound <= 32 * MIB && bound > 31 * MIB);
    let before = resident();
    let limiter = builder.build().unwrap();
    let keys = ids.map(|id| limiter.max_keys(id).unwrap());
    assert_eq!(keys, [keys[0]; 3]);
    let bounds = ids.map(|id| limiter.memory_bound(id).unwrap());
    assert_eq!(bounds.iter().sum::<usize>() as u64, bound);
    let mut peak = 0;
    for round in 0..4 {
        let now = Now::from_unix_nanos(WINDOW + 40 * 24 * 3_600_000_000_000 * round);
        for key in 0..2 * keys[0] as u64 {
            let key = 2 * keys[0] as u64 * round + key;
            let charges = ids.map(|id| id.charge(key, 1));
            let _ = limiter.session_at(now).check(&charges);
            if key.is_multiple_of(256) {
                peak = peak.max(resident().unwrap_or(0));
            }
        }
    }
    if let Some(before) = before {
        let peak = peak.saturating_sub(before);
        println!("{keys:?} keys: {:.1} MiB of {:.1} MiB", mib(peak), mib(bound));
        assert!(peak <= bound + MIB && peak >= bound / 2, "{peak} of {bound} bytes");
    }
}

/// Guarantee F: the bound holds where only one key is new for each array, and known keys complete the move
/// into it. Requests about known keys free no replaced array.
#[test]
fn known_keys_that_complete_moves_stay_within_the_bound() {
    const KEYS: u64 = 300;
    let _alone = alone();
    let builder = builder(sliding(1_000).buckets(7).max_keys(KEYS as usize));
    let bound = builder.memory_bound().unwrap();
    let mut arrays = 0;
    let peak = peak_of_heap(|| {
        let limiter = builder.build().unwrap();
        let id = limiter.policy("p").unwrap();
        let mut now = WINDOW;
        (0..KEYS).for_each(|key| assert!(check(&limiter, id, key, now).is_allowed()));
        for cycle in 0..200 {
            // The last new key expires. The others stay live.
            for _ in 0..6 {
                now += WINDOW / 2;
                for key in 0..KEYS - 1 {
                    assert!(check(&limiter, id, key, now).is_allowed());
                }
            }
            // Makes an array, but may be refused itself: it moves only a part of the keys.
            let _ = check(&limiter, id, KEYS + cycle, now);
        }
        arrays = limiter.stats(id).unwrap().migrations;
    });
    assert!(arrays > 20, "{arrays} arrays");
    println!("{peak} of {bound} bytes");
    assert!(peak <= bound + CROSSBEAM, "{peak} of {bound} bytes");
}

/// The table of bytes in `docs/memory.md` has the right numbers.
#[test]
fn documented_bytes_are_right() {
    let _alone = alone();
    let rows = include_str!("../docs/memory.md").lines().filter_map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, counter, words, numbers @ .., _] = &cells[..] else { return None };
        let words: u64 = words.split(' ').next()?.parse().ok()?;
        let number = |text: &&str| text.replace(',', "").parse::<u64>();
        let numbers: Result<Vec<_>, _> = numbers.iter().map(number).collect();
        Some((counter.starts_with("calendar"), words, numbers.ok()?))
    });
    let mut seen = Vec::new();
    for (is_calendar, words, numbers) in rows {
        let slot = 8 + 8 * words;
        let policy = match is_calendar {
            true => Policy::calendar("p", 1, Period::Day),
            false => Policy::sliding("p", 1_000, Duration::from_secs(60)).buckets(words as u32),
        };
        let builder = Limiter::builder().policy(policy).max_bytes(128 << 20);
        let limiter = builder.build().unwrap();
        let keys = limiter.max_keys(limiter.policy("p").unwrap()).unwrap() as u64;
        // 16/15 slots for each key, with a tag of one byte, rounded up. A table grows by 5/3.
        let [full, grown, most] =
            [(16, 15), (80, 45), (32, 15)].map(|(parts, of)| ((slot + 1) * parts).div_ceil(of));
        assert_eq!(numbers, [slot, full, grown, most, keys / 1_000 * 1_000], "{words} words");
        seen.push(words);
    }
    assert_eq!(seen, [1, 7, 15, 23, 31, 47, 63, 95, 127]);
}
