//! Guarantee C: requests over several policies are charged under all or none, and report why.

mod oracle;

use proptest::prelude::*;
use std::net::IpAddr;
use std::time::Duration;
use tollgate::{
    Charge, ConfigError, Key, Limiter, MAX_CHARGES, MAX_LIMIT, ManualClock, Now, Period, Policy,
    PolicyId, PolicyStatus, Verdict,
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

/// Guarantee C: a full policy denies the whole request, at each index of each number of policies
/// and for new and known keys. Nothing is charged, and each status equals that of a peek.
#[test]
fn one_full_policy_denies_the_whole_request() {
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

            let (mut checked, mut peeked) =
                ([PolicyStatus::default(); MAX_CHARGES], [PolicyStatus::default(); MAX_CHARGES]);
            let peek = session.peek_with_status(&charges(&ids), &mut peeked);
            let decision = session.check_with_status(&charges(&ids), &mut checked);
            assert_eq!(decision, peek);
            assert_eq!(checked, peeked);
            assert_eq!(decision.verdict, Verdict::Denied);
            assert_eq!((decision.policy, decision.remaining), (ids[full], 0));
            for (index, id) in ids.iter().enumerate() {
                let left = session.peek(&[id.charge("k", 1)]).remaining;
                let limit = limiter.limit(*id).unwrap() - u64::from(known);
                assert_eq!(left, if index == full { 0 } else { limit });
                assert_eq!(checked[index].policy, *id);
                assert_eq!(checked[index].violated, index == full);
                assert_eq!(checked[index].remaining, left);
            }
        }
    }
}

/// Guarantee C: a denial reports the first policy without room and the longest wait.
#[test]
fn a_denial_reports_the_first_policy_and_the_longest_wait() {
    let (limiter, ids) = limiter([
        Policy::sliding("a", 1, Duration::from_secs(10)),
        Policy::sliding("b", 1, MINUTE),
        Policy::sliding("c", 1, Duration::from_secs(30)),
    ]);
    assert!(limiter.session_at(NOW).check(&charges(&ids)).is_allowed());
    let decision = limiter.session_at(NOW).check(&charges(&ids));
    assert_eq!(decision.policy, ids[0]);
    assert_eq!(decision.retry_after(), Some(MINUTE));
    // The first in the order of the charges, not of the policies.
    let decision = limiter.session_at(NOW).check(&[ids[2].charge("k", 1), ids[0].charge("k", 1)]);
    assert_eq!(decision.policy, ids[2]);
    assert_eq!(decision.retry_after(), Some(Duration::from_secs(30)));
}

/// An allowed request reports the policy with the least share of its limit left, not the one with the
/// fewest units, in every kind of request.
#[test]
fn an_allowed_request_reports_the_least_share_left() {
    let (limiter, ids) = limiter([
        Policy::sliding("requests", 50, MINUTE),
        Policy::sliding("tokens", 200_000, MINUTE),
        Policy::calendar("budget", 1_000, Period::Day),
    ]);
    let session = limiter.session_at(NOW);
    let costs =
        |tokens| [ids[0].charge("k", 1), ids[1].charge("k", tokens), ids[2].charge("k", 20)];
    // Left are 98, 10 and 98 percent.
    let decision = session.check(&costs(180_000));
    assert_eq!((decision.policy, decision.limit, decision.remaining), (ids[1], 200_000, 20_000));
    // 96, 9.5 and 96 percent, also with statuses, and where all charges are known beforehand.
    let mut statuses = [PolicyStatus::default(); 3];
    let decision = session.check_with_status(&costs(1_000), &mut statuses);
    assert_eq!((decision.policy, decision.remaining), (ids[1], 19_000));
    assert_eq!(statuses.map(|status| status.remaining), [48, 19_000, 960]);
    assert_eq!(session.peek(&costs(1_000)).policy, ids[1]);
    let reservation = session.reserve(&costs(1_000)).unwrap();
    assert_eq!(reservation.decision().policy, ids[1]);
    // A forced charge of 44 of 50 requests leaves 3 of them, 6 percent.
    let forced = session.force_charge(&[ids[1].charge("k", 1), ids[0].charge("k", 44)]);
    assert_eq!((forced.policy, forced.remaining), (ids[0], 3));
}

/// Of equal shares the first one is reported, in the order of the charges. The comparison is exact: of the
/// two largest shares here, one is less by about one part in 2^80. A limit of 0 leaves no share.
#[test]
fn the_comparison_of_shares_is_exact() {
    let (limiter, ids) = limiter([
        Policy::calendar("large", MAX_LIMIT, Period::Day),
        Policy::calendar("other", MAX_LIMIT, Period::Day),
        Policy::calendar("small", 10, Period::Day),
    ]);
    let session = limiter.session_at(NOW);
    let [large, other, small] = [ids[0], ids[1], ids[2]];
    let reported = |charges: [Charge<'_>; 2]| {
        let policies = [session.check(&charges), session.peek(&charges)].map(|made| made.policy);
        charges.iter().for_each(|charge| assert!(session.refund(charge).is_ok()));
        policies
    };
    let (half, half_of_large) = (small.charge("k", 5), large.charge("k", MAX_LIMIT / 2));
    assert_eq!(reported([half_of_large, half]), [large; 2]);
    assert_eq!(reported([half, half_of_large]), [small; 2]);
    let (more, less) = (large.charge("k", 1), other.charge("k", 1).limit(MAX_LIMIT - 1));
    assert_eq!(reported([more, less]), [other; 2]);
    assert_eq!(reported([less, more]), [other; 2]);
    // A cost of 0 under a limit of 0 is allowed.
    let nothing = small.charge("k", 0).limit(0);
    for charges in [[more, nothing], [nothing, more], [half_of_large, nothing]] {
        assert_eq!(reported(charges), [small; 2]);
    }
}

/// Guarantee H: a cost above the limit is `Impossible`, even if another policy denies. The costs of
/// several charges to one key add up.
#[test]
fn an_impossible_cost_takes_precedence_over_a_denial() {
    let (limiter, ids) =
        limiter([Policy::sliding("a", 1, MINUTE), Policy::sliding("b", 10, MINUTE)]);
    let session = limiter.session_at(NOW);
    assert!(session.check(&[ids[0].charge("k", 1)]).is_allowed());
    let decision = session.check(&[ids[0].charge("k", 1), ids[1].charge("k", 11)]);
    assert_eq!((decision.verdict, decision.policy), (Verdict::Impossible, ids[0]));
    assert_eq!(decision.retry_after(), None);
    assert_eq!(session.check(&[ids[1].charge("k", 11)]).verdict, Verdict::Impossible);
    // Two charges of one request for one key add up.
    let twice = [ids[1].charge("k", 6), ids[1].charge("k", 6)];
    assert_eq!(session.check(&twice).verdict, Verdict::Impossible);
    let twice = [ids[1].charge("k", 6), ids[1].charge("k", 4)];
    assert!(session.check(&twice).is_allowed());
    assert_eq!(session.check(&[ids[1].charge("k", 1)]).retry_after(), Some(MINUTE));
}

/// Foreign policies and too many charges are invalid, and nothing is charged.
#[test]
fn foreign_policies_and_too_many_charges_are_invalid() {
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

/// Guarantee C: a request whose last policy has a full table charges no policy before it.
#[test]
fn a_full_table_refuses_the_whole_request() {
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
        // It writes no status either, whether the request has one charge or two.
        for charges in
            [&[ids[0].charge(key, 1), ids[1].charge(key, 1)][..], &[ids[1].charge(key, 1)]]
        {
            let unwritten = [PolicyStatus::default(); 2];
            let mut statuses = unwritten;
            let decision = session.check_with_status(charges, &mut statuses);
            assert_eq!((decision.verdict, statuses), (Verdict::TableFull, unwritten));
        }
    }
    assert!(request(0).is_allowed());
}

/// Guarantee F: a new key takes no slot if another policy denies its request, whichever charge comes
/// first. So a coarse policy keeps a flood of new keys out of the table of a finer one.
#[test]
fn a_denied_request_takes_no_slot() {
    let policy = |name| Policy::sliding(name, 3, MINUTE);
    let (limiter, ids) = limiter([policy("network"), policy("address")]);
    let (network, address) = (ids[0], ids[1]);
    for turn in 0..40_u64 {
        let mut request = [network.charge("one", 1), address.charge(turn, 1)];
        request.rotate_left(turn as usize % 2);
        let expected = if turn < 3 { Verdict::Allowed } else { Verdict::Denied };
        assert_eq!(limiter.check(&request).verdict, expected);
    }
    let slots = [network, address].map(|id| limiter.stats(id).unwrap().used_slots);
    assert_eq!(slots, [1, 3]);
}

/// A limit per charge and a new limit of the policy apply to the usage so far.
#[test]
fn limits_per_charge_and_new_limits_keep_the_usage() {
    let (limiter, ids) = limiter([Policy::sliding("a", 10, MINUTE).max_limit(100)]);
    let session = limiter.session_at(NOW);
    let id = ids[0];
    assert!(session.check(&[id.charge("free", 10)]).is_allowed());
    assert!(!session.check(&[id.charge("free", 1)]).is_allowed());
    let paid = session.check(&[id.charge("free", 1).limit(100)]);
    assert_eq!((paid.is_allowed(), paid.limit, paid.remaining), (true, 100, 89));
    // A limit above `max_limit` is cut to it; a limit of 0 admits nothing.
    let greedy = session.check(&[id.charge("free", 90).limit(u64::MAX)]);
    assert_eq!((greedy.verdict, greedy.limit), (Verdict::Denied, 100));
    assert_eq!(session.check(&[id.charge("x", 1).limit(0)]).verdict, Verdict::Impossible);
    limiter.set_limit(id, 12).unwrap();
    assert!(session.check(&[id.charge("free", 1)]).is_allowed());
    assert!(!session.check(&[id.charge("free", 1)]).is_allowed());
    limiter.set_limit(id, 3).unwrap();
    let lowered = session.check(&[id.charge("free", 1)]);
    assert_eq!((lowered.limit, lowered.remaining), (3, 0));
    assert!(limiter.set_limit(id, 101).is_err() && limiter.set_limit(id, u64::MAX).is_err());
    assert_eq!(limiter.limit(id), Ok(3));
}

/// Refunds, forced charges and resets change the remaining cost exactly.
#[test]
fn refunds_debts_and_resets_are_exact() {
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

/// IPv6 addresses count by their /64 network by default; those that stand for an IPv4 address count as
/// that one.
#[test]
fn addresses_count_by_network() {
    let (limiter, ids) = limiter([Policy::sliding("ip", 1, MINUTE)]);
    let session = limiter.session_at(NOW);
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let check = |key: Key<'static>| session.check(&[ids[0].charge(key, 1)]).is_allowed();
    assert!(check(ip("2001:db8::1").into()));
    assert!(!check(ip("2001:db8::ffff:1").into()));
    assert!(check(ip("2001:db8:0:1::1").into()));
    assert!(check(Key::network(ip("2001:db8::1"), 32, 128)));
    assert!(check(ip("192.0.2.1").into()));
    assert!(!check(ip("::ffff:192.0.2.1").into()));
    assert!(!check(ip("64:ff9b::192.0.2.1").into()));
    assert!(check(ip("::192.0.2.2").into()));
    assert!(!check(ip("::ffff:192.0.2.2").into()));
    assert!(check(Key::network(ip("192.0.2.0"), 24, 64)));
    assert!(!check(Key::network(ip("192.0.2.255"), 24, 64)));
    assert!(check(ip("192.0.2.0").into()));
    assert!(check(Key::SHARED) && !check(Key::SHARED));
}

/// A key with parts has a counter of its own, which depends on the boundaries of the parts.
#[test]
fn parts_count_together() {
    let (limiter, ids) = limiter([Policy::sliding("parts", 1, MINUTE)]);
    let session = limiter.session_at(NOW);
    let check = |key: Key<'_>| session.check(&[ids[0].charge(key, 1)]).is_allowed();
    let address = IpAddr::from([192, 0, 2, 1]);
    let inner = ["ab".into(), "c".into()];
    let lists: [&[Key<'_>]; 9] = [
        &[],
        &["ab".into(), "c".into()],
        &["a".into(), "bc".into()],
        &["c".into(), "ab".into()],
        &["abc".into()],
        &["abc".into(), 7.into()],
        &["abc".into(), address.into()],
        &["abc".into(), Key::network(address, 24, 64)],
        &[Key::parts(&inner)],
    ];
    assert!(check("abc".into()) && check("".into()));
    assert!(lists.iter().all(|parts| check(Key::parts(parts))), "each has a counter of its own");
    assert!(!lists.iter().any(|parts| check(Key::parts(parts))), "each is full");
    let request = [ids[0].charge(Key::parts(&lists[1][..1]), 1)];
    assert!(limiter.check_at(NOW, &request).is_allowed());
    session.reset_key(ids[0], Key::parts(lists[1])).unwrap();
    assert!(check(Key::parts(lists[1])) && !check(Key::parts(lists[2])));
}

proptest! {
    #![proptest_config(oracle::cases(64))]

    /// `Limiter::check_at` and `check_at_with_status` decide as `Session::check_with_status` does,
    /// for any number of charges, some of one counter, of known and new keys, with and without
    /// room.
    #[test]
    fn limiter_calls_equal_session_calls(
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
        for (step_ms, items) in requests {
            now.monotonic_ns += step_ms * 1_000_000;
            now.unix_ns += step_ms * 1_000_000;
            let charges = |ids: &[PolicyId]| -> Vec<Charge<'static>> {
                items.iter().map(|(policy, key, cost)| ids[*policy].charge(*key, *cost)).collect()
            };
            let [mut by_session, mut by_limiter] = [[PolicyStatus::default(); 6]; 2];
            let expected = session.session_at(now).check_with_status(&charges(in_session), &mut by_session);
            let decision = call.check_at_with_status(now, &charges(by_call), &mut by_limiter);
            let without = plain.check_at(now, &charges(by_plain));
            prop_assert_eq!(oracle::reported(&decision), oracle::reported(&expected));
            prop_assert_eq!(oracle::reported(&without), oracle::reported(&expected));
            // All fields but the policy, whose id differs between the limiters.
            let fields = |status: &PolicyStatus| (
                [status.limit, status.remaining, status.reset_after_ns],
                (status.violated, status.retry_after_ns, status.table_full),
            );
            prop_assert_eq!(
                by_limiter.map(|status| fields(&status)),
                by_session.map(|status| fields(&status))
            );
        }
    }
}
