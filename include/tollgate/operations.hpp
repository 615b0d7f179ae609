/// The operations on requests, of limiters, instants and sessions.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOLLGATE_OPERATIONS_HPP
#define TOLLGATE_OPERATIONS_HPP

#include "clock.hpp"
#include "error.hpp"
#include "request.hpp"
#include "reservation.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tollgate {

/// The operations of a `limiter`, at the current time of its clock, and of an `instant` and a
/// `session`, at their time.
///
/// Except for the throwing forms, all are noexcept. They take no lock, and allocate nothing for keys
/// that are already in a policy's table, unless a table's memory is renewed because of its age. Any
/// thread may use the operations of a limiter or an instant; only the thread that made a session may
/// use the session's. After a move the operations of a limiter fail with `errc::null`.
template <class Self>
class operations {
  public:
    /// Charges a request under all its policies or under none.
    ///
    /// If any policy has no room, nothing is charged. The decision then names the first such
    /// policy, in the order of the charges, and the longest wait over all policies. Several charges
    /// to one key under one policy add up. A request has at most 16 charges; one without charges is
    /// allowed.
    ///
    ///     limiter.check({ip.charge(key::ip(address), 1), user.charge("alice", 1)})
    [[nodiscard]] tollgate::decision check(view<const tollgate::charge> charges) const noexcept {
        return decide([&](auto limiter, auto now, auto decision) {
            return tollgate_check(limiter, now, detail::raw(charges), charges.size(), decision);
        });
    }

    /// `check` with the status of each policy: `statuses[i]` is for `charges[i]`. If the verdict is
    /// `table_full`, all fields of every status are 0; if it is `invalid`, no status is written. With
    /// fewer statuses than charges the request is invalid: `errc::buffer`.
    [[nodiscard]] tollgate::decision check_with_status(view<const tollgate::charge> charges,
                                                       view<policy_status> statuses) const noexcept {
        return decide([&](auto limiter, auto now, auto decision) {
            if (statuses.size() < charges.size()) return TOLLGATE_E_BUFFER;
            return tollgate_check_with_status(limiter, now, detail::raw(charges), charges.size(),
                                              decision, detail::raw(statuses));
        });
    }

    /// `check` for a single charge to a key of bytes.
    [[nodiscard]] tollgate::decision check_key(policy_id policy, std::string_view key,
                                               std::uint64_t cost) const noexcept {
        return check_bytes(policy, tollgate_key_bytes(key.data(), key.size()), cost);
    }
    /// `check` for a single charge to NUL-terminated text. NULL is `errc::null`.
    [[nodiscard]] tollgate::decision check_key(policy_id policy, const char* text,
                                               std::uint64_t cost) const noexcept {
        return check_bytes(policy, tollgate_key_text(text), cost);
    }
    tollgate::decision check_key(policy_id, std::nullptr_t, std::uint64_t) const = delete;

    /// Checks many requests of one charge each, and returns how many were allowed. `decisions[i]`
    /// is for `charges[i]`, up to the length of the shorter view.
    ///
    /// The result is that of `check` for each charge in order, at one time. The batch is faster if the
    /// keys are not in a CPU cache, because the cache misses of several keys overlap.
    ///
    /// Charges are processed in groups of 32. A charge with an invalid key stops the batch before its
    /// group: this group and the later ones are not charged, and their decisions are invalid. A policy
    /// of another limiter makes only its own decision invalid.
    std::size_t check_many(view<const tollgate::charge> charges,
                           view<tollgate::decision> decisions) const noexcept {
        const auto count = charges.size() < decisions.size() ? charges.size() : decisions.size();
        for (std::size_t i = 0; i < count; ++i) decisions.data()[i] = {};
        std::size_t allowed = 0;
        (void)tollgate_check_many(handle(), time_c(), detail::raw(charges), count,
                                  detail::raw(decisions), &allowed);
        return allowed;
    }

    /// Returns the decision of a `check` without charging. `remaining` is what is left without this
    /// request; other threads may use it before a later check. For a new key, the decision assumes
    /// that the table has room, so the verdict is never `table_full`.
    [[nodiscard]] tollgate::decision peek(view<const tollgate::charge> charges) const noexcept {
        return decide([&](auto limiter, auto now, auto decision) {
            return tollgate_peek(limiter, now, detail::raw(charges), charges.size(), decision);
        });
    }

    /// `peek` with the status of each policy, as in `check_with_status`.
    [[nodiscard]] tollgate::decision peek_with_status(view<const tollgate::charge> charges,
                                                      view<policy_status> statuses) const noexcept {
        return decide([&](auto limiter, auto now, auto decision) {
            if (statuses.size() < charges.size()) return TOLLGATE_E_BUFFER;
            return tollgate_peek_with_status(limiter, now, detail::raw(charges), charges.size(),
                                             decision, detail::raw(statuses));
        });
    }

    /// Charges a request even over the limit, for costs that are known only afterwards. Later
    /// requests are denied until the excess has expired. Units above 32 times the policy's `max_limit`
    /// in one bucket (32 units if it is 0), or above twice the `max_limit` in one calendar period,
    /// may not be counted. The verdict is `allowed`, `table_full` or `invalid`.
    tollgate::decision force_charge(view<const tollgate::charge> charges) const noexcept {
        return decide([&](auto limiter, auto now, auto decision) {
            return tollgate_force_charge(limiter, now, detail::raw(charges), charges.size(),
                                         decision);
        });
    }

    /// Refunds up to the cost of a charge to its key, and returns the number of units refunded.
    /// Units are taken from the oldest charges that still count. Refund only units that still
    /// count: a refund of an expired charge takes units of other charges. Errors: `errc::policy`,
    /// `errc::argument` (the key).
    result<std::uint64_t> try_refund(const tollgate::charge& charge) const noexcept {
        std::uint64_t refunded = 0;
        const auto status = tollgate_refund(handle(), time_c(), &charge.c(), &refunded);
        if (status != TOLLGATE_OK) return error(status);
        return refunded;
    }

    /// Clears the usage of a key under a policy. The key's open reservations then hold nothing:
    /// settling one gives back at most its last extension, if that was made after the reset.
    /// Errors: as `try_refund`.
    result<void> try_reset_key(policy_id policy, const key& key) const noexcept {
        const auto charge = policy.charge(key, 0);
        const auto status = tollgate_reset_key(handle(), time_c(), &charge.c());
        if (status != TOLLGATE_OK) return error(status);
        return {};
    }

#if TOLLGATE_EXCEPTIONS
    /// As `try_refund`; throws `tollgate::exception`.
    std::uint64_t refund(const tollgate::charge& charge) const { return try_refund(charge).value(); }
    /// As `try_reset_key`; throws `tollgate::exception`.
    void reset_key(policy_id policy, const key& key) const { try_reset_key(policy, key).value(); }
#endif

    /// Charges the estimated cost of a request under all its policies or under none. The request has
    /// at most 8 charges. The estimate stays charged until the reservation is settled, or until its
    /// window or period has passed. Returns the decision as an error if the request is not allowed.
    result<reservation, tollgate::decision> reserve(
        view<const tollgate::charge> charges) const noexcept {
        return reserve_raw(charges, nullptr);
    }

    /// `reserve` with the status of each policy, as in `check_with_status`.
    result<reservation, tollgate::decision> reserve_with_status(
        view<const tollgate::charge> charges, view<policy_status> statuses) const noexcept {
        if (statuses.size() < charges.size()) return decision_of(TOLLGATE_E_BUFFER);
        return reserve_raw(charges, detail::raw(statuses));
    }

    /// Adds to all charges of a reservation or to none. `more` has one amount for each charge, in
    /// order. If the decision is not allowed, nothing is added and the reservation stays open: stop
    /// the work, then settle. The decision is invalid with `errc::handle` (an empty reservation),
    /// `errc::closed`, `errc::foreign` or `errc::amounts`.
    [[nodiscard]] tollgate::decision extend(reservation& reservation,
                                            view<const std::uint64_t> more) const noexcept {
        return change(reservation, [&](auto limiter, auto now, auto raw, auto decision) {
            return tollgate_extend(limiter, now, raw, more.data(), more.size(), decision);
        });
    }

    /// Closes a reservation with its actual costs, one for each charge.
    ///
    /// An overestimate is refunded to the window or period that was charged, unless that has
    /// passed. If the first charge of the reservation has expired, at most its last extension is
    /// refunded. An underestimate is charged even over the limit, and the excess blocks later
    /// requests until it has expired. The verdict is `table_full` if a table has no room for a key
    /// any more: the excess of that charge is then not recorded, but the other charges are settled and
    /// the reservation is closed. Invalid decisions: as `extend`.
    tollgate::decision settle(reservation& reservation,
                              view<const std::uint64_t> actual) const noexcept {
        return close(reservation, [&](auto limiter, auto now, auto raw, auto decision) {
            return tollgate_settle(limiter, now, raw, actual.data(), actual.size(), decision);
        });
    }

    /// Closes a reservation with a cost of 0 for each charge. Decisions: as `settle`.
    tollgate::decision cancel(reservation& reservation) const noexcept {
        return close(reservation, [&](auto limiter, auto now, auto raw, auto decision) {
            return tollgate_cancel(limiter, now, raw, decision);
        });
    }

  protected:
    operations() noexcept = default;

  private:
    [[nodiscard]] const tollgate_limiter* handle() const noexcept {
        return static_cast<const Self&>(*this).c();
    }
    [[nodiscard]] const tollgate_now* time_c() const noexcept {
        return static_cast<const Self&>(*this).time_c();
    }

    [[nodiscard]] static tollgate::decision decision_of(tollgate_status status) noexcept {
        return tollgate::decision::from_c(status, tollgate::decision().c());
    }

    template <class Operation>
    [[nodiscard]] tollgate::decision decide(Operation operation) const noexcept {
        auto raw = tollgate::decision().c();
        const auto status = operation(handle(), time_c(), &raw);
        return tollgate::decision::from_c(status, raw);
    }

    [[nodiscard]] tollgate::decision check_bytes(policy_id policy, const tollgate_key& key,
                                                 std::uint64_t cost) const noexcept {
        return decide([&](auto limiter, auto now, auto decision) {
            return tollgate_check_key(limiter, now, policy.to_bits(), key.data, key.size, cost,
                                      decision);
        });
    }

    [[nodiscard]] result<reservation, tollgate::decision> reserve_raw(
        view<const tollgate::charge> charges, tollgate_policy_status* statuses) const noexcept {
        reservation reserved;
        reserved.decision_ = decide([&](auto limiter, auto now, auto decision) {
            return tollgate_reserve(limiter, now, detail::raw(charges), charges.size(), &reserved.raw_,
                                    decision, statuses);
        });
        if (!reserved.decision_.is_allowed()) return reserved.decision_;
        reserved.state_ = reservation::state::open;
        return reserved;
    }

    template <class Operation>
    [[nodiscard]] tollgate::decision change(reservation& reservation,
                                            Operation operation) const noexcept {
        if (reservation.state_ == reservation::state::empty) return decision_of(TOLLGATE_E_HANDLE);
        return decide([&](auto limiter, auto now, auto decision) {
            return operation(limiter, now, &reservation.raw_, decision);
        });
    }

    template <class Operation>
    [[nodiscard]] tollgate::decision close(reservation& reservation,
                                           Operation operation) const noexcept {
        const auto decided = change(reservation, operation);
        if (decided.c().status >= 0) reservation.state_ = reservation::state::closed;
        return decided;
    }
};

/// A limiter at a time that the caller has already read. It consists of a pointer and two numbers, and
/// the limiter must outlive it.
class instant : public operations<instant> {
  public:
    /// The time of the operations.
    [[nodiscard]] tollgate::now now() const noexcept { return now_; }

    [[nodiscard]] const tollgate_limiter* c() const noexcept { return limiter_; }

  private:
    friend class limiter;
    friend class operations<instant>;
    instant(const tollgate_limiter* limiter, const tollgate::now& now) noexcept
        : limiter_(limiter), now_(now) {}
    [[nodiscard]] const tollgate_now* time_c() const noexcept { return &now_.c(); }

    const tollgate_limiter* limiter_;
    tollgate::now now_;
};

/// A session: many requests at one time, for example in one turn of an event loop. Its operations
/// are faster than those of a limiter. Keep it only briefly: memory that a table replaces while the
/// session exists is freed only after the session is destroyed. Use and destroy a session on the
/// thread that made it, and destroy it before the limiter. It can be neither moved nor copied.
class session : public operations<session> {
  public:
    session(const session&) = delete;
    session& operator=(const session&) = delete;
    ~session() {
        if (limiter_ != nullptr) (void)tollgate_session_end(&raw_);
    }

    /// The time of this session.
    [[nodiscard]] tollgate::now now() const noexcept { return tollgate::now::from_c(raw_.now); }

    [[nodiscard]] const tollgate_limiter* c() const noexcept { return limiter_; }

  private:
    friend class limiter;
    friend class operations<session>;
    session(const tollgate_limiter* limiter, const tollgate_now* now) noexcept {
        if (tollgate_session_begin(limiter, now, &raw_) == TOLLGATE_OK) limiter_ = limiter;
    }
    [[nodiscard]] const tollgate_now* time_c() const noexcept { return &raw_.now; }

    tollgate_session raw_ = {{0, 0}, {}};
    const tollgate_limiter* limiter_ = nullptr;
};

} // namespace tollgate

#endif
