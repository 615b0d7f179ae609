//! One key's calendar budget: a single word, so that the change of period needs no reset job and
//! loses no charge.
//!
//! ```text
//!  63                                0
//! [ period + 1 | used : 42 | MOVED ]
//! ```
//!
//! # Invariants
//! - Q1: the period never goes back. A clock that steps back over the change of period charges the
//!   newer one, so nothing is reopened.
//! - Q2: within a period only refunds lower what is used.
//!
//! # Progress
//! Lock-free: an exchange fails only when another one succeeded.

use super::{Base, Counter, Moved, NEVER, Outcome, Request};
use crate::breakage::{Breakage, broken, ordering};
use crate::retries::Retries;
use crate::sync::{AtomicU64, Ordering::*};
use std::cmp::Ordering;

const MOVED: u64 = 1;
const USED_BITS: u32 = 42;
const USED_MAX: u64 = (1 << USED_BITS) - 1;
const PERIOD_SHIFT: u32 = USED_BITS + 1;
/// Hours from 1970 run until the year 2209; later instants count as the last period.
const PERIOD_MAX: u64 = (u64::MAX >> PERIOD_SHIFT) - 1;

const _: () = assert!(crate::error::MAX_LIMIT < USED_MAX / 2, "a budget leaves room for debt");

/// Used units of one period. Zeroed memory is a fresh quota.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Quota {
    word: AtomicU64,
}

/// A calendar budget has no measures of its own: its tick is the number of the period.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Periods;

fn period(word: u64) -> u64 {
    (word >> PERIOD_SHIFT).saturating_sub(1)
}

fn used(word: u64) -> u64 {
    (word >> 1) & USED_MAX
}

/// An open word. Usage beyond what the word can say is held at its greatest number.
fn pack(period: u64, used: u64) -> u64 {
    ((period.min(PERIOD_MAX) + 1) << PERIOD_SHIFT) | (used.min(USED_MAX) << 1)
}

/// Usage of `word` in the period that a request at `now` falls in, and that period.
fn usage(word: u64, base: Base, now: u64) -> (u64, u64) {
    // Model: budget_dropped with NoCutoff.
    let now = if broken(Breakage::NoCutoff) { now } else { now.max(base.cutoff) }.min(PERIOD_MAX);
    let open = word & !MOVED != 0;
    if open && (now <= period(word) && !(broken(Breakage::QuotaReopens) && now < period(word))) {
        (period(word), used(word))
    } else {
        (now, 0)
    }
}

impl Quota {
    fn decide(word: u64, base: Base, request: &Request) -> Outcome {
        let (at, used) = usage(word, base, request.now);
        let admitted = used.saturating_add(request.cost) <= request.limit;
        let fits_at = match () {
            () if admitted => at,
            () if request.cost > request.limit => NEVER,
            () if at == PERIOD_MAX => NEVER - 1,
            () => at + 1,
        };
        let clear_at = if used > 0 { at + 1 } else { at };
        Outcome { admitted, used, at, fits_at, clear_at }
    }

    /// Exchanges the word for `change(word)`; `None` leaves it as it is.
    fn change(&self, mut change: impl FnMut(u64) -> Option<u64>) -> Result<(), Moved> {
        let mut retries = Retries::new();
        loop {
            retries.count();
            // Acquire: a MOVED word sends the caller to the array that it was moved for. Pairs with
            // `freeze`. Model: budget_move_against_charge with QuotaLoadRelaxed.
            let word = self.word.load(ordering(Breakage::QuotaLoadRelaxed, Acquire));
            if word & MOVED != 0 {
                return Err(Moved);
            }
            let Some(after) = change(word) else {
                return Ok(());
            };
            if broken(Breakage::QuotaStores) {
                self.word.store(after, Release);
                return Ok(());
            }
            // Relaxed: the word is all there is. Model: rollover with QuotaStores.
            if self.word.compare_exchange(word, after, Relaxed, Relaxed).is_ok() {
                return Ok(());
            }
        }
    }
}

impl Counter for Quota {
    type Spec = Periods;
    type Frozen = u64;

    #[cfg(all(test, tollgate_model))]
    fn zeroed() -> Self {
        Quota { word: AtomicU64::new(0) }
    }

    fn base(_: &Periods, cutoff: u64) -> Base {
        Base { origin: 0, cutoff: cutoff.min(PERIOD_MAX) }
    }

    fn outlived(_: &Periods, _: Base, _: u64) -> bool {
        false
    }

    fn is_beyond(_: &Periods, _: Base, _: u64) -> bool {
        false
    }

    fn window(_: &Periods) -> u64 {
        1
    }

    fn charge(&self, _: &Periods, base: Base, request: &Request) -> Result<Outcome, Moved> {
        let mut outcome = Quota::decide(0, base, request);
        self.change(|word| {
            outcome = Quota::decide(word, base, request);
            if !outcome.admitted || request.cost == 0 {
                return None;
            }
            outcome.used = outcome.used.saturating_add(request.cost);
            outcome.clear_at = outcome.at + 1;
            Some(pack(outcome.at, outcome.used))
        })?;
        Ok(outcome)
    }

    fn look(&self, _: &Periods, base: Base, request: &Request) -> Result<Outcome, Moved> {
        // Acquire: as in `change`. Model: budget_look_against_move with QuotaLookRelaxed.
        let word = self.word.load(ordering(Breakage::QuotaLookRelaxed, Acquire));
        if word & MOVED != 0 {
            return Err(Moved);
        }
        Ok(Quota::decide(word, base, request))
    }

    fn give_back(
        &self,
        _: &Periods,
        base: Base,
        now: u64,
        from: Option<u64>,
        amount: &mut u64,
    ) -> Result<(), Moved> {
        let mut given = 0;
        self.change(|word| {
            given = 0;
            let from = from.unwrap_or_else(|| usage(word, base, now).0);
            // Usage that is held at its greatest number may stand for more than it says.
            if word == 0 || period(word) != from || used(word) == USED_MAX || used(word) == 0 {
                return None;
            }
            given = (*amount).min(used(word));
            Some(pack(period(word), used(word) - given))
        })?;
        *amount -= given;
        Ok(())
    }

    fn reset(&self, _: &Periods, _: Base) -> Result<(), Moved> {
        self.change(|word| (used(word) > 0).then(|| pack(period(word), 0)))
    }

    fn is_open(&self) -> bool {
        // Relaxed: whoever goes on loads the word with Acquire.
        self.word.load(Relaxed) != 0
    }

    fn weight(&self, spec: &Periods, base: Base, cutoff: u64) -> u64 {
        // Relaxed: a hint.
        Self::frozen_weight(&(self.word.load(Relaxed) & !MOVED), spec, base, cutoff)
    }

    fn freeze(&self) -> u64 {
        if broken(Breakage::NoFreeze) {
            return self.word.load(Acquire);
        }
        // Release: no exchange can succeed after this, and whoever meets the mark sees the array that
        // the word is moved for. Model: budget_move_against_charge with NoFreeze and
        // QuotaFreezeRelaxed.
        self.word.fetch_or(MOVED, ordering(Breakage::QuotaFreezeRelaxed, Release)) & !MOVED
    }

    fn frozen_weight(frozen: &u64, _: &Periods, _: Base, cutoff: u64) -> u64 {
        match period(*frozen).cmp(&cutoff.min(PERIOD_MAX)) {
            _ if *frozen == 0 => 0,
            Ordering::Less => 0,
            Ordering::Equal => used(*frozen),
            // Model: budget_seen_later with DropsLater.
            Ordering::Greater if broken(Breakage::DropsLater) => 0,
            Ordering::Greater => u64::MAX,
        }
    }

    fn install(&self, _: &Periods, frozen: &u64, _: Base, _: Base) {
        // Relaxed: the word is all there is; a late copy finds it already there.
        let _ = self.word.compare_exchange(0, *frozen, Relaxed, Relaxed);
    }
}
