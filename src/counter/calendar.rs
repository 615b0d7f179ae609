//! One key's calendar budget, in a single word.
//!
//! The word holds both the period and its usage. Hence a change of period needs no reset job and
//! loses no charge.
//!
//! ```text
//!  63                                0
//! [ period + 1 | used : 42 | MOVED ]
//! ```
//!
//! # Invariants
//! - Q1: the period never decreases. If a clock steps back over a change of period, its charges go
//!   to the newer period; no period is reopened.
//! - Q2: within a period, only refunds and resets lower the usage.
//!
//! # Progress
//! Lock-free: a CAS fails only if another one succeeded.

use super::prepared::{CounterEvaluation, ObservedAtomic, PreparedCharge};
use super::sliding::sum::Sum;
use super::{ChargeArgs, Counter, Moved, NEVER, Outcome, TimeBase};
use crate::clock::Now;
use crate::policy::calendar::Calendar;
use crate::sync::progress::Retries;
use crate::sync::{AtomicU64, Ordering, Ordering::*, order};
use std::cmp;
use std::hint::cold_path;

/// The word is frozen for a move to another array and never changes again in this one.
const MOVED: u64 = 1;
const USED_BITS: u32 = 42;
const USED_MAX: u64 = (1 << USED_BITS) - 1;
const PERIOD_SHIFT: u32 = USED_BITS + 1;
/// The last period. Counted in hours from 1970 it is in the year 2209; later instants belong to it.
const PERIOD_MAX: u64 = (u64::MAX >> PERIOD_SHIFT) - 1;

const _: () =
    assert!(crate::error::MAX_LIMIT < USED_MAX / 2, "a budget leaves room for forced charges");

/// The usage of one period. Zeroed memory is a fresh quota.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Quota {
    word: AtomicU64,
}

fn period(word: u64) -> u64 {
    (word >> PERIOD_SHIFT).saturating_sub(1)
}

fn used(word: u64) -> u64 {
    (word >> 1) & USED_MAX
}

/// Packs an open word. The usage saturates at `USED_MAX`.
fn pack(period: u64, used: u64) -> u64 {
    ((period.min(PERIOD_MAX) + 1) << PERIOD_SHIFT) | (used.min(USED_MAX) << 1)
}

/// Returns the period that a request at `now` is charged to, and the usage of that period.
fn usage(word: u64, base: TimeBase, now: u64) -> (u64, u64) {
    // Model: budget_dropped with NoCutoff.
    let now = now.max(base.cutoff).min(PERIOD_MAX);
    let open = word & !MOVED != 0;
    if open && now <= period(word) { (period(word), used(word)) } else { (now, 0) }
}

impl Quota {
    /// The outcome of a charge that is evaluated against this word and not made.
    fn decide(word: u64, base: TimeBase, args: &ChargeArgs) -> Outcome {
        let (at, used) = usage(word, base, args.now);
        let admitted = used.saturating_add(args.cost) <= args.limit;
        let fits_at = match () {
            () if admitted => at,
            () if args.cost > args.limit => NEVER,
            () if at == PERIOD_MAX => NEVER - 1,
            () => at + 1,
        };
        let clear_at = if used > 0 { at + 1 } else { at };
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
    fn evaluate(&self, base: TimeBase, args: &ChargeArgs) -> Result<CounterEvaluation<'_>, Moved> {
        let word = self.load(order::budget_load())?;
        let current = Quota::decide(word, base, args);
        if !current.admitted || args.cost == 0 {
            return Ok((current, None));
        }
        let used = current.used.saturating_add(args.cost);
        let outcome = Outcome { used, clear_at: current.at + 1, ..current };
        let target = ObservedAtomic { atomic: &self.word, word };
        let word = pack(current.at, used);
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
    type Spec = Calendar;
    type Frozen = u64;

    #[cfg(all(test, tollgate_model))]
    fn zeroed() -> Self {
        Quota { word: AtomicU64::new(0) }
    }

    #[inline(always)]
    fn tick(calendar: &Calendar, now: Now) -> u64 {
        calendar.index(now.unix_ns)
    }

    #[inline(always)]
    fn wrapping_tick(calendar: &Calendar, now: Now) -> u64 {
        Self::tick(calendar, now)
    }

    #[inline(always)]
    fn ns_until(calendar: &Calendar, tick: u64, now: Now) -> u64 {
        Self::wait_ns(calendar, tick, now)
    }

    #[inline(always)]
    fn wait_ns(calendar: &Calendar, tick: u64, now: Now) -> u64 {
        calendar.start_ns(tick).saturating_sub(now.unix_ns)
    }

    fn resolution_ns(_: &Calendar) -> u64 {
        1
    }

    fn base(_: &Calendar, cutoff: u64) -> TimeBase {
        TimeBase::new(0, cutoff.min(PERIOD_MAX), u64::MAX)
    }

    fn is_out_of_range(_: &Calendar, _: TimeBase, _: u64) -> bool {
        false
    }

    fn window(_: &Calendar) -> u64 {
        1
    }

    #[inline(always)]
    fn prepare<'a, S: Sum>(
        &'a self,
        _: &Calendar,
        base: TimeBase,
        args: &ChargeArgs,
        _: S,
    ) -> Option<CounterEvaluation<'a>> {
        if args.cost > args.limit {
            // Nothing will be written.
            return None;
        }
        let word = self.load(order::budget_load()).ok()?;
        let used = used(word) + args.cost;
        let is_present = word >> PERIOD_SHIFT == args.now + 1 && args.now >= base.cutoff;
        if !is_present || used > args.limit {
            cold_path();
            return self.evaluate(base, args).ok();
        }
        // The usual case: the word is of this period and has room. So it only grows by the cost.
        let (at, clear_at) = (args.now, args.now + 1);
        let outcome = Outcome { admitted: true, used, at, fits_at: at, clear_at };
        let target = ObservedAtomic { atomic: &self.word, word };
        let word = word + (args.cost << 1);
        Some((outcome, Some(PreparedCharge { head: None, target, word, opens_bucket: false })))
    }

    fn charge(&self, _: &Calendar, base: TimeBase, args: &ChargeArgs) -> Result<Outcome, Moved> {
        let mut retries = Retries::new();
        loop {
            retries.count();
            let (outcome, prepared) = self.evaluate(base, args)?;
            if prepared.is_none_or(PreparedCharge::commit) {
                return Ok(outcome);
            }
        }
    }

    fn peek(&self, _: &Calendar, base: TimeBase, args: &ChargeArgs) -> Result<Outcome, Moved> {
        // Model: budget_peek_against_move with QuotaPeekRelaxed.
        Ok(Quota::decide(self.load(order::budget_peek())?, base, args))
    }

    fn give_back(
        &self,
        _: &Calendar,
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
            // A saturated count may be lower than the real usage, so nothing is taken from it.
            if word == 0 || period(word) != from || used(word) == USED_MAX || used(word) == 0 {
                return None;
            }
            returned = (*amount).min(used(word));
            Some(pack(period(word), used(word) - returned))
        })?;
        *amount -= returned;
        Ok(is_live)
    }

    fn reset(&self, _: &Calendar, _: TimeBase) -> Result<(), Moved> {
        self.update(|word| (used(word) > 0).then(|| pack(period(word), 0)))
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

    fn weight(&self, spec: &Calendar, base: TimeBase, cutoff: u64) -> u64 {
        // Relaxed: the result is a hint.
        Self::frozen_weight(&(self.word.load(Relaxed) & !MOVED), spec, base, cutoff)
    }

    fn freeze(&self) -> u64 {
        // An RMW, so that no CAS on the old value can succeed afterwards. Release: a thread that
        // sees MOVED also sees the array that the word is moved to. Pairs with the Acquire in
        // `load`. Model: budget_move_against_charge with NoFreeze and QuotaFreezeRelaxed.
        self.word.fetch_or(MOVED, order::budget_freeze()) & !MOVED
    }

    fn frozen_weight(frozen: &u64, _: &Calendar, _: TimeBase, cutoff: u64) -> u64 {
        match period(*frozen).cmp(&cutoff.min(PERIOD_MAX)) {
            _ if *frozen == 0 => 0,
            cmp::Ordering::Less => 0,
            cmp::Ordering::Equal => used(*frozen),
            // Model: budget_seen_later with DropsLater.
            cmp::Ordering::Greater => u64::MAX,
        }
    }

    fn install(&self, _: &Calendar, frozen: &u64, _: TimeBase, _: TimeBase) {
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
        /// The newest charged period and its usage.
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

        fn peek(&self, args: &ChargeArgs) -> Outcome {
            let (at, used) = self.used(args.now);
            let forced = args.limit == u64::MAX;
            let admitted = forced || used as u128 + args.cost as u128 <= args.limit as u128;
            let next = if at == PERIOD_MAX { NEVER - 1 } else { at + 1 };
            let fits_at = if args.cost > args.limit { NEVER } else { next };
            let clear_at = if used > 0 { at + 1 } else { at };
            Outcome { admitted, used, at, fits_at: if admitted { at } else { fits_at }, clear_at }
        }

        fn charge(&mut self, args: &ChargeArgs) -> Outcome {
            let current = self.peek(args);
            if !current.admitted || args.cost == 0 {
                return current;
            }
            let used = current.used.saturating_add(args.cost);
            self.charged = Some((current.at, used.min(USED_MAX)));
            Outcome { used, clear_at: current.at + 1, ..current }
        }

        fn give_back(&mut self, now: u64, from: Option<u64>, amount: u64) -> u64 {
            let from = from.unwrap_or(self.used(now).0);
            match &mut self.charged {
                // A saturated usage is not given back.
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
        Charge(ChargeArgs),
        GiveBack(u64, Option<u64>, u64),
        Reset,
        /// A move to an array whose cutoff is later by this many periods.
        Move(u64),
    }

    fn step(first: u64) -> impl Strategy<Value = Step> {
        let now =
            move || prop_oneof![9 => first..first + 6, 1 => 0..first + 1, 1 => Just(u64::MAX)];
        let units =
            || prop_oneof![8 => 0u64..20, 1 => USED_MAX - 9..=USED_MAX + 9, 1 => Just(u64::MAX)];
        let limit = prop_oneof![6 => 1u64..30, 1 => Just(0), 2 => Just(u64::MAX)];
        let charge =
            (now(), units(), limit).prop_map(|(now, cost, limit)| ChargeArgs { now, cost, limit });
        prop_oneof![
            9 => charge.prop_map(Step::Charge),
            3 => (now(), prop::option::of(now()), units())
                .prop_map(|(now, from, units)| Step::GiveBack(now, from, units)),
            1 => Just(Step::Reset),
            1 => (0u64..3).prop_map(Step::Move),
        ]
    }

    /// Moves the quota to another array. Checks that every operation on the frozen one returns
    /// `Moved` and changes nothing.
    fn moved(old: &Quota, from: TimeBase, to: TimeBase) -> Quota {
        let weight = old.weight(&Calendar::DAYS, from, to.cutoff);
        let frozen = old.freeze();
        assert_eq!(old.freeze(), frozen, "a second freeze differs");
        assert_eq!(Quota::frozen_weight(&frozen, &Calendar::DAYS, from, to.cutoff), weight);
        assert_eq!(old.weight(&Calendar::DAYS, from, to.cutoff), weight);
        let (before, base) = (word(old), from);
        let args = ChargeArgs { now: 5, cost: 1, limit: u64::MAX };
        assert_eq!(old.charge(&Calendar::DAYS, base, &args), Err(Moved));
        assert_eq!(old.peek(&Calendar::DAYS, base, &args), Err(Moved));
        assert_eq!(old.reset(&Calendar::DAYS, base), Err(Moved));
        assert_eq!(old.give_back(&Calendar::DAYS, base, 5, None, &mut 1), Err(Moved));
        assert_eq!(word(old), before);
        let new = quota(0);
        new.install(&Calendar::DAYS, &frozen, from, to);
        new
    }

    /// Asserts that the fast path prepares what the slow path does. A forced charge never takes it.
    fn assert_fast_path(quota: &Quota, base: TimeBase, args: &ChargeArgs) {
        // No clock reads the last period of 64 bits.
        if args.cost == 0 || args.limit > crate::error::MAX_LIMIT || args.now == u64::MAX {
            return;
        }
        let fast = quota.prepare(&Calendar::DAYS, base, args, ScalarSum);
        let slow = (args.cost <= args.limit).then(|| quota.evaluate(base, args).unwrap());
        assert_eq!(format!("{fast:?}"), format!("{slow:?}"));
    }

    proptest! {
        /// A quota matches the oracle in any period, with any clock, and across moves.
        #[test]
        fn quota_matches_oracle(
            (cutoff, steps) in prop_oneof![Just(0), Just(5), Just(480_000), Just(PERIOD_MAX - 3)]
                .prop_flat_map(|first| (Just(first), prop::collection::vec(step(first), 1..60))),
        ) {
            let mut base = Quota::base(&Calendar::DAYS, cutoff);
            let (mut quota, mut oracle) = (quota(0), Oracle { cutoff, charged: None });
            for step in steps {
                match step {
                    Step::Charge(args) => {
                        let before = word(&quota);
                        let peeked = quota.peek(&Calendar::DAYS, base, &args);
                        prop_assert_eq!(peeked, Ok(oracle.peek(&args)));
                        assert_fast_path(&quota, base, &args);
                        prop_assert_eq!(word(&quota), before);
                        let outcome = quota.charge(&Calendar::DAYS, base, &args);
                        prop_assert_eq!(outcome, Ok(oracle.charge(&args)));
                    }
                    Step::GiveBack(now, from, amount) => {
                        let mut rest = amount;
                        quota.give_back(&Calendar::DAYS, base, now, from, &mut rest).unwrap();
                        prop_assert_eq!(amount - rest, oracle.give_back(now, from, amount));
                    }
                    Step::Reset => {
                        quota.reset(&Calendar::DAYS, base).unwrap();
                        oracle.charged = oracle.charged.map(|(period, _)| (period, 0));
                    }
                    Step::Move(later) => {
                        let to = Quota::base(&Calendar::DAYS, base.cutoff + later);
                        prop_assert!(to.cutoff <= PERIOD_MAX);
                        let expected_weight = match oracle.charged {
                            Some((period, _)) if period > to.cutoff => u64::MAX,
                            Some((period, used)) if period == to.cutoff => used,
                            _ => 0,
                        };
                        prop_assert_eq!(quota.weight(&Calendar::DAYS, base, to.cutoff), expected_weight);
                        let new = moved(&quota, base, to);
                        // A late install changes nothing, even if the word has changed since.
                        if new.is_open() {
                            new.reset(&Calendar::DAYS, to).unwrap();
                            let before = word(&new);
                            new.install(&Calendar::DAYS, &quota.freeze(), base, to);
                            prop_assert_eq!(word(&new), before);
                            oracle.charged = oracle.charged.map(|(period, _)| (period, 0));
                        }
                        (quota, base, oracle.cutoff) = (new, to, to.cutoff);
                    }
                }
                prop_assert_eq!(quota.is_open(), oracle.charged.is_some());
            }
        }
    }

    /// A charge in the last period never expires.
    #[test]
    fn last_period_never_ends() {
        let (quota, base) = (quota(0), Quota::base(&Calendar::DAYS, 0));
        let charge = |now, cost| {
            quota.charge(&Calendar::DAYS, base, &ChargeArgs { now, cost, limit: 5 }).unwrap()
        };
        assert!(charge(PERIOD_MAX + 2, 5).admitted);
        for now in [PERIOD_MAX, PERIOD_MAX + 9, u64::MAX] {
            assert!(!charge(now, 1).admitted);
            assert_eq!(quota.weight(&Calendar::DAYS, base, now), 5);
        }
    }

    /// No calendar array is renewed because of its age: each word holds its own period.
    #[test]
    fn calendar_arrays_need_no_renewal() {
        let base = Quota::base(&Calendar::DAYS, 7);
        for now in [0, 7, PERIOD_MAX, u64::MAX] {
            assert!(
                !base.needs_renewal(now) && !Quota::is_out_of_range(&Calendar::DAYS, base, now)
            );
        }
        assert_eq!(Quota::window(&Calendar::DAYS), 1);
    }
}
