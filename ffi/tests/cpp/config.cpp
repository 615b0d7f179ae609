/// Policies, builders, and every configuration error.
#include "check.hpp"

using namespace tollgate;
using namespace std::chrono_literals;

static_assert(sizeof(limiter) == sizeof(void*));
static_assert(std::is_nothrow_move_constructible_v<limiter> && std::is_nothrow_move_assignable_v<limiter>);
static_assert(!std::is_copy_constructible_v<limiter> && !std::is_copy_assignable_v<limiter>);
static_assert(!std::is_copy_constructible_v<manual_clock> && std::is_nothrow_move_constructible_v<manual_clock>);
static_assert(!std::is_copy_constructible_v<session> && !std::is_move_constructible_v<session>);
static_assert(!std::is_copy_constructible_v<reservation> && std::is_nothrow_move_constructible_v<reservation>);

static policy user() { return policy::sliding("user", 20, 1min); }

static std::error_code fault(policy policy) {
    const auto built = limiter::builder().policy(std::move(policy)).try_build();
    return built ? std::error_code() : built.error().code();
}

TEST(every_error_of_a_policy) {
    CHECK(!fault(user()));
    CHECK(fault(policy::sliding("", 1, 1s)) == errc::name);
    CHECK(fault(policy::sliding(std::string(65, 'x'), 1, 1s)) == errc::name);
    CHECK(fault(policy::sliding("tab\t", 1, 1s)) == errc::name);
    CHECK(fault(policy::sliding(std::string("us\0er", 5), 1, 1s)) == errc::name);
    CHECK(fault(user().unit(std::string("a\0b", 3))) == errc::name);
    CHECK(!fault(policy::sliding("a", 0, 1s)));
    CHECK(fault(policy::sliding("a", (1ull << 40) + 1, 1s)) == errc::limit);
    CHECK(!fault(policy::sliding("a", 1ull << 40, 1s)));
    CHECK(fault(user().max_limit(19)) == errc::max_limit);
    CHECK(fault(user().max_limit(0)) == errc::max_limit);
    CHECK(!fault(user().max_limit(20)));
    CHECK(!fault(policy::sliding("a", 0, 1s).max_limit(0)));
    CHECK(!fault(policy::sliding("a", 0, 1s).max_limit(5)));
    CHECK(fault(policy::sliding("a", 1, 999us)) == errc::window);
    CHECK(fault(policy::sliding("a", 1, -1s)) == errc::window);
    CHECK(fault(policy::sliding("a", 1, 0s)) == errc::window);
    CHECK(fault(policy::sliding("a", 1, 24h * 400 + 1ns)) == errc::window);
    CHECK(fault(policy::sliding("a", 1, std::chrono::hours::max())) == errc::window);
    CHECK(!fault(policy::sliding("a", 1, 24h * 400)));
    CHECK(!fault(policy::sliding("a", 1, std::chrono::duration<double>(0.25))));
    CHECK(fault(user().buckets(1)) == errc::buckets);
    CHECK(fault(user().buckets(0)) == errc::buckets);
    CHECK(fault(user().buckets(128)) == errc::buckets);
    CHECK(!fault(user().buckets(127)));
    CHECK(fault(user().max_keys(0)) == errc::max_keys);
    CHECK(fault(user().max_bytes(0)) == errc::max_bytes);
    CHECK(fault(user().max_bytes(1'000)) == errc::max_bytes);
    CHECK(!fault(user().max_bytes(1 << 20)));
    CHECK(fault(user().overflow(overflow::evict_lightest(0))) == errc::allowance);
    CHECK(fault(user().overflow(overflow::evict_lightest(21))) == errc::allowance);
    CHECK(!fault(user().overflow(overflow::evict_lightest(20))));
    const auto day = [] { return policy::calendar("day", 5, period::day); };
    CHECK(fault(day().offset(18h + 1s)) == errc::offset);
    CHECK(fault(day().offset(-18h - 1s)) == errc::offset);
    CHECK(fault(day().offset(std::chrono::seconds::max())) == errc::offset);
    CHECK(fault(day().offset(std::chrono::seconds::min())) == errc::offset);
    CHECK(!fault(day().offset(-18h)));
    CHECK(!fault(policy::calendar("hour", 5, period::hour)));
    CHECK(!fault(policy::calendar("month", 5, period::month).offset(18h)));
}

/// The message of a builder's error.
static std::string message(const builder& builder) {
    const auto built = builder.try_build();
    return built ? "" : built.error().what();
}

TEST(messages_name_the_policy_the_field_and_the_value) {
    const auto second = [](const policy& bad) {
        return message(limiter::builder().policy(policy::sliding("ip", 1, 1s)).policy(bad));
    };
    CHECK(second(user().buckets(1)) == R"(policies[1]: policy "user": buckets 1 must be from 2 to 127)");
    CHECK(second(user().buckets(0)) == R"(policies[1]: policy "user": buckets 0 must be from 2 to 127)");
    CHECK(second(user().max_limit(0)) ==
          R"(policies[1]: policy "user": max_limit 0 must be at least the limit)");
    CHECK(second(user().max_keys(0)) == R"(policies[1]: policy "user": max_keys 0 must be at least 1)");
    CHECK(second(user().unit(std::string("a\0b", 3))) == R"(policies[1]: policy "user": unit must not contain NUL)");
    CHECK(second(policy::sliding(std::string("a\0b", 3), 1, 1s)) == "policies[1]: name must not contain NUL");
    CHECK(second(policy::sliding("\xff\n", 1, 1s).max_keys(0)) ==
          R"(policies[1]: policy "??": max_keys 0 must be at least 1)");
    CHECK(second(policy::sliding(std::string(400, 'n'), 1, 1s).max_keys(0)).size() == 247);
    CHECK(message(builder().policy(user()).max_keys(0)) == "max_keys 0 must be at least 1");
    CHECK(message(builder().policy(user()).seed({0, 0, 0, 0})) == "seed must not be all 0");
    auto clock = check::must(manual_clock::try_create());
    const auto kept = std::move(clock);
    CHECK(message(builder().policy(user()).clock(clock)) == "clock was moved from");
    // The first error is reported.
    CHECK(second(user().max_keys(0).buckets(0)) == R"(policies[1]: policy "user": max_keys 0 must be at least 1)");
}

/// A NULL pointer to text is an error.
TEST(a_null_text_is_an_error) {
    const char* const null = nullptr;
    char* const writable = nullptr;
    CHECK(fault(policy::sliding(null, 1, 1s)) == errc::null);
    CHECK(fault(policy::calendar(writable, 1, period::day)) == errc::null);
    CHECK(fault(user().unit(null)) == errc::null);
    policy named = user();
    named.unit(null);
    CHECK(fault(named) == errc::null);
    CHECK(!fault(named.unit("tokens")));
    const auto second = limiter::builder().policy(user()).policy(policy::sliding(null, 1, 1s));
    CHECK(message(second) == "policies[1]: name must not be NULL");
    CHECK(message(builder().policy(user().unit(null))) == R"(policies[0]: policy "user": unit must not be NULL)");
    const auto gate = check::must(limiter::builder().policy(user()).try_build());
    CHECK(gate.try_policy(null).error().code() == errc::null);
    CHECK(gate.try_policy(writable).error().code() == errc::null);
    CHECK(gate.try_policy("user").has_value());
#if TOLLGATE_EXCEPTIONS
    CHECK(gate.policy("user") == check::find(gate, "user"));
#endif
}

TEST(every_error_of_a_builder) {
    const auto fault = [](const builder& builder) {
        const auto built = builder.try_build();
        return built ? std::error_code() : built.error().code();
    };
    CHECK(fault(builder()) == errc::policies);
    CHECK(fault(builder().policy(user()).policy(user())) == errc::duplicate_name);
    CHECK(fault(builder().policy(user()).max_keys(0)) == errc::max_keys);
    CHECK(fault(builder().policy(user()).max_bytes(0)) == errc::max_bytes);
    CHECK(fault(builder().policy(user()).max_bytes(1'000)) == errc::max_bytes);
    CHECK(fault(builder().policy(user()).seed({0, 0, 0, 0})) == errc::argument);
    CHECK(fault(builder().policy(user()).overflow(overflow::evict_lightest(0))) == errc::allowance);
    builder many;
    for (int place = 0; place < 16; ++place) {
        many.policy(policy::sliding("p" + std::to_string(place), 1, 1s));
    }
    CHECK(!fault(many));
    CHECK(fault(many.policy(user())) == errc::policies);
    auto clock = check::must(manual_clock::try_create());
    const auto kept = std::move(clock);
    CHECK(fault(builder().policy(user()).clock(clock)) == errc::handle);
    CHECK(!fault(builder().policy(user()).clock(kept)));
}

TEST(memory_is_bounded_before_it_is_allocated) {
    const auto hundred = [] { return policy::sliding("ip", 100, 1min); };
    const auto bound = [](const builder& builder) { return check::must(builder.try_memory_bound()); };
    const auto plain = bound(builder().policy(hundred()));
    CHECK(plain <= 128 << 20 && plain > 127 << 20);
    CHECK(bound(builder().policy(hundred()).max_keys(1 << 20)) > std::uint64_t{2} << 30);
    CHECK(bound(builder().policy(hundred().max_bytes(1 << 24))) <= 1 << 24);
    CHECK(bound(builder().policy(hundred()).policy(user()).max_bytes(1 << 24)) <= 1 << 24);
    CHECK(builder().try_memory_bound().error().code() == errc::policies);
    CHECK(builder().policy(user().max_bytes(0)).try_memory_bound().error().code() == errc::max_bytes);

    const auto small = builder().policy(hundred().max_bytes(1 << 24));
    const auto gate = check::must(small.try_build());
    const auto ip = check::find(gate, "ip");
    CHECK(gate.memory_bound(ip) == bound(small) && gate.max_keys(ip) > 7'000u && gate.max_keys(ip) < 8'000u);
    CHECK(!gate.memory_bound(policy_id()) && !gate.max_keys(policy_id()));
    const auto few = check::must(builder().policy(hundred()).max_keys(5).max_bytes(1 << 24).try_build());
    CHECK(few.max_keys(check::find(few, "ip")) == 5u);
}

TEST(a_limiter_is_made_from_a_policy_file) {
    const std::string text =
        "max_keys = 3\n[[policy]]\nname = 'user'\nlimit = 1\nwindow = '1m'\n"
        "[[policy]]\nname = 'day'\nlimit = 5\ncalendar = 'day'\nmax_keys = 4\n";
    const auto clock = check::must(manual_clock::try_create());
    const auto options = builder().clock(clock).max_keys(100);
    const auto gate = check::must(limiter::try_from_toml(text, options));
    const auto id = check::find(gate, "user");
    CHECK(gate.policy_at(0) == id && gate.policy_name(*gate.policy_at(1)) == "day" && !gate.policy_at(2));
    CHECK(gate.max_keys(id) == 3u && gate.max_keys(check::find(gate, "day")) == 4u);
    CHECK(gate.check({id.charge("alice", 1)}).is_allowed());
    CHECK(gate.check({id.charge("alice", 1)}).verdict() == verdict::denied);
    CHECK(limiter::try_from_toml(text.c_str()).has_value());

    const auto failed = [](auto toml, const builder& with) { return limiter::try_from_toml(toml, with).error(); };
    const auto bad = failed("[[policy]]\nname = 'a'\nlimit = 5\nwindow = '1'\n", {});
    CHECK(bad.code() == errc::policy_file);
    CHECK(std::string_view(bad.what()).rfind("line 4, column 10: policy \"a\": \"window\"", 0) == 0);
    CHECK(failed(std::string_view(), {}).code() == errc::policy_file);
    CHECK(failed(static_cast<const char*>(nullptr), {}).code() == errc::null);
    CHECK(failed(text, builder().max_bytes(0)).code() == errc::max_bytes);
    CHECK(failed(text, builder().max_bytes(1'000)).code() == errc::max_bytes);
    CHECK(failed(text, builder().policy(user())).code() == errc::policies);
}

TEST(builders_and_policies_are_values) {
    auto policy = user();
    policy.buckets(31).max_limit(1'000).max_keys(10).overflow(overflow::allow()).unit("tokens").offset(1h);
    auto clock = check::must(manual_clock::try_create());
    auto builder = limiter::builder();
    builder.policy(policy).max_keys(100).overflow(overflow::deny()).clock(clock).seed({1, 2, 3, 4});
    const auto first = check::must(builder.try_build());
    const auto second = check::must(std::move(builder).policy(policy::sliding("b", 1, 1s)).max_keys(7)
                                        .overflow(overflow::allow()).seed({9, 9, 9, 9}).try_build());
    CHECK(!first.policy_at(1) && second.policy_at(1));
}

TEST(policies_are_found_by_name_and_by_index) {
    const auto gate = check::must(
        limiter::builder().policy(user().max_limit(100)).policy(policy::calendar("day", 5, period::day)).try_build());
    const auto id = check::find(gate, "user");
    CHECK(gate.policy_at(0) == id && gate.policy_at(1) == check::find(gate, "day") && !gate.policy_at(2));
    CHECK(gate.policy_name(id) == "user" && gate.policy_name(*gate.policy_at(1)) == "day");
    CHECK(gate.policy_name(policy_id()).empty());
    for (const auto name : {std::string_view("nobody"), std::string_view("user\0", 5), std::string_view()}) {
        const auto found = gate.try_policy(name);
        CHECK(!found && found.error().code() == errc::policy);
    }
    CHECK(gate.try_policy(std::string(65, 'x')).error().code() == errc::policy);
    // A part of a longer text, without a NUL at its end.
    CHECK(*gate.try_policy(std::string_view("username", 4)) == id);
    CHECK(policy_id::from_bits(id.to_bits()) == id && policy_id() != id);

    CHECK(gate.limit(id) == 20);
    CHECK(gate.try_set_limit(id, 100).has_value() && gate.limit(id) == 100);
    CHECK(gate.try_set_limit(id, 101).error().code() == errc::max_limit);
    CHECK(gate.try_set_limit(id, 101).error().what() ==
          std::string(R"(policy "user": the new limit 101 is above max_limit 100)"));
    CHECK(gate.try_set_limit(id, 0).has_value() && gate.limit(id) == 0);
    CHECK(gate.check({id.charge("alice", 1)}).verdict() == verdict::impossible);
    CHECK(gate.try_set_limit(id, 20).has_value());
    CHECK(gate.try_set_limit(policy_id(), 1).error().code() == errc::policy);
    CHECK(gate.resolution(id) == 1ns);
    CHECK(!gate.limit(policy_id()) && !gate.resolution(policy_id()) && !gate.stats(policy_id()));
}

TEST(max_keys_and_overflow_of_builder_and_policy) {
    const auto gate = check::must(limiter::builder()
                                      .policy(user())
                                      .policy(policy::sliding("open", 20, 1min).overflow(overflow::allow()))
                                      .policy(policy::sliding("wide", 20, 1min).max_keys(1'000))
                                      .max_keys(1)
                                      .try_build());
    const auto id = check::find(gate, "user"), open = check::find(gate, "open"), wide = check::find(gate, "wide");
    const auto full = [&](policy_id policy) {
        for (std::uint64_t number = 0; number < 500; ++number) {
            const auto decision = gate.check({policy.charge(number, 1)});
            if (decision.table_full()) return decision.verdict();
        }
        return verdict::invalid;
    };
    CHECK(full(id) == verdict::table_full);
    CHECK(full(open) == verdict::allowed);
    CHECK(full(wide) == verdict::invalid);
    CHECK(gate.stats(id)->refused == 1 && gate.stats(open)->untracked == 1);
    CHECK(gate.stats(wide)->admitted == 500);
    CHECK(gate.request_stats().table_full == 1 && gate.request_stats().allowed > 500);
}

TEST(handles_convert_to_c_and_back) {
    auto gate = check::must(limiter::builder().policy(user()).try_build());
    tollgate_limiter* raw = gate.release();
    CHECK(gate.c() == nullptr && raw != nullptr);
    const auto back = limiter::from_c(raw);
    CHECK(back.c() == raw && back.limit(check::find(back, "user")) == 20);
    // A moved-from limiter is an error.
    CHECK(gate.check({charge()}).code() == errc::null);
    CHECK(gate.try_policy("user").error().code() == errc::null);
    CHECK(gate.session().check({}).code() == errc::null);
    CHECK(gate.at(now()).check({}).code() == errc::null);
    CHECK(gate.maintain(10) && gate.now().monotonic() == 0ns);
    gate = check::must(limiter::builder().policy(user()).try_build());
    CHECK(gate.check({}).is_allowed());
}

TEST(token_price_and_version) {
    CHECK(version() == "0.1.0" && abi_matches());
    const auto price = token_price::per_million(3'000'000, 15'000'000);
    CHECK(price.cost(1'200, 640) == 13'200);
    CHECK(token_price::per_million(1, 1).cost(1, 0) == 1);
}
