//! Controls: peers without a limiter. They show what the machine and the measurement add to every figure.

use crate::keys::KeyKind;
use crate::peer::{Guarantees, Peer, Setting};
use std::hint::black_box;
use std::sync::Mutex;

pub(super) const NONE: Guarantees = Guarantees {
    per_key: false,
    counting: "none",
    max_per_window: "everything",
    memory: "fixed",
    locks: "nothing",
};

/// A control that does nothing. It shows the cost of the clock readings and of interruptions.
#[derive(Debug)]
pub struct EmptyCall;

impl<K: KeyKind> Peer<K> for EmptyCall {
    const NAME: &'static str = "control-empty";
    const GUARANTEES: Guarantees = NONE;

    fn new(_: &Setting) -> Self {
        EmptyCall
    }

    #[inline]
    fn check(&self, key: &K) -> bool {
        black_box(key);
        true
    }
}

const WORDS_PER_LINE: usize = 8;

/// A control that writes to a random cache line of zeroed memory. It shows the cost of page faults, which
/// every limiter with state for each key has in some way.
#[derive(Debug)]
pub struct FirstTouch {
    /// Zeroed memory. The system clears each page at the first access to it. The mutex is there because
    /// sharing the memory without it would need unsafe code. Threads contend for it only in `growth load`.
    words: Mutex<Vec<u64>>,
    hasher: ahash::RandomState,
}

impl<K: KeyKind> Peer<K> for FirstTouch {
    const NAME: &'static str = "control-touch";
    const GUARANTEES: Guarantees = Guarantees { locks: "one mutex for all keys", ..NONE };

    fn new(setting: &Setting) -> Self {
        let words = Mutex::new(vec![0; setting.max_keys * WORDS_PER_LINE]);
        FirstTouch { words, hasher: ahash::RandomState::new() }
    }

    #[inline]
    fn check(&self, key: &K) -> bool {
        let mut words = self.words.lock().expect("no holder panics");
        let lines = (words.len() / WORDS_PER_LINE) as u128;
        // Maps the hash to a line: hashes are uniform over all 64 bits.
        let hash = self.hasher.hash_one(key);
        let line = ((u128::from(hash) * lines) >> 64) as usize;
        words[line * WORDS_PER_LINE] = hash;
        true
    }
}
