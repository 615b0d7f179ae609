//! The work that is measured, scene by scene.

mod bare;
mod children;
mod cold;
mod disjoint;
mod exact;
mod floor;
mod hot;
mod layers;
mod lines;
mod overlap;
mod window;

use crate::keys::KeyKind;
use crate::result::Outcome;
use crate::scene::Scene;
use crate::table::Table;
use crate::turns::{Pace, Turns};
use std::io;
use std::time::Duration;
use tollgate::Clock;

/// How large scenes are, and how long they take.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// The keys of scenes with many.
    pub million: usize,
    /// The keys of the scene with the most.
    pub ten_million: usize,
    /// The new keys.
    pub new: u64,
    /// The bytes of a large block of memory.
    pub block: usize,
    /// How often each contender has its turn,
    pub turns: usize,
    /// and how often in scenes of processes.
    pub rounds: usize,
}

/// How the large block is called.
const BLOCK: &str = "1 GiB";

impl Size {
    /// Some minutes.
    pub const FULL: Size = Size {
        million: 1_000_000,
        ten_million: 10_000_000,
        new: 10_000_000,
        block: 1 << 30,
        turns: 30,
        rounds: 3,
    };
    /// About a minute; what is in caches and what is not is the same for most.
    pub const QUICK: Size = Size {
        million: 500_000,
        ten_million: 2_000_000,
        new: 1_000_000,
        block: 1 << 30,
        turns: 7,
        rounds: 1,
    };
}

/// How a scene is played.
#[derive(Clone, Copy, Debug)]
enum Play {
    /// In this process, in turns of this pace.
    Turns(fn(Size) -> Scene, Pace),
    /// In processes of their own.
    Children(fn(Size) -> io::Result<Vec<Outcome>>),
}

/// A scene by its name.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The scene's name.
    pub name: &'static str,
    play: Play,
}

impl Entry {
    /// Puts the scene on stage and plays it.
    ///
    /// # Errors
    /// If a process cannot be started or fails.
    pub fn play(&self, size: Size) -> io::Result<Vec<Outcome>> {
        match self.play {
            Play::Turns(stage, pace) => {
                Ok(vec![Outcome::of(stage(size), Turns { rounds: size.turns, pace })])
            }
            Play::Children(play) => play(size),
        }
    }

    /// Puts the scene on stage only; `None` if it is played elsewhere.
    pub fn stage(&self, size: Size) -> Option<Scene> {
        match self.play {
            Play::Turns(stage, _) => Some(stage(size)),
            Play::Children(_) => None,
        }
    }
}

/// For what is in the caches.
const SHORT: Pace = Pace { warm_up: Duration::from_millis(1), slice: Duration::from_millis(4) };
/// For what is not. Before it is measured, most pages have been touched again: the host of a virtual
/// machine may be slow at the first touch of a page that nobody has asked for since the last turn.
const LONG: Pace = Pace { warm_up: Duration::from_millis(60), slice: Duration::from_millis(20) };

/// All scenes with keys of this kind, in the order of the report.
pub fn all<K: KeyKind>() -> Vec<Entry> {
    let short = |name, stage| Entry { name, play: Play::Turns(stage, SHORT) };
    let long = |name, stage| Entry { name, play: Play::Turns(stage, LONG) };
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
        long("lines", lines::touches),
        long("overlap", overlap::bare_tables::<K>),
        Entry { name: "new", play: Play::Children(children::new_keys::<K>) },
        Entry { name: "bytes", play: Play::Children(children::bytes::<K>) },
    ]
}

/// This project's clock that a thread of its own refreshes, as often as the rivals' do.
fn coarse() -> Clock {
    Clock::coarse(Duration::from_millis(1)).expect("a thread can be started")
}

/// Visits before a tour begins again.
fn visits(keys: usize) -> usize {
    (keys * 4).min(1 << 23)
}

/// A number of keys in words.
fn many(keys: usize) -> String {
    format!("{} keys", Table::number(Some(keys as f64), 0))
}
