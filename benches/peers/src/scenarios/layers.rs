//! A request under three policies: as one call, and as three calls of tollgate and of its rivals.

use super::{Size, cold, sequence_len};
use crate::contender::{Contender, Expected, Side, Work};
use crate::entry_points::each;
use crate::key_sequence::{KeySequence, shuffled, uniform};
use crate::keys::KeyKind;
use crate::layered::Layered;
use crate::peer::{Peer, Setting};
use crate::peers::{Governor, RateNetBucket};
use crate::scenario::{Goal, Reference, Scenario, Target};
use std::sync::Arc;

const ONE_CALL: &str = "tollgate, one call";
const THREE_CALLS: &str = "tollgate, three calls";
const IN_A_SESSION: &str = "tollgate, three calls in a session";
const MAINTAINED_ONE_CALL: &str = "tollgate, maintained, one call";
const MAINTAINED_THREE_CALLS: &str = "tollgate, maintained, three calls";
const MAINTAINED_IN_A_SESSION: &str = "tollgate, maintained, three calls in a session";

/// The keys of a scenario, and its contenders so far.
struct Layers<'k, K> {
    fill: &'k [K],
    sequence: &'k KeySequence<K>,
    contenders: Vec<Contender>,
}

impl<K: KeyKind> Layers<'_, K> {
    fn add(&mut self, name: &str, side: Side, work: Work) {
        self.contenders.push(Contender::new(name, side, Expected::Admitted, vec![work]));
    }

    /// Adds three contenders that use one limiter of this project: with one call for each request, with
    /// three calls, and with three calls in a session.
    fn own(&mut self, maintained: bool, names: [&str; 3]) {
        let limiter = Arc::new(Layered::new(self.max_keys()));
        for key in self.fill {
            limiter.one_call(key);
        }
        if maintained {
            limiter.maintain();
        }
        let sequence = || self.sequence.clone();
        let works = [
            each(limiter.clone(), sequence(), Layered::one_call::<K>),
            each(limiter.clone(), sequence(), Layered::three_calls::<K>),
            each(limiter, sequence(), Layered::in_a_session::<K>),
        ];
        for (name, work) in names.into_iter().zip(works) {
            self.add(name, Side::Own, work);
        }
    }

    /// Adds three limiters of a rival. A request is one call of each.
    fn rival<P: Peer<K>>(&mut self) {
        let setting = Setting { max_keys: self.max_keys(), ..cold::setting(0) };
        let limiters: [P; 3] = std::array::from_fn(|_| P::new(&setting));
        let check = |limiters: &[P; 3], key: &K| limiters.iter().all(|limiter| limiter.check(key));
        for key in self.fill {
            check(&limiters, key);
        }
        let work = each(Arc::new(limiters), self.sequence.clone(), check);
        self.add(&format!("{}, three calls", P::NAME), Side::Rival, work);
    }

    fn max_keys(&self) -> usize {
        (self.fill.len() * 8 / 5).max(4096)
    }
}

fn contenders<K: KeyKind>(
    fill: &[K],
    sequence: &KeySequence<K>,
    with_maintained: bool,
) -> Vec<Contender> {
    let mut layers = Layers { fill, sequence, contenders: Vec::new() };
    layers.own(false, [ONE_CALL, THREE_CALLS, IN_A_SESSION]);
    if with_maintained {
        layers.own(true, [MAINTAINED_ONE_CALL, MAINTAINED_THREE_CALLS, MAINTAINED_IN_A_SESSION]);
    }
    layers.rival::<Governor<K>>();
    layers.rival::<RateNetBucket>();
    layers.contenders
}

/// The rows for one call of this project. It is compared with three calls of the fastest rival, and with
/// three calls of this project.
fn rows(what: &str, [own, three]: [&'static str; 2], goal: Goal) -> [Target; 2] {
    [
        Target::new(format!("{what}, one call, vs three calls of a rival"), own, Goal::Unbounded),
        Target::new(format!("{what}, one call, vs three calls"), own, goal)
            .against(Reference::Named(three)),
    ]
}

pub(super) fn one<K: KeyKind>(_: Size) -> Scenario {
    hot::<K>("layers", 1, Goal::Time(0.6))
}

pub(super) fn thousand<K: KeyKind>(_: Size) -> Scenario {
    hot::<K>("layers-1000", 1000, Goal::Unbounded)
}

fn hot<K: KeyKind>(name: &'static str, keys: usize, goal: Goal) -> Scenario {
    let fill = shuffled::<K>(keys, 1);
    let sequence: Vec<K> = fill.iter().cycle().take(keys.max(1024)).cloned().collect();
    let contenders = contenders(&fill, &KeySequence::new(sequence), false);
    let title = format!("{} in each of three layers", K::many(keys));
    let targets = rows(&title, [ONE_CALL, THREE_CALLS], goal).into();
    Scenario { name, title, contenders, targets }
}

pub(super) fn cold<K: KeyKind>(size: Size) -> Scenario {
    let keys = size.million;
    let sequence = KeySequence::new(uniform::<K>(keys, sequence_len(keys), 6));
    let contenders = contenders(&shuffled(keys, 1), &sequence, true);
    let title = format!("{} in each of three layers", K::many(keys));
    let maintained = format!("{title}, maintained");
    let mut targets = rows(&title, [ONE_CALL, THREE_CALLS], Goal::Unbounded).to_vec();
    targets.extend(rows(
        &maintained,
        [MAINTAINED_ONE_CALL, MAINTAINED_THREE_CALLS],
        Goal::Time(0.6),
    ));
    Scenario { name: "layers-cold", title, contenders, targets }
}
