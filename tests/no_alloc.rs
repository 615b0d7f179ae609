//! Guarantee E: no heap allocation per request for a known key. New keys allocate only when a table
//! grows.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;
use tollgate::{Decision, Key, Limiter, ManualClock, Now, Period, Policy, PolicyStatus};

thread_local!(static COUNT: Cell<u64> = const { Cell::new(0) });

/// An allocator that counts the allocations of each thread.
struct Counting;

// SAFETY: every call is forwarded to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns how many allocations `work` makes on this thread.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

/// Checks the allocation counter itself.
#[test]
fn allocations_are_counted() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![1_u8; 100]))), 1);
}

/// Guarantee E: operations on known keys allocate nothing, and new keys allocate only new arrays.
#[test]
fn known_keys_allocate_nothing() {
    let minute = Duration::from_secs(60);
    let mut builder = Limiter::builder().max_keys(100_000).clock(ManualClock::new());
    let ids = [
        Policy::sliding("exact", 20, minute),
        Policy::sliding("buckets", 1_000_000, minute),
        Policy::calendar("day", 1_000_000, Period::Day),
        Policy::sliding("dry", 10, minute).dry_run(true),
    ]
    .map(|policy| builder.add(policy));
    let limiter = builder.build().unwrap();
    let (mut allowed, mut denied) = (0, 0);
    let mut statuses = [PolicyStatus::default(); 4];
    let mut decide = |turn: u64| {
        let number = turn % 5_000;
        // Each second key has parts.
        let parts = [Key::from("tenant"), Key::from(number)];
        let key = if number.is_multiple_of(2) { Key::parts(&parts) } else { number.into() };
        let session = limiter.session_at(Now::from_unix_nanos(1_000_000_000 + turn));
        let charges = ids.map(|id| id.charge(key, 2));
        match session.check_with_status(&charges, &mut statuses).is_allowed() {
            true => allowed += 1,
            false => denied += 1,
        }
        let _ = session.check(&charges[..1]);
        assert!(session.check(&charges[3..]).is_allowed());
        let _ = session.peek(&charges);
        session.refund(&ids[1].charge(key, 1)).unwrap();
        assert!(session.force_charge(&charges[2..3]).is_allowed());
        session.check_many(&charges, &mut [Decision::default(); 4]);
        if let Ok(mut reservation) =
            session.reserve(&[ids[2].charge(key, 1), ids[3].charge(key, 1)])
        {
            let _ = session.extend(&mut reservation, &[1, 1]).unwrap();
            let _ = session.settle(&mut reservation, &[3, 3]).unwrap();
        }
    };
    let growing = allocations(|| (0..20_000).for_each(&mut decide));
    // Each of the four tables gets 5,000 new keys, and grows about nine times.
    assert!(growing < 500, "{growing} allocations while the tables grow");
    let count = allocations(|| (20_000..200_000).for_each(&mut decide));
    assert!(allowed > 10_000 && denied > 10_000, "{allowed} allowed, {denied} denied");
    assert!(limiter.stats(ids[3]).unwrap().dry_run_denied > 10_000);
    assert_eq!(count, 0, "allocations for known keys");
    assert_eq!(allocations(|| _ = limiter.request_stats()), 0, "allocations for statistics");
    let reset = allocations(|| {
        for number in 0..5_000_u64 {
            let parts = [Key::from("tenant"), Key::from(number)];
            for key in [Key::parts(&parts), number.into()] {
                ids.iter().for_each(|id| limiter.reset_key(*id, key).unwrap());
            }
        }
    });
    assert_eq!(reset, 0, "allocations for resets");
}
