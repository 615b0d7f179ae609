/* Fixtures for the programs: limiters, times and random numbers. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include "check.h"

#define MILLI UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)
#define HOUR_NS (3600 * SECOND)

/* One time for both clocks. */
static inline tollgate_now at(uint64_t ns) {
    tollgate_now now;
    now.monotonic_ns = ns;
    now.unix_ns = ns;
    return now;
}

static inline tollgate_policy sliding(const char *name, uint64_t limit, uint64_t window_ns) {
    tollgate_policy policy = TOLLGATE_POLICY_INIT;
    policy.kind = TOLLGATE_SLIDING;
    policy.name = name;
    policy.limit = limit;
    policy.window_ns = window_ns;
    return policy;
}

static inline tollgate_policy calendar(const char *name, uint64_t limit, uint32_t period) {
    tollgate_policy policy = TOLLGATE_POLICY_INIT;
    policy.kind = TOLLGATE_CALENDAR;
    policy.name = name;
    policy.limit = limit;
    policy.period = period;
    return policy;
}

/* A limiter with a manual clock at 0 and a fixed seed, for reproducible runs. */
static inline tollgate_limiter *limiter_of(const tollgate_policy *policies, size_t count) {
    tollgate_options options = TOLLGATE_OPTIONS_INIT;
    tollgate_limiter *limiter = NULL;
    tollgate_clock *clock = NULL;
    STATUS(TOLLGATE_OK, tollgate_clock_manual(&clock));
    options.clock = clock;
    options.seed[0] = 1;
    STATUS(TOLLGATE_OK, tollgate_new(&options, policies, count, &limiter, NULL));
    STATUS(TOLLGATE_OK, tollgate_clock_free(clock));
    return limiter;
}

static inline uint64_t id_of(const tollgate_limiter *limiter, const char *name) {
    uint64_t policy = 0;
    STATUS(TOLLGATE_OK, tollgate_policy_find(limiter, name, &policy));
    CHECK(policy != 0);
    return policy;
}

/* The units left to the key of a charge. */
static inline uint64_t left(const tollgate_limiter *limiter, uint64_t ns, tollgate_charge charge) {
    tollgate_now now = at(ns);
    tollgate_decision decision;
    charge.cost = 0;
    CHECK(tollgate_peek(limiter, &now, &charge, 1, &decision) >= TOLLGATE_OK);
    return decision.remaining;
}

/* Reproducible random numbers (SplitMix64). */
static inline uint64_t next_random(uint64_t *state) {
    uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

/* TOLLGATE_SEED or, if it is not set, this seed. Printed, to reproduce a failure. */
static inline uint64_t seed_or(uint64_t seed) {
    const char *given = getenv("TOLLGATE_SEED");
    if (given != NULL) {
        seed = strtoull(given, NULL, 0);
    }
    fprintf(stderr, "TOLLGATE_SEED=%" PRIu64 "\n", seed);
    return seed;
}

#endif
