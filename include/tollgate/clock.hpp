/// Times, and clocks that a limiter can use in place of the processor's clock.
///
/// SPDX-License-Identifier: MIT OR Apache-2.0
#ifndef TOLLGATE_CLOCK_HPP
#define TOLLGATE_CLOCK_HPP

#include "duration.hpp"
#include "error.hpp"

#include <chrono>
#include <memory>

namespace tollgate {

/// A reading of the monotonic clock and the wall clock. Sliding windows use the first, calendar
/// policies the second. Negative times count as 0.
class now {
  public:
    /// 0 on both clocks.
    constexpr now() noexcept = default;

    /// A reading from two durations. `monotonic` is the time since an origin that is the same for all
    /// calls to a limiter. If it steps back between calls, a charge is recorded at the latest time of
    /// its key. `since_1970` is the time since 1970-01-01T00:00:00Z. `std::chrono::steady_clock` has
    /// another origin than the limiter's own clock: pass its times to all calls, or to none.
    template <class A, class B, class C, class D>
    constexpr now(std::chrono::duration<A, B> monotonic,
                  std::chrono::duration<C, D> since_1970) noexcept
        : raw_{detail::ns(monotonic), detail::ns(since_1970)} {}

    /// A reading from two time points of the standard library.
    now(std::chrono::steady_clock::time_point monotonic,
        std::chrono::system_clock::time_point wall) noexcept
        : now(monotonic.time_since_epoch(), wall.time_since_epoch()) {}

    /// Returns a reading with one wall-clock time for both clocks, for recorded traffic.
    [[nodiscard]] static now from_wall(std::chrono::system_clock::time_point wall) noexcept {
        return {wall.time_since_epoch(), wall.time_since_epoch()};
    }
    /// Reads the clocks of the standard library.
    [[nodiscard]] static now read() noexcept {
        return {std::chrono::steady_clock::now(), std::chrono::system_clock::now()};
    }
    /// Converts from C.
    [[nodiscard]] static constexpr now from_c(const tollgate_now& raw) noexcept {
        now converted;
        converted.raw_ = raw;
        return converted;
    }

    [[nodiscard]] constexpr std::chrono::nanoseconds monotonic() const noexcept {
        return detail::wait(raw_.monotonic_ns);
    }
    [[nodiscard]] constexpr std::chrono::nanoseconds since_1970() const noexcept {
        return detail::wait(raw_.unix_ns);
    }
    /// The C struct.
    [[nodiscard]] constexpr const tollgate_now& c() const noexcept { return raw_; }

  private:
    tollgate_now raw_ = {0, 0};
};

namespace detail {

struct clock_deleter {
    void operator()(tollgate_clock* clock) const noexcept { (void)tollgate_clock_free(clock); }
};

} // namespace detail

/// A clock for limiters: the base of the three classes below. Move-only. It may be destroyed before
/// the limiters that use it, which keep the clock alive. A moved-from clock does nothing, and
/// building a limiter with it fails.
class clock {
  public:
    /// The C handle; NULL after a move.
    [[nodiscard]] const tollgate_clock* c() const noexcept TOLLGATE_BORROWED { return handle_.get(); }

  protected:
    explicit clock(tollgate_clock* handle) noexcept : handle_(handle) {}

    template <class Clock>
    [[nodiscard]] static result<Clock> wrap(tollgate_status status, tollgate_clock* handle) noexcept {
        if (status != TOLLGATE_OK) return error(status);
        return Clock(handle);
    }

  private:
    std::unique_ptr<tollgate_clock, detail::clock_deleter> handle_;
};

/// A manual clock, for tests, simulations and recorded traffic. Both readings start at 0 and change
/// only by `set` and `advance`.
class manual_clock : public clock {
  public:
    /// Creates a clock at 0. Errors: `errc::no_memory`.
    [[nodiscard]] static result<manual_clock> try_create() noexcept {
        tollgate_clock* handle = nullptr;
        const auto status = tollgate_clock_manual(&handle);
        return wrap<manual_clock>(status, handle);
    }
#if TOLLGATE_EXCEPTIONS
    [[nodiscard]] static manual_clock create() { return try_create().value(); }
#endif

    /// Sets both readings, forwards or backwards. Any thread.
    void set(const now& now) const noexcept { (void)tollgate_clock_set(c(), &now.c()); }

    /// Advances both readings; they stop at the end of their range. Any thread, but if two threads
    /// advance the clock at the same time, one of the two steps may be lost.
    template <class Rep, class Period>
    void advance(std::chrono::duration<Rep, Period> by) const noexcept {
        (void)tollgate_clock_advance(c(), detail::ns(by));
    }

  private:
    friend class clock;
    using clock::clock;
};

/// A coarse clock, which keeps the time of the last `tick`. A reading costs less than a nanosecond.
/// Call `tick` often, for example once in each turn of an event loop.
class coarse_clock : public clock {
  public:
    /// Creates a clock with the current time. Errors: `errc::no_memory`.
    [[nodiscard]] static result<coarse_clock> try_create() noexcept {
        tollgate_clock* handle = nullptr;
        const auto status = tollgate_clock_coarse(0, &handle);
        return wrap<coarse_clock>(status, handle);
    }
#if TOLLGATE_EXCEPTIONS
    [[nodiscard]] static coarse_clock create() { return try_create().value(); }
#endif

    /// Updates the clock to the current time. Any thread.
    void tick() const noexcept { (void)tollgate_clock_tick(c()); }

  private:
    friend class clock;
    using clock::clock;
};

/// A coarse clock that its own thread updates, until the clock and all limiters that use it are
/// destroyed. After `fork` the child does not have that thread.
class threaded_clock : public clock {
  public:
    /// Creates a clock that is updated at this interval. Errors: `errc::argument` if the interval
    /// is below 1 ns, `errc::no_memory`, `errc::system` if the thread cannot be started.
    template <class Rep, class Period>
    [[nodiscard]] static result<threaded_clock> try_create(
        std::chrono::duration<Rep, Period> interval) noexcept {
        // For 0, C would start no thread.
        if (detail::ns(interval) == 0) return error(errc::argument);
        tollgate_clock* handle = nullptr;
        const auto status = tollgate_clock_coarse(detail::ns(interval), &handle);
        return wrap<threaded_clock>(status, handle);
    }
#if TOLLGATE_EXCEPTIONS
    template <class Rep, class Period>
    [[nodiscard]] static threaded_clock create(std::chrono::duration<Rep, Period> interval) {
        return try_create(interval).value();
    }
#endif

  private:
    friend class clock;
    using clock::clock;
};

} // namespace tollgate

#endif
