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
