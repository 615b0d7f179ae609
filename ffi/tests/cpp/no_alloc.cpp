/// No operation on known keys allocates, in C++ or in the library. `new` is counted here; malloc and
/// similar functions by the linker's --wrap, on systems that have it.
#include "check.hpp"

#include <atomic>
#include <new>

static std::atomic<long> allocations{0};

#ifdef WRAPPED
extern "C" {
void* __real_malloc(std::size_t size);
void* __real_calloc(std::size_t count, std::size_t size);
void* __real_realloc(void* block, std::size_t size);
int __real_posix_memalign(void** block, std::size_t align, std::size_t size);
void* __wrap_malloc(std::size_t size);
void* __wrap_calloc(std::size_t count, std::size_t size);
void* __wrap_realloc(void* block, std::size_t size);
int __wrap_posix_memalign(void** block, std::size_t align, std::size_t size);

void* __wrap_malloc(std::size_t size) { return ++allocations, __real_malloc(size); }
void* __wrap_calloc(std::size_t count, std::size_t size) { return ++allocations, __real_calloc(count, size); }
void* __wrap_realloc(void* block, std::size_t size) { return ++allocations, __real_realloc(block, size); }
int __wrap_posix_memalign(void** block, std::size_t align, std::size_t size) {
    return ++allocations, __real_posix_memalign(block, align, size);
}
}
#endif

void* operator new(std::size_t size) {
    ++allocations;
    if (void* block = std::malloc(size)) return block;
    std::abort();
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }

using namespace tollgate;
using namespace std::chrono_literals;

template <class Work>
static long counted(Work work) {
    const long before = allocations;
    work();
    return allocations - before;
}

TEST(the_counter_counts) {
    CHECK(counted([] { CHECK(std::string(100, 'x').size() == 100); }) > 0);
#ifdef WRAPPED
    // An allocation of the library: the clock's handle.
    CHECK(counted([] { (void)check::must(manual_clock::try_create()); }) > 0);
#endif
}

TEST(requests_allocate_nothing) {
    const auto clock = check::must(manual_clock::try_create());
    const auto gate = check::must(limiter::builder()
                                      .policy(policy::sliding("exact", 20, 1min))
                                      .policy(policy::sliding("buckets", 1'000'000, 1min))
                                      .policy(policy::calendar("day", 1'000'000, period::day))
                                      .clock(clock)
                                      .try_build());
    const auto exact = check::find(gate, "exact"), buckets = check::find(gate, "buckets"), day = check::find(gate, "day");
    const std::array<std::uint8_t, 4> address = {192, 0, 2, 1};
    std::array<policy_status, 3> statuses;
    std::array<decision, 3> decisions;
    char buffer[512];
    const std::array<key, 2> parts = {"alice", key::ip(address)};
    const auto all = [&](std::uint64_t turn) {
        const std::array<charge, 3> request = {exact.charge(key::ip(address), 1), buckets.charge("alice", 5),
                                               day.charge(7, 2)};
        const std::chrono::seconds time(turn);
        const now now(time, time);
        (void)gate.check(request);
        (void)gate.check({buckets.charge(key::parts(parts), 1), day.charge(key::parts({"alice", turn % 7}), 1)});
        (void)gate.at(now).check({exact.charge(key::ip(address), 1), day.charge(7, 1)});
        (void)gate.check_with_status(request, statuses);
        (void)gate.check_many(request, decisions);
        (void)gate.peek(request);
        (void)gate.peek_with_status(request, statuses);
        (void)gate.force_charge(request);
        (void)gate.try_refund(request[1]);
        (void)http::write_limit(gate, statuses, buffer);
        (void)http::write_problem(gate, statuses, nullptr, buffer);
        const auto session = gate.session_at(now);
        if (auto held = session.reserve({buckets.charge("alice", 9)})) {
            (void)session.extend(*held, {3});
            (void)session.settle(*held, {4});
        }
        CHECK(!decisions[0].table_full() && !decision().is_allowed());
    };
    all(0);
    CHECK(counted([&] {
              for (std::uint64_t turn = 1; turn < 1'000; ++turn) all(turn);
          }) == 0);
}
