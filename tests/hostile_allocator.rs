//! Allocation failures at every point: each allocation fails once alone, and once with all later
//! ones.
//!
//! A build reports an error. A table that cannot grow refuses new keys and stays exact for known
//! keys.
//!
//! Each failure runs in a process of its own, because it may abort. On Linux nothing may. On other
//! systems `crossbeam-epoch` allocates a record at a thread's first session and a bag when an array is
//! retired, and aborts if that fails. The test identifies these by the backtrace of the failed
//! allocation.

mod oracle;
mod planted;

use oracle::{Kind, Oracle, Rule, answer};
use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::process::{Command, Output};
use std::time::Duration;
use std::{env, ptr};
use tollgate::{ConfigError, Limiter, ManualClock, Now, Period, Policy, Verdict};

/// An allocator that fails as planned, on this thread, while [`hostile`] runs.
struct Hostile;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// The number of allocations that succeed before one fails.
    static LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
    /// Whether all later allocations fail too.
    static LASTING: Cell<bool> = const { Cell::new(false) };
    static FAILED: Cell<bool> = const { Cell::new(false) };
    static TRACED: Cell<bool> = const { Cell::new(false) };
}

/// The start of a trace.
const TRACE: &str = "failed to allocate";

fn fails(layout: Layout) -> bool {
    // Printing a panic allocates, and its message must not be lost.
    if !INSIDE.get() || LEFT.get() == u64::MAX || std::thread::panicking() {
        return false;
    }
    if LEFT.get() > 0 {
        LEFT.set(LEFT.get() - 1);
        return false;
    }
    FAILED.set(true);
    if !LASTING.get() {
        LEFT.set(u64::MAX);
    }
    if TRACED.get() {
        INSIDE.set(false);
        eprintln!("{TRACE} {layout:?}\n{}", Backtrace::force_capture());
        INSIDE.set(true);
    }
    true
}

// SAFETY: forwards to the system allocator, or fails as an allocator may.
unsafe impl GlobalAlloc for Hostile {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if fails(layout) {
            return ptr::null_mut();
        }
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if fails(layout) {
            return ptr::null_mut();
        }
        // SAFETY: the caller's contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if fails(layout) {
            return ptr::null_mut();
        }
        // SAFETY: the caller's contract.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Hostile = Hostile;

/// Runs the code under test, whose allocations may fail.
fn hostile<T>(work: impl FnOnce() -> T) -> T {
    /// Stops the failures, also when `work` panics.
    struct Inside;
    impl Drop for Inside {
        fn drop(&mut self) {
            INSIDE.set(false);
        }
    }
    INSIDE.set(true);
    let _inside = Inside;
    work()
}

const PLAN: &str = "TOLLGATE_FAIL_AT";
const NOTHING_FAILED: &str = "nothing failed";

/// Returns whether this process runs one scenario, and reads which allocations fail in it.
fn is_scenario() -> bool {
    let Ok(plan) = env::var(PLAN) else {
        return false;
    };
    let (at, rest) = plan.split_once(' ').expect("a number and two words");
    LEFT.set(at.parse().expect("a number"));
    LASTING.set(rest.starts_with("lasting"));
    TRACED.set(rest.ends_with("traced"));
    true
}

/// Runs `scenario` once for each of its allocations, in a process of its own. The allocation fails
/// alone, or with all later ones. Returns the traces of aborted processes, and the number of
/// processes that did not abort.
fn sweep(test: &str, scenario: fn()) -> (Vec<String>, usize) {
    if is_scenario() {
        scenario();
        if !FAILED.get() {
            println!("{NOTHING_FAILED}");
        }
        std::process::exit(0);
    }
    let (mut aborted, mut survived) = (Vec::new(), 0);
    for kind in ["once", "lasting"] {
        for at in 0.. {
            let output = process(test, &format!("{at} {kind} quiet"), None);
            let printed = String::from_utf8_lossy(&output.stdout);
            match output.status.code() {
                Some(0) if printed.contains(NOTHING_FAILED) => break,
                Some(0) => survived += 1,
                Some(_) => panic!("{test}, {at} {kind}: {output:?}"),
                None => aborted.push(last_trace(test, &format!("{at} {kind} traced"))),
            }
        }
    }
    println!("{test}: {survived} failures survived, {} not", aborted.len());
    (aborted, survived)
}

/// Runs one scenario, optionally within `space` KiB of address space.
fn process(test: &str, plan: &str, space: Option<u32>) -> Output {
    let exe = env::current_exe().unwrap();
    let mut command = match space {
        None => Command::new(exe),
        Some(space) => {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("ulimit -v {space}; exec \"$@\""), "sh"]).arg(exe);
            command
        }
    };
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(PLAN, plan);
    // A set RUST_BACKTRACE makes the panic hook allocate.
    command.env_remove("RUST_BACKTRACE");
    command.output().unwrap()
}

/// The trace of the failed allocation that aborts this process.
fn last_trace(test: &str, plan: &str) -> String {
    let output = process(test, plan, None);
    assert_eq!(output.status.code(), None, "{test}, {plan}: not the same a second time");
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, trace) = printed.rsplit_once(TRACE).expect("a trace");
    trace.to_owned()
}

/// Builds a limiter with all shapes of tables, on the default clock.
fn construct() {
    let second = Duration::from_secs(1);
    let mut builder = Limiter::builder();
    for limit in [7, 15, 23, 31, 47, 63, 95, 127, 1_000] {
        let policy = Policy::sliding(format!("p{limit}"), limit, second);
        builder = builder.policy(policy.unit("requests"));
    }
    builder = builder.policy(Policy::calendar("day", 9, Period::Day));
    match hostile(|| builder.build()) {
        Ok(limiter) => {
            assert!(!FAILED.get(), "built without some of its memory");
            let id = limiter.policy("day").unwrap();
            assert!(limiter.check(&[id.charge("k", 9)]).is_allowed());
        }
        Err(ConfigError::OutOfMemory { policy }) => {
            assert!(FAILED.get());
            assert!(policy == "day" || policy.starts_with('p'), "{policy}");
        }
        Err(other) => panic!("{other}"),
    }
}

/// Guarantee H: a build without memory is a `ConfigError`.
#[test]
fn build_reports_out_of_memory() {
    let (aborted, survived) = sweep("build_reports_out_of_memory", construct);
    assert_eq!(aborted, Vec::<String>::new());
    // At least two allocations for each of seven tables. Each fails alone, and with all later ones.
    assert!(survived >= 2 * 7 * 2, "{survived}");
}

/// The failing assertion of [`a_failing_assertion_fails_its_test`], while every allocation fails.
#[test]
fn planted_failure() {
    let is_planted = planted::is_planted();
    if is_scenario() {
        hostile(|| planted::fail_if(is_planted));
    }
}

/// A failed assertion is reported even while every allocation fails.
#[test]
fn a_failing_assertion_fails_its_test() {
    planted::assert_fails_soon("planted_failure", &[(PLAN, "0 lasting quiet")]);
}

const MILLI: u64 = 1_000_000;
const KNOWN: u64 = 20;

/// A limiter with one policy, beside the oracle.
struct OracleComparison {
    limiter: Limiter,
    oracle: Oracle,
    now: u64,
    new_keys: u64,
}

impl OracleComparison {
    fn new(policy: Policy, kind: Kind) -> Self {
        let rules = vec![Rule { limit: policy.limit(), kind }];
        let builder = Limiter::builder().policy(policy).max_keys(100_000).seed([1, 2, 3, 4]);
        let limiter = builder.clock(ManualClock::new()).build().unwrap();
        // Another test covers the first session of this thread.
        drop(limiter.session());
        let mut comparison =
            OracleComparison { limiter, oracle: Oracle::new(rules), now: 10 * MILLI, new_keys: 0 };
        (0..KNOWN).for_each(|key| comparison.check_known(key));
        comparison
    }

    /// Checks a known key. The answer must be the oracle's, even if new keys are refused.
    fn check_known(&mut self, key: u64) {
        let id = self.limiter.policy("p").unwrap();
        let decision = hostile(|| {
            let session = self.limiter.session_at(Now::from_unix_nanos(self.now));
            session.check(&[id.charge(key, 1)])
        });
        let expected = self.oracle.check(self.now, &[(0, key, 1, None)]);
        assert_eq!(answer(&decision), expected, "key {key} at {}", self.now);
    }

    /// Checks a new key. It is admitted, or refused because the table is full. Returns whether it
    /// was admitted.
    fn check_new(&mut self) -> bool {
        self.new_keys += 1;
        let id = self.limiter.policy("p").unwrap();
        let decision = hostile(|| {
            let session = self.limiter.session_at(Now::from_unix_nanos(self.now));
            session.check(&[id.charge(KNOWN + self.new_keys, 1)])
        });
        assert!(matches!(decision.verdict, Verdict::Allowed | Verdict::TableFull), "{decision:?}");
        decision.is_allowed()
    }

    /// Checks a new key and a known key in each turn. Returns the number of new keys refused.
    fn turns(&mut self, turns: u64) -> u64 {
        let mut refused = 0;
        for turn in 0..turns {
            self.now += MILLI / 4;
            refused += u64::from(!self.check_new());
            self.check_known(turn % KNOWN);
        }
        refused
    }
}

/// Grows a table from nothing, then resizes and shrinks it. Afterwards memory is available again.
fn grow(policy: Policy, kind: Kind) {
    let mut comparison = OracleComparison::new(policy, kind);
    let refused = comparison.turns(3_000);
    assert!(FAILED.get() || refused == 0, "{refused} refused although there was memory");
    LEFT.set(u64::MAX);
    // Every 256th new key retries a failed resize.
    comparison.turns(300);
    assert_eq!(comparison.turns(1_000), 0, "refused although there is memory again");
}

/// Panics unless nothing aborts or, on systems other than Linux, only `crossbeam-epoch` does.
fn assert_no_abort(aborted: &[String]) {
    for trace in aborted {
        let is_known = cfg!(not(target_os = "linux")) && trace.contains("crossbeam_epoch");
        assert!(is_known, "{trace}");
    }
}

/// Guarantee F: a table of windows that cannot grow refuses new keys.
#[test]
fn sliding_table_grows_or_refuses_new_keys() {
    let (aborted, survived) = sweep("sliding_table_grows_or_refuses_new_keys", || {
        let policy = Policy::sliding("p", 5, Duration::from_millis(300));
        grow(policy, Kind::Sliding(300 * MILLI));
    });
    assert!(survived > 20, "{survived}");
    assert_no_abort(&aborted);
}

/// Guarantee F: a table of budgets that cannot grow refuses new keys.
#[test]
fn calendar_table_grows_or_refuses_new_keys() {
    let (aborted, survived) = sweep("calendar_table_grows_or_refuses_new_keys", || {
        let policy = Policy::calendar("p", 50, Period::Hour);
        grow(policy, Kind::Fixed(3_600_000 * MILLI));
    });
    assert!(survived > 20, "{survived}");
    assert_no_abort(&aborted);
}

/// Guarantee E: a thread's first request about a known key needs no memory.
#[test]
fn first_request_of_a_thread_needs_no_memory() {
    let (aborted, survived) = sweep("first_request_of_a_thread_needs_no_memory", || {
        let builder = Limiter::builder().policy(Policy::sliding("p", 5, Duration::from_secs(1)));
        let limiter = builder.clock(ManualClock::new()).build().unwrap();
        let id = limiter.policy("p").unwrap();
        assert!(limiter.check(&[id.charge("k", 1)]).is_allowed());
        let first_request = || {
            // The plan is thread-local, so this thread must read it too.
            assert!(is_scenario());
            assert!(hostile(|| limiter.check(&[id.charge("k", 1)]).is_allowed()));
            FAILED.get()
        };
        let failed = std::thread::scope(|scope| scope.spawn(first_request).join().unwrap());
        FAILED.set(failed);
    });
    assert!(survived == 0 || cfg!(not(target_os = "linux")), "a first request allocates");
    assert_no_abort(&aborted);
}

/// Guarantee F: a table that cannot map a larger array refuses new keys. Large arrays are mapped, not
/// allocated. Mapping fails when the address space is exhausted.
#[test]
#[cfg(target_os = "linux")]
fn table_refuses_new_keys_without_address_space() {
    if is_scenario() {
        within_address_space();
        std::process::exit(0);
    }
    let plan = format!("{} once quiet", u64::MAX);
    let output = process("table_refuses_new_keys_without_address_space", &plan, Some(500_000));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[cfg(target_os = "linux")]
fn within_address_space() {
    let ballast = Vec::<u8>::with_capacity(200 << 20);
    let hour = Duration::from_secs(3600);
    let policy = || Policy::sliding("p", 127, hour);
    let mut comparison = OracleComparison::new(policy(), Kind::Sliding(3_600_000 * MILLI));
    while comparison.turns(100) == 0 {
        assert!(comparison.new_keys < 1_000_000, "the address space does not run out");
    }
    // The table is full, and exact for known keys.
    assert_eq!(comparison.turns(100), 100);
    // New limiters use up the remaining memory until a build fails.
    let mut limiters = Vec::with_capacity(1_000);
    let error = loop {
        match Limiter::builder().policy(policy()).clock(ManualClock::new()).build() {
            Ok(limiter) => limiters.push(limiter),
            Err(error) => break error,
        }
        assert!(limiters.len() < 1_000, "the address space does not run out");
    };
    assert_eq!(error, ConfigError::OutOfMemory { policy: "p".into() });
    assert_eq!(comparison.turns(300), 300);
    drop((limiters, ballast));
    comparison.turns(300);
    assert_eq!(comparison.turns(100), 0, "refused although there is memory again");
}
