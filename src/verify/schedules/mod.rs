//! Random schedules of the whole limiter, while its tables are renewed all the time.
//!
//! Each loom model explores a single race exhaustively, with weak memory orderings. The schedules
//! combine many races in one small limiter: all operations on windows, buckets and budgets, with
//! one policy and with several. Shuttle runs one thread at a time with sequentially consistent
//! memory. It finds wrong interleavings of steps, but not a wrong memory ordering of one access.
//!
//! Each execution has its own epoch, which reclaims arrays as in production. Threads free arrays while
//! others read. An access to a freed array fails the execution, and so does an array that cannot be freed
//! in the end.
//!
//! Two contracts are verified separately:
//! - [`never_over`] checks the recorded charges alone: no window and no period exceeds the limit,
//!   except by the excess of settlements over their reservations.
//! - [`linearizability`] searches for a linearization of all calls in which the oracle ([`window`],
//!   [`budget`]) gives every recorded answer and ends with the final usage.
//!
//! `TOLLGATE_SCHEDULES` multiplies the number of executions. `TOLLGATE_SEED` selects other
//! schedules. A failure prints its schedule, which `shuttle::replay` repeats.

mod budget;
mod call;
mod check_calls;
mod coverage;
mod crowded;
mod evictable_key;
mod evictions;
mod fixture;
mod full_table_races;
mod give_back;
mod history;
mod layout;
mod limits;
mod linearizability;
mod log;
mod never_over;
mod open_reservations;
mod operations;
mod races;
mod reclamation;
mod record;
mod reservation_calls;
mod reservations;
mod rollback_race;
mod samples;
mod step;
mod verification;
mod window;

use crate::Overflow;
use crate::reclaim;
use crate::sync::progress;
use crate::verify::quiet;
use crate::verify::selection::{
    mutant_from_env, runs_clean_checks, runs_mutant_checks, set_mutant,
};
use layout::Layout;
use layout::Operation::*;
use layout::PolicyKind::*;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, FailurePersistence, Runner};
use std::cell::Cell;
use std::panic::catch_unwind;
use std::sync::Arc;

thread_local! {
    /// The contract that the last failure violated.
    static VIOLATION: Cell<&'static str> = const { Cell::new("") };
    /// The number of executions of the current run.
    static EXECUTIONS: Cell<usize> = const { Cell::new(0) };
}

/// The strategy that selects the next thread.
#[derive(Clone, Copy, Debug)]
enum Scheduler {
    /// Selects any thread at each step.
    Random,
    /// Selects by priorities that change at a few steps (PCT). Finds bugs that need few
    /// preemptions.
    Priorities,
}
use Scheduler::*;

/// The number of executions that must hold without a mutant before a mutant counts as caught. This
/// detects a patch that breaks the code even if its mutant is off.
const EXECUTIONS_WITHOUT_MUTANT: usize = 50;

/// The number of priority changes in a PCT schedule.
const PCT_DEPTH: usize = 3;

/// The number in this environment variable.
fn env_number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Runs `body` under `iterations` schedules and returns the number of executions.
fn explore(
    scheduler: Scheduler,
    iterations: usize,
    body: impl Fn() + Send + Sync + 'static,
) -> usize {
    let mut config = Config::new();
    config.stack_size = 1 << 17;
    // The module's documentation says what shuttle does not find.
    config.silence_warnings = true;
    if quiet::is_quiet() {
        config.failure_persistence = FailurePersistence::None;
    }
    EXECUTIONS.set(0);
    let body = move || {
        EXECUTIONS.set(EXECUTIONS.get() + 1);
        body();
        if let Some(fault) = reclaim::fault() {
            fixture::fail("memory was reclaimed wrongly", fault);
        }
        reclaim::assert_all_freed();
        progress::assert_progress();
        reclaim::free_all();
    };
    let seed = env_number("TOLLGATE_SEED", 1);
    match scheduler {
        Random => Runner::new(RandomScheduler::new_from_seed(seed, iterations), config).run(body),
        Priorities => {
            let scheduler = PctScheduler::new_from_seed(seed, PCT_DEPTH, iterations);
            Runner::new(scheduler, config).run(body)
        }
    }
}

/// Asserts that the layout holds under both schedulers.
fn assert_holds(layout: &'static Layout, iterations: usize) {
    if !runs_clean_checks() {
        return;
    }
    let scaled = scaled(iterations);
    set_mutant(mutant_from_env());
    for scheduler in [Random, Priorities] {
        coverage::reset();
        let executions = explore(scheduler, scaled, move || fixture::run(layout));
        println!("schedules {}: holds in {executions} executions, {scheduler:?}", layout.name);
        assert!(executions >= iterations, "{} ran only {executions} times", layout.name);
        coverage::assert_floors(layout, executions);
    }
}

/// The number of executions after the scaling by `TOLLGATE_SCHEDULES`.
fn scaled(iterations: usize) -> usize {
    iterations * env_number("TOLLGATE_SCHEDULES", 1) as usize
}

/// Asserts that the scheduler finds a failure of the layout with this mutant.
fn assert_caught(
    layout: &'static Layout,
    mutant: &'static str,
    scheduler: Scheduler,
    max_iterations: usize,
) {
    assert_race_caught(layout.name, mutant, scheduler, max_iterations, move || {
        fixture::run(layout)
    });
}

/// Asserts that a single race holds under both schedulers.
fn assert_race_holds(
    name: &str,
    iterations: usize,
    race: impl Fn() + Copy + Send + Sync + 'static,
) {
    if !runs_clean_checks() {
        return;
    }
    set_mutant(mutant_from_env());
    for scheduler in [Random, Priorities] {
        let executions = explore(scheduler, scaled(iterations), race);
        println!("schedules {name}: holds in {executions} executions, {scheduler:?}");
        assert!(executions >= iterations, "{name} ran only {executions} times");
    }
}

/// Asserts that the scheduler finds a failure of a race with this mutant.
fn assert_race_caught(
    name: &str,
    mutant: &'static str,
    scheduler: Scheduler,
    max_iterations: usize,
    race: impl Fn() + Send + Sync + 'static,
) {
    if !runs_mutant_checks() {
        return;
    }
    let race = Arc::new(race);
    let without_mutant = race.clone();
    explore(scheduler, EXECUTIONS_WITHOUT_MUTANT, move || without_mutant());
    VIOLATION.set("a panic");
    // All threads of an execution run on one OS thread, so they share the active mutant.
    set_mutant(Some(mutant));
    let caught = quiet::panics(|| {
        explore(scheduler, max_iterations, move || race());
    });
    set_mutant(None);
    let _ = catch_unwind(reclaim::free_all);
    let result = if caught { VIOLATION.get() } else { "NOT CAUGHT" };
    println!("schedules {name}: {mutant}, {scheduler:?}: {result} after {}", EXECUTIONS.get());
    assert!(caught, "{name} passes with mutant {mutant}");
}

/// Checks and peeks of two keys in an array of few slots.
const WINDOWS: Layout = Layout {
    name: "windows",
    policies: &[Window(2)],
    keys: 2,
    spare_slots: 1,
    overflow: Overflow::Deny,
    threads: 3,
    movers: 1,
    operations: &[Check, Check, Check, Peek, Tick],
    max_cost: 2,
    max_setup_calls: 4,
    advances_each_call: false,
};

/// One key that all threads charge.
const ONE_KEY: Layout = Layout {
    name: "one key",
    policies: &[Window(4)],
    keys: 1,
    operations: &[Check, Check, Tick],
    ..WINDOWS
};

/// Two threads that charge, and two that renew arrays and move keys.
const MOVERS: Layout = Layout { name: "movers", threads: 2, movers: 2, ..WINDOWS };

/// One key without renewals. Nearly every charge opens a new word of the ring.
const ROTATIONS: Layout = Layout {
    name: "rotations",
    policies: &[Window(6)],
    movers: 0,
    operations: &[Check],
    advances_each_call: true,
    ..ONE_KEY
};

const REFUNDS: Layout = Layout {
    name: "refunds",
    policies: &[Window(3)],
    keys: 1,
    operations: &[Check, Check, Refund, Peek, Tick],
    ..WINDOWS
};

const LAYERS: Layout = Layout {
    name: "layers",
    policies: &[Window(3), Window(2)],
    keys: 2,
    operations: &[CheckAll, CheckAll, CheckAll, Check, Peek],
    ..WINDOWS
};

/// A request may be rolled back after its charges have expired.
const LATE_ROLLBACK: Layout = Layout {
    name: "late rollback",
    operations: &[CheckAll, CheckAll, CheckAll, Check, Peek, Tick],
    ..LAYERS
};

const LIMITS: Layout = Layout {
    name: "limits",
    policies: &[Window(3)],
    keys: 1,
    operations: &[Check, Check, Peek, SetLimit, Tick],
    ..WINDOWS
};

const RESETS: Layout = Layout {
    name: "resets",
    policies: &[Window(3)],
    keys: 1,
    operations: &[Check, Check, Check, Peek, Reset, Tick],
    ..WINDOWS
};

const BUDGETS: Layout = Layout {
    name: "budgets",
    policies: &[Hour(3)],
    operations: &[Check, Check, Peek, Tick],
    ..WINDOWS
};

const BUDGET_REFUNDS: Layout =
    Layout { name: "budgets, refunds", operations: &[Check, Check, Refund, Peek, Tick], ..BUDGETS };

/// As many keys as there are slots.
const FULL: Layout = Layout { name: "full", spare_slots: 0, ..WINDOWS };

#[test]
fn windows() {
    assert_holds(&WINDOWS, 4_000);
    assert_holds(&MOVERS, 4_000);
    assert_holds(&ONE_KEY, 4_000);
    assert_holds(&ROTATIONS, 4_000);
}

#[test]
fn refunds() {
    assert_holds(&REFUNDS, 4_000);
}

#[test]
fn layers() {
    assert_holds(&LAYERS, 4_000);
}

#[test]
fn limits() {
    assert_holds(&LIMITS, 4_000);
}

#[test]
fn resets() {
    assert_holds(&RESETS, 4_000);
}

#[test]
fn budgets() {
    assert_holds(&BUDGETS, 4_000);
}

#[test]
fn budget_refunds() {
    assert_holds(&BUDGET_REFUNDS, 4_000);
}

#[test]
fn rolled_back() {
    assert_race_holds("rolled back", 4_000, rollback_race::run);
}

#[test]
fn late_rollback() {
    assert_holds(&LATE_ROLLBACK, 12_000);
}

#[test]
fn full() {
    assert_holds(&FULL, 4_000);
}

/// Each mutant is caught by the layout that finds it soonest.
#[test]
fn mutants_of_charges_are_caught() {
    assert_caught(&ONE_KEY, "NoSeal", Random, 5_000);
    assert_caught(&ONE_KEY, "OwnTime", Random, 5_000);
    assert_caught(&ROTATIONS, "SumBeforeHead", Priorities, 50_000);
    assert_caught(&BUDGETS, "ChargeStores", Random, 5_000);
    assert_caught(&BUDGETS, "PreparedWhileMoving", Random, 5_000);
    assert_caught(&ONE_KEY, "PreparedWhileMoving", Priorities, 5_000);
    assert_caught(&LAYERS, "NoRollback", Random, 5_000);
    assert_caught(&LAYERS, "FallbackForced", Random, 5_000);
    assert_caught(&LATE_ROLLBACK, "RollbackOldest", Random, 5_000);
    assert_caught(&REFUNDS, "RefundStores", Random, 5_000);
}

#[test]
fn mutants_of_moves_are_caught() {
    assert_caught(&WINDOWS, "NoFreeze", Random, 5_000);
    assert_caught(&WINDOWS, "EmptyEndsRing", Random, 5_000);
    assert_caught(&LIMITS, "NoFreezeEmpty", Random, 20_000);
    assert_caught(&WINDOWS, "ClaimStores", Random, 5_000);
    assert_caught(&WINDOWS, "NoCutoff", Random, 5_000);
    assert_caught(&WINDOWS, "DropByOwnNow", Priorities, 10_000);
    assert_caught(&ONE_KEY, "FreezeHeadOnly", Priorities, 20_000);
    assert_caught(&ONE_KEY, "PublishHeadFirst", Priorities, 20_000);
    assert_caught(&MOVERS, "TakenIsDone", Priorities, 10_000);
}
