//! Guarantees A, B and H at any uptime: an array is replaced before the time field of its packed words
//! overflows.

mod oracle;

use oracle::{Kind, Oracle, Rule, answer, assert_never_over, cases};
use proptest::prelude::*;
use std::time::Duration;
use tollgate::{Limiter, MAX_LIMIT, ManualClock, Now, Policy, PolicyId, PolicyStatus, Verdict};

/// Bits of a word's time field for a limit: 64 less two flags, the bits of the limit, and five bits for
/// usage above the limit.
fn time_bits(limit: u64) -> u32 {
    62 - 5 - (u64::BITS - limit.leading_zeros())
}

fn limiter(limit: u64, window: Duration) -> (Limiter, PolicyId) {
    let policy = Policy::sliding("p", limit, window);
    let builder = Limiter::builder().policy(policy).max_keys(16);
    let limiter = builder.clock(ManualClock::new()).build().unwrap();
    let id = limiter.policy("p").unwrap();
    (limiter, id)
}

/// Returns the range of a time field, in nanoseconds.
fn field_ns(limiter: &Limiter, id: PolicyId, limit: u64) -> u64 {
    (limiter.resolution(id).unwrap().as_nanos() as u64) << time_bits(limit)
}

/// Clock steps as (ranges of the time field, windows or quarters of one, nanoseconds), each with a key.
fn steps() -> impl Strategy<Value = Vec<(u64, i64, i64, u64)>> {
    let fields = prop_oneof![6 => Just(0u64), 2 => Just(1), 1 => 2u64..5];
    prop::collection::vec((fields, -1i64..=2, -2i64..=2, 0u64..3), 1..80)
}

proptest! {
    #![proptest_config(cases(400))]

    /// Guarantee B: an exact policy decides as the oracle does over many ranges of its time field,
    /// for busy keys and for keys that were idle for whole ranges.
    #[test]
    fn exact_policies_match_the_oracle_at_any_uptime(
        limit in 1u64..=127, window in prop::sample::select(vec![1_000_000u64, 60_000_000_000]),
        steps in steps(),
    ) {
        let (limiter, id) = limiter(limit, Duration::from_nanos(window));
        let field = field_ns(&limiter, id, limit);
        let mut oracle = Oracle::new(vec![Rule { limit, kind: Kind::Sliding(window) }]);
        let mut now = 0u64;
        for (fields, windows, nanos, key) in steps {
            let step = fields as i128 * field as i128
                + windows as i128 * window as i128
                + nanos as i128;
            now = now.saturating_add(u64::try_from(step.max(0)).unwrap());
            prop_assume!(now < u64::MAX / 2);
            for cost in [1, 2] {
                let decision =
                    limiter.session_at(Now::from_unix_nanos(now)).check(&[id.charge(key, cost)]);
                prop_assert_eq!(answer(&decision), oracle.check(now, &[(0, key, cost, None)]));
            }
        }
    }

    /// Guarantee A: bucketed policies with the shortest time field are never over the limit. A key
    /// that was idle for more than a window is allowed a charge of just over a third of its limit,
    /// however long it was idle.
    #[test]
    fn bucketed_policies_are_never_over_at_any_uptime(
        limit in prop::sample::select(vec![1u64 << 32, (1 << 32) - 1, MAX_LIMIT]), steps in steps(),
    ) {
        let window = 1_000_000;
        let (limiter, id) = limiter(limit, Duration::from_nanos(window));
        let field = field_ns(&limiter, id, limit);
        let idle_ns = window + 2 * limiter.resolution(id).unwrap().as_nanos() as u64;
        let mut admitted = [const { Vec::new() }; 3];
        let mut now = 0u64;
        for (fields, quarters, nanos, key) in steps {
            let step = fields as i128 * field as i128
                + quarters as i128 * window as i128 / 4
                + nanos as i128;
            now += u64::try_from(step.max(0)).unwrap();
            let log: &mut Vec<(u64, u64)> = &mut admitted[key as usize];
            let is_idle = log.last().is_none_or(|(at, _)| now - at >= idle_ns);
            let cost = limit / 3 + 1;
            let decision =
                limiter.session_at(Now::from_unix_nanos(now)).check(&[id.charge(key, cost)]);
            prop_assert!(decision.is_allowed() || !is_idle, "an idle key was denied at {now}");
            if decision.is_allowed() {
                log.push((now, cost));
            }
        }
        admitted.iter().for_each(|log| assert_never_over(log, window, limit));
    }

    /// Guarantee A: if the clock jumps past the time field and steps back, later charges are recorded
    /// at the newest reading, so the limit holds.
    #[test]
    fn never_over_after_a_jump_and_a_step_back(
        limit in 1u64..=127, turns in prop::collection::vec((any::<bool>(), 0u64..3_000_000), 1..100),
    ) {
        let window = 1_000_000;
        let (limiter, id) = limiter(limit, Duration::from_nanos(window));
        let field = field_ns(&limiter, id, limit);
        let (mut newest, mut admitted) = (0, Vec::new());
        for (ahead, within) in turns {
            let now = if ahead { field + within } else { within };
            let decision =
                limiter.session_at(Now::from_unix_nanos(now)).check(&[id.charge("k", 1)]);
            newest = newest.max(now);
            if decision.is_allowed() {
                admitted.push((newest, 1));
            }
        }
        // Each charge counts at the newest reading so far.
        assert_never_over(&admitted, window, limit);
    }
}

/// Guarantee H: readings up to `u64::MAX` neither panic nor wrap.
#[test]
fn the_last_clock_readings_do_not_wrap() {
    for limit in [1, 20, 127, 1_000, 1 << 32, MAX_LIMIT] {
        for window in [Duration::from_millis(1), Duration::from_secs(400 * 86_400)] {
            let (limiter, id) = limiter(limit, window);
            let mut allowed = 0;
            for now in [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX, u64::MAX, 0] {
                let session = limiter.session_at(Now::from_unix_nanos(now));
                let decision = session.check(&[id.charge("k", limit)]);
                assert!(matches!(decision.verdict, Verdict::Allowed | Verdict::Denied));
                allowed += u64::from(decision.is_allowed());
                session.refund(&id.charge("k", 1)).unwrap();
                assert!(session.force_charge(&[id.charge("k", u64::MAX)]).is_allowed());
                let huge = session.peek(&[id.charge("k", u64::MAX)]);
                assert_eq!(huge.verdict, Verdict::Impossible);
                session.reset_key(id, "other").unwrap();
            }
            assert!(allowed >= 1);
        }
    }
}

/// Guarantee H: on the last clock readings, and after a step back from them, a wait saturates. It is the
/// same whichever way a request is decided.
#[test]
fn waits_on_the_last_clock_readings_saturate() {
    let ask = |limit: u64, readings: [u64; 2], ahead: u64, cost: u64, has_status: bool| {
        let (limiter, id) = limiter(limit, Duration::from_secs(60));
        let check = |now: u64, key: &str, cost: u64, has_status: bool| {
            let mut statuses = [PolicyStatus::default()];
            let statuses = &mut statuses[..usize::from(has_status)];
            let charges = [id.charge(key, cost)];
            let at = Now::from_unix_nanos(now);
            let decision = limiter.check_at_with_status(at, &charges, statuses);
            (decision.remaining, decision.retry_after_ns, decision.reset_after_ns)
        };
        // The array is in use from the first reading on.
        check(readings[0], "other", 1, false);
        check(ahead, "k", limit - 1, false);
        check(readings[1], "k", cost, has_status)
    };
    for limit in [2, 20, 1_000, 1 << 32] {
        for now in [0, 1 << 40, u64::MAX / 2, u64::MAX - (1 << 36), u64::MAX - 1, u64::MAX] {
            for ahead in [now, (u64::MAX - 1).max(now), u64::MAX] {
                for cost in [1, 2] {
                    let [fast, general] =
                        [false, true].map(|status| ask(limit, [now; 2], ahead, cost, status));
                    assert_eq!(fast, general, "limit {limit}, now {now}, ahead {ahead}");
                    let is_far = ahead - now > 1 << 41;
                    assert!(!is_far || fast.2 > 1 << 40, "{fast:?} wraps around");
                }
            }
        }
    }
}
