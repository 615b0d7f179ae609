//! The table: inserts, moves, drops and two generations in a row.

use super::race::Op::*;
use super::race::{A, B, Op, Race, Tiny, TinyTable, WINDOW, WORDS, Z, both, caught_in_one, charge};
use super::{catches, holds, more};
use crate::breakage::Breakage;
use crate::counter::Request;
use crate::counter::quota::Quota;
use crate::counter::ring::Ring;
use crate::counter::scale::Scale;
use crate::table::reclaim::{self, pin};
use crate::table::tags::model::watched;
use crate::table::{KeyId, Table};
use loom::thread;
use std::sync::Arc;

#[test]
fn insert() {
    let race = |threads| Race { limit: 3, slots: 2, before: &[], threads, admitted: Some(1) };
    let one_key: &[&[Op]] = &[&[Charge(A, 5, 2)], &[Charge(A, 5, 2)]];
    holds("insert of one key", None, 100, watched(race(one_key).body()));
    let counted = Breakage::CountedBeforeClaim;
    catches("insert of one key", None, counted, watched(race(one_key).body()));
    let one_home = || Race { admitted: Some(2), ..race(&[&[Charge(A, 5, 2)], &[Charge(B, 5, 2)]]) };
    holds("insert at one home", None, 50, watched(one_home().body()));
    for what in [Breakage::ClaimStores, Breakage::TagFirst] {
        catches("insert at one home", None, what, watched(one_home().body()));
    }
    let three = Race {
        slots: 4,
        admitted: Some(2),
        ..race(&[&[Charge(A, 5, 2)], &[Charge(A, 5, 2)], &[Charge(B, 5, 2)]])
    };
    holds("insert, three", Some(1), 100, three.body());
}

/// Who sees a tag sees the id that it was made of.
#[test]
fn tag_is_told() {
    let body = |swap: bool| {
        watched(move || {
            let scale = Scale::tiny(WINDOW, 3, WORDS as u64);
            let table = Arc::new(TinyTable::tiny(scale, 2, 0, 1));
            let (mine, other) = (table.clone(), table);
            let claim = |table: &TinyTable| {
                let request = Request { now: 5, cost: 1, limit: 3 };
                assert!(table.charge(KeyId::new(A), &request, &pin()).is_ok());
            };
            let look = |table: &TinyTable| {
                assert!(!table.tells_of_nobody(KeyId::new(A)), "a tag without an id");
            };
            let thread = thread::spawn(move || if swap { claim(&other) } else { look(&other) });
            if swap {
                look(&mine)
            } else {
                claim(&mine)
            }
            thread.join().unwrap();
        })
    };
    super::holds_in_both("tag_is_told", 5, body);
    for what in [Breakage::TellRelaxed, Breakage::GroupRelaxed] {
        super::caught_in_one("tag_is_told", None, what, body);
    }
}

#[test]
fn move_against_charge() {
    let race = |threads| Race { limit: 4, slots: 2, before: &[(A, 3, 2)], threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Charge(A, 5, 2), Charge(A, 6, 1)], &[Renew(5), Finish(5)]],
        &[&[Renew(5), Finish(5)], &[Charge(A, 5, 2), Charge(A, 6, 1)]],
    ];
    both("move_against_charge", Some(1), 100, race, orders);
    caught_in_one("move_against_charge", Some(3), Breakage::NoFreeze, race, orders);
    caught_in_one("move_against_charge", Some(2), Breakage::PreparedWhileMoving, race, orders);
    for what in [
        Breakage::FreezeHeadOnly,
        Breakage::FreezeRelaxed,
        Breakage::CurrentRelaxed,
        Breakage::PublishRelaxed,
    ] {
        caught_in_one("move_against_charge", Some(2), what, race, orders);
    }
}

#[test]
fn publish() {
    let before = &[(A, 3, 2), (A, 4, 1)];
    let race = |threads| Race { limit: 4, slots: 2, before, threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Charge(A, 5, 2)], &[Renew(5), Finish(5)]],
        &[&[Renew(5), Finish(5)], &[Charge(A, 5, 2)]],
    ];
    both("publish", Some(1), 50, race, orders);
    caught_in_one("publish", Some(3), Breakage::PublishHeadFirst, race, orders);
    caught_in_one("publish", Some(3), Breakage::OriginAtCutoff, race, orders);
}

/// The key's home is not in the chunk that is moved first.
#[test]
fn first_charge_of_absent_key_against_move() {
    let race = |threads| Race { limit: 3, slots: 2, before: &[], threads, admitted: Some(1) };
    let orders: [&[&[Op]]; 2] = [
        &[&[Charge(Z, 5, 2)], &[Renew(5), Charge(Z, 5, 2)]],
        &[&[Renew(5), Charge(Z, 5, 2)], &[Charge(Z, 5, 2)]],
    ];
    both("absent_against_move", Some(1), 100, race, orders);
    for what in [Breakage::NoFreezeEmpty, Breakage::FindRelaxed, Breakage::FreezeEmptyRelaxed] {
        caught_in_one("absent_against_move", Some(2), what, race, orders);
    }
    let three = race(&[&[Charge(Z, 5, 2)], &[Renew(5), Charge(Z, 5, 2)], &[Help(5)]]);
    // Without a preemption it shows nothing, and with one it takes a minute.
    if more() > 0 {
        holds("absent_against_move, three", Some(0), 100, three.body());
    }
}

/// A key whose charges had expired is dropped; a thread with an old time meets it.
#[test]
fn dropped() {
    let race = |threads| Race { limit: 4, slots: 2, before: &[(A, 2, 3)], threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Charge(A, 5, 2)], &[Renew(6), Finish(6)]],
        &[&[Renew(6), Finish(6)], &[Charge(A, 5, 2)]],
    ];
    both("dropped", Some(2), 50, race, orders);
    caught_in_one("dropped", Some(3), Breakage::NoCutoff, race, orders);
}

/// A renewal by a thread whose clock is late moves no cutoff back: what was dropped stays so.
#[test]
fn late_renewal() {
    let race = |threads| Race { limit: 4, slots: 2, before: &[(A, 2, 3)], threads, admitted: None };
    let turns: &[&[Op]] = &[&[Renew(6), Finish(6), Renew(3), Finish(3), Charge(A, 5, 2)]];
    holds("late_renewal, in turn", None, 1, race(turns).body());
    catches("late_renewal, in turn", None, Breakage::CutoffBack, race(turns).body());
    let threads: &[&[Op]] =
        &[&[Renew(6), Finish(6), Charge(A, 5, 2)], &[Renew(3), Finish(3), Charge(A, 5, 2)]];
    holds("late_renewal", Some(1), 50, race(threads).body());
}

/// Helpers whose clocks differ decide alike about what is dropped.
#[test]
fn same_cutoff() {
    let race = |threads| Race { limit: 4, slots: 2, before: &[(A, 2, 3)], threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Help(7), Charge(A, 5, 2)], &[Renew(5), Finish(5)]],
        &[&[Renew(5), Finish(5)], &[Help(7), Charge(A, 5, 2)]],
    ];
    both("same_cutoff", Some(1), 50, race, orders);
    // The clocks differ, not the threads: in turn they show it best.
    let turns: &[&[Op]] = &[&[Renew(5), Help(7), Finish(5), Charge(A, 5, 2)]];
    holds("same_cutoff, in turn", None, 1, race(turns).body());
    catches("same_cutoff, in turn", None, Breakage::DropByOwnNow, race(turns).body());
}

#[test]
fn refund_against_move() {
    let race = |threads| Race { limit: 4, slots: 2, before: &[(A, 4, 2)], threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Refund(0), Charge(A, 5, 3)], &[Renew(5), Finish(5)]],
        &[&[Renew(5), Finish(5)], &[Refund(0), Charge(A, 5, 3)]],
    ];
    both("refund_against_move", Some(1), 100, race, orders);
    caught_in_one("refund_against_move", Some(3), Breakage::RefundStores, race, orders);
}

/// What was given back stays so through a move.
#[test]
fn refund_lasts() {
    let before = &[(A, 4, 2)];
    let race = |threads| Race { limit: 4, slots: 2, before, threads, admitted: Some(1) };
    let orders: [&[&[Op]]; 2] = [
        &[&[Refund(0), Charge(A, 5, 4)], &[Renew(5), Finish(5)]],
        &[&[Renew(5), Finish(5)], &[Refund(0), Charge(A, 5, 4)]],
    ];
    both("refund_lasts", Some(1), 50, race, orders);
    caught_in_one("refund_lasts", Some(2), Breakage::RefundMoved, race, orders);
}

/// What was reset stays so through a move.
#[test]
fn reset_lasts() {
    let before = &[(A, 4, 2)];
    let race = |threads| Race { limit: 4, slots: 2, before, threads, admitted: Some(1) };
    let orders: [&[&[Op]]; 2] = [
        &[&[Reset(A), Charge(A, 5, 4)], &[Renew(5), Finish(5)]],
        &[&[Renew(5), Finish(5)], &[Reset(A), Charge(A, 5, 4)]],
    ];
    both("reset_lasts", Some(1), 50, race, orders);
    caught_in_one("reset_lasts", Some(2), Breakage::RefundMoved, race, orders);
    caught_in_one("reset_lasts", Some(2), Breakage::RefundLoadRelaxed, race, orders);
}

/// A look finds the key wherever it is.
#[test]
fn look_against_move() {
    let race = |threads| Race { limit: 4, slots: 2, before: &[(A, 3, 2)], threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Charge(A, 5, 1), Look(A, 5)], &[Renew(5), Finish(5)]],
        &[&[Renew(5), Finish(5)], &[Charge(A, 5, 1), Look(A, 5)]],
    ];
    both("look_against_move", Some(1), 50, race, orders);
    caught_in_one("look_against_move", Some(2), Breakage::PreviousRelaxed, race, orders);
    caught_in_one("look_against_move", Some(2), Breakage::UnlinkRelaxed, race, orders);
}

/// Whoever lets the old array go has seen what every helper moved.
#[test]
fn told_done() {
    let race = |threads| Race { limit: 4, slots: 2, before: &[(A, 3, 2)], threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Charge(A, 5, 1), Look(A, 5)], &[Renew(5), Help(5)], &[Help(5)]],
        &[&[Help(5)], &[Renew(5), Help(5)], &[Charge(A, 5, 1), Look(A, 5)]],
    ];
    both("told_done", Some(1), 50, race, orders);
    caught_in_one("told_done", Some(3), Breakage::DoneRelaxed, race, orders);
    caught_in_one("told_done", Some(3), Breakage::AllDoneRelaxed, race, orders);
}

/// A migration ends when every chunk is moved, not when every chunk is taken.
#[test]
fn end_of_migration() {
    let race = |threads| Race { limit: 4, slots: 2, before: &[(A, 4, 2)], threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Renew(5), Help(5), Help(5), Charge(A, 5, 3)], &[Help(5)]],
        &[&[Help(5)], &[Renew(5), Help(5), Help(5), Charge(A, 5, 3)]],
    ];
    // Loom is blind in the other order.
    holds("end_of_migration", Some(2), 50, race(orders[0]).body());
    caught_in_one("end_of_migration", Some(2), Breakage::TakenIsDone, race, orders);
}

/// Two renewals in a row, and a thread that still holds the first array.
#[test]
fn two_generations() {
    let race = |threads| Race { limit: 4, slots: 1, before: &[(A, 4, 2)], threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Charge(A, 5, 2)], &[Renew(5), Finish(5), Renew(5), Finish(5)]],
        &[&[Renew(5), Finish(5), Renew(5), Finish(5)], &[Charge(A, 5, 2)]],
    ];
    caught_in_one("two_generations", Some(1), Breakage::NoFreeze, race, orders);
    if more() > 0 {
        both("two_generations", Some(0), 50, race, orders);
    }
    let orders: [&[&[Op]]; 2] = [
        &[&[Charge(A, 5, 2)], &[Renew(5), Finish(5), Renew(5)]],
        &[&[Renew(5), Finish(5), Renew(5)], &[Charge(A, 5, 2)]],
    ];
    both("two_generations, unfinished", Some(1), 50, race, orders);
    let orders: [&[&[Op]]; 2] = [
        &[&[Help(5), Charge(A, 5, 2)], &[Renew(5), Finish(5), Renew(5)]],
        &[&[Renew(5), Finish(5), Renew(5)], &[Help(5), Charge(A, 5, 2)]],
    ];
    both("two_generations, helpers", Some(1), 50, race, orders);
}

/// What an eviction forgives is what it was told to, also if the key is charged meanwhile.
#[test]
fn evict_against_charge() {
    let race = |threads| Race { limit: 3, slots: 2, before: &[(A, 3, 1)], threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Charge(A, 5, 1), Charge(A, 5, 3)], &[Evict(5, 1), Finish(5)]],
        &[&[Evict(5, 1), Finish(5)], &[Charge(A, 5, 1), Charge(A, 5, 3)]],
    ];
    both("evict_against_charge", Some(1), 100, race, orders);
    caught_in_one("evict_against_charge", Some(3), Breakage::NoFreeze, race, orders);
}

/// What an eviction has forgiven is not given back once more, at the cost of what the key has been
/// charged since.
#[test]
fn refund_after_eviction() {
    let body = |swap: bool| {
        move || {
            let limit = 3;
            let table =
                Arc::new(TinyTable::tiny(Scale::tiny(WINDOW, limit, WORDS as u64), 2, 1, 1));
            let charge = move |table: &TinyTable, now: u64, cost: u64| {
                charge(table, limit, KeyId::new(A), now, cost)
            };
            let charged = charge(&table, 3, 1);
            assert!(charged.outcome.admitted);
            let evicting = {
                let table = table.clone();
                move || {
                    table.start_renewal(5, 1);
                    while !table.help_once(5) {}
                    let others = charge(&table, 5, 3).outcome.admitted;
                    assert!(others, "the one was given back or forgiven");
                }
            };
            let undoing = {
                let table = table.clone();
                move || {
                    table.give_back(KeyId::new(A), 5, Some(charged.receipt(1)), 1, &pin());
                }
            };
            let other =
                if swap { thread::spawn(evicting.clone()) } else { thread::spawn(undoing.clone()) };
            if swap {
                undoing()
            } else {
                evicting()
            }
            other.join().unwrap();
            let ask = Request { now: 5, cost: 0, limit };
            assert_eq!(table.look(KeyId::new(A), &ask, &pin()).used, 3, "others' units were taken");
        }
    };
    for swap in [false, true] {
        holds("refund_after_eviction", Some(2), 50, body(swap));
    }
    super::caught_in_one("refund_after_eviction", Some(2), Breakage::RefundForgiven, body);
}

/// A key that is too heavy to be evicted gives back what it holds, before the move and after it.
fn refund_after_move<C: Tiny>(swap: bool) -> impl Fn() + Send + Sync {
    move || {
        let (limit, key) = (6, KeyId::new(A));
        let table = Arc::new(Table::<C>::tiny(C::tiny(limit), 2, 1, 1));
        let charged = [2, 1].map(|cost| charge(&table, limit, key, 3, cost));
        let evicting = {
            let table = table.clone();
            move || {
                table.start_renewal(3, 1);
                while !table.help_once(3) {}
            }
        };
        let undoing = {
            let table = table.clone();
            move || {
                let given = table.give_back(key, 3, Some(charged[1].receipt(1)), 1, &pin());
                assert_eq!(given.units, 1, "nothing was evicted");
            }
        };
        let other =
            if swap { thread::spawn(evicting.clone()) } else { thread::spawn(undoing.clone()) };
        if swap {
            undoing()
        } else {
            evicting()
        }
        other.join().unwrap();
        let ask = Request { now: 3, cost: 0, limit };
        assert_eq!(table.look(key, &ask, &pin()).used, 2);
        // And what is charged in the new array belongs to it.
        let again = charge(&table, limit, KeyId::new(B), 3, 1);
        let given = table.give_back(KeyId::new(B), 3, Some(again.receipt(1)), 1, &pin());
        assert_eq!(given.units, 1, "it was charged after the eviction");
    }
}

#[test]
fn refund_of_a_heavy_key_after_move() {
    let mutants = [Breakage::AgeNotCarried, Breakage::AgeLate, Breakage::AgeUnfenced];
    let ring = refund_after_move::<Ring<WORDS>>;
    let quota = refund_after_move::<Quota>;
    for swap in [false, true] {
        holds("refund_after_move", Some(2), 50, ring(swap));
        holds("refund_after_move of a budget", Some(2), 20, quota(swap));
    }
    for what in mutants.into_iter().chain([Breakage::ReceiptWithoutGeneration]) {
        super::caught_in_one("refund_after_move", Some(2), what, ring);
    }
    for what in mutants.into_iter().chain([Breakage::QuotaInstallRelaxed]) {
        super::caught_in_one("refund_after_move of a budget", Some(2), what, quota);
    }
}

/// A give-back that takes units of two buckets, one of them before the move and one after it, takes no
/// more than its amount: the rest of the newer bucket belongs to others.
fn refund_in_parts(swap: bool) -> impl Fn() + Send + Sync {
    move || {
        let (limit, key) = (3, KeyId::new(A));
        let table = Arc::new(TinyTable::tiny(Ring::tiny(limit), 2, 0, 1));
        let charged = charge(&table, limit, key, 3, 1);
        // In the next bucket: one unit of the same caller, and one of others.
        charge(&table, limit, key, 5, 2);
        let moving = {
            let table = table.clone();
            move || {
                table.start_renewal(5, 0);
                while !table.help_once(5) {}
            }
        };
        let undoing = {
            let table = table.clone();
            move || {
                let given = table.give_back(key, 5, Some(charged.receipt(1)), 2, &pin());
                assert_eq!(given.units, 2);
            }
        };
        let other =
            if swap { thread::spawn(moving.clone()) } else { thread::spawn(undoing.clone()) };
        if swap {
            undoing()
        } else {
            moving()
        }
        other.join().unwrap();
        let ask = Request { now: 5, cost: 0, limit };
        assert_eq!(table.look(key, &ask, &pin()).used, 1, "others' units were taken");
    }
}

#[test]
fn refund_of_two_buckets_against_move() {
    for swap in [false, true] {
        holds("refund_in_parts", Some(2), 50, refund_in_parts(swap));
    }
    super::caught_in_one("refund_in_parts", Some(2), Breakage::GivenTwice, refund_in_parts);
}

/// A key that has seen a later time than the cutoff has forgotten what is live at the cutoff: it is
/// not dropped, though nothing is used any more.
#[test]
fn seen_later() {
    let before = &[(A, 2, 3), (A, 6, 1)];
    let race = |threads| Race { limit: 3, slots: 2, before, threads, admitted: None };
    let turns: &[&[Op]] = &[&[Refund(1), Renew(5), Finish(5), Charge(A, 5, 3)]];
    holds("seen_later, in turn", None, 1, race(turns).body());
    catches("seen_later, in turn", None, Breakage::DropsLater, race(turns).body());
    let threads: &[&[Op]] = &[&[Refund(1), Charge(A, 5, 3)], &[Renew(5), Finish(5)]];
    holds("seen_later", Some(1), 50, race(threads).body());
}

/// An array is retired once, after it was unlinked, and freed when no reader holds it.
#[test]
fn retire_against_pinned_reader() {
    let watched = |threads: &'static [&'static [Op]], admitted| {
        let race = Race { limit: 4, slots: 1, before: &[(A, 4, 2)], threads, admitted };
        let body = race.body();
        move || {
            reclaim::watch();
            body();
            reclaim::assert_sound();
        }
    };
    let reader = move |swap: bool| {
        let orders: [&[&[Op]]; 2] = [
            &[&[Charge(A, 5, 1)], &[Renew(5), Finish(5)]],
            &[&[Renew(5), Finish(5)], &[Charge(A, 5, 1)]],
        ];
        watched(orders[usize::from(swap)], Some(2))
    };
    for swap in [false, true] {
        holds("retire_against_pinned_reader", Some(2), 100, reader(swap));
    }
    super::caught_in_one("retire_against_pinned_reader", Some(3), Breakage::NoPin, reader);
    let helpers: &[&[Op]] = &[&[Renew(5), Finish(5)], &[Finish(5)]];
    holds("retire, two helpers", Some(3), 100, watched(helpers, None));
    catches("retire, two helpers", Some(3), Breakage::ChunkCountedTwice, watched(helpers, None));
    catches("retire, two helpers", Some(3), Breakage::UnlinkStores, watched(helpers, None));
}
