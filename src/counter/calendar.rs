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

use super::prepared::{CounterEvaluation, ObservedCell, PreparedCharge};
use super::{Counter, Moved, NEVER, Outcome, Request, TimeBase};
use crate::sync::progress::Retries;
use crate::sync::{AtomicU64, Ordering::*};
use crate::verify::mutants::{Breakage, broken, ordering};
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
fn usage(word: u64, base: TimeBase, now: u64) -> (u64, u64) {
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
    fn decide(word: u64, base: TimeBase, request: &Request) -> Outcome {
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

    /// The word, or `Moved`.
    #[inline(always)]
    fn load(&self, mutant: Breakage) -> Result<u64, Moved> {
        // Acquire: a MOVED word sends the caller to the array that it was moved for. Pairs with
        // `freeze`. Model: budget_move_against_charge with QuotaLoadRelaxed.
        let word = self.word.load(ordering(mutant, Acquire));
        if word & MOVED == 0 { Ok(word) } else { Err(Moved) }
    }

    /// Exchanges the word for `change(word)`; `None` leaves it as it is.
    fn update(&self, mut new_word: impl FnMut(u64) -> Option<u64>) -> Result<(), Moved> {
        let mut retries = Retries::new();
        loop {
            retries.count();
            let word = self.load(Breakage::QuotaLoadRelaxed)?;
            let Some(new) = new_word(word) else {
                return Ok(());
            };
            if broken(Breakage::ChargeStores) {
                self.word.store(new, Release);
                return Ok(());
            }
            // Relaxed: the word is all there is. Model: refund_against_rollover with ChargeStores.
            if self.word.compare_exchange(word, new, Relaxed, Relaxed).is_ok() {
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

    fn base(_: &Periods, cutoff: u64) -> TimeBase {
        TimeBase { origin: 0, cutoff: cutoff.min(PERIOD_MAX), lasts_until: u64::MAX }
    }

    fn is_beyond(_: &Periods, _: TimeBase, _: u64) -> bool {
        false
    }

    fn window(_: &Periods) -> u64 {
        1
    }

    #[inline(always)]
    fn prepare<'a>(
        &'a self,
        _: &Periods,
        base: TimeBase,
        request: &Request,
    ) -> Result<Option<CounterEvaluation<'a>>, Moved> {
        let word = self.load(Breakage::QuotaLoadRelaxed)?;
        let current = Quota::decide(word, base, request);
        if !current.admitted || request.cost == 0 {
            return Ok(Some((current, None)));
        }
        let used = current.used.saturating_add(request.cost);
        let outcome = Outcome { used, clear_at: current.at + 1, ..current };
        let target = ObservedCell { atomic: &self.word, word };
        let word = pack(current.at, used);
        Ok(Some((outcome, Some(PreparedCharge { head: None, target, word, opens_bucket: false }))))
    }

    fn charge(&self, spec: &Periods, base: TimeBase, request: &Request) -> Result<Outcome, Moved> {
        let mut retries = Retries::new();
        loop {
            retries.count();
            if let Some((outcome, prepared)) = self.prepare(spec, base, request)?
                && (prepared.is_none_or(PreparedCharge::commit)
                    || broken(Breakage::LostLoopAdmitted))
            {
                return Ok(outcome);
            }
        }
    }

    fn peek(&self, _: &Periods, base: TimeBase, request: &Request) -> Result<Outcome, Moved> {
        // Model: budget_look_against_move with QuotaLookRelaxed.
        Ok(Quota::decide(self.load(Breakage::QuotaLookRelaxed)?, base, request))
    }

    fn give_back(
        &self,
        _: &Periods,
        base: TimeBase,
        now: u64,
        from: Option<u64>,
        amount: &mut u64,
    ) -> Result<bool, Moved> {
        let (mut returned, mut is_live) = (0, true);
        self.update(|word| {
            returned = 0;
            let from = from.unwrap_or_else(|| usage(word, base, now).0);
            is_live = word == 0 || period(word) <= from;
            // Usage that is held at its greatest number may stand for more than it says.
            if word == 0 || period(word) != from || used(word) == USED_MAX || used(word) == 0 {
                return None;
            }
            returned = (*amount).min(used(word));
            Some(pack(period(word), used(word) - returned))
        })?;
        *amount -= returned;
        Ok(is_live)
    }

    fn reset(&self, _: &Periods, _: TimeBase) -> Result<(), Moved> {
        self.update(|word| (used(word) > 0).then(|| pack(period(word), 0)))
    }

    fn is_open(&self) -> bool {
        // Relaxed: whoever goes on loads the word with Acquire.
        self.word.load(Relaxed) != 0
    }

    fn weight(&self, spec: &Periods, base: TimeBase, cutoff: u64) -> u64 {
        // Relaxed: a hint.
        Self::frozen_weight(&(self.word.load(Relaxed) & !MOVED), spec, base, cutoff)
    }

    fn freeze(&self) -> u64 {
        if broken(Breakage::NoFreeze) {
            return self.word.load(Acquire);
        }
        // Release: no exchange can succeed after this, and whoever meets the mark sees the array
        // that the word is moved for. Model: budget_move_against_charge with NoFreeze and
        // QuotaFreezeRelaxed.
        self.word.fetch_or(MOVED, ordering(Breakage::QuotaFreezeRelaxed, Release)) & !MOVED
    }

    fn frozen_weight(frozen: &u64, _: &Periods, _: TimeBase, cutoff: u64) -> u64 {
        match period(*frozen).cmp(&cutoff.min(PERIOD_MAX)) {
            _ if *frozen == 0 => 0,
            Ordering::Less => 0,
            Ordering::Equal => used(*frozen),
            // Model: budget_seen_later with DropsLater.
            Ordering::Greater if broken(Breakage::DropsLater) => 0,
            Ordering::Greater => u64::MAX,
        }
    }

    fn install(&self, _: &Periods, frozen: &u64, _: TimeBase, _: TimeBase) {
        // Release: publishes the key's age as well. Pairs with the fence in `Ages::has_lasted`. Model:
        // refund_after_move with QuotaInstallRelaxed. A late copy finds the word already there.
        let release = ordering(Breakage::QuotaInstallRelaxed, Release);
        let _ = self.word.compare_exchange(0, *frozen, release, Relaxed);
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quota(word: u64) -> Quota {
        Quota { word: AtomicU64::new(word) }
    }

    fn word(quota: &Quota) -> u64 {
        quota.word.load(Acquire)
    }

    /// The same budget as two numbers.
    #[derive(Clone, Copy, Debug)]
    struct Oracle {
        cutoff: u64,
        /// The newest period that was charged, and what is used of it.
        charged: Option<(u64, u64)>,
    }

    impl Oracle {
        fn used(&self, now: u64) -> (u64, u64) {
            let now = now.max(self.cutoff).min(PERIOD_MAX);
            match self.charged {
                Some((period, used)) if period >= now => (period, used),
                _ => (now, 0),
            }
        }

        fn peek(&self, request: &Request) -> Outcome {
            let (at, used) = self.used(request.now);
            let forced = request.limit == u64::MAX;
            let admitted = forced || used as u128 + request.cost as u128 <= request.limit as u128;
            let next = if at == PERIOD_MAX { NEVER - 1 } else { at + 1 };
            let fits_at = if request.cost > request.limit { NEVER } else { next };
            let clear_at = if used > 0 { at + 1 } else { at };
            Outcome { admitted, used, at, fits_at: if admitted { at } else { fits_at }, clear_at }
        }

        fn charge(&mut self, request: &Request) -> Outcome {
            let current = self.peek(request);
            if !current.admitted || request.cost == 0 {
                return current;
            }
            let used = current.used.saturating_add(request.cost);
            self.charged = Some((current.at, used.min(USED_MAX)));
            Outcome { used, clear_at: current.at + 1, ..current }
        }

        fn give_back(&mut self, now: u64, from: Option<u64>, amount: u64) -> u64 {
            let from = from.unwrap_or(self.used(now).0);
            match &mut self.charged {
                // Beyond what can be settles nothing is known to be one's own.
                Some((period, used)) if *period == from && *used < USED_MAX => {
                    let returned = amount.min(*used);
                    *used -= returned;
                    returned
                }
                _ => 0,
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Charge(Request),
        GiveBack(u64, Option<u64>, u64),
        Reset,
        /// To another array, so much later.
        Move(u64),
    }

    fn step(first: u64) -> impl Strategy<Value = Step> {
        let now =
            move || prop_oneof![9 => first..first + 6, 1 => 0..first + 1, 1 => Just(u64::MAX)];
        let units =
            || prop_oneof![8 => 0u64..20, 1 => USED_MAX - 9..=USED_MAX + 9, 1 => Just(u64::MAX)];
        let limit = prop_oneof![6 => 1u64..30, 1 => Just(0), 2 => Just(u64::MAX)];
        let charge =
            (now(), units(), limit).prop_map(|(now, cost, limit)| Request { now, cost, limit });
        prop_oneof![
            9 => charge.prop_map(Step::Charge),
            3 => (now(), prop::option::of(now()), units()).prop_map(|(n, f, u)| Step::GiveBack(n, f, u)),
            1 => Just(Step::Reset),
            1 => (0u64..3).prop_map(Step::Move),
        ]
    }

    /// The quota in another array, after every verb was sent on from this one without a change.
    fn moved(old: &Quota, from: TimeBase, to: TimeBase) -> Quota {
        let weight = old.weight(&Periods, from, to.cutoff);
        let frozen = old.freeze();
        assert_eq!(old.freeze(), frozen, "who freezes later sees the same");
        assert_eq!(Quota::frozen_weight(&frozen, &Periods, from, to.cutoff), weight);
        assert_eq!(old.weight(&Periods, from, to.cutoff), weight);
        let (before, base) = (word(old), from);
        let request = Request { now: 5, cost: 1, limit: u64::MAX };
        assert_eq!(old.charge(&Periods, base, &request), Err(Moved));
        assert_eq!(old.peek(&Periods, base, &request), Err(Moved));
        assert_eq!(old.reset(&Periods, base), Err(Moved));
        assert_eq!(old.give_back(&Periods, base, 5, None, &mut 1), Err(Moved));
        assert_eq!(word(old), before);
        let new = quota(0);
        new.install(&Periods, &frozen, from, to);
        new
    }

    proptest! {
        /// From the first period to the last, whatever the clock does: as a oracle of two numbers,
        /// also from one array to the next.
        #[test]
        fn quota_matches_oracle(
            (cutoff, steps) in prop_oneof![Just(0), Just(5), Just(480_000), Just(PERIOD_MAX - 3)]
                .prop_flat_map(|first| (Just(first), prop::collection::vec(step(first), 1..60))),
        ) {
            let mut base = Quota::base(&Periods, cutoff);
            let (mut quota, mut oracle) = (quota(0), Oracle { cutoff, charged: None });
            for step in steps {
                match step {
                    Step::Charge(request) => {
                        let before = word(&quota);
                        prop_assert_eq!(quota.peek(&Periods, base, &request), Ok(oracle.peek(&request)));
                        prop_assert_eq!(word(&quota), before);
                        let outcome = quota.charge(&Periods, base, &request);
                        prop_assert_eq!(outcome, Ok(oracle.charge(&request)));
                    }
                    Step::GiveBack(now, from, amount) => {
                        let mut rest = amount;
                        quota.give_back(&Periods, base, now, from, &mut rest).unwrap();
                        prop_assert_eq!(amount - rest, oracle.give_back(now, from, amount));
                    }
                    Step::Reset => {
                        quota.reset(&Periods, base).unwrap();
                        oracle.charged = oracle.charged.map(|(period, _)| (period, 0));
                    }
                    Step::Move(later) => {
                        let to = Quota::base(&Periods, base.cutoff + later);
                        prop_assert!(to.cutoff <= PERIOD_MAX);
                        let expected_weight = match oracle.charged {
                            Some((period, _)) if period > to.cutoff => u64::MAX,
                            Some((period, used)) if period == to.cutoff => used,
                            _ => 0,
                        };
                        prop_assert_eq!(quota.weight(&Periods, base, to.cutoff), expected_weight);
                        let new = moved(&quota, base, to);
                        // A late copy finds the word already there, or another one by now.
                        if new.is_open() {
                            new.reset(&Periods, to).unwrap();
                            let before = word(&new);
                            new.install(&Periods, &quota.freeze(), base, to);
                            prop_assert_eq!(word(&new), before);
                            oracle.charged = oracle.charged.map(|(period, _)| (period, 0));
                        }
                        (quota, base, oracle.cutoff) = (new, to, to.cutoff);
                    }
                }
                prop_assert_eq!(quota.is_open(), oracle.charged.is_some(), "only a charge opens");
            }
        }
    }

    /// What was charged in the last period that can be settles is_live for as long as the clock runs.
    #[test]
    fn last_period_never_ends() {
        let (quota, base) = (quota(0), Quota::base(&Periods, 0));
        let charge =
            |now, cost| quota.charge(&Periods, base, &Request { now, cost, limit: 5 }).unwrap();
        assert!(charge(PERIOD_MAX + 2, 5).admitted);
        for now in [PERIOD_MAX, PERIOD_MAX + 9, u64::MAX] {
            assert!(!charge(now, 1).admitted);
            assert_eq!(quota.weight(&Periods, base, now), 5);
        }
    }

    /// Periods do not end an array: what has passed is settles by each word.
    #[test]
    fn calendar_arrays_need_no_renewal() {
        let base = Quota::base(&Periods, 7);
        for now in [0, 7, PERIOD_MAX, u64::MAX] {
            assert!(!base.is_outlived(now) && !Quota::is_beyond(&Periods, base, now));
        }
        assert_eq!(Quota::window(&Periods), 1);
    }
}
