//! A contender: limiters under one workload, measured in slices that alternate with the slices of other
//! contenders.

use crate::cpu;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The group of a contender, for comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// A limiter of this project.
    Own,
    /// A rival that keeps state for each key. An own contender is compared with the fastest of these,
    /// unless its target names another reference.
    Rival,
    /// A rival that keeps state for each key, on a clock that a background thread refreshes.
    CoarseRival,
    /// A rival whose keys share counters. It is shown, but nothing is compared with it.
    Sketch,
    /// A peer without a limiter, which shows the costs of the measurement itself.
    Baseline,
}

/// The expected verdict. A figure for admitted requests means nothing if some of them are denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Every request is admitted.
    Admitted,
    /// Every request is denied.
    Denied,
}

/// Makes the given number of decisions and returns how many were admitted.
pub type Work = Box<dyn FnMut(usize) -> usize + Send>;

/// A named workload for one or more threads, run in slices. A contender has its own limiters, or shares
/// one with other contenders.
pub struct Contender {
    /// The name in tables. Names of own contenders begin with `tollgate`.
    pub name: String,
    /// Its group.
    pub side: Side,
    expected: Expected,
    /// One closure for each thread.
    threads: Vec<Work>,
}

impl fmt::Debug for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Contender");
        debug.field("name", &self.name).field("side", &self.side).field("expected", &self.expected);
        debug.field("threads", &self.threads.len()).finish()
    }
}

/// The work of one thread in one slice.
struct Share {
    decisions: usize,
    admitted: usize,
    took: Duration,
    /// The part of `took` in which the thread was not running.
    idle: Duration,
}

/// One verdict in this many may be unexpected. A thread that is descheduled between its clock reading
/// and its CAS decides at an old time, at which a token bucket was not refilled yet.
const UNEXPECTED: usize = 1000;
/// All threads but the first check after this many decisions whether the slice has ended.
const CHUNK: usize = 256;

impl Contender {
    /// Creates a contender with one closure for each thread.
    pub fn new(name: &str, side: Side, expected: Expected, threads: Vec<Work>) -> Self {
        Contender { name: name.into(), side, expected, threads }
    }

    /// Makes `decisions` on the calling thread, while the other threads make as many as they can.
    ///
    /// Returns two numbers. The first is the nanoseconds per decision of all threads together. The second
    /// is the idle share of the thread with the largest one: the share of its time in which this thread
    /// was descheduled. It is 0 if the system has no CPU time of threads.
    ///
    /// # Panics
    /// If more than one verdict in a thousand of any thread is not the expected one.
    pub fn measure_slice(&mut self, decisions: usize) -> (f64, f64) {
        let shares = match self.threads.as_mut_slice() {
            [work] => vec![Share::of(work, decisions)],
            works => together(works, decisions),
        };
        let mut per_second = 0.0;
        let mut idle: f64 = 0.0;
        for share in &shares {
            let unexpected = match self.expected {
                Expected::Admitted => share.decisions - share.admitted,
                Expected::Denied => share.admitted,
            };
            let of = share.decisions;
            assert!(unexpected * UNEXPECTED <= of, "{}: {unexpected} of {of} are wrong", self.name);
            let took = share.took.as_secs_f64().max(1e-9);
            per_second += share.decisions as f64 / took;
            idle = idle.max(share.idle.as_secs_f64() / took);
        }
        (1e9 / per_second, idle)
    }
}

impl Share {
    fn of(work: &mut Work, decisions: usize) -> Share {
        Self::measured(|| (decisions, work(decisions)))
    }

    fn measured(work: impl FnOnce() -> (usize, usize)) -> Share {
        let ran_before = cpu::thread_time();
        let start = Instant::now();
        let (decisions, admitted) = work();
        let took = start.elapsed();
        let ran = cpu::thread_time().zip(ran_before).map(|(after, before)| after - before);
        let idle = ran.map_or(Duration::ZERO, |ran| took.saturating_sub(ran));
        Share { decisions, admitted, took, idle }
    }
}

/// Runs the first closure on this thread. Runs each of the others on its own thread until the first
/// returns.
fn together(works: &mut [Work], decisions: usize) -> Vec<Share> {
    let over = AtomicBool::new(false);
    let begun = AtomicBool::new(false);
    let (first, others) = works.split_first_mut().expect("at least one thread");
    let until_over = |work: &mut Work| {
        let (mut done, mut admitted) = (0, 0);
        begun.store(true, Ordering::Release);
        while !over.load(Ordering::Acquire) {
            admitted += work(CHUNK);
            done += CHUNK;
        }
        (done, admitted)
    };
    std::thread::scope(|scope| {
        let share = |work| scope.spawn(|| Share::measured(|| until_over(work)));
        let others: Vec<_> = others.iter_mut().map(share).collect();
        while !begun.load(Ordering::Acquire) {
            std::hint::spin_loop();
        }
        let mut shares = vec![Share::of(first, decisions)];
        over.store(true, Ordering::Release);
        shares.extend(others.into_iter().map(|other| other.join().expect("no work panics")));
        shares
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contender(expected: Expected, admits: fn(usize) -> usize, threads: usize) -> Contender {
        let work = |_| -> Work { Box::new(admits) };
        Contender::new("x", Side::Own, expected, (0..threads).map(work).collect())
    }

    #[test]
    fn expected_verdicts_pass() {
        for threads in [1, 2, 3] {
            let (ns, _) =
                contender(Expected::Admitted, |count| count, threads).measure_slice(10_000);
            assert!(ns > 0.0);
            contender(Expected::Denied, |_| 0, threads).measure_slice(10_000);
            // One in a thousand.
            contender(Expected::Admitted, |count| count - count / 1000, threads)
                .measure_slice(10_000);
        }
    }

    #[test]
    fn unexpected_verdicts_panic() {
        let fails = |expected, admits: fn(usize) -> usize| {
            for threads in [1, 2] {
                let slice = || contender(expected, admits, threads).measure_slice(10_000);
                assert!(std::panic::catch_unwind(slice).is_err(), "{expected:?}, {threads}");
            }
        };
        fails(Expected::Admitted, |_| 0);
        fails(Expected::Admitted, |count| count - count / 100 - 1);
        fails(Expected::Denied, |count| count / 100 + 1);
    }
}
