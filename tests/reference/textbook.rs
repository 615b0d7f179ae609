//! Requests over several rules, decided by the logs of their keys.

use super::log::{Kind, Log};
use std::collections::HashMap;

/// One policy as the textbook knows it.
#[derive(Clone, Debug)]
pub struct Rule {
    pub limit: u64,
    pub kind: Kind,
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

/// How one line of a request stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stand {
    pub limit: u64,
    pub left: u64,
    /// There is no room.
    pub violated: bool,
    /// Nanoseconds until there is, if there ever will be.
    pub retry: Option<u64>,
    /// Nanoseconds until all is free.
    pub reset: u64,
}

/// How the times of a rule are taken.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Readings of a window are cut to this.
    pub unit: u64,
    /// No earlier time is used.
    pub floor: u64,
    /// How much longer than it says a charge may count for those who give it back.
    pub grace: u64,
}

#[derive(Clone, Debug)]
pub struct Textbook {
    pub rules: Vec<Rule>,
    pub measures: Vec<Measure>,
    logs: HashMap<(usize, u64), Log>,
    /// How often a key was forgotten.
    lives: HashMap<(usize, u64), u32>,
}

impl Textbook {
    pub fn new(rules: Vec<Rule>) -> Self {
        let measures = vec![Measure { unit: 1, floor: 0, grace: 0 }; rules.len()];
        Textbook { rules, measures, logs: HashMap::new(), lives: HashMap::new() }
    }

    pub(super) fn kind(&self, rule: usize) -> Kind {
        self.rules[rule].kind
    }

    fn log(&self, rule: usize, key: u64) -> Option<&Log> {
        self.logs.get(&(rule, key))
    }

    fn log_mut(&mut self, rule: usize, key: u64) -> &mut Log {
        self.logs.entry((rule, key)).or_default()
    }

    /// A clock that stepped back counts as the newest charge's time.
    pub fn effective(&self, rule: usize, key: u64, now: u64) -> u64 {
        let Measure { unit, floor, .. } = self.measures[rule];
        let newest = self.log(rule, key).map_or(0, Log::newest);
        let now = now.max(floor);
        newest.max(now - now % unit)
    }

    pub fn used(&self, rule: usize, key: u64, now: u64) -> u64 {
        let at = self.effective(rule, key, now);
        self.log(rule, key).map_or(0, |log| log.used(self.kind(rule), at))
    }

    pub fn limit(&self, line: &Line) -> u64 {
        line.3.unwrap_or(self.rules[line.0].limit)
    }

    /// How each line stands before the request. Lines of one request to one key add up.
    pub fn stands(&self, now: u64, lines: &[Line]) -> Vec<Stand> {
        let stand = |(place, line): (usize, &Line)| {
            let same = lines[..place].iter().filter(|other| (other.0, other.1) == (line.0, line.1));
            let cost = line.2 + same.map(|other| other.2).sum::<u64>();
            self.stand(now, line, cost)
        };
        lines.iter().enumerate().map(stand).collect()
    }

    /// How a line stands that would charge so much.
    pub fn stand(&self, now: u64, line: &Line, cost: u64) -> Stand {
        let (rule, key, limit) = (line.0, line.1, self.limit(line));
        let at = self.effective(rule, key, now);
        let empty = Log::default();
        let log = self.log(rule, key).unwrap_or(&empty);
        let used = log.used(self.kind(rule), at);
        let violated = used + cost > limit;
        let fits_at = log.fits_at(self.kind(rule), at, cost, limit);
        let clear_at = log.clear_at(self.kind(rule), at).unwrap_or(now);
        Stand {
            limit,
            left: limit.saturating_sub(used),
            violated,
            retry: (violated && cost <= limit).then(|| fits_at - now),
            reset: clear_at - now,
        }
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
        conclude(lines, &self.stands(now, lines))
    }

    /// How the lines stand when they have been charged.
    pub fn charged(&self, now: u64, lines: &[Line]) -> Vec<Stand> {
        // A cost of nothing that has no room is a debt, which is not told.
        let told = |stand: Stand| Stand { violated: false, retry: None, ..stand };
        lines.iter().map(|line| told(self.stand(now, line, 0))).collect()
    }

    /// The answer to a request that has been charged.
    pub fn least(&self, now: u64, lines: &[Line]) -> Answer {
        conclude(lines, &self.charged(now, lines))
    }

    /// Charges without asking.
    pub fn charge(&mut self, now: u64, line: &Line) {
        if line.2 > 0 {
            let at = self.effective(line.0, line.1, now);
            self.log_mut(line.0, line.1).charge(at, line.2);
        }
    }

    /// A charge that was undone at once: only its time is left.
    pub fn touch(&mut self, now: u64, line: &Line) {
        if line.2 > 0 {
            let at = self.effective(line.0, line.1, now);
            self.log_mut(line.0, line.1).charge(at, 0);
        }
    }

    /// Gives back from the oldest live charges on.
    pub fn refund(&mut self, now: u64, rule: usize, key: u64, amount: u64) -> u64 {
        let at = self.effective(rule, key, now);
        self.take_back((rule, key), at, 0, amount)
    }

    /// Gives back of what was charged at `from` or later and counts at `at`.
    pub(super) fn take_back(
        &mut self,
        counter: (usize, u64),
        at: u64,
        from: u64,
        amount: u64,
    ) -> u64 {
        let (kind, grace) = (self.kind(counter.0), self.measures[counter.0].grace);
        let Some(log) = self.logs.get_mut(&counter) else { return 0 };
        // What has expired shortly before may be what was taken: a late clock need not count it.
        let lingers = |charged| kind.expiry(charged) <= at && kind.expiry(charged) + grace > at;
        let most = if amount > 0 { u64::MAX } else { 0 };
        log.give_back(most, |charged| charged >= from && lingers(charged));
        log.give_back(amount, |charged| charged >= from && kind.expiry(charged) > at)
    }

    pub fn reset(&mut self, rule: usize, key: u64) {
        if let Some(log) = self.logs.get_mut(&(rule, key)) {
            log.reset();
        }
    }

    /// The key starts anew. What it was charged is forgiven, and not given back later.
    pub fn forget(&mut self, rule: usize, key: u64) {
        self.logs.remove(&(rule, key));
        *self.lives.entry((rule, key)).or_default() += 1;
    }

    pub(super) fn lives(&self, rule: usize, key: u64) -> u32 {
        self.lives.get(&(rule, key)).copied().unwrap_or_default()
    }

    pub fn set_limit(&mut self, rule: usize, limit: u64) {
        self.rules[rule].limit = limit;
    }

    /// From now on no time before this one is used.
    pub fn raise_floor(&mut self, rule: usize, at: u64) {
        let floor = &mut self.measures[rule].floor;
        *floor = at.max(*floor);
    }

    /// Every key that was ever charged under a rule, in order.
    pub fn keys(&self, rule: usize) -> Vec<u64> {
        let mut keys: Vec<u64> =
            self.logs.keys().filter(|(of, _)| *of == rule).map(|(_, key)| *key).collect();
        keys.sort_unstable();
        keys
    }

    /// The times of charges that would count now, given back or not.
    pub fn times(&self, rule: usize, key: u64, now: u64) -> usize {
        let at = self.effective(rule, key, now);
        self.log(rule, key).map_or(0, |log| log.times(self.kind(rule), at))
    }

    pub fn newest(&self, rule: usize, key: u64) -> u64 {
        self.log(rule, key).map_or(0, Log::newest)
    }

    /// What was ever charged to a key, for passes of their own.
    pub fn history(&self, rule: usize, key: u64) -> Vec<(u64, u64)> {
        self.log(rule, key).map_or(Vec::new(), |log| log.charges().to_vec())
    }
}

/// The answer that the lines of a request add up to.
pub fn conclude(lines: &[Line], stands: &[Stand]) -> Answer {
    let both = || lines.iter().zip(stands);
    let Some((first, stand)) = both().find(|(_, stand)| stand.violated) else {
        let (line, stand) = both().min_by_key(|(_, stand)| stand.left).unwrap();
        return Answer::Allowed(line.0, stand.limit, stand.left, stand.reset);
    };
    let waits: Option<Vec<u64>> =
        stands.iter().filter(|stand| stand.violated).map(|stand| stand.retry).collect();
    match waits {
        Some(waits) => {
            Answer::Denied(first.0, stand.limit, stand.left, waits.into_iter().max().unwrap())
        }
        None => Answer::Impossible(first.0),
    }
}
