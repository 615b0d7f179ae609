/// tollgate for C++17: a lock-free rate limiter.
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
///     // Charges all three policies or none.
///     const auto decision = limiter.check({ip.charge(key::ip(address), 1), user.charge("alice", 1),
///                                          tokens.charge("alice", 512)});
///     if (const auto wait = decision.retry_after()) {
///         respond(429, tollgate::http::retry_after_seconds(*wait));
///     }
///
/// Header-only over the C library, and as fast: a request throws nothing, and allocates only when the
/// C library does. The rules of `tollgate.h` about threads, forks and signals apply here. Times are
/// those of `std::chrono`, with a resolution of a nanosecond.
///
/// Errors. A decision carries its error. Every other operation that can fail has two forms:
/// `try_...` is noexcept and returns a `result`; the form without `try_` throws
/// `tollgate::exception`, and is absent under `-fno-exceptions`. RTTI is not needed.
///
/// This header includes all others, each of which can also be included alone.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOLLGATE_HPP
#define TOLLGATE_HPP

#include "tollgate/clock.hpp"
#include "tollgate/config.hpp"
#include "tollgate/duration.hpp"
#include "tollgate/error.hpp"
#include "tollgate/http.hpp"
#include "tollgate/limiter.hpp"
#include "tollgate/operations.hpp"
#include "tollgate/request.hpp"
#include "tollgate/reservation.hpp"
#include "tollgate/token_price.hpp"
#include "tollgate/version.hpp"

#endif
