//! The textbook of reservations: a log of every charge under one policy and one key, at its
//! estimate until its request is over, and at its cost from then on.

use super::civil;
use super::textbook::Rate;

/// A request that reserves.
#[derive(Clone, Copy, Debug)]
pub struct Reserve {
    pub unix_ns: u64,
    pub estimate: u64,
    pub cost: u64,
    /// When it is over and its cost is known.
    pub end_ns: u64,
}

impl Reserve {
    pub fn excess(&self) -> u64 {
        self.cost.saturating_sub(self.estimate)
    }

    /// What of its charge stands at its own time once it is over.
    fn kept(&self) -> u64 {
        self.cost.min(self.estimate)
    }
}

/// One charge: what the tool should count, and when.
#[derive(Clone, Copy)]
struct Entry {
    unix_ns: u64,
    units: u64,
}

/// Which requests pass, of those in time order. A settlement that is due by a request's time comes
/// before it: it lowers the charge where it stands, or charges the excess at the settlement's time.
pub fn decide(limit: u64, rate: Rate, requests: &[Reserve]) -> Vec<bool> {
    let mut log: Vec<Entry> = Vec::new();
    let mut open: Vec<(usize, Reserve)> = Vec::new();
    let mut answers = Vec::new();
    for request in requests {
        let now = request.unix_ns;
        // By time of the end; those of one time in the order of their requests.
        open.sort_by_key(|(_, open)| open.end_ns);
        let due = open.partition_point(|(_, open)| open.end_ns <= now);
        for (place, over) in open.drain(..due) {
            log[place].units = over.kept();
            log.push(Entry { unix_ns: over.end_ns, units: over.excess() });
        }
        let used: u64 = live(&log, rate, now).sum();
        let passes = used + request.estimate <= limit;
        if passes {
            open.push((log.len(), *request));
            log.push(Entry { unix_ns: now, units: request.estimate });
        }
        answers.push(passes);
    }
    answers
}

fn live(log: &[Entry], rate: Rate, now: u64) -> impl Iterator<Item = u64> {
    log.iter().filter(move |entry| counts(rate, entry.unix_ns, now)).map(|entry| entry.units)
}

fn counts(rate: Rate, then: u64, now: u64) -> bool {
    match rate {
        Rate::Seconds(seconds) => now - then < seconds * civil::SECOND,
        Rate::Calendar(period) => civil::end_of(period, then) == civil::end_of(period, now),
    }
}

/// Checks that no request passed that had no room, from what passed alone: at every admission what
/// counts, with estimates of requests that are not over, costs of those that are, and every excess
/// where it was charged, is within the limit; and at every end it is but for the excess.
/// Gives the most that counted at an admission.
pub fn never_over(limit: u64, rate: Rate, passed: &[Reserve]) -> u64 {
    // Of the first so many; those from `fresh` on are not over, whatever the time.
    let counted = |now: u64, came: usize, fresh: usize, with_excess: bool| -> u64 {
        let charge = |(index, other): (usize, &Reserve)| {
            let over = other.end_ns <= now && index < fresh;
            let units = if over { other.kept() } else { other.estimate };
            let units = if counts(rate, other.unix_ns, now) { units } else { 0 };
            let excess = over && with_excess && counts(rate, other.end_ns, now);
            units + if excess { other.excess() } else { 0 }
        };
        passed[..came].iter().enumerate().map(charge).sum()
    };
    let mut most = 0;
    for (index, request) in passed.iter().enumerate() {
        let sum = counted(request.unix_ns, index + 1, index, true);
        assert!(sum <= limit, "{sum} of {limit} after the request at {}", request.unix_ns);
        most = most.max(sum);
        let end = request.end_ns;
        let came = passed.partition_point(|other| other.unix_ns <= end);
        let sum = counted(end, came, came, false);
        assert!(sum <= limit, "{sum} of {limit} without the excess at {end}");
    }
    most
}
