//! The slow textbook: a log of every admitted charge, written to be obviously right.
#![allow(dead_code, unused_imports, reason = "each test takes what it needs")]

pub mod gate;
mod log;
mod reserved;
mod textbook;

pub use log::{Kind, Log};
pub use reserved::{Part, Reserved};
pub use textbook::{Answer, Line, Measure, Rule, Stand, Textbook, conclude};

use std::time::Duration;

/// So many cases, or PROPTEST_CASES of them.
pub fn cases(default: u32) -> proptest::test_runner::Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    proptest::test_runner::Config::with_cases(cases.unwrap_or(default))
}

/// Panics if any half-open window of recorded times holds more than the limit.
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

/// All that a decision says, without the tag that tells one limiter's policies from another's.
pub fn told(
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

/// The limiter's answer in the textbook's words.
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
        other => panic!("{other:?} is no answer to a good request"),
    }
}

/// One layer of the limiter's answer in the textbook's words.
pub fn stand(layer: &tollgate::PolicyStatus) -> Stand {
    Stand {
        limit: layer.limit,
        left: layer.remaining,
        violated: layer.violated,
        retry: layer.retry_after_ns,
        reset: layer.reset_after_ns,
    }
}
