//! An array, what it is filled from, how far that is, and what is known of its keys.

use super::array::Array;
use super::epoch::Guard;
#[cfg(all(test, tollgate_model))]
use super::epoch::Poison;
#[cfg(not(all(test, tollgate_model)))]
use super::epoch::Shed;
use super::error::OutOfMemory;
use super::evictions::{Eviction, EvictionLedger};
use super::migration::Migration;
use super::prefetch::prefetch;
use super::receipt::Receipt;
use super::sample::UsageSample;
use super::size::Size;
use super::slot::Slot;
use crate::counter::Counter;
use crate::sync::{AtomicPtr, AtomicU64, Ordering::*, Statistic};
use crate::verify::mutants::{Breakage, broken, ordering};
use std::ptr;

/// A table is said to be large when it has this many times the homes of the first array.
const LARGE: usize = 4;
/// Without memory so many new keys are refused for one that tries to renew a full array, which
/// takes a sample.
const RENEWAL_EVERY: u64 = 256;
/// Samples of a sample that are asked for ahead: enough to keep the memory busy.
const CENSUS_AHEAD: usize = 16;

#[derive(Debug)]
pub(crate) struct Generation<C: Counter> {
    pub(crate) array: Array<C>,
    pub(crate) size: Size,
    pub(crate) migration: Migration,
    /// How many generations there were before.
    pub(crate) number: u64,
    pub(crate) forgiven: EvictionLedger,
    /// Written once, from non-null to null, when everything has been moved.
    previous: AtomicPtr<Generation<C>>,
    /// Not 0 once huge pages were asked for.
    settled: Statistic,
    /// How many huge pages were made.
    collapsed: Statistic,
    /// New keys to refuse before one tries again to renew the array: not 0 once that has failed.
    refusals: Statistic,
    /// The ticks from which on it may pay to take a sample again, for each of its uses.
    census_at: [AtomicU64; 2],
}

/// What a sample is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To see whether the array is mostly idle.
    Shrink,
    /// To see whether a full array has keys to drop.
    Drop,
}

/// What a generation is made for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResizePlan {
    pub(crate) size: Size,
    /// The units that the move forgives a key at the most.
    pub(crate) forgive: u64,
    pub(crate) now: u64,
}

impl<C: Counter> Generation<C> {
    /// The first of a table.
    pub(crate) fn first(
        spec: &C::Spec,
        size: Size,
        now: u64,
        evicts: bool,
    ) -> Result<Self, OutOfMemory> {
        Ok(Generation {
            array: Array::new(size, C::base(spec, now), evicts)?,
            size,
            migration: Migration::new(0, 1, 0)?,
            number: 0,
            forgiven: EvictionLedger::default(),
            previous: AtomicPtr::new(ptr::null_mut()),
            settled: Statistic::new(0),
            collapsed: Statistic::new(0),
            refusals: Statistic::new(0),
            census_at: [0, 0].map(AtomicU64::new),
        })
    }

    /// The one that is filled from this one. Its cutoff is the plan_next's time.
    pub(crate) fn next(&self, spec: &C::Spec, plan_next: ResizePlan) -> Result<Self, OutOfMemory> {
        let ResizePlan { size, forgive, now } = plan_next;
        let back = broken(Breakage::CutoffBack);
        let cutoff = if back { now } else { now.max(self.array.base().cutoff) };
        let window = C::window(spec);
        let later = cutoff.saturating_add(patience(window));
        let grown = size.room > self.size.room;
        let number = self.number + 1;
        let evicted_at = if broken(Breakage::EvictionAtOwnNow) { now } else { cutoff };
        let eviction = Eviction { cutoff: evicted_at, units: forgive };
        Ok(Generation {
            array: Array::new(size, C::base(spec, cutoff), self.array.evicts())?,
            size,
            migration: Migration::new(self.size.homes, size.chunk, forgive)?,
            number,
            forgiven: self.forgiven.and(eviction, window),
            previous: AtomicPtr::new(ptr::from_ref(self).cast_mut()),
            settled: Statistic::new(0),
            collapsed: Statistic::new(0),
            refusals: Statistic::new(0),
            // Not at once again, whatever this one leaves; but one that has grown to the bound is
            // looked at when it is full, and evictions have a bound of their own.
            census_at: [later, if grown || forgive > 0 { 0 } else { later }].map(AtomicU64::new),
        })
    }

    /// Whether the key of this slot was evicted, or had expired, after this charge was made.
    pub(crate) fn was_evicted_since(&self, slot: &Slot<C>, charge: &Receipt) -> bool {
        // Model: refund_after_move with ReceiptWithoutGeneration.
        let lost = broken(Breakage::ReceiptWithoutGeneration);
        let charged_in = if lost { 0 } else { charge.generation };
        !self.array.has_lasted(slot, self.number.saturating_sub(charged_in))
    }

    /// The generation that is still being moved into this one.
    #[inline(always)]
    pub(crate) fn previous<'g>(&self, _guard: &'g Guard) -> Option<&'g Generation<C>> {
        // Acquire: whoever finds it unlinked sees all that was moved. Pairs with `unlink`. Model:
        // look_against_move with PreviousRelaxed.
        let previous = self.previous.load(ordering(Breakage::PreviousRelaxed, Acquire));
        // SAFETY: not freed while the guard is held: it is retired after it was unlinked.
        unsafe { previous.as_ref() }
    }

    /// Takes the old generation off, for the one caller who retires it.
    pub(crate) fn unlink(&self) -> Option<*mut Generation<C>> {
        // Relaxed: only compared.
        let previous = self.previous.load(Relaxed);
        if previous.is_null() {
            return None;
        }
        if broken(Breakage::UnlinkStores) {
            self.previous.store(ptr::null_mut(), Release);
            return Some(previous);
        }
        // Release: one thread unlinks, and whoever finds it gone sees what was moved. Pairs with
        // `previous`. Models: retire with UnlinkStores, look_against_move with UnlinkRelaxed.
        let release = ordering(Breakage::UnlinkRelaxed, Release);
        self.previous.compare_exchange(previous, ptr::null_mut(), release, Relaxed).ok()
    }

    /// As [`unlink`](Self::unlink), of a generation that no other thread knows.
    pub(crate) fn into_previous(self) -> *mut Generation<C> {
        // Relaxed: owned.
        self.previous.load(Relaxed)
    }

    /// How many keys are in the old array and were not yet moved or dropped, at the most.
    pub(crate) fn pending(&self, guard: &Guard) -> usize {
        let keys = |previous: &Self| previous.array.claimed();
        self.previous(guard).map_or(0, keys).saturating_sub(self.migration.moved())
    }

    pub(crate) fn is_large(&self, first: Size) -> bool {
        self.size.homes > LARGE * first.homes
    }

    /// Whether a sample may be taken: a flood of new keys must not pay for one each.
    pub(crate) fn is_census_due(&self, purpose: Purpose, now: u64) -> bool {
        // Relaxed: only spreads the samples.
        now >= self.census_at[purpose as usize].load(Relaxed)
    }

    /// No sample for a 64th of a window: the last one showed that it would not pay.
    pub(crate) fn put_census_off(&self, purpose: Purpose, spec: &C::Spec, now: u64) {
        let later = now.saturating_add(patience(C::window(spec)));
        // Relaxed: as above.
        self.census_at[purpose as usize].store(later, Relaxed);
    }

    /// Whether a new key may try to renew a full array, after it had failed for want of memory.
    pub(crate) fn is_renewal_due(&self) -> bool {
        // Relaxed: only spreads the tries; two threads may count one refusal.
        let refusals = self.refusals.load(Relaxed);
        if refusals > 0 {
            self.refusals.store(refusals - 1, Relaxed);
        }
        refusals == 0
    }

    /// There was no memory for a renewal. Counted in requests: memory may be back long before a
    /// calendar period is over.
    pub(crate) fn put_renewal_off(&self) {
        // Relaxed: as above.
        self.refusals.store(RENEWAL_EVERY, Relaxed);
    }

    /// Whether this array has been in use for a window: it may stay.
    pub(crate) fn has_lasted(&self, spec: &C::Spec, now: u64) -> bool {
        now.saturating_sub(self.array.base().cutoff) >= C::window(spec)
    }

    /// Asks for huge pages, once.
    pub(crate) fn advise_huge_pages(&self) {
        // Relaxed: asking twice is harmless.
        if self.settled.swap(1, Relaxed) == 0 {
            self.array.advise_huge_pages();
        }
    }

    /// Makes the huge pages of about `budget` slots; true when there are none left to make.
    pub(crate) fn collapse(&self, budget: usize) -> bool {
        let pages = self.array.huge_pages();
        // Relaxed: to make one twice is harmless.
        let first = self.collapsed.load(Relaxed) as usize;
        let share = budget.div_ceil((self.size.homes / pages.max(1)).max(1));
        let end = pages.min(first.saturating_add(share));
        // Where the system does not make one it will make none.
        let all = (first..end).all(|page| self.array.collapse(page));
        let made = if all { end } else { pages };
        self.collapsed.fetch_max(made as u64, Relaxed);
        made == pages
    }

    /// Whether this array's keys have had two windows to expire.
    pub(crate) fn has_rested(&self, spec: &C::Spec, now: u64) -> bool {
        now.saturating_sub(self.array.base().cutoff) / 2 >= C::window(spec)
    }

    /// Looks at some slots, spread over the array; at others each time.
    pub(crate) fn sample(&self, spec: &C::Spec, now: u64) -> UsageSample {
        let homes = self.array.homes();
        let every = homes.len() / UsageSample::samples(homes.len()).max(1);
        // Scattered: the readings of a coarse clock have a common divisor.
        let scattered = now.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let start = (scattered % every.max(1) as u64) as usize;
        let sample = homes[start..].iter().step_by(every.max(1));
        // One by one their lines would come in as many waits as there are samples.
        let mut ahead = sample.clone().skip(CENSUS_AHEAD);
        let sample = sample.inspect(|_| ahead.next().into_iter().for_each(prefetch));
        let keys = sample.filter(|slot| slot.is_claimed());
        let base = self.array.base();
        UsageSample::new(
            self.array.claimed(),
            keys.map(|slot| slot.counter.weight(spec, base, now)),
        )
    }

    /// Bytes that may be resident.
    pub(crate) fn bytes(&self) -> usize {
        self.array.homes_bytes() + self.migration.bytes()
    }
}

fn patience(window: u64) -> u64 {
    (window / 64).max(1)
}

#[cfg(not(all(test, tollgate_model)))]
impl<C: Counter> Shed for Generation<C> {
    fn shed(&mut self) -> bool {
        self.array.shed()
    }
}

#[cfg(all(test, tollgate_model))]
impl<C: Counter> Poison for Generation<C> {
    fn poison(&self) {
        self.array.poison();
    }
}
