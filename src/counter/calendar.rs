//! One key's calendar budget, in a single word.
//!
//! The word holds both the period and its usage. Hence a change of period needs no reset job and
//! loses no charge.
//!
//! # Invariants
//! - Q1: the period never decreases. If a clock steps back over a change of period, its charges go
//!   to the newer period; no period is reopened.
//! - Q2: within a period, only refunds and resets lower the usage. A reset makes the [stamp](word)
//!   greater, so a charge made before it has a smaller stamp than each later charge. Only the greatest
//!   stamp of a period stays as it is, and a receipt with that stamp gives back nothing.
//!
//! # Progress
//! Lock-free: a CAS fails only if another one succeeded.

mod word;

use super::prepared::{CounterEvaluation, ObservedAtomic, PreparedCharge};
use super::sliding::sum::Sum;
use super::{ChargeArgs, Counter, Moved, NEVER, Outcome, Since, TimeBase};
use crate::clock::Now;
use crate::policy::calendar::Calendar;
use crate::sync::progress::Retries;
use crate::sync::{AtomicU64, Ordering, Ordering::*, order};
use std::cmp;
use std::hint::cold_path;
use word::{Format, MOVED, Usage};

/// The configuration of a policy's budgets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    calendar: Calendar,
    format: Format,
}

impl Budget {
    /// Budgets of UTC days.
    #[cfg(test)]
    pub(crate) const DAYS: Budget = Budget::new(Calendar::DAYS, 1_000);

    /// Budgets with limits up to `max_limit`.
    pub(crate) const fn new(calendar: Calendar, max_limit: u64) -> Self {
        Budget { calendar, format: Format::new(calendar, max_limit) }
    }

    /// The period of the stamp of a charge.
    #[cfg(all(test, tollgate_model))]
    pub(crate) fn period_of(&self, stamp: u64) -> u64 {
        self.format.period(stamp)
    }

    /// The stamp of a charge in a period without resets.
    #[cfg(all(test, tollgate_model))]
    pub(crate) fn first_stamp(&self, period: u64) -> u64 {
        self.format.stamp_of(period)
    }
}

/// The usage of one period. Zeroed memory is a fresh quota.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Quota {
    word: AtomicU64,
}

impl Quota {
    /// The outcome of a charge that is evaluated against this word and not made.
    fn decide(format: Format, word: u64, base: TimeBase, args: &ChargeArgs) -> Outcome {
        let Usage { stamp: at, used } = format.usage(word, base, args.now);
        let admitted = used.saturating_add(args.cost) <= args.limit;
        let period = format.period(at);
        let fits_at = match () {
            () if admitted => period,
            () if args.cost > args.limit => NEVER,
            () => format.next_period(at),
        };
        let clear_at = if used > 0 { period + 1 } else { period };
        Outcome { admitted, used, at, fits_at, clear_at }
    }

    /// Loads the word, or returns `Moved`.
    #[inline(always)]
    fn load(&self, acquire: Ordering) -> Result<u64, Moved> {
        // Acquire: after a MOVED word the caller must see the array that it was moved to. Pairs
        // with the Release in `freeze`. Models: budget_move_against_charge with QuotaLoadRelaxed,
        // budget_refund_lasts with QuotaUpdateRelaxed, budget_peek_against_move with
        // QuotaPeekRelaxed.
        let word = self.word.load(acquire);
        if word & MOVED == 0 { Ok(word) } else { Err(Moved) }
    }

    /// Evaluates a charge; writes nothing.
    #[inline(always)]
    fn evaluate(
        &self,
        format: Format,
        base: TimeBase,
        args: &ChargeArgs,
    ) -> Result<CounterEvaluation<'_>, Moved> {
        let word = self.load(order::budget_load())?;
        let current = Quota::decide(format, word, base, args);
        if !current.admitted || args.cost == 0 {
            return Ok((current, None));
        }
        let used = current.used.saturating_add(args.cost);
        let outcome = Outcome { used, clear_at: format.period(current.at) + 1, ..current };
        let target = ObservedAtomic { atomic: &self.word, word };
        let word = format.pack(current.at, used);
        Ok((outcome, Some(PreparedCharge { head: None, target, word, opens_bucket: false })))
    }

    /// Replaces the word by `new_word(word)`; `None` leaves it unchanged.
    fn update(&self, mut new_word: impl FnMut(u64) -> Option<u64>) -> Result<(), Moved> {
        let mut retries = Retries::new();
        loop {
            retries.count();
            let word = self.load(order::budget_update())?;
            let Some(new) = new_word(word) else {
                return Ok(());
            };
            // Relaxed: no other memory depends on this write, and the CAS continues the release
            // sequence of `install`. Model: refund_against_rollover with ChargeStores.
            if self.word.compare_exchange(word, new, Relaxed, Relaxed).is_ok() {
                return Ok(());
            }
        }
    }
}

impl Counter for Quota {
    type Spec = Budget;
    type Frozen = u64;

    #[cfg(all(test, tollgate_model))]
    fn zeroed() -> Self {
        Quota { word: AtomicU64::new(0) }
    }

    #[inline(always)]
    fn tick(budget: &Budget, now: Now) -> u64 {
        budget.calendar.index(now.unix_ns)
    }

    #[inline(always)]
    fn wrapping_tick(budget: &Budget, now: Now) -> u64 {
        Self::tick(budget, now)
    }

    #[inline(always)]
    fn ns_until(budget: &Budget, tick: u64, now: Now) -> u64 {
        Self::wait_ns(budget, tick, now)
    }

    #[inline(always)]
    fn wait_ns(budget: &Budget, tick: u64, now: Now) -> u64 {
        budget.calendar.start_ns(tick).saturating_sub(now.unix_ns)
    }

    fn resolution_ns(_: &Budget) -> u64 {
        1
    }

    fn base(budget: &Budget, cutoff: u64) -> TimeBase {
        TimeBase::new(0, cutoff.min(budget.format.last_period()), u64::MAX)
    }

    fn is_out_of_range(_: &Budget, _: TimeBase, _: u64) -> bool {
        false
    }

    fn window(_: &Budget) -> u64 {
        1
    }

    #[inline(always)]
    fn prepare<'a, S: Sum>(
        &'a self,
        budget: &Budget,
        base: TimeBase,
        args: &ChargeArgs,
        _: S,
    ) -> Option<CounterEvaluation<'a>> {
        if args.cost > args.limit {
            // Nothing will be written.
            return None;
        }
        let format = budget.format;
        let word = self.load(order::budget_load()).ok()?;
        let used = format.used(word) + args.cost;
        let is_present = format.is_of(word, args.now) && args.now >= base.cutoff;
        if !is_present || used > args.limit {
            cold_path();
            return self.evaluate(format, base, args).ok();
        }
        // The usual case: the word is of this period and has room. So it only grows by the cost.
        let (fits_at, clear_at) = (args.now, args.now + 1);
        let outcome = Outcome { admitted: true, used, at: format.stamp(word), fits_at, clear_at };
        let target = ObservedAtomic { atomic: &self.word, word };
        let word = format.charged(word, args.cost);
        Some((outcome, Some(PreparedCharge { head: None, target, word, opens_bucket: false })))
    }

    fn charge(&self, budget: &Budget, base: TimeBase, args: &ChargeArgs) -> Result<Outcome, Moved> {
        let mut retries = Retries::new();
        loop {
            retries.count();
            let (outcome, prepared) = self.evaluate(budget.format, base, args)?;
            if prepared.is_none_or(PreparedCharge::commit) {
                return Ok(outcome);
            }
        }
    }

    fn peek(&self, budget: &Budget, base: TimeBase, args: &ChargeArgs) -> Result<Outcome, Moved> {
        // Model: budget_peek_against_move with QuotaPeekRelaxed.
        let word = self.load(order::budget_peek())?;
        Ok(Quota::decide(budget.format, word, base, args))
    }

    fn give_back(
        &self,
        budget: &Budget,
        base: TimeBase,
        now: u64,
        since: Option<Since<impl Fn() -> bool>>,
        amount: &mut u64,
    ) -> Result<bool, Moved> {
        let format = budget.format;
        let (mut returned, mut is_live) = (0, true);
        self.update(|word| {
            returned = 0;
            let from = match &since {
                // Test: last_stamp_is_not_given_back with LastStampGiven.
                Some(since) if format.is_last(since.at) => {
                    is_live = false;
                    return None;
                }
                Some(since) => since.at,
                None => format.usage(word, base, now).stamp,
            };
            is_live = word == 0 || format.stamp(word) <= from;
            // A saturated count may be lower than the real usage, so nothing is taken from it.
            if word == 0
                || format.stamp(word) != from
                || format.used(word) == format.used_max()
                || format.used(word) == 0
            {
                return None;
            }
            returned = (*amount).min(format.used(word));
            Some(format.pack(from, format.used(word) - returned))
        })?;
        *amount -= returned;
        Ok(is_live)
    }

    /// A budget needs no record of its resets: they are part of its [stamp](word).
    fn reset(
        &self,
        budget: &Budget,
        _: TimeBase,
        _: &mut Option<u64>,
        _: impl Fn(u64),
    ) -> Result<(), Moved> {
        let format = budget.format;
        // Model: budget_settled_against_reset with ResetKeepsStamp.
        self.update(|word| {
            (format.used(word) > 0).then(|| format.pack(format.after_reset(format.stamp(word)), 0))
        })
    }

    fn is_open(&self) -> bool {
        // Relaxed: every later operation loads the word with Acquire.
        self.word.load(Relaxed) != 0
    }

    #[inline(always)]
    fn is_frozen(&self) -> bool {
        // Relaxed: a hint.
        self.word.load(Relaxed) & MOVED != 0
    }

    fn weight(&self, budget: &Budget, base: TimeBase, cutoff: u64) -> u64 {
        // Relaxed: the result is a hint.
        Self::frozen_weight(&(self.word.load(Relaxed) & !MOVED), budget, base, cutoff)
    }

    fn freeze(&self) -> u64 {
        // An RMW, so that no CAS on the old value can succeed afterwards. Release: a thread that
        // sees MOVED also sees the array that the word is moved to. Pairs with the Acquire in
        // `load`. Model: budget_move_against_charge with NoFreeze and QuotaFreezeRelaxed.
        self.word.fetch_or(MOVED, order::budget_freeze()) & !MOVED
    }

    fn frozen_weight(frozen: &u64, budget: &Budget, _: TimeBase, cutoff: u64) -> u64 {
        let format = budget.format;
        match format.period(format.stamp(*frozen)).cmp(&cutoff.min(format.last_period())) {
            _ if *frozen == 0 => 0,
            cmp::Ordering::Less => 0,
            // Its stamp tells a receipt of before the reset from one of after it. Test:
            // a_reset_lasts_over_moves_and_windows with ResetForgotten.
            cmp::Ordering::Equal if format.has_resets(format.stamp(*frozen)) => u64::MAX,
            cmp::Ordering::Equal => format.used(*frozen),
            // Model: budget_seen_later with DropsLater.
            cmp::Ordering::Greater => u64::MAX,
        }
    }

    fn install(&self, _: &Budget, frozen: &u64, _: TimeBase, _: TimeBase) {
        // A late install finds a word that is not 0, and its CAS fails. Release: also publishes the
        // key's age. Pairs with the fence in `Ages::has_survived`. Model: refund_after_move with
        // QuotaInstallRelaxed.
        let _ = self.word.compare_exchange(0, *frozen, order::budget_install(), Relaxed);
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::super::sliding::sum::ScalarSum;
    use super::*;
    use proptest::prelude::*;

    const DAYS: Format = Budget::DAYS.format;
    const PERIOD_MAX: u64 = DAYS.last_period();

    fn quota(word: u64) -> Quota {
        Quota { word: AtomicU64::new(word) }
    }

    fn word(quota: &Quota) -> u64 {
        quota.word.load(Acquire)
    }

    /// A reference budget: the newest period and its usage as plain numbers.
    #[derive(Clone, Copy, Debug)]
    struct Oracle {
        cutoff: u64,
        /// The newest charged period, its resets and its usage.
        charged: Option<(u64, u64, u64)>,
    }

    impl Oracle {
        fn used(&self, now: u64) -> (u64, u64, u64) {
            let now = now.max(self.cutoff).min(PERIOD_MAX);
            match self.charged {
                Some(newest @ (period, ..)) if period >= now => newest,
                _ => (now, 0, 0),
            }
        }

        fn peek(&self, args: &ChargeArgs) -> Outcome {
            let (period, resets, used) = self.used(args.now);
            let forced = args.limit == u64::MAX;
            let admitted = forced || used as u128 + args.cost as u128 <= args.limit as u128;
            let next = if period == PERIOD_MAX { NEVER - 1 } else { period + 1 };
            let fits_at = if args.cost > args.limit { NEVER } else { next };
            let clear_at = if used > 0 { period + 1 } else { period };
            let fits_at = if admitted { period } else { fits_at };
            Outcome { admitted, used, at: stamp_of(period, resets), fits_at, clear_at }
        }

        fn charge(&mut self, args: &ChargeArgs) -> Outcome {
            let current = self.peek(args);
            if !current.admitted || args.cost == 0 {
                return current;
            }
            let used = current.used.saturating_add(args.cost);
            let (period, resets, _) = self.used(args.now);
            self.charged = Some((period, resets, used.min(DAYS.used_max())));
            Outcome { used, clear_at: period + 1, ..current }
        }

        fn give_back(&mut self, now: u64, from: Option<(u64, u64)>, amount: u64) -> u64 {
            let (period, resets, _) = self.used(now);
            let from = from.unwrap_or((period, resets));
            match &mut self.charged {
                // A saturated usage is not given back.
                Some((period, resets, used))
                    if (*period, *resets) == from && *used < DAYS.used_max() =>
                {
                    let returned = amount.min(*used);
                    *used -= returned;
                    returned
                }
                _ => 0,
            }
        }

        fn reset(&mut self) {
            if let Some((_, resets, used)) = &mut self.charged
                && *used > 0
            {
                (*resets, *used) = (*resets + 1, 0);
            }
        }
    }

    fn stamp_of(period: u64, resets: u64) -> u64 {
        DAYS.stamp_of(period) + resets
    }

    #[derive(Clone, Debug)]
    enum Step {
        Charge(ChargeArgs),
        /// The time, the period and its resets of the charge, and the units.
        GiveBack(u64, Option<(u64, u64)>, u64),
        Reset,
        /// A move to an array whose cutoff is later by this many periods.
        Move(u64),
    }

    fn step(first: u64) -> impl Strategy<Value = Step> {
        let now =
            move || prop_oneof![9 => first..first + 6, 1 => 0..first + 1, 1 => Just(u64::MAX)];
        let units = || prop_oneof![8 => 0u64..20, 1 => DAYS.used_max() - 9..=DAYS.used_max() + 9, 1 => Just(u64::MAX)];
        let limit = prop_oneof![6 => 1u64..30, 1 => Just(0), 2 => Just(u64::MAX)];
        let charge =
            (now(), units(), limit).prop_map(|(now, cost, limit)| ChargeArgs { now, cost, limit });
        prop_oneof![
            9 => charge.prop_map(Step::Charge),
            3 => (now(), prop::option::of((now().prop_map(|period| period.min(PERIOD_MAX)), 0u64..3)), units())
                .prop_map(|(now, from, units)| Step::GiveBack(now, from, units)),
            1 => Just(Step::Reset),
            1 => (0u64..3).prop_map(Step::Move),
        ]
    }

    /// Moves the quota to another array. Checks that every operation on the frozen one returns
    /// `Moved` and changes nothing.
    fn moved(old: &Quota, from: TimeBase, to: TimeBase) -> Quota {
        let weight = old.weight(&Budget::DAYS, from, to.cutoff);
        let frozen = old.freeze();
        assert_eq!(old.freeze(), frozen, "a second freeze differs");
        assert_eq!(Quota::frozen_weight(&frozen, &Budget::DAYS, from, to.cutoff), weight);
        assert_eq!(old.weight(&Budget::DAYS, from, to.cutoff), weight);
        let (before, base) = (word(old), from);
        let args = ChargeArgs { now: 5, cost: 1, limit: u64::MAX };
        assert_eq!(old.charge(&Budget::DAYS, base, &args), Err(Moved));
        assert_eq!(old.peek(&Budget::DAYS, base, &args), Err(Moved));
        assert_eq!(old.reset(&Budget::DAYS, base, &mut None, |_| ()), Err(Moved));
        assert_eq!(old.give_back(&Budget::DAYS, base, 5, Since::tick(None), &mut 1), Err(Moved));
        assert_eq!(word(old), before);
        let new = quota(0);
        new.install(&Budget::DAYS, &frozen, from, to);
        new
    }

    /// Asserts that the fast path prepares what the slow path does. A forced charge never takes it.
    fn assert_fast_path(quota: &Quota, base: TimeBase, args: &ChargeArgs) {
        // No clock reads the last period of 64 bits.
        if args.cost == 0 || args.limit > crate::error::MAX_LIMIT || args.now == u64::MAX {
            return;
        }
        let fast = quota.prepare(&Budget::DAYS, base, args, ScalarSum);
        let slow = (args.cost <= args.limit).then(|| quota.evaluate(DAYS, base, args).unwrap());
        assert_eq!(format!("{fast:?}"), format!("{slow:?}"));
    }

    proptest! {
        /// A quota matches the oracle in any period, with any clock, and across moves.
        #[test]
        fn quota_matches_oracle(
            (cutoff, steps) in prop_oneof![Just(0), Just(5), Just(20_000), Just(PERIOD_MAX - 3)]
                .prop_flat_map(|first| (Just(first), prop::collection::vec(step(first), 1..60))),
        ) {
            let mut base = Quota::base(&Budget::DAYS, cutoff);
            let (mut quota, mut oracle) = (quota(0), Oracle { cutoff, charged: None });
            for step in steps {
                match step {
                    Step::Charge(args) => {
                        let before = word(&quota);
                        let peeked = quota.peek(&Budget::DAYS, base, &args);
                        prop_assert_eq!(peeked, Ok(oracle.peek(&args)));
                        assert_fast_path(&quota, base, &args);
                        prop_assert_eq!(word(&quota), before);
                        let outcome = quota.charge(&Budget::DAYS, base, &args);
                        prop_assert_eq!(outcome, Ok(oracle.charge(&args)));
                    }
                    Step::GiveBack(now, from, amount) => {
                        let mut rest = amount;
                        let since = from.map(|(period, resets)| stamp_of(period, resets));
                        quota.give_back(&Budget::DAYS, base, now, Since::tick(since), &mut rest).unwrap();
                        prop_assert_eq!(amount - rest, oracle.give_back(now, from, amount));
                    }
                    Step::Reset => {
                        quota.reset(&Budget::DAYS, base, &mut None, |_| ()).unwrap();
                        oracle.reset();
                    }
                    Step::Move(later) => {
                        let to = Quota::base(&Budget::DAYS, base.cutoff + later);
                        prop_assert!(to.cutoff <= PERIOD_MAX);
                        let expected_weight = match oracle.charged {
                            Some((period, ..)) if period > to.cutoff => u64::MAX,
                            Some((period, 0, used)) if period == to.cutoff => used,
                            Some((period, ..)) if period == to.cutoff => u64::MAX,
                            _ => 0,
                        };
                        prop_assert_eq!(quota.weight(&Budget::DAYS, base, to.cutoff), expected_weight);
                        let new = moved(&quota, base, to);
                        // A late install changes nothing, even if the word has changed since.
                        if new.is_open() {
                            new.reset(&Budget::DAYS, to, &mut None, |_| ()).unwrap();
                            let before = word(&new);
                            new.install(&Budget::DAYS, &quota.freeze(), base, to);
                            prop_assert_eq!(word(&new), before);
                            oracle.reset();
                        }
                        (quota, base, oracle.cutoff) = (new, to, to.cutoff);
                    }
                }
                prop_assert_eq!(quota.is_open(), oracle.charged.is_some());
            }
        }
    }

    /// After the last reset that a word can count, receipts of the period give back nothing.
    #[test]
    fn last_stamp_is_not_given_back() {
        let budget = Budget::new(Calendar::DAYS, crate::error::MAX_LIMIT);
        let (quota, base) = (quota(0), Quota::base(&budget, 0));
        let charge =
            || quota.charge(&budget, base, &ChargeArgs { now: 7, cost: 2, limit: 9 }).unwrap();
        for resets in 0..40 {
            let Outcome { admitted, used, at, .. } = charge();
            assert_eq!((admitted, used), (true, 2));
            let mut rest = 2;
            quota.give_back(&budget, base, 7, Since::tick(Some(at)), &mut rest).unwrap();
            assert_eq!(rest, if resets < 31 { 0 } else { 2 }, "{resets} resets");
            charge();
            quota.reset(&budget, base, &mut None, |_| ()).unwrap();
            quota.give_back(&budget, base, 7, Since::tick(Some(at)), &mut 2).unwrap();
            assert_eq!(
                quota.peek(&budget, base, &ChargeArgs { now: 7, cost: 0, limit: 9 }).unwrap().used,
                0
            );
        }
    }

    /// A charge in the last period never expires.
    #[test]
    fn last_period_never_ends() {
        let (quota, base) = (quota(0), Quota::base(&Budget::DAYS, 0));
        let charge = |now, cost| {
            quota.charge(&Budget::DAYS, base, &ChargeArgs { now, cost, limit: 5 }).unwrap()
        };
        assert!(charge(PERIOD_MAX + 2, 5).admitted);
        for now in [PERIOD_MAX, PERIOD_MAX + 9, u64::MAX] {
            assert!(!charge(now, 1).admitted);
            assert_eq!(quota.weight(&Budget::DAYS, base, now), 5);
        }
    }

    /// No calendar array is renewed because of its age: each word holds its own period.
    #[test]
    fn calendar_arrays_need_no_renewal() {
        let base = Quota::base(&Budget::DAYS, 7);
        for now in [0, 7, PERIOD_MAX, u64::MAX] {
            assert!(!base.needs_renewal(now) && !Quota::is_out_of_range(&Budget::DAYS, base, now));
        }
        assert_eq!(Quota::window(&Budget::DAYS), 1);
    }
}
