//! The whole limiter under schedules that are drawn at random, while its tables are renewed all the
//! time.
//!
//! The models of loom explore one race each, to the end and with weak orderings. Here many races
//! meet in one small limiter: all verbs on windows, buckets and budgets, in one layer and in
//! several. The checker runs one thread at a time and lets each see all that was written before: it
//! finds wrong orders of steps, never a wrong ordering of one access.
//!
//! Two contracts are held apart:
//! - [`never_over`] looks at what was recorded alone: no window and no period holds more than the
//!   limit, and no more than was declared where a request has cost more than it had reserved.
//! - [`linear`] searches an order of all calls in which a textbook ([`window`], [`budget`]) gives
//!   every answer that was given, and ends with what is really left.
//!
//! `TOLLGATE_SCHEDULES` multiplies the number of executions, `TOLLGATE_SEED` draws others. A
//! failure prints its schedule, which `shuttle::replay` repeats.

mod back;
mod budget;
mod checks;
mod crowded;
mod entries;
mod evicting;
mod evictions;
mod full_races;
mod history;
mod holds;
mod judge;
mod layout;
mod limits;
mod linear;
mod log;
mod never_over;
mod operations;
mod plan;
mod races;
mod record;
mod reserve;
mod reserved;
mod samples;
mod scene;
mod step;
mod undone;
mod window;

use crate::Overflow;
use crate::sync::progress;
use crate::table::epoch;
use crate::verify::mutants::{self, Breakage};
use layout::Kind::*;
use layout::Layout;
use layout::Verb::*;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, FailurePersistence, Runner};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// The contract that the last failure broke.
    static FAULT: Cell<&'static str> = const { Cell::new("") };
    /// Executions of the run that is under way.
    static RUNS: Cell<usize> = const { Cell::new(0) };
    /// Whether failures are wanted and need no report.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// How threads are chosen.
#[derive(Clone, Copy, Debug)]
enum Scheduler {
    /// Any of them at each step.
    Random,
    /// By priorities that change at a few steps: finds what needs few preemptions.
    Priorities,
}
use Scheduler::*;

/// How many changes of priority a schedule has.
const DEPTH: usize = 3;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Runs `body` so often and returns how often that was.
fn explore(
    scheduler: Scheduler,
    iterations: usize,
    body: impl Fn() + Send + Sync + 'static,
) -> usize {
    let mut config = Config::new();
    config.stack_size = 1 << 17;
    if QUIET.get() {
        config.failure_persistence = FailurePersistence::None;
    }
    RUNS.set(0);
    let body = move || {
        RUNS.set(RUNS.get() + 1);
        body();
        progress::assert_progress();
        epoch::free_all();
    };
    let seed = number("TOLLGATE_SEED", 1);
    match scheduler {
        Random => Runner::new(RandomScheduler::new_from_seed(seed, iterations), config).run(body),
        Priorities => {
            let scheduler = PctScheduler::new_from_seed(seed, DEPTH, iterations);
            Runner::new(scheduler, config).run(body)
        }
    }
}

/// A layout that holds, under both schedulers.
fn holds(layout: &'static Layout, iterations: usize) {
    let wanted = wanted(iterations);
    mutants::set(None);
    for scheduler in [Random, Priorities] {
        entries::reset();
        let executions = explore(scheduler, wanted, move || scene::run(layout));
        println!("schedules {}: holds in {executions} executions, {scheduler:?}", layout.name);
        assert!(executions >= iterations, "{} ran only {executions} times", layout.name);
        entries::assert_floors(layout, executions);
    }
}

fn wanted(iterations: usize) -> usize {
    iterations * number("TOLLGATE_SCHEDULES", 1) as usize
}

/// The same layout with a step switched off: the scheduler must find it.
fn catches(layout: &'static Layout, what: Breakage, scheduler: Scheduler, most: usize) {
    scene_catches(layout.name, what, scheduler, most, move || scene::run(layout));
}

fn scene_holds(name: &str, iterations: usize, scene: impl Fn() + Copy + Send + Sync + 'static) {
    mutants::set(None);
    for scheduler in [Random, Priorities] {
        let executions = explore(scheduler, wanted(iterations), scene);
        println!("schedules {name}: holds in {executions} executions, {scheduler:?}");
        assert!(executions >= iterations, "{name} ran only {executions} times");
    }
}

fn scene_catches(
    name: &str,
    what: Breakage,
    scheduler: Scheduler,
    most: usize,
    scene: impl Fn() + Send + Sync + 'static,
) {
    hush();
    QUIET.set(true);
    FAULT.set("a panic");
    // The threads of an execution share one thread of the system, and so this switch.
    mutants::set(Some(what));
    let caught = catch_unwind(AssertUnwindSafe(|| explore(scheduler, most, scene))).is_err();
    mutants::set(None);
    QUIET.set(false);
    let _ = catch_unwind(epoch::free_all);
    let how = if caught { FAULT.get() } else { "NOT CAUGHT" };
    println!("schedules {name}: {what:?}, {scheduler:?}: {how} after {}", RUNS.get());
    assert!(caught, "{name} passes although {what:?} is on");
}

/// Failures that are wanted print nothing.
fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                loud(info);
            }
        }));
    });
}

/// Charges and looks at keys that share an array of few slots.
const WINDOWS: Layout = Layout {
    name: "windows",
    policies: &[Window(2)],
    keys: 2,
    spare: 1,
    overflow: Overflow::Deny,
    threads: 3,
    movers: 1,
    verbs: &[Check, Check, Check, Peek, Tick],
    most_cost: 2,
    before: 4,
    turns: false,
};

/// One key that is charged by everybody.
const ONE_KEY: Layout = Layout {
    name: "one key",
    policies: &[Window(4)],
    keys: 1,
    verbs: &[Check, Check, Tick],
    ..WINDOWS
};

/// Two threads, and two that renew and move.
const MOVERS: Layout = Layout { name: "movers", threads: 2, movers: 2, ..WINDOWS };

/// The same without renewals, while the ring turns at nearly every charge.
const TURNS: Layout = Layout {
    name: "turns",
    policies: &[Window(6)],
    movers: 0,
    verbs: &[Check],
    turns: true,
    ..ONE_KEY
};

const REFUNDS: Layout = Layout {
    name: "refunds",
    policies: &[Window(3)],
    keys: 1,
    verbs: &[Check, Check, Refund, Peek, Tick],
    ..WINDOWS
};

const LAYERS: Layout = Layout {
    name: "layers",
    policies: &[Window(3), Window(2)],
    keys: 2,
    verbs: &[Layered, Layered, Layered, Check, Peek],
    ..WINDOWS
};

/// A request may be undone when its charges have expired.
const LATE_UNDO: Layout =
    Layout { name: "late undo", verbs: &[Layered, Layered, Layered, Check, Peek, Tick], ..LAYERS };

const LIMITS: Layout = Layout {
    name: "limits",
    policies: &[Window(3)],
    keys: 1,
    verbs: &[Check, Check, Peek, SetLimit, Tick],
    ..WINDOWS
};

const RESETS: Layout = Layout {
    name: "resets",
    policies: &[Window(3)],
    keys: 1,
    verbs: &[Check, Check, Check, Peek, Reset, Tick],
    ..WINDOWS
};

const BUDGETS: Layout =
    Layout { name: "budgets", policies: &[Hour(3)], verbs: &[Check, Check, Peek, Tick], ..WINDOWS };

const GIVEN_BACK: Layout =
    Layout { name: "given back", verbs: &[Check, Check, Refund, Peek, Tick], ..BUDGETS };

/// As many keys as there are places for.
const FULL: Layout = Layout { name: "full", spare: 0, ..WINDOWS };

#[test]
fn windows() {
    holds(&WINDOWS, 4_000);
    holds(&MOVERS, 4_000);
    holds(&ONE_KEY, 4_000);
    holds(&TURNS, 4_000);
}

#[test]
fn refunds() {
    holds(&REFUNDS, 4_000);
}

#[test]
fn layers() {
    holds(&LAYERS, 4_000);
}

#[test]
fn limits() {
    holds(&LIMITS, 4_000);
}

#[test]
fn resets() {
    holds(&RESETS, 4_000);
}

#[test]
fn budgets() {
    holds(&BUDGETS, 4_000);
}

#[test]
fn given_back() {
    holds(&GIVEN_BACK, 4_000);
}

#[test]
fn undone() {
    scene_holds("undone", 4_000, undone::scene);
}

#[test]
fn late_undo() {
    holds(&LATE_UNDO, 12_000);
}

#[test]
fn full() {
    holds(&FULL, 4_000);
}

/// Each step that the protocols need is missed, by the layout that shows it soonest.
#[test]
fn broken_charges_are_caught() {
    catches(&ONE_KEY, Breakage::NoSeal, Random, 5_000);
    catches(&ONE_KEY, Breakage::OwnTime, Random, 5_000);
    catches(&TURNS, Breakage::SumBeforeHead, Priorities, 50_000);
    catches(&BUDGETS, Breakage::ChargeStores, Random, 5_000);
    catches(&BUDGETS, Breakage::PreparedWhileMoving, Random, 5_000);
    catches(&ONE_KEY, Breakage::PreparedWhileMoving, Priorities, 5_000);
    catches(&LAYERS, Breakage::NoUndo, Random, 5_000);
    catches(&LAYERS, Breakage::LookIsEnough, Random, 5_000);
    catches(&LATE_UNDO, Breakage::UndoOldest, Random, 5_000);
    catches(&REFUNDS, Breakage::RefundStores, Random, 5_000);
}

#[test]
fn broken_moves_are_caught() {
    catches(&WINDOWS, Breakage::NoFreeze, Random, 5_000);
    catches(&WINDOWS, Breakage::EmptyEndsRing, Random, 5_000);
    catches(&LIMITS, Breakage::NoFreezeEmpty, Random, 20_000);
    catches(&WINDOWS, Breakage::ClaimStores, Random, 5_000);
    catches(&WINDOWS, Breakage::NoCutoff, Random, 5_000);
    catches(&WINDOWS, Breakage::DropByOwnNow, Priorities, 10_000);
    catches(&ONE_KEY, Breakage::FreezeHeadOnly, Priorities, 20_000);
    catches(&ONE_KEY, Breakage::PublishHeadFirst, Priorities, 20_000);
    catches(&MOVERS, Breakage::TakenIsDone, Priorities, 10_000);
}
