//! Lock-freedom as a law that can fail: a loop goes round again only because another thread got
//! something done, so in a model, where the others have little to do, it ends soon.

/// The turns of one such loop; nothing at all outside of the models.
#[derive(Debug)]
pub(crate) struct Retries(#[cfg(all(test, tollgate_model))] usize);

impl Retries {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Retries(
            #[cfg(all(test, tollgate_model))]
            0,
        )
    }

    #[inline(always)]
    pub(crate) fn count(&mut self) {
        #[cfg(all(test, tollgate_model))]
        model::count(&mut self.0);
    }
}

#[cfg(all(test, tollgate_model))]
pub(crate) use model::assert_progress;

#[cfg(all(test, tollgate_model))]
mod model {
    #[cfg(not(tollgate_shuttle))]
    use loom::thread::yield_now;
    #[cfg(tollgate_shuttle)]
    use shuttle::thread::yield_now;
    use std::cell::Cell;

    /// More turns than all the other threads of any model can cause.
    const MOST: usize = 32;

    // A model's threads all run on one OS thread.
    thread_local!(static ENDLESS: Cell<bool> = const { Cell::new(false) });

    pub(super) fn count(turns: &mut usize) {
        *turns += 1;
        if *turns > MOST {
            // Told at the end: a panic here would unwind through the checker's threads. Until then
            // nothing old is read any more, so that the loop ends.
            ENDLESS.set(true);
            yield_now();
        }
    }

    /// Panics if a loop of this execution went round without cause.
    pub(crate) fn assert_progress() {
        assert!(!ENDLESS.replace(false), "a loop went round without another thread's doing");
    }
}
