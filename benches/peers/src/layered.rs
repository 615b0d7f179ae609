//! This project's limiter with three policies.

use crate::entry_points::maintain;
use crate::keys::KeyKind;
use std::time::Duration;
use tollgate::{Limiter, Policy, PolicyId};

const NAMES: [&str; 3] = ["address", "user", "tenant"];

/// Three windows of seven words, with limits that admit all requests.
#[derive(Debug)]
pub struct Layered {
    limiter: Limiter,
    policies: [PolicyId; 3],
}

impl Layered {
    /// Creates a limiter with this `max_keys` for each policy.
    pub fn new(max_keys: usize) -> Self {
        let policy =
            |name| Policy::sliding(name, 200_000_000, Duration::from_secs(20 * 60)).buckets(7);
        let mut builder = Limiter::builder().max_keys(max_keys);
        let policies = NAMES.map(|name| builder.add(policy(name)));
        Layered { limiter: builder.build().expect("valid policies"), policies }
    }

    /// Decides one request that is charged to the key under all three policies.
    #[inline]
    pub fn one_call<K: KeyKind>(&self, key: &K) -> bool {
        let charges = self.policies.map(|policy| policy.charge(key.borrowed(), 1));
        self.limiter.check(&charges).is_allowed()
    }

    /// Decides three requests, one under each policy.
    #[inline]
    pub fn three_calls<K: KeyKind>(&self, key: &K) -> bool {
        let call = |policy: &PolicyId| self.limiter.check(&[policy.charge(key.borrowed(), 1)]);
        self.policies.iter().all(|policy| call(policy).is_allowed())
    }

    /// Decides three requests, one under each policy, with one clock reading and one pin. The additional
    /// time of [`one_call`](Self::one_call) is the cost of evaluating all layers before the first charge.
    #[inline]
    pub fn in_a_session<K: KeyKind>(&self, key: &K) -> bool {
        let session = self.limiter.session();
        let call = |policy: &PolicyId| session.check(&[policy.charge(key.borrowed(), 1)]);
        self.policies.iter().all(|policy| call(policy).is_allowed())
    }

    /// See [`OwnLimiter::maintain`](crate::OwnLimiter::maintain).
    pub fn maintain(&self) {
        maintain(&self.limiter);
    }
}
