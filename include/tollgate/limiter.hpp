/// The limiter and its verbs, a session, a reservation.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOLLGATE_LIMITER_HPP
#define TOLLGATE_LIMITER_HPP

#include "config.hpp"

namespace tollgate {

/// How a policy stands: C's plain struct, whose fields are documented there.
using stats = tollgate_stats;

/// A request that has been charged an estimate, and may cost more or less:
///
///     reserve(estimate) -> extend(more)* -> settle(actual) | cancel()
///
/// Plain data of 800 bytes, without memory of its own: keep it as long as an answer streams, on any
/// thread, by one at a time. Move-only; what was moved from is none.
///
/// *Destroyed unsettled it stays charged* until its window or period has passed: nothing sweeps and
/// nothing leaks. So an answer that breaks off is not free. Where it should be, say so:
/// `cancel_guard`.
class [[nodiscard]] reservation {
  public:
    /// None.
    reservation() noexcept = default;
    reservation(reservation&& other) noexcept { take(other); }
    reservation& operator=(reservation&& other) noexcept {
        if (this != &other) take(other);
        return *this;
    }
    ~reservation() = default;

    /// Whether it can still be extended and settled.
    [[nodiscard]] bool is_open() const noexcept { return state_ == state::open; }

    /// The decision that allowed it.
    [[nodiscard]] tollgate::decision decision() const noexcept { return decision_; }

    /// What is charged now to the layer of this place, in its units; after settling what it has cost.
    /// Nothing beyond the last layer.
    [[nodiscard]] std::optional<std::uint64_t> charged(std::size_t layer) const noexcept {
        std::uint64_t units = 0;
        if (state_ == state::none) return {};
        if (tollgate_reserved(&raw_, layer, &units) != TOLLGATE_OK) return {};
        return units;
    }

  private:
    template <class>
    friend class verbs;

    enum class state { none, open, closed };

    void take(reservation& other) noexcept {
        decision_ = other.decision_;
        state_ = std::exchange(other.state_, state::none);
        if (state_ != state::none) raw_ = other.raw_;
    }

    // Written by C, and not looked at before.
    tollgate_reservation raw_;
    tollgate::decision decision_;
    state state_ = state::none;
};

/// The verbs: of a `limiter`, at its clock's present instant; of an `instant`; of a `session`.
///
/// All are noexcept, take no lock and, about a known key, allocate nothing. Any thread may use them,
/// but for those of a session, which belong to its thread. Whoever uses what was moved from gets
/// `errc::null`.
template <class Self>
class verbs {
  public:
    /// Charges a request under all its policies, or under none: at most 16 charges, and none at all
    /// is allowed. The decision names the first policy without room in the order of the charges, and
    /// the longest wait over all of them. Two charges to one key add up.
    ///
    ///     limiter.check({ip.charge(key::ip(address), 1), user.charge("alice", 1)})
    [[nodiscard]] tollgate::decision check(view<const tollgate::charge> charges) const noexcept {
        return decide([&](auto limiter, auto now, auto decision) {
            return tollgate_check(limiter, now, detail::raw(charges), charges.size(), decision);
        });
    }

    /// As `check`, and tells how each policy stands after it: `layers[i]` is that of `charges[i]`.
    /// With fewer layers than charges the request is invalid: `errc::buffer`.
    [[nodiscard]] tollgate::decision check_with_status(view<const tollgate::charge> charges,
                                                       view<policy_status> layers) const noexcept {
        return decide([&](auto limiter, auto now, auto decision) {
            if (layers.size() < charges.size()) return TOLLGATE_E_BUFFER;
            return tollgate_check_with_status(limiter, now, detail::raw(charges), charges.size(),
                                              decision, detail::raw(layers));
        });
    }

    /// One charge to a key of bytes: the shortest way.
    [[nodiscard]] tollgate::decision check_key(policy_id policy, std::string_view key,
                                               std::uint64_t cost) const noexcept {
        return decide([&](auto limiter, auto now, auto decision) {
            return tollgate_check_key(limiter, now, policy.to_bits(), key.data(), key.size(), cost,
                                      decision);
        });
    }

    /// Checks many requests of one charge each: `decisions[i]` is that of `charges[i]`, as far as both
    /// go. Returns how many were allowed. The same as `check` for each of them in order and at one
    /// instant, but keys that are in no cache are waited for together.
    ///
    /// A charge that is invalid by its key stops the batch: its own group of 32 and all after it are
    /// not charged, and their decisions are invalid. A policy of another limiter makes its own
    /// decision invalid.
    std::size_t check_many(view<const tollgate::charge> charges,
                           view<tollgate::decision> decisions) const noexcept {
        const auto count = charges.size() < decisions.size() ? charges.size() : decisions.size();
        for (std::size_t place = 0; place < count; ++place) decisions.data()[place] = {};
        std::size_t allowed = 0;
        (void)tollgate_check_many(handle(), instant_of(), detail::raw(charges), count,
                                  detail::raw(decisions), &allowed);
        return allowed;
    }

    /// What `check` would decide; charges nothing. `remaining` is what is left without the request.
    /// Other threads may spend it in the next moment.
    [[nodiscard]] tollgate::decision peek(view<const tollgate::charge> charges) const noexcept {
        return decide([&](auto limiter, auto now, auto decision) {
            return tollgate_peek(limiter, now, detail::raw(charges), charges.size(), decision);
        });
    }

    /// As `peek`, and tells how each policy stands, as `check_with_status` does.
    [[nodiscard]] tollgate::decision peek_with_status(view<const tollgate::charge> charges,
                                                      view<policy_status> layers) const noexcept {
        return decide([&](auto limiter, auto now, auto decision) {
            if (layers.size() < charges.size()) return TOLLGATE_E_BUFFER;
            return tollgate_peek_with_status(limiter, now, detail::raw(charges), charges.size(),
                                             decision, detail::raw(layers));
        });
    }

    /// Charges whatever the usage is, for costs that are known only afterwards. Usage may then exceed
    /// the limit, and later requests are denied until it has passed. Allowed, but for
    /// `verdict::table_full` and `invalid`.
    tollgate::decision force_charge(view<const tollgate::charge> charges) const noexcept {
        return decide([&](auto limiter, auto now, auto decision) {
            return tollgate_force_charge(limiter, now, detail::raw(charges), charges.size(),
                                         decision);
        });
    }

    /// Gives up to the cost of a charge back to its key; tells how many units that was. They are taken
    /// from the oldest charges that still count: give back only what still counts. Errors:
    /// `errc::policy`, `errc::argument` (the key).
    result<std::uint64_t> try_refund(const tollgate::charge& charge) const noexcept {
        std::uint64_t given = 0;
        const auto status = tollgate_refund(handle(), instant_of(), &charge.c(), &given);
        if (status != TOLLGATE_OK) return error(status);
        return given;
    }

    /// Forgets everything that a key has used under a policy. Close its open reservations first: what
    /// they give back afterwards may be units that were charged since. Errors: as `try_refund`.
    result<void> try_reset_key(policy_id policy, const key& key) const noexcept {
        const auto charge = policy.charge(key, 0);
        const auto status = tollgate_reset_key(handle(), instant_of(), &charge.c());
        if (status != TOLLGATE_OK) return error(status);
        return {};
    }

#if TOLLGATE_EXCEPTIONS
    /// As `try_refund`; throws `tollgate::exception`.
    std::uint64_t refund(const tollgate::charge& charge) const { return try_refund(charge).value(); }
    /// As `try_reset_key`; throws `tollgate::exception`.
    void reset_key(policy_id policy, const key& key) const { try_reset_key(policy, key).value(); }
#endif

    /// Charges an estimate under all policies of a request, or under none: at most 8 charges. What was
    /// charged stays so until it is settled. The decision, if it is not allowed.
    result<reservation, tollgate::decision> reserve(
        view<const tollgate::charge> charges) const noexcept {
        return reserve_told(charges, nullptr);
    }

    /// As `reserve`, and tells how each policy stands after it, allowed or denied.
    result<reservation, tollgate::decision> reserve_with_status(
        view<const tollgate::charge> charges, view<policy_status> layers) const noexcept {
        if (layers.size() < charges.size()) return decision_of(TOLLGATE_E_BUFFER);
        return reserve_told(charges, detail::raw(layers));
    }

    /// Charges so much more to each layer of a reservation, in the order of its charges, or nothing to
    /// any: then the answer is 'stop now', with the layer and the wait. Invalid: `errc::handle` (none),
    /// `errc::closed`, `errc::foreign`, `errc::amounts`.
    [[nodiscard]] tollgate::decision extend(reservation& reservation,
                                            view<const std::uint64_t> more) const noexcept {
        return change(reservation, [&](auto limiter, auto now, auto raw, auto decision) {
            return tollgate_extend(limiter, now, raw, more.data(), more.size(), decision);
        });
    }

    /// Closes a reservation with what each layer has really cost. Less than was reserved gives the
    /// difference back to the window or the period that was charged: nothing if that has passed. More
    /// charges the difference whatever the usage is, so that a debt blocks later requests.
    /// `verdict::table_full` if a key found no place any more, and closed; invalid: as `extend`.
    tollgate::decision settle(reservation& reservation,
                              view<const std::uint64_t> actual) const noexcept {
        return close(reservation, [&](auto limiter, auto now, auto raw, auto decision) {
            return tollgate_settle(limiter, now, raw, actual.data(), actual.size(), decision);
        });
    }

    /// Closes a reservation that has cost nothing. Answers as `settle`.
    tollgate::decision cancel(reservation& reservation) const noexcept {
        return close(reservation, [&](auto limiter, auto now, auto raw, auto decision) {
            return tollgate_cancel(limiter, now, raw, decision);
        });
    }

  protected:
    verbs() noexcept = default;

  private:
    [[nodiscard]] const tollgate_limiter* handle() const noexcept {
        return static_cast<const Self&>(*this).c();
    }
    [[nodiscard]] const tollgate_now* instant_of() const noexcept {
        return static_cast<const Self&>(*this).instant_c();
    }

    [[nodiscard]] static tollgate::decision decision_of(tollgate_status status) noexcept {
        return tollgate::decision::from_c(status, tollgate::decision().c());
    }

    template <class Verb>
    [[nodiscard]] tollgate::decision decide(Verb verb) const noexcept {
        auto raw = tollgate::decision().c();
        const auto status = verb(handle(), instant_of(), &raw);
        return tollgate::decision::from_c(status, raw);
    }

    [[nodiscard]] result<reservation, tollgate::decision> reserve_told(
        view<const tollgate::charge> charges, tollgate_policy_status* layers) const noexcept {
        reservation made;
        made.decision_ = decide([&](auto limiter, auto now, auto decision) {
            return tollgate_reserve(limiter, now, detail::raw(charges), charges.size(), &made.raw_,
                                    decision, layers);
        });
        if (!made.decision_.is_allowed()) return made.decision_;
        made.state_ = reservation::state::open;
        return made;
    }

    template <class Verb>
    [[nodiscard]] tollgate::decision change(reservation& reservation, Verb verb) const noexcept {
        if (reservation.state_ == reservation::state::none) return decision_of(TOLLGATE_E_HANDLE);
        return decide([&](auto limiter, auto now, auto decision) {
            return verb(limiter, now, &reservation.raw_, decision);
        });
    }

    template <class Verb>
    [[nodiscard]] tollgate::decision close(reservation& reservation, Verb verb) const noexcept {
        const auto decided = change(reservation, verb);
        if (decided.c().status >= 0) reservation.state_ = reservation::state::closed;
        return decided;
    }
};

/// A limiter at an instant that the caller has read already. A pointer and two numbers; the limiter
/// must outlive it.
class instant : public verbs<instant> {
  public:
    /// The instant.
    [[nodiscard]] tollgate::now now() const noexcept { return now_; }

    [[nodiscard]] const tollgate_limiter* c() const noexcept { return limiter_; }

  private:
    friend class limiter;
    friend class verbs<instant>;
    instant(const tollgate_limiter* limiter, const tollgate::now& now) noexcept
        : limiter_(limiter), now_(now) {}
    [[nodiscard]] const tollgate_now* instant_c() const noexcept { return &now_.c(); }

    const tollgate_limiter* limiter_;
    tollgate::now now_;
};

/// A turn of an event loop: verbs at one instant that are cheaper than one by one. Short-lived, since
/// while it is there memory of tables that were replaced is not freed. It belongs to its thread: it
/// must be destroyed there, and before the limiter. It neither moves nor copies.
class session : public verbs<session> {
  public:
    session(const session&) = delete;
    session& operator=(const session&) = delete;
    ~session() {
        if (limiter_ != nullptr) (void)tollgate_session_end(&raw_);
    }

    /// The instant of this session.
    [[nodiscard]] tollgate::now now() const noexcept { return tollgate::now::from_c(raw_.now); }

    [[nodiscard]] const tollgate_limiter* c() const noexcept { return limiter_; }

  private:
    friend class limiter;
    friend class verbs<session>;
    session(const tollgate_limiter* limiter, const tollgate_now* now) noexcept {
        if (tollgate_session_begin(limiter, now, &raw_) == TOLLGATE_OK) limiter_ = limiter;
    }
    [[nodiscard]] const tollgate_now* instant_c() const noexcept { return &raw_.now; }

    tollgate_session raw_ = {{0, 0}, {}};
    const tollgate_limiter* limiter_ = nullptr;
};

namespace detail {

struct limiter_deleter {
    void operator()(tollgate_limiter* limiter) const noexcept { (void)tollgate_free(limiter); }
};

} // namespace detail

/// Decides which requests may go on. Shared between threads by reference: every member that is const
/// may be called by any number of threads at any time, and none waits for another. Move-only, as
/// large as a pointer; frees itself when nobody uses it any more.
class limiter : public verbs<limiter> {
  public:
    /// Starts one.
    [[nodiscard]] static tollgate::builder builder() { return {}; }

    /// Takes over what `tollgate_new` made.
    [[nodiscard]] static limiter from_c(tollgate_limiter* owned) noexcept { return limiter(owned); }

    /// Verbs at an instant that the caller has read already.
    [[nodiscard]] instant at(const tollgate::now& now) const noexcept TOLLGATE_BORROWED {
        return {c(), now};
    }
    /// A session at the clock's present instant.
    [[nodiscard]] tollgate::session session() const noexcept TOLLGATE_BORROWED {
        return {c(), nullptr};
    }
    /// A session at an instant that the caller has read already.
    [[nodiscard]] tollgate::session session_at(const tollgate::now& now) const noexcept
        TOLLGATE_BORROWED {
        return {c(), &now.c()};
    }

    /// The present reading of its clock; the wall clock is read only if a policy follows the calendar.
    [[nodiscard]] tollgate::now now() const noexcept {
        tollgate_now raw = {0, 0};
        (void)tollgate_read_clock(c(), &raw);
        return tollgate::now::from_c(raw);
    }

    /// The policy of this name. Errors: `errc::policy` if there is none.
    [[nodiscard]] inline result<policy_id> try_policy(std::string_view name) const noexcept;
#if TOLLGATE_EXCEPTIONS
    /// As `try_policy`; throws `tollgate::exception`.
    [[nodiscard]] policy_id policy(std::string_view name) const { return try_policy(name).value(); }
#endif

    /// The policy of this place in the order of the builder, from 0; none beyond the last.
    [[nodiscard]] std::optional<policy_id> policy_at(std::size_t place) const noexcept {
        std::uint64_t bits = 0;
        if (tollgate_policy_at(c(), place, &bits, nullptr) != TOLLGATE_OK) return {};
        return policy_id::from_bits(bits);
    }

    /// A policy's name, which lives as long as the limiter; empty for one of another limiter.
    [[nodiscard]] std::string_view policy_name(policy_id policy) const noexcept TOLLGATE_BORROWED {
        std::uint64_t bits = 0;
        const char* name = nullptr;
        for (std::size_t place = 0;
             tollgate_policy_at(c(), place, &bits, &name) == TOLLGATE_OK; ++place) {
            if (bits == policy.to_bits()) return name;
        }
        return {};
    }

    /// The limit that applies now to charges without one of their own; none for a policy of another
    /// limiter.
    [[nodiscard]] std::optional<std::uint64_t> limit(policy_id policy) const noexcept {
        std::uint64_t limit = 0;
        if (tollgate_get_limit(c(), policy.to_bits(), &limit) != TOLLGATE_OK) return {};
        return limit;
    }

    /// Changes a policy's limit for all coming requests; what has been used stays used. Errors:
    /// `errc::limit` for 0, `errc::max_limit` above the policy's greatest, `errc::policy`.
    result<void> try_set_limit(policy_id policy, std::uint64_t limit) const noexcept {
        tollgate_error why = {TOLLGATE_OK, 0, {}};
        const auto status = tollgate_set_limit(c(), policy.to_bits(), limit, &why);
        if (status == TOLLGATE_OK) return {};
        return why.status == status ? error(why) : error(status);
    }
#if TOLLGATE_EXCEPTIONS
    /// As `try_set_limit`; throws `tollgate::exception`.
    void set_limit(policy_id policy, std::uint64_t limit) const {
        try_set_limit(policy, limit).value();
    }
#endif

    /// To what fraction of a second a policy records time: clock readings are cut to it.
    [[nodiscard]] std::optional<std::chrono::nanoseconds> resolution(
        policy_id policy) const noexcept {
        std::uint64_t ns = 0;
        if (tollgate_resolution(c(), policy.to_bits(), &ns) != TOLLGATE_OK) return {};
        return detail::wait(ns);
    }

    /// How a policy stands; none for one of another limiter. Takes microseconds.
    [[nodiscard]] std::optional<tollgate::stats> stats(policy_id policy) const noexcept {
        tollgate::stats stats = TOLLGATE_STATS_INIT;
        if (tollgate_get_stats(c(), policy.to_bits(), &stats) != TOLLGATE_OK) return {};
        return stats;
    }

    /// Housekeeping ahead of need, for hosts that have idle moments: moves up to `slots` slots of each
    /// table that is being moved, and gives memory back. Returns whether nothing is left to move.
    /// Never needed: requests with new keys do the same, a small chunk each.
    bool maintain(std::size_t slots) const noexcept {
        std::int32_t done = 1;
        (void)tollgate_maintain(c(), slots, &done);
        return done != 0;
    }

    /// As C takes it; NULL if it was moved from.
    [[nodiscard]] const tollgate_limiter* c() const noexcept TOLLGATE_BORROWED { return held_.get(); }
    /// Hands it to C, which frees it with `tollgate_free`.
    [[nodiscard]] tollgate_limiter* release() noexcept { return held_.release(); }

  private:
    friend class verbs<limiter>;
    explicit limiter(tollgate_limiter* owned) noexcept : held_(owned) {}
    [[nodiscard]] static const tollgate_now* instant_c() noexcept { return nullptr; }

    std::unique_ptr<tollgate_limiter, detail::limiter_deleter> held_;
};

static_assert(sizeof(limiter) == sizeof(void*));

/// Cancels a reservation at the end of its scope if nobody has settled it until then, for work that
/// costs nothing unless it is finished. Both must outlive it.
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
    // Ended by a NUL for C; longer names are none.
    char ended[65] = {};
    if (name.size() >= sizeof ended || name.find('\0') != name.npos) return error(errc::policy);
    name.copy(ended, name.size());
    std::uint64_t bits = 0;
    const auto status = tollgate_policy_find(c(), ended, &bits);
    if (status != TOLLGATE_OK) return error(status);
    return policy_id::from_bits(bits);
}

inline result<limiter> builder::try_build() const noexcept {
    if (fault_) return error(*fault_);
    // One more than can be is refused by its count, and not looked at.
    std::array<tollgate_policy, max_charges> raw = {};
    for (std::size_t place = 0; place < raw.size() && place < policies_.size(); ++place) {
        if (const auto fault = policies_[place].fault()) return error(*fault);
        raw[place] = policies_[place].raw();
    }
    tollgate_limiter* made = nullptr;
    tollgate_error why = {TOLLGATE_OK, 0, {}};
    const auto status = tollgate_new(&options_, raw.data(), policies_.size(), &made, &why);
    if (status == TOLLGATE_OK) return limiter::from_c(made);
    return why.status == status ? error(why) : error(status);
}

#if TOLLGATE_EXCEPTIONS
inline limiter builder::build() const { return try_build().value(); }
#endif

} // namespace tollgate

#endif
