/// Reservations.
#include "check.hpp"

#include <thread>

using namespace tollgate;
using namespace std::chrono_literals;

namespace {

struct fixture {
    manual_clock clock = check::must(manual_clock::try_create());
    limiter gate = check::must(limiter::builder()
                                   .policy(policy::sliding("requests", 10, 1min))
                                   .policy(policy::sliding("tokens", 100, 1min))
                                   .clock(clock)
                                   .try_build());
    policy_id requests = check::find(gate, "requests");
    policy_id tokens = check::find(gate, "tokens");

    [[nodiscard]] std::uint64_t left() const { return gate.peek({tokens.charge("a", 0)}).remaining(); }
    [[nodiscard]] reservation reserve(std::uint64_t estimate) const {
        return check::must(gate.reserve({requests.charge("a", 1), tokens.charge("a", estimate)}));
    }
};

} // namespace

TEST(a_reservation_is_extended_and_settled) {
    const fixture setup;
    auto held = setup.reserve(30);
    CHECK(held.is_open() && held.decision().is_allowed() && held.decision().policy() == setup.tokens);
    CHECK(setup.left() == 70 && held.charged(1) == 30 && held.charged(0) == 1 && !held.charged(2));
    CHECK(setup.gate.extend(held, {0, 20}).is_allowed() && held.charged(1) == 50);
    const auto stop = setup.gate.extend(held, {0, 51});
    CHECK(stop.verdict() == verdict::denied && stop.policy() == setup.tokens && stop.retry_after() == 1min);
    CHECK(held.is_open() && setup.left() == 50);
    CHECK(setup.gate.settle(held, {1, 42}).is_allowed());
    CHECK(!held.is_open() && setup.left() == 58 && held.charged(1) == 42);
}

TEST(an_underestimate_is_charged_over_the_limit) {
    const fixture setup;
    auto held = setup.reserve(90);
    const std::vector<std::uint64_t> actual = {1, 120};
    CHECK(setup.gate.settle(held, actual).is_allowed() && setup.left() == 0);
    CHECK(setup.gate.check({setup.tokens.charge("a", 1)}).verdict() == verdict::denied);
}

TEST(a_cancelled_reservation_costs_nothing) {
    const fixture setup;
    auto held = setup.reserve(30);
    CHECK(setup.gate.cancel(held).is_allowed() && setup.left() == 100 && !held.is_open());
    CHECK(setup.gate.cancel(held).code() == errc::closed);
    CHECK(setup.gate.extend(held, {0, 1}).code() == errc::closed);
}

TEST(a_refused_reservation_returns_the_decision) {
    const fixture setup;
    [[maybe_unused]] const auto kept = setup.reserve(90);
    std::array<policy_status, 2> statuses;
    const auto refused =
        setup.gate.reserve_with_status({setup.requests.charge("a", 1), setup.tokens.charge("a", 20)}, statuses);
    CHECK(!refused && refused.error().verdict() == verdict::denied && refused.error().policy() == setup.tokens);
    CHECK(statuses[1].violated() && !statuses[0].violated() && setup.left() == 10);
    const std::vector<charge> many(9, setup.tokens.charge("a", 1));
    CHECK(setup.gate.reserve(many).error().code() == errc::too_many && max_reserved == 8);
}

TEST(errors_leave_a_reservation_open) {
    const fixture setup, other;
    auto held = setup.reserve(30);
    CHECK(setup.gate.extend(held, {1}).code() == errc::amounts);
    CHECK(setup.gate.settle(held, {1, 2, 3}).code() == errc::amounts);
    CHECK(other.gate.settle(held, {1, 2}).code() == errc::foreign);
    CHECK(other.gate.cancel(held).code() == errc::foreign);
    CHECK(held.is_open() && setup.left() == 70);
    reservation none;
    CHECK(!none.is_open() && !none.charged(0) && !none.decision().is_allowed());
    CHECK(setup.gate.settle(none, {1, 2}).code() == errc::handle);
    CHECK(setup.gate.cancel(none).code() == errc::handle);
}

TEST(a_moved_from_reservation_is_empty) {
    const fixture setup;
    auto first = setup.reserve(30);
    auto second = std::move(first);
    CHECK(!first.is_open() && second.is_open() && !first.charged(0) && second.charged(1) == 30);
    CHECK(setup.gate.settle(first, {1, 0}).code() == errc::handle);
    first = std::move(second);
    CHECK(first.is_open() && !second.is_open());
    // Another thread may settle the reservation.
    std::thread([&] { CHECK(setup.gate.settle(first, {1, 0}).is_allowed()); }).join();
    CHECK(setup.left() == 100);
}

TEST(a_destroyed_reservation_stays_charged_until_its_window_has_passed) {
    const fixture setup;
    { [[maybe_unused]] const auto dropped = setup.reserve(30); }
    CHECK(setup.left() == 70);
    setup.clock.advance(1min - 1ns);
    CHECK(setup.left() == 70);
    setup.clock.advance(1ns);
    CHECK(setup.left() == 100);
}

TEST(a_guard_cancels_an_open_reservation) {
    const fixture setup;
    {
        auto held = setup.reserve(30);
        const cancel_guard guard(setup.gate, held);
        CHECK(setup.left() == 70);
    }
    CHECK(setup.left() == 100);
    {
        auto held = setup.reserve(30);
        const cancel_guard guard(setup.gate, held);
        CHECK(setup.gate.settle(held, {1, 25}).is_allowed());
    }
    CHECK(setup.left() == 75);
    static_assert(!std::is_copy_constructible_v<cancel_guard> && !std::is_move_constructible_v<cancel_guard>);
}

#if TOLLGATE_EXCEPTIONS
TEST(a_guard_cancels_when_the_work_throws) {
    const fixture setup;
    try {
        auto held = setup.reserve(30);
        const cancel_guard guard(setup.gate, held);
        throw 1;
    } catch (int) {
    }
    CHECK(setup.left() == 100);
}
#endif
