//! What the parts of a decision cost by themselves: no limiter can be quicker than their sum.

use crate::contender::{Answers, Contender, Side, Work};
use crate::keys::KeyKind;
use crate::tour::Tour;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a one-shot decision about a known key needs.
pub(super) const PARTS: &[&str] = &["clock", "hash", "epoch pin", "exchange"];

/// Each of [`PARTS`] as a contender of its own.
pub(super) fn parts<K: KeyKind>() -> Vec<Contender> {
    let clock = quanta::Clock::new();
    let start = clock.raw();
    let hasher = ahash::RandomState::with_seeds(1, 2, 3, 4);
    let word = AtomicU64::new(0);
    let mut keys = Tour::new(vec![K::of(1); 1024]);
    vec![
        part("clock", move |count| {
            for _ in 0..count {
                black_box(clock.delta_as_nanos(start, clock.raw()));
            }
        }),
        part("hash", move |count| {
            keys.visit(count, |keys| {
                for key in keys {
                    black_box(hasher.hash_one(key.borrowed()));
                }
            });
        }),
        part("epoch pin", |count| {
            for _ in 0..count {
                black_box(crossbeam_epoch::pin());
            }
        }),
        part("exchange", move |count| {
            for _ in 0..count {
                let old = word.load(Ordering::Acquire);
                let _ = word.compare_exchange(old, old + 1, Ordering::AcqRel, Ordering::Relaxed);
            }
        }),
    ]
}

/// There is nothing to be denied.
fn part(name: &str, mut work: impl FnMut(usize) + Send + 'static) -> Contender {
    let work: Work = Box::new(move |count| {
        work(count);
        count
    });
    Contender::new(name, Side::Floor, Answers::Admitted, vec![work])
}
