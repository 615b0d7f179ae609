//! Many keys, most of which are not in a cache when they are used.
//!
//! In rows without `maintained`, nothing calls `maintain`. If the inserts have begun a move of keys to a
//! larger array, the warm-up ends the move before the measurement; `after_inserts` measures calls during
//! such a move. The tables stay in small pages, unless the system's mode of huge pages is `always`. In
//! rows with `maintained`, large tables are in huge pages.

use super::{Size, sequence_len};
use crate::contender::{Expected, Side};
use crate::entry_points::{EntryPoint, OwnLimiter};
use crate::key_sequence::{KeySequence, shuffled, uniform, zipf};
use crate::keys::KeyKind;
use crate::peer::Setting;
use crate::scenario::{Goal, Reference, Scenario, Setup, Target};
use std::sync::Arc;
use std::time::Duration;
use tollgate::Clock;

const ONE_CALL: &str = "tollgate";
const SESSION: &str = "tollgate, session";
const CHECK_AT: &str = "tollgate, check_at";
const BATCHES: &str = "tollgate, check_many";
const COARSE: &str = "tollgate, coarse clock";
const MAINTAINED_ONE_CALL: &str = "tollgate, maintained";
const MAINTAINED_SESSION: &str = "tollgate, maintained, session";
const MAINTAINED_CHECK_AT: &str = "tollgate, maintained, check_at";
const MAINTAINED_BATCHES: &str = "tollgate, maintained, check_many";
const MAINTAINED_COARSE: &str = "tollgate, maintained, coarse clock";

/// A limit that admits all requests, with a window in which all keys stay live. The limit must be high:
/// with the Zipf distribution one request in fifteen is for the most frequent key, and four contenders
/// use the same limiter.
pub(crate) fn setting(keys: usize) -> Setting {
    Setting {
        limit: 100_000_000,
        window: Duration::from_secs(20 * 60),
        // Limiters that divide their capacity among shards need a reserve.
        max_keys: keys * 8 / 5,
    }
}

fn setup<K: KeyKind>(keys: usize, sequence: Vec<K>) -> Setup<K> {
    Setup::new(setting(keys), shuffled(keys, 1), KeySequence::new(sequence), Expected::Admitted)
}

/// Adds four contenders that use one limiter. Their entry points, in the order of `names`: `check`, a
/// session, `check_at`, and `check_many`.
fn entry_points<K: KeyKind>(setup: &mut Setup<K>, own: &Arc<OwnLimiter>, names: [&str; 4]) {
    let entries =
        [EntryPoint::Check, EntryPoint::Session, EntryPoint::CHECK_AT, EntryPoint::CheckMany];
    for (name, entry) in names.into_iter().zip(entries) {
        setup.entry_point(name, own, entry);
    }
}

fn as_inserted<K: KeyKind>(setup: &mut Setup<K>) {
    let own = setup.own_limiter(Some(7), Clock::precise());
    entry_points(setup, &own, [ONE_CALL, SESSION, CHECK_AT, BATCHES]);
}

fn maintained<K: KeyKind>(setup: &mut Setup<K>) {
    let own = setup.maintained_limiter(Some(7), Clock::precise());
    let names = [MAINTAINED_ONE_CALL, MAINTAINED_SESSION, MAINTAINED_CHECK_AT, MAINTAINED_BATCHES];
    entry_points(setup, &own, names);
}

pub(super) fn uniform_million<K: KeyKind>(size: Size) -> Scenario {
    let keys = size.million;
    let mut setup = setup::<K>(keys, uniform(keys, sequence_len(keys), 2));
    as_inserted(&mut setup);
    maintained(&mut setup);
    let own = setup.own_limiter(Some(7), super::coarse());
    setup.entry_point(COARSE, &own, EntryPoint::Check);
    let own = setup.maintained_limiter(Some(7), super::coarse());
    setup.entry_point(MAINTAINED_COARSE, &own, EntryPoint::Check);
    setup.rivals();
    setup.coarse_rivals();
    let title = format!("{}, uniform", K::many(keys));
    let row = |how: &str, own, goal| Target::new(format!("{title}, {how}"), own, goal);
    let vs_coarse = |how: &str, own, goal| {
        let how = format!("{how}, vs coarse clocks");
        row(&how, own, goal).against(Reference::Fastest(Side::CoarseRival))
    };
    let coarse = Goal::Time(0.35);
    let targets = vec![
        row("one call", ONE_CALL, Goal::Unbounded),
        row("session", SESSION, Goal::Unbounded),
        row("check_at", CHECK_AT, Goal::Unbounded),
        row("batches of 32", BATCHES, Goal::Unbounded),
        vs_coarse("one call, coarse clock", COARSE, Goal::Unbounded),
        row("maintained, one call", MAINTAINED_ONE_CALL, Goal::Time(0.4)),
        row("maintained, session", MAINTAINED_SESSION, Goal::Time(0.15)),
        row("maintained, check_at", MAINTAINED_CHECK_AT, Goal::Time(0.15)),
        row("maintained, batches of 32", MAINTAINED_BATCHES, Goal::Time(0.08)),
        vs_coarse("maintained, one call, coarse clock", MAINTAINED_COARSE, coarse),
        vs_coarse("maintained, session", MAINTAINED_SESSION, coarse),
        vs_coarse("maintained, check_at", MAINTAINED_CHECK_AT, coarse),
    ];
    Scenario { name: "uniform", title, contenders: setup.contenders, targets }
}

pub(super) fn zipf_million<K: KeyKind>(size: Size) -> Scenario {
    let keys = size.million;
    let mut setup = setup::<K>(keys, zipf(keys, sequence_len(keys), 3));
    as_inserted(&mut setup);
    maintained(&mut setup);
    setup.rivals();
    let title = format!("{}, Zipf 0.99", K::many(keys));
    let row = |how: &str, own, goal| Target::new(format!("{title}, {how}"), own, goal);
    let targets = vec![
        row("one call", ONE_CALL, Goal::Unbounded),
        row("batches of 32", BATCHES, Goal::Unbounded),
        row("maintained, one call", MAINTAINED_ONE_CALL, Goal::Time(0.4)),
        row("maintained, batches of 32", MAINTAINED_BATCHES, Goal::Unbounded),
    ];
    Scenario { name: "zipf", title, contenders: setup.contenders, targets }
}

pub(super) fn ten_million<K: KeyKind>(size: Size) -> Scenario {
    let keys = size.ten_million;
    let mut setup = setup::<K>(keys, uniform(keys, sequence_len(keys), 4));
    maintained(&mut setup);
    setup.fastest_rivals();
    let title = format!("{}, uniform, maintained", K::many(keys));
    let targets = vec![
        Target::time(format!("{title}, one call"), MAINTAINED_ONE_CALL, 0.35),
        Target::time(format!("{title}, batches of 32"), MAINTAINED_BATCHES, 0.08),
    ];
    Scenario { name: "large", title, contenders: setup.contenders, targets }
}
