//! Calendar budgets that move to another array.

use super::race::Op::*;
use super::race::{A, Op, Race};
use super::{catches, caught_in_one, holds};
use crate::counter::calendar::Quota;
use crate::verify::mutants::Breakage;

/// The same race with its threads in both orders.
fn both(
    name: &str,
    bound: Option<usize>,
    floor: usize,
    race: impl Fn(&'static [&'static [Op]]) -> Race,
    orders: [&'static [&'static [Op]]; 2],
    broken: &[Breakage],
) {
    let body = |swap: bool| race(orders[usize::from(swap)]).body_of::<Quota>();
    for swap in [false, true] {
        holds(name, bound, floor, body(swap));
    }
    for what in broken {
        caught_in_one(name, bound, *what, body);
    }
}

#[test]
fn budget_move_against_charge() {
    let race = |threads| Race { limit: 4, slots: 2, before: &[(A, 5, 2)], threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Charge(A, 5, 2), Charge(A, 6, 1)], &[Renew(5), Finish(5)]],
        &[&[Renew(5), Finish(5)], &[Charge(A, 5, 2), Charge(A, 6, 1)]],
    ];
    both(
        "budget_move_against_charge",
        Some(2),
        50,
        race,
        orders,
        &[Breakage::NoFreeze, Breakage::QuotaLoadRelaxed, Breakage::QuotaFreezeRelaxed],
    );
}

/// What was given back stays so through a move.
#[test]
fn budget_refund_lasts() {
    let before = &[(A, 5, 2)];
    let race = |threads| Race { limit: 4, slots: 2, before, threads, admitted: Some(1) };
    let orders: [&[&[Op]]; 2] = [
        &[&[Refund(0), Charge(A, 5, 4)], &[Renew(5), Finish(5)]],
        &[&[Renew(5), Finish(5)], &[Refund(0), Charge(A, 5, 4)]],
    ];
    both("budget_refund_lasts", Some(2), 50, race, orders, &[Breakage::ChargeStores]);
}

/// A look finds the budget wherever it is.
#[test]
fn budget_look_against_move() {
    let race = |threads| Race { limit: 4, slots: 2, before: &[(A, 5, 2)], threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Charge(A, 5, 1), Look(A, 5)], &[Renew(5), Finish(5)]],
        &[&[Renew(5), Finish(5)], &[Charge(A, 5, 1), Look(A, 5)]],
    ];
    both("budget_look_against_move", Some(2), 50, race, orders, &[Breakage::QuotaLookRelaxed]);
}

/// A budget of a period that is over is dropped; a thread that is still in that period meets it.
#[test]
fn budget_dropped() {
    let race = |threads| Race { limit: 4, slots: 2, before: &[(A, 2, 3)], threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Charge(A, 2, 2)], &[Renew(3), Finish(3)]],
        &[&[Renew(3), Finish(3)], &[Charge(A, 2, 2)]],
    ];
    both("budget_dropped", Some(3), 50, race, orders, &[Breakage::NoCutoff]);
}

/// A budget that has seen a later period than the cutoff is kept.
#[test]
fn budget_seen_later() {
    let before = &[(A, 5, 3), (A, 6, 1)];
    let race = |threads| Race { limit: 3, slots: 2, before, threads, admitted: None };
    let turns: &[&[Op]] = &[&[Refund(1), Renew(5), Finish(5), Charge(A, 5, 3)]];
    holds("budget_seen_later, in turn", None, 1, race(turns).body_of::<Quota>());
    catches(
        "budget_seen_later, in turn",
        None,
        Breakage::DropsLater,
        race(turns).body_of::<Quota>(),
    );
}
