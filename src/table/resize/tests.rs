//! Resizes of one table, step by step: the test itself does what other threads would do in between.

use super::super::Table;
use super::super::reset_marks::ResetMarks;
use super::*;
use crate::counter::calendar::Quota;
use crate::counter::sliding::Ring;
use crate::counter::sliding::sum::ScalarSum;
use crate::counter::sliding::time_scale::TimeScale;
use crate::counter::{ChargeArgs, Moved};
use crate::error::MAX_LIMIT;

/// The hint points to the arrays that hold the keys.
#[test]
fn prefetch_hint_follows_the_keys() {
    let spec = TimeScale::new(1 << 36, 1_000, 127);
    let bounds = Bounds { max_keys: 100_000, allowance: 0 };
    let size = Size::first(bounds.max_keys);
    let arrays = Arrays::<Ring<127>>::new(spec, bounds, size, 1).unwrap();
    let (mut resizes, mut moving, mut enabled) = (0, 0, 0);
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
        let (generation, slot) = claimed.expect("one resize");
        let args = ChargeArgs { now: 1, cost: 1, limit: 1_000 };
        slot.counter.charge(&arrays.spec, generation.array.base(), &args).expect("alone");
        let current = arrays.current(&guard);
        let previous = current.previous(&guard).map(|previous| &previous.array);
        let moved_below = arrays.hint.assert_points_to(&current.array, previous);
        if previous.is_some() {
            assert!(moved_below <= current.migration.taken_below());
            moving += 1;
        }
        enabled += u64::from(arrays.hint.is_enabled());
    }
    assert!(resizes > 3 && moving > 100, "{resizes} resizes, {moving} keys during a move");
    assert!(enabled > 1_000, "{enabled} keys with a hint");
}

#[test]
fn prefetch_hint_has_the_same_offset_in_all_tables() {
    let of_rings = std::mem::offset_of!(Arrays<Ring<7>>, hint);
    assert_eq!(of_rings, std::mem::offset_of!(Arrays<Quota>, hint));
}

fn short_lived_table() -> Table<Ring<7>> {
    Table { arrays: short_lived(1_000), resets: ResetMarks::new().unwrap() }
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
    let mut was_moved = false;
    loop {
        let current = arrays.current(guard);
        let claimed = arrays.claim(current, key, now, guard).expect("room");
        let Some((generation, slot)) = claimed else { continue };
        let args = ChargeArgs { now, cost: 1, limit: MAX_LIMIT };
        match slot.counter.charge(&arrays.spec, generation.array.base(), &args) {
            Ok(outcome) => return outcome.used,
            Err(Moved) if !was_moved => was_moved = true,
            Err(Moved) => panic!("moved twice"),
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
    assert!(filled.previous(&guard).is_some(), "the move has already ended");
    assert_eq!(charge(&arrays, key(1), late, &guard), 1, "usage has not expired");
    let newest = arrays.current(&guard);
    assert_eq!(newest.number, filled.number + 1);
    assert!(filled.previous(&guard).is_none(), "a third array was linked");
    assert_eq!(filled.migration.moved(), 99);
}

/// A mover that is stopped after it has unlinked the old array leaves the fast path closed. The next
/// request on the slow path opens it.
#[test]
fn stopped_mover_leaves_the_fast_path_open() {
    let table = short_lived_table();
    let (arrays, guard) = (&table.arrays, reclaim::pin());
    charge(arrays, key(1), 1, &guard);
    assert!(arrays.resize(arrays.current(&guard), arrays.plan_next(arrays.current(&guard), 1, 0)));
    let current = arrays.current(&guard);
    let mover = arrays.mover(current.previous(&guard).expect("keys to move"), current);
    while !current.migration.help(&mover, 16).0 {}
    let previous = current.unlink().expect("all keys are moved");
    // SAFETY: it was unlinked above, and no other thread uses this table.
    unsafe { guard.retire(previous) };
    let args = ChargeArgs { now: 1, cost: 1, limit: MAX_LIMIT };
    assert!(table.evaluate(key(1), &args, &guard, ScalarSum).is_none(), "already open");
    assert_eq!(charge(arrays, key(1), 1, &guard), 2);
    assert!(table.evaluate(key(1), &args, &guard, ScalarSum).is_some(), "still closed");
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

/// An array never fills while keys are moved into it, and its move ends, under any mix of known keys,
/// new keys, and keys that had expired when the move began.
#[test]
fn array_never_fills_during_a_move() {
    for (keys, live) in [(1_000, 1_000), (1_000, 300), (1_000, 130), (20_000, 200), (20_000, 0)] {
        // Keys are moved in the order of their ids. Expired keys are charged in descending order, so that most
        // of them are still in the old array.
        let mut last_first: Vec<_> = (0..keys).map(key).collect();
        last_first.sort_by_key(|key| std::cmp::Reverse(key.number()));
        for mix in [[1, 0, 0], [0, 1, 0], [0, 0, 1], [8, 1, 0], [1, 1, 8], [0, 1, 20], [1, 20, 1]] {
            let (arrays, guard) = (short_lived(1 << 20), reclaim::pin());
            (0..keys).for_each(|number| _ = charge(&arrays, key(number), 1, &guard));
            while arrays.current(&guard).previous(&guard).is_some() {
                arrays.maintain(16, 1, &guard);
            }
            // All keys expire, and some are charged again.
            let now = 1 + 2 * arrays.spec.window();
            (0..live).for_each(|number| _ = charge(&arrays, key(number), now, &guard));
            let current = arrays.current(&guard);
            assert!(arrays.resize(current, arrays.plan_next(current, now, 0)));
            let filled = arrays.current(&guard);
            let (mut turns, mut new) = (0, 0);
            while filled.previous(&guard).is_some() {
                turns += 1;
                assert!(turns < 200_000, "the move does not end");
                let [known, inserted, expired] = mix;
                for turn in 0..known {
                    charge(&arrays, key((turns + turn * 7) % live.max(1)), now, &guard);
                }
                for _ in 0..inserted {
                    new += 1;
                    charge(&arrays, key(1 << 40 | new), now, &guard);
                }
                for turn in 0..expired {
                    let number = (turns * expired + turn) % keys;
                    charge(&arrays, last_first[number as usize], now, &guard);
                }
                let (claimed, capacity) = (filled.array.claimed(), filled.size.capacity);
                let is_open = filled.previous(&guard).is_some();
                assert!(!is_open || claimed < capacity, "{claimed} of {capacity} keys: {mix:?}");
                assert_eq!(arrays.current(&guard).number, filled.number, "resized: {mix:?}");
            }
        }
    }
}

/// During a move, a known key is charged in the array that holds it, and its usage is exact.
#[test]
fn known_keys_stay_where_they_are_during_a_move() {
    let (arrays, guard) = (short_lived(1 << 20), reclaim::pin());
    (0..1_000).for_each(|number| _ = charge(&arrays, key(number), 1, &guard));
    let current = arrays.current(&guard);
    arrays.complete_migration(current, &guard);
    assert!(arrays.resize(current, arrays.plan_next(current, 1, 0)));
    let filled = arrays.current(&guard);
    // The keys that are moved last come first.
    let mut keys: Vec<_> = (0..1_000).map(key).collect();
    keys.sort_by_key(|key| std::cmp::Reverse(key.number()));
    for (charges, key) in (1..).zip(&keys[..7]) {
        assert_eq!(charge(&arrays, *key, 2, &guard), 2);
        // Each charge has moved a chunk of two other keys at most.
        let moved = filled.migration.moved();
        assert!(filled.array.claimed() == moved && moved <= 2 * charges);
    }
    let mut usage = 3;
    while filled.previous(&guard).is_some() {
        assert!(usage < 100, "the move does not end");
        keys.iter().enumerate().for_each(|(index, key)| {
            let expected = if index < 7 { usage } else { usage - 1 };
            assert_eq!(charge(&arrays, *key, 2, &guard), expected);
        });
        usage += 1;
    }
    assert_eq!(filled.migration.moved(), 1_000);
}

/// A key that a stalled helper has frozen, but not moved, is moved by its next charge.
#[test]
fn key_of_a_stalled_helper_is_moved() {
    let (arrays, guard) = (short_lived(1_000), reclaim::pin());
    charge(&arrays, key(1), 1, &guard);
    let current = arrays.current(&guard);
    assert!(arrays.resize(current, arrays.plan_next(current, 1, 0)));
    let Found::Slot(slot) = current.array.find(key(1)) else { panic!("the key was charged") };
    slot.counter.freeze();
    assert_eq!(charge(&arrays, key(1), 1, &guard), 2);
}

#[test]
fn charge_of_a_late_clock_is_kept_by_a_move() {
    let (arrays, guard) = (short_lived(1_000), reclaim::pin());
    charge(&arrays, key(1), 1, &guard);
    let (current, later) = (arrays.current(&guard), 1 + 2 * arrays.spec.window());
    assert!(arrays.resize(current, arrays.plan_next(current, later, 0)));
    assert_eq!(charge(&arrays, key(1), 2, &guard), 1);
    arrays.complete_migration(arrays.current(&guard), &guard);
    assert_eq!(charge(&arrays, key(1), later, &guard), 2);
}

/// Known keys alone complete a move before the time range of the new array ends: from its middle on, each
/// charge moves as much as that of a new key.
#[test]
fn known_keys_complete_a_move_within_the_time_range() {
    let (arrays, guard) = (short_lived(100_000), reclaim::pin());
    (0..5_000).for_each(|number| _ = charge(&arrays, key(number), 1, &guard));
    let current = arrays.current(&guard);
    arrays.complete_migration(current, &guard);
    assert!(arrays.resize(current, arrays.plan_next(current, 1, 0)));
    let filled = arrays.current(&guard);
    let most = current.size.home_slots / 16 + 2;
    for _ in 0..most {
        charge(&arrays, key(1), filled.array.base().renew_after, &guard);
    }
    assert!(filled.previous(&guard).is_none(), "the move has not ended");
}

/// While keys are moved out of an array that is due for renewal, they are charged in it up to the end of
/// its time range.
#[test]
fn known_keys_stay_in_an_outdated_array() {
    let (arrays, guard) = (short_lived(1_000), reclaim::pin());
    (0..100).for_each(|number| _ = charge(&arrays, key(number), 1, &guard));
    let base = arrays.current(&guard).array.base();
    let last = base.origin + arrays.spec.format().max_time();
    // Charges, and returns the number of the array that holds the key.
    let charged_in = |number, now| {
        assert_eq!(charge(&arrays, key(number), now, &guard), 1, "all has expired");
        let current = arrays.current(&guard);
        assert_eq!(current.number, 1);
        let found = current.array.find(key(number));
        u64::from(matches!(found, Found::Slot(slot) if slot.counter.is_open()))
    };
    // The keys that are moved last come first.
    let mut keys: Vec<_> = (0..100).collect();
    keys.sort_by_key(|number| std::cmp::Reverse(key(*number).number()));
    assert_eq!(charged_in(keys[0], base.renew_after + 1), 0);
    assert_eq!(charged_in(keys[1], last), 0);
    assert_eq!(charged_in(keys[2], last + 1), 1);
    arrays.complete_migration(arrays.current(&guard), &guard);
    assert_eq!(charge(&arrays, key(keys[1]), last + 1, &guard), 2);
}

/// The receipt of a charge names the array that the key was charged in.
#[test]
fn receipt_names_the_array_of_the_charge() {
    let (table, guard) = (short_lived_table(), reclaim::pin());
    let charge = |number| {
        let args = ChargeArgs { now: 1, cost: 1, limit: MAX_LIMIT };
        let evaluated = table
            .evaluate(key(number), &args, &guard, ScalarSum)
            .or_else(|| table.evaluate_during_move(key(number), &args, &guard));
        let slow = table.charge(key(number), &args, &guard).expect("room");
        (evaluated.map(|(charged, _)| charged.generation), slow.generation)
    };
    assert_eq!(charge(1), (None, 0));
    let current = table.arrays.current(&guard);
    assert!(table.arrays.resize(current, table.arrays.plan_next(current, 1, 0)));
    assert_eq!([charge(1), charge(2)], [(Some(0), 0), (None, 1)]);
    table.arrays.complete_migration(table.arrays.current(&guard), &guard);
    assert_eq!([charge(1), charge(2)], [(Some(1), 1), (Some(1), 1)]);
}

/// A bound that is not reached refuses no key during a move, also after peeks have moved known keys.
#[test]
fn moved_keys_do_not_count_twice() {
    let (table, guard) = (short_lived_table(), reclaim::pin());
    let arrays = &table.arrays;
    (0..900).for_each(|number| _ = charge(arrays, key(number), 1, &guard));
    let current = arrays.current(&guard);
    arrays.complete_migration(current, &guard);
    assert!(arrays.resize(current, arrays.plan_next(current, 1, 0)));
    // The last keys to be moved.
    let mut keys: Vec<_> = (0..900).map(key).collect();
    keys.sort_by_key(|key| std::cmp::Reverse(key.number()));
    let args = ChargeArgs { now: 1, cost: 1, limit: MAX_LIMIT };
    for key in &keys[..200] {
        assert_eq!(table.peek(*key, &args, &guard).used, 1);
    }
    // 901 keys of at most 1000.
    assert!(table.charge(key(5_000), &args, &guard).is_ok());
}

/// A known key whose usage has expired is not refused during a move: without the move it is not.
#[test]
fn expired_key_is_not_refused_during_a_move() {
    let (table, guard) = (short_lived_table(), reclaim::pin());
    let arrays = &table.arrays;
    let mut keys: Vec<_> = (0..1_000).map(key).collect();
    keys.sort_by_key(|key| std::cmp::Reverse(key.number()));
    keys.iter().for_each(|key| _ = charge(arrays, *key, 1, &guard));
    let current = arrays.current(&guard);
    arrays.complete_migration(current, &guard);
    let now = 1 + 2 * arrays.spec.window();
    keys[1..].iter().for_each(|key| _ = charge(arrays, *key, now, &guard));
    let current = arrays.current(&guard);
    // A renewal, for example.
    assert!(arrays.resize(current, arrays.plan_next(current, now, 0)));
    let args = ChargeArgs { now, cost: 1, limit: MAX_LIMIT };
    assert!(table.charge(keys[0], &args, &guard).is_ok());
}
