//! The `pingora-limits` crate: its `Rate`, used as in its documentation.

use crate::keys::KeyKind;
use crate::peer::{Guarantees, Peer, Setting};
use pingora_limits::rate::Rate;
use std::fmt;

/// A `Rate` with its default count-min sketch: four rows of 1,024 counters. A key has one counter in each
/// row. The lowest of these four is the key's count, which is too high if other keys share all four.
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
    const GUARANTEES: Guarantees = Guarantees {
        per_key: false,
        counting: "fixed windows, including denied requests; overcounts with many keys",
        max_per_window: "up to twice the limit, and more when two threads start a window",
        memory: "fixed, whatever the number of keys",
        locks: "nothing",
    };

    /// Creates the limiter with a window of whole seconds. With a window below one second, `Rate` panics
    /// when two threads start the first window.
    fn new(setting: &Setting) -> Self {
        let (limit, window) = setting.in_seconds();
        Pingora { rate: Rate::new(window), limit: limit as isize }
    }

    #[inline]
    fn check(&self, key: &K) -> bool {
        self.rate.observe(key, 1) <= self.limit
    }
}
