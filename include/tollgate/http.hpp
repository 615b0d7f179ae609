/// HTTP: the values of fields, and the problem body of a denial.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOLLGATE_HTTP_HPP
#define TOLLGATE_HTTP_HPP

#include "duration.hpp"
#include "error.hpp"
#include "limiter.hpp"
#include "request.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

namespace tollgate::http {

/// Status 429, "Too Many Requests" (RFC 6585).
inline constexpr int too_many_requests = 429;
/// The name of the field with the value `retry_after_seconds` (RFC 9110).
inline constexpr std::string_view retry_after_name = "retry-after";
/// The name of the field with the value `policy`.
inline constexpr std::string_view policy_name = "ratelimit-policy";
/// The name of the field with the value `limit`.
inline constexpr std::string_view limit_name = "ratelimit";
/// The media type of `problem` (RFC 9457).
inline constexpr std::string_view problem_type = "application/problem+json";

/// Returns the value of `Retry-After` for a wait: whole seconds, rounded up, at least 1. A wait of 292
/// years or more gives `TOLLGATE_NEVER`, which is not a value of the field.
template <class Rep, class Period>
[[nodiscard]] std::uint64_t retry_after_seconds(std::chrono::duration<Rep, Period> wait) noexcept {
    return tollgate_retry_after_seconds(detail::ns(wait));
}

/// Returns the value of `X-RateLimit-Reset` for a wait: whole seconds, rounded up.
template <class Rep, class Period>
[[nodiscard]] std::uint64_t reset_seconds(std::chrono::duration<Rep, Period> wait) noexcept {
    return tollgate_reset_seconds(detail::ns(wait));
}

/// The result of writing to a buffer, similar to that of `std::to_chars`.
struct [[nodiscard]] written {
    /// No error, or the reason. For `errc::buffer` the buffer is too small, and holds an empty
    /// string.
    std::error_code code;
    /// The length of the text without its NUL, also if the buffer is too small.
    std::size_t size;
};

/// Writes the value of `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11, section 3) for
/// the policies of a request, and a NUL. If there are no statuses, send no such field. Allocates
/// nothing. Any thread. Errors: `errc::buffer` (see `written`), `errc::policy` (a policy of another
/// limiter), `errc::too_many` (more than 16 statuses), `errc::null` (a moved-from limiter).
[[nodiscard]] inline written write_policy(const limiter& limiter, view<const policy_status> statuses,
                                          view<char> buffer) noexcept {
    std::size_t size = 0;
    const auto status = tollgate_http_policy(limiter.c(), detail::raw(statuses), statuses.size(),
                                             buffer.data(), buffer.size(), &size);
    return {{status, category()}, size};
}

/// Writes the value of `RateLimit` (the same draft, section 4): for each policy the remaining units,
/// and a time in seconds. If the charge was denied and has room later, this is the time until then;
/// else it is the time until the whole limit is free. Buffer, result and errors as for `write_policy`.
[[nodiscard]] inline written write_limit(const limiter& limiter, view<const policy_status> statuses,
                                         view<char> buffer) noexcept {
    std::size_t size = 0;
    const auto status = tollgate_http_limit(limiter.c(), detail::raw(statuses), statuses.size(),
                                            buffer.data(), buffer.size(), &size);
    return {{status, category()}, size};
}

/// Writes a problem body (RFC 9457) for status 429, which names every policy without room.
/// `explanation` is a message for people, in UTF-8, or NULL. Bytes that are not UTF-8 are replaced;
/// only then does the call allocate. Buffer, result and errors as for `write_policy`.
[[nodiscard]] inline written write_problem(const limiter& limiter, view<const policy_status> statuses,
                                           const char* explanation, view<char> buffer) noexcept {
    std::size_t size = 0;
    const auto status =
        tollgate_http_problem(limiter.c(), detail::raw(statuses), statuses.size(), explanation,
                              buffer.data(), buffer.size(), &size);
    return {{status, category()}, size};
}

} // namespace tollgate::http

namespace tollgate::detail {

/// Writes a text to a string of the required length.
template <class Write>
[[nodiscard]] result<std::string> text(Write write) {
    char short_text[512];
    const http::written first = write(view<char>(short_text));
    if (!first.code) return std::string(short_text, first.size);
    if (first.code != errc::buffer) return error(static_cast<errc>(first.code.value()));
    // A string has room for its NUL.
    std::string long_text(first.size, '\0');
    const http::written second = write(view<char>(long_text.data(), long_text.size() + 1));
    if (second.code) return error(static_cast<errc>(second.code.value()));
    return long_text;
}

} // namespace tollgate::detail

namespace tollgate::http {

/// Returns the value of `RateLimit-Policy` as a string; see `write_policy`.
[[nodiscard]] inline result<std::string> try_policy(const limiter& limiter,
                                                    view<const policy_status> statuses) {
    return detail::text([&](view<char> buffer) { return write_policy(limiter, statuses, buffer); });
}
/// Returns the value of `RateLimit` as a string; see `write_limit`.
[[nodiscard]] inline result<std::string> try_limit(const limiter& limiter,
                                                   view<const policy_status> statuses) {
    return detail::text([&](view<char> buffer) { return write_limit(limiter, statuses, buffer); });
}
/// Returns a problem body as a string; see `write_problem`.
[[nodiscard]] inline result<std::string> try_problem(const limiter& limiter,
                                                     view<const policy_status> statuses,
                                                     const char* explanation = nullptr) {
    return detail::text(
        [&](view<char> buffer) { return write_problem(limiter, statuses, explanation, buffer); });
}

#if TOLLGATE_EXCEPTIONS
/// As `try_policy`; throws `tollgate::exception`.
[[nodiscard]] inline std::string policy(const limiter& limiter, view<const policy_status> statuses) {
    return try_policy(limiter, statuses).value();
}
/// As `try_limit`; throws `tollgate::exception`.
[[nodiscard]] inline std::string limit(const limiter& limiter, view<const policy_status> statuses) {
    return try_limit(limiter, statuses).value();
}
/// As `try_problem`; throws `tollgate::exception`.
[[nodiscard]] inline std::string problem(const limiter& limiter, view<const policy_status> statuses,
                                         const char* explanation = nullptr) {
    return try_problem(limiter, statuses, explanation).value();
}
#endif

} // namespace tollgate::http

#endif
