//! Resets of a key with an open reservation.

use super::race::{A, B, ModelCounter, ModelRing, charge};
use super::{assert_bound, assert_holds, is_caught};
use crate::counter::ChargeArgs;
use crate::counter::calendar::Quota;
use crate::reclaim::pin;
use crate::sync::{AtomicU64, Ordering::*};
use crate::table::reset_marks::ResetMarks;
use crate::table::{KeyId, Table};
use crate::verify::selection::runs_mutant_checks;
use loom::thread;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const LIMIT: u64 = 2;
const START: u64 = 5;

/// The orders of three threads. The first is the one that joins the others.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// Runs three operations at the same time, in this order of their threads.
fn run(operations: [Box<dyn FnOnce() + Send>; 3], order: [usize; 3]) {
    let mut operations = operations.map(Some);
    let [here, others @ ..] = order.map(|index| operations[index].take().expect("each once"));
    let others = others.map(thread::spawn);
    here();
    others.into_iter().for_each(|other| other.join().unwrap());
}

/// Two units are reserved. One thread resets the key, one charges two units, and one settles the
/// reservation to one unit. The charge has room only after the reset. All three have the same time.
fn settled_against_reset<C: ModelCounter>(order: [usize; 3]) -> impl Fn() + Send + Sync + 'static {
    move || {
        let table = Arc::new(Table::<C>::tiny(C::spec(LIMIT), 1, 0, 1));
        let key = KeyId::new(A);
        let receipt = charge(&table, LIMIT, key, START, 2).receipt(2);
        let is_charged = Arc::new(AtomicBool::new(false));
        let tables = [(); 3].map(|()| table.clone());
        let [resetting, charging, settling] = tables;
        let charged = is_charged.clone();
        run(
            [
                Box::new(move || resetting.reset(key, &pin())),
                Box::new(move || {
                    let outcome = charge(&charging, LIMIT, key, START, 2).outcome;
                    charged.store(outcome.admitted, Relaxed);
                }),
                Box::new(move || _ = settling.give_back(key, START, Some(receipt), 1, &pin())),
            ],
            order,
        );
        let args = ChargeArgs { now: START, cost: 0, limit: LIMIT };
        let used = table.peek(key, &args, &pin()).used;
        let expected = if is_charged.load(Relaxed) { 2 } else { 0 };
        assert_eq!(used, expected, "units of the new charge were given back");
    }
}

fn assert_holds_in_each_order<B: Fn() + Send + Sync + 'static>(
    name: &str,
    bound: Option<usize>,
    floor: usize,
    body: impl Fn([usize; 3]) -> B,
) {
    ORDERS.into_iter().for_each(|order| assert_holds(name, bound, floor, body(order)));
}

fn assert_caught_in_some_order<B: Fn() + Send + Sync + 'static>(
    name: &str,
    bound: Option<usize>,
    mutant: &'static str,
    body: impl Fn([usize; 3]) -> B,
) {
    assert_bound(name, bound);
    if runs_mutant_checks() {
        let caught = ORDERS.into_iter().any(|order| is_caught(mutant, bound, body(order)));
        assert!(caught, "{name} passes in each order with mutant {mutant}");
        println!("model {name}: {mutant} caught");
    }
}

/// Guarantee C: a reservation that was reset gives back nothing of a later charge.
#[test]
fn reset_against_settled() {
    let (name, body) = ("settled_against_reset", settled_against_reset::<ModelRing>);
    assert_holds_in_each_order(name, Some(3), 100, body);
    for mutant in ["ResetKeepsTime", "RecordLate", "ResetRelaxed", "ResetsLater"] {
        assert_caught_in_some_order(name, Some(3), mutant, body);
    }
}

/// The same for a budget, whose word counts its resets.
#[test]
fn budget_reset_against_settled() {
    let (name, body) = ("budget_settled_against_reset", settled_against_reset::<Quota>);
    assert_holds_in_each_order(name, Some(3), 17, body);
    assert_caught_in_some_order(name, Some(3), "ResetKeepsStamp", body);
}

/// One key is reset again while another key takes its record. A thread that comes after the reset
/// finds it.
fn marks(order: [usize; 3]) -> impl Fn() + Send + Sync + 'static {
    move || {
        let marks = Arc::new(ResetMarks::new().unwrap());
        let is_reset = Arc::new(AtomicU64::new(0));
        let (key, other) = (KeyId::new(A), KeyId::new(B << 8));
        marks.record(key, 3);
        let [again, replacing, finding] = [(); 3].map(|()| marks.clone());
        let was_reset = is_reset.clone();
        run(
            [
                Box::new(move || {
                    again.record(key, 5);
                    is_reset.store(1, Release);
                }),
                Box::new(move || replacing.record(other, 4)),
                Box::new(move || {
                    if was_reset.load(Acquire) == 1 {
                        assert!(finding.covers(key, 5), "a reset was forgotten");
                    }
                }),
            ],
            order,
        );
        assert!(marks.covers(key, 5) && marks.covers(other, 4));
        assert!(!marks.covers(key, 6) && !marks.covers(other, 6));
    }
}

/// K1 and K2.
#[test]
fn marks_last() {
    assert_holds_in_each_order("marks_last", Some(3), 1_000, marks);
    for mutant in [
        "MarkKeyUnchecked",
        "FloorLate",
        "MarkKeepRelaxed",
        "MarkTakeRelaxed",
        "MarkReplaceRelaxed",
        "MarkFindRelaxed",
    ] {
        assert_caught_in_some_order("marks_last", Some(3), mutant, marks);
    }
}
