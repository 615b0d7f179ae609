/// The statistics of a policy and of a limiter.
#include "check.hpp"

using namespace tollgate;
using namespace std::chrono_literals;

namespace {

struct fixture {
    limiter gate = check::must(limiter::builder()
                                   .policy(policy::sliding("p", 8, 1min))
                                   .policy(policy::sliding("small", 8, 1min).max_keys(1))
                                   .clock(check::must(manual_clock::try_create()))
                                   .try_build());
    policy_id p = check::find(gate, "p");
    policy_id small = check::find(gate, "small");
};

} // namespace

TEST(charges_and_units_are_counted) {
    const fixture setup;
    CHECK(setup.gate.check({setup.p.charge("a", 3)}).is_allowed());
    CHECK(setup.gate.check({setup.p.charge("a", 4), setup.small.charge("a", 1)}).is_allowed());
    CHECK(setup.gate.check({setup.p.charge("a", 2)}).verdict() == verdict::denied);
    CHECK(setup.gate.check({setup.p.charge("a", 9)}).verdict() == verdict::impossible);
    CHECK(setup.gate.check({setup.small.charge("b", 1)}).verdict() == verdict::table_full);
    CHECK(setup.gate.try_refund(setup.p.charge("a", 5)).value_or(0) == 5);
    auto held = check::must(setup.gate.reserve({setup.p.charge("a", 4)}));
    CHECK(setup.gate.settle(held, {1}).is_allowed());
    const auto of_p = setup.gate.stats(setup.p), of_small = setup.gate.stats(setup.small);
    CHECK(of_p && of_p->admitted == 3 && of_p->denied == 2 && of_p->impossible == 1 && of_p->refused == 0);
    CHECK(of_p && of_p->admitted_units == 11 && of_p->refunded_units == 8 && of_p->dry_run_denied == 0);
    CHECK(of_small && of_small->admitted_units == 1 && of_small->refused == 1 && of_small->forgiven == 0);
}

TEST(requests_and_open_reservations_are_counted) {
    fixture setup;
    const fixture other;
    const auto one = {setup.p.charge("a", 1)};
    CHECK(setup.gate.check(one).is_allowed() && setup.gate.peek(one).is_allowed());
    CHECK(setup.gate.check({setup.p.charge("a", 1), setup.small.charge("a", 1)}).is_allowed());
    CHECK(setup.gate.check({setup.p.charge("a", 7)}).verdict() == verdict::denied);
    CHECK(setup.gate.check({setup.p.charge("a", 9)}).verdict() == verdict::impossible);
    CHECK(setup.gate.check({setup.p.charge("a", 1), setup.small.charge("b", 1)}).verdict() == verdict::table_full);
    CHECK(setup.gate.check({other.p.charge("a", 1)}).verdict() == verdict::invalid);
    std::array<decision, 2> decided;
    CHECK(setup.gate.check_many({setup.p.charge("a", 1), setup.p.charge("a", 9)}, decided) == 1);
    auto held = check::must(setup.gate.reserve(one));
    CHECK(setup.gate.request_stats().open_reservations == 1);
    CHECK(setup.gate.cancel(held).is_allowed());
    const auto requests = setup.gate.request_stats();
    CHECK(requests.allowed == 4 && requests.denied == 1 && requests.impossible == 2);
    CHECK(requests.table_full == 1 && requests.invalid == 1 && requests.open_reservations == 0);
    const auto moved = std::move(setup.gate);
    CHECK(moved.request_stats().allowed == 4 && setup.gate.request_stats().allowed == 0);
}
