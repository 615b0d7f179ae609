//! The cost of a request in tokens, at given prices.

use limiter::TokenPrice;

/// Returns the cost of input and output tokens. A price is for a million tokens, in any unit of
/// money; the cost has the same unit. The cost is rounded up; above `UINT64_MAX`, it is `UINT64_MAX`.
#[unsafe(no_mangle)]
pub extern "C" fn tollgate_token_cost(
    input_price: u64,
    output_price: u64,
    input_tokens: u64,
    output_tokens: u64,
) -> u64 {
    TokenPrice::per_million(input_price, output_price).cost(input_tokens, output_tokens)
}
