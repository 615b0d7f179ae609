/// The limiter.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOLLGATE_LIMITER_HPP
#define TOLLGATE_LIMITER_HPP

#include "clock.hpp"
#include "config.hpp"
#include "operations.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

namespace tollgate {

/// The statistics of a policy: the C struct `tollgate_stats`, which documents the fields.
using stats = tollgate_stats;
/// The numbers of requests: the C struct `tollgate_request_stats`, which documents the fields.
using request_stats = tollgate_request_stats;

namespace detail {

struct limiter_deleter {
    void operator()(tollgate_limiter* limiter) const noexcept { (void)tollgate_free(limiter); }
};

} // namespace detail

/// A limiter: decides which requests may proceed.
///
/// Threads share it by reference: any number of threads may call const members at any time, and no
/// call waits for another thread. Move-only, with the size of a pointer. The destructor frees it;
/// no other thread may be using it then, and no session may be open.
class limiter : public operations<limiter> {
  public:
    /// Returns an empty builder.
    [[nodiscard]] static tollgate::builder builder() { return {}; }

    /// Creates a limiter with the policies of a policy file in TOML: see `tollgate_new_from_toml`.
    /// `options` is a builder without policies. A setting above the policies of the file has precedence
    /// over its setting. Errors: `errc::policy_file`, whose message has the line and column;
    /// `errc::policies` if the options have a policy; the other errors of `builder::try_build`.
    [[nodiscard]] static inline result<limiter> try_from_toml(
        std::string_view text, const tollgate::builder& options = {}) noexcept;
    /// The same for a string of C. Errors: also `errc::null`.
    [[nodiscard]] static inline result<limiter> try_from_toml(
        const char* text, const tollgate::builder& options = {}) noexcept;
#if TOLLGATE_EXCEPTIONS
    /// As `try_from_toml`; throws `tollgate::exception`.
    [[nodiscard]] static limiter from_toml(std::string_view text,
                                           const tollgate::builder& options = {}) {
        return try_from_toml(text, options).value();
    }
    [[nodiscard]] static limiter from_toml(const char* text,
                                           const tollgate::builder& options = {}) {
        return try_from_toml(text, options).value();
    }
#endif

    /// Takes ownership of a limiter from `tollgate_new` or `tollgate_new_from_toml`.
    [[nodiscard]] static limiter from_c(tollgate_limiter* owned) noexcept { return limiter(owned); }

    /// Returns the operations at a time that the caller has already read.
    [[nodiscard]] instant at(const tollgate::now& now) const noexcept TOLLGATE_BORROWED {
        return {c(), now};
    }
    /// Opens a session at the current time of the clock.
    [[nodiscard]] tollgate::session session() const noexcept TOLLGATE_BORROWED {
        return {c(), nullptr};
    }
    /// Opens a session at a time that the caller has already read.
    [[nodiscard]] tollgate::session session_at(const tollgate::now& now) const noexcept
        TOLLGATE_BORROWED {
        return {c(), &now.c()};
    }

    /// Reads the clock. With the processor's clock, the wall clock is 0 if no policy is a calendar
    /// policy.
    [[nodiscard]] tollgate::now now() const noexcept {
        tollgate_now raw = {0, 0};
        (void)tollgate_read_clock(c(), &raw);
        return tollgate::now::from_c(raw);
    }

    /// Finds a policy by name. Errors: `errc::policy` if there is none.
    [[nodiscard]] inline result<policy_id> try_policy(std::string_view name) const noexcept;
    /// The same for a string of C. Errors: also `errc::null`.
    [[nodiscard]] result<policy_id> try_policy(const char* name) const noexcept {
        if (name == nullptr) return error(errc::null);
        return try_policy(std::string_view(name));
    }
#if TOLLGATE_EXCEPTIONS
    /// As `try_policy`; throws `tollgate::exception`.
    [[nodiscard]] policy_id policy(std::string_view name) const { return try_policy(name).value(); }
    [[nodiscard]] policy_id policy(const char* name) const { return try_policy(name).value(); }
#endif

    /// Returns the policy with this index. The indices begin at 0, in the order of the builder. None
    /// after the last index.
    [[nodiscard]] std::optional<policy_id> policy_at(std::size_t index) const noexcept {
        std::uint64_t bits = 0;
        if (tollgate_policy_at(c(), index, &bits, nullptr) != TOLLGATE_OK) return {};
        return policy_id::from_bits(bits);
    }

    /// Returns the name of a policy, valid as long as the limiter. Empty for a policy of another
    /// limiter.
    [[nodiscard]] std::string_view policy_name(policy_id policy) const noexcept TOLLGATE_BORROWED {
        std::uint64_t bits = 0;
        const char* name = nullptr;
        for (std::size_t i = 0; tollgate_policy_at(c(), i, &bits, &name) == TOLLGATE_OK; ++i) {
            if (bits == policy.to_bits()) return name;
        }
        return {};
    }

    /// Returns the current limit of a policy. None for a policy of another limiter.
    [[nodiscard]] std::optional<std::uint64_t> limit(policy_id policy) const noexcept {
        std::uint64_t limit = 0;
        if (tollgate_get_limit(c(), policy.to_bits(), &limit) != TOLLGATE_OK) return {};
        return limit;
    }

    /// Returns the most keys that a policy's table can have. None for a policy of another limiter.
    [[nodiscard]] std::optional<std::uint64_t> max_keys(policy_id policy) const noexcept {
        std::uint64_t keys = 0;
        if (tollgate_get_bounds(c(), policy.to_bits(), &keys, nullptr) != TOLLGATE_OK) return {};
        return keys;
    }

    /// Returns the most memory of a policy in bytes. See `tollgate_memory_bound`. None for a policy of
    /// another limiter.
    [[nodiscard]] std::optional<std::uint64_t> memory_bound(policy_id policy) const noexcept {
        std::uint64_t bytes = 0;
        if (tollgate_get_bounds(c(), policy.to_bits(), nullptr, &bytes) != TOLLGATE_OK) return {};
        return bytes;
    }

    /// Changes the limit of a policy for later requests. Usage stays as it is. A limit of 0 refuses
    /// every cost above 0, with `verdict::impossible`. Errors: `errc::max_limit` above the policy's
    /// `max_limit`, `errc::policy`.
    result<void> try_set_limit(policy_id policy, std::uint64_t limit) const noexcept {
        tollgate_error raw_error = {TOLLGATE_OK, 0, {}};
        const auto status = tollgate_set_limit(c(), policy.to_bits(), limit, &raw_error);
        if (status == TOLLGATE_OK) return {};
        return raw_error.status == status ? error(raw_error) : error(status);
    }
#if TOLLGATE_EXCEPTIONS
    /// As `try_set_limit`; throws `tollgate::exception`.
    void set_limit(policy_id policy, std::uint64_t limit) const {
        try_set_limit(policy, limit).value();
    }
#endif

    /// Returns the resolution with which a policy records time, a power of two of nanoseconds. None
    /// for a policy of another limiter.
    [[nodiscard]] std::optional<std::chrono::nanoseconds> resolution(
        policy_id policy) const noexcept {
        std::uint64_t ns = 0;
        if (tollgate_resolution(c(), policy.to_bits(), &ns) != TOLLGATE_OK) return {};
        return detail::wait(ns);
    }

    /// Returns the statistics of a policy. None for a policy of another limiter. Takes
    /// microseconds.
    [[nodiscard]] std::optional<tollgate::stats> stats(policy_id policy) const noexcept {
        tollgate::stats stats = TOLLGATE_STATS_INIT;
        if (tollgate_get_stats(c(), policy.to_bits(), &stats) != TOLLGATE_OK) return {};
        return stats;
    }

    /// Returns the numbers of requests by verdict, and of open reservations. All are 0 after a move. Takes
    /// microseconds.
    [[nodiscard]] tollgate::request_stats request_stats() const noexcept {
        tollgate::request_stats stats = TOLLGATE_REQUEST_STATS_INIT;
        (void)tollgate_get_request_stats(c(), &stats);
        return stats;
    }

    /// Does maintenance in idle moments: moves up to about `slots` slots of each table that is being
    /// resized, starts to shrink tables that are mostly idle and to renew old ones, and frees memory.
    /// Returns whether no table has work left. You never need to call it: requests do the same work
    /// in small chunks. See `tollgate_maintain`.
    bool maintain(std::size_t slots) const noexcept {
        std::int32_t done = 1;
        (void)tollgate_maintain(c(), slots, &done);
        return done != 0;
    }

    /// The C handle; NULL after a move.
    [[nodiscard]] const tollgate_limiter* c() const noexcept TOLLGATE_BORROWED { return handle_.get(); }
    /// Releases ownership. Free the handle with `tollgate_free`.
    [[nodiscard]] tollgate_limiter* release() noexcept { return handle_.release(); }

  private:
    friend class operations<limiter>;
    explicit limiter(tollgate_limiter* owned) noexcept : handle_(owned) {}
    [[nodiscard]] static const tollgate_now* time_c() noexcept { return nullptr; }

    std::unique_ptr<tollgate_limiter, detail::limiter_deleter> handle_;
};

static_assert(sizeof(limiter) == sizeof(void*));

/// A guard that cancels a reservation at the end of the guard's scope, unless the reservation was
/// settled: for work that costs nothing if it does not finish. The limiter and the reservation must
/// outlive the guard.
class [[nodiscard]] cancel_guard {
  public:
    cancel_guard(const tollgate::limiter& limiter TOLLGATE_BORROWED,
                 tollgate::reservation& reservation TOLLGATE_BORROWED) noexcept
        : limiter_(limiter), reservation_(reservation) {}
    cancel_guard(const cancel_guard&) = delete;
    cancel_guard& operator=(const cancel_guard&) = delete;
    ~cancel_guard() {
        if (reservation_.is_open()) (void)limiter_.cancel(reservation_);
    }

  private:
    const tollgate::limiter& limiter_;
    tollgate::reservation& reservation_;
};

inline result<policy_id> limiter::try_policy(std::string_view name) const noexcept {
    // NUL-terminated for C. No policy has a longer name.
    char terminated[65] = {};
    if (name.size() >= sizeof terminated || name.find('\0') != name.npos) return error(errc::policy);
    name.copy(terminated, name.size());
    std::uint64_t bits = 0;
    const auto status = tollgate_policy_find(c(), terminated, &bits);
    if (status != TOLLGATE_OK) return error(status);
    return policy_id::from_bits(bits);
}

inline result<limiter> limiter::try_from_toml(std::string_view text,
                                              const tollgate::builder& options) noexcept {
    if (options.fault_) return error(options.fault_->code, {options.fault_->text});
    if (!options.policies_.empty()) {
        return error(errc::policies, {"options: the policies must be in the text alone"});
    }
    tollgate_limiter* handle = nullptr;
    tollgate_error raw_error = {TOLLGATE_OK, 0, {}};
    // An empty view may have no data, but C requires text.
    const char* const data = text.empty() ? "" : text.data();
    const tollgate_status status =
        tollgate_new_from_toml(&options.options_, data, text.size(), &handle, &raw_error);
    if (status == TOLLGATE_OK) return limiter::from_c(handle);
    return raw_error.status == status ? error(raw_error) : error(status);
}

inline result<limiter> limiter::try_from_toml(const char* text,
                                              const tollgate::builder& options) noexcept {
    if (text == nullptr) return error(errc::null);
    return try_from_toml(std::string_view(text), options);
}

template <class Call>
std::optional<error> builder::with_policies(Call call) const noexcept {
    if (fault_) return error(fault_->code, {fault_->text});
    // Too many policies fail by their count, before C reads them.
    std::array<tollgate_policy, max_charges> raw = {};
    for (std::size_t i = 0; i < raw.size() && i < policies_.size(); ++i) {
        if (const auto fault = policies_[i].fault()) return policies_[i].error_of(*fault, i);
        raw[i] = policies_[i].raw();
    }
    tollgate_error raw_error = {TOLLGATE_OK, 0, {}};
    const tollgate_status status = call(raw.data(), policies_.size(), &raw_error);
    if (status == TOLLGATE_OK) return {};
    return raw_error.status == status ? error(raw_error) : error(status);
}

inline result<limiter> builder::try_build() const noexcept {
    tollgate_limiter* handle = nullptr;
    const auto failed = with_policies(
        [&](const tollgate_policy* policies, std::size_t count, tollgate_error* raw_error) {
            return tollgate_new(&options_, policies, count, &handle, raw_error);
        });
    if (failed) return *failed;
    return limiter::from_c(handle);
}

inline result<std::uint64_t> builder::try_memory_bound() const noexcept {
    std::uint64_t bytes = 0;
    const auto failed = with_policies(
        [&](const tollgate_policy* policies, std::size_t count, tollgate_error* raw_error) {
            return tollgate_memory_bound(&options_, policies, count, &bytes, raw_error);
        });
    if (failed) return *failed;
    return bytes;
}

#if TOLLGATE_EXCEPTIONS
inline limiter builder::build() const { return try_build().value(); }

inline std::uint64_t builder::memory_bound() const { return try_memory_bound().value(); }
#endif

} // namespace tollgate

#endif
