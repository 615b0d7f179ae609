//! The current generation and the previous one: when to resize, to which size, and which requests
//! move the keys.
//!
//! # State
//! `current` points to the newest generation. A generation's `previous` points to the one that is
//! being moved into it, or is null. There are at most two: a new one is linked only when `previous`
//! is null.
//!
//! # Resize
//! A resize replaces the array when it is full, mostly idle, or so old that its words will soon be
//! unable to represent the time. The new size follows the number of live keys.
//!
//! During a migration, charges move a few slots each, so that no request pays for the whole move.
//! The charge of a new key moves several chunks, so that new keys alone complete the move before
//! the array is full ([`Size::next`]). A known key is charged in the array that holds it, and only
//! some charges of known keys move a chunk. If only known keys are charged, they complete the move
//! as well. If no keys are charged, [`Arrays::maintain`] completes it.

use super::array::Found;
use super::error::{ClaimError, OutOfMemory};
use super::generation::{Generation, Purpose, ResizePlan};
use super::migration::{Evicted, KeyMover};
use super::prefetch_hint::PrefetchHint;
use super::size::Size;
use super::slot::{KeyId, Slot};
use super::stats::TableStats;
use crate::counter::Counter;
use crate::reclaim::{self, Guard};
use crate::sync::alloc::boxed;
use crate::sync::progress::Retries;
use crate::sync::{AtomicPtr, Ordering::*, Statistic, order};
use std::ptr;

/// The most times that a new key helps a migration to find room when the table is at its key bound.
const MAX_HELPS_AT_BOUND: usize = 16;

/// The limits of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) max_keys: usize,
    /// Units that evictions may forgive a key within one window. With 0, no live key is evicted.
    pub(crate) allowance: u64,
}

/// Rounds of freeing retired memory when a table is dropped. Other tables free the rest.
const COLLECT_ROUNDS_ON_DROP: usize = 64;
/// Rounds of freeing retired memory before a new array is made, in addition to those for its slots. They
/// free what a round for slots leaves: small blocks, and the ends of large ones.
const COLLECT_ROUNDS_ON_RESIZE: usize = 8;
/// The replaced array's slots for each further round. 128 of the largest slots, of 1 KiB, are as much
/// memory as a round frees.
const SLOTS_PER_ROUND: usize = 128;

/// A key's slot, and the generation that holds it.
pub(super) type Located<'g, C> = (&'g Generation<C>, &'g Slot<C>);

/// The current generation and, during a migration, the previous one.
// `repr(C)` with the hint first: its offset is the same for every counter type, so that reading it
// needs no branch on the type.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Arrays<C: Counter> {
    /// Likely addresses of keys, for a prefetch before the epoch is pinned.
    pub(super) hint: PrefetchHint,
    current: AtomicPtr<Generation<C>>,
    pub(super) spec: C::Spec,
    pub(super) bounds: Bounds,
    evicted_keys: Statistic,
    forgiven_units: Statistic,
}

impl<C: Counter> Arrays<C> {
    pub(super) fn new(
        spec: C::Spec,
        bounds: Bounds,
        size: Size,
        now: u64,
    ) -> Result<Self, OutOfMemory> {
        reclaim::start();
        let first = boxed(Generation::first(&spec, size, now, bounds.allowance > 0)?)?;
        let hint = PrefetchHint::of(&first.array);
        let current = AtomicPtr::new(Box::into_raw(first));
        let (evicted_keys, forgiven_units) = (Statistic::new(0), Statistic::new(0));
        Ok(Arrays { hint, current, spec, bounds, evicted_keys, forgiven_units })
    }

    /// The newest generation.
    #[inline(always)]
    pub(super) fn current<'g>(&self, _guard: &'g Guard) -> &'g Generation<C> {
        // Acquire: a thread that finds a generation sees its contents. Pairs with `resize`. Model:
        // move_against_charge with CurrentRelaxed.
        let current = self.current.load(order::current_load());
        // SAFETY: never null, and not freed while the guard is held: a generation is retired only
        // after it was unlinked.
        unsafe { &*current }
    }

    /// Points the prefetch hint to the arrays that hold the keys.
    fn update_hint(&self, current: &Generation<C>, guard: &Guard) {
        match current.previous(guard) {
            Some(previous) => {
                let moved_below = current.migration.taken_below();
                self.hint.update_moving(&previous.array, &current.array, moved_below);
            }
            None => self.hint.update(&current.array),
        }
    }

    pub(super) fn is_current(&self, generation: &Generation<C>) -> bool {
        // Relaxed: the caller loads `current` again, and finds no older one.
        ptr::eq(self.current.load(Relaxed), generation)
    }

    /// Slow path of a charge: helps a migration, resizes an outdated, full or mostly idle array,
    /// and finds or claims the key's slot. Returns the slot with its generation, or `None` if the
    /// caller must retry with the new current generation.
    #[cold]
    #[inline(never)]
    pub(super) fn claim<'g>(
        &self,
        current: &'g Generation<C>,
        key: KeyId,
        now: u64,
        guard: &'g Guard,
    ) -> Result<Option<Located<'g, C>>, ClaimError> {
        self.update_hint(current, guard);
        let previous = current.previous(guard);
        if let Some(previous) = previous {
            let known = self.find_and_help(current, previous, key, now, guard);
            if known.is_some() {
                return Ok(known);
            }
            self.help_and_resolve(current, previous, key, now, guard);
        } else {
            // The thread that unlinked the previous generation may have been stopped before it did
            // this. Test: stopped_mover_leaves_the_fast_path_open with FastPathStaysClosed.
            current.open_fast_path();
        }
        if current.array.base().needs_renewal(now) {
            self.complete_migration(current, guard);
            collect_earlier(current);
            if self.resize(current, self.plan_next(current, now, 0)) {
                return Ok(None);
            }
            // No memory for a new array: the old one is used up to the end of its time range.
            if C::is_out_of_range(&self.spec, current.array.base(), now) {
                return Err(ClaimError::Outlived);
            }
        }
        // During a move by CAS, since most slots of a new array were never touched. After a move by
        // plain loads, so that a charge that is refused writes nothing.
        let found = match previous {
            Some(_) => current.array.find_to_claim(key),
            None => current.array.find(key),
        };
        match found {
            Found::Slot(slot) => return Ok(Some((current, slot))),
            Found::Frozen => return Ok(None),
            Found::Empty(_) => {}
        }
        // Not for a known key, which frees memory only when it renews an array.
        reclaim::collect_some();
        // Only below the capacity: `make_room` takes its own sample of a full array.
        if current.array.claimed() < current.size.capacity
            && self.is_mostly_idle(current, now, guard)
        {
            collect_earlier(current);
            if self.resize(current, self.plan_next(current, now, 0)) {
                return Ok(None);
            }
            // No memory: the next new keys do not retry at once.
            current.postpone_sample(Purpose::Shrink, &self.spec, now);
        }
        if self.has_room(current, guard) {
            return Ok(current.array.claim(key, found).map(|slot| (current, slot)));
        }
        match current.array.find(key) {
            // Another thread has inserted it in the meantime.
            Found::Slot(slot) => Ok(Some((current, slot))),
            _ => self.make_room(current, now, guard).map(|()| None),
        }
    }

    /// Makes a key chargeable in the current array, and helps the migration as a new key does. It
    /// does both before the key is inserted, so that the move ends before the array is full.
    fn help_and_resolve(
        &self,
        current: &Generation<C>,
        previous: &Generation<C>,
        key: KeyId,
        now: u64,
        guard: &Guard,
    ) {
        let mover = self.mover(previous, current);
        self.resolve(current, &mover, key);
        self.help(current, &mover, current.chunks_per_new_key(&self.spec, now), guard);
    }

    /// Finds the slot of a known key during a migration, and moves chunks in some calls. `None` if
    /// the caller must take the slow path, which moves or inserts the key.
    #[inline(never)]
    pub(super) fn find_and_help<'g>(
        &self,
        current: &'g Generation<C>,
        previous: &'g Generation<C>,
        key: KeyId,
        now: u64,
        guard: &'g Guard,
    ) -> Option<Located<'g, C>> {
        let known = self.find_known(current, previous, key, now)?;
        if let chunks @ 1.. = current.chunks_per_known_key(now) {
            // If this moves the key itself, its charge fails, and is retried in the new array.
            self.help(current, &self.mover(previous, current), chunks, guard);
            self.update_hint(current, guard);
        }
        Some(known)
    }

    /// Finds the slot of a known key during a migration, without moving the key.
    ///
    /// A key that was not moved yet may still be charged in the previous array: by M1, such a
    /// charge succeeds only before its counter is frozen, and the move takes it along. If instead
    /// its charge moved the key, it would often cause a page fault, in a part of the new array that
    /// no chunk has reached.
    ///
    /// `None` if the key is new, is being moved, or needs room in the new array, or if the time is not
    /// in the range of both arrays.
    fn find_known<'g>(
        &self,
        current: &'g Generation<C>,
        previous: &'g Generation<C>,
        key: KeyId,
        now: u64,
    ) -> Option<Located<'g, C>> {
        // Before the cutoff, a charge in the previous array would be dropped by the move. Test:
        // charge_of_a_late_clock_is_kept_by_a_move with LateStays.
        if !current.array.base().covers(now) {
            return None;
        }
        let open_slot = |found: Found<'g, C>| match found {
            Found::Slot(slot) if slot.counter.is_open() => Some((current, slot)),
            _ => None,
        };
        // The key has most likely been moved.
        let was_taken = key.number() < current.migration.taken_below();
        if was_taken && let Some(known) = open_slot(current.array.find(key)) {
            return Some(known);
        }
        match previous.array.find(key) {
            Found::Slot(slot) if self.stays(current, previous, slot, now) => Some((previous, slot)),
            // In neither array: a key enters the new one only after its probe in the previous one
            // ended at a frozen slot. A load from the new array could cause a page fault.
            Found::Empty(_) => None,
            Found::Frozen if was_taken => None,
            // By CAS, as a new key's lookup: if the key is absent, the empty slot is claimed next.
            _ => open_slot(current.array.find_to_claim(key)),
        }
    }

    /// Returns whether a key of the previous array may be charged there.
    fn stays(
        &self,
        current: &Generation<C>,
        previous: &Generation<C>,
        slot: &Slot<C>,
        now: u64,
    ) -> bool {
        if slot.counter.is_frozen() {
            return false;
        }
        // An array that is due for renewal is used up to the end of its time range, while the keys
        // are moved out of it. Test: known_keys_stay_in_an_outdated_array with OutlivedStays.
        !C::is_out_of_range(&self.spec, previous.array.base(), now)
            && self.was_counted_as_live(current, previous, slot)
    }

    /// Returns whether the size of the current array accounts for this key of the previous one. If
    /// not, a charge that makes the key live again uses a slot reserved for a new key, so it must move
    /// as many chunks.
    fn was_counted_as_live(
        &self,
        current: &Generation<C>,
        previous: &Generation<C>,
        slot: &Slot<C>,
    ) -> bool {
        if has_room_for_all(current, previous) {
            return true;
        }
        let cutoff = current.array.base().cutoff;
        let weight = slot.counter.weight(&self.spec, previous.array.base(), cutoff);
        weight > current.migration.eviction_threshold()
    }

    /// Returns whether a new key may enter: the array is below its capacity, and its keys and those
    /// still to be moved into it are fewer than `max_keys`.
    ///
    /// If there is no room it moves more chunks, since these may hold expired keys. At the key
    /// bound it moves only a few, so that one request does not pay for the whole move.
    fn has_room(&self, current: &Generation<C>, guard: &Guard) -> bool {
        let (mut helps, mut retries) = (0, Retries::new());
        loop {
            // Model: insert_against_helper with HelperAwaited.
            retries.count();
            // Loaded before the counts. If another thread unlinks it afterwards, the counts may be
            // too high, and the loop takes them again. Schedules: `claimed against move` with
            // UnlinkedSince.
            let previous = current.previous(guard);
            // Before the claimed slots: a key that is moved between the two loads counts twice, not
            // never. Schedules: `tried in each move` with PendingLast.
            let pending = current.pending(guard);
            let claimed = current.array.claimed();
            let within = claimed + pending < self.bounds.max_keys;
            if within && claimed < current.size.capacity {
                return true;
            }
            let Some(previous) = previous.filter(|_| within || helps < MAX_HELPS_AT_BOUND) else {
                return false;
            };
            let chunks = current.size.chunks_per_new_key();
            self.help(current, &self.mover(previous, current), chunks, guard);
            helps += 1;
        }
    }

    /// Resizes a full array for a new key: the new array is larger, or the move drops keys. Refuses
    /// the key (`Full`) if too few keys can be dropped, if it is too early to try, or if there is
    /// no memory for a new array.
    fn make_room(
        &self,
        current: &Generation<C>,
        now: u64,
        guard: &Guard,
    ) -> Result<(), ClaimError> {
        let threshold = match current.previous(guard) {
            None => self.eviction_threshold(current, now),
            Some(_) => None,
        };
        let resized = threshold.is_some_and(|threshold| {
            collect_earlier(current);
            self.resize(current, self.plan_next(current, now, threshold))
        });
        if threshold.is_some() && !resized {
            // No memory: the next new keys do not retry at once.
            current.postpone_resize();
        }
        if resized || !self.is_current(current) { Ok(()) } else { Err(ClaimError::Full) }
    }

    /// The least eviction threshold with which a resize of a full array pays off. `None` if there
    /// is none within the allowance, or if it is too early to try.
    ///
    /// It is 0 (drop expired keys only) if the array may still grow, or if it is two windows old
    /// and any sampled key has expired. Otherwise it is the least one that drops an eighth of the
    /// keys, which may be 0 as well.
    fn eviction_threshold(&self, current: &Generation<C>, now: u64) -> Option<u64> {
        if !current.is_resize_due() {
            return None;
        }
        if current.size.capacity < self.bounds.max_keys {
            return Some(0);
        }
        if !current.is_sample_due(Purpose::MakeRoom, now) {
            return None;
        }
        let sample = current.sample(&self.spec, now, 0);
        if sample.has_expired_key() && current.is_two_windows_old(&self.spec, now) {
            return Some(0);
        }
        let cutoff = now.max(current.array.base().cutoff);
        let window = C::window(&self.spec);
        let remaining = current.ledger.remaining(self.bounds.allowance, window, cutoff);
        let threshold = sample.lightest_eighth(remaining);
        if threshold.is_none() {
            current.postpone_sample(Purpose::MakeRoom, &self.spec, now);
        }
        threshold
    }

    /// Returns whether a large array holds so few live keys that a resize would shrink it to a
    /// quarter or less. If not, postpones the next sample, and advises the system to use huge pages
    /// if the array is a window old.
    fn is_mostly_idle(&self, current: &Generation<C>, now: u64, guard: &Guard) -> bool {
        if !current.is_large(Size::first(self.bounds.max_keys))
            || !current.is_sample_due(Purpose::Shrink, now)
            || current.previous(guard).is_some()
        {
            return false;
        }
        let idle = self.plan_next(current, now, 0).size.home_slots <= current.size.home_slots / 4;
        if !idle {
            if current.is_window_old(&self.spec, now) {
                current.advise_huge_pages();
            }
            current.postpone_sample(Purpose::Shrink, &self.spec, now);
        }
        idle
    }

    /// Plans the next generation: its size follows the number of keys above the threshold.
    pub(super) fn plan_next(
        &self,
        current: &Generation<C>,
        now: u64,
        eviction_threshold: u64,
    ) -> ResizePlan {
        let sample = current.sample(&self.spec, now, eviction_threshold);
        let live = sample.max_above();
        let size = current.size.next(sample.claimed(), live, self.bounds.max_keys);
        ResizePlan { size, eviction_threshold, now }
    }

    /// Links a new generation, unless another thread has linked one. Returns false if there was no
    /// memory for it.
    pub(super) fn resize(&self, current: &Generation<C>, plan: ResizePlan) -> bool {
        let Ok(next) = current.next(&self.spec, plan).and_then(boxed) else {
            return false;
        };
        let (old, next) = (ptr::from_ref(current).cast_mut(), Box::into_raw(next));
        // Release: publishes the new generation. Pairs with `current`. Model: move_against_charge
        // with PublishRelaxed.
        if self.current.compare_exchange(old, next, order::current_publish(), Relaxed).is_err() {
            // SAFETY: made above and never shared.
            drop(unsafe { Box::from_raw(next) });
        }
        true
    }

    /// Moves this many chunks. After the last one, unlinks the previous generation and retires it.
    /// Returns whether nothing is left to move.
    pub(super) fn help(
        &self,
        current: &Generation<C>,
        mover: &KeyMover<'_, C>,
        chunks: usize,
        guard: &Guard,
    ) -> bool {
        let (done, evicted) = current.migration.help(mover, chunks);
        self.count_evicted(evicted);
        if done && let Some(previous) = current.unlink() {
            current.open_fast_path();
            // From now on, calls about known keys do not update the hint.
            self.hint.update(&current.array);
            // SAFETY: T1, M2: nobody can reach it through the table any more, and only the thread
            // that unlinked it retires it.
            unsafe { guard.retire(previous) };
        }
        done
    }

    /// Completes the migration into `current`. Much is left to do only if the table was hardly used
    /// for most of the array's life.
    #[cold]
    fn complete_migration(&self, current: &Generation<C>, guard: &Guard) {
        let (chunks, mut retries) = (current.size.chunks_per_new_key(), Retries::new());
        while let Some(previous) = current.previous(guard) {
            // Model: renewal_against_helper with HelperAwaited.
            retries.count();
            if self.help(current, &self.mover(previous, current), chunks, guard) {
                break;
            }
        }
    }

    /// Does pending work of about `budget` slots: moves slots, resizes ahead of need, or makes the
    /// huge pages of an array that stays. Returns whether nothing is left to do.
    pub(super) fn maintain(&self, budget: usize, now: u64, guard: &Guard) -> bool {
        let (mut left, mut retries) = (budget, Retries::new());
        loop {
            // Model: maintenance_against_helper with HelperAwaited.
            retries.count();
            let current = self.current(guard);
            self.update_hint(current, guard);
            if let Some(previous) = current.previous(guard) {
                if left == 0 {
                    return false;
                }
                let size = current.size;
                let chunks = (left / size.chunk_len).clamp(1, size.chunks_per_new_key());
                left = left.saturating_sub(size.chunk_len * chunks);
                self.help(current, &self.mover(previous, current), chunks, guard);
                continue;
            }
            let due =
                current.array.base().needs_renewal(now) || self.is_mostly_idle(current, now, guard);
            if due {
                collect_earlier(current);
            }
            if !due || !self.resize(current, self.plan_next(current, now, 0)) {
                current.advise_huge_pages();
                return current.collapse(left);
            }
        }
    }

    /// Makes a key of the previous array chargeable in the current one.
    pub(super) fn resolve(&self, current: &Generation<C>, mover: &KeyMover<'_, C>, key: KeyId) {
        self.count_evicted(current.migration.resolve(mover, key));
    }

    fn count_evicted(&self, evicted: Evicted) {
        if evicted.keys > 0 {
            self.evicted_keys.fetch_add(evicted.keys, Relaxed);
            self.forgiven_units.fetch_add(evicted.units, Relaxed);
        }
    }

    pub(super) fn mover<'a>(
        &'a self,
        old: &'a Generation<C>,
        new: &'a Generation<C>,
    ) -> KeyMover<'a, C> {
        let eviction_threshold = new.migration.eviction_threshold();
        KeyMover { old: &old.array, new: &new.array, spec: &self.spec, eviction_threshold }
    }

    pub(super) fn stats(&self, now: u64, guard: &Guard) -> TableStats {
        let current = self.current(guard);
        let pending = current.pending(guard);
        let moving = current.previous(guard).map(|previous| {
            let live = previous.sample(&self.spec, now, 0).live();
            let share = pending as f64 / previous.array.claimed().max(1) as f64;
            ((live as f64 * share) as usize, previous.bytes())
        });
        let (pending_live, bytes) = moving.unwrap_or_default();
        TableStats {
            live_keys: current.sample(&self.spec, now, 0).live() + pending_live,
            used_slots: current.array.claimed() + pending,
            slots: current.size.home_slots,
            bytes: current.bytes() + bytes,
            migrations: current.number,
            evictions: self.evicted_keys.load(Relaxed),
            forgiven: self.forgiven_units.load(Relaxed),
        }
    }
}

/// Tries to free at least as much retired memory as a new array takes, before that array is made. So a
/// table takes no more than two arrays, unless a session or another thread can still read an earlier one.
///
/// Requests with new keys have usually freed all of it before. It is left where known keys have completed
/// the last move, or where only few keys have been new since.
fn collect_earlier<C: Counter>(current: &Generation<C>) {
    reclaim::collect(current.size.home_slots / SLOTS_PER_ROUND + COLLECT_ROUNDS_ON_RESIZE);
}

/// Returns whether the current array has room for all keys of the previous one, in addition to its own
/// and to the new keys that complete the move.
#[cfg(not(all(test, tollgate_model, not(tollgate_shuttle))))]
fn has_room_for_all<C: Counter>(current: &Generation<C>, previous: &Generation<C>) -> bool {
    let pending = previous.array.claimed().saturating_sub(current.migration.moved());
    let new_keys = previous.size.new_keys_per_move(current.size);
    current.array.claimed() + pending + new_keys <= current.size.capacity
}

/// The same in loom models, whose tables never fill: loom would explore an execution for each count
/// that it could load.
#[cfg(all(test, tollgate_model, not(tollgate_shuttle)))]
fn has_room_for_all<C: Counter>(_: &Generation<C>, _: &Generation<C>) -> bool {
    true
}

impl<C: Counter> Drop for Arrays<C> {
    fn drop(&mut self) {
        if cfg!(all(test, tollgate_model)) && std::thread::panicking() {
            // A model has failed. An access to its atomics would abort the process.
            return;
        }
        // Relaxed: the table is owned.
        let mut generation = self.current.load(Relaxed);
        while !generation.is_null() {
            // SAFETY: one pointer leads to each generation, and no other thread is left.
            let owned = unsafe { Box::from_raw(generation) };
            generation = owned.into_previous();
        }
        reclaim::collect(COLLECT_ROUNDS_ON_DROP);
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests;
