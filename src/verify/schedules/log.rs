//! The oracle of a sliding window: a log of the charges that count, each with its time.

/// The parameters of a sliding window, in its units of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowShape {
    pub(super) length: u64,
    /// The length of a cell. The charges of one cell count as if all were made at the time of the
    /// last one. With length 1 each charge counts separately.
    pub(super) cell: u64,
    /// The number of cells that can be distinguished within one window.
    pub(super) words: usize,
}

/// One charge, with the units that were not given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LogEntry {
    pub(super) time: u64,
    /// Orders charges of the same time: the one that was completed first is given back first.
    pub(super) number: usize,
    pub(super) units: u64,
}

/// The charges that count, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Log(Vec<LogEntry>);

impl Log {
    pub(super) fn add(&mut self, entry: LogEntry) {
        let index = self.0.partition_point(|other| *other < entry);
        self.0.insert(index, entry);
    }

    pub(super) fn entries(&self) -> &[LogEntry] {
        &self.0
    }

    pub(super) fn live(&self, length: u64, at: u64) -> impl Iterator<Item = &LogEntry> + use<'_> {
        self.0.iter().filter(move |entry| at - entry.time < length)
    }

    pub(super) fn used(&self, length: u64, at: u64) -> u64 {
        self.live(length, at).map(|entry| entry.units).sum()
    }

    /// The first time at which nothing is used. `now` if nothing is used at `at`.
    pub(super) fn clear_at(&self, length: u64, at: u64, now: u64) -> u64 {
        self.live(length, at).last().map_or(now, |entry| entry.time + length)
    }

    /// The first time at which a denied charge has room. `None` if it has room now, or never will.
    pub(super) fn fits_at(&self, length: u64, at: u64, cost: u64, limit: u64) -> Option<u64> {
        let mut used = self.used(length, at);
        if cost > limit || used + cost <= limit {
            return None;
        }
        self.live(length, at).find_map(|entry| {
            used -= entry.units;
            (used + cost <= limit).then_some(entry.time + length)
        })
    }

    /// Drops the charges that have expired by `at`.
    pub(super) fn expire(&mut self, length: u64, at: u64) {
        self.0.retain(|entry| at - entry.time < length);
    }

    /// Moves the charges of one time to another time.
    pub(super) fn merge(&mut self, time: u64, into: u64) {
        self.0.iter_mut().filter(|entry| entry.time == time).for_each(|entry| entry.time = into);
        self.0.sort_unstable();
    }

    /// Takes up to `amount` units charged at `time`, and returns how many it took.
    pub(super) fn take(&mut self, time: u64, amount: u64) -> u64 {
        let mut rest = amount;
        for entry in self.0.iter_mut().filter(|entry| entry.time == time) {
            let taken = rest.min(entry.units);
            (entry.units, rest) = (entry.units - taken, rest - taken);
        }
        self.0.retain(|entry| entry.units > 0);
        amount - rest
    }

    /// Removes the charge with this number, and returns what is left of it.
    pub(super) fn forget(&mut self, number: usize) -> Vec<LogEntry> {
        let (removed, kept) = self.0.iter().partition(|entry| entry.number == number);
        self.0 = kept;
        removed
    }
}
