//! Races of a whole table: what each thread does, and what must hold in the end.

use super::holds;
use crate::breakage::Breakage;
use crate::counter::offer::Offer;
use crate::counter::quota::{Periods, Quota};
use crate::counter::ring::Ring;
use crate::counter::scale::Scale;
use crate::counter::{Counter, Request};
use crate::table::reclaim::pin;
use crate::table::{Charged, KeyId, Receipt, Table};
use loom::thread;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

pub(super) const WORDS: usize = 2;
pub(super) const WINDOW: u64 = 4;

pub(super) type TinyTable = Table<Ring<WORDS>>;
/// A counter as small as a model likes it.
pub(super) trait Tiny: Counter {
    fn tiny(limit: u64) -> Self::Spec;
}

impl Tiny for Ring<WORDS> {
    fn tiny(limit: u64) -> Scale {
        Scale::tiny(WINDOW, limit, WORDS as u64)
    }
}

impl Tiny for Quota {
    fn tiny(_: u64) -> Periods {
        Periods
    }
}

/// What was admitted, as (key, time, cost).
type Log = Arc<Mutex<Vec<(u64, u64, u64)>>>;

/// Two keys whose home is the first slot of any array, and one whose home is the last.
pub(super) const A: u64 = 8;
pub(super) const B: u64 = 9;
pub(super) const Z: u64 = u64::MAX;

#[derive(Clone, Copy)]
pub(super) enum Op {
    /// Key, time, cost.
    Charge(u64, u64, u64),
    /// Gives back the charge of this number among those that came before.
    Refund(usize),
    /// Forgets what this key has used.
    Reset(u64),
    /// Looks at this key; time. What this thread has been admitted at that time is seen.
    Look(u64, u64),
    Renew(u64),
    /// A renewal that forgives so much: time, units.
    Evict(u64, u64),
    /// Moves one chunk.
    Help(u64),
    /// Moves all.
    Finish(u64),
}
use Op::*;

pub(super) struct Race {
    pub(super) limit: u64,
    pub(super) slots: usize,
    pub(super) before: &'static [(u64, u64, u64)],
    pub(super) threads: &'static [&'static [Op]],
    /// How many charges must be admitted, where that does not depend on the order.
    pub(super) admitted: Option<usize>,
}

/// Charges as a request does: on the fast path, and the whole way where that gives no answer.
pub(super) fn charge<C: Tiny>(
    table: &Table<C>,
    limit: u64,
    key: KeyId,
    now: u64,
    cost: u64,
) -> Charged {
    let (guard, request) = (pin(), Request { now, cost, limit });
    if let Some((charged, offer)) = table.offer(key, &request, &guard)
        && offer.is_none_or(Offer::take)
    {
        return charged;
    }
    table.charge(key, &request, &guard).expect("room")
}

impl Race {
    fn run<C: Tiny>(&self, table: &Table<C>, log: &Log, ops: &[Op]) {
        let mut admitted = Vec::new();
        for op in ops {
            match *op {
                Charge(key, now, cost) => {
                    let outcome = charge(table, self.limit, KeyId::new(key), now, cost).outcome;
                    if outcome.admitted {
                        log.lock().unwrap().push((key, outcome.at, cost));
                        admitted.push((key, outcome.at, cost));
                    }
                }
                Refund(number) => {
                    let charge = self.before[number];
                    log.lock().unwrap().retain(|other| *other != charge);
                    let (key, at, cost) = charge;
                    // What was charged before was charged in the first array.
                    let from = Some(Receipt { at, units: cost, generation: 0 });
                    let given = table.give_back(KeyId::new(key), at, from, cost, &pin());
                    assert_eq!(given.units, charge.2, "a refund was lost");
                }
                Reset(key) => {
                    log.lock().unwrap().retain(|charge| charge.0 != key);
                    table.reset(KeyId::new(key), 0, &pin());
                }
                Look(key, now) => {
                    let ask = Request { now, cost: 0, limit: self.limit };
                    let used = table.look(KeyId::new(key), &ask, &pin()).used;
                    let own = admitted.iter().filter(|charge| charge.0 == key && charge.1 == now);
                    let own: u64 = own.map(|charge| charge.2).sum();
                    assert!(used >= own, "a look saw {used}, not the {own} just charged");
                }
                Renew(now) => table.start_renewal(now, 0),
                Evict(now, units) => table.start_renewal(now, units),
                Help(now) => {
                    table.help_once(now);
                }
                Finish(now) => while !table.help_once(now) {},
            }
        }
    }

    /// Over rings.
    pub(super) fn body(self) -> impl Fn() + Send + Sync + 'static {
        self.body_of::<Ring<WORDS>>()
    }

    pub(super) fn body_of<C: Tiny>(self) -> impl Fn() + Send + Sync + 'static {
        let race = Arc::new(self);
        move || {
            let table = Arc::new(Table::<C>::tiny(C::tiny(race.limit), race.slots, 0, 1));
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
            race.assert_lawful(&table, &log.lock().unwrap());
        }
    }

    /// How many keys there are at the most.
    fn most_keys(&self) -> usize {
        let ops = self.threads.iter().flat_map(|ops| ops.iter());
        let charged = ops.filter_map(|op| if let Charge(key, ..) = op { Some(*key) } else { None });
        let keys: BTreeSet<u64> =
            charged.chain(self.before.iter().map(|charge| charge.0)).collect();
        keys.len()
    }

    /// What the race's evictions may forgive a key.
    fn forgiven(&self) -> u64 {
        let ops = self.threads.iter().flat_map(|ops| ops.iter());
        ops.map(|op| if let Evict(_, units) = op { *units } else { 0 }).sum()
    }

    /// Never over, no key twice, nothing forgotten.
    fn assert_lawful<C: Tiny>(&self, table: &Table<C>, log: &[(u64, u64, u64)]) {
        let window = C::window(&C::tiny(self.limit));
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
            let before = table.keys_moved();
            assert!(before <= self.most_keys(), "{before} keys were moved");
            assert!(table.places_of(KeyId::new(key)) <= 1, "a key has two slots");
            let ask = Request { now, cost: 0, limit: self.limit };
            let seen = table.look(KeyId::new(key), &ask, &pin());
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

/// The same race with its threads in both orders.
pub(super) fn both(
    name: &str,
    bound: Option<usize>,
    floor: usize,
    race: impl Fn(&'static [&'static [Op]]) -> Race,
    orders: [&'static [&'static [Op]]; 2],
) {
    for threads in orders {
        holds(name, bound, floor, race(threads).body());
    }
}

pub(super) fn caught_in_one(
    name: &str,
    bound: Option<usize>,
    what: Breakage,
    race: impl Fn(&'static [&'static [Op]]) -> Race,
    orders: [&'static [&'static [Op]]; 2],
) {
    super::caught_in_one(name, bound, what, |swap| race(orders[usize::from(swap)]).body());
}
