//! The `rate-net` crate, as it comes but for the number of keys: two of its algorithms.

use crate::peer::{Peer, Promises, Setting};
use ::rate_net::{Algorithm, Eviction, RateLimiter};

const MEMORY: &str =
    "bounded by its cap; beyond it keys are evicted, and what they owe is kept while there is room";
const WAITING: &str = "the read-write lock of a shard, also while that shard's index grows";

fn limiter(algorithm: Algorithm, setting: &Setting) -> RateLimiter {
    RateLimiter::builder()
        .algorithm(algorithm)
        .quota(setting.limit, setting.window)
        .eviction(Eviction::capacity(setting.max_keys))
        .try_build()
        .expect("the setting is a valid quota")
}

/// The token bucket, its default.
#[derive(Debug)]
pub struct RateNetBucket(RateLimiter);

/// The sliding-window counter: the windows before and now, weighed.
#[derive(Debug)]
pub struct RateNetCounter(RateLimiter);

impl Peer for RateNetBucket {
    const NAME: &'static str = "rate-net-bucket";
    const PROMISES: Promises = Promises {
        counting: "token bucket: a burst of the limit, then one request per window / limit",
        most: "about twice the limit: a burst, and what is refilled meanwhile",
        memory: MEMORY,
        waiting: WAITING,
    };

    fn new(setting: &Setting) -> Self {
        RateNetBucket(limiter(Algorithm::TokenBucket, setting))
    }

    #[inline]
    fn check(&self, key: u64) -> bool {
        self.0.check(key).is_allow()
    }
}

impl Peer for RateNetCounter {
    const NAME: &'static str = "rate-net-counter";
    const PROMISES: Promises = Promises {
        counting: "the present window's count and a share of the one before: an approximation",
        most: "up to twice the limit",
        memory: MEMORY,
        waiting: "the lock of a shard as above, and a mutex per key",
    };

    fn new(setting: &Setting) -> Self {
        RateNetCounter(limiter(Algorithm::SlidingWindowCounter, setting))
    }

    #[inline]
    fn check(&self, key: u64) -> bool {
        self.0.check(key).is_allow()
    }
}
