//! The cost of the parts of a decision, each measured alone.

use crate::contender::{Contender, Expected, Side, Work};
use crate::key_sequence::KeySequence;
use crate::keys::{KeyKind, key};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The parts of a decision about a known key with `check`.
pub(super) const PARTS: &[&str] = &["clock", "hash", "epoch pin", "CAS"];

/// Each of [`PARTS`] as a contender of its own.
pub(super) fn parts<K: KeyKind>() -> Vec<Contender> {
    let clock = quanta::Clock::new();
    let start = clock.raw();
    let hasher = ahash::RandomState::with_seeds(1, 2, 3, 4);
    let word = AtomicU64::new(0);
    let mut keys = KeySequence::new(vec![K::of(1); 1024]);
    vec![
        part("clock", move |count| {
            for _ in 0..count {
                black_box(clock.delta_as_nanos(start, clock.raw()));
            }
        }),
        part("hash", move |count| {
            keys.for_each_chunk(count, |keys| {
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
        part("CAS", move |count| {
            for _ in 0..count {
                let old = word.load(Ordering::Acquire);
                let _ = word.compare_exchange(old, old + 1, Ordering::AcqRel, Ordering::Relaxed);
            }
        }),
    ]
}

/// CAS of one word by two threads: a lower bound for two threads that decide about one key.
pub(super) fn shared_cas() -> Contender {
    let word = Arc::new(AtomicU64::new(0));
    let works = [word.clone(), word].map(|word| work(move || raise(&word)));
    Contender::new("CAS, two threads", Side::Baseline, Expected::Admitted, works.into())
}

/// Epoch pins by one thread and by two, which share the epoch.
pub(super) fn pins() -> Vec<Contender> {
    let pins = || work(|| drop(black_box(crossbeam_epoch::pin())));
    let threads = |name, works| Contender::new(name, Side::Baseline, Expected::Admitted, works);
    vec![
        threads("epoch pin, one thread", vec![pins()]),
        threads("epoch pin, two threads", vec![pins(), pins()]),
    ]
}

/// Independent numbers, and the changes of each in one "decision": together about as long as a
/// decision of tollgate.
const NUMBERS: usize = 8;
const STEPS: usize = 16;

/// Arithmetic by one thread and by two that share no memory. Two hyperthreads of one core share its
/// execution units.
pub(super) fn arithmetic() -> Vec<Contender> {
    let sums = || {
        work(|| {
            let mut numbers: [u64; NUMBERS] = black_box([3; NUMBERS]);
            for step in 0..STEPS {
                for number in &mut numbers {
                    *number = number.rotate_left(5).wrapping_add(step as u64);
                }
            }
            black_box(numbers);
        })
    };
    let threads = |name, works| Contender::new(name, Side::Baseline, Expected::Admitted, works);
    vec![
        threads("arithmetic, one thread", vec![sums()]),
        threads("arithmetic, two threads", vec![sums(), sums()]),
    ]
}

/// A word in a cache line of its own.
#[repr(align(64))]
#[derive(Debug, Default)]
struct CacheLine(AtomicU64);

/// CAS of cache lines that only one thread uses, `each` lines for each of two threads: interleaved
/// at random in one block, as keys are in a table, and in two blocks.
pub(super) fn disjoint_cas(each: usize) -> Vec<Contender> {
    let block =
        |lines| Arc::new((0..lines).map(|_| CacheLine::default()).collect::<Box<[CacheLine]>>());
    let both = block(2 * each);
    let mut order: Vec<usize> = (0..2 * each).collect();
    order.sort_by_key(|index| key(*index as u64));
    let mixed =
        |thread: usize| raise_in_order(both.clone(), order[thread * each..][..each].to_vec());
    let apart = |_| {
        raise_in_order(block(each), order.iter().copied().filter(|index| *index < each).collect())
    };
    let lines = |name, works| Contender::new(name, Side::Baseline, Expected::Admitted, works);
    vec![
        lines("cache lines, one thread", vec![mixed(0)]),
        lines("interleaved cache lines, two threads", vec![mixed(0), mixed(1)]),
        lines("separate cache lines, two threads", vec![apart(0), apart(1)]),
    ]
}

/// Increments these lines in this order, over and over.
fn raise_in_order(lines: Arc<Box<[CacheLine]>>, order: Vec<usize>) -> Work {
    let mut next = 0;
    work(move || {
        raise(&lines[order[next]].0);
        next = if next + 1 == order.len() { 0 } else { next + 1 };
    })
}

fn work(mut step: impl FnMut() + Send + 'static) -> Work {
    Box::new(move |count| {
        (0..count).for_each(|_| step());
        count
    })
}

fn raise(word: &AtomicU64) {
    let mut old = word.load(Ordering::Acquire);
    while let Err(now) = word.compare_exchange(old, old + 1, Ordering::AcqRel, Ordering::Relaxed) {
        old = now;
    }
}

/// A contender without a limiter: all its decisions count as admitted.
fn part(name: &str, mut work: impl FnMut(usize) + Send + 'static) -> Contender {
    let work: Work = Box::new(move |count| {
        work(count);
        count
    });
    Contender::new(name, Side::Baseline, Expected::Admitted, vec![work])
}
