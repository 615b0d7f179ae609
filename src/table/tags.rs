//! One byte of each key's id, stored apart from the slots.
//!
//! A probe compares eight tags at a time. It skips the slots of other keys without loading the
//! cache lines that those keys are charged in.
//!
//! # Invariants
//! - G1: a tag that is not 0 was made from the id in its slot. It is written after the id, or never
//!   if the thread that claimed the slot stops in between. So a tag of 0 says nothing about the
//!   slot.
//! - G2: a thread that sees a tag also sees the id, not the empty slot that was there before. An
//!   empty slot would end its probe at the wrong slot.
//!
//! An id never changes. So if a tag differs from the key's, the slot is not the key's, no matter
//! how old the loaded tag is.

use super::error::OutOfMemory;
use super::prefetch::prefetch;
use super::slot::KeyId;
use super::zeroed::{Zeroable, Zeroed};
use crate::sync::order;

/// Slots in a group: their tags share a word, and they are probed together.
pub(crate) const GROUP: usize =
    if cfg!(all(test, tollgate_model, not(tollgate_shuttle))) { 1 } else { 8 };

/// The lowest bit of each byte.
const LOW: u64 = 0x0101_0101_0101_0101;
/// The highest bit of each tag's byte.
const HIGH: u64 = (LOW << 7) >> (u64::BITS as usize - 8 * GROUP);

/// The lowest byte of an id, which is greater than 1.
///
/// A slot that [`Group::matches`] returns by mistake has a tag that differs in the lowest bit only.
/// So a tag of 0, whose slot may be empty, never matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(u8);

impl Tag {
    /// The tag of a key. The home group comes from the highest bits of the id, so the lowest are as
    /// good as any others.
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
    /// Creates the tags of `groups` groups.
    pub(crate) fn new(groups: usize) -> Result<Self, OutOfMemory> {
        Ok(Tags(Zeroed::new(groups)?))
    }

    /// The address of the first group's tags.
    pub(super) fn address(&self) -> usize {
        self.0.as_ptr().addr()
    }

    /// Loads the tags of a group for a probe that starts at its slot `first`. `None` if there is no
    /// such group.
    #[inline(always)]
    pub(crate) fn group(&self, group: usize, first: usize) -> Option<Group> {
        // Acquire: G2. Pairs with `publish`. Model: tag_publishes_id with GroupRelaxed.
        let tags = self.0.get(group)?.load(order::tags_load());
        Some(Group::of(tags, first))
    }

    /// Prefetches the tags of a group.
    pub(crate) fn prefetch(&self, group: usize) {
        self.0.get(group).into_iter().for_each(prefetch);
    }

    /// Publishes the tag of a slot that its key has just claimed.
    #[inline]
    pub(crate) fn publish(&self, index: usize, tag: Tag) {
        let group = index / GROUP;
        if let Some(tags) = self.0.get(group) {
            // An OR: the byte is 0, and only the thread that claimed the slot writes it. Release:
            // G2. Pairs with `group`. Model: tag_publishes_id with TagPublishRelaxed.
            tags.fetch_or(u64::from(tag.0) << ((index - group * GROUP) * 8), order::tag_publish());
        }
    }

    /// Bytes of the tags of `groups` groups.
    pub(crate) fn bytes(groups: usize) -> usize {
        groups * size_of::<u64>()
    }

    /// See [`Zeroed::advise_huge_pages`].
    pub(crate) fn advise_huge_pages(&self, in_use: usize) {
        self.0.advise_huge_pages(in_use);
    }

    /// See [`Zeroed::huge_pages`].
    pub(crate) fn huge_pages(&self, in_use: usize) -> usize {
        self.0.huge_pages(in_use)
    }

    /// See [`Zeroed::collapse`].
    pub(crate) fn collapse(&self, page: usize) -> bool {
        self.0.collapse(page)
    }

    /// See [`Zeroed::free_piece`].
    pub(crate) fn free_piece(&mut self, in_use: usize) -> bool {
        self.0.free_piece(in_use)
    }
}

/// A snapshot of one group's tags, rotated so that the slot where a key's probe starts comes first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    tags: u64,
    first: usize,
}

/// A set of slots of a group. Iterates over their indices in probe order: from `first` on, wrapping
/// around.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotMask {
    /// The highest bit of each member's byte, rotated as in [`Group`].
    bits: u64,
    first: usize,
}

impl Group {
    #[inline(always)]
    fn of(tags: u64, first: usize) -> Self {
        Group { tags: tags.rotate_right(first as u32 * 8), first }
    }

    /// The slots that may hold the key with this tag: all that have the tag, and possibly slots of
    /// other keys, but none whose tag is 0.
    // The order matters for speed only, since among these slots only the key's own ends the probe.
    // Probe order is fast: most keys are where their probe starts, and the cache line of another
    // slot may be one that another thread writes.
    #[inline(always)]
    pub(crate) fn matches(self, tag: Tag) -> SlotMask {
        SlotMask { bits: zeros(self.tags ^ (u64::from(tag.0) * LOW)), first: self.first }
    }

    /// The slots without a published tag, in the order in which keys claim them. Each may be empty,
    /// frozen or held by any key. There are no false matches: they would have a tag of 1, which no
    /// key has.
    #[inline(always)]
    pub(crate) fn unpublished(self) -> SlotMask {
        SlotMask { bits: zeros(self.tags), first: self.first }
    }
}

/// The highest bit of each byte that is 0, and possibly of a byte of 1 directly above such a byte.
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
        if self.bits == 0 {
            return None;
        }
        let offset = self.bits.trailing_zeros() as usize / 8;
        self.bits &= self.bits - 1;
        Some((self.first + offset).rem_euclid(GROUP))
    }
}

#[cfg(all(test, tollgate_model, not(tollgate_shuttle)))]
pub(crate) mod model {
    use crate::sync::{AtomicU64, Ordering, Statistic};
    use std::cell::Cell;

    // A model's threads all run on one OS thread.
    thread_local!(static CHECKED: Cell<bool> = const { Cell::new(false) });

    /// A word of tags that the checker explores only in models about tags: every access that it
    /// explores multiplies the number of executions.
    #[derive(Debug)]
    pub(crate) enum Word {
        Checked(AtomicU64),
        Unchecked(Statistic),
    }

    impl Word {
        pub(crate) fn new(tags: u64) -> Self {
            match CHECKED.get() {
                true => Word::Checked(AtomicU64::new(tags)),
                false => Word::Unchecked(Statistic::new(tags)),
            }
        }

        pub(crate) fn load(&self, order: Ordering) -> u64 {
            match self {
                Word::Checked(word) => word.load(order),
                Word::Unchecked(word) => word.load(order),
            }
        }

        pub(crate) fn fetch_or(&self, tags: u64, order: Ordering) {
            match self {
                Word::Checked(word) => word.fetch_or(tags, order),
                Word::Unchecked(word) => word.fetch_or(tags, order),
            };
        }
    }

    /// Returns whether the checker explores accesses to tags in the running model.
    pub(crate) fn are_checked() -> bool {
        CHECKED.get()
    }

    /// Wraps a model so that the checker explores its accesses to tags.
    pub(crate) fn with_checked_tags(body: impl Fn()) -> impl Fn() {
        move || {
            CHECKED.set(true);
            body();
            CHECKED.set(false);
        }
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn published_tags_are_found() {
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
        /// A mask includes every slot with the tag, in probe order, and no slot without a tag.
        #[test]
        fn no_slot_is_missed(
            bytes in prop::array::uniform8(
                prop_oneof![Just(0u8), Just(1u8), Just(2u8), any::<u8>()]
            ),
            number in prop_oneof![any::<u64>(), 0u64..5],
            first in 0..GROUP,
        ) {
            let tag = Tag::of(KeyId::new(number));
            prop_assert!(tag.0 > 1);
            let group = Group::of(u64::from_le_bytes(bytes), first);
            for (mask, wanted) in [(group.matches(tag), tag.0), (group.unpublished(), 0)] {
                let slots: Vec<_> = mask.collect();
                prop_assert!(slots.is_sorted_by_key(|index| (index + GROUP - first) % GROUP));
                // A false match follows a match directly.
                let mut may_be_false = false;
                for index in (0..GROUP).map(|step| (first + step) % GROUP) {
                    let matches = bytes[index] == wanted;
                    prop_assert!(!matches || slots.contains(&index), "{index} of {bytes:?}");
                    prop_assert!(matches || may_be_false || !slots.contains(&index));
                    // An empty slot ends a probe: met out of order, it would let a key in twice.
                    prop_assert!(matches || bytes[index] != 0 || !slots.contains(&index));
                    may_be_false = slots.contains(&index);
                }
            }
        }
    }
}
