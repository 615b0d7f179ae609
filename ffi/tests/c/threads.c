/* Eight threads on one handle: together they are allowed exactly the limit, and every call is counted
 * once. */
#include <pthread.h>

#include "fixture.h"

enum { THREADS = 8, TURNS = 20000 };

typedef struct {
    const tollgate_limiter *limiter;
    uint64_t exact, bucketed, day, own;
    pthread_barrier_t *start;
    uint64_t number;
    /* The units that this thread was allowed, and those of its own key. */
    uint64_t exact_units, day_units, own_units;
    uint64_t requests, unexpected;
} worker;

/* One request under the exact policy and the shared daily budget. */
static void check_two_policies(worker *me, const tollgate_now *now) {
    tollgate_charge charges[2];
    tollgate_status status;
    charges[0] = tollgate_charge_shared(me->exact, 1);
    charges[1] = tollgate_charge_shared(me->day, 3);
    status = tollgate_check(me->limiter, now, charges, 2, NULL);
    me->unexpected += status != TOLLGATE_OK && status != TOLLGATE_DENIED;
    me->exact_units += status == TOLLGATE_OK;
    me->day_units += status == TOLLGATE_OK ? 3 : 0;
    me->requests++;
}

/* A batch under the bucketed policy. The threads share keys, and new keys make the table grow. */
static void check_batch(worker *me, const tollgate_now *now, uint64_t random) {
    tollgate_charge charges[8];
    tollgate_decision decisions[8];
    size_t allowed = 0, i, counted = 0;
    for (i = 0; i < 8; i++) {
        charges[i] = tollgate_charge_number(me->bucketed, (random >> 8 * i) % 5000, 1);
    }
    me->unexpected += tollgate_check_many(me->limiter, now, charges, 8, decisions, &allowed) != TOLLGATE_OK;
    for (i = 0; i < 8; i++) {
        counted += decisions[i].status == TOLLGATE_OK;
    }
    me->unexpected += counted != allowed;
}

/* Charges the thread's own key, refunds a part, reserves and settles. */
static void use_own_key(worker *me, const tollgate_now *now, uint64_t random) {
    tollgate_charge charge = tollgate_charge_bytes(me->own, &me->number, sizeof me->number, 5);
    tollgate_reservation reservation;
    uint64_t actual = random % 10, given;
    me->unexpected += tollgate_force_charge(me->limiter, now, &charge, 1, NULL) != TOLLGATE_OK;
    charge.cost = 2;
    me->unexpected += tollgate_refund(me->limiter, now, &charge, &given) != TOLLGATE_OK || given != 2;
    charge.cost = 5;
    me->unexpected += tollgate_reserve(me->limiter, now, &charge, 1, &reservation, NULL, NULL) != TOLLGATE_OK;
    me->unexpected += tollgate_settle(me->limiter, now, &reservation, &actual, 1, NULL) != TOLLGATE_OK;
    me->own_units += 3 + actual;
}

static void *work(void *argument) {
    worker *me = argument;
    uint64_t seed = me->number;
    unsigned turn;
    (void)pthread_barrier_wait(me->start);
    for (turn = 0; turn < TURNS; turn++) {
        uint64_t random = next_random(&seed);
        tollgate_now now = at(SECOND);
        check_two_policies(me, &now);
        use_own_key(me, &now, random);
        if (turn % 4 == 0) {
            check_batch(me, &now, random);
        }
    }
    return NULL;
}

static void run(const tollgate_limiter *limiter, worker workers[THREADS]) {
    pthread_t threads[THREADS];
    pthread_barrier_t start;
    uint64_t i;
    CHECK(pthread_barrier_init(&start, NULL, THREADS) == 0);
    for (i = 0; i < THREADS; i++) {
        memset(&workers[i], 0, sizeof workers[i]);
        workers[i].limiter = limiter;
        workers[i].exact = id_of(limiter, "exact");
        workers[i].bucketed = id_of(limiter, "bucketed");
        workers[i].day = id_of(limiter, "day");
        workers[i].own = id_of(limiter, "own");
        workers[i].start = &start;
        workers[i].number = i;
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK(pthread_barrier_destroy(&start) == 0);
}

int main(void) {
    const uint64_t exact_limit = 100, day_limit = 1000000, many = UINT64_C(1) << 40;
    tollgate_policy policies[4];
    tollgate_limiter *limiter;
    tollgate_stats stats = TOLLGATE_STATS_INIT;
    worker workers[THREADS];
    uint64_t exact_units = 0, day_units = 0, requests = 0, i;
    policies[0] = sliding("exact", exact_limit, 10 * SECOND);
    policies[1] = sliding("bucketed", 1000, 10 * SECOND);
    policies[2] = calendar("day", day_limit, TOLLGATE_DAY);
    policies[3] = sliding("own", many, 10 * SECOND);
    limiter = limiter_of(policies, 4);
    run(limiter, workers);
    for (i = 0; i < THREADS; i++) {
        EQUAL(0, workers[i].unexpected);
        exact_units += workers[i].exact_units;
        day_units += workers[i].day_units;
        requests += workers[i].requests;
        EQUAL(many - workers[i].own_units,
              left(limiter, SECOND,
                   tollgate_charge_bytes(workers[i].own, &workers[i].number, sizeof i, 0)));
    }
    /* The threads were allowed exactly the limit, so nothing is left. */
    EQUAL(exact_limit, exact_units);
    EQUAL(0, left(limiter, SECOND, tollgate_charge_shared(workers[0].exact, 0)));
    EQUAL(3 * exact_units, day_units);
    EQUAL(day_limit - day_units, left(limiter, SECOND, tollgate_charge_shared(workers[0].day, 0)));
    STATUS(TOLLGATE_OK, tollgate_get_stats(limiter, workers[0].exact, &stats));
    EQUAL(exact_units, stats.admitted);
    EQUAL(requests, stats.admitted + stats.denied);
    STATUS(TOLLGATE_OK, tollgate_get_stats(limiter, workers[0].bucketed, &stats));
    EQUAL(THREADS * (TURNS / 4) * 8, stats.admitted + stats.denied);
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
    return passed();
}
