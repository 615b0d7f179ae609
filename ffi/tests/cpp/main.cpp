/// Runs all linked tests. With PLANTED one of them fails, to show that a failure is reported.
#include "check.hpp"

#ifdef PLANTED
TEST(planted) { CHECK(1 + 1 == 3); }
#endif

int main() {
    for (const auto& test : check::tests()) {
        const int before = check::failures;
        test.run();
        std::printf("%s %s\n", check::failures == before ? "ok" : "FAILED", test.name);
    }
    std::printf("%zu tests, %d failures\n", check::tests().size(), check::failures);
    return check::failures == 0 ? 0 : 1;
}
