//! The slow textbook: a log of every admitted charge, written to be obviously right.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::collections::HashMap;
use std::time::Duration;

/// So many cases, or PROPTEST_CASES of them.
pub fn cases(default: u32) -> proptest::test_runner::Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    proptest::test_runner::Config::with_cases(cases.unwrap_or(default))
}

/// One policy as the textbook knows it.
#[derive(Clone, Debug)]
pub struct Rule {
    pub limit: u64,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A window in nanoseconds.
    Sliding(u64),
    /// Periods of a fixed length in nanoseconds: UTC hours or days.
    Fixed(u64),
}

/// One line of a request: rule, key, cost, and a limit of its own.
pub type Line = (usize, u64, u64, Option<u64>);

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// Rule with the least left, its limit, what is left, nanoseconds until all is free.
    Allowed(usize, u64, u64, u64),
    /// First rule without room, its limit, what is left, nanoseconds until the request has room.
    Denied(usize, u64, u64, u64),
    Impossible(usize),
}

#[derive(Clone, Debug, Default)]
struct Log {
    charges: Vec<(u64, u64)>,
    newest: u64,
}

#[derive(Clone, Debug)]
pub struct Textbook {
    pub rules: Vec<Rule>,
    logs: HashMap<(usize, u64), Log>,
    /// No earlier time is used.
    pub floor: u64,
}

impl Textbook {
    pub fn new(rules: Vec<Rule>) -> Self {
        Textbook { rules, logs: HashMap::new(), floor: 0 }
    }

    /// A clock that stepped back counts as the newest charge's time.
    fn effective(&self, rule: usize, key: u64, now: u64) -> u64 {
        let newest = self.logs.get(&(rule, key)).map_or(0, |log| log.newest);
        now.max(newest).max(self.floor)
    }

    fn expiry(&self, rule: usize, charged: u64) -> u64 {
        match self.rules[rule].kind {
            Kind::Sliding(window) => charged + window,
            Kind::Fixed(length) => (charged / length + 1) * length,
        }
    }

    /// Live charges at `at`, oldest first, as (expiry, cost).
    fn live(&self, rule: usize, key: u64, at: u64) -> Vec<(u64, u64)> {
        let charges = self.logs.get(&(rule, key)).map_or(&[][..], |log| &log.charges);
        let mut live: Vec<_> =
            charges.iter().map(|(t, cost)| (self.expiry(rule, *t), *cost)).collect();
        live.retain(|(expiry, cost)| *expiry > at && *cost > 0);
        live
    }

    pub fn used(&self, rule: usize, key: u64, now: u64) -> u64 {
        let at = self.effective(rule, key, now);
        self.live(rule, key, at).iter().map(|(_, cost)| cost).sum()
    }

    /// The first time at which `cost` fits under `limit`.
    fn fits_at(&self, rule: usize, key: u64, now: u64, cost: u64, limit: u64) -> u64 {
        let at = self.effective(rule, key, now);
        let live = self.live(rule, key, at);
        let mut used: u64 = live.iter().map(|(_, cost)| cost).sum();
        let mut fits_at = at;
        for (expiry, gone) in live {
            if used + cost <= limit {
                break;
            }
            (used, fits_at) = (used - gone, expiry);
        }
        fits_at
    }

    fn clear_at(&self, rule: usize, key: u64, now: u64) -> u64 {
        let at = self.effective(rule, key, now);
        self.live(rule, key, at).iter().map(|(expiry, _)| *expiry).max().unwrap_or(now)
    }

    fn limit(&self, line: &Line) -> u64 {
        line.3.unwrap_or(self.rules[line.0].limit)
    }

    pub fn check(&mut self, now: u64, lines: &[Line]) -> Answer {
        let answer = self.peek(now, lines);
        let Answer::Allowed(..) = answer else {
            return answer;
        };
        lines.iter().for_each(|line| self.charge(now, line));
        self.least(now, lines)
    }

    pub fn peek(&self, now: u64, lines: &[Line]) -> Answer {
        let mut lacking = Vec::new();
        for (place, line) in lines.iter().enumerate() {
            let same = lines[..place].iter().filter(|other| (other.0, other.1) == (line.0, line.1));
            let cost = line.2 + same.map(|other| other.2).sum::<u64>();
            if self.used(line.0, line.1, now) + cost > self.limit(line) {
                lacking.push((*line, cost));
            }
        }
        let Some((first, _)) = lacking.first() else {
            return self.least(now, lines);
        };
        if lacking.iter().any(|(line, cost)| *cost > self.limit(line)) {
            return Answer::Impossible(first.0);
        }
        let wait = |(line, cost): &(Line, u64)| {
            self.fits_at(line.0, line.1, now, *cost, self.limit(line)) - now
        };
        let longest = lacking.iter().map(wait).max().unwrap();
        let left = self.limit(first).saturating_sub(self.used(first.0, first.1, now));
        Answer::Denied(first.0, self.limit(first), left, longest)
    }

    fn least(&self, now: u64, lines: &[Line]) -> Answer {
        let left = |line: &Line| self.limit(line).saturating_sub(self.used(line.0, line.1, now));
        let line = lines.iter().min_by_key(|line| left(line)).unwrap();
        let reset = self.clear_at(line.0, line.1, now).saturating_sub(now);
        Answer::Allowed(line.0, self.limit(line), left(line), reset)
    }

    /// Charges without asking.
    pub fn charge(&mut self, now: u64, line: &Line) {
        if line.2 == 0 {
            return;
        }
        let at = self.effective(line.0, line.1, now);
        let log = self.logs.entry((line.0, line.1)).or_default();
        log.newest = at;
        log.charges.push((at, line.2));
    }

    /// Gives back from the oldest live charges on.
    pub fn refund(&mut self, now: u64, rule: usize, key: u64, amount: u64) -> u64 {
        let at = self.effective(rule, key, now);
        let kind = self.rules[rule].kind;
        let Some(log) = self.logs.get_mut(&(rule, key)) else {
            return 0;
        };
        let mut rest = amount;
        for (charged, cost) in &mut log.charges {
            let expiry = match kind {
                Kind::Sliding(window) => *charged + window,
                Kind::Fixed(length) => (*charged / length + 1) * length,
            };
            if expiry > at {
                let given = rest.min(*cost);
                (*cost, rest) = (*cost - given, rest - given);
            }
        }
        amount - rest
    }

    pub fn reset(&mut self, rule: usize, key: u64) {
        if let Some(log) = self.logs.get_mut(&(rule, key)) {
            log.charges.clear();
        }
    }

    /// What was ever charged to a key, for passes of their own.
    pub fn history(&self, rule: usize, key: u64) -> Vec<(u64, u64)> {
        self.logs.get(&(rule, key)).map_or(Vec::new(), |log| log.charges.clone())
    }
}

/// Panics if any half-open window of recorded times holds more than the limit.
pub fn assert_never_over(charges: &[(u64, u64)], window: u64, limit: u64) {
    let mut charges = charges.to_vec();
    charges.sort_unstable();
    let (mut oldest, mut sum) = (0, 0_u64);
    for &(at, cost) in &charges {
        sum += cost;
        while at - charges[oldest].0 >= window {
            sum -= charges[oldest].1;
            oldest += 1;
        }
        assert!(sum <= limit, "{sum} in a window of {limit}, up to {at}");
    }
}

/// The limiter's answer in the textbook's words.
pub fn answer(decision: &tollgate::Decision) -> Answer {
    use tollgate::Verdict::*;
    let policy = decision.policy.index();
    let ns = |wait: Duration| u64::try_from(wait.as_nanos()).unwrap();
    match decision.verdict {
        Allowed => {
            Answer::Allowed(policy, decision.limit, decision.remaining, ns(decision.reset_after))
        }
        Denied => Answer::Denied(
            policy,
            decision.limit,
            decision.remaining,
            ns(decision.retry_after.unwrap()),
        ),
        Impossible => Answer::Impossible(policy),
        other => panic!("{other:?} is no answer to a good request"),
    }
}
