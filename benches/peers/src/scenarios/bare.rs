//! Lower bounds of a decision: bare tables with one cache line for each key, which contains its
//! hash and either a count or the buckets of a window. A decision is one CAS, optionally with the
//! other parts of a call.

use super::cache_lines;
use super::window::Window;
use crate::contender::{Contender, Expected, Side, Work};
use crate::entry_points::{BATCH, STEP_NS};
use crate::key_sequence::KeySequence;
use crate::keys::KeyKind;
use crate::scenario::Setup;
use crate::slots::{DENSE, SPARSE, Slots, Words, grown, nonzero_hash};
use memmap2::MmapMut;
use std::hint::black_box;
use std::sync::atomic::Ordering::*;

/// Instructions of one step of [`more`]: two for each of its four numbers.
pub(super) const PER_STEP: usize = 8;

/// A workload on a bare table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bare {
    pub(super) name: &'static str,
    is_dense: bool,
    operation: Operation,
    call: Call,
}

/// The change of a key's words, by one CAS.
#[derive(Clone, Copy, Debug)]
enum Operation {
    /// Increments a count.
    Count,
    /// Charges one unit to a window of seven buckets, and returns whether it is admitted.
    Verdict,
    /// The same, and returns a whole decision.
    Decision,
}

/// The other parts of a call.
#[derive(Clone, Copy, Debug)]
enum Call {
    /// Only the hash and the lookup of the key.
    Bare,
    /// A prefetch and a pin for each key.
    Pin,
    /// A prefetch, a clock reading and a pin for each key: one call.
    PinAndClock,
    /// Hash all keys of a batch, prefetch all lines, then decide all keys.
    Batches,
}

impl Bare {
    const fn sparse(name: &'static str, operation: Operation, call: Call) -> Self {
        Bare { name, is_dense: false, operation, call }
    }

    const fn dense(name: &'static str, operation: Operation, call: Call) -> Self {
        Bare { name, is_dense: true, operation, call }
    }

    pub(super) const COUNT: Bare = Bare::sparse("bare table: count", Operation::Count, Call::Bare);
    pub(super) const COUNT_PIN: Bare =
        Bare::sparse("bare table: count, pin", Operation::Count, Call::Pin);
    pub(super) const COUNT_PIN_CLOCK: Bare =
        Bare::sparse("bare table: count, pin, clock", Operation::Count, Call::PinAndClock);
    pub(super) const COUNT_BATCHES: Bare =
        Bare::sparse("bare table: count, batches", Operation::Count, Call::Batches);
    pub(super) const WINDOW_VERDICT: Bare =
        Bare::sparse("bare table: window, verdict only", Operation::Verdict, Call::Bare);
    pub(super) const WINDOW: Bare =
        Bare::sparse("bare table: window", Operation::Decision, Call::Bare);
    pub(super) const WINDOW_PIN: Bare =
        Bare::sparse("bare table: window, pin", Operation::Decision, Call::Pin);
    pub(super) const WINDOW_PIN_CLOCK: Bare =
        Bare::sparse("bare table: window, pin, clock", Operation::Decision, Call::PinAndClock);

    pub(super) const DENSE_COUNT: Bare =
        Bare::dense("dense table: count", Operation::Count, Call::Bare);
    pub(super) const DENSE_COUNT_PIN: Bare =
        Bare::dense("dense table: count, pin", Operation::Count, Call::Pin);
    pub(super) const DENSE_COUNT_PIN_CLOCK: Bare =
        Bare::dense("dense table: count, pin, clock", Operation::Count, Call::PinAndClock);
    pub(super) const DENSE_COUNT_BATCHES: Bare =
        Bare::dense("dense table: count, batches", Operation::Count, Call::Batches);
    pub(super) const DENSE_WINDOW: Bare =
        Bare::dense("dense table: window", Operation::Decision, Call::Bare);
    pub(super) const DENSE_WINDOW_PIN: Bare =
        Bare::dense("dense table: window, pin", Operation::Decision, Call::Pin);
    pub(super) const DENSE_WINDOW_PIN_CLOCK: Bare =
        Bare::dense("dense table: window, pin, clock", Operation::Decision, Call::PinAndClock);
    pub(super) const DENSE_WINDOW_BATCHES: Bare =
        Bare::dense("dense table: window, batches", Operation::Decision, Call::Batches);

    /// Creates a contender with a table of its own for each thread, filled with the keys of the
    /// setup.
    pub(super) fn contender<K: KeyKind>(&self, setup: &Setup<K>) -> Contender {
        let work = |sequence: &KeySequence<K>| {
            if self.is_dense {
                Table::<DENSE>::of(&setup.fill).workload(self, setup, sequence.clone())
            } else {
                Table::<SPARSE>::of(&setup.fill).workload(self, setup, sequence.clone())
            }
        };
        let threads = setup.sequences.iter().map(work).collect();
        Contender::new(self.name, Side::Baseline, setup.expected, threads)
    }
}

/// A bare table with `STEPS` additional steps for each key, all of which depend on its cache line.
pub(super) fn with_steps<K: KeyKind, const STEPS: usize>(setup: &Setup<K>) -> Contender {
    let (table, step) = (Table::<SPARSE>::of(&setup.fill), black_box(1));
    let work = table.each(setup.sequences[0].clone(), move |slots, hash| {
        raise::<STEPS>(slots.find_or_insert(hash), step)
    });
    baseline(&format!("bare table: count, {} instructions", STEPS * PER_STEP), work)
}

/// Three bare tables, one for each layer: one call that prefetches all three lines before it reads
/// the clock, and three calls.
pub(super) fn layers<K: KeyKind>(
    fill: &[K],
    sequence: &KeySequence<K>,
    names: [&str; 2],
) -> Vec<Contender> {
    let tables = || [(); 3].map(|()| Table::<SPARSE>::of(fill));
    let works = [
        three(tables(), sequence.clone(), |clock, layers, hashes| {
            let all = || layers.iter().zip(hashes);
            all().for_each(|(slots, hash)| slots.prefetch_entry(hash));
            black_box(clock.raw());
            let _pinned = crossbeam_epoch::pin();
            all().fold(true, |all, (slots, hash)| all & raise::<0>(slots.find_or_insert(hash), 1))
        }),
        three(tables(), sequence.clone(), |clock, layers, hashes| {
            layers.iter().zip(hashes).fold(true, |all, (slots, hash)| {
                slots.prefetch_entry(hash);
                black_box(clock.raw());
                let _pinned = crossbeam_epoch::pin();
                all & raise::<0>(slots.find_or_insert(hash), 1)
            })
        }),
    ];
    names.iter().zip(works).map(|(name, work)| baseline(name, work)).collect()
}

fn baseline(name: &str, work: Work) -> Contender {
    Contender::new(name, Side::Baseline, Expected::Admitted, vec![work])
}

/// The sequence, with `raise` called for each key in all three tables.
fn three<K: KeyKind>(
    mut tables: [Table<SPARSE>; 3],
    mut sequence: KeySequence<K>,
    raise: impl Fn(&quanta::Clock, &[Slots<'_, SPARSE>; 3], [u64; 3]) -> bool + Send + 'static,
) -> Work {
    let clock = quanta::Clock::new();
    Box::new(move |count| {
        let hashers = tables.each_ref().map(|table| table.hasher.clone());
        let layers = tables.each_mut().map(Table::slots);
        let mut raised = 0;
        sequence.for_each_chunk(count, |keys| {
            for key in keys {
                let hashes = hashers.each_ref().map(|hasher| hash(hasher, key));
                raised += usize::from(raise(&clock, &layers, hashes));
            }
        });
        raised
    })
}

/// A table with one cache line for each key: its hash, and a count or a window.
#[derive(Debug)]
struct Table<const IS_DENSE: bool> {
    blocks: [MmapMut; 2],
    hasher: ahash::RandomState,
}

impl<const IS_DENSE: bool> Table<IS_DENSE> {
    fn of<K: KeyKind>(keys: &[K]) -> Self {
        let bytes = Slots::<IS_DENSE>::bytes(if IS_DENSE { grown(keys.len()) } else { keys.len() });
        let blocks = bytes.map(|bytes| cache_lines::block(bytes, true, 0));
        let hasher = ahash::RandomState::with_seeds(1, 2, 3, 4);
        let mut table = Table { blocks, hasher: hasher.clone() };
        let slots = table.slots();
        keys.iter().for_each(|key| _ = slots.find_or_insert(hash(&hasher, key)));
        table
    }

    fn slots(&mut self) -> Slots<'_, IS_DENSE> {
        Slots::from_zeroed(self.blocks.each_mut().map(|block| &mut block[..]))
    }

    fn workload<K: KeyKind>(
        mut self,
        bare: &Bare,
        setup: &Setup<K>,
        sequence: KeySequence<K>,
    ) -> Work {
        let window = Window::new(setup.setting.limit, setup.setting.window);
        let now = window.start();
        match bare.operation {
            Operation::Count => self.timed(bare.call, sequence, now, |words, now| {
                black_box(now);
                raise::<0>(words, 1)
            }),
            Operation::Verdict => {
                self.fill(setup, &window);
                self.timed(bare.call, sequence, now, move |words, now| window.admit(words, now))
            }
            Operation::Decision => {
                self.fill(setup, &window);
                self.timed(bare.call, sequence, now, move |words, now| {
                    black_box(&window.decide(words, now)).allowed
                })
            }
        }
    }

    /// Charges the windows as often as the setup fills its limiters.
    fn fill<K: KeyKind>(&mut self, setup: &Setup<K>, window: &Window) {
        let hasher = self.hasher.clone();
        let slots = self.slots();
        for key in (0..setup.times).flat_map(|_| &setup.fill) {
            window.admit(slots.find_or_insert(hash(&hasher, key)), window.start());
        }
    }

    /// The sequence, starting at a time that advances with the clock or by a step for each key.
    fn timed<K: KeyKind>(
        self,
        call: Call,
        sequence: KeySequence<K>,
        start: u64,
        decide: impl Fn(&Words, u64) -> bool + Send + 'static,
    ) -> Work {
        let mut now = start;
        match call {
            Call::Bare => self.each(sequence, move |slots, hash| {
                now += STEP_NS;
                decide(slots.find_or_insert(hash), now)
            }),
            Call::Pin => self.each(sequence, move |slots, hash| {
                slots.prefetch_entry(hash);
                now += STEP_NS;
                let _pinned = crossbeam_epoch::pin();
                decide(slots.find_or_insert(hash), now)
            }),
            Call::PinAndClock => {
                let clock = quanta::Clock::new();
                let first = clock.raw();
                self.each(sequence, move |slots, hash| {
                    slots.prefetch_entry(hash);
                    let now = start + clock.delta_as_nanos(first, clock.raw());
                    let _pinned = crossbeam_epoch::pin();
                    decide(slots.find_or_insert(hash), now)
                })
            }
            Call::Batches => self.batches(sequence, start, decide),
        }
    }

    /// The sequence, with `decide` called for each key.
    fn each<K: KeyKind>(
        mut self,
        mut sequence: KeySequence<K>,
        mut decide: impl FnMut(&Slots<'_, IS_DENSE>, u64) -> bool + Send + 'static,
    ) -> Work {
        let hasher = self.hasher.clone();
        Box::new(move |count| {
            let slots = self.slots();
            let mut decided = 0;
            sequence.for_each_chunk(count, |keys| {
                for key in keys {
                    decided += usize::from(decide(&slots, hash(&hasher, key)));
                }
            });
            decided
        })
    }

    fn batches<K: KeyKind>(
        mut self,
        mut sequence: KeySequence<K>,
        mut now: u64,
        decide: impl Fn(&Words, u64) -> bool + Send + 'static,
    ) -> Work {
        let hasher = self.hasher.clone();
        Box::new(move |count| {
            let slots = self.slots();
            let mut decided = 0;
            sequence.for_each_chunk(count, |keys| {
                for batch in keys.chunks(BATCH) {
                    let mut hashes = [0; BATCH];
                    let hashes = &mut hashes[..batch.len()];
                    for (hashed, key) in hashes.iter_mut().zip(batch) {
                        *hashed = hash(&hasher, key);
                        slots.prefetch_tags(*hashed);
                    }
                    hashes.iter().for_each(|hash| slots.prefetch_match(*hash));
                    for hash in hashes {
                        now += STEP_NS;
                        decided += usize::from(decide(slots.find_or_insert(*hash), now));
                    }
                }
            });
            decided
        })
    }
}

#[inline(always)]
fn hash<K: KeyKind>(hasher: &ahash::RandomState, key: &K) -> u64 {
    nonzero_hash(hasher.hash_one(key.borrowed()))
}

/// Increments a key's count with one CAS.
#[inline(always)]
fn raise<const STEPS: usize>(words: &Words, step: u64) -> bool {
    let count = &words[0];
    let old = count.load(Acquire);
    count.compare_exchange(old, more::<STEPS>(old, step), Release, Relaxed).is_ok()
}

/// Adds eight instructions for each step, four of which are independent. All depend on the line.
#[inline(always)]
fn more<const STEPS: usize>(old: u64, step: u64) -> u64 {
    if STEPS == 0 {
        return old.wrapping_add(step);
    }
    let mut numbers = [old, old ^ 1, old ^ 2, old ^ 3];
    for _ in 0..STEPS {
        // Rotate by different numbers of bits, so that the compiler does not vectorize the loop.
        for (number, bits) in numbers.iter_mut().zip([7, 9, 13, 17]) {
            *number = number.rotate_left(bits).wrapping_add(step);
        }
    }
    numbers.into_iter().fold(step, u64::wrapping_add)
}
