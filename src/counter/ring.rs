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
//!   sum which allowed it still held.
//! - R3: refunds only lower counts, and neither seal nor unseal.
//! - R4: once a word is MOVED it never changes; words are frozen from place 0 on.
//!
//! # Progress
//! Lock-free: an exchange fails only when another one succeeded. A thread that dies between sealing
//! and opening leaves a sealed head, behind which anyone opens the next word.

use super::scale::Scale;
use super::snapshot::{Plan, Snapshot, live};
use super::word::{MOVED, SEALED};
use super::{Base, Counter, Moved, NEVER, Outcome, Request};
use crate::breakage::{Breakage, broken, ordering};
use crate::retries::Retries;
use crate::sync::{AtomicU64, Ordering::*, fence};

/// `R` buckets. Zeroed memory is a fresh ring.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Ring<const R: usize> {
    words: [AtomicU64; R],
}

impl<const R: usize> Ring<R> {
    /// The words as a charge must see them, or `Moved`.
    fn read(&self) -> Result<Snapshot<R>, Moved> {
        // Acquire: whoever sees this head sees every change made before it was written, so that
        // the sum below misses no charge. Pairs with the AcqRel of each exchange.
        // Model: wrap with HeadRelaxed.
        let acquire = ordering(Breakage::HeadRelaxed, Acquire);
        let mut words = [0; R];
        let mut head = 0;
        for place in 0..R {
            words[place] = self.words[place].load(acquire);
            if words[place] > words[head] {
                head = place;
            }
        }
        let newest = words[head];
        if newest & MOVED != 0 {
            return Err(Moved);
        }
        let mut snapshot = Snapshot { words, head };
        let (sealed, next) = (snapshot.head_is_sealed(), snapshot.next());
        let twin = if sealed { Breakage::SumBeforeSealed } else { Breakage::SumBeforeHead };
        for place in (0..R).filter(|place| *place != head) {
            // R2: only what is loaded after the head counts.
            // Relaxed: ordered behind the Acquire of the head. Models: wrap with
            // SumBeforeHead, opener with SumBeforeSealed.
            if !broken(twin) || sealed && place == next {
                snapshot.words[place] = self.words[place].load(Relaxed);
            }
        }
        if snapshot.words[next] & MOVED != 0 {
            // No fence: if the caller still finds this array current, its next scan loads this word
            // with Acquire and sees what it was moved for.
            return Err(Moved);
        }
        Ok(snapshot)
    }

    /// Whether the target is still what the snapshot says, so that its sum is one that was true.
    fn stands(&self, snapshot: &Snapshot<R>, commit: bool) -> bool {
        if broken(Breakage::NoValidate) || broken(Breakage::LookUnvalidated) && !commit {
            return true;
        }
        if !broken(Breakage::NoValidateFence) {
            // Acquire: whoever saw a newer bucket in the relaxed loads sees the target changed as
            // well. Pairs with the AcqRel of the opening exchange. Model: denial with
            // NoValidateFence.
            fence(Acquire);
        }
        let target = snapshot.target();
        // Relaxed: compared only.
        self.words[target].load(Relaxed) == snapshot.words[target]
    }

    #[inline]
    fn attempt(
        &self,
        spec: &Scale,
        base: Base,
        request: &Request,
        commit: bool,
    ) -> Result<Outcome, Moved> {
        let now = local(base, request.now);
        let mut retries = Retries::new();
        loop {
            retries.count();
            let snapshot = self.read()?;
            let outcome = match snapshot.plan(spec, now, request.cost, request.limit) {
                Plan::Stale => continue,
                Plan::Stay(outcome) if self.stands(&snapshot, commit) => outcome,
                Plan::Write(_, outcome) | Plan::Turn(_, outcome)
                    if !commit && self.stands(&snapshot, commit) =>
                {
                    let clear_at = snapshot.clear_at(spec, outcome.at);
                    Outcome { used: outcome.used.saturating_sub(request.cost), clear_at, ..outcome }
                }
                Plan::Write(word, outcome) if commit && self.write(&snapshot, word) => outcome,
                Plan::Turn(word, outcome) if commit && self.turn(&snapshot, word) => outcome,
                _ => continue,
            };
            return Ok(global(base, outcome));
        }
    }

    fn write(&self, snapshot: &Snapshot<R>, word: u64) -> bool {
        let target = snapshot.target();
        // Release: whoever acquires this word as the head sees all that this thread's sum rests on,
        // the seal included. Pairs with the Acquire in `read`. Models: wrap with OpenRelaxed,
        // denial_in_the_head with WriteRelaxed.
        let sealed = snapshot.head_is_sealed();
        let twin = if sealed { Breakage::OpenRelaxed } else { Breakage::WriteRelaxed };
        let release = ordering(twin, Release);
        self.words[target].compare_exchange(snapshot.words[target], word, release, Relaxed).is_ok()
    }

    /// Seals the head, then opens the next word. If this thread stops in between, anyone opens.
    fn turn(&self, snapshot: &Snapshot<R>, word: u64) -> bool {
        let (head, next) = (snapshot.head, snapshot.next());
        let newest = snapshot.words[head];
        if !broken(Breakage::NoSeal) {
            // Relaxed: it goes on with the release of the charge that it seals, so who acquires the
            // sealed head sees that charge; and it stands before the opening that follows.
            let sealed =
                self.words[head].compare_exchange(newest, newest | SEALED, Relaxed, Relaxed);
            if sealed.is_err() {
                return false;
            }
        }
        // Release: as in `write`.
        let release = ordering(Breakage::OpenRelaxed, Release);
        self.words[next].compare_exchange(snapshot.words[next], word, release, Relaxed).is_ok()
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
        for word in snapshot_of::<R>(words).oldest_first() {
            let time = spec.format().time(word);
            assert!(time > newest || word == 0 && newest == 0, "times do not grow along the ring");
            newest = time;
        }
    }

    /// The breakage of that name, and nothing else, comes here.
    fn freeze_head_only(&self) -> Snapshot<R> {
        loop {
            let snapshot = match self.read() {
                Ok(snapshot) => snapshot,
                Err(Moved) => {
                    return snapshot_of(std::array::from_fn(|p| self.words[p].load(Acquire)));
                }
            };
            let newest = snapshot.words[snapshot.head];
            if self.words[snapshot.head]
                .compare_exchange(newest, newest | MOVED, AcqRel, Relaxed)
                .is_ok()
            {
                return snapshot;
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
        Base { origin: spec.origin(cutoff), cutoff }
    }

    #[inline(always)]
    fn outlived(spec: &Scale, base: Base, now: u64) -> bool {
        now.saturating_sub(base.origin) > spec.renew_at()
    }

    fn is_beyond(spec: &Scale, base: Base, now: u64) -> bool {
        now.saturating_sub(base.origin) > spec.format().max_time()
    }

    fn window(spec: &Scale) -> u64 {
        spec.window()
    }

    #[inline]
    fn charge(&self, spec: &Scale, base: Base, request: &Request) -> Result<Outcome, Moved> {
        self.attempt(spec, base, request, true)
    }

    #[inline]
    fn look(&self, spec: &Scale, base: Base, request: &Request) -> Result<Outcome, Moved> {
        self.attempt(spec, base, request, false)
    }

    fn give_back(
        &self,
        spec: &Scale,
        base: Base,
        now: u64,
        from: Option<u64>,
        amount: &mut u64,
    ) -> Result<(), Moved> {
        let format = spec.format();
        let mut retries = Retries::new();
        loop {
            retries.count();
            let snapshot = self.read()?;
            let newest = format.time(snapshot.words[snapshot.head]);
            let now = local(base, now).max(newest);
            let Some(oldest) = oldest_live(spec, base, from, now) else {
                return Ok(());
            };
            // A merged bucket stands in a later cell. Model: merge with NoRefundMerged.
            let is_other = |cell| broken(Breakage::NoRefundMerged) && cell != spec.cell(oldest);
            let mut newer = false;
            for step in 1..=R {
                let mut given = 0;
                self.change((snapshot.head + step) % R, |word| {
                    let (time, cell) = (format.time(word), spec.cell(format.time(word)));
                    // A bucket that was opened since is newer than the charge that is given back.
                    newer = cell > spec.cell(newest);
                    let ours = time >= oldest && !newer && !is_other(cell) && live(spec, word, now);
                    let (after, taken) =
                        if ours { format.give_back(word, *amount) } else { (word, 0) };
                    given = taken;
                    after
                })?;
                *amount -= given;
                if *amount == 0 {
                    return Ok(());
                }
            }
            // Last came the head. If it stands in a later cell now, the charge may have been merged
            // into that. Schedules: cancelled against merge with MergedIsNewer.
            if !newer || broken(Breakage::MergedIsNewer) {
                return Ok(());
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
        Self::frozen_weight(&snapshot_of(words), spec, base, cutoff)
    }

    fn freeze(&self) -> Snapshot<R> {
        if broken(Breakage::FreezeHeadOnly) {
            return self.freeze_head_only();
        }
        snapshot_of(std::array::from_fn(|place| {
            if broken(Breakage::NoFreeze) {
                return self.words[place].load(Acquire);
            }
            // Release: no exchange can succeed after this, and whoever meets the mark sees the array
            // that the word is moved for. Pairs with `read` and `change`. Models:
            // move_against_charge with NoFreeze and FreezeRelaxed, move_against_seal with
            // FreezeHeadOnly.
            self.words[place].fetch_or(MOVED, ordering(Breakage::FreezeRelaxed, Release))
        }))
    }

    fn frozen_weight(frozen: &Snapshot<R>, spec: &Scale, base: Base, cutoff: u64) -> u64 {
        let cutoff = local(base, cutoff);
        let newest = spec.format().time(frozen.words[frozen.head]);
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
        // `read`. Models: two_movers with PublishHeadFirst and InstallRelaxed.
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

/// The snapshot of words that nobody can change any more, without their marks.
fn snapshot_of<const R: usize>(mut words: [u64; R]) -> Snapshot<R> {
    let mut head = 0;
    for place in 0..R {
        words[place] &= !MOVED;
        if words[place] > words[head] {
            head = place;
        }
    }
    Snapshot { words, head }
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
    let tick = if broken(Breakage::NoCutoff) { tick } else { tick.max(base.cutoff) };
    tick.saturating_sub(base.origin)
}

/// An answer in ticks. At the very end of time a wait is as long as the clock can tell.
#[inline(always)]
fn global(base: Base, outcome: Outcome) -> Outcome {
    let tick = |time: u64| time.saturating_add(base.origin).min(NEVER - 1);
    let fits_at = if outcome.fits_at == NEVER { NEVER } else { tick(outcome.fits_at) };
    Outcome { at: tick(outcome.at), fits_at, clear_at: tick(outcome.clear_at), ..outcome }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests;
