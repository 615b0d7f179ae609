//! What the parts of a decision cost by themselves: no limiter can be quicker than their sum.

use crate::contender::{Answers, Contender, Side, Work};
use crate::keys::{KeyKind, key};
use crate::tour::Tour;
use std::hint::black_box;
use std::sync::Arc;
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

/// What one word costs that two threads exchange: no two threads can decide by exchanges in one
/// place more quickly.
pub(super) fn exchanges_of_one_word() -> Contender {
    let word = Arc::new(AtomicU64::new(0));
    let works = [word.clone(), word].map(|word| work(move || raise(&word)));
    Contender::new("exchange, two threads", Side::Floor, Answers::Admitted, works.into())
}

/// What a pin costs by one thread and by two, which tell each other how far they are.
pub(super) fn pins() -> Vec<Contender> {
    let pins = || work(|| drop(black_box(crossbeam_epoch::pin())));
    let threads = |name, works| Contender::new(name, Side::Floor, Answers::Admitted, works);
    vec![
        threads("epoch pin, one thread", vec![pins()]),
        threads("epoch pin, two threads", vec![pins(), pins()]),
    ]
}

/// Numbers that do not wait for each other, and how often each is changed in a "decision": together
/// about as long as one of ours takes.
const NUMBERS: usize = 8;
const STEPS: usize = 16;

/// What threads gain that share nothing, not even memory. Where two processors are the halves of one
/// core, they share what carries out instructions.
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
    let threads = |name, works| Contender::new(name, Side::Floor, Answers::Admitted, works);
    vec![
        threads("arithmetic, one thread", vec![sums()]),
        threads("arithmetic, two threads", vec![sums(), sums()]),
    ]
}

/// A cache line, as far as a processor fetches one by itself.
#[repr(align(64))]
#[derive(Debug, Default)]
struct Line(AtomicU64);

/// What lines cost that one thread alone exchanges, of so many for each of two: in one block, side
/// by side at random as a table has its keys, and in two.
pub(super) fn exchanges_of_lines(each: usize) -> Vec<Contender> {
    let block = |lines| Arc::new((0..lines).map(|_| Line::default()).collect::<Box<[Line]>>());
    let both = block(2 * each);
    let mut places: Vec<usize> = (0..2 * each).collect();
    places.sort_by_key(|place| key(*place as u64));
    let mixed = |of: usize| visit(both.clone(), places[of * each..][..each].to_vec());
    let apart =
        |_| visit(block(each), places.iter().copied().filter(|place| *place < each).collect());
    let lines = |name, works| Contender::new(name, Side::Floor, Answers::Admitted, works);
    vec![
        lines("lines, one thread", vec![mixed(0)]),
        lines("lines side by side, two threads", vec![mixed(0), mixed(1)]),
        lines("lines apart, two threads", vec![apart(0), apart(1)]),
    ]
}

/// Exchanges these lines in turn.
fn visit(lines: Arc<Box<[Line]>>, places: Vec<usize>) -> Work {
    let mut place = 0;
    work(move || {
        raise(&lines[places[place]].0);
        place = if place + 1 == places.len() { 0 } else { place + 1 };
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

/// There is nothing to be denied.
fn part(name: &str, mut work: impl FnMut(usize) + Send + 'static) -> Contender {
    let work: Work = Box::new(move |count| {
        work(count);
        count
    });
    Contender::new(name, Side::Floor, Answers::Admitted, vec![work])
}
