//! One way to do one kind of work: what takes turns with others.

use crate::cpu;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Whose a contender is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// This project's.
    Own,
    /// A rival that keeps something for each key: own contenders are compared with the fastest.
    Rival,
    /// Such a rival on a clock that another thread refreshes.
    CoarseRival,
    /// A rival that shares counters among keys: shown, and not compared with.
    Sketch,
    /// No limiter: what parts of a decision cost by themselves.
    Floor,
}

/// What the answers must be. A figure for admitted requests would be worth nothing if some of them
/// were denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// Every request is admitted.
    Admitted,
    /// Every request is denied.
    Denied,
}

/// Does so many decisions, and returns how many were admitted.
pub type Work = Box<dyn FnMut(usize) -> usize + Send>;

/// Does its work in slices. Each has a limiter of its own, or shares it with contenders that ask it
/// in another way.
pub struct Contender {
    /// How it is called in tables; own ones begin with `tollgate`.
    pub name: String,
    /// Whose it is.
    pub side: Side,
    answers: Answers,
    /// One for each thread.
    threads: Vec<Work>,
}

impl fmt::Debug for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Contender");
        debug.field("name", &self.name).field("side", &self.side).field("answers", &self.answers);
        debug.field("threads", &self.threads.len()).finish()
    }
}

/// What one thread has done in a slice.
struct Share {
    decisions: usize,
    admitted: usize,
    took: Duration,
    /// How much of that the thread did not run.
    idle: Duration,
}

/// One answer in so many may be another: a thread that was set aside between its clock and its
/// exchange asks for a past in which a token bucket was not filled yet.
const OTHERWISE: usize = 1000;
/// How many decisions the other threads make between two looks at whether the slice is over.
const CHUNK: usize = 256;

impl Contender {
    /// With one work for each thread.
    pub fn new(name: &str, side: Side, answers: Answers, threads: Vec<Work>) -> Self {
        Contender { name: name.into(), side, answers, threads }
    }

    /// Does `decisions` on the calling thread, and as many as come out on the others meanwhile.
    /// Returns nanoseconds per decision of all threads together, and the share of the time in which
    /// a thread was set aside.
    ///
    /// # Panics
    /// If an answer is not what the work is about.
    pub fn slice(&mut self, decisions: usize) -> (f64, f64) {
        let shares = match self.threads.as_mut_slice() {
            [work] => vec![Share::of(work, decisions)],
            works => together(works, decisions),
        };
        let mut per_second = 0.0;
        let mut idle: f64 = 0.0;
        for share in &shares {
            let other = match self.answers {
                Answers::Admitted => share.decisions - share.admitted,
                Answers::Denied => share.admitted,
            };
            let of = share.decisions;
            assert!(other * OTHERWISE <= of, "{}: {other} of {of} answers are wrong", self.name);
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

/// The first work on this thread; the others go on for as long as it takes.
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

    fn contender(answers: Answers, admits: fn(usize) -> usize, threads: usize) -> Contender {
        let work = |_| -> Work { Box::new(admits) };
        Contender::new("x", Side::Own, answers, (0..threads).map(work).collect())
    }

    #[test]
    fn the_right_answers_pass() {
        for threads in [1, 2, 3] {
            let (ns, _) = contender(Answers::Admitted, |count| count, threads).slice(10_000);
            assert!(ns > 0.0);
            contender(Answers::Denied, |_| 0, threads).slice(10_000);
            // One in a thousand.
            contender(Answers::Admitted, |count| count - count / 1000, threads).slice(10_000);
        }
    }

    #[test]
    fn wrong_answers_do_not() {
        let fails = |answers, admits: fn(usize) -> usize| {
            for threads in [1, 2] {
                let slice = || contender(answers, admits, threads).slice(10_000);
                assert!(std::panic::catch_unwind(slice).is_err(), "{answers:?}, {threads}");
            }
        };
        fails(Answers::Admitted, |_| 0);
        fails(Answers::Admitted, |count| count - count / 100 - 1);
        fails(Answers::Denied, |count| count / 100 + 1);
    }
}
