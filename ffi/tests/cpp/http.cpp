/// HTTP field values and problem bodies.
#include "check.hpp"

using namespace tollgate;
using namespace std::chrono_literals;

namespace {

struct fixture {
    manual_clock clock = check::must(manual_clock::try_create());
    limiter gate = check::must(limiter::builder()
                                   .policy(policy::sliding("user", 2, 1min))
                                   .policy(policy::calendar("tokens", 10'000, period::day).unit("tokens"))
                                   .clock(clock)
                                   .try_build());
    std::array<policy_status, 2> statuses;

    fixture() {
        const auto user = check::find(gate, "user"), tokens = check::find(gate, "tokens");
        const auto request = {user.charge("a", 2), tokens.charge("a", 512)};
        CHECK(gate.check_with_status(request, statuses).is_allowed());
        CHECK(!gate.check_with_status(request, statuses).is_allowed());
    }
};

constexpr std::string_view policies = R"("user";q=2;w=60, "tokens";q=10000;w=86400;tollgate-unit="tokens")";
constexpr std::string_view limits = R"("user";r=0;t=60, "tokens";r=9488;t=86400)";

} // namespace

TEST(waits_are_rounded_up_to_seconds) {
    CHECK(http::retry_after_seconds(36'001ms) == 37 && http::retry_after_seconds(0s) == 1);
    CHECK(http::retry_after_seconds(std::chrono::hours::max()) == TOLLGATE_NEVER);
    CHECK(http::reset_seconds(1ns) == 1 && http::reset_seconds(0s) == 0 && http::reset_seconds(1min) == 60);
    CHECK(http::too_many_requests == 429 && http::retry_after_name == "retry-after");
    CHECK(http::policy_name == "ratelimit-policy" && http::limit_name == "ratelimit");
    CHECK(http::problem_type == "application/problem+json");
}

TEST(fields_as_strings) {
    const fixture setup;
    CHECK(check::must(http::try_policy(setup.gate, setup.statuses)) == policies);
    CHECK(check::must(http::try_limit(setup.gate, setup.statuses)) == limits);
    const auto body = check::must(http::try_problem(setup.gate, setup.statuses));
    CHECK(body.find(R"("violated-policies":["user"])") != body.npos && body.find("detail") == body.npos);
    CHECK(check::must(http::try_problem(setup.gate, setup.statuses, "slow down")).find(R"("detail":"slow down")") != body.npos);
    // Longer than the first buffer.
    const std::string speech(5'000, 's');
    CHECK(check::must(http::try_problem(setup.gate, setup.statuses, speech.c_str())).find(speech) != body.npos);
    CHECK(check::must(http::try_policy(setup.gate, {})).empty());
    const policy_status foreign[1];
    CHECK(http::try_limit(setup.gate, foreign).error().code() == errc::policy);
}

TEST(fields_in_the_caller_s_buffer) {
    const fixture setup;
    char buffer[256];
    const auto policy = http::write_policy(setup.gate, setup.statuses, buffer);
    CHECK(!policy.code && std::string_view(buffer, policy.size) == policies && buffer[policy.size] == '\0');
    const auto limit = http::write_limit(setup.gate, setup.statuses, buffer);
    CHECK(!limit.code && std::string_view(buffer, limit.size) == limits);
    const auto problem = http::write_problem(setup.gate, setup.statuses, nullptr, buffer);
    CHECK(!problem.code && problem.size < sizeof buffer && buffer[0] == '{');
    // Too small: the required length, and an empty string. The NUL needs a byte as well.
    const auto small = http::write_limit(setup.gate, setup.statuses, view<char>(buffer, limits.size()));
    CHECK(small.code == errc::buffer && small.size == limits.size() && buffer[0] == '\0');
    CHECK(http::write_limit(setup.gate, setup.statuses, {}).size == limits.size());
    CHECK(!http::write_limit(setup.gate, setup.statuses, view<char>(buffer, limits.size() + 1)).code);
    const std::vector<policy_status> many(17);
    CHECK(http::write_policy(setup.gate, many, buffer).code == errc::too_many);
}

#if TOLLGATE_EXCEPTIONS
TEST(fields_with_exceptions) {
    const fixture setup;
    CHECK(http::policy(setup.gate, setup.statuses) == policies && http::limit(setup.gate, setup.statuses) == limits);
    CHECK(http::problem(setup.gate, setup.statuses, "why").size() > 100);
    const policy_status foreign[1];
    std::error_code code;
    try {
        (void)http::limit(setup.gate, foreign);
    } catch (const exception& why) {
        code = why.code();
    }
    CHECK(code == errc::policy);
}
#endif
