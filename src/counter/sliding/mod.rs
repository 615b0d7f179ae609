//! One key's sliding window: a fixed ring of words, each a bucket of charges.
//!
//! # State
//! At most one word is unsealed, and it is the head: the newest bucket. Every verb changes one word
//! by one compare-exchange at a time.
//!
//! # Invariants
//! - R1: times grow strictly along the ring from the word after the head to the head, so that an
//!   old value never comes back in this array.
//! - R2: while the target (the unsealed head or, behind a sealed head, the next word) is unchanged,
//!   no word of the ring gains a charge. Hence a successful exchange of the target proves that the
//!   sum which allowed it still held, if that has counted the target as it was seen: a refund and a
//!   charge may have made it the same again.
//! - R3: refunds only lower counts, and neither seal nor unseal.
//! - R4: once a word is MOVED it never changes; words are frozen from index 0 on, all but those
//!   that can never be opened.
//!
//! # Progress
//! Lock-free: an exchange fails only when another one succeeded. A thread that dies between sealing
//! and opening leaves a sealed head, behind which anyone opens the next word.

mod counter_impl;
mod head;
mod reciprocal;
mod snapshot;
pub(crate) mod time_scale;
mod usage;
pub(crate) mod word;

use super::prepared::{CounterEvaluation, ObservedCell, PreparedCharge};
use super::{Moved, NEVER, Outcome, Request, TimeBase};
use crate::sync::progress::Retries;
use crate::sync::{AtomicU64, Ordering, Ordering::*, fence};
use crate::verify::mutants::{Breakage, broken, ordering};
use head::{HeadSnapshot, ObservedWord, Write};
use snapshot::Snapshot;
use std::hint::cold_path;
use std::ops::ControlFlow::{self, Break, Continue};
use time_scale::TimeScale;
use usage::UsageScan;
use word::{Live, MOVED, SEALED};

/// Rings up to this length are summed as a whole, without a branch; longer ones only where they
/// are live.
pub(crate) const SHORT: usize = if cfg!(all(test, tollgate_model)) { 3 } else { 15 };

/// The words as they were before the snapshot was looked for: none, but in the twins that count them.
type StaleWords<const R: usize> = Option<[u64; R]>;

/// `R` buckets. Zeroed memory is a fresh ring.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Ring<const R: usize> {
    words: [AtomicU64; R],
}

impl<const R: usize> Ring<R> {
    /// The newest word, or any if others write meanwhile.
    #[inline(always)]
    fn head(&self) -> ObservedWord {
        // Acquire: whoever sees this head sees every change made before it was written, so that
        // the sum of what is loaded afterwards misses no charge. Pairs with the Release of each
        // exchange. Model: scan with HeadRelaxed.
        self.observe(self.newest_index(), ordering(Breakage::HeadRelaxed, Acquire))
    }

    /// The snapshot as a charge must see it, or `Moved`; `None` if others wrote it meanwhile.
    #[inline(always)]
    fn head_snapshot(&self) -> Result<Option<HeadSnapshot>, Moved> {
        let head = self.head();
        if head.word & MOVED != 0 {
            // No fence: if the caller still finds this array current, its next scan loads these
            // words with Acquire and sees what they were moved for.
            return Err(Moved);
        }
        let is_sealed = head.word & SEALED != 0;
        let snapshot = HeadSnapshot {
            head,
            next: if is_sealed { Some(self.next(head.index)?) } else { None },
        };
        Ok((!snapshot.is_inconsistent()).then_some(snapshot))
    }

    /// The word after this index, or `Moved`: then nothing may be opened there.
    #[inline(always)]
    fn next(&self, index: usize) -> Result<ObservedWord, Moved> {
        // Relaxed: ordered behind the Acquire of the head, like all others. And the search for the
        // head loads this word with Acquire as well, so who goes round for a MOVED one does not go
        // round for nothing: `newest`.
        let next = self.observe(if index + 1 == R { 0 } else { index + 1 }, Relaxed);
        if next.word & MOVED != 0 { Err(Moved) } else { Ok(next) }
    }

    /// The index of the newest word. R1: those that are newer than the first one follow it, and the
    /// newest is the last of them. While others write it may be any index, so `head` looks again.
    #[inline(always)]
    fn newest_index(&self) -> usize {
        let load = |index: usize| self.words[index].load(ordering(Breakage::HeadRelaxed, Acquire));
        let first = load(0);
        let (mut newest, mut stride) = (0, R.next_power_of_two() / 2);
        while stride > 0 {
            let index = newest + stride;
            if index < R && load(index) > first {
                newest = index;
            } else {
                // No rarer than the other, but this makes it a branch. The processor guesses that; by
                // a select each load would wait for the one before.
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

    /// What is live: the head as it was seen, and the others as they are after that (R2).
    #[inline(always)]
    fn used(&self, snapshot: &HeadSnapshot, live: Live, stale_words: &StaleWords<R>) -> u64 {
        // Of its own word an exchange tells that it is the same again, not that it always was.
        // Model: refund_and_again with HeadSeenTwice.
        let twice = broken(Breakage::HeadSeenTwice);
        let head =
            if twice { self.words[snapshot.head.index].load(Relaxed) } else { snapshot.head.word };
        let older = if R <= SHORT {
            // The minimum is for the compiler, which does not know that no index is beyond.
            let previous = snapshot.head.index.checked_sub(1).unwrap_or(R - 1).min(R - 1);
            if !live.has(load_word(&self.words[previous], previous, snapshot, stale_words)) {
                // R1: the others are older still. The newest bucket is the only live one.
                return live.count(head);
            }
            // All of them: no branch to guess, and no order to follow.
            let words = self.words.iter().enumerate();
            live.sum_before(
                head,
                words.map(|(index, word)| load_word(word, index, snapshot, stale_words)),
            )
        } else {
            let add = |sum, word| sum + live.raw_count(word);
            live.count_from_raw(self.fold_live(live, snapshot, stale_words, 0, add))
        };
        live.count(head) + older
    }

    /// Adds the live words behind the head, back to the oldest.
    #[inline(always)]
    fn fold_live<T>(
        &self,
        live: Live,
        snapshot: &HeadSnapshot,
        stale_words: &StaleWords<R>,
        sum: T,
        add: impl Fn(T, u64) -> T,
    ) -> T {
        let step = |sum: T, index: usize, word: &AtomicU64| {
            let word = load_word(word, index, snapshot, stale_words);
            if live.has(word) { Continue(add(sum, word)) } else { Break(sum) }
        };
        let (before_head, from_head) = self.words.split_at(snapshot.head.index);
        let after_head = from_head.get(1..).unwrap_or_default();
        let first = snapshot.head.index + 1;
        let newer = fold_back(before_head, sum, step);
        let folded = match newer {
            Continue(sum) => {
                fold_back(after_head, sum, |sum, index, word| step(sum, first + index, word))
            }
            ended => ended,
        };
        let (Continue(sum) | Break(sum)) = folded;
        sum
    }

    /// The words before the snapshot is looked for: none, but in the twins that count them.
    #[inline(always)]
    fn stale_words(&self) -> StaleWords<R> {
        let mutant = broken(Breakage::SumBeforeHead) || broken(Breakage::SumBeforeSealed);
        mutant.then(|| std::array::from_fn(|index| self.words[index].load(Acquire)))
    }

    /// Whether the target is still what it was, so that what was summed was true at once.
    fn is_unchanged(&self, target: ObservedWord) -> bool {
        if !broken(Breakage::NoValidateFence) {
            // Acquire: whoever saw a newer bucket in the relaxed loads sees the target changed as
            // well. Pairs with the Release of the opening exchange. Model: denial settles with
            // NoValidateFence.
            fence(Acquire);
        }
        // Relaxed: compared only.
        self.words[target.index].load(Relaxed) == target.word
    }

    /// What a charge at `at` is settles if it is not made, from one look at each word that is live.
    #[inline(always)]
    fn scan(
        &self,
        spec: &TimeScale,
        at: u64,
        snapshot: HeadSnapshot,
        request: &Request,
        stale_words: &StaleWords<R>,
    ) -> Outcome {
        let live = spec.live_in_range(at);
        let room = request.limit.saturating_sub(request.cost);
        let add = |sum, word| UsageScan::add_word(sum, spec.format().count(word), word, room);
        let mut scan = UsageScan::default();
        if live.has(snapshot.head.word) {
            scan = self.fold_live(live, &snapshot, stale_words, add(scan, snapshot.head.word), add);
        }
        let UsageScan { used, newest, must_expire } = scan;
        let expiry = |word| if word == 0 { at } else { spec.format().time(word) + spec.window() };
        let fits_at = if request.cost > request.limit { NEVER } else { expiry(must_expire) };
        let admitted = must_expire == 0 && request.cost <= request.limit;
        Outcome { admitted, used, at, fits_at, clear_at: expiry(newest) }
    }

    /// What the cost gets beside what is used; `None` if that has changed meanwhile.
    #[inline(always)]
    fn evaluate(
        &self,
        spec: &TimeScale,
        base: TimeBase,
        request: &Request,
        snapshot: HeadSnapshot,
        stale_words: &StaleWords<R>,
    ) -> Result<Option<CounterEvaluation<'_>>, Moved> {
        let at = snapshot.effective_time(spec, local_time(base, request.now));
        let used =
            self.used(&snapshot, spec.live_in_range(at), stale_words).saturating_add(request.cost);
        if used <= request.limit && request.cost > 0 {
            let write = match snapshot.charged_word(spec, at, request.cost) {
                Some(word) => Write::Target(word),
                None => {
                    snapshot.seal_and_open(spec, at, request.cost, self.next(snapshot.head.index)?)
                }
            };
            let [at, clear_at] = [at, at + spec.window()].map(|time| to_tick(base, time));
            let outcome = Outcome { admitted: true, used, at, fits_at: at, clear_at };
            return Ok(Some((outcome, Some(self.prepared_charge(&snapshot, write)))));
        }
        let outcome = self.scan(spec, at, snapshot, request, stale_words);
        let unchanged = broken(Breakage::NoValidate) || self.is_unchanged(snapshot.target());
        // Admitted after all: others have given back meanwhile.
        let is_final = unchanged && (!outcome.admitted || request.cost == 0);
        Ok(is_final.then(|| (outcome_in_ticks(base, outcome), None)))
    }

    #[inline(always)]
    fn prepared_charge(&self, snapshot: &HeadSnapshot, write: Write) -> PreparedCharge<'_> {
        let (head, target, word) = match write {
            Write::Target(word) => (None, snapshot.target(), word),
            Write::SealAndOpen(next, word) => (Some(self.observed_cell(snapshot.head)), next, word),
        };
        let opens_bucket = snapshot.is_sealed() || head.is_some();
        PreparedCharge { head, target: self.observed_cell(target), word, opens_bucket }
    }

    #[inline(always)]
    fn observed_cell(&self, seen: ObservedWord) -> ObservedCell<'_> {
        ObservedCell { atomic: &self.words[seen.index], word: seen.word }
    }

    /// Replaces each word by `change(word)` until that gives the word itself or stops.
    fn update(&self, index: usize, mut new_word: impl FnMut(u64) -> u64) -> Result<(), Moved> {
        let mut retries = Retries::new();
        loop {
            retries.count();
            // Acquire: a MOVED word sends the caller to the array that it was moved for. Pairs with
            // `freeze`. Model: reset_lasts with RefundLoadRelaxed.
            let word = self.words[index].load(ordering(Breakage::RefundLoadRelaxed, Acquire));
            if word & MOVED != 0 && !broken(Breakage::RefundMoved) {
                return Err(Moved);
            }
            let mut new = new_word(word);
            if new == word {
                return Ok(());
            }
            if broken(Breakage::RefundStores) {
                self.words[index].store(new, Release);
                return Ok(());
            }
            if broken(Breakage::RefundUnseals) {
                new &= !SEALED;
            }
            // Relaxed: it goes on with the release of the charge that it lowers. Model:
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
        for word in Snapshot::<R>::new(words).oldest_first() {
            let time = spec.format().time(word);
            assert!(time > newest || word == 0 && newest == 0, "times do not grow along the ring");
            newest = time;
        }
    }

    /// The breakage of that name, and nothing else, comes here.
    fn freeze_head_only(&self) -> Snapshot<R> {
        loop {
            let words = std::array::from_fn(|index| self.words[index].load(Acquire));
            let mark = |head: ObservedWord| {
                self.observed_cell(head).compare_exchange(head.word | MOVED, AcqRel)
            };
            match self.head_snapshot() {
                Ok(Some(snapshot)) if mark(snapshot.head) => return Snapshot::new(words),
                Ok(_) => continue,
                Err(Moved) => return Snapshot::new(words),
            }
        }
    }
}

/// Folds the words from the last one back, until one of them ends it.
#[inline(always)]
fn fold_back<T>(
    words: &[AtomicU64],
    mut sum: T,
    step: impl Fn(T, usize, &AtomicU64) -> ControlFlow<T, T>,
) -> ControlFlow<T, T> {
    // A few at a time, so that their steps are laid out one behind the other.
    let chunks = words.rchunks_exact(4);
    let rest = chunks.remainder();
    let mut index = words.len();
    for chunk in chunks {
        for word in chunk.iter().rev() {
            index -= 1;
            sum = step(sum, index, word)?;
        }
    }
    for word in rest.iter().rev() {
        index -= 1;
        sum = step(sum, index, word)?;
    }
    Continue(sum)
}

/// A word beside the snapshot, loaded after it.
#[inline(always)]
fn load_word<const R: usize>(
    word: &AtomicU64,
    index: usize,
    snapshot: &HeadSnapshot,
    stale_words: &StaleWords<R>,
) -> u64 {
    let mutant =
        if snapshot.is_sealed() { Breakage::SumBeforeSealed } else { Breakage::SumBeforeHead };
    let is_target = snapshot.next.is_some_and(|next| next.index == index);
    match stale_words {
        Some(words) if broken(mutant) && !is_target => words[index],
        // R2: only what is loaded after the head counts. Relaxed: ordered behind its Acquire.
        // Models: wrap with SumBeforeHead, opener with SumBeforeSealed.
        _ => word.load(Relaxed),
    }
}

/// A tick as the words count it. No time before the cutoff is used in an array: a late thread
/// could start a second history of a key that was dropped. Model: dropped with NoCutoff.
#[inline(always)]
fn local_time(base: TimeBase, tick: u64) -> u64 {
    if broken(Breakage::NoCutoff) {
        return tick.saturating_sub(base.origin);
    }
    // An array counts from before its cutoff.
    tick.max(base.cutoff) - base.origin
}

/// A time of the words as a tick. At the very end of time a wait is as long as the clock can tell.
#[inline(always)]
fn to_tick(base: TimeBase, time: u64) -> u64 {
    match time.checked_add(base.origin) {
        Some(tick) if tick < NEVER => tick,
        _ => {
            cold_path();
            NEVER - 1
        }
    }
}

/// An outcome in ticks.
fn outcome_in_ticks(base: TimeBase, outcome: Outcome) -> Outcome {
    let Outcome { at, fits_at, clear_at, .. } = outcome;
    let fits_at = if fits_at == NEVER { NEVER } else { to_tick(base, fits_at) };
    Outcome { at: to_tick(base, at), fits_at, clear_at: to_tick(base, clear_at), ..outcome }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests;
