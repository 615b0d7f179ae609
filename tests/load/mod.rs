//! Shared parts of the load tests: the size of a run, pseudo-random numbers, a barrier and resident
//! memory.
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod interrupts;
pub mod rule;

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

pub const MICRO: u64 = 1_000;
pub const MIB: u64 = 1 << 20;

/// Returns whether the tests run at full size: `TOLLGATE_FULL=1`.
pub fn is_full() -> bool {
    std::env::var_os("TOLLGATE_FULL").is_some_and(|value| value == "1")
}

/// Returns `full` at full size, else `default`.
pub fn by_size<T>(default: T, full: T) -> T {
    if is_full() { full } else { default }
}

/// One step of splitmix64: a pseudo-random number that is the same in every run.
pub fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A spinning barrier that releases all threads at once. [`std::sync::Barrier`] wakes them one
/// after another, so the first may finish a short piece of work before the next begins.
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

/// Returns the resident bytes of this process; `None` if the system does not report them.
pub fn resident() -> Option<u64> {
    // In KiB. `statm` counts pages, but does not state their size.
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// Converts bytes to MiB, for printing.
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}
