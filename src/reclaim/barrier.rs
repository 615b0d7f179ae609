//! A pair of fences with unequal costs. A [`light`] fence only stops the compiler. A [`heavy`] fence
//! makes every running thread of the process execute a full fence, by the system call `membarrier`.
//!
//! A light fence and a heavy one order as two `SeqCst` fences would: of two threads that each
//! store, fence and load what the other one stores, at least one sees the other's store. Two light
//! fences order nothing.
//!
//! Rust's memory model does not know `membarrier`. That it acts on a light fence as described is an
//! assumption about Linux; the manual page of the call states it. In loom models, both fences are
//! additions to one word, which order the same accesses and no others. (A `SeqCst` fence would also
//! be an acquire fence, and so hide an ordering that is too weak elsewhere.) The memory of random
//! schedules is sequentially consistent, so there both fences do nothing.

/// Whether this build can use heavy fences at all. Miri does not know `membarrier`.
#[cfg(not(all(test, tollgate_model)))]
pub(super) const IS_SUPPORTED: bool = cfg!(all(target_os = "linux", not(miri)));

/// The fence of a reader, between its pin and its first load.
#[cfg(not(all(test, tollgate_model)))]
#[inline(always)]
pub(super) fn light() {
    std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
}

/// The fence of a thread that looks for pins. Returns false if the system has refused it.
#[cfg(not(all(test, tollgate_model)))]
pub(super) fn heavy() -> bool {
    // Orders this thread itself: the manual page speaks of the other ones.
    crate::sync::fence(crate::sync::Ordering::SeqCst);
    imp::expedite()
}

/// Asks the system for heavy fences, for the whole process. Returns false if it refuses them.
#[cfg(not(all(test, tollgate_model)))]
pub(super) fn register() -> bool {
    imp::register() && imp::expedite()
}

#[cfg(all(target_os = "linux", not(miri), not(all(test, tollgate_model))))]
mod imp {
    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: the call takes three integers and accesses no memory of the process.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    pub(super) fn expedite() -> bool {
        membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED)
    }

    pub(super) fn register() -> bool {
        membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
    }
}

#[cfg(all(any(not(target_os = "linux"), miri), not(all(test, tollgate_model))))]
mod imp {
    pub(super) fn expedite() -> bool {
        false
    }

    pub(super) fn register() -> bool {
        false
    }
}

#[cfg(all(test, tollgate_model, not(tollgate_shuttle)))]
mod model {
    use crate::sync::{AtomicUsize, Ordering::AcqRel};

    loom::lazy_static! {
        static ref WORD: AtomicUsize = AtomicUsize::new(0);
    }

    pub(crate) fn light() {
        WORD.fetch_add(1, AcqRel);
    }

    pub(crate) fn heavy() -> bool {
        light();
        true
    }
}

#[cfg(all(test, tollgate_model, not(tollgate_shuttle)))]
pub(super) use model::{heavy, light};

#[cfg(all(test, tollgate_shuttle))]
mod schedule {
    pub(crate) const IS_SUPPORTED: bool = true;

    pub(crate) fn light() {}

    pub(crate) fn heavy() -> bool {
        true
    }
}

#[cfg(all(test, tollgate_shuttle))]
pub(super) use schedule::{IS_SUPPORTED, heavy, light};
