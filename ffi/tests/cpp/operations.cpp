/// Every operation of limiters, instants and sessions.
#include "check.hpp"

#include <thread>

using namespace tollgate;
using namespace std::chrono_literals;

namespace {

/// A limiter with a manual clock.
struct fixture {
    manual_clock clock = check::must(manual_clock::try_create());
    limiter gate = check::must(limiter::builder()
                                   .policy(policy::sliding("ip", 100, 1min))
                                   .policy(policy::sliding("user", 2, 1min).max_limit(5))
                                   .policy(policy::calendar("tokens", 10'000, period::day))
                                   .clock(clock)
                                   .try_build());
    policy_id ip = check::find(gate, "ip");
    policy_id user = check::find(gate, "user");
    policy_id tokens = check::find(gate, "tokens");
};

} // namespace

TEST(a_request_charges_all_policies_or_none) {
    const fixture setup;
    const std::array<std::uint8_t, 4> address = {192, 0, 2, 1};
    const auto request = {setup.ip.charge(key::ip(address), 1), setup.user.charge("alice", 1),
                          setup.tokens.charge("alice", 512)};
    CHECK(setup.gate.check(request).is_allowed());
    const auto allowed = setup.gate.check(request);
    CHECK(allowed.verdict() == verdict::allowed && !allowed.code() && !allowed.retry_after());
    CHECK(allowed.policy() == setup.user && allowed.limit() == 2 && allowed.remaining() == 0);
    CHECK(allowed.reset_after() == 1min && !allowed.table_full());
    setup.clock.advance(20s);
    const auto denied = setup.gate.check(request);
    CHECK(denied.verdict() == verdict::denied && !denied.is_allowed() && denied.code() == errc::denied);
    CHECK(denied.policy() == setup.user && denied.retry_after() == 40s && denied.reset_after() == 40s);
    // The denied request charged nothing.
    CHECK(setup.gate.peek({setup.ip.charge(key::ip(address), 1)}).remaining() == 98);
    const auto never = setup.gate.check({setup.user.charge("alice", 3)});
    CHECK(never.verdict() == verdict::impossible && !never.retry_after() && never.code() == errc::impossible);
    setup.clock.advance(40s - 1ns);
    CHECK(!setup.gate.check(request).is_allowed());
    setup.clock.advance(1ns);
    CHECK(setup.gate.check(request).is_allowed());
}

TEST(charges_come_in_any_container) {
    const fixture setup;
    const charge one = setup.ip.charge("a", 1);
    const charge array[] = {one, one};
    std::array<charge, 3> standard;
    standard.fill(one);
    const std::vector<charge> vector(4, one);
    CHECK(setup.gate.check({one}).remaining() == 99);
    CHECK(setup.gate.check({one, one}).remaining() == 97);
    CHECK(setup.gate.check(array).remaining() == 95);
    CHECK(setup.gate.check(standard).remaining() == 92);
    CHECK(setup.gate.check(vector).remaining() == 88);
    CHECK(setup.gate.check({vector.data(), 2}).remaining() == 86);
    CHECK(setup.gate.check(view<const charge>(&one, 1)).remaining() == 85);
    CHECK(setup.gate.check({}).is_allowed());
    static_assert(!std::is_constructible_v<view<policy_status>, const std::array<policy_status, 2>&>);
    static_assert(!std::is_constructible_v<view<const charge>, std::vector<policy_status>>);
    static_assert(!std::is_constructible_v<view<policy_status>, std::initializer_list<policy_status>>);
}

TEST(an_invalid_request_charges_nothing) {
    const fixture setup;
    const std::array<std::uint8_t, 5> no_address = {};
    const std::array<std::uint8_t, 16> v6 = {};
    const auto good = setup.ip.charge("a", 1);
    const auto code = [&](const charge& bad) {
        const auto decision = setup.gate.check({good, bad});
        CHECK(decision.verdict() == verdict::invalid && !decision.is_allowed() && !decision.retry_after());
        return decision.code();
    };
    CHECK(code(charge()) == errc::policy);
    CHECK(code(policy_id::from_bits(77).charge("a", 1)) == errc::policy);
    CHECK(code(setup.ip.charge(key::ip(no_address), 1)) == errc::argument);
    CHECK(code(setup.ip.charge(key::network(key::ip(v6), 32, 129), 1)) == errc::argument);
    const char* const null = nullptr;
    char* const writable = nullptr;
    CHECK(code(setup.ip.charge(null, 1)) == errc::null);
    CHECK(code(setup.ip.charge(writable, 1)) == errc::null);
    CHECK(setup.gate.check_key(setup.ip, null, 1).code() == errc::null);
    CHECK(setup.gate.check_key(setup.ip, writable, 1).code() == errc::null);
    CHECK(setup.gate.session().check_key(setup.ip, null, 1).code() == errc::null);
    CHECK(setup.gate.try_reset_key(setup.ip, null).error().code() == errc::null);
    CHECK(setup.gate.try_refund(setup.ip.charge(null, 1)).error().code() == errc::null);
    CHECK(setup.gate.reserve({setup.ip.charge(null, 1)}).error().code() == errc::null);
    const std::vector<charge> many(17, good);
    CHECK(setup.gate.check(many).code() == errc::too_many && max_charges == 16);
    policy_status statuses[1];
    CHECK(setup.gate.check_with_status({good, good}, statuses).code() == errc::buffer);
    CHECK(setup.gate.peek_with_status({good, good}, statuses).code() == errc::buffer);
    CHECK(setup.gate.reserve_with_status({good, good}, statuses).error().code() == errc::buffer);
    CHECK(setup.gate.peek({good}).remaining() == 100);
    CHECK(decision().verdict() == verdict::invalid && decision().code() == errc::argument);
}

TEST(a_charge_with_its_own_limit) {
    const fixture setup;
    for (int turn = 0; turn < 5; ++turn) CHECK(setup.gate.check({setup.user.charge("paid", 1).limit(9)}).is_allowed());
    const auto denied = setup.gate.check({setup.user.charge("paid", 1).limit(9)});
    CHECK(denied.verdict() == verdict::denied && denied.limit() == 5);
    const auto free = setup.gate.check({setup.user.charge("free", 2).limit(1)});
    CHECK(free.verdict() == verdict::impossible && free.limit() == 1);
    CHECK(setup.user.charge("free", 2).limit(1).c().limit == 1);
    CHECK(setup.user.charge("free", 2).c().limit == TOLLGATE_POLICY_LIMIT);
    CHECK(charge().c().limit == TOLLGATE_POLICY_LIMIT);
    // A limit of 0 blocks; a cost of 0 is allowed while there is no usage.
    const auto blocked = setup.gate.check({setup.ip.charge("a", 1), setup.user.charge("blocked", 1).limit(0)});
    CHECK(blocked.verdict() == verdict::impossible && blocked.code() == errc::impossible);
    CHECK(blocked.policy() == setup.user && blocked.limit() == 0 && !blocked.retry_after());
    CHECK(setup.gate.peek({setup.ip.charge("a", 0)}).remaining() == 100);
    CHECK(setup.gate.check({setup.user.charge("blocked", 0).limit(0)}).is_allowed());
    // The greatest number is a limit too, which is lowered to the policy's.
    constexpr auto greatest = std::numeric_limits<std::uint64_t>::max();
    CHECK(setup.gate.check({setup.user.charge("other", 1).limit(greatest)}).limit() == 5);
}

TEST(status_of_each_policy) {
    const fixture setup;
    std::array<policy_status, 3> statuses;
    const auto request = {setup.ip.charge("a", 1), setup.user.charge("alice", 2), setup.tokens.charge("alice", 99'999)};
    const auto decision = setup.gate.check_with_status(request, statuses);
    CHECK(decision.verdict() == verdict::impossible && decision.policy() == setup.tokens);
    CHECK(!statuses[0].violated() && statuses[0].policy() == setup.ip && statuses[0].remaining() == 100);
    CHECK(statuses[2].violated() && !statuses[2].retry_after() && statuses[2].limit() == 10'000);
    CHECK(setup.gate.check_with_status({setup.user.charge("alice", 2)}, statuses).is_allowed());
    CHECK(statuses[0].remaining() == 0 && statuses[0].reset_after() == 1min && !statuses[0].retry_after());
    CHECK(setup.gate.peek_with_status({setup.user.charge("alice", 1)}, statuses).verdict() == verdict::denied);
    CHECK(statuses[0].violated() && statuses[0].retry_after() == 1min && !statuses[0].table_full());
    CHECK(statuses[0].c().policy == setup.user.to_bits() && policy_status().limit() == 0);
}

TEST(a_batch_is_decided_in_order) {
    const fixture setup;
    const auto alice = setup.user.charge("alice", 1);
    const std::vector<charge> charges = {alice, setup.user.charge("bob", 1), alice, charge(), alice};
    std::vector<decision> decisions(charges.size());
    CHECK(setup.gate.check_many(charges, decisions) == 3);
    CHECK(decisions[2].remaining() == 0 && decisions[2].is_allowed());
    CHECK(decisions[3].code() == errc::policy && decisions[4].verdict() == verdict::denied);
    // Up to the length of the shorter view.
    decision one[1];
    CHECK(setup.gate.check_many({setup.ip.charge(1, 1), setup.ip.charge(1, 1)}, one) == 1);
    CHECK(setup.gate.peek({setup.ip.charge(1, 0)}).remaining() == 99);
    // An invalid key stops the batch before its group of 32.
    std::vector<charge> stopped(40, setup.ip.charge(2, 1));
    stopped[35] = setup.ip.charge(key::ip(std::string_view("?")), 1);
    std::vector<decision> decided(stopped.size());
    CHECK(setup.gate.check_many(stopped, decided) == 32);
    CHECK(decided[31].is_allowed());
    CHECK(decided[32].code() == errc::argument && decided[39].code() == errc::argument);
    CHECK(setup.gate.peek({setup.ip.charge(2, 0)}).remaining() == 68);
}

TEST(forced_charge_refund_and_reset) {
    const fixture setup;
    CHECK(setup.gate.force_charge({setup.user.charge("alice", 4)}).is_allowed());
    CHECK(setup.gate.check({setup.user.charge("alice", 1)}).verdict() == verdict::denied);
    CHECK(*setup.gate.try_refund(setup.user.charge("alice", 3)) == 3);
    CHECK(setup.gate.check({setup.user.charge("alice", 1)}).is_allowed());
    CHECK(setup.gate.try_refund(charge()).error().code() == errc::policy);
    CHECK(setup.gate.try_reset_key(setup.user, "alice").has_value());
    CHECK(setup.gate.peek({setup.user.charge("alice", 0)}).remaining() == 2);
    CHECK(setup.gate.try_reset_key(policy_id(), "alice").error().code() == errc::policy);
    CHECK(*setup.gate.try_refund(setup.user.charge("alice", 1)) == 0);
}

TEST(instants_and_sessions_have_the_same_operations) {
    const fixture setup;
    const now first(1h, 24h), later(1h + 1min, 24h);
    CHECK(setup.gate.at(first).check({setup.user.charge("a", 2)}).is_allowed());
    CHECK(setup.gate.at(first).now().monotonic() == 1h);
    CHECK(!setup.gate.at(first).check({setup.user.charge("a", 1)}).is_allowed());
    CHECK(setup.gate.at(later).peek({setup.user.charge("a", 1)}).is_allowed());
    {
        const auto session = setup.gate.session_at(later);
        CHECK(session.now().monotonic() == 1h + 1min && session.now().since_1970() == 24h);
        CHECK(session.check({setup.user.charge("a", 1)}).is_allowed());
        CHECK(session.check_key(setup.user, "a", 1).remaining() == 0);
        const auto nested = setup.gate.session_at(first);
        CHECK(nested.peek({setup.user.charge("a", 1)}).verdict() == verdict::denied);
        policy_status statuses[1];
        CHECK(session.check_with_status({setup.ip.charge("a", 1)}, statuses).is_allowed());
        CHECK(session.peek_with_status({setup.ip.charge("a", 0)}, statuses).remaining() == 99);
        CHECK(session.force_charge({setup.ip.charge("a", 200)}).is_allowed());
        CHECK(*session.try_refund(setup.ip.charge("a", 1)) == 1);
        CHECK(session.try_reset_key(setup.ip, "a").has_value());
        decision decided[1];
        CHECK(session.check_many({setup.ip.charge("a", 1)}, decided) == 1);
        auto held = check::must(session.reserve({setup.ip.charge("a", 1)}));
        CHECK(session.extend(held, {1}).is_allowed() && session.settle(held, {1}).is_allowed());
        auto other = check::must(session.reserve_with_status({setup.ip.charge("a", 1)}, statuses));
        CHECK(session.cancel(other).is_allowed() && statuses[0].remaining() == 97);
    }
    setup.clock.set(later);
    const auto session = setup.gate.session();
    CHECK(session.now().monotonic() == later.monotonic());
}

TEST(stats_and_maintenance) {
    const fixture setup;
    for (const auto* name : {"alice", "bob", "alice", "alice"}) (void)setup.gate.check({setup.user.charge(name, 1)});
    const stats stats = *setup.gate.stats(setup.user);
    CHECK(stats.admitted == 3 && stats.denied == 1 && stats.live_keys == 2 && stats.bytes > 0);
    CHECK(stats.struct_size == sizeof stats && stats.used_slots == 2 && stats.slots >= 2);
    CHECK(setup.gate.maintain(1'000));
}

TEST(threads_share_a_limiter_within_its_limit) {
    const fixture setup;
    std::vector<std::thread> threads;
    std::array<int, 4> allowed = {};
    for (auto& mine : allowed) {
        threads.emplace_back([&setup, &mine] {
            for (int turn = 0; turn < 1'000; ++turn) mine += setup.gate.check({setup.ip.charge("all", 1)}).is_allowed();
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(allowed[0] + allowed[1] + allowed[2] + allowed[3] == 100);
}
