/// The cost of tokens.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOLLGATE_TOKEN_PRICE_HPP
#define TOLLGATE_TOKEN_PRICE_HPP

#include "../tollgate.h"

#include <cstdint>

namespace tollgate {

/// Prices of a million input and output tokens, in any unit of money.
class token_price {
  public:
    [[nodiscard]] static constexpr token_price per_million(std::uint64_t input,
                                                           std::uint64_t output) noexcept {
        return {input, output};
    }
    /// Returns the cost of tokens: rounded up, so that small requests are not free, and at most
    /// 2^64 - 1.
    [[nodiscard]] std::uint64_t cost(std::uint64_t input_tokens,
                                     std::uint64_t output_tokens) const noexcept {
        return tollgate_token_cost(input_, output_, input_tokens, output_tokens);
    }

  private:
    constexpr token_price(std::uint64_t input, std::uint64_t output) noexcept
        : input_(input), output_(output) {}

    std::uint64_t input_;
    std::uint64_t output_;
};

} // namespace tollgate

#endif
