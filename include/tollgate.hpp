/// tollgate for C++17: may this caller go on, and if not, when?
///
///     using namespace std::chrono_literals;
///     using tollgate::key, tollgate::period, tollgate::policy;
///
///     auto limiter = tollgate::limiter::builder()
///                        .policy(policy::sliding("ip", 100, 1min))
///                        .policy(policy::sliding("user", 20, 1min))
///                        .policy(policy::calendar("tokens", 10'000, period::day))
///                        .build();
///     const auto ip = limiter.policy("ip"), user = limiter.policy("user"),
///                tokens = limiter.policy("tokens");
///
///     // All three, or none of them.
///     const auto decision = limiter.check({ip.charge(key::ip(address), 1), user.charge("alice", 1),
///                                          tokens.charge("alice", 512)});
///     if (const auto wait = decision.retry_after()) {
///         answer(429, tollgate::http::retry_after_seconds(*wait));
///     }
///
/// Header-only over the C library, and as fast: no allocation on the way of a request, nothing there
/// throws. What is said of threads, forks and guarantees in `tollgate.h` holds here. Units are the
/// policies' own; times are those of `std::chrono`, to the nanosecond.
///
/// Errors: a decision carries its own. Whatever else can fail comes as `try_...`, which gives a
/// `result`, and without `try_`, which throws. The latter is not there under `-fno-exceptions`; RTTI is
/// not needed.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOLLGATE_HPP
#define TOLLGATE_HPP

#include "tollgate/clock.hpp"
#include "tollgate/config.hpp"
#include "tollgate/error.hpp"
#include "tollgate/http.hpp"
#include "tollgate/limiter.hpp"
#include "tollgate/request.hpp"

namespace tollgate {

/// Prices of input and output tokens, in the host's smallest unit of money for a million tokens.
class token_price {
  public:
    [[nodiscard]] static constexpr token_price per_million(std::uint64_t input,
                                                           std::uint64_t output) noexcept {
        return {input, output};
    }
    /// What so many tokens cost, rounded up, so that many small requests are not free; at most 2^64 - 1.
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

/// The version of the library that runs: "0.1.0".
[[nodiscard]] inline std::string_view version() noexcept { return tollgate_version(); }

/// Whether the library that runs is one that this header was made for. A program that was linked with a
/// shared library of another number must be built anew.
[[nodiscard]] inline bool abi_matches() noexcept {
    return tollgate_abi_version() == TOLLGATE_ABI_VERSION;
}

} // namespace tollgate

#endif
