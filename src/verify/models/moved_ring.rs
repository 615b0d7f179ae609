//! Rings while they move to another array.

use super::ring::{
    FIRST, Log, ModelRing, WORDS, assert_invariants, charge, charge_at, charged_ring, scale,
};
use super::{assert_caught, assert_holds};
use crate::counter::{Counter, Moved};
use loom::thread;
use std::sync::Arc;

/// Charges the old ring or, if it was moved, finishes the move and charges the new ring.
fn charge_through_move(
    old: &ModelRing,
    new: &ModelRing,
    limit: u64,
    log: &Log,
    now: u64,
    cost: u64,
) {
    if !new.is_open() {
        match charge(old, limit, log, now, cost) {
            Ok(_) => return,
            Err(Moved) => new.install(&scale(limit), &old.freeze(), FIRST, FIRST),
        }
    }
    charge_at(new, FIRST, limit, log, now, cost).expect("the new ring is not moved");
}

/// Races threads that move a ring with a thread that charges it.
fn move_race(
    before: &'static [(u64, u64)],
    movers: usize,
    charges: &'static [(u64, u64)],
) -> impl Fn() + Send + Sync + 'static {
    move || {
        let limit = 4;
        let (old, log) = charged_ring::<WORDS>(limit, before);
        let new = Arc::new(ModelRing::zeroed());
        let movers: Vec<_> = (0..movers)
            .map(|_| {
                let (old, new) = (old.clone(), new.clone());
                thread::spawn(move || {
                    new.install(&scale(limit), &old.freeze(), FIRST, FIRST);
                })
            })
            .collect();
        for &(now, cost) in charges {
            charge_through_move(&old, &new, limit, &log, now, cost);
        }
        movers.into_iter().for_each(|mover| mover.join().unwrap());
        assert_invariants(&new, FIRST, limit, &log);
    }
}

/// Guarantees A and D: a ring is moved while it is charged, in the head or in the next word.
#[test]
fn ring_move_against_charge() {
    let one = || move_race(&[(2, 1), (4, 1)], 1, &[(5, 1), (6, 1)]);
    assert_holds("ring_move_against_charge", Some(3), 7_400, one());
    assert_caught("ring_move_against_charge", Some(3), "NoFreeze", one());
    assert_caught("ring_move_against_charge", Some(3), "PreparedMarked", one());
    let sealing = || move_race(&[(2, 1), (4, 1)], 1, &[(6, 1), (7, 1)]);
    assert_holds("move_against_seal", Some(3), 6_100, sealing());
    assert_caught("move_against_seal", Some(3), "FreezeHeadOnly", sealing());
    assert_caught("move_against_seal", Some(3), "FreezeNotNext", sealing());
}

/// Guarantees A and D: two threads move one ring, one of them late.
#[test]
fn two_movers() {
    let two = || move_race(&[(2, 1), (4, 1), (5, 1)], 2, &[(5, 2)]);
    assert_holds("two_movers", Some(1), 370, two());
    let one = || move_race(&[(2, 1), (4, 1), (5, 1)], 1, &[(5, 2)]);
    assert_caught("two_movers", Some(1), "PublishHeadFirst", one());
    assert_caught("two_movers", Some(1), "InstallRelaxed", one());
}
