//! Guarantee H: every kind of call fits into a stack of 16 KiB in a release build.
//!
//! A call that needs more ends the process, and with it the test. Without optimization, frames are
//! larger, so the stack is as well.

mod load;

use load::mix;
use std::time::Duration;
use tollgate::{
    Decision, Limiter, ManualClock, Now, Overflow, Period, Policy, PolicyId, PolicyStatus,
};

const STACK: usize = if cfg!(debug_assertions) { 64 << 10 } else { 16 << 10 };
const SECOND: u64 = 1_000_000_000;

/// Runs `call` on a thread with a small stack.
fn on_small_stack(call: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        let thread = thread.spawn_scoped(scope, call).expect("a thread");
        assert!(thread.join().is_ok());
    });
}

fn limiter() -> (Limiter, Vec<PolicyId>) {
    let mut builder = Limiter::builder()
        .overflow(Overflow::EvictLightest { allowance: 2 })
        .clock(ManualClock::new())
        .seed([1, 2, 3, 4]);
    let second = Duration::from_secs(1);
    let mut ids: Vec<_> = [7, 15, 31, 63, 127]
        .map(|words| {
            builder
                .add(Policy::sliding(words.to_string(), 5, second).buckets(words).max_keys(3_000))
        })
        .into();
    ids.push(builder.add(Policy::calendar("hour", 5, Period::Hour).max_keys(3_000)));
    (builder.build().unwrap(), ids)
}

/// Tables grow, evict keys, shrink and are freed.
#[test]
fn resizes_fit_into_a_small_stack() {
    let (limiter, ids) = limiter();
    on_small_stack(|| {
        for id in &ids {
            for turn in 0..20_000 {
                let now = Now::from_unix_nanos(SECOND + turn * 1_000_000);
                let charge = [id.charge(mix(turn) % 8_000, 1)];
                _ = limiter.check_at(now, &charge);
            }
            let now = Now::from_unix_nanos(8_000 * SECOND);
            let session = limiter.session_at(now);
            assert!(session.stats(*id).unwrap().migrations > 5);
            (0..2_000_u64).for_each(|key| _ = session.check(&[id.charge(key << 32, 1)]));
            (0..100).for_each(|_| _ = session.maintain(100));
        }
        (0..100).for_each(|_| _ = limiter.maintain(1_000));
    });
    on_small_stack(move || drop(limiter));
}

/// Each operation, about all policies at once, with known and with new keys.
#[test]
fn operations_fit_into_a_small_stack() {
    let (limiter, ids) = limiter();
    let limiter = &limiter;
    for turn in 0..200_u64 {
        let ids = &ids;
        on_small_stack(move || {
            let session = limiter.session_at(Now::from_unix_nanos(SECOND + turn * SECOND / 50));
            for key in turn * 20..turn * 20 + 40 {
                let charges: [_; 6] = std::array::from_fn(|index| ids[index].charge(key, 1));
                match key % 10 {
                    0 => _ = session.check(&charges),
                    1 => _ = session.peek(&charges),
                    2 => _ = session.force_charge(&charges),
                    3 => _ = session.refund(&charges[0]),
                    4 => _ = session.reset_key(ids[1], key),
                    5 => _ = session.check_with_status(&charges, &mut [PolicyStatus::default(); 6]),
                    6 => _ = session.check_many(&charges, &mut [Decision::default(); 6]),
                    7 => _ = session.stats(ids[2]),
                    8 => _ = session.maintain(10),
                    _ => {
                        if let Ok(mut reservation) = session.reserve(&charges) {
                            _ = session.extend(&mut reservation, &[1; 6]);
                            assert!(session.settle(&mut reservation, &[1; 6]).is_ok());
                        }
                    }
                }
            }
        });
    }
}
