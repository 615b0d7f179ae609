//! Calendar budgets while they move to another array.

use super::race::Op::*;
use super::race::{A, Op, Race};
use super::{assert_caught, assert_caught_in_an_order, assert_holds};
use crate::counter::calendar::Quota;

/// Asserts that the race holds in both orders of its threads, and that it catches each mutant.
fn assert_holds_and_catches(
    name: &str,
    bound: Option<usize>,
    floor: usize,
    race: impl Fn(&'static [&'static [Op]]) -> Race,
    orders: [&'static [&'static [Op]]; 2],
    mutants: &[&'static str],
) {
    let body = |swap: bool| race(orders[usize::from(swap)]).body_of::<Quota>();
    for swap in [false, true] {
        assert_holds(name, bound, floor, body(swap));
    }
    for &mutant in mutants {
        assert_caught_in_an_order(name, bound, mutant, body);
    }
}

/// Guarantees A, D and G: a budget is charged while it moves to another array.
#[test]
fn budget_move_against_charge() {
    let race = |threads| Race { limit: 4, slots: 2, before: &[(A, 5, 2)], threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Charge(A, 5, 2), Charge(A, 6, 1)], &[Renew(5), Finish(5)]],
        &[&[Renew(5), Finish(5)], &[Charge(A, 5, 2), Charge(A, 6, 1)]],
    ];
    assert_holds_and_catches(
        "budget_move_against_charge",
        Some(2),
        8_400,
        race,
        orders,
        &["NoFreeze", "QuotaLoadRelaxed", "QuotaFreezeRelaxed"],
    );
}

/// Guarantees A, C, D and G: a move does not restore units that were given back before it or during
/// it.
#[test]
fn budget_refund_lasts() {
    let before = &[(A, 5, 2)];
    let race = |threads| Race { limit: 4, slots: 2, before, threads, admitted: Some(1) };
    let orders: [&[&[Op]]; 2] = [
        &[&[Refund(0), Charge(A, 5, 4)], &[Renew(5), Finish(5)]],
        &[&[Renew(5), Finish(5)], &[Refund(0), Charge(A, 5, 4)]],
    ];
    let mutants = ["ChargeStores", "QuotaUpdateRelaxed"];
    assert_holds_and_catches("budget_refund_lasts", Some(2), 560, race, orders, &mutants);
}

/// Guarantees B, D and G: a peek finds the budget in either array.
#[test]
fn budget_peek_against_move() {
    let race = |threads| Race { limit: 4, slots: 2, before: &[(A, 5, 2)], threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Charge(A, 5, 1), Peek(A, 5)], &[Renew(5), Finish(5)]],
        &[&[Renew(5), Finish(5)], &[Charge(A, 5, 1), Peek(A, 5)]],
    ];
    assert_holds_and_catches(
        "budget_peek_against_move",
        Some(2),
        2_500,
        race,
        orders,
        &["QuotaPeekRelaxed"],
    );
}

/// Guarantees A, D and G: a move drops the budget of an ended period while a late thread still
/// charges in that period.
#[test]
fn budget_dropped() {
    let race = |threads| Race { limit: 4, slots: 2, before: &[(A, 2, 3)], threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Charge(A, 2, 2)], &[Renew(3), Finish(3)]],
        &[&[Renew(3), Finish(3)], &[Charge(A, 2, 2)]],
    ];
    assert_holds_and_catches("budget_dropped", Some(3), 1_120, race, orders, &["NoCutoff"]);
}

/// Guarantees A, D and G: if a budget was charged in a period after the cutoff, a move keeps it.
#[test]
fn budget_seen_later() {
    let before = &[(A, 5, 3), (A, 6, 1)];
    let race = |threads| Race { limit: 3, slots: 2, before, threads, admitted: None };
    let sequence: &[&[Op]] = &[&[Refund(1), Renew(5), Finish(5), Charge(A, 5, 3)]];
    assert_holds("budget_seen_later, sequential", None, 1, race(sequence).body_of::<Quota>());
    assert_caught(
        "budget_seen_later, sequential",
        None,
        "DropsLater",
        race(sequence).body_of::<Quota>(),
    );
}
