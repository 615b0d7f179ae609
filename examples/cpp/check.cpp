// Three policies, charged all or nothing: 100 requests a minute for each address, 20 for each user,
// and 10,000 tokens a day for each user.
#include <array>
#include <cstdlib>
#include <iostream>
#include <tollgate.hpp>

int main() try {
    using namespace std::chrono_literals;
    using tollgate::key, tollgate::period, tollgate::policy;

    const auto limiter = tollgate::limiter::builder()
                             .policy(policy::sliding("ip", 100, 1min))
                             .policy(policy::sliding("user", 20, 1min))
                             .policy(policy::calendar("tokens", 10'000, period::day))
                             .max_keys(100'000)
                             .build();
    const auto ip = limiter.policy("ip"), user = limiter.policy("user"), tokens = limiter.policy("tokens");

    const std::array<unsigned char, 4> address = {192, 0, 2, 1};
    for (int request = 0; request < 30; ++request) {
        const auto decision = limiter.check(
            {ip.charge(key::ip(address), 1), user.charge("alice", 1), tokens.charge("alice", 512)});
        if (decision.is_allowed()) {
            std::cout << "200, " << decision.remaining() << " left\n";
        } else if (const auto wait = decision.retry_after()) {
            std::cout << "429, Retry-After: " << tollgate::http::retry_after_seconds(*wait) << "\n";
        } else {
            throw tollgate::exception(decision.code());
        }
    }
    return EXIT_SUCCESS;
} catch (const std::exception& why) {
    std::cerr << why.what() << "\n";
    return EXIT_FAILURE;
}
