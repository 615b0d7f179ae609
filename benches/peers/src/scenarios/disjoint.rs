//! Two threads with disjoint keys.

use super::Size;
use crate::contender::{Contender, Expected, Side};
use crate::entry_points::EntryPoint;
use crate::key_sequence::{KeySequence, shuffled};
use crate::keys::KeyKind;
use crate::peer::Setting;
use crate::scenario::{Goal, Reference, Scenario, Setup, Target};
use std::time::Duration;
use tollgate::Clock;

/// The number of keys of each thread: few enough for the L1 and L2 caches.
const KEYS_A_THREAD: usize = 1000;
const ONE: &str = "tollgate, one thread";
const TWO: &str = "tollgate, two threads";
const APART: &str = "tollgate, two threads, one limiter each";

pub(super) fn thousand<K: KeyKind>(_: Size) -> Scenario {
    let keys = shuffled::<K>(2 * KEYS_A_THREAD, 1);
    let sequences: Vec<_> =
        keys.chunks(KEYS_A_THREAD).map(|keys| KeySequence::new(keys.to_vec())).collect();
    let setting =
        Setting { limit: 100_000_000, window: Duration::from_secs(20 * 60), max_keys: 4096 };
    let mut setup = Setup::new(setting, keys, sequences[0].clone(), Expected::Admitted);
    let own = setup.own_limiter(Some(7), Clock::precise());
    setup.entry_point(ONE, &own, EntryPoint::Check);
    setup.sequences = sequences;
    setup.entry_point(TWO, &own, EntryPoint::Check);
    // With one limiter for each thread, the threads share nothing.
    let other = setup.own_limiter(Some(7), Clock::precise());
    let works = [&own, &other].into_iter().zip(setup.sequences.iter().cloned());
    let works = works.map(|(own, sequence)| own.work(EntryPoint::Check, sequence)).collect();
    setup.contenders.push(Contender::new(APART, Side::Own, Expected::Admitted, works));
    setup.fastest_rivals();
    let title = format!("{} for each of two threads", K::many(KEYS_A_THREAD));
    let versus = |what: &str, one| {
        let name = format!("{title}, vs {what}");
        Target::new(name, TWO, Goal::Throughput(1.9)).against(Reference::Named(one))
    };
    let targets = vec![
        versus("one thread", ONE),
        Target { goal: Goal::Unbounded, ..versus("one limiter for each thread", APART) },
        Target::new(title.clone(), TWO, Goal::Unbounded),
    ];
    Scenario { name: "disjoint", title, contenders: setup.contenders, targets }
}
