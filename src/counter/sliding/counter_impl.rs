//! The [`Counter`] operations of a ring.

use super::head::HeadSnapshot;
use super::snapshot::Snapshot;
use super::sum::Sum;
use super::time_scale::TimeScale;
use super::word::MOVED;
use super::{Ring, local_time, outcome_in_ticks, to_tick};
use crate::clock::Now;
use crate::counter::prepared::{CounterEvaluation, PreparedCharge};
use crate::counter::{ChargeArgs, Counter, Moved, Outcome, Since, TimeBase};
use crate::sync::progress::Retries;
use crate::sync::{Ordering::*, order};

impl<const R: usize> Counter for Ring<R> {
    type Spec = TimeScale;
    type Frozen = Snapshot<R>;

    #[cfg(all(test, tollgate_model))]
    fn zeroed() -> Self {
        Ring { words: std::array::from_fn(|_| crate::sync::AtomicU64::new(0)) }
    }

    #[inline(always)]
    fn tick(scale: &TimeScale, now: Now) -> u64 {
        scale.tick(now.monotonic_ns)
    }

    #[inline(always)]
    fn wrapping_tick(scale: &TimeScale, now: Now) -> u64 {
        scale.wrapping_tick(now.monotonic_ns)
    }

    #[inline(always)]
    fn ns_until(scale: &TimeScale, tick: u64, now: Now) -> u64 {
        scale.ns_until(tick, now.monotonic_ns)
    }

    #[inline(always)]
    fn wait_ns(scale: &TimeScale, tick: u64, now: Now) -> u64 {
        scale.instant_ns(tick).saturating_sub(now.monotonic_ns)
    }

    fn resolution_ns(scale: &TimeScale) -> u64 {
        scale.tick_ns()
    }

    fn base(spec: &TimeScale, cutoff: u64) -> TimeBase {
        let origin = spec.origin(cutoff);
        let base = TimeBase::new(origin, cutoff, origin.saturating_add(spec.renew_at()));
        base.fast_until(spec.last_exact_tick())
    }

    fn is_out_of_range(spec: &TimeScale, base: TimeBase, now: u64) -> bool {
        now.saturating_sub(base.origin) > spec.format().max_time()
    }

    fn window(spec: &TimeScale) -> u64 {
        spec.window()
    }

    #[inline(always)]
    fn prepare<'a, S: Sum>(
        &'a self,
        spec: &TimeScale,
        base: TimeBase,
        args: &ChargeArgs,
        sum: S,
    ) -> Option<CounterEvaluation<'a>> {
        self.evaluate_fast(spec, base, args, sum)
    }

    fn charge(
        &self,
        spec: &TimeScale,
        base: TimeBase,
        args: &ChargeArgs,
    ) -> Result<Outcome, Moved> {
        let mut retries = Retries::new();
        loop {
            retries.count();
            let Some(snapshot) = self.head_snapshot()? else { continue };
            if let Some((outcome, prepared)) = self.evaluate(spec, base, args, snapshot)?
                && prepared.is_none_or(PreparedCharge::commit)
            {
                return Ok(outcome);
            }
        }
    }

    fn peek(&self, spec: &TimeScale, base: TimeBase, args: &ChargeArgs) -> Result<Outcome, Moved> {
        let now = local_time(base, args.now);
        let mut retries = Retries::new();
        loop {
            retries.count();
            let Some(snapshot) = self.head_snapshot()? else { continue };
            let at = snapshot.effective_time(spec, now);
            let outcome = self.scan(spec, at, snapshot.head, args.cost, args.limit);
            // Model: denial_by_peek with PeekUnvalidated.
            if self.is_unchanged(snapshot.target()) {
                return Ok(outcome_in_ticks(base.origin, outcome));
            }
        }
    }

    fn give_back(
        &self,
        spec: &TimeScale,
        base: TimeBase,
        now: u64,
        since: Option<Since<impl Fn() -> bool>>,
        amount: &mut u64,
    ) -> Result<bool, Moved> {
        let format = spec.format();
        let mut retries = Retries::new();
        loop {
            retries.count();
            let Some(HeadSnapshot { head, .. }) = self.head_snapshot()? else { continue };
            let newest_time = format.time(head.word);
            let now = local_time(base, now).max(newest_time);
            let Some(oldest) = oldest_live(spec, base, since.as_ref().map(|since| since.at), now)
            else {
                return Ok(false);
            };
            let live = spec.live(now);
            let (mut in_newer_cell, mut was_reset) = (false, false);
            for step in 1..=R {
                let mut given = 0;
                self.update((head.index + step) % R, |word| {
                    let time = format.time(word);
                    // A bucket opened since the head was loaded is newer than the refunded charge.
                    in_newer_cell = spec.cell(time) > spec.cell(newest_time);
                    // The charge may be in a later cell, if its bucket was merged. Model: merge
                    // with NoRefundMerged.
                    let eligible = time >= oldest && !in_newer_cell && live.has(word);
                    let (after, taken) =
                        if eligible { format.give_back(word, *amount) } else { (word, 0) };
                    // After the load of the word: so a word that was written after a reset is not lowered
                    // for a charge before it. Schedules: settled while reset with ResetSeenBefore.
                    was_reset =
                        taken > 0 && since.as_ref().is_some_and(|since| (since.was_reset)());
                    given = if was_reset { 0 } else { taken };
                    if was_reset { word } else { after }
                })?;
                if was_reset {
                    return Ok(false);
                }
                *amount -= given;
                if *amount == 0 {
                    return Ok(true);
                }
            }
            // The head came last. If it is now in a later cell, the refunded charge may have been
            // merged into it: retry. Schedule: cancelled_against_merge with MergedIsNewer.
            if !in_newer_cell {
                return Ok(true);
            }
        }
    }

    fn reset(
        &self,
        spec: &TimeScale,
        base: TimeBase,
        newest: &mut Option<u64>,
        record: impl Fn(u64),
    ) -> Result<(), Moved> {
        let format = spec.format();
        if newest.is_none() {
            let head = self.reset_head(spec, |time| record(to_tick(base.origin, time)))?;
            *newest = head.map(|time| to_tick(base.origin, time));
        }
        let Some(last) = newest.and_then(|newest| newest.checked_sub(base.origin)) else {
            return Ok(());
        };
        for index in 0..R {
            // Later words were charged after the reset of the head. Model:
            // settled_against_reset with ResetsLater.
            let is_earlier = |word| format.time(word) <= last;
            self.update(index, |word| if is_earlier(word) { format.clear(word) } else { word })?;
        }
        Ok(())
    }

    #[inline(always)]
    fn is_open(&self) -> bool {
        // Relaxed: every later operation loads the head with Acquire. A copy's head, at index 0, is
        // published last. Model: two_movers with PublishHeadFirst.
        self.words[0].load(Relaxed) != 0
    }

    #[inline(always)]
    fn is_frozen(&self) -> bool {
        // Relaxed: a hint. The word at index 0 is frozen first, so after an operation that has seen any
        // MOVED word with Acquire, this load sees it as well.
        self.words[0].load(Relaxed) & MOVED != 0
    }

    fn weight(&self, spec: &TimeScale, base: TimeBase, cutoff: u64) -> u64 {
        // Relaxed: the result is a hint.
        let words = std::array::from_fn(|index| self.words[index].load(Relaxed));
        Self::frozen_weight(&Snapshot::new(words), spec, base, cutoff)
    }

    fn freeze(&self) -> Snapshot<R> {
        let mut previous_unopened = false;
        Snapshot::new(std::array::from_fn(|index| {
            // Words are opened in ring order. If the previous word is frozen unopened, this one can
            // never be opened, and needs no freeze if it is empty. It need not be empty: a copied
            // ring can have empty words before live ones. Relaxed: the copied words were visible
            // before a move out of this array could begin. Model: move_against_seal with
            // FreezeNotNext. Schedule: WINDOWS with EmptyEndsRing.
            if previous_unopened && self.words[index].load(Relaxed) == 0 {
                return 0;
            }
            // An RMW, so that no CAS on the old value can succeed afterwards. Release: a thread
            // that sees MOVED also sees the array that the word is moved to. Pairs with the Acquire
            // in `head` and `update`. Models: move_against_charge with NoFreeze and FreezeRelaxed,
            // move_against_seal with FreezeHeadOnly.
            let word = self.words[index].fetch_or(MOVED, order::ring_freeze());
            previous_unopened = word & !MOVED == 0;
            word
        }))
    }

    fn frozen_weight(frozen: &Snapshot<R>, spec: &TimeScale, base: TimeBase, cutoff: u64) -> u64 {
        let cutoff = local_time(base, cutoff);
        let newest = spec.format().time(frozen.newest());
        // Model: seen_later with DropsLater.
        if newest > cutoff { u64::MAX } else { frozen.used(spec, cutoff) }
    }

    fn install(&self, spec: &TimeScale, frozen: &Snapshot<R>, from: TimeBase, to: TimeBase) {
        let words = frozen.rebased(
            spec,
            local_time(from, to.cutoff),
            to.origin.saturating_sub(from.origin),
        );
        let publish = |index: usize, order| {
            if words[index] != 0 {
                // A late install finds a word that is not 0, and its CAS fails: a word of an open
                // ring never becomes 0 again.
                let _ = self.words[index].compare_exchange(0, words[index], order, Relaxed);
            }
        };
        // Relaxed: the Release of the head below publishes these words. It also covers the words of
        // another helper: this thread's failed CASes have read them, so by coherence a thread that
        // acquires the head sees them too.
        (1..R).for_each(|index| publish(index, Relaxed));
        // Release: a thread that sees the head also sees the older words. Pairs with the Acquire in
        // `head`. Model: two_movers with PublishHeadFirst and InstallRelaxed.
        publish(0, order::ring_install());
    }
}

/// The earliest time from which units are given back at `now`.
///
/// `None` if the charge made at `from` has expired: no word holds it any more, and its units must
/// not be taken from other charges. Model: expired_charge with RefundExpired.
fn oldest_live(spec: &TimeScale, base: TimeBase, from: Option<u64>, now: u64) -> Option<u64> {
    let Some(from) = from else { return Some(0) };
    let from = from.checked_sub(base.origin)?;
    let is_live = now - from.min(now) < spec.window();
    is_live.then_some(from)
}
