//! One charge of a request, and the id of its policy.

use crate::key::Key;
use std::fmt;

/// The maximum number of policies in a limiter, and of charges in a request.
pub const MAX_CHARGES: usize = 16;

/// The id of a policy in one limiter.
///
/// [`Builder::add`](crate::Builder::add) and [`Limiter::policy`](crate::Limiter::policy) return it.
/// It is small and `Copy`. The default id names no policy of any limiter.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct PolicyId {
    /// The policy's index and, in the upper half, the mark of its limiter. In one number, so that a
    /// limiter checks both parts of an id by one comparison.
    bits: u64,
}

impl fmt::Debug for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = self.bits >> u32::BITS;
        f.debug_struct("PolicyId").field("index", &self.index()).field("owner", &owner).finish()
    }
}

impl PolicyId {
    pub(crate) fn new(index: usize, owner: u32) -> Self {
        PolicyId { bits: u64::from(owner) << u32::BITS | index as u64 }
    }

    /// Returns the policy's index, from 0, in the order in which the policies were added.
    #[inline]
    pub fn index(self) -> usize {
        self.bits as u32 as usize
    }

    /// Returns the id as a number, for code outside of Rust.
    #[inline]
    pub fn to_bits(self) -> u64 {
        self.bits
    }

    /// Returns the id for a number from [`to_bits`](Self::to_bits).
    ///
    /// Any other number is very likely the id of no policy of any limiter.
    #[inline]
    pub fn from_bits(bits: u64) -> Self {
        PolicyId { bits }
    }

    /// Returns a charge of `cost` units to `key` under this policy.
    ///
    /// A cost of 0 is allowed if the usage is within the limit, and writes nothing. So under a limit of
    /// 0 it is allowed while the usage is 0.
    #[inline]
    pub fn charge<'k>(self, key: impl Into<Key<'k>>, cost: u64) -> Charge<'k> {
        Charge { policy: self, key: key.into(), cost, limit: None }
    }
}

/// A cost to charge to a key under a policy: one part of a request.
///
/// [`PolicyId::charge`] makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge<'k> {
    pub(crate) policy: PolicyId,
    pub(crate) key: Key<'k>,
    pub(crate) cost: u64,
    pub(crate) limit: Option<u64>,
}

impl Charge<'_> {
    /// Sets a limit for this charge in place of the policy's own, for example for a paid tier.
    ///
    /// A limit above the policy's [`max_limit`](crate::Policy::max_limit) is lowered to it. A limit of 0
    /// refuses every cost above 0, with [`Verdict::Impossible`](crate::Verdict::Impossible), for
    /// example for a blocked client.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tollgate::{Limiter, Policy, Verdict};
    ///
    /// let mut builder = Limiter::builder();
    /// let minute = Duration::from_secs(60);
    /// let user = builder.add(Policy::sliding("user", 20, minute).max_limit(100));
    /// let limiter = builder.build()?;
    /// assert_eq!(limiter.check(&[user.charge("alice", 1).limit(100)]).remaining, 99);
    /// let blocked = limiter.check(&[user.charge("mallory", 1).limit(0)]);
    /// assert_eq!((blocked.verdict, blocked.limit), (Verdict::Impossible, 0));
    /// # Ok::<(), tollgate::ConfigError>(())
    /// ```
    #[inline]
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }
}
