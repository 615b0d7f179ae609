//! One generation: an array, the migration into it, and when to sample or replace it.

use super::array::Array;
use super::error::OutOfMemory;
use super::evictions::{Eviction, EvictionLedger};
use super::migration::Migration;
use super::prefetch::prefetch;
use super::receipt::Receipt;
use super::sample::UsageSample;
use super::size::{Size, charges_per_chunk};
use super::slot::Slot;
use crate::counter::Counter;
use crate::reclaim::{Guard, Node, Retire};
use crate::sync::{AtomicPtr, AtomicU64, Ordering::*, Statistic, order};
use std::ptr;

/// A table is large when its array has more than this many times the home slots of the
/// table's first array.
const LARGE_FACTOR: usize = 4;
/// New keys that get no slot between two retries of a resize after an allocation failure. A retry
/// takes a sample, which is expensive.
const RESIZE_RETRY_INTERVAL: u64 = 256;
/// Once a move in fine chunks has taken a window, a new key moves this many times as many chunks.
const OVERDUE_FACTOR: usize = 4;
/// Slots that a sample prefetches ahead: enough that their cache misses overlap.
const PREFETCH_DISTANCE: usize = 16;

/// An array with its migration.
#[derive(Debug)]
pub(crate) struct Generation<C: Counter> {
    pub(crate) array: Array<C>,
    retired: Node,
    pub(crate) size: Size,
    pub(crate) migration: Migration,
    /// The number of generations before this one.
    pub(crate) number: u64,
    pub(crate) ledger: EvictionLedger,
    /// The generation that is being moved into this one. Written once, from non-null to null, when
    /// everything has been moved.
    previous: AtomicPtr<Generation<C>>,
    /// The number of ticks, from the cutoff on, in which the fast path can use this generation: 0
    /// while keys are moved into it, and changes after `previous` has become null.
    fast_ticks: AtomicU64,
    /// Not 0 once the system was advised to use huge pages.
    huge_pages_advised: Statistic,
    /// The huge pages that were made. After the first failure, all of them.
    collapsed: Statistic,
    /// New keys that still get no slot before one retries the resize. Greater than 0 only after an
    /// allocation failure.
    refusals_left: Statistic,
    /// For each purpose, the tick from which on a new sample may pay off.
    sample_due_at: [AtomicU64; 2],
}

/// The purpose of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Find out whether the array is mostly idle.
    Shrink,
    /// Find out whether a full array has keys to drop.
    MakeRoom,
}

/// The parameters of the next generation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResizePlan {
    pub(crate) size: Size,
    /// The move drops keys that have used at most this many units. With 0 it drops expired keys
    /// only.
    pub(crate) eviction_threshold: u64,
    pub(crate) now: u64,
}

impl<C: Counter> Generation<C> {
    /// Creates the first generation of a table.
    pub(crate) fn first(
        spec: &C::Spec,
        size: Size,
        now: u64,
        evicts: bool,
    ) -> Result<Self, OutOfMemory> {
        let base = C::base(spec, now);
        Ok(Generation {
            array: Array::new(size, base, evicts)?,
            retired: Node::new::<Self>(),
            size,
            migration: Migration::new(0, 1, 0)?,
            number: 0,
            ledger: EvictionLedger::default(),
            previous: AtomicPtr::new(ptr::null_mut()),
            fast_ticks: AtomicU64::new(base.fast_ticks),
            huge_pages_advised: Statistic::new(0),
            collapsed: Statistic::new(0),
            refusals_left: Statistic::new(0),
            sample_due_at: [0, 0].map(AtomicU64::new),
        })
    }

    /// Creates the generation that this one is moved into. Its cutoff is the plan's time, but no
    /// earlier than this one's cutoff.
    pub(crate) fn next(&self, spec: &C::Spec, plan: ResizePlan) -> Result<Self, OutOfMemory> {
        let ResizePlan { size, eviction_threshold, now } = plan;
        let cutoff = now.max(self.array.base().cutoff);
        let window = C::window(spec);
        let later = cutoff.saturating_add(sample_interval(window));
        let has_grown = size.capacity > self.size.capacity;
        let number = self.number + 1;
        let eviction = Eviction { cutoff, units: eviction_threshold };
        Ok(Generation {
            array: Array::new(size, C::base(spec, cutoff), self.array.evicts())?,
            retired: Node::new::<Self>(),
            size,
            migration: Migration::new(self.size.home_slots, size.chunk_len, eviction_threshold)?,
            number,
            ledger: self.ledger.with(eviction, window),
            previous: AtomicPtr::new(ptr::from_ref(self).cast_mut()),
            fast_ticks: AtomicU64::new(0),
            huge_pages_advised: Statistic::new(0),
            collapsed: Statistic::new(0),
            refusals_left: Statistic::new(0),
            // No new sample at once, since this resize has just taken one. There are two exceptions
            // for samples to make room: an array that has grown, and an eviction, after which the
            // ledger bounds further evictions.
            sample_due_at: [later, if has_grown || eviction_threshold > 0 { 0 } else { later }]
                .map(AtomicU64::new),
        })
    }

    /// Returns whether the key of this slot was dropped and inserted anew after this charge, because it
    /// was evicted or had expired. Always false in a table that does not evict.
    pub(crate) fn was_evicted_since(&self, slot: &Slot<C>, charge: &Receipt) -> bool {
        // Model: refund_after_move with ReceiptWithoutGeneration.
        !self.array.has_survived(slot, self.number.saturating_sub(charge.generation))
    }

    /// Returns whether the fast path can use this generation at `now`: no keys are moved into it, and
    /// the time is in the range of its array.
    #[inline(always)]
    pub(crate) fn is_fast(&self, now: u64) -> bool {
        // Acquire: a thread that takes the fast path sees everything that was moved. Pairs with
        // `open_fast_path`. Model: fast_path_sees_moved_keys with FastTicksRelaxed.
        let fast_ticks = self.fast_ticks.load(order::fast_ticks_load());
        now.wrapping_sub(self.array.base().cutoff) < fast_ticks
    }

    /// Lets the fast path use this generation. `previous` must be null.
    pub(crate) fn open_fast_path(&self) {
        // Relaxed: only avoids a write to a cache line that every request loads.
        if self.fast_ticks.load(Relaxed) == 0 {
            // Release: a thread that takes the fast path sees everything that was moved. Pairs with
            // `is_fast`. Model: fast_path_sees_moved_keys with FastOpenRelaxed.
            self.fast_ticks.store(self.array.base().fast_ticks, order::fast_path_open());
        }
    }

    /// The generation that is still being moved into this one.
    #[inline(always)]
    pub(crate) fn previous<'g>(&self, _guard: &'g Guard) -> Option<&'g Generation<C>> {
        // Acquire: a thread that finds it unlinked sees everything that was moved. Pairs with
        // `unlink`. Model: peek_against_move with PreviousRelaxed.
        let previous = self.previous.load(order::previous_load());
        // SAFETY: not freed while the guard is held: it is retired after it was unlinked.
        unsafe { previous.as_ref() }
    }

    /// Unlinks the previous generation and returns it. Only one caller gets it, and must retire it.
    pub(crate) fn unlink(&self) -> Option<*mut Generation<C>> {
        // Relaxed: only compared.
        let previous = self.previous.load(Relaxed);
        if previous.is_null() {
            return None;
        }
        // Release: a thread that finds it unlinked sees everything that was moved. Pairs with
        // `previous`. CAS: only one thread unlinks. Models: retire_against_pinned_reader with
        // UnlinkStores, peek_against_move with UnlinkRelaxed.
        self.previous
            .compare_exchange(previous, ptr::null_mut(), order::previous_unlink(), Relaxed)
            .ok()
    }

    /// The previous generation of one that no other thread can reach.
    pub(crate) fn into_previous(self) -> *mut Generation<C> {
        // Relaxed: owned.
        self.previous.load(Relaxed)
    }

    /// An upper bound on the keys that are still to be moved or dropped.
    pub(crate) fn pending(&self, guard: &Guard) -> usize {
        let keys = |previous: &Self| previous.array.claimed();
        self.previous(guard).map_or(0, keys).saturating_sub(self.migration.moved())
    }

    /// The number of chunks that this charge of a known key moves: 0 or 1 in the first half of the time
    /// from the cutoff to the renewal. In the second half, as many as for a new key whose move is not
    /// overdue. So a table in which only known keys are charged also completes its move before the
    /// array's time range ends.
    pub(crate) fn chunks_per_known_key(&self, now: u64) -> usize {
        let base = self.array.base();
        if now > base.cutoff / 2 + base.renew_after / 2 {
            return self.size.chunks_per_new_key();
        }
        let charges = charges_per_chunk(size_of::<Slot<C>>(), self.size.home_slots);
        self.migration.is_turn(charges).into()
    }

    /// The number of chunks that a new key moves. If chunks are small, it is greater once the move
    /// has taken a window: then many keys may have expired, and the table keeps the memory of two
    /// arrays for them.
    pub(crate) fn chunks_per_new_key(&self, spec: &C::Spec, now: u64) -> usize {
        let chunks = self.size.chunks_per_new_key();
        let is_overdue = self.size.is_fine() && self.is_window_old(spec, now);
        if is_overdue { chunks * OVERDUE_FACTOR } else { chunks }
    }

    pub(crate) fn is_large(&self, first: Size) -> bool {
        self.size.home_slots > LARGE_FACTOR * first.home_slots
    }

    /// Returns whether a sample may be taken, so that a flood of new keys does not cause one for each.
    pub(crate) fn is_sample_due(&self, purpose: Purpose, now: u64) -> bool {
        // Relaxed: only spreads the samples.
        now >= self.sample_due_at[purpose as usize].load(Relaxed)
    }

    /// Postpones the next sample by 1/64 of a window, after one that led to no resize.
    pub(crate) fn postpone_sample(&self, purpose: Purpose, spec: &C::Spec, now: u64) {
        let later = now.saturating_add(sample_interval(C::window(spec)));
        // Relaxed: as in `is_sample_due`.
        self.sample_due_at[purpose as usize].store(later, Relaxed);
    }

    /// Returns whether a new key may resize a full array. If not, counts the key, which gets no
    /// slot.
    pub(crate) fn is_resize_due(&self) -> bool {
        // Relaxed: only spreads the retries. Two concurrent calls may count as one.
        let refusals = self.refusals_left.load(Relaxed);
        if refusals > 0 {
            self.refusals_left.store(refusals - 1, Relaxed);
        }
        refusals == 0
    }

    /// Postpones the next resize after an allocation failure. The delay is counted in new keys, not
    /// in time: memory may be available again long before a calendar period ends.
    pub(crate) fn postpone_resize(&self) {
        // Relaxed: as in `is_resize_due`.
        self.refusals_left.store(RESIZE_RETRY_INTERVAL, Relaxed);
    }

    /// Returns whether this array has been in use for a window, and so is likely to stay.
    pub(crate) fn is_window_old(&self, spec: &C::Spec, now: u64) -> bool {
        now.saturating_sub(self.array.base().cutoff) >= C::window(spec)
    }

    /// Advises the system to use huge pages, once.
    pub(crate) fn advise_huge_pages(&self) {
        // Relaxed: to advise twice is harmless.
        if self.huge_pages_advised.swap(1, Relaxed) == 0 {
            self.array.advise_huge_pages();
        }
    }

    /// Makes the huge pages of about `budget` slots. Returns whether all are made, or one
    /// could not be made.
    pub(crate) fn collapse(&self, budget: usize) -> bool {
        let pages = self.array.huge_pages();
        // Relaxed: to make a page twice is harmless.
        let first = self.collapsed.load(Relaxed) as usize;
        let share = budget.div_ceil((self.size.home_slots / pages.max(1)).max(1));
        let end = pages.min(first.saturating_add(share));
        // After one failure the others are not tried: they would fail too.
        let all = (first..end).all(|page| self.array.collapse(page));
        let made = if all { end } else { pages };
        self.collapsed.fetch_max(made as u64, Relaxed);
        made == pages
    }

    /// Returns whether this array has been in use for two windows, so that its keys had time to
    /// expire.
    pub(crate) fn is_two_windows_old(&self, spec: &C::Spec, now: u64) -> bool {
        now.saturating_sub(self.array.base().cutoff) / 2 >= C::window(spec)
    }

    /// Samples slots that are spread over the array; which ones depends on `now`. The sample counts the
    /// keys that have used more than `threshold`.
    // Not inlined: its frame is large.
    #[inline(never)]
    pub(crate) fn sample(&self, spec: &C::Spec, now: u64, threshold: u64) -> UsageSample {
        let slots = self.array.home_slots();
        let stride = slots.len() / UsageSample::sample_slots(slots.len()).max(1);
        // Scattered: the readings of a coarse clock have a common divisor.
        let scattered = now.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let start = (scattered % stride.max(1) as u64) as usize;
        let sample = slots[start..].iter().step_by(stride.max(1));
        // Prefetched, so that the cache misses overlap.
        let mut ahead = sample.clone().skip(PREFETCH_DISTANCE);
        let sample = sample.inspect(|_| ahead.next().into_iter().for_each(prefetch));
        let keys = sample.filter(|slot| slot.is_claimed());
        let base = self.array.base();
        UsageSample::new(
            self.array.claimed(),
            threshold,
            keys.map(|slot| slot.counter.weight(spec, base, now)),
        )
    }

    /// Bytes that may be resident.
    pub(crate) fn bytes(&self) -> usize {
        self.array.home_bytes() + self.migration.bytes()
    }
}

fn sample_interval(window: u64) -> u64 {
    (window / 64).max(1)
}

// SAFETY: `retired` is a node of this type, and has this offset.
unsafe impl<C: Counter> Retire for Generation<C> {
    const NODE: usize = std::mem::offset_of!(Self, retired);

    fn free_piece(&mut self) -> bool {
        self.array.free_piece()
    }
}
