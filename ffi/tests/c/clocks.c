/* Clocks that the host moves: what they show, what they refuse, who keeps them alive. */
#include <sched.h>
#include <time.h>

#include "scene.h"

static tollgate_limiter *on_clock(const tollgate_clock *clock, const tollgate_policy *policy) {
    tollgate_options options = TOLLGATE_OPTIONS_INIT;
    tollgate_limiter *limiter = NULL;
    options.clock = clock;
    ANSWER(TOLLGATE_OK, tollgate_new(&options, policy, 1, &limiter, NULL));
    return limiter;
}

static tollgate_now shown(const tollgate_limiter *limiter) {
    tollgate_now now;
    ANSWER(TOLLGATE_OK, tollgate_read_clock(limiter, &now));
    return now;
}

static void manual_clock_moves_when_told(void) {
    tollgate_policy policy = calendar("day", 10, TOLLGATE_DAY);
    tollgate_clock *clock = NULL;
    tollgate_limiter *limiter;
    tollgate_now set = {7, 9}, now;
    ANSWER(TOLLGATE_OK, tollgate_clock_manual(&clock));
    limiter = on_clock(clock, &policy);
    now = shown(limiter);
    CHECK(now.monotonic_ns == 0 && now.unix_ns == 0);
    ANSWER(TOLLGATE_OK, tollgate_clock_set(clock, &set));
    ANSWER(TOLLGATE_OK, tollgate_clock_advance(clock, 100));
    now = shown(limiter);
    CHECK(now.monotonic_ns == 107 && now.unix_ns == 109);
    ANSWER(TOLLGATE_OK, tollgate_clock_set(clock, &set));
    CHECK(shown(limiter).monotonic_ns == 7);
    ANSWER(TOLLGATE_OK, tollgate_clock_advance(clock, UINT64_MAX));
    now = shown(limiter);
    CHECK(now.monotonic_ns == UINT64_MAX && now.unix_ns == UINT64_MAX);
    ANSWER(TOLLGATE_E_ARGUMENT, tollgate_clock_tick(clock));
    /* The limiter keeps the clock. */
    ANSWER(TOLLGATE_OK, tollgate_clock_free(clock));
    CHECK(shown(limiter).monotonic_ns == UINT64_MAX);
    ANSWER(TOLLGATE_OK, tollgate_free(limiter));
}

/* Verbs without an instant go by the limiter's clock. */
static void verbs_follow_the_clock(void) {
    tollgate_policy policy = sliding("p", 1, SECOND);
    tollgate_clock *clock = NULL;
    tollgate_limiter *limiter;
    tollgate_charge charge;
    tollgate_decision decision;
    ANSWER(TOLLGATE_OK, tollgate_clock_manual(&clock));
    limiter = on_clock(clock, &policy);
    charge = tollgate_charge_shared(id_of(limiter, "p"), 1);
    ANSWER(TOLLGATE_OK, tollgate_check(limiter, NULL, &charge, 1, NULL));
    ANSWER(TOLLGATE_OK, tollgate_clock_advance(clock, 300 * MILLI));
    ANSWER(TOLLGATE_DENIED, tollgate_check(limiter, NULL, &charge, 1, &decision));
    EQUAL(700 * MILLI, decision.retry_after_ns);
    ANSWER(TOLLGATE_OK, tollgate_clock_advance(clock, decision.retry_after_ns - 1));
    ANSWER(TOLLGATE_DENIED, tollgate_check(limiter, NULL, &charge, 1, NULL));
    ANSWER(TOLLGATE_OK, tollgate_clock_advance(clock, 1));
    ANSWER(TOLLGATE_OK, tollgate_check(limiter, NULL, &charge, 1, NULL));
    ANSWER(TOLLGATE_OK, tollgate_clock_free(clock));
    ANSWER(TOLLGATE_OK, tollgate_free(limiter));
}

static void coarse_clock_stands_between_ticks(void) {
    tollgate_policy policy = calendar("day", 10, TOLLGATE_DAY);
    tollgate_clock *clock = NULL;
    tollgate_limiter *limiter;
    tollgate_now first, now = {0, 0};
    uint64_t seconds = (uint64_t)time(NULL);
    ANSWER(TOLLGATE_OK, tollgate_clock_coarse(0, &clock));
    limiter = on_clock(clock, &policy);
    first = shown(limiter);
    CHECK(first.unix_ns / SECOND + 1 >= seconds && first.unix_ns / SECOND < seconds + 60);
    now = shown(limiter);
    CHECK(now.monotonic_ns == first.monotonic_ns && now.unix_ns == first.unix_ns);
    while (now.monotonic_ns <= first.monotonic_ns) {
        ANSWER(TOLLGATE_OK, tollgate_clock_tick(clock));
        now = shown(limiter);
    }
    ANSWER(TOLLGATE_E_ARGUMENT, tollgate_clock_set(clock, &now));
    ANSWER(TOLLGATE_E_ARGUMENT, tollgate_clock_advance(clock, 1));
    ANSWER(TOLLGATE_OK, tollgate_free(limiter));
    ANSWER(TOLLGATE_OK, tollgate_clock_tick(clock));
    ANSWER(TOLLGATE_OK, tollgate_clock_free(clock));
}

/* Its thread moves it as long as a limiter has it, and is gone when that is freed. */
static void coarse_clock_with_a_thread_moves_by_itself(void) {
    tollgate_policy policy = sliding("p", 1, SECOND);
    tollgate_clock *clock = NULL;
    tollgate_limiter *limiter;
    tollgate_now first, now;
    ANSWER(TOLLGATE_OK, tollgate_clock_coarse(MILLI, &clock));
    limiter = on_clock(clock, &policy);
    ANSWER(TOLLGATE_E_ARGUMENT, tollgate_clock_tick(clock));
    now = shown(limiter);
    ANSWER(TOLLGATE_E_ARGUMENT, tollgate_clock_set(clock, &now));
    ANSWER(TOLLGATE_E_ARGUMENT, tollgate_clock_advance(clock, 1));
    ANSWER(TOLLGATE_OK, tollgate_clock_free(clock));
    first = shown(limiter);
    /* Ends, or the one who runs this ends it. */
    do {
        sched_yield();
        now = shown(limiter);
    } while (now.monotonic_ns <= first.monotonic_ns);
    ANSWER(TOLLGATE_OK, tollgate_free(limiter));
    /* However long its interval is, it is freed at once. */
    ANSWER(TOLLGATE_OK, tollgate_clock_coarse(UINT64_MAX, &clock));
    ANSWER(TOLLGATE_OK, tollgate_clock_free(clock));
}

/* Without a clock of the host's it is the processor's, which goes on by itself. */
static void default_clock_is_the_present(void) {
    tollgate_policy policies[2];
    tollgate_limiter *limiter = NULL;
    tollgate_now first, now;
    uint64_t seconds = (uint64_t)time(NULL);
    policies[0] = calendar("day", 10, TOLLGATE_DAY);
    policies[1] = sliding("p", 10, SECOND);
    ANSWER(TOLLGATE_OK, tollgate_new(NULL, policies, 2, &limiter, NULL));
    first = now = shown(limiter);
    CHECK(first.unix_ns / SECOND + 1 >= seconds && first.unix_ns / SECOND < seconds + 60);
    while (now.monotonic_ns <= first.monotonic_ns) {
        now = shown(limiter);
    }
    ANSWER(TOLLGATE_OK, tollgate_free(limiter));
    /* Its wall is not read where no policy follows the calendar. */
    ANSWER(TOLLGATE_OK, tollgate_new(NULL, policies + 1, 1, &limiter, NULL));
    EQUAL(0, shown(limiter).unix_ns);
    ANSWER(TOLLGATE_OK, tollgate_free(limiter));
}

int main(void) {
    manual_clock_moves_when_told();
    verbs_follow_the_clock();
    coarse_clock_stands_between_ticks();
    coarse_clock_with_a_thread_moves_by_itself();
    default_clock_is_the_present();
    return passed();
}
