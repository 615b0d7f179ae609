//! When an array that was replaced may be freed: once every thread that could still read it has
//! let go. A seam: `crossbeam-epoch` here, nothing at all in a model, where arrays live as long as
//! their table.

#[cfg(not(all(test, tollgate_model)))]
mod epoch {
    use crate::sync::{Ordering::Relaxed, Statistic};
    use crate::verify::mutants::{Breakage, broken};
    use std::cell::Cell;

    /// Values that were retired and are not yet gone: while there are any, new keys see to it.
    static RETIRED: Statistic = Statistic::new(0);

    /// Keeps every array that is reachable now from being freed.
    #[derive(Debug)]
    pub(crate) struct Guard(crossbeam_epoch::Guard);

    #[inline]
    pub(crate) fn pin() -> Guard {
        Guard(crossbeam_epoch::pin())
    }

    /// What gives its memory back in pieces: the system takes milliseconds for a large array.
    pub(crate) trait Shed {
        /// Gives a piece back, and returns whether any is left.
        fn shed(&mut self) -> bool;
    }

    impl Guard {
        /// Frees `value` when no guard of today is left, a piece at a time.
        ///
        /// # Safety
        /// `value` came from `Box::into_raw`, is no longer reachable for a thread that pins from
        /// now on, and is retired once.
        pub(crate) unsafe fn retire<T: Shed + 'static>(&self, value: *mut T) {
            if broken(Breakage::FreedAtOnce) {
                // SAFETY: none: this is the mutant.
                drop(unsafe { Box::from_raw(value) });
                return;
            }
            RETIRED.fetch_add(1, Relaxed);
            let free = move || {
                // SAFETY: the caller's promise; the epoch has passed every thread that could read
                // it.
                let mut value = unsafe { Box::from_raw(value) };
                if value.shed() {
                    // The rest some pins later, by whoever pins then.
                    // SAFETY: nobody else has known of it for an epoch.
                    unsafe { pin().retire(Box::into_raw(value)) };
                }
                RETIRED.fetch_sub(1, Relaxed);
            };
            // SAFETY: the closure owns nothing of the caller's stack, and an array may be freed by
            // any thread.
            unsafe { self.0.defer_unchecked(free) };
            // An array is large and retired seldom: do not let it wait in a thread's own bag.
            self.flush();
        }

        /// Hands on what this thread has retired, and frees what is due. What is freed meanwhile
        /// and retires a rest does not come here again: many arrays may be due at once, and each
        /// would be freed one level deeper on the stack.
        fn flush(&self) {
            let outermost = FLUSHING.try_with(|flushing| !flushing.replace(true)) == Ok(true);
            if outermost {
                self.0.flush();
                let _ = FLUSHING.try_with(|flushing| flushing.set(false));
            }
        }
    }

    thread_local!(static FLUSHING: Cell<bool> = const { Cell::new(false) });

    /// Frees a piece of what no guard holds any more, if anything was retired.
    #[inline]
    pub(crate) fn collect_some() {
        collect(1);
    }

    /// Frees what no guard holds any more, a few pieces, as long as anything is retired. Else it
    /// does not even pin, which allocates in a thread that has not done so before.
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

        static SHED: AtomicUsize = AtomicUsize::new(0);
        static DROPPED: AtomicUsize = AtomicUsize::new(0);

        /// A value of so many pieces.
        struct Pieces(usize);

        impl Shed for Pieces {
            fn shed(&mut self) -> bool {
                SHED.fetch_add(1, SeqCst);
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

        /// A retired value is shed piece by piece, and dropped behind the last one.
        #[test]
        fn a_retired_value_is_shed_in_pieces() {
            const PIECES: usize = 5;
            // SAFETY: made here, shared with nobody, retired once.
            unsafe { pin().retire(Box::into_raw(Box::new(Pieces(PIECES)))) };
            // Sessions of other tests in this process hold it up.
            let freed = || {
                collect(1);
                DROPPED.load(SeqCst) == 1
            };
            let start = std::time::Instant::now();
            while !freed() {
                assert!(start.elapsed().as_secs() < 20, "{} pieces shed", SHED.load(SeqCst));
                std::thread::yield_now();
            }
            assert_eq!(SHED.load(SeqCst), PIECES);
        }
    }
}

#[cfg(not(all(test, tollgate_model)))]
pub(crate) use epoch::{Guard, Shed, collect, collect_some, pin};

#[cfg(all(test, tollgate_model))]
mod model {
    use crate::sync::{Ordering::SeqCst, fence};
    use crate::verify::mutants::{Breakage, broken};
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    /// What a model marks as freed, so that every later access is an error. The memory itself stays
    /// until the execution ends.
    pub(crate) trait Poison {
        fn poison(&self);
    }

    type Free = Box<dyn FnOnce()>;

    /// Something that was retired, and the guards that may still read it.
    struct Retired {
        place: usize,
        holders: BTreeSet<u64>,
        poison: Box<dyn Fn()>,
        free: Free,
    }

    #[derive(Default)]
    struct Epoch {
        /// Whether readers and retirements are watched.
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
            if !broken(Breakage::NoPin) {
                epoch.pinned.insert(epoch.guards);
            }
            (epoch.strict, epoch.guards)
        });
        if strict {
            // As the epoch's own pin: later than every retirement that does not know of it.
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
        /// Keeps `value` until [`free_all`], and poisons it when no guard of today is left.
        pub(crate) unsafe fn retire<T: Poison + 'static>(&self, value: *mut T) {
            if EPOCH.with_borrow(|epoch| epoch.strict) {
                fence(SeqCst);
            }
            let place = value as usize;
            // SAFETY: freed by `free_all` only.
            let poison = Box::new(move || unsafe { (*value).poison() });
            let free = Box::new(move || {
                // SAFETY: `free_all` runs when no thread of the model is left.
                drop(unsafe { Box::from_raw(value) });
            });
            EPOCH.with_borrow_mut(|epoch| {
                if epoch.retired.iter().any(|retired| retired.place == place) {
                    epoch.fault = Some("retired twice");
                    return;
                }
                let holders = epoch.pinned.clone();
                epoch.retired.push(Retired { place, holders, poison, free });
            });
        }
    }

    /// From now on until [`free_all`] every access to what was retired and is held by no guard is
    /// an error.
    pub(crate) fn watch() {
        EPOCH.with_borrow_mut(|epoch| epoch.strict = true);
    }

    /// Notes an access to what was freed. It is told at the end, by [`assert_sound`]: a panic here
    /// would unwind through the checker's threads.
    pub(crate) fn read_after_free() {
        EPOCH.with_borrow_mut(|epoch| epoch.fault = Some("read after it was freed"));
    }

    /// Panics if anything was wrong in this execution.
    pub(crate) fn assert_sound() {
        let fault = EPOCH.with_borrow(|epoch| epoch.fault);
        assert!(fault.is_none(), "{fault:?}");
    }

    pub(crate) fn collect(_: usize) {}

    pub(crate) fn collect_some() {}

    /// Frees what was retired in this execution.
    pub(crate) fn free_all() {
        let epoch = EPOCH.with_borrow_mut(std::mem::take);
        epoch.retired.into_iter().for_each(|retired| (retired.free)());
    }
}

#[cfg(all(test, tollgate_model))]
pub(crate) use model::{Guard, Poison, collect, collect_some, free_all, pin, read_after_free};
#[cfg(all(test, tollgate_model, not(tollgate_shuttle)))]
pub(crate) use model::{assert_sound, watch};
