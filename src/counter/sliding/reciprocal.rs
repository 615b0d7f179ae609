//! Division by a constant of a policy: a multiplication per request instead of a division.

/// A divisor and its reciprocal.
///
/// For a divisor `d`, the multiplier is `m = floor((2^64 - 1) / d)`. Let `rest = 2^64 - m * d`, which is
/// from 1 to `d`. Then `(n + 1) * m / 2^64 = (n + 1) / d - error`, where the error is
/// `(n + 1) * rest / 2^64 / d`. The error is greater than 0. If it is at most `1 / d`, then
/// `(n + 1) * m / 2^64` is at least `n / d` and less than `(n + 1) / d`, so its floor is the quotient
/// `floor(n / d)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reciprocal {
    divisor: u64,
    multiplier: u64,
}

impl Reciprocal {
    /// The reciprocal of `divisor`, for dividends up to `max`.
    pub(crate) fn new(divisor: u64, max: u64) -> Self {
        let reciprocal = Reciprocal { divisor, multiplier: u64::MAX / divisor };
        debug_assert!(max <= reciprocal.max(), "inexact quotients by {divisor} up to {max}");
        reciprocal
    }

    /// A dividend up to which all quotients are exact: up to it, the error is at most `1 / d`.
    fn max(self) -> u64 {
        let rest = u64::MAX - self.multiplier * self.divisor + 1;
        // 2^64 / rest - 1. For a rest of 1, one less, so that `n + 1` does not overflow.
        ((1_u128 << 64) / u128::from(rest) - 1) as u64 - u64::from(rest == 1)
    }

    /// `floor(n / divisor)`, for `n` up to the maximum.
    #[inline(always)]
    pub(crate) fn divide(self, n: u64) -> u64 {
        (((n + 1) as u128 * self.multiplier as u128) >> 64) as u64
    }

    #[inline(always)]
    pub(crate) fn divisor(self) -> u64 {
        self.divisor
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::Reciprocal;
    use proptest::prelude::*;

    /// Asserts the quotients of `n`, of the greatest multiple of `divisor` up to `n`, and of two other
    /// dividends below `n`.
    fn assert_exact(divisor: u64, n: u64) {
        let reciprocal = Reciprocal::new(divisor, n);
        let multiple = n / divisor * divisor;
        for n in [n, multiple, multiple.saturating_sub(1), n - n / divisor] {
            assert_eq!(reciprocal.divide(n), n / divisor, "{n} / {divisor}");
        }
    }

    #[test]
    fn divides_at_edges() {
        let edges = [1, 2, 3, 7, 9, 10, 2_048, 2_049, 1 << 31, 1 << 32, u64::MAX / 3, u64::MAX];
        for divisor in edges {
            let max = Reciprocal::new(divisor, 0).max();
            for n in edges.into_iter().chain([0, max / 2, max]) {
                assert_exact(divisor, n.min(max));
            }
        }
    }

    /// The dividends of a policy have up to 53 bits, or its divisor is 1.
    #[test]
    fn maximum_is_large_for_small_divisors() {
        assert_eq!(Reciprocal::new(1, 0).max(), u64::MAX - 1);
        assert!((1..=2_049).all(|divisor| Reciprocal::new(divisor, 0).max() >= (1 << 53) - 1));
    }

    proptest! {
        #[test]
        fn matches_hardware_division(n: u64, d in 1u64.., shift in 0u32..64, more in 0u32..64) {
            let divisor = (d >> shift).max(1);
            let max = Reciprocal::new(divisor, 0).max();
            assert_exact(divisor, (n >> more).min(max));
            assert_exact(divisor, max);
        }
    }
}
