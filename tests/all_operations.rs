//! Runs all operations on four threads while tables grow, shrink, evict and replace their arrays by
//! age. In the end, every unit that a thread has spent under its own key is still charged.
//!
//! This is a plain program without the test harness, for sanitizers and valgrind. The standard
//! library is not instrumented for the thread sanitizer, which would report races in the harness,
//! in scoped threads and in barriers. So threads are spawned and joined, and share only atomics.
//!
//! `TOLLGATE_TURNS` is the number of turns of each thread. `TOLLGATE_FAULT` plants a fault (`race`,
//! `use-after-free` or `leak`), to show that the tool reports it.

mod load;

use load::mix;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::*};
use std::time::Duration;
use tollgate::{
    Limiter, MAX_LIMIT, ManualClock, Now, Overflow, Period, Policy, PolicyId, PolicyStatus,
};

const THREADS: u64 = 4;
/// The clock's step in each turn, in nanoseconds: a window has some 250 turns.
const STEP: u64 = 4_000;

struct Shared {
    limiter: Limiter,
    exact: PolicyId,
    aged: PolicyId,
    tokens: PolicyId,
    day: PolicyId,
    clock: AtomicU64,
    started: AtomicUsize,
    fault: Option<String>,
}

impl Shared {
    fn new() -> Self {
        let (milli, hour) = (Duration::from_millis(1), Duration::from_secs(3600));
        // Keys of the first two policies come and go. The second has the shortest possible time field.
        let mut builder = Limiter::builder()
            .overflow(Overflow::EvictLightest { allowance: 1 })
            .max_keys(1_000_000)
            .clock(ManualClock::new())
            .seed([1, 2, 3, 4]);
        let exact = builder.add(Policy::sliding("exact", 5, milli).max_keys(60));
        let aged = Policy::sliding("aged", 9, milli).buckets(7).max_limit(MAX_LIMIT);
        let aged = builder.add(aged);
        let tokens = builder.add(Policy::sliding("tokens", MAX_LIMIT, hour).buckets(7));
        let day = builder.add(Policy::calendar("day", MAX_LIMIT, Period::Day));
        let limiter = builder.build().unwrap();
        let fault = std::env::var("TOLLGATE_FAULT").ok();
        let (clock, started) = (AtomicU64::new(STEP), AtomicUsize::new(0));
        Shared { limiter, exact, aged, tokens, day, clock, started, fault }
    }

    /// Runs one thread's turns. Returns the units that it has spent under `tokens` and under `day`.
    fn work(&self, thread: u64, turns: u64) -> [u64; 2] {
        self.started.fetch_add(1, AcqRel);
        while self.started.load(Acquire) < THREADS as usize {
            std::thread::yield_now();
        }
        let mut spent = [0, 0];
        for turn in 0..turns {
            let random = mix(turn << 2 | thread);
            let now = self.clock.fetch_add(STEP, Relaxed);
            self.turn(thread, random, Now::from_unix_nanos(now), &mut spent);
            self.plant(turn);
        }
        spent
    }

    fn turn(&self, thread: u64, random: u64, now: Now, spent: &mut [u64; 2]) {
        let session = self.limiter.session_at(now);
        // A key of a drifting range, or, every eighth time, a key that all threads use.
        let key =
            if random.is_multiple_of(8) { 7 } else { now.unix_ns / STEP / 4 + (random >> 8) % 512 };
        let charges = [
            self.exact.charge(key, 1),
            self.aged.charge(key, 1),
            self.tokens.charge(own_key(thread), 3),
            self.day.charge(own_key(thread), 3),
        ];
        match random >> 32 & 15 {
            0..6 => {
                let mut statuses = [PolicyStatus::default(); 4];
                if session.check_with_status(&charges, &mut statuses).is_allowed() {
                    *spent = spent.map(|sum| sum + 3);
                }
            }
            6 => drop(session.peek(&charges)),
            7 => {
                assert!(session.force_charge(&charges[1..]).is_allowed());
                *spent = spent.map(|sum| sum + 3);
            }
            8 => {
                spent[0] -= session.refund(&self.tokens.charge(own_key(thread), 2)).unwrap();
                spent[1] -= session.refund(&self.day.charge(own_key(thread), 1)).unwrap();
            }
            9 | 10 => drop(session.check(&[self.day.charge(key, 1)])),
            11 => drop(session.check(&[self.tokens.charge(key, 1)])),
            12 => session.reset_key(self.aged, key).unwrap(),
            13 => self.maintain(random, now),
            _ => {
                if let Ok(mut reservation) = session.reserve(&charges) {
                    let more = session.extend(&mut reservation, &[0, 0, 4, 0]);
                    assert!(more.is_ok());
                    let actual = [1, 0, random >> 40 & 15, random >> 44 & 15];
                    assert!(session.settle(&mut reservation, &actual).unwrap().is_allowed());
                    *spent = [spent[0] + actual[2], spent[1] + actual[3]];
                }
            }
        }
    }

    fn maintain(&self, random: u64, now: Now) {
        let session = self.limiter.session_at(now);
        assert!(session.stats(self.exact).is_ok());
        assert_eq!(session.request_stats().invalid, 0);
        session.maintain(64);
        drop(session);
        self.limiter.set_limit(self.aged, 5 + random % 5).expect("a legal limit");
        // Unlike the session's method, this one frees retired arrays. It uses the limiter's own clock,
        // which stays at 0.
        self.limiter.maintain(1);
    }

    fn plant(&self, turn: u64) {
        match self.fault.as_deref() {
            None => {}
            // In every turn, since charges of one key synchronize their threads and hide most
            // races.
            Some("race") => planted_race(turn),
            Some("use-after-free") if turn == 500 => planted_use_after_free(),
            Some("leak") if turn == 500 => planted_leak(),
            Some("use-after-free" | "leak") => {}
            Some(other) => panic!("unknown fault {other:?}"),
        }
    }
}

/// The key that only this thread uses.
fn own_key(thread: u64) -> u64 {
    1 << 40 | thread
}

fn main() {
    let turns = std::env::var("TOLLGATE_TURNS").ok().map(|turns| turns.parse().expect("a number"));
    let turns = turns.unwrap_or(50_000);
    let shared = Arc::new(Shared::new());
    // Where `crossbeam-epoch` is used, initializes it on one thread: its global is in a `OnceLock` of
    // the standard library, which the thread sanitizer does not see.
    drop(shared.limiter.session());
    let spawn = |thread| {
        let shared = shared.clone();
        std::thread::spawn(move || shared.work(thread, turns))
    };
    let threads: Vec<_> = (0..THREADS).map(spawn).collect();
    let spent: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let session = shared.limiter.session_at(Now::from_unix_nanos(shared.clock.load(Relaxed)));
    for (thread, spent) in spent.into_iter().enumerate() {
        let used = [shared.tokens, shared.day]
            .map(|id| MAX_LIMIT - session.peek(&[id.charge(own_key(thread as u64), 0)]).remaining);
        assert_eq!(used, spent, "what thread {thread} has spent");
    }
    for id in [shared.exact, shared.aged, shared.tokens, shared.day] {
        let stats = session.stats(id).unwrap();
        println!("{stats:?}");
        assert!(stats.migrations > 0, "the table was never moved");
        assert_eq!(stats.evictions > 0, id == shared.exact, "only the small table evicts");
    }
}

#[inline(never)]
fn planted_race(number: u64) {
    struct Racy(std::cell::UnsafeCell<u64>);
    // SAFETY: none. This is the fault.
    unsafe impl Sync for Racy {}
    static RACY: Racy = Racy(std::cell::UnsafeCell::new(0));
    // SAFETY: none. All threads write here without synchronization.
    unsafe { RACY.0.get().write_volatile(number) };
}

#[inline(never)]
fn planted_use_after_free() {
    let number = Box::into_raw(Box::new(7_u64));
    // SAFETY: allocated above.
    drop(unsafe { Box::from_raw(number) });
    // SAFETY: none. This is the fault.
    std::hint::black_box(unsafe { number.read_volatile() });
}

#[inline(never)]
fn planted_leak() {
    std::mem::forget(std::hint::black_box(Box::new([7_u64; 500])));
}
