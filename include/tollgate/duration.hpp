/// Conversions between `std::chrono` and the nanoseconds of the C API.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOLLGATE_DURATION_HPP
#define TOLLGATE_DURATION_HPP

#include "../tollgate.h"

#include <chrono>
#include <cstdint>

namespace tollgate {

namespace detail {

/// Converts nanoseconds of the C API. Longer times become the greatest `std::chrono` value.
[[nodiscard]] constexpr std::chrono::nanoseconds wait(std::uint64_t ns) noexcept {
    constexpr auto longest = std::chrono::nanoseconds::max();
    if (ns > static_cast<std::uint64_t>(longest.count())) return longest;
    return std::chrono::nanoseconds(static_cast<std::chrono::nanoseconds::rep>(ns));
}

/// Converts to nanoseconds of the C API. Negative times become 0; times that do not fit become
/// `TOLLGATE_NEVER`.
template <class Rep, class Period>
[[nodiscard]] constexpr std::uint64_t ns(std::chrono::duration<Rep, Period> time) noexcept {
    using std::chrono::nanoseconds;
    const std::chrono::duration<long double, std::nano> wide = time;
    if (!(wide.count() > 0)) return 0;
    // The comparison is in floating point: a time that rounds up to the maximum is excluded too.
    if (wide.count() >= static_cast<long double>(nanoseconds::max().count())) return TOLLGATE_NEVER;
    return static_cast<std::uint64_t>(std::chrono::duration_cast<nanoseconds>(time).count());
}

} // namespace detail

} // namespace tollgate

#endif
