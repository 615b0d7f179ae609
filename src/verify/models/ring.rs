//! The ring: admissions at a change of cell, denials, peeks, refunds and merges.

use super::{assert_caught, assert_caught_in_an_order, assert_holds, assert_holds_in_both_orders};
use crate::counter::prepared::PreparedCharge;
use crate::counter::sliding::sum::ScalarSum;
use crate::counter::sliding::time_scale::TimeScale;
use crate::counter::sliding::{Ring, SHORT};
use crate::counter::{ChargeArgs, Counter, Moved, Since, TimeBase};
use loom::thread;
use std::sync::{Arc, Mutex};

/// A window of 4 ticks in 3 buckets has cells of 2 ticks.
pub(super) const WORDS: usize = 3;
const WINDOW: u64 = 4;
pub(super) const FIRST: TimeBase = TimeBase::new(0, 1, u64::MAX);

pub(super) type ModelRing = Ring<WORDS>;

/// Admitted charges, as (time, cost).
pub(super) type Log = Arc<Mutex<Vec<(u64, u64)>>>;

pub(super) fn scale(limit: u64) -> TimeScale {
    scale_of::<WORDS>(limit)
}

fn scale_of<const R: usize>(limit: u64) -> TimeScale {
    TimeScale::tiny(WINDOW, limit, R as u64)
}

pub(super) fn charge<const R: usize>(
    ring: &Ring<R>,
    limit: u64,
    log: &Log,
    now: u64,
    cost: u64,
) -> Result<bool, Moved> {
    charge_at(ring, FIRST, limit, log, now, cost)
}

pub(super) fn charge_at<const R: usize>(
    ring: &Ring<R>,
    base: TimeBase,
    limit: u64,
    log: &Log,
    now: u64,
    cost: u64,
) -> Result<bool, Moved> {
    let (scale, args) = (scale_of::<R>(limit), ChargeArgs { now, cost, limit });
    // Like a table: prepare and commit, or charge in the retry loop if that fails.
    let evaluated = if base.covers(now) && cost > 0 {
        ring.prepare(&scale, base, &args, ScalarSum)
    } else {
        None
    };
    let outcome = match evaluated {
        Some((outcome, prepared)) if prepared.is_none_or(PreparedCharge::commit) => outcome,
        _ => ring.charge(&scale, base, &args)?,
    };
    if outcome.admitted {
        log.lock().unwrap().push((outcome.at, cost));
    }
    Ok(outcome.admitted)
}

/// A ring and its log after these charges.
pub(super) fn charged_ring<const R: usize>(
    limit: u64,
    before: &[(u64, u64)],
) -> (Arc<Ring<R>>, Log) {
    let (ring, log) = (Arc::new(Ring::zeroed()), Log::default());
    for &(now, cost) in before {
        assert_eq!(charge(&ring, limit, &log, now, cost), Ok(true));
    }
    (ring, log)
}

/// Gives one charge back and removes it from the log.
fn give_back<const R: usize>(ring: &Ring<R>, limit: u64, log: &Log, (at, cost): (u64, u64)) {
    log.lock().unwrap().retain(|charge| *charge != (at, cost));
    assert_eq!(refund(ring, limit, at, cost), Ok(cost));
}

/// Gives a charge back and returns the number of units that were still counted.
fn refund<const R: usize>(ring: &Ring<R>, limit: u64, at: u64, cost: u64) -> Result<u64, Moved> {
    let mut rest = cost;
    ring.give_back(&scale_of::<R>(limit), FIRST, at, Since::tick(Some(at)), &mut rest)?;
    Ok(cost - rest)
}

/// Asserts that no window of recorded times exceeds the limit, and that the ring counts all live
/// charges.
pub(super) fn assert_invariants<const R: usize>(
    ring: &Ring<R>,
    base: TimeBase,
    limit: u64,
    log: &Log,
) {
    let scale = scale_of::<R>(limit);
    let mut admitted = log.lock().unwrap().clone();
    admitted.sort_unstable();
    for &(end, _) in &admitted {
        let window = admitted.iter().filter(|(at, _)| *at <= end && end - at < WINDOW);
        let sum: u64 = window.map(|(_, cost)| cost).sum();
        assert!(sum <= limit, "over-admitted {sum} of {limit}: {admitted:?}");
    }
    let now = admitted.last().map_or(base.cutoff, |(at, _)| *at);
    let args = ChargeArgs { now, cost: 0, limit };
    let seen = ring.peek(&scale, base, &args).expect("no move is in progress");
    let live = admitted.iter().filter(|(at, _)| *at + WINDOW > seen.at).map(|(_, cost)| cost);
    let live: u64 = live.sum();
    assert!(seen.used >= live, "forgot a charge: {} of {live}", seen.used);
    ring.assert_ordered(&scale);
}

fn charge_all<const R: usize>(ring: &Ring<R>, limit: u64, log: &Log, charges: &[(u64, u64)]) {
    for &(now, cost) in charges {
        charge(ring, limit, log, now, cost).expect("no move is in progress");
    }
}

/// Races threads that each make some charges, on a ring with the charges in `before`.
fn race(
    limit: u64,
    before: &'static [(u64, u64)],
    threads: &'static [&'static [(u64, u64)]],
) -> impl Fn() + Send + Sync + 'static {
    race_in::<WORDS>(limit, before, threads)
}

fn race_in<const R: usize>(
    limit: u64,
    before: &'static [(u64, u64)],
    threads: &'static [&'static [(u64, u64)]],
) -> impl Fn() + Send + Sync + 'static {
    move || {
        let (ring, log) = charged_ring::<R>(limit, before);
        let others: Vec<_> = threads[1..]
            .iter()
            .map(|charges| {
                let (ring, log) = (ring.clone(), log.clone());
                thread::spawn(move || charge_all(&ring, limit, &log, charges))
            })
            .collect();
        charge_all(&ring, limit, &log, threads[0]);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_invariants(&ring, FIRST, limit, &log);
    }
}

/// Guarantees A and D: two or three threads charge in the head's cell and in the next ones: one
/// seals the head and opens the next word.
#[test]
fn cell_change() {
    let two = || race(4, &[(2, 1), (4, 1)], &[&[(6, 2)], &[(5, 2)]]);
    assert_holds("cell_change", None, 140, two());
    let swapped = || race(4, &[(2, 1), (4, 1)], &[&[(5, 2)], &[(6, 2)]]);
    assert_holds("cell_change, swapped", None, 14, swapped());
    for mutant in ["NoSeal", "SealedWaits", "PreparedMarked", "LostLoopAdmitted"] {
        assert_caught("cell_change", None, mutant, two());
    }
    let three = || race(4, &[(2, 1), (4, 1)], &[&[(6, 2)], &[(5, 2)], &[(8, 2)]]);
    assert_holds("cell_change, three", Some(1), 3_700, three());
    assert_caught("cell_change, three", Some(1), "NoSeal", three());
}

/// Guarantees A and D: threads open the first words of a new ring.
#[test]
fn first_charge() {
    assert_holds("first_charge", None, 6, race(4, &[], &[&[(6, 3)], &[(5, 2)]]));
    assert_holds("first_charge, swapped", None, 6, race(4, &[], &[&[(5, 2)], &[(6, 3)]]));
    let three = race(4, &[(2, 1)], &[&[(6, 2)], &[(6, 2)], &[(7, 2)]]);
    assert_holds("first_charge, three", Some(2), 250, three);
}

/// Guarantees A and D: a thread has found the head, and then the ring wraps around once.
#[test]
fn wrap() {
    let late = || race(4, &[(2, 1), (4, 1), (6, 1)], &[&[(10, 3)], &[(8, 2), (10, 1)]]);
    assert_holds("wrap", None, 3_200, late());
    assert_caught("wrap", None, "SumBeforeHead", late());
    // In the shortest ring, the word in which the head was found is the head again.
    let shortest = |swap: bool| {
        let orders: [&[&[_]]; 2] =
            [&[&[(16, 2)], &[(13, 2), (16, 1)]], &[&[(13, 2), (16, 1)], &[(16, 2)]]];
        race_in::<2>(4, &[(11, 1)], orders[usize::from(swap)])
    };
    for swap in [false, true] {
        assert_holds("wrap, two words", Some(2), 75, shortest(swap));
    }
    assert_caught_in_an_order("wrap, two words", Some(2), "HeadRelaxed", shortest);
}

/// Guarantees A and D: a thread finds a new head. The previous head was charged once more before it
/// was sealed.
#[test]
fn scan() {
    let order = |first| move || race(4, &[(2, 1), (4, 1)], first);
    let late = order(&[&[(6, 2)], &[(5, 1), (6, 1)]]);
    assert_holds("scan", None, 780, late());
    let swapped = order(&[&[(5, 1), (6, 1)], &[(6, 2)]]);
    assert_holds("scan, swapped", None, 840, swapped());
    assert_caught("scan, swapped", None, "OpenRelaxed", swapped());
}

/// Guarantees A and D: a ring longer than [`SHORT`], whose live words are summed from the head
/// backwards.
#[test]
fn long() {
    const LONG: usize = SHORT + 1;
    let order = |threads| move || race_in::<LONG>(3, &[(2, 1), (3, 1), (4, 1)], threads);
    let late = order(&[&[(8, 2)], &[(5, 1), (6, 1), (8, 1)]]);
    assert_holds("long", None, 3_000, late());
    let swapped = order(&[&[(5, 1), (6, 1), (8, 1)], &[(8, 2)]]);
    assert_holds("long, swapped", None, 22_000, swapped());
    for mutant in ["SumBeforeHead", "OpenRelaxed"] {
        assert_caught("long, swapped", None, mutant, swapped());
    }
}

/// Guarantees A and D: a thread opens the word after a head that another thread has sealed.
#[test]
fn opener() {
    let late = || race(4, &[(2, 1), (4, 1), (6, 1)], &[&[(11, 3)], &[(9, 2), (10, 1), (12, 1)]]);
    assert_holds("opener", Some(3), 19_000, late());
    assert_caught("opener", Some(3), "SumBeforeSealed", late());
}

/// Guarantees A and D: a thread with an old time charges while another thread seals the head.
#[test]
fn late_time() {
    let before = &[(2, 2), (4, 1), (6, 1)];
    assert_holds("late_time", None, 760, race(4, before, &[&[(8, 2)], &[(3, 1), (7, 1)]]));
    assert_holds("late_time, swapped", None, 410, race(4, before, &[&[(3, 1), (7, 1)], &[(8, 2)]]));
    let with_room = || race(9, &[(2, 1), (4, 1), (6, 1)], &[&[(7, 1)], &[(3, 1)]]);
    assert_holds("late_time, with room", None, 8, with_room());
    assert_caught("late_time, with room", None, "OwnTime", with_room());
}

/// Guarantees A, B and D: charges in exact mode, where the limit is at most the number of words.
#[test]
fn exact() {
    let two = race(3, &[(2, 1), (4, 1), (5, 1)], &[&[(6, 1)], &[(5, 1), (8, 1)]]);
    assert_holds("exact", None, 8_400, two);
    let three = race(2, &[(2, 1), (4, 1)], &[&[(6, 1)], &[(8, 1)], &[(7, 1)]]);
    assert_holds("exact, three", Some(1), 4_000, three);
}

/// Races a thread that gives back one of the charges in `before` with threads that charge.
fn refund_race(
    limit: u64,
    before: &'static [(u64, u64)],
    refunded: usize,
    threads: &'static [&'static [(u64, u64)]],
) -> impl Fn() + Send + Sync + 'static {
    move || {
        let (ring, log) = charged_ring::<WORDS>(limit, before);
        let others: Vec<_> = threads
            .iter()
            .map(|charges| {
                let (ring, log) = (ring.clone(), log.clone());
                thread::spawn(move || charge_all(&ring, limit, &log, charges))
            })
            .collect();
        let (at, cost) = before[refunded];
        // From now on it no longer counts as admitted.
        log.lock().unwrap().retain(|charge| *charge != (at, cost));
        refund(&ring, limit, at, cost).expect("no move is in progress");
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_invariants(&ring, FIRST, limit, &log);
    }
}

/// Guarantees A, C and D: a charge is given back while its bucket is sealed.
#[test]
fn refund_against_seal() {
    let seal = || refund_race(5, &[(2, 1), (4, 2)], 1, &[&[(6, 2), (7, 2)]]);
    assert_holds("refund_against_seal", None, 17, seal());
    assert_caught("refund_against_seal", None, "RefundStores", seal());
    let three = || refund_race(5, &[(2, 1), (4, 2)], 1, &[&[(6, 2)], &[(5, 3)]]);
    assert_holds("refund_against_seal, three", Some(3), 5_200, three());
    assert_caught("refund_against_seal, three", Some(3), "RefundUnseals", three());
}

/// Guarantees A, C and D: a refund makes room for one charge only, even if the head returns to a
/// value that a charging thread has seen.
#[test]
fn refund_for_one() {
    let race = || refund_race(1, &[(3, 1)], 0, &[&[(3, 1)], &[(3, 1)]]);
    assert_holds("refund_for_one", Some(3), 940, race());
    assert_caught("refund_for_one", Some(3), "HeadSeenTwice", race());
}

/// Guarantees A, C and D: a charge is given back and made again, so that the head returns to the
/// value that a slow thread has seen.
#[test]
fn refund_and_again() {
    let body = |swap: bool| {
        move || {
            let limit = 5;
            let (ring, log) = charged_ring::<WORDS>(limit, &[(4, 3), (5, 2)]);
            let again = {
                let (ring, log) = (ring.clone(), log.clone());
                move || {
                    give_back(&ring, limit, &log, (5, 2));
                    charge_all(&ring, limit, &log, &[(5, 2)]);
                }
            };
            let other = {
                let (ring, log) = (ring.clone(), log.clone());
                move || charge_all(&ring, limit, &log, &[(5, 2)])
            };
            if swap {
                let thread = thread::spawn(again);
                other();
                thread.join().unwrap();
            } else {
                let thread = thread::spawn(other);
                again();
                thread.join().unwrap();
            }
            assert_invariants(&ring, FIRST, limit, &log);
        }
    };
    assert_holds_in_both_orders("refund_and_again", 67, body);
    assert_caught_in_an_order("refund_and_again", None, "HeadSeenTwice", body);
}

/// Guarantees A, C and D: a word is opened while the head is refunded. The new word's units still
/// count after the refunded charge would have expired.
#[test]
fn refund_against_opening() {
    let body = |swap: bool| {
        move || {
            let limit = 5;
            let (ring, log) = charged_ring::<WORDS>(limit, &[(2, 1), (4, 2)]);
            let refund_and_charge = {
                let (ring, log) = (ring.clone(), log.clone());
                move || {
                    give_back(&ring, limit, &log, (4, 2));
                    charge_all(&ring, limit, &log, &[(8, 5)]);
                }
            };
            let open = {
                let (ring, log) = (ring.clone(), log.clone());
                move || charge_all(&ring, limit, &log, &[(6, 2)])
            };
            let other = if swap {
                thread::spawn(refund_and_charge.clone())
            } else {
                thread::spawn(open.clone())
            };
            if swap {
                open()
            } else {
                refund_and_charge()
            }
            other.join().unwrap();
            assert_invariants(&ring, FIRST, limit, &log);
        }
    };
    assert_holds_in_both_orders("refund_against_opening", 320, body);
}

/// Races a charge with a give-back of 5 units that are then charged in a new cell. A denial must
/// not mix loads from before and after. The limit is 11, and at no instant are more than 6 units
/// used. So no answer reports more, and 5 more units always have room.
fn denial_of(cost: u64) -> impl Fn() + Send + Sync + 'static {
    move || {
        let limit = 11;
        let (ring, log) = charged_ring::<WORDS>(limit, &[(3, 5), (4, 1)]);
        let other = {
            let (ring, log) = (ring.clone(), log.clone());
            thread::spawn(move || {
                let args = ChargeArgs { now: 5, cost, limit };
                let outcome =
                    ring.charge(&scale(limit), FIRST, &args).expect("no move is in progress");
                if outcome.admitted {
                    log.lock().unwrap().push((outcome.at, cost));
                } else {
                    assert!(cost > 5, "denied although there is room");
                    assert!(outcome.used <= 6, "reported more than was ever used");
                }
            })
        };
        give_back(&ring, limit, &log, (3, 5));
        let admitted = charge(&ring, limit, &log, 6, 5).expect("no move is in progress");
        assert!(admitted || cost > 5, "denied although there is room");
        other.join().unwrap();
        assert_invariants(&ring, FIRST, limit, &log);
    }
}

/// Guarantees B and D: see [`denial_of`].
#[test]
fn denial() {
    assert_holds("denial", None, 2_900, denial_of(5));
    assert_holds("denial_report", None, 8_100, denial_of(6));
    assert_caught("denial_report", None, "NoValidate", denial_of(6));
    assert_caught("denial_report", None, "NoValidateFence", denial_of(6));
}

/// Races a peek with a thread that gives units back and charges them again. At no instant are more
/// than 6 used, so 5 more always have room in 11.
fn peek_race(spend_at: u64, peeks_first: bool) -> impl Fn() + Send + Sync + 'static {
    move || {
        let limit = 11;
        let (ring, log) = charged_ring::<WORDS>(limit, &[(3, 5), (4, 1)]);
        let spend = {
            let (ring, log) = (ring.clone(), log.clone());
            move || {
                give_back(&ring, limit, &log, (3, 5));
                assert_eq!(charge(&ring, limit, &log, spend_at, 5), Ok(true));
            }
        };
        let peek = move || {
            let args = ChargeArgs { now: 5, cost: 5, limit };
            let seen = ring.peek(&scale(limit), FIRST, &args).expect("no move is in progress");
            assert!(seen.admitted, "denied although there is room");
        };
        if peeks_first {
            let other = thread::spawn(spend);
            peek();
            other.join().unwrap();
        } else {
            let other = thread::spawn(peek);
            spend();
            other.join().unwrap();
        }
    }
}

/// Guarantees B and D: a peek must not deny. The units that were given back are charged in a new
/// cell or in the head's.
#[test]
fn denial_by_peek() {
    for (name, spend_at, floor) in [("denial_by_peek", 6, 1_500), ("denial_in_the_head", 5, 53)] {
        assert_holds_in_both_orders(name, floor, |peeks_first| peek_race(spend_at, peeks_first));
    }
    assert_caught_in_an_order("denial_by_peek", None, "PeekUnvalidated", |first| {
        peek_race(6, first)
    });
    assert_caught_in_an_order("denial_in_the_head", None, "WriteRelaxed", |first| {
        peek_race(5, first)
    });
}

/// A late thread opens the word after a sealed head. That word has expired at the time of the
/// thread's decision.
fn late_opener(swap: bool) -> impl Fn() + Send + Sync + 'static {
    move || {
        let limit = 3;
        let (ring, log) = charged_ring::<WORDS>(limit, &[(2, 1), (3, 1), (4, 1)]);
        give_back(&ring, limit, &log, (3, 1));
        let (mine, theirs): (&[_], &'static [_]) =
            if swap { (&[(5, 1), (5, 1)], &[(6, 1)]) } else { (&[(6, 1)], &[(5, 1), (5, 1)]) };
        let other = {
            let (ring, log) = (ring.clone(), log.clone());
            thread::spawn(move || charge_all(&ring, limit, &log, theirs))
        };
        charge_all(&ring, limit, &log, mine);
        other.join().unwrap();
        assert_invariants(&ring, FIRST, limit, &log);
    }
}

/// Every recorded time was read by some thread, and no two buckets share a cell.
fn late_cell(swap: bool) -> impl Fn() + Send + Sync + 'static {
    move || {
        let (ring, log) = charged_ring::<WORDS>(4, &[(2, 2), (4, 1), (6, 1)]);
        let (mine, theirs): (&[_], &'static [_]) =
            if swap { (&[(3, 1), (7, 1)], &[(8, 2)]) } else { (&[(8, 2)], &[(3, 1), (7, 1)]) };
        let other = {
            let (ring, log) = (ring.clone(), log.clone());
            thread::spawn(move || charge_all(&ring, 4, &log, theirs))
        };
        charge_all(&ring, 4, &log, mine);
        other.join().unwrap();
        assert_invariants(&ring, FIRST, 4, &log);
        let newest = log.lock().unwrap().iter().map(|(at, _)| *at).max();
        assert!(newest <= Some(8), "recorded a time that no clock has reached: {newest:?}");
    }
}

/// Guarantees A and D: see [`late_opener`] and [`late_cell`].
#[test]
fn effective_time() {
    assert_holds_in_both_orders("late_opener", 1_700, late_opener);
    assert_caught_in_an_order("late_opener", None, "NoNextExpiry", late_opener);
    assert_holds_in_both_orders("late_cell", 1_200, late_cell);
    assert_caught_in_an_order("late_cell", None, "NoNextCell", late_cell);
}

/// Guarantees A, C and D: after a refund of a middle word the sum has room, but the next word is
/// still live.
#[test]
fn merge() {
    let body = || {
        move || {
            let limit = 3;
            let (ring, log) = charged_ring::<WORDS>(limit, &[(2, 1), (3, 1), (4, 1)]);
            give_back(&ring, limit, &log, (3, 1));
            let other = {
                let (ring, log) = (ring.clone(), log.clone());
                thread::spawn(move || charge(&ring, limit, &log, 5, 1))
            };
            let mine = charge(&ring, limit, &log, 5, 1).unwrap();
            let theirs = other.join().unwrap().unwrap();
            assert!(mine != theirs, "exactly one of the two has room");
            assert_invariants(&ring, FIRST, limit, &log);
            // A charge whose bucket was merged into a later one can still be given back.
            assert_eq!(refund(&ring, limit, 4, 1), Ok(1), "a give-back was lost");
        }
    };
    assert_holds("merge", None, 8, body());
    assert_caught("merge", None, "NoMerge", body());
    assert_caught("merge", None, "NoRefundMerged", body());
}

/// Guarantees A, C and D: giving back an expired charge takes no units of other charges, even if
/// none of its own are left.
#[test]
fn expired_charge() {
    let body = |swap: bool| {
        move || {
            let limit = 3;
            let (ring, log) = charged_ring::<WORDS>(limit, &[(2, 1)]);
            let refunding = {
                let (ring, log) = (ring.clone(), log.clone());
                move || {
                    if refund(&ring, limit, 2, 1).unwrap() > 0 {
                        log.lock().unwrap().retain(|charge| *charge != (2, 1));
                    }
                }
            };
            let later = {
                let (ring, log) = (ring.clone(), log.clone());
                move || assert_eq!(charge(&ring, limit, &log, 6, 3), Ok(true), "all had expired")
            };
            let other =
                if swap { thread::spawn(refunding.clone()) } else { thread::spawn(later.clone()) };
            if swap {
                later()
            } else {
                refunding()
            }
            other.join().unwrap();
            assert_invariants(&ring, FIRST, limit, &log);
        }
    };
    assert_holds_in_both_orders("expired_charge", 14, body);
    assert_caught_in_an_order("expired_charge", None, "RefundExpired", body);
}
