/// What is limited, and how a limiter is made of it. Nothing is checked before `build`.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOLLGATE_CONFIG_HPP
#define TOLLGATE_CONFIG_HPP

#include "clock.hpp"

#include <array>
#include <vector>

namespace tollgate {

/// Calendar periods, of UTC unless the policy has an offset.
enum class period : std::uint32_t {
    hour = TOLLGATE_HOUR,
    day = TOLLGATE_DAY,
    month = TOLLGATE_MONTH,
};

/// What happens to a new key where there are `max_keys`.
class overflow {
  public:
    /// It is refused: `verdict::table_full`. The default.
    [[nodiscard]] static constexpr overflow deny() noexcept { return {TOLLGATE_OVERFLOW_DENY, 0}; }
    /// It passes uncounted.
    [[nodiscard]] static constexpr overflow allow() noexcept { return {TOLLGATE_OVERFLOW_ALLOW, 0}; }
    /// The keys that have used least make room: at most so many units each, in any window.
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

/// A limit on the cost that one key may spend in a sliding window or in a calendar period. Names are
/// 1 to 64 printable ASCII characters.
class policy {
  public:
    /// At most `limit` units of cost, 1 to 2^40, in every interval of length `window`, 1 ms to 400
    /// days. With a limit (more precisely a `max_limit`) up to 127 it is exact: it decides as a log of
    /// all admitted charges would. Greater limits are counted in 15 `buckets`.
    template <class Rep, class Period>
    [[nodiscard]] static policy sliding(std::string name, std::uint64_t limit,
                                        std::chrono::duration<Rep, Period> window) {
        policy made(TOLLGATE_SLIDING, std::move(name), limit);
        made.raw_.window_ns = detail::ns(window);
        return made;
    }

    /// At most `limit` units of cost, 1 to 2^40, in each calendar period. Exact.
    [[nodiscard]] static policy calendar(std::string name, std::uint64_t limit,
                                         tollgate::period period) {
        policy made(TOLLGATE_CALENDAR, std::move(name), limit);
        made.raw_.period = static_cast<std::uint32_t>(period);
        return made;
    }

    /// Counts a sliding window in at least this many buckets: 2 to 127, rounded up to 7, 15, 31, 63
    /// or 127 (64 to 1024 bytes a key). A bucketed policy may deny early and never admits too much. A
    /// policy whose limit is not above its buckets is exact. Ignored by calendar policies.
    policy& buckets(std::uint32_t count) & noexcept { return set(raw_.buckets, count, errc::buckets); }

    /// The greatest limit that a charge of its own or `limiter::set_limit` may ask for; by default
    /// the policy's own limit.
    policy& max_limit(std::uint64_t limit) & noexcept {
        return set(raw_.max_limit, limit, errc::max_limit);
    }

    /// How many keys it has room for, in place of the builder's.
    policy& max_keys(std::uint64_t keys) & noexcept {
        return set(raw_.max_keys, keys, errc::max_keys);
    }

    /// What happens to a new key where there are that many, in place of the builder's.
    policy& overflow(const tollgate::overflow& overflow) & noexcept {
        raw_.overflow = overflow.mode_;
        raw_.allowance = overflow.allowance_;
        return *this;
    }

    /// What the cost counts, for the HTTP fields: "tokens", say. Requests by default.
    policy& unit(std::string unit) & {
        unit_ = std::move(unit);
        return *this;
    }

    /// Moves the start of calendar periods east of UTC, up to 18 hours either way. Ignored by sliding
    /// windows.
    policy& offset(std::chrono::seconds offset) & noexcept {
        using bounds = std::numeric_limits<std::int32_t>;
        const auto beyond = offset.count() > bounds::max() || offset.count() < bounds::min();
        raw_.offset_seconds = beyond ? bounds::max() : static_cast<std::int32_t>(offset.count());
        return *this;
    }

    policy&& buckets(std::uint32_t count) && noexcept { return std::move(buckets(count)); }
    policy&& max_limit(std::uint64_t limit) && noexcept { return std::move(max_limit(limit)); }
    policy&& max_keys(std::uint64_t keys) && noexcept { return std::move(max_keys(keys)); }
    policy&& overflow(const tollgate::overflow& overflow) && noexcept {
        return std::move(this->overflow(overflow));
    }
    policy&& unit(std::string unit) && { return std::move(this->unit(std::move(unit))); }
    policy&& offset(std::chrono::seconds offset) && noexcept {
        return std::move(this->offset(offset));
    }

  private:
    friend class builder;

    policy(std::uint32_t kind, std::string name, std::uint64_t limit) : name_(std::move(name)) {
        raw_.kind = kind;
        raw_.limit = limit;
    }

    /// C takes 0 for 'not set', here it is a fault.
    template <class Number>
    policy& set(Number& field, Number value, errc zero) & noexcept {
        field = value;
        if (value == 0 && !fault_) fault_ = zero;
        return *this;
    }

    /// What C would not see.
    [[nodiscard]] std::optional<errc> fault() const noexcept {
        const auto cut = [](const std::string& text) { return text.find('\0') != std::string::npos; };
        if (cut(name_) || (unit_ && cut(*unit_))) return errc::name;
        return fault_;
    }

    [[nodiscard]] tollgate_policy raw() const noexcept TOLLGATE_BORROWED {
        tollgate_policy made = raw_;
        made.name = name_.c_str();
        made.unit = unit_ ? unit_->c_str() : nullptr;
        return made;
    }

    tollgate_policy raw_ = TOLLGATE_POLICY_INIT;
    std::string name_;
    std::optional<std::string> unit_;
    std::optional<errc> fault_;
};

class limiter;

/// Collects what a limiter is made of.
class builder {
  public:
    builder() = default;

    /// Adds a policy, of 1 to 16. Their order is the order of reports.
    builder& policy(tollgate::policy policy) & {
        policies_.push_back(std::move(policy));
        return *this;
    }

    /// How many live keys each policy counts at the most; 1,048,576 by default. A bound, not a size:
    /// memory follows the keys that are live.
    builder& max_keys(std::uint64_t keys) & noexcept {
        options_.max_keys = keys;
        if (keys == 0) fault_ = errc::max_keys;
        return *this;
    }

    /// What happens to a new key where there are `max_keys`; `overflow::deny()` by default.
    builder& overflow(const tollgate::overflow& overflow) & noexcept {
        options_.overflow = overflow.mode_;
        options_.allowance = overflow.allowance_;
        return *this;
    }

    /// Where the time comes from; by default the processor's clock, about 12 ns a reading. The clock
    /// must be there until the limiter is built, and need not be afterwards.
    builder& clock(const tollgate::clock& clock TOLLGATE_BORROWED) & noexcept {
        options_.clock = clock.c();
        if (clock.c() == nullptr) fault_ = errc::handle;
        return *this;
    }

    /// Hashes keys under this seed in place of a random one, for runs that must repeat. Whoever knows
    /// it can choose keys that share a counter. Four times 0 is none.
    builder& seed(const std::array<std::uint64_t, 4>& seed) & noexcept {
        for (std::size_t place = 0; place < seed.size(); ++place) options_.seed[place] = seed[place];
        if (seed == std::array<std::uint64_t, 4>{}) fault_ = errc::argument;
        return *this;
    }

    builder&& policy(tollgate::policy policy) && {
        return std::move(this->policy(std::move(policy)));
    }
    builder&& max_keys(std::uint64_t keys) && noexcept { return std::move(max_keys(keys)); }
    builder&& overflow(const tollgate::overflow& overflow) && noexcept {
        return std::move(this->overflow(overflow));
    }
    builder&& clock(const tollgate::clock& clock TOLLGATE_BORROWED) && noexcept {
        return std::move(this->clock(clock));
    }
    builder&& seed(const std::array<std::uint64_t, 4>& seed) && noexcept {
        return std::move(this->seed(seed));
    }

    /// Checks everything and makes the limiter. The error names the field and the value: `errc::name`
    /// to `errc::config`, `errc::policies`, `errc::argument`, `errc::handle`, `errc::no_memory`.
    [[nodiscard]] inline result<limiter> try_build() const noexcept;
#if TOLLGATE_EXCEPTIONS
    /// As `try_build`; throws `tollgate::exception`.
    [[nodiscard]] inline limiter build() const;
#endif

  private:
    std::vector<tollgate::policy> policies_;
    tollgate_options options_ = TOLLGATE_OPTIONS_INIT;
    std::optional<errc> fault_;
};

} // namespace tollgate

#endif
