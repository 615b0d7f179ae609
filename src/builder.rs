//! The configuration of a limiter. Everything is validated here, nothing on the request path.

use crate::charge::{MAX_CHARGES, PolicyId};
use crate::clock::Clock;
use crate::engine::Policies;
use crate::engine::policy_state::PolicyState;
use crate::error::ConfigError;
use crate::limiter::Limiter;
use crate::policy::Policy;
use crate::policy::overflow::Overflow;
use crate::sync::alloc::vector;
use std::hash::{BuildHasher, RandomState};

const DEFAULT_MAX_KEYS: usize = 1 << 20;

/// The configuration of a [`Limiter`] before it is built.
///
/// Nothing is validated until [`build`](Self::build).
#[derive(Debug)]
pub struct Builder {
    /// The mark in the ids of the limiter's policies.
    owner: u32,
    policies: Vec<Policy>,
    max_keys: usize,
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
            max_keys: DEFAULT_MAX_KEYS,
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

    /// Sets the maximum number of keys in the table of each policy. The default is 1,048,576.
    ///
    /// This is a bound, not a size: memory follows the live keys. At the bound, expired keys make
    /// room for new ones; [`overflow`](Self::overflow) decides what happens while too few have
    /// expired. See `docs/memory.md` for the bytes per key.
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
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

    /// Validates the configuration and builds the limiter.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the invalid field and its value, or
    /// [`ConfigError::OutOfMemory`].
    pub fn build(self) -> Result<Limiter, ConfigError> {
        if self.policies.is_empty() {
            return Err(ConfigError::NoPolicy);
        }
        if self.policies.len() > MAX_CHARGES {
            return Err(ConfigError::TooManyPolicies { value: self.policies.len() });
        }
        if self.max_keys == 0 {
            return Err(ConfigError::MaxKeys { policy: None, value: 0 });
        }
        let with_defaults = |policy: Policy| policy.with_defaults(self.max_keys, self.overflow);
        let mut policies: Vec<Policy> = self.policies.into_iter().map(with_defaults).collect();
        for (index, policy) in policies.iter().enumerate() {
            // Before the other settings, so that the name in their errors belongs to one policy.
            if policies[..index].iter().any(|other| other.name() == policy.name()) {
                return Err(ConfigError::DuplicateName { value: policy.name().into() });
            }
            policy.plan()?;
        }
        let clock = self.clock.unwrap_or_default();
        let now = clock.now(true);
        let Ok(mut states) = vector(policies.len()) else {
            return Err(ConfigError::OutOfMemory { policy: policies.swap_remove(0).into_name() });
        };
        let owner = self.owner;
        for (index, policy) in policies.into_iter().enumerate() {
            states.push(PolicyState::new(PolicyId::new(index, owner), policy, now)?);
        }
        let [a, b, c, d] = self.seed.unwrap_or_else(random_seed);
        let hasher = ahash::RandomState::with_seeds(a, b, c, d);
        Ok(Limiter::new(Policies::new(states.into_boxed_slice(), hasher, owner), clock))
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
