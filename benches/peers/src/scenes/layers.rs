//! A request under three policies: one call, or three.

use super::{Size, bare, many, visits};
use crate::contender::{Answers, Contender, Side};
use crate::keys::KeyKind;
use crate::layered::Layered;
use crate::scene::{Aim, Beside, Scene};
use crate::tour::{Tour, shuffled, uniform};
use crate::ways::each;
use std::sync::Arc;

const ONE_CALL: &str = "tollgate, one call";
const THREE_CALLS: &str = "tollgate, three calls";
const IN_A_SESSION: &str = "tollgate, three calls in a session";
const BARE_CALL: &str = "bare tables, one call";
const BARE_CALLS: &str = "bare tables, three calls";

fn contenders<K: KeyKind>(fill: &[K], tour: &Tour<K>) -> Vec<Contender> {
    let limiter = Arc::new(Layered::new(fill.len().max(4096)));
    for key in fill {
        limiter.one_call(key);
    }
    limiter.settle();
    let works = [
        (ONE_CALL, each(limiter.clone(), tour.clone(), Layered::one_call::<K>)),
        (THREE_CALLS, each(limiter.clone(), tour.clone(), Layered::three_calls::<K>)),
        (IN_A_SESSION, each(limiter.clone(), tour.clone(), Layered::in_a_session::<K>)),
    ];
    let own = |(name, work)| Contender::new(name, Side::Own, Answers::Admitted, vec![work]);
    let mut all: Vec<Contender> = works.into_iter().map(own).collect();
    all.extend(bare::layers(fill, tour, [BARE_CALL, BARE_CALLS]));
    all
}

fn scene(name: &'static str, title: String, work: &'static str, all: Vec<Contender>) -> Scene {
    let beside = Beside::Sum(&[THREE_CALLS]);
    let aim = Aim::time(work, ONE_CALL, 0.6).beside(beside);
    let aims = vec![aim.least_beside(&[BARE_CALL], Beside::Sum(&[BARE_CALLS]))];
    Scene { name, title, contenders: all, aims }
}

pub(super) fn hot<K: KeyKind>(_: Size) -> Scene {
    let contenders = contenders(&[K::of(1)], &Tour::new(vec![K::of(1); 1024]));
    let title = "one key in each of three layers".into();
    scene("layers", title, "three layers in one call, hot", contenders)
}

pub(super) fn cold<K: KeyKind>(size: Size) -> Scene {
    let keys = size.million;
    let tour = Tour::new(uniform::<K>(keys, visits(keys), 6));
    let contenders = contenders(&shuffled(keys, 1), &tour);
    let title = format!("{} in each of three layers", many(keys));
    scene("layers-cold", title, "three layers in one call, cold", contenders)
}
