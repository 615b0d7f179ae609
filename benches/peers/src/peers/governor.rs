//! The `governor` crate, as it comes but for the hasher.

use crate::peer::{Peer, Promises, Setting};
use ::governor::clock::DefaultClock;
use ::governor::state::keyed::DashMapStateStore;
use ::governor::{Quota, RateLimiter};
use std::num::NonZeroU32;

/// GCRA (a token bucket kept as one time) in a `DashMap` under ahash, with the default clock. It is
/// given `u64` keys as they are. The map has four shards a core, each of which grows at once.
#[derive(Debug)]
pub struct Governor(RateLimiter<u64, DashMapStateStore<u64, ahash::RandomState>, DefaultClock>);

impl Peer for Governor {
    const NAME: &'static str = "governor";
    const PROMISES: Promises = Promises {
        counting: "GCRA: a burst of the limit, then one request per window / limit",
        most: "about twice the limit: a burst, and what is refilled meanwhile",
        memory: "not bounded: grows until the host calls retain_recent, which walks all keys",
        waiting: "the read-write lock of a shard, also while that shard's map grows",
    };

    fn new(setting: &Setting) -> Self {
        let limit = NonZeroU32::new(setting.limit).expect("a limit above zero");
        let quota = Quota::with_period(setting.window / setting.limit)
            .expect("a window of some length")
            .allow_burst(limit);
        Governor(RateLimiter::dashmap_with_hasher(quota, ahash::RandomState::new()))
    }

    #[inline]
    fn check(&self, key: u64) -> bool {
        self.0.check_key(&key).is_ok()
    }
}
