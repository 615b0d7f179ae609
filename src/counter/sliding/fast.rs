//! The fast path of a charge: one evaluation, without a retry loop.
//!
//! The time `at` of a decision is kept at the position of a word's time field. There it compares with
//! whole words, and count bits are added to it without a shift.

use super::head::{HeadSnapshot, ObservedWord};
use super::sum::Sum;
use super::time_scale::TimeScale;
use super::word::{Live, MOVED, SEALED};
use super::{Ring, load_word};
use crate::counter::prepared::{CounterEvaluation, PreparedCharge};
use crate::counter::{ChargeArgs, Outcome, TimeBase};
use std::hint::cold_path;

impl<const R: usize> Ring<R> {
    /// Evaluates a charge. `None` sends the caller to the slow path.
    #[inline(always)]
    pub(super) fn evaluate_fast<S: Sum>(
        &self,
        scale: &TimeScale,
        base: TimeBase,
        args: &ChargeArgs,
        sum: S,
    ) -> Option<CounterEvaluation<'_>> {
        let format = scale.format();
        let head = self.head();
        // One test for both marks; `charge` distinguishes them. Models: cell_change and
        // ring_move_against_charge with PreparedMarked.
        if head.word & (MOVED | SEALED) != 0 {
            cold_path();
            return None;
        }
        debug_assert!(head.word != 0 || head.index == 0, "the first bucket is at index 0");
        let mut at = format.start_of(args.now - base.origin);
        if head.word > format.last_word(at) {
            // The head was charged at a later reading than the caller's.
            cold_path();
            at = format.start(head.word);
            if !base.covers(format.time(at) + base.origin) {
                return None;
            }
        }
        let live = scale.live_from(at);
        let in_head = live.live_count_bits(head.word);
        let older = self.older_count_bits(live, head, sum);
        let used = live.count_from_bits(in_head + older);
        let Some(room) = args.limit.checked_sub(args.cost) else {
            // Nothing will be written.
            cold_path();
            return None;
        };
        let tick = |word| format.time(word) + base.origin;
        if used > room {
            let (used, must_expire) = if older == 0 && in_head > 0 {
                (in_head, head.word)
            } else {
                let room = format.to_bits(room);
                self.must_expire(scale, live.min_word(), head.index, head.word, room)
            };
            // 0 if a concurrent refund made room, or if the head has no count. Model: denial_report
            // with NoValidate.
            if must_expire == 0 || !self.is_unchanged(head) {
                cold_path();
                return None;
            }
            let outcome = Outcome {
                admitted: false,
                used: live.count_from_bits(used),
                at: tick(at),
                fits_at: tick(must_expire) + scale.window(),
                clear_at: tick(head.word) + scale.window(),
            };
            return Some((outcome, None));
        }
        let outcome = Outcome {
            admitted: true,
            used: used + args.cost,
            at: tick(at),
            fits_at: tick(at),
            clear_at: tick(at) + scale.window(),
        };
        let prepared = if in_head == 0 || head.word >= scale.cell_start_word(format.time(at)) {
            let word = format.charged(at + in_head, args.cost);
            let target = self.observed_atomic(head);
            PreparedCharge { head: None, target, word, opens_bucket: false }
        } else {
            self.prepare_in_new_cell(scale, format.time(at), head, args.cost)?
        };
        Some((outcome, Some(prepared)))
    }

    /// Prepares a charge when the head's cell has ended. Here `at` is a plain time. `None` if the next
    /// word was moved.
    #[inline(always)]
    fn prepare_in_new_cell(
        &self,
        scale: &TimeScale,
        at: u64,
        head: ObservedWord,
        cost: u64,
    ) -> Option<PreparedCharge<'_>> {
        let next = self.next(head.index).ok()?;
        let snapshot = HeadSnapshot { head, next: None };
        let write = snapshot.write_in_new_cell(scale, at, cost, next);
        Some(self.prepared_charge(&snapshot, write))
    }

    /// Returns the usage in count bits, and the word that must expire before the charge fits. Loads each
    /// live word once.
    ///
    /// This is the word at which a sum from the newest to the oldest first exceeds `room`, which is in
    /// count bits. It is 0 if the sum does not exceed `room`, or if the head has no count.
    #[inline(never)]
    fn must_expire(
        &self,
        scale: &TimeScale,
        min_word: u64,
        mut index: usize,
        head: u64,
        room: u64,
    ) -> (u64, u64) {
        let live = Live::from_word(min_word, scale.format());
        let mut steps = R - 1;
        let mut older = || {
            steps = steps.checked_sub(1)?;
            index = index.checked_sub(1).unwrap_or(R - 1).min(R - 1);
            let word = load_word(&self.words[index]);
            live.has(word).then_some(word)
        };
        let mut used = live.live_count_bits(head);
        if used == 0 {
            cold_path();
            return (0, 0);
        }
        let mut must_expire = head;
        while used <= room {
            let Some(word) = older() else { return (used, 0) };
            (used, must_expire) = (used + live.count_bits_of(word), word);
        }
        while let Some(word) = older() {
            used += live.count_bits_of(word);
        }
        (used, must_expire)
    }
}
