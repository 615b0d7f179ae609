//! The work that is measured, scene by scene.

mod cold;
mod floor;
mod hot;

use crate::keys::KeyKind;
use crate::scene::Scene;
use std::time::Duration;
use tollgate::Clock;

/// How large scenes are.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// The keys of the scenes of `1M`.
    pub million: usize,
    /// The keys of the scene of `10M`.
    pub ten_million: usize,
}

impl Size {
    /// As the names say.
    pub const FULL: Size = Size { million: 1_000_000, ten_million: 10_000_000 };
}

/// A scene by its name, and how to put it on stage.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The scene's name.
    pub name: &'static str,
    /// Makes and fills all limiters, which may take a while.
    pub stage: fn(Size) -> Scene,
    /// How long a turn takes: long enough that what other contenders left in the caches is nothing.
    pub slice: Duration,
}

const SHORT: Duration = Duration::from_millis(3);
const LONG: Duration = Duration::from_millis(20);

/// All scenes with keys of this kind, in the order of the report.
pub fn all<K: KeyKind>() -> Vec<Entry> {
    let entry = |name, stage, slice| Entry { name, stage, slice };
    vec![
        entry("hot", hot::admitted::<K>, SHORT),
        entry("hot-2", hot::admitted_by_two::<K>, SHORT),
        entry("denied", hot::denied::<K>, SHORT),
        entry("denied-2", hot::denied_to_two::<K>, SHORT),
        entry("1M", cold::uniform_million::<K>, LONG),
        entry("1M-zipf", cold::zipf_million::<K>, LONG),
        entry("10M", cold::ten_million::<K>, LONG),
    ]
}

/// This project's clock that a thread of its own refreshes, as often as the rivals' do.
fn coarse() -> Clock {
    Clock::coarse(Duration::from_millis(1)).expect("a thread can be started")
}
