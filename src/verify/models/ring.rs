//! The ring: admissions at a change of cell, denials, refunds, and moving.

use super::{catches, caught_in_one, holds, holds_in_both};
use crate::counter::prepared::PreparedCharge;
use crate::counter::sliding::time_scale::TimeScale;
use crate::counter::sliding::{Ring, SHORT};
use crate::counter::{Counter, Moved, Request, TimeBase};
use crate::verify::mutants::Breakage;
use loom::thread;
use std::sync::{Arc, Mutex};

/// A window of 4 ticks in 3 buckets: cells of 2 ticks.
const WORDS: usize = 3;
const WINDOW: u64 = 4;
const FIRST: TimeBase = TimeBase { origin: 0, cutoff: 1, renew_after: u64::MAX };

type TinyRing = Ring<WORDS>;
/// What was admitted, as (time, cost).
type Log = Arc<Mutex<Vec<(u64, u64)>>>;

fn scale(limit: u64) -> TimeScale {
    scale_of::<WORDS>(limit)
}

fn scale_of<const R: usize>(limit: u64) -> TimeScale {
    TimeScale::tiny(WINDOW, limit, R as u64)
}

fn charge<const R: usize>(
    ring: &Ring<R>,
    limit: u64,
    log: &Log,
    now: u64,
    cost: u64,
) -> Result<bool, Moved> {
    charge_at(ring, FIRST, limit, log, now, cost)
}

fn charge_at<const R: usize>(
    ring: &Ring<R>,
    base: TimeBase,
    limit: u64,
    log: &Log,
    now: u64,
    cost: u64,
) -> Result<bool, Moved> {
    let (scale, request) = (scale_of::<R>(limit), Request { now, cost, limit });
    // As a table does: by an offer, and the whole way if there is none or it stands no more.
    let outcome = match ring.prepare(&scale, base, &request) {
        Ok(Some((outcome, offer))) if offer.is_none_or(PreparedCharge::commit) => outcome,
        _ => ring.charge(&scale, base, &request)?,
    };
    if outcome.admitted {
        log.lock().unwrap().push((outcome.at, cost));
    }
    Ok(outcome.admitted)
}

/// A ring after some charges, one after the other.
fn prepared<const R: usize>(limit: u64, before: &[(u64, u64)]) -> (Arc<Ring<R>>, Log) {
    let (ring, log) = (Arc::new(Ring::zeroed()), Log::default());
    for &(now, cost) in before {
        assert_eq!(charge(&ring, limit, &log, now, cost), Ok(true));
    }
    (ring, log)
}

/// Gives one charge back, which from then on no longer counts as admitted.
fn give_back<const R: usize>(ring: &Ring<R>, limit: u64, log: &Log, (at, cost): (u64, u64)) {
    log.lock().unwrap().retain(|charge| *charge != (at, cost));
    assert_eq!(refund(ring, limit, at, cost), Ok(cost));
}

/// Gives a charge back and returns how much of it was still there.
fn refund<const R: usize>(ring: &Ring<R>, limit: u64, at: u64, cost: u64) -> Result<u64, Moved> {
    let mut rest = cost;
    ring.give_back(&scale_of::<R>(limit), FIRST, at, Some(at), &mut rest)?;
    Ok(cost - rest)
}

/// No window of recorded times exceeds the limit, and the ring remembers what is still live.
fn assert_lawful<const R: usize>(ring: &Ring<R>, base: TimeBase, limit: u64, log: &Log) {
    let scale = scale_of::<R>(limit);
    let mut admitted = log.lock().unwrap().clone();
    admitted.sort_unstable();
    for &(end, _) in &admitted {
        let window = admitted.iter().filter(|(at, _)| *at <= end && end - at < WINDOW);
        let sum: u64 = window.map(|(_, cost)| cost).sum();
        assert!(sum <= limit, "over-admitted {sum} of {limit}: {admitted:?}");
    }
    let now = admitted.last().map_or(base.cutoff, |(at, _)| *at);
    let ask = Request { now, cost: 0, limit };
    let seen = ring.peek(&scale, base, &ask).expect("nobody moves it now");
    let live = admitted.iter().filter(|(at, _)| *at + WINDOW > seen.at).map(|(_, cost)| cost);
    let live: u64 = live.sum();
    assert!(seen.used >= live, "forgot a charge: {} of {live}", seen.used);
    ring.assert_ordered(&scale);
}

fn charge_all<const R: usize>(ring: &Ring<R>, limit: u64, log: &Log, charges: &[(u64, u64)]) {
    for &(now, cost) in charges {
        charge(ring, limit, log, now, cost).expect("nobody moves it");
    }
}

/// Threads that each make some charges, after some that came before.
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
        let (ring, log) = prepared::<R>(limit, before);
        let others: Vec<_> = threads[1..]
            .iter()
            .map(|charges| {
                let (ring, log) = (ring.clone(), log.clone());
                thread::spawn(move || charge_all(&ring, limit, &log, charges))
            })
            .collect();
        charge_all(&ring, limit, &log, threads[0]);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_lawful(&ring, FIRST, limit, &log);
    }
}

#[test]
fn cell_change() {
    let two = || race(4, &[(2, 1), (4, 1)], &[&[(6, 2)], &[(5, 2)]]);
    holds("cell_change", None, 20, two());
    let swapped = || race(4, &[(2, 1), (4, 1)], &[&[(5, 2)], &[(6, 2)]]);
    holds("cell_change, swapped", None, 20, swapped());
    catches("cell_change", None, Breakage::NoSeal, two());
    catches("cell_change", None, Breakage::OfferMarked, two());
    catches("cell_change", None, Breakage::LostLoopAdmitted, two());
    let three = || race(4, &[(2, 1), (4, 1)], &[&[(6, 2)], &[(5, 2)], &[(8, 2)]]);
    holds("cell_change of three", Some(1), 500, three());
    catches("cell_change of three", Some(2), Breakage::NoSeal, three());
}

#[test]
fn first_charge() {
    holds("first_charge", None, 5, race(4, &[], &[&[(6, 3)], &[(5, 2)]]));
    holds("first_charge, swapped", None, 5, race(4, &[], &[&[(5, 2)], &[(6, 3)]]));
    let three = race(4, &[(2, 1)], &[&[(6, 2)], &[(6, 2)], &[(7, 2)]]);
    holds("opening together", Some(2), 80, three);
}

/// A thread that found the head long ago, while the ring went once around.
#[test]
fn wrap() {
    let late = || race(4, &[(2, 1), (4, 1), (6, 1)], &[&[(10, 3)], &[(8, 2), (10, 1)]]);
    holds("wrap", None, 100, late());
    catches("wrap", None, Breakage::SumBeforeHead, late());
}

/// A thread that finds the new head, behind one that was charged once more before it was sealed.
#[test]
fn filled() {
    let order = |first| move || race(4, &[(2, 1), (4, 1)], first);
    let late = order(&[&[(6, 2)], &[(5, 1), (6, 1)]]);
    holds("filled", None, 100, late());
    let swapped = order(&[&[(5, 1), (6, 1)], &[(6, 2)]]);
    holds("filled, swapped", None, 100, swapped());
    for what in [Breakage::HeadRelaxed, Breakage::OpenRelaxed] {
        catches("filled, swapped", None, what, swapped());
    }
}

/// A ring too long to be summed as a whole: what is live is summed from the head back.
#[test]
fn long() {
    const LONG: usize = SHORT + 1;
    let order = |threads| move || race_in::<LONG>(3, &[(2, 1), (3, 1), (4, 1)], threads);
    let late = order(&[&[(8, 2)], &[(5, 1), (6, 1), (8, 1)]]);
    holds("long", None, 100, late());
    let swapped = order(&[&[(5, 1), (6, 1), (8, 1)], &[(8, 2)]]);
    holds("long, swapped", None, 100, swapped());
    for what in [Breakage::SumBeforeHead, Breakage::HeadRelaxed, Breakage::OpenRelaxed] {
        catches("long, swapped", None, what, swapped());
    }
}

/// A thread that opens behind a head which another one sealed.
#[test]
fn opener() {
    let late = || race(4, &[(2, 1), (4, 1), (6, 1)], &[&[(11, 3)], &[(9, 2), (10, 1), (12, 1)]]);
    holds("opener", Some(3), 500, late());
    catches("opener", Some(4), Breakage::SumBeforeSealed, late());
}

/// A thread with an old time against one that seals.
#[test]
fn late_time() {
    let before = &[(2, 2), (4, 1), (6, 1)];
    holds("late_time", None, 50, race(4, before, &[&[(8, 2)], &[(3, 1), (7, 1)]]));
    holds("late_time, swapped", None, 50, race(4, before, &[&[(3, 1), (7, 1)], &[(8, 2)]]));
    let with_room = || race(9, &[(2, 1), (4, 1), (6, 1)], &[&[(7, 1)], &[(3, 1)]]);
    holds("late_time, with room", None, 5, with_room());
    catches("late_time, with room", None, Breakage::OwnTime, with_room());
}

/// Exact mode: a limit that is not above the words.
#[test]
fn exact() {
    holds("exact", None, 50, race(3, &[(2, 1), (4, 1), (5, 1)], &[&[(6, 1)], &[(5, 1), (8, 1)]]));
    let three = race(2, &[(2, 1), (4, 1)], &[&[(6, 1)], &[(8, 1)], &[(7, 1)]]);
    holds("exact, three", Some(1), 500, three);
}

/// One thread gives back a charge that came before, the others charge.
fn refund_race(
    limit: u64,
    before: &'static [(u64, u64)],
    refunded: usize,
    threads: &'static [&'static [(u64, u64)]],
) -> impl Fn() + Send + Sync + 'static {
    move || {
        let (ring, log) = prepared::<WORDS>(limit, before);
        let others: Vec<_> = threads
            .iter()
            .map(|charges| {
                let (ring, log) = (ring.clone(), log.clone());
                thread::spawn(move || charge_all(&ring, limit, &log, charges))
            })
            .collect();
        let (at, cost) = before[refunded];
        // From here on it no longer counts as admitted.
        log.lock().unwrap().retain(|charge| *charge != (at, cost));
        refund(&ring, limit, at, cost).expect("nobody moves it");
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_lawful(&ring, FIRST, limit, &log);
    }
}

#[test]
fn refund_against_seal() {
    let seal = || refund_race(5, &[(2, 1), (4, 2)], 1, &[&[(6, 2), (7, 2)]]);
    holds("refund_against_seal", None, 10, seal());
    catches("refund_against_seal", None, Breakage::RefundStores, seal());
    let three = || refund_race(5, &[(2, 1), (4, 2)], 1, &[&[(6, 2)], &[(5, 3)]]);
    holds("refund_against_seal, three", Some(3), 500, three());
    catches("refund_against_seal, three", Some(3), Breakage::RefundUnseals, three());
}

/// A refund makes room for one, also if the head is again what it was when the other looked at it.
#[test]
fn refund_for_one() {
    let race = || refund_race(1, &[(3, 1)], 0, &[&[(3, 1)], &[(3, 1)]]);
    holds("refund_for_one", Some(3), 500, race());
    catches("refund_for_one", Some(3), Breakage::HeadSeenTwice, race());
}

/// What is given back is charged once more, so that the head is again what a slow thread has seen.
#[test]
fn refund_and_again() {
    let body = |swap: bool| {
        move || {
            let limit = 5;
            let (ring, log) = prepared::<WORDS>(limit, &[(4, 3), (5, 2)]);
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
            assert_lawful(&ring, FIRST, limit, &log);
        }
    };
    holds_in_both("refund_and_again", 10, body);
    caught_in_one("refund_and_again", None, Breakage::HeadSeenTwice, body);
}

/// A bucket that is opened meanwhile keeps its units: they still count when what was given back
/// would be gone anyway.
#[test]
fn refund_against_opening() {
    let body = |swap: bool| {
        move || {
            let limit = 5;
            let (ring, log) = prepared::<WORDS>(limit, &[(2, 1), (4, 2)]);
            let undo = {
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
            let other =
                if swap { thread::spawn(undo.clone()) } else { thread::spawn(open.clone()) };
            if swap {
                open()
            } else {
                undo()
            }
            other.join().unwrap();
            assert_lawful(&ring, FIRST, limit, &log);
        }
    };
    holds_in_both("refund_against_opening", 10, body);
}

/// A denial that mixes a high and a later reading: 5 are given back, then 5 are charged in a new
/// cell; at no instant are more than 6 used, so nobody is told of more, and 5 more always have
/// room.
fn denial_of(cost: u64) -> impl Fn() + Send + Sync + 'static {
    move || {
        let limit = 11;
        let (ring, log) = prepared::<WORDS>(limit, &[(3, 5), (4, 1)]);
        let other = {
            let (ring, log) = (ring.clone(), log.clone());
            thread::spawn(move || {
                let request = Request { now: 5, cost, limit };
                let outcome = ring.charge(&scale(limit), FIRST, &request).expect("nobody moves it");
                if outcome.admitted {
                    log.lock().unwrap().push((outcome.at, cost));
                } else {
                    assert!(cost > 5, "denied without a cause");
                    assert!(outcome.used <= 6, "told of more than was ever used");
                }
            })
        };
        give_back(&ring, limit, &log, (3, 5));
        let admitted = charge(&ring, limit, &log, 6, 5).expect("nobody moves it");
        assert!(admitted || cost > 5, "denied without a cause");
        other.join().unwrap();
        assert_lawful(&ring, FIRST, limit, &log);
    }
}

#[test]
fn denial() {
    holds("denial", None, 100, denial_of(5));
    holds("denial told", None, 100, denial_of(6));
    catches("denial told", None, Breakage::NoValidate, denial_of(6));
    catches("denial told", None, Breakage::NoValidateFence, denial_of(6));
}

/// A look against one that spends what was given back: at no instant are more than 6 used, so 5
/// more always have room in 11.
fn look_race(spend_at: u64, looks_first: bool) -> impl Fn() + Send + Sync + 'static {
    move || {
        let limit = 11;
        let (ring, log) = prepared::<WORDS>(limit, &[(3, 5), (4, 1)]);
        let spend = {
            let (ring, log) = (ring.clone(), log.clone());
            move || {
                give_back(&ring, limit, &log, (3, 5));
                assert_eq!(charge(&ring, limit, &log, spend_at, 5), Ok(true));
            }
        };
        let look = move || {
            let ask = Request { now: 5, cost: 5, limit };
            let seen = ring.peek(&scale(limit), FIRST, &ask).expect("nobody moves it");
            assert!(seen.admitted, "denied without a cause");
        };
        if looks_first {
            let other = thread::spawn(spend);
            look();
            other.join().unwrap();
        } else {
            let other = thread::spawn(look);
            spend();
            other.join().unwrap();
        }
    }
}

/// A denial by a look: what is spent goes into a new cell, or into the head's own.
#[test]
fn denial_by_a_look() {
    for (name, spend_at) in [("denial_by_a_look", 6), ("denial_in_the_head", 5)] {
        holds_in_both(name, 10, |looks_first| look_race(spend_at, looks_first));
    }
    caught_in_one("denial_by_a_look", None, Breakage::LookUnvalidated, |first| look_race(6, first));
    caught_in_one("denial_in_the_head", None, Breakage::WriteRelaxed, |first| look_race(5, first));
}

/// Behind a sealed head the next word is free at the time that a late opener decides by.
fn late_opener(swap: bool) -> impl Fn() + Send + Sync + 'static {
    move || {
        let limit = 3;
        let (ring, log) = prepared::<WORDS>(limit, &[(2, 1), (3, 1), (4, 1)]);
        give_back(&ring, limit, &log, (3, 1));
        let (mine, theirs): (&[_], &'static [_]) =
            if swap { (&[(5, 1), (5, 1)], &[(6, 1)]) } else { (&[(6, 1)], &[(5, 1), (5, 1)]) };
        let other = {
            let (ring, log) = (ring.clone(), log.clone());
            thread::spawn(move || charge_all(&ring, limit, &log, theirs))
        };
        charge_all(&ring, limit, &log, mine);
        other.join().unwrap();
        assert_lawful(&ring, FIRST, limit, &log);
    }
}

/// Recorded times are times that some clock has reached, and no two buckets share a cell.
fn late_cell(swap: bool) -> impl Fn() + Send + Sync + 'static {
    move || {
        let (ring, log) = prepared::<WORDS>(4, &[(2, 2), (4, 1), (6, 1)]);
        let (mine, theirs): (&[_], &'static [_]) =
            if swap { (&[(3, 1), (7, 1)], &[(8, 2)]) } else { (&[(8, 2)], &[(3, 1), (7, 1)]) };
        let other = {
            let (ring, log) = (ring.clone(), log.clone());
            thread::spawn(move || charge_all(&ring, 4, &log, theirs))
        };
        charge_all(&ring, 4, &log, mine);
        other.join().unwrap();
        assert_lawful(&ring, FIRST, 4, &log);
        let newest = log.lock().unwrap().iter().map(|(at, _)| *at).max();
        assert!(newest <= Some(8), "recorded a time that no clock has reached: {newest:?}");
    }
}

#[test]
fn effective_time() {
    holds_in_both("late_opener", 10, late_opener);
    caught_in_one("late_opener", None, Breakage::NoNextExpiry, late_opener);
    holds_in_both("late_cell", 50, late_cell);
    caught_in_one("late_cell", None, Breakage::NoNextCell, late_cell);
}

/// After a refund in the middle the next word is live, though the sum has room.
#[test]
fn merge() {
    let body = || {
        move || {
            let limit = 3;
            let (ring, log) = prepared::<WORDS>(limit, &[(2, 1), (3, 1), (4, 1)]);
            give_back(&ring, limit, &log, (3, 1));
            let other = {
                let (ring, log) = (ring.clone(), log.clone());
                thread::spawn(move || charge(&ring, limit, &log, 5, 1))
            };
            let mine = charge(&ring, limit, &log, 5, 1).unwrap();
            let theirs = other.join().unwrap().unwrap();
            assert!(mine != theirs, "one of the two has room, not both");
            assert_lawful(&ring, FIRST, limit, &log);
            // A charge whose bucket was merged into a later one can still be undone.
            assert_eq!(refund(&ring, limit, 4, 1), Ok(1), "an undo was lost");
        }
    };
    holds("merge", None, 5, body());
    catches("merge", None, Breakage::NoMerge, body());
    catches("merge", None, Breakage::NoRefundMerged, body());
}

/// What has expired is not given back at the cost of others, also if nothing of it is left.
#[test]
fn expired_charge() {
    let body = |swap: bool| {
        move || {
            let limit = 3;
            let (ring, log) = prepared::<WORDS>(limit, &[(2, 1)]);
            let undo = {
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
                if swap { thread::spawn(undo.clone()) } else { thread::spawn(later.clone()) };
            if swap {
                later()
            } else {
                undo()
            }
            other.join().unwrap();
            assert_lawful(&ring, FIRST, limit, &log);
        }
    };
    holds_in_both("expired_charge", 10, body);
    caught_in_one("expired_charge", None, Breakage::RefundExpired, body);
}

/// What a charging thread does when it meets a move: it finishes the move, then charges there.
fn charge_through_move(old: &TinyRing, new: &TinyRing, limit: u64, log: &Log, now: u64, cost: u64) {
    if !new.is_open() {
        match charge(old, limit, log, now, cost) {
            Ok(_) => return,
            Err(Moved) => new.install(&scale(limit), &old.freeze(), FIRST, FIRST),
        }
    }
    charge_at(new, FIRST, limit, log, now, cost).expect("the new ring is not moved");
}

fn move_race(
    before: &'static [(u64, u64)],
    movers: usize,
    charges: &'static [(u64, u64)],
) -> impl Fn() + Send + Sync + 'static {
    move || {
        let limit = 4;
        let (old, log) = prepared::<WORDS>(limit, before);
        let new = Arc::new(TinyRing::zeroed());
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
        assert_lawful(&new, FIRST, limit, &log);
    }
}

#[test]
fn move_against_charge() {
    let one = || move_race(&[(2, 1), (4, 1)], 1, &[(5, 1), (6, 1)]);
    holds("move_against_charge", Some(3), 50, one());
    catches("move_against_charge", Some(3), Breakage::NoFreeze, one());
    catches("move_against_charge", Some(3), Breakage::OfferMarked, one());
    let sealing = || move_race(&[(2, 1), (4, 1)], 1, &[(6, 1), (7, 1)]);
    holds("move_against_seal", Some(3), 50, sealing());
    catches("move_against_seal", Some(3), Breakage::FreezeHeadOnly, sealing());
    catches("move_against_seal", Some(3), Breakage::FreezeNotNext, sealing());
}

/// Two helpers on one ring, one of them late.
#[test]
fn two_movers() {
    let two = || move_race(&[(2, 1), (4, 1), (5, 1)], 2, &[(5, 2)]);
    holds("two_movers", Some(1), 500, two());
    let one = || move_race(&[(2, 1), (4, 1), (5, 1)], 1, &[(5, 2)]);
    catches("two_movers", Some(2), Breakage::PublishHeadFirst, one());
    catches("two_movers", Some(2), Breakage::InstallRelaxed, one());
}
