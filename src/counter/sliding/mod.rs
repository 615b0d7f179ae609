//! One key's sliding window: a fixed ring of words, each a bucket of charges.
//!
//! # State
//! The head is the newest bucket. All other words are sealed or empty: the head is sealed before the
//! next word is opened. A bucket takes the charges of one *cell*, which is a fixed span of time (see
//! [`time_scale`]). If the next word is still live when the cell ends, the bucket is merged into the new
//! cell instead. Every operation changes one word at a time, by a CAS.
//!
//! # Invariants
//! - R1: the times of opened words strictly increase along the ring, from the word after the head to
//!   the head. Hence a word never returns to an earlier time in this array.
//! - R2: the target is the unsealed head or, after a sealed head, the next word. While the target
//!   is unchanged, no word of the ring gains a charge. Hence a successful CAS of the target proves
//!   that usage is at most the sum which admitted the charge. For this, the sum must count the target
//!   with the value that the CAS expects: a refund and a charge may have changed and restored it in
//!   between.
//! - R3: refunds and resets only lower counts, and a reset moves the time of an unsealed head to the next
//!   tick. They neither seal nor unseal.
//! - R4: a MOVED word never changes. Words are frozen in order from index 0. An empty word that can
//!   never be opened need not be frozen.
//!
//! # Progress
//! Lock-free: a CAS fails only if another one succeeded. A thread that stops between sealing and
//! opening leaves a sealed head; any other thread can then open the next word.

mod counter_impl;
mod fast;
mod head;
mod reciprocal;
mod snapshot;
pub(crate) mod sum;
pub(crate) mod time_scale;
mod usage;
#[cfg(all(feature = "vector", target_arch = "x86_64", not(miri), not(all(test, tollgate_model))))]
pub(crate) mod vector_sum;
pub(crate) mod word;

use super::prepared::{CounterEvaluation, ObservedAtomic, PreparedCharge};
use super::{ChargeArgs, Moved, NEVER, Outcome, TimeBase};
use crate::sync::progress::Retries;
use crate::sync::{AtomicU64, Ordering, Ordering::*, fence, order};
use head::{HeadSnapshot, ObservedWord, Write};
use std::hint::cold_path;
use std::ops::ControlFlow::{self, Break, Continue};
use sum::{ScalarSum, Sum};
use time_scale::TimeScale;
use usage::UsageScan;
use word::{Live, MOVED, SEALED};

/// The length of the longest ring that [`ScalarSum`] sums as a whole, without branches. In longer rings,
/// the sum stops at the first word that is not live.
pub(crate) const SHORT: usize =
    if cfg!(all(test, tollgate_model, not(tollgate_shuttle))) { 3 } else { 15 };

/// `R` buckets. Zeroed memory is a fresh ring.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Ring<const R: usize> {
    words: [AtomicU64; R],
}

impl<const R: usize> Ring<R> {
    /// Loads the newest word. With concurrent writes it may be any word.
    #[inline(always)]
    fn head(&self) -> ObservedWord {
        // Acquire: a thread that sees this head sees every change made before the head was written,
        // so that a sum of later loads misses no charge. Pairs with the Release in
        // `PreparedCharge::commit`. Model: `wrap, two words` with HeadRelaxed.
        self.observe(self.newest_index(), order::ring_head())
    }

    /// Loads a snapshot of the head, or returns `Moved`. `None` if concurrent writes make it
    /// inconsistent.
    #[inline(always)]
    fn head_snapshot(&self) -> Result<Option<HeadSnapshot>, Moved> {
        let head = self.head();
        if head.word & MOVED != 0 {
            // No fence: `head` has loaded this word with Acquire, which pairs with the Release in
            // `freeze`. Hence the caller's next lookup sees the array that the word is moved to.
            return Err(Moved);
        }
        let is_sealed = head.word & SEALED != 0;
        let snapshot = HeadSnapshot {
            head,
            next: if is_sealed { Some(self.next(head.index)?) } else { None },
        };
        Ok((!snapshot.is_inconsistent()).then_some(snapshot))
    }

    /// Loads the word after this index. Returns `Moved` if it was moved, since it must not be opened then.
    #[inline(always)]
    fn next(&self, index: usize) -> Result<ObservedWord, Moved> {
        // Relaxed: ordered after the Acquire of the head, like all other loads. A retry after a
        // MOVED word makes progress: the search in `newest_index` loads this word with Acquire.
        let next = self.observe(if index + 1 == R { 0 } else { index + 1 }, Relaxed);
        if next.word & MOVED != 0 { Err(Moved) } else { Ok(next) }
    }

    /// The index of the newest word, by binary search.
    ///
    /// R1: the words newer than the first one follow it directly, and the newest is the last of
    /// them. With concurrent writes the result may be any index, so `head` loads the word again.
    #[inline(always)]
    fn newest_index(&self) -> usize {
        // Acquire: a retry after `next` has found a MOVED word must see the array that the word is
        // moved to, or it retries without progress. Pairs with the Release in `freeze`. Model:
        // move_against_charge with SearchRelaxed.
        let load = |index: usize| self.words[index].load(order::ring_search());
        let first = load(0);
        let (mut newest, mut stride) = (0, R.next_power_of_two() / 2);
        while stride > 0 {
            let index = newest + stride;
            if index < R && load(index) > first {
                newest = index;
            } else {
                // This path is as likely as the other. The hint only forces a branch, which the CPU
                // predicts; with a conditional move each load would wait for the one before.
                cold_path();
            }
            stride /= 2;
        }
        newest
    }

    #[inline(always)]
    fn observe(&self, index: usize, order: Ordering) -> ObservedWord {
        ObservedWord { index, word: self.words[index].load(order) }
    }

    /// The live usage: the head as it was observed, and the other words as loaded after it (R2).
    #[inline(always)]
    fn used(&self, snapshot: &HeadSnapshot, live: Live) -> u64 {
        // The head is not loaded again. The CAS proves only that the head equals the observed value
        // again, not that it never differed. Models: refund_and_again and refund_for_one with
        // HeadSeenTwice.
        live.count(snapshot.head.word)
            + live.count_from_bits(self.older_count_bits(live, snapshot.head, ScalarSum))
    }

    /// The sum of the count bits of the live words that are older than the head.
    #[inline(always)]
    fn older_count_bits<S: Sum>(&self, live: Live, head: ObservedWord, sum: S) -> u64 {
        if R > S::MAX_WORDS {
            return self.fold_live(live, head, 0, |sum, word| sum + live.count_bits_of(word));
        }
        let previous = match head.index {
            0 => {
                // As likely as any other index. The hint only forces a branch, which the CPU predicts.
                cold_path();
                R - 1
            }
            index => index - 1,
        };
        if !live.has(load_word(&self.words[previous])) {
            // R1: the other words are older still, so the head is the only live bucket.
            return 0;
        }
        sum.older_count_bits(&self.words, live, head.word)
    }

    /// Folds the live words older than the head, from the newest to the oldest.
    #[inline(always)]
    fn fold_live<T>(&self, live: Live, head: ObservedWord, sum: T, add: impl Fn(T, u64) -> T) -> T {
        let step = |sum: T, word: &AtomicU64| {
            let word = load_word(word);
            if live.has(word) { Continue(add(sum, word)) } else { Break(sum) }
        };
        let (before_head, from_head) = self.words.split_at(head.index);
        let after_head = from_head.get(1..).unwrap_or_default();
        let newer = fold_back(before_head, sum, step);
        let folded = match newer {
            Continue(sum) => fold_back(after_head, sum, step),
            ended => ended,
        };
        let (Continue(sum) | Break(sum)) = folded;
        sum
    }

    /// Returns whether the target is unchanged. If so, all the loads together are a snapshot (R2).
    fn is_unchanged(&self, target: ObservedWord) -> bool {
        // Acquire: if the relaxed loads have seen a newer bucket, the load below sees the target
        // changed. Pairs with the Release of the opening CAS in `PreparedCharge::commit`. Model:
        // denial_report with NoValidateFence.
        fence(Acquire);
        // Relaxed: the value is only compared.
        self.words[target.index].load(Relaxed) == target.word
    }

    /// The outcome, at the time `at`, of a charge that is not made: a denial or a peek. Loads each live
    /// word once.
    #[inline(always)]
    fn scan(
        &self,
        spec: &TimeScale,
        at: u64,
        head: ObservedWord,
        cost: u64,
        limit: u64,
    ) -> Outcome {
        let live = spec.live_in_range(at);
        let room = limit.saturating_sub(cost);
        let add = |sum, word| UsageScan::add_word(sum, spec.format().count(word), word, room);
        let mut scan = UsageScan::default();
        if live.has(head.word) {
            scan = self.fold_live(live, head, add(scan, head.word), add);
        }
        let UsageScan { used, newest, must_expire } = scan;
        let expiry = |word| if word == 0 { at } else { spec.format().time(word) + spec.window() };
        let fits_at = if cost > limit { NEVER } else { expiry(must_expire) };
        let admitted = must_expire == 0 && cost <= limit;
        Outcome { admitted, used, at, fits_at, clear_at: expiry(newest) }
    }

    /// Evaluates a charge. Returns `None` if the ring has changed meanwhile.
    #[inline(always)]
    fn evaluate(
        &self,
        spec: &TimeScale,
        base: TimeBase,
        args: &ChargeArgs,
        snapshot: HeadSnapshot,
    ) -> Result<Option<CounterEvaluation<'_>>, Moved> {
        let at = snapshot.effective_time(spec, local_time(base, args.now));
        let used = self.used(&snapshot, spec.live_in_range(at)).saturating_add(args.cost);
        if used <= args.limit && args.cost > 0 {
            let write = match snapshot.charged_word(spec, at, args.cost) {
                Some(word) => Write::Target(word),
                None => {
                    snapshot.write_in_new_cell(spec, at, args.cost, self.next(snapshot.head.index)?)
                }
            };
            let [at, clear_at] = [at, at + spec.window()].map(|time| to_tick(base.origin, time));
            let outcome = Outcome { admitted: true, used, at, fits_at: at, clear_at };
            return Ok(Some((outcome, Some(self.prepared_charge(&snapshot, write)))));
        }
        let outcome = self.scan(spec, at, snapshot.head, args.cost, args.limit);
        // Retry if the scan admits the charge: a concurrent refund made room. Also retry if the
        // target has changed. Model: denial_report with NoValidate.
        let is_final =
            self.is_unchanged(snapshot.target()) && (!outcome.admitted || args.cost == 0);
        Ok(is_final.then(|| (outcome_in_ticks(base.origin, outcome), None)))
    }

    /// The charge that makes this write.
    #[inline(always)]
    fn prepared_charge(&self, snapshot: &HeadSnapshot, write: Write) -> PreparedCharge<'_> {
        let (head, target, word) = match write {
            Write::Target(word) => (None, snapshot.target(), word),
            Write::SealAndOpen(next, word) => {
                (Some(self.observed_atomic(snapshot.head)), next, word)
            }
        };
        let opens_bucket = snapshot.is_sealed() || head.is_some();
        PreparedCharge { head, target: self.observed_atomic(target), word, opens_bucket }
    }

    #[inline(always)]
    fn observed_atomic(&self, observed: ObservedWord) -> ObservedAtomic<'_> {
        ObservedAtomic { atomic: &self.words[observed.index], word: observed.word }
    }

    /// Clears the head for a reset, and moves its time to the next tick. Returns its time before, or
    /// `None` if the ring is fresh.
    ///
    /// A charge after the reset thus has a later time than each charge before it, and no word has an
    /// earlier value again: a give-back that has loaded the head before the reset cannot lower a charge
    /// made after it. Model: settled_against_reset with ResetKeepsTime.
    fn reset_head(&self, spec: &TimeScale, record: impl Fn(u64)) -> Result<Option<u64>, Moved> {
        let format = spec.format();
        let mut retries = Retries::new();
        loop {
            retries.count();
            let Some(HeadSnapshot { head, next }) = self.head_snapshot()? else { continue };
            if head.word == 0 {
                return Ok(None);
            }
            let newest = format.time(head.word);
            // Before the count is lowered: a give-back that finds the lowered head finds the record.
            // Model: settled_against_reset with RecordLate.
            record(newest);
            let new = match next {
                // A sealed head takes no charge. The next word is opened with a later time.
                Some(_) => format.clear(head.word),
                None => format.pack((newest + 1).min(format.max_time()), 0),
            };
            // Release: publishes the record. Pairs with the Acquire in `update`. Model:
            // settled_against_reset with ResetRelaxed.
            let word = &self.words[head.index];
            if word.compare_exchange(head.word, new, order::ring_reset(), Relaxed).is_ok() {
                return Ok(Some(newest));
            }
        }
    }

    /// Replaces the word at `index` by `new_word(word)`, unless they are equal.
    fn update(&self, index: usize, mut new_word: impl FnMut(u64) -> u64) -> Result<(), Moved> {
        let mut retries = Retries::new();
        loop {
            retries.count();
            // Acquire: after a MOVED word the caller must see the array that it was moved to. Pairs
            // with the Release in `freeze`. Model: reset_lasts with RefundLoadRelaxed.
            let word = self.words[index].load(order::ring_update());
            if word & MOVED != 0 {
                return Err(Moved);
            }
            let new = new_word(word);
            if new == word {
                return Ok(());
            }
            // Relaxed: the CAS continues the release sequence of the charge that it lowers. Model:
            // refund_against_seal with RefundStores and RefundUnseals.
            if self.words[index].compare_exchange(word, new, Relaxed, Relaxed).is_ok() {
                return Ok(());
            }
        }
    }

    /// Panics unless R1 holds and at most one word is unsealed.
    #[cfg(test)]
    pub(crate) fn assert_ordered(&self, spec: &TimeScale) {
        let words = std::array::from_fn(|index| self.words[index].load(Acquire));
        let open = words.iter().filter(|word| **word & !MOVED != 0 && **word & SEALED == 0);
        assert!(open.count() <= 1, "two words are unsealed");
        let mut newest = 0;
        for word in snapshot::Snapshot::<R>::new(words).oldest_first() {
            let time = spec.format().time(word);
            assert!(time > newest || word == 0 && newest == 0, "times do not grow along the ring");
            newest = time;
        }
    }
}

/// Folds the words from the last to the first, until `step` breaks.
#[inline(always)]
fn fold_back<T>(
    words: &[AtomicU64],
    mut sum: T,
    step: impl Fn(T, &AtomicU64) -> ControlFlow<T, T>,
) -> ControlFlow<T, T> {
    // In chunks of four, so that the compiler unrolls the steps.
    let chunks = words.rchunks_exact(4);
    let rest = chunks.remainder();
    for chunk in chunks {
        for word in chunk.iter().rev() {
            sum = step(sum, word)?;
        }
    }
    for word in rest.iter().rev() {
        sum = step(sum, word)?;
    }
    Continue(sum)
}

/// Loads a word to be summed. The head must have been loaded before.
#[inline(always)]
fn load_word(word: &AtomicU64) -> u64 {
    // R2 covers only values that are loaded after the head. Relaxed: ordered after the Acquire of
    // the head. Models: wrap with SumBeforeHead, opener with SumBeforeSealed.
    word.load(Relaxed)
}

/// Converts a tick to a time that counts from the array's origin.
///
/// No time before the cutoff is used in an array: a late thread could otherwise charge a window
/// whose earlier charges were dropped. Model: dropped with NoCutoff.
#[inline(always)]
fn local_time(base: TimeBase, tick: u64) -> u64 {
    // Cannot underflow: an array's origin is not after its cutoff.
    tick.max(base.cutoff) - base.origin
}

/// Converts a time that counts from the array's origin to a tick. Saturates just below [`NEVER`].
#[inline(always)]
fn to_tick(origin: u64, time: u64) -> u64 {
    match time.checked_add(origin) {
        Some(tick) if tick < NEVER => tick,
        _ => {
            cold_path();
            NEVER - 1
        }
    }
}

/// Converts the times of an outcome to ticks.
fn outcome_in_ticks(origin: u64, outcome: Outcome) -> Outcome {
    let Outcome { at, fits_at, clear_at, .. } = outcome;
    let fits_at = if fits_at == NEVER { NEVER } else { to_tick(origin, fits_at) };
    Outcome { at: to_tick(origin, at), fits_at, clear_at: to_tick(origin, clear_at), ..outcome }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests;
