//! Races on a whole table: the operations of each thread, and the invariants checked at the end.

use super::assert_holds;
use crate::counter::calendar::{Budget, Quota};
use crate::counter::prepared::PreparedCharge;
use crate::counter::sliding::Ring;
use crate::counter::sliding::sum::ScalarSum;
use crate::counter::sliding::time_scale::TimeScale;
use crate::counter::{ChargeArgs, Counter};
use crate::reclaim::pin;
use crate::table::{Charged, KeyId, Receipt, Table};
use loom::thread;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

pub(super) const WORDS: usize = 2;
pub(super) const WINDOW: u64 = 4;

pub(super) type ModelRing = Ring<WORDS>;
pub(super) type ModelTable = Table<ModelRing>;

/// A counter with the small dimensions of a model.
pub(super) trait ModelCounter: Counter {
    fn spec(limit: u64) -> Self::Spec;

    /// The time of a charge, given the `at` of its outcome.
    fn time(at: u64) -> u64;

    /// The `at` of a charge made at this time, of a key that was never reset.
    fn stamp(time: u64) -> u64;
}

impl ModelCounter for Ring<WORDS> {
    fn spec(limit: u64) -> TimeScale {
        TimeScale::tiny(WINDOW, limit, WORDS as u64)
    }

    fn time(at: u64) -> u64 {
        at
    }

    fn stamp(time: u64) -> u64 {
        time
    }
}

impl ModelCounter for Quota {
    fn spec(_: u64) -> Budget {
        Budget::DAYS
    }

    fn time(at: u64) -> u64 {
        Budget::DAYS.period_of(at)
    }

    fn stamp(time: u64) -> u64 {
        Budget::DAYS.first_stamp(time)
    }
}

/// Admitted charges, as (key, time, cost).
type Log = Arc<Mutex<Vec<(u64, u64, u64)>>>;

/// Keys `A` and `B` have the first slot of any array as their home, key `Z` has the last one.
pub(super) const A: u64 = 8;
pub(super) const B: u64 = 9;
pub(super) const Z: u64 = u64::MAX;

#[derive(Clone, Copy)]
pub(super) enum Op {
    /// Key, time, cost.
    Charge(u64, u64, u64),
    /// Gives back the charge at this index of `before`.
    Refund(usize),
    /// Resets this key.
    Reset(u64),
    /// Key, time. The usage must include what this thread was admitted at that time.
    Peek(u64, u64),
    /// Starts a renewal; time.
    Renew(u64),
    /// Starts a renewal that may forgive this many units; time, units.
    Evict(u64, u64),
    /// Moves one chunk; time.
    Help(u64),
    /// Moves all chunks; time.
    Finish(u64),
    /// Advances the epoch this many times, and frees what is due.
    Free(usize),
}
use Op::*;

/// A table, the charges made before the race, and the operations of each thread.
pub(super) struct Race {
    pub(super) limit: u64,
    pub(super) slots: usize,
    /// Charges made before the threads begin, as (key, time, cost).
    pub(super) before: &'static [(u64, u64, u64)],
    pub(super) threads: &'static [&'static [Op]],
    /// The number of charges that must be admitted, if it does not depend on the interleaving.
    pub(super) admitted: Option<usize>,
}

/// Charges as a request of one charge does: on the fast path first, then on the slow path.
pub(super) fn charge<C: ModelCounter>(
    table: &Table<C>,
    limit: u64,
    key: KeyId,
    now: u64,
    cost: u64,
) -> Charged {
    let (guard, args) = (pin(), ChargeArgs { now, cost, limit });
    if cost > 0
        && let Some((charged, prepared)) = table.evaluate(key, &args, &guard, ScalarSum)
        && prepared.is_none_or(PreparedCharge::commit)
    {
        return charged;
    }
    table.charge(key, &args, &guard).expect("room")
}

impl Race {
    fn run<C: ModelCounter>(&self, table: &Table<C>, log: &Log, ops: &[Op]) {
        let mut admitted = Vec::new();
        for op in ops {
            match *op {
                Charge(key, now, cost) => {
                    let outcome = charge(table, self.limit, KeyId::new(key), now, cost).outcome;
                    if outcome.admitted {
                        let at = C::time(outcome.at);
                        log.lock().unwrap().push((key, at, cost));
                        admitted.push((key, at, cost));
                    }
                }
                Refund(number) => {
                    let charge = self.before[number];
                    log.lock().unwrap().retain(|other| *other != charge);
                    let (key, at, cost) = charge;
                    // The charges in `before` were made in the first array.
                    let from = Some(Receipt { at: C::stamp(at), units: cost, generation: 0 });
                    let given = table.give_back(KeyId::new(key), at, from, cost, &pin());
                    assert_eq!(given.units, charge.2, "a refund was lost");
                }
                Reset(key) => {
                    log.lock().unwrap().retain(|charge| charge.0 != key);
                    table.reset(KeyId::new(key), &pin());
                }
                Peek(key, now) => {
                    let args = ChargeArgs { now, cost: 0, limit: self.limit };
                    let used = table.peek(KeyId::new(key), &args, &pin()).used;
                    let own = admitted.iter().filter(|charge| charge.0 == key && charge.1 == now);
                    let own: u64 = own.map(|charge| charge.2).sum();
                    assert!(used >= own, "a peek saw {used}, not the {own} just charged");
                }
                Renew(now) => table.start_resize(now, 0),
                Evict(now, units) => table.start_resize(now, units),
                Help(now) => {
                    table.help_once(now);
                }
                Finish(now) => while !table.help_once(now) {},
                Free(times) => crate::reclaim::advance(times),
            }
        }
    }

    /// The body of the model, on sliding windows.
    pub(super) fn body(self) -> impl Fn() + Send + Sync + 'static {
        self.body_of::<Ring<WORDS>>()
    }

    /// The body of the model, on this type of counter.
    pub(super) fn body_of<C: ModelCounter>(self) -> impl Fn() + Send + Sync + 'static {
        let race = Arc::new(self);
        move || {
            let table = Arc::new(Table::<C>::tiny(C::spec(race.limit), race.slots, 0, 1));
            let log = Log::default();
            for &(key, now, cost) in race.before {
                race.run(&table, &log, &[Charge(key, now, cost)]);
            }
            assert_eq!(log.lock().unwrap().len(), race.before.len());
            let others: Vec<_> = race.threads[1..]
                .iter()
                .map(|ops| {
                    let (race, table, log) = (race.clone(), table.clone(), log.clone());
                    thread::spawn(move || race.run(&table, &log, ops))
                })
                .collect();
            race.run(&table, &log, race.threads[0]);
            others.into_iter().for_each(|other| other.join().unwrap());
            race.assert_invariants(&table, &log.lock().unwrap());
        }
    }

    /// The greatest number of keys in the table.
    fn max_keys(&self) -> usize {
        let ops = self.threads.iter().flat_map(|ops| ops.iter());
        let charged = ops.filter_map(|op| if let Charge(key, ..) = op { Some(*key) } else { None });
        let keys: BTreeSet<u64> =
            charged.chain(self.before.iter().map(|charge| charge.0)).collect();
        keys.len()
    }

    /// The units that the race's evictions may forgive a key.
    fn forgiven(&self) -> u64 {
        let ops = self.threads.iter().flat_map(|ops| ops.iter());
        ops.map(|op| if let Evict(_, units) = op { *units } else { 0 }).sum()
    }

    /// Asserts that no window exceeds the limit, that no key has two slots, and that no charge is
    /// lost.
    fn assert_invariants<C: ModelCounter>(&self, table: &Table<C>, log: &[(u64, u64, u64)]) {
        let window = C::window(&C::spec(self.limit));
        for key in [A, B, Z] {
            let mine: Vec<_> = log.iter().filter(|charge| charge.0 == key).collect();
            let sum_of = |end: u64| -> u64 {
                let live = mine.iter().filter(|(_, at, _)| *at <= end && end - at < window);
                live.map(|(_, _, cost)| cost).sum()
            };
            for (_, end, _) in &mine {
                assert!(sum_of(*end) <= self.limit + self.forgiven(), "over-admitted: {mine:?}");
            }
            let Some(newest) = mine.iter().map(|(_, at, _)| *at).max() else {
                continue;
            };
            let now = newest.max(table.cutoff());
            while !table.help_once(now) {}
            let moved = table.keys_moved();
            assert!(moved <= self.max_keys(), "{moved} keys were moved");
            assert!(table.slots_holding(KeyId::new(key)) <= 1, "a key has two slots");
            let args = ChargeArgs { now, cost: 0, limit: self.limit };
            let seen = table.peek(KeyId::new(key), &args, &pin());
            let used = seen.used + self.forgiven();
            assert!(used >= sum_of(now), "forgot a charge: {used} of {mine:?}");
        }
        let (counted, held) = table.keys_counted();
        assert_eq!(counted, held, "keys are miscounted");
        if let Some(admitted) = self.admitted {
            assert_eq!(log.len(), admitted, "{log:?}");
        }
    }
}

/// Asserts that the race holds in both orders of its threads.
pub(super) fn assert_race_holds(
    name: &str,
    bound: Option<usize>,
    floor: usize,
    race: impl Fn(&'static [&'static [Op]]) -> Race,
    orders: [&'static [&'static [Op]]; 2],
) {
    for threads in orders {
        assert_holds(name, bound, floor, race(threads).body());
    }
}

/// Asserts that the race fails with this mutant in at least one order of its threads.
pub(super) fn assert_race_caught(
    name: &str,
    bound: Option<usize>,
    mutant: &'static str,
    race: impl Fn(&'static [&'static [Op]]) -> Race,
    orders: [&'static [&'static [Op]]; 2],
) {
    super::assert_caught_in_an_order(name, bound, mutant, |swap| {
        race(orders[usize::from(swap)]).body()
    });
}
