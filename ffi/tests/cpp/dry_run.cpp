/// Policies in a dry run.
#include "check.hpp"

using namespace tollgate;
using namespace std::chrono_literals;

TEST(a_dry_run_refuses_nothing) {
    const auto clock = check::must(manual_clock::try_create());
    auto stricter = policy::sliding("stricter", 1, 1min);
    stricter.dry_run(true).dry_run(false).dry_run(true);
    auto builder = limiter::builder().clock(clock).policy(std::move(stricter));
    builder.policy(policy::sliding("user", 3, 1min).dry_run(false));
    const auto gate = check::must(builder.try_build());
    const auto dry = check::find(gate, "stricter"), user = check::find(gate, "user");
    for (unsigned round = 0; round < 3; ++round) {
        std::array<policy_status, 2> statuses;
        const auto decision = gate.check_with_status({dry.charge("alice", 1), user.charge("alice", 1)}, statuses);
        CHECK(decision.is_allowed() && decision.policy() == user && decision.remaining() == 2 - round);
        CHECK(statuses[0].dry_run() && !statuses[1].dry_run());
        CHECK(statuses[0].violated() == (round > 0) && !statuses[1].violated());
        CHECK(statuses[0].retry_after() == (round > 0 ? std::optional<std::chrono::nanoseconds>(1min) : std::nullopt));
    }
    CHECK(gate.check({dry.charge("bob", 2)}).is_allowed());
    const auto stats = gate.stats(dry);
    CHECK(stats && stats->admitted == 1 && stats->denied == 0 && stats->dry_run_denied == 3);
}

namespace {

struct fixture {
    limiter gate = check::must(limiter::builder()
                                   .policy(policy::sliding("dry", 2, 1min).dry_run(true))
                                   .policy(policy::sliding("user", 4, 1min))
                                   .clock(check::must(manual_clock::try_create()))
                                   .try_build());
    policy_id dry = check::find(gate, "dry");
    policy_id user = check::find(gate, "user");

    [[nodiscard]] std::uint64_t left(policy_id id) const { return gate.peek({id.charge("a", 0)}).remaining(); }
};

} // namespace

TEST(each_way_to_check_passes_a_dry_run) {
    const fixture setup;
    for (unsigned round = 0; round < 3; ++round) {
        const auto decision = setup.gate.check_key(setup.dry, "a", 1);
        CHECK(decision.is_allowed() && !decision.retry_after() && decision.remaining() == (round == 0 ? 1 : 0));
    }
    std::array<decision, 3> decided;
    const std::array<charge, 3> batch = {setup.dry.charge("a", 1), setup.dry.charge("b", 3), setup.user.charge("a", 5)};
    CHECK(setup.gate.check_many(batch, decided) == 2);
    CHECK(decided[0].is_allowed() && decided[1].is_allowed() && decided[2].verdict() == verdict::impossible);
    {
        const auto session = setup.gate.session();
        CHECK(session.check({setup.dry.charge("a", 1)}).is_allowed());
        std::array<policy_status, 1> status;
        CHECK(session.peek_with_status({setup.dry.charge("a", 1)}, status).is_allowed());
        CHECK(status[0].violated() && status[0].dry_run() && status[0].retry_after() == 1min);
    }
    const auto stats = setup.gate.stats(setup.dry);
    CHECK(stats && stats->admitted == 2 && stats->dry_run_denied == 4 && stats->denied + stats->impossible == 0);
}

TEST(a_dry_run_gives_back_only_what_it_charged) {
    const fixture setup;
    const auto request = {setup.dry.charge("a", 2), setup.user.charge("a", 2)};
    auto held = check::must(setup.gate.reserve(request));
    CHECK(setup.gate.extend(held, {1, 1}).is_allowed());
    CHECK(held.charged(0) == 2 && held.charged(1) == 3);
    CHECK(setup.gate.cancel(held).is_allowed() && setup.left(setup.dry) == 2 && setup.left(setup.user) == 4);
    CHECK(setup.gate.check({setup.dry.charge("a", 1)}).is_allowed());
    auto passed = check::must(setup.gate.reserve(request));
    CHECK(setup.gate.settle(passed, {2, 4}).is_allowed());
    CHECK(passed.charged(0) == 0 && setup.left(setup.dry) == 1 && setup.left(setup.user) == 0);
}
