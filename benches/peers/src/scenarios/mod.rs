//! The measured scenarios.

mod after_inserts;
mod children;
pub(crate) mod cold;
mod disjoint;
mod exact;
mod hot;
mod layers;

use crate::keys::KeyKind;
use crate::result::Outcome;
use crate::scenario::Scenario;
use crate::turns::{Pace, Turns};
use std::io;
use std::time::Duration;
use tollgate::Clock;

/// The size and the duration of scenarios.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// The number of keys of the scenarios `uniform`, `zipf`, `layers-cold`, `new` and `bytes`.
    pub million: usize,
    /// The number of keys of the scenario `large`.
    pub ten_million: usize,
    /// The number of keys that are inserted into an empty limiter for the results `new-large` and `worst`
    /// of the scenario `new`.
    pub new: u64,
    /// The numbers of keys of the scenario `after-inserts`. For each, the first calls after the inserts
    /// are measured.
    pub populations: &'static [u64],
    /// Turns of each contender, in the scenarios that run in this process.
    pub turns: usize,
    /// Rounds of the scenarios in child processes, except `bytes`, which has one.
    pub rounds: usize,
}

impl Size {
    /// Full size: some minutes.
    pub const FULL: Size = Size {
        million: 1_000_000,
        ten_million: 10_000_000,
        new: 10_000_000,
        populations: &[
            700_000, 800_000, 850_000, 900_000, 1_000_000, 1_100_000, 1_200_000, 1_300_000,
        ],
        turns: 30,
        rounds: 3,
    };
    /// Quick size: about a minute. Most tables fit into the same level of cache as at full size.
    pub const QUICK: Size = Size {
        million: 500_000,
        ten_million: 2_000_000,
        new: 1_000_000,
        populations: &[700_000, 1_000_000, 1_300_000],
        turns: 7,
        rounds: 1,
    };
}

/// The way to measure a scenario.
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
    /// If a child process cannot be started, fails, or prints no figures.
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

/// The pace of scenarios whose tables fit into the caches.
const SHORT: Pace = Pace { warm_up: Duration::from_millis(1), slice: Duration::from_millis(4) };
/// The pace of scenarios whose tables do not fit into the caches. The warm-up touches most pages again,
/// because the host of a virtual machine may be slow at the first access to a page since the last turn.
const LONG: Pace = Pace { warm_up: Duration::from_millis(60), slice: Duration::from_millis(20) };

/// All scenarios with keys of this kind, in the order of the report.
pub fn all<K: KeyKind>() -> Vec<Entry> {
    let short = |name, build| Entry { name, method: Method::Turns(build, SHORT) };
    let long = |name, build| Entry { name, method: Method::Turns(build, LONG) };
    vec![
        short("hot", hot::one_admitted::<K>),
        short("hot-1000", hot::thousand_admitted::<K>),
        short("hot-2", hot::admitted_by_two::<K>),
        short("denied", hot::one_denied::<K>),
        short("denied-1000", hot::thousand_denied::<K>),
        short("denied-2", hot::denied_to_two::<K>),
        short("disjoint", disjoint::thousand::<K>),
        long("uniform", cold::uniform_million::<K>),
        long("zipf", cold::zipf_million::<K>),
        long("large", cold::ten_million::<K>),
        short("exact", exact::windows::<K>),
        short("layers", layers::one::<K>),
        short("layers-1000", layers::thousand::<K>),
        long("layers-cold", layers::cold::<K>),
        Entry { name: "after-inserts", method: Method::Children(after_inserts::first_calls::<K>) },
        Entry { name: "new", method: Method::Children(children::new_keys::<K>) },
        Entry { name: "bytes", method: Method::Children(children::bytes::<K>) },
    ]
}

/// This project's coarse clock, refreshed as often as those of the rivals.
fn coarse() -> Clock {
    Clock::coarse(Duration::from_millis(1)).expect("a thread can be started")
}

/// The length of a sequence of random keys, drawn from this many keys.
fn sequence_len(keys: usize) -> usize {
    (keys * 4).min(1 << 23)
}
