//! A request under three policies: one call, or three.

use super::{Size, visits};
use crate::contender::{Answers, Contender, Side, Work};
use crate::keys::KeyKind;
use crate::scene::{Aim, Beside, Scene};
use crate::tour::{Tour, shuffled, uniform};
use std::sync::Arc;
use std::time::Duration;
use tollgate::{Limiter, Policy, PolicyId};

const NAMES: [&str; 3] = ["address", "user", "tenant"];
const ONE_CALL: &str = "tollgate, one call";
const THREE_CALLS: &str = "tollgate, three calls";

struct Layered {
    limiter: Limiter,
    policies: [PolicyId; 3],
}

impl Layered {
    fn new(max_keys: usize) -> Self {
        let policy =
            |name| Policy::sliding(name, 10_000_000, Duration::from_secs(20 * 60)).buckets(7);
        let builder = Limiter::builder().max_keys(max_keys);
        let limiter = NAMES.map(policy).into_iter().fold(builder, |all, policy| all.policy(policy));
        let limiter = limiter.build().expect("valid policies");
        let policies = NAMES.map(|name| limiter.policy(name).expect("added above"));
        Layered { limiter, policies }
    }

    fn one_call<K: KeyKind>(&self, key: &K) -> bool {
        let charges = self.policies.map(|policy| policy.charge(key.borrowed(), 1));
        self.limiter.check(&charges).is_allowed()
    }

    fn three_calls<K: KeyKind>(&self, key: &K) -> bool {
        let call = |policy: &PolicyId| self.limiter.check(&[policy.charge(key.borrowed(), 1)]);
        self.policies.iter().all(|policy| call(policy).is_allowed())
    }
}

fn contenders<K: KeyKind>(fill: &[K], tour: &Tour<K>) -> Vec<Contender> {
    let limiter = Arc::new(Layered::new(fill.len().max(4096)));
    for key in fill {
        limiter.one_call(key);
    }
    while !limiter.limiter.maintain(1 << 16) {}
    let contender = |name, check: fn(&Layered, &K) -> bool| {
        let (limiter, mut tour) = (limiter.clone(), tour.clone());
        let work: Work = Box::new(move |count| {
            let mut admitted = 0;
            tour.visit(count, |keys| {
                admitted += keys.iter().filter(|key| check(&limiter, key)).count();
            });
            admitted
        });
        Contender::new(name, Side::Own, Answers::Admitted, vec![work])
    };
    vec![contender(ONE_CALL, Layered::one_call), contender(THREE_CALLS, Layered::three_calls)]
}

fn scene(name: &'static str, title: String, work: &'static str, all: Vec<Contender>) -> Scene {
    let beside = Beside::Sum(&[THREE_CALLS]);
    let aims = vec![Aim::time(work, ONE_CALL, 0.6).beside(beside)];
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
    let title = format!("{} in each of three layers", super::many(keys));
    scene("layers-cold", title, "three layers in one call, cold", contenders)
}
