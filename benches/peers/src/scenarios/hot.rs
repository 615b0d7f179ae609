//! Keys that are always in the caches: one key, and a thousand.

use super::Size;
use crate::contender::{Expected, Side};
use crate::entry_points::EntryPoint;
use crate::key_sequence::{KeySequence, shuffled};
use crate::keys::KeyKind;
use crate::peer::Setting;
use crate::scenario::{Goal, Reference, Scenario, Setup, Target};
use std::time::Duration;
use tollgate::Clock;

/// A limit that admits all requests. The window is short, so that a log of times stays in the
/// cache.
const ADMIT_ALL: Setting =
    Setting { limit: 20_000_000, window: Duration::from_millis(20), max_keys: 4096 };
/// A limit that is used up by the fill, with a window longer than the benchmark.
const DENY_ALL: Setting =
    Setting { limit: 20, window: Duration::from_secs(24 * 60 * 60), max_keys: 4096 };

const ONE_CALL: &str = "tollgate";
const SESSION: &str = "tollgate, session";
const CHECK_AT: &str = "tollgate, check_at";
const COARSE: &str = "tollgate, coarse clock";
const BATCHES: &str = "tollgate, check_many";
const EXACT: &str = "tollgate, exact 20";
/// In `denied-2`, a contender with the limiter of [`ONE_CALL`], but with only one thread.
const ALONE: &str = "tollgate, 1 thread";

fn admit_all<K: KeyKind>(keys: usize) -> Setup<K> {
    setup(ADMIT_ALL, keys, 1, Expected::Admitted)
}

fn deny_all<K: KeyKind>(keys: usize) -> Setup<K> {
    setup(DENY_ALL, keys, DENY_ALL.limit as usize, Expected::Denied)
}

fn setup<K: KeyKind>(setting: Setting, keys: usize, times: usize, expected: Expected) -> Setup<K> {
    let fill = shuffled::<K>(keys, 1);
    // The keys are repeated up to a length of 1,024. Otherwise the end of the sequence would cut many
    // batches short.
    let sequence: Vec<K> = fill.iter().cycle().take(keys.max(1024)).cloned().collect();
    let mut setup = Setup::new(setting, fill, KeySequence::new(sequence), expected);
    setup.times = times;
    setup
}

/// Adds all entry points on the precise clock, and one call on the coarse clock.
fn all_entry_points<K: KeyKind>(setup: &mut Setup<K>) {
    let own = setup.own_limiter(Some(7), Clock::precise());
    setup.entry_point(ONE_CALL, &own, EntryPoint::Check);
    setup.entry_point(SESSION, &own, EntryPoint::Session);
    setup.entry_point(CHECK_AT, &own, EntryPoint::CHECK_AT);
    setup.entry_point(BATCHES, &own, EntryPoint::CheckMany);
    let own = setup.own_limiter(Some(7), super::coarse());
    setup.entry_point(COARSE, &own, EntryPoint::Check);
}

/// Adds the rivals: for one key all of them, for several keys only the fastest. Also adds the rivals on
/// coarse clocks.
fn rivals<K: KeyKind>(setup: &mut Setup<K>) {
    match setup.fill.as_slice() {
        [_] => setup.rivals(),
        _ => setup.fastest_rivals(),
    }
    setup.coarse_rivals();
}

/// The bounds on the ratios of a scenario.
struct Goals {
    one_call: Goal,
    session_or_check_at: Goal,
    coarse: Goal,
}

const NO_GOALS: Goals = Goals {
    one_call: Goal::Unbounded,
    session_or_check_at: Goal::Unbounded,
    coarse: Goal::Unbounded,
};

/// The rows of all entry points. `what` describes the keys and the verdict.
fn rows(what: &str, goals: &Goals) -> Vec<Target> {
    let row = |how: &str, own, goal| Target::new(format!("{what}, {how}"), own, goal);
    let vs_coarse = |how: &str, own| {
        let how = format!("{how}, vs coarse clocks");
        row(&how, own, goals.coarse).against(Reference::Fastest(Side::CoarseRival))
    };
    vec![
        row("one call, precise clock", ONE_CALL, goals.one_call),
        row("session", SESSION, goals.session_or_check_at),
        row("check_at", CHECK_AT, goals.session_or_check_at),
        vs_coarse("one call, coarse clock", COARSE),
        vs_coarse("session", SESSION),
        vs_coarse("check_at", CHECK_AT),
        row("batches of 32", BATCHES, Goal::Unbounded),
        row("batches of 32, vs a session", BATCHES, Goal::Unbounded)
            .against(Reference::Named(SESSION)),
    ]
}

pub(super) fn one_admitted<K: KeyKind>(_: Size) -> Scenario {
    let mut setup = admit_all::<K>(1);
    all_entry_points(&mut setup);
    let own = setup.own_limiter(None, Clock::precise());
    setup.entry_point("tollgate, 15 words", &own, EntryPoint::Check);
    rivals(&mut setup);
    let goals = Goals {
        one_call: Goal::Time(0.75),
        session_or_check_at: Goal::Time(0.35),
        coarse: Goal::Time(0.8),
    };
    let title = format!("{}, admitted", K::many(1));
    let targets = rows(&title, &goals);
    Scenario { name: "hot", title, contenders: setup.contenders, targets }
}

pub(super) fn thousand_admitted<K: KeyKind>(_: Size) -> Scenario {
    let mut setup = admit_all::<K>(1000);
    all_entry_points(&mut setup);
    rivals(&mut setup);
    let title = format!("{}, admitted", K::many(1000));
    let targets = rows(&title, &NO_GOALS);
    Scenario { name: "hot-1000", title, contenders: setup.contenders, targets }
}

pub(super) fn one_denied<K: KeyKind>(_: Size) -> Scenario {
    denied::<K>("denied", 1)
}

pub(super) fn thousand_denied<K: KeyKind>(_: Size) -> Scenario {
    denied::<K>("denied-1000", 1000)
}

fn denied<K: KeyKind>(name: &'static str, keys: usize) -> Scenario {
    let mut setup = deny_all::<K>(keys);
    all_entry_points(&mut setup);
    let exact = setup.own_limiter(None, Clock::precise());
    setup.entry_point(EXACT, &exact, EntryPoint::Check);
    rivals(&mut setup);
    let title = format!("{}, denied", K::many(keys));
    let mut targets = rows(&title, &NO_GOALS);
    let exact = format!("{title}, exact 20, one call, precise clock");
    targets.push(Target::new(exact, EXACT, Goal::Unbounded));
    Scenario { name, title, contenders: setup.contenders, targets }
}

pub(super) fn admitted_by_two<K: KeyKind>(_: Size) -> Scenario {
    let mut setup = admit_all::<K>(1);
    setup.two_threads();
    let own = setup.own_limiter(Some(7), Clock::precise());
    setup.entry_point(ONE_CALL, &own, EntryPoint::Check);
    setup.rivals();
    let title = format!("{}, admitted, two threads", K::many(1));
    let targets = vec![Target::throughput(title.clone(), ONE_CALL, 1.5)];
    Scenario { name: "hot-2", title, contenders: setup.contenders, targets }
}

pub(super) fn denied_to_two<K: KeyKind>(_: Size) -> Scenario {
    let mut setup = deny_all::<K>(1);
    let own = setup.own_limiter(Some(7), Clock::precise());
    setup.entry_point(ALONE, &own, EntryPoint::Check);
    setup.two_threads();
    setup.entry_point(ONE_CALL, &own, EntryPoint::Check);
    let exact = setup.own_limiter(None, Clock::precise());
    setup.entry_point(EXACT, &exact, EntryPoint::Check);
    setup.rivals();
    let title = format!("{}, denied, two threads", K::many(1));
    let targets = vec![
        Target::throughput(title.clone(), ONE_CALL, 5.0),
        Target::throughput(format!("{title}, vs one thread"), ONE_CALL, 1.9)
            .against(Reference::Named(ALONE)),
    ];
    Scenario { name: "denied-2", title, contenders: setup.contenders, targets }
}
