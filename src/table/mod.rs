//! From a key's id to its counter: a current array and, while it is being left, the one before.
//!
//! # State
//! `current` points to the newest generation; a generation's `previous` to the one that is being
//! moved into it, or null. There are at most two: a new one is linked only when `previous` is null.
//!
//! An array is renewed, at the same size, when it is full of keys of which some have expired, or
//! when it is so old that its words could no longer tell the time. Every charge that meets a
//! migration moves one small chunk, so that no request pays for the whole.
//!
//! # Invariants
//! - T1: a key is chargeable in at most one place, and no charge is lost.
//! - T2: no time before an array's cutoff is ever used in it.
//! - T3: an array and what is still to be moved into it hold at most `max_keys` keys, give or take
//!   one for each thread that is inserting at this moment; a third more slots keep probes short and
//!   take those.
//!
//! # Progress
//! Lock-free: every retry follows from a step that another thread completed.

mod array;
mod migration;
pub(crate) mod reclaim;
mod slot;
mod slots;

use crate::counter::{Base, Counter, Moved, Outcome, Receipt, Request};
use crate::sync::{AtomicPtr, AtomicU64, Ordering::*};
use array::{Array, Found};
use migration::{Migration, Step};
use reclaim::Guard;
use slot::Slot;
use std::ptr;

pub(crate) use slot::KeyId;
pub(crate) use slots::OutOfMemory;

/// A new key found `max_keys` keys in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TableFull;

/// Chunks that a new key moves at the most where there is no room for it.
const CHUNKS_AT_BOUND: usize = 16;
/// Slots looked at to see whether a renewal would free any.
const SAMPLES: usize = 64;

/// An array, what it is filled from, and how far that is.
#[derive(Debug)]
struct Generation<C: Counter> {
    array: Array<C>,
    migration: Migration,
    /// Written once, from non-null to null, when everything has been moved.
    previous: AtomicPtr<Generation<C>>,
    /// The tick from which on it may pay to look for expired keys again.
    sample_at: AtomicU64,
}

/// The counters of one policy's keys.
#[derive(Debug)]
pub(crate) struct Table<C: Counter> {
    current: AtomicPtr<Generation<C>>,
    spec: C::Spec,
    max_keys: usize,
    slots: usize,
}

impl<C: Counter> Table<C> {
    /// A table for `max_keys` keys, in use from `now` on.
    pub(crate) fn new(spec: C::Spec, max_keys: usize, now: u64) -> Result<Self, OutOfMemory> {
        let spare = max_keys / 3 + 2 * migration::CHUNK;
        let slots = max_keys.checked_add(spare).ok_or(OutOfMemory)?;
        Self::with_slots(spec, max_keys, slots, now)
    }

    /// As [`new`](Self::new) with the number of slots given.
    fn with_slots(
        spec: C::Spec,
        max_keys: usize,
        slots: usize,
        now: u64,
    ) -> Result<Self, OutOfMemory> {
        let first = Generation {
            array: Array::new(slots, C::base(&spec, now))?,
            migration: Migration::new(0)?,
            previous: AtomicPtr::new(ptr::null_mut()),
            sample_at: AtomicU64::new(0),
        };
        let current = AtomicPtr::new(Box::into_raw(Box::new(first)));
        Ok(Table { current, spec, max_keys, slots })
    }

    /// Charges one key. Denials write nothing to the key.
    #[inline]
    pub(crate) fn charge(
        &self,
        key: KeyId,
        request: &Request,
        guard: &Guard,
    ) -> Result<Outcome, TableFull> {
        loop {
            let current = self.current(guard);
            let previous = current.previous(guard);
            let settled =
                previous.is_none() && !C::outlived(&self.spec, current.array.base(), request.now);
            let slot = match current.array.find(key) {
                Found::Slot(slot) if settled => slot,
                _ => match self.claim(current, key, request.now, guard)? {
                    Some(slot) => slot,
                    None => continue,
                },
            };
            match slot.counter.charge(&self.spec, current.array.base(), request) {
                Ok(outcome) => return Ok(outcome),
                Err(Moved) => continue,
            }
        }
    }

    /// What [`charge`](Self::charge) would answer. An absent key is not inserted.
    pub(crate) fn look(&self, key: KeyId, request: &Request, guard: &Guard) -> Outcome {
        self.visit(key, request.now, guard, |counter, base| counter.look(&self.spec, base, request))
            .unwrap_or_else(|| absent(request))
    }

    /// Gives a charge back; returns how much of it was still there.
    pub(crate) fn refund(&self, key: KeyId, receipt: &Receipt, guard: &Guard) -> u64 {
        self.visit(key, receipt.at, guard, |counter, base| {
            counter.refund(&self.spec, base, receipt)
        })
        .unwrap_or(0)
    }

    /// Gives up to `amount` back from the oldest live charges on; returns how much it was.
    pub(crate) fn refund_oldest(&self, key: KeyId, now: u64, amount: u64, guard: &Guard) -> u64 {
        let mut rest = amount;
        self.visit(key, now, guard, |counter, base| {
            counter.refund_oldest(&self.spec, base, now, &mut rest)
        });
        amount - rest
    }

    /// Forgets what the key has used.
    pub(crate) fn reset(&self, key: KeyId, now: u64, guard: &Guard) {
        self.visit(key, now, guard, |counter, base| counter.reset(&self.spec, base));
    }

    /// Runs `verb` on the key's counter, again whenever it was moved meanwhile; `None` if the key
    /// is absent.
    fn visit<T>(
        &self,
        key: KeyId,
        now: u64,
        guard: &Guard,
        mut verb: impl FnMut(&C, Base) -> Result<T, Moved>,
    ) -> Option<T> {
        loop {
            let current = self.current(guard);
            let slot = match current.array.find(key) {
                Found::Slot(slot) if slot.counter.is_open() => slot,
                _ => {
                    if let Some(previous) = current.previous(guard) {
                        // A key without a place is denied by `charge`; here it is as good as absent.
                        self.step(previous, current, now).resolve(key).ok()?;
                    }
                    match current.array.find(key) {
                        Found::Slot(slot) => slot,
                        Found::Frozen if !self.is_current(current) => continue,
                        _ => return None,
                    }
                }
            };
            if let Ok(value) = verb(&slot.counter, current.array.base()) {
                return Some(value);
            }
        }
    }

    /// The way of a charge that does not find everything in place: moves what is to be moved,
    /// renews what is too old or too full, and claims a slot for the key. `None` to look again.
    #[cold]
    #[inline(never)]
    fn claim<'g>(
        &self,
        current: &'g Generation<C>,
        key: KeyId,
        now: u64,
        guard: &'g Guard,
    ) -> Result<Option<&'g Slot<C>>, TableFull> {
        if let Some(previous) = current.previous(guard) {
            let step = self.step(previous, current, now);
            let open =
                matches!(current.array.find(key), Found::Slot(slot) if slot.counter.is_open());
            if !open {
                step.resolve(key).map_err(|_| TableFull)?;
            }
            // Paid before anything new is inserted, so that the move ends before the array fills. A
            // chunk without a place for one of its keys (against T3) is no matter of this key's.
            let _ = self.help(current, &step, guard);
        }
        if C::outlived(&self.spec, current.array.base(), now) {
            self.finish(current, now, guard)?;
            if self.renew(current, now) {
                return Ok(None);
            }
            // Without memory for a new array the old one goes on to the end of its time.
            if C::is_beyond(&self.spec, current.array.base(), now) {
                return Err(TableFull);
            }
        }
        if let Found::Empty(_) = current.array.find(key)
            && !self.has_room(current, now, guard)?
        {
            return self.make_room(current, now, guard);
        }
        match current.array.find_or_claim(key) {
            Found::Slot(slot) => Ok(Some(slot)),
            Found::Frozen => Ok(None),
            Found::Empty(_) | Found::Nowhere => self.make_room(current, now, guard),
        }
    }

    /// Whether a new key may enter: with those that are still to be moved here there are fewer than
    /// `max_keys`. At the bound it pays for a few more chunks, since they may hold expired keys.
    fn has_room(
        &self,
        current: &Generation<C>,
        now: u64,
        guard: &Guard,
    ) -> Result<bool, TableFull> {
        for _ in 0..CHUNKS_AT_BOUND {
            let Some(previous) = current.previous(guard) else {
                break;
            };
            let pending = previous.array.claimed().saturating_sub(current.migration.settled());
            if current.array.claimed() + pending < self.max_keys {
                return Ok(true);
            }
            self.help(current, &self.step(previous, current, now), guard)?;
        }
        Ok(current.previous(guard).is_none() && current.array.claimed() < self.max_keys)
    }

    /// For a new key that met a full array: a renewal if that would drop enough, else a refusal.
    fn make_room<'g>(
        &self,
        current: &'g Generation<C>,
        now: u64,
        guard: &'g Guard,
    ) -> Result<Option<&'g Slot<C>>, TableFull> {
        let migrating = current.previous(guard).is_some();
        if migrating || !self.is_worth_renewing(current, now) || !self.renew(current, now) {
            return if self.is_current(current) { Err(TableFull) } else { Ok(None) };
        }
        Ok(None)
    }

    /// Whether a sample shows that an eighth of the keys has expired, or any after two windows. It
    /// is taken once in a while: a flood of new keys must not pay for one each.
    fn is_worth_renewing(&self, current: &Generation<C>, now: u64) -> bool {
        // Relaxed: the time only spreads the samples.
        if now < current.sample_at.load(Relaxed) {
            return false;
        }
        let slots = current.array.slots();
        let every = (slots.len() / SAMPLES).max(1);
        let (mut keys, mut idle) = (0, 0);
        // Another sample each time.
        let start = (now % every as u64) as usize;
        for slot in slots[start..].iter().step_by(every).filter(|slot| slot.is_claimed()) {
            keys += 1;
            idle += usize::from(slot.counter.is_idle(&self.spec, current.array.base(), now));
        }
        let patience = C::patience(&self.spec);
        let rested = now.saturating_sub(current.array.base().cutoff) / patience >= 128;
        let worth = idle > 0 && (rested || idle * 8 >= keys);
        if !worth {
            current.sample_at.store(now.saturating_add(patience), Relaxed);
        }
        worth
    }

    /// Links a new generation; its cutoff is `now`. False if there was no memory for it.
    fn renew(&self, current: &Generation<C>, now: u64) -> bool {
        let cutoff = now.max(current.array.base().cutoff);
        let next = Array::new(self.slots, C::base(&self.spec, cutoff))
            .and_then(|array| Ok((array, Migration::new(current.array.slots().len())?)));
        let Ok((array, migration)) = next else {
            return false;
        };
        let old = ptr::from_ref(current).cast_mut();
        let next = Box::into_raw(Box::new(Generation {
            array,
            migration,
            previous: AtomicPtr::new(old),
            // Not at once again, whatever this one leaves.
            sample_at: AtomicU64::new(cutoff.saturating_add(C::patience(&self.spec))),
        }));
        // AcqRel: publishes the new generation; whoever finds a frozen word finds it as well.
        if self.current.compare_exchange(old, next, AcqRel, Relaxed).is_err() {
            // SAFETY: made above and never shared.
            drop(unsafe { Box::from_raw(next) });
        }
        true
    }

    /// Moves one chunk and, when that was the last, lets the old generation go.
    fn help(
        &self,
        current: &Generation<C>,
        step: &Step<'_, C>,
        guard: &Guard,
    ) -> Result<bool, TableFull> {
        let done = current.migration.help(step).map_err(|_| TableFull)?;
        if done {
            // Acquire: to retire what is seen. AcqRel: one thread unlinks, the others see it gone.
            let previous = current.previous.load(Acquire);
            let unlinked = !previous.is_null()
                && current
                    .previous
                    .compare_exchange(previous, ptr::null_mut(), AcqRel, Relaxed)
                    .is_ok();
            if unlinked {
                // SAFETY: T1, M2: nobody can reach it through the table any more, and only the
                // thread that unlinked it retires it.
                unsafe { guard.retire(previous) };
            }
        }
        Ok(done)
    }

    /// Completes the migration into `current`. Only a table that was hardly used for most of an
    /// array's life comes here with much left to do.
    fn finish(&self, current: &Generation<C>, now: u64, guard: &Guard) -> Result<(), TableFull> {
        while let Some(previous) = current.previous(guard) {
            if self.help(current, &self.step(previous, current, now), guard)? {
                break;
            }
        }
        Ok(())
    }

    fn step<'a>(&'a self, old: &'a Generation<C>, new: &'a Generation<C>, now: u64) -> Step<'a, C> {
        Step { old: &old.array, new: &new.array, spec: &self.spec, now }
    }

    #[inline(always)]
    fn current<'g>(&self, _guard: &'g Guard) -> &'g Generation<C> {
        // Acquire: pairs with `renew`.
        // SAFETY: never null, and not freed while the guard is held: a generation is retired only
        // after it was unlinked.
        unsafe { &*self.current.load(Acquire) }
    }

    fn is_current(&self, generation: &Generation<C>) -> bool {
        // Acquire: the caller looks again through `current`.
        ptr::eq(self.current.load(Acquire), generation)
    }
}

/// What a model does by hand and a table does by itself.
#[cfg(all(test, tollgate_model))]
impl<C: Counter> Table<C> {
    /// A table of exactly so many slots.
    pub(crate) fn tiny(spec: C::Spec, slots: usize, now: u64) -> Self {
        Self::with_slots(spec, usize::MAX, slots, now).expect("a few slots")
    }

    /// Starts a renewal, unless one is under way.
    pub(crate) fn start_renewal(&self, now: u64) {
        let guard = reclaim::pin();
        let current = self.current(&guard);
        if current.previous(&guard).is_none() {
            self.renew(current, now);
        }
    }

    /// Moves one chunk; true when nothing is left to move.
    pub(crate) fn help_once(&self, now: u64) -> bool {
        let guard = reclaim::pin();
        let current = self.current(&guard);
        let previous = current.previous(&guard);
        previous.is_none_or(|previous| {
            self.help(current, &self.step(previous, current, now), &guard).expect("room")
        })
    }

    /// How many slots of the current array hold the key.
    pub(crate) fn places_of(&self, key: KeyId) -> usize {
        let guard = reclaim::pin();
        let slots = self.current(&guard).array.slots();
        slots.iter().filter(|slot| slot.settled_id() == Some(key)).count()
    }

    pub(crate) fn cutoff(&self) -> u64 {
        self.current(&reclaim::pin()).array.base().cutoff
    }
}

impl<C: Counter> Generation<C> {
    #[inline(always)]
    fn previous<'g>(&self, _guard: &'g Guard) -> Option<&'g Generation<C>> {
        // Acquire: pairs with `renew`, through which it was published, and with the unlinking.
        // SAFETY: not freed while the guard is held: it is retired after it was unlinked.
        unsafe { self.previous.load(Acquire).as_ref() }
    }
}

impl<C: Counter> Drop for Table<C> {
    fn drop(&mut self) {
        // Relaxed: the table is owned.
        let mut generation = self.current.load(Relaxed);
        while !generation.is_null() {
            // SAFETY: every generation is reachable from one place, and no thread is left.
            let owned = unsafe { Box::from_raw(generation) };
            generation = owned.previous.load(Relaxed);
        }
    }
}

/// The answer for a key that has no counter.
fn absent(request: &Request) -> Outcome {
    let admitted = request.cost <= request.limit;
    let fits_at = if admitted { request.now } else { crate::counter::NEVER };
    Outcome { admitted, used: 0, at: request.now, fits_at, clear_at: request.now }
}
