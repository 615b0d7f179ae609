//! From a key's id to its counter.
//!
//! # Invariants
//! - T1: a key is chargeable in at most one place, and no charge is lost.
//! - T2: no time before an array's cutoff is ever used in it.
//! - T3: an array and what is still to be moved into it hold at most `max_keys` keys, give or take
//!   one for each thread that is inserting at this moment.
//!
//! # Progress
//! Lock-free: every retry follows from a step that another thread completed.

mod ages;
mod array;
mod census;
mod error;
mod forgiven;
mod generation;
mod generations;
mod hint;
#[cfg(not(all(test, tollgate_model)))]
mod memory;
mod migration;
mod prefetch;
mod receipt;
pub(crate) mod reclaim;
mod size;
mod slot;
mod stats;
#[cfg(not(all(test, tollgate_model)))]
mod tags;
#[cfg(all(test, tollgate_model))]
pub(crate) mod tags;
mod zeroed;

use crate::breakage::{Breakage, broken};
use crate::counter::{Counter, Moved, Outcome, Request};
use crate::retries::Retries;
use array::Found;
use generation::Generation;
use generations::Generations;
use reclaim::Guard;
use size::Size;

pub(crate) use error::{NoPlace, OutOfMemory};
pub(crate) use generations::Bounds;
pub(crate) use hint::Hint;
pub(crate) use receipt::{Charged, Receipt, Returned, Told};
pub(crate) use slot::KeyId;
use slot::Slot;
pub(crate) use stats::TableStats;

/// The counters of one policy's keys.
#[derive(Debug)]
pub(crate) struct Table<C: Counter> {
    generations: Generations<C>,
}

impl<C: Counter> Table<C> {
    /// A table in use from `now` on.
    pub(crate) fn new(spec: C::Spec, bounds: Bounds, now: u64) -> Result<Self, OutOfMemory> {
        let size = Size::first(bounds.max_keys);
        Ok(Table { generations: Generations::new(spec, bounds, size, now)? })
    }

    #[inline(always)]
    fn spec(&self) -> &C::Spec {
        &self.generations.spec
    }

    /// The key's counter, where nothing is to be done before it is charged.
    #[inline(always)]
    fn settled<'g>(
        &self,
        current: &'g Generation<C>,
        key: KeyId,
        now: u64,
        guard: &Guard,
    ) -> Option<&'g Slot<C>> {
        let is_moving = current.previous(guard).is_some() && !broken(Breakage::PreparedWhileMoving);
        if is_moving || current.array.base().is_outlived(now) {
            return None;
        }
        match current.array.find(key) {
            Found::Slot(slot) => Some(slot),
            _ => None,
        }
    }

    /// Charges one key, whatever is to be done before it. Denials write nothing to the key.
    pub(crate) fn charge(
        &self,
        key: KeyId,
        request: &Request,
        guard: &Guard,
    ) -> Result<Charged, NoPlace> {
        let mut retries = Retries::new();
        loop {
            retries.count();
            let current = self.generations.current(guard);
            let claimed = self.generations.claim(current, key, request.now, guard)?;
            let Some(slot) = claimed else { continue };
            match slot.counter.charge(self.spec(), current.array.base(), request) {
                Ok(outcome) => return Ok(Charged { outcome, generation: current.number }),
                Err(Moved) => continue,
            }
        }
    }

    /// The charge that the cost has room for, or the denial: the way of most charges. `None` if it
    /// takes more than that.
    #[inline(always)]
    pub(crate) fn offer<'g>(
        &self,
        key: KeyId,
        request: &Request,
        guard: &'g Guard,
    ) -> Option<Told<'g>> {
        let current = self.generations.current(guard);
        let slot = self.settled(current, key, request.now, guard)?;
        let (outcome, offer) =
            slot.counter.offer(self.spec(), current.array.base(), request).ok()??;
        Some((Charged { outcome, generation: current.number }, offer))
    }

    /// Where a key most likely is, of an array that is not held.
    #[inline(always)]
    pub(crate) fn hint(&self) -> &Hint {
        &self.generations.hint
    }

    /// Asks for the key's place ahead of time.
    // By itself: most tables are near, and do not come here.
    #[inline(never)]
    pub(crate) fn prefetch(&self, key: KeyId, guard: &Guard) {
        self.generations.current(guard).array.prefetch(key);
    }

    /// What [`charge`](Self::charge) would answer. An absent key is not inserted.
    pub(crate) fn look(&self, key: KeyId, request: &Request, guard: &Guard) -> Outcome {
        self.visit(key, request.now, guard, |generation, slot| {
            slot.counter.look(self.spec(), generation.array.base(), request)
        })
        .unwrap_or_else(|| absent(request))
    }

    /// Gives up to `amount` back of the charge `from` and later ones of its maker, or of all.
    /// Nothing if the key was evicted since: those units were forgiven then, and what is there now
    /// are others.
    pub(crate) fn give_back(
        &self,
        key: KeyId,
        now: u64,
        from: Option<Receipt>,
        amount: u64,
        guard: &Guard,
    ) -> Returned {
        let mut rest = amount;
        let counts = self.visit(key, now, guard, |generation, slot| {
            // Model: refund_in_parts with GivenTwice.
            if broken(Breakage::GivenTwice) {
                rest = amount;
            }
            // Model: refund_after_eviction with RefundForgiven.
            let charge = from.filter(|_| !broken(Breakage::RefundForgiven));
            if charge.is_some_and(|charge| generation.was_evicted_since(slot, &charge)) {
                return Ok(false);
            }
            let (base, from) = (generation.array.base(), from.map(|charge| charge.at));
            slot.counter.give_back(self.spec(), base, now, from, &mut rest)
        });
        // What is not there was all forgotten: nothing of it is to be found by another receipt.
        Returned { units: amount - rest, is_gone: counts == Some(false) }
    }

    /// Forgets what the key has used.
    pub(crate) fn reset(&self, key: KeyId, now: u64, guard: &Guard) {
        self.visit(key, now, guard, |generation, slot| {
            slot.counter.reset(self.spec(), generation.array.base())
        });
    }

    /// Runs `verb` on the key's slot, again whenever it was moved meanwhile; `None` if the key
    /// is absent.
    fn visit<T>(
        &self,
        key: KeyId,
        now: u64,
        guard: &Guard,
        mut verb: impl FnMut(&Generation<C>, &Slot<C>) -> Result<T, Moved>,
    ) -> Option<T> {
        let mut retries = Retries::new();
        loop {
            retries.count();
            let current = self.generations.current(guard);
            let slot = match current.array.find(key) {
                Found::Slot(slot) if slot.counter.is_open() => slot,
                _ => {
                    if let Some(previous) = current.previous(guard) {
                        self.generations.step(previous, current, now).resolve(key);
                    }
                    match current.array.find(key) {
                        Found::Slot(slot) => slot,
                        Found::Frozen if !self.generations.is_current(current) => continue,
                        _ => return None,
                    }
                }
            };
            if let Ok(value) = verb(current, slot) {
                return Some(value);
            }
        }
    }

    /// Moves up to `budget` slots, or makes an array ahead of need. True when nothing is left to
    /// do.
    pub(crate) fn maintain(&self, budget: usize, now: u64, guard: &Guard) -> bool {
        self.generations.maintain(budget, now, guard)
    }

    pub(crate) fn stats(&self, now: u64, guard: &Guard) -> TableStats {
        self.generations.stats(now, guard)
    }
}

/// What a model does by hand and a table does by itself.
#[cfg(all(test, tollgate_model))]
impl<C: Counter> Table<C> {
    /// A table of so many homes that keeps its size.
    pub(crate) fn tiny(spec: C::Spec, homes: usize, allowance: u64, now: u64) -> Self {
        let bounds = Bounds { max_keys: usize::MAX, allowance };
        let size = Size { homes, slots: homes + 3, room: usize::MAX, chunk: 1 };
        Table { generations: Generations::new(spec, bounds, size, now).expect("a few slots") }
    }

    /// Starts a renewal that forgives so much, unless one is under way. Under loom it keeps its
    /// size: a census would load every word, and hide other threads' loads from the checker.
    pub(crate) fn start_renewal(&self, now: u64, forgive: u64) {
        let guard = reclaim::pin();
        let current = self.generations.current(&guard);
        if current.previous(&guard).is_none() {
            let aim = if cfg!(tollgate_shuttle) {
                self.generations.aim(current, now, forgive)
            } else {
                generation::Aim { size: current.size.same(), forgive, now }
            };
            self.generations.renew(current, aim);
        }
    }

    /// Moves one chunk; true when nothing is left to move.
    pub(crate) fn help_once(&self, now: u64) -> bool {
        let guard = reclaim::pin();
        let current = self.generations.current(&guard);
        let previous = current.previous(&guard);
        previous.is_none_or(|previous| {
            let step = self.generations.step(previous, current, now);
            self.generations.help(current, &step, &guard)
        })
    }

    /// How many keys were moved or dropped on the way to the current array.
    pub(crate) fn keys_moved(&self) -> usize {
        self.generations.current(&reclaim::pin()).migration.settled()
    }

    /// The number of arrays that a lookup may have to go through.
    #[cfg(tollgate_shuttle)]
    pub(crate) fn arrays(&self) -> usize {
        let guard = reclaim::pin();
        let first = Some(self.generations.current(&guard));
        std::iter::successors(first, |generation| generation.previous(&guard)).count()
    }

    /// How many keys the current array counts, and how many of its slots hold one.
    pub(crate) fn keys_counted(&self) -> (usize, usize) {
        let guard = reclaim::pin();
        let array = &self.generations.current(&guard).array;
        let slots = array.homes().iter().chain(array.spill());
        (array.claimed(), slots.filter(|slot| slot.is_claimed()).count())
    }

    /// How many slots of the current array hold the key.
    pub(crate) fn places_of(&self, key: KeyId) -> usize {
        let guard = reclaim::pin();
        let array = &self.generations.current(&guard).array;
        let slots = array.homes().iter().chain(array.spill());
        slots.filter(|slot| slot.id() == Some(key)).count()
    }

    pub(crate) fn tells_of_nobody(&self, key: KeyId) -> bool {
        self.generations.current(&reclaim::pin()).array.tells_of_nobody(key)
    }

    pub(crate) fn cutoff(&self) -> u64 {
        self.generations.current(&reclaim::pin()).array.base().cutoff
    }
}

/// The answer for a key that has no counter.
fn absent(request: &Request) -> Outcome {
    let admitted = request.cost <= request.limit;
    let fits_at = if admitted { request.now } else { crate::counter::NEVER };
    Outcome { admitted, used: 0, at: request.now, fits_at, clear_at: request.now }
}
