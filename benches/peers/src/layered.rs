//! This project's limiter with three policies.

use crate::keys::KeyKind;
use crate::ways::settle;
use std::time::Duration;
use tollgate::{Limiter, Policy, PolicyId};

const NAMES: [&str; 3] = ["address", "user", "tenant"];

/// Three windows of seven words, so wide that all requests are admitted.
#[derive(Debug)]
pub struct Layered {
    limiter: Limiter,
    policies: [PolicyId; 3],
}

impl Layered {
    /// With room for so many keys in each policy.
    pub fn new(max_keys: usize) -> Self {
        let policy =
            |name| Policy::sliding(name, 200_000_000, Duration::from_secs(20 * 60)).buckets(7);
        let mut builder = Limiter::builder().max_keys(max_keys);
        let policies = NAMES.map(|name| builder.add(policy(name)));
        Layered { limiter: builder.build().expect("valid policies"), policies }
    }

    /// A request that is charged to the key under all three.
    #[inline]
    pub fn one_call<K: KeyKind>(&self, key: &K) -> bool {
        let charges = self.policies.map(|policy| policy.charge(key.borrowed(), 1));
        self.limiter.check(&charges).is_allowed()
    }

    /// Three requests, one under each.
    #[inline]
    pub fn three_calls<K: KeyKind>(&self, key: &K) -> bool {
        let call = |policy: &PolicyId| self.limiter.check(&[policy.charge(key.borrowed(), 1)]);
        self.policies.iter().all(|policy| call(policy).is_allowed())
    }

    /// Three requests that share a reading of the clock and a pin: what one call would take if it cost
    /// nothing to look at all layers before the first is charged.
    #[inline]
    pub fn in_a_session<K: KeyKind>(&self, key: &K) -> bool {
        let session = self.limiter.session();
        let call = |policy: &PolicyId| session.check(&[policy.charge(key.borrowed(), 1)]);
        self.policies.iter().all(|policy| call(policy).is_allowed())
    }

    /// As [`Own::settle`](crate::Own::settle).
    pub fn settle(&self) {
        settle(&self.limiter);
    }
}
