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
//! - R4: once a word is MOVED it never changes; words are frozen from place 0 on, all but those
//!   that can never be opened.
//!
//! # Progress
//! Lock-free: an exchange fails only when another one succeeded. A thread that dies between sealing
//! and opening leaves a sealed head, behind which anyone opens the next word.

use super::filled::Filled;
use super::offer::{Offer, Offered, Place};
use super::scale::Scale;
use super::snapshot::Snapshot;
use super::top::{Seen, Top, Write};
use super::word::{Live, MOVED, SEALED};
use super::{Base, Counter, Moved, NEVER, Outcome, Request};
use crate::breakage::{Breakage, broken, ordering};
use crate::retries::Retries;
use crate::sync::{AtomicU64, Ordering, Ordering::*, fence};
use std::hint::cold_path;
use std::ops::ControlFlow::{self, Break, Continue};

/// Rings up to this length are summed as a whole, without a branch; longer ones only where they
/// are live.
pub(crate) const SHORT: usize = if cfg!(all(test, tollgate_model)) { 3 } else { 15 };

/// The words as they were before the top was looked for: none, but in the twins that count them.
type Early<const R: usize> = Option<[u64; R]>;

/// `R` buckets. Zeroed memory is a fresh ring.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Ring<const R: usize> {
    words: [AtomicU64; R],
}

impl<const R: usize> Ring<R> {
    /// The newest word, or any if others write meanwhile.
    #[inline(always)]
    fn head(&self) -> Seen {
        // Acquire: whoever sees this head sees every change made before it was written, so that
        // the sum of what is loaded afterwards misses no charge. Pairs with the Release of each
        // exchange. Model: filled with HeadRelaxed.
        self.see(self.newest(), ordering(Breakage::HeadRelaxed, Acquire))
    }

    /// The top as a charge must see it, or `Moved`; `None` if others wrote it meanwhile.
    #[inline(always)]
    fn top(&self) -> Result<Option<Top>, Moved> {
        let head = self.head();
        if head.word & MOVED != 0 {
            // No fence: if the caller still finds this array current, its next scan loads these
            // words with Acquire and sees what they were moved for.
            return Err(Moved);
        }
        let is_sealed = head.word & SEALED != 0;
        let top = Top { head, next: if is_sealed { Some(self.next(head.place)?) } else { None } };
        Ok((!top.is_stale()).then_some(top))
    }

    /// The word after this place, or `Moved`: then nothing may be opened there.
    #[inline(always)]
    fn next(&self, place: usize) -> Result<Seen, Moved> {
        // Relaxed: ordered behind the Acquire of the head, like all others. And the search for the
        // head loads this word with Acquire as well, so who goes round for a MOVED one does not go
        // round for nothing: `newest`.
        let next = self.see(if place + 1 == R { 0 } else { place + 1 }, Relaxed);
        if next.word & MOVED != 0 { Err(Moved) } else { Ok(next) }
    }

    /// The place of the newest word. R1: those that are newer than the first one follow it, and the
    /// newest is the last of them. While others write it may be any place, so `head` looks again.
    #[inline(always)]
    fn newest(&self) -> usize {
        let load = |place: usize| self.words[place].load(ordering(Breakage::HeadRelaxed, Acquire));
        let first = load(0);
        let (mut newest, mut step) = (0, R.next_power_of_two() / 2);
        while step > 0 {
            let place = newest + step;
            if place < R && load(place) > first {
                newest = place;
            } else {
                // No rarer than the other, but this makes it a branch. The processor guesses that; by
                // a select each load would wait for the one before.
                cold_path();
            }
            step /= 2;
        }
        newest
    }

    #[inline(always)]
    fn see(&self, place: usize, order: Ordering) -> Seen {
        Seen { place, word: self.words[place].load(order) }
    }

    /// What is live: the head as it was seen, and the others as they are after that (R2).
    #[inline(always)]
    fn used(&self, top: &Top, live: Live, early: &Early<R>) -> u64 {
        // Of its own word an exchange tells that it is the same again, not that it always was.
        // Model: refund_and_again with HeadSeenTwice.
        let twice = broken(Breakage::HeadSeenTwice);
        let head = if twice { self.words[top.head.place].load(Relaxed) } else { top.head.word };
        let older = if R <= SHORT {
            // The minimum is for the compiler, which does not know that no place is beyond.
            let before = top.head.place.checked_sub(1).unwrap_or(R - 1).min(R - 1);
            if !live.has(load(&self.words[before], before, top, early)) {
                // R1: the others are older still. The newest bucket is the only live one.
                return live.count(head);
            }
            // All of them: no branch to guess, and no order to follow.
            let words = self.words.iter().enumerate();
            live.sum_before(head, words.map(|(place, word)| load(word, place, top, early)))
        } else {
            let add = |sum, word| sum + live.in_place(word);
            live.out_of_place(self.fold_live(live, top, early, 0, add))
        };
        live.count(head) + older
    }

    /// Adds the live words behind the head, back to the oldest.
    #[inline(always)]
    fn fold_live<T>(
        &self,
        live: Live,
        top: &Top,
        early: &Early<R>,
        sum: T,
        add: impl Fn(T, u64) -> T,
    ) -> T {
        let step = |sum: T, place: usize, word: &AtomicU64| {
            let word = load(word, place, top, early);
            if live.has(word) { Continue(add(sum, word)) } else { Break(sum) }
        };
        let (newer, older) = self.words.split_at(top.head.place);
        let behind = older.get(1..).unwrap_or_default();
        let first = top.head.place + 1;
        let newer = fold_back(newer, sum, step);
        let all = match newer {
            Continue(sum) => {
                fold_back(behind, sum, |sum, place, word| step(sum, first + place, word))
            }
            ended => ended,
        };
        let (Continue(sum) | Break(sum)) = all;
        sum
    }

    /// The words before the top is looked for: none, but in the twins that count them.
    #[inline(always)]
    fn early(&self) -> Early<R> {
        let twin = broken(Breakage::SumBeforeHead) || broken(Breakage::SumBeforeSealed);
        twin.then(|| std::array::from_fn(|place| self.words[place].load(Acquire)))
    }

    /// Whether the target is still what it was, so that what was summed was true at once.
    fn stands(&self, target: Seen) -> bool {
        if !broken(Breakage::NoValidateFence) {
            // Acquire: whoever saw a newer bucket in the relaxed loads sees the target changed as
            // well. Pairs with the Release of the opening exchange. Model: denial told with
            // NoValidateFence.
            fence(Acquire);
        }
        // Relaxed: compared only.
        self.words[target.place].load(Relaxed) == target.word
    }

    /// What a charge at `at` is told if it is not made, from one look at each word that is live.
    #[inline(always)]
    fn answer(
        &self,
        spec: &Scale,
        at: u64,
        top: Top,
        request: &Request,
        early: &Early<R>,
    ) -> Outcome {
        let live = spec.live_at(at);
        let room = request.limit.saturating_sub(request.cost);
        let add = |sum, word| Filled::with(sum, spec.format().count(word), word, room);
        let mut filled = Filled::default();
        if live.has(top.head.word) {
            filled = self.fold_live(live, &top, early, add(filled, top.head.word), add);
        }
        let Filled { used, newest, blocker } = filled;
        let end = |word| if word == 0 { at } else { spec.format().time(word) + spec.window() };
        let fits_at = if request.cost > request.limit { NEVER } else { end(blocker) };
        let admitted = blocker == 0 && request.cost <= request.limit;
        Outcome { admitted, used, at, fits_at, clear_at: end(newest) }
    }

    /// What the cost gets beside what is used; `None` if that has changed meanwhile.
    #[inline(always)]
    fn weigh(
        &self,
        spec: &Scale,
        base: Base,
        request: &Request,
        top: Top,
        early: &Early<R>,
    ) -> Result<Option<Offered<'_>>, Moved> {
        let at = top.effective(spec, local(base, request.now));
        let used = self.used(&top, spec.live_at(at), early).saturating_add(request.cost);
        if used <= request.limit && request.cost > 0 {
            let write = match top.charge(spec, at, request.cost) {
                Some(word) => Write::Target(word),
                None => top.turn(spec, at, request.cost, self.next(top.head.place)?),
            };
            let [at, clear_at] = [at, at + spec.window()].map(|time| tick(base, time));
            let outcome = Outcome { admitted: true, used, at, fits_at: at, clear_at };
            return Ok(Some((outcome, Some(self.offered(&top, write)))));
        }
        let answer = self.answer(spec, at, top, request, early);
        let stands = broken(Breakage::NoValidate) || self.stands(top.target());
        // Admitted after all: others have given back meanwhile.
        let told = stands && (!answer.admitted || request.cost == 0);
        Ok(told.then(|| (global(base, answer), None)))
    }

    #[inline(always)]
    fn offered(&self, top: &Top, write: Write) -> Offer<'_> {
        let (head, target, word) = match write {
            Write::Target(word) => (None, top.target(), word),
            Write::Turn(next, word) => (Some(self.place(top.head)), next, word),
        };
        let opens = top.is_sealed() || head.is_some();
        Offer { head, target: self.place(target), word, opens }
    }

    #[inline(always)]
    fn place(&self, seen: Seen) -> Place<'_> {
        Place { cell: &self.words[seen.place], word: seen.word }
    }

    /// Replaces each word by `change(word)` until that gives the word itself or stops.
    fn change(&self, place: usize, mut change: impl FnMut(u64) -> u64) -> Result<(), Moved> {
        let mut retries = Retries::new();
        loop {
            retries.count();
            // Acquire: a MOVED word sends the caller to the array that it was moved for. Pairs with
            // `freeze`. Model: reset_lasts with RefundLoadRelaxed.
            let word = self.words[place].load(ordering(Breakage::RefundLoadRelaxed, Acquire));
            if word & MOVED != 0 && !broken(Breakage::RefundMoved) {
                return Err(Moved);
            }
            let mut after = change(word);
            if after == word {
                return Ok(());
            }
            if broken(Breakage::RefundStores) {
                self.words[place].store(after, Release);
                return Ok(());
            }
            if broken(Breakage::RefundUnseals) {
                after &= !SEALED;
            }
            // Relaxed: it goes on with the release of the charge that it lowers. Model:
            // refund_against_seal with RefundStores and RefundUnseals.
            if self.words[place].compare_exchange(word, after, Relaxed, Relaxed).is_ok() {
                return Ok(());
            }
        }
    }

    /// Panics unless R1 holds and at most one word is unsealed.
    #[cfg(test)]
    pub(crate) fn assert_ordered(&self, spec: &Scale) {
        let words = std::array::from_fn(|place| self.words[place].load(Acquire));
        let open = words.iter().filter(|word| **word & !MOVED != 0 && **word & SEALED == 0);
        assert!(open.count() <= 1, "two words are unsealed");
        let mut newest = 0;
        for word in Snapshot::<R>::of(words).oldest_first() {
            let time = spec.format().time(word);
            assert!(time > newest || word == 0 && newest == 0, "times do not grow along the ring");
            newest = time;
        }
    }

    /// The breakage of that name, and nothing else, comes here.
    fn freeze_head_only(&self) -> Snapshot<R> {
        loop {
            let words = std::array::from_fn(|place| self.words[place].load(Acquire));
            let marked = |head: Seen| self.place(head).exchange(head.word | MOVED, AcqRel);
            match self.top() {
                Ok(Some(top)) if marked(top.head) => return Snapshot::of(words),
                Ok(_) => continue,
                Err(Moved) => return Snapshot::of(words),
            }
        }
    }
}

impl<const R: usize> Counter for Ring<R> {
    type Spec = Scale;
    type Frozen = Snapshot<R>;

    #[cfg(all(test, tollgate_model))]
    fn zeroed() -> Self {
        Ring { words: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    fn base(spec: &Scale, cutoff: u64) -> Base {
        let origin = spec.origin(cutoff);
        Base { origin, cutoff, lasts_until: origin.saturating_add(spec.renew_at()) }
    }

    fn is_beyond(spec: &Scale, base: Base, now: u64) -> bool {
        now.saturating_sub(base.origin) > spec.format().max_time()
    }

    fn window(spec: &Scale) -> u64 {
        spec.window()
    }

    #[inline(always)]
    fn offer<'a>(
        &'a self,
        spec: &Scale,
        base: Base,
        request: &Request,
    ) -> Result<Option<Offered<'a>>, Moved> {
        let early = self.early();
        let top = Top { head: self.head(), next: None };
        // One look at both marks: a charge that goes the whole way tells them apart. Models:
        // cell_change and move_against_charge with OfferMarked.
        if top.head.word & (MOVED | SEALED) != 0 && !broken(Breakage::OfferMarked) {
            cold_path();
            return Ok(None);
        }
        if top.is_stale() {
            return Ok(None);
        }
        self.weigh(spec, base, request, top, &early)
    }

    fn charge(&self, spec: &Scale, base: Base, request: &Request) -> Result<Outcome, Moved> {
        let mut retries = Retries::new();
        loop {
            retries.count();
            let early = self.early();
            let Some(top) = self.top()? else { continue };
            if let Some((outcome, offer)) = self.weigh(spec, base, request, top, &early)?
                && (offer.is_none_or(Offer::take) || broken(Breakage::LostLoopAdmitted))
            {
                return Ok(outcome);
            }
        }
    }

    fn look(&self, spec: &Scale, base: Base, request: &Request) -> Result<Outcome, Moved> {
        let now = local(base, request.now);
        let unvalidated = broken(Breakage::NoValidate) || broken(Breakage::LookUnvalidated);
        let mut retries = Retries::new();
        loop {
            retries.count();
            let early = self.early();
            let Some(top) = self.top()? else { continue };
            let answer = self.answer(spec, top.effective(spec, now), top, request, &early);
            if unvalidated || self.stands(top.target()) {
                return Ok(global(base, answer));
            }
        }
    }

    fn give_back(
        &self,
        spec: &Scale,
        base: Base,
        now: u64,
        from: Option<u64>,
        amount: &mut u64,
    ) -> Result<bool, Moved> {
        let format = spec.format();
        let mut retries = Retries::new();
        loop {
            retries.count();
            let Some(Top { head, .. }) = self.top()? else { continue };
            let newest = format.time(head.word);
            let now = local(base, now).max(newest);
            let Some(oldest) = oldest_live(spec, base, from, now) else {
                return Ok(false);
            };
            let live = spec.live(now);
            // A merged bucket stands in a later cell. Model: merge with NoRefundMerged.
            let is_other = |cell| broken(Breakage::NoRefundMerged) && cell != spec.cell(oldest);
            let mut newer = false;
            for step in 1..=R {
                let mut given = 0;
                self.change((head.place + step) % R, |word| {
                    let (time, cell) = (format.time(word), spec.cell(format.time(word)));
                    // A bucket that was opened since is newer than the charge that is given back.
                    newer = cell > spec.cell(newest);
                    let ours = time >= oldest && !newer && !is_other(cell) && live.has(word);
                    let (after, taken) =
                        if ours { format.give_back(word, *amount) } else { (word, 0) };
                    given = taken;
                    after
                })?;
                *amount -= given;
                if *amount == 0 {
                    return Ok(true);
                }
            }
            // Last came the head. If it stands in a later cell now, the charge may have been merged
            // into that. Schedules: cancelled against merge with MergedIsNewer.
            if !newer || broken(Breakage::MergedIsNewer) {
                return Ok(true);
            }
        }
    }

    fn reset(&self, spec: &Scale, _: Base) -> Result<(), Moved> {
        for place in 0..R {
            self.change(place, |word| spec.format().clear(word))?;
        }
        Ok(())
    }

    #[inline(always)]
    fn is_open(&self) -> bool {
        // Relaxed: whoever goes on finds the head with Acquire. A copy's head is published last.
        // Model: two_movers with PublishHeadFirst.
        self.words[0].load(Relaxed) != 0
    }

    fn weight(&self, spec: &Scale, base: Base, cutoff: u64) -> u64 {
        // Relaxed: a hint.
        let words = std::array::from_fn(|place| self.words[place].load(Relaxed));
        Self::frozen_weight(&Snapshot::of(words), spec, base, cutoff)
    }

    fn freeze(&self) -> Snapshot<R> {
        if broken(Breakage::FreezeHeadOnly) {
            return self.freeze_head_only();
        }
        let mut behind_closed = false;
        Snapshot::of(std::array::from_fn(|place| {
            if broken(Breakage::NoFreeze) {
                return self.words[place].load(Acquire);
            }
            // A word is opened behind one that was opened: where that one is frozen as it was never
            // opened, this one never will be. Relaxed: what was copied here was so before anybody
            // could begin to leave this array. Model: move_against_seal with FreezeNotNext.
            let stays_closed = behind_closed || broken(Breakage::FreezeNotNext) && place > 0;
            let is_empty = || self.words[place].load(Relaxed) == 0;
            if stays_closed && (broken(Breakage::EmptyEndsRing) || is_empty()) {
                return 0;
            }
            // Release: no exchange can succeed after this, and whoever meets the mark sees the
            // array that the word is moved for. Pairs with `head` and `change`. Models:
            // move_against_charge with NoFreeze and FreezeRelaxed, move_against_seal with
            // FreezeHeadOnly.
            let word =
                self.words[place].fetch_or(MOVED, ordering(Breakage::FreezeRelaxed, Release));
            behind_closed = word & !MOVED == 0;
            word
        }))
    }

    fn frozen_weight(frozen: &Snapshot<R>, spec: &Scale, base: Base, cutoff: u64) -> u64 {
        let cutoff = local(base, cutoff);
        let newest = spec.format().time(frozen.newest());
        // Model: seen_later with DropsLater.
        let later = newest > cutoff && !broken(Breakage::DropsLater);
        if later { u64::MAX } else { frozen.used(spec, cutoff) }
    }

    fn install(&self, spec: &Scale, frozen: &Snapshot<R>, from: Base, to: Base) {
        let words =
            frozen.rebased(spec, local(from, to.cutoff), to.origin.saturating_sub(from.origin));
        let publish = |place: usize, order| {
            if words[place] != 0 {
                // A late copy finds the word already there and changes nothing, since no word of an
                // open ring is 0 again.
                let _ = self.words[place].compare_exchange(0, words[place], order, Relaxed);
            }
        };
        // Release: whoever finds the head finds the older words as well. Pairs with the Acquire in
        // `head`. Models: two_movers with PublishHeadFirst and InstallRelaxed.
        let release = ordering(Breakage::InstallRelaxed, Release);
        if broken(Breakage::PublishHeadFirst) {
            publish(0, release);
        }
        // Relaxed: what another copy has published this thread has seen, and so will who finds the
        // head.
        (1..R).for_each(|place| publish(place, Relaxed));
        publish(0, release);
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
    let mut place = words.len();
    for chunk in chunks {
        for word in chunk.iter().rev() {
            place -= 1;
            sum = step(sum, place, word)?;
        }
    }
    for word in rest.iter().rev() {
        place -= 1;
        sum = step(sum, place, word)?;
    }
    Continue(sum)
}

/// A word beside the top, loaded after it.
#[inline(always)]
fn load<const R: usize>(word: &AtomicU64, place: usize, top: &Top, early: &Early<R>) -> u64 {
    let twin = if top.is_sealed() { Breakage::SumBeforeSealed } else { Breakage::SumBeforeHead };
    let is_target = top.next.is_some_and(|next| next.place == place);
    match early {
        Some(words) if broken(twin) && !is_target => words[place],
        // R2: only what is loaded after the head counts. Relaxed: ordered behind its Acquire.
        // Models: wrap with SumBeforeHead, opener with SumBeforeSealed.
        _ => word.load(Relaxed),
    }
}

/// From when on units are given back at `now`; `None` if what was charged at `from` has expired: it
/// is nowhere, and others must not pay for it. Model: expired_charge with RefundExpired.
fn oldest_live(spec: &Scale, base: Base, from: Option<u64>, now: u64) -> Option<u64> {
    let Some(from) = from else { return Some(0) };
    let from = from.checked_sub(base.origin)?;
    let counts = now - from.min(now) < spec.window() || broken(Breakage::RefundExpired);
    counts.then_some(from)
}

/// A tick as the words count it. No time before the cutoff is used in an array: a late thread
/// could start a second history of a key that was dropped. Model: dropped with NoCutoff.
#[inline(always)]
fn local(base: Base, tick: u64) -> u64 {
    if broken(Breakage::NoCutoff) {
        return tick.saturating_sub(base.origin);
    }
    // An array counts from before its cutoff.
    tick.max(base.cutoff) - base.origin
}

/// A time of the words as a tick. At the very end of time a wait is as long as the clock can tell.
#[inline(always)]
fn tick(base: Base, time: u64) -> u64 {
    match time.checked_add(base.origin) {
        Some(tick) if tick < NEVER => tick,
        _ => {
            cold_path();
            NEVER - 1
        }
    }
}

/// An answer in ticks.
fn global(base: Base, outcome: Outcome) -> Outcome {
    let Outcome { at, fits_at, clear_at, .. } = outcome;
    let fits_at = if fits_at == NEVER { NEVER } else { tick(base, fits_at) };
    Outcome { at: tick(base, at), fits_at, clear_at: tick(base, clear_at), ..outcome }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests;
