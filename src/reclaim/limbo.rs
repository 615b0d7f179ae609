//! Lists of retired values. A value contains its list node, so that retiring it needs no memory.

use crate::sync::progress::Retries;
use crate::sync::{AtomicPtr, AtomicU64, Ordering::Relaxed, order};
use std::ptr;

/// The part of a value by which it is retired.
#[derive(Debug)]
pub(crate) struct Node {
    next: AtomicPtr<Node>,
    /// The epoch in which the value was retired.
    epoch: AtomicU64,
    /// Frees a piece of the value of this node. Returns whether any is left; if not, the value is
    /// gone.
    free_piece: unsafe fn(*mut Node) -> bool,
}

/// A value whose memory is freed in pieces, because the system takes milliseconds to free a whole
/// large array.
///
/// # Safety
/// [`NODE`](Self::NODE) is the offset of a field of type [`Node`], created by `Node::new::<Self>`.
pub(crate) unsafe trait Retire: Sized + 'static {
    const NODE: usize;

    /// Frees a piece. Returns whether any is left.
    fn free_piece(&mut self) -> bool;

    /// Returns the node of a value.
    fn node(value: *mut Self) -> *mut Node {
        value.wrapping_byte_add(Self::NODE).cast()
    }
}

impl Node {
    /// Creates the node of a value of type `T`.
    pub(crate) fn new<T: Retire>() -> Self {
        /// # Safety
        /// The node is part of a `T`, and the caller owns that.
        unsafe fn free_piece<T: Retire>(node: *mut Node) -> bool {
            let value = node.wrapping_byte_sub(T::NODE).cast::<T>();
            // SAFETY: `Retire`: the node is at this offset. The caller owns the value.
            let is_left = unsafe { (*value).free_piece() };
            if !is_left {
                #[cfg(all(test, tollgate_model, not(tollgate_shuttle)))]
                if super::stand_in::is_kept(value) {
                    return false;
                }
                #[cfg(not(all(test, tollgate_shuttle)))]
                // SAFETY: from a box: `Guard::retire`. The caller owns it.
                drop(unsafe { Box::from_raw(value) });
                #[cfg(all(test, tollgate_shuttle))]
                super::retired::note_freed(value);
            }
            is_left
        }
        let (next, epoch) = (AtomicPtr::new(ptr::null_mut()), AtomicU64::new(0));
        Node { next, epoch, free_piece: free_piece::<T> }
    }

    /// Relaxed, as every access of a node: it is published with its list.
    fn next(&self) -> *mut Node {
        self.next.load(Relaxed)
    }
}

/// A lock-free list of retired values, which it owns. A thread takes all of them at once, so that no
/// thread compares with a node that another one may have freed.
#[derive(Debug)]
#[cfg_attr(all(test, tollgate_model), derive(Default))]
pub(crate) struct List {
    first: AtomicPtr<Node>,
}

impl List {
    #[cfg(not(all(test, tollgate_model)))]
    pub(super) const fn new() -> Self {
        List { first: AtomicPtr::new(ptr::null_mut()) }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        // Relaxed: a hint.
        self.first.load(Relaxed).is_null()
    }

    /// Adds a chain of nodes.
    ///
    /// # Safety
    /// The caller owns the nodes from `first` on, and their values.
    pub(super) unsafe fn push(&self, first: *mut Node) {
        if first.is_null() {
            return;
        }
        let mut last = None;
        // Relaxed: only compared.
        let mut head = self.first.load(Relaxed);
        let mut retries = Retries::new();
        loop {
            retries.count();
            if last.is_some() || !head.is_null() {
                // SAFETY: the caller owns the chain.
                let end = *last.get_or_insert_with(|| unsafe { last_of(first) });
                // SAFETY: as above.
                unsafe { &*end }.next.store(head, Relaxed);
            }
            // Release: publishes the nodes. Pairs with `take`. Model: free_once with
            // LimboPushRelaxed.
            match self.first.compare_exchange(head, first, order::limbo_push(), Relaxed) {
                Ok(_) => return,
                Err(newer) => head = newer,
            }
        }
    }

    /// Takes all nodes. The caller owns them and their values.
    fn take(&self) -> *mut Node {
        if self.is_empty() {
            return ptr::null_mut();
        }
        // Acquire: sees the nodes. Pairs with `push`. Model: free_once with LimboTakeRelaxed.
        self.first.swap(ptr::null_mut(), order::limbo_take())
    }
}

/// The last node of a chain.
///
/// # Safety
/// The caller owns the chain, which has at least one node.
unsafe fn last_of(first: *mut Node) -> *mut Node {
    let mut last = first;
    loop {
        // SAFETY: the caller's promise.
        let next = unsafe { &*last }.next();
        if next.is_null() {
            return last;
        }
        last = next;
    }
}

/// The retired values that are not yet freed.
#[derive(Debug)]
#[cfg_attr(all(test, tollgate_model), derive(Default))]
pub(crate) struct Limbo {
    /// Values that a thread may still read.
    pub(super) retired: List,
    /// Values that nobody can read.
    pub(super) due: List,
}

/// Epochs after which a value may be freed (P1).
const GRACE: u64 = 2;

impl Limbo {
    #[cfg(not(all(test, tollgate_model)))]
    pub(super) const fn new() -> Self {
        Limbo { retired: List::new(), due: List::new() }
    }

    /// Adds a value that was retired in this epoch.
    ///
    /// # Safety
    /// The caller owns the node and its value, except that threads which have pinned may read it.
    pub(super) unsafe fn add(&self, node: *mut Node, epoch: u64) {
        // SAFETY: the caller owns the node.
        unsafe { &*node }.epoch.store(epoch, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { self.retired.push(node) };
    }

    /// Moves the values that are due in this epoch from `retired` to `due`.
    pub(super) fn move_due(&self, epoch: u64) {
        let (mut due, mut waiting) = (ptr::null_mut(), ptr::null_mut());
        let mut next = self.retired.take();
        while !next.is_null() {
            // SAFETY: `take`: this thread owns the nodes.
            let node = unsafe { &*next };
            let is_due = epoch >= node.epoch.load(Relaxed) + GRACE;
            let chain = if is_due { &mut due } else { &mut waiting };
            let this = std::mem::replace(&mut next, node.next());
            node.next.store(std::mem::replace(chain, this), Relaxed);
        }
        // SAFETY: owned, from above.
        unsafe { self.retired.push(waiting) };
        // SAFETY: owned, from above.
        unsafe { self.due.push(due) };
    }

    /// Frees a piece of a value that is due.
    #[inline]
    pub(crate) fn free_piece(&self) {
        if !self.due.is_empty() {
            self.free_first_piece();
        }
    }

    #[cold]
    #[inline(never)]
    fn free_first_piece(&self) {
        let first = self.due.take();
        if first.is_null() {
            return;
        }
        // SAFETY: `take`: this thread owns the nodes.
        let node = unsafe { &*first };
        let (rest, free_piece) = (node.next(), node.free_piece);
        // SAFETY: this thread owns the value. Nobody can read it: it was due.
        let is_left = unsafe { free_piece(first) };
        // SAFETY: owned, from above. The first node still leads to the rest.
        unsafe { self.due.push(if is_left { first } else { rest }) };
    }
}
