//! This project's limiter, with exact windows and with windows of seven buckets.

use crate::entry_points::OwnLimiter;
use crate::keys::KeyKind;
use crate::peer::{Guarantees, Peer, Setting};

const MEMORY: &str = "bounded by max_keys; expired keys are replaced, live keys are kept";
const LOCKS: &str = "nothing: lock-free";

/// An exact sliding window. At a limit of 20, each key has 23 words.
#[derive(Debug)]
pub struct TollgateExact(OwnLimiter);

/// A sliding window in 7 buckets. Each key has 7 words.
#[derive(Debug)]
pub struct TollgateBuckets(OwnLimiter);

impl<K: KeyKind> Peer<K> for TollgateExact {
    const NAME: &'static str = "tollgate-exact";
    const GUARANTEES: Guarantees = Guarantees {
        per_key: true,
        counting: "sliding window, exactly as a log of all admitted requests",
        max_per_window: "at most the limit",
        memory: MEMORY,
        locks: LOCKS,
    };

    fn new(setting: &Setting) -> Self {
        TollgateExact(OwnLimiter::new(setting, None))
    }

    #[inline]
    fn check(&self, key: &K) -> bool {
        self.0.check(key)
    }

    fn maintain(&self) {
        self.0.maintain();
    }
}

impl<K: KeyKind> Peer<K> for TollgateBuckets {
    const NAME: &'static str = "tollgate-buckets";
    const GUARANTEES: Guarantees = Guarantees {
        per_key: true,
        counting: "sliding window in 7 buckets: may deny for up to one bucket's length longer than a log would",
        max_per_window: "at most the limit",
        memory: MEMORY,
        locks: LOCKS,
    };

    fn new(setting: &Setting) -> Self {
        TollgateBuckets(OwnLimiter::new(setting, Some(7)))
    }

    #[inline]
    fn check(&self, key: &K) -> bool {
        self.0.check(key)
    }

    fn maintain(&self) {
        self.0.maintain();
    }
}
