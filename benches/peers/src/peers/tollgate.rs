//! This project's limiter: exact, and counted in few buckets.

use crate::keys::KeyKind;
use crate::peer::{Peer, Promises, Setting};
use crate::ways::Own;

const MEMORY: &str = "bounded by max_keys; expired keys make room, no live key is forgotten";
const WAITING: &str = "nothing: lock-free";

/// A sliding window that decides as a log would; 31 words a key at a limit of 20.
#[derive(Debug)]
pub struct TollgateExact(Own);

/// The same window in 7 buckets: less than a quarter of the memory.
#[derive(Debug)]
pub struct TollgateBuckets(Own);

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
        TollgateExact(Own::new(setting, None))
    }

    #[inline]
    fn check(&self, key: &K) -> bool {
        self.0.check(key)
    }

    fn settle(&self) {
        self.0.settle();
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
        TollgateBuckets(Own::new(setting, Some(7)))
    }

    #[inline]
    fn check(&self, key: &K) -> bool {
        self.0.check(key)
    }

    fn settle(&self) {
        self.0.settle();
    }
}
