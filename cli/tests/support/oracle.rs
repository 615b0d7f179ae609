//! The oracle: an exact reference limiter.
//!
//! It keeps a log of all admitted requests for each key, and a sum for each calendar period.

use super::civil;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};

/// A policy.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    pub name: &'static str,
    pub key: &'static str,
    /// The field of the cost; `None` is a cost of 1.
    pub cost: Option<&'static str>,
    pub limit: u64,
    pub interval: Interval,
}

#[derive(Clone, Copy, Debug)]
pub enum Interval {
    Seconds(u64),
    Calendar(&'static str),
}

impl Policy {
    pub fn toml(&self) -> String {
        let Policy { name, key, limit, .. } = self;
        let cost = self.cost.map_or(String::new(), |field| format!("cost = {field:?}\n"));
        let interval = match self.interval {
            Interval::Seconds(seconds) => format!("window = \"{seconds}s\""),
            Interval::Calendar(period) => format!("calendar = {period:?}"),
        };
        format!("[[policy]]\nname = {name:?}\nkey = {key:?}\n{cost}limit = {limit}\n{interval}\n\n")
    }
}

/// One line of a log.
#[derive(Clone, Debug)]
pub struct Request {
    pub line: u64,
    pub unix_ns: u64,
    pub fields: HashMap<&'static str, String>,
}

/// Parses a Combined Log Format log without escaped quotes. Returns its requests in time order.
pub fn read_clf(text: &str) -> Vec<Request> {
    let request = |(index, line): (usize, &str)| {
        let quoted: Vec<&str> = line.split('"').collect();
        let head: Vec<&str> = quoted[0].split_whitespace().collect();
        let tail: Vec<&str> = quoted[2].split_whitespace().collect();
        let target = quoted[1].split(' ').nth(1).unwrap_or(quoted[1]);
        let when = format!("{} {}", &head[3][1..], head[4].trim_end_matches(']'));
        let path = target.split('?').next().unwrap();
        let values = [("ip", head[0]), ("user", head[2]), ("path", path), ("bytes", tail[1])];
        let fields = values.map(|(name, value)| (name, value.to_owned()));
        let line = index as u64 + 1;
        Request { line, unix_ns: civil::from_clf(&when), fields: fields.into() }
    };
    in_time_order(text.lines().enumerate().map(request).collect())
}

/// Parses a CSV log without quotes whose first column is the time. `columns` names the others.
/// Returns its requests in time order.
pub fn read_csv(text: &str, columns: &[&'static str]) -> Vec<Request> {
    let request = |(index, line): (usize, &str)| {
        let values: Vec<&str> = line.split(',').collect();
        assert_eq!(values.len(), columns.len() + 1);
        let named = columns.iter().zip(&values[1..]);
        let fields = named.map(|(column, value)| (*column, value.to_string())).collect();
        Request { line: index as u64 + 1, unix_ns: civil::from_iso(values[0]), fields }
    };
    in_time_order(text.lines().enumerate().skip(1).map(request).collect())
}

fn in_time_order(mut requests: Vec<Request>) -> Vec<Request> {
    requests.sort_by_key(|request| request.unix_ns);
    requests
}

/// The oracle's answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Admit,
    /// The index of the first policy without room, and the longest wait of all policies without
    /// room; `None` if one of them never has room.
    Deny(usize, Option<u64>),
}

impl Answer {
    pub fn retry_after_ms(self) -> i64 {
        match self {
            Answer::Admit => 0,
            Answer::Deny(_, None) => -1,
            Answer::Deny(_, Some(wait_ns)) => wait_ns.div_ceil(1_000_000) as i64,
        }
    }
}

/// The state of one policy.
#[derive(Default)]
struct State {
    /// For each key, the time and cost of each admitted request.
    log: HashMap<String, VecDeque<(u64, u64)>>,
    /// For each key and end of a period, the cost admitted in the period.
    used: HashMap<(String, u64), u64>,
}

/// The time until a policy has room, in nanoseconds; `None` if it never has room.
type Wait = Option<u64>;

impl State {
    fn room(&mut self, policy: &Policy, key: &str, cost: u64, now: u64) -> Result<(), Wait> {
        if cost > policy.limit {
            return Err(None);
        }
        match policy.interval {
            Interval::Calendar(period) => {
                let end = civil::end_of(period, now);
                let used = self.used.get(&(key.to_owned(), end)).copied().unwrap_or(0);
                if used + cost <= policy.limit { Ok(()) } else { Err(Some(end - now)) }
            }
            Interval::Seconds(seconds) => {
                let window = seconds * civil::SECOND;
                let log = self.log.entry(key.to_owned()).or_default();
                while log.front().is_some_and(|(time, _)| now - time >= window) {
                    log.pop_front();
                }
                let mut live: u64 = log.iter().map(|(_, cost)| cost).sum();
                if live + cost <= policy.limit {
                    return Ok(());
                }
                for (time, freed) in log {
                    live -= *freed;
                    if live + cost <= policy.limit {
                        return Err(Some(*time + window - now));
                    }
                }
                unreachable!("a cost within the limit fits once all has expired")
            }
        }
    }

    fn charge(&mut self, policy: &Policy, key: &str, cost: u64, now: u64) {
        match policy.interval {
            Interval::Calendar(period) => {
                let end = civil::end_of(period, now);
                *self.used.entry((key.to_owned(), end)).or_default() += cost;
            }
            Interval::Seconds(_) => {
                self.log.entry(key.to_owned()).or_default().push_back((now, cost));
            }
        }
    }
}

/// Decides all requests, which must be in time order.
pub fn decide(policies: &[Policy], requests: &[Request]) -> Vec<Answer> {
    let mut states: Vec<State> = policies.iter().map(|_| State::default()).collect();
    let decide = |request: &Request| {
        let now = request.unix_ns;
        // A request without a key has no charge.
        let charges: Vec<Option<(String, u64)>> = policies
            .iter()
            .map(|policy| Some((key(policy, request)?, cost(policy, request))))
            .collect();
        let verdicts: Vec<Result<(), Wait>> = charges
            .iter()
            .enumerate()
            .map(|(index, charge)| match charge {
                Some((key, cost)) => states[index].room(&policies[index], key, *cost, now),
                None => Ok(()),
            })
            .collect();
        if let Some(first) = verdicts.iter().position(Result::is_err) {
            let waits: Option<Vec<u64>> =
                verdicts.iter().filter_map(|verdict| verdict.err()).collect();
            return Answer::Deny(first, waits.and_then(|waits| waits.into_iter().max()));
        }
        for (index, charge) in charges.iter().enumerate() {
            if let Some((key, cost)) = charge {
                states[index].charge(&policies[index], key, *cost, now);
            }
        }
        Answer::Admit
    };
    requests.iter().map(decide).collect()
}

/// The key of a request; `None` if it is absent.
fn key(policy: &Policy, request: &Request) -> Option<String> {
    if policy.key == "*" {
        return Some(String::new());
    }
    let value = &request.fields[policy.key];
    match value.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            Some(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_string())
        }
        _ if value == "-" => None,
        _ => Some(value.clone()),
    }
}

pub fn cost(policy: &Policy, request: &Request) -> u64 {
    let Some(field) = policy.cost else { return 1 };
    let value = &request.fields[field];
    if value == "-" { 0 } else { value.parse().unwrap() }
}
