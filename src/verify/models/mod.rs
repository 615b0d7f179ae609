//! Loom models of the production types. Each model is one named race. Every mutant is caught by a
//! model, by a schedule or by a test on real threads.
//!
//! Loom remembers one last access per location, so a thread's own load before its CAS can hide
//! another thread's earlier load. Therefore each model runs with its threads in several orders, and
//! a model is trusted only if its mutants fail.

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
use crate::verify::mutants;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The number of preemptions that `TOLLGATE_LOOM_MORE` adds to every bound.
fn extra_preemptions() -> usize {
    std::env::var("TOLLGATE_LOOM_MORE").ok().and_then(|extra| extra.parse().ok()).unwrap_or(0)
}

/// Explores `body` up to the bound on preemptions and returns the number of executions.
fn explore(bound: Option<usize>, body: impl Fn() + Send + Sync + 'static) -> usize {
    let executions = Arc::new(AtomicUsize::new(0));
    let count = executions.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = bound.map(|bound| bound + extra_preemptions());
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

/// The mutant that `TOLLGATE_MUTANT` names. Every model runs with it, to show which ones fail.
fn mutant_from_env() -> Option<&'static str> {
    std::env::var("TOLLGATE_MUTANT").ok().map(|name| &*name.leak())
}

/// Prints every mutant. `scripts/models.sh` requires that each one is caught.
#[test]
fn mutants() {
    for (mutant, description) in mutants::ALL {
        println!("mutant {mutant}:{description}");
    }
    assert!(!mutants::ALL.is_empty());
}

/// Asserts that the model holds in every execution, of which there are at least `floor`.
fn assert_holds(
    name: &str,
    bound: Option<usize>,
    floor: usize,
    body: impl Fn() + Send + Sync + 'static,
) {
    mutants::set(mutant_from_env());
    let executions = explore(bound, body);
    println!("model {name}: holds in {executions} executions");
    assert!(executions >= floor, "{name} explored only {executions} executions");
}

/// Returns whether the model fails with this mutant.
fn is_caught(
    mutant: &'static str,
    bound: Option<usize>,
    body: impl Fn() + Send + Sync + 'static,
) -> bool {
    mutants::set(Some(mutant));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = catch_unwind(AssertUnwindSafe(|| explore(bound, body)));
    std::panic::set_hook(hook);
    mutants::set(None);
    let _ = catch_unwind(epoch::free_all);
    outcome.is_err()
}

/// Asserts that the model fails with this mutant.
fn assert_caught(
    name: &str,
    bound: Option<usize>,
    mutant: &'static str,
    body: impl Fn() + Send + Sync + 'static,
) {
    if mutant_from_env().is_none() {
        assert!(is_caught(mutant, bound, body), "{name} passes with mutant {mutant}");
        println!("model {name}: {mutant} caught");
    }
}

/// Asserts that the model holds in both orders of its threads. `floor` bounds the sum of the
/// executions, since loom may explore only a few in one order.
fn assert_holds_in_both_orders<B: Fn() + Send + Sync + 'static>(
    name: &str,
    floor: usize,
    body: impl Fn(bool) -> B,
) {
    mutants::set(mutant_from_env());
    let executions: usize = [false, true].map(|swap| explore(None, body(swap))).iter().sum();
    println!("model {name}: holds in {executions} executions, in both orders");
    assert!(executions >= floor, "{name} explored only {executions} executions");
}

/// Asserts that the model fails with this mutant in at least one order of its threads.
fn assert_caught_in_an_order<B: Fn() + Send + Sync + 'static>(
    name: &str,
    bound: Option<usize>,
    mutant: &'static str,
    body: impl Fn(bool) -> B,
) {
    if mutant_from_env().is_none() {
        let caught = [false, true].into_iter().any(|swap| is_caught(mutant, bound, body(swap)));
        assert!(caught, "{name} passes in both orders with mutant {mutant}");
        println!("model {name}: {mutant} caught");
    }
}
