//! Calls that move chunks until a move has ended, while another helper has taken a chunk and may be
//! stopped. None of these calls waits for that helper.

use super::race::{A, B, ModelCounter, WORDS, charge};
use super::{assert_caught_in_an_order, assert_holds};
use crate::counter::ChargeArgs;
use crate::counter::sliding::Ring;
use crate::reclaim::pin;
use crate::table::{Bounds, KeyId, Table};
use loom::thread;
use std::sync::Arc;

type ModelTable = Table<Ring<WORDS>>;

const LIMIT: u64 = 4;
/// The time of the move.
const NOW: u64 = 5;
/// A time at which every array of [`NOW`] is due for renewal.
const LATE: u64 = 1 << 60;

/// Races a call with a helper that moves one chunk. `usage` is the expected usage of each key at
/// `end`.
fn race(
    call: impl Fn(&ModelTable) + Copy + Send + Sync + 'static,
    end: u64,
    usage: &'static [(u64, u64)],
    swap: bool,
) -> impl Fn() + Send + Sync + 'static {
    move || {
        // The first array has room for one key. Its two chunks move to an array of the same size.
        let bounds = Bounds { max_keys: 4, allowance: 0 };
        let table = Arc::new(ModelTable::new(Ring::<WORDS>::spec(LIMIT), bounds, 1).unwrap());
        assert!(charge(&table, LIMIT, KeyId::new(A), 3, 2).outcome.admitted);
        table.start_resize(NOW, 0);
        let other = table.clone();
        let help = |table: &ModelTable| _ = table.help_once(NOW);
        if swap {
            let calling = thread::spawn(move || call(&other));
            help(&table);
            calling.join().unwrap();
        } else {
            let helping = thread::spawn(move || help(&other));
            call(&table);
            helping.join().unwrap();
        }
        while !table.help_once(end) {}
        for &(key, units) in usage {
            let args = ChargeArgs { now: end, cost: 0, limit: LIMIT };
            assert_eq!(table.peek(KeyId::new(key), &args, &pin()).used, units, "key {key}");
            assert!(table.slots_holding(KeyId::new(key)) <= 1, "a key has two slots");
        }
    }
}

/// Asserts that the model holds in both orders of its threads, and fails if the call waits.
fn check<B: Fn() + Send + Sync + 'static>(name: &str, floor: usize, body: impl Fn(bool) -> B) {
    for swap in [false, true] {
        assert_holds(name, Some(2), floor, body(swap));
    }
    assert_caught_in_an_order(name, Some(2), "HelperAwaited", body);
}

/// Guarantee D: a new key that finds the next array full moves the remaining chunks itself.
#[test]
fn insert_against_helper() {
    let call = |table: &ModelTable| {
        assert!(charge(table, LIMIT, KeyId::new(B), NOW, 1).outcome.admitted);
    };
    check("insert_against_helper", 610, |swap| race(call, NOW, &[(A, 2), (B, 1)], swap));
}

/// Guarantee D: a charge that renews an array by age first completes the move into it.
#[test]
fn renewal_against_helper() {
    let call = |table: &ModelTable| {
        // Not the known key, whose own chunk this call would move in any case.
        assert!(charge(table, LIMIT, KeyId::new(B), LATE, 1).outcome.admitted);
    };
    check("renewal_against_helper", 290, |swap| race(call, LATE, &[(B, 1)], swap));
}

/// Guarantees A and D: a charge of a request with several is prepared in the old array, while a helper
/// moves its key. It is made once, in the old array or in the new one.
#[test]
fn prepared_against_helper() {
    let call = |table: &ModelTable| {
        let (guard, args) = (pin(), ChargeArgs { now: NOW, cost: 1, limit: LIMIT });
        let evaluated = table.evaluate_during_move(KeyId::new(A), &args, &guard);
        let is_committed = evaluated
            .is_some_and(|(_, prepared)| prepared.expect("the limit leaves room").commit());
        if !is_committed {
            table.charge(KeyId::new(A), &args, &guard).expect("room");
        }
    };
    let body = |swap| race(call, NOW, &[(A, 3)], swap);
    for swap in [false, true] {
        assert_holds("prepared_against_helper", Some(2), 1_700, body(swap));
    }
    assert_caught_in_an_order("prepared_against_helper", Some(2), "NoFreeze", body);
}

/// Guarantee D: maintenance moves each chunk that is not done, also one that a helper has taken.
#[test]
fn maintenance_against_helper() {
    let call = |table: &ModelTable| {
        assert!(table.maintain(100, NOW, &pin()), "work was left");
    };
    check("maintenance_against_helper", 180, |swap| race(call, NOW, &[(A, 2)], swap));
}
