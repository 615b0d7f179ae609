//! What the tests at size share: how large they are, numbers at random, and resident memory.
#![allow(dead_code, reason = "each test takes what it needs")]

pub mod interrupts;
pub mod rule;

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

pub const MICRO: u64 = 1_000;
pub const MIB: u64 = 1 << 20;

/// The full size where the environment asks for it: `TOLLGATE_FULL=1`.
pub fn is_full() -> bool {
    std::env::var_os("TOLLGATE_FULL").is_some_and(|value| value == "1")
}

pub fn by_size<T>(default: T, full: T) -> T {
    if is_full() { full } else { default }
}

/// One step of splitmix64: a number that looks random, and is the same in every run.
pub fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A barrier whose threads go on at one instant. [`std::sync::Barrier`] wakes one after another, so
/// that the first may be through with a short piece of work before the next begins.
pub struct StartLine {
    threads: u64,
    arrived: AtomicU64,
}

impl StartLine {
    pub fn new(threads: u64) -> Self {
        StartLine { threads, arrived: AtomicU64::new(0) }
    }

    /// Spins until all threads have arrived.
    pub fn wait(&self) {
        // Acquire and Release: each thread sees what the others did before they arrived.
        let ticket = self.arrived.fetch_add(1, AcqRel);
        let all = (ticket / self.threads + 1) * self.threads;
        while self.arrived.load(Acquire) < all {
            std::thread::yield_now();
        }
    }
}

/// Bytes of this process that are in memory now; `None` where the system does not tell.
pub fn resident() -> Option<u64> {
    // In KiB here; `statm` counts pages, whose size is not told.
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// In MiB, to be read.
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}
