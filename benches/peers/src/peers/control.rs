//! No limiters: what the machine and the measuring itself add to every figure.

use crate::keys::KeyKind;
use crate::peer::{Peer, Promises, Setting};
use std::hint::black_box;
use std::sync::Mutex;

pub(super) const NONE: Promises = Promises {
    per_key: false,
    counting: "none",
    most: "everything",
    memory: "fixed",
    waiting: "nothing",
};

/// Does nothing: the cost of the clock, and interruptions.
#[derive(Debug)]
pub struct EmptyCall;

impl<K: KeyKind> Peer<K> for EmptyCall {
    const NAME: &'static str = "control-empty";
    const PROMISES: Promises = NONE;

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

/// Writes to one cache line of zeroed memory, at random: what the system charges for handing out
/// pages, which every limiter that keeps something per key pays in some way.
#[derive(Debug)]
pub struct FirstTouch {
    /// Asked for zeroed, so that the system clears each page when it is first touched. Behind a
    /// mutex that nobody else takes, as the cheapest way to share it without unsafe code.
    words: Mutex<Vec<u64>>,
    hasher: ahash::RandomState,
}

impl<K: KeyKind> Peer<K> for FirstTouch {
    const NAME: &'static str = "control-touch";
    const PROMISES: Promises = NONE;

    fn new(setting: &Setting) -> Self {
        let words = Mutex::new(vec![0; setting.max_keys * WORDS_PER_LINE]);
        FirstTouch { words, hasher: ahash::RandomState::new() }
    }

    #[inline]
    fn check(&self, key: &K) -> bool {
        let mut words = self.words.lock().expect("no holder panics");
        let lines = (words.len() / WORDS_PER_LINE) as u128;
        // The key's share of all lines: hashes are spread over all 64 bits.
        let hash = self.hasher.hash_one(key);
        let line = ((u128::from(hash) * lines) >> 64) as usize;
        words[line * WORDS_PER_LINE] = hash;
        true
    }
}
