//! A walk over the live words of a window. Pure: no atomics.

use std::hint::cold_path;

/// The result of a walk over the words of a window, from the newest to the oldest.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UsageScan {
    pub(super) used: u64,
    /// The newest word with a count above 0, or 0.
    pub(super) newest: u64,
    /// The word at which the sum of the walk first exceeds the room, or 0 if it does not. The room is
    /// the greatest usage at which the charge still fits. Once this word has expired, the charge fits.
    pub(super) must_expire: u64,
}

impl UsageScan {
    /// Adds the next older word. `room` is the greatest usage at which the charge still fits.
    #[inline(always)]
    pub(super) fn add_word(self, count: u64, word: u64, room: u64) -> Self {
        let used = self.used + count;
        let UsageScan { mut newest, mut must_expire, .. } = self;
        // Each branch is taken at most once per walk.
        if newest == 0 && count > 0 {
            cold_path();
            newest = word;
        }
        if must_expire == 0 && used > room {
            cold_path();
            must_expire = word;
        }
        UsageScan { used, newest, must_expire }
    }
}
