/// Times and clocks.
#include "check.hpp"

using namespace tollgate;
using namespace std::chrono_literals;

static builder one() { return limiter::builder().policy(policy::calendar("day", 5, period::day)); }

TEST(times_convert_from_any_duration) {
    CHECK(now().monotonic() == 0ns && now().since_1970() == 0ns);
    const now mixed(2s, 3h);
    CHECK(mixed.c().monotonic_ns == 2'000'000'000 && mixed.c().unix_ns == 10'800'000'000'000);
    CHECK(now(-1s, std::chrono::duration<double>(1.5)).c().monotonic_ns == 0);
    CHECK(now(-1s, std::chrono::duration<double>(1.5)).since_1970() == 1500ms);
    // Times that are too great become the greatest time.
    CHECK(now(std::chrono::hours::max(), 0s).c().monotonic_ns == UINT64_MAX);
    CHECK(now(std::chrono::hours::max(), 0s).monotonic() == std::chrono::nanoseconds::max());
    CHECK(now(std::chrono::nanoseconds::max() - 1s, 0s).monotonic() == std::chrono::nanoseconds::max() - 1s);
    const std::chrono::system_clock::time_point wall(std::chrono::hours(24));
    CHECK(now::from_wall(wall).monotonic() == 24h && now::from_wall(wall).since_1970() == 24h);
    CHECK(now(std::chrono::steady_clock::time_point(5s), wall).monotonic() == 5s);
    CHECK(now::from_c({7, 8}).monotonic() == 7ns && now::from_c({7, 8}).since_1970() == 8ns);
    const auto read = now::read(), again = now::read();
    CHECK(read.since_1970() > 24h * 365 * 50 && again.monotonic() >= read.monotonic());
    static_assert(now(1ms, 1us).c().unix_ns == 1'000);
}

TEST(a_manual_clock_changes_only_by_set_and_advance) {
    const auto clock = check::must(manual_clock::try_create());
    const auto gate = check::must(one().clock(clock).try_build());
    CHECK(gate.now().monotonic() == 0ns);
    clock.set({5s, 24h});
    clock.advance(1h);
    CHECK(gate.now().monotonic() == 1h + 5s && gate.now().since_1970() == 25h);
    clock.advance(std::chrono::hours::max());
    CHECK(gate.now().c().monotonic_ns == UINT64_MAX);
    clock.set(now());
    CHECK(gate.now().since_1970() == 0ns);
}

TEST(a_limiter_keeps_its_clock_alive) {
    auto gate = check::must(one().clock(check::must(manual_clock::try_create())).try_build());
    CHECK(gate.now().monotonic() == 0ns && gate.now().monotonic() == 0ns);
}

TEST(a_coarse_clock_changes_only_by_ticks) {
    const auto clock = check::must(coarse_clock::try_create());
    const auto gate = check::must(one().clock(clock).try_build());
    const auto before = gate.now();
    CHECK(gate.now().monotonic() == before.monotonic() && before.since_1970() > 24h * 365 * 50);
    clock.tick();
    CHECK(gate.now().monotonic() > before.monotonic());
}

TEST(a_threaded_clock_updates_itself) {
    const auto clock = check::must(threaded_clock::try_create(1ms));
    const auto gate = check::must(one().clock(clock).try_build());
    const auto before = gate.now();
    // Nothing here calls tick: only the clock's thread can end this loop before the timeout.
    for (const auto since = now::read(); gate.now().monotonic() == before.monotonic();) {
        if (now::read().monotonic() - since.monotonic() > 30s) break;
    }
    CHECK(gate.now().monotonic() > before.monotonic());
    CHECK(threaded_clock::try_create(0s).error().code() == errc::argument);
    CHECK(threaded_clock::try_create(-1s).error().code() == errc::argument);
}

TEST(a_moved_from_clock_does_nothing) {
    auto manual = check::must(manual_clock::try_create());
    auto coarse = check::must(coarse_clock::try_create());
    const auto kept = std::move(manual);
    const auto other = std::move(coarse);
    manual.set(now());
    manual.advance(1s);
    coarse.tick();
    CHECK(manual.c() == nullptr && coarse.c() == nullptr && kept.c() != nullptr && other.c() != nullptr);
}

TEST(the_default_clock_advances_and_has_wall_time) {
    const auto gate = check::must(one().try_build());
    const auto before = gate.now();
    CHECK(before.since_1970() > 24h * 365 * 50);
    for (const auto since = now::read(); gate.now().monotonic() == before.monotonic();) {
        if (now::read().monotonic() - since.monotonic() > 30s) break;
    }
    CHECK(gate.now().monotonic() > before.monotonic());
}

#if TOLLGATE_EXCEPTIONS
TEST(clocks_with_exceptions) {
    const auto gate = one().clock(manual_clock::create()).build();
    const auto other = one().clock(coarse_clock::create()).build();
    const auto third = one().clock(threaded_clock::create(1s)).build();
    CHECK(gate.check({}).is_allowed() && other.check({}).is_allowed() && third.check({}).is_allowed());
}
#endif
