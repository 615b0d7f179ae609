//! Timing of single calls, by wall time and by CPU time.

use crate::cpu::thread_time;
use hdrhistogram::Histogram;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The reported quantiles and their names.
pub const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("p99.999", 0.99999)];

/// CPU time is read after each call of at least this length, in nanoseconds.
const SLOW: u64 = 20_000;
/// CPU time is also read after this many calls without a reading. Each reading takes a system call.
const CALLS_PER_MARK: u32 = 256;
/// The greatest time that the histogram distinguishes, in nanoseconds. In the quantiles, a longer call
/// counts as this long.
const LONGEST: u64 = 600_000_000_000;

/// Measures calls one by one, in nanoseconds.
///
/// The clock is [`Instant`] instead of the time stamp counter. On Linux a reading of [`Instant`] waits
/// for all earlier loads; the bare counter could be read while the call's last cache miss is pending.
///
/// A call may be slow because the limiter worked, or because the thread was descheduled. The idle
/// time of a thread is its wall time minus its CPU time. Reading the CPU time for each call would cost
/// more than most calls. It is therefore read only after each slow call (20 us or longer), and after 256
/// calls without a reading. The idle time since the previous reading is subtracted from the duration of a
/// slow call. This includes idle time in and between the fast calls since that reading (at most 255
/// calls). So [`worst_on_cpu`](Self::worst_on_cpu) may be too low. It may be too high in two cases:
///
/// - The longest call may be a fast one, from which no idle time is subtracted. The figure is then below
///   20 us.
/// - In a virtual machine, the host may deschedule the whole machine. The guest counts that time as CPU
///   time. The peers of `peers/control.rs`, which have no limiter, show how much this adds.
#[derive(Debug)]
pub struct Stopwatch {
    calls: Histogram<u64>,
    sum: u64,
    worst: u64,
    worst_fast: u64,
    worst_slow_on_cpu: u64,
    since_mark: u32,
    mark: Option<Mark>,
}

/// Wall time and CPU time of the thread, read together.
#[derive(Clone, Copy, Debug)]
struct Mark {
    wall: Instant,
    cpu: Duration,
}

impl Mark {
    fn now() -> Option<Self> {
        Some(Mark { wall: Instant::now(), cpu: thread_time()? })
    }

    /// Nanoseconds since `earlier` in which the thread was not running.
    fn idle_since(&self, earlier: &Mark) -> u64 {
        nanos((self.wall - earlier.wall).saturating_sub(self.cpu.saturating_sub(earlier.cpu)))
    }
}

impl Stopwatch {
    /// Creates an empty stopwatch for the current thread.
    pub fn new() -> Self {
        let calls = Histogram::new_with_bounds(1, LONGEST, 3).expect("bounds in order");
        Stopwatch {
            calls,
            sum: 0,
            worst: 0,
            worst_fast: 0,
            worst_slow_on_cpu: 0,
            since_mark: 0,
            mark: Mark::now(),
        }
    }

    /// Times one call.
    #[inline]
    pub fn time<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = black_box(call());
        let took = nanos(start.elapsed());
        self.record(took);
        result
    }

    #[inline]
    fn record(&mut self, took: u64) {
        self.calls.saturating_record(took);
        self.sum += took;
        self.worst = self.worst.max(took);
        self.since_mark += 1;
        if took >= SLOW {
            self.slow(took);
        } else {
            self.worst_fast = self.worst_fast.max(took);
            if self.since_mark >= CALLS_PER_MARK {
                self.renew_mark();
            }
        }
    }

    #[cold]
    fn slow(&mut self, took: u64) {
        let before = self.mark;
        self.renew_mark();
        if let (Some(before), Some(after)) = (before, self.mark) {
            let on_cpu = took.saturating_sub(after.idle_since(&before));
            self.worst_slow_on_cpu = self.worst_slow_on_cpu.max(on_cpu);
        }
    }

    fn renew_mark(&mut self) {
        self.mark = Mark::now();
        self.since_mark = 0;
    }

    /// The mean, the [`QUANTILES`], the worst call, and the worst call by CPU time.
    pub fn figures(&self) -> Vec<Option<f64>> {
        let mut figures = vec![Some(self.mean())];
        figures.extend(QUANTILES.map(|(_, quantile)| Some(self.quantile(quantile) as f64)));
        figures.push(Some(self.worst() as f64));
        figures.push(self.worst_on_cpu().map(|ns| ns as f64));
        figures
    }

    /// The number of timed calls.
    pub fn count(&self) -> u64 {
        self.calls.len()
    }

    /// The mean time of a call.
    pub fn mean(&self) -> f64 {
        self.sum as f64 / self.count() as f64
    }

    /// The time that this share of the calls did not exceed, with three significant digits.
    pub fn quantile(&self, quantile: f64) -> u64 {
        self.calls.value_at_quantile(quantile).min(self.worst)
    }

    /// The longest call.
    pub fn worst(&self) -> u64 {
        self.worst
    }

    /// The longest call by CPU time: without the time in which the thread was descheduled. `None` if the
    /// system has no CPU time of threads. See [`Stopwatch`].
    pub fn worst_on_cpu(&self) -> Option<u64> {
        self.mark.map(|_| self.worst_slow_on_cpu.max(self.worst_fast))
    }
}

impl Default for Stopwatch {
    fn default() -> Self {
        Self::new()
    }
}

/// The cost of the two clock readings around a call, in nanoseconds: the mean of the fastest batch.
/// A timed call includes about one of the two readings.
pub fn clock_pair_ns() -> f64 {
    const BATCHES: usize = 20;
    const PAIRS: u32 = 50_000;
    let batch = || {
        let start = Instant::now();
        for _ in 0..PAIRS {
            black_box(black_box(Instant::now()).elapsed());
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(PAIRS)
    };
    (0..BATCHES).map(|_| batch()).fold(f64::INFINITY, f64::min)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn worst_on_cpu_excludes_idle_time() {
        let mut watch = Stopwatch::new();
        for call in 0..1000 {
            watch.time(|| {
                if call == 700 {
                    thread::sleep(Duration::from_millis(50));
                }
            });
        }
        assert_eq!(watch.count(), 1000);
        assert!(watch.worst() >= 50_000_000);
        assert_eq!(watch.quantile(1.0), watch.worst());
        if let Some(on_cpu) = watch.worst_on_cpu() {
            assert!(on_cpu < watch.worst() - 40_000_000, "{on_cpu}");
        }
    }

    #[test]
    fn worst_on_cpu_includes_work() {
        let mut watch = Stopwatch::new();
        watch.time(|| {
            let start = thread_time().map(|time| time + Duration::from_millis(5));
            while thread_time() < start {}
        });
        if let Some(on_cpu) = watch.worst_on_cpu() {
            assert!(on_cpu >= 4_500_000, "{on_cpu}");
        }
    }
}
