//! The thread's own time.

use std::time::Duration;

/// How long this thread has run; `None` where the system does not tell.
#[cfg(unix)]
pub(crate) fn thread_time() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
}

/// How long this thread has run; `None` where the system does not tell.
#[cfg(not(unix))]
pub(crate) fn thread_time() -> Option<Duration> {
    None
}
