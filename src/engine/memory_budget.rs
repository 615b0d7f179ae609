//! The number of keys that each policy's table may have: the least that the bounds on keys and on bytes
//! permit.
//!
//! A bound that nobody has set has a default only for a policy without any: who sets a number of keys
//! wants that many, and who sets a number of bytes wants as many keys as fit.

use crate::charge::MAX_CHARGES;
use crate::engine::policy_state::PolicyState;
use crate::error::ConfigError;
use crate::policy::{Plan, Policy};
use crate::table::Bounds;
use arrayvec::ArrayVec;

/// The most keys of a policy for which no bound is set.
const DEFAULT_MAX_KEYS: usize = 1 << 20;
/// The most bytes, in total, of the policies for which no bound is set.
const DEFAULT_MAX_BYTES: usize = 128 << 20;

/// The bounds of a builder, if they are set.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MemoryBudget {
    /// The most keys of each policy without its own number.
    pub(crate) max_keys: Option<usize>,
    /// The most bytes of all policies in total.
    pub(crate) max_bytes: Option<usize>,
}

/// The memory that a policy needs for its keys.
#[derive(Clone, Copy, Debug)]
struct Demand {
    plan: Plan,
    allowance: u64,
    /// The most keys that the policy may have without regard to the others.
    max_keys: usize,
    /// Whether the policy has a share of a number of bytes in total.
    is_sharing: bool,
}

impl MemoryBudget {
    /// Sets the number of keys of each policy.
    ///
    /// The policies that share a number of bytes get the same number of keys: the greatest one for which
    /// all their tables fit. A policy that may have fewer keys leaves more to the others.
    ///
    /// # Errors
    /// [`ConfigError::MaxBytes`], and any error of [`Policy::plan`].
    pub(crate) fn apply(self, policies: &mut [Policy]) -> Result<(), ConfigError> {
        let demands: ArrayVec<Demand, MAX_CHARGES> =
            policies.iter().map(|policy| self.demand(policy)).collect::<Result<_, _>>()?;
        let value = self.max_bytes.unwrap_or(DEFAULT_MAX_BYTES);
        let sharing = || demands.iter().filter(|demand| demand.is_sharing);
        let shared = |keys| sharing().map(|one| one.bytes(keys)).fold(0, usize::saturating_add);
        let share = most_keys(value, shared).map_err(|least| ConfigError::MaxBytes {
            policy: None,
            value,
            least,
        })?;
        for (policy, demand) in policies.iter_mut().zip(&demands) {
            let share = if demand.is_sharing { share } else { usize::MAX };
            policy.set_max_keys(demand.max_keys.min(share));
        }
        Ok(())
    }

    fn demand(self, policy: &Policy) -> Result<Demand, ConfigError> {
        let (own_keys, own_bytes) = (policy.own_max_keys(), policy.own_max_bytes());
        let max_keys = own_keys.or(self.max_keys);
        let has_none = max_keys.is_none() && own_bytes.is_none();
        let default =
            if has_none && self.max_bytes.is_none() { DEFAULT_MAX_KEYS } else { usize::MAX };
        let mut demand = Demand {
            plan: policy.plan()?,
            allowance: policy.effective_overflow().allowance(),
            max_keys: max_keys.unwrap_or(default),
            is_sharing: has_none || self.max_bytes.is_some(),
        };
        if let Some(value) = own_bytes {
            demand.max_keys = most_keys(value, |keys| demand.bytes(keys))
                .map_err(|least| {
                    let policy = Some(policy.name().to_owned());
                    ConfigError::MaxBytes { policy, value, least }
                })?
                .min(demand.max_keys);
        }
        Ok(demand)
    }
}

impl Demand {
    /// The most bytes that the policy takes if it may have this many keys.
    fn bytes(&self, keys: usize) -> usize {
        let bounds = Bounds { max_keys: keys.min(self.max_keys), allowance: self.allowance };
        PolicyState::memory_bound_of(self.plan, bounds)
    }
}

/// The most bytes that these policies take. Their numbers of keys are set.
pub(crate) fn memory_bound(policies: &[Policy]) -> Result<usize, ConfigError> {
    policies.iter().try_fold(0_usize, |sum, policy| {
        let demand = MemoryBudget::default().demand(policy)?;
        Ok(sum.saturating_add(demand.bytes(policy.effective_max_keys())))
    })
}

/// The most keys that need no more than this many bytes. `needed` does not decrease. `Err` is the least
/// number of bytes with which there are any.
fn most_keys(bytes: usize, needed: impl Fn(usize) -> usize) -> Result<usize, usize> {
    let fits = |keys| needed(keys) <= bytes;
    if !fits(1) {
        return Err(needed(1));
    }
    if fits(usize::MAX) {
        return Ok(usize::MAX);
    }
    let (mut most, mut too_many) = (1, usize::MAX);
    while too_many - most > 1 {
        let middle = most + (too_many - most) / 2;
        *(if fits(middle) { &mut most } else { &mut too_many }) = middle;
    }
    Ok(most)
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::*;
    use crate::policy::calendar::Period;
    use proptest::prelude::*;
    use std::time::Duration;

    fn exact(name: &str, limit: u64) -> Policy {
        Policy::sliding(name, limit, Duration::from_secs(60))
    }

    /// The keys that each policy gets.
    fn keys<const N: usize>(
        max_keys: Option<usize>,
        max_bytes: Option<usize>,
        mut policies: [Policy; N],
    ) -> Result<[usize; N], ConfigError> {
        MemoryBudget { max_keys, max_bytes }.apply(&mut policies)?;
        Ok(policies.map(|policy| policy.effective_max_keys()))
    }

    /// The most bytes of a policy with these keys.
    fn bytes(policy: Policy, keys: usize) -> usize {
        MemoryBudget::default().demand(&policy.max_keys(keys)).unwrap().bytes(keys)
    }

    #[test]
    fn defaults_apply_to_policies_without_any_bound() {
        let [one] = keys(None, None, [exact("p", 100)]).unwrap();
        assert!(bytes(exact("p", 100), one) <= DEFAULT_MAX_BYTES);
        assert!(bytes(exact("p", 100), one + 1) > DEFAULT_MAX_BYTES);
        let budget = Policy::calendar("p", 5, Period::Day);
        assert_eq!(keys(None, None, [budget]), Ok([DEFAULT_MAX_KEYS]));
        // A policy with a bound of its own takes nothing from the others.
        for bounded in [exact("q", 100).max_keys(1 << 30), exact("q", 100).max_bytes(1 << 30)] {
            let [first, _] = keys(None, None, [exact("p", 100), bounded]).unwrap();
            assert_eq!(first, one);
        }
    }

    #[test]
    fn one_explicit_bound_replaces_both_defaults() {
        assert_eq!(keys(None, None, [exact("p", 100).max_keys(1 << 30)]), Ok([1 << 30]));
        assert_eq!(keys(Some(1 << 30), None, [exact("p", 100)]), Ok([1 << 30]));
        assert_eq!(keys(Some(5), None, [exact("p", 100).max_keys(7)]), Ok([7]));
        let budget = || Policy::calendar("p", 5, Period::Day);
        let [own] = keys(None, None, [budget().max_bytes(1 << 30)]).unwrap();
        let [all] = keys(None, Some(1 << 30), [budget()]).unwrap();
        assert!(own == all && own > 20 * DEFAULT_MAX_KEYS, "{own} and {all} keys");
    }

    #[test]
    fn explicit_bounds_apply_together() {
        let [few] = keys(None, None, [exact("p", 100).max_bytes(1 << 24).max_keys(100)]).unwrap();
        let [many] =
            keys(None, None, [exact("p", 100).max_bytes(1 << 24).max_keys(1 << 30)]).unwrap();
        let [alone] = keys(None, None, [exact("p", 100).max_bytes(1 << 24)]).unwrap();
        assert_eq!((few, many), (100, alone));
        // The total bounds policies that have bounds of their own.
        let [first, second] = keys(
            None,
            Some(1 << 24),
            [exact("p", 100).max_bytes(1 << 30), exact("q", 100).max_keys(1 << 30)],
        )
        .unwrap();
        assert_eq!(first, second);
        assert!(2 * bytes(exact("p", 100), first) <= 1 << 24);
    }

    #[test]
    fn an_impossible_bound_names_the_least_one() {
        let least = bytes(exact("p", 100), 1);
        let error = |policy, value, least| ConfigError::MaxBytes { policy, value, least };
        for value in [0, 1, least - 1] {
            let found = keys(None, None, [exact("p", 100).max_bytes(value)]);
            assert_eq!(found.unwrap_err(), error(Some("p".to_owned()), value, least));
        }
        assert!(keys(None, None, [exact("p", 100).max_bytes(least)]).is_ok());
        let least = least + bytes(exact("q", 5), 1);
        let found = keys(None, Some(least - 1), [exact("p", 100), exact("q", 5)]);
        assert_eq!(found.unwrap_err(), error(None, least - 1, least));
        assert!(keys(None, Some(least), [exact("p", 100), exact("q", 5)]).is_ok());
    }

    proptest! {
        /// The tables of all policies fit, and one more key for each policy that may have it does not.
        #[test]
        fn the_total_is_used(
            limits in prop::array::uniform3(1u64..300), total in 4_000_000usize..1 << 34, few in 1usize..1 << 20,
        ) {
            let [a, b, c] = limits;
            let all = || [exact("a", a), exact("b", b), exact("c", c).max_keys(few)];
            let found = keys(None, Some(total), all()).unwrap();
            let sum = |found: [usize; 3]| -> usize {
                all().into_iter().zip(found).map(|(policy, keys)| bytes(policy, keys)).sum()
            };
            prop_assert!(sum(found) <= total);
            let [one, other, capped] = found;
            prop_assert_eq!(one, other);
            prop_assert_eq!(capped, one.min(few));
            prop_assert!(sum([one + 1, one + 1, (one + 1).min(few)]) > total);
        }
    }
}
