//! The life of a paid request: nothing is over, nothing is lost, and every misuse has an answer.

mod reference;

use proptest::prelude::*;
use reference::cases;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use tollgate::{
    Limiter, MAX_RESERVED, ManualClock, Now, Overflow, Period, Policy, PolicyId, PolicyStatus,
    Reservation, ReservationError, Session, Verdict,
};

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
/// A bucketed minute is longer by one unit of its time.
const BLUR: u64 = 1_000_000;
/// The first instant of an hour.
const START: u64 = 472_223 * HOUR;

fn limiter(policies: impl IntoIterator<Item = Policy>) -> (Limiter, Vec<PolicyId>) {
    let mut builder = Limiter::builder().clock(ManualClock::new());
    let ids = policies.into_iter().map(|policy| builder.add(policy)).collect();
    (builder.build().unwrap(), ids)
}

fn at(limiter: &Limiter, now: u64) -> Session<'_> {
    limiter.session_at(Now::from_unix_nanos(now))
}

/// What is charged to the key; a debt beyond the limit only as far as the greatest limit tells.
fn used(limiter: &Limiter, id: PolicyId, now: u64) -> u64 {
    let decision = at(limiter, now).peek(&[id.charge("k", 0).limit(u64::MAX)]);
    decision.limit - decision.remaining
}

fn tokens(limit: u64) -> Policy {
    Policy::sliding("tokens", limit, Duration::from_nanos(MINUTE))
}

fn hourly(limit: u64) -> Policy {
    Policy::calendar("hourly", limit, Period::Hour)
}

/// Ten requests and so many tokens a minute, tokens an hour and money a day: one call.
#[test]
fn four_layers_in_one_call() {
    let minute = Duration::from_nanos(MINUTE);
    let (limiter, ids) = limiter([
        Policy::sliding("requests", 10, minute),
        Policy::sliding("tokens", 100_000, minute),
        Policy::calendar("hour", 1_000_000, Period::Hour),
        Policy::calendar("dollars", 5_000_000, Period::Day).offset_seconds(5 * 3_600 + 1_800),
    ]);
    let used = |now| ids.iter().map(|id| used(&limiter, *id, now)).collect::<Vec<_>>();
    let charges: Vec<_> = ids
        .iter()
        .zip([1, 20_000, 20_000, 60_000])
        .map(|(id, cost)| id.charge("k", cost))
        .collect();
    let mut first = at(&limiter, START).reserve(&charges).unwrap();
    assert_eq!(first.decision().verdict, Verdict::Allowed);
    assert_eq!(used(START), [1, 20_000, 20_000, 60_000]);
    let more = at(&limiter, START + SECOND).extend(&mut first, &[0, 5_000, 5_000, 15_000]).unwrap();
    assert!(more.is_allowed());
    assert_eq!(used(START + SECOND), [1, 25_000, 25_000, 75_000]);
    // Minutes later the windows have passed and the periods have not.
    let late = START + 5 * MINUTE;
    assert!(
        at(&limiter, late).settle(&mut first, &[1, 22_000, 22_000, 66_000]).unwrap().is_allowed()
    );
    assert_eq!(used(late), [0, 0, 22_000, 66_000]);
    // Four of the largest fit into the minute's tokens, none of the fifth layer by layer.
    let big: Vec<_> =
        ids.iter().zip([1, 24_000, 24_000, 1_000]).map(|(id, cost)| id.charge("k", cost)).collect();
    let kept: Vec<Reservation> =
        (0..4).map(|_| at(&limiter, late).reserve(&big).expect("room")).collect();
    let mut layers = [PolicyStatus::default(); 4];
    let refused = at(&limiter, late).reserve_with_status(&big, &mut layers).unwrap_err();
    assert_eq!(layers.map(|layer| layer.violated), [false, true, false, false]);
    assert_eq!(layers.map(|layer| layer.remaining), [6, 4_000, 882_000, 4_930_000]);
    assert_eq!((refused.verdict, refused.policy), (Verdict::Denied, ids[1]));
    assert_eq!(refused.retry_after(), Some(minute + Duration::from_nanos(BLUR)));
    assert_eq!(used(late), [4, 96_000, 22_000 + 96_000, 70_000]);
    for mut reservation in kept {
        assert!(at(&limiter, late).cancel(&mut reservation).unwrap().is_allowed());
    }
    assert_eq!(used(late), [0, 0, 22_000, 66_000]);
}

#[test]
fn what_has_passed_is_not_given_back() {
    let (limiter, ids) = limiter([tokens(1_000), hourly(1_000)]);
    let reserve = |now| {
        let charges = [ids[0].charge("k", 600), ids[1].charge("k", 600)];
        at(&limiter, now).reserve(&charges)
    };
    let both = |now| [used(&limiter, ids[0], now), used(&limiter, ids[1], now)];
    // Settled after the hour has turned and the window has passed, with others charged since.
    let mut first = reserve(START + 58 * MINUTE).unwrap();
    let mut second = reserve(START + 60 * MINUTE).unwrap();
    assert_eq!(both(START + 60 * MINUTE), [600, 600]);
    assert!(at(&limiter, START + 60 * MINUTE).settle(&mut first, &[1, 1]).unwrap().is_allowed());
    assert_eq!(both(START + 60 * MINUTE), [600, 600], "the second's units are not the first's");
    // Within the window it comes back to the unit.
    assert!(
        at(&limiter, START + 61 * MINUTE - SECOND)
            .settle(&mut second, &[250, 250])
            .unwrap()
            .is_allowed()
    );
    assert_eq!(both(START + 61 * MINUTE - SECOND), [250, 250]);
    assert_eq!(both(START + 61 * MINUTE + BLUR), [0, 250], "it expires when its charge does");
}

/// Nobody settles: the estimate stays charged until its window and its hour have passed, to the
/// instant, and nothing sweeps.
#[test]
fn what_is_dropped_stays_until_it_has_passed() {
    let (limiter, ids) = limiter([tokens(1_000), hourly(1_000)]);
    let charges = [ids[0].charge("k", 1_000), ids[1].charge("k", 1_000)];
    drop(at(&limiter, START + 10 * MINUTE).reserve(&charges).unwrap());
    let denied = at(&limiter, START + 10 * MINUTE).reserve(&charges).unwrap_err();
    assert_eq!(denied.retry_after(), Some(Duration::from_nanos(50 * MINUTE)));
    let both = |now| [used(&limiter, ids[0], now), used(&limiter, ids[1], now)];
    assert_eq!(both(START + 11 * MINUTE), [1_000, 1_000]);
    assert_eq!(both(START + 11 * MINUTE + BLUR), [0, 1_000]);
    assert_eq!(both(START + HOUR - 1), [0, 1_000]);
    let again = at(&limiter, START + HOUR).reserve(&charges);
    assert!(again.is_ok());
}

/// A stream that outlives the window gives back what of its last extension it did not need, and
/// nothing of what has expired in part.
#[test]
fn a_stream_longer_than_the_window() {
    let stream = |actual| {
        let (limiter, ids) = limiter([tokens(1_000)]);
        let mut reservation = at(&limiter, START).reserve(&[ids[0].charge("k", 100)]).unwrap();
        for (second, more) in [(20, 200), (50, 300)] {
            let session = at(&limiter, START + second * SECOND);
            assert!(session.extend(&mut reservation, &[more]).unwrap().is_allowed());
        }
        let end = START + 70 * SECOND;
        assert!(at(&limiter, end).settle(&mut reservation, &[actual]).unwrap().is_allowed());
        used(&limiter, ids[0], end)
    };
    assert_eq!(stream(600), 500);
    assert_eq!(stream(450), 350);
    assert_eq!(stream(10), 200, "the first extension stays until its window has passed");
}

/// Of a stream over two periods the last extension comes back to the second period.
#[test]
fn a_stream_longer_than_the_period() {
    let (limiter, ids) = limiter([hourly(1_000)]);
    let mut reservation = at(&limiter, START).reserve(&[ids[0].charge("k", 100)]).unwrap();
    let later = START + HOUR;
    assert!(at(&limiter, later).extend(&mut reservation, &[200]).unwrap().is_allowed());
    assert_eq!(used(&limiter, ids[0], later), 200);
    let _ = at(&limiter, later).cancel(&mut reservation).unwrap();
    assert_eq!(used(&limiter, ids[0], later), 0);
}

/// A reservation that a full table let through uncounted holds nothing: nothing comes back of it, also
/// where the key has a place by then.
#[test]
fn an_uncounted_reservation_gives_nothing_back() {
    let (limiter, ids) = limiter([tokens(10).max_keys(1).overflow(Overflow::Allow)]);
    let check = |now, key: &str, cost| at(&limiter, now).check(&[ids[0].charge(key, cost)]);
    assert!(check(START, "other", 1).is_allowed());
    let mut reservation = at(&limiter, START).reserve(&[ids[0].charge("k", 5)]).unwrap();
    assert!(reservation.decision().table_full);
    assert_eq!(reservation.charged(0), Some(0));
    at(&limiter, START).reset_key(ids[0], "other").unwrap();
    let later = START + 5 * SECOND;
    let counted = check(later, "k", 3);
    assert!(counted.is_allowed() && !counted.table_full);
    let _ = at(&limiter, later).cancel(&mut reservation).unwrap();
    assert_eq!(used(&limiter, ids[0], later), 3);
}

/// Nor is it the last one that may come back.
#[test]
fn an_extension_by_nothing_is_none() {
    let (limiter, ids) = limiter([tokens(1_000)]);
    let mut reservation = at(&limiter, START).reserve(&[ids[0].charge("k", 100)]).unwrap();
    for (second, more) in [(20, 200), (50, 0)] {
        let session = at(&limiter, START + second * SECOND);
        assert!(session.extend(&mut reservation, &[more]).unwrap().is_allowed());
    }
    let end = START + 70 * SECOND;
    assert_eq!(used(&limiter, ids[0], end), 200);
    assert!(at(&limiter, end).cancel(&mut reservation).unwrap().is_allowed());
    assert_eq!(used(&limiter, ids[0], end), 0);
}

/// What was reserved at a limit of its own is extended at that limit.
#[test]
fn a_limit_of_its_own_is_kept() {
    let (limiter, ids) = limiter([tokens(1_000)]);
    let charges = [ids[0].charge("k", 3).limit(5)];
    let mut reservation = at(&limiter, START).reserve(&charges).unwrap();
    let told = reservation.decision();
    assert_eq!((told.verdict, told.limit, told.remaining), (Verdict::Allowed, 5, 2));
    let mut extend = |more| at(&limiter, START).extend(&mut reservation, &[more]).unwrap();
    assert_eq!(extend(2).remaining, 0);
    let stop = extend(1);
    assert_eq!((stop.verdict, stop.limit), (Verdict::Denied, 5));
}

/// An extension that has no room charges nothing, in no layer, and the stream can be settled.
#[test]
fn an_extension_stops_at_the_limit() {
    let (limiter, ids) = limiter([hourly(10_000), tokens(1_000)]);
    let charges = [ids[0].charge("k", 900), ids[1].charge("k", 900)];
    let mut reservation = at(&limiter, START).reserve(&charges).unwrap();
    let stop = at(&limiter, START + SECOND).extend(&mut reservation, &[101, 101]).unwrap();
    assert_eq!((stop.verdict, stop.policy), (Verdict::Denied, ids[1]));
    assert_eq!(stop.retry_after(), Some(Duration::from_nanos(MINUTE - SECOND + BLUR)));
    let both = |now| [used(&limiter, ids[0], now), used(&limiter, ids[1], now)];
    assert_eq!(both(START + SECOND), [900, 900]);
    assert_eq!((reservation.charged(0), reservation.charged(2)), (Some(900), None));
    assert!(
        at(&limiter, START + SECOND).extend(&mut reservation, &[100, 100]).unwrap().is_allowed()
    );
    // More than the limit can never be had.
    let never = at(&limiter, START + SECOND).extend(&mut reservation, &[0, 1_001]).unwrap();
    assert_eq!(never.verdict, Verdict::Impossible);
    // The limit that counts is the present one.
    limiter.set_limit(ids[1], 500).unwrap();
    let stop = at(&limiter, START + SECOND).extend(&mut reservation, &[1, 1]).unwrap();
    assert_eq!(stop.verdict, Verdict::Denied);
    assert!(
        at(&limiter, START + SECOND)
            .settle(&mut reservation, &[1_000, 1_000])
            .unwrap()
            .is_allowed()
    );
    assert_eq!(at(&limiter, START + SECOND).peek(&[ids[0].charge("k", 0)]).remaining, 9_000);
}

/// More than was reserved is charged all the same: the debt is seen, and blocks until it has
/// passed.
#[test]
fn a_debt_blocks_until_it_has_passed() {
    let (limiter, ids) = limiter([tokens(1_000)]);
    let mut reservation = at(&limiter, START).reserve(&[ids[0].charge("k", 400)]).unwrap();
    let decision = at(&limiter, START + 30 * SECOND).settle(&mut reservation, &[2_500]).unwrap();
    assert_eq!((decision.verdict, decision.remaining), (Verdict::Allowed, 0));
    let denied = at(&limiter, START + 31 * SECOND).reserve(&[ids[0].charge("k", 1)]).unwrap_err();
    assert_eq!(denied.remaining, 0);
    let wait = denied.retry_after_ns.unwrap();
    let due = START + 31 * SECOND + wait;
    assert!(at(&limiter, due - 100_000_000).reserve(&[ids[0].charge("k", 1)]).is_err());
    let mut again = at(&limiter, due).reserve(&[ids[0].charge("k", 1)]).unwrap();
    assert!(at(&limiter, due).cancel(&mut again).unwrap().is_allowed());
}

#[test]
fn misuse_has_an_answer() {
    let (limiter, ids) = limiter([tokens(1_000), hourly(1_000)]);
    let (other, others) = self::limiter([tokens(1_000)]);
    let session = at(&limiter, START);
    let charge = |cost| [ids[0].charge("k", cost)];
    // Settled, cancelled: once.
    for close in [Session::cancel, |session: &Session<'_>, reservation: &mut Reservation| {
        session.settle(reservation, &[300])
    }] {
        let mut reservation = session.reserve(&charge(300)).unwrap();
        assert!(reservation.is_open());
        let before = used(&limiter, ids[0], START);
        assert!(close(&session, &mut reservation).unwrap().is_allowed());
        assert!(!reservation.is_open());
        let after = used(&limiter, ids[0], START);
        assert!(after <= before);
        for _ in 0..2 {
            let closed = Err(ReservationError::Closed);
            assert_eq!(session.settle(&mut reservation, &[0]).map(drop), closed);
            assert_eq!(session.cancel(&mut reservation).map(drop), closed);
            assert_eq!(session.extend(&mut reservation, &[1]).map(drop), closed);
        }
        assert_eq!(used(&limiter, ids[0], START), after);
    }
    // Another limiter's, though it looks the same.
    let mut foreign = at(&other, START).reserve(&[others[0].charge("k", 1)]).unwrap();
    assert_eq!(session.settle(&mut foreign, &[0]).map(drop), Err(ReservationError::Foreign));
    assert_eq!(session.extend(&mut foreign, &[1]).map(drop), Err(ReservationError::Foreign));
    assert_eq!(used(&other, others[0], START), 1);
    assert_eq!(session.reserve(&[others[0].charge("k", 1)]).unwrap_err().verdict, Verdict::Invalid);
    // One amount a layer.
    let mut reservation = session.reserve(&charge(1)).unwrap();
    for amounts in [&[][..], &[1, 1], &[0; 100]] {
        let error = ReservationError::Amounts { expected: 1, value: amounts.len() };
        assert!(!error.to_string().is_empty());
        assert_eq!(session.settle(&mut reservation, amounts).map(drop), Err(error));
        assert_eq!(session.extend(&mut reservation, amounts).map(drop), Err(error));
    }
    assert!(session.cancel(&mut reservation).unwrap().is_allowed());
    // Too many layers, and none.
    let many = [ids[1].charge("k", 1); MAX_RESERVED + 1];
    assert_eq!(session.reserve(&many).unwrap_err().verdict, Verdict::Invalid);
    assert_eq!(used(&limiter, ids[1], START), 0);
    let mut all = session.reserve(&many[1..]).unwrap();
    assert_eq!(used(&limiter, ids[1], START), MAX_RESERVED as u64);
    assert!(session.cancel(&mut all).unwrap().is_allowed());
    let mut none = session.reserve(&[]).unwrap();
    assert!(session.settle(&mut none, &[]).unwrap().is_allowed());
    // More than the limit.
    assert_eq!(session.reserve(&charge(1_001)).unwrap_err().verdict, Verdict::Impossible);
    assert_eq!(session.reserve(&charge(u64::MAX)).unwrap_err().verdict, Verdict::Impossible);
    assert_eq!(used(&limiter, ids[0], START), 300);
}

#[test]
fn the_greatest_and_the_least_amounts() {
    let (limiter, ids) = limiter([tokens(1_000), hourly(1_000)]);
    let session = at(&limiter, START);
    // An estimate of nothing is charged when it is settled.
    for id in &ids {
        let mut reservation = session.reserve(&[id.charge("k", 0)]).unwrap();
        assert_eq!(reservation.charged(0), Some(0));
        assert_eq!(used(&limiter, *id, START), 0);
        assert!(session.settle(&mut reservation, &[700]).unwrap().is_allowed());
        assert_eq!(used(&limiter, *id, START), 700);
    }
    for id in &ids {
        let mut reservation = session.reserve(&[id.charge("k", 300)]).unwrap();
        let decision = session.extend(&mut reservation, &[u64::MAX]).unwrap();
        assert_eq!(decision.verdict, Verdict::Impossible);
        let decision = session.settle(&mut reservation, &[u64::MAX]).unwrap();
        assert_eq!((decision.verdict, decision.remaining), (Verdict::Allowed, 0));
        assert_eq!(session.peek(&[id.charge("k", 0)]).remaining, 0);
    }
    // The debt of the window passes with it, that of the hour with the hour.
    assert_eq!(used(&limiter, ids[0], START + 61 * SECOND), 0);
    assert_eq!(used(&limiter, ids[1], START + 61 * SECOND), 1_000);
    assert_eq!(used(&limiter, ids[1], START + HOUR), 0);
}

/// What an eviction has forgiven is not given back once more, at the cost of what the key has spent
/// since; what was too heavy to be evicted is.
#[test]
fn an_evicted_reservation_gives_nothing_back() {
    for (estimate, evicted) in [(4, true), (9, false)] {
        let policy = Policy::sliding("p", 10, Duration::from_nanos(MINUTE))
            .max_keys(8)
            .overflow(Overflow::EvictLightest { allowance: 4 });
        let (limiter, ids) = limiter([policy]);
        let charge = |now: u64, key: u64, cost: u64| {
            at(&limiter, now).check(&[ids[0].charge(key, cost)]).is_allowed()
        };
        let mut reservation = at(&limiter, START).reserve(&[ids[0].charge("k", estimate)]).unwrap();
        (1..8).for_each(|key| assert!(charge(START, key, 4)));
        assert!(charge(START + SECOND, 100, 10), "the lightest make room");
        assert!(limiter.stats(ids[0]).unwrap().evictions > 0);
        let used_before = used(&limiter, ids[0], START + SECOND);
        assert_eq!(used_before, if evicted { 0 } else { 9 });
        let more = if evicted { 10 } else { 1 };
        assert!(at(&limiter, START + 2 * SECOND).check(&[ids[0].charge("k", more)]).is_allowed());
        assert!(at(&limiter, START + 3 * SECOND).cancel(&mut reservation).unwrap().is_allowed());
        assert_eq!(used(&limiter, ids[0], START + 3 * SECOND), more);
    }
}

/// Keys move to other arrays while requests stream: what is settled comes back all the same.
#[test]
fn settled_after_the_table_has_grown_and_shrunk() {
    let (limiter, ids) = limiter([tokens(1_000), hourly(1_000)]);
    let mut kept = Vec::new();
    for key in 0..3_000_u64 {
        let charges = [ids[0].charge(key, 900), ids[1].charge(key, 900)];
        kept.push(at(&limiter, START + key).reserve(&charges).unwrap());
    }
    for key in 10_000..50_000_u64 {
        assert!(
            at(&limiter, START + SECOND)
                .check(&[ids[0].charge(key, 1), ids[1].charge(key, 1)])
                .is_allowed()
        );
    }
    assert!(ids.iter().all(|id| limiter.stats(*id).unwrap().migrations > 5));
    for (key, reservation) in (0_u64..).zip(&mut kept) {
        assert!(
            at(&limiter, START + 2 * SECOND)
                .settle(reservation, &[key % 900, key % 900])
                .unwrap()
                .is_allowed()
        );
    }
    for key in 0..3_000_u64 {
        for id in &ids {
            let left = at(&limiter, START + 3 * SECOND).peek(&[id.charge(key, 0)]).remaining;
            assert_eq!(left, 1_000 - key % 900, "key {key}");
        }
    }
}

/// One step of a random life.
#[derive(Clone, Debug)]
enum Step {
    Reserve(u64),
    Extend(usize, u64),
    Settle(usize, u64),
    Cancel(usize),
    Wait(u64),
    SetLimit(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..400_u64).prop_map(Step::Reserve),
        3 => (0..8_usize, 0..200_u64).prop_map(|(which, more)| Step::Extend(which, more)),
        2 => (0..8_usize, 0..900_u64).prop_map(|(which, actual)| Step::Settle(which, actual)),
        1 => (0..8_usize).prop_map(Step::Cancel),
        1 => (0..20 * SECOND).prop_map(Step::Wait),
        1 => (1..1_500_u64).prop_map(Step::SetLimit),
    ]
}

/// A reservation as the bookkeeper sees it: every charge that was made for it, with its time.
#[derive(Debug, Default)]
struct Book {
    charges: Vec<(u64, u64)>,
    open: bool,
}

impl Book {
    /// Takes back from the newest charge on, as far as it is not older than `oldest`.
    fn settle(&mut self, now: u64, actual: u64) {
        let charged: u64 = self.charges.iter().map(|(_, cost)| cost).sum();
        let mut back = charged.saturating_sub(actual);
        for (_, cost) in self.charges.iter_mut().rev() {
            let given = back.min(*cost);
            (*cost, back) = (*cost - given, back - given);
        }
        self.charges.push((now, actual.saturating_sub(charged)));
        self.open = false;
    }

    fn used(&self, after: u64) -> u64 {
        self.charges.iter().filter(|(time, _)| *time > after).map(|(_, cost)| cost).sum()
    }
}

proptest! {
    #![proptest_config(cases(400))]

    /// Whatever happens in whatever order: a window never holds less than what was truly used in it
    /// and is still reserved; an admission fits under the limit of its time; and a budget, where
    /// nothing expires within the period, holds exactly that.
    #[test]
    fn nothing_is_lost_and_nothing_is_over(
        buckets in prop_oneof![Just(7_u32), Just(15), Just(127)],
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let (limiter, ids) =
            limiter([tokens(1_000).max_limit(1 << 20).buckets(buckets), hourly(1_000).max_limit(1 << 20)]);
        let mut now = START;
        let mut kept: Vec<(Reservation, Book)> = Vec::new();
        let mut limit = 1_000;
        for step in steps {
            let session = at(&limiter, now);
            let before = [used(&limiter, ids[0], now), used(&limiter, ids[1], now)];
            match step {
                Step::Wait(gap) => now += gap,
                Step::SetLimit(new) => {
                    limit = new;
                    ids.iter().for_each(|id| limiter.set_limit(*id, new).unwrap());
                }
                Step::Reserve(cost) => {
                    let charges = [ids[0].charge("k", cost), ids[1].charge("k", cost)];
                    if let Ok(reservation) = session.reserve(&charges) {
                        prop_assert!(before.iter().all(|used| used + cost <= limit), "{before:?}");
                        let book = Book { charges: vec![(now, cost)], open: true };
                        kept.push((reservation, book));
                    } else {
                        prop_assert!(before.iter().any(|used| used + cost > limit), "{before:?}");
                    }
                }
                Step::Extend(which, more) => {
                    let Some((reservation, book)) = kept.iter_mut().rev().nth(which) else {
                        continue;
                    };
                    match session.extend(reservation, &[more, more]) {
                        Ok(decision) if decision.is_allowed() => {
                            prop_assert!(before.iter().all(|used| used + more <= limit));
                            book.charges.push((now, more));
                        }
                        Ok(_) => prop_assert!(before.iter().any(|used| used + more > limit)),
                        Err(error) => prop_assert_eq!((error, book.open), (ReservationError::Closed, false)),
                    }
                }
                Step::Settle(which, actual) => {
                    let Some((reservation, book)) = kept.iter_mut().rev().nth(which) else {
                        continue;
                    };
                    if session.settle(reservation, &[actual, actual]).is_ok() {
                        book.settle(now, actual);
                    }
                }
                Step::Cancel(which) => {
                    let Some((reservation, book)) = kept.iter_mut().rev().nth(which) else {
                        continue;
                    };
                    if session.cancel(reservation).is_ok() {
                        book.settle(now, 0);
                    }
                }
            }
            let truly = |after| kept.iter().map(|(_, book)| book.used(after)).sum::<u64>();
            let window = used(&limiter, ids[0], now);
            prop_assert!(window >= truly(now - MINUTE), "{window} of {}", truly(now - MINUTE));
            if now < START + HOUR {
                prop_assert_eq!(used(&limiter, ids[1], now), truly(0));
            }
        }
    }
}

/// Sixty-four threads on one budget and one window: at every instant at least what was truly used
/// is charged, in the end exactly that, and never more is admitted than the limit.
#[test]
fn sixty_four_threads_one_budget() {
    const THREADS: u64 = 64;
    const LIMIT: u64 = 50_000;
    let turns: u64 = if cfg!(debug_assertions) { 400 } else { 4_000 };
    let greatest = 1 << 30;
    let policies = [tokens(LIMIT).max_limit(greatest), hourly(LIMIT).max_limit(greatest)];
    let (limiter, ids) = limiter(policies);
    // What the settled requests have truly used, in excess of nothing.
    let (truly, excess) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (limiter, ids, truly, excess) = (&limiter, &ids, &truly, &excess);
            scope.spawn(move || {
                let mut random = thread * 0x9E37_79B9 + 1;
                let mut below = |bound: u64| {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    random % bound
                };
                let session = || at(limiter, START);
                for _ in 0..turns {
                    let estimate = below(1_000);
                    let charges = [ids[0].charge("k", estimate), ids[1].charge("k", estimate)];
                    let Ok(mut reservation) = session().reserve(&charges) else {
                        continue;
                    };
                    let mut charged = estimate;
                    for _ in 0..below(3) {
                        let more = below(200);
                        let decision = session().extend(&mut reservation, &[more, more]).unwrap();
                        charged += if decision.is_allowed() { more } else { 0 };
                    }
                    // Mostly a little of it, so that the run does not end at once.
                    let actual = match below(40) {
                        0 => charged + below(100),
                        1..10 => below(charged / 50 + 1),
                        _ => 0,
                    };
                    excess.fetch_add(actual.saturating_sub(charged), SeqCst);
                    assert!(
                        session().settle(&mut reservation, &[actual, actual]).unwrap().is_allowed()
                    );
                    let sum = truly.fetch_add(actual, SeqCst) + actual;
                    for id in ids {
                        let used = used(limiter, *id, START);
                        assert!(used >= sum, "{used} charged of {sum} used");
                    }
                }
            });
        }
    });
    let (truly, excess) = (truly.into_inner(), excess.into_inner());
    assert!(truly <= LIMIT + excess, "{truly} used, {excess} of it in excess");
    assert!(truly > LIMIT / 20, "{truly} used");
    for id in &ids {
        assert_eq!(used(&limiter, *id, START), truly);
        // To the unit: what is left, and not one more, is still there.
        if let Some(left) = LIMIT.checked_sub(truly).filter(|left| *left > 0) {
            assert!(at(&limiter, START).peek(&[id.charge("k", left)]).is_allowed());
            assert!(!at(&limiter, START).peek(&[id.charge("k", left + 1)]).is_allowed());
        }
    }
}

/// Each charge that a reservation makes is counted once: the estimate, an extension, and what it has
/// cost beyond them; nothing where it costs no more, and a refusal where it found no place.
#[test]
fn each_charge_of_a_reservation_is_counted() {
    let policies = [
        Policy::sliding("window", 10, Duration::from_secs(60)),
        Policy::calendar("budget", 10, Period::Day),
    ];
    for policy in policies {
        let limiter = Limiter::builder().policy(policy).clock(ManualClock::new()).build().unwrap();
        let id = limiter.policies().next().and_then(|p| limiter.policy(p.name())).unwrap();
        let admitted = || limiter.stats(id).unwrap().admitted;
        let mut reservation = limiter.reserve(&[id.charge("k", 1)]).unwrap();
        assert_eq!(admitted(), 1);
        assert!(limiter.extend(&mut reservation, &[2]).unwrap().is_allowed());
        assert_eq!(admitted(), 2);
        assert!(limiter.settle(&mut reservation, &[9]).unwrap().is_allowed());
        assert_eq!((limiter.peek(&[id.charge("k", 0)]).remaining, admitted()), (1, 3));
        for (cost, counted) in [(1, 4), (0, 5)] {
            let mut reservation = limiter.reserve(&[id.charge("k", 1)]).unwrap();
            assert!(limiter.settle(&mut reservation, &[cost]).unwrap().is_allowed());
            assert_eq!(admitted(), counted);
            limiter.refund(&id.charge("k", 1)).unwrap();
        }
        let stats = limiter.stats(id).unwrap();
        assert_eq!((stats.denied, stats.refused, stats.untracked), (0, 0, 0));
    }
}
