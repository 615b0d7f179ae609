//! Every allocation fails once, and every one from some point on: what is being built is told as an
//! error, a table that cannot grow refuses new keys and goes on exactly with those that it knows.
//!
//! Each failure has a process of its own, since some cannot be survived: `crossbeam-epoch`
//! allocates a record at a thread's first session and a bag when an array is retired, and ends the
//! process where it gets no memory. Those are told apart by the failed allocation's backtrace, and
//! nothing else may end a process.

mod planted;
mod reference;

use reference::{Kind, Rule, Textbook, answer};
use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::process::{Command, Output};
use std::time::Duration;
use std::{env, ptr};
use tollgate::{ConfigError, Limiter, ManualClock, Now, Period, Policy, Verdict};

/// Fails when told to, on this thread, while [`hostile`] runs.
struct Hostile;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// Allocations that succeed before one fails.
    static LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
    /// Whether all fail after it.
    static LASTING: Cell<bool> = const { Cell::new(false) };
    static FAILED: Cell<bool> = const { Cell::new(false) };
    static TRACED: Cell<bool> = const { Cell::new(false) };
}

/// What a trace begins with.
const TRACE: &str = "failed to allocate";

fn fails(layout: Layout) -> bool {
    // A panic is printed with memory, or its message would be lost.
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

// SAFETY: passes everything on to the system's allocator, or fails as an allocator may.
unsafe impl GlobalAlloc for Hostile {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if fails(layout) {
            return ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if fails(layout) {
            return ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if fails(layout) {
            return ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Hostile = Hostile;

/// Runs the code under test, whose allocations count.
fn hostile<T>(work: impl FnOnce() -> T) -> T {
    /// Ends the failures, also when `work` panics.
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

/// Whether this process was made to run one scene, with what is to fail in it.
fn is_scene() -> bool {
    let Ok(plan) = env::var(PLAN) else {
        return false;
    };
    let (at, rest) = plan.split_once(' ').expect("a number and two words");
    LEFT.set(at.parse().expect("a number"));
    LASTING.set(rest.starts_with("lasting"));
    TRACED.set(rest.ends_with("traced"));
    true
}

/// Runs `scene` in a process of its own for each allocation that it makes, which fails alone or
/// with all after it; returns the traces of those that ended their process, and how many it
/// survived.
fn sweep(test: &str, scene: fn()) -> (Vec<String>, usize) {
    if is_scene() {
        scene();
        if !FAILED.get() {
            println!("{NOTHING_FAILED}");
        }
        std::process::exit(0);
    }
    let (mut ended, mut survived) = (Vec::new(), 0);
    for kind in ["once", "lasting"] {
        for at in 0.. {
            let output = process(test, &format!("{at} {kind} quiet"), None);
            let told = String::from_utf8_lossy(&output.stdout);
            match output.status.code() {
                Some(0) if told.contains(NOTHING_FAILED) => break,
                Some(0) => survived += 1,
                Some(_) => panic!("{test}, {at} {kind}: {output:?}"),
                None => ended.push(last_trace(test, &format!("{at} {kind} traced"))),
            }
        }
    }
    println!("{test}: {survived} failures survived, {} not", ended.len());
    (ended, survived)
}

/// Runs one scene, perhaps within so many KiB of address space.
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
    // Whoever ends the process would look for its value, and copy it.
    command.env_remove("RUST_BACKTRACE");
    command.output().unwrap()
}

/// The failed allocation that ends this process.
fn last_trace(test: &str, plan: &str) -> String {
    let output = process(test, plan, None);
    assert_eq!(output.status.code(), None, "{test}, {plan}: not the same a second time");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, trace) = told.rsplit_once(TRACE).expect("a trace");
    trace.to_owned()
}

/// All shapes of tables, on the default clock.
fn construct() {
    let second = Duration::from_secs(1);
    let mut builder = Limiter::builder();
    for (name, limit) in [("a", 7), ("b", 15), ("c", 31), ("d", 63), ("e", 127), ("f", 1_000)] {
        builder = builder.policy(Policy::sliding(name, limit, second).unit("requests"));
    }
    builder = builder.policy(Policy::calendar("g", 9, Period::Day));
    match hostile(|| builder.build()) {
        Ok(limiter) => {
            assert!(!FAILED.get(), "built without some of its memory");
            let id = limiter.policy("g").unwrap();
            assert!(limiter.check(&[id.charge("k", 9)]).is_allowed());
        }
        Err(ConfigError::OutOfMemory { policy }) => {
            assert!(FAILED.get());
            assert!(("a"..="g").contains(&policy.as_str()), "{policy}");
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn construction_tells_that_there_is_no_memory() {
    let (ended, survived) = sweep("construction_tells_that_there_is_no_memory", construct);
    assert_eq!(ended, Vec::<String>::new());
    // A slot array, its flags and a generation for each of seven tables, once and lasting.
    assert!(survived >= 2 * 7 * 2, "{survived}");
}

/// The assertion that fails in [`a_failing_assertion_fails_its_test`], where every allocation does.
#[test]
fn planted_failure() {
    let is_planted = planted::is_planted();
    if is_scene() {
        hostile(|| planted::fail_if(is_planted));
    }
}

#[test]
fn a_failing_assertion_fails_its_test() {
    planted::assert_fails_soon("planted_failure", &[(PLAN, "0 lasting quiet")]);
}

const MILLI: u64 = 1_000_000;
const KNOWN: u64 = 20;

/// A table and the textbook beside it.
struct Scene {
    limiter: Limiter,
    textbook: Textbook,
    now: u64,
    new_keys: u64,
}

impl Scene {
    fn new(policy: Policy, kind: Kind) -> Self {
        let rules = vec![Rule { limit: policy.limit(), kind }];
        let builder = Limiter::builder().policy(policy).max_keys(100_000).seed([1, 2, 3, 4]);
        let limiter = builder.clock(ManualClock::new()).build().unwrap();
        // The epoch's record of this thread has a test of its own.
        drop(limiter.session());
        let mut scene =
            Scene { limiter, textbook: Textbook::new(rules), now: 10 * MILLI, new_keys: 0 };
        (0..KNOWN).for_each(|key| scene.ask_known(key));
        scene
    }

    /// A known key is told what the textbook says, whatever becomes of the others.
    fn ask_known(&mut self, key: u64) {
        let id = self.limiter.policy("p").unwrap();
        let told = hostile(|| {
            let session = self.limiter.session_at(Now::from_unix_nanos(self.now));
            session.check(&[id.charge(key, 1)])
        });
        let expected = self.textbook.check(self.now, &[(0, key, 1, None)]);
        assert_eq!(answer(&told), expected, "key {key} at {}", self.now);
    }

    /// A new key is admitted, or refused for want of a place.
    fn ask_new(&mut self) -> bool {
        self.new_keys += 1;
        let id = self.limiter.policy("p").unwrap();
        let told = hostile(|| {
            let session = self.limiter.session_at(Now::from_unix_nanos(self.now));
            session.check(&[id.charge(KNOWN + self.new_keys, 1)])
        });
        assert!(matches!(told.verdict, Verdict::Allowed | Verdict::TableFull), "{told:?}");
        told.is_allowed()
    }

    /// So many turns of one new key and one known each; how many new ones were refused.
    fn turns(&mut self, turns: u64) -> u64 {
        let mut refused = 0;
        for turn in 0..turns {
            self.now += MILLI / 4;
            refused += u64::from(!self.ask_new());
            self.ask_known(turn % KNOWN);
        }
        refused
    }
}

/// A table grows from nothing, is renewed and shrinks; then memory is back.
fn grow(policy: Policy, kind: Kind) {
    let mut scene = Scene::new(policy, kind);
    let refused = scene.turns(3_000);
    assert!(FAILED.get() || refused == 0, "{refused} refused though there was memory");
    LEFT.set(u64::MAX);
    // A failed growth is tried again by every 256th new key.
    scene.turns(300);
    assert_eq!(scene.turns(1_000), 0, "refused though there is memory again");
}

/// Nothing but this may end a process.
fn assert_all_in(place: &str, ended: &[String]) {
    for trace in ended {
        assert!(trace.contains(place), "not in {place}:{trace}");
    }
}

const BAG: &str = "crossbeam_epoch::internal::Global::push_bag";

#[test]
fn a_window_s_table_grows_or_refuses() {
    let (ended, survived) = sweep("a_window_s_table_grows_or_refuses", || {
        let policy = Policy::sliding("p", 5, Duration::from_millis(300));
        grow(policy, Kind::Sliding(300 * MILLI));
    });
    assert!(survived > 20, "{survived}");
    assert_all_in(BAG, &ended);
}

#[test]
fn a_budget_s_table_grows_or_refuses() {
    let (ended, survived) = sweep("a_budget_s_table_grows_or_refuses", || {
        let policy = Policy::calendar("p", 50, Period::Hour);
        grow(policy, Kind::Fixed(3_600_000 * MILLI));
    });
    assert!(survived > 20, "{survived}");
    assert_all_in(BAG, &ended);
}

#[test]
fn the_first_session_of_a_thread_needs_memory() {
    let (ended, survived) = sweep("the_first_session_of_a_thread_needs_memory", || {
        let builder = Limiter::builder().policy(Policy::sliding("p", 5, Duration::from_secs(1)));
        let limiter = builder.clock(ManualClock::new()).build().unwrap();
        hostile(|| drop(limiter.session()));
    });
    // If this finds nothing, the sentence above and the one in the contract can go.
    assert!(!ended.is_empty() && survived == 0, "{survived} survived");
    assert_all_in("crossbeam_epoch::default::HANDLE", &ended);
}

/// Large arrays are not the allocator's but maps of their own: those fail where the address space
/// ends.
#[test]
#[cfg(target_os = "linux")]
fn without_address_space_a_table_refuses() {
    if is_scene() {
        within_address_space();
        std::process::exit(0);
    }
    let plan = format!("{} once quiet", u64::MAX);
    let output = process("without_address_space_a_table_refuses", &plan, Some(500_000));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[cfg(target_os = "linux")]
fn within_address_space() {
    let ballast = Vec::<u8>::with_capacity(200 << 20);
    let hour = Duration::from_secs(3600);
    let policy = || Policy::sliding("p", 127, hour);
    let mut scene = Scene::new(policy(), Kind::Sliding(3_600_000 * MILLI));
    while scene.turns(100) == 0 {
        assert!(scene.new_keys < 1_000_000, "there is no end of memory");
    }
    // Full, and exact for those that it knows.
    assert_eq!(scene.turns(100), 100);
    // New limiters take the last of it, until there is none for another.
    let mut limiters = Vec::with_capacity(1_000);
    let error = loop {
        match Limiter::builder().policy(policy()).clock(ManualClock::new()).build() {
            Ok(limiter) => limiters.push(limiter),
            Err(error) => break error,
        }
        assert!(limiters.len() < 1_000, "there is no end of memory");
    };
    assert_eq!(error, ConfigError::OutOfMemory { policy: "p".into() });
    assert_eq!(scene.turns(300), 300);
    drop((limiters, ballast));
    scene.turns(300);
    assert_eq!(scene.turns(100), 0, "refused though there is memory again");
}
