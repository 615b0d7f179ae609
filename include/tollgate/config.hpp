/// Policies, and the builder of a limiter. `build` checks all values.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOLLGATE_CONFIG_HPP
#define TOLLGATE_CONFIG_HPP

#include "clock.hpp"
#include "duration.hpp"
#include "error.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tollgate {

/// Calendar periods, in UTC unless the policy has an offset.
enum class period : std::uint32_t {
    hour = TOLLGATE_HOUR,
    day = TOLLGATE_DAY,
    month = TOLLGATE_MONTH,
};

/// The treatment of a new key when the table is full.
class overflow {
  public:
    /// Refuses the new key with `verdict::table_full`. The default.
    [[nodiscard]] static constexpr overflow deny() noexcept { return {TOLLGATE_OVERFLOW_DENY, 0}; }
    /// Allows the new key without counting it.
    [[nodiscard]] static constexpr overflow allow() noexcept { return {TOLLGATE_OVERFLOW_ALLOW, 0}; }
    /// Evicts the keys with the least usage. Evictions discard at most `allowance` units of a key's
    /// usage in any window or period. A new key for which they make no room is refused with
    /// `verdict::table_full`.
    [[nodiscard]] static constexpr overflow evict_lightest(std::uint64_t allowance) noexcept {
        return {TOLLGATE_OVERFLOW_EVICT_LIGHTEST, allowance};
    }

  private:
    friend class policy;
    friend class builder;
    constexpr overflow(std::uint32_t mode, std::uint64_t allowance) noexcept
        : mode_(mode), allowance_(allowance) {}

    std::uint32_t mode_;
    std::uint64_t allowance_;
};

namespace detail {

/// An invalid setting that C could not detect. The text names the field and its value.
struct fault {
    errc code;
    const char* text;
};

/// Converts a string of C; NULL becomes `std::nullopt`.
[[nodiscard]] inline std::optional<std::string> text_of(const char* text) {
    if (text == nullptr) return {};
    return text;
}

} // namespace detail

/// A policy: a limit on the cost that each key may spend in a sliding window or a calendar period.
/// A name is 1 to 64 printable ASCII characters. A limit of 0 refuses every cost above 0, with
/// `verdict::impossible`.
class policy {
  public:
    /// A sliding window: at most `limit` units of cost in every interval of length `window`. The
    /// limit is from 0 to 2^40, the window from 1 ms to 400 days. With a `max_limit` up to 127 the
    /// policy is exact: it decides like a log of all admitted charges. A greater limit is counted in
    /// `buckets`, by default 15.
    template <class Rep, class Period>
    [[nodiscard]] static policy sliding(std::string name, std::uint64_t limit,
                                        std::chrono::duration<Rep, Period> window) {
        return sliding_of(std::move(name), limit, detail::ns(window));
    }
    template <class Rep, class Period>
    [[nodiscard]] static policy sliding(const char* name, std::uint64_t limit,
                                        std::chrono::duration<Rep, Period> window) {
        return sliding_of(detail::text_of(name), limit, detail::ns(window));
    }

    /// A calendar budget: at most `limit` units of cost in each period. The limit is from 0 to 2^40.
    /// The policy is exact.
    [[nodiscard]] static policy calendar(std::string name, std::uint64_t limit,
                                         tollgate::period period) {
        return calendar_of(std::move(name), limit, period);
    }
    [[nodiscard]] static policy calendar(const char* name, std::uint64_t limit,
                                         tollgate::period period) {
        return calendar_of(detail::text_of(name), limit, period);
    }

    /// Sets the number of buckets of a sliding window: 2 to 127, rounded up to 7, 15, 23, 31,
    /// 47, 63, 95 or 127. A slot takes 64 bytes with 7 buckets, and 1024 with 127. A policy whose
    /// `max_limit` is at most its number of buckets is exact. Any other may deny for longer, but
    /// never admits more than the limit. Calendar policies ignore this setting.
    policy& buckets(std::uint32_t count) & noexcept {
        return set(raw_.buckets, count, {errc::buckets, "buckets 0 must be from 2 to 127"});
    }

    /// Sets the greatest limit that a charge or `limiter::set_limit` may set; by default the
    /// policy's own limit. With 0, nothing can ever be admitted.
    policy& max_limit(std::uint64_t limit) & noexcept {
        if (raw_.limit == 0) {
            // Here 0 is valid, and the same as the default.
            raw_.max_limit = limit;
            return *this;
        }
        return set(raw_.max_limit, limit, {errc::max_limit, "max_limit 0 must be at least the limit"});
    }

    /// Sets the greatest number of keys in the table, in place of the builder's.
    policy& max_keys(std::uint64_t keys) & noexcept {
        return set(raw_.max_keys, keys, {errc::max_keys, "max_keys 0 must be at least 1"});
    }

    /// Sets the most memory of this policy in bytes: its table gets as many keys as fit. `max_keys`, and
    /// `max_bytes` of the builder if it is set, bound it as well.
    policy& max_bytes(std::uint64_t bytes) & noexcept {
        return set(raw_.max_bytes, bytes, {errc::max_bytes, "max_bytes 0 is too small"});
    }

    /// Sets the treatment of a new key when the table is full, in place of the builder's.
    policy& overflow(const tollgate::overflow& overflow) & noexcept {
        raw_.overflow = overflow.mode_;
        raw_.allowance = overflow.allowance_;
        return *this;
    }

    /// Sets the unit of cost in HTTP fields, in UTF-8, for example "tokens"; by default requests.
    policy& unit(std::string unit) & {
        unit_ = std::move(unit);
        null_unit_ = false;
        return *this;
    }
    policy& unit(const char* unit) & {
        unit_ = detail::text_of(unit);
        null_unit_ = unit == nullptr;
        return *this;
    }

    /// Sets the offset from UTC at which calendar periods start: at most 18 hours, positive to the
    /// east. Sliding windows ignore this setting.
    policy& offset(std::chrono::seconds offset) & noexcept {
        using bounds = std::numeric_limits<std::int32_t>;
        const auto out_of_range = offset.count() > bounds::max() || offset.count() < bounds::min();
        raw_.offset_seconds = out_of_range ? bounds::max() : static_cast<std::int32_t>(offset.count());
        return *this;
    }

    /// Sets whether the policy is a dry run: it decides and charges as before, but refuses nothing. A
    /// charge without room is not charged, and the request goes on as if it had passed; its
    /// `policy_status` is `violated()` and `dry_run()`, and `stats::dry_run_denied` counts it. If
    /// another policy denies the request, the dry run is not charged either. The decision about an
    /// allowed request reports a dry run only if the request names no other policy. A reservation that
    /// it would have denied is not charged under it any more.
    policy& dry_run(bool dry_run) & noexcept {
        raw_.flags = dry_run ? TOLLGATE_DRY_RUN : 0;
        return *this;
    }

    policy&& buckets(std::uint32_t count) && noexcept { return std::move(buckets(count)); }
    policy&& max_limit(std::uint64_t limit) && noexcept { return std::move(max_limit(limit)); }
    policy&& max_keys(std::uint64_t keys) && noexcept { return std::move(max_keys(keys)); }
    policy&& max_bytes(std::uint64_t bytes) && noexcept { return std::move(max_bytes(bytes)); }
    policy&& overflow(const tollgate::overflow& overflow) && noexcept {
        return std::move(this->overflow(overflow));
    }
    policy&& dry_run(bool dry_run) && noexcept { return std::move(this->dry_run(dry_run)); }
    policy&& unit(std::string unit) && { return std::move(this->unit(std::move(unit))); }
    policy&& unit(const char* unit) && { return std::move(this->unit(unit)); }
    policy&& offset(std::chrono::seconds offset) && noexcept {
        return std::move(this->offset(offset));
    }

  private:
    friend class builder;

    policy(std::uint32_t kind, std::optional<std::string> name, std::uint64_t limit)
        : name_(std::move(name)) {
        raw_.kind = kind;
        raw_.limit = limit;
    }

    [[nodiscard]] static policy sliding_of(std::optional<std::string> name, std::uint64_t limit,
                                           std::uint64_t window_ns) {
        policy built(TOLLGATE_SLIDING, std::move(name), limit);
        built.raw_.window_ns = window_ns;
        return built;
    }

    [[nodiscard]] static policy calendar_of(std::optional<std::string> name, std::uint64_t limit,
                                            tollgate::period period) {
        policy built(TOLLGATE_CALENDAR, std::move(name), limit);
        built.raw_.period = static_cast<std::uint32_t>(period);
        return built;
    }

    /// Sets a field in which 0 means 'default' in C. Here 0 is an error.
    template <class Number>
    policy& set(Number& field, Number value, detail::fault zero) & noexcept {
        field = value;
        if (value == 0 && !fault_) fault_ = zero;
        return *this;
    }

    /// The error that C could not detect, if there is one.
    [[nodiscard]] std::optional<detail::fault> fault() const noexcept {
        using detail::fault;
        const auto has_nul = [](const std::optional<std::string>& text) {
            return text && text->find('\0') != std::string::npos;
        };
        if (has_nul(name_)) return fault{errc::name, "name must not contain NUL"};
        if (has_nul(unit_)) return fault{errc::name, "unit must not contain NUL"};
        if (null_unit_) return fault{errc::null, "unit must not be NULL"};
        return fault_;
    }

    /// The error of the policy with this index, worded as in C.
    [[nodiscard]] error error_of(const detail::fault& fault, std::size_t index) const noexcept {
        const char digits[] = {static_cast<char>('0' + index / 10), static_cast<char>('0' + index % 10)};
        const std::string_view number(digits + (index < 10), index < 10 ? 1 : 2);
        // A name with a NUL is wrong itself.
        if (!name_ || name_->find('\0') != std::string::npos) {
            return {fault.code, {"policies[", number, "]: ", fault.text}};
        }
        return {fault.code, {"policies[", number, "]: policy \"", *name_, "\": ", fault.text}};
    }

    [[nodiscard]] tollgate_policy raw() const noexcept TOLLGATE_BORROWED {
        tollgate_policy raw = raw_;
        raw.name = name_ ? name_->c_str() : nullptr;
        raw.unit = unit_ ? unit_->c_str() : nullptr;
        return raw;
    }

    tollgate_policy raw_ = TOLLGATE_POLICY_INIT;
    std::optional<std::string> name_;
    std::optional<std::string> unit_;
    bool null_unit_ = false;
    std::optional<detail::fault> fault_;
};

class limiter;

/// The builder of a limiter.
class builder {
  public:
    builder() = default;

    /// Adds a policy. A limiter has 1 to 16 policies; `limiter::policy_at` uses their order.
    builder& policy(tollgate::policy policy) & {
        policies_.push_back(std::move(policy));
        return *this;
    }

    /// Sets the greatest number of keys in the table of each policy; by default 1,048,576 for a policy
    /// for which no number of keys or bytes is set. Memory depends on the number of live keys, not on this
    /// bound.
    builder& max_keys(std::uint64_t keys) & noexcept {
        options_.max_keys = keys;
        if (keys == 0) fault_ = {errc::max_keys, "max_keys 0 must be at least 1"};
        return *this;
    }

    /// Sets the most memory of all policies in total, in bytes. All tables get the same number of keys,
    /// the greatest for which they fit, or fewer where `max_keys` or `max_bytes` of the policy says so; by
    /// default 128 MiB for the policies for which no number of keys or bytes is set.
    builder& max_bytes(std::uint64_t bytes) & noexcept {
        options_.max_bytes = bytes;
        if (bytes == 0) fault_ = {errc::max_bytes, "max_bytes 0 is too small"};
        return *this;
    }

    /// Sets the treatment of a new key when the table is full; by default `overflow::deny()`.
    builder& overflow(const tollgate::overflow& overflow) & noexcept {
        options_.overflow = overflow.mode_;
        options_.allowance = overflow.allowance_;
        return *this;
    }

    /// Sets the clock; by default the processor's clock, about 12 ns per reading. The clock object
    /// must live until the limiter is built.
    builder& clock(const tollgate::clock& clock TOLLGATE_BORROWED) & noexcept {
        options_.clock = clock.c();
        if (clock.c() == nullptr) fault_ = {errc::handle, "clock was moved from"};
        return *this;
    }

    /// Sets the seed of the key hash, for reproducible runs; by default it is random. Keep it
    /// secret: it allows an attacker to choose keys that share a counter. All 0 is an error.
    builder& seed(const std::array<std::uint64_t, 4>& seed) & noexcept {
        for (std::size_t i = 0; i < seed.size(); ++i) options_.seed[i] = seed[i];
        if (seed == std::array<std::uint64_t, 4>{}) fault_ = {errc::argument, "seed must not be all 0"};
        return *this;
    }

    builder&& policy(tollgate::policy policy) && {
        return std::move(this->policy(std::move(policy)));
    }
    builder&& max_keys(std::uint64_t keys) && noexcept { return std::move(max_keys(keys)); }
    builder&& max_bytes(std::uint64_t bytes) && noexcept { return std::move(max_bytes(bytes)); }
    builder&& overflow(const tollgate::overflow& overflow) && noexcept {
        return std::move(this->overflow(overflow));
    }
    builder&& clock(const tollgate::clock& clock TOLLGATE_BORROWED) && noexcept {
        return std::move(this->clock(clock));
    }
    builder&& seed(const std::array<std::uint64_t, 4>& seed) && noexcept {
        return std::move(this->seed(seed));
    }

    /// Checks all values and builds the limiter. The error of a value that is out of range names the
    /// policy, the field and the value. Errors: those from `errc::policies` to `errc::max_bytes`,
    /// `errc::argument`, `errc::handle`, `errc::null` (a NULL name or unit), `errc::no_memory`.
    [[nodiscard]] inline result<limiter> try_build() const noexcept;
#if TOLLGATE_EXCEPTIONS
    /// As `try_build`; throws `tollgate::exception`.
    [[nodiscard]] inline limiter build() const;
#endif

    /// Returns the most memory of the limiter in bytes, before any of it is allocated. See
    /// `tollgate_memory_bound`. Errors: as `try_build`.
    [[nodiscard]] inline result<std::uint64_t> try_memory_bound() const noexcept;
#if TOLLGATE_EXCEPTIONS
    /// As `try_memory_bound`; throws `tollgate::exception`.
    [[nodiscard]] inline std::uint64_t memory_bound() const;
#endif

  private:
    friend class limiter;

    /// Calls a function of C with the policies. Returns the error, if there is one.
    template <class Call>
    [[nodiscard]] std::optional<error> with_policies(Call call) const noexcept;

    std::vector<tollgate::policy> policies_;
    tollgate_options options_ = TOLLGATE_OPTIONS_INIT;
    std::optional<detail::fault> fault_;
};

} // namespace tollgate

#endif
