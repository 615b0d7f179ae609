/// Errors: a std::error_code category, an error with a message, a result, an exception.
///
/// Every operation that can fail has two forms. `try_...` is noexcept and returns a `result`. The
/// form without `try_` throws `tollgate::exception`, and is absent if exceptions are off. A
/// decision carries its own error and is never thrown.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOLLGATE_ERROR_HPP
#define TOLLGATE_ERROR_HPP

#include "../tollgate.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
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

// Marks an argument, or the object of a member function, that must outlive the returned value.
#if defined(__clang__)
#define TOLLGATE_BORROWED [[clang::lifetimebound]]
#else
#define TOLLGATE_BORROWED
#endif

namespace tollgate {

/// Error codes: the numbers of `tollgate_status`. Above 0: the request is not allowed, or a cost could
/// not be recorded. Below 0: an error, for example of an argument.
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
    max_bytes = TOLLGATE_E_MAX_BYTES,
    policy_file = TOLLGATE_E_POLICY_FILE,
    panic = TOLLGATE_E_PANIC,
};

/// Returns the text of a status of the C functions. The text is static and never NULL.
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

/// Converts an `errc`, for `std::error_code code = tollgate::errc::limit;`.
[[nodiscard]] inline std::error_code make_error_code(errc code) noexcept {
    return {static_cast<int>(code), category()};
}

/// An error with a message. The message about an invalid setting names the policy, the field and the
/// value. Plain data of 256 bytes; no allocation.
class error {
  public:
    /// An error with the text of its code.
    error(errc code) noexcept : error(static_cast<tollgate_status>(code)) {}
    /// An error with a message of these parts. Bytes that are not printable ASCII become `?`.
    error(errc code, std::initializer_list<std::string_view> parts) noexcept
        : raw_{static_cast<tollgate_status>(code), 0, {}} {
        std::size_t length = 0;
        for (const auto part : parts) {
            for (const char byte : part) {
                if (length + 1 == sizeof raw_.message) return;
                raw_.message[length++] = byte >= ' ' && byte <= '~' ? byte : '?';
            }
        }
    }
    /// Converts an error of C.
    explicit error(const tollgate_error& raw) noexcept : raw_(raw) {}
    /// An error with the text of a status of C.
    explicit error(tollgate_status status) noexcept : raw_{status, 0, {}} {
        std::strncpy(raw_.message, tollgate_strerror(status), sizeof raw_.message - 1);
    }

    [[nodiscard]] std::error_code code() const noexcept { return {raw_.status, category()}; }
    /// The message: NUL-terminated ASCII, valid as long as this error.
    [[nodiscard]] const char* what() const noexcept TOLLGATE_BORROWED { return raw_.message; }

  private:
    tollgate_error raw_;
};

#if TOLLGATE_EXCEPTIONS
/// The exception of the forms without `try_`. `code()` is the error code, and `what()` the message.
class exception : public std::system_error {
  public:
    explicit exception(const error& error) : std::system_error(error.code()), error_(error) {}
    explicit exception(std::error_code code)
        : exception(tollgate::error(static_cast<tollgate_status>(code.value()))) {}
    [[nodiscard]] const char* what() const noexcept override { return error_.what(); }

  private:
    error error_;
};
#endif

namespace detail {

#if TOLLGATE_EXCEPTIONS
[[noreturn]] inline void raise(const error& error) { throw exception(error); }
template <class Error>
[[noreturn]] void raise(const Error& error) {
    throw exception(error.code());
}
#endif

/// The type that a `result<Value>` stores.
template <class Value>
using stored = std::conditional_t<std::is_void_v<Value>, std::monostate, Value>;

} // namespace detail

/// A value or an error: `std::expected` for C++17, and convertible to it. Access to the absent
/// alternative is undefined, except by `value()`, which throws.
template <class Value, class Error = error>
class [[nodiscard]] result {
  public:
    /// The type of the stored value; an empty type for `result<void>`.
    using value_type = detail::stored<Value>;

    result(value_type value = {}) noexcept : storage_(std::in_place_index<0>, std::move(value)) {}
    result(Error error) noexcept : storage_(std::in_place_index<1>, std::move(error)) {}

    [[nodiscard]] bool has_value() const noexcept { return storage_.index() == 0; }
    [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }

    [[nodiscard]] value_type& operator*() & noexcept { return *std::get_if<0>(&storage_); }
    [[nodiscard]] const value_type& operator*() const& noexcept { return *std::get_if<0>(&storage_); }
    [[nodiscard]] value_type&& operator*() && noexcept { return std::move(**this); }
    [[nodiscard]] value_type* operator->() noexcept { return std::get_if<0>(&storage_); }
    [[nodiscard]] const value_type* operator->() const noexcept { return std::get_if<0>(&storage_); }

    /// The error.
    [[nodiscard]] const Error& error() const noexcept { return *std::get_if<1>(&storage_); }

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
    /// Converts to the result of the standard library.
    operator std::expected<Value, Error>() && {
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

    std::variant<value_type, Error> storage_;
};

} // namespace tollgate

template <>
struct std::is_error_code_enum<tollgate::errc> : std::true_type {};

#endif
