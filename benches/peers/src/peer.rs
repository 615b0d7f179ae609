//! What all limiters are asked to do.

use crate::keys::KeyKind;
use std::time::Duration;

/// What every limiter is built for.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// How many requests a key has in each window.
    pub limit: u32,
    /// The window.
    pub window: Duration,
    /// How many keys there must be room for. Limiters that have no such bound ignore it.
    pub max_keys: usize,
}

impl Setting {
    /// The same rate in windows of whole seconds, for limiters that know no others.
    pub(crate) fn in_seconds(&self) -> (u64, Duration) {
        let seconds = self.window.as_secs_f64().ceil();
        let limit = f64::from(self.limit) * (seconds / self.window.as_secs_f64());
        (limit as u64, Duration::from_secs(seconds as u64))
    }
}

/// What a limiter promises, in words: figures alone would compare what is not alike.
#[derive(Clone, Copy, Debug)]
pub struct Promises {
    /// Whether it keeps something for each key, so that no key pays for another.
    pub per_key: bool,
    /// How it counts, and how close that is to a log of all admitted requests.
    pub counting: &'static str,
    /// The most that a key may get in some interval of the window's length.
    pub most: &'static str,
    /// What bounds its memory.
    pub memory: &'static str,
    /// What a call may wait for.
    pub waiting: &'static str,
}

/// A limiter under measurement, with the clock that it comes with.
pub trait Peer<K: KeyKind = u64>: Sized + Send + Sync + 'static {
    /// How it is called in tables and on the command line.
    const NAME: &'static str;
    /// What it promises, by its own documentation.
    const PROMISES: Promises;

    /// An empty limiter.
    fn new(setting: &Setting) -> Self;

    /// Asks for one request of this key, now; true if it is admitted.
    fn check(&self, key: &K) -> bool;

    /// What a host may do in idle moments, so that memory is no more than it need be.
    fn settle(&self) {}
}

/// Something to measure on any limiter.
pub trait Task<K: KeyKind> {
    /// What comes out.
    type Report;

    /// Does it on a fresh `P`.
    fn run<P: Peer<K>>(&self) -> Self::Report;
}
