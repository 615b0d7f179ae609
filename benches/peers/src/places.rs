//! Where bare tables keep their keys: each begins a line of memory, by its hash.

use std::iter;
use std::sync::atomic::{AtomicU64, Ordering::*};
use zerocopy::FromBytes;

const WORDS_PER_LINE: usize = 8;
type Line = [AtomicU64; WORDS_PER_LINE];
/// What is kept of a key behind its hash.
pub(crate) type Words = [AtomicU64; WORDS_PER_LINE - 1];

/// Two lines a key, which are looked at one after the other.
pub(crate) const WIDE: bool = false;
/// Laid out as this project's tables are: sixteen lines to fifteen keys when it is full, and a byte of
/// each hash apart, which tells which of eight lines it is.
pub(crate) const DENSE: bool = true;

/// Keys of the first table of those that grow.
pub(crate) const FIRST: usize = 192;

/// The room of the table that grows to so many keys, by half of it each time.
pub(crate) fn grown(keys: usize) -> usize {
    iter::successors(Some(FIRST), |room| Some(room + room / 2))
        .find(|room| *room >= keys)
        .unwrap_or(keys)
}

/// Lines behind the last home, so that a probe has an end.
const SPILL: usize = 1024;
/// Lines whose bytes lie in one word.
const GROUP: usize = 8;
/// The lowest bit of each byte.
const LOW: u64 = 0x0101_0101_0101_0101;

/// The lines of all keys.
#[derive(Debug)]
pub(crate) struct Places<'a, const LAYOUT: bool> {
    lines: &'a [Line],
    /// A byte of each line's hash, if dense.
    tags: &'a [AtomicU64],
}

impl<'a, const LAYOUT: bool> Places<'a, LAYOUT> {
    /// Bytes of memory that has room for so many keys: of lines, and of tags.
    pub(crate) fn bytes(keys: usize) -> [usize; 2] {
        let dense = (keys + keys / 15).next_multiple_of(GROUP);
        let lines = SPILL + if LAYOUT == DENSE { dense } else { 2 * keys };
        [lines * size_of::<Line>(), if LAYOUT == DENSE { lines } else { 0 }]
    }

    /// In blocks of these bytes.
    pub(crate) fn of([lines, tags]: [&'a mut [u8]; 2]) -> Self {
        let lines = <[Line]>::mut_from_bytes(lines).expect("whole lines");
        let tags = <[AtomicU64]>::mut_from_bytes(tags).expect("whole words");
        Places { lines, tags }
    }

    /// All keys, in the order of their lines: their hashes, and what is kept of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u64, &'a Words)> {
        let keys = self.lines.iter().map(|[id, words @ ..]| (id.load(Acquire), words));
        keys.filter(|(hash, _)| *hash != 0)
    }

    /// What is kept of a key by its hash.
    #[inline(always)]
    pub(crate) fn words(&self, hash: u64) -> &'a Words {
        if LAYOUT == DENSE { self.told(hash) } else { self.walked(hash) }
    }

    /// Asks for all that is most likely needed of a key, without waiting for it.
    #[inline(always)]
    pub(crate) fn ask_for(&self, hash: u64) {
        self.ask_early(hash);
        if LAYOUT == DENSE {
            prefetch(&self.lines[self.home(hash) * GROUP + preferred(hash)][0]);
        }
    }

    /// Asks for what tells where a key is.
    #[inline(always)]
    pub(crate) fn ask_early(&self, hash: u64) {
        let home = self.home(hash);
        prefetch(if LAYOUT == DENSE { &self.tags[home] } else { &self.lines[home][0] });
    }

    /// Asks for the line which that tells of.
    #[inline(always)]
    pub(crate) fn ask_late(&self, hash: u64) {
        if LAYOUT == DENSE {
            let (group, first) = (self.home(hash), preferred(hash));
            let marks = zeros(self.turned(group, first) ^ tags_like(hash));
            if marks != 0 {
                prefetch(&self.line(group, first, marks)[0]);
            }
        }
    }

    #[inline(always)]
    fn home(&self, hash: u64) -> usize {
        let homes = self.lines.len() - SPILL;
        let homes = if LAYOUT == DENSE { homes / GROUP } else { homes };
        ((u128::from(hash) * homes as u128) >> 64) as usize
    }

    fn walked(&self, hash: u64) -> &'a Words {
        let mut place = self.home(hash);
        loop {
            let [id, words @ ..] = &self.lines[place];
            match id.load(Acquire) {
                id if id == hash => return words,
                0 => id.store(hash, Release),
                _ => place += 1,
            }
        }
    }

    #[inline(always)]
    fn told(&self, hash: u64) -> &'a Words {
        let (mut group, first) = (self.home(hash), preferred(hash));
        loop {
            let tags = self.turned(group, first);
            // By a branch, so that the line is looked at before its tag has come.
            if tags as u8 == hash as u8 {
                let [id, words @ ..] = self.line(group, first, 1);
                if id.load(Acquire) == hash {
                    return words;
                }
            }
            let mut marks = zeros(tags ^ tags_like(hash));
            while marks != 0 {
                let [id, words @ ..] = self.line(group, first, marks);
                if id.load(Acquire) == hash {
                    return words;
                }
                marks &= marks - 1;
            }
            let free = zeros(tags);
            if free != 0 {
                let [id, words @ ..] = self.line(group, first, free);
                id.store(hash, Release);
                // The lowest bit of the first free byte; and so many times that, in its own order.
                let tag = ((free & free.wrapping_neg()) >> 7) * u64::from(hash as u8);
                self.tags[group].fetch_or(tag.rotate_left(first as u32 * 8), Release);
                return words;
            }
            group += 1;
        }
    }

    /// The tags of a group, from this line's on.
    #[inline(always)]
    fn turned(&self, group: usize, first: usize) -> u64 {
        self.tags[group].load(Acquire).rotate_right(first as u32 * 8)
    }

    /// The first marked line, as many behind the first one as there are bytes without marks.
    #[inline(always)]
    fn line(&self, group: usize, first: usize, marks: u64) -> &'a Line {
        &self.lines[group * GROUP + (first + marks.trailing_zeros() as usize / 8) % GROUP]
    }
}

/// The hash as it is kept: 0 is an empty line, and its lowest byte, the tag, is never 0 or 1.
#[inline(always)]
pub(crate) fn settled(hash: u64) -> u64 {
    if (hash as u8) < 2 { hash | 2 } else { hash }
}

#[inline(always)]
fn preferred(hash: u64) -> usize {
    (hash >> 8) as usize % GROUP
}

/// Eight of this hash's tag.
#[inline(always)]
fn tags_like(hash: u64) -> u64 {
    u64::from(hash as u8) * LOW
}

/// The highest bit of each byte that is 0, and maybe of those above it that are 1.
#[inline(always)]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(LOW) & !word & (LOW << 7)
}

/// Not by a load: that keeps its place among the processor's open instructions until it has come, and
/// all behind it wait. It took the same tables up to twice the time.
#[inline(always)]
fn prefetch(word: &AtomicU64) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing and faults at no address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(word).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = word;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::key;

    /// Each key has a line for itself, and finds it again.
    fn assert_kept<const LAYOUT: bool>() {
        const KEYS: u64 = 10_000;
        let [lines, tags] = Places::<LAYOUT>::bytes(KEYS as usize).map(|bytes| bytes / 8);
        let [mut lines, mut tags] = [lines, tags].map(|words| vec![0_u64; words]);
        let places = Places::<LAYOUT>::of(
            [&mut lines, &mut tags].map(|words| zerocopy::IntoBytes::as_mut_bytes(&mut words[..])),
        );
        let hash = |counter| settled(key(counter));
        for counter in 0..KEYS {
            let words = places.words(hash(counter));
            assert!(words.iter().all(|word| word.swap(counter + 1, Relaxed) == 0), "{counter}");
        }
        let kept = places.all().map(|(hash, words)| (words[0].load(Relaxed), hash));
        let mut kept: Vec<_> = kept.collect();
        kept.sort_unstable();
        assert!(kept.into_iter().eq((0..KEYS).map(|counter| (counter + 1, hash(counter)))));
        for counter in 0..KEYS {
            places.ask_for(hash(counter));
            places.ask_late(hash(counter));
            let words = places.words(hash(counter));
            assert!(words.iter().all(|word| word.load(Relaxed) == counter + 1), "{counter}");
        }
    }

    #[test]
    fn each_key_has_a_line() {
        assert_kept::<WIDE>();
        assert_kept::<DENSE>();
    }
}
