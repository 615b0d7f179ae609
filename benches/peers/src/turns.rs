//! Interleaved measurement: contenders take turns in short slices, so that other load on the
//! machine affects all of them.

use crate::contender::Contender;
use std::time::{Duration, Instant};

/// The number and the length of the turns of each contender.
#[derive(Clone, Copy, Debug)]
pub struct Turns {
    /// The number of rounds. In each round, each contender takes one turn.
    pub rounds: usize,
    /// The length of a turn.
    pub pace: Pace,
}

/// The length of the two parts of a turn.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The time of work that is not measured. This work refills the caches.
    pub warm_up: Duration,
    /// The time of work that is measured, in one attempt.
    pub slice: Duration,
}

/// Flushes of `crossbeam-epoch` before a turn. They free the garbage of limitador's cache and, where
/// the system has no `membarrier`, of tollgate. Without these flushes, a contender that pins the epoch of
/// `crossbeam-epoch` would free the garbage of earlier contenders in its own slice.
const FLUSHES: usize = 256;
/// A slice, or a block of calls in `after_inserts`, is disturbed if a thread was descheduled for more than
/// this share of its time. A disturbed slice is repeated, up to [`ATTEMPTS`] attempts in all.
pub(crate) const IDLE: f64 = 0.02;
/// The maximum number of attempts for one slice. The result is that of the attempt with the lowest share
/// of idle time.
const ATTEMPTS: usize = 4;

impl Turns {
    /// Measures the contenders in turns. Returns the nanoseconds per decision of each contender in
    /// each round, and the share of disturbed turns: those in which a thread was descheduled for
    /// more than 2 % of the time in every attempt. Figures with many disturbed turns are not
    /// reliable.
    pub fn take(&self, contenders: &mut [Contender]) -> (Vec<Vec<f64>>, f64) {
        let decisions: Vec<usize> =
            contenders.iter_mut().map(|contender| self.decisions(contender)).collect();
        let mut figures = vec![Vec::with_capacity(self.rounds); contenders.len()];
        let mut disturbed = 0;
        for round in 0..self.rounds {
            for position in 0..contenders.len() {
                // Each round starts with another contender, and every other round runs backwards,
                // so that no contender always follows the same one.
                let index = (position + round) % contenders.len();
                let index = if round % 2 == 0 { index } else { contenders.len() - 1 - index };
                let (ns, idle) = self.turn(&mut contenders[index], decisions[index]);
                figures[index].push(ns);
                disturbed += usize::from(idle > IDLE);
            }
        }
        (figures, disturbed as f64 / (self.rounds * contenders.len()).max(1) as f64)
    }

    /// The number of decisions that fill a slice.
    fn decisions(&self, contender: &mut Contender) -> usize {
        let mut decisions = 64;
        loop {
            let start = Instant::now();
            let (ns, _) = contender.measure_slice(decisions);
            if start.elapsed() > self.pace.slice / 8 {
                // A multiple of the batch size.
                return ((self.pace.slice.as_nanos() as f64 / ns) as usize).next_multiple_of(64);
            }
            decisions *= 2;
        }
    }

    /// Takes one turn. Returns the nanoseconds per decision, and the share of the time in which a thread
    /// was descheduled.
    fn turn(&self, contender: &mut Contender, decisions: usize) -> (f64, f64) {
        (0..FLUSHES).for_each(|_| crossbeam_epoch::pin().flush());
        let Pace { warm_up, slice } = self.pace;
        let warm_up = decisions as f64 * warm_up.div_duration_f64(slice);
        contender.measure_slice((warm_up as usize).next_multiple_of(64));
        let mut best = (f64::INFINITY, f64::INFINITY);
        for _ in 0..ATTEMPTS {
            let (ns, idle) = contender.measure_slice(decisions);
            if idle < best.1 {
                best = (ns, idle);
            }
            if idle <= IDLE {
                break;
            }
        }
        best
    }
}
