//! The oracle for reservations: a log of every charge under one policy and one key.
//!
//! A charge counts at its estimate until its request ends, and at its cost from then on.

use super::civil;
use super::oracle::Interval;

/// A request that reserves.
#[derive(Clone, Copy, Debug)]
pub struct Reserve {
    pub unix_ns: u64,
    pub estimate: u64,
    pub cost: u64,
    /// The time when it ends and its cost is known.
    pub end_ns: u64,
}

impl Reserve {
    pub fn excess(&self) -> u64 {
        self.cost.saturating_sub(self.estimate)
    }

    /// The part of the cost that counts at the time of the start, once the request has ended.
    fn cost_at_start(&self) -> u64 {
        self.cost.min(self.estimate)
    }
}

/// One charge that the tool should count.
#[derive(Clone, Copy)]
struct Entry {
    unix_ns: u64,
    units: u64,
}

/// Returns for each request whether it is admitted. The requests must be in time order.
///
/// Settlements due at or before the time of a request come before it. A settlement lowers the
/// original charge, or charges the excess at the time of the settlement.
pub fn decide(limit: u64, interval: Interval, requests: &[Reserve]) -> Vec<bool> {
    let mut log: Vec<Entry> = Vec::new();
    let mut open: Vec<(usize, Reserve)> = Vec::new();
    let mut answers = Vec::new();
    for request in requests {
        let now = request.unix_ns;
        // By end; requests with equal ends stay in their order (a stable sort).
        open.sort_by_key(|(_, open)| open.end_ns);
        let due = open.partition_point(|(_, open)| open.end_ns <= now);
        for (index, ended) in open.drain(..due) {
            log[index].units = ended.cost_at_start();
            log.push(Entry { unix_ns: ended.end_ns, units: ended.excess() });
        }
        let used: u64 = live(&log, interval, now).sum();
        let passes = used + request.estimate <= limit;
        if passes {
            open.push((log.len(), *request));
            log.push(Entry { unix_ns: now, units: request.estimate });
        }
        answers.push(passes);
    }
    answers
}

fn live(log: &[Entry], interval: Interval, now: u64) -> impl Iterator<Item = u64> {
    log.iter().filter(move |entry| counts(interval, entry.unix_ns, now)).map(|entry| entry.units)
}

fn counts(interval: Interval, then: u64, now: u64) -> bool {
    match interval {
        Interval::Seconds(seconds) => now - then < seconds * civil::SECOND,
        Interval::Calendar(period) => civil::end_of(period, then) == civil::end_of(period, now),
    }
}

/// Checks from the admitted requests alone that none was admitted without room.
///
/// At every admission, the usage must be within the limit. The usage is the estimates of open
/// requests, the costs of ended requests, and each excess from its settlement on. At the end of
/// every request, the usage without the excesses must be within the limit.
///
/// Returns the maximum usage at an admission.
pub fn assert_never_over(limit: u64, interval: Interval, admitted: &[Reserve]) -> u64 {
    // Counts the first `count` requests. Requests from index `open` on count as open.
    let usage = |now: u64, count: usize, open: usize, with_excess: bool| -> u64 {
        let charge = |(index, other): (usize, &Reserve)| {
            let ended = other.end_ns <= now && index < open;
            let units = if ended { other.cost_at_start() } else { other.estimate };
            let units = if counts(interval, other.unix_ns, now) { units } else { 0 };
            let excess = ended && with_excess && counts(interval, other.end_ns, now);
            units + if excess { other.excess() } else { 0 }
        };
        admitted[..count].iter().enumerate().map(charge).sum()
    };
    let mut max_usage = 0;
    for (index, request) in admitted.iter().enumerate() {
        let sum = usage(request.unix_ns, index + 1, index, true);
        assert!(sum <= limit, "{sum} of {limit} after the request at {}", request.unix_ns);
        max_usage = max_usage.max(sum);
        let end = request.end_ns;
        let count = admitted.partition_point(|other| other.unix_ns <= end);
        let sum = usage(end, count, count, false);
        assert!(sum <= limit, "{sum} of {limit} without the excess at {end}");
    }
    max_usage
}
