//! Three algorithms of the `rate-net` crate. Only the algorithm, the quota and the maximum number of keys
//! are set, and in [`RateNetCoarse`] also the clock. All other options have their defaults.

use crate::keys::KeyKind;
use crate::peer::{Guarantees, Peer, Setting};
use ::rate_net::{Algorithm, Builder, CoarseClock, Eviction, RateLimiter};
use std::time::Duration;

const MEMORY: &str = "bounded by its cap; excess keys are evicted, and their usage is kept in a second \
    table; when that table is full, a new key may be charged for the usage of an evicted one, or refused";
const LOCKS: &str = "the read-write lock of a shard, also while that shard's index grows";
const LOCKS_AND_KEY_MUTEX: &str =
    "the read-write lock of a shard, also while that shard's index grows, and a mutex per key";

const BUCKET: Guarantees = Guarantees {
    per_key: true,
    counting: "token bucket: a burst of the limit, then one request per window / limit",
    max_per_window: "about twice the limit: a burst, and the refill during the window",
    memory: MEMORY,
    locks: LOCKS,
};

fn builder(algorithm: Algorithm, setting: &Setting) -> Builder {
    RateLimiter::builder()
        .algorithm(algorithm)
        .quota(setting.limit, setting.window)
        .eviction(Eviction::capacity(setting.max_keys))
}

fn limiter(algorithm: Algorithm, setting: &Setting) -> RateLimiter {
    builder(algorithm, setting).try_build().expect("the setting is a valid quota")
}

/// The token bucket, on the default clock.
#[derive(Debug)]
pub struct RateNetBucket(RateLimiter);

/// The token bucket, on a clock that a background thread refreshes every millisecond.
#[derive(Debug)]
pub struct RateNetCoarse(RateLimiter<CoarseClock>);

/// The sliding-window counter: a weighted sum of the previous and the current window.
#[derive(Debug)]
pub struct RateNetCounter(RateLimiter);

/// The sliding-window log: it stores the time of each admitted request.
#[derive(Debug)]
pub struct RateNetLog(RateLimiter);

impl<K: KeyKind> Peer<K> for RateNetBucket {
    const NAME: &'static str = "rate-net-bucket";
    const GUARANTEES: Guarantees = BUCKET;

    fn new(setting: &Setting) -> Self {
        RateNetBucket(limiter(Algorithm::TokenBucket, setting))
    }

    #[inline]
    fn check(&self, key: &K) -> bool {
        self.0.check_bytes(key.bytes()).is_allow()
    }
}

impl<K: KeyKind> Peer<K> for RateNetCoarse {
    const NAME: &'static str = "rate-net-coarse";
    const GUARANTEES: Guarantees = BUCKET;

    fn new(setting: &Setting) -> Self {
        let clock = CoarseClock::spawn(Duration::from_millis(1)).expect("a thread can be started");
        let builder = builder(Algorithm::TokenBucket, setting).clock(clock);
        RateNetCoarse(builder.try_build().expect("the setting is a valid quota"))
    }

    #[inline]
    fn check(&self, key: &K) -> bool {
        self.0.check_bytes(key.bytes()).is_allow()
    }
}

impl<K: KeyKind> Peer<K> for RateNetCounter {
    const NAME: &'static str = "rate-net-counter";
    const GUARANTEES: Guarantees = Guarantees {
        per_key: true,
        counting: "the current window's count and a share of the previous one: an approximation",
        max_per_window: "up to twice the limit",
        memory: MEMORY,
        locks: LOCKS_AND_KEY_MUTEX,
    };

    fn new(setting: &Setting) -> Self {
        RateNetCounter(limiter(Algorithm::SlidingWindowCounter, setting))
    }

    #[inline]
    fn check(&self, key: &K) -> bool {
        self.0.check_bytes(key.bytes()).is_allow()
    }
}

impl<K: KeyKind> Peer<K> for RateNetLog {
    const NAME: &'static str = "rate-net-log";
    const GUARANTEES: Guarantees = Guarantees {
        per_key: true,
        counting: "sliding window, exactly as a log of all admitted requests",
        max_per_window: "at most the limit",
        memory: "keys bounded by its cap; stores the time of each admitted request",
        locks: LOCKS_AND_KEY_MUTEX,
    };

    fn new(setting: &Setting) -> Self {
        // `build`, because `try_build` rejects limits above 65,536, which some scenarios use.
        RateNetLog(builder(Algorithm::SlidingWindowLog, setting).build())
    }

    #[inline]
    fn check(&self, key: &K) -> bool {
        self.0.check_bytes(key.bytes()).is_allow()
    }
}
