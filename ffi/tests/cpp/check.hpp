/// Tests that register themselves, and checks that continue after a failure.
#ifndef CHECK_HPP
#define CHECK_HPP

#include <tollgate.hpp>

#include <cstdio>
#include <cstdlib>
#include <vector>

namespace check {

struct test {
    const char* name;
    void (*run)();
};

inline std::vector<test>& tests() {
    static std::vector<test> all;
    return all;
}

inline int failures = 0;

struct registered {
    registered(const char* name, void (*run)()) { tests().push_back({name, run}); }
};

inline void that(bool held, const char* file, int line, const char* what) {
    if (held) return;
    ++failures;
    std::fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
}

/// The value of a result that must have one, also without exceptions.
template <class Value, class Why>
Value must(tollgate::result<Value, Why> result) {
    if (result) return std::move(*result);
    std::fprintf(stderr, "no value: %d\n", result.error().code().value());
    std::exit(2);
}

inline tollgate::policy_id find(const tollgate::limiter& limiter, std::string_view name) {
    return must(limiter.try_policy(name));
}

} // namespace check

#define TEST(name)                                             \
    static void name();                                        \
    static const check::registered registered_##name{#name, name}; \
    static void name()

#define CHECK(condition) check::that(static_cast<bool>(condition), __FILE__, __LINE__, #condition)

#endif
