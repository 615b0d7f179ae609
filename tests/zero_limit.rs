//! A limit of 0 refuses every cost above 0: in a policy, in `set_limit`, and in a charge.

use std::time::Duration;
use tollgate::http::{RateLimitDraft11, RateLimitPolicyDraft11};
use tollgate::{
    Charge, ConfigError, Decision, Limiter, ManualClock, Now, Overflow, Period, Policy, PolicyId,
    PolicyStatus, Verdict,
};

const MINUTE: Duration = Duration::from_secs(60);

/// A policy of each kind of counter and path: exact and bucketed windows, and a calendar budget.
fn kinds(limit: u64) -> [Policy; 3] {
    [
        Policy::sliding("exact", limit, MINUTE),
        Policy::sliding("bucketed", limit, MINUTE).buckets(15).max_limit(1_000),
        Policy::calendar("day", limit, Period::Day),
    ]
}

/// A limiter with these policies, and a policy "open" with room.
fn limiter(policies: impl IntoIterator<Item = Policy>) -> Limiter {
    let builder = Limiter::builder().clock(ManualClock::new()).max_keys(100);
    let builder = builder.policy(Policy::sliding("open", 100, MINUTE));
    policies.into_iter().fold(builder, |builder, policy| builder.policy(policy)).build().unwrap()
}

fn id(limiter: &Limiter, name: &str) -> PolicyId {
    limiter.policy(name).unwrap()
}

/// Asserts that a decision is a refusal for good by `policy`, whose limit is 0.
fn assert_blocked(decision: Decision, policy: PolicyId) {
    assert_eq!(decision.verdict, Verdict::Impossible);
    assert_eq!((decision.policy, decision.limit, decision.remaining), (policy, 0, 0));
    assert_eq!(decision.retry_after_ns, None);
    assert!(!decision.table_full);
}

/// Asserts that every operation refuses this charge, alone and with another, and charges nothing.
fn assert_every_operation_refuses(limiter: &Limiter, charge: Charge<'_>, policy: PolicyId) {
    let open_id = id(limiter, "open");
    let open = open_id.charge("alice", 1);
    let session = limiter.session_at(Now::from_unix_nanos(0));
    let admitted = limiter.stats(open_id).unwrap().admitted;
    assert_blocked(session.check(&[charge]), policy);
    assert_blocked(session.peek(&[charge]), policy);
    assert_blocked(session.check(&[open, charge]), policy);
    assert_blocked(session.check(&[charge, charge]), policy);
    assert_blocked(session.reserve(&[open, charge]).unwrap_err(), policy);
    let mut decisions = [Decision::default(); 2];
    assert_eq!(session.check_many(&[charge, open], &mut decisions), 1);
    assert_blocked(decisions[0], policy);
    assert_eq!(session.refund(&open), Ok(1));

    let mut statuses = [PolicyStatus::default(); 2];
    assert_blocked(session.check_with_status(&[open, charge], &mut statuses), policy);
    assert!(!statuses[0].violated && statuses[1].violated);
    let PolicyStatus { limit, remaining, retry_after_ns, .. } = statuses[1];
    assert_eq!((limit, remaining, retry_after_ns), (0, 0, None));
    let items = || limiter.http_items(&statuses[1..]);
    assert!(RateLimitPolicyDraft11(items()).to_string().contains(";q=0;w="));
    assert!(RateLimitDraft11(items()).to_string().contains(";r=0;t="));

    // One admission: that of the batch.
    assert_eq!(limiter.stats(open_id).unwrap().admitted, admitted + 1);
}

/// A policy with a limit of 0 refuses every cost above 0 of every key, and keeps no keys.
#[test]
fn policy_with_limit_zero_refuses_every_cost() {
    let limiter = limiter(kinds(0));
    for name in ["exact", "bucketed", "day"] {
        let policy = id(&limiter, name);
        assert_eq!(limiter.limit(policy), Ok(0));
        for cost in [1, 2, 1 << 40, u64::MAX] {
            assert_every_operation_refuses(&limiter, policy.charge("alice", cost), policy);
        }
        let stats = limiter.stats(policy).unwrap();
        assert_eq!((stats.admitted, stats.used_slots, stats.refused), (0, 0, 0));
        assert!(stats.denied > 0);
    }
}

/// At limit 0, a cost of 0 is allowed while the usage is 0, and denied until the usage has expired.
#[test]
fn cost_zero_at_limit_zero_is_allowed_without_usage() {
    let limiter = limiter(kinds(0));
    let day_ns = 24 * 3_600 * 1_000_000_000;
    for (name, length_ns) in [("exact", 60_000_000_000), ("day", day_ns)] {
        let free = id(&limiter, name).charge("alice", 0);
        let begin = limiter.session_at(Now::from_unix_nanos(0));
        let decision = begin.check(&[free]);
        assert!(decision.is_allowed());
        assert_eq!((decision.limit, decision.remaining), (0, 0));
        assert!(begin.force_charge(&[id(&limiter, name).charge("alice", 1)]).is_allowed());
        let denied = begin.check(&[free]);
        assert_eq!((denied.verdict, denied.limit), (Verdict::Denied, 0));
        assert_eq!(denied.retry_after_ns, Some(length_ns));
        let before = limiter.session_at(Now::from_unix_nanos(length_ns - 1));
        assert_eq!(before.check(&[free]).verdict, Verdict::Denied);
        assert!(limiter.session_at(Now::from_unix_nanos(length_ns)).check(&[free]).is_allowed());
    }
}

/// `set_limit(0)` refuses known and new keys. The usage stays counted, and a later limit applies to it.
#[test]
fn set_limit_zero_blocks_until_the_limit_is_raised() {
    let limiter = limiter(kinds(10));
    let session = limiter.session_at(Now::from_unix_nanos(0));
    for name in ["exact", "bucketed", "day"] {
        let policy = id(&limiter, name);
        assert!(session.check(&[policy.charge("alice", 4)]).is_allowed());
        limiter.set_limit(policy, 0).unwrap();
        assert_eq!(limiter.limit(policy), Ok(0));
        for key in ["alice", "bob"] {
            assert_every_operation_refuses(&limiter, policy.charge(key, 1), policy);
        }
        limiter.set_limit(policy, 10).unwrap();
        assert_eq!(session.check(&[policy.charge("alice", 1)]).remaining, 5);
    }
}

/// A charge with a limit of 0 is refused, for a known and for a new key, whatever the policy's limit.
#[test]
fn charge_with_limit_zero_is_refused() {
    let limiter = limiter(kinds(10));
    for name in ["exact", "bucketed", "day"] {
        let policy = id(&limiter, name);
        let session = limiter.session_at(Now::from_unix_nanos(0));
        assert!(session.check(&[policy.charge("alice", 4)]).is_allowed());
        for key in ["alice", "bob"] {
            let charge = policy.charge(key, 1).limit(0);
            assert_every_operation_refuses(&limiter, charge, policy);
        }
        assert_eq!(session.check(&[policy.charge("alice", 1)]).remaining, 5);
    }
}

/// A policy with limit 0 and without a `max_limit` can never admit. A higher limit in a charge is
/// lowered to 0, and `set_limit` refuses one.
#[test]
fn limit_zero_without_max_limit_never_admits() {
    let limiter = limiter(kinds(0));
    let (exact, bucketed) = (id(&limiter, "exact"), id(&limiter, "bucketed"));
    let raised = exact.charge("alice", 1).limit(5);
    assert_every_operation_refuses(&limiter, raised, exact);
    let error = ConfigError::LimitAboveMax { policy: "exact".into(), value: 1, max_limit: 0 };
    assert_eq!(limiter.set_limit(exact, 1), Err(error));
    // With a `max_limit`, both are possible.
    let session = limiter.session_at(Now::from_unix_nanos(0));
    assert!(session.check(&[bucketed.charge("alice", 1).limit(5)]).is_allowed());
    limiter.set_limit(bucketed, 5).unwrap();
    assert!(session.check(&[bucketed.charge("bob", 5)]).is_allowed());
}

/// Costs known only afterwards are still counted at limit 0: a forced charge, and the settlement of a
/// reservation from before. An extension is refused.
#[test]
fn limit_zero_still_counts_actual_costs() {
    let limiter = limiter(kinds(10));
    let session = limiter.session_at(Now::from_unix_nanos(0));
    for name in ["exact", "bucketed", "day"] {
        let policy = id(&limiter, name);
        let mut reserved = session.reserve(&[policy.charge("alice", 3)]).unwrap();
        limiter.set_limit(policy, 0).unwrap();
        assert_blocked(session.extend(&mut reserved, &[1]).unwrap(), policy);
        assert!(session.settle(&mut reserved, &[5]).unwrap().is_allowed());
        assert!(session.force_charge(&[policy.charge("alice", 2)]).is_allowed());
        limiter.set_limit(policy, 10).unwrap();
        assert_eq!(session.peek(&[policy.charge("alice", 0)]).remaining, 3);
    }
}

/// A full table changes nothing about a limit of 0, in any overflow mode.
#[test]
fn limit_zero_with_a_full_table_refuses() {
    for overflow in [Overflow::Deny, Overflow::Allow, Overflow::EvictLightest { allowance: 1 }] {
        let policy = Policy::sliding("p", 10, MINUTE).overflow(overflow).max_keys(1);
        let limiter = limiter([policy]);
        let policy = id(&limiter, "p");
        assert!(limiter.check(&[policy.charge("known", 2)]).is_allowed());
        for key in ["known", "new", "newer"] {
            assert_blocked(limiter.check(&[policy.charge(key, 1).limit(0)]), policy);
        }
        assert_eq!(limiter.stats(policy).unwrap().untracked, 0);
    }
}

/// A policy with limit 0 builds with every other setting. Its counters are those of a `max_limit` of 1.
#[test]
fn policy_with_limit_zero_builds_with_every_setting() {
    let bytes = |policy: Policy| {
        let limiter = Limiter::builder().policy(policy).max_keys(100).build().unwrap();
        limiter.stats(id(&limiter, "p")).unwrap().bytes
    };
    for buckets in [2, 7, 31, 127] {
        let of_limit = |limit| bytes(Policy::sliding("p", limit, MINUTE).buckets(buckets));
        assert_eq!(of_limit(0), of_limit(1));
    }
    let evicting = |allowance| {
        let overflow = Overflow::EvictLightest { allowance };
        let policy = Policy::sliding("p", 0, MINUTE).overflow(overflow);
        Limiter::builder().policy(policy).build().map(|_| ())
    };
    assert_eq!(evicting(1), Ok(()));
    let error = ConfigError::Allowance { policy: "p".into(), value: 2, limit: 1 };
    assert_eq!(evicting(2), Err(error));
    assert_eq!(
        bytes(Policy::sliding("p", 0, MINUTE).max_limit(0)),
        bytes(Policy::sliding("p", 0, MINUTE))
    );
}
