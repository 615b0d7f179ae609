//! The textbook: a log of the charges that count, each with its time.

/// How a sliding window counts, in its units of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    pub(super) length: u64,
    /// The charges of one cell count as if all had been made with the last of them; 1 where each
    /// counts for itself.
    pub(super) cell: u64,
    /// So many cells can be told apart within one window.
    pub(super) words: usize,
}

/// One charge, or what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Entry {
    pub(super) time: u64,
    /// Of two charges of one time the one that was completed first comes back first.
    pub(super) number: usize,
    pub(super) units: u64,
}

/// What counts, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Log(Vec<Entry>);

impl Log {
    pub(super) fn add(&mut self, entry: Entry) {
        let place = self.0.partition_point(|other| *other < entry);
        self.0.insert(place, entry);
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.0
    }

    pub(super) fn live(&self, length: u64, at: u64) -> impl Iterator<Item = &Entry> + use<'_> {
        self.0.iter().filter(move |entry| at - entry.time < length)
    }

    pub(super) fn used(&self, length: u64, at: u64) -> u64 {
        self.live(length, at).map(|entry| entry.units).sum()
    }

    /// The first time at which nothing is used; `now` if nothing is.
    pub(super) fn clear_at(&self, length: u64, at: u64, now: u64) -> u64 {
        self.live(length, at).last().map_or(now, |entry| entry.time + length)
    }

    /// The first time at which a charge that has no room has some.
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

    /// Drops what no time from `at` on counts.
    pub(super) fn expire(&mut self, length: u64, at: u64) {
        self.0.retain(|entry| at - entry.time < length);
    }

    /// The charges of one time count from another on.
    pub(super) fn merge(&mut self, time: u64, into: u64) {
        self.0.iter_mut().filter(|entry| entry.time == time).for_each(|entry| entry.time = into);
        self.0.sort_unstable();
    }

    /// Takes up to `amount` of what was charged at `time`; returns how much that is.
    pub(super) fn take(&mut self, time: u64, amount: u64) -> u64 {
        let mut rest = amount;
        for entry in self.0.iter_mut().filter(|entry| entry.time == time) {
            let taken = rest.min(entry.units);
            (entry.units, rest) = (entry.units - taken, rest - taken);
        }
        self.0.retain(|entry| entry.units > 0);
        amount - rest
    }

    /// Takes one charge out; returns what was left of it.
    pub(super) fn forget(&mut self, number: usize) -> Vec<Entry> {
        let (gone, kept) = self.0.iter().partition(|entry| entry.number == number);
        self.0 = kept;
        gone
    }
}
