//! Making a limiter: every field is checked here, none on the request's way.

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
#[derive(Debug)]
pub struct Builder {
    /// Marks the ids of the limiter's policies.
    owner: u32,
    policies: Vec<Policy>,
    max_keys: usize,
    overflow: Overflow,
    clock: Option<Clock>,
    seed: Option<[u64; 4]>,
}

impl Limiter {
    /// Starts a limiter.
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

/// A copy builds a limiter of its own: ids from [`Builder::add`] are not its ids.
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
    /// Adds a policy. Their order is the order of reports.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.add(policy);
        self
    }

    /// Adds a policy and returns its id, for charges of the limiter that is built of this.
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

    /// How many live keys each policy counts at the most; 1,048,576 by default. What happens to
    /// new ones beyond is the [`overflow`](Self::overflow).
    ///
    /// This is a bound, not a size: memory follows the keys. An array has 16/15 of a slot for each
    /// key that it has room for, and settles with room for 1 to 1.5 times the live keys; while keys
    /// move from one array to the next there are two. A slot takes 17 bytes for a calendar policy,
    /// and 8 times the number of words plus 9 for a ring: 65 bytes at 7 words, 129 at 15, 1,025 at
    /// 127. So a policy with 7 words takes 70 to 104 bytes a live key, twice that while it moves,
    /// and never more than 139 bytes for each of `max_keys`. More address space is reserved than is
    /// ever touched.
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// What happens to a new key where there are `max_keys`; [`Overflow::Deny`] by default.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// The clock; [`Clock::precise`] by default.
    pub fn clock(mut self, clock: impl Into<Clock>) -> Self {
        self.clock = Some(clock.into());
        self
    }

    /// Hashes keys under this seed in place of a random one, for runs that must repeat exactly. A
    /// seed that clients can guess lets them choose keys that collide.
    pub fn seed(mut self, seed: [u64; 4]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Checks everything and makes the limiter.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the field and the value.
    pub fn build(self) -> Result<Limiter, ConfigError> {
        if self.policies.is_empty() {
            return Err(ConfigError::NoPolicy);
        }
        if self.policies.len() > MAX_CHARGES {
            return Err(ConfigError::TooManyPolicies { value: self.policies.len() });
        }
        if self.max_keys == 0 {
            return Err(ConfigError::MaxKeys { value: 0 });
        }
        let or = |policy: Policy| policy.or(self.max_keys, self.overflow);
        let mut policies: Vec<Policy> = self.policies.into_iter().map(or).collect();
        for (place, policy) in policies.iter().enumerate() {
            policy.plan()?;
            if policies[..place].iter().any(|other| other.name() == policy.name()) {
                return Err(ConfigError::DuplicateName { value: policy.name().into() });
            }
        }
        let clock = self.clock.unwrap_or_default();
        let now = clock.now(true);
        let Ok(mut states) = vector(policies.len()) else {
            return Err(ConfigError::OutOfMemory { policy: policies.swap_remove(0).into_name() });
        };
        let owner = self.owner;
        for (place, policy) in policies.into_iter().enumerate() {
            states.push(PolicyState::new(PolicyId::new(place, owner), policy, now)?);
        }
        let [a, b, c, d] = self.seed.unwrap_or_else(random_seed);
        let hasher = ahash::RandomState::with_seeds(a, b, c, d);
        Ok(Limiter::new(Policies::new(states.into_boxed_slice(), hasher, owner), clock))
    }
}

/// A random mark, so that no limiter takes the ids of another for its own, whatever their seeds.
fn new_owner() -> u32 {
    (random_seed()[0] as u32).max(1)
}

/// Four numbers from the standard library's source of hash seeds.
fn random_seed() -> [u64; 4] {
    let state = RandomState::new();
    [0_u64, 1, 2, 3].map(|place| state.hash_one(place))
}
