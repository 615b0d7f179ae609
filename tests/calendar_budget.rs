//! Guarantee G: budgets per hour, day and month are exact, and a period that has ended never
//! reopens.

mod oracle;

use oracle::cases;
use proptest::prelude::*;
use std::collections::HashMap;
use std::time::Duration;
use tollgate::{Limiter, MAX_LIMIT, ManualClock, Now, Period, Policy, PolicyId, Verdict};

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;
/// 2024-02-28T00:00:00Z, just before a leap day and the end of a month.
const START: u64 = 19_781 * DAY;

fn limiter(limit: u64, period: Period, offset_s: i32) -> (Limiter, PolicyId) {
    let policy = Policy::calendar("p", limit, period).offset_seconds(offset_s);
    let limiter = Limiter::builder().policy(policy).clock(ManualClock::new()).build().unwrap();
    let id = limiter.policy("p").unwrap();
    (limiter, id)
}

/// Returns the number of the period at `unix_ns`. This oracle counts months from January 1970, and
/// shares no code with the limiter.
fn period_number(period: Period, offset_s: i32, unix_ns: u64) -> u64 {
    let local = unix_ns / SECOND;
    let local = local.saturating_add_signed(i64::from(offset_s));
    match period {
        Period::Hour => local / 3_600,
        Period::Day => local / 86_400,
        _ => {
            let (mut day, mut month) = (local / 86_400, 0);
            loop {
                let (year, index) = (1970 + month / 12, month % 12);
                let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
                let days = [31, 28 + u64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
                let days = days[index as usize];
                if day < days {
                    return month;
                }
                (day, month) = (day - days, month + 1);
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(1_000))]

    /// Guarantee G: in each period, a request is admitted exactly if `used + cost <= limit`, under a
    /// clock that steps forward and back. A key is never charged in a period before its newest one.
    #[test]
    fn each_budget_is_spent_once(
        period in prop::sample::select(vec![Period::Hour, Period::Day, Period::Month]),
        offset_s in prop::sample::select(vec![0, 3_600, 20_700, -12_600, 64_800, -64_800]),
        limit in 1u64..1_000,
        steps in prop::collection::vec((-90_000i64..120_000, 0u64..400), 1..200),
    ) {
        let (limiter, id) = limiter(limit, period, offset_s);
        let (mut now, mut newest) = (START, 0);
        let mut spent: HashMap<u64, u64> = HashMap::new();
        for (seconds, cost) in steps {
            now = now.saturating_add_signed(seconds * SECOND as i64);
            let current = period_number(period, offset_s, now).max(newest);
            let used = spent.entry(current).or_default();
            let decision =
                limiter.session_at(Now::from_unix_nanos(now)).check(&[id.charge("k", cost)]);
            prop_assert_eq!(decision.is_allowed(), *used + cost <= limit);
            prop_assert_eq!(decision.verdict == Verdict::Impossible, cost > limit);
            if decision.is_allowed() {
                *used += cost;
                newest = if cost > 0 { current } else { newest };
            } else if let Some(wait) = decision.retry_after_ns {
                let next = now + wait;
                prop_assert_eq!(period_number(period, offset_s, next), current + 1);
                prop_assert_eq!(period_number(period, offset_s, next - 1), current);
            }
            prop_assert_eq!(decision.remaining, limit - *used);
            if cost > 0 && decision.is_allowed() {
                let reset = now + decision.reset_after_ns;
                prop_assert_eq!(period_number(period, offset_s, reset), current + 1);
            }
        }
    }
}

/// Guarantee G: a wall clock that steps back over midnight reopens no budget.
#[test]
fn a_step_back_over_midnight_reopens_no_budget() {
    let (limiter, id) = limiter(10, Period::Day, 0);
    let check = |unix_ns: u64, cost: u64| {
        limiter.session_at(Now::new(0, unix_ns)).check(&[id.charge("k", cost)])
    };
    assert!(check(START - 1, 10).is_allowed());
    assert_eq!(check(START - 1, 1).retry_after(), Some(Duration::from_nanos(1)));
    assert!(check(START, 4).is_allowed());
    // The clock shows the day before again. The newer day's budget is charged, and the wait lasts
    // until that day ends.
    let decision = check(START - SECOND, 7);
    assert_eq!(decision.retry_after(), Some(Duration::from_nanos(DAY + SECOND)));
    assert!(check(START - SECOND, 6).is_allowed());
    assert!(!check(START, 1).is_allowed());
    assert!(check(START + DAY, 10).is_allowed());
}

/// Guarantee H: the greatest limits, costs and times do not wrap.
#[test]
fn greatest_numbers_do_not_wrap() {
    let (limiter, id) = limiter(MAX_LIMIT, Period::Hour, 0);
    let session = limiter.session_at(Now::from_unix_nanos(START));
    assert!(session.check(&[id.charge("k", MAX_LIMIT)]).is_allowed());
    assert_eq!(session.check(&[id.charge("k", 1)]).verdict, Verdict::Denied);
    assert_eq!(session.check(&[id.charge("k", u64::MAX)]).verdict, Verdict::Impossible);
    // The usage saturates. It is then not refunded, and lasts until the period ends.
    assert_eq!(session.force_charge(&[id.charge("k", u64::MAX)]).remaining, 0);
    assert_eq!(session.refund(&id.charge("k", u64::MAX)), Ok(0));
    assert!(!session.check(&[id.charge("k", 1)]).is_allowed());
    let next = limiter.session_at(Now::from_unix_nanos(START + 3_600 * SECOND));
    assert!(next.check(&[id.charge("k", MAX_LIMIT)]).is_allowed());
    let last = limiter.session_at(Now::from_unix_nanos(u64::MAX));
    assert!(last.check(&[id.charge("k", MAX_LIMIT)]).is_allowed());
    assert!(!last.check(&[id.charge("k", 1)]).is_allowed());
}

/// Guarantee G: hours are numbered until 2209. All later hours are one period, whose budget is spent
/// once, even if the table replaces its array.
#[test]
fn the_last_period_is_spent_once() {
    let clock = ManualClock::new();
    let late = Now::from_unix_nanos(8_000_000_000 * SECOND);
    clock.set(late);
    let policy = Policy::calendar("p", 5, Period::Hour).max_keys(2);
    let limiter = Limiter::builder().policy(policy).clock(clock).build().unwrap();
    let id = limiter.policy("p").unwrap();
    let session = limiter.session_at(late);
    assert!(session.check(&[id.charge("a", 5)]).is_allowed());
    assert!(session.check(&[id.charge("b", 5)]).is_allowed());
    // A key without usage makes room.
    assert_eq!(session.refund(&id.charge("b", 5)), Ok(5));
    assert!(session.check(&[id.charge("c", 5)]).is_allowed());
    let again = session.check(&[id.charge("a", 5)]);
    assert!(!again.is_allowed() && again.retry_after() > Some(Duration::ZERO));
}

/// The limiter's clock reads the wall clock if any of its policies is a calendar budget.
#[test]
fn any_calendar_policy_reads_the_wall_clock() {
    let sliding = || Policy::sliding("sliding", 1, Duration::from_secs(1));
    let calendar = || Policy::calendar("calendar", 1, Period::Hour);
    for policies in [[sliding(), calendar()], [calendar(), sliding()]] {
        let builder = policies.into_iter().fold(Limiter::builder(), |b, policy| b.policy(policy));
        assert!(builder.build().unwrap().now().unix_ns > START);
    }
}
