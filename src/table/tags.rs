//! A byte of each key's id, away from the slots: where a key is not is seen here, eight slots at a
//! time, without a look at the lines that other keys are charged in.
//!
//! # Invariant
//! - G1: a tag that is not 0 was made of the id in its slot. It is written after the id, and not at
//!   all if the thread that claimed the slot stops there: a tag of 0 tells nothing.
//! - G2: who sees a tag finds the id as well, and not the empty slot of before, which would end a
//!   probe out of its order.
//!
//! An id is for good: where a tag is not of the key the id is not the key, however old the tag is.

use super::error::OutOfMemory;
use super::prefetch::prefetch;
use super::slot::KeyId;
use super::zeroed::{Zeroable, Zeroed};
use crate::sync::Ordering::*;
use crate::verify::mutants::{Breakage, ordering};

/// Slots whose tags lie in one word, and which are probed together.
pub(crate) const GROUP: usize = if cfg!(all(test, tollgate_model)) { 1 } else { 8 };

/// The lowest bit of each byte.
const LOW: u64 = 0x0101_0101_0101_0101;
/// The highest bit of each tag's byte.
const HIGH: u64 = (LOW << 7) >> (u64::BITS as usize - 8 * GROUP);

/// What is kept of an id: more than 1, as the lowest byte of each id is. So it is never taken for
/// that of a slot whose tag is 0, which may be empty: those that are named wrongly differ by 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(u8);

impl Tag {
    /// A probe begins by the highest bits of an id, so the lowest are as good as any others.
    #[inline(always)]
    pub(crate) fn of(key: KeyId) -> Self {
        Tag(key.number() as u8)
    }
}

/// The tags of all slots.
#[derive(Debug)]
pub(crate) struct Tags(Zeroed<Word>);

#[cfg(not(all(test, tollgate_model, not(tollgate_shuttle))))]
use crate::sync::AtomicU64 as Word;
#[cfg(all(test, tollgate_model, not(tollgate_shuttle)))]
use model::Word;

// SAFETY: an atomic number, of which 0 is a valid one.
unsafe impl Zeroable for Word {
    #[cfg(all(test, tollgate_model))]
    fn zeroed() -> Self {
        Word::new(0)
    }
}

impl Tags {
    /// For so many groups.
    pub(crate) fn new(groups: usize) -> Result<Self, OutOfMemory> {
        Ok(Tags(Zeroed::new(groups)?))
    }

    /// Where the first group's lie.
    pub(super) fn address(&self) -> usize {
        self.0.as_ptr().addr()
    }

    /// The tags of a group for a probe that begins with its slot `first`, if there is such a group.
    #[inline(always)]
    pub(crate) fn group(&self, group: usize, first: usize) -> Option<Group> {
        // Acquire: G2. Pairs with `tell`. Model: tag_is_told with GroupRelaxed.
        let tags = self.0.get(group)?.load(ordering(Breakage::GroupRelaxed, Acquire));
        Some(Group::of(tags, first))
    }

    /// Asks for the tags of a group ahead of time.
    pub(crate) fn prefetch(&self, group: usize) {
        self.0.get(group).into_iter().for_each(prefetch);
    }

    /// Tells the tag of a slot that its key has just claimed.
    #[inline]
    pub(crate) fn publish(&self, place: usize, tag: Tag) {
        let group = place / GROUP;
        if let Some(tags) = self.0.get(group) {
            // Added by its one claimer where there was 0. Release: G2. Pairs with `group`. Model:
            // tag_is_told with TellRelaxed.
            let release = ordering(Breakage::TellRelaxed, Release);
            tags.fetch_or(u64::from(tag.0) << ((place - group * GROUP) * 8), release);
        }
    }

    /// Bytes of the tags of so many groups.
    pub(crate) fn bytes(groups: usize) -> usize {
        groups * size_of::<u64>()
    }

    /// Those of the first `dense` groups are here to stay.
    pub(crate) fn advise_huge_pages(&self, dense: usize) {
        self.0.advise_huge_pages(dense);
    }

    /// Of the tags of the first `dense` groups.
    pub(crate) fn huge_pages(&self, dense: usize) -> usize {
        self.0.huge_pages(dense)
    }

    pub(crate) fn collapse(&self, page: usize) -> bool {
        self.0.collapse(page)
    }

    /// As [`Zeroed::shed`].
    #[cfg(not(all(test, tollgate_model)))]
    pub(crate) fn shed(&mut self, dense: usize) -> bool {
        self.0.shed(dense)
    }

    #[cfg(all(test, tollgate_model))]
    pub(crate) fn poison(&self) {
        self.0.poison();
    }
}

/// The tags of one group, as they were seen, from the slot on that a key's probe begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    tags: u64,
    first: usize,
}

/// Slots of a group, by their number in it, from one of them on and around.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotMask {
    marks: u64,
    first: usize,
}

impl Group {
    #[inline(always)]
    fn of(tags: u64, first: usize) -> Self {
        Group { tags: tags.rotate_right(first as u32 * 8), first }
    }

    /// Where the key with this tag may be. It may name others, but misses none, and names no slot
    /// whose tag is 0.
    // In the order of the probe, though nothing but the key ends it there: most keys are where it
    // begins, and any other slot's line may be one that another thread writes.
    #[inline(always)]
    pub(crate) fn matches(self, tag: Tag) -> SlotMask {
        SlotMask { marks: zeros(self.tags ^ (u64::from(tag.0) * LOW)), first: self.first }
    }

    /// Whether the first slot is told to be that of a key with this tag.
    #[inline(always)]
    pub(crate) fn begins_with(self, tag: Tag) -> bool {
        self.tags as u8 == tag.0
    }

    /// Where any key may be, or none, in the order in which keys claim them. It may name others, but
    /// misses none.
    #[inline(always)]
    pub(crate) fn unpublished(self) -> SlotMask {
        SlotMask { marks: zeros(self.tags), first: self.first }
    }
}

/// The highest bit of each byte that is 0, and maybe of one above it.
///
/// Source: Anderson, Bit Twiddling Hacks, "Determine if a word has a zero byte".
#[inline(always)]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(LOW) & !word & HIGH
}

impl Iterator for SlotMask {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.marks == 0 {
            return None;
        }
        let place = self.marks.trailing_zeros() as usize / 8;
        self.marks &= self.marks - 1;
        Some((self.first + place).rem_euclid(GROUP))
    }
}

#[cfg(all(test, tollgate_model, not(tollgate_shuttle)))]
pub(crate) mod model {
    use crate::sync::{AtomicU64, Ordering, Statistic};
    use std::cell::Cell;

    // A model's threads all run on one OS thread.
    thread_local!(static WATCHED: Cell<bool> = const { Cell::new(false) });

    /// Each step that the checker sees multiplies the executions: it sees those of tags where a
    /// model is about them.
    #[derive(Debug)]
    pub(crate) enum Word {
        Seen(AtomicU64),
        Unseen(Statistic),
    }

    impl Word {
        pub(crate) fn new(tags: u64) -> Self {
            match WATCHED.get() {
                true => Word::Seen(AtomicU64::new(tags)),
                false => Word::Unseen(Statistic::new(tags)),
            }
        }

        pub(crate) fn load(&self, order: Ordering) -> u64 {
            match self {
                Word::Seen(word) => word.load(order),
                Word::Unseen(word) => word.load(order),
            }
        }

        pub(crate) fn fetch_or(&self, tags: u64, order: Ordering) {
            match self {
                Word::Seen(word) => word.fetch_or(tags, order),
                Word::Unseen(word) => word.fetch_or(tags, order),
            };
        }
    }

    /// A model that is about tags.
    pub(crate) fn watched(body: impl Fn()) -> impl Fn() {
        move || {
            WATCHED.set(true);
            body();
            WATCHED.set(false);
        }
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_slot_is_told_once_and_for_all() {
        let tags = Tags::new(3).unwrap();
        tags.publish(9, Tag(7));
        tags.publish(15, Tag(255));
        let group = tags.group(1, 0).unwrap();
        assert_eq!(group.matches(Tag(7)).collect::<Vec<_>>(), [1]);
        assert_eq!(group.matches(Tag(255)).collect::<Vec<_>>(), [7]);
        assert_eq!(group.unpublished().collect::<Vec<_>>(), [0, 2, 3, 4, 5, 6]);
        assert_eq!(tags.group(0, 5).unwrap().unpublished().count(), 8);
        assert!(tags.group(2, 0).is_some() && tags.group(3, 0).is_none());
        assert_eq!([0, 1, 3].map(Tags::bytes), [0, 8, 24]);
    }

    proptest! {
        #[test]
        fn no_place_is_missed(
            bytes in prop::array::uniform8(prop_oneof![Just(0u8), Just(1u8), Just(2u8), any::<u8>()]),
            number in prop_oneof![any::<u64>(), 0u64..5],
            first in 0..GROUP,
        ) {
            let tag = Tag::of(KeyId::new(number));
            prop_assert!(tag.0 > 1);
            let group = Group::of(u64::from_le_bytes(bytes), first);
            prop_assert_eq!(group.begins_with(tag), bytes[first] == tag.0);
            for (told, wanted) in [(group.matches(tag), tag.0), (group.unpublished(), 0)] {
                let told: Vec<_> = told.collect();
                prop_assert!(told.is_sorted_by_key(|place| (place + GROUP - first) % GROUP));
                // Another only right behind one that is meant.
                let mut may_be_wrong = false;
                for place in (0..GROUP).map(|step| (first + step) % GROUP) {
                    let meant = bytes[place] == wanted;
                    prop_assert!(!meant || told.contains(&place), "{place} of {bytes:?}");
                    prop_assert!(meant || may_be_wrong || !told.contains(&place));
                    // An empty slot ends a probe: told out of its order, a key could enter twice.
                    prop_assert!(meant || bytes[place] != 0 || !told.contains(&place));
                    may_be_wrong = told.contains(&place);
                }
            }
        }
    }
}
