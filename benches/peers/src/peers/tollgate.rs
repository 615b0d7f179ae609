//! This project's limiter, exact and in seven buckets.

use crate::entry_points::OwnLimiter;
use crate::keys::KeyKind;
use crate::peer::{Peer, Promises, Setting};

const MEMORY: &str = "bounded by max_keys; expired keys are replaced, live keys are kept";
const WAITING: &str = "nothing: lock-free";

/// An exact sliding window: 31 words for each key at a limit of 20.
#[derive(Debug)]
pub struct TollgateExact(OwnLimiter);

/// The same window in 7 buckets, with less than a quarter of the memory.
#[derive(Debug)]
pub struct TollgateBuckets(OwnLimiter);

impl<K: KeyKind> Peer<K> for TollgateExact {
    const NAME: &'static str = "tollgate-exact";
    const PROMISES: Promises = Promises {
        per_key: true,
        counting: "sliding window, exactly as a log of all admitted requests",
        most: "at most the limit",
        memory: MEMORY,
        waiting: WAITING,
    };

    fn new(setting: &Setting) -> Self {
        TollgateExact(OwnLimiter::new(setting, None))
    }

    #[inline]
    fn check(&self, key: &K) -> bool {
        self.0.check(key)
    }

    fn compact(&self) {
        self.0.compact();
    }
}

impl<K: KeyKind> Peer<K> for TollgateBuckets {
    const NAME: &'static str = "tollgate-buckets";
    const PROMISES: Promises = Promises {
        per_key: true,
        counting: "sliding window in 7 buckets: may deny up to a bucket's span longer than a log",
        most: "at most the limit",
        memory: MEMORY,
        waiting: WAITING,
    };

    fn new(setting: &Setting) -> Self {
        TollgateBuckets(OwnLimiter::new(setting, Some(7)))
    }

    #[inline]
    fn check(&self, key: &K) -> bool {
        self.0.check(key)
    }

    fn compact(&self) {
        self.0.compact();
    }
}
