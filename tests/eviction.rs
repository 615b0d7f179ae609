//! Reservations and rollbacks combined with evictions. A charge that the table still holds is given
//! back exactly. A charge that an eviction has dropped is not given back again.

use std::time::Duration;
use tollgate::{
    Decision, Limiter, ManualClock, Now, Overflow, Period, Policy, PolicyId, Stats, Verdict,
};

const SECOND: u64 = 1_000_000_000;
/// The start of an hour and a day.
const START: u64 = 20_000 * 24 * 3_600 * SECOND;
const ALLOWANCE: u64 = 4;
const LIMIT: u64 = 10;
const MAX_KEYS: u64 = 8;

/// A limiter with two policies. `evicts` evicts its lightest keys; `full` has room for one key and
/// refuses all others.
struct Fixture {
    limiter: Limiter,
    evicts: PolicyId,
    full: PolicyId,
}

impl Fixture {
    fn new(policy: Policy, max_keys: u64) -> Self {
        let evicts = policy
            .max_keys(max_keys as usize)
            .overflow(Overflow::EvictLightest { allowance: ALLOWANCE });
        let full = Policy::sliding("full", LIMIT, Duration::from_secs(60)).max_keys(1);
        // Built at `START`, so that no array is replaced because of its age.
        let clock = ManualClock::new();
        clock.set(Now::from_unix_nanos(START));
        let mut builder = Limiter::builder().clock(clock);
        let (evicts, full) = (builder.add(evicts), builder.add(full));
        Fixture { limiter: builder.build().unwrap(), evicts, full }
    }

    /// The fixture with a sliding window and with a calendar month.
    fn both() -> [Self; 2] {
        Self::both_of(MAX_KEYS)
    }

    fn both_of(max_keys: u64) -> [Self; 2] {
        let sliding = Policy::sliding("evicts", LIMIT, Duration::from_secs(60));
        let calendar = Policy::calendar("evicts", LIMIT, Period::Month);
        [sliding, calendar].map(|policy| Fixture::new(policy, max_keys))
    }

    fn at(&self, second: u64) -> tollgate::Session<'_> {
        self.limiter.session_at(Now::from_unix_nanos(START + second * SECOND))
    }

    fn check(&self, second: u64, key: u64, cost: u64) -> Decision {
        self.at(second).check(&[self.evicts.charge(key, cost)])
    }

    fn used(&self, second: u64, key: u64) -> u64 {
        LIMIT - self.at(second).peek(&[self.evicts.charge(key, 0)]).remaining
    }

    fn stats(&self) -> Stats {
        self.limiter.stats(self.evicts).unwrap()
    }

    /// Inserts light keys until the table evicts.
    fn evict(&self, second: u64, first: u64) {
        let before = self.stats().evictions;
        for key in first.. {
            assert!(key < first + 2 * MAX_KEYS, "nothing was evicted");
            assert!(self.check(second, key, ALLOWANCE / 2).is_allowed(), "key {key}");
            while !self.at(second).maintain(100) {}
            if self.stats().evictions > before {
                return;
            }
        }
    }
}

const HEAVY: u64 = 1;
const LIGHT: u64 = 2;

/// Guarantee C: evictions spare a key that has used more than the allowance, so its cancelled
/// reservation is given back exactly.
#[test]
fn a_heavy_key_reservation_is_given_back_after_evictions() {
    for fixture in Fixture::both() {
        assert!(fixture.check(0, HEAVY, ALLOWANCE + 1).is_allowed());
        let mut held = fixture.at(0).reserve(&[fixture.evicts.charge(HEAVY, 2)]).unwrap();
        // Evict twice, so that the key is moved more than once.
        fixture.evict(1, 100);
        fixture.evict(1, 200);
        assert_eq!(fixture.used(1, HEAVY), ALLOWANCE + 3);
        assert!(fixture.at(2).cancel(&mut held).unwrap().is_allowed());
        assert_eq!(fixture.used(2, HEAVY), ALLOWANCE + 1);
        assert_eq!(held.charged(0), Some(0));
    }
}

/// Guarantee C: if an eviction spares the key of a reservation, and the reservation is extended
/// afterwards, it is still settled exactly.
#[test]
fn a_reservation_extended_after_an_eviction_is_settled_exactly() {
    for fixture in Fixture::both() {
        assert!(fixture.check(0, HEAVY, ALLOWANCE + 1).is_allowed());
        let mut held = fixture.at(0).reserve(&[fixture.evicts.charge(HEAVY, 2)]).unwrap();
        fixture.evict(1, 100);
        assert!(fixture.at(2).extend(&mut held, &[2]).unwrap().is_allowed());
        assert!(fixture.at(3).settle(&mut held, &[1]).unwrap().is_allowed());
        assert_eq!(fixture.used(3, HEAVY), ALLOWANCE + 2);
    }
}

/// Cancelling a reservation whose charge was evicted does not reduce the later charges of its key.
#[test]
fn canceling_an_evicted_reservation_gives_nothing_back() {
    for fixture in Fixture::both() {
        let mut held = fixture.at(0).reserve(&[fixture.evicts.charge(LIGHT, 2)]).unwrap();
        fixture.evict(0, 100);
        assert_eq!(fixture.used(0, LIGHT), 0);
        assert!(fixture.check(0, LIGHT, 3).is_allowed());
        assert!(fixture.at(0).cancel(&mut held).unwrap().is_allowed());
        assert_eq!(fixture.used(0, LIGHT), 3);
    }
}

/// Cancelling the reservation of an evicted key does not reduce the key's later charges. A key that was too
/// heavy to be evicted gets the reserved charge back, and only that.
#[test]
fn only_a_key_that_was_not_evicted_gives_back() {
    for (estimate, evicted) in [(ALLOWANCE, true), (ALLOWANCE + 5, false)] {
        for fixture in Fixture::both() {
            let charge = fixture.evicts.charge(LIGHT, estimate);
            let mut held = fixture.at(0).reserve(&[charge]).unwrap();
            for key in 100..99 + MAX_KEYS {
                assert!(fixture.check(0, key, ALLOWANCE).is_allowed());
            }
            assert!(fixture.check(1, 200, LIMIT).is_allowed(), "the lightest make room");
            assert!(fixture.stats().evictions > 0);
            assert_eq!(fixture.used(1, LIGHT), if evicted { 0 } else { estimate });
            let later = if evicted { LIMIT } else { 1 };
            assert!(fixture.check(2, LIGHT, later).is_allowed());
            assert!(fixture.at(3).cancel(&mut held).unwrap().is_allowed());
            assert_eq!(fixture.used(3, LIGHT), later);
        }
    }
}

/// If an evicted key was charged again and then moved once more, cancelling its old reservation gives
/// nothing back.
#[test]
fn a_reservation_of_an_evicted_key_that_was_moved_since_gives_nothing_back() {
    for fixture in Fixture::both() {
        let mut held = fixture.at(0).reserve(&[fixture.evicts.charge(LIGHT, 2)]).unwrap();
        fixture.evict(0, 100);
        assert!(fixture.check(0, LIGHT, ALLOWANCE + 1).is_allowed());
        fixture.evict(0, 200);
        assert_eq!(fixture.used(0, LIGHT), ALLOWANCE + 1);
        let _ = fixture.at(0).cancel(&mut held).unwrap();
        assert_eq!(fixture.used(0, LIGHT), ALLOWANCE + 1);
    }
}

/// In a growing table each key has another slot in each array, and its reservation is still given back.
#[test]
fn reservations_of_many_keys_are_given_back_after_moves() {
    const KEYS: u64 = 150;
    for fixture in Fixture::both_of(10 * KEYS) {
        let reserve = |key| {
            assert!(fixture.check(0, key, 1).is_allowed());
            fixture.at(0).reserve(&[fixture.evicts.charge(key, 2)]).unwrap()
        };
        let mut held: Vec<_> = (0..KEYS).map(reserve).collect();
        for key in KEYS..5 * KEYS {
            assert!(fixture.check(0, key, 1).is_allowed());
        }
        while !fixture.at(0).maintain(100) {}
        let stats = fixture.stats();
        assert!(stats.migrations > 1 && stats.evictions == 0, "{stats:?}");
        for (key, held) in (0..).zip(&mut held) {
            let _ = fixture.at(0).cancel(held).unwrap();
            assert_eq!(fixture.used(0, key), 1, "key {key}");
        }
    }
}

/// Cancelling a reservation whose first charge was evicted gives back exactly its later extension.
#[test]
fn canceling_an_evicted_reservation_gives_back_its_extension() {
    for fixture in Fixture::both() {
        let mut held = fixture.at(0).reserve(&[fixture.evicts.charge(LIGHT, 2)]).unwrap();
        fixture.evict(0, 100);
        assert!(fixture.check(1, LIGHT, 3).is_allowed());
        assert!(fixture.at(2).extend(&mut held, &[2]).unwrap().is_allowed());
        assert_eq!(fixture.used(2, LIGHT), 5);
        assert!(fixture.at(2).cancel(&mut held).unwrap().is_allowed());
        assert_eq!(fixture.used(2, LIGHT), 3);
    }
}

/// Guarantee C: if the full table of a request's second charge refuses it, the first charge is rolled
/// back. The table of the first charge evicts, and its key is heavy, new, or was evicted before.
#[test]
fn a_refused_request_is_rolled_back_after_evictions() {
    for fixture in Fixture::both() {
        let Fixture { evicts, full, .. } = fixture;
        assert!(fixture.at(0).check(&[full.charge(0_u64, 1)]).is_allowed());
        assert!(fixture.check(0, HEAVY, ALLOWANCE + 1).is_allowed());
        fixture.evict(1, 100);
        for (key, before) in [(HEAVY, ALLOWANCE + 1), (LIGHT, 0), (100, 0)] {
            let refused = fixture.at(1).check(&[evicts.charge(key, 1), full.charge(key, 1)]);
            assert_eq!((refused.verdict, refused.policy), (Verdict::TableFull, full));
            assert_eq!(fixture.used(1, key), before, "key {key}");
        }
    }
}

/// Guarantee C: a request evicts light keys for its second charge, and a full table then refuses
/// its third. Its first charge, of a key too heavy to be evicted, is rolled back.
#[test]
fn a_refused_request_that_evicts_is_rolled_back() {
    for fixture in Fixture::both() {
        let Fixture { evicts, full, .. } = fixture;
        assert!(fixture.at(0).check(&[full.charge(0_u64, 1)]).is_allowed());
        assert!(fixture.check(0, HEAVY, ALLOWANCE + 1).is_allowed());
        for key in 100..100 + MAX_KEYS - 1 {
            assert!(fixture.check(0, key, 1).is_allowed());
        }
        let request = [evicts.charge(HEAVY, 1), evicts.charge(LIGHT, 1), full.charge(HEAVY, 1)];
        let refused = fixture.at(1).check(&request);
        assert_eq!((refused.verdict, refused.policy), (Verdict::TableFull, full));
        assert!(fixture.stats().evictions > 0);
        assert_eq!([HEAVY, LIGHT].map(|key| fixture.used(1, key)), [ALLOWANCE + 1, 0]);
    }
}
