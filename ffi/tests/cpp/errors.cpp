/// Error codes, messages, results, exceptions, std::expected.
#include "check.hpp"

using namespace tollgate;
using namespace std::chrono_literals;

static builder one() { return limiter::builder().policy(policy::sliding("user", 2, 1min)); }

TEST(codes_have_the_category_and_the_texts_of_c) {
    const std::error_code code = errc::limit;
    CHECK(code.value() == TOLLGATE_E_LIMIT);
    CHECK(code.category() == category());
    CHECK(std::string(category().name()) == "tollgate");
    CHECK(code.message() == tollgate_strerror(TOLLGATE_E_LIMIT));
    CHECK(code == errc::limit && code != errc::window);
    CHECK(std::string(tollgate::strerror(TOLLGATE_DENIED)) == tollgate_strerror(TOLLGATE_DENIED));
    CHECK(std::string(tollgate::strerror(12'345)) == "an unknown status");
    CHECK(make_error_code(errc::panic).value() == TOLLGATE_E_PANIC);
    CHECK(!std::error_code(0, category()));
}

TEST(error_codes_are_the_numbers_of_c) {
    constexpr errc all[] = {
        errc::denied,     errc::impossible, errc::table_full,     errc::null,      errc::handle,
        errc::argument,   errc::policy,     errc::too_many,       errc::closed,    errc::foreign,
        errc::amounts,    errc::buffer,     errc::thread,         errc::no_memory, errc::system,
        errc::policies,   errc::name,       errc::duplicate_name, errc::limit,     errc::max_limit,
        errc::window,     errc::buckets,    errc::offset,         errc::max_keys,  errc::allowance,
        errc::config,     errc::panic,
    };
    const std::string unknown = tollgate::strerror(12'345);
    for (const auto code : all) CHECK(make_error_code(code).message() != unknown);
    CHECK(std::size(all) == 27);
}

TEST(an_error_names_the_value) {
    const auto built = one().policy(policy::sliding("bad", 1ull << 41, 1min)).try_build();
    CHECK(!built && !built.has_value());
    CHECK(built.error().code() == errc::limit);
    CHECK(std::string(built.error().what()) ==
          "policies[1]: policy \"bad\": limit 2199023255552 must be from 0 to 1099511627776");
    const error general = errc::closed;
    CHECK(std::string(general.what()) == tollgate_strerror(TOLLGATE_E_CLOSED));
    CHECK(error(TOLLGATE_E_NULL).code() == errc::null);
    CHECK(error(tollgate_error{TOLLGATE_E_NAME, 0, {'x', 0}}).what() == std::string("x"));
    static_assert(std::is_trivially_copyable_v<error> && sizeof(error) == 256);
}

TEST(a_result_holds_a_value_or_an_error) {
    result<int> good = 7;
    const result<int> bad = error(errc::window);
    CHECK(good && *good == 7 && good.has_value());
    *good = 8;
    CHECK(*std::as_const(good) == 8);
    CHECK(!bad && bad.error().code() == errc::window);
    CHECK(result<int>(bad).value_or(3) == 3 && result<int>(5).value_or(3) == 5);
    result<std::string> text = std::string("long enough to be on the heap, surely");
    CHECK(text->size() == 37 && std::as_const(text)->size() == 37);
    const std::string moved = *std::move(text);
    CHECK(moved.size() == 37);
    const result<void> nothing;
    CHECK(nothing.has_value());
    CHECK(result<void>(error(errc::name)).error().code() == errc::name);
    static_assert(std::is_nothrow_move_constructible_v<result<limiter>>);
    static_assert(!std::is_copy_constructible_v<result<limiter>>);
}

/// Whether the throwing form exists.
template <class Builder, class = void>
inline constexpr bool throws = false;
template <class Builder>
inline constexpr bool throws<Builder, std::void_t<decltype(std::declval<Builder&>().build())>> = true;
static_assert(throws<builder> == (TOLLGATE_EXCEPTIONS == 1));

#if TOLLGATE_EXCEPTIONS
/// The exception of a call.
template <class Call>
static std::error_code thrown(Call call) {
    try {
        (void)call();
    } catch (const exception& why) {
        CHECK(why.what() != nullptr && *why.what() != '\0');
        return why.code();
    }
    return {};
}

TEST(throwing_forms) {
    try {
        (void)one().policy(policy::sliding("bad", 1, 1us)).build();
        CHECK(false);
    } catch (const std::system_error& why) {
        CHECK(why.code() == errc::window);
        CHECK(std::string(why.what()).find("window 1") != std::string::npos);
    }
    const auto gate = one().build();
    const auto user = gate.policy("user");
    CHECK(thrown([&] { return gate.policy("nobody"); }) == errc::policy);
    CHECK(thrown([&] { return one().max_bytes(1).memory_bound(); }) == errc::max_bytes);
    CHECK(!thrown([&] { return one().memory_bound(); }));
    CHECK(thrown([] { return limiter::from_toml("[["); }) == errc::policy_file);
    CHECK(thrown([] { return limiter::from_toml(std::string_view(), one()); }) == errc::policies);
    CHECK(!thrown([] { return limiter::from_toml("[[policy]]\nname = 'a'\nlimit = 5\nwindow = '1m'\n"); }));
    CHECK(!thrown([&] { return gate.set_limit(user, 0), 0; }));
    CHECK(thrown([&] { return gate.policy(static_cast<const char*>(nullptr)); }) == errc::null);
    CHECK(thrown([&] { return gate.set_limit(user, 3), 0; }) == errc::max_limit);
    CHECK(thrown([&] { return gate.refund(charge()); }) == errc::policy);
    CHECK(thrown([&] { return gate.reset_key(policy_id(), "alice"), 0; }) == errc::policy);
    CHECK(thrown([&] { return threaded_clock::create(0s); }) == errc::argument);
    CHECK(!thrown([&] { return gate.set_limit(user, 1), 0; }));
    CHECK(!thrown([&] { return gate.reset_key(user, "alice"), gate.refund(user.charge("alice", 1)); }));
    CHECK(thrown([] { return result<int>(error(errc::name)).value(); }) == errc::name);
    const auto constant = result<int>(4);
    CHECK(constant.value() == 4 && result<int>(5).value() == 5);
    // A result whose error is a decision.
    CHECK(thrown([&] { return gate.reserve({user.charge("bob", 2)}).value(); }) == errc::impossible);
}

TEST(an_invalid_request_throws_only_by_or_throw) {
    const auto gate = one().build();
    const auto user = gate.policy("user");
    CHECK(thrown([&] { return gate.check({charge()}).or_throw(); }) == errc::policy);
    CHECK(gate.check({user.charge("alice", 2)}).or_throw().is_allowed());
    const auto denied = gate.check({user.charge("alice", 1)});
    CHECK(denied.or_throw().verdict() == verdict::denied);
}
#endif

TEST(a_result_converts_to_expected) {
#if defined(__cpp_lib_expected)
    std::expected<limiter, error> good = one().try_build();
    CHECK(good.has_value());
    const std::expected<limiter, error> bad = builder().try_build();
    CHECK(!bad && bad.error().code() == errc::policies);
    const std::expected<void, error> nothing = good->try_set_limit(check::find(*good, "user"), 1);
    CHECK(nothing.has_value());
#endif
}
