/* Clocks: readings, errors, lifetimes. */
#include <sched.h>
#include <time.h>

#include "fixture.h"

static tollgate_limiter *limiter_on(const tollgate_clock *clock, const tollgate_policy *policy) {
    tollgate_options options = TOLLGATE_OPTIONS_INIT;
    tollgate_limiter *limiter = NULL;
    options.clock = clock;
    STATUS(TOLLGATE_OK, tollgate_new(&options, policy, 1, &limiter, NULL));
    return limiter;
}

static tollgate_now read_clock(const tollgate_limiter *limiter) {
    tollgate_now now;
    STATUS(TOLLGATE_OK, tollgate_read_clock(limiter, &now));
    return now;
}

static void manual_clock_changes_only_by_set_and_advance(void) {
    tollgate_policy policy = calendar("day", 10, TOLLGATE_DAY);
    tollgate_clock *clock = NULL;
    tollgate_limiter *limiter;
    tollgate_now set = {7, 9}, now;
    STATUS(TOLLGATE_OK, tollgate_clock_manual(&clock));
    limiter = limiter_on(clock, &policy);
    now = read_clock(limiter);
    CHECK(now.monotonic_ns == 0 && now.unix_ns == 0);
    STATUS(TOLLGATE_OK, tollgate_clock_set(clock, &set));
    STATUS(TOLLGATE_OK, tollgate_clock_advance(clock, 100));
    now = read_clock(limiter);
    CHECK(now.monotonic_ns == 107 && now.unix_ns == 109);
    STATUS(TOLLGATE_OK, tollgate_clock_set(clock, &set));
    CHECK(read_clock(limiter).monotonic_ns == 7);
    STATUS(TOLLGATE_OK, tollgate_clock_advance(clock, UINT64_MAX));
    now = read_clock(limiter);
    CHECK(now.monotonic_ns == UINT64_MAX && now.unix_ns == UINT64_MAX);
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_clock_tick(clock));
    /* The limiter keeps the clock alive. */
    STATUS(TOLLGATE_OK, tollgate_clock_free(clock));
    CHECK(read_clock(limiter).monotonic_ns == UINT64_MAX);
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

/* Calls with a NULL time use the limiter's clock. */
static void null_time_uses_the_clock(void) {
    tollgate_policy policy = sliding("p", 1, SECOND);
    tollgate_clock *clock = NULL;
    tollgate_limiter *limiter;
    tollgate_charge charge;
    tollgate_decision decision;
    STATUS(TOLLGATE_OK, tollgate_clock_manual(&clock));
    limiter = limiter_on(clock, &policy);
    charge = tollgate_charge_shared(id_of(limiter, "p"), 1);
    STATUS(TOLLGATE_OK, tollgate_check(limiter, NULL, &charge, 1, NULL));
    STATUS(TOLLGATE_OK, tollgate_clock_advance(clock, 300 * MILLI));
    STATUS(TOLLGATE_DENIED, tollgate_check(limiter, NULL, &charge, 1, &decision));
    EQUAL(700 * MILLI, decision.retry_after_ns);
    STATUS(TOLLGATE_OK, tollgate_clock_advance(clock, decision.retry_after_ns - 1));
    STATUS(TOLLGATE_DENIED, tollgate_check(limiter, NULL, &charge, 1, NULL));
    STATUS(TOLLGATE_OK, tollgate_clock_advance(clock, 1));
    STATUS(TOLLGATE_OK, tollgate_check(limiter, NULL, &charge, 1, NULL));
    STATUS(TOLLGATE_OK, tollgate_clock_free(clock));
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

static void coarse_clock_changes_only_by_ticks(void) {
    tollgate_policy policy = calendar("day", 10, TOLLGATE_DAY);
    tollgate_clock *clock = NULL;
    tollgate_limiter *limiter;
    tollgate_now first, now = {0, 0};
    uint64_t seconds = (uint64_t)time(NULL);
    STATUS(TOLLGATE_OK, tollgate_clock_coarse(0, &clock));
    limiter = limiter_on(clock, &policy);
    first = read_clock(limiter);
    CHECK(first.unix_ns / SECOND + 1 >= seconds && first.unix_ns / SECOND < seconds + 60);
    now = read_clock(limiter);
    CHECK(now.monotonic_ns == first.monotonic_ns && now.unix_ns == first.unix_ns);
    while (now.monotonic_ns <= first.monotonic_ns) {
        STATUS(TOLLGATE_OK, tollgate_clock_tick(clock));
        now = read_clock(limiter);
    }
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_clock_set(clock, &now));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_clock_advance(clock, 1));
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
    STATUS(TOLLGATE_OK, tollgate_clock_tick(clock));
    STATUS(TOLLGATE_OK, tollgate_clock_free(clock));
}

/* The thread updates the clock as long as a limiter uses it, and ends when the limiter is freed. */
static void coarse_clock_with_a_thread_updates_itself(void) {
    tollgate_policy policy = sliding("p", 1, SECOND);
    tollgate_clock *clock = NULL;
    tollgate_limiter *limiter;
    tollgate_now first, now;
    STATUS(TOLLGATE_OK, tollgate_clock_coarse(MILLI, &clock));
    limiter = limiter_on(clock, &policy);
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_clock_tick(clock));
    now = read_clock(limiter);
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_clock_set(clock, &now));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_clock_advance(clock, 1));
    STATUS(TOLLGATE_OK, tollgate_clock_free(clock));
    first = read_clock(limiter);
    /* Without an update this loops until the test runner's timeout. */
    do {
        sched_yield();
        now = read_clock(limiter);
    } while (now.monotonic_ns <= first.monotonic_ns);
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
    /* Freeing does not wait for the interval. */
    STATUS(TOLLGATE_OK, tollgate_clock_coarse(UINT64_MAX, &clock));
    STATUS(TOLLGATE_OK, tollgate_clock_free(clock));
}

/* The default is the processor's clock, at the current time. */
static void default_clock_has_the_current_time(void) {
    tollgate_policy policies[2];
    tollgate_limiter *limiter = NULL;
    tollgate_now first, now;
    uint64_t seconds = (uint64_t)time(NULL);
    policies[0] = calendar("day", 10, TOLLGATE_DAY);
    policies[1] = sliding("p", 10, SECOND);
    STATUS(TOLLGATE_OK, tollgate_new(NULL, policies, 2, &limiter, NULL));
    first = now = read_clock(limiter);
    CHECK(first.unix_ns / SECOND + 1 >= seconds && first.unix_ns / SECOND < seconds + 60);
    while (now.monotonic_ns <= first.monotonic_ns) {
        now = read_clock(limiter);
    }
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
    /* The wall clock is not read without a calendar policy. */
    STATUS(TOLLGATE_OK, tollgate_new(NULL, policies + 1, 1, &limiter, NULL));
    EQUAL(0, read_clock(limiter).unix_ns);
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

int main(void) {
    manual_clock_changes_only_by_set_and_advance();
    null_time_uses_the_clock();
    coarse_clock_changes_only_by_ticks();
    coarse_clock_with_a_thread_updates_itself();
    default_clock_has_the_current_time();
    return passed();
}
