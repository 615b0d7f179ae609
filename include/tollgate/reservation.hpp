/// Reservations: requests whose cost is known only when they finish.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOLLGATE_RESERVATION_HPP
#define TOLLGATE_RESERVATION_HPP

#include "request.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

namespace tollgate {

/// A reservation: a request that was charged its estimated cost, to be settled with its actual
/// cost.
///
///     reserve(estimate) -> extend(more)* -> settle(actual) | cancel()
///
/// Plain data without heap memory. One thread at a time may use it. Move-only; a moved-from
/// reservation is empty.
///
/// *A reservation that is destroyed without `settle` or `cancel` stays charged* until its window or
/// period has passed, so a response that breaks off is not free. To refund it in that case, use
/// `cancel_guard`.
class [[nodiscard]] reservation {
  public:
    /// An empty reservation.
    reservation() noexcept = default;
    reservation(reservation&& other) noexcept { take(other); }
    reservation& operator=(reservation&& other) noexcept {
        if (this != &other) take(other);
        return *this;
    }
    ~reservation() = default;

    /// Returns whether the reservation can still be extended and settled.
    [[nodiscard]] bool is_open() const noexcept { return state_ == state::open; }

    /// The decision that allowed the reservation.
    [[nodiscard]] tollgate::decision decision() const noexcept { return decision_; }

    /// Returns the units charged so far for the charge with this index. After settling, they are its
    /// actual cost, unless the table had no room for the excess. `std::nullopt` if the reservation is
    /// empty or has no such charge.
    [[nodiscard]] std::optional<std::uint64_t> charged(std::size_t index) const noexcept {
        std::uint64_t units = 0;
        if (state_ == state::empty) return {};
        if (tollgate_reserved(&raw_, index, &units) != TOLLGATE_OK) return {};
        return units;
    }

  private:
    template <class>
    friend class operations;

    enum class state { empty, open, closed };

    void take(reservation& other) noexcept {
        decision_ = other.decision_;
        state_ = std::exchange(other.state_, state::empty);
        if (state_ != state::empty) raw_ = other.raw_;
    }

    // Uninitialised while the reservation is empty.
    tollgate_reservation raw_;
    tollgate::decision decision_;
    state state_ = state::empty;
};

} // namespace tollgate

#endif
