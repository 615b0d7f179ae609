//! The `pingora-limits` crate: its `Rate` with the usual few lines around it.

use crate::keys::KeyKind;
use crate::peer::{Peer, Promises, Setting};
use pingora_limits::rate::Rate;
use std::fmt;

/// Counts in a sketch of 4 rows with 1,024 counters, as it comes: keys that meet in all four rows
/// count as one.
pub struct Pingora {
    rate: Rate,
    limit: isize,
}

impl fmt::Debug for Pingora {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pingora").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl<K: KeyKind> Peer<K> for Pingora {
    const NAME: &'static str = "pingora-limits";
    const PROMISES: Promises = Promises {
        per_key: false,
        counting: "fixed windows, denied requests as well; with many keys far too much",
        most: "up to twice the limit, and more while two threads change windows",
        memory: "fixed, whatever the number of keys",
        waiting: "nothing",
    };

    /// In seconds, since with shorter windows it panics where two threads change the first ones.
    fn new(setting: &Setting) -> Self {
        let (limit, window) = setting.in_seconds();
        Pingora { rate: Rate::new(window), limit: limit as isize }
    }

    #[inline]
    fn check(&self, key: &K) -> bool {
        self.rate.observe(key, 1) <= self.limit
    }
}
