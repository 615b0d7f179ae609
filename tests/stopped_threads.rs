//! Guarantees A and D: threads that are stopped at any instruction block no other thread, and nothing
//! is admitted over a limit.
//!
//! A signal handler keeps a thread stopped, wherever it was, until the other threads have made some
//! more requests. There is only one test here, since a signal has one handler in the whole process.

#![cfg(target_os = "linux")]

mod load;

use load::{by_size, mix};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::time::{Duration, Instant};
use tollgate::{Charge, Limiter, ManualClock, Overflow, Policy, PolicyId, Verdict};

const WORKERS: usize = 4;
/// Requests that the other threads make together while one is stopped. So many that each of them
/// very likely uses every key.
const REQUESTS_PER_STOP: u64 = 400;
/// Longer than any pause of a busy machine.
const LIMIT_OF_PATIENCE: Duration = Duration::from_secs(20);

/// No stop is in force.
const NO_STOP: u64 = u64::MAX;
/// The stop in force: its number times the number of workers, plus the worker that must stay stopped.
static STOP: AtomicU64 = AtomicU64::new(NO_STOP);
/// The last stop that has stopped its worker.
static STOPPED: AtomicU64 = AtomicU64::new(NO_STOP);

thread_local! {
    static WORKER: AtomicUsize = const { AtomicUsize::new(usize::MAX) };
}

extern "C" fn stay_stopped(_: libc::c_int) {
    let (worker, stop) = (WORKER.with(|worker| worker.load(Relaxed)), STOP.load(Acquire));
    if stop != NO_STOP && stop % WORKERS as u64 == worker as u64 {
        STOPPED.store(stop, Release);
        let pause = libc::timespec { tv_sec: 0, tv_nsec: 1 };
        while STOP.load(Acquire) == stop {
            // SAFETY: async-signal-safe; the first pointer is valid, and the second may be null.
            unsafe { libc::nanosleep(&pause, std::ptr::null_mut()) };
        }
    }
}

fn handle_signal() {
    // SAFETY: all zeros are a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = stay_stopped as *const () as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the action is valid, and the handler only uses atomics and `nanosleep`.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()) }, 0);
}

/// A thread that makes requests, as the other threads see it.
#[derive(Default)]
struct Worker {
    thread: AtomicU64,
    requests: AtomicU64,
}

struct Run {
    limiter: Limiter,
    clock: ManualClock,
    hot: PolicyId,
    total: PolicyId,
    churn: PolicyId,
    busy: PolicyId,
    workers: [Worker; WORKERS],
    is_done: AtomicBool,
    /// The units that were admitted under `hot`, by key.
    admitted: [AtomicU64; KEYS as usize],
    /// The units that were admitted under `busy`, by key.
    in_busy: [AtomicU64; KEYS as usize],
    /// The units that were admitted under `total`.
    in_total: AtomicU64,
}

const KEYS: u64 = 3;
const HOT_LIMIT: u64 = 1 << 40;
const TOTAL_LIMIT: u64 = 3_000;
const BUSY_LIMIT: u64 = 100;
const BUSY_WINDOW: Duration = Duration::from_millis(1);
/// The clock's advance at each new key.
const STEP: Duration = Duration::from_micros(1);

impl Run {
    fn new() -> Self {
        let hour = Duration::from_secs(3_600);
        let clock = ManualClock::new();
        let mut builder = Limiter::builder().clock(clock.clone());
        let hot = builder.add(Policy::sliding("hot", HOT_LIMIT, hour));
        let total = builder.add(Policy::sliding("total", TOTAL_LIMIT, hour));
        // Small and short, so that arrays are replaced all the time.
        let churn = builder.add(
            Policy::sliding("churn", 1 << 30, Duration::from_millis(1))
                .max_keys(2_000)
                .overflow(Overflow::Allow),
        );
        // Exact and short: charges are admitted all the time, and each opens a new bucket.
        let busy = builder.add(Policy::sliding("busy", BUSY_LIMIT, BUSY_WINDOW));
        let limiter = builder.build().unwrap();
        Run {
            limiter,
            clock,
            hot,
            total,
            churn,
            busy,
            workers: Default::default(),
            is_done: AtomicBool::new(false),
            admitted: Default::default(),
            in_busy: Default::default(),
            in_total: AtomicU64::new(0),
        }
    }

    /// Makes requests until the run is done: single ones, layered ones, and new keys.
    fn work(&self, number: usize) {
        WORKER.with(|worker| worker.store(number, Relaxed));
        // SAFETY: has no arguments.
        let thread = unsafe { libc::pthread_self() };
        self.workers[number].thread.store(thread as u64, Release);
        let mut random = mix(number as u64);
        while !self.is_done.load(Relaxed) {
            random = mix(random);
            let key = random % KEYS;
            match (random >> 8) % 6 {
                0 => self.count(&[self.hot.charge(key, 1)], &[&self.admitted[key as usize]]),
                1 => self.count(&[self.total.charge("all", 1)], &[&self.in_total]),
                2 => {
                    let layers = [self.hot.charge(key, 1), self.total.charge("all", 1)];
                    self.count(&layers, &[&self.admitted[key as usize], &self.in_total]);
                }
                3 => {
                    let new = self.churn.charge(random >> 16, 1);
                    assert!(self.limiter.check(&[new]).is_allowed());
                    self.clock.advance(STEP);
                }
                _ => self.count(&[self.busy.charge(key, 1)], &[&self.in_busy[key as usize]]),
            }
            self.workers[number].requests.fetch_add(1, Release);
        }
    }

    /// Checks a request, and counts it if it is admitted.
    fn count(&self, charges: &[Charge<'_>], counts: &[&AtomicU64]) {
        let decision = self.limiter.check(charges);
        if decision.is_allowed() {
            counts.iter().for_each(|count| _ = count.fetch_add(1, Relaxed));
        } else {
            assert_eq!(decision.verdict, Verdict::Denied);
        }
    }

    /// Stops one worker until the others have made some requests.
    fn stop(&self, number: u64) {
        let victim = (mix(number) % WORKERS as u64) as usize;
        let stop = number * WORKERS as u64 + victim as u64;
        let others = || -> u64 {
            let others = self.workers.iter().enumerate().filter(|(number, _)| *number != victim);
            others.map(|(_, worker)| worker.requests.load(Acquire)).sum()
        };
        STOP.store(stop, SeqCst);
        let thread = self.workers[victim].thread.load(Acquire) as libc::pthread_t;
        // SAFETY: the thread is joined only after the last stop.
        assert_eq!(unsafe { libc::pthread_kill(thread, libc::SIGUSR1) }, 0);
        wait_for("the signal", || STOPPED.load(Acquire) == stop);
        let (before, own) = (others(), self.workers[victim].requests.load(Acquire));
        wait_for("the other threads", || others() >= before + REQUESTS_PER_STOP);
        assert_eq!(self.workers[victim].requests.load(Acquire), own, "the thread was not stopped");
        STOP.store(NO_STOP, SeqCst);
    }
}

/// Waits, and panics if it takes too long.
fn wait_for(what: &str, is_reached: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_reached() {
        assert!(start.elapsed() < LIMIT_OF_PATIENCE, "waited for {what}: a thread is blocked");
        std::thread::yield_now();
    }
}

/// Guarantees A and D: threads go on while one is stopped, and no policy admits more than its limit.
#[test]
fn threads_stopped_anywhere_block_no_other() {
    handle_signal();
    let (stops, run) = (by_size(1_000, 10_000), Arc::new(Run::new()));
    // Not scoped: if a thread is blocked, the test must fail and not wait for it.
    let workers: Vec<_> = (0..WORKERS)
        .map(|number| {
            let run = run.clone();
            std::thread::spawn(move || run.work(number))
        })
        .collect();
    wait_for("the threads", || run.workers.iter().all(|w| w.requests.load(Acquire) > 0));
    (0..stops).for_each(|stop| run.stop(stop));
    run.is_done.store(true, SeqCst);
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    let requests: u64 = run.workers.iter().map(|worker| worker.requests.load(Relaxed)).sum();
    let admitted = run.admitted.each_ref().map(|units| units.load(Relaxed));
    let in_total = run.in_total.load(Relaxed);
    let migrations = run.limiter.stats(run.churn).unwrap().migrations;
    println!(
        "{stops} stops, {requests} requests, {admitted:?} and {in_total} admitted, {migrations} moves"
    );
    assert_eq!(in_total, TOTAL_LIMIT, "not exactly the limit");
    // The window has not passed, so each unit that was admitted is still counted, and no other one.
    for (key, units) in (0..).zip(admitted) {
        let used = HOT_LIMIT - run.limiter.peek(&[run.hot.charge(key, 1)]).remaining;
        assert_eq!(used, units, "key {key}");
    }
    assert_eq!(TOTAL_LIMIT - run.limiter.peek(&[run.total.charge("all", 1)]).remaining, in_total);
    // The run spans at most `windows + 1` windows, each with at most the limit.
    let windows = run.clock.now().monotonic_ns / BUSY_WINDOW.as_nanos() as u64;
    let in_busy = run.in_busy.each_ref().map(|units| units.load(Relaxed));
    println!("{in_busy:?} admitted in {windows} windows of {BUSY_LIMIT}");
    assert!(in_busy.iter().all(|units| *units <= BUSY_LIMIT * (windows + 1)), "over the limit");
    // On average, at least 97 % of the limit was admitted in each window. So four admissions too
    // many in each window would show.
    assert!(in_busy.iter().all(|units| *units >= BUSY_LIMIT * windows / 100 * 97), "hardly used");
    assert!(migrations > 100, "{migrations}");
}
