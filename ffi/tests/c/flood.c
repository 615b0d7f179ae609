/* A flood from one IPv6 /44 network: 2^20 networks of /64, each of which is a key. The process may use
 * 512 MiB of address space. The limiter stays within its bound, the program can allocate at any time,
 * and the keys that were known before the flood are decided exactly.
 *
 * Memory checkers need much address space themselves. For them STARVED_BY_HAND sets no limit, and makes
 * the flood shorter. */
#include <sys/resource.h>

#include "fixture.h"

#define LIMIT 100
#define WINDOW (60 * SECOND)
#define MIB (UINT64_C(1) << 20)
/* Keys that make requests before, during and after the flood. */
#define KNOWN 1000
/* Charges of each known key before the flood. */
#define EARLY 40
/* New keys for each request of a known key. */
#define STRIDE 256
#ifdef STARVED_BY_HAND
#define PREFIXES (UINT64_C(1) << 17)
#define OWN_BYTES MIB
static void limit_address_space(void) {}
#else
#define PREFIXES (UINT64_C(1) << 20)
/* Bytes that the program allocates for itself now and then. */
#define OWN_BYTES (192 * MIB)
static void limit_address_space(void) {
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = 512 * MIB;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}
#endif

/* The highest number of resident bytes so far. */
static uint64_t peak(void) {
    struct rusage usage;
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    return (uint64_t)usage.ru_maxrss * 1024;
}

/* The address of a host in the network 2001:db8::/44 + `network` * 2^64. */
static void address_of(uint64_t network, uint8_t address[16]) {
    static const uint8_t first[8] = {0x20, 0x01, 0x0d, 0xb8};
    int i;
    memset(address, 0, 16);
    memcpy(address, first, sizeof first);
    for (i = 0; i < 4; i++) {
        address[7 - i] |= (uint8_t)(network >> 8 * i);
    }
    /* The host differs from request to request, which must make no difference. */
    memcpy(address + 8, &network, 8);
}

static tollgate_status check(const tollgate_limiter *limiter, uint64_t ip, uint64_t network, uint64_t ns,
                             tollgate_decision *decision) {
    uint8_t address[16];
    tollgate_charge charge;
    tollgate_now now = at(ns);
    address_of(network, address);
    charge = tollgate_charge_ipv6(ip, address, 1);
    return tollgate_check(limiter, &now, &charge, 1, decision);
}

/* Sends `prefixes` new keys in half a window from `start` on, and requests of known keys among them.
 * Each known key is admitted exactly its limit. Returns the number of new keys that were admitted. */
static uint64_t flood(const tollgate_limiter *limiter, uint64_t ip, uint64_t start, uint64_t prefixes) {
    static unsigned used[KNOWN];
    tollgate_decision decision;
    uint64_t key, i, now = start, admitted = 0;
    for (key = 0; key < KNOWN; key++) {
        for (used[key] = 0; used[key] < EARLY; used[key]++) {
            STATUS(TOLLGATE_OK, check(limiter, ip, key, start, &decision));
            EQUAL(LIMIT - 1 - used[key], decision.remaining);
        }
    }
    for (i = 0; i < prefixes; i++) {
        tollgate_status status;
        now = start + WINDOW / 2 * i / prefixes;
        status = check(limiter, ip, KNOWN + i, now, &decision);
        if (status == TOLLGATE_OK) {
            admitted++;
        } else if (status != TOLLGATE_TABLE_FULL) {
            STATUS(TOLLGATE_TABLE_FULL, status);
        }
        if (i % STRIDE == 0) {
            key = i / STRIDE % KNOWN;
            STATUS(TOLLGATE_OK, check(limiter, ip, key, now, &decision));
            used[key]++;
            EQUAL(LIMIT - used[key], decision.remaining);
        }
        if (i % (PREFIXES / 256) == 0) {
            void *own = malloc(OWN_BYTES);
            CHECK(own != NULL);
            free(own);
        }
    }
    for (key = 0; key < KNOWN; key++) {
        for (; used[key] < LIMIT; used[key]++) {
            STATUS(TOLLGATE_OK, check(limiter, ip, key, now, &decision));
        }
        STATUS(TOLLGATE_DENIED, check(limiter, ip, key, now, &decision));
        EQUAL(start + WINDOW - now, decision.retry_after_ns);
    }
    return admitted;
}

int main(void) {
    tollgate_policy policy = sliding("ip", LIMIT, WINDOW);
    tollgate_limiter *limiter;
    tollgate_clock *clock;
    tollgate_options options = TOLLGATE_OPTIONS_INIT;
    tollgate_stats stats = TOLLGATE_STATS_INIT;
    uint64_t before = peak(), ip, bound = 0, max_keys = 0, bytes = 0, start, round;
    limit_address_space();
    /* All bounds have their default. */
    STATUS(TOLLGATE_OK, tollgate_clock_manual(&clock));
    options.clock = clock;
    STATUS(TOLLGATE_OK, tollgate_memory_bound(&options, &policy, 1, &bound, NULL));
    CHECK(bound <= 128 * MIB && bound > 127 * MIB);
    STATUS(TOLLGATE_OK, tollgate_new(&options, &policy, 1, &limiter, NULL));
    ip = id_of(limiter, "ip");
    STATUS(TOLLGATE_OK, tollgate_get_bounds(limiter, ip, &max_keys, &bytes));
    EQUAL(bound, bytes);
    /* In later rounds all keys have expired: the array is replaced by one of the same size. */
    for (round = 0; round < 4; round++) {
        uint64_t admitted;
        start = SECOND + round * 2 * WINDOW;
        admitted = flood(limiter, ip, start, round == 0 ? PREFIXES : PREFIXES / 4);
        /* In the first round nothing expires. */
        CHECK(round > 0 || admitted == max_keys - KNOWN);
        CHECK(admitted >= max_keys / 2);
        STATUS(TOLLGATE_OK, tollgate_get_stats(limiter, ip, &stats));
        CHECK(stats.used_slots <= max_keys && stats.bytes <= bound);
    }
    CHECK(stats.refused > 0 && stats.untracked == 0 && stats.evictions == 0);
    CHECK(peak() >= before);
#if defined(__linux__) && !defined(STARVED_BY_HAND)
    /* Two arrays were in use at a time. The program itself takes little. */
    CHECK(peak() - before <= bound + 4 * MIB);
    CHECK(peak() - before >= bound / 2);
#endif
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
    STATUS(TOLLGATE_OK, tollgate_clock_free(clock));
    return passed();
}
