//! When an array that was replaced may be freed: once every thread that could still read it has
//! let go. A seam: `crossbeam-epoch` here, nothing at all in a model, where arrays live as long as
//! their table.

#[cfg(not(all(test, tollgate_model)))]
mod epoch {
    /// Keeps every array that is reachable now from being freed.
    #[derive(Debug)]
    pub(crate) struct Guard(crossbeam_epoch::Guard);

    #[inline]
    pub(crate) fn pin() -> Guard {
        Guard(crossbeam_epoch::pin())
    }

    impl Guard {
        /// Frees `value` when no guard of today is left.
        ///
        /// # Safety
        /// `value` came from `Box::into_raw`, is no longer reachable for a thread that pins from
        /// now on, and is retired once.
        pub(crate) unsafe fn retire<T: 'static>(&self, value: *mut T) {
            let free = move || {
                // SAFETY: the caller's promise; the epoch has passed every thread that could read it.
                drop(unsafe { Box::from_raw(value) });
            };
            // SAFETY: the closure owns nothing of the caller's stack, and an array may be freed by any thread.
            unsafe { self.0.defer_unchecked(free) };
            // An array is large and retired seldom: do not let it wait in a thread's own bag.
            self.0.flush();
        }
    }
}

#[cfg(not(all(test, tollgate_model)))]
pub(crate) use epoch::{Guard, pin};

#[cfg(all(test, tollgate_model))]
mod model {
    use std::cell::RefCell;

    type Free = Box<dyn FnOnce()>;

    // A model's threads all run on one OS thread.
    thread_local!(static RETIRED: RefCell<Vec<Free>> = const { RefCell::new(Vec::new()) });

    #[derive(Debug)]
    pub(crate) struct Guard;

    pub(crate) fn pin() -> Guard {
        Guard
    }

    impl Guard {
        /// Keeps `value` until [`free_all`].
        pub(crate) unsafe fn retire<T: 'static>(&self, value: *mut T) {
            let free = move || {
                // SAFETY: `free_all` runs when no thread of the model is left.
                drop(unsafe { Box::from_raw(value) });
            };
            RETIRED.with_borrow_mut(|retired| retired.push(Box::new(free)));
        }
    }

    /// Frees what was retired in this execution.
    pub(crate) fn free_all() {
        let retired = RETIRED.with_borrow_mut(std::mem::take);
        retired.into_iter().for_each(|free| free());
    }
}

#[cfg(all(test, tollgate_model))]
pub(crate) use model::{Guard, free_all, pin};
