//! The policies of one limiter at work, and how a request finds them: by id and by hashed key.

use crate::charge::PolicyId;
use crate::key::Key;
use crate::meter::Meter;
use crate::policy::Policy;
use crate::table::KeyId;
use std::hash::{BuildHasher, Hash, Hasher};

#[derive(Debug)]
pub(crate) struct Meters {
    list: Box<[Meter]>,
    hasher: ahash::RandomState,
    /// Marks the ids of this limiter's policies.
    owner: u32,
}

impl Meters {
    pub(crate) fn new(list: Box<[Meter]>, hasher: ahash::RandomState, owner: u32) -> Self {
        Meters { list, hasher, owner }
    }

    /// The meter of a policy, unless it is one of another limiter.
    #[inline]
    pub(crate) fn get(&self, policy: PolicyId) -> Option<&Meter> {
        let meter = self.list.get(policy.index())?;
        (policy.owner() == self.owner).then_some(meter)
    }

    pub(crate) fn find(&self, name: &str) -> Option<PolicyId> {
        let index = self.policies().position(|policy| policy.name() == name)?;
        Some(PolicyId::new(index, self.owner))
    }

    pub(crate) fn policies(&self) -> impl ExactSizeIterator<Item = &Policy> {
        self.list.iter().map(Meter::policy)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Meter> {
        self.list.iter()
    }

    #[inline(always)]
    #[expect(
        clippy::manual_hash_one,
        reason = "that one is not inlined where a key's kind is known"
    )]
    pub(crate) fn key_id(&self, key: Key<'_>) -> KeyId {
        let mut hasher = self.hasher.build_hasher();
        key.hash(&mut hasher);
        KeyId::new(hasher.finish())
    }
}
