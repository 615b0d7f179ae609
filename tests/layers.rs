//! Requests over several policies: all or nothing, and what the answer says.

mod oracle;

use proptest::prelude::*;
use std::net::IpAddr;
use std::time::Duration;
use tollgate::{
    Charge, ConfigError, Key, Limiter, MAX_CHARGES, ManualClock, Now, Period, Policy, PolicyId,
    PolicyStatus, Verdict,
};

const MINUTE: Duration = Duration::from_secs(60);
const NOW: Now = Now::from_unix_nanos(1_700_000_000_000_000_000);

fn limiter(policies: impl IntoIterator<Item = Policy>) -> (Limiter, Vec<PolicyId>) {
    let clock = ManualClock::new();
    clock.set(NOW);
    let mut builder = Limiter::builder().clock(clock).max_keys(64);
    let ids = policies.into_iter().map(|policy| builder.add(policy)).collect();
    (builder.build().unwrap(), ids)
}

fn charges(ids: &[PolicyId]) -> Vec<Charge<'static>> {
    ids.iter().map(|id| id.charge("k", 1)).collect()
}

/// For each number of layers and each place of the one without room, with keys that are new or
/// known: nothing is charged, and each layer is told as a look tells it.
#[test]
fn one_full_layer_charges_none() {
    for count in 2..=MAX_CHARGES {
        for (full, known) in (0..count).flat_map(|full| [(full, false), (full, true)]) {
            let policy = |n| match n % 3 {
                0 => Policy::sliding(format!("p{n}"), 5, MINUTE),
                1 => Policy::sliding(format!("p{n}"), 500, MINUTE),
                _ => Policy::calendar(format!("p{n}"), 5, Period::Day),
            };
            let (limiter, ids) = limiter((0..count).map(policy));
            let session = limiter.session_at(NOW);
            if known {
                assert!(session.check(&charges(&ids)).is_allowed());
            }
            let left = session.peek(&[ids[full].charge("k", 0)]).remaining;
            assert!(session.check(&[ids[full].charge("k", left)]).is_allowed());

            let (mut layers, mut seen) =
                ([PolicyStatus::default(); MAX_CHARGES], [PolicyStatus::default(); MAX_CHARGES]);
            let looked = session.peek_with_status(&charges(&ids), &mut seen);
            let decision = session.check_with_status(&charges(&ids), &mut layers);
            assert_eq!(decision, looked);
            assert_eq!(layers, seen);
            assert_eq!(decision.verdict, Verdict::Denied);
            assert_eq!((decision.policy, decision.remaining), (ids[full], 0));
            for (place, id) in ids.iter().enumerate() {
                let left = session.peek(&[id.charge("k", 1)]).remaining;
                let limit = limiter.limit(*id).unwrap() - u64::from(known);
                assert_eq!(left, if place == full { 0 } else { limit });
                assert_eq!(layers[place].policy, *id);
                assert_eq!(layers[place].violated, place == full);
                assert_eq!(layers[place].remaining, left);
            }
        }
    }
}

#[test]
fn a_denial_names_the_first_and_waits_for_the_longest() {
    let (limiter, ids) = limiter([
        Policy::sliding("a", 1, Duration::from_secs(10)),
        Policy::sliding("b", 1, MINUTE),
        Policy::sliding("c", 1, Duration::from_secs(30)),
    ]);
    assert!(limiter.session_at(NOW).check(&charges(&ids)).is_allowed());
    let decision = limiter.session_at(NOW).check(&charges(&ids));
    assert_eq!(decision.policy, ids[0]);
    assert_eq!(decision.retry_after(), Some(MINUTE));
    // The first in the order of the request, not of the policies.
    let decision = limiter.session_at(NOW).check(&[ids[2].charge("k", 1), ids[0].charge("k", 1)]);
    assert_eq!(decision.policy, ids[2]);
    assert_eq!(decision.retry_after(), Some(Duration::from_secs(30)));
}

#[test]
fn an_impossible_cost_is_told_whatever_else_lacks_room() {
    let (limiter, ids) =
        limiter([Policy::sliding("a", 1, MINUTE), Policy::sliding("b", 10, MINUTE)]);
    let session = limiter.session_at(NOW);
    assert!(session.check(&[ids[0].charge("k", 1)]).is_allowed());
    let decision = session.check(&[ids[0].charge("k", 1), ids[1].charge("k", 11)]);
    assert_eq!((decision.verdict, decision.policy), (Verdict::Impossible, ids[0]));
    assert_eq!(decision.retry_after(), None);
    assert_eq!(session.check(&[ids[1].charge("k", 11)]).verdict, Verdict::Impossible);
    // Two charges of one request to one key add up.
    let twice = [ids[1].charge("k", 6), ids[1].charge("k", 6)];
    assert_eq!(session.check(&twice).verdict, Verdict::Impossible);
    let twice = [ids[1].charge("k", 6), ids[1].charge("k", 4)];
    assert!(session.check(&twice).is_allowed());
    assert_eq!(session.check(&[ids[1].charge("k", 1)]).retry_after(), Some(MINUTE));
}

#[test]
fn what_is_not_a_request_of_this_limiter_is_invalid() {
    let (first, ids) = limiter([Policy::sliding("a", 10, MINUTE)]);
    let (_, foreign) = limiter([Policy::sliding("a", 10, MINUTE), Policy::sliding("b", 1, MINUTE)]);
    let session = first.session_at(NOW);
    for id in [foreign[0], foreign[1], PolicyId::default()] {
        assert_eq!(session.check(&[id.charge("k", 1)]).verdict, Verdict::Invalid);
        let mixed = [ids[0].charge("k", 1), id.charge("k", 1)];
        assert_eq!(session.check(&mixed).verdict, Verdict::Invalid);
        assert_eq!(session.force_charge(&mixed).verdict, Verdict::Invalid);
        let error = session.refund(&id.charge("k", 1)).unwrap_err();
        assert_eq!(error.value, id.index());
        assert_eq!(session.reset_key(id, "k"), Err(error));
        assert_eq!(session.stats(id), Err(error));
        assert_eq!(first.refund(&id.charge("k", 1)), Err(error));
        assert_eq!(first.reset_key(id, "k"), Err(error));
        assert_eq!(first.stats(id), Err(error));
        assert_eq!(first.limit(id), Err(error));
        assert_eq!(first.resolution(id), Err(error));
        assert_eq!(first.set_limit(id, 5), Err(error.into()));
        assert_eq!(error.to_string(), ConfigError::from(error).to_string());
    }
    let many = [ids[0].charge("k", 0); MAX_CHARGES + 1];
    assert_eq!(session.check(&many).verdict, Verdict::Invalid);
    assert!(session.check(&many[1..]).is_allowed());
    assert!(session.check(&[]).is_allowed());
    assert_eq!(session.peek(&[ids[0].charge("k", 1)]).remaining, 10);
}

/// A key that finds no place in the last layer has charged no layer before it.
#[test]
fn a_full_table_charges_none() {
    let (limiter, ids) = limiter([
        Policy::sliding("wide", 10, MINUTE),
        Policy::sliding("narrow", 10, MINUTE).max_keys(3),
    ]);
    let session = limiter.session_at(NOW);
    let request = |key: u64| session.check(&[ids[0].charge(key, 1), ids[1].charge(key, 1)]);
    for key in 0..3 {
        assert!(request(key).is_allowed());
    }
    for key in 3..10 {
        let decision = request(key);
        assert_eq!((decision.verdict, decision.policy), (Verdict::TableFull, ids[1]));
        assert_eq!(session.peek(&[ids[0].charge(key, 1)]).remaining, 10);
        assert_eq!(session.force_charge(&[ids[1].charge(key, 1)]).verdict, Verdict::TableFull);
    }
    assert!(request(0).is_allowed());
}

#[test]
fn tiers_and_new_limits_keep_what_was_used() {
    let (limiter, ids) = limiter([Policy::sliding("a", 10, MINUTE).max_limit(100)]);
    let session = limiter.session_at(NOW);
    let id = ids[0];
    assert!(session.check(&[id.charge("free", 10)]).is_allowed());
    assert!(!session.check(&[id.charge("free", 1)]).is_allowed());
    let paid = session.check(&[id.charge("free", 1).limit(100)]);
    assert_eq!((paid.is_allowed(), paid.limit, paid.remaining), (true, 100, 89));
    // Beyond the greatest limit is cut to it; zero lets nothing through.
    let greedy = session.check(&[id.charge("free", 90).limit(u64::MAX)]);
    assert_eq!((greedy.verdict, greedy.limit), (Verdict::Denied, 100));
    assert_eq!(session.check(&[id.charge("x", 1).limit(0)]).verdict, Verdict::Impossible);
    limiter.set_limit(id, 12).unwrap();
    assert!(session.check(&[id.charge("free", 1)]).is_allowed());
    assert!(!session.check(&[id.charge("free", 1)]).is_allowed());
    limiter.set_limit(id, 3).unwrap();
    let lowered = session.check(&[id.charge("free", 1)]);
    assert_eq!((lowered.limit, lowered.remaining), (3, 0));
    assert!(limiter.set_limit(id, 101).is_err() && limiter.set_limit(id, 0).is_err());
    assert_eq!(limiter.limit(id), Ok(3));
}

#[test]
fn refunds_and_debts_show() {
    let (limiter, ids) = limiter([
        Policy::sliding("exact", 10, MINUTE),
        Policy::sliding("buckets", 1_000, MINUTE),
        Policy::calendar("day", 10, Period::Day),
    ]);
    let session = limiter.session_at(NOW);
    for id in ids {
        let limit = limiter.limit(id).unwrap();
        assert!(session.check(&[id.charge("k", limit)]).is_allowed());
        assert_eq!(session.refund(&id.charge("k", 4)), Ok(4));
        assert_eq!(session.peek(&[id.charge("k", 1)]).remaining, 4);
        let debt = session.force_charge(&[id.charge("k", limit)]);
        assert_eq!((debt.verdict, debt.remaining), (Verdict::Allowed, 0));
        assert!(!session.check(&[id.charge("k", 1)]).is_allowed());
        assert_eq!(session.refund(&id.charge("k", u64::MAX)), Ok(2 * limit - 4));
        assert_eq!(session.refund(&id.charge("k", 1)), Ok(0));
        assert_eq!(session.refund(&id.charge("absent", 1)), Ok(0));
        assert!(session.check(&[id.charge("k", limit)]).is_allowed());
        session.reset_key(id, "k").unwrap();
        assert_eq!(session.peek(&[id.charge("k", 1)]).remaining, limit);
    }
}

#[test]
fn addresses_count_by_subscriber() {
    let (limiter, ids) = limiter([Policy::sliding("ip", 1, MINUTE)]);
    let session = limiter.session_at(NOW);
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let check = |key: Key<'static>| session.check(&[ids[0].charge(key, 1)]).is_allowed();
    assert!(check(ip("2001:db8::1").into()));
    assert!(!check(ip("2001:db8::ffff:1").into()));
    assert!(check(ip("2001:db8:0:1::1").into()));
    assert!(check(Key::ip(ip("2001:db8::1"), 128)));
    assert!(check(ip("192.0.2.1").into()));
    assert!(!check(ip("::ffff:192.0.2.1").into()));
    assert!(check(ip("::ffff:192.0.2.2").into()));
    assert!(check(Key::SHARED) && !check(Key::SHARED));
}

proptest! {
    #![proptest_config(oracle::cases(64))]

    /// One call of the limiter, and the same in a session: any number of charges, some of one counter,
    /// of known keys and new ones, with and without room.
    #[test]
    fn a_call_equals_a_session(
        requests in prop::collection::vec(
            (0..20_000_u64, prop::collection::vec((0..3_usize, 0..70_u64, 0..4_u64), 0..=6)),
            1..200,
        ),
    ) {
        let policies = || [
            Policy::sliding("exact", 5, MINUTE),
            Policy::sliding("buckets", 40, MINUTE).buckets(7),
            Policy::calendar("tokens", 9, Period::Day),
        ];
        let all = [(); 3].map(|()| limiter(policies()));
        let [(session, in_session), (call, by_call), (plain, by_plain)] = &all;
        let mut now = NOW;
        for (step_ms, lines) in requests {
            now.monotonic_ns += step_ms * 1_000_000;
            now.unix_ns += step_ms * 1_000_000;
            let charges = |ids: &[PolicyId]| -> Vec<Charge<'static>> {
                lines.iter().map(|(policy, key, cost)| ids[*policy].charge(*key, *cost)).collect()
            };
            let [mut asked, mut told] = [[PolicyStatus::default(); 6]; 2];
            let expected = session.session_at(now).check_with_status(&charges(in_session), &mut asked);
            let decision = call.check_at_with_status(now, &charges(by_call), &mut told);
            let without = plain.check_at(now, &charges(by_plain));
            prop_assert_eq!(oracle::reported(&decision), oracle::reported(&expected));
            prop_assert_eq!(oracle::reported(&without), oracle::reported(&expected));
            // As many as were asked for: ids of policies differ from limiter to limiter.
            let of = |layer: &PolicyStatus| (
                [layer.limit, layer.remaining, layer.reset_after_ns],
                (layer.violated, layer.retry_after_ns, layer.table_full),
            );
            prop_assert_eq!(told.map(|layer| of(&layer)), asked.map(|layer| of(&layer)));
        }
    }
}
