//! Reservations: limits hold, no charge is lost, and each misuse is an error.

mod full_table;
#[path = "../oracle/mod.rs"]
mod oracle;
mod reset;

use oracle::cases;
use proptest::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use tollgate::{
    Limiter, MAX_RESERVED, ManualClock, Now, Period, Policy, PolicyId, PolicyStatus, Reservation,
    ReservationError, Session, Verdict,
};

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
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

/// The usage of the key. A debt beyond the limit is visible only up to the greatest limit.
fn used(limiter: &Limiter, id: PolicyId, now: u64) -> u64 {
    let decision = at(limiter, now).peek(&[id.charge("k", 0).limit(u64::MAX)]);
    decision.limit - decision.remaining
}

/// The instant at which a charge of a bucketed minute expires. The charge's time is rounded down to
/// the resolution. The window is rounded up, and one unit longer.
fn expiry(limiter: &Limiter, id: PolicyId, charged: u64) -> u64 {
    let unit = limiter.resolution(id).unwrap().as_nanos() as u64;
    charged - charged % unit + MINUTE.next_multiple_of(unit) + unit
}

fn tokens(limit: u64) -> Policy {
    Policy::sliding("tokens", limit, Duration::from_nanos(MINUTE))
}

fn hourly(limit: u64) -> Policy {
    Policy::calendar("hourly", limit, Period::Hour)
}

/// Guarantee C: four policies are charged in one call: requests and tokens per minute, tokens per
/// hour, money per day.
#[test]
fn four_policies_in_one_call() {
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
    // Minutes later the windows have expired and the periods have not.
    let late = START + 5 * MINUTE;
    assert!(
        at(&limiter, late).settle(&mut first, &[1, 22_000, 22_000, 66_000]).unwrap().is_allowed()
    );
    assert_eq!(used(late), [0, 0, 22_000, 66_000]);
    // Four large reservations fit into the minute's tokens. The fifth is charged to no policy.
    let big: Vec<_> =
        ids.iter().zip([1, 24_000, 24_000, 1_000]).map(|(id, cost)| id.charge("k", cost)).collect();
    let kept: Vec<Reservation> =
        (0..4).map(|_| at(&limiter, late).reserve(&big).expect("room")).collect();
    let mut statuses = [PolicyStatus::default(); 4];
    let denied = at(&limiter, late).reserve_with_status(&big, &mut statuses).unwrap_err();
    assert_eq!(statuses.map(|status| status.violated), [false, true, false, false]);
    assert_eq!(statuses.map(|status| status.remaining), [6, 4_000, 882_000, 4_930_000]);
    assert_eq!((denied.verdict, denied.policy), (Verdict::Denied, ids[1]));
    assert_eq!(
        denied.retry_after(),
        Some(Duration::from_nanos(expiry(&limiter, ids[1], late) - late))
    );
    assert_eq!(used(late), [4, 96_000, 22_000 + 96_000, 70_000]);
    for mut reservation in kept {
        assert!(at(&limiter, late).cancel(&mut reservation).unwrap().is_allowed());
    }
    assert_eq!(used(late), [0, 0, 22_000, 66_000]);
}

/// A settle after the window or hour has ended gives nothing back, and takes nothing from others.
#[test]
fn expired_charges_are_not_given_back() {
    let (limiter, ids) = limiter([tokens(1_000), hourly(1_000)]);
    let reserve = |now| {
        let charges = [ids[0].charge("k", 600), ids[1].charge("k", 600)];
        at(&limiter, now).reserve(&charges)
    };
    let both = |now| [used(&limiter, ids[0], now), used(&limiter, ids[1], now)];
    // Settle after the hour and the window have ended and another request was charged.
    let mut first = reserve(START + 58 * MINUTE).unwrap();
    let mut second = reserve(START + 60 * MINUTE).unwrap();
    assert_eq!(both(START + 60 * MINUTE), [600, 600]);
    assert!(at(&limiter, START + 60 * MINUTE).settle(&mut first, &[1, 1]).unwrap().is_allowed());
    assert_eq!(both(START + 60 * MINUTE), [600, 600], "the second's units are not the first's");
    // Within the window the exact amount is given back.
    assert!(
        at(&limiter, START + 61 * MINUTE - SECOND)
            .settle(&mut second, &[250, 250])
            .unwrap()
            .is_allowed()
    );
    assert_eq!(both(START + 61 * MINUTE - SECOND), [250, 250]);
    let end = expiry(&limiter, ids[0], START + 60 * MINUTE);
    assert_eq!(both(end - 1), [250, 250]);
    assert_eq!(both(end), [0, 250], "it expires when its charge does");
}

/// An abandoned reservation stays charged until exactly the end of its window and of its hour.
#[test]
fn abandoned_reservation_stays_charged_until_it_expires() {
    let (limiter, ids) = limiter([tokens(1_000), hourly(1_000)]);
    let charges = [ids[0].charge("k", 1_000), ids[1].charge("k", 1_000)];
    drop(at(&limiter, START + 10 * MINUTE).reserve(&charges).unwrap());
    let denied = at(&limiter, START + 10 * MINUTE).reserve(&charges).unwrap_err();
    assert_eq!(denied.retry_after(), Some(Duration::from_nanos(50 * MINUTE)));
    let both = |now| [used(&limiter, ids[0], now), used(&limiter, ids[1], now)];
    let end = expiry(&limiter, ids[0], START + 10 * MINUTE);
    assert_eq!(both(end - 1), [1_000, 1_000]);
    assert_eq!(both(end), [0, 1_000]);
    assert_eq!(both(START + HOUR - 1), [0, 1_000]);
    let again = at(&limiter, START + HOUR).reserve(&charges);
    assert!(again.is_ok());
}

/// A stream longer than the window gives back the unused part of its last extension only.
#[test]
fn stream_longer_than_the_window_gives_back_its_last_extension() {
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

/// A stream over two periods gives its last extension back to the second period.
#[test]
fn stream_longer_than_the_period_gives_back_its_last_extension() {
    let (limiter, ids) = limiter([hourly(1_000)]);
    let mut reservation = at(&limiter, START).reserve(&[ids[0].charge("k", 100)]).unwrap();
    let later = START + HOUR;
    assert!(at(&limiter, later).extend(&mut reservation, &[200]).unwrap().is_allowed());
    assert_eq!(used(&limiter, ids[0], later), 200);
    let _ = at(&limiter, later).cancel(&mut reservation).unwrap();
    assert_eq!(used(&limiter, ids[0], later), 0);
}

/// An extension by 0 does not become the last extension.
#[test]
fn extension_by_zero_is_not_the_last_extension() {
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

/// A reservation's own limit also applies to its extensions.
#[test]
fn extension_keeps_the_reservation_s_own_limit() {
    let (limiter, ids) = limiter([tokens(1_000)]);
    let charges = [ids[0].charge("k", 3).limit(5)];
    let mut reservation = at(&limiter, START).reserve(&charges).unwrap();
    let decision = reservation.decision();
    assert_eq!((decision.verdict, decision.limit, decision.remaining), (Verdict::Allowed, 5, 2));
    let mut extend = |more| at(&limiter, START).extend(&mut reservation, &[more]).unwrap();
    assert_eq!(extend(2).remaining, 0);
    let stop = extend(1);
    assert_eq!((stop.verdict, stop.limit), (Verdict::Denied, 5));
}

/// Guarantee C: a denied extension is charged to no policy, and the stream can still be settled.
#[test]
fn denied_extension_charges_no_policy() {
    let (limiter, ids) = limiter([hourly(10_000), tokens(1_000)]);
    let charges = [ids[0].charge("k", 900), ids[1].charge("k", 900)];
    let mut reservation = at(&limiter, START).reserve(&charges).unwrap();
    let stop = at(&limiter, START + SECOND).extend(&mut reservation, &[101, 101]).unwrap();
    assert_eq!((stop.verdict, stop.policy), (Verdict::Denied, ids[1]));
    let wait = expiry(&limiter, ids[1], START) - (START + SECOND);
    assert_eq!(stop.retry_after(), Some(Duration::from_nanos(wait)));
    let both = |now| [used(&limiter, ids[0], now), used(&limiter, ids[1], now)];
    assert_eq!(both(START + SECOND), [900, 900]);
    assert_eq!((reservation.charged(0), reservation.charged(2)), (Some(900), None));
    assert!(
        at(&limiter, START + SECOND).extend(&mut reservation, &[100, 100]).unwrap().is_allowed()
    );
    // An amount above the limit is impossible.
    let never = at(&limiter, START + SECOND).extend(&mut reservation, &[0, 1_001]).unwrap();
    assert_eq!(never.verdict, Verdict::Impossible);
    // The present limit applies.
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

/// A cost above the reservation is charged over the limit. The debt denies requests until it has
/// expired.
#[test]
fn debt_denies_until_it_expires() {
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

/// Each misuse is an error and charges nothing.
#[test]
fn misuse_is_an_error() {
    let (limiter, ids) = limiter([tokens(1_000), hourly(1_000)]);
    let (other, others) = self::limiter([tokens(1_000)]);
    let session = at(&limiter, START);
    let charge = |cost| [ids[0].charge("k", cost)];
    // Settle or cancel only once.
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
    // A reservation of another limiter with the same policies.
    let mut foreign = at(&other, START).reserve(&[others[0].charge("k", 1)]).unwrap();
    assert_eq!(session.settle(&mut foreign, &[0]).map(drop), Err(ReservationError::Foreign));
    assert_eq!(session.extend(&mut foreign, &[1]).map(drop), Err(ReservationError::Foreign));
    assert_eq!(used(&other, others[0], START), 1);
    assert_eq!(session.reserve(&[others[0].charge("k", 1)]).unwrap_err().verdict, Verdict::Invalid);
    // One amount for each item.
    let mut reservation = session.reserve(&charge(1)).unwrap();
    for amounts in [&[][..], &[1, 1], &[0; 100]] {
        let error = ReservationError::Amounts { expected: 1, value: amounts.len() };
        assert!(!error.to_string().is_empty());
        assert_eq!(session.settle(&mut reservation, amounts).map(drop), Err(error));
        assert_eq!(session.extend(&mut reservation, amounts).map(drop), Err(error));
    }
    assert!(session.cancel(&mut reservation).unwrap().is_allowed());
    // Too many items, and none.
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

/// Estimates and actual costs from 0 to `u64::MAX` are accepted, and none wraps.
#[test]
fn greatest_and_least_amounts_do_not_wrap() {
    let (limiter, ids) = limiter([tokens(1_000), hourly(1_000)]);
    let session = at(&limiter, START);
    // An estimate of 0 is charged when it is settled.
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
    // The debt of a window expires with the window, that of an hour with the hour.
    assert_eq!(used(&limiter, ids[0], START + 61 * SECOND), 0);
    assert_eq!(used(&limiter, ids[1], START + 61 * SECOND), 1_000);
    assert_eq!(used(&limiter, ids[1], START + HOUR), 0);
}

/// Reservations are refunded after their keys have moved to other arrays.
#[test]
fn settle_after_migrations_gives_back_in_full() {
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

/// A random call.
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

/// The expected charges of a reservation, with their times.
#[derive(Debug, Default)]
struct ExpectedCharges {
    charges: Vec<(u64, u64)>,
    open: bool,
}

impl ExpectedCharges {
    /// Takes back charges from the newest on, then charges the excess.
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

    /// Guarantees A and G, under random calls: a window never counts less than what is used or still
    /// reserved. A budget counts exactly what is used or still reserved, since nothing expires within
    /// its period. An admission fits under the present limit.
    #[test]
    fn random_calls_lose_no_charge_and_stay_within_limits(
        buckets in prop_oneof![Just(7_u32), Just(15), Just(127)],
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let (limiter, ids) =
            limiter([tokens(1_000).max_limit(1 << 20).buckets(buckets), hourly(1_000).max_limit(1 << 20)]);
        let mut now = START;
        let mut kept: Vec<(Reservation, ExpectedCharges)> = Vec::new();
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
                        let expected = ExpectedCharges { charges: vec![(now, cost)], open: true };
                        kept.push((reservation, expected));
                    } else {
                        prop_assert!(before.iter().any(|used| used + cost > limit), "{before:?}");
                    }
                }
                Step::Extend(which, more) => {
                    let Some((reservation, expected)) = kept.iter_mut().rev().nth(which) else {
                        continue;
                    };
                    match session.extend(reservation, &[more, more]) {
                        Ok(decision) if decision.is_allowed() => {
                            prop_assert!(before.iter().all(|used| used + more <= limit));
                            expected.charges.push((now, more));
                        }
                        Ok(_) => prop_assert!(before.iter().any(|used| used + more > limit)),
                        Err(error) => prop_assert_eq!((error, expected.open), (ReservationError::Closed, false)),
                    }
                }
                Step::Settle(which, actual) => {
                    let Some((reservation, expected)) = kept.iter_mut().rev().nth(which) else {
                        continue;
                    };
                    if session.settle(reservation, &[actual, actual]).is_ok() {
                        expected.settle(now, actual);
                    }
                }
                Step::Cancel(which) => {
                    let Some((reservation, expected)) = kept.iter_mut().rev().nth(which) else {
                        continue;
                    };
                    if session.cancel(reservation).is_ok() {
                        expected.settle(now, 0);
                    }
                }
            }
            let actual_sum = |after| kept.iter().map(|(_, expected)| expected.used(after)).sum::<u64>();
            let window = used(&limiter, ids[0], now);
            prop_assert!(window >= actual_sum(now - MINUTE), "{window} of {}", actual_sum(now - MINUTE));
            if now < START + HOUR {
                prop_assert_eq!(used(&limiter, ids[1], now), actual_sum(0));
            }
        }
    }
}

/// Guarantees A and C: 64 threads share a budget and a window. At every instant at least the actual
/// usage is charged, in the end exactly that, and no admission exceeds the limit.
#[test]
fn sixty_four_threads_charge_exactly_the_actual_cost() {
    const THREADS: u64 = 64;
    const LIMIT: u64 = 50_000;
    let turns: u64 = if cfg!(debug_assertions) { 400 } else { 4_000 };
    let greatest = 1 << 30;
    let policies = [tokens(LIMIT).max_limit(greatest), hourly(LIMIT).max_limit(greatest)];
    let (limiter, ids) = limiter(policies);
    // The actual cost of all settled requests, and how much of it exceeds their reservations.
    let (actual_sum, excess) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (limiter, ids, actual_sum, excess) = (&limiter, &ids, &actual_sum, &excess);
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
                    // Mostly nothing or a small part, so that the limit is not reached early.
                    let actual = match below(40) {
                        0 => charged + below(100),
                        1..10 => below(charged / 50 + 1),
                        _ => 0,
                    };
                    excess.fetch_add(actual.saturating_sub(charged), SeqCst);
                    assert!(
                        session().settle(&mut reservation, &[actual, actual]).unwrap().is_allowed()
                    );
                    let sum = actual_sum.fetch_add(actual, SeqCst) + actual;
                    for id in ids {
                        let used = used(limiter, *id, START);
                        assert!(used >= sum, "{used} charged of {sum} used");
                    }
                }
            });
        }
    });
    let (actual_sum, excess) = (actual_sum.into_inner(), excess.into_inner());
    assert!(actual_sum <= LIMIT + excess, "{actual_sum} used, {excess} of it in excess");
    assert!(actual_sum > LIMIT / 20, "{actual_sum} used");
    for id in &ids {
        assert_eq!(used(&limiter, *id, START), actual_sum);
        // Exactly the rest of the limit is available.
        if let Some(left) = LIMIT.checked_sub(actual_sum).filter(|left| *left > 0) {
            assert!(at(&limiter, START).peek(&[id.charge("k", left)]).is_allowed());
            assert!(!at(&limiter, START).peek(&[id.charge("k", left + 1)]).is_allowed());
        }
    }
}

/// Each charge of a reservation is counted once: the estimate, each extension, and a cost above
/// them. A settle without an excess counts nothing.
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
