//! A request under three policies, as one call and as three calls.

use super::{Size, bare, many, sequence_len};
use crate::contender::{Contender, Expected, Side};
use crate::entry_points::each;
use crate::key_sequence::{KeySequence, shuffled, uniform};
use crate::keys::KeyKind;
use crate::layered::Layered;
use crate::scenario::{Reference, Scenario, Target};
use std::sync::Arc;

const ONE_CALL: &str = "tollgate, one call";
const THREE_CALLS: &str = "tollgate, three calls";
const IN_A_SESSION: &str = "tollgate, three calls in a session";
const BARE_CALL: &str = "bare tables, one call";
const BARE_CALLS: &str = "bare tables, three calls";

fn contenders<K: KeyKind>(fill: &[K], sequence: &KeySequence<K>) -> Vec<Contender> {
    let limiter = Arc::new(Layered::new(fill.len().max(4096)));
    for key in fill {
        limiter.one_call(key);
    }
    limiter.compact();
    let works = [
        (ONE_CALL, each(limiter.clone(), sequence.clone(), Layered::one_call::<K>)),
        (THREE_CALLS, each(limiter.clone(), sequence.clone(), Layered::three_calls::<K>)),
        (IN_A_SESSION, each(limiter.clone(), sequence.clone(), Layered::in_a_session::<K>)),
    ];
    let own = |(name, work)| Contender::new(name, Side::Own, Expected::Admitted, vec![work]);
    let mut all: Vec<Contender> = works.into_iter().map(own).collect();
    all.extend(bare::layers(fill, sequence, [BARE_CALL, BARE_CALLS]));
    all
}

fn scenario(name: &'static str, title: String, row: &'static str, all: Vec<Contender>) -> Scenario {
    let reference = Reference::Sum(&[THREE_CALLS]);
    let target = Target::time(row, ONE_CALL, 0.6).against(reference);
    let targets = vec![target.lower_bound_against(&[BARE_CALL], Reference::Sum(&[BARE_CALLS]))];
    Scenario { name, title, contenders: all, targets }
}

pub(super) fn hot<K: KeyKind>(_: Size) -> Scenario {
    let contenders = contenders(&[K::of(1)], &KeySequence::new(vec![K::of(1); 1024]));
    let title = "one key in each of three layers".into();
    scenario("layers", title, "three_layers_hot_one_call", contenders)
}

pub(super) fn cold<K: KeyKind>(size: Size) -> Scenario {
    let keys = size.million;
    let sequence = KeySequence::new(uniform::<K>(keys, sequence_len(keys), 6));
    let contenders = contenders(&shuffled(keys, 1), &sequence);
    let title = format!("{} in each of three layers", many(keys));
    scenario("layers-cold", title, "three_layers_cold_one_call", contenders)
}
