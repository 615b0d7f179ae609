/// Keys: each kind, and which keys are equal.
#include "check.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

using namespace tollgate;
using namespace std::chrono_literals;

namespace {

/// A limiter whose only policy counts each key up to 100.
struct fixture {
    manual_clock clock = check::must(manual_clock::try_create());
    limiter gate = check::must(limiter::builder().policy(policy::sliding("key", 100, 1min)).clock(clock).try_build());
    policy_id policy = check::find(gate, "key");

    std::uint64_t left(const key& key) const { return gate.peek({policy.charge(key, 0)}).remaining(); }
    /// Returns whether two keys share a counter.
    bool same(const key& one, const key& other) const {
        CHECK(gate.try_reset_key(policy, one) && gate.try_reset_key(policy, other));
        CHECK(gate.check({policy.charge(one, 1)}).is_allowed());
        return left(other) == 99;
    }
    /// The error of a request with this key.
    std::error_code error(const key& key) const {
        const auto decision = gate.check({policy.charge(key, 1)});
        CHECK(decision.verdict() == verdict::invalid || !decision.code());
        return decision.code();
    }
};

using bytes4 = std::array<std::uint8_t, 4>;
using bytes16 = std::array<std::uint8_t, 16>;
constexpr bytes4 v4 = {192, 0, 2, 1}, v4_next = {192, 0, 2, 2};
constexpr bytes16 v6 = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 7, 1}, v6_next = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 7, 2};
constexpr bytes16 mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1};

/// A socket address as the system's functions take it.
template <class Address>
key of_socket(const Address& address) {
    return key::sockaddr(reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

sockaddr_in socket_v4(std::uint16_t port) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    std::memcpy(&address.sin_addr, v4.data(), v4.size());
    return address;
}

sockaddr_in6 socket_v6(const bytes16& bytes, std::uint16_t port) {
    sockaddr_in6 address = {};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    std::memcpy(&address.sin6_addr, bytes.data(), bytes.size());
    return address;
}

} // namespace

static_assert(!std::is_constructible_v<key, std::nullptr_t> && !std::is_constructible_v<key, bool>);
static_assert(!std::is_constructible_v<key, char> && !std::is_constructible_v<key, double>);
static_assert(std::is_constructible_v<key, const char*> && std::is_constructible_v<key, char*>);
static_assert(!std::is_constructible_v<key, const void*> && !std::is_constructible_v<key, std::initializer_list<key>>);

TEST(keys_of_different_kinds_differ) {
    const fixture setup;
    const auto spend = [&](const key& key, std::uint64_t cost) {
        CHECK(setup.gate.check({setup.policy.charge(key, cost)}).is_allowed());
    };
    const std::string text = "alice";
    spend(text, 1);
    CHECK(setup.left("alice") == 99 && setup.left(std::string_view("alice!", 5)) == 99 && setup.left("bob") == 100);
    const std::vector<unsigned char> bytes = {'a', 'l', 'i', 'c', 'e'};
    const std::array<std::byte, 2> other = {std::byte{0}, std::byte{1}};
    CHECK(setup.left(key::bytes(bytes)) == 99 && setup.left(key::bytes(other)) == 100);
    CHECK(setup.gate.check_key(setup.policy, "alice", 2).remaining() == 97);
    spend(std::string_view(), 3);
    CHECK(setup.left("") == 97);
    spend(42, 4);
    CHECK(setup.left(42u) == 96 && setup.left(std::int64_t{42}) == 96 && setup.left(std::uint64_t{42}) == 96 && setup.left("42") == 100);
    spend(-1, 5);
    CHECK(setup.left(~std::uint64_t{0}) == 95);
    spend(key::shared(), 6);
    CHECK(setup.left(key::shared()) == 94 && setup.left(0) == 100);

    const unsigned char v4[4] = {192, 0, 2, 1};
    const std::array<std::uint8_t, 16> mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1};
    spend(key::ip(v4), 7);
    CHECK(setup.left(key::ip(mapped)) == 93 && setup.left(key::bytes(v4)) == 100);
    std::array<std::uint8_t, 16> v6 = {0x20, 0x01, 0x0d, 0xb8};
    spend(key::ip(v6), 8);
    spend(key::network(key::ip(v6), 32, 128), 9);
    v6[15] = 1;
    CHECK(setup.left(key::ip(v6)) == 92 && setup.left(key::network(key::ip(v6), 32, 64)) == 92 && setup.left(key::network(key::ip(v6), 32, 128)) == 100);
    v6[7] = 1;
    CHECK(setup.left(key::ip(v6)) == 100);
}

TEST(text_may_be_null) {
    const fixture setup;
    const char* text = "alice";
    char writable[] = "alice";
    CHECK(setup.same(text, std::string_view("alice")) && setup.same(writable, std::string("alice")));
    CHECK(setup.same("a\0b", "a") && !setup.same(std::string_view("a\0b", 3), "a"));
    text = nullptr;
    CHECK(setup.error(text) == errc::null && setup.error(key(text)) == errc::null);
    CHECK(setup.error(static_cast<char*>(nullptr)) == errc::null);
    CHECK(setup.gate.check_key(setup.policy, text, 1).code() == errc::null);
    CHECK(setup.gate.try_reset_key(setup.policy, text).error().code() == errc::null);
    // A null view is the empty text.
    CHECK(setup.same(std::string_view(), ""));
    CHECK(setup.gate.check_key(setup.policy, std::string_view(), 1).is_allowed());
    writable[0] = 'b';
    CHECK(setup.gate.check_key(setup.policy, writable, 7).remaining() == 93 && setup.left("blice") == 93);
    CHECK(setup.gate.check_key(setup.policy, std::string("blice"), 7).remaining() == 86);
}

TEST(addresses_count_by_their_network) {
    const fixture setup;
    CHECK(setup.same(key::network(key::ip(v4), 24, 48), key::network(key::ip(v4_next), 24, 64)));
    CHECK(!setup.same(key::network(key::ip(v4), 24, 48), key::ip(v4)));
    CHECK(setup.same(key::network(key::ip(v4), 32, 48), key::ip(v4)));
    CHECK(setup.same(key::network(key::ip(v6), 24, 64), key::ip(v6_next)));
    CHECK(!setup.same(key::network(key::ip(v6), 24, 128), key::network(key::ip(v6_next), 24, 128)));
    CHECK(setup.same(key::network(key::ip(mapped), 24, 48), key::network(key::ip(v4_next), 24, 64)));
    bytes16 compatible = {}, nat64 = {0, 0x64, 0xff, 0x9b};
    std::copy(v4.begin(), v4.end(), compatible.begin() + 12);
    std::copy(v4.begin(), v4.end(), nat64.begin() + 12);
    CHECK(setup.same(key::ip(compatible), key::ip(v4)) && setup.same(key::ip(nat64), key::ip(v4)));
    nat64[5] = 1;
    CHECK(!setup.same(key::ip(nat64), key::ip(v4)));
    for (const unsigned wrong : {0u, 33u, 256u, ~0u}) {
        CHECK(setup.error(key::network(key::ip(v4), wrong, 64)) == errc::argument);
    }
    for (const unsigned wrong : {0u, 129u, 256u, ~0u}) {
        CHECK(setup.error(key::network(key::ip(v6), 32, wrong)) == errc::argument);
    }
    CHECK(!setup.error(key::network(key::ip(v4), 1, 1)) && !setup.error(key::network(key::ip(v6), 32, 128)));
    CHECK(setup.error(key::network("192.0.2.1", 24, 64)) == errc::argument);
}

TEST(addresses_of_sockets_count_without_the_port) {
    const fixture setup;
    const auto one = socket_v4(443), other = socket_v4(61'000);
    CHECK(setup.same(of_socket(one), key::ip(v4)) && setup.same(of_socket(one), of_socket(other)));
    const auto one6 = socket_v6(v6, 443), other6 = socket_v6(v6, 61'000);
    CHECK(setup.same(of_socket(one6), key::ip(v6)) && setup.same(of_socket(one6), of_socket(other6)));
    CHECK(setup.same(of_socket(socket_v6(mapped, 1)), key::ip(v4)));
    CHECK(setup.same(key::network(of_socket(one), 24, 64), key::network(key::ip(v4_next), 24, 64)));
    sockaddr_storage storage = {};
    std::memcpy(&storage, &one6, sizeof one6);
    CHECK(setup.same(of_socket(storage), key::ip(v6)));
    sockaddr_un local = {};
    local.sun_family = AF_UNIX;
    CHECK(setup.error(of_socket(local)) == errc::argument);
    CHECK(setup.error(key::sockaddr(nullptr, sizeof one)) == errc::null);
    CHECK(setup.error(key::sockaddr(reinterpret_cast<const sockaddr*>(&one), 7)) == errc::argument);
}

TEST(parts_count_together) {
    const fixture setup;
    const std::string tenant = "acme";
    CHECK(setup.same(key::parts({tenant, "small"}), key::parts({"acme", std::string_view("small")})));
    CHECK(!setup.same(key::parts({"ab", "c"}), key::parts({"a", "bc"})));
    CHECK(!setup.same(key::parts({"ab", "c"}), key::parts({"c", "ab"})));
    CHECK(!setup.same(key::parts({"ab", "c"}), "abc") && !setup.same(key::parts({"ab"}), "ab"));
    CHECK(!setup.same(key::parts({42}), 42) && !setup.same(key::parts({42}), key::parts({"42"})));
    CHECK(!setup.same(key::parts({}), "") && !setup.same(key::parts({}), key::shared()));
    const auto peer = socket_v4(443);
    CHECK(setup.same(key::parts({tenant, key::ip(v4)}), key::parts({tenant, of_socket(peer)})));
    CHECK(setup.same(key::parts({1, key::network(key::ip(v4), 24, 64)}),
                     key::parts({1, key::network(key::ip(v4_next), 24, 64)})));
    // An array of parts outlives the statement.
    const std::array<key, 2> parts = {tenant, 7};
    const key kept = key::parts(parts);
    const std::vector<key> vector(parts.begin(), parts.end());
    CHECK(setup.same(kept, key::parts(vector)) && setup.same(kept, key::parts({tenant.c_str(), 7})));
    const std::array<charge, 2> request = {setup.policy.charge(kept, 1), setup.policy.charge(key::parts(vector), 2)};
    CHECK(setup.gate.try_reset_key(setup.policy, kept).has_value());
    CHECK(setup.gate.check(request).remaining() == 97);
    CHECK(setup.gate.check({setup.policy.charge(key::parts({tenant, 7}), 1)}).remaining() == 96);

    CHECK(!setup.error(key::parts(std::vector<key>(8, key(1)))));
    CHECK(setup.error(key::parts(std::vector<key>(9, key(1)))) == errc::too_many);
    CHECK(setup.error(key::parts({tenant, kept})) == errc::argument);
    CHECK(setup.error(key::parts({tenant, static_cast<const char*>(nullptr)})) == errc::null);
    CHECK(setup.error(key::parts({tenant, key::ip(std::string_view("?"))})) == errc::argument);
    CHECK(setup.error(key::parts({static_cast<const key*>(nullptr), 1})) == errc::null);
}
