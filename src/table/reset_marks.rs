//! The times of resets, so that a charge made before a reset is not given back after it.
//!
//! A reset clears the counts of its key. A reservation of that key, made before, then holds nothing. If
//! it were settled by its receipt alone, it would take the units of later charges. So a reset records
//! its key and the time of its newest charge here, and a give-back with a receipt looks them up.
//!
//! Each of 64 buckets has room for 4 keys. When a bucket is full, its oldest record is replaced, and the
//! time of that record raises the *floor*: receipts of all keys with times up to the floor are void. A
//! record older than the window of its policy makes no difference.
//!
//! # Invariants
//! - K1: after `record(key, time)`, `covers(key, at)` is true for each `at` up to `time`, in each thread
//!   that comes after the recording.
//! - K2: the floor is raised to the time of a record before another key takes its place.
//!
//! # Progress
//! Wait-free.

use super::error::OutOfMemory;
use super::slot::KeyId;
use crate::sync::alloc::vector;
use crate::sync::{AtomicU64, Ordering::*, order};

const IS_LOOM: bool = cfg!(all(test, tollgate_model, not(tollgate_shuttle)));
const BUCKETS: usize = if IS_LOOM { 1 } else { 64 };
const RECORDS: usize = if IS_LOOM { 1 } else { 4 };

/// The key of the record is being replaced. Keys are stored without this bit of their id.
const REPLACING: u64 = 1;

/// The newest resets.
#[derive(Debug)]
pub(crate) struct ResetMarks {
    /// Receipts of all keys with times up to this one are void.
    floor: AtomicU64,
    buckets: Box<[Bucket]>,
}

#[derive(Debug)]
#[repr(align(64))]
struct Bucket([Record; RECORDS]);

/// The newest reset of one key.
#[derive(Debug)]
struct Record {
    /// 0 if the record was never used.
    key: AtomicU64,
    /// The time of the newest charge before the reset.
    time: AtomicU64,
}

impl ResetMarks {
    pub(crate) const BYTES: usize = BUCKETS * size_of::<Bucket>();

    pub(crate) fn new() -> Result<Self, OutOfMemory> {
        let mut buckets = vector(BUCKETS)?;
        buckets.resize_with(BUCKETS, || Bucket(std::array::from_fn(|_| Record::new())));
        Ok(ResetMarks { floor: AtomicU64::new(0), buckets: buckets.into_boxed_slice() })
    }

    /// Records a reset of the key whose newest charge was made at `time`.
    pub(crate) fn record(&self, key: KeyId, time: u64) {
        let (records, key) = self.records(key);
        let is_recorded = records.iter().any(|record| record.raise(key, time))
            || records.iter().any(|record| record.claim(key) && record.raise(key, time))
            || self.replace_oldest(records, key, time);
        if !is_recorded {
            // Another thread is replacing the record. Relaxed: published by the reset that follows.
            self.floor.fetch_max(time, Relaxed);
        }
    }

    /// Returns whether a receipt of this key with the time `at` is void. The caller must have loaded a
    /// word of the key's counter before.
    pub(crate) fn covers(&self, key: KeyId, at: u64) -> bool {
        let (records, key) = self.records(key);
        records.iter().any(|record| record.covers(key, at))
            // After the records: K2. Relaxed: ordered after the Acquire of the keys.
            || self.floor.load(Relaxed) >= at
    }

    /// The records that may hold the key, and the key as it is stored.
    fn records(&self, key: KeyId) -> (&[Record], u64) {
        let bucket = (key.number() >> 32) as usize % self.buckets.len();
        (&self.buckets[bucket].0, key.number() & !REPLACING)
    }

    fn replace_oldest(&self, records: &[Record], key: u64, time: u64) -> bool {
        // Relaxed: any record may be replaced; the oldest makes the least difference.
        let oldest = records.iter().min_by_key(|record| record.time.load(Relaxed));
        oldest.is_some_and(|record| record.replace(key, &self.floor) && record.raise(key, time))
    }
}

impl Record {
    fn new() -> Self {
        Record { key: AtomicU64::new(0), time: AtomicU64::new(0) }
    }

    /// Raises the time, if the record has this key. Returns false if it does not, or may not any more.
    fn raise(&self, key: u64, time: u64) -> bool {
        // Relaxed: repeated below.
        if self.key.load(Relaxed) != key {
            return false;
        }
        self.time.fetch_max(time, Relaxed);
        // An RMW, so that it comes before or after the one that begins a replacement. If before, that
        // thread sees the raised time: Release, pairs with the Acquire in `replace`. Model:
        // marks_last with MarkKeyUnchecked and MarkKeepRelaxed.
        self.key.fetch_or(0, order::mark_keep()) == key
    }

    /// Takes an unused record.
    fn claim(&self, key: u64) -> bool {
        // Relaxed: the record holds no time yet.
        match self.key.compare_exchange(0, key, Relaxed, Relaxed) {
            Ok(_) => true,
            Err(other) => other == key,
        }
    }

    /// Gives the record to another key. Returns false if another thread is doing so.
    fn replace(&self, key: u64, floor: &AtomicU64) -> bool {
        // Relaxed: repeated by the CAS.
        let old = self.key.load(Relaxed);
        // Acquire: sees the times of all threads that kept the key. Pairs with the Release in `raise`.
        // Model: marks_last with MarkTakeRelaxed.
        let begin = |old: u64| {
            self.key.compare_exchange(old, old | REPLACING, order::mark_take(), Relaxed).is_ok()
        };
        if old & REPLACING != 0 || !begin(old) {
            return false;
        }
        // Relaxed: published by the key below.
        floor.fetch_max(self.time.load(Relaxed), Relaxed);
        // Release, and an RMW as all writes of keys: a thread that no longer finds the old key sees the floor. Pairs with the Acquire in
        // `covers`. Model: marks_last with MarkReplaceRelaxed and FloorLate.
        self.key.swap(key, order::mark_replace());
        true
    }

    fn covers(&self, key: u64, at: u64) -> bool {
        // Acquire: pairs with the Release in `replace`. Model: marks_last with MarkFindRelaxed.
        let found = self.key.load(order::mark_find()) & !REPLACING == key;
        // Relaxed: the caller has seen the reset, and the time was raised before it.
        found && self.time.load(Relaxed) >= at
    }
}
