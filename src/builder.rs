//! The configuration of a limiter. Everything is validated here, nothing on the request path.

use crate::charge::{MAX_CHARGES, PolicyId};
use crate::clock::Clock;
use crate::engine::Policies;
use crate::engine::memory_budget::{self, MemoryBudget};
use crate::engine::policy_state::PolicyState;
use crate::engine::request_metrics::RequestMetrics;
use crate::error::ConfigError;
use crate::limiter::Limiter;
use crate::policy::Policy;
use crate::policy::overflow::Overflow;
use crate::sync::alloc::vector;
use std::hash::{BuildHasher, RandomState};

/// The configuration of a [`Limiter`] before it is built.
///
/// Nothing is validated until [`build`](Self::build).
#[derive(Debug)]
pub struct Builder {
    /// The mark in the ids of the limiter's policies.
    owner: u32,
    policies: Vec<Policy>,
    budget: MemoryBudget,
    overflow: Overflow,
    clock: Option<Clock>,
    seed: Option<[u64; 4]>,
}

impl Limiter {
    /// Returns a builder without policies and with default settings.
    pub fn builder() -> Builder {
        Builder {
            owner: new_owner(),
            policies: Vec::new(),
            budget: MemoryBudget::default(),
            overflow: Overflow::Deny,
            clock: None,
            seed: None,
        }
    }
}

/// The clone builds another limiter. Ids that the original's [`Builder::add`] returned are invalid
/// there.
impl Clone for Builder {
    fn clone(&self) -> Self {
        Builder {
            owner: new_owner(),
            policies: self.policies.clone(),
            clock: self.clock.clone(),
            ..*self
        }
    }
}

impl Builder {
    /// Adds a policy. [`Limiter::policies`] returns the policies in this order.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.add(policy);
        self
    }

    /// Adds a policy and returns its id, which is valid for the limiter that this builder builds.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::{Limiter, Policy};
    ///
    /// let mut builder = Limiter::builder();
    /// let user = builder.add(Policy::sliding("user", 20, Duration::from_secs(60)));
    /// let limiter = builder.build()?;
    /// assert!(limiter.check(&[user.charge("alice", 1)]).is_allowed());
    /// # Ok::<(), tollgate::ConfigError>(())
    /// ```
    pub fn add(&mut self, policy: Policy) -> PolicyId {
        self.policies.push(policy);
        PolicyId::new(self.policies.len() - 1, self.owner)
    }

    /// Sets the maximum number of keys in the table of each policy.
    ///
    /// This is a bound, not a size: memory follows the live keys. At the bound, expired keys make
    /// room for new ones; [`overflow`](Self::overflow) decides what happens while too few have
    /// expired. See `docs/memory.md` for the bytes per key.
    ///
    /// The default is 1,048,576 for a policy for which no number of keys or bytes is set. With a number
    /// of keys and no number of bytes, the memory is not bounded otherwise.
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.budget.max_keys = Some(keys);
        self
    }

    /// Sets the maximum memory of all policies in total, in bytes. Their tables get as many keys as fit.
    ///
    /// The policies get the same number of keys, because most requests charge one key of each. A policy
    /// that can use fewer keys leaves more to the others. Its [`max_keys`](Policy::max_keys) and
    /// [`max_bytes`](Policy::max_bytes) bound it as well.
    ///
    /// The default is 128 MiB for the policies for which no number of keys or bytes is set. It is
    /// enough for 60,000 keys of an exact policy with a limit of 100, and for 486,000 of a policy with 15
    /// buckets.
    /// A policy for which one of them is set has no share of the default.
    ///
    /// Each table has at most two arrays at a time, and the bound includes both. It does not include:
    /// - arrays that were replaced while another thread was in a call, or while a
    ///   [`Session`](crate::Session) existed, until that call or session has ended;
    /// - reserved address space that is not used, up to as many bytes again;
    /// - the limiter itself, which takes 8,320 bytes for its statistics of requests, and the names of its
    ///   policies.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.budget.max_bytes = Some(bytes);
        self
    }

    /// Sets what happens to a new key when a policy's table is full. The default is
    /// [`Overflow::Deny`].
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Sets the clock. The default is [`Clock::precise`].
    pub fn clock(mut self, clock: impl Into<Clock>) -> Self {
        self.clock = Some(clock.into());
        self
    }

    /// Sets the seed of the key hashes, for runs that must repeat exactly. The default is random.
    ///
    /// Clients that can guess the seed can choose keys that collide.
    pub fn seed(mut self, seed: [u64; 4]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Returns the most memory that the policies can take, in bytes, before any of it is allocated.
    ///
    /// [`max_bytes`](Self::max_bytes) says what it does not include. It is `usize::MAX` if the number of
    /// keys is so large that the bytes cannot be counted.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::{Limiter, Policy};
    ///
    /// let policy = Policy::sliding("ip", 100, Duration::from_secs(60));
    /// let builder = Limiter::builder().policy(policy);
    /// assert!(builder.memory_bound()? <= 128 << 20);
    /// let builder = builder.max_keys(1_000_000);
    /// assert!(builder.memory_bound()? > 2 << 30);
    /// # Ok::<(), tollgate::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// A [`ConfigError`] that names the invalid field and its value.
    pub fn memory_bound(&self) -> Result<usize, ConfigError> {
        memory_budget::memory_bound(&self.clone().validated()?)
    }

    /// Validates the configuration and builds the limiter.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the invalid field and its value, or
    /// [`ConfigError::OutOfMemory`].
    pub fn build(mut self) -> Result<Limiter, ConfigError> {
        let (owner, seed, clock) = (self.owner, self.seed, self.clock.take());
        let mut policies = self.validated()?;
        let clock = clock.unwrap_or_default();
        let now = clock.now(true);
        let (Ok(mut states), Ok(requests)) = (vector(policies.len()), RequestMetrics::new()) else {
            return Err(ConfigError::OutOfMemory { policy: policies.swap_remove(0).into_name() });
        };
        for (index, policy) in policies.into_iter().enumerate() {
            states.push(PolicyState::new(PolicyId::new(index, owner), policy, now)?);
        }
        let [a, b, c, d] = seed.unwrap_or_else(random_seed);
        let hasher = ahash::RandomState::with_seeds(a, b, c, d);
        Ok(Limiter::new(Policies::new(states.into_boxed_slice(), hasher, owner, requests), clock))
    }

    /// Validates the policies, and sets the limiter's defaults and their numbers of keys.
    fn validated(self) -> Result<Vec<Policy>, ConfigError> {
        if self.policies.is_empty() {
            return Err(ConfigError::NoPolicy);
        }
        if self.policies.len() > MAX_CHARGES {
            return Err(ConfigError::TooManyPolicies { value: self.policies.len() });
        }
        if self.budget.max_keys == Some(0) {
            return Err(ConfigError::MaxKeys { policy: None, value: 0 });
        }
        let with_default = |policy: Policy| policy.with_default_overflow(self.overflow);
        let mut policies: Vec<Policy> = self.policies.into_iter().map(with_default).collect();
        for (index, policy) in policies.iter().enumerate() {
            // Before the other settings, so that the name in their errors belongs to one policy.
            if policies[..index].iter().any(|other| other.name() == policy.name()) {
                return Err(ConfigError::DuplicateName { value: policy.name().into() });
            }
            policy.plan()?;
        }
        self.budget.apply(&mut policies)?;
        Ok(policies)
    }
}

/// Returns a random mark. With it, a limiter rejects the policy ids of another, even if both have
/// the same seed.
fn new_owner() -> u32 {
    (random_seed()[0] as u32).max(1)
}

/// Returns four numbers from the standard library's source of hash seeds.
fn random_seed() -> [u64; 4] {
    let state = RandomState::new();
    [0_u64, 1, 2, 3].map(|index| state.hash_one(index))
}
