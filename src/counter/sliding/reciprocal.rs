//! Division by a constant of a policy: a multiplication per request instead of a division.

/// A divisor and its reciprocal.
///
/// For a divisor `d`, the multiplier is `m = floor((2^64 - 1) / d)`, so `2^64 - d <= m * d < 2^64`.
/// Hence `n * m / 2^64` is at most `n / d`, and at least `n / d - n / 2^64`, which is less than 1 below
/// it. So its floor is the quotient or one less. If it is one less, the remainder is at least `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reciprocal {
    divisor: u64,
    multiplier: u64,
}

impl Reciprocal {
    /// The reciprocal of `divisor`. A divisor of 0 is replaced by 1.
    pub(crate) fn new(divisor: u64) -> Self {
        let divisor = divisor.max(1);
        Reciprocal { divisor, multiplier: u64::MAX / divisor }
    }

    /// `floor(n / divisor)`, for every `n`.
    #[inline(always)]
    pub(crate) fn divide(self, n: u64) -> u64 {
        let quotient = ((n as u128 * self.multiplier as u128) >> 64) as u64;
        let remainder = n - quotient * self.divisor;
        quotient + u64::from(remainder >= self.divisor)
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

    #[test]
    fn divides_at_edges() {
        let edges = [
            0,
            1,
            2,
            3,
            7,
            9,
            10,
            1 << 31,
            1 << 32,
            u64::MAX / 3,
            u64::MAX / 2,
            u64::MAX - 1,
            u64::MAX,
        ];
        for d in edges.into_iter().filter(|d| *d > 0) {
            for n in edges {
                assert_eq!(Reciprocal::new(d).divide(n), n / d, "{n} / {d}");
            }
        }
    }

    proptest! {
        #[test]
        fn matches_hardware_division(n: u64, d in 1u64.., shift in 0u32..64) {
            let d = (d >> shift).max(1);
            prop_assert_eq!(Reciprocal::new(d).divide(n), n / d);
            // A wrong estimate would show next to a multiple of the divisor.
            let multiple = n / d * d;
            prop_assert_eq!(Reciprocal::new(d).divide(multiple), n / d);
            let below = multiple.saturating_sub(1);
            prop_assert_eq!(Reciprocal::new(d).divide(below), below / d);
        }
    }
}
