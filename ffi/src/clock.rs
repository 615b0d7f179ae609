//! Times, and clocks that a limiter can use in place of the processor's clock.

use crate::argument::{aligned, read, write_optional};
use crate::guard::guard;
use crate::handle::{self, Kind};
use crate::limiter::tollgate_limiter;
use crate::status::tollgate_status::{self, *};
use limiter::{Clock, CoarseClock, ManualClock, Now};
use std::ptr;
use std::time::Duration;

/// A reading of the monotonic clock and the wall clock, in nanoseconds.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tollgate_now {
    /// Nanoseconds since an origin that is the same for all calls to a limiter. Sliding windows use
    /// this time. If it steps back between calls, a charge is recorded at the latest time of its key.
    /// `clock_gettime(CLOCK_MONOTONIC)` has another origin than the limiter's own clock: pass its times
    /// to all calls, or to none.
    pub monotonic_ns: u64,
    /// Nanoseconds since 1970-01-01T00:00:00Z. Calendar policies use it.
    pub unix_ns: u64,
}

impl From<tollgate_now> for Now {
    #[inline(always)]
    fn from(now: tollgate_now) -> Self {
        Now::new(now.monotonic_ns, now.unix_ns)
    }
}

impl From<Now> for tollgate_now {
    fn from(now: Now) -> Self {
        tollgate_now { monotonic_ns: now.monotonic_ns, unix_ns: now.unix_ns }
    }
}

/// A clock for limiters: coarse or manual.
#[derive(Debug)]
pub struct tollgate_clock {
    _private: (),
}

/// The object of a [`tollgate_clock`].
#[derive(Debug)]
pub(crate) enum HostClock {
    /// Updated by the host.
    Coarse(CoarseClock),
    /// Coarse, and updated by its own thread.
    Threaded(Clock),
    /// Set by the host.
    Manual(ManualClock),
}

impl Kind for tollgate_clock {
    type Value = HostClock;
    const MARK: u64 = u64::from_le_bytes(*b"tgclock1");
}

impl HostClock {
    /// Returns a clock for a limiter, which keeps it alive.
    pub(crate) fn clock(&self) -> Clock {
        match self {
            HostClock::Coarse(clock) => clock.clone().into(),
            HostClock::Threaded(clock) => clock.clone(),
            HostClock::Manual(clock) => clock.clone().into(),
        }
    }
}

/// Creates a manual clock, for tests, simulations and recorded traffic. Both readings start at 0
/// and change only by `tollgate_clock_set` and `tollgate_clock_advance`.
///
/// `*clock` is NULL unless the status is `TOLLGATE_OK`. Free it with `tollgate_clock_free`; it may
/// be freed before the limiters that use it. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_NO_MEMORY`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_clock_manual(clock: *mut *mut tollgate_clock) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's contract.
        unsafe { create(clock, || Ok(HostClock::Manual(ManualClock::new()))) }
    })
}

/// Creates a coarse clock, which keeps the time of its last update. A reading costs less than a
/// nanosecond.
///
/// With an `interval_ns` of 0 the host updates the clock with `tollgate_clock_tick`, for example
/// once in each turn of its event loop. Else a new thread updates it at that interval, until the
/// clock and all limiters that use it are freed. After `fork` the child does not have that thread.
///
/// `*clock` is NULL unless the status is `TOLLGATE_OK`. Free it with `tollgate_clock_free`; it may
/// be freed before the limiters that use it. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_NO_MEMORY`,
/// `TOLLGATE_E_SYSTEM`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_clock_coarse(
    interval_ns: u64,
    clock: *mut *mut tollgate_clock,
) -> tollgate_status {
    let coarse = || match interval_ns {
        0 => Ok(HostClock::Coarse(CoarseClock::new())),
        _ => Clock::coarse(Duration::from_nanos(interval_ns))
            .map(HostClock::Threaded)
            .map_err(|_| TOLLGATE_E_SYSTEM),
    };
    // SAFETY: the caller's contract.
    guard(|| unsafe { create(clock, coarse) })
}

/// Writes a handle of a new clock to `out`, or NULL if there is an error.
///
/// # Safety
/// As [`write_optional`].
unsafe fn create(
    out: *mut *mut tollgate_clock,
    clock: impl FnOnce() -> Result<HostClock, tollgate_status>,
) -> Result<tollgate_status, tollgate_status> {
    aligned(out)?;
    // SAFETY: the caller's contract.
    unsafe { write_optional(out, ptr::null_mut()) }?;
    let clock = handle::make(clock()?)?;
    // SAFETY: as above.
    unsafe { write_optional(out, clock) }?;
    Ok(TOLLGATE_OK)
}

/// Frees the handle of a clock. Does nothing for NULL. Limiters that use the clock keep it alive.
/// No other thread may be using the handle. Errors: `TOLLGATE_E_HANDLE`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_clock_free(clock: *mut tollgate_clock) -> tollgate_status {
    // SAFETY: the caller's contract.
    guard(|| unsafe { handle::free(clock) }.map(|()| TOLLGATE_OK))
}

/// Updates a coarse clock to the current time. Any thread. Errors: `TOLLGATE_E_NULL`,
/// `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT` for a manual clock and for one with its own thread.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_clock_tick(clock: *const tollgate_clock) -> tollgate_status {
    // SAFETY: the caller's contract.
    guard(|| match unsafe { handle::value(clock) }? {
        HostClock::Coarse(clock) => {
            clock.tick();
            Ok(TOLLGATE_OK)
        }
        HostClock::Threaded(_) | HostClock::Manual(_) => Err(TOLLGATE_E_ARGUMENT),
    })
}

/// Sets a manual clock, forwards or backwards. Any thread. Errors: `TOLLGATE_E_NULL`,
/// `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT` for a coarse clock.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_clock_set(
    clock: *const tollgate_clock,
    now: *const tollgate_now,
) -> tollgate_status {
    // SAFETY: the caller's contract.
    guard(|| match unsafe { (handle::value(clock)?, read(now)?) } {
        (HostClock::Manual(clock), now) => {
            clock.set(now.into());
            Ok(TOLLGATE_OK)
        }
        (HostClock::Coarse(_) | HostClock::Threaded(_), _) => Err(TOLLGATE_E_ARGUMENT),
    })
}

/// Advances both readings of a manual clock by `by_ns` nanoseconds; they stop at `UINT64_MAX`. Any
/// thread, but if two threads advance the clock at the same time, one of the two steps may be lost.
/// Errors: as `tollgate_clock_set`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_clock_advance(
    clock: *const tollgate_clock,
    by_ns: u64,
) -> tollgate_status {
    // SAFETY: the caller's contract.
    guard(|| match unsafe { handle::value(clock) }? {
        HostClock::Manual(clock) => {
            clock.advance(Duration::from_nanos(by_ns));
            Ok(TOLLGATE_OK)
        }
        HostClock::Coarse(_) | HostClock::Threaded(_) => Err(TOLLGATE_E_ARGUMENT),
    })
}

/// Reads the clock of a limiter. With the processor's clock, `unix_ns` is 0 if no policy is a
/// calendar policy. Any thread. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_read_clock(
    limiter: *const tollgate_limiter,
    now: *mut tollgate_now,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's contract.
        let handle = unsafe { handle::value(limiter) }?;
        aligned(now)?;
        // SAFETY: the caller's contract.
        unsafe { write_optional(now, handle.limiter.now().into()) }?;
        Ok(TOLLGATE_OK)
    })
}
