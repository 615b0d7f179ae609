//! The oracle: a slow reference implementation that keeps a log of every charge.
#![allow(dead_code, unused_imports, reason = "each test uses a part of it")]

mod charge_log;
pub mod faulty_limiter;
mod requests;
mod reservation;

pub use charge_log::{ChargeLog, Kind};
pub use requests::{
    Answer, ExpectedStatus, Item, Oracle, Rule, TimeParams, combine, compare_shares,
};

pub use reservation::{OracleReservation, ReservedItem};

use std::time::Duration;

/// A proptest configuration with `default` cases, or PROPTEST_CASES if it is set.
pub fn cases(default: u32) -> proptest::test_runner::Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    proptest::test_runner::Config::with_cases(cases.unwrap_or(default))
}

/// Panics if the charges in any half-open window of recorded times exceed the limit.
pub fn assert_never_over(charges: &[(u64, u64)], window: u64, limit: u64) {
    let mut charges = charges.to_vec();
    charges.sort_unstable();
    let (mut oldest, mut sum) = (0, 0_u64);
    for &(at, cost) in &charges {
        sum += cost;
        while at - charges[oldest].0 >= window {
            sum -= charges[oldest].1;
            oldest += 1;
        }
        assert!(sum <= limit, "{sum} in a window of {limit}, up to {at}");
    }
}

/// All fields of a decision, except the tag that identifies the policy's limiter.
pub fn reported(
    decision: &tollgate::Decision,
) -> (tollgate::Verdict, usize, [u64; 3], Option<u64>, bool) {
    let tollgate::Decision {
        verdict,
        policy,
        limit,
        remaining,
        retry_after_ns,
        reset_after_ns,
        table_full,
        ..
    } = *decision;
    (verdict, policy.index(), [limit, remaining, reset_after_ns], retry_after_ns, table_full)
}

/// A decision of the limiter as an answer of the oracle.
pub fn answer(decision: &tollgate::Decision) -> Answer {
    use tollgate::Verdict::*;
    let policy = decision.policy.index();
    match decision.verdict {
        Allowed => {
            Answer::Allowed(policy, decision.limit, decision.remaining, decision.reset_after_ns)
        }
        Denied => Answer::Denied(
            policy,
            decision.limit,
            decision.remaining,
            decision.retry_after_ns.unwrap(),
        ),
        Impossible => Answer::Impossible(policy),
        other => panic!("{other:?} of a valid request"),
    }
}

/// A `PolicyStatus` of the limiter as a status of the oracle.
pub fn reported_status(status: &tollgate::PolicyStatus) -> ExpectedStatus {
    ExpectedStatus {
        limit: status.limit,
        remaining: status.remaining,
        violated: status.violated,
        retry_after: status.retry_after_ns,
        reset_after: status.reset_after_ns,
        dry_run: status.dry_run,
    }
}
