//! Loom models of the production types: one named race each, and for each breakage a model that
//! catches it.
//!
//! Loom keeps one last access per location, so a thread's own load before its exchange can hide
//! another thread's earlier load. Therefore each model runs with its threads in several orders,
//! and none is trusted whose broken twin passes.

mod layers;
mod moved_budget;
mod quota;
mod race;
mod reservation;
mod ring;
mod shard;
mod table;

use crate::sync::progress;
use crate::table::epoch;
use crate::verify::mutants::{self, Breakage};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// So many more preemptions than on every day: TOLLGATE_LOOM_MORE.
fn more() -> usize {
    std::env::var("TOLLGATE_LOOM_MORE").ok().and_then(|more| more.parse().ok()).unwrap_or(0)
}

/// Explores `body` to the bound on preemptions and returns the number of executions.
fn explore(bound: Option<usize>, body: impl Fn() + Send + Sync + 'static) -> usize {
    let executions = Arc::new(AtomicUsize::new(0));
    let count = executions.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = bound.map(|bound| bound + more());
    builder.max_branches = 100_000;
    builder.max_duration = None;
    builder.max_permutations = None;
    builder.check(move || {
        count.fetch_add(1, Relaxed);
        body();
        progress::assert_progress();
        epoch::free_all();
    });
    executions.load(Relaxed)
}

/// The breakage that TOLLGATE_BROKEN names, to see which models it fails.
fn chosen() -> Option<Breakage> {
    let name = std::env::var("TOLLGATE_BROKEN").ok()?;
    let named = |(what, _): &&(Breakage, &str)| format!("{what:?}") == name;
    let found = Breakage::ALL.iter().find(named);
    Some(found.unwrap_or_else(|| panic!("no breakage is called {name}")).0)
}

/// The list that every broken twin must be caught from.
#[test]
fn twins() {
    for (what, description) in Breakage::ALL {
        println!("twin {what:?}:{description}");
    }
    assert!(!Breakage::ALL.is_empty());
}

/// A model that holds, with a floor under the number of executions.
fn holds(name: &str, bound: Option<usize>, floor: usize, body: impl Fn() + Send + Sync + 'static) {
    mutants::set(chosen());
    let executions = explore(bound, body);
    println!("model {name}: holds in {executions} executions");
    assert!(executions >= floor, "{name} explored only {executions} executions");
}

/// Whether the model fails with a step or an ordering switched off.
fn fails(bound: Option<usize>, what: Breakage, body: impl Fn() + Send + Sync + 'static) -> bool {
    mutants::set(Some(what));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = catch_unwind(AssertUnwindSafe(|| explore(bound, body)));
    std::panic::set_hook(hook);
    mutants::set(None);
    let _ = catch_unwind(epoch::free_all);
    outcome.is_err()
}

/// A broken twin must fail.
fn catches(
    name: &str,
    bound: Option<usize>,
    what: Breakage,
    body: impl Fn() + Send + Sync + 'static,
) {
    if chosen().is_none() {
        assert!(fails(bound, what, body), "{name} passes although {what:?} is on");
        println!("model {name}: {what:?} caught");
    }
}

/// A model in both orders of its threads: the floor is under the sum of the executions, since loom
/// may be blind in one.
fn holds_in_both<B: Fn() + Send + Sync + 'static>(
    name: &str,
    floor: usize,
    body: impl Fn(bool) -> B,
) {
    mutants::set(chosen());
    let executions: usize = [false, true].map(|swap| explore(None, body(swap))).iter().sum();
    println!("model {name}: holds in {executions} executions, in both orders");
    assert!(executions >= floor, "{name} explored only {executions} executions");
}

/// A broken twin must fail in at least one of the orders.
fn caught_in_one<B: Fn() + Send + Sync + 'static>(
    name: &str,
    bound: Option<usize>,
    what: Breakage,
    body: impl Fn(bool) -> B,
) {
    if chosen().is_none() {
        let caught = [false, true].into_iter().any(|swap| fails(bound, what, body(swap)));
        assert!(caught, "{name} passes in both orders although {what:?} is on");
        println!("model {name}: {what:?} caught");
    }
}
