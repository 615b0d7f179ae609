//! The clocks of virtual threads: they drift, step forward and back, and stand still.

use super::make::{MINUTE, Make, Op, Random, SECOND, START};
use tollgate::Now;

/// One thread's clocks.
#[derive(Clone, Debug)]
pub struct ThreadClocks {
    /// Millionths that it goes too fast.
    drift: i64,
    monotonic_ahead: i64,
    wall_ahead: i64,
}

impl ThreadClocks {
    pub fn new(make: &Make, random: &mut Random) -> Self {
        let drift = if make.has(Op::Drift) { random.below(401) as i64 - 200 } else { 0 };
        ThreadClocks { drift, monotonic_ahead: 0, wall_ahead: 0 }
    }

    /// What it shows at a time of the day.
    pub fn reading(&self, time: u64) -> Now {
        let drifted = time.saturating_add_signed(time as i64 / 1_000_000 * self.drift);
        Now::new(
            (START.monotonic_ns + drifted).saturating_add_signed(self.monotonic_ahead),
            (START.unix_ns + drifted).saturating_add_signed(self.wall_ahead),
        )
    }

    /// Somebody sets the wall clock; the monotonic one differs between cores.
    pub fn step(&mut self, random: &mut Random) {
        let around = |random: &mut Random, most: u64| random.below(2 * most) as i64 - most as i64;
        match random.below(3) {
            0 => self.wall_ahead = around(random, 90 * MINUTE),
            1 => self.monotonic_ahead = around(random, 50_000_000),
            _ => self.monotonic_ahead = around(random, 5 * SECOND),
        }
    }
}
