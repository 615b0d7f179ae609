//! How much a decision may do before the processor no longer begins with the next one while a line
//! comes from memory: a bare table with one exchange a decision, and the same with so many
//! instructions more.

use super::{Size, cold, lines, many, visits};
use crate::contender::{Answers, Contender, Side, Work};
use crate::keys::KeyKind;
use crate::scene::{Scene, Stage};
use crate::tour::{Tour, uniform};
use crate::ways::Way;
use memmap2::MmapMut;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::*};
use tollgate::Clock;
use zerocopy::FromBytes;

const WORDS_PER_LINE: usize = 8;
/// Lines behind the last home, so that a probe has an end.
const SPILL: usize = 1024;
/// Instructions of one of the steps below: two for each of its four numbers.
const PER_STEP: usize = 8;

/// Beside a session of this project's, and the fastest rival.
pub(super) fn bare_tables<K: KeyKind>(size: Size) -> Scene {
    let keys = size.million;
    let mut stage = cold::stage::<K>(keys, uniform(keys, visits(keys), 2));
    let own = stage.own(Some(7), Clock::precise());
    stage.way("tollgate, session", &own, Way::Session);
    stage.peer::<crate::peers::Governor<K>>();
    let bare = [
        bare::<K, 0>(&stage),
        bare::<K, 4>(&stage),
        bare::<K, 8>(&stage),
        bare::<K, 16>(&stage),
        bare::<K, 32>(&stage),
        bare::<K, 48>(&stage),
        one_call(&stage),
    ];
    stage.contenders.extend(bare);
    let title = format!("{}, beside a bare table and so many instructions", many(keys));
    Scene { name: "overlap", title, contenders: stage.contenders, aims: Vec::new() }
}

fn bare<K: KeyKind, const STEPS: usize>(stage: &Stage<K>) -> Contender {
    let table = Table::of(&stage.fill);
    let work = table.work::<K, STEPS>(stage.tours[0].clone());
    let name = match STEPS * PER_STEP {
        0 => "a hash, a line, an exchange".into(),
        more => format!("and {more} instructions"),
    };
    Contender::new(&name, Side::Floor, Answers::Admitted, vec![work])
}

/// What each call by itself does besides.
fn one_call<K: KeyKind>(stage: &Stage<K>) -> Contender {
    let mut table = Table::of(&stage.fill);
    let (clock, mut tour) = (quanta::Clock::new(), stage.tours[0].clone());
    let work: Work = Box::new(move |count| {
        let lines = Lines::of(&mut table.block);
        let step = black_box(1);
        let mut raised = 0;
        tour.visit(count, |keys| {
            for key in keys {
                black_box(clock.raw());
                let _pinned = crossbeam_epoch::pin();
                raised += usize::from(lines.raise::<0>(hash(&table.hasher, key), step));
            }
        });
        raised
    });
    let name = "a clock reading, a pin, a hash, a line, an exchange";
    Contender::new(name, Side::Floor, Answers::Admitted, vec![work])
}

/// A line a key: its hash and a count.
struct Table {
    block: MmapMut,
    hasher: ahash::RandomState,
}

impl Table {
    fn of<K: KeyKind>(keys: &[K]) -> Table {
        let lines = 2 * keys.len() + SPILL;
        let block = lines::block(lines * WORDS_PER_LINE * size_of::<u64>(), true, 0);
        let mut table = Table { block, hasher: ahash::RandomState::with_seeds(1, 2, 3, 4) };
        let hasher = table.hasher.clone();
        for key in keys {
            Lines::of(&mut table.block).raise::<0>(hash(&hasher, key), 1);
        }
        table
    }

    fn work<K: KeyKind, const STEPS: usize>(mut self, mut tour: Tour<K>) -> Work {
        Box::new(move |count| {
            let lines = Lines::of(&mut self.block);
            let step = black_box(1);
            let mut raised = 0;
            tour.visit(count, |keys| {
                for key in keys {
                    let hash = hash(&self.hasher, key);
                    raised += usize::from(lines.raise::<STEPS>(hash, step));
                }
            });
            raised
        })
    }
}

#[inline(always)]
fn hash<K: KeyKind>(hasher: &ahash::RandomState, key: &K) -> u64 {
    hasher.hash_one(key.borrowed()) | 1
}

struct Lines<'a>(&'a [[AtomicU64; WORDS_PER_LINE]]);

impl<'a> Lines<'a> {
    fn of(block: &'a mut MmapMut) -> Self {
        let lines = <[[AtomicU64; WORDS_PER_LINE]]>::mut_from_bytes(block);
        Lines(lines.expect("a block of whole lines"))
    }

    /// Finds the line of this hash and changes its count by one exchange.
    #[inline(always)]
    fn raise<const STEPS: usize>(&self, hash: u64, step: u64) -> bool {
        let homes = (self.0.len() - SPILL) as u128;
        let mut place = ((u128::from(hash) * homes) >> 64) as usize;
        let line = loop {
            let line = &self.0[place];
            match line[0].load(Acquire) {
                id if id == hash => break line,
                0 => line[0].store(hash, Release),
                _ => place += 1,
            }
        };
        let old = line[1].load(Acquire);
        line[1].compare_exchange(old, more::<STEPS>(old, step), Release, Relaxed).is_ok()
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
