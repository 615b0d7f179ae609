//! The current generation and the one that is being left: when a new one is made, how large, and
//! who moves the keys.
//!
//! # State
//! `current` points to the newest generation; a generation's `previous` to the one that is being
//! moved into it, or null. There are at most two: a new one is linked only when `previous` is null.
//!
//! A new one is made when the array is full, mostly idle, or so old that its words could no longer
//! tell the time; its size follows the live keys. Every charge that meets a migration moves one
//! small chunk, so that no request pays for the whole.

use super::array::Found;
use super::epoch::{self, Guard};
use super::error::{ClaimError, OutOfMemory};
use super::generation::{Generation, Purpose, ResizePlan};
use super::migration::Step;
use super::prefetch_hint::PrefetchHint;
use super::size::Size;
use super::slot::{KeyId, Slot};
use super::stats::TableStats;
use crate::counter::Counter;
use crate::sync::alloc::boxed;
use crate::sync::{AtomicPtr, Ordering::*, Statistic};
use crate::verify::mutants::{Breakage, broken, ordering};
use std::ptr;

/// Chunks that a new key moves at the most where there is no room for it.
const CHUNKS_AT_BOUND: usize = 16;

/// What a table may hold and forgive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) max_keys: usize,
    /// Units that evictions may forgive a key within one window; 0 evicts no live key.
    pub(crate) allowance: u64,
}

/// What is given back of retired arrays when their table ends; others go on with the rest.
const ROUNDS_AT_END: usize = 64;

// In this order: the hint is at one place whatever the counters are.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Arrays<C: Counter> {
    /// Where to ask for a key's memory before anything is held.
    pub(super) hint: PrefetchHint,
    current: AtomicPtr<Generation<C>>,
    pub(super) spec: C::Spec,
    bounds: Bounds,
    evictions: Statistic,
    forgiven: Statistic,
}

impl<C: Counter> Arrays<C> {
    pub(super) fn new(
        spec: C::Spec,
        bounds: Bounds,
        size: Size,
        now: u64,
    ) -> Result<Self, OutOfMemory> {
        let first = boxed(Generation::first(&spec, size, now, bounds.allowance > 0)?)?;
        let hint = PrefetchHint::of(&first.array);
        let current = AtomicPtr::new(Box::into_raw(first));
        let (evictions, forgiven) = (Statistic::new(0), Statistic::new(0));
        Ok(Arrays { hint, current, spec, bounds, evictions, forgiven })
    }

    #[inline(always)]
    pub(super) fn current<'g>(&self, _guard: &'g Guard) -> &'g Generation<C> {
        // Acquire: whoever finds a generation finds what is in it. Pairs with `renew`. Model:
        // move_against_charge with CurrentRelaxed.
        let current = self.current.load(ordering(Breakage::CurrentRelaxed, Acquire));
        // SAFETY: never null, and not freed while the guard is held: a generation is retired only
        // after it was unlinked.
        unsafe { &*current }
    }

    pub(super) fn is_current(&self, generation: &Generation<C>) -> bool {
        // Relaxed: the caller looks again through `current`, and finds no older one.
        ptr::eq(self.current.load(Relaxed), generation)
    }

    /// The way of a charge that does not find everything in place: moves what is to be moved,
    /// renews what is too old or too full, and claims a slot for the key. `None` to look again.
    #[cold]
    #[inline(never)]
    pub(super) fn claim<'g>(
        &self,
        current: &'g Generation<C>,
        key: KeyId,
        now: u64,
        guard: &'g Guard,
    ) -> Result<Option<&'g Slot<C>>, ClaimError> {
        epoch::collect_some();
        self.hint.update(&current.array);
        if let Some(previous) = current.previous(guard) {
            let step = self.step(previous, current, now);
            // With those of the other array, which were asked for before.
            step.old.prefetch_preferred(key);
            // While an array is new, most places were never touched. Later a refusal would write.
            let found = current.array.find_to_claim(key);
            if !matches!(found, Found::Slot(slot) if slot.counter.is_open()) {
                step.resolve(key);
            }
            // Paid before anything new is inserted, so that the move ends before the array fills.
            self.help(current, &step, guard);
        }
        if current.array.base().needs_renewal(now) {
            if !broken(Breakage::NoFinish) {
                self.finish(current, now, guard);
            }
            if self.renew(current, self.plan_next(current, now, 0)) {
                return Ok(None);
            }
            // Without memory for a new array the old one goes on to the end of its time.
            if C::is_out_of_range(&self.spec, current.array.base(), now) {
                return Err(ClaimError::Outlived);
            }
        }
        let found = current.array.find(key);
        match found {
            Found::Slot(slot) => return Ok(Some(slot)),
            Found::Frozen => return Ok(None),
            Found::Empty(_) => {}
        }
        // A full array has a sample of its own.
        if current.array.claimed() < current.size.room && self.is_mostly_idle(current, now, guard) {
            if self.renew(current, self.plan_next(current, now, 0)) {
                return Ok(None);
            }
            // Without memory the next ones need not try at once.
            current.put_census_off(Purpose::Shrink, &self.spec, now);
        }
        if self.has_room(current, now, guard) {
            return Ok(current.array.claim(key, found));
        }
        match current.array.find(key) {
            // Another thread has let it in meanwhile.
            Found::Slot(slot) => Ok(Some(slot)),
            _ => self.make_room(current, now, guard).map(|()| None),
        }
    }

    /// Whether a new key may enter: with the keys that are still to be moved here there are fewer
    /// than `max_keys`. Where there is no room it moves more chunks, since they may hold expired
    /// keys; at the bound a few, so that nobody pays for all.
    fn has_room(&self, current: &Generation<C>, now: u64, guard: &Guard) -> bool {
        let mut chunks = 0;
        loop {
            // Taken first: what another thread unlinks from here on may still count as pending, so
            // look again. Schedules: claimed against move with UnlinkedSince.
            let mut previous = current.previous(guard);
            let claimed = current.array.claimed();
            let within = claimed + current.pending(guard) < self.bounds.max_keys;
            if within && claimed < current.size.room {
                return true;
            }
            if broken(Breakage::UnlinkedSince) {
                previous = current.previous(guard);
            }
            let Some(previous) = previous.filter(|_| within || chunks < CHUNKS_AT_BOUND) else {
                return false;
            };
            self.help(current, &self.step(previous, current, now), guard);
            chunks += 1;
        }
    }

    /// For a new key that met a full array: a renewal, or a refusal if that would drop too little.
    fn make_room(
        &self,
        current: &Generation<C>,
        now: u64,
        guard: &Guard,
    ) -> Result<(), ClaimError> {
        let forgiveness = match current.previous(guard) {
            None => self.forgiveness(current, now),
            Some(_) => None,
        };
        let renewed = forgiveness
            .is_some_and(|forgive| self.renew(current, self.plan_next(current, now, forgive)));
        if forgiveness.is_some() && !renewed {
            // Without memory the next ones need not try at once.
            current.put_renewal_off();
        }
        let stale = !broken(Breakage::StaleIsFull) && !self.is_current(current);
        if renewed || stale { Ok(()) } else { Err(ClaimError::Full) }
    }

    /// What a renewal of a full array has to forgive so that an eighth of the keys is dropped:
    /// nothing below the bound, nor where so many have expired, or any in two windows. `None` if it
    /// would have to forgive too much.
    fn forgiveness(&self, current: &Generation<C>, now: u64) -> Option<u64> {
        if !current.is_renewal_due() {
            return None;
        }
        if current.size.room < self.bounds.max_keys {
            return Some(0);
        }
        if !current.is_census_due(Purpose::Drop, now) {
            return None;
        }
        let sample = current.sample(&self.spec, now);
        if sample.saw_idle() && current.has_rested(&self.spec, now) {
            return Some(0);
        }
        let cutoff = now.max(current.array.base().cutoff);
        let window = C::window(&self.spec);
        let left = current.forgiven.left(self.bounds.allowance, window, cutoff);
        let forgive = sample.lightest_eighth(left);
        if forgive.is_none() {
            current.put_census_off(Purpose::Drop, &self.spec, now);
        }
        forgive
    }

    /// Whether a large array holds so few live keys that the next one is a quarter of it at most.
    fn is_mostly_idle(&self, current: &Generation<C>, now: u64, guard: &Guard) -> bool {
        if !current.is_large(Size::first(self.bounds.max_keys))
            || !current.is_census_due(Purpose::Shrink, now)
            || current.previous(guard).is_some()
        {
            return false;
        }
        let idle = self.plan_next(current, now, 0).size.homes <= current.size.homes / 4;
        if !idle {
            if current.has_lasted(&self.spec, now) {
                current.advise_huge_pages();
            }
            current.put_census_off(Purpose::Shrink, &self.spec, now);
        }
        idle
    }

    /// The generation to make now: its size follows the keys that are live, and heavier than what
    /// is forgiven.
    pub(super) fn plan_next(&self, current: &Generation<C>, now: u64, forgive: u64) -> ResizePlan {
        let sample = current.sample(&self.spec, now);
        let live = sample.at_most_above(forgive);
        let size = current.size.next(sample.claimed(), live, self.bounds.max_keys);
        ResizePlan { size, forgive, now }
    }

    /// Links a new generation. False if there was no memory for it.
    pub(super) fn renew(&self, current: &Generation<C>, plan_next: ResizePlan) -> bool {
        let Ok(next) = current.next(&self.spec, plan_next).and_then(boxed) else {
            return false;
        };
        let (old, next) = (ptr::from_ref(current).cast_mut(), Box::into_raw(next));
        // Release: publishes the new generation. Pairs with `current`. Model: move_against_charge
        // with PublishRelaxed.
        let release = ordering(Breakage::PublishRelaxed, Release);
        if self.current.compare_exchange(old, next, release, Relaxed).is_err() {
            // SAFETY: made above and never shared.
            drop(unsafe { Box::from_raw(next) });
        }
        true
    }

    /// Moves one chunk and, when that was the last, lets the old generation go. True when nothing
    /// is left to move.
    pub(super) fn help(&self, current: &Generation<C>, step: &Step<'_, C>, guard: &Guard) -> bool {
        let (done, evicted) = current.migration.help(step);
        if evicted.keys > 0 {
            self.evictions.fetch_add(evicted.keys, Relaxed);
            self.forgiven.fetch_add(evicted.units, Relaxed);
        }
        if done && let Some(previous) = current.unlink() {
            // SAFETY: T1, M2: nobody can reach it through the table any more, and only the thread
            // that unlinked it retires it.
            unsafe { guard.retire(previous) };
        }
        done
    }

    /// Completes the migration into `current`. Only a table that was hardly used for most of an
    /// array's life comes here with much left to do.
    fn finish(&self, current: &Generation<C>, now: u64, guard: &Guard) {
        while let Some(previous) = current.previous(guard) {
            if self.help(current, &self.step(previous, current, now), guard) {
                break;
            }
        }
    }

    /// Moves up to `budget` slots, makes a generation ahead of need, or huge pages of the one that
    /// stays. True when nothing is left to do.
    pub(super) fn maintain(&self, budget: usize, now: u64, guard: &Guard) -> bool {
        let mut left = budget;
        loop {
            let current = self.current(guard);
            self.hint.update(&current.array);
            if let Some(previous) = current.previous(guard) {
                if left == 0 {
                    return false;
                }
                left = left.saturating_sub(current.size.chunk);
                self.help(current, &self.step(previous, current, now), guard);
                continue;
            }
            let due =
                current.array.base().needs_renewal(now) || self.is_mostly_idle(current, now, guard);
            if !due || !self.renew(current, self.plan_next(current, now, 0)) {
                current.advise_huge_pages();
                return current.collapse(left);
            }
        }
    }

    pub(super) fn step<'a>(
        &'a self,
        old: &'a Generation<C>,
        new: &'a Generation<C>,
        now: u64,
    ) -> Step<'a, C> {
        let forgive = new.migration.forgive();
        Step { old: &old.array, new: &new.array, spec: &self.spec, forgive, now }
    }

    pub(super) fn stats(&self, now: u64, guard: &Guard) -> TableStats {
        let current = self.current(guard);
        let pending = current.pending(guard);
        let moving = current.previous(guard).map(|previous| {
            let live = previous.sample(&self.spec, now).live();
            let share = pending as f64 / previous.array.claimed().max(1) as f64;
            ((live as f64 * share) as usize, previous.bytes())
        });
        let (still, bytes) = moving.unwrap_or_default();
        TableStats {
            live_keys: current.sample(&self.spec, now).live() + still,
            used_slots: current.array.claimed() + pending,
            slots: current.size.homes,
            bytes: current.bytes() + bytes,
            migrations: current.number,
            evictions: self.evictions.load(Relaxed),
            forgiven: self.forgiven.load(Relaxed),
        }
    }
}

impl<C: Counter> Drop for Arrays<C> {
    fn drop(&mut self) {
        if cfg!(all(test, tollgate_model)) && std::thread::panicking() {
            // A model has failed: to touch its atomics now would end the process.
            return;
        }
        // Relaxed: the table is owned.
        let mut generation = self.current.load(Relaxed);
        while !generation.is_null() {
            // SAFETY: every generation is reachable from one place, and no thread is left.
            let owned = unsafe { Box::from_raw(generation) };
            generation = owned.into_previous();
        }
        epoch::collect(ROUNDS_AT_END);
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests;
