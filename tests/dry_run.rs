//! Policies in a dry run: they decide and charge as an enforced policy does, and refuse nothing.

mod oracle;

use proptest::prelude::*;
use std::time::Duration;
use tollgate::{
    Charge, Decision, Limiter, ManualClock, Now, Overflow, Period, Policy, PolicyId, PolicyStatus,
    Session, Verdict, http,
};

const MINUTE: Duration = Duration::from_secs(60);
const NOW: Now = Now::from_unix_nanos(1_700_000_000_000_000_000);

fn limiter(policies: impl IntoIterator<Item = Policy>) -> (Limiter, Vec<PolicyId>) {
    let clock = ManualClock::new();
    clock.set(NOW);
    let mut builder = Limiter::builder().clock(clock).max_keys(64).seed([1, 2, 3, 4]);
    let ids = policies.into_iter().map(|policy| builder.add(policy)).collect();
    (builder.build().unwrap(), ids)
}

fn used(session: &Session<'_>, id: PolicyId, key: u64) -> u64 {
    let peeked = session.peek(&[id.charge(key, 0).limit(u64::MAX)]);
    peeked.limit - peeked.remaining
}

fn status(session: &Session<'_>, charges: &[Charge<'_>]) -> (Decision, PolicyStatus) {
    let mut statuses = [PolicyStatus::default(); 4];
    let decision = session.check_with_status(charges, &mut statuses);
    (decision, statuses[0])
}

/// The setting is readable, and off unless it is set.
#[test]
fn a_policy_is_enforced_unless_it_is_set_to_a_dry_run() {
    let policy = Policy::sliding("p", 1, MINUTE);
    assert!(!policy.is_dry_run());
    assert!(policy.clone().dry_run(true).is_dry_run());
    assert!(!policy.dry_run(true).dry_run(false).is_dry_run());
}

/// What a single charge would be denied for: no room, a cost above the limit, a debt.
#[test]
fn one_charge_without_room_passes_uncharged() {
    let kinds = [
        Policy::sliding("exact", 5, MINUTE),
        Policy::sliding("buckets", 500, MINUTE),
        Policy::calendar("day", 5, Period::Day),
    ];
    for policy in kinds {
        let max_limit = 2 * policy.limit();
        let (limiter, ids) = limiter([policy.max_limit(max_limit).dry_run(true)]);
        let (session, id) = (limiter.session_at(NOW), ids[0]);
        let limit = limiter.limit(id).unwrap();
        // A cost above the limit, for a key without usage: no wait helps.
        let (decision, reported) = status(&session, &[id.charge(1_u64, limit + 1)]);
        assert_eq!((decision.verdict, decision.retry_after()), (Verdict::Allowed, None));
        assert_eq!((decision.limit, decision.remaining), (limit, limit));
        assert!(reported.violated && reported.dry_run && reported.retry_after().is_none());
        // There is room, then there is none; by each way to check.
        let full = session.check(&[id.charge(1_u64, limit)]);
        assert_eq!((full.verdict, full.remaining), (Verdict::Allowed, 0));
        let decision = session.check(&[id.charge(1_u64, 1)]);
        assert_eq!((decision.verdict, decision.retry_after()), (Verdict::Allowed, None));
        assert_eq!((decision.policy, decision.limit, decision.remaining), (id, limit, 0));
        assert_eq!(decision.reset_after_ns, full.reset_after_ns);
        let (decision, reported) = status(&session, &[id.charge(1_u64, 1)]);
        assert!(decision.is_allowed() && reported.violated && reported.dry_run);
        assert_eq!(reported.retry_after_ns, Some(full.reset_after_ns));
        let mut decisions = [Decision::default(); 3];
        let batch = [id.charge(1_u64, 1), id.charge(2_u64, limit), id.charge(2_u64, 1)];
        assert_eq!(session.check_many(&batch, &mut decisions), 3);
        assert!(decisions.iter().all(|made| made.is_allowed() && made.retry_after().is_none()));
        assert_eq!((used(&session, id, 1), used(&session, id, 2)), (limit, limit));
        let mut statuses = [PolicyStatus::default()];
        let peeked = session.peek_with_status(&[id.charge(1_u64, 1)], &mut statuses);
        assert!(peeked.is_allowed() && statuses[0].violated && statuses[0].dry_run);
        // A forced charge is charged in a dry run as well. Then even a cost of 0 has no room.
        let forced = session.force_charge(&[id.charge(1_u64, 2)]);
        assert!(forced.is_allowed() && used(&session, id, 1) == limit + 2);
        assert!(session.check(&[id.charge(1_u64, 0)]).is_allowed());
        let (decision, reported) = status(&session, &[id.charge(1_u64, 0)]);
        assert!(decision.is_allowed() && reported.violated);
        let stats = session.stats(id).unwrap();
        assert_eq!((stats.denied, stats.refused, stats.dry_run_denied), (0, 0, 7));
    }
}

/// A full table lets a new key pass, whatever its overflow mode. It is a would-be denial if the mode would
/// have refused the key.
#[test]
fn a_full_table_refuses_nothing() {
    let modes = [Overflow::Deny, Overflow::Allow, Overflow::EvictLightest { allowance: 1 }];
    for overflow in modes {
        let policy = Policy::sliding("p", 5, MINUTE).max_keys(3).overflow(overflow);
        let (limiter, ids) = limiter([policy.dry_run(true), Policy::sliding("q", 5, MINUTE)]);
        let (session, dry, enforced) = (limiter.session_at(NOW), ids[0], ids[1]);
        for key in 0..3_u64 {
            assert!(session.check(&[dry.charge(key, 3)]).is_allowed());
        }
        let is_refused = overflow != Overflow::Allow;
        let decision = session.check(&[dry.charge(10_u64, 2)]);
        assert_eq!((decision.verdict, decision.table_full), (Verdict::Allowed, true));
        assert_eq!((decision.limit, decision.remaining), (5, 5));
        let (decision, reported) = status(&session, &[dry.charge(11_u64, 2)]);
        assert!(decision.is_allowed() && decision.table_full && reported.table_full);
        assert_eq!((reported.violated, reported.retry_after()), (is_refused, None));
        let both = [dry.charge(12_u64, 2), enforced.charge(12_u64, 4)];
        let (decision, reported) = status(&session, &both);
        assert_eq!((decision.verdict, decision.policy), (Verdict::Allowed, enforced));
        assert_eq!((decision.remaining, decision.table_full), (1, true));
        assert_eq!((reported.violated, reported.table_full), (is_refused, true));
        let mut decisions = [Decision::default(); 2];
        let batch = [dry.charge(13_u64, 2), dry.charge(0_u64, 1)];
        assert_eq!(session.check_many(&batch, &mut decisions), 2);
        assert_eq!(decisions.map(|made| made.table_full), [true, false]);
        assert!(session.force_charge(&[dry.charge(14_u64, 2)]).is_allowed());
        // A reservation that was not charged charges and refunds nothing when it is settled.
        let mut reservation = session.reserve(&[dry.charge(15_u64, 2)]).unwrap();
        assert_eq!(reservation.charged(0), Some(0));
        assert!(session.settle(&mut reservation, &[2]).unwrap().is_allowed());
        let stats = session.stats(dry).unwrap();
        assert_eq!((stats.denied, stats.refused), (0, 0));
        assert_eq!(stats.dry_run_denied > 0, is_refused, "{stats:?}");
        assert_eq!(stats.untracked > 0, !is_refused, "{stats:?}");
        assert_eq!(stats.used_slots, 3);
    }
}

/// Later and earlier policies of a request decide as if the dry run were not there.
#[test]
fn enforced_policies_decide_alone() {
    let (limiter, ids) = limiter([
        Policy::sliding("dry", 2, MINUTE).dry_run(true),
        Policy::sliding("enforced", 100, Duration::from_secs(10)),
        Policy::calendar("day", 1_000, Period::Day),
    ]);
    let session = limiter.session_at(NOW);
    let [dry, enforced, day] = [ids[0], ids[1], ids[2]];
    let request = [dry.charge(1_u64, 1), enforced.charge(1_u64, 30), day.charge(1_u64, 1)];
    for left in [70, 40, 10] {
        let (decision, reported) = status(&session, &request);
        // The dry run has less left, but clients must not see it.
        assert_eq!((decision.verdict, decision.policy), (Verdict::Allowed, enforced));
        assert_eq!((decision.limit, decision.remaining), (100, left));
        assert_eq!(reported.violated, left == 10, "{reported:?}");
        assert!(session.peek(&request[..1]).policy == dry);
    }
    assert_eq!(used(&session, dry, 1), 2);
    // A denial has the wait of the enforced policy, not the longer one of the dry run. It charges neither.
    let other = [dry.charge(2_u64, 1), enforced.charge(1_u64, 30)];
    for denied in [&request[..], &other] {
        for decision in [session.peek(denied), session.check(denied)] {
            assert_eq!((decision.verdict, decision.policy), (Verdict::Denied, enforced));
            assert_eq!(decision.retry_after(), Some(Duration::from_secs(10)));
        }
    }
    assert_eq!((used(&session, dry, 1), used(&session, dry, 2)), (2, 0));
    let (_, reported) = status(&session, &request);
    assert!(reported.violated && reported.retry_after() == Some(MINUTE));
    // A cost above the limit of the dry run is not impossible.
    let large = [dry.charge(3_u64, 3), enforced.charge(2_u64, 1)];
    assert_eq!(session.check(&large).verdict, Verdict::Allowed);
    assert_eq!((used(&session, dry, 3), used(&session, enforced, 2)), (0, 1));
    let stats = session.stats(dry).unwrap();
    assert_eq!((stats.admitted, stats.denied, stats.dry_run_denied), (2, 0, 4));
}

/// A request that an enforced policy refuses for its full table gives back what the dry run was charged.
#[test]
fn a_refused_request_is_rolled_back_in_the_dry_run() {
    let (limiter, ids) = limiter([
        Policy::sliding("dry", 5, MINUTE).dry_run(true),
        Policy::sliding("narrow", 5, MINUTE).max_keys(1),
    ]);
    let session = limiter.session_at(NOW);
    assert!(session.check(&[ids[0].charge(1_u64, 1), ids[1].charge(1_u64, 1)]).is_allowed());
    // Of three charges to the dry run, the second one has no room: it is not given back either.
    let request = [
        ids[0].charge(1_u64, 3),
        ids[0].charge(1_u64, 3),
        ids[0].charge(2_u64, 1),
        ids[1].charge(2_u64, 1),
    ];
    assert_eq!(session.check(&request).verdict, Verdict::TableFull);
    assert_eq!((used(&session, ids[0], 1), used(&session, ids[0], 2)), (1, 0));
}

/// Several charges of a request to one counter are decided in order. One without room is not charged, and
/// does not count against the later ones.
#[test]
fn charges_to_one_counter_are_decided_in_order() {
    let (limiter, ids) = limiter([Policy::sliding("dry", 5, MINUTE).dry_run(true)]);
    let session = limiter.session_at(NOW);
    let mut statuses = [PolicyStatus::default(); 4];
    let charges = [3, 3, 6, 2].map(|cost| ids[0].charge(1_u64, cost));
    let mut peeked = [PolicyStatus::default(); 4];
    assert!(session.peek_with_status(&charges, &mut peeked).is_allowed());
    assert!(session.check_with_status(&charges, &mut statuses).is_allowed());
    for statuses in [peeked, statuses] {
        assert_eq!(statuses.map(|status| status.violated), [false, true, true, false]);
        // Together with the first charge, neither ever fits.
        assert!(statuses.iter().all(|status| status.retry_after().is_none()));
    }
    assert_eq!(statuses.map(|status| status.remaining), [0; 4]);
    assert_eq!(statuses.map(|status| status.reset_after()), [MINUTE; 4]);
    assert_eq!(used(&session, ids[0], 1), 5);
}

/// A reservation gives back no more than it was charged, and charges nothing under a dry run that would
/// have denied it.
#[test]
fn reservations_give_back_only_what_was_charged() {
    let (limiter, ids) = limiter([
        Policy::sliding("dry", 10, MINUTE).max_limit(20).dry_run(true),
        Policy::sliding("enforced", 1_000, MINUTE),
    ]);
    let (session, dry, enforced) = (limiter.session_at(NOW), ids[0], ids[1]);
    let charges = |cost| [dry.charge(1_u64, cost), enforced.charge(1_u64, cost)];
    let other = session.check(&[dry.charge(1_u64, 4)]);
    assert!(other.is_allowed());
    // Denied under the dry run: not charged when it is reserved, extended or settled.
    let mut reservation = session.reserve(&charges(7)).unwrap();
    assert_eq!((reservation.charged(0), reservation.charged(1)), (Some(0), Some(7)));
    assert_eq!(reservation.decision().policy, enforced);
    assert!(session.extend(&mut reservation, &[1, 1]).unwrap().is_allowed());
    assert!(session.settle(&mut reservation, &[20, 20]).unwrap().is_allowed());
    assert_eq!((reservation.charged(0), reservation.charged(1)), (Some(0), Some(20)));
    assert_eq!((used(&session, dry, 1), used(&session, enforced, 1)), (4, 20));
    let mut reservation = session.reserve(&charges(7)).unwrap();
    assert!(session.cancel(&mut reservation).unwrap().is_allowed());
    assert_eq!((used(&session, dry, 1), used(&session, enforced, 1)), (4, 20));
    // Charged, then extended without room: only the extension is not charged.
    for (actual, left) in [(0, 4), (3, 7), (5, 9), (7, 9), (10, 9), (12, 11)] {
        let mut reservation = session.reserve(&charges(5)).unwrap();
        assert!(session.extend(&mut reservation, &[5, 5]).unwrap().is_allowed());
        assert_eq!((reservation.charged(0), reservation.charged(1)), (Some(5), Some(10)));
        assert!(session.settle(&mut reservation, &[actual; 2]).unwrap().is_allowed());
        assert_eq!(used(&session, dry, 1), left, "settled with {actual}");
        session.reset_key(dry, 1_u64).unwrap();
        assert!(session.check(&[dry.charge(1_u64, 4)]).is_allowed());
    }
}

/// The HTTP fields list enforced policies only.
#[test]
fn http_fields_omit_the_dry_run() {
    let (limiter, ids) = limiter([
        Policy::sliding("dry", 1, MINUTE).dry_run(true),
        Policy::sliding("enforced", 1, MINUTE),
    ]);
    let session = limiter.session_at(NOW);
    let request = [ids[0].charge(1_u64, 1), ids[1].charge(1_u64, 1)];
    let mut statuses = [PolicyStatus::default(); 2];
    for _ in 0..2 {
        let _ = session.check_with_status(&request, &mut statuses);
    }
    assert!(statuses.iter().all(|status| status.violated));
    let items: Vec<_> = limiter.http_items(&statuses).collect();
    assert_eq!(http::RateLimitPolicyDraft11(&items).to_string(), r#""enforced";q=1;w=60"#);
    assert!(!http::QuotaExceeded::new(&items).to_string().contains("dry"));
}

/// The fields of a status that an enforced policy and a dry run must have in common.
fn fields(status: &PolicyStatus) -> ([u64; 3], bool, Option<u64>, bool) {
    let numbers = [status.limit, status.remaining, status.reset_after_ns];
    (numbers, status.violated, status.retry_after_ns, status.table_full)
}

proptest! {
    #![proptest_config(oracle::cases(128))]

    /// For requests of one charge, a dry run has the usage and the statuses of the same policy when it is
    /// enforced, and counts as would-be denials what that policy denies and refuses. Only its verdicts
    /// differ.
    #[test]
    fn a_dry_run_equals_the_enforced_policy(
        policy in 0..4_usize,
        overflow in 0..3_usize,
        requests in prop::collection::vec(
            (0..20_000_u64, 0..5_u64, 0..12_u64, prop::option::of(0..20_u64), 0..5_usize),
            1..150,
        ),
    ) {
        let policy = [
            Policy::sliding("exact", 10, MINUTE),
            Policy::sliding("buckets", 30, MINUTE).buckets(7),
            Policy::calendar("hour", 10, Period::Hour),
            Policy::sliding("seven", 7, Duration::from_secs(30)),
        ][policy].clone();
        let overflow = [Overflow::Deny, Overflow::Allow, Overflow::EvictLightest { allowance: 2 }][overflow];
        let policy = policy.max_limit(30).max_keys(3).overflow(overflow);
        let (enforced, in_force) = limiter([policy.clone()]);
        let (dry, in_dry_run) = limiter([policy.dry_run(true)]);
        let mut now = NOW;
        for (step_ms, key, cost, limit, operation) in requests {
            now.monotonic_ns += step_ms * 1_000_000;
            now.unix_ns += step_ms * 1_000_000;
            let charge = |id: PolicyId| {
                let charge = id.charge(key, cost);
                [limit.map_or(charge, |limit| charge.limit(limit))]
            };
            let [mut by_enforced, mut by_dry] = [[PolicyStatus::default()]; 2];
            let run = |limiter: &Limiter, id: PolicyId, statuses: &mut [PolicyStatus; 1]| {
                let session = limiter.session_at(now);
                match operation {
                    0 => session.check(&charge(id)),
                    1 => session.check_with_status(&charge(id), statuses),
                    2 => {
                        let mut decisions = [Decision::default()];
                        session.check_many(&charge(id), &mut decisions);
                        decisions[0]
                    }
                    3 => session.peek_with_status(&charge(id), statuses),
                    _ => session.force_charge(&charge(id)),
                }
            };
            let expected = run(&enforced, in_force[0], &mut by_enforced);
            let decision = run(&dry, in_dry_run[0], &mut by_dry);
            prop_assert_eq!((decision.verdict, decision.retry_after()), (Verdict::Allowed, None));
            if expected.verdict == Verdict::TableFull {
                prop_assert!(decision.table_full);
                prop_assert!(operation != 1 || by_dry[0].violated && by_dry[0].table_full);
            } else {
                prop_assert_eq!(
                    [decision.limit, decision.remaining, decision.reset_after_ns],
                    [expected.limit, expected.remaining, expected.reset_after_ns]
                );
                prop_assert_eq!(decision.table_full, expected.table_full);
                prop_assert_eq!(fields(&by_dry[0]), fields(&by_enforced[0]));
            }
            let is_written = matches!(operation, 1 | 3);
            prop_assert_eq!(by_dry[0].dry_run, is_written);
            let stats = |limiter: &Limiter, id| limiter.session_at(now).stats(id).unwrap();
            let (expected, found) = (stats(&enforced, in_force[0]), stats(&dry, in_dry_run[0]));
            prop_assert_eq!(
                [found.admitted, found.untracked, found.dry_run_denied, found.denied, found.refused],
                [expected.admitted, expected.untracked, expected.denied + expected.refused, 0, 0]
            );
            prop_assert_eq!((found.evictions, found.used_slots), (expected.evictions, expected.used_slots));
            for key in 0..5 {
                let used = |limiter: &Limiter, id| used(&limiter.session_at(now), id, key);
                prop_assert_eq!(used(&dry, in_dry_run[0]), used(&enforced, in_force[0]));
            }
        }
    }
}
