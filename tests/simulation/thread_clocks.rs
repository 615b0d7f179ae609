//! The clocks of virtual threads: they drift, and step forward and back.

use super::setup::{Feature, MINUTE, Random, SECOND, START, Setup};
use tollgate::Now;

/// The clocks of one thread.
#[derive(Clone, Debug)]
pub struct ThreadClocks {
    /// Drift in parts per million.
    drift: i64,
    monotonic_ahead: i64,
    wall_ahead: i64,
}

impl ThreadClocks {
    pub fn new(setup: &Setup, random: &mut Random) -> Self {
        let drift = if setup.has(Feature::Drift) { random.below(401) as i64 - 200 } else { 0 };
        ThreadClocks { drift, monotonic_ahead: 0, wall_ahead: 0 }
    }

    /// The readings at a time of the day.
    pub fn reading(&self, time: u64) -> Now {
        let drifted = time.saturating_add_signed(time as i64 / 1_000_000 * self.drift);
        Now::new(
            (START.monotonic_ns + drifted).saturating_add_signed(self.monotonic_ahead),
            (START.unix_ns + drifted).saturating_add_signed(self.wall_ahead),
        )
    }

    /// Steps one of the clocks: a wall clock that is set, or monotonic clocks that differ between
    /// cores.
    pub fn step(&mut self, random: &mut Random) {
        let around = |random: &mut Random, most: u64| random.below(2 * most) as i64 - most as i64;
        match random.below(3) {
            0 => self.wall_ahead = around(random, 90 * MINUTE),
            1 => self.monotonic_ahead = around(random, 50_000_000),
            _ => self.monotonic_ahead = around(random, 5 * SECOND),
        }
    }
}
