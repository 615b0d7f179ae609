//! How far the words of a window fill it: pure, no atomics.

use std::hint::cold_path;

/// Words of a window, from the newest on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UsageScan {
    pub(super) used: u64,
    /// The newest word that counts for anything, or 0.
    pub(super) newest: u64,
    /// The word with which there is no room any more, or 0.
    pub(super) must_expire: u64,
}

impl UsageScan {
    /// With an older word as well, where so many units leave room.
    #[inline(always)]
    pub(super) fn add_word(self, count: u64, word: u64, room: u64) -> Self {
        let used = self.used + count;
        let UsageScan { mut newest, mut must_expire, .. } = self;
        // Each once in a walk.
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
