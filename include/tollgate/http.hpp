/// What an HTTP server sends: the values of fields, and the body of a refusal.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOLLGATE_HTTP_HPP
#define TOLLGATE_HTTP_HPP

#include "limiter.hpp"

namespace tollgate::http {

/// Status 429, "Too Many Requests" (RFC 6585).
inline constexpr int too_many_requests = 429;
/// The name of the field that `retry_after_seconds` is the value of (RFC 9110).
inline constexpr std::string_view retry_after_name = "retry-after";
/// The name of the field that `policy` is the value of.
inline constexpr std::string_view policy_name = "ratelimit-policy";
/// The name of the field that `limit` is the value of.
inline constexpr std::string_view limit_name = "ratelimit";
/// The media type of `problem` (RFC 9457).
inline constexpr std::string_view problem_type = "application/problem+json";

/// The value of `Retry-After` for a wait: whole seconds, rounded up, at least 1.
template <class Rep, class Period>
[[nodiscard]] std::uint64_t retry_after_seconds(std::chrono::duration<Rep, Period> wait) noexcept {
    return tollgate_retry_after_seconds(detail::ns(wait));
}

/// The value of `X-RateLimit-Reset` for a wait: whole seconds, rounded up.
template <class Rep, class Period>
[[nodiscard]] std::uint64_t reset_seconds(std::chrono::duration<Rep, Period> wait) noexcept {
    return tollgate_reset_seconds(detail::ns(wait));
}

/// What was written into a buffer, as `std::to_chars` tells it.
struct [[nodiscard]] written {
    /// No error; or `errc::buffer`: the buffer is too small, and holds an empty text.
    std::error_code code;
    /// The text's length, without the NUL that ends it; also what is needed.
    std::size_t size;
};

/// Writes the value of `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11, section 3) for the
/// layers of a request, and a NUL. Send no field for no layers. Allocates nothing. Any thread. Other
/// errors: `errc::policy` (a layer of another limiter), `errc::too_many`, `errc::null`.
[[nodiscard]] inline written write_policy(const limiter& limiter, view<const policy_status> layers,
                                          view<char> buffer) noexcept {
    std::size_t size = 0;
    const auto status = tollgate_http_policy(limiter.c(), detail::raw(layers), layers.size(),
                                             buffer.data(), buffer.size(), &size);
    return {{status, category()}, size};
}

/// Writes the value of `RateLimit` (the same draft, section 4): how the policies stand now. As
/// `write_policy`.
[[nodiscard]] inline written write_limit(const limiter& limiter, view<const policy_status> layers,
                                         view<char> buffer) noexcept {
    std::size_t size = 0;
    const auto status = tollgate_http_limit(limiter.c(), detail::raw(layers), layers.size(),
                                            buffer.data(), buffer.size(), &size);
    return {{status, category()}, size};
}

/// Writes a problem body (RFC 9457) for status 429 that names every policy without room. `why`, for
/// people to read, is UTF-8, or NULL. As `write_policy`.
[[nodiscard]] inline written write_problem(const limiter& limiter, view<const policy_status> layers,
                                           const char* why, view<char> buffer) noexcept {
    std::size_t size = 0;
    const auto status = tollgate_http_problem(limiter.c(), detail::raw(layers), layers.size(), why,
                                              buffer.data(), buffer.size(), &size);
    return {{status, category()}, size};
}

} // namespace tollgate::http

namespace tollgate::detail {

/// A text of the length that it needs.
template <class Write>
[[nodiscard]] result<std::string> text(Write write) {
    char most[512];
    const http::written first = write(view<char>(most));
    if (!first.code) return std::string(most, first.size);
    if (first.code != errc::buffer) return error(static_cast<errc>(first.code.value()));
    // A string has room for its NUL.
    std::string long_one(first.size, '\0');
    const http::written second = write(view<char>(long_one.data(), long_one.size() + 1));
    if (second.code) return error(static_cast<errc>(second.code.value()));
    return long_one;
}

} // namespace tollgate::detail

namespace tollgate::http {

/// The value of `RateLimit-Policy` as a string; see `write_policy`.
[[nodiscard]] inline result<std::string> try_policy(const limiter& limiter,
                                                    view<const policy_status> layers) {
    return detail::text([&](view<char> buffer) { return write_policy(limiter, layers, buffer); });
}
/// The value of `RateLimit` as a string; see `write_limit`.
[[nodiscard]] inline result<std::string> try_limit(const limiter& limiter,
                                                   view<const policy_status> layers) {
    return detail::text([&](view<char> buffer) { return write_limit(limiter, layers, buffer); });
}
/// A problem body as a string; see `write_problem`.
[[nodiscard]] inline result<std::string> try_problem(const limiter& limiter,
                                                     view<const policy_status> layers,
                                                     const char* why = nullptr) {
    return detail::text(
        [&](view<char> buffer) { return write_problem(limiter, layers, why, buffer); });
}

#if TOLLGATE_EXCEPTIONS
/// As `try_policy`; throws `tollgate::exception`.
[[nodiscard]] inline std::string policy(const limiter& limiter, view<const policy_status> layers) {
    return try_policy(limiter, layers).value();
}
/// As `try_limit`; throws `tollgate::exception`.
[[nodiscard]] inline std::string limit(const limiter& limiter, view<const policy_status> layers) {
    return try_limit(limiter, layers).value();
}
/// As `try_problem`; throws `tollgate::exception`.
[[nodiscard]] inline std::string problem(const limiter& limiter, view<const policy_status> layers,
                                         const char* why = nullptr) {
    return try_problem(limiter, layers, why).value();
}
#endif

} // namespace tollgate::http

#endif
