/// What can go wrong: a std::error_code category, an error with its text, a result, an exception.
///
/// Whatever can fail comes twice. `try_...` is noexcept and gives a `result`; the same name without
/// `try_` throws `tollgate::exception`, and is there only where exceptions are. Decisions are results
/// already: they carry their error and are never thrown.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOLLGATE_ERROR_HPP
#define TOLLGATE_ERROR_HPP

#include "../tollgate.h"

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
#if __has_include(<version>)
#include <version>
#endif
#if defined(__cpp_lib_expected)
#include <expected>
#endif

#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define TOLLGATE_EXCEPTIONS 1
#else
#define TOLLGATE_EXCEPTIONS 0
#endif

// The argument, or the object, must live as long as what is returned.
#if defined(__clang__)
#define TOLLGATE_BORROWED [[clang::lifetimebound]]
#else
#define TOLLGATE_BORROWED
#endif

namespace tollgate {

/// Why not: the numbers of `tollgate_status`. Those above 0 are plain answers of a decision, those
/// below are errors, after which nothing was charged.
enum class errc : std::int32_t {
    denied = TOLLGATE_DENIED,
    impossible = TOLLGATE_IMPOSSIBLE,
    table_full = TOLLGATE_TABLE_FULL,
    null = TOLLGATE_E_NULL,
    handle = TOLLGATE_E_HANDLE,
    argument = TOLLGATE_E_ARGUMENT,
    policy = TOLLGATE_E_POLICY,
    too_many = TOLLGATE_E_TOO_MANY,
    closed = TOLLGATE_E_CLOSED,
    foreign = TOLLGATE_E_FOREIGN,
    amounts = TOLLGATE_E_AMOUNTS,
    buffer = TOLLGATE_E_BUFFER,
    thread = TOLLGATE_E_THREAD,
    no_memory = TOLLGATE_E_NO_MEMORY,
    system = TOLLGATE_E_SYSTEM,
    policies = TOLLGATE_E_POLICIES,
    name = TOLLGATE_E_NAME,
    duplicate_name = TOLLGATE_E_DUPLICATE_NAME,
    limit = TOLLGATE_E_LIMIT,
    max_limit = TOLLGATE_E_MAX_LIMIT,
    window = TOLLGATE_E_WINDOW,
    buckets = TOLLGATE_E_BUCKETS,
    offset = TOLLGATE_E_OFFSET,
    max_keys = TOLLGATE_E_MAX_KEYS,
    allowance = TOLLGATE_E_ALLOWANCE,
    config = TOLLGATE_E_CONFIG,
    panic = TOLLGATE_E_PANIC,
};

/// What a status of the C functions means. Static text, never NULL.
[[nodiscard]] inline const char* strerror(std::int32_t status) noexcept {
    return tollgate_strerror(status);
}

namespace detail {

class category_type final : public std::error_category {
  public:
    [[nodiscard]] const char* name() const noexcept override { return "tollgate"; }
    [[nodiscard]] std::string message(int status) const override {
        return tollgate::strerror(status);
    }
};

} // namespace detail

/// The category of `errc`.
[[nodiscard]] inline const std::error_category& category() noexcept {
    static const detail::category_type one;
    return one;
}

/// For `std::error_code code = tollgate::errc::limit;`.
[[nodiscard]] inline std::error_code make_error_code(errc code) noexcept {
    return {static_cast<int>(code), category()};
}

/// An error with a text that names the field and the value. Plain data, 256 bytes, no allocation.
class error {
  public:
    /// With the general text of its number.
    error(errc code) noexcept : error(static_cast<tollgate_status>(code)) {}
    /// As C tells it.
    explicit error(const tollgate_error& why) noexcept : why_(why) {}
    /// The answer of a C function.
    explicit error(tollgate_status status) noexcept : why_{status, 0, {}} {
        std::strncpy(why_.message, tollgate_strerror(status), sizeof why_.message - 1);
    }

    [[nodiscard]] std::error_code code() const noexcept { return {why_.status, category()}; }
    /// ASCII, ended by a NUL; lives as long as this error.
    [[nodiscard]] const char* what() const noexcept TOLLGATE_BORROWED { return why_.message; }

  private:
    tollgate_error why_;
};

#if TOLLGATE_EXCEPTIONS
/// What the forms without `try_` throw. `code()` tells which, `what()` names the field and the value.
class exception : public std::system_error {
  public:
    explicit exception(const error& why) : std::system_error(why.code()), why_(why) {}
    explicit exception(std::error_code code)
        : exception(error(static_cast<tollgate_status>(code.value()))) {}
    [[nodiscard]] const char* what() const noexcept override { return why_.what(); }

  private:
    error why_;
};
#endif

namespace detail {

#if TOLLGATE_EXCEPTIONS
[[noreturn]] inline void raise(const error& why) { throw exception(why); }
template <class Why>
[[noreturn]] void raise(const Why& why) {
    throw exception(why.code());
}
#endif

/// A result of nothing holds this.
template <class Value>
using stored = std::conditional_t<std::is_void_v<Value>, std::monostate, Value>;

} // namespace detail

/// A value or the reason why there is none: `std::expected` for C++17, to which it converts. Looking
/// at what is not there is undefined, except by `value()`, which throws.
template <class Value, class Why = error>
class [[nodiscard]] result {
  public:
    /// What is held: the value, or nothing for `result<void>`.
    using value_type = detail::stored<Value>;

    result(value_type value = {}) noexcept : either_(std::in_place_index<0>, std::move(value)) {}
    result(Why why) noexcept : either_(std::in_place_index<1>, std::move(why)) {}

    [[nodiscard]] bool has_value() const noexcept { return either_.index() == 0; }
    [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }

    [[nodiscard]] value_type& operator*() & noexcept { return *std::get_if<0>(&either_); }
    [[nodiscard]] const value_type& operator*() const& noexcept { return *std::get_if<0>(&either_); }
    [[nodiscard]] value_type&& operator*() && noexcept { return std::move(**this); }
    [[nodiscard]] value_type* operator->() noexcept { return std::get_if<0>(&either_); }
    [[nodiscard]] const value_type* operator->() const noexcept { return std::get_if<0>(&either_); }

    /// Why there is no value.
    [[nodiscard]] const Why& error() const noexcept { return *std::get_if<1>(&either_); }

    /// The value, or `otherwise`.
    [[nodiscard]] value_type value_or(value_type otherwise) && noexcept {
        return has_value() ? std::move(**this) : std::move(otherwise);
    }

#if TOLLGATE_EXCEPTIONS
    /// The value; throws `tollgate::exception` if there is none.
    value_type& value() & { return expect(), **this; }
    const value_type& value() const& { return expect(), **this; }
    value_type&& value() && { return expect(), std::move(**this); }
#endif

#if defined(__cpp_lib_expected)
    /// The same as the standard library's.
    operator std::expected<Value, Why>() && {
        if (!has_value()) return std::unexpected(error());
        if constexpr (std::is_void_v<Value>) {
            return {};
        } else {
            return std::move(**this);
        }
    }
#endif

  private:
#if TOLLGATE_EXCEPTIONS
    void expect() const {
        if (!has_value()) detail::raise(error());
    }
#endif

    std::variant<value_type, Why> either_;
};

} // namespace tollgate

template <>
struct std::is_error_code_enum<tollgate::errc> : std::true_type {};

#endif
