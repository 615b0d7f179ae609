//! Many keys, most of which are in no cache when they are asked for.

use super::bare::Bare;
use super::{Size, many, visits};
use crate::contender::{Answers, Side};
use crate::keys::KeyKind;
use crate::peer::Setting;
use crate::scene::{Aim, Beside, Scene, Stage};
use crate::tour::{Tour, shuffled, uniform, zipf};
use crate::ways::Way;
use std::time::Duration;
use tollgate::Clock;

/// So that all are admitted, in a window in which all keys stay live: under Zipf's law one request in
/// fifteen is for the same key, in four ways by turns.
pub(super) fn stage<K: KeyKind>(keys: usize, tour: Vec<K>) -> Stage<K> {
    let setting = Setting {
        limit: 100_000_000,
        window: Duration::from_secs(20 * 60),
        // Limiters that divide their room among shards need some to spare.
        max_keys: keys * 8 / 5,
    };
    Stage::new(setting, shuffled(keys, 1), Tour::new(tour), Answers::Admitted)
}

/// The ways to ask a limiter of seven words on the precise clock.
fn all_ways<K: KeyKind>(stage: &mut Stage<K>) {
    let own = stage.own(Some(7), Clock::precise());
    stage.way("tollgate", &own, Way::OneShot);
    stage.way("tollgate, session", &own, Way::Session);
    stage.way("tollgate, own now", &own, Way::OWN_NOW);
    stage.way("tollgate, batches", &own, Way::Batch);
}

pub(super) fn uniform_million<K: KeyKind>(size: Size) -> Scene {
    let keys = size.million;
    let mut stage = stage::<K>(keys, uniform(keys, visits(keys), 2));
    all_ways(&mut stage);
    let own = stage.own(Some(7), super::coarse());
    stage.way("tollgate, coarse clock", &own, Way::OneShot);
    stage.rivals();
    stage.coarse_rivals();
    let bare = [
        Bare::DENSE,
        Bare::DENSE_PINNED,
        Bare::DENSE_CALLED,
        Bare::DENSE_ANSWER,
        Bare::DENSE_PINNED_ANSWER,
        Bare::DENSE_CALLED_ANSWER,
        Bare::DENSE_BATCHES,
        Bare::DENSE_ANSWER_BATCHES,
        Bare::ALONE,
        Bare::PINNED,
        Bare::ANSWER,
        Bare::PINNED_ANSWER,
        Bare::CALLED_ANSWER,
        Bare::BATCHES,
    ];
    stage.contenders.extend(bare.map(|way| way.contender(&stage)));
    let coarse = Beside::Fastest(Side::CoarseRival);
    Scene {
        name: "uniform",
        title: format!("{}, each as likely", many(keys)),
        contenders: stage.contenders,
        aims: vec![
            Aim::time("many keys uniform, one-shot", "tollgate", 0.4)
                .least(&[Bare::DENSE_CALLED_ANSWER.name, Bare::CALLED_ANSWER.name]),
            Aim::time("many keys uniform, in a session", "tollgate, session", 0.15)
                .least(&[Bare::DENSE.name, Bare::ALONE.name]),
            Aim::time("many keys uniform, own now", "tollgate, own now", 0.15)
                .least(&[Bare::DENSE_PINNED.name, Bare::PINNED.name]),
            Aim::time("many keys uniform, batches of 32", "tollgate, batches", 0.08)
                .least(&[Bare::BATCHES.name, Bare::DENSE_BATCHES.name]),
            Aim::time("many keys, coarse clock", "tollgate, coarse clock", 0.35)
                .beside(coarse)
                .least(&[Bare::DENSE_PINNED_ANSWER.name, Bare::PINNED_ANSWER.name]),
            Aim::time("many keys, own now beside coarse", "tollgate, own now", 0.35)
                .beside(coarse)
                .least(&[Bare::DENSE_PINNED_ANSWER.name, Bare::PINNED_ANSWER.name]),
            Aim::time("many keys, session beside coarse", "tollgate, session", 0.35)
                .beside(coarse)
                .least(&[Bare::DENSE_ANSWER.name, Bare::ANSWER.name]),
        ],
    }
}

pub(super) fn zipf_million<K: KeyKind>(size: Size) -> Scene {
    let keys = size.million;
    let mut stage = stage::<K>(keys, zipf(keys, visits(keys), 3));
    all_ways(&mut stage);
    stage.rivals();
    let bare = [Bare::DENSE, Bare::DENSE_CALLED, Bare::DENSE_CALLED_ANSWER, Bare::CALLED_ANSWER];
    stage.contenders.extend(bare.map(|way| way.contender(&stage)));
    Scene {
        name: "zipf",
        title: format!("{}, Zipf 0.99", many(keys)),
        contenders: stage.contenders,
        aims: vec![
            Aim::time("many keys Zipf 0.99, one-shot", "tollgate", 0.4)
                .least(&[Bare::DENSE_CALLED_ANSWER.name, Bare::CALLED_ANSWER.name]),
        ],
    }
}

pub(super) fn ten_million<K: KeyKind>(size: Size) -> Scene {
    let keys = size.ten_million;
    let mut stage = stage::<K>(keys, uniform(keys, visits(keys), 4));
    all_ways(&mut stage);
    stage.quick_rivals();
    let bare = [
        Bare::DENSE_CALLED,
        Bare::DENSE_CALLED_ANSWER,
        Bare::DENSE_BATCHES,
        Bare::DENSE_ANSWER_BATCHES,
        Bare::CALLED_ANSWER,
        Bare::BATCHES,
    ];
    stage.contenders.extend(bare.map(|way| way.contender(&stage)));
    Scene {
        name: "large",
        title: format!("{}, each as likely", many(keys)),
        contenders: stage.contenders,
        aims: vec![
            Aim::time("the most keys uniform, one-shot", "tollgate", 0.35)
                .least(&[Bare::DENSE_CALLED_ANSWER.name, Bare::CALLED_ANSWER.name]),
            Aim::time("the most keys uniform, batches of 32", "tollgate, batches", 0.08)
                .least(&[Bare::BATCHES.name, Bare::DENSE_BATCHES.name]),
        ],
    }
}
