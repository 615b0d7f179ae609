//! The memory layouts of bare tables: tables without a limiter, used as lower bounds
//! (`scenarios/bare.rs`, `peers/growing_table.rs`). Each key has a cache line, which starts with its
//! hash.

use std::iter;
use std::sync::atomic::{AtomicU64, Ordering::*};
use zerocopy::FromBytes;

const WORDS_PER_LINE: usize = 8;
type Line = [AtomicU64; WORDS_PER_LINE];
/// The words of a key after its hash.
pub(crate) type Words = [AtomicU64; WORDS_PER_LINE - 1];

/// The sparse layout: linear probing at a load of at most one half.
pub(crate) const SPARSE: bool = false;
/// The dense layout, as in this project's tables: at most 15 of 16 lines are in use. A separate array
/// holds one tag byte per line, eight tags to a word.
pub(crate) const DENSE: bool = true;

/// Capacity of the first array of a growing table.
pub(crate) const FIRST: usize = 192;

/// The capacity at `keys` keys of a table that grows by half.
pub(crate) fn grown(keys: usize) -> usize {
    iter::successors(Some(FIRST), |capacity| Some(capacity + capacity / 2))
        .find(|capacity| *capacity >= keys)
        .unwrap_or(keys)
}

/// Extra lines after the last home slot, so that every probe ends.
const SPILL: usize = 1024;
/// Lines whose tags share one word.
const GROUP: usize = 8;
/// The lowest bit of each byte.
const LOW: u64 = 0x0101_0101_0101_0101;

/// The array of a bare table, in the layout `SPARSE` or `DENSE`.
#[derive(Debug)]
pub(crate) struct Slots<'a, const IS_DENSE: bool> {
    lines: &'a [Line],
    /// One byte of the hash of each line, in the dense layout.
    tags: &'a [AtomicU64],
}

impl<'a, const IS_DENSE: bool> Slots<'a, IS_DENSE> {
    /// The bytes of lines and of tags for a capacity of `keys`.
    pub(crate) fn bytes(keys: usize) -> [usize; 2] {
        let dense = (keys + keys / 15).next_multiple_of(GROUP);
        let lines = SPILL + if IS_DENSE { dense } else { 2 * keys };
        [lines * size_of::<Line>(), if IS_DENSE { lines } else { 0 }]
    }

    /// Creates the array in zeroed blocks of the sizes that `bytes` returns.
    pub(crate) fn from_zeroed([lines, tags]: [&'a mut [u8]; 2]) -> Self {
        let lines = <[Line]>::mut_from_bytes(lines).expect("whole lines");
        let tags = <[AtomicU64]>::mut_from_bytes(tags).expect("whole words");
        Slots { lines, tags }
    }

    /// All keys in the order of their lines: hashes and words.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u64, &'a Words)> {
        let keys = self.lines.iter().map(|[id, words @ ..]| (id.load(Acquire), words));
        keys.filter(|(hash, _)| *hash != 0)
    }

    /// Returns the words of the key with this hash. Inserts the key if it is new.
    #[inline(always)]
    pub(crate) fn find_or_insert(&self, hash: u64) -> &'a Words {
        if IS_DENSE { self.find_or_insert_tagged(hash) } else { self.find_or_insert_linear(hash) }
    }

    /// Prefetches the cache lines that a lookup most likely reads.
    #[inline(always)]
    pub(crate) fn prefetch_entry(&self, hash: u64) {
        self.prefetch_tags(hash);
        if IS_DENSE {
            prefetch(&self.lines[self.home(hash) * GROUP + preferred(hash)][0]);
        }
    }

    /// Prefetches the first cache line that a lookup reads: the tags, or the home line.
    #[inline(always)]
    pub(crate) fn prefetch_tags(&self, hash: u64) {
        let home = self.home(hash);
        prefetch(if IS_DENSE { &self.tags[home] } else { &self.lines[home][0] });
    }

    /// Prefetches the line of the first matching tag.
    #[inline(always)]
    pub(crate) fn prefetch_match(&self, hash: u64) {
        if IS_DENSE {
            let (group, first) = (self.home(hash), preferred(hash));
            let marks = zero_byte_marks(self.rotated_tags(group, first) ^ tags_like(hash));
            if marks != 0 {
                prefetch(&self.line(group, first, marks)[0]);
            }
        }
    }

    #[inline(always)]
    fn home(&self, hash: u64) -> usize {
        let homes = self.lines.len() - SPILL;
        let homes = if IS_DENSE { homes / GROUP } else { homes };
        ((u128::from(hash) * homes as u128) >> 64) as usize
    }

    fn find_or_insert_linear(&self, hash: u64) -> &'a Words {
        let mut index = self.home(hash);
        loop {
            let [id, words @ ..] = &self.lines[index];
            match id.load(Acquire) {
                id if id == hash => return words,
                // One thread inserts at a time; no CAS is needed.
                0 => id.store(hash, Release),
                _ => index += 1,
            }
        }
    }

    #[inline(always)]
    fn find_or_insert_tagged(&self, hash: u64) -> &'a Words {
        let (mut group, first) = (self.home(hash), preferred(hash));
        loop {
            let tags = self.rotated_tags(group, first);
            // A branch lets the processor read the line speculatively, before the tag arrives.
            if tags as u8 == hash as u8 {
                let [id, words @ ..] = self.line(group, first, 1);
                if id.load(Acquire) == hash {
                    return words;
                }
            }
            let mut marks = zero_byte_marks(tags ^ tags_like(hash));
            while marks != 0 {
                let [id, words @ ..] = self.line(group, first, marks);
                if id.load(Acquire) == hash {
                    return words;
                }
                marks &= marks - 1;
            }
            let free = zero_byte_marks(tags);
            if free != 0 {
                let [id, words @ ..] = self.line(group, first, free);
                // One thread inserts at a time; no CAS is needed.
                id.store(hash, Release);
                // The lowest bit of the first free byte, times the tag; then undo the rotation.
                let tag = ((free & free.wrapping_neg()) >> 7) * u64::from(hash as u8);
                self.tags[group].fetch_or(tag.rotate_left(first as u32 * 8), Release);
                return words;
            }
            group += 1;
        }
    }

    /// The tags of a group, rotated so that the tag of line `first` is the lowest byte.
    #[inline(always)]
    fn rotated_tags(&self, group: usize, first: usize) -> u64 {
        self.tags[group].load(Acquire).rotate_right(first as u32 * 8)
    }

    /// The line of the lowest mark: byte `i` of `marks` is line `(first + i) % GROUP` of the group.
    #[inline(always)]
    fn line(&self, group: usize, first: usize, marks: u64) -> &'a Line {
        &self.lines[group * GROUP + (first + marks.trailing_zeros() as usize / 8) % GROUP]
    }
}

/// The stored form of a hash: never 0, which is an empty line. Its lowest byte, the tag, is at
/// least 2.
#[inline(always)]
pub(crate) fn nonzero_hash(hash: u64) -> u64 {
    if (hash as u8) < 2 { hash | 2 } else { hash }
}

#[inline(always)]
fn preferred(hash: u64) -> usize {
    (hash >> 8) as usize % GROUP
}

/// The tag, repeated in all eight bytes.
#[inline(always)]
fn tags_like(hash: u64) -> u64 {
    u64::from(hash as u8) * LOW
}

/// Marks each zero byte by its highest bit. May also mark bytes of 1 that follow a zero byte, so
/// lookups check the hash of each marked line. The lowest mark is always a zero byte.
#[inline(always)]
fn zero_byte_marks(word: u64) -> u64 {
    word.wrapping_sub(LOW) & !word & (LOW << 7)
}

/// Prefetches a cache line. A load instead would stay in the reorder buffer until its data arrives
/// and block later instructions; with loads the same tables took up to twice the time.
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

    /// Each key has a line of its own, which later lookups return.
    fn assert_distinct_lines<const IS_DENSE: bool>() {
        const KEYS: u64 = 10_000;
        let [lines, tags] = Slots::<IS_DENSE>::bytes(KEYS as usize).map(|bytes| bytes / 8);
        let [mut lines, mut tags] = [lines, tags].map(|words| vec![0_u64; words]);
        let slots = Slots::<IS_DENSE>::from_zeroed(
            [&mut lines, &mut tags].map(|words| zerocopy::IntoBytes::as_mut_bytes(&mut words[..])),
        );
        let hash = |counter| nonzero_hash(key(counter));
        for counter in 0..KEYS {
            let words = slots.find_or_insert(hash(counter));
            assert!(words.iter().all(|word| word.swap(counter + 1, Relaxed) == 0), "{counter}");
        }
        let kept = slots.all().map(|(hash, words)| (words[0].load(Relaxed), hash));
        let mut kept: Vec<_> = kept.collect();
        kept.sort_unstable();
        assert!(kept.into_iter().eq((0..KEYS).map(|counter| (counter + 1, hash(counter)))));
        for counter in 0..KEYS {
            slots.prefetch_entry(hash(counter));
            slots.prefetch_match(hash(counter));
            let words = slots.find_or_insert(hash(counter));
            assert!(words.iter().all(|word| word.load(Relaxed) == counter + 1), "{counter}");
        }
    }

    #[test]
    fn each_key_has_its_own_line() {
        assert_distinct_lines::<SPARSE>();
        assert_distinct_lines::<DENSE>();
    }
}
