//! What tokens cost, in one integer.

use limiter::TokenPrice;

/// What so many input and output tokens cost, at prices for a million of them in the host's smallest
/// unit of money; rounded up, and at most `UINT64_MAX`.
#[unsafe(no_mangle)]
pub extern "C" fn tollgate_token_cost(
    input_price: u64,
    output_price: u64,
    input_tokens: u64,
    output_tokens: u64,
) -> u64 {
    TokenPrice::per_million(input_price, output_price).cost(input_tokens, output_tokens)
}
