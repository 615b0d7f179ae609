//! What a table must do for a decision, and nothing else: a line for each key that holds its hash and
//! a count, or the buckets of a window, which one exchange changes. With what a call does besides, it
//! is what a limiter could be.

use super::lines;
use super::window::Window;
use crate::contender::{Answers, Contender, Side, Work};
use crate::keys::KeyKind;
use crate::places::{DENSE, Places, WIDE, Words, grown, settled};
use crate::scene::Stage;
use crate::tour::Tour;
use crate::ways::{BATCH, STEP_NS};
use memmap2::MmapMut;
use std::hint::black_box;
use std::sync::atomic::Ordering::*;

/// Instructions of one of the steps below: two for each of its four numbers.
pub(super) const PER_STEP: usize = 8;

/// A way to ask a bare table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bare {
    pub(super) name: &'static str,
    layout: bool,
    does: Does,
    with: With,
}

/// What is done with a key's words, by one exchange.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// A count goes up.
    Count,
    /// One unit is charged to a window of seven buckets.
    Window,
    /// The same, and the caller is told all.
    Answer,
}

/// What is done besides.
#[derive(Clone, Copy, Debug)]
enum With {
    /// Only the key's hash and its line.
    Nothing,
    /// A pin for each key, before which its line is asked for.
    Pin,
    /// A reading of the clock as well: one call.
    Call,
    /// All hashes of a batch, then all lines, then all the rest.
    Batches,
}

impl Bare {
    const fn wide(name: &'static str, does: Does, with: With) -> Self {
        Bare { name, layout: WIDE, does, with }
    }

    const fn dense(name: &'static str, does: Does, with: With) -> Self {
        Bare { name, layout: DENSE, does, with }
    }

    pub(super) const ALONE: Bare = Bare::wide("bare table", Does::Count, With::Nothing);
    pub(super) const PINNED: Bare = Bare::wide("bare table, a pin", Does::Count, With::Pin);
    pub(super) const CALLED: Bare =
        Bare::wide("bare table, a pin and a clock", Does::Count, With::Call);
    pub(super) const BATCHES: Bare = Bare::wide("bare table, batches", Does::Count, With::Batches);
    pub(super) const WINDOW: Bare = Bare::wide("bare table, a window", Does::Window, With::Nothing);
    pub(super) const ANSWER: Bare =
        Bare::wide("bare table, a window, an answer", Does::Answer, With::Nothing);
    pub(super) const PINNED_ANSWER: Bare =
        Bare::wide("bare table, a window, an answer, a pin", Does::Answer, With::Pin);
    pub(super) const CALLED_ANSWER: Bare =
        Bare::wide("bare table, a window, an answer, a pin and a clock", Does::Answer, With::Call);

    pub(super) const DENSE: Bare = Bare::dense("dense table", Does::Count, With::Nothing);
    pub(super) const DENSE_PINNED: Bare = Bare::dense("dense table, a pin", Does::Count, With::Pin);
    pub(super) const DENSE_CALLED: Bare =
        Bare::dense("dense table, a pin and a clock", Does::Count, With::Call);
    pub(super) const DENSE_BATCHES: Bare =
        Bare::dense("dense table, batches", Does::Count, With::Batches);
    pub(super) const DENSE_ANSWER: Bare =
        Bare::dense("dense table, a window, an answer", Does::Answer, With::Nothing);
    pub(super) const DENSE_PINNED_ANSWER: Bare =
        Bare::dense("dense table, a window, an answer, a pin", Does::Answer, With::Pin);
    pub(super) const DENSE_CALLED_ANSWER: Bare = Bare::dense(
        "dense table, a window, an answer, a pin and a clock",
        Does::Answer,
        With::Call,
    );
    pub(super) const DENSE_ANSWER_BATCHES: Bare =
        Bare::dense("dense table, a window, an answer, batches", Does::Answer, With::Batches);

    /// On a table of its own for each thread, for the keys of this stage.
    pub(super) fn contender<K: KeyKind>(&self, stage: &Stage<K>) -> Contender {
        let work = |tour: &Tour<K>| match self.layout {
            WIDE => Table::<WIDE>::of(&stage.fill).does(self, stage, tour.clone()),
            DENSE => Table::<DENSE>::of(&stage.fill).does(self, stage, tour.clone()),
        };
        let threads = stage.tours.iter().map(work).collect();
        Contender::new(self.name, Side::Floor, stage.answers, threads)
    }
}

/// With so many steps more for each key, which wait for its line.
pub(super) fn with_steps<K: KeyKind, const STEPS: usize>(stage: &Stage<K>) -> Contender {
    let (table, step) = (Table::<WIDE>::of(&stage.fill), black_box(1));
    let work = table
        .each(stage.tours[0].clone(), move |places, hash| raise::<STEPS>(places.words(hash), step));
    floor(&format!("and {} instructions", STEPS * PER_STEP), work)
}

/// A bare table for each of three layers: one call, which asks for all three lines before it reads the
/// clock, and three.
pub(super) fn layers<K: KeyKind>(fill: &[K], tour: &Tour<K>, names: [&str; 2]) -> Vec<Contender> {
    let tables = || [(); 3].map(|()| Table::<WIDE>::of(fill));
    let works = [
        three(tables(), tour.clone(), |clock, layers, hashes| {
            let all = || layers.iter().zip(hashes);
            all().for_each(|(places, hash)| places.ask_for(hash));
            black_box(clock.raw());
            let _pinned = crossbeam_epoch::pin();
            all().fold(true, |all, (places, hash)| all & raise::<0>(places.words(hash), 1))
        }),
        three(tables(), tour.clone(), |clock, layers, hashes| {
            layers.iter().zip(hashes).fold(true, |all, (places, hash)| {
                places.ask_for(hash);
                black_box(clock.raw());
                let _pinned = crossbeam_epoch::pin();
                all & raise::<0>(places.words(hash), 1)
            })
        }),
    ];
    names.iter().zip(works).map(|(name, work)| floor(name, work)).collect()
}

fn floor(name: &str, work: Work) -> Contender {
    Contender::new(name, Side::Floor, Answers::Admitted, vec![work])
}

/// The tour, each key by this in all three tables.
fn three<K: KeyKind>(
    mut tables: [Table<WIDE>; 3],
    mut tour: Tour<K>,
    raise: impl Fn(&quanta::Clock, &[Places<'_, WIDE>; 3], [u64; 3]) -> bool + Send + 'static,
) -> Work {
    let clock = quanta::Clock::new();
    Box::new(move |count| {
        let hashers = tables.each_ref().map(|table| table.hasher.clone());
        let layers = tables.each_mut().map(Table::places);
        let mut raised = 0;
        tour.visit(count, |keys| {
            for key in keys {
                let hashes = hashers.each_ref().map(|hasher| hash(hasher, key));
                raised += usize::from(raise(&clock, &layers, hashes));
            }
        });
        raised
    })
}

/// A line a key: its hash, and a count or a window.
#[derive(Debug)]
struct Table<const LAYOUT: bool> {
    blocks: [MmapMut; 2],
    hasher: ahash::RandomState,
}

impl<const LAYOUT: bool> Table<LAYOUT> {
    fn of<K: KeyKind>(keys: &[K]) -> Self {
        let bytes =
            Places::<LAYOUT>::bytes(if LAYOUT == DENSE { grown(keys.len()) } else { keys.len() });
        let blocks = bytes.map(|bytes| lines::block(bytes, true, 0));
        let hasher = ahash::RandomState::with_seeds(1, 2, 3, 4);
        let mut table = Table { blocks, hasher: hasher.clone() };
        let places = table.places();
        keys.iter().for_each(|key| _ = places.words(hash(&hasher, key)));
        table
    }

    fn places(&mut self) -> Places<'_, LAYOUT> {
        Places::of(self.blocks.each_mut().map(|block| &mut block[..]))
    }

    fn does<K: KeyKind>(mut self, way: &Bare, stage: &Stage<K>, tour: Tour<K>) -> Work {
        let window = Window::new(stage.setting.limit, stage.setting.window);
        let now = window.start();
        match way.does {
            Does::Count => self.with(way.with, tour, now, |words, now| {
                black_box(now);
                raise::<0>(words, 1)
            }),
            Does::Window => {
                self.fill(stage, &window);
                self.with(way.with, tour, now, move |words, now| window.allows(words, now))
            }
            Does::Answer => {
                self.fill(stage, &window);
                self.with(way.with, tour, now, move |words, now| {
                    black_box(&window.answers(words, now)).allowed
                })
            }
        }
    }

    /// Windows that are as used as those of this stage are.
    fn fill<K: KeyKind>(&mut self, stage: &Stage<K>, window: &Window) {
        let hasher = self.hasher.clone();
        let places = self.places();
        for key in (0..stage.times).flat_map(|_| &stage.fill) {
            window.allows(places.words(hash(&hasher, key)), window.start());
        }
    }

    /// The tour from this time on: the clock's, or one that moves on by itself.
    fn with<K: KeyKind>(
        self,
        with: With,
        tour: Tour<K>,
        start: u64,
        decide: impl Fn(&Words, u64) -> bool + Send + 'static,
    ) -> Work {
        let mut now = start;
        match with {
            With::Nothing => self.each(tour, move |places, hash| {
                now += STEP_NS;
                decide(places.words(hash), now)
            }),
            With::Pin => self.each(tour, move |places, hash| {
                places.ask_for(hash);
                now += STEP_NS;
                let _pinned = crossbeam_epoch::pin();
                decide(places.words(hash), now)
            }),
            With::Call => {
                let clock = quanta::Clock::new();
                let first = clock.raw();
                self.each(tour, move |places, hash| {
                    places.ask_for(hash);
                    let now = start + clock.delta_as_nanos(first, clock.raw());
                    let _pinned = crossbeam_epoch::pin();
                    decide(places.words(hash), now)
                })
            }
            With::Batches => self.batches(tour, start, decide),
        }
    }

    /// The tour, each key by this.
    fn each<K: KeyKind>(
        mut self,
        mut tour: Tour<K>,
        mut decide: impl FnMut(&Places<'_, LAYOUT>, u64) -> bool + Send + 'static,
    ) -> Work {
        let hasher = self.hasher.clone();
        Box::new(move |count| {
            let places = self.places();
            let mut decided = 0;
            tour.visit(count, |keys| {
                for key in keys {
                    decided += usize::from(decide(&places, hash(&hasher, key)));
                }
            });
            decided
        })
    }

    fn batches<K: KeyKind>(
        mut self,
        mut tour: Tour<K>,
        mut now: u64,
        decide: impl Fn(&Words, u64) -> bool + Send + 'static,
    ) -> Work {
        let hasher = self.hasher.clone();
        Box::new(move |count| {
            let places = self.places();
            let mut decided = 0;
            tour.visit(count, |keys| {
                for batch in keys.chunks(BATCH) {
                    let mut hashes = [0; BATCH];
                    let hashes = &mut hashes[..batch.len()];
                    for (hashed, key) in hashes.iter_mut().zip(batch) {
                        *hashed = hash(&hasher, key);
                        places.ask_early(*hashed);
                    }
                    hashes.iter().for_each(|hash| places.ask_late(*hash));
                    for hash in hashes {
                        now += STEP_NS;
                        decided += usize::from(decide(places.words(*hash), now));
                    }
                }
            });
            decided
        })
    }
}

#[inline(always)]
fn hash<K: KeyKind>(hasher: &ahash::RandomState, key: &K) -> u64 {
    settled(hasher.hash_one(key.borrowed()))
}

/// Changes a key's count by one exchange.
#[inline(always)]
fn raise<const STEPS: usize>(words: &Words, step: u64) -> bool {
    let count = &words[0];
    let old = count.load(Acquire);
    count.compare_exchange(old, more::<STEPS>(old, step), Release, Relaxed).is_ok()
}

/// Eight instructions a step, four of which can run at the same time. All wait for the line.
#[inline(always)]
fn more<const STEPS: usize>(old: u64, step: u64) -> u64 {
    if STEPS == 0 {
        return old.wrapping_add(step);
    }
    let mut numbers = [old, old ^ 1, old ^ 2, old ^ 3];
    for _ in 0..STEPS {
        // Turned by different numbers of bits, so that they are not made one wide instruction.
        for (number, bits) in numbers.iter_mut().zip([7, 9, 13, 17]) {
            *number = number.rotate_left(bits).wrapping_add(step);
        }
    }
    numbers.into_iter().fold(step, u64::wrapping_add)
}
