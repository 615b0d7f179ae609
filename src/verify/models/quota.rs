//! The counter of a calendar budget. It is a single word, so its races are about the change of
//! period.

use super::{assert_caught, assert_holds};
use crate::counter::calendar::{Budget, Quota};
use crate::counter::{ChargeArgs, Counter, Since, TimeBase};
use loom::thread;
use std::sync::{Arc, Mutex};

const LIMIT: u64 = 3;
const BASE: TimeBase = TimeBase::new(0, 1, u64::MAX);

type Log = Arc<Mutex<Vec<(u64, u64)>>>;

fn charge(quota: &Quota, log: &Log, now: u64, cost: u64) {
    let args = ChargeArgs { now, cost, limit: LIMIT };
    let outcome = quota.charge(&Budget::DAYS, BASE, &args).expect("no move is in progress");
    if outcome.admitted {
        log.lock().unwrap().push((Budget::DAYS.period_of(outcome.at), cost));
    }
}

/// Asserts that the admitted cost of each period is within the limit, and that the quota still
/// counts the newest period.
fn assert_invariants(quota: &Quota, log: &Log, refunded: u64) {
    let log = log.lock().unwrap();
    let spent = |period| log.iter().filter(|(at, _)| *at == period).map(|(_, cost)| cost).sum();
    let mut last = 0;
    for &(period, _) in log.iter() {
        let sum: u64 = spent(period);
        assert!(sum <= LIMIT + refunded, "over-admitted {sum} in period {period}: {log:?}");
        last = last.max(period);
    }
    let args = ChargeArgs { now: last, cost: 0, limit: LIMIT };
    let seen = quota.peek(&Budget::DAYS, BASE, &args).expect("no move is in progress");
    let sum: u64 = spent(last);
    assert!(seen.used + refunded >= sum, "forgot a charge: {} of {sum}", seen.used);
}

fn race(threads: &'static [&'static [(u64, u64)]]) -> impl Fn() + Send + Sync + 'static {
    move || {
        let (quota, log) = (Arc::new(Quota::zeroed()), Log::default());
        charge(&quota, &log, 1, 2);
        let others: Vec<_> = threads[1..]
            .iter()
            .map(|charges| {
                let (quota, log) = (quota.clone(), log.clone());
                thread::spawn(move || {
                    charges.iter().for_each(|&(now, cost)| charge(&quota, &log, now, cost));
                })
            })
            .collect();
        threads[0].iter().for_each(|&(now, cost)| charge(&quota, &log, now, cost));
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_invariants(&quota, &log, 0);
    }
}

/// Guarantees A, D and G: one thread is still in period 1, the other one is already in period 2.
#[test]
fn rollover() {
    let two = || race(&[&[(2, 2), (1, 1)], &[(1, 1), (2, 1)]]);
    assert_holds("rollover", None, 47, two());
    assert_caught("rollover", None, "ChargeStores", two());
    assert_caught("rollover", None, "QuotaReopens", two());
    assert_caught("rollover", None, "LostLoopAdmitted", two());
    let three = || race(&[&[(2, 2)], &[(1, 1)], &[(2, 2)]]);
    assert_holds("rollover, three", Some(3), 200, three());
    assert_caught("rollover, three", Some(3), "ChargeStores", three());
}

/// Guarantees A, C, D and G: a charge of period 1 is given back while another thread enters period
/// 2.
#[test]
fn refund_against_rollover() {
    let body = || {
        move || {
            let (quota, log) = (Arc::new(Quota::zeroed()), Log::default());
            charge(&quota, &log, 1, 2);
            let other = {
                let (quota, log) = (quota.clone(), log.clone());
                thread::spawn(move || {
                    charge(&quota, &log, 1, 1);
                    charge(&quota, &log, 2, 3);
                })
            };
            let mut rest = 2;
            quota
                .give_back(
                    &Budget::DAYS,
                    BASE,
                    1,
                    Since::tick(Some(Budget::DAYS.first_stamp(1))),
                    &mut rest,
                )
                .expect("no move is in progress");
            assert!(rest == 0 || rest == 2);
            other.join().unwrap();
            // A give-back to period 1 must not lower the usage of period 2.
            let args = ChargeArgs { now: 2, cost: 0, limit: LIMIT };
            assert_eq!(quota.peek(&Budget::DAYS, BASE, &args).map(|seen| seen.used), Ok(3));
            assert_invariants(&quota, &log, 2);
        }
    };
    assert_holds("refund_against_rollover", None, 10, body());
    assert_caught("refund_against_rollover", None, "ChargeStores", body());
}
