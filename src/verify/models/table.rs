//! The table: inserts, moves, dropped keys and two generations in a row.

use super::race::Op::*;
use super::race::{
    A, B, ModelCounter, ModelTable, Op, Race, WINDOW, WORDS, Z, assert_race_caught,
    assert_race_holds, charge,
};
use super::{assert_caught, assert_holds, extra_preemptions};
use crate::counter::ChargeArgs;
use crate::counter::calendar::Quota;
use crate::counter::sliding::Ring;
use crate::counter::sliding::time_scale::TimeScale;
use crate::reclaim::{self, pin};
use crate::table::tags::model::with_checked_tags;
use crate::table::{KeyId, Table};
use loom::thread;
use std::sync::Arc;

/// Guarantees A and D: two threads insert one key, or two keys that have the same home slot.
#[test]
fn insert() {
    let race = |threads| Race { limit: 3, slots: 2, before: &[], threads, admitted: Some(1) };
    let one_key: &[&[Op]] = &[&[Charge(A, 5, 2)], &[Charge(A, 5, 2)]];
    assert_holds("insert, one key", None, 2_400, with_checked_tags(race(one_key).body()));
    let mutant = "CountedBeforeClaim";
    assert_caught("insert, one key", None, mutant, with_checked_tags(race(one_key).body()));
    let one_home = || Race { admitted: Some(2), ..race(&[&[Charge(A, 5, 2)], &[Charge(B, 5, 2)]]) };
    assert_holds("insert, one home", None, 510, with_checked_tags(one_home().body()));
    for mutant in ["ClaimStores", "TagFirst"] {
        assert_caught("insert, one home", None, mutant, with_checked_tags(one_home().body()));
    }
    let three = Race {
        slots: 4,
        admitted: Some(2),
        ..race(&[&[Charge(A, 5, 2)], &[Charge(A, 5, 2)], &[Charge(B, 5, 2)]])
    };
    assert_holds("insert, three", Some(1), 1_200, three.body());
}

/// Guarantees A and D: a thread that sees a tag also sees the id that the tag was made of.
#[test]
fn tag_publishes_id() {
    let body = |swap: bool| {
        with_checked_tags(move || {
            let scale = TimeScale::tiny(WINDOW, 3, WORDS as u64);
            let table = Arc::new(ModelTable::tiny(scale, 2, 0, 1));
            let (mine, other) = (table.clone(), table);
            let claim = |table: &ModelTable| {
                let args = ChargeArgs { now: 5, cost: 1, limit: 3 };
                assert!(table.charge(KeyId::new(A), &args, &pin()).is_ok());
            };
            let peek = |table: &ModelTable| {
                assert!(!table.has_tag_without_id(KeyId::new(A)), "a tag without an id");
            };
            let thread = thread::spawn(move || if swap { claim(&other) } else { peek(&other) });
            if swap {
                peek(&mine)
            } else {
                claim(&mine)
            }
            thread.join().unwrap();
        })
    };
    super::assert_holds_in_both_orders("tag_publishes_id", 4, body);
    for mutant in ["TagPublishRelaxed", "GroupRelaxed"] {
        super::assert_caught_in_an_order("tag_publishes_id", None, mutant, body);
    }
}

/// Guarantees A and D: a key is charged while it moves to another array.
#[test]
fn move_against_charge() {
    let race = |threads| Race { limit: 4, slots: 2, before: &[(A, 3, 2)], threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Charge(A, 5, 2), Charge(A, 6, 1)], &[Renew(5), Finish(5)]],
        &[&[Renew(5), Finish(5)], &[Charge(A, 5, 2), Charge(A, 6, 1)]],
    ];
    assert_race_holds("move_against_charge", Some(2), 115_000, race, orders);
    assert_race_caught("move_against_charge", Some(2), "NoFreeze", race, orders);
    assert_race_caught("move_against_charge", Some(2), "PreparedWhileMoving", race, orders);
    for mutant in
        ["FreezeHeadOnly", "FreezeRelaxed", "SearchRelaxed", "CurrentRelaxed", "PublishRelaxed"]
    {
        assert_race_caught("move_against_charge", Some(2), mutant, race, orders);
    }
}

/// Guarantees A and D: a key with charges in two buckets is charged while it moves: a thread that
/// finds the moved counter sees both buckets.
#[test]
fn publish() {
    let before = &[(A, 3, 2), (A, 4, 1)];
    let race = |threads| Race { limit: 4, slots: 2, before, threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Charge(A, 5, 2)], &[Renew(5), Finish(5)]],
        &[&[Renew(5), Finish(5)], &[Charge(A, 5, 2)]],
    ];
    assert_race_holds("publish", Some(2), 53_000, race, orders);
    assert_race_caught("publish", Some(2), "PublishHeadFirst", race, orders);
    assert_race_caught("publish", Some(2), "OriginAtCutoff", race, orders);
}

/// Guarantees A and D: a key is first charged during a move. Its home is not in the chunk that is
/// moved first.
#[test]
fn absent_against_move() {
    let race = |threads| Race { limit: 3, slots: 2, before: &[], threads, admitted: Some(1) };
    let orders: [&[&[Op]]; 2] = [
        &[&[Charge(Z, 5, 2)], &[Renew(5), Charge(Z, 5, 2)]],
        &[&[Renew(5), Charge(Z, 5, 2)], &[Charge(Z, 5, 2)]],
    ];
    assert_race_holds("absent_against_move", Some(1), 1_040, race, orders);
    for mutant in ["NoFreezeEmpty", "FindRelaxed", "FreezeEmptyRelaxed"] {
        assert_race_caught("absent_against_move", Some(1), mutant, race, orders);
    }
    let three = race(&[&[Charge(Z, 5, 2)], &[Renew(5), Charge(Z, 5, 2)], &[Help(5)]]);
    // With no preemption this shows nothing, and with one it takes a minute.
    if extra_preemptions() > 0 {
        assert_holds("absent_against_move, three", Some(0), 100, three.body());
    }
}

/// Guarantees A and D: a move drops a key whose charges have expired while a thread with an old
/// time charges it.
#[test]
fn dropped() {
    let race = |threads| Race { limit: 4, slots: 2, before: &[(A, 2, 3)], threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Charge(A, 5, 2)], &[Renew(6), Finish(6)]],
        &[&[Renew(6), Finish(6)], &[Charge(A, 5, 2)]],
    ];
    assert_race_holds("dropped", Some(2), 1_300, race, orders);
    assert_race_caught("dropped", Some(2), "NoCutoff", race, orders);
}

/// Guarantees A and D: a renewal by a thread with a late clock does not lower the cutoff, so that
/// dropped keys stay dropped.
#[test]
fn late_renewal() {
    let race = |threads| Race { limit: 4, slots: 2, before: &[(A, 2, 3)], threads, admitted: None };
    let sequence: &[&[Op]] = &[&[Renew(6), Finish(6), Renew(3), Finish(3), Charge(A, 5, 2)]];
    assert_holds("late_renewal, sequential", None, 1, race(sequence).body());
    assert_caught("late_renewal, sequential", None, "CutoffBack", race(sequence).body());
    let threads: &[&[Op]] =
        &[&[Renew(6), Finish(6), Charge(A, 5, 2)], &[Renew(3), Finish(3), Charge(A, 5, 2)]];
    assert_holds("late_renewal", Some(1), 4_000, race(threads).body());
}

/// Guarantees A and D: helpers with different clocks drop the same keys.
#[test]
fn same_cutoff() {
    let race = |threads| Race { limit: 4, slots: 2, before: &[(A, 2, 3)], threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Help(7), Charge(A, 5, 2)], &[Renew(5), Finish(5)]],
        &[&[Renew(5), Finish(5)], &[Help(7), Charge(A, 5, 2)]],
    ];
    assert_race_holds("same_cutoff", Some(1), 340, race, orders);
    // Only the difference of the clocks matters, so one thread runs all steps in sequence.
    let sequence: &[&[Op]] = &[&[Renew(5), Help(7), Finish(5), Charge(A, 5, 2)]];
    assert_holds("same_cutoff, sequential", None, 1, race(sequence).body());
    assert_caught("same_cutoff, sequential", None, "DropByOwnNow", race(sequence).body());
}

/// Guarantees A, C and D: a charge is given back while its key moves to another array.
#[test]
fn refund_against_move() {
    let race = |threads| Race { limit: 4, slots: 2, before: &[(A, 4, 2)], threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Refund(0), Charge(A, 5, 3)], &[Renew(5), Finish(5)]],
        &[&[Renew(5), Finish(5)], &[Refund(0), Charge(A, 5, 3)]],
    ];
    assert_race_holds("refund_against_move", Some(1), 690, race, orders);
    assert_race_caught("refund_against_move", Some(1), "RefundStores", race, orders);
}

/// Guarantees A, C and D: a move does not restore units that were given back before it or during
/// it.
#[test]
fn refund_lasts() {
    let before = &[(A, 4, 2)];
    let race = |threads| Race { limit: 4, slots: 2, before, threads, admitted: Some(1) };
    let orders: [&[&[Op]]; 2] = [
        &[&[Refund(0), Charge(A, 5, 4)], &[Renew(5), Finish(5)]],
        &[&[Renew(5), Finish(5)], &[Refund(0), Charge(A, 5, 4)]],
    ];
    assert_race_holds("refund_lasts", Some(1), 690, race, orders);
    assert_race_caught("refund_lasts", Some(1), "RefundMoved", race, orders);
}

/// Guarantees A and D: a move does not restore units that were reset before it or during it.
#[test]
fn reset_lasts() {
    // Two words, since the head is reset in another way than the other words.
    let before = &[(A, 3, 1), (A, 4, 1)];
    let race = |threads| Race { limit: 2, slots: 2, before, threads, admitted: Some(1) };
    let orders: [&[&[Op]]; 2] = [
        &[&[Reset(A), Charge(A, 5, 2)], &[Renew(5), Finish(5)]],
        &[&[Renew(5), Finish(5)], &[Reset(A), Charge(A, 5, 2)]],
    ];
    assert_race_holds("reset_lasts", Some(1), 800, race, orders);
    assert_race_caught("reset_lasts", Some(1), "RefundMoved", race, orders);
    assert_race_caught("reset_lasts", Some(1), "RefundLoadRelaxed", race, orders);
}

/// Guarantees B and D: a peek finds the key in either array.
#[test]
fn peek_against_move() {
    let race = |threads| Race { limit: 4, slots: 2, before: &[(A, 3, 2)], threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Charge(A, 5, 1), Peek(A, 5)], &[Renew(5), Finish(5)]],
        &[&[Renew(5), Finish(5)], &[Charge(A, 5, 1), Peek(A, 5)]],
    ];
    assert_race_holds("peek_against_move", Some(1), 2_300, race, orders);
    for mutant in ["PreviousRelaxed", "UnlinkRelaxed"] {
        assert_race_caught("peek_against_move", Some(1), mutant, race, orders);
    }
}

/// Guarantees A and D: a thread that may take the fast path after a move sees the moved keys.
#[test]
fn fast_path_sees_moved_keys() {
    let body = |swap: bool| {
        move || {
            let table = Arc::new(ModelTable::tiny(Ring::<WORDS>::spec(4), 2, 0, 1));
            assert!(charge(&table, 4, KeyId::new(A), 3, 2).outcome.admitted);
            let (mine, other) = (table.clone(), table);
            let renew = |table: &ModelTable| {
                table.start_resize(5, 0);
                while !table.help_once(5) {}
            };
            let look = |table: &ModelTable| {
                let misses = table.fast_path_misses(KeyId::new(A), 5);
                assert!(!misses, "the fast path does not see a moved key");
            };
            let thread = thread::spawn(move || if swap { renew(&other) } else { look(&other) });
            if swap {
                look(&mine)
            } else {
                renew(&mine)
            }
            thread.join().unwrap();
        }
    };
    super::assert_holds_in_both_orders("fast_path_sees_moved_keys", 4, body);
    for mutant in ["FastTicksRelaxed", "FastOpenRelaxed"] {
        super::assert_caught_in_an_order("fast_path_sees_moved_keys", None, mutant, body);
    }
}

/// Guarantees A and D: a thread that unlinks the old array sees what every helper has moved.
#[test]
fn chunks_done() {
    let race = |threads| Race { limit: 4, slots: 2, before: &[(A, 3, 2)], threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Charge(A, 5, 1), Peek(A, 5)], &[Renew(5), Help(5)], &[Help(5)]],
        &[&[Help(5)], &[Renew(5), Help(5)], &[Charge(A, 5, 1), Peek(A, 5)]],
    ];
    assert_race_holds("chunks_done", Some(2), 16_900, race, orders);
    assert_race_caught("chunks_done", Some(2), "DoneRelaxed", race, orders);
    assert_race_caught("chunks_done", Some(2), "AllDoneRelaxed", race, orders);
}

/// Guarantees A and D: a migration ends when every chunk is moved, not when every chunk is taken.
#[test]
fn end_of_migration() {
    let race = |threads| Race { limit: 4, slots: 2, before: &[(A, 4, 2)], threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Renew(5), Help(5), Help(5), Charge(A, 5, 3)], &[Help(5)]],
        &[&[Help(5)], &[Renew(5), Help(5), Help(5), Charge(A, 5, 3)]],
    ];
    // Loom explores too little in the other order.
    assert_holds("end_of_migration", Some(2), 490, race(orders[0]).body());
    assert_race_caught("end_of_migration", Some(2), "TakenIsDone", race, orders);
}

/// Guarantees A and D: two renewals in a row while a thread still uses the first array.
#[test]
fn two_generations() {
    let race = |threads| Race { limit: 4, slots: 1, before: &[(A, 4, 2)], threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Charge(A, 5, 2)], &[Renew(5), Finish(5), Renew(5), Finish(5)]],
        &[&[Renew(5), Finish(5), Renew(5), Finish(5)], &[Charge(A, 5, 2)]],
    ];
    // The other order has two million executions: only in a search with a greater bound.
    assert_holds("two_generations", Some(1), 180_000, race(orders[0]).body());
    if extra_preemptions() > 0 {
        assert_holds("two_generations, swapped", Some(1), 980_000, race(orders[1]).body());
    }
    assert_race_caught("two_generations", Some(1), "NoFreeze", race, orders);
    let orders: [&[&[Op]]; 2] = [
        &[&[Charge(A, 5, 2)], &[Renew(5), Finish(5), Renew(5)]],
        &[&[Renew(5), Finish(5), Renew(5)], &[Charge(A, 5, 2)]],
    ];
    assert_race_holds("two_generations, unfinished", Some(1), 1_000, race, orders);
    let orders: [&[&[Op]]; 2] = [
        &[&[Help(5), Charge(A, 5, 2)], &[Renew(5), Finish(5), Renew(5)]],
        &[&[Renew(5), Finish(5), Renew(5)], &[Help(5), Charge(A, 5, 2)]],
    ];
    assert_race_holds("two_generations, helpers", Some(1), 1_000, race, orders);
}

/// Guarantees A and D: an eviction forgives at most its allowance, even if the key is charged
/// meanwhile.
#[test]
fn evict_against_charge() {
    let race = |threads| Race { limit: 3, slots: 2, before: &[(A, 3, 1)], threads, admitted: None };
    let orders: [&[&[Op]]; 2] = [
        &[&[Charge(A, 5, 1), Charge(A, 5, 3)], &[Evict(5, 1), Finish(5)]],
        &[&[Evict(5, 1), Finish(5)], &[Charge(A, 5, 1), Charge(A, 5, 3)]],
    ];
    assert_race_holds("evict_against_charge", Some(1), 1_280, race, orders);
    assert_race_caught("evict_against_charge", Some(1), "NoFreeze", race, orders);
}

/// Guarantees A, C and D: a charge that an eviction has forgiven is not given back again. That
/// would take units that the key was charged later.
#[test]
fn refund_after_eviction() {
    let body = |swap: bool| {
        move || {
            let limit = 3;
            let table =
                Arc::new(ModelTable::tiny(TimeScale::tiny(WINDOW, limit, WORDS as u64), 2, 1, 1));
            let charge = move |table: &ModelTable, now: u64, cost: u64| {
                charge(table, limit, KeyId::new(A), now, cost)
            };
            let charged = charge(&table, 3, 1);
            assert!(charged.outcome.admitted);
            let evicting = {
                let table = table.clone();
                move || {
                    table.start_resize(5, 1);
                    while !table.help_once(5) {}
                    let others = charge(&table, 5, 3).outcome.admitted;
                    assert!(others, "the first charge was given back or forgiven");
                }
            };
            let refunding = {
                let table = table.clone();
                move || {
                    table.give_back(KeyId::new(A), 5, Some(charged.receipt(1)), 1, &pin());
                }
            };
            let other = if swap {
                thread::spawn(evicting.clone())
            } else {
                thread::spawn(refunding.clone())
            };
            if swap {
                refunding()
            } else {
                evicting()
            }
            other.join().unwrap();
            let args = ChargeArgs { now: 5, cost: 0, limit };
            assert_eq!(
                table.peek(KeyId::new(A), &args, &pin()).used,
                3,
                "units of another charge were taken"
            );
        }
    };
    for swap in [false, true] {
        assert_holds("refund_after_eviction", Some(2), 570, body(swap));
    }
    super::assert_caught_in_an_order("refund_after_eviction", Some(2), "RefundForgiven", body);
}

/// A key with too much usage to be evicted gives units back, before, during or after the move.
fn refund_race<C: ModelCounter>(swap: bool) -> impl Fn() + Send + Sync {
    move || {
        let (limit, key) = (6, KeyId::new(A));
        let table = Arc::new(Table::<C>::tiny(C::spec(limit), 2, 1, 1));
        let charged = [2, 1].map(|cost| charge(&table, limit, key, 3, cost));
        let evicting = {
            let table = table.clone();
            move || {
                table.start_resize(3, 1);
                while !table.help_once(3) {}
            }
        };
        let refunding = {
            let table = table.clone();
            move || {
                let given = table.give_back(key, 3, Some(charged[1].receipt(1)), 1, &pin());
                assert_eq!(given.units, 1, "nothing was evicted");
            }
        };
        let other =
            if swap { thread::spawn(evicting.clone()) } else { thread::spawn(refunding.clone()) };
        if swap {
            refunding()
        } else {
            evicting()
        }
        other.join().unwrap();
        let args = ChargeArgs { now: 3, cost: 0, limit };
        assert_eq!(table.peek(key, &args, &pin()).used, 2);
        // A charge made in the new array can be given back too.
        let again = charge(&table, limit, KeyId::new(B), 3, 1);
        let given = table.give_back(KeyId::new(B), 3, Some(again.receipt(1)), 1, &pin());
        assert_eq!(given.units, 1, "the charge was made after the eviction");
    }
}

/// Guarantees C and D: a refund finds the key and its age in either array.
#[test]
fn refund_after_move() {
    let mutants = ["AgeNotCarried", "AgeLate", "AgeUnfenced"];
    let ring = refund_race::<Ring<WORDS>>;
    let quota = refund_race::<Quota>;
    for swap in [false, true] {
        assert_holds("refund_after_move", Some(2), 2_400, ring(swap));
        assert_holds("refund_after_move, budget", Some(2), 460, quota(swap));
    }
    for mutant in mutants.into_iter().chain(["ReceiptWithoutGeneration"]) {
        super::assert_caught_in_an_order("refund_after_move", Some(2), mutant, ring);
    }
    for mutant in mutants.into_iter().chain(["QuotaInstallRelaxed"]) {
        super::assert_caught_in_an_order("refund_after_move, budget", Some(2), mutant, quota);
    }
}

/// A give-back of units in two buckets takes no more than its amount, even if the key is moved
/// after the first bucket was changed: the rest of the newer bucket belongs to others.
fn refund_race_in_parts(swap: bool) -> impl Fn() + Send + Sync {
    move || {
        let (limit, key) = (3, KeyId::new(A));
        let table = Arc::new(ModelTable::tiny(Ring::<WORDS>::spec(limit), 2, 0, 1));
        let charged = charge(&table, limit, key, 3, 1);
        // In the next bucket: one unit of the same caller, and one of others.
        charge(&table, limit, key, 5, 2);
        let moving = {
            let table = table.clone();
            move || {
                table.start_resize(5, 0);
                while !table.help_once(5) {}
            }
        };
        let refunding = {
            let table = table.clone();
            move || {
                let given = table.give_back(key, 5, Some(charged.receipt(1)), 2, &pin());
                assert_eq!(given.units, 2);
            }
        };
        let other =
            if swap { thread::spawn(moving.clone()) } else { thread::spawn(refunding.clone()) };
        if swap {
            refunding()
        } else {
            moving()
        }
        other.join().unwrap();
        let args = ChargeArgs { now: 5, cost: 0, limit };
        assert_eq!(table.peek(key, &args, &pin()).used, 1, "others' units were taken");
    }
}

/// Guarantees C and D: see [`refund_race_in_parts`].
#[test]
fn refund_in_parts() {
    for swap in [false, true] {
        assert_holds("refund_in_parts", Some(2), 1_360, refund_race_in_parts(swap));
    }
    let mutant = "GivenTwice";
    super::assert_caught_in_an_order("refund_in_parts", Some(2), mutant, refund_race_in_parts);
}

/// Guarantees A and D: a move keeps a key that was charged after the cutoff, even if nothing is
/// used any more. That charge may have overwritten charges that are live at the cutoff.
#[test]
fn seen_later() {
    let before = &[(A, 2, 3), (A, 6, 1)];
    let race = |threads| Race { limit: 3, slots: 2, before, threads, admitted: None };
    let sequence: &[&[Op]] = &[&[Refund(1), Renew(5), Finish(5), Charge(A, 5, 3)]];
    assert_holds("seen_later, sequential", None, 1, race(sequence).body());
    assert_caught("seen_later, sequential", None, "DropsLater", race(sequence).body());
    let threads: &[&[Op]] = &[&[Refund(1), Charge(A, 5, 3)], &[Renew(5), Finish(5)]];
    assert_holds("seen_later", Some(1), 870, race(threads).body());
}

/// Guarantees D and F: an array is retired once, after it was unlinked, and freed when no reader
/// has it pinned.
#[test]
fn retire_against_pinned_reader() {
    let with_checked_reads = |threads: &'static [&'static [Op]], admitted| {
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
            &[&[Charge(A, 5, 1)], &[Renew(5), Finish(5), Free(2)]],
            &[&[Renew(5), Finish(5), Free(2)], &[Charge(A, 5, 1)]],
        ];
        with_checked_reads(orders[usize::from(swap)], Some(2))
    };
    for swap in [false, true] {
        assert_holds("retire_against_pinned_reader", Some(2), 120_000, reader(swap));
    }
    let mutants = [
        "FreedAtOnce",
        "FreedEarly",
        "HeldIgnored",
        "LastRecordSkipped",
        "NoHeavyFence",
        "NoLightFence",
        "ScanRelaxed",
        "UnpinRelaxed",
    ];
    for mutant in mutants {
        super::assert_caught_in_an_order("retire_against_pinned_reader", Some(2), mutant, reader);
    }
    let helpers: &[&[Op]] = &[&[Renew(5), Finish(5)], &[Finish(5)]];
    assert_holds("retire, two helpers", Some(3), 3_700, with_checked_reads(helpers, None));
    assert_caught(
        "retire, two helpers",
        Some(3),
        "ChunkCountedTwice",
        with_checked_reads(helpers, None),
    );
    assert_caught(
        "retire, two helpers",
        Some(3),
        "UnlinkStores",
        with_checked_reads(helpers, None),
    );
}
