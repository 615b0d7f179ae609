//! Epoch-based reclamation: a retired array is freed when no thread that could read it is pinned.
//!
//! Outside of the models this wraps `crossbeam-epoch`. A model has its own version, which reports
//! each access to freed memory and frees nothing before the execution ends.

#[cfg(not(all(test, tollgate_model)))]
mod collector {
    use crate::sync::{Ordering::Relaxed, Statistic};
    use std::cell::Cell;

    /// Retired values that are not yet freed. While there are any, each slow-path charge frees a
    /// piece.
    static RETIRED: Statistic = Statistic::new(0);

    /// A pin. While it is held, no array that was reachable when it was created is freed.
    #[derive(Debug)]
    pub(crate) struct Guard(crossbeam_epoch::Guard);

    #[inline]
    pub(crate) fn pin() -> Guard {
        Guard(crossbeam_epoch::pin())
    }

    /// A value whose memory is freed in pieces: for a whole large array the system takes
    /// milliseconds.
    pub(crate) trait FreeInPieces {
        /// Frees a piece. Returns whether any is left.
        fn free_piece(&mut self) -> bool;
    }

    impl Guard {
        /// Frees `value` piece by piece, once all guards that exist now are dropped.
        ///
        /// # Safety
        /// `value` came from `Box::into_raw`, is no longer reachable for a thread that pins from
        /// now on, and is retired once.
        pub(crate) unsafe fn retire<T: FreeInPieces + 'static>(&self, value: *mut T) {
            RETIRED.fetch_add(1, Relaxed);
            let free = move || {
                // SAFETY: the caller's promise; the epoch has passed every thread that could read
                // it.
                let mut value = unsafe { Box::from_raw(value) };
                if value.free_piece() {
                    // Some pins later, any thread frees the rest.
                    // SAFETY: from a box, unreachable for an epoch already, and this is the only
                    // pointer to it.
                    unsafe { pin().retire(Box::into_raw(value)) };
                }
                RETIRED.fetch_sub(1, Relaxed);
            };
            // SAFETY: the closure owns nothing of the caller's stack, and an array may be freed by
            // any thread.
            unsafe { self.0.defer_unchecked(free) };
            // An array is large and seldom retired, so it must not wait in the thread's local bag.
            self.flush();
        }

        /// Hands over the values that this thread has retired, and frees those that are due.
        ///
        /// Does nothing in a nested call, from a value that retires its rest while it is freed:
        /// many arrays may be due at once, and each would be freed one level deeper on the stack.
        fn flush(&self) {
            let outermost = FLUSHING.try_with(|flushing| !flushing.replace(true)) == Ok(true);
            if outermost {
                self.0.flush();
                let _ = FLUSHING.try_with(|flushing| flushing.set(false));
            }
        }
    }

    thread_local!(static FLUSHING: Cell<bool> = const { Cell::new(false) });

    /// Frees some retired memory that no guard holds any more: one round of [`collect`].
    #[inline]
    pub(crate) fn collect_some() {
        collect(1);
    }

    /// Frees retired memory that no guard holds any more, in up to `rounds` rounds of a few pieces.
    ///
    /// Does not pin if nothing is retired, because a thread's first pin allocates.
    pub(crate) fn collect(rounds: usize) {
        for _ in 0..rounds {
            // Relaxed: a hint.
            if RETIRED.load(Relaxed) == 0 {
                return;
            }
            pin().flush();
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

        static FREED: AtomicUsize = AtomicUsize::new(0);
        static DROPPED: AtomicUsize = AtomicUsize::new(0);

        /// A value with this many pieces.
        struct Pieces(usize);

        impl FreeInPieces for Pieces {
            fn free_piece(&mut self) -> bool {
                FREED.fetch_add(1, SeqCst);
                self.0 -= 1;
                self.0 > 0
            }
        }

        impl Drop for Pieces {
            fn drop(&mut self) {
                assert_eq!(self.0, 0, "dropped with pieces left");
                DROPPED.fetch_add(1, SeqCst);
            }
        }

        /// A retired value is freed piece by piece, and dropped after the last one.
        #[test]
        fn retired_value_is_freed_in_pieces() {
            const PIECES: usize = 5;
            // SAFETY: made here, shared with no other thread, retired once.
            unsafe { pin().retire(Box::into_raw(Box::new(Pieces(PIECES)))) };
            // Repeated: pins of other tests in this process may delay it.
            let is_dropped = || {
                collect(1);
                DROPPED.load(SeqCst) == 1
            };
            let start = std::time::Instant::now();
            while !is_dropped() {
                assert!(start.elapsed().as_secs() < 20, "{} pieces freed", FREED.load(SeqCst));
                std::thread::yield_now();
            }
            assert_eq!(FREED.load(SeqCst), PIECES);
        }
    }
}

#[cfg(not(all(test, tollgate_model)))]
pub(crate) use collector::{FreeInPieces, Guard, collect, collect_some, pin};

#[cfg(all(test, tollgate_model))]
mod model {
    use crate::sync::{Ordering::SeqCst, fence};
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    /// A value that a model marks as freed, so that every later access is an error. The memory
    /// itself stays until the execution ends.
    pub(crate) trait Poison {
        fn poison(&self);
    }

    type Free = Box<dyn FnOnce()>;

    /// A retired value, and the guards that may still read it.
    struct Retired {
        address: usize,
        holders: BTreeSet<u64>,
        poison: Box<dyn Fn()>,
        free: Free,
    }

    #[derive(Default)]
    struct Epoch {
        /// Whether accesses to freed memory are reported.
        strict: bool,
        guards: u64,
        pinned: BTreeSet<u64>,
        retired: Vec<Retired>,
        fault: Option<&'static str>,
    }

    // A model's threads all run on one OS thread.
    thread_local!(static EPOCH: RefCell<Epoch> = RefCell::default());

    #[derive(Debug)]
    pub(crate) struct Guard(u64);

    pub(crate) fn pin() -> Guard {
        let (strict, id) = EPOCH.with_borrow_mut(|epoch| {
            epoch.guards += 1;
            epoch.pinned.insert(epoch.guards);
            (epoch.strict, epoch.guards)
        });
        if strict {
            // As in the real pin: ordered after every retirement that did not see this guard.
            fence(SeqCst);
        }
        Guard(id)
    }

    impl Drop for Guard {
        fn drop(&mut self) {
            EPOCH.with_borrow_mut(|epoch| {
                epoch.pinned.remove(&self.0);
                for retired in &mut epoch.retired {
                    retired.holders.remove(&self.0);
                    if epoch.strict && retired.holders.is_empty() {
                        (retired.poison)();
                    }
                }
            });
        }
    }

    impl Guard {
        /// Keeps `value` until [`free_all`]. Poisons it once all guards that exist now are dropped.
        pub(crate) unsafe fn retire<T: Poison + 'static>(&self, value: *mut T) {
            if EPOCH.with_borrow(|epoch| epoch.strict) {
                fence(SeqCst);
            }
            let address = value as usize;
            // SAFETY: only `free_all` frees it.
            let poison = Box::new(move || unsafe { (*value).poison() });
            let free = Box::new(move || {
                // SAFETY: `free_all` runs when no thread of the model is left.
                drop(unsafe { Box::from_raw(value) });
            });
            EPOCH.with_borrow_mut(|epoch| {
                if epoch.retired.iter().any(|retired| retired.address == address) {
                    epoch.fault = Some("retired twice");
                    return;
                }
                let holders = epoch.pinned.clone();
                if epoch.strict && holders.is_empty() {
                    poison();
                }
                epoch.retired.push(Retired { address, holders, poison, free });
            });
        }
    }

    /// Reports, from now on until [`free_all`], every access to a retired value that no guard
    /// holds.
    pub(crate) fn watch() {
        EPOCH.with_borrow_mut(|epoch| epoch.strict = true);
    }

    /// Records an access to freed memory for [`assert_sound`]: a panic here would unwind through
    /// the checker's threads.
    pub(crate) fn read_after_free() {
        EPOCH.with_borrow_mut(|epoch| epoch.fault = Some("read after it was freed"));
    }

    /// Panics if this execution retired a value twice or accessed freed memory.
    pub(crate) fn assert_sound() {
        let fault = EPOCH.with_borrow(|epoch| epoch.fault);
        assert!(fault.is_none(), "{fault:?}");
    }

    pub(crate) fn collect(_: usize) {}

    pub(crate) fn collect_some() {}

    /// Frees the values that this execution has retired.
    pub(crate) fn free_all() {
        let epoch = EPOCH.with_borrow_mut(std::mem::take);
        epoch.retired.into_iter().for_each(|retired| (retired.free)());
    }
}

#[cfg(all(test, tollgate_model))]
pub(crate) use model::{Guard, Poison, collect, collect_some, free_all, pin, read_after_free};
#[cfg(all(test, tollgate_model, not(tollgate_shuttle)))]
pub(crate) use model::{assert_sound, watch};
