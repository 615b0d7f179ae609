//! One table step by step, where what another thread has done in between is done by hand.

use super::*;
use crate::counter::Request;
use crate::counter::calendar::Quota;
use crate::counter::sliding::Ring;
use crate::counter::sliding::time_scale::TimeScale;
use crate::error::MAX_LIMIT;

/// A request is only as fast as its hint is true: whatever it tells, the next new key mends it.
#[test]
fn the_hint_follows_the_table() {
    let spec = TimeScale::new(1 << 36, 1_000, 127);
    let bounds = Bounds { max_keys: 100_000, allowance: 0 };
    let size = Size::first(bounds.max_keys);
    let generations = Arrays::<Ring<127>>::new(spec, bounds, size, 1).unwrap();
    let (mut renewals, mut far) = (0, 0);
    for number in 1..6_000_u64 {
        let guard = epoch::pin();
        let key = KeyId::new(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let current = generations.current(&guard);
        let mut claimed = generations.claim(current, key, 1, &guard).expect("room");
        if claimed.is_none() {
            // A renewal: the key comes again.
            renewals += 1;
            let current = generations.current(&guard);
            claimed = generations.claim(current, key, 1, &guard).expect("room");
        }
        let (slot, base) =
            (claimed.expect("one renewal"), generations.current(&guard).array.base());
        let request = Request { now: 1, cost: 1, limit: 1_000 };
        slot.counter.charge(&generations.spec, base, &request).expect("alone");
        let is = PrefetchHint::of(&generations.current(&guard).array);
        assert_eq!(generations.hint.told(), is.told());
        far += u64::from(is.is_far());
    }
    assert!(renewals > 3 && far > 1_000, "{renewals} renewals, {far} keys in a far array");
}

#[test]
fn all_tables_have_their_hint_at_one_place() {
    let of_rings = std::mem::offset_of!(Arrays<Ring<7>>, hint);
    assert_eq!(of_rings, std::mem::offset_of!(Arrays<Quota>, hint));
}

/// A table of rings with the shortest time field: its arrays are soon too old.
fn aging(max_keys: usize) -> Arrays<Ring<7>> {
    let spec = TimeScale::new(7_000_000, MAX_LIMIT, 7);
    let bounds = Bounds { max_keys, allowance: 0 };
    Arrays::new(spec, bounds, Size::first(max_keys), 0).unwrap()
}

fn key(number: u64) -> KeyId {
    KeyId::new(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Charges one unit, however often the table has to be looked at; returns the slot's usage.
fn charge(generations: &Arrays<Ring<7>>, key: KeyId, now: u64, guard: &Guard) -> u64 {
    loop {
        let current = generations.current(guard);
        if let Some(slot) = generations.claim(current, key, now, guard).expect("room") {
            let request = Request { now, cost: 1, limit: MAX_LIMIT };
            let base = current.array.base();
            return slot.counter.charge(&generations.spec, base, &request).expect("alone").used;
        }
    }
}

/// A table has two arrays at the most: one that is too old while keys are still moved into it is filled
/// first, and only then renewed.
#[test]
fn a_renewal_by_age_ends_the_move_before_it() {
    let (generations, guard) = (aging(1_000), epoch::pin());
    for number in 1..100 {
        charge(&generations, key(number), 1, &guard);
    }
    let current = generations.current(&guard);
    assert!(generations.renew(current, generations.plan_next(current, 2, 0)));
    let filled = generations.current(&guard);
    let late = filled.array.base().renew_after + 1;
    assert!(filled.previous(&guard).is_some(), "nothing has been moved yet");
    assert_eq!(charge(&generations, key(1), late, &guard), 1, "all has expired");
    let renewed = generations.current(&guard);
    assert_eq!(renewed.number, filled.number + 1);
    assert!(filled.previous(&guard).is_none(), "a third array was linked");
    assert_eq!(filled.migration.moved(), 99);
}

/// A new key that met a full array looks again where that array was replaced meanwhile, whatever a
/// look at the old one shows.
#[test]
fn a_replaced_array_is_no_cause_for_a_refusal() {
    let (generations, guard) = (aging(5), epoch::pin());
    for number in 1..=5 {
        charge(&generations, key(number), 1, &guard);
    }
    let full = generations.current(&guard);
    assert_eq!(generations.make_room(full, 1, &guard), Err(ClaimError::Full), "all are live");
    // Another thread's clock has seen all of them expire.
    let later = 1 + 2 * generations.spec.window();
    assert!(generations.renew(full, generations.plan_next(full, later, 0)));
    assert_eq!(generations.make_room(full, 1, &guard), Ok(()));
    assert_eq!(charge(&generations, key(6), 1, &guard), 1);
}

/// What an eviction has forgiven counts for a window from the cutoff on, also where a thread whose
/// clock is late has evicted.
#[test]
fn an_eviction_counts_from_the_cutoff() {
    let spec = TimeScale::new(1_000, 10, 15);
    let first = Generation::<Ring<15>>::first(&spec, Size::first(10), 5_000, true).unwrap();
    let cutoff = first.array.base().cutoff;
    let plan_next = ResizePlan { size: first.size, forgive: 3, now: cutoff - 600 };
    let next = first.next(&spec, plan_next).unwrap();
    assert_eq!(next.array.base().cutoff, cutoff);
    let left = |later| next.forgiven.left(4, spec.window(), cutoff + later);
    assert_eq!([0, 500, 999, 1_000].map(left), [1, 1, 1, 4]);
    assert_eq!(first.forgiven.left(4, spec.window(), cutoff), 4);
}
