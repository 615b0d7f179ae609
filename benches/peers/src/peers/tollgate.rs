//! This project's limiter: exact, and counted in few buckets.

use crate::peer::{Peer, Promises, Setting};
use tollgate::{Limiter, Policy, PolicyId};

/// A sliding window that decides as a log would; 31 words a key at a limit of 20.
#[derive(Debug)]
pub struct TollgateExact(OnePolicy);

/// The same window in 7 buckets: less than a quarter of the memory.
#[derive(Debug)]
pub struct TollgateBuckets(OnePolicy);

#[derive(Debug)]
struct OnePolicy {
    limiter: Limiter,
    policy: PolicyId,
}

impl OnePolicy {
    fn new(policy: Policy, setting: &Setting) -> Self {
        let limiter = Limiter::builder().policy(policy).max_keys(setting.max_keys).build();
        let limiter = limiter.expect("the setting is a valid policy");
        let policy = limiter.policy("user").expect("added above");
        OnePolicy { limiter, policy }
    }

    #[inline]
    fn check(&self, key: u64) -> bool {
        self.limiter.check(&[self.policy.charge(key, 1)]).is_allowed()
    }
}

fn sliding(setting: &Setting) -> Policy {
    Policy::sliding("user", setting.limit.into(), setting.window)
}

impl Peer for TollgateExact {
    const NAME: &'static str = "tollgate-exact";
    const PROMISES: Promises = Promises {
        counting: "sliding window, exactly as a log of all admitted requests",
        most: "at most the limit",
        memory: "bounded by max_keys; expired keys make room, no live key is forgotten",
        waiting: "nothing: lock-free",
    };

    fn new(setting: &Setting) -> Self {
        TollgateExact(OnePolicy::new(sliding(setting), setting))
    }

    #[inline]
    fn check(&self, key: u64) -> bool {
        self.0.check(key)
    }
}

impl Peer for TollgateBuckets {
    const NAME: &'static str = "tollgate-buckets";
    const PROMISES: Promises = Promises {
        counting: "sliding window in 7 buckets: may deny up to a bucket's span longer than a log",
        most: "at most the limit",
        memory: "bounded by max_keys; expired keys make room, no live key is forgotten",
        waiting: "nothing: lock-free",
    };

    fn new(setting: &Setting) -> Self {
        TollgateBuckets(OnePolicy::new(sliding(setting).buckets(7), setting))
    }

    #[inline]
    fn check(&self, key: u64) -> bool {
        self.0.check(key)
    }
}
