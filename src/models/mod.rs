//! Loom models of the production types: one named race each, and for each breakage a model that
//! catches it.
//!
//! Loom keeps one last access per location, so a thread's own load before its exchange can hide
//! another thread's earlier load. Therefore each model runs with its threads in several orders,
//! and none is trusted whose broken twin passes.

mod layers;
mod quota;
mod reservation;
mod ring;
mod table;

use crate::breakage::{self, Breakage};
use crate::table::reclaim;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Explores `body` to the bound on preemptions and returns the number of executions.
fn explore(bound: Option<usize>, body: impl Fn() + Send + Sync + 'static) -> usize {
    let executions = Arc::new(AtomicUsize::new(0));
    let count = executions.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = match std::env::var("TOLLGATE_LOOM_BOUND").ok().as_deref() {
        Some("none") => None,
        Some(bound) => bound.parse().ok(),
        None => bound,
    };
    builder.max_branches = 100_000;
    builder.max_duration = None;
    builder.max_permutations = None;
    builder.check(move || {
        count.fetch_add(1, Relaxed);
        body();
        reclaim::free_all();
    });
    executions.load(Relaxed)
}

/// A model that holds, with a floor under the number of executions.
fn holds(name: &str, bound: Option<usize>, floor: usize, body: impl Fn() + Send + Sync + 'static) {
    breakage::set(None);
    let executions = explore(bound, body);
    println!("model {name}: holds in {executions} executions");
    assert!(executions >= floor, "{name} explored only {executions} executions");
}

/// The same model with a step or an ordering switched off: it must fail.
fn catches(
    name: &str,
    bound: Option<usize>,
    what: Breakage,
    body: impl Fn() + Send + Sync + 'static,
) {
    breakage::set(Some(what));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = catch_unwind(AssertUnwindSafe(|| explore(bound, body)));
    std::panic::set_hook(hook);
    breakage::set(None);
    let _ = catch_unwind(reclaim::free_all);
    let caught = outcome.is_err();
    println!("model {name}: {what:?} {}", if caught { "caught" } else { "NOT CAUGHT" });
    assert!(caught, "{name} passes although {what:?} is on");
}

/// A model in both orders of its threads: the floor is under the sum of the executions, since loom
/// may be blind in one.
fn holds_in_both<B: Fn() + Send + Sync + 'static>(
    name: &str,
    floor: usize,
    body: impl Fn(bool) -> B,
) {
    breakage::set(None);
    let executions: usize = [false, true].map(|swap| explore(None, body(swap))).iter().sum();
    println!("model {name}: holds in {executions} executions, in both orders");
    assert!(executions >= floor, "{name} explored only {executions} executions");
}

/// The broken twin must fail in at least one of the orders.
fn caught_in_one<B: Fn() + Send + Sync + 'static>(
    name: &str,
    bound: Option<usize>,
    what: Breakage,
    body: impl Fn(bool) -> B,
) {
    let caught = [false, true].into_iter().any(|swap| {
        let once = AssertUnwindSafe(|| catches(name, bound, what, body(swap)));
        catch_unwind(once).is_ok()
    });
    assert!(caught, "{name} passes in both orders although {what:?} is on");
}
