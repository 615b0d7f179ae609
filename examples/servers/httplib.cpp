// An HTTP server with cpp-httplib and three policies: a request is charged to its address, to its
// user if it has an x-user field, and under /ai for the tokens of the response.
//
//   c++ -std=c++17 -O2 httplib.cpp $(pkg-config --cflags --libs tollgate cpp-httplib) -o server
//   ./server [PORT [REQUESTS-PER-ADDRESS [REQUESTS-PER-USER [TOKENS-PER-DAY [WINDOW-MS]]]]]
//
// It prints its address. The default port 0 selects a free port.
#include <array>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <httplib.h>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <tollgate.hpp>

namespace {

using tollgate::key, tollgate::period, tollgate::policy, tollgate::verdict;
namespace http = tollgate::http;

constexpr std::uint64_t tokens_per_response = 512;

struct settings {
    std::uint64_t port = 0, per_address = 100, per_user = 20, tokens = 10'000, window_ms = 60'000;
};

// The bytes of an address in network order, for a key.
struct address {
    std::array<unsigned char, sizeof(in6_addr)> bytes{};
    std::size_t size = 0;

    explicit address(const std::string& text) {
        if (inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) size = sizeof(in_addr);
        else if (inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) size = sizeof(in6_addr);
    }
    key as_key() const {
        return key::ip(std::string_view(reinterpret_cast<const char*>(bytes.data()), size));
    }
};

class gate {
  public:
    explicit gate(const settings& limits)
        : limiter_(tollgate::limiter::builder()
                       .policy(policy::sliding("ip", limits.per_address, window(limits)))
                       .policy(policy::sliding("user", limits.per_user, window(limits)))
                       .policy(policy::calendar("tokens", limits.tokens, period::day).unit("tokens"))
                       .build()),
          ip_(limiter_.policy("ip")), user_(limiter_.policy("user")),
          tokens_(limiter_.policy("tokens")) {}

    // Checks the request and returns whether it is allowed. Adds the rate limit fields to the response,
    // and fills in its status and body if the request is not allowed.
    bool allows(const httplib::Request& request, httplib::Response& response) const {
        const address from(request.remote_addr);
        const std::string user = request.get_header_value("x-user");
        const bool has_user = request.has_header("x-user");

        std::array<tollgate::charge, 3> charges;
        std::size_t count = 0;
        charges[count++] = ip_.charge(from.as_key(), 1);
        if (has_user) charges[count++] = user_.charge(user, 1);
        if (request.path == "/ai") {
            charges[count++] = tokens_.charge(has_user ? key(user) : from.as_key(), tokens_per_response);
        }
        std::array<tollgate::policy_status, 3> all_statuses;
        const tollgate::view<const tollgate::policy_status> statuses(all_statuses.data(), count);
        const auto decision = limiter_.check_with_status({charges.data(), count}, all_statuses);
        switch (decision.verdict()) {
            case verdict::allowed: break;
            case verdict::denied:
            case verdict::impossible: refuse(response, decision, statuses); break;
            default:
                // The table is full or this server has a bug. No quota was exceeded, so there are no fields.
                response.status = 503;
                response.set_content("not now\n", "text/plain");
                return false;
        }
        set(response, http::policy_name, http::policy(limiter_, statuses));
        set(response, http::limit_name, http::limit(limiter_, statuses));
        return decision.is_allowed();
    }

  private:
    static std::chrono::milliseconds window(const settings& limits) {
        return std::chrono::milliseconds(limits.window_ms);
    }

    void refuse(httplib::Response& response, const tollgate::decision& decision,
                tollgate::view<const tollgate::policy_status> statuses) const {
        response.status = http::too_many_requests;
        response.set_content(http::problem(limiter_, statuses), std::string(http::problem_type));
        if (const auto wait = decision.retry_after()) {
            set(response, http::retry_after_name, std::to_string(http::retry_after_seconds(*wait)));
        }
    }

    static void set(httplib::Response& response, std::string_view name, const std::string& value) {
        response.set_header(std::string(name), value);
    }

    tollgate::limiter limiter_;
    tollgate::policy_id ip_, user_, tokens_;
};

settings parse(int count, char** arguments) {
    settings parsed;
    const std::array fields = {&parsed.port, &parsed.per_address, &parsed.per_user, &parsed.tokens,
                               &parsed.window_ms};
    for (int index = 1; index < count; ++index) {
        const std::string_view text = arguments[index];
        const auto end = text.data() + text.size();
        if (static_cast<std::size_t>(index) > fields.size()) throw std::invalid_argument("too many arguments");
        const auto [stop, error] = std::from_chars(text.data(), end, *fields[index - 1]);
        if (error != std::errc() || stop != end) throw std::invalid_argument("invalid number: " + std::string(text));
    }
    if (parsed.port > 65'535) throw std::invalid_argument("port too large");
    return parsed;
}

void serve(const settings& settings) {
    const gate gate(settings);
    // Block the signals here and in the server's threads. Only `stopper` waits for them.
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &stop, nullptr);

    httplib::Server server;
    server.set_tcp_nodelay(true);
    server.set_keep_alive_max_count(10'000);
    // A connection occupies a thread for its whole duration.
    server.new_task_queue = [] { return new httplib::ThreadPool(16); };
    server.set_pre_routing_handler([&](const auto& request, auto& response) {
        return gate.allows(request, response) ? httplib::Server::HandlerResponse::Unhandled
                                              : httplib::Server::HandlerResponse::Handled;
    });
    server.Get(".*", [](const httplib::Request&, httplib::Response& response) {
        response.set_content("welcome\n", "text/plain");
    });

    int port = static_cast<int>(settings.port);
    if (port == 0) port = server.bind_to_any_port("127.0.0.1");
    else if (!server.bind_to_port("127.0.0.1", port)) port = -1;
    if (port < 0) throw std::runtime_error("cannot listen");
    std::cout << "http://127.0.0.1:" << port << std::endl;

    std::thread stopper([&] {
        int signal = 0;
        sigwait(&stop, &signal);
        server.stop();
    });
    server.listen_after_bind();
    stopper.join();
}

} // namespace

int main(int count, char** arguments) try {
    serve(parse(count, arguments));
    return EXIT_SUCCESS;
} catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return EXIT_FAILURE;
}
