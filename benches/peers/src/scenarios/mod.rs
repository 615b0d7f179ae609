//! The measured scenarios.

mod bare;
mod baseline;
mod cache_lines;
mod children;
mod cold;
mod disjoint;
mod exact;
mod hot;
mod layers;
mod overlap;
mod window;

use crate::keys::KeyKind;
use crate::result::Outcome;
use crate::scenario::Scenario;
use crate::table::Table;
use crate::turns::{Pace, Turns};
use std::io;
use std::time::Duration;
use tollgate::Clock;

/// The size and the duration of scenarios.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Keys of scenarios with many keys.
    pub million: usize,
    /// Keys of the largest scenario.
    pub ten_million: usize,
    /// Keys that are inserted into an empty limiter.
    pub new: u64,
    /// Bytes of the large block of memory.
    pub block: usize,
    /// Turns of each contender.
    pub turns: usize,
    /// Rounds of scenarios in child processes.
    pub rounds: usize,
}

/// The name of the large block.
const BLOCK: &str = "1 GiB";

impl Size {
    /// Full size: some minutes.
    pub const FULL: Size = Size {
        million: 1_000_000,
        ten_million: 10_000_000,
        new: 10_000_000,
        block: 1 << 30,
        turns: 30,
        rounds: 3,
    };
    /// About a minute. Most scenarios fit into the same caches as at full size.
    pub const QUICK: Size = Size {
        million: 500_000,
        ten_million: 2_000_000,
        new: 1_000_000,
        block: 1 << 30,
        turns: 7,
        rounds: 1,
    };
}

/// The method by which a scenario is measured.
#[derive(Clone, Copy, Debug)]
enum Method {
    /// In this process, in turns of this pace.
    Turns(fn(Size) -> Scenario, Pace),
    /// In child processes.
    Children(fn(Size) -> io::Result<Vec<Outcome>>),
}

/// A scenario that can be run by its name.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The scenario's name.
    pub name: &'static str,
    method: Method,
}

impl Entry {
    /// Sets the scenario up and measures it.
    ///
    /// # Errors
    /// If a child process cannot be started or fails.
    pub fn run(&self, size: Size) -> io::Result<Vec<Outcome>> {
        match self.method {
            Method::Turns(build, pace) => {
                Ok(vec![Outcome::of(build(size), Turns { rounds: size.turns, pace })])
            }
            Method::Children(run) => run(size),
        }
    }

    /// Sets the scenario up; `None` if it runs in child processes.
    pub fn build(&self, size: Size) -> Option<Scenario> {
        match self.method {
            Method::Turns(build, _) => Some(build(size)),
            Method::Children(_) => None,
        }
    }
}

/// The pace of scenarios that fit into the caches.
const SHORT: Pace = Pace { warm_up: Duration::from_millis(1), slice: Duration::from_millis(4) };
/// The pace of scenarios that do not fit into the caches. The warm-up touches most pages again: the
/// host of a virtual machine may be slow at the first access to a page since the last turn.
const LONG: Pace = Pace { warm_up: Duration::from_millis(60), slice: Duration::from_millis(20) };

/// All scenarios with keys of this kind, in the order of the report.
pub fn all<K: KeyKind>() -> Vec<Entry> {
    let short = |name, build| Entry { name, method: Method::Turns(build, SHORT) };
    let long = |name, build| Entry { name, method: Method::Turns(build, LONG) };
    vec![
        short("hot", hot::admitted::<K>),
        short("hot-2", hot::admitted_by_two::<K>),
        short("denied", hot::denied::<K>),
        short("denied-2", hot::denied_to_two::<K>),
        short("disjoint", disjoint::thousand::<K>),
        long("uniform", cold::uniform_million::<K>),
        long("zipf", cold::zipf_million::<K>),
        long("large", cold::ten_million::<K>),
        short("exact", exact::windows::<K>),
        short("layers", layers::hot::<K>),
        long("layers-cold", layers::cold::<K>),
        long("cache-lines", cache_lines::random_accesses),
        long("overlap", overlap::bare_tables::<K>),
        Entry { name: "new", method: Method::Children(children::new_keys::<K>) },
        Entry { name: "bytes", method: Method::Children(children::bytes::<K>) },
    ]
}

/// This project's coarse clock, refreshed as often as those of the rivals.
fn coarse() -> Clock {
    Clock::coarse(Duration::from_millis(1)).expect("a thread can be started")
}

/// The length of a key sequence.
fn sequence_len(keys: usize) -> usize {
    (keys * 4).min(1 << 23)
}

/// Formats a number of keys.
fn many(keys: usize) -> String {
    format!("{} keys", Table::number(Some(keys as f64), 0))
}
