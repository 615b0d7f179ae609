/// A request and its answer: keys, charges, decisions. Values without memory of their own.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOLLGATE_REQUEST_HPP
#define TOLLGATE_REQUEST_HPP

#include "error.hpp"

#include <chrono>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <string_view>

namespace tollgate {

/// The most charges of one request, and the most policies of one limiter.
inline constexpr std::size_t max_charges = 16;
/// The most charges of one reservation.
inline constexpr std::size_t max_reserved = 8;

/// A pointer and a length: `std::span` for C++17. Made from arrays, vectors, spans and, if it only
/// reads, from a braced list, which lives until the end of the call.
template <class Item>
class view {
    template <class Range>
    using pointer_of = decltype(std::data(std::declval<Range&>()));
    // Not to a base class: items would be of another size.
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

/// Who a request is charged to. Keys of different kinds never compare equal, and two keys share a
/// counter only if their 64-bit hashes under random seeds are the same.
///
/// A key *borrows*: text and addresses must live until the call that it is passed to has returned.
class key {
    template <class Text>
    using if_text = std::enable_if_t<std::is_convertible_v<const Text&, std::string_view>>;
    template <class Number>
    using if_number = std::enable_if_t<std::is_integral_v<Number> && !std::is_same_v<Number, bool> &&
                                       !std::is_same_v<Number, char>>;
    template <class Bytes>
    static constexpr bool bytes_wide = sizeof(*std::data(std::declval<const Bytes&>())) == 1;

  public:
    /// Text, or any bytes in a string: `"alice"`, `std::string`, `std::string_view`.
    template <class Text, class = if_text<Text>>
    key(const Text& text TOLLGATE_BORROWED) noexcept : key(std::string_view(text)) {}
    key(std::string_view text) noexcept : key(TOLLGATE_KEY_BYTES, text.data(), text.size(), 0) {}

    /// A number of 64 bits; a negative one counts as 2^64 more.
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

    /// An address of 4 or 16 bytes in network order: `in_addr`'s or `in6_addr`'s bytes, or what
    /// `to_bytes()` gives in asio. IPv6 addresses count by their first `v6_prefix` bits, 1 to 128;
    /// IPv4 addresses whole, also when they come mapped into IPv6. Anything else makes the request
    /// invalid.
    template <class Bytes>
    [[nodiscard]] static key ip(const Bytes& address TOLLGATE_BORROWED,
                                unsigned v6_prefix = 64) noexcept {
        static_assert(bytes_wide<Bytes>, "an address is made of bytes");
        // 0 would be C's word for 64.
        const std::uint64_t prefix = v6_prefix == 0 ? no_prefix : v6_prefix;
        return {TOLLGATE_KEY_IP, std::data(address), std::size(address), prefix};
    }

    /// One key for everybody: a limit on the whole service.
    [[nodiscard]] static constexpr key shared() noexcept {
        return {TOLLGATE_KEY_SHARED, nullptr, 0, 0};
    }

  private:
    friend class policy_id;
    static constexpr std::uint64_t no_prefix = std::numeric_limits<std::uint64_t>::max();

    constexpr key(std::uint32_t kind, const void* bytes, std::size_t size,
                  std::uint64_t number) noexcept
        : bytes_(bytes), size_(size), number_(number), kind_(kind) {}

    const void* bytes_;
    std::size_t size_;
    std::uint64_t number_;
    std::uint32_t kind_;
};

class charge;

/// A policy of one limiter: a number that other limiters do not know. Made by `limiter::policy`.
class policy_id {
  public:
    /// No policy of any limiter.
    constexpr policy_id() noexcept = default;
    /// The policy that `to_bits`, or the C functions, made a number of.
    [[nodiscard]] static constexpr policy_id from_bits(std::uint64_t bits) noexcept {
        policy_id made;
        made.bits_ = bits;
        return made;
    }
    [[nodiscard]] constexpr std::uint64_t to_bits() const noexcept { return bits_; }

    /// A charge of `cost` units to a key under this policy. A cost of 0 asks whether the usage is
    /// within the limit, and writes nothing.
    [[nodiscard]] inline tollgate::charge charge(const key& key TOLLGATE_BORROWED,
                                                 std::uint64_t cost) const noexcept;

    friend constexpr bool operator==(policy_id a, policy_id b) noexcept { return a.bits_ == b.bits_; }
    friend constexpr bool operator!=(policy_id a, policy_id b) noexcept { return a.bits_ != b.bits_; }

  private:
    std::uint64_t bits_ = 0;
};

/// One line of a request: who pays how much under which policy. It borrows its key.
class charge {
  public:
    /// Under no policy: a request with it is invalid. To fill arrays with.
    constexpr charge() noexcept = default;

    /// The same charge under this limit in place of the policy's own: a free or a paid tier, say. Cut
    /// to the policy's `max_limit`. 0 is no limit at all, and makes the request invalid.
    [[nodiscard]] constexpr charge limit(std::uint64_t limit) const noexcept {
        charge made = *this;
        made.raw_.limit = limit;
        // C takes 0 for the policy's own limit: let nobody pass by it.
        if (limit == 0) made.raw_.key_kind = no_kind;
        return made;
    }

    /// As C takes it.
    [[nodiscard]] constexpr const tollgate_charge& c() const noexcept { return raw_; }

  private:
    friend class policy_id;
    static constexpr std::uint32_t no_kind = std::numeric_limits<std::uint32_t>::max();
    constexpr explicit charge(const tollgate_charge& raw) noexcept : raw_(raw) {}

    tollgate_charge raw_ = {0, nullptr, 0, 0, 0, 0, TOLLGATE_KEY_SHARED, 0};
};

inline tollgate::charge policy_id::charge(const key& key, std::uint64_t cost) const noexcept {
    return tollgate::charge(
        {bits_, key.bytes_, key.size_, key.number_, cost, 0, key.kind_, 0});
}

namespace detail {

/// A wait that C tells; as long as can be said if it is longer.
[[nodiscard]] constexpr std::chrono::nanoseconds wait(std::uint64_t ns) noexcept {
    constexpr auto longest = std::chrono::nanoseconds::max();
    if (ns > static_cast<std::uint64_t>(longest.count())) return longest;
    return std::chrono::nanoseconds(static_cast<std::chrono::nanoseconds::rep>(ns));
}

/// A wait for C: none if it is negative, and never if it is longer than can be said.
template <class Rep, class Period>
[[nodiscard]] constexpr std::uint64_t ns(std::chrono::duration<Rep, Period> time) noexcept {
    using std::chrono::nanoseconds;
    const std::chrono::duration<long double, std::nano> wide = time;
    if (!(wide.count() > 0)) return 0;
    // The longest one is no whole number of doubles, so that what is rounded up to it is out as well.
    if (wide.count() >= static_cast<long double>(nanoseconds::max().count())) return TOLLGATE_NEVER;
    return static_cast<std::uint64_t>(std::chrono::duration_cast<nanoseconds>(time).count());
}

} // namespace detail

/// The answer to one request.
enum class verdict {
    /// Every policy had room; all of them have been charged.
    allowed,
    /// At least one policy has no room now: HTTP 429, with `retry_after`.
    denied,
    /// At least one charge costs more than its limit, so that no wait will help.
    impossible,
    /// A new key found no place in a table that holds its most keys, or no memory.
    table_full,
    /// The request is in error, as `decision::code` tells.
    invalid,
};

/// The outcome of one request over all the policies that it names. Unless it was allowed, nothing was
/// charged. Times are waits from the request's own instant.
class [[nodiscard]] decision {
  public:
    /// Nothing has been decided yet: `verdict::invalid`.
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
    /// Whether the request may go on. To fail open, ask for `verdict() != verdict::denied`.
    [[nodiscard]] constexpr bool is_allowed() const noexcept { return raw_.status == TOLLGATE_OK; }
    /// Why not; no error if it was allowed.
    [[nodiscard]] std::error_code code() const noexcept { return {raw_.status, category()}; }

    /// The policy that decided: the first in the order of the request that had no room or, when it is
    /// allowed, the one with the least remaining.
    [[nodiscard]] constexpr policy_id policy() const noexcept {
        return policy_id::from_bits(raw_.policy);
    }
    /// The limit of that policy that was applied, in units of cost.
    [[nodiscard]] constexpr std::uint64_t limit() const noexcept { return raw_.limit; }
    /// What that policy has left after this decision, in units of cost.
    [[nodiscard]] constexpr std::uint64_t remaining() const noexcept { return raw_.remaining; }
    /// The shortest wait after which this whole request can pass if nobody else spends: the longest
    /// over all its policies. There is one exactly when the verdict is `denied`.
    [[nodiscard]] constexpr std::optional<std::chrono::nanoseconds> retry_after() const noexcept {
        if (raw_.status != TOLLGATE_DENIED || raw_.retry_after_ns == TOLLGATE_NEVER) return {};
        return detail::wait(raw_.retry_after_ns);
    }
    /// The wait until that policy has its whole limit free again if nobody spends.
    [[nodiscard]] constexpr std::chrono::nanoseconds reset_after() const noexcept {
        return detail::wait(raw_.reset_after_ns);
    }
    /// Whether the table of any of the policies had no place for a new key. The request was refused
    /// for it or, under `overflow::allow`, not counted there.
    [[nodiscard]] constexpr bool table_full() const noexcept {
        return (raw_.flags & TOLLGATE_TABLE_WAS_FULL) != 0;
    }

#if TOLLGATE_EXCEPTIONS
    /// Itself, for hosts that take invalid requests for faults of the program: throws
    /// `tollgate::exception` if the verdict is `invalid`.
    constexpr const decision& or_throw() const& {
        if (raw_.status < 0) detail::raise(*this);
        return *this;
    }
    constexpr decision or_throw() && { return static_cast<const decision&>(*this).or_throw(); }
#endif

    /// As C tells it.
    [[nodiscard]] constexpr const tollgate_decision& c() const noexcept { return raw_; }

    /// A decision that a C function has written, or not, as its status says.
    [[nodiscard]] static decision from_c(tollgate_status status,
                                         const tollgate_decision& raw) noexcept {
        decision made;
        made.raw_ = raw;
        made.raw_.status = status;
        return made;
    }

  private:
    tollgate_decision raw_ = {TOLLGATE_E_ARGUMENT, 0, 0, 0, 0, TOLLGATE_NEVER, 0, {0, 0}};
};

/// How one policy of a request stands after the decision, for reports and HTTP fields. Written by
/// `check_with_status` and the like, one for each charge.
class policy_status {
  public:
    constexpr policy_status() noexcept = default;

    /// The policy that was charged.
    [[nodiscard]] constexpr policy_id policy() const noexcept {
        return policy_id::from_bits(raw_.policy);
    }
    /// The limit that was applied, in units of cost.
    [[nodiscard]] constexpr std::uint64_t limit() const noexcept { return raw_.limit; }
    /// What is left of it.
    [[nodiscard]] constexpr std::uint64_t remaining() const noexcept { return raw_.remaining; }
    /// Whether this policy had no room for its charge.
    [[nodiscard]] constexpr bool violated() const noexcept {
        return (raw_.flags & TOLLGATE_VIOLATED) != 0;
    }
    /// The shortest wait after which this policy has room for its charge if nobody else spends; none
    /// when it had room, and when its charge costs more than the limit.
    [[nodiscard]] constexpr std::optional<std::chrono::nanoseconds> retry_after() const noexcept {
        if (!violated() || raw_.retry_after_ns == TOLLGATE_NEVER) return {};
        return detail::wait(raw_.retry_after_ns);
    }
    /// The wait until the whole limit is free again if nobody spends.
    [[nodiscard]] constexpr std::chrono::nanoseconds reset_after() const noexcept {
        return detail::wait(raw_.reset_after_ns);
    }
    /// Whether the table had no place for the key, so that nothing was counted.
    [[nodiscard]] constexpr bool table_full() const noexcept {
        return (raw_.flags & TOLLGATE_TABLE_WAS_FULL) != 0;
    }

    /// As C tells it.
    [[nodiscard]] constexpr const tollgate_policy_status& c() const noexcept { return raw_; }

  private:
    tollgate_policy_status raw_ = {0, 0, 0, 0, 0, 0, 0};
};

namespace detail {

// Arrays of these are arrays of C's: they are passed as they are.
template <class Ours, class Theirs>
inline constexpr bool same_layout =
    std::is_standard_layout_v<Ours> && std::is_trivially_copyable_v<Ours> &&
    sizeof(Ours) == sizeof(Theirs) && alignof(Ours) == alignof(Theirs);
static_assert(same_layout<charge, tollgate_charge> && same_layout<decision, tollgate_decision> &&
              same_layout<policy_status, tollgate_policy_status>);

[[nodiscard]] inline const tollgate_charge* raw(view<const charge> charges) noexcept {
    return reinterpret_cast<const tollgate_charge*>(charges.data());
}
[[nodiscard]] inline tollgate_decision* raw(view<decision> decisions) noexcept {
    return reinterpret_cast<tollgate_decision*>(decisions.data());
}
[[nodiscard]] inline tollgate_policy_status* raw(view<policy_status> layers) noexcept {
    return reinterpret_cast<tollgate_policy_status*>(layers.data());
}
[[nodiscard]] inline const tollgate_policy_status* raw(view<const policy_status> layers) noexcept {
    return reinterpret_cast<const tollgate_policy_status*>(layers.data());
}

} // namespace detail

} // namespace tollgate

#endif
