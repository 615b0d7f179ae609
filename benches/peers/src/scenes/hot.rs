//! One key that everybody asks for.

use super::bare::Bare;
use super::{Size, floor};
use crate::contender::{Answers, Side};
use crate::keys::KeyKind;
use crate::peer::Setting;
use crate::scene::{Aim, Beside, Scene, Stage};
use crate::tour::Tour;
use crate::ways::Way;
use std::time::Duration;
use tollgate::Clock;

/// More than threads can ask for, so that all are admitted; the window is short, so that a log of
/// times stays in the cache.
const OPEN: Setting =
    Setting { limit: 20_000_000, window: Duration::from_millis(20), max_keys: 4096 };
/// Used up at once, and for longer than anything takes here.
const SHUT: Setting =
    Setting { limit: 20, window: Duration::from_secs(24 * 60 * 60), max_keys: 4096 };

fn open<K: KeyKind>() -> Stage<K> {
    stage(OPEN, 1, Answers::Admitted)
}

fn shut<K: KeyKind>() -> Stage<K> {
    stage(SHUT, SHUT.limit as usize, Answers::Denied)
}

fn stage<K: KeyKind>(setting: Setting, times: usize, answers: Answers) -> Stage<K> {
    let key = K::of(1);
    let mut stage = Stage::new(setting, vec![key.clone()], Tour::new(vec![key; 1024]), answers);
    stage.times = times;
    stage
}

pub(super) fn admitted<K: KeyKind>(_: Size) -> Scene {
    let mut stage = open::<K>();
    let own = stage.own(Some(7), Clock::precise());
    stage.way("tollgate", &own, Way::OneShot);
    stage.way("tollgate, session", &own, Way::Session);
    stage.way("tollgate, own now", &own, Way::OWN_NOW);
    let own = stage.own(Some(7), super::coarse());
    stage.way("tollgate, coarse clock", &own, Way::OneShot);
    let own = stage.own(None, Clock::precise());
    stage.way("tollgate, 15 words", &own, Way::OneShot);
    stage.rivals();
    stage.coarse_rivals();
    stage.contenders.extend(floor::parts::<K>());
    let bare = [
        Bare::ALONE,
        Bare::PINNED,
        Bare::CALLED,
        Bare::WINDOW,
        Bare::ANSWER,
        Bare::PINNED_ANSWER,
        Bare::CALLED_ANSWER,
    ];
    stage.contenders.extend(bare.map(|way| way.contender(&stage)));
    let coarse = Beside::Fastest(Side::CoarseRival);
    Scene {
        name: "hot",
        title: "one key, admitted".into(),
        contenders: stage.contenders,
        aims: vec![
            Aim::time("hot key admitted, one-shot, precise clock", "tollgate", 0.75)
                .least(&[Bare::CALLED_ANSWER.name]),
            Aim::time("the same beside its floor", "tollgate", 1.25)
                .beside(Beside::Sum(floor::PARTS)),
            Aim::time("hot key admitted, in a session", "tollgate, session", 0.35)
                .least(&[Bare::ANSWER.name]),
            Aim::time("hot key admitted, caller's own now", "tollgate, own now", 0.35)
                .least(&[Bare::PINNED_ANSWER.name]),
            Aim::time("hot key, coarse clock", "tollgate, coarse clock", 0.8)
                .beside(coarse)
                .least(&[Bare::PINNED_ANSWER.name]),
            Aim::time("hot key, own now beside coarse", "tollgate, own now", 0.8)
                .beside(coarse)
                .least(&[Bare::PINNED_ANSWER.name]),
            Aim::time("hot key, session beside coarse", "tollgate, session", 0.8)
                .beside(coarse)
                .least(&[Bare::ANSWER.name]),
        ],
    }
}

pub(super) fn admitted_by_two<K: KeyKind>(_: Size) -> Scene {
    let mut stage = open::<K>();
    stage.two_threads();
    let own = stage.own(Some(7), Clock::precise());
    stage.way("tollgate", &own, Way::OneShot);
    stage.rivals();
    stage.contenders.push(floor::exchanges_of_one_word());
    Scene {
        name: "hot-2",
        title: "one key, admitted, two threads".into(),
        contenders: stage.contenders,
        aims: vec![Aim::throughput("hot key admitted, 2 threads", "tollgate", 1.5)],
    }
}

pub(super) fn denied<K: KeyKind>(_: Size) -> Scene {
    let mut stage = shut::<K>();
    let own = stage.own(Some(7), Clock::precise());
    let exact = stage.own(None, Clock::precise());
    stage.way("tollgate", &own, Way::OneShot);
    stage.way("tollgate-exact", &exact, Way::OneShot);
    stage.rivals();
    Scene {
        name: "denied",
        title: "one key, denied".into(),
        contenders: stage.contenders,
        aims: Vec::new(),
    }
}

pub(super) fn denied_to_two<K: KeyKind>(_: Size) -> Scene {
    let mut stage = shut::<K>();
    let own = stage.own(Some(7), Clock::precise());
    stage.way(ALONE, &own, Way::OneShot);
    stage.two_threads();
    stage.way("tollgate", &own, Way::OneShot);
    let exact = stage.own(None, Clock::precise());
    stage.way("tollgate-exact", &exact, Way::OneShot);
    stage.rivals();
    stage.contenders.extend([Bare::CALLED_ANSWER.contender(&stage)]);
    stage.contenders.extend(floor::pins());
    Scene {
        name: "denied-2",
        title: "one key, denied, two threads".into(),
        contenders: stage.contenders,
        aims: vec![
            Aim::throughput("hot key denied, 2 threads", "tollgate", 5.0)
                .least(&[Bare::CALLED_ANSWER.name]),
            Aim::throughput("the same beside one thread", "tollgate", 1.9)
                .beside(Beside::Sum(&[ALONE])),
        ],
    }
}

/// The same limiter, asked by one thread only.
const ALONE: &str = "tollgate, 1 thread";
