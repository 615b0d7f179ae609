//! The policies of one limiter at run time, and the hash that turns keys into ids.

pub(crate) mod context;
mod counter_table;
mod fast_path;
pub(crate) mod item;
pub(crate) mod memory_budget;
mod metrics;
pub(crate) mod policy_metrics;
pub(crate) mod policy_state;
pub(crate) mod request_metrics;
pub(crate) mod resolved_charge;
#[cfg(all(test, not(tollgate_model)))]
mod tests;

use crate::charge::PolicyId;
use crate::decision::{Decision, Verdict};
use crate::engine::policy_state::PolicyState;
use crate::engine::request_metrics::RequestMetrics;
use crate::error::UnknownPolicy;
use crate::key::{Key, Kind};
use crate::policy::Policy;
use crate::stats::RequestStats;
use crate::sync::shard::Shard;
use crate::table::KeyId;
use std::hash::{BuildHasher, Hash, Hasher};

/// The policies of one limiter.
#[derive(Debug)]
pub(crate) struct Policies {
    list: Box<[PolicyState]>,
    hasher: ahash::RandomState,
    /// The id of the first policy, as a number. The other ids are the numbers after it.
    first: u64,
    /// The requests that are not counted with a charge.
    requests: RequestMetrics,
}

impl Policies {
    /// `owner` is the mark of the limiter in the ids of its policies.
    pub(crate) fn new(
        list: Box<[PolicyState]>,
        hasher: ahash::RandomState,
        owner: u32,
        requests: RequestMetrics,
    ) -> Self {
        Policies { list, hasher, first: PolicyId::new(0, owner).to_bits(), requests }
    }

    /// The policy with this id. `None` if the id belongs to another limiter.
    #[inline]
    pub(crate) fn get(&self, policy: PolicyId) -> Option<&PolicyState> {
        // The ids of other limiters differ in their upper half, so their index is too large.
        let index = policy.to_bits().wrapping_sub(self.first);
        self.list.get(usize::try_from(index).ok()?)
    }

    /// The policy with this id, or an error if the id belongs to another limiter.
    pub(crate) fn get_or_error(&self, policy: PolicyId) -> Result<&PolicyState, UnknownPolicy> {
        self.get(policy).ok_or(UnknownPolicy { value: policy.index() })
    }

    /// The statistics of requests that are not counted with a charge.
    pub(crate) fn requests(&self) -> &RequestMetrics {
        &self.requests
    }

    /// Counts and returns the decision about an invalid request: one with a policy of another limiter, or
    /// with too many charges.
    #[cold]
    pub(crate) fn refuse_invalid(&self, policy: PolicyId) -> Decision {
        self.requests.count(Verdict::Invalid, Shard::current());
        Decision::without_counter(Verdict::Invalid, policy)
    }

    /// The statistics of all requests.
    pub(crate) fn request_stats(&self) -> RequestStats {
        let mut stats = self.requests.stats();
        self.list.iter().for_each(|policy| policy.add_requests(&mut stats));
        stats
    }

    pub(crate) fn find(&self, name: &str) -> Option<PolicyId> {
        let index = self.policies().position(|policy| policy.name() == name)?;
        Some(PolicyId::from_bits(self.first + index as u64))
    }

    pub(crate) fn policies(&self) -> impl ExactSizeIterator<Item = &Policy> {
        self.list.iter().map(PolicyState::policy)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &PolicyState> {
        self.list.iter()
    }

    /// Hashes a key to its id.
    #[inline(always)]
    #[expect(
        clippy::manual_hash_one,
        reason = "`hash_one` is not inlined into callers that know the kind of the key"
    )]
    pub(crate) fn key_id(&self, key: Key<'_>) -> KeyId {
        match key.0 {
            Kind::Single(single) => {
                let mut hasher = self.hasher.build_hasher();
                single.hash(&mut hasher);
                KeyId::new(hasher.finish())
            }
            Kind::Parts(parts) => self.id_of_parts(parts),
        }
    }

    /// Hashes a key with these parts to its id. Cold and not inlined, with a hasher of its own: so the
    /// hasher of `key_id` stays in registers, and the compiler inlines the hash of the other keys.
    #[cold]
    #[inline(never)]
    fn id_of_parts(&self, parts: &[Key<'_>]) -> KeyId {
        KeyId::new(self.hasher.hash_one(Key::parts(parts)))
    }
}
