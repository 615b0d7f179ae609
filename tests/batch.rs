//! `check_many` decides as `check` does for its requests one by one.

mod oracle;

use oracle::reported;
use proptest::prelude::*;
use std::time::Duration;
use tollgate::{Charge, Decision, Limiter, ManualClock, Now, Period, Policy, PolicyId};

const MILLI: u64 = 1_000_000;

fn limiter() -> (Limiter, Vec<PolicyId>) {
    let policies = [
        Policy::sliding("exact", 3, Duration::from_millis(4)),
        Policy::sliding("bucketed", 500, Duration::from_millis(4)).buckets(7),
        Policy::calendar("hour", 40, Period::Hour),
    ];
    let builder = Limiter::builder().clock(ManualClock::new()).seed([1, 2, 3, 4]).max_keys(600);
    let builder = policies.iter().cloned().fold(builder, |builder, policy| builder.policy(policy));
    let limiter = builder.build().unwrap();
    let ids = policies.iter().map(|policy| limiter.policy(policy.name()).unwrap()).collect();
    (limiter, ids)
}

/// Makes a charge from (policy, key, cost). A policy index out of range is an invalid policy.
fn charge(ids: &[PolicyId], item: (usize, u64, u64)) -> Charge<'static> {
    ids.get(item.0).copied().unwrap_or_default().charge(item.1, item.2)
}

proptest! {
    #![proptest_config(oracle::cases(64))]

    /// A batch equals single checks, for few keys and for so many that tables grow and fill within
    /// a batch.
    #[test]
    fn a_batch_equals_single_checks(
        batches in prop::collection::vec(
            (0..5 * MILLI, prop::collection::vec((0..4_usize, 0..1_000_u64, 0..5_u64), 0..150)),
            1..12,
        ),
        keys in prop::sample::select(vec![1_u64, 3, 40, 1_000]),
    ) {
        let ((one, one_ids), (many, many_ids)) = (limiter(), limiter());
        let mut now = MILLI;
        for (step, items) in batches {
            now += step;
            let at = Now::from_unix_nanos(now);
            let items = items.iter().map(|item| (item.0, item.1 % keys, item.2));
            let charges: Vec<_> = items.clone().map(|item| charge(&many_ids, item)).collect();
            let mut decisions = vec![Decision::default(); charges.len()];
            let allowed = many.session_at(at).check_many(&charges, &mut decisions);
            let session = one.session_at(at);
            let singly: Vec<_> =
                items.map(|item| session.check(&[charge(&one_ids, item)])).collect();
            let (batch, singly): (Vec<_>, Vec<_>) =
                (decisions.iter().map(reported).collect(), singly.iter().map(reported).collect());
            prop_assert_eq!(&batch, &singly);
            let is_allowed = |decision: &&Decision| decision.is_allowed();
            prop_assert_eq!(allowed, decisions.iter().filter(is_allowed).count());
        }
    }
}

/// A batch decides as many requests as both slices have room for.
#[test]
fn a_batch_ends_with_the_shorter_slice() {
    let (limiter, ids) = limiter();
    let session = limiter.session_at(Now::from_unix_nanos(MILLI));
    let charges = vec![ids[1].charge("k", 1); 100];
    let mut decisions = vec![Decision::default(); 70];
    assert_eq!(session.check_many(&charges, &mut decisions), 70);
    assert_eq!(session.peek(&charges[..1]).remaining, 430);
    let mut more = vec![Decision::default(); 40];
    assert_eq!(session.check_many(&charges[..33], &mut more), 33);
    assert_eq!(more[33..], vec![Decision::default(); 7]);
    assert_eq!(session.check_many(&[], &mut more), 0);
}

/// A batch equals single checks also on a table so large that the slots of a batch are prefetched.
#[test]
fn a_batch_on_a_large_table_equals_single_checks() {
    const KEYS: u64 = 10_000;
    let make = || {
        let policy = Policy::sliding("p", 500, Duration::from_secs(60)).buckets(127);
        let limiter = Limiter::builder().clock(ManualClock::new()).policy(policy).build().unwrap();
        let id = limiter.policy("p").unwrap();
        (limiter, id)
    };
    let ((one, one_id), (many, many_id)) = (make(), make());
    let cost = |key: u64| 200 + key % 300;
    for now in [MILLI, 2 * MILLI, 3 * MILLI] {
        let at = Now::from_unix_nanos(now);
        let charges: Vec<_> = (0..KEYS).map(|key| many_id.charge(key, cost(key))).collect();
        let mut decisions = vec![Decision::default(); charges.len()];
        let allowed = many.session_at(at).check_many(&charges, &mut decisions);
        let session = one.session_at(at);
        let check = |key| reported(&session.check(&[one_id.charge(key, cost(key))]));
        assert_eq!(
            decisions.iter().map(reported).collect::<Vec<_>>(),
            (0..KEYS).map(check).collect::<Vec<_>>()
        );
        assert_eq!(allowed, decisions.iter().filter(|decision| decision.is_allowed()).count());
        // A slot has 1 KiB, and arrays from 4 MiB on are prefetched.
        assert!(many.stats(many_id).unwrap().slots >= 4 << 10);
    }
}
