//! Contenders take turns in short slices, so that whatever else the machine does meets them all.

use crate::contender::Contender;
use std::time::{Duration, Instant};

/// How turns are taken.
#[derive(Clone, Copy, Debug)]
pub struct Turns {
    /// How often each contender has its turn.
    pub rounds: usize,
    /// How long each turn is.
    pub pace: Pace,
}

/// How long one turn is.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// What is not measured, and brings the contender's own things back.
    pub warm_up: Duration,
    /// What is measured.
    pub slice: Duration,
}

/// Calls that free what others have left to the epoch which all of a process share: without them it
/// would be freed by whoever pins next, in his time.
const FREED: usize = 256;
/// A slice in which a thread was set aside for longer than this share is measured again,
const IDLE: f64 = 0.02;
/// so many times at most; the best of them counts.
const TRIES: usize = 4;

impl Turns {
    /// Lets them take turns; for each of them its nanoseconds per decision, one a round. Then the
    /// share of all turns in which a thread was set aside for more than a fiftieth of the time, in
    /// each of some tries: on a machine that does something else these figures are worth little.
    pub fn take(&self, contenders: &mut [Contender]) -> (Vec<Vec<f64>>, f64) {
        let decisions: Vec<usize> =
            contenders.iter_mut().map(|contender| self.decisions(contender)).collect();
        let mut figures = vec![Vec::with_capacity(self.rounds); contenders.len()];
        let mut disturbed = 0;
        for round in 0..self.rounds {
            for place in 0..contenders.len() {
                // Another one begins each time, and every other round goes backwards, so that
                // nobody always follows the same one.
                let place = (place + round) % contenders.len();
                let place = if round % 2 == 0 { place } else { contenders.len() - 1 - place };
                let (ns, idle) = self.turn(&mut contenders[place], decisions[place]);
                figures[place].push(ns);
                disturbed += usize::from(idle > IDLE);
            }
        }
        (figures, disturbed as f64 / (self.rounds * contenders.len()).max(1) as f64)
    }

    /// How many decisions fill a slice.
    fn decisions(&self, contender: &mut Contender) -> usize {
        let mut decisions = 64;
        loop {
            let start = Instant::now();
            let (ns, _) = contender.slice(decisions);
            if start.elapsed() > self.pace.slice / 8 {
                // Whole batches.
                return ((self.pace.slice.as_nanos() as f64 / ns) as usize).next_multiple_of(64);
            }
            decisions *= 2;
        }
    }

    /// Nanoseconds per decision, and the share of the time for which a thread was set aside.
    fn turn(&self, contender: &mut Contender, decisions: usize) -> (f64, f64) {
        (0..FREED).for_each(|_| crossbeam_epoch::pin().flush());
        let Pace { warm_up, slice } = self.pace;
        let warm_up = decisions as f64 * warm_up.div_duration_f64(slice);
        contender.slice((warm_up as usize).next_multiple_of(64));
        let mut best = (f64::INFINITY, f64::INFINITY);
        for _ in 0..TRIES {
            let (ns, idle) = contender.slice(decisions);
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
