/// Where the time comes from: instants of the caller's, and clocks that the host moves.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOLLGATE_CLOCK_HPP
#define TOLLGATE_CLOCK_HPP

#include "request.hpp"

#include <memory>

namespace tollgate {

/// One reading of both clocks. Sliding windows count by the monotonic one, calendar budgets by the
/// wall clock. Times before the beginning of either count as the beginning.
class now {
  public:
    /// The beginning of both.
    constexpr now() noexcept = default;

    /// Time since any fixed instant, the same for all readings that a limiter is given; it may step
    /// back a little between threads. And time since 1970-01-01T00:00:00Z.
    template <class A, class B, class C, class D>
    constexpr now(std::chrono::duration<A, B> monotonic,
                  std::chrono::duration<C, D> since_1970) noexcept
        : raw_{detail::ns(monotonic), detail::ns(since_1970)} {}

    /// What the standard library's clocks have shown.
    now(std::chrono::steady_clock::time_point monotonic,
        std::chrono::system_clock::time_point wall) noexcept
        : now(monotonic.time_since_epoch(), wall.time_since_epoch()) {}

    /// Both readings from one wall-clock time, for decisions over recorded traffic.
    [[nodiscard]] static now from_wall(std::chrono::system_clock::time_point wall) noexcept {
        return {wall.time_since_epoch(), wall.time_since_epoch()};
    }
    /// What the standard library's clocks show now.
    [[nodiscard]] static now read() noexcept {
        return {std::chrono::steady_clock::now(), std::chrono::system_clock::now()};
    }
    /// As C tells it.
    [[nodiscard]] static constexpr now from_c(const tollgate_now& raw) noexcept {
        now made;
        made.raw_ = raw;
        return made;
    }

    [[nodiscard]] constexpr std::chrono::nanoseconds monotonic() const noexcept {
        return detail::wait(raw_.monotonic_ns);
    }
    [[nodiscard]] constexpr std::chrono::nanoseconds since_1970() const noexcept {
        return detail::wait(raw_.unix_ns);
    }
    /// As C takes it.
    [[nodiscard]] constexpr const tollgate_now& c() const noexcept { return raw_; }

  private:
    tollgate_now raw_ = {0, 0};
};

namespace detail {

struct clock_deleter {
    void operator()(tollgate_clock* clock) const noexcept { (void)tollgate_clock_free(clock); }
};

} // namespace detail

/// A clock that a limiter may be given: one of the three below. Move-only. It may be gone before the
/// limiters that use it: they keep it going. One that was moved from does nothing, and a limiter
/// cannot be built with it.
class clock {
  public:
    /// As C takes it; NULL if it was moved from.
    [[nodiscard]] const tollgate_clock* c() const noexcept TOLLGATE_BORROWED { return held_.get(); }

  protected:
    explicit clock(tollgate_clock* held) noexcept : held_(held) {}

    template <class Clock>
    [[nodiscard]] static result<Clock> made(tollgate_status status, tollgate_clock* held) noexcept {
        if (status != TOLLGATE_OK) return error(status);
        return Clock(held);
    }

  private:
    std::unique_ptr<tollgate_clock, detail::clock_deleter> held_;
};

/// A clock that moves only when told to: for tests, simulations and recorded traffic. It begins at
/// the beginning of its monotonic time, and of 1970.
class manual_clock : public clock {
  public:
    /// Errors: `errc::no_memory`.
    [[nodiscard]] static result<manual_clock> try_create() noexcept {
        tollgate_clock* held = nullptr;
        const auto status = tollgate_clock_manual(&held);
        return made<manual_clock>(status, held);
    }
#if TOLLGATE_EXCEPTIONS
    [[nodiscard]] static manual_clock create() { return try_create().value(); }
#endif

    /// Sets both readings, also backwards. Any thread.
    void set(const now& now) const noexcept { (void)tollgate_clock_set(c(), &now.c()); }

    /// Moves both readings on; they stop at the end of their range. Two threads that advance it at
    /// once may move it by one of the two.
    template <class Rep, class Period>
    void advance(std::chrono::duration<Rep, Period> by) const noexcept {
        (void)tollgate_clock_advance(c(), detail::ns(by));
    }

  private:
    friend class clock;
    using clock::clock;
};

/// A clock that the host refreshes, say once in each turn of its event loop: a reading costs less
/// than a nanosecond, and is as old as the last tick.
class coarse_clock : public clock {
  public:
    /// Stands at the present. Errors: `errc::no_memory`.
    [[nodiscard]] static result<coarse_clock> try_create() noexcept {
        tollgate_clock* held = nullptr;
        const auto status = tollgate_clock_coarse(0, &held);
        return made<coarse_clock>(status, held);
    }
#if TOLLGATE_EXCEPTIONS
    [[nodiscard]] static coarse_clock create() { return try_create().value(); }
#endif

    /// Moves it to the present. Any thread.
    void tick() const noexcept { (void)tollgate_clock_tick(c()); }

  private:
    friend class clock;
    using clock::clock;
};

/// A coarse clock that a thread of its own refreshes, until it and all limiters that use it are gone.
/// After `fork` there is no such thread in the child.
class upkept_clock : public clock {
  public:
    /// Refreshed this often. Errors: `errc::argument` if that is not above 0, `errc::no_memory`,
    /// `errc::system` if the thread cannot be started.
    template <class Rep, class Period>
    [[nodiscard]] static result<upkept_clock> try_create(
        std::chrono::duration<Rep, Period> interval) noexcept {
        // C makes no thread for 0.
        if (detail::ns(interval) == 0) return error(errc::argument);
        tollgate_clock* held = nullptr;
        const auto status = tollgate_clock_coarse(detail::ns(interval), &held);
        return made<upkept_clock>(status, held);
    }
#if TOLLGATE_EXCEPTIONS
    template <class Rep, class Period>
    [[nodiscard]] static upkept_clock create(std::chrono::duration<Rep, Period> interval) {
        return try_create(interval).value();
    }
#endif

  private:
    friend class clock;
    using clock::clock;
};

} // namespace tollgate

#endif
