//! Loom models of the production types. Each model is one named race. Every mutant is caught by a
//! model, by a schedule or by a test on real threads.
//!
//! Loom remembers one last access per location, so a thread's own load before its CAS can hide
//! another thread's earlier load. Therefore most models run with their threads in both orders, and a
//! model is trusted only if its mutants fail.

mod epoch;
mod helpers;
mod layers;
mod moved_budget;
mod moved_ring;
mod quota;
mod race;
mod reservation;
mod resets;
mod ring;
mod shard;
mod table;

use crate::reclaim;
use crate::sync::progress;
use crate::verify::quiet;
use crate::verify::selection::{
    mutant_from_env, runs_clean_checks, runs_mutant_checks, set_mutant,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

// Each test runs on a thread of its own.
thread_local!(static HELD: RefCell<BTreeMap<String, usize>> = RefCell::default());

/// The number of preemptions that `TOLLGATE_LOOM_MORE` adds to every bound.
fn extra_preemptions() -> usize {
    std::env::var("TOLLGATE_LOOM_MORE").ok().and_then(|extra| extra.parse().ok()).unwrap_or(0)
}

/// The number of executions that must hold without a mutant before a mutant counts as caught. This
/// detects a patch that breaks the code even if its mutant is off.
const EXECUTIONS_WITHOUT_MUTANT: usize = 200;

/// Explores `body` up to the bound on preemptions, or up to this number of executions. Returns the
/// number of executions.
fn explore(
    bound: Option<usize>,
    max_executions: Option<usize>,
    body: impl Fn() + Send + Sync + 'static,
) -> usize {
    let executions = Arc::new(AtomicUsize::new(0));
    let count = executions.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = bound.map(|bound| bound + extra_preemptions());
    builder.max_branches = 100_000;
    builder.max_duration = None;
    builder.max_permutations = max_executions;
    if let Some(max_executions) = max_executions {
        // Loom compares with the maximum only at checkpoints.
        builder.checkpoint_interval = max_executions;
    }
    builder.check(move || {
        count.fetch_add(1, Relaxed);
        body();
        progress::assert_progress();
        reclaim::free_all();
    });
    executions.load(Relaxed)
}

/// Notes the bound up to which a model holds.
fn note_bound(name: &str, bound: Option<usize>) {
    HELD.with_borrow_mut(|held| {
        let most = held.entry(name.to_owned()).or_default();
        *most = (*most).max(bound.unwrap_or(usize::MAX));
    });
}

/// Panics if a mutant is searched beyond the bound up to which its model holds. The executions that
/// show the mutant might then be missing in the clean tree.
fn assert_bound(name: &str, bound: Option<usize>) {
    let held = HELD.with_borrow(|held| held.get(name).copied());
    let is_within = held.is_some_and(|most| bound.unwrap_or(usize::MAX) <= most);
    assert!(is_within, "{name} holds up to {held:?}, its mutant is searched up to {bound:?}");
}

/// Asserts that the model holds in every execution, and that there are at least `floor` executions.
/// The floor is about half of their usual number.
fn assert_holds(
    name: &str,
    bound: Option<usize>,
    floor: usize,
    body: impl Fn() + Send + Sync + 'static,
) {
    note_bound(name, bound);
    if !runs_clean_checks() {
        return;
    }
    let mutant = mutant_from_env();
    set_mutant(mutant);
    let executions = explore(bound, None, body);
    println!("model {name}: holds in {executions} executions");
    assert!(
        mutant.is_some() || executions >= floor,
        "{name} explored only {executions} executions"
    );
}

/// Returns whether the model fails with this mutant.
fn is_caught(
    mutant: &'static str,
    bound: Option<usize>,
    body: impl Fn() + Send + Sync + 'static,
) -> bool {
    let body = Arc::new(body);
    let without_mutant = body.clone();
    explore(bound, Some(EXECUTIONS_WITHOUT_MUTANT), move || without_mutant());
    set_mutant(Some(mutant));
    let is_caught = quiet::panics(|| {
        explore(bound, None, move || body());
    });
    set_mutant(None);
    let _ = catch_unwind(reclaim::free_all);
    is_caught
}

/// Asserts that the model fails with this mutant.
fn assert_caught(
    name: &str,
    bound: Option<usize>,
    mutant: &'static str,
    body: impl Fn() + Send + Sync + 'static,
) {
    assert_bound(name, bound);
    if runs_mutant_checks() {
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
    note_bound(name, None);
    if !runs_clean_checks() {
        return;
    }
    let mutant = mutant_from_env();
    set_mutant(mutant);
    let executions: usize = [false, true].map(|swap| explore(None, None, body(swap))).iter().sum();
    println!("model {name}: holds in {executions} executions, in both orders");
    assert!(
        mutant.is_some() || executions >= floor,
        "{name} explored only {executions} executions"
    );
}

/// Asserts that the model fails with this mutant in at least one order of its threads.
fn assert_caught_in_an_order<B: Fn() + Send + Sync + 'static>(
    name: &str,
    bound: Option<usize>,
    mutant: &'static str,
    body: impl Fn(bool) -> B,
) {
    assert_bound(name, bound);
    if runs_mutant_checks() {
        let caught = [false, true].into_iter().any(|swap| is_caught(mutant, bound, body(swap)));
        assert!(caught, "{name} passes in both orders with mutant {mutant}");
        println!("model {name}: {mutant} caught");
    }
}
