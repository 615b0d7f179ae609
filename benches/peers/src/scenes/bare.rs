//! What any table must do for a decision, and nothing else: a line for each key that holds its hash and
//! a count, or the buckets of a window, which one exchange changes. With what a call does besides, it
//! is what a limiter could be.

use super::lines;
use super::window::{Window, Words};
use crate::contender::{Answers, Contender, Side, Work};
use crate::keys::KeyKind;
use crate::scene::Stage;
use crate::tour::Tour;
use crate::ways::{BATCH, STEP_NS};
use memmap2::MmapMut;
use std::hint::black_box;
use std::ops::DerefMut;
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::sync::{Arc, Mutex, PoisonError};
use zerocopy::FromBytes;

const WORDS_PER_LINE: usize = 8;
/// Lines behind the last home, so that a probe has an end.
const SPILL: usize = 1024;
/// Instructions of one of the steps below: two for each of its four numbers.
pub(super) const PER_STEP: usize = 8;

/// A hash, a line and an exchange for each key.
pub(super) const ALONE: &str = "bare table";
/// A pin for each key as well.
pub(super) const PINNED: &str = "bare table, a pin";
/// A reading of the clock for each key as well: what one call does.
pub(super) const ONE_CALL: &str = "bare table, a pin and a clock";
/// All hashes, then all lines, then all exchanges.
pub(super) const BATCHES: &str = "bare table, batches";

/// Those that count, in whatever order.
const COUNTS: &[&str] = &[ALONE, PINNED, ONE_CALL, BATCHES];

/// A window of seven buckets in place of the count, at a time that moves on by itself,
pub(super) const WINDOW: &str = "bare table, a window";
/// an answer for the caller,
pub(super) const ANSWER: &str = "bare table, a window, an answer";
/// a pin for each key,
pub(super) const PINNED_ANSWER: &str = "bare table, a window, an answer, a pin";
/// and, as one call does, a reading of the clock, before which the key's line is asked for.
pub(super) const CALLED_ANSWER: &str = "bare table, a window, an answer, a pin and a clock";

/// The ways of this name to ask a bare table for the keys of this stage. Each thread has a table of
/// its own.
pub(super) fn contenders<K: KeyKind>(stage: &Stage<K>, names: &[&str]) -> Vec<Contender> {
    let table = |_: &Tour<K>| Arc::new(Table::of(&stage.fill));
    let shared: Vec<_> = stage.tours.iter().map(table).collect();
    let contender = |name: &&str| {
        let threads = stage.tours.iter().zip(&shared).map(|(tour, shared)| {
            // Windows have their times, and so a table for each.
            let table = if COUNTS.contains(name) { shared.clone() } else { table(tour) };
            table.work(name, stage, tour.clone())
        });
        Contender::new(name, Side::Floor, stage.answers, threads.collect())
    };
    names.iter().map(contender).collect()
}

/// With so many steps more for each key, which wait for its line.
pub(super) fn with_steps<K: KeyKind, const STEPS: usize>(stage: &Stage<K>) -> Contender {
    let (table, tour) = (Arc::new(Table::of(&stage.fill)), stage.tours[0].clone());
    let step = black_box(1);
    let work = table.each(tour, move |lines, hash| lines.raise::<STEPS>(hash, step));
    floor(&format!("and {} instructions", STEPS * PER_STEP), work)
}

/// A bare table for each of three layers: one call, which asks for all three lines before it reads the
/// clock, and three.
pub(super) fn layers<K: KeyKind>(fill: &[K], tour: &Tour<K>, names: [&str; 2]) -> Vec<Contender> {
    let tables = Arc::new([(); 3].map(|()| Table::of(fill)));
    let works = [
        three(tables.clone(), tour.clone(), |clock, lines, hashes| {
            let all = || lines.iter().zip(hashes);
            all().for_each(|(lines, hash)| lines.ask_for(hash));
            black_box(clock.raw());
            let _pinned = crossbeam_epoch::pin();
            all().fold(true, |all, (lines, hash)| all & lines.raise::<0>(hash, 1))
        }),
        three(tables, tour.clone(), |clock, lines, hashes| {
            let all = lines.iter().zip(hashes);
            all.fold(true, |all, (lines, hash)| all & lines.called(clock, hash))
        }),
    ];
    names.iter().zip(works).map(|(name, work)| floor(name, work)).collect()
}

fn floor(name: &str, work: Work) -> Contender {
    Contender::new(name, Side::Floor, Answers::Admitted, vec![work])
}

/// The tour, each key by this in all three tables.
fn three<K: KeyKind>(
    tables: Arc<[Table; 3]>,
    mut tour: Tour<K>,
    raise: impl Fn(&quanta::Clock, &[Lines<'_>; 3], [u64; 3]) -> bool + Send + 'static,
) -> Work {
    let clock = quanta::Clock::new();
    Box::new(move |count| {
        let mut blocks = tables.each_ref().map(Table::block);
        let lines = blocks.each_mut().map(|block| Lines::of(block));
        let mut raised = 0;
        tour.visit(count, |keys| {
            for key in keys {
                let hashes = tables.each_ref().map(|table| table.hash(key));
                raised += usize::from(raise(&clock, &lines, hashes));
            }
        });
        raised
    })
}

/// A line a key: its hash, and a count or a window.
#[derive(Debug)]
struct Table {
    /// Of one thread at a time, which has it for a turn.
    block: Mutex<MmapMut>,
    hasher: ahash::RandomState,
}

impl Table {
    fn of<K: KeyKind>(keys: &[K]) -> Table {
        let lines = 2 * keys.len() + SPILL;
        let block = lines::block(lines * WORDS_PER_LINE * size_of::<u64>(), true, 0);
        let hasher = ahash::RandomState::with_seeds(1, 2, 3, 4);
        let table = Table { block: Mutex::new(block), hasher };
        for key in keys {
            Lines::of(&mut table.block()).raise::<0>(table.hash(key), 1);
        }
        table
    }

    fn work<K: KeyKind>(self: Arc<Self>, name: &str, stage: &Stage<K>, tour: Tour<K>) -> Work {
        match name {
            ALONE => self.each(tour, |lines, hash| lines.raise::<0>(hash, 1)),
            PINNED => self.each(tour, |lines, hash| {
                let _pinned = crossbeam_epoch::pin();
                lines.raise::<0>(hash, 1)
            }),
            ONE_CALL => self.calls(tour),
            BATCHES => self.batches(tour),
            WINDOW => self.windows(stage, tour, Window::allows),
            ANSWER => self.windows(stage, tour, told),
            PINNED_ANSWER => self.windows(stage, tour, |window, words, now| {
                let _pinned = crossbeam_epoch::pin();
                told(window, words, now)
            }),
            CALLED_ANSWER => self.called_windows(stage, tour),
            _ => unreachable!("no way to ask a bare table: {name}"),
        }
    }

    /// A window for each key, as used as those of this stage are, and the time of that.
    fn window<K: KeyKind>(&self, stage: &Stage<K>) -> (Window, u64) {
        let window = Window::new(stage.setting.limit, stage.setting.window);
        let now = window.start();
        let mut block = self.block();
        let lines = Lines::of(&mut block);
        for key in (0..stage.times).flat_map(|_| &stage.fill) {
            window.allows(lines.words(self.hash(key)), now);
        }
        (window, now)
    }

    fn block(&self) -> impl DerefMut<Target = MmapMut> {
        self.block.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline(always)]
    fn hash<K: KeyKind>(&self, key: &K) -> u64 {
        self.hasher.hash_one(key.borrowed()) | 1
    }

    /// The tour, each key by this.
    fn each<K: KeyKind>(
        self: Arc<Self>,
        mut tour: Tour<K>,
        mut raise: impl FnMut(&Lines<'_>, u64) -> bool + Send + 'static,
    ) -> Work {
        Box::new(move |count| {
            let mut block = self.block();
            let lines = Lines::of(&mut block);
            let mut raised = 0;
            tour.visit(count, |keys| {
                for key in keys {
                    raised += usize::from(raise(&lines, self.hash(key)));
                }
            });
            raised
        })
    }

    fn calls<K: KeyKind>(self: Arc<Self>, tour: Tour<K>) -> Work {
        let clock = quanta::Clock::new();
        self.each(tour, move |lines, hash| lines.called(&clock, hash))
    }

    /// At a time that moves on by itself.
    fn windows<K: KeyKind>(
        self: Arc<Self>,
        stage: &Stage<K>,
        tour: Tour<K>,
        decide: impl Fn(&Window, &Words, u64) -> bool + Send + 'static,
    ) -> Work {
        let (window, mut now) = self.window(stage);
        self.each(tour, move |lines, hash| {
            now += STEP_NS;
            decide(&window, lines.words(hash), now)
        })
    }

    /// At the clock's time.
    fn called_windows<K: KeyKind>(self: Arc<Self>, stage: &Stage<K>, tour: Tour<K>) -> Work {
        let (window, start) = self.window(stage);
        let clock = quanta::Clock::new();
        let first = clock.raw();
        self.each(tour, move |lines, hash| {
            lines.ask_for(hash);
            let now = start + clock.delta_as_nanos(first, clock.raw());
            let _pinned = crossbeam_epoch::pin();
            told(&window, lines.words(hash), now)
        })
    }

    fn batches<K: KeyKind>(self: Arc<Self>, mut tour: Tour<K>) -> Work {
        Box::new(move |count| {
            let mut block = self.block();
            let lines = Lines::of(&mut block);
            let mut raised = 0;
            tour.visit(count, |keys| {
                for batch in keys.chunks(BATCH) {
                    let mut hashes = [0; BATCH];
                    for (hash, key) in hashes.iter_mut().zip(batch) {
                        *hash = self.hash(key);
                        lines.ask_for(*hash);
                    }
                    for hash in &hashes[..batch.len()] {
                        raised += usize::from(lines.raise::<0>(*hash, 1));
                    }
                }
            });
            raised
        })
    }
}

#[inline(always)]
fn told(window: &Window, words: &Words, now: u64) -> bool {
    black_box(&window.answers(words, now)).allowed
}

struct Lines<'a>(&'a [[AtomicU64; WORDS_PER_LINE]]);

impl<'a> Lines<'a> {
    fn of(block: &'a mut MmapMut) -> Self {
        let lines = <[[AtomicU64; WORDS_PER_LINE]]>::mut_from_bytes(block);
        Lines(lines.expect("a block of whole lines"))
    }

    #[inline(always)]
    fn home(&self, hash: u64) -> usize {
        let homes = (self.0.len() - SPILL) as u128;
        ((u128::from(hash) * homes) >> 64) as usize
    }

    /// Touches a home without waiting for it.
    #[inline(always)]
    fn ask_for(&self, hash: u64) {
        black_box(self.0[self.home(hash)][0].load(Relaxed));
    }

    /// As [`raise`](Self::raise), with all that one call does besides.
    #[inline(always)]
    fn called(&self, clock: &quanta::Clock, hash: u64) -> bool {
        self.ask_for(hash);
        black_box(clock.raw());
        let _pinned = crossbeam_epoch::pin();
        self.raise::<0>(hash, 1)
    }

    /// Finds the line of this hash and changes its count by one exchange.
    #[inline(always)]
    fn raise<const STEPS: usize>(&self, hash: u64, step: u64) -> bool {
        let count = &self.words(hash)[0];
        let old = count.load(Acquire);
        count.compare_exchange(old, more::<STEPS>(old, step), Release, Relaxed).is_ok()
    }

    /// What lies behind this hash in its line.
    #[inline(always)]
    fn words(&self, hash: u64) -> &'a Words {
        let mut place = self.home(hash);
        loop {
            let [id, words @ ..] = &self.0[place];
            match id.load(Acquire) {
                id if id == hash => return words,
                0 => id.store(hash, Release),
                _ => place += 1,
            }
        }
    }
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
