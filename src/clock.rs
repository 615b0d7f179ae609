//! Where the time comes from: a precise clock, a coarse one, or one that the test turns by hand.
//!
//! A clock gives two readings. The monotonic one, which sliding windows use, may stand still and
//! may step back a little between cores: a counter then goes on at the latest time it has seen. The
//! wall reading, which calendar budgets use, may be set by the administrator: a period that was
//! left is never opened again.

use crate::sync::{AtomicU64, Ordering::Relaxed};
use std::fmt;
use std::sync::{Arc, Weak};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, SystemTime};

/// One reading of both clocks, in nanoseconds.
///
/// Every decision is made at one such instant; hosts that have read the clock already pass it to
/// [`Limiter::check_at`](crate::Limiter::check_at) or
/// [`Limiter::session_at`](crate::Limiter::session_at).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds since any fixed instant, the same for all readings that a limiter is given.
    pub monotonic_ns: u64,
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub unix_ns: u64,
}

impl Now {
    /// A reading of a monotonic and of a wall clock.
    pub const fn new(monotonic_ns: u64, unix_ns: u64) -> Self {
        Now { monotonic_ns, unix_ns }
    }

    /// Both readings from one wall-clock time, for decisions over recorded traffic.
    pub const fn from_unix_nanos(unix_ns: u64) -> Self {
        Now { monotonic_ns: unix_ns, unix_ns }
    }
}

/// The clock of a limiter.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Precise {
        clock: quanta::Clock,
        start: u64,
    },
    /// The upkeep is there to be dropped with the last owner.
    Coarse {
        clock: CoarseClock,
        _upkeep: Option<Arc<Upkeep>>,
    },
    Manual(ManualClock),
}

impl Clock {
    /// The processor's time stamp counter through `quanta`: about 12 ns a reading. The first such
    /// clock of a process may take 200 ms to calibrate.
    pub fn precise() -> Self {
        let clock = quanta::Clock::new();
        let start = clock.raw();
        Clock(Source::Precise { clock, start })
    }

    /// A coarse clock that a thread of its own refreshes every `interval`, until the last limiter
    /// that has it is gone.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn coarse(interval: Duration) -> std::io::Result<Self> {
        let clock = CoarseClock::new();
        let upkeep = Upkeep::start(&clock, interval)?;
        Ok(Clock(Source::Coarse { clock, _upkeep: Some(Arc::new(upkeep)) }))
    }

    /// The present reading. The wall clock is read only if `wants_wall`.
    #[inline]
    pub(crate) fn now(&self, wants_wall: bool) -> Now {
        match &self.0 {
            Source::Precise { clock, start } => Now {
                monotonic_ns: clock.delta_as_nanos(*start, clock.raw()),
                unix_ns: if wants_wall { wall_ns() } else { 0 },
            },
            Source::Coarse { clock, .. } => clock.reading.now(),
            Source::Manual(clock) => clock.reading.now(),
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
        Clock(Source::Coarse { clock, _upkeep: None })
    }
}

impl From<ManualClock> for Clock {
    fn from(clock: ManualClock) -> Self {
        Clock(Source::Manual(clock))
    }
}

// A call of the system, beside which a call of this is nothing.
#[inline(never)]
fn wall_ns() -> u64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since_1970.map_or(0, saturating_ns)
}

pub(crate) fn saturating_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Two readings that others may read meanwhile. They are independent: a thread may see the one of
/// an instant and the other of the next, as it may between two calls.
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

    // Relaxed throughout: a reading publishes nothing but itself.
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

/// A clock that the host refreshes, say once in each turn of its event loop: a reading costs less
/// than a nanosecond, and is as old as the last [`tick`](Self::tick).
///
/// Cloning gives another handle to the same clock.
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
    /// A clock that stands at the present.
    pub fn new() -> Self {
        let precise = quanta::Clock::new();
        let start = precise.raw();
        let reading = Reading::new(Now::new(0, wall_ns()));
        CoarseClock { precise: Arc::new(precise), start, reading: Arc::new(reading) }
    }

    /// Moves the clock to the present.
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

/// The thread that refreshes a coarse clock, stopped and joined when its last owner drops it.
#[derive(Debug)]
struct Upkeep {
    thread: Option<JoinHandle<()>>,
    alive: Option<Arc<()>>,
    /// The process that has the thread: a child after a fork does not.
    process: u32,
}

impl Upkeep {
    fn start(clock: &CoarseClock, interval: Duration) -> std::io::Result<Self> {
        let alive = Arc::new(());
        let watched = Arc::downgrade(&alive);
        let clock = clock.clone();
        let thread = std::thread::Builder::new()
            .name("tollgate-clock".into())
            .spawn(move || Self::run(&clock, interval, &watched))?;
        Ok(Upkeep { thread: Some(thread), alive: Some(alive), process: std::process::id() })
    }

    fn run(clock: &CoarseClock, interval: Duration, alive: &Weak<()>) {
        while alive.strong_count() > 0 {
            clock.tick();
            std::thread::park_timeout(interval);
        }
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.alive = None;
        if let Some(thread) = self.thread.take() {
            if self.process != std::process::id() {
                // There is nothing to wait for, and nothing to be let go.
                std::mem::forget(thread);
                return;
            }
            Thread::unpark(thread.thread());
            // It can only have ended by itself if it panicked, which no caller can mend.
            let _ = thread.join();
        }
    }
}

/// A clock that moves only when told to: for tests, simulations and recorded traffic.
///
/// Cloning gives another handle to the same clock.
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
    /// A clock at zero: the start of its monotonic time, and of 1970.
    pub fn new() -> Self {
        ManualClock { reading: Arc::new(Reading::new(Now::default())) }
    }

    /// The present reading.
    pub fn now(&self) -> Now {
        self.reading.now()
    }

    /// Sets both readings, also backwards.
    pub fn set(&self, now: Now) {
        self.reading.set(now);
    }

    /// Moves both readings on; they stop at the end of their range.
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
