//! The format of a budget's word. Pure: no atomics.
//!
//! ```text
//!  63                                    0
//! [ period + 1 | resets | used | MOVED ]
//! ```
//!
//! The period and the number of its resets are the *stamp* of a charge: a later period or a reset makes
//! it greater. The kind of the period determines the bits of the period, and the limit those of the
//! usage. Resets are counted in the others: 2^18 - 1 per hour under a limit of 10,000, 255 under a
//! limit of 10⁹, and at least 1.

use crate::counter::{NEVER, TimeBase};
use crate::policy::calendar::Calendar;
use std::hint::cold_path;

/// The word is frozen for a move to another array and never changes again in this one.
pub(super) const MOVED: u64 = 1;
const FLAG_BITS: u32 = 1;

/// The usage has room for twice the limit, so that forced charges are recorded. It has up to this many
/// more bits, as long as they leave [`AMPLE_RESET_BITS`].
const MAX_HEADROOM_BITS: u32 = 9;
const AMPLE_RESET_BITS: u32 = 8;

/// The bit layout of a policy's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    stamp_shift: u32,
    period_shift: u32,
    used_max: u64,
    last_period: u64,
}

/// The usage that a charge is added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) stamp: u64,
    pub(super) used: u64,
}

impl Format {
    /// The format for limits up to `max_limit` (not above [`MAX_LIMIT`](crate::error::MAX_LIMIT)).
    pub(super) const fn new(calendar: Calendar, max_limit: u64) -> Self {
        let mut used_bits = u64::BITS - (2 * max_limit - 1).leading_zeros();
        let period_shift = u64::BITS - calendar.index_bits();
        let most = used_bits + MAX_HEADROOM_BITS;
        while used_bits < most && used_bits + 1 + FLAG_BITS + AMPLE_RESET_BITS <= period_shift {
            used_bits += 1;
        }
        Format {
            stamp_shift: used_bits + FLAG_BITS,
            period_shift,
            used_max: (1 << used_bits) - 1,
            last_period: (1 << calendar.index_bits()) - 2,
        }
    }

    /// The greatest usage. A usage above it is stored as this.
    pub(super) const fn used_max(self) -> u64 {
        self.used_max
    }

    /// The last period. All later instants belong to it.
    pub(super) const fn last_period(self) -> u64 {
        self.last_period
    }

    #[inline(always)]
    pub(super) fn stamp(self, word: u64) -> u64 {
        word >> self.stamp_shift
    }

    #[inline(always)]
    pub(super) fn used(self, word: u64) -> u64 {
        (word >> FLAG_BITS) & self.used_max
    }

    /// Packs an open word. The usage saturates at [`used_max`](Self::used_max).
    #[inline(always)]
    pub(super) fn pack(self, stamp: u64, used: u64) -> u64 {
        let mut stored = used;
        if used > self.used_max {
            cold_path();
            stored = self.used_max;
        }
        stamp << self.stamp_shift | stored << FLAG_BITS
    }

    /// The word with `cost` more in its usage, which must not overflow.
    #[inline(always)]
    pub(super) fn charged(self, word: u64, cost: u64) -> u64 {
        debug_assert!(self.used(word) + cost <= self.used_max);
        word + (cost << FLAG_BITS)
    }

    /// The stamp of a period without resets.
    #[inline(always)]
    pub(super) fn stamp_of(self, period: u64) -> u64 {
        (period.min(self.last_period) + 1) << self.reset_bits()
    }

    /// The period of an open word's stamp.
    #[inline(always)]
    pub(super) fn period(self, stamp: u64) -> u64 {
        (stamp >> self.reset_bits()).saturating_sub(1)
    }

    /// Returns whether an open word is of this period.
    #[inline(always)]
    pub(super) fn is_of(self, word: u64, period: u64) -> bool {
        word >> self.period_shift == period + 1
    }

    /// The period after the stamp's. The last period never ends.
    pub(super) fn next_period(self, stamp: u64) -> u64 {
        match self.period(stamp) {
            last if last == self.last_period => NEVER - 1,
            period => period + 1,
        }
    }

    /// Returns the stamp and the usage of the period that a request at `now` is charged to.
    #[inline(always)]
    pub(super) fn usage(self, word: u64, base: TimeBase, now: u64) -> Usage {
        // Model: budget_dropped with NoCutoff.
        let now = now.max(base.cutoff).min(self.last_period);
        let is_open = word & !MOVED != 0;
        let stamp = self.stamp(word);
        if is_open && now <= self.period(stamp) {
            Usage { stamp, used: self.used(word) }
        } else {
            Usage { stamp: self.stamp_of(now), used: 0 }
        }
    }

    /// The stamp after a reset.
    pub(super) fn after_reset(self, stamp: u64) -> u64 {
        if self.is_last(stamp) { stamp } else { stamp + 1 }
    }

    /// Returns whether the period was reset.
    pub(super) fn has_resets(self, stamp: u64) -> bool {
        stamp & self.max_resets() > 0
    }

    /// Returns whether this is the greatest stamp of its period. A reset does not change it, so it does not
    /// tell a charge before that reset from one after it.
    pub(super) fn is_last(self, stamp: u64) -> bool {
        stamp & self.max_resets() == self.max_resets()
    }

    fn max_resets(self) -> u64 {
        (1 << self.reset_bits()) - 1
    }

    fn reset_bits(self) -> u32 {
        self.period_shift - self.stamp_shift
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::*;
    use crate::error::MAX_LIMIT;
    use crate::policy::calendar::Period;

    #[test]
    fn each_limit_has_headroom_and_resets() {
        for (period, limit, resets) in [
            (Period::Hour, 10_000, (1 << 18) - 1),
            (Period::Hour, 1_000_000_000, 255),
            (Period::Hour, MAX_LIMIT, 1),
            (Period::Day, MAX_LIMIT, 31),
            (Period::Month, MAX_LIMIT, 255),
        ] {
            let format = Format::new(Calendar::new(period, 0), limit);
            assert!(format.used_max() >= limit * 2 - 1);
            let first = format.stamp_of(500);
            let mut last = first;
            while !format.is_last(last) {
                last = format.after_reset(last);
            }
            assert_eq!((last - first, format.after_reset(last)), (resets, last));
            assert_eq!((format.period(last), format.period(last + 1)), (500, 501));
            assert!(format.is_of(format.pack(last, limit), 500));
        }
    }
}
