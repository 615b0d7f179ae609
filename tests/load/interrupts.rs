//! Interrupts worker threads at arbitrary instants, so that they lose races on any number of cores.
//!
//! A CAS fails if another thread's CAS succeeds between its load and itself, within a few
//! nanoseconds. On few or busy cores that is rare. So a separate thread signals one worker after
//! another, and the signal handler sleeps. This works only on Linux; elsewhere nothing is
//! interrupted.

/// The registered workers, which are interrupted in turn.
#[cfg(target_os = "linux")]
#[derive(Default)]
pub struct Interrupts {
    workers: std::sync::Mutex<Vec<libc::pthread_t>>,
}

/// The registration of a worker, until it is dropped.
#[cfg(target_os = "linux")]
pub struct Interrupted<'a>(&'a Interrupts, libc::pthread_t);

#[cfg(target_os = "linux")]
impl Interrupts {
    const SIGNAL: libc::c_int = libc::SIGUSR1;
    /// The pause between two interrupts of the process.
    const EVERY: std::time::Duration = std::time::Duration::from_micros(40);

    /// Runs `work`, and interrupts the [registered](Self::enter) threads meanwhile.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
        let handler: extern "C" fn(libc::c_int) = sleep_a_little;
        // SAFETY: the handler calls only `nanosleep`, which is async-signal-safe, and restores
        // `errno`.
        let before = unsafe { libc::signal(Self::SIGNAL, handler as libc::sighandler_t) };
        assert_ne!(before, libc::SIG_ERR);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for turn in 0.. {
                    std::thread::sleep(Self::EVERY);
                    if done.load(Relaxed) {
                        return;
                    }
                    let workers = self.workers.lock().unwrap();
                    if let Some(worker) = workers.get(turn % workers.len().max(1)) {
                        // SAFETY: the thread exists: it is removed from the list before it ends.
                        unsafe { libc::pthread_kill(*worker, Self::SIGNAL) };
                    }
                }
            });
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            done.store(true, Relaxed);
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Registers the calling thread until the returned guard is dropped.
    pub fn enter(&self) -> Interrupted<'_> {
        // SAFETY: always safe to call.
        let this = unsafe { libc::pthread_self() };
        self.workers.lock().unwrap().push(this);
        Interrupted(self, this)
    }
}

#[cfg(target_os = "linux")]
impl Drop for Interrupted<'_> {
    fn drop(&mut self) {
        self.0.workers.lock().unwrap().retain(|worker| *worker != self.1);
    }
}

/// A signal handler that sleeps for the shortest time that lets other threads run: some 60
/// microseconds.
#[cfg(target_os = "linux")]
extern "C" fn sleep_a_little(_: libc::c_int) {
    let pause = libc::timespec { tv_sec: 0, tv_nsec: 1 };
    // SAFETY: always safe to call; the pointer is valid for this thread.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the `errno` of this thread.
    let before = unsafe { *errno };
    // SAFETY: the first pointer is valid, and the second may be null.
    unsafe { libc::nanosleep(&pause, std::ptr::null_mut()) };
    // SAFETY: the `errno` of this thread. Restored, since the interrupted code may read it next.
    unsafe { *errno = before };
}

/// The fallback for other systems: nothing is interrupted.
#[cfg(not(target_os = "linux"))]
#[derive(Default)]
pub struct Interrupts;

#[cfg(not(target_os = "linux"))]
impl Interrupts {
    /// Runs `work`.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        work()
    }

    /// Does nothing.
    pub fn enter(&self) {}
}
