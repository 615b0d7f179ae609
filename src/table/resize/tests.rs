//! Resizes of one table, step by step: the test itself does what other threads would do in between.

use super::*;
use crate::counter::ChargeArgs;
use crate::counter::calendar::Quota;
use crate::counter::sliding::Ring;
use crate::counter::sliding::time_scale::TimeScale;
use crate::error::MAX_LIMIT;

/// The next new key after a resize updates the hint.
#[test]
fn prefetch_hint_follows_the_current_array() {
    let spec = TimeScale::new(1 << 36, 1_000, 127);
    let bounds = Bounds { max_keys: 100_000, allowance: 0 };
    let size = Size::first(bounds.max_keys);
    let arrays = Arrays::<Ring<127>>::new(spec, bounds, size, 1).unwrap();
    let (mut resizes, mut enabled) = (0, 0);
    for number in 1..6_000_u64 {
        let guard = reclaim::pin();
        let key = KeyId::new(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let current = arrays.current(&guard);
        let mut claimed = arrays.claim(current, key, 1, &guard).expect("room");
        if claimed.is_none() {
            // A resize: retry.
            resizes += 1;
            let current = arrays.current(&guard);
            claimed = arrays.claim(current, key, 1, &guard).expect("room");
        }
        let (slot, base) = (claimed.expect("one resize"), arrays.current(&guard).array.base());
        let args = ChargeArgs { now: 1, cost: 1, limit: 1_000 };
        slot.counter.charge(&arrays.spec, base, &args).expect("alone");
        let expected = PrefetchHint::of(&arrays.current(&guard).array);
        assert_eq!(arrays.hint.values(), expected.values());
        enabled += u64::from(expected.is_enabled());
    }
    assert!(resizes > 3 && enabled > 1_000, "{resizes} resizes, {enabled} keys with a hint");
}

#[test]
fn prefetch_hint_has_the_same_offset_in_all_tables() {
    let of_rings = std::mem::offset_of!(Arrays<Ring<7>>, hint);
    assert_eq!(of_rings, std::mem::offset_of!(Arrays<Quota>, hint));
}

/// Creates a table of rings with the shortest time field, whose arrays are soon outdated.
fn short_lived(max_keys: usize) -> Arrays<Ring<7>> {
    let spec = TimeScale::new(7_000_000, MAX_LIMIT, 7);
    let bounds = Bounds { max_keys, allowance: 0 };
    Arrays::new(spec, bounds, Size::first(max_keys), 0).unwrap()
}

fn key(number: u64) -> KeyId {
    KeyId::new(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Charges one unit, with as many retries as that takes. Returns the usage.
fn charge(arrays: &Arrays<Ring<7>>, key: KeyId, now: u64, guard: &Guard) -> u64 {
    loop {
        let current = arrays.current(guard);
        if let Some(slot) = arrays.claim(current, key, now, guard).expect("room") {
            let args = ChargeArgs { now, cost: 1, limit: MAX_LIMIT };
            let base = current.array.base();
            return slot.counter.charge(&arrays.spec, base, &args).expect("alone").used;
        }
    }
}

/// An outdated array that is still being filled is first completed and then replaced, so that there
/// are never three arrays.
#[test]
fn outdated_array_is_completed_before_it_is_replaced() {
    let (arrays, guard) = (short_lived(1_000), reclaim::pin());
    for number in 1..100 {
        charge(&arrays, key(number), 1, &guard);
    }
    let current = arrays.current(&guard);
    assert!(arrays.resize(current, arrays.plan_next(current, 2, 0)));
    let filled = arrays.current(&guard);
    let late = filled.array.base().renew_after + 1;
    assert!(filled.previous(&guard).is_some(), "nothing has been moved yet");
    assert_eq!(charge(&arrays, key(1), late, &guard), 1, "all has expired");
    let newest = arrays.current(&guard);
    assert_eq!(newest.number, filled.number + 1);
    assert!(filled.previous(&guard).is_none(), "a third array was linked");
    assert_eq!(filled.migration.moved(), 99);
}

/// A new key that met a full array retries if another thread has replaced that array in the
/// meantime, even if the old array has no key to drop.
#[test]
fn replaced_full_array_refuses_no_key() {
    let (arrays, guard) = (short_lived(5), reclaim::pin());
    for number in 1..=5 {
        charge(&arrays, key(number), 1, &guard);
    }
    let full = arrays.current(&guard);
    assert_eq!(arrays.make_room(full, 1, &guard), Err(ClaimError::Full), "all are live");
    // Another thread, whose clock is ahead, resizes: all keys have expired by its time.
    let later = 1 + 2 * arrays.spec.window();
    assert!(arrays.resize(full, arrays.plan_next(full, later, 0)));
    assert_eq!(arrays.make_room(full, 1, &guard), Ok(()));
    assert_eq!(charge(&arrays, key(6), 1, &guard), 1);
}

/// An eviction counts against the allowance for one window from the cutoff, even if the clock of
/// the evicting thread is behind the cutoff.
#[test]
fn eviction_counts_for_a_window_from_the_cutoff() {
    let spec = TimeScale::new(1_000, 10, 15);
    let first = Generation::<Ring<15>>::first(&spec, Size::first(10), 5_000, true).unwrap();
    let cutoff = first.array.base().cutoff;
    let plan = ResizePlan { size: first.size, eviction_threshold: 3, now: cutoff - 600 };
    let next = first.next(&spec, plan).unwrap();
    assert_eq!(next.array.base().cutoff, cutoff);
    let remaining = |later| next.ledger.remaining(4, spec.window(), cutoff + later);
    assert_eq!([0, 500, 999, 1_000].map(remaining), [1, 1, 1, 4]);
    assert_eq!(first.ledger.remaining(4, spec.window(), cutoff), 4);
}
