//! One line of a request.

use crate::key::Key;

/// The most policies of one limiter, and the most charges of one request.
pub const MAX_CHARGES: usize = 16;

/// A policy of one limiter: small, copied freely, and made by
/// [`Limiter::policy`](crate::Limiter::policy).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PolicyId {
    index: u32,
    /// Tells the policies of one limiter from those of another.
    owner: u32,
}

impl PolicyId {
    /// No policy of any limiter.
    pub(crate) const NONE: PolicyId = PolicyId { index: u32::MAX, owner: 0 };

    pub(crate) fn new(index: usize, owner: u32) -> Self {
        PolicyId { index: index as u32, owner }
    }

    pub(crate) fn owner(self) -> u32 {
        self.owner
    }

    /// The policy's place in the order in which the limiter was given its policies, from 0.
    #[inline]
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// The policy as a number, for hosts that keep it outside of Rust.
    pub fn to_bits(self) -> u64 {
        u64::from(self.owner) << 32 | u64::from(self.index)
    }

    /// The policy that [`to_bits`](Self::to_bits) made a number of. Any other number names, most
    /// likely, no policy of any limiter.
    pub fn from_bits(bits: u64) -> Self {
        PolicyId { index: bits as u32, owner: (bits >> 32) as u32 }
    }

    /// A charge of `cost` units to `key` under this policy. A cost of 0 asks whether the usage is
    /// within the limit, and writes nothing.
    #[inline]
    pub fn charge<'k>(self, key: impl Into<Key<'k>>, cost: u64) -> Charge<'k> {
        Charge { policy: self, key: key.into(), cost, limit: None }
    }
}

/// One line of a request: who pays how much under which policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge<'k> {
    pub(crate) policy: PolicyId,
    pub(crate) key: Key<'k>,
    pub(crate) cost: u64,
    pub(crate) limit: Option<u64>,
}

impl Charge<'_> {
    /// Applies this limit in place of the policy's own: a free or a paid tier, say. Cut to the
    /// policy's [`max_limit`](crate::Policy::max_limit).
    #[inline]
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }
}
