//! CPU time of the current thread.

use std::time::Duration;

/// CPU time of this thread; `None` if the system does not provide it.
#[cfg(unix)]
pub(crate) fn thread_time() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
}

/// CPU time of this thread; `None` if the system does not provide it.
#[cfg(not(unix))]
pub(crate) fn thread_time() -> Option<Duration> {
    None
}
