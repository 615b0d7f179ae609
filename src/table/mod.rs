//! The hash table from a key's id to its counter.
//!
//! # Invariants
//! - T1: a key can be charged in at most one slot, and no charge is lost.
//! - T2: no time before an array's cutoff is ever used in that array.
//! - T3: the keys of an array and those still to be moved into it are at most `max_keys`, plus one
//!   for each thread that is inserting at that moment.
//!
//! # Progress
//! Lock-free: every retry follows from a step that another thread completed.

mod ages;
mod array;
mod error;
mod evictions;
mod generation;
#[cfg(not(all(test, tollgate_model)))]
mod memory;
mod memory_bound;
mod migration;
mod prefetch;
mod prefetch_hint;
mod receipt;
#[cfg(not(all(test, tollgate_model)))]
mod reset_marks;
#[cfg(all(test, tollgate_model))]
pub(crate) mod reset_marks;
mod resize;
mod sample;
mod size;
mod slot;
mod stats;
#[cfg(not(all(test, tollgate_model)))]
mod tags;
#[cfg(all(test, tollgate_model))]
pub(crate) mod tags;
mod zeroed;

use crate::clock::Now;
use crate::counter::sliding::sum::{ScalarSum, Sum};
use crate::counter::{ChargeArgs, Counter, Moved, Outcome, Since};
use crate::reclaim::Guard;
use crate::sync::progress::Retries;
use array::Found;
use generation::Generation;
use memory_bound::Layout;
use reset_marks::ResetMarks;
use resize::Arrays;
use size::Size;

pub(crate) use error::{ClaimError, OutOfMemory};
pub(crate) use prefetch_hint::PrefetchHint;
pub(crate) use receipt::{Charged, Evaluation, Receipt, Returned};
pub(crate) use resize::Bounds;
pub(crate) use slot::KeyId;
use slot::Slot;
pub(crate) use stats::TableStats;

/// The counters of one policy's keys.
#[derive(Debug)]
pub(crate) struct Table<C: Counter> {
    arrays: Arrays<C>,
    resets: ResetMarks,
}

impl<C: Counter> Table<C> {
    /// Creates a table that is in use from `now` on.
    pub(crate) fn new(spec: C::Spec, bounds: Bounds, now: u64) -> Result<Self, OutOfMemory> {
        let size = Size::first(bounds.max_keys);
        let arrays = Arrays::new(spec, bounds, size, now)?;
        Ok(Table { arrays, resets: ResetMarks::new()? })
    }

    /// The most bytes that the arrays of a table with these bounds can take. Saturates.
    ///
    /// Replaced arrays that another thread or a session can still read are not included.
    pub(crate) fn memory_bound_of(bounds: Bounds) -> usize {
        let (slot_bytes, generation_bytes) = (size_of::<Slot<C>>(), size_of::<Generation<C>>());
        let evicts = bounds.allowance > 0;
        let arrays = Layout { slot_bytes, generation_bytes, evicts }.bound(bounds.max_keys);
        arrays.saturating_add(ResetMarks::BYTES)
    }

    /// The most bytes that the arrays of this table can take.
    pub(crate) fn memory_bound(&self) -> usize {
        Self::memory_bound_of(self.arrays.bounds)
    }

    #[inline(always)]
    pub(crate) fn spec(&self) -> &C::Spec {
        &self.arrays.spec
    }

    /// The tick of an instant.
    #[inline(always)]
    pub(crate) fn tick(&self, now: Now) -> u64 {
        C::tick(self.spec(), now)
    }

    /// The nanoseconds from `now` until a tick begins. 0 if it has begun.
    #[inline(always)]
    pub(crate) fn wait_ns(&self, tick: u64, now: Now) -> u64 {
        C::wait_ns(self.spec(), tick, now)
    }

    /// The resolution of recorded times, in nanoseconds.
    pub(crate) fn resolution_ns(&self) -> u64 {
        C::resolution_ns(self.spec())
    }

    /// Slow path: charges the key after any insert, move or resize that it needs. A denial writes
    /// nothing to the key's counter.
    pub(crate) fn charge(
        &self,
        key: KeyId,
        args: &ChargeArgs,
        guard: &Guard,
    ) -> Result<Charged, ClaimError> {
        let mut retries = Retries::new();
        loop {
            retries.count();
            let current = self.arrays.current(guard);
            let claimed = self.arrays.claim(current, key, args.now, guard)?;
            let Some((generation, slot)) = claimed else { continue };
            if let Ok(outcome) = slot.counter.charge(self.spec(), generation.array.base(), args) {
                return Ok(Charged { outcome, generation: generation.number });
            }
        }
    }

    /// Fast path: evaluates a charge of a known key without writing, while no keys are moved.
    /// `None` sends the caller to [`evaluate_during_move`](Self::evaluate_during_move) or to
    /// [`charge`](Self::charge).
    #[inline(always)]
    pub(crate) fn evaluate<'g, S: Sum>(
        &self,
        key: KeyId,
        args: &ChargeArgs,
        guard: &'g Guard,
        sum: S,
    ) -> Option<Evaluation<'g>> {
        let current = self.arrays.current(guard);
        if !current.is_fast(args.now) {
            return None;
        }
        match current.array.find(key) {
            Found::Slot(slot) => self.evaluate_in(current, slot, args, sum),
            _ => None,
        }
    }

    /// The same as [`evaluate`](Self::evaluate) while keys are moved. Moves chunks in some calls.
    /// `None` sends the caller to [`charge`](Self::charge).
    pub(crate) fn evaluate_during_move<'g>(
        &self,
        key: KeyId,
        args: &ChargeArgs,
        guard: &'g Guard,
    ) -> Option<Evaluation<'g>> {
        let current = self.arrays.current(guard);
        let previous = current.previous(guard)?;
        let located = self.arrays.find_and_help(current, previous, key, args.now, guard);
        let (generation, slot) = located?;
        self.evaluate_in(generation, slot, args, ScalarSum)
    }

    /// Evaluates a charge in a slot of this generation.
    #[inline(always)]
    fn evaluate_in<'g, S: Sum>(
        &self,
        generation: &'g Generation<C>,
        slot: &'g Slot<C>,
        args: &ChargeArgs,
        sum: S,
    ) -> Option<Evaluation<'g>> {
        let base = generation.array.base();
        let (outcome, prepared) = slot.counter.prepare(self.spec(), base, args, sum)?;
        Some((Charged { outcome, generation: generation.number }, prepared))
    }

    /// Likely addresses of keys, usable without a pin.
    #[inline(always)]
    pub(crate) fn hint(&self) -> &PrefetchHint {
        &self.arrays.hint
    }

    /// Prefetches the key's slot.
    // Not inlined: callers skip it if the array stays in cache, as most arrays do.
    #[inline(never)]
    pub(crate) fn prefetch(&self, key: KeyId, guard: &Guard) {
        self.arrays.current(guard).array.prefetch(key);
    }

    /// Returns the outcome that [`charge`](Self::charge) would have, with a usage that excludes the
    /// cost. An absent key is not inserted.
    pub(crate) fn peek(&self, key: KeyId, args: &ChargeArgs, guard: &Guard) -> Outcome {
        self.visit(key, guard, |generation, slot| {
            slot.counter.peek(self.spec(), generation.array.base(), args)
        })
        .unwrap_or_else(|| absent(args))
    }

    /// Gives back up to `amount` units. With a receipt, they are taken from live charges made at
    /// the time of its charge or later. Without one, they are taken from all live charges. The
    /// oldest come first.
    ///
    /// With a receipt it gives nothing back if the key was evicted after the receipt's charge. The
    /// eviction has forgiven the units of that charge, and the key's present units belong to later
    /// charges.
    pub(crate) fn give_back(
        &self,
        key: KeyId,
        now: u64,
        from: Option<Receipt>,
        amount: u64,
        guard: &Guard,
    ) -> Returned {
        let mut remaining = amount;
        let still_counts = self.visit(key, guard, |generation, slot| {
            // Model: refund_after_eviction with RefundForgiven.
            if from.is_some_and(|charge| generation.was_evicted_since(slot, &charge)) {
                return Ok(false);
            }
            let base = generation.array.base();
            let since = from.map(|charge| Since {
                at: charge.at,
                was_reset: move || self.resets.covers(key, charge.at),
            });
            // A give-back that a move interrupts continues with the rest. Model: refund_in_parts
            // with GivenTwice.
            slot.counter.give_back(self.spec(), base, now, since, &mut remaining)
        });
        // An absent key (`None`) is not reported as gone: all its charges are forgotten, so a
        // second receipt would find nothing either.
        Returned { units: amount - remaining, is_gone: still_counts == Some(false) }
    }

    /// Resets the key's usage to zero. Receipts of earlier charges give back nothing any more.
    pub(crate) fn reset(&self, key: KeyId, guard: &Guard) {
        let mut newest = None;
        self.visit(key, guard, |generation, slot| {
            let record = |newest| self.resets.record(key, newest);
            slot.counter.reset(self.spec(), generation.array.base(), &mut newest, record)
        });
    }

    /// Runs `operation` on the key's slot, and again each time that the key was moved in the
    /// meantime. Returns `None` if the key is absent.
    fn visit<T>(
        &self,
        key: KeyId,
        guard: &Guard,
        mut operation: impl FnMut(&Generation<C>, &Slot<C>) -> Result<T, Moved>,
    ) -> Option<T> {
        let mut retries = Retries::new();
        loop {
            retries.count();
            let current = self.arrays.current(guard);
            let slot = match current.array.find(key) {
                Found::Slot(slot) if slot.counter.is_open() => slot,
                _ => {
                    if let Some(previous) = current.previous(guard) {
                        let mover = self.arrays.mover(previous, current);
                        self.arrays.resolve(current, &mover, key);
                    }
                    match current.array.find(key) {
                        Found::Slot(slot) => slot,
                        Found::Frozen if !self.arrays.is_current(current) => continue,
                        _ => return None,
                    }
                }
            };
            if let Ok(value) = operation(current, slot) {
                return Some(value);
            }
        }
    }

    /// Does pending work of about `budget` slots: moves slots, resizes ahead of need, or makes huge
    /// pages. Returns whether no work is left.
    pub(crate) fn maintain(&self, budget: usize, now: u64, guard: &Guard) -> bool {
        self.arrays.maintain(budget, now, guard)
    }

    pub(crate) fn stats(&self, now: u64, guard: &Guard) -> TableStats {
        let stats = self.arrays.stats(now, guard);
        TableStats { bytes: stats.bytes + ResetMarks::BYTES, ..stats }
    }
}

/// Hooks for the models: they trigger by hand what a table does on its own, and inspect it.
#[cfg(all(test, tollgate_model))]
impl<C: Counter> Table<C> {
    /// Creates a table with `home_slots` home slots that never resizes on its own.
    pub(crate) fn tiny(spec: C::Spec, home_slots: usize, allowance: u64, now: u64) -> Self {
        let bounds = Bounds { max_keys: usize::MAX, allowance };
        let slots = home_slots + 3;
        let size = Size { home_slots, slots, capacity: usize::MAX, chunk_len: 1 };
        let arrays = Arrays::new(spec, bounds, size, now).expect("a few slots");
        Table { arrays, resets: ResetMarks::new().expect("a few records") }
    }

    /// Starts a resize with this eviction threshold, unless one is in progress.
    ///
    /// Under loom the table keeps its size: a sample would load every word, and the checker would
    /// no longer explore other threads' loads.
    pub(crate) fn start_resize(&self, now: u64, eviction_threshold: u64) {
        let guard = crate::reclaim::pin();
        let current = self.arrays.current(&guard);
        if current.previous(&guard).is_none() {
            let plan = if cfg!(tollgate_shuttle) {
                self.arrays.plan_next(current, now, eviction_threshold)
            } else {
                generation::ResizePlan { size: current.size.unchanged(), eviction_threshold, now }
            };
            self.arrays.resize(current, plan);
        }
    }

    /// Moves one chunk. Returns whether nothing is left to move. The helper's time makes no
    /// difference. Model: same_cutoff with DropByOwnNow.
    pub(crate) fn help_once(&self, _now: u64) -> bool {
        let guard = crate::reclaim::pin();
        let current = self.arrays.current(&guard);
        let previous = current.previous(&guard);
        previous.is_none_or(|previous| {
            let mover = self.arrays.mover(previous, current);
            self.arrays.help(current, &mover, 1, &guard)
        })
    }

    /// The number of keys that were moved or dropped on the way into the current array.
    pub(crate) fn keys_moved(&self) -> usize {
        self.arrays.current(&crate::reclaim::pin()).migration.moved()
    }

    /// The number of generations that are linked: a lookup may have to search all their arrays.
    #[cfg(tollgate_shuttle)]
    pub(crate) fn generation_count(&self) -> usize {
        let guard = crate::reclaim::pin();
        let first = Some(self.arrays.current(&guard));
        std::iter::successors(first, |generation| generation.previous(&guard)).count()
    }

    /// The number of keys that the current array counts, and of its slots that hold one.
    pub(crate) fn keys_counted(&self) -> (usize, usize) {
        let guard = crate::reclaim::pin();
        let array = &self.arrays.current(&guard).array;
        let slots = array.home_slots().iter().chain(array.spill_slots());
        (array.claimed(), slots.filter(|slot| slot.is_claimed()).count())
    }

    /// The number of slots of the current array that hold the key.
    pub(crate) fn slots_holding(&self, key: KeyId) -> usize {
        let guard = crate::reclaim::pin();
        let array = &self.arrays.current(&guard).array;
        let slots = array.home_slots().iter().chain(array.spill_slots());
        slots.filter(|slot| slot.id() == Some(key)).count()
    }

    /// Returns whether a request may take the fast path at `now`, but would not find the key's counter.
    pub(crate) fn fast_path_misses(&self, key: KeyId, now: u64) -> bool {
        let guard = crate::reclaim::pin();
        let current = self.arrays.current(&guard);
        let is_found =
            || matches!(current.array.find(key), Found::Slot(slot) if slot.counter.is_open());
        current.is_fast(now) && !is_found()
    }

    pub(crate) fn has_tag_without_id(&self, key: KeyId) -> bool {
        self.arrays.current(&crate::reclaim::pin()).array.has_tag_without_id(key)
    }

    pub(crate) fn cutoff(&self) -> u64 {
        self.arrays.current(&crate::reclaim::pin()).array.base().cutoff
    }
}

/// The outcome for a key that has no counter.
fn absent(args: &ChargeArgs) -> Outcome {
    let admitted = args.cost <= args.limit;
    let fits_at = if admitted { args.now } else { crate::counter::NEVER };
    Outcome { admitted, used: 0, at: args.now, fits_at, clear_at: args.now }
}
