//! The clocks of a limiter: precise, coarse, or moved by hand.
//!
//! A clock has two readings. Sliding windows use the monotonic reading. It may stand still, and may
//! step back a little between cores: a counter then continues at the latest time that it has seen.
//! Calendar budgets use the wall reading. An administrator may set it back: a counter then stays in
//! the latest period that it has seen.

mod time_stamp_counter;

use crate::sync::{AtomicU64, Ordering::Relaxed};
use std::fmt;
use std::sync::{Arc, Weak};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, SystemTime};
use time_stamp_counter::TimeStampCounter;

/// A reading of the monotonic and the wall clock, in nanoseconds.
///
/// Every decision uses one such reading. A server that has already read the clock passes it to
/// [`Limiter::check_at`](crate::Limiter::check_at) or
/// [`Limiter::session_at`](crate::Limiter::session_at).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds since a fixed instant, which must be the same for all readings passed to one
    /// limiter.
    pub monotonic_ns: u64,
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub unix_ns: u64,
}

impl Now {
    /// Returns a reading with these two times, in nanoseconds.
    pub const fn new(monotonic_ns: u64, unix_ns: u64) -> Self {
        Now { monotonic_ns, unix_ns }
    }

    /// Returns a reading with this wall-clock time as both times, for example for recorded traffic.
    pub const fn from_unix_nanos(unix_ns: u64) -> Self {
        Now { monotonic_ns: unix_ns, unix_ns }
    }
}

/// The clock of a limiter.
#[derive(Clone, Debug)]
pub struct Clock {
    /// The time stamp counter of a precise clock, if it can be read directly. It is kept outside
    /// [`Source`], so that the fast path tests only this field.
    counter: Option<TimeStampCounter>,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Precise {
        clock: quanta::Clock,
        start: u64,
    },
    /// Dropping the last clone stops the thread.
    Coarse {
        clock: CoarseClock,
        _thread: Option<Arc<ClockThread>>,
    },
    Manual(ManualClock),
}

impl Clock {
    /// Returns a clock that reads the processor's time stamp counter, which `quanta` calibrates. Where
    /// that counter is not fit for use, the clock reads the system's monotonic clock.
    ///
    /// A reading takes about 12 ns. Creating the first such clock of a process may take 200 ms, for
    /// the calibration.
    pub fn precise() -> Self {
        let clock = quanta::Clock::new();
        let start = clock.raw();
        let counter = TimeStampCounter::of(&clock, start);
        Clock { counter, source: Source::Precise { clock, start } }
    }

    /// Returns a coarse clock that a background thread refreshes every `interval`.
    ///
    /// A reading is as old as the last refresh. The thread ends when the last limiter or clone with
    /// this clock is dropped.
    ///
    /// # Errors
    /// The [`std::io::Error`] of starting the thread.
    pub fn coarse(interval: Duration) -> std::io::Result<Self> {
        let clock = CoarseClock::new();
        let thread = ClockThread::start(&clock, interval)?;
        Ok(Clock::of(Source::Coarse { clock, _thread: Some(Arc::new(thread)) }))
    }

    fn of(source: Source) -> Self {
        Clock { counter: None, source }
    }

    /// Reads the clock. The precise clock reads the wall clock only if `read_wall`.
    // Small, and always inlined, so that calls at different places of a program are equally fast.
    #[inline(always)]
    pub(crate) fn now(&self, read_wall: bool) -> Now {
        if let Some(counter) = &self.counter {
            let unix_ns = if read_wall { wall_ns() } else { 0 };
            return Now { monotonic_ns: counter.elapsed_ns(), unix_ns };
        }
        match &self.source {
            Source::Coarse { clock, .. } => clock.reading.now(),
            Source::Manual(clock) => clock.reading.now(),
            Source::Precise { clock, start } => precise_now(clock, *start, read_wall),
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::precise()
    }
}

impl From<CoarseClock> for Clock {
    fn from(clock: CoarseClock) -> Self {
        Clock::of(Source::Coarse { clock, _thread: None })
    }
}

impl From<ManualClock> for Clock {
    fn from(clock: ManualClock) -> Self {
        Clock::of(Source::Manual(clock))
    }
}

/// Reads a precise clock through quanta, where the time stamp counter cannot be read directly.
#[inline(never)]
fn precise_now(clock: &quanta::Clock, start: u64, read_wall: bool) -> Now {
    let unix_ns = if read_wall { wall_ns() } else { 0 };
    Now { monotonic_ns: clock.delta_as_nanos(start, clock.raw()), unix_ns }
}

// Reading the wall clock takes so long that the cost of a function call does not matter.
#[inline(never)]
fn wall_ns() -> u64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since_1970.map_or(0, saturating_ns)
}

pub(crate) fn saturating_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The current reading of a clock that threads share.
///
/// The two times are independent: a thread may see one from before an update and the other from
/// after it.
struct Reading {
    monotonic_ns: AtomicU64,
    unix_ns: AtomicU64,
}

impl Reading {
    fn new(now: Now) -> Self {
        Reading {
            monotonic_ns: AtomicU64::new(now.monotonic_ns),
            unix_ns: AtomicU64::new(now.unix_ns),
        }
    }

    // Relaxed: a reading publishes no other data.
    #[inline]
    fn now(&self) -> Now {
        Now { monotonic_ns: self.monotonic_ns.load(Relaxed), unix_ns: self.unix_ns.load(Relaxed) }
    }

    fn set(&self, now: Now) {
        self.monotonic_ns.store(now.monotonic_ns, Relaxed);
        self.unix_ns.store(now.unix_ns, Relaxed);
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.now(), f)
    }
}

/// A clock that the server refreshes, for example once in each turn of its event loop.
///
/// A reading takes less than a nanosecond, and is as old as the last [`tick`](Self::tick). A clone
/// is another handle to the same clock.
///
/// ```
/// use std::time::Duration;
/// use tollgate::{CoarseClock, Limiter, Policy};
///
/// let clock = CoarseClock::new();
/// let limiter = Limiter::builder()
///     .policy(Policy::sliding("user", 20, Duration::from_secs(60)))
///     .clock(clock.clone())
///     .build()?;
/// // In each turn of the loop:
/// clock.tick();
/// # let _ = limiter;
/// # Ok::<(), tollgate::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct CoarseClock {
    precise: Arc<quanta::Clock>,
    start: u64,
    reading: Arc<Reading>,
}

impl CoarseClock {
    /// Returns a clock set to the current time.
    pub fn new() -> Self {
        let precise = quanta::Clock::new();
        let start = precise.raw();
        let reading = Reading::new(Now::new(0, wall_ns()));
        CoarseClock { precise: Arc::new(precise), start, reading: Arc::new(reading) }
    }

    /// Sets the clock to the current time.
    pub fn tick(&self) {
        let elapsed = self.precise.delta_as_nanos(self.start, self.precise.raw());
        self.reading.set(Now::new(elapsed, wall_ns()));
    }
}

impl Default for CoarseClock {
    fn default() -> Self {
        CoarseClock::new()
    }
}

/// The thread that refreshes a coarse clock. Dropping it stops and joins the thread.
#[derive(Debug)]
struct ClockThread {
    thread: Option<JoinHandle<()>>,
    alive: Option<Arc<()>>,
    /// The process that started the thread. A forked child does not have the thread.
    process: u32,
}

impl ClockThread {
    fn start(clock: &CoarseClock, interval: Duration) -> std::io::Result<Self> {
        let alive = Arc::new(());
        let watched = Arc::downgrade(&alive);
        let clock = clock.clone();
        let thread = std::thread::Builder::new()
            .name("tollgate-clock".into())
            .spawn(move || Self::run(&clock, interval, &watched))?;
        Ok(ClockThread { thread: Some(thread), alive: Some(alive), process: std::process::id() })
    }

    fn run(clock: &CoarseClock, interval: Duration, alive: &Weak<()>) {
        while alive.strong_count() > 0 {
            clock.tick();
            std::thread::park_timeout(interval);
        }
    }
}

impl Drop for ClockThread {
    fn drop(&mut self) {
        self.alive = None;
        if let Some(thread) = self.thread.take() {
            if self.process != std::process::id() {
                // A forked child: there is no thread to join or detach.
                std::mem::forget(thread);
                return;
            }
            Thread::unpark(thread.thread());
            // An error means that the thread panicked. The caller cannot do anything about it.
            let _ = thread.join();
        }
    }
}

/// A clock that moves only by [`set`](Self::set) and [`advance`](Self::advance), for tests,
/// simulations and recorded traffic.
///
/// A clone is another handle to the same clock.
///
/// ```
/// use std::time::Duration;
/// use tollgate::{Limiter, ManualClock, Policy};
///
/// let clock = ManualClock::new();
/// let limiter = Limiter::builder()
///     .policy(Policy::sliding("user", 1, Duration::from_secs(60)))
///     .clock(clock.clone())
///     .build()?;
/// let user = limiter.policy("user").unwrap();
/// assert!(limiter.check(&[user.charge("alice", 1)]).is_allowed());
/// clock.advance(Duration::from_secs(59));
/// let decision = limiter.check(&[user.charge("alice", 1)]);
/// assert_eq!(decision.retry_after(), Some(Duration::from_secs(1)));
/// clock.advance(Duration::from_secs(1));
/// assert!(limiter.check(&[user.charge("alice", 1)]).is_allowed());
/// # Ok::<(), tollgate::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    reading: Arc<Reading>,
}

impl ManualClock {
    /// Returns a clock at zero: both times are 0, so the wall time is the start of 1970.
    pub fn new() -> Self {
        ManualClock { reading: Arc::new(Reading::new(Now::default())) }
    }

    /// Returns the current reading.
    pub fn now(&self) -> Now {
        self.reading.now()
    }

    /// Sets both times. They may go backwards.
    pub fn set(&self, now: Now) {
        self.reading.set(now);
    }

    /// Advances both times. They saturate at `u64::MAX`.
    pub fn advance(&self, by: Duration) {
        let (now, by) = (self.now(), saturating_ns(by));
        self.set(Now::new(now.monotonic_ns.saturating_add(by), now.unix_ns.saturating_add(by)));
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        ManualClock::new()
    }
}
