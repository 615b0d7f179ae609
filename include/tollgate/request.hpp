/// Requests and decisions: keys, charges, decisions, policy statuses. Values without heap memory.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOLLGATE_REQUEST_HPP
#define TOLLGATE_REQUEST_HPP

#include "duration.hpp"
#include "error.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <optional>
#include <string_view>
#include <system_error>
#include <type_traits>

namespace tollgate {

/// The most charges of one request, and the most policies of one limiter.
inline constexpr std::size_t max_charges = 16;
/// The most charges of one reservation.
inline constexpr std::size_t max_reserved = 8;

/// A pointer and a length: `std::span` for C++17. Converts from arrays, vectors and spans. A view of
/// const items also converts from a braced list, which lives until the end of the call.
template <class Item>
class view {
    template <class Range>
    using pointer_of = decltype(std::data(std::declval<Range&>()));
    // Excludes conversions to a base class, whose items have another size.
    template <class Range>
    static constexpr bool fits =
        std::is_convertible_v<std::remove_pointer_t<pointer_of<Range>> (*)[], Item (*)[]>;

  public:
    constexpr view() noexcept = default;
    constexpr view(Item* first, std::size_t size) noexcept : first_(first), size_(size) {}

    template <class Range, class = std::enable_if_t<fits<Range>>,
              class = decltype(std::size(std::declval<Range&>())),
              class = std::enable_if_t<!std::is_same_v<std::decay_t<Range>, view>>>
    constexpr view(Range&& range TOLLGATE_BORROWED) noexcept
        : view(std::data(range), std::size(range)) {}

    template <class Same = Item, class = std::enable_if_t<std::is_const_v<Same>>>
    constexpr view(std::initializer_list<std::remove_const_t<Same>> list TOLLGATE_BORROWED) noexcept
        : view(std::data(list), list.size()) {}

    [[nodiscard]] constexpr Item* data() const noexcept { return first_; }
    [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }

  private:
    Item* first_ = nullptr;
    std::size_t size_ = 0;
};

/// The key of a charge. Keys of different kinds are never equal. Two keys of one policy share a
/// counter only if their 64-bit hashes under a random seed are equal.
///
/// A key *borrows*: text, addresses and parts must live until the call that takes the key has
/// returned. A key that is not valid makes the request invalid.
class key {
    // `const char*` has an overload of its own: it may be null.
    template <class Text>
    using if_text = std::enable_if_t<std::is_convertible_v<const Text&, std::string_view> &&
                                     !std::is_convertible_v<const Text&, const char*>>;
    template <class Number>
    using if_number = std::enable_if_t<std::is_integral_v<Number> && !std::is_same_v<Number, bool> &&
                                       !std::is_same_v<Number, char>>;
    template <class Bytes>
    static constexpr bool bytes_wide = sizeof(*std::data(std::declval<const Bytes&>())) == 1;

  public:
    /// Text, or any bytes in a string: `std::string`, `std::string_view`.
    template <class Text, class = if_text<Text>>
    key(const Text& text TOLLGATE_BORROWED) noexcept : key(std::string_view(text)) {}
    key(std::string_view text) noexcept
        : key(TOLLGATE_KEY_BYTES, text.data(), text.size(), 0) {}

    /// NUL-terminated text, such as `"alice"`: the same key as a string with that text. NULL is
    /// `errc::null`.
    key(const char* text TOLLGATE_BORROWED) noexcept : raw_(tollgate_key_text(text)) {}

    /// A 64-bit number; a negative one counts as that number plus 2^64.
    template <class Number, class = if_number<Number>, class = void>
    constexpr key(Number number) noexcept
        : key(TOLLGATE_KEY_NUMBER, nullptr, 0, static_cast<std::uint64_t>(number)) {}

    key(std::nullptr_t) = delete;

    /// Bytes in a container: the same key as the same bytes in a string.
    template <class Bytes>
    [[nodiscard]] static key bytes(const Bytes& bytes TOLLGATE_BORROWED) noexcept {
        static_assert(bytes_wide<Bytes>, "a key of bytes is made of bytes");
        return {TOLLGATE_KEY_BYTES, std::data(bytes), std::size(bytes), 0};
    }

    /// An IP address of 4 or 16 bytes in network order: the bytes of `in_addr` or `in6_addr`, or of
    /// `to_bytes()` in asio. Other lengths are `errc::argument`.
    ///
    /// An IPv6 address counts by its /64 network, an IPv4 address in full. Some IPv6 addresses stand
    /// for an IPv4 address and count as that one: see `TOLLGATE_KEY_IP`.
    template <class Bytes>
    [[nodiscard]] static key ip(const Bytes& address TOLLGATE_BORROWED) noexcept {
        static_assert(bytes_wide<Bytes>, "an address is made of bytes");
        return {TOLLGATE_KEY_IP, std::data(address), std::size(address), 0};
    }

    /// The IP address of a socket, as from `accept` or `getpeername`: the same key as `ip` of that
    /// address, without the port. NULL is `errc::null`; a family other than `AF_INET` and `AF_INET6`
    /// is `errc::argument`. Unix only.
    [[nodiscard]] static key sockaddr(const ::sockaddr* address TOLLGATE_BORROWED,
                                      std::size_t size) noexcept {
        return key(tollgate_key_sockaddr(address, size));
    }

    /// Returns the key of an address from `ip` or `sockaddr`, counted by its network: the first
    /// `v4_prefix` bits of an IPv4 address, 1 to 32, or the first `v6_prefix` bits of an IPv6 address,
    /// 1 to 128. Other prefixes are `errc::argument`, and so is a key that is not an address.
    ///
    ///     key::network(key::ip(address), 24, 56)
    [[nodiscard]] static key network(const key& address, unsigned v4_prefix,
                                     unsigned v6_prefix) noexcept {
        return key(tollgate_key_network(address.raw_, v4_prefix, v6_prefix));
    }

    /// A key with up to 8 parts: one counter for each combination. Such keys are equal if all their
    /// parts are, in the same order: `{"ab", "c"}` differs from `{"a", "bc"}` and from `"abc"`. A part
    /// has no parts itself. More than 8 parts are `errc::too_many`.
    ///
    ///     user.charge(key::parts({tenant, "small"}), 1)
    ///
    /// A braced list lives until the end of the full expression. To keep the key longer, keep its
    /// parts in an array.
    [[nodiscard]] static inline key parts(view<const key> parts TOLLGATE_BORROWED) noexcept;

    /// A single key, shared by all requests: for a limit on the whole service.
    [[nodiscard]] static constexpr key shared() noexcept {
        return {TOLLGATE_KEY_SHARED, nullptr, 0, 0};
    }

    /// The C struct.
    [[nodiscard]] constexpr const tollgate_key& c() const noexcept { return raw_; }

  private:
    constexpr explicit key(const tollgate_key& raw) noexcept : raw_(raw) {}
    constexpr key(std::uint32_t kind, const void* data, std::size_t size,
                  std::uint64_t number) noexcept
        : raw_{data, size, number, kind, 0, 0, 0} {}

    tollgate_key raw_;
};

inline key key::parts(view<const key> parts) noexcept {
    // An array of keys is an array of the C structs: `detail::same_layout`.
    return key(tollgate_key_parts(reinterpret_cast<const tollgate_key*>(parts.data()), parts.size()));
}

class charge;

/// A policy of one limiter, from `limiter::policy`. Other limiters reject it.
class policy_id {
  public:
    /// No policy of any limiter.
    constexpr policy_id() noexcept = default;
    /// Converts a number from `to_bits` or from C.
    [[nodiscard]] static constexpr policy_id from_bits(std::uint64_t bits) noexcept {
        policy_id id;
        id.bits_ = bits;
        return id;
    }
    [[nodiscard]] constexpr std::uint64_t to_bits() const noexcept { return bits_; }

    /// Returns a charge of `cost` units to a key under this policy. A cost of 0 is allowed while
    /// the usage is within the limit, and writes nothing. So under a limit of 0 it is allowed while
    /// the usage is 0.
    [[nodiscard]] inline tollgate::charge charge(const key& key TOLLGATE_BORROWED,
                                                 std::uint64_t cost) const noexcept;

    friend constexpr bool operator==(policy_id a, policy_id b) noexcept { return a.bits_ == b.bits_; }
    friend constexpr bool operator!=(policy_id a, policy_id b) noexcept { return a.bits_ != b.bits_; }

  private:
    std::uint64_t bits_ = 0;
};

/// One charge of a request: a policy, a key and a cost. It borrows its key.
class charge {
  public:
    /// A charge to fill arrays with. It has no policy, so a request with it is invalid.
    constexpr charge() noexcept = default;

    /// Returns the charge with this limit in place of the policy's own, for example for a paid
    /// tier. A limit above the policy's `max_limit` is lowered to it. A limit of 0 refuses every cost
    /// above 0, with `verdict::impossible`, for example for a blocked client.
    [[nodiscard]] constexpr charge limit(std::uint64_t limit) const noexcept {
        charge limited = *this;
        // In C, this number means the policy's own limit. It is above every `max_limit`.
        limited.raw_.limit = limit == TOLLGATE_POLICY_LIMIT ? limit - 1 : limit;
        return limited;
    }

    /// The C struct.
    [[nodiscard]] constexpr const tollgate_charge& c() const noexcept { return raw_; }

  private:
    friend class policy_id;
    constexpr explicit charge(const tollgate_charge& raw) noexcept : raw_(raw) {}

    tollgate_charge raw_ = {0, {nullptr, 0, 0, TOLLGATE_KEY_SHARED, 0, 0, 0}, 0, TOLLGATE_POLICY_LIMIT};
};

inline tollgate::charge policy_id::charge(const key& key, std::uint64_t cost) const noexcept {
    return tollgate::charge({bits_, key.c(), cost, TOLLGATE_POLICY_LIMIT});
}

/// The result of a request.
enum class verdict {
    /// Every policy had room and was charged, except one that lets new keys pass uncounted and a dry run
    /// without room.
    allowed,
    /// At least one policy has no room now. Retry after `retry_after`. HTTP status 429.
    denied,
    /// At least one charge costs more than its limit, for example than a limit of 0. So no wait helps.
    impossible,
    /// A table has no room for a new key: the table is full, or memory for more keys could not
    /// be allocated. A known key gets this verdict too if the memory of its table has become too old
    /// to record the time, and new memory could not be allocated.
    table_full,
    /// The request has an error: `decision::code`.
    invalid,
};

/// The decision about one request over all its policies. Unless the request was allowed, nothing
/// was charged; only a `settle` with the verdict `table_full` may have charged a part. Waits begin at
/// the time of the request.
///
/// For the verdicts `table_full` and `invalid`, `limit`, `remaining` and `reset_after` are 0. For a
/// request without charges, `limit` and `remaining` are 2^64 - 1.
class [[nodiscard]] decision {
  public:
    /// No decision: `verdict::invalid`.
    constexpr decision() noexcept = default;

    [[nodiscard]] constexpr tollgate::verdict verdict() const noexcept {
        switch (raw_.status) {
            case TOLLGATE_OK: return tollgate::verdict::allowed;
            case TOLLGATE_DENIED: return tollgate::verdict::denied;
            case TOLLGATE_IMPOSSIBLE: return tollgate::verdict::impossible;
            case TOLLGATE_TABLE_FULL: return tollgate::verdict::table_full;
            default: return tollgate::verdict::invalid;
        }
    }
    /// Returns whether the request may proceed. To fail open instead, proceed unless the verdict is
    /// `denied` or `impossible`.
    [[nodiscard]] constexpr bool is_allowed() const noexcept { return raw_.status == TOLLGATE_OK; }
    /// The reason for a request that was not allowed; no error if it was allowed.
    [[nodiscard]] std::error_code code() const noexcept { return {raw_.status, category()}; }

    /// The deciding policy: the first of the request that had no room or, if the request is
    /// allowed, the one with the least share of its limit left; of equal shares, the first. A dry run
    /// only if the request names no other policy.
    [[nodiscard]] constexpr policy_id policy() const noexcept {
        return policy_id::from_bits(raw_.policy);
    }
    /// The limit that was applied under the deciding policy, in units of cost.
    [[nodiscard]] constexpr std::uint64_t limit() const noexcept { return raw_.limit; }
    /// The units left under the deciding policy after this decision.
    [[nodiscard]] constexpr std::uint64_t remaining() const noexcept { return raw_.remaining; }
    /// The shortest wait after which the whole request has room. This is the longest of the waits of
    /// its policies. Assumes no other charges meanwhile. Present if and only if the verdict is `denied`.
    [[nodiscard]] constexpr std::optional<std::chrono::nanoseconds> retry_after() const noexcept {
        if (raw_.status != TOLLGATE_DENIED || raw_.retry_after_ns == TOLLGATE_NEVER) return {};
        return detail::wait(raw_.retry_after_ns);
    }
    /// The wait until the deciding policy has its whole limit free. Assumes no other charges
    /// meanwhile.
    [[nodiscard]] constexpr std::chrono::nanoseconds reset_after() const noexcept {
        return detail::wait(raw_.reset_after_ns);
    }
    /// Returns whether the table of any policy had no room for a key. The request was refused or,
    /// under `overflow::allow` or a dry run, not counted by that policy.
    [[nodiscard]] constexpr bool table_full() const noexcept {
        return (raw_.flags & TOLLGATE_TABLE_WAS_FULL) != 0;
    }

#if TOLLGATE_EXCEPTIONS
    /// Returns the decision, or throws `tollgate::exception` if the verdict is `invalid`.
    constexpr const decision& or_throw() const& {
        if (raw_.status < 0) detail::raise(*this);
        return *this;
    }
    constexpr decision or_throw() && { return static_cast<const decision&>(*this).or_throw(); }
#endif

    /// The C struct.
    [[nodiscard]] constexpr const tollgate_decision& c() const noexcept { return raw_; }

    /// Converts the status and the decision of a C function, which may not have written the
    /// decision.
    [[nodiscard]] static decision from_c(tollgate_status status,
                                         const tollgate_decision& raw) noexcept {
        decision converted;
        converted.raw_ = raw;
        converted.raw_.status = status;
        return converted;
    }

  private:
    tollgate_decision raw_ = {TOLLGATE_E_ARGUMENT, 0, 0, 0, 0, TOLLGATE_NEVER, 0, {0, 0}};
};

/// The status of one policy of a request after the decision, for reports and HTTP fields.
/// `check_with_status` and similar operations write one status for each charge.
class policy_status {
  public:
    constexpr policy_status() noexcept = default;

    /// The policy of the charge.
    [[nodiscard]] constexpr policy_id policy() const noexcept {
        return policy_id::from_bits(raw_.policy);
    }
    /// The limit that was applied, in units of cost.
    [[nodiscard]] constexpr std::uint64_t limit() const noexcept { return raw_.limit; }
    /// The units left of that limit.
    [[nodiscard]] constexpr std::uint64_t remaining() const noexcept { return raw_.remaining; }
    /// Returns whether this policy had no room for its charge.
    [[nodiscard]] constexpr bool violated() const noexcept {
        return (raw_.flags & TOLLGATE_VIOLATED) != 0;
    }
    /// The shortest wait after which this policy has room for its charge. Assumes no other charges
    /// meanwhile. None if it had room, or if no wait is known to help.
    [[nodiscard]] constexpr std::optional<std::chrono::nanoseconds> retry_after() const noexcept {
        if (!violated() || raw_.retry_after_ns == TOLLGATE_NEVER) return {};
        return detail::wait(raw_.retry_after_ns);
    }
    /// The wait until the whole limit is free. Assumes no other charges meanwhile.
    [[nodiscard]] constexpr std::chrono::nanoseconds reset_after() const noexcept {
        return detail::wait(raw_.reset_after_ns);
    }
    /// Returns whether the policy did not count its charge because its table had no room for the key,
    /// under `overflow::allow` or a dry run.
    [[nodiscard]] constexpr bool table_full() const noexcept {
        return (raw_.flags & TOLLGATE_TABLE_WAS_FULL) != 0;
    }
    /// Returns whether the policy is a dry run, so that `violated()` did not change the decision.
    [[nodiscard]] constexpr bool dry_run() const noexcept {
        return (raw_.flags & TOLLGATE_DRY_RUN) != 0;
    }

    /// The C struct.
    [[nodiscard]] constexpr const tollgate_policy_status& c() const noexcept { return raw_; }

  private:
    tollgate_policy_status raw_ = {0, 0, 0, 0, 0, 0, 0};
};

namespace detail {

// Arrays of these classes are passed to C as arrays of the C structs.
template <class Cpp, class C>
inline constexpr bool same_layout =
    std::is_standard_layout_v<Cpp> && std::is_trivially_copyable_v<Cpp> &&
    sizeof(Cpp) == sizeof(C) && alignof(Cpp) == alignof(C);
static_assert(same_layout<key, tollgate_key> && same_layout<charge, tollgate_charge> &&
              same_layout<decision, tollgate_decision> &&
              same_layout<policy_status, tollgate_policy_status>);

[[nodiscard]] inline const tollgate_charge* raw(view<const charge> charges) noexcept {
    return reinterpret_cast<const tollgate_charge*>(charges.data());
}
[[nodiscard]] inline tollgate_decision* raw(view<decision> decisions) noexcept {
    return reinterpret_cast<tollgate_decision*>(decisions.data());
}
[[nodiscard]] inline tollgate_policy_status* raw(view<policy_status> statuses) noexcept {
    return reinterpret_cast<tollgate_policy_status*>(statuses.data());
}
[[nodiscard]] inline const tollgate_policy_status* raw(view<const policy_status> statuses) noexcept {
    return reinterpret_cast<const tollgate_policy_status*>(statuses.data());
}

} // namespace detail

} // namespace tollgate

#endif
