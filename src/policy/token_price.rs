//! The cost of tokens as one integer.

/// The prices of a million input tokens and a million output tokens, in a unit of money.
///
/// Choose a unit as small as the costs need. For example, 3 dollars per million input tokens and 15
/// per million output tokens, in micro-dollars:
///
/// ```
/// use tollgate::TokenPrice;
///
/// let price = TokenPrice::per_million(3_000_000, 15_000_000);
/// // 1,200 tokens in, 640 out: 0.0132 dollars.
/// assert_eq!(price.cost(1_200, 640), 13_200);
/// // A fraction of a unit is rounded up, so that many small requests are not free.
/// assert_eq!(TokenPrice::per_million(1, 1).cost(1, 0), 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenPrice {
    input: u64,
    output: u64,
}

const MILLION: u128 = 1_000_000;

impl TokenPrice {
    /// Returns the prices for these units of money per million input and output tokens.
    pub const fn per_million(input: u64, output: u64) -> Self {
        TokenPrice { input, output }
    }

    /// Returns the cost of these tokens in units of money, rounded up. Saturates at `u64::MAX`.
    pub fn cost(self, input_tokens: u64, output_tokens: u64) -> u64 {
        let product = |price: u64, tokens: u64| u128::from(price) * u128::from(tokens);
        let input = product(self.input, input_tokens);
        let sum = input.checked_add(product(self.output, output_tokens));
        sum.map_or(u64::MAX, |sum| u64::try_from(sum.div_ceil(MILLION)).unwrap_or(u64::MAX))
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rounds_up_and_never_wraps(input: u64, output: u64, i: u64, o: u64) {
            let cost = TokenPrice::per_million(input, output).cost(i, o);
            let exact = |price: u64, tokens: u64| price as f64 * tokens as f64 / 1e6;
            let sum = exact(input, i) + exact(output, o);
            if cost < u64::MAX {
                prop_assert!(cost as f64 >= sum * 0.999_999);
                prop_assert!(cost as f64 <= sum * 1.000_001 + 1.0);
            } else {
                prop_assert!(sum > 1.8e19);
            }
        }

        #[test]
        fn exact_for_small_numbers(
            input in 0..1_000_000_u64,
            output in 0..1_000_000_u64,
            i in 0..1_000_000_u64,
            o in 0..1_000_000_u64,
        ) {
            let cost = TokenPrice::per_million(input, output).cost(i, o);
            prop_assert_eq!(cost, (input * i + output * o).div_ceil(1_000_000));
        }
    }

    #[test]
    fn greatest_cost_saturates() {
        assert_eq!(TokenPrice::per_million(u64::MAX, u64::MAX).cost(u64::MAX, u64::MAX), u64::MAX);
    }
}
