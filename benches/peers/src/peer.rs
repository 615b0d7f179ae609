//! What all limiters are asked to do.

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

/// What a limiter promises, in words: figures alone would compare what is not alike.
#[derive(Clone, Copy, Debug)]
pub struct Promises {
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
pub trait Peer: Sized + Sync {
    /// How it is called in tables and on the command line.
    const NAME: &'static str;
    /// What it promises, by its own documentation.
    const PROMISES: Promises;

    /// An empty limiter.
    fn new(setting: &Setting) -> Self;

    /// Asks for one request of this key, now; true if it is admitted.
    fn check(&self, key: u64) -> bool;
}

/// Something to measure on any limiter.
pub trait Work {
    /// What comes out.
    type Report;

    /// Does the work on a fresh `P`.
    fn run<P: Peer>(&self) -> Self::Report;
}
