//! Instants, and the clocks that a host moves by hand.

use crate::argument::{aligned, read, write_optional};
use crate::config::tollgate_limiter;
use crate::guard::guard;
use crate::handle::{self, Kind};
use crate::status::tollgate_status::{self, *};
use limiter::{Clock, CoarseClock, ManualClock, Now};
use std::ptr;
use std::time::Duration;

/// One reading of both clocks, in nanoseconds.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tollgate_now {
    /// Nanoseconds since any fixed instant, the same for all readings that a limiter is given:
    /// `clock_gettime(CLOCK_MONOTONIC)`, say. Sliding windows count by it. It may step back a
    /// little between threads.
    pub monotonic_ns: u64,
    /// Nanoseconds since 1970-01-01T00:00:00Z. Calendar budgets count by it.
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

/// A clock that the host moves: a coarse one or a manual one.
#[derive(Debug)]
pub struct tollgate_clock {
    _private: (),
}

/// What is behind a [`tollgate_clock`].
#[derive(Debug)]
pub(crate) enum HostClock {
    /// Refreshed by the host.
    Coarse(CoarseClock),
    /// Coarse, and refreshed by a thread of its own.
    Upkept(Clock),
    /// Moved by the host alone.
    Manual(ManualClock),
}

impl Kind for tollgate_clock {
    type Value = HostClock;
    const MARK: u64 = u64::from_le_bytes(*b"tgclock1");
}

impl HostClock {
    /// The clock for a limiter, which keeps it alive.
    pub(crate) fn clock(&self) -> Clock {
        match self {
            HostClock::Coarse(clock) => clock.clone().into(),
            HostClock::Upkept(clock) => clock.clone(),
            HostClock::Manual(clock) => clock.clone().into(),
        }
    }
}

/// A clock that moves only when told to, for tests, simulations and recorded traffic. It stands at
/// 0: the start of its monotonic time, and of 1970.
///
/// `*clock` is NULL unless the status is `TOLLGATE_OK`. Free it with `tollgate_clock_free`, also
/// before the limiters that use it. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_NO_MEMORY`.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_clock_manual(clock: *mut *mut tollgate_clock) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's promise.
        unsafe { give(clock, || Ok(HostClock::Manual(ManualClock::new()))) }
    })
}

/// A clock that the host refreshes with `tollgate_clock_tick`, say once in each turn of its event
/// loop: reading it costs less than a nanosecond, and what it shows is as old as the last tick.
///
/// With an `interval_ns` above 0 a thread of its own refreshes it that often, until the clock and all
/// limiters that use it are freed; after `fork` there is no such thread in the child. With 0 no
/// thread is made.
///
/// `*clock` is NULL unless the status is `TOLLGATE_OK`. Errors: `TOLLGATE_E_NULL`,
/// `TOLLGATE_E_NO_MEMORY`, `TOLLGATE_E_SYSTEM`.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_clock_coarse(
    interval_ns: u64,
    clock: *mut *mut tollgate_clock,
) -> tollgate_status {
    let coarse = || match interval_ns {
        0 => Ok(HostClock::Coarse(CoarseClock::new())),
        _ => Clock::coarse(Duration::from_nanos(interval_ns))
            .map(HostClock::Upkept)
            .map_err(|_| TOLLGATE_E_SYSTEM),
    };
    // SAFETY: the caller's promise.
    guard(|| unsafe { give(clock, coarse) })
}

/// Gives the caller a clock, or NULL.
///
/// # Safety
/// As [`write_optional`].
unsafe fn give(
    place: *mut *mut tollgate_clock,
    clock: impl FnOnce() -> Result<HostClock, tollgate_status>,
) -> Result<tollgate_status, tollgate_status> {
    aligned(place)?;
    // SAFETY: the caller's promise.
    unsafe { write_optional(place, ptr::null_mut()) }?;
    let clock = handle::make(clock()?)?;
    // SAFETY: as above.
    unsafe { write_optional(place, clock) }?;
    Ok(TOLLGATE_OK)
}

/// Frees a clock; limiters that use it keep it going. NULL is nothing to free. No other thread may
/// be using this handle. Errors: `TOLLGATE_E_HANDLE`.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_clock_free(clock: *mut tollgate_clock) -> tollgate_status {
    // SAFETY: the caller's promise.
    guard(|| unsafe { handle::free(clock) }.map(|()| TOLLGATE_OK))
}

/// Moves a coarse clock to the present. Any thread. Errors: `TOLLGATE_E_NULL`,
/// `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT` for a manual clock, and for one with a thread of its
/// own.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_clock_tick(clock: *const tollgate_clock) -> tollgate_status {
    // SAFETY: the caller's promise.
    guard(|| match unsafe { handle::value(clock) }? {
        HostClock::Coarse(clock) => {
            clock.tick();
            Ok(TOLLGATE_OK)
        }
        HostClock::Upkept(_) | HostClock::Manual(_) => Err(TOLLGATE_E_ARGUMENT),
    })
}

/// Sets a manual clock, also backwards. Any thread. Errors: `TOLLGATE_E_NULL`,
/// `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT` for a coarse clock.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_clock_set(
    clock: *const tollgate_clock,
    now: *const tollgate_now,
) -> tollgate_status {
    // SAFETY: the caller's promise.
    guard(|| match unsafe { (handle::value(clock)?, read(now)?) } {
        (HostClock::Manual(clock), now) => {
            clock.set(now.into());
            Ok(TOLLGATE_OK)
        }
        (HostClock::Coarse(_) | HostClock::Upkept(_), _) => Err(TOLLGATE_E_ARGUMENT),
    })
}

/// Moves both readings of a manual clock on by so many nanoseconds; they stop at the end of their
/// range. Two threads that advance it at once may move it by one of the two. Errors: as
/// `tollgate_clock_set`.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_clock_advance(
    clock: *const tollgate_clock,
    by_ns: u64,
) -> tollgate_status {
    // SAFETY: the caller's promise.
    guard(|| match unsafe { handle::value(clock) }? {
        HostClock::Manual(clock) => {
            clock.advance(Duration::from_nanos(by_ns));
            Ok(TOLLGATE_OK)
        }
        HostClock::Coarse(_) | HostClock::Upkept(_) => Err(TOLLGATE_E_ARGUMENT),
    })
}

/// The present reading of a limiter's clock. The processor's clock shows a `unix_ns` of 0 if no policy
/// follows the calendar. Any thread. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_read_clock(
    limiter: *const tollgate_limiter,
    now: *mut tollgate_now,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's promise.
        let server = unsafe { handle::value(limiter) }?;
        aligned(now)?;
        // SAFETY: the caller's promise.
        unsafe { write_optional(now, server.limiter.now().into()) }?;
        Ok(TOLLGATE_OK)
    })
}
