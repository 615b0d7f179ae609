//! Single-threaded tests of one ring: outcomes, refunds, and moves to another array.

use super::snapshot::Snapshot;
use super::*;
use crate::counter::{Counter, Since};
use proptest::prelude::*;

const WORDS: usize = 7;
type Small = Ring<WORDS>;
/// Charges as (time, cost), in order of time.
type Log = Vec<(u64, u64)>;

fn ring<const R: usize>(words: [u64; R]) -> Ring<R> {
    Ring { words: words.map(AtomicU64::new) }
}

fn words<const R: usize>(ring: &Ring<R>) -> [u64; R] {
    std::array::from_fn(|index| ring.words[index].load(Acquire))
}

/// A ring, with a log of all charges that were not given back.
struct HarnessOf<const R: usize> {
    ring: Ring<R>,
    scale: TimeScale,
    base: TimeBase,
    log: Log,
    /// The latest time of any clock so far.
    latest_clock: u64,
    now: u64,
    /// The time of the newest charge, even if it was given back.
    newest: u64,
    refunded: bool,
}

type Harness = HarnessOf<WORDS>;
/// A ring long enough that only its live words are summed.
type LongHarness = HarnessOf<31>;

#[derive(Clone, Debug)]
enum Step {
    /// Moves the clock by this much, then charges this cost under this limit.
    Charge(i64, u64, u64),
    /// Moves the clock by this much, then seals the head as a charge of this cost would. The next
    /// word is not opened.
    SealOnly(i64, u64),
    /// Gives back the n-th newest charge, counted from 0.
    Undo(usize),
}

fn steps(limit: u64) -> impl Strategy<Value = Vec<Step>> {
    let time = || prop_oneof![8 => 0i64..12, 2 => -9i64..0, 2 => 0i64..80];
    let limits = prop_oneof![3 => Just(limit), 1 => 0..=limit];
    let step = prop_oneof![
        8 => (time(), 0..=limit + 1, limits)
            .prop_map(|(t, cost, limit)| Step::Charge(t, cost, limit)),
        8 => (time(), 0..=limit / 8 + 1).prop_map(move |(t, cost)| Step::Charge(t, cost, limit)),
        3 => (time(), 1..=limit / 8 + 1).prop_map(|(t, cost)| Step::SealOnly(t, cost)),
        2 => (0usize..6).prop_map(Step::Undo),
    ];
    prop::collection::vec(step, 1..90)
}

/// Charges so dense that every word of an exact ring is live, with holes from refunds.
fn dense_steps() -> impl Strategy<Value = Vec<Step>> {
    let time = || prop_oneof![6 => 1i64..3, 1 => Just(0), 2 => -6i64..0];
    let step = prop_oneof![
        8 => (time(), 1u64..3).prop_map(|(t, cost)| Step::Charge(t, cost, WORDS as u64)),
        2 => (1i64..9).prop_map(|t| Step::SealOnly(t, 1)),
        4 => (0..WORDS).prop_map(Step::Undo),
    ];
    prop::collection::vec(step, 1..90)
}

impl<const R: usize> HarnessOf<R> {
    /// A fresh ring in an array with this cutoff, in nanoseconds of the clock.
    fn new(window: u64, limit: u64, cutoff: u64) -> Self {
        let scale = TimeScale::new(window, limit, R as u64);
        let cutoff = scale.tick(cutoff);
        let base = Ring::<R>::base(&scale, cutoff);
        let ring = ring([0; R]);
        let (latest_clock, now, newest) = (cutoff, cutoff, 0);
        HarnessOf { ring, scale, base, log: vec![], latest_clock, now, newest, refunded: false }
    }

    fn window(&self) -> u64 {
        self.scale.window()
    }

    fn peek(&self, now: u64, cost: u64, limit: u64) -> Outcome {
        let before = words(&self.ring);
        let outcome = self.ring.peek(&self.scale, self.base, &ChargeArgs { now, cost, limit });
        assert_eq!(words(&self.ring), before, "a peek wrote");
        outcome.unwrap()
    }

    /// The usage at a time according to the log, if each charge counted for `longer` ticks more.
    fn live(&self, at: u64, longer: u64) -> u64 {
        let is_live = |(time, _): &&(u64, u64)| time + self.window() + longer > at;
        self.log.iter().filter(is_live).map(|(_, cost)| cost).sum()
    }

    fn move_clock(&mut self, by: i64) -> u64 {
        self.now = self.now.saturating_add_signed(by);
        self.latest_clock = self.latest_clock.max(self.now);
        self.now
    }

    fn charge(&mut self, args: ChargeArgs) -> Outcome {
        self.assert_fast_path(&args);
        let outcome = self.ring.charge(&self.scale, self.base, &args).unwrap();
        if outcome.admitted && args.cost > 0 {
            self.log.push((outcome.at, args.cost));
            self.newest = outcome.at;
        }
        outcome
    }

    /// Asserts that the fast path evaluates a charge as the slow path does. It may return `None` only if
    /// the head is sealed, if the cost is above the limit, or if a denial finds no live count in the head.
    fn assert_fast_path(&self, args: &ChargeArgs) {
        // The fast path never gets a cost of 0, a forced charge (one without a limit), or a time that the
        // base does not cover.
        if args.cost == 0 || args.limit == u64::MAX || !self.base.covers(args.now) {
            return;
        }
        let snapshot = self.ring.head_snapshot().unwrap().unwrap();
        let slow = self.ring.evaluate(&self.scale, self.base, args, snapshot).unwrap();
        let slow = slow.expect("no other thread has written");
        let head = self.scale.live(slow.0.at - self.base.origin).count(snapshot.head.word);
        let is_taken =
            !snapshot.is_sealed() && args.cost <= args.limit && (slow.0.admitted || head > 0);
        let fast = self.ring.prepare(&self.scale, self.base, args, ScalarSum);
        let expected = is_taken.then_some(slow);
        assert_eq!(format!("{fast:?}"), format!("{expected:?}"));
        let target = |evaluation: CounterEvaluation<'_>| {
            evaluation.1.map(|prepared| std::ptr::from_ref(prepared.target.atomic))
        };
        assert_eq!(fast.map(target), expected.map(target));
    }

    fn apply(&mut self, step: Step) {
        let before = words(&self.ring);
        match step {
            Step::Charge(by, cost, limit) => {
                let args = ChargeArgs { now: self.move_clock(by), cost, limit };
                let peeked = self.peek(args.now, cost, limit);
                self.assert_outcome(&args, peeked);
                let outcome = self.charge(args);
                assert_eq!((outcome.admitted, outcome.at), (peeked.admitted, peeked.at));
                if cost > 0 && outcome.admitted {
                    assert_eq!(outcome.used, peeked.used + cost);
                    assert_eq!(outcome.clear_at, outcome.at + self.window());
                } else {
                    assert_eq!(outcome, peeked);
                }
            }
            Step::SealOnly(by, cost) => {
                let now = local_time(self.base, self.move_clock(by));
                let snapshot = self.ring.head_snapshot().unwrap().unwrap();
                let at = snapshot.effective_time(&self.scale, now);
                let next = self.ring.next(snapshot.head.index).unwrap();
                let fits_target = snapshot.charged_word(&self.scale, at, cost).is_some();
                if !fits_target
                    && let Write::SealAndOpen(..) =
                        snapshot.write_in_new_cell(&self.scale, at, cost, next)
                {
                    assert!(self.ring.observed_atomic(snapshot.head).seal());
                }
            }
            Step::Undo(nth_newest) => self.undo(nth_newest),
        }
        self.ring.assert_ordered(&self.scale);
        self.assert_sealed_buckets_kept(before);
    }

    /// Asserts that only give-backs change a sealed bucket until it has expired and is opened again.
    fn assert_sealed_buckets_kept(&self, before: [u64; R]) {
        let format = self.scale.format();
        for (old, new) in
            before.into_iter().zip(words(&self.ring)).filter(|(old, _)| old & SEALED != 0)
        {
            if format.time(old) == format.time(new) {
                assert!(new & SEALED != 0 && format.count(new) <= format.count(old));
            } else {
                assert_eq!(self.scale.live(format.time(new)).count(old), 0);
            }
        }
    }

    /// Gives one charge back: all of it while it is live, nothing afterwards.
    fn undo(&mut self, nth_newest: usize) {
        let Some(index) = self.log.len().checked_sub(nth_newest + 1) else {
            return;
        };
        let (from, cost) = self.log.remove(index);
        let is_live = from + self.window() > self.now.max(self.newest).max(self.base.cutoff);
        let used = self.peek(self.now, 0, 0).used;
        let mut rest = cost;
        let (scale, base) = (&self.scale, self.base);
        self.ring.give_back(scale, base, self.now, Since::tick(Some(from)), &mut rest).unwrap();
        assert_eq!(rest, if is_live { 0 } else { cost });
        assert!(self.peek(self.now, 0, 0).used + (cost - rest) >= used);
        self.refunded = true;
    }

    /// Asserts that an outcome is valid.
    ///
    /// Some clock has reached its time. Its usage is at least that of the log; without refunds,
    /// charges expire less than a cell late. The charge fits at `fits_at` and not before. Usage is
    /// 0 at `clear_at` and not before.
    fn assert_outcome(&self, args: &ChargeArgs, seen: Outcome) {
        assert!(seen.at >= args.now.max(self.base.cutoff).max(self.newest));
        assert!(seen.at <= self.latest_clock, "no clock has reached {}", seen.at);
        assert!(seen.used >= self.live(seen.at, 0), "forgot a charge");
        if !self.refunded {
            let cell_delay = self.scale.next_cell(0) - 1;
            assert!(seen.used <= self.live(seen.at, cell_delay), "late by a cell or more");
        }
        assert_eq!(seen.admitted, seen.used + args.cost <= args.limit);
        let at = |now: u64| self.peek(now, args.cost, args.limit);
        match seen.fits_at {
            NEVER => assert!(args.cost > args.limit),
            fits_at if seen.admitted => assert_eq!(fits_at, seen.at),
            fits_at => {
                assert!(at(fits_at).admitted && !at(fits_at - 1).admitted);
                assert!(!at(seen.at.midpoint(fits_at - 1)).admitted);
            }
        }
        assert_eq!(at(seen.clear_at).used, 0);
        if seen.used == 0 {
            assert_eq!(seen.clear_at, seen.at);
        } else {
            assert!(at(seen.clear_at - 1).used > 0);
        }
    }

    /// Asserts that no window of recorded times exceeds the limit.
    fn assert_never_over(&self, limit: u64) {
        for (index, (end, _)) in self.log.iter().enumerate() {
            let inside = self.log[..=index].iter().filter(|(at, _)| end - at < self.window());
            assert!(inside.map(|(_, cost)| cost).sum::<u64>() <= limit);
        }
    }

    /// Moves the ring to an array with this cutoff. The old ring stays frozen.
    fn moved(&self, cutoff: u64) -> Self {
        let (scale, base) = (self.scale, Ring::<R>::base(&self.scale, cutoff));
        let new = ring([0; R]);
        new.install(&scale, &self.ring.freeze(), self.base, base);
        let (log, latest_clock) = (self.log.clone(), self.latest_clock.max(cutoff));
        HarnessOf { ring: new, scale, base, log, latest_clock, now: latest_clock, ..*self }
    }

    /// Asserts that each outcome is valid, and that the limit is never exceeded.
    fn assert_steps_valid(mut self, limit: u64, steps: Vec<Step>) {
        steps.into_iter().for_each(|step| self.apply(step));
        self.assert_never_over(limit);
    }

    /// Asserts that without refunds every outcome of an exact ring matches a log.
    fn assert_matches_log(mut self, steps: Vec<Step>) {
        let window = self.window();
        for step in steps {
            let Step::Charge(by, cost, limit) = step else { continue };
            let now = self.move_clock(by);
            let at = now.max(self.base.cutoff).max(self.newest);
            let live: Log = self.log.iter().copied().filter(|(t, _)| t + window > at).collect();
            let used: u64 = live.iter().map(|(_, cost)| cost).sum();
            // The first time at which enough of the oldest charges have expired.
            let room_at = |at: &u64| self.live(*at, 0) + cost <= limit;
            let fits_at = live.iter().map(|(time, _)| time + window).find(room_at);
            let expected = Outcome {
                admitted: used + cost <= limit,
                used,
                at,
                fits_at: match fits_at {
                    _ if cost > limit => NEVER,
                    Some(fits_at) if used + cost > limit => fits_at,
                    _ => at,
                },
                clear_at: live.last().map_or(at, |(time, _)| time + window),
            };
            assert_eq!(self.peek(now, cost, limit), expected);
            let outcome = self.charge(ChargeArgs { now, cost, limit });
            assert_eq!((outcome.admitted, outcome.at), (expected.admitted, at));
        }
    }
}

proptest! {
    /// Bucketed and exact rings, with threads that stop after sealing.
    #[test]
    fn every_outcome_is_valid(
        (limit, steps) in prop_oneof![1u64..=7, 8u64..200].prop_flat_map(|l| (Just(l), steps(l))),
        window in 6u64..60, cutoff in 0u64..10_000,
    ) {
        Harness::new(window, limit, cutoff).assert_steps_valid(limit, steps);
    }

    #[test]
    fn every_outcome_of_a_long_ring_is_valid(
        (limit, steps) in prop_oneof![20u64..=31, 32u64..900]
            .prop_flat_map(|l| (Just(l), steps(l))),
        window in 30u64..300, cutoff in 0u64..10_000,
    ) {
        LongHarness::new(window, limit, cutoff).assert_steps_valid(limit, steps);
    }

    /// Rings whose words are all live, with holes from refunds.
    #[test]
    fn dense_ring_with_refunds_is_valid(steps in dense_steps(), window in 7u64..16) {
        Harness::new(window, WORDS as u64, 100).assert_steps_valid(WORDS as u64, steps);
    }

    #[test]
    fn exact_ring_matches_log(
        (limit, steps) in (1u64..=7).prop_flat_map(|l| (Just(l), steps(l))),
        window in 1u64..60, cutoff in 0u64..10_000,
    ) {
        Harness::new(window, limit, cutoff).assert_matches_log(steps);
    }

    #[test]
    fn long_exact_ring_matches_log(
        (limit, steps) in (20u64..=31).prop_flat_map(|l| (Just(l), steps(l))),
        window in 30u64..300, cutoff in 0u64..10_000,
    ) {
        LongHarness::new(window, limit, cutoff).assert_matches_log(steps);
    }

    /// A ring whose length is not one less than a power of two: the search for the newest word meets
    /// indices past the end.
    #[test]
    fn exact_ring_of_another_length_matches_log(
        (limit, steps) in (16u64..=23).prop_flat_map(|l| (Just(l), steps(l))),
        window in 30u64..300, cutoff in 0u64..10_000,
    ) {
        HarnessOf::<23>::new(window, limit, cutoff).assert_matches_log(steps);
    }

    /// A moved ring has the outcomes of the original one, and the frozen ring never changes.
    #[test]
    fn move_preserves_outcomes(
        (limit, steps) in prop_oneof![1u64..=7, 8u64..200].prop_flat_map(|l| (Just(l), steps(l))),
        more in steps(8), window in 6u64..60, later in prop_oneof![Just(0), 0u64..100],
        nth_start in 0usize..3,
    ) {
        let mut old = Harness::new(window, limit, 0);
        steps.into_iter().for_each(|step| old.apply(step));
        // The new cutoff is at or after the old cutoff, the newest charge, or the latest clock.
        let starts = [old.base.cutoff, old.newest.max(old.base.cutoff), old.latest_clock];
        let cutoff = later + starts[nth_start];
        let unmoved = Harness { ring: ring(words(&old.ring)), log: vec![], ..old };
        let weight = unmoved.ring.weight(&old.scale, old.base, cutoff);
        let new = old.moved(cutoff);
        new.ring.assert_ordered(&new.scale);
        prop_assert!(words(&new.ring)[0] & SEALED == 0, "the new head is sealed");
        let frozen = old.ring.freeze();
        prop_assert_eq!(weight, Small::frozen_weight(&frozen, &old.scale, old.base, cutoff));
        let newest = old.scale.format().time(frozen.newest());
        if old.base.origin + newest > cutoff {
            prop_assert_eq!(weight, u64::MAX, "live charges may be overwritten");
        } else {
            let at = unmoved.peek(cutoff, 0, 0).at;
            prop_assert!(weight >= unmoved.peek(cutoff, 0, 0).used);
            prop_assert!(weight == unmoved.peek(cutoff, 0, 0).used || at > cutoff);
        }
        // Move twice: a moved ring has empty words before live ones.
        let copy = Harness { ring: ring(words(&new.ring)), log: vec![], ..new };
        let twice = copy.moved(cutoff);
        // Start at the old ring's effective time: its head may be sealed.
        let start = unmoved.peek(cutoff, 0, 0).at;
        for now in start..start + 2 * window {
            for cost in [0, 1, limit / 2 + 1, limit, limit + 1] {
                let expected = unmoved.peek(now, cost, limit);
                prop_assert_eq!(new.peek(now, cost, limit), expected);
                prop_assert_eq!(twice.peek(now, cost, limit), expected);
            }
        }
        old.assert_frozen();
        // The new ring accepts further charges, and a late install changes nothing.
        let mut new = new;
        more.into_iter().for_each(|step| new.apply(step));
        let before = words(&new.ring);
        new.ring.install(&new.scale, &old.ring.freeze(), old.base, new.base);
        prop_assert_eq!(words(&new.ring), before);
        new.assert_never_over(limit.max(8));
    }

    /// A refund takes the oldest live charges made at `from` or later, exactly as in a log.
    #[test]
    fn refund_takes_oldest_live_charges(
        (limit, steps) in (1u64..=7).prop_flat_map(|l| (Just(l), steps(l))),
        from in prop::option::of(0usize..8), amount in 0u64..9, later in 0u64..40,
        window in 6u64..60,
    ) {
        let mut harness = Harness::new(window, limit, 500);
        for step in steps {
            if let Step::Charge(by, cost, limit) = step {
                let now = harness.move_clock(by);
                harness.charge(ChargeArgs { now, cost, limit });
            }
        }
        let now = harness.now + later;
        let at = harness.peek(now, 0, 0).at;
        let from = from.and_then(|n| harness.log.iter().rev().nth(n)).map(|(time, _)| *time);
        let mut rest = amount;
        harness.ring.give_back(&harness.scale, harness.base, now, Since::tick(from), &mut rest).unwrap();
        let expired = from.is_some_and(|from| from + window <= at);
        let mut expected_rest = if expired { 0 } else { amount };
        for (time, cost) in &mut harness.log {
            if *time + window > at && *time >= from.unwrap_or(0) {
                let given = expected_rest.min(*cost);
                (*cost, expected_rest) = (*cost - given, expected_rest - given);
            }
        }
        prop_assert_eq!(rest, if expired { amount } else { expected_rest });
        for now in at..at + window + 1 {
            prop_assert_eq!(harness.peek(now, 0, 0).used, harness.live(now, 0));
        }
        // A reset leaves no usage.
        harness.ring.reset(&harness.scale, harness.base, &mut None, |_| ()).unwrap();
        prop_assert_eq!(harness.peek(harness.base.cutoff, limit, limit).used, 0);
        prop_assert!(harness.peek(harness.base.cutoff, limit, limit).admitted);
    }
}

impl Harness {
    /// Asserts that every operation returns `Moved` and changes no word.
    fn assert_frozen(&self) {
        let (ring, scale, base) = (&self.ring, &self.scale, self.base);
        let before = words(ring);
        let args = ChargeArgs { now: self.latest_clock, cost: 1, limit: u64::MAX };
        assert_eq!(ring.charge(scale, base, &args), Err(Moved));
        assert!(ring.prepare(scale, base, &ChargeArgs { limit: 1, ..args }, ScalarSum).is_none());
        assert_eq!(ring.peek(scale, base, &args), Err(Moved));
        assert_eq!(ring.reset(scale, base, &mut None, |_| ()), Err(Moved));
        for from in [None, Some(self.latest_clock)] {
            assert_eq!(
                ring.give_back(scale, base, self.latest_clock, Since::tick(from), &mut 1),
                Err(Moved)
            );
        }
        assert_eq!(words(ring), before);
    }
}

/// All words are live except one hole; one thread stops after sealing the head, then a late thread
/// charges. Checked for each hole and each pair of times.
#[test]
fn late_charge_after_abandoned_seal() {
    let limit = WORDS as u64;
    for hole in 0..WORDS {
        for (later, earlier) in
            (1..24).flat_map(|later| (0..24).map(move |earlier| (later, earlier)))
        {
            let mut harness = Harness::new(16, limit, 100);
            (0..WORDS).for_each(|_| harness.apply(Step::Charge(1, 1, limit)));
            harness.apply(Step::Undo(hole));
            harness.apply(Step::SealOnly(later, 1));
            harness.apply(Step::Charge(-earlier, 1, limit));
            harness.apply(Step::Charge(0, 1, limit));
            harness.assert_never_over(limit);
        }
    }
}

/// A denial, a charge of 0, a refund and a reset leave a fresh ring closed. Only a charge opens it.
#[test]
fn only_a_charge_opens_the_ring() {
    let mut harness = Harness::new(20, 5, 100);
    let now = harness.now;
    assert!(harness.peek(now, 1, 5).admitted);
    assert!(!harness.charge(ChargeArgs { now, cost: 6, limit: 5 }).admitted);
    harness.charge(ChargeArgs { now, cost: 0, limit: 5 });
    harness.ring.reset(&harness.scale, harness.base, &mut None, |_| ()).unwrap();
    harness.ring.give_back(&harness.scale, harness.base, now, Since::tick(None), &mut 3).unwrap();
    assert!(!harness.ring.is_open());
    assert_eq!(harness.ring.weight(&harness.scale, harness.base, now), 0);
    assert!(harness.charge(ChargeArgs { now, cost: 2, limit: 5 }).admitted);
    assert!(harness.ring.is_open());
    harness.ring.reset(&harness.scale, harness.base, &mut None, |_| ()).unwrap();
    assert!(harness.ring.is_open(), "a slot is never closed in its array");
}

/// A ring that has seen a time after the cutoff has the greatest weight, so that it is not dropped:
/// it may have overwritten charges that are live at the cutoff.
#[test]
fn weight_is_max_after_a_later_time() {
    let mut harness = Harness::new(20, 5, 100);
    let now = harness.now;
    for later in [0, 3] {
        assert!(harness.charge(ChargeArgs { now: now + later, cost: 1, limit: 5 }).admitted);
    }
    harness
        .ring
        .give_back(&harness.scale, harness.base, now + 3, Since::tick(None), &mut 1)
        .unwrap();
    let weight = |cutoff| {
        let frozen = Snapshot::new(words(&harness.ring));
        let weight = Small::frozen_weight(&frozen, &harness.scale, harness.base, cutoff);
        assert_eq!(harness.ring.weight(&harness.scale, harness.base, cutoff), weight);
        weight
    };
    assert_eq!([now + 2, now + 3, now + 22, now + 23].map(weight), [u64::MAX, 1, 1, 0]);
}

/// A saturated count is not given back, and it expires like any other.
#[test]
fn saturated_count_is_not_refunded() {
    let mut harness = Harness::new(20, 5, 100);
    let now = harness.now;
    for cost in [3, u64::MAX, u64::MAX] {
        assert!(harness.charge(ChargeArgs { now, cost, limit: u64::MAX }).admitted);
    }
    let mut rest = u64::MAX;
    harness
        .ring
        .give_back(&harness.scale, harness.base, now, Since::tick(None), &mut rest)
        .unwrap();
    assert_eq!(rest, u64::MAX);
    assert!(!harness.peek(now + 19, 1, 5).admitted && harness.peek(now + 20, 5, 5).admitted);
}

/// An array is renewed before its time field is exhausted, and refuses times beyond it.
#[test]
fn array_is_renewed_before_time_runs_out() {
    let scale = TimeScale::new(1_000_000, crate::error::MAX_LIMIT, WORDS as u64);
    let base = Small::base(&scale, scale.tick(0) + 12_345);
    let end = base.origin + scale.format().max_time();
    let renewed = base.origin + scale.renew_at();
    assert!(!base.needs_renewal(renewed) && base.needs_renewal(renewed + 1));
    assert!(
        !Small::is_out_of_range(&scale, base, end) && Small::is_out_of_range(&scale, base, end + 1)
    );
    assert!(!base.needs_renewal(0) && !Small::is_out_of_range(&scale, base, 0));
    assert!(renewed < end && base.needs_renewal(u64::MAX));
    assert_eq!(Small::window(&scale), scale.window());
    // The last time is recorded exactly; later ones are clamped to it.
    let ring = ring([0; WORDS]);
    let at = |now| ring.charge(&scale, base, &ChargeArgs { now, cost: 1, limit: 9 }).unwrap().at;
    assert_eq!((at(end - 1), at(end), at(end + 1)), (end - 1, end, end));
}

/// Near the end of the clock a wait is still finite: only a charge that can never fit has `NEVER`.
#[test]
fn wait_at_clock_end_is_finite() {
    let mut harness = Harness::new(20, 5, u64::MAX - 100);
    let now = u64::MAX - 3;
    assert_eq!(harness.charge(ChargeArgs { now, cost: 5, limit: 5 }).at, now);
    assert_eq!(harness.peek(now, 1, 5).fits_at, NEVER - 1);
    assert_eq!(harness.peek(now, 1, 5).clear_at, NEVER - 1);
    assert_eq!(harness.peek(now, 6, 5).fits_at, NEVER);
}
