//! Two threads that never ask for the same key.

use super::{Size, floor};
use crate::contender::{Answers, Contender, Side};
use crate::keys::KeyKind;
use crate::peer::Setting;
use crate::scene::{Aim, Beside, Scene, Stage};
use crate::tour::{Tour, shuffled};
use crate::ways::Way;
use std::time::Duration;
use tollgate::Clock;

/// As many as the nearest caches have room for.
const KEYS_A_THREAD: usize = 1000;
const ONE: &str = "tollgate, one thread";
const TWO: &str = "tollgate, two threads";
const APART: &str = "tollgate, two threads, a limiter each";

pub(super) fn thousand<K: KeyKind>(_: Size) -> Scene {
    let keys = shuffled::<K>(2 * KEYS_A_THREAD, 1);
    let tours: Vec<_> = keys.chunks(KEYS_A_THREAD).map(|keys| Tour::new(keys.to_vec())).collect();
    let setting =
        Setting { limit: 100_000_000, window: Duration::from_secs(20 * 60), max_keys: 4096 };
    let mut stage = Stage::new(setting, keys, tours[0].clone(), Answers::Admitted);
    let own = stage.own(Some(7), Clock::precise());
    stage.way(ONE, &own, Way::OneShot);
    stage.tours = tours;
    stage.way(TWO, &own, Way::OneShot);
    // Whatever two threads cost each other in one limiter, they do not in two.
    let other = stage.own(Some(7), Clock::precise());
    let works = [&own, &other].into_iter().zip(stage.tours.iter().cloned());
    let works = works.map(|(own, tour)| own.work(Way::OneShot, tour)).collect();
    stage.contenders.push(Contender::new(APART, Side::Own, Answers::Admitted, works));
    stage.quick_rivals();
    stage.contenders.extend(floor::exchanges_of_lines(KEYS_A_THREAD));
    stage.contenders.extend(floor::arithmetic());
    Scene {
        name: "disjoint",
        title: "a thousand keys for each of two threads".into(),
        contenders: stage.contenders,
        aims: vec![
            Aim::throughput("disjoint keys, 2 threads beside 1", TWO, 1.9)
                .beside(Beside::Sum(&[ONE]))
                .least(&[APART]),
        ],
    }
}
