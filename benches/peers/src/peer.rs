//! The common interface of all limiters.

use crate::keys::KeyKind;
use std::time::Duration;

/// The configuration that every limiter of a measurement is built with.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Requests per key and window.
    pub limit: u32,
    /// The window.
    pub window: Duration,
    /// The number of keys that must fit. Limiters without a bound on keys ignore it.
    pub max_keys: usize,
}

impl Setting {
    /// The window rounded up to whole seconds, and the limit scaled with it and rounded down. For limiters
    /// that support only windows of whole seconds.
    pub(crate) fn in_seconds(&self) -> (u64, Duration) {
        let seconds = self.window.as_secs_f64().ceil();
        let limit = f64::from(self.limit) * (seconds / self.window.as_secs_f64());
        (limit as u64, Duration::from_secs(seconds as u64))
    }
}

/// The guarantees of a limiter: the limiters differ in more than speed.
#[derive(Clone, Copy, Debug)]
pub struct Guarantees {
    /// Whether the limiter keeps state for each key, instead of counters that keys share.
    pub per_key: bool,
    /// The counting algorithm, and its accuracy compared with a log of admitted requests.
    pub counting: &'static str,
    /// The bound on a key's admitted requests in any interval of the window's length.
    pub max_per_window: &'static str,
    /// The bound on the limiter's memory.
    pub memory: &'static str,
    /// The locks that a call may wait for.
    pub locks: &'static str,
}

/// A limiter to compare, or a control: it has the same interface, but does not limit.
pub trait Peer<K: KeyKind = u64>: Sized + Send + Sync + 'static {
    /// The name in tables and in the arguments of child processes.
    const NAME: &'static str;
    /// Its guarantees, according to its documentation or its code.
    const GUARANTEES: Guarantees;

    /// Creates an empty limiter.
    fn new(setting: &Setting) -> Self;

    /// Decides one request of this key at the current time. Returns whether it is admitted.
    fn check(&self, key: &K) -> bool;

    /// Does maintenance and releases unused memory, as a host may do when idle. Called only by
    /// measurements whose names contain `maintained`.
    fn maintain(&self) {}
}

/// A measurement that works with any limiter.
pub trait Task<K: KeyKind> {
    /// The result.
    type Report;

    /// Measures a new `P`.
    fn run<P: Peer<K>>(&self) -> Self::Report;
}
