/* An exact policy decides like a log of all charges, with the same wait: it is compared with an oracle
 * in C at random times and costs. Waits are exact: denied one nanosecond before, then allowed. */
#include "fixture.h"

#define LIMIT 7
#define WINDOW (10 * MILLI)

/* The times of the admitted units, oldest first. */
typedef struct {
    uint64_t times[LIMIT];
    size_t count;
} oracle;

static void forget_expired(oracle *log, uint64_t now) {
    size_t gone = 0;
    while (gone < log->count && now - log->times[gone] >= WINDOW) {
        gone++;
    }
    log->count -= gone;
    memmove(log->times, log->times + gone, log->count * sizeof log->times[0]);
}

static tollgate_decision oracle_decision(oracle *log, uint64_t now, uint64_t cost) {
    tollgate_decision expected;
    memset(&expected, 0, sizeof expected);
    forget_expired(log, now);
    expected.limit = LIMIT;
    if (cost > LIMIT) {
        expected.status = TOLLGATE_IMPOSSIBLE;
        expected.retry_after_ns = TOLLGATE_NEVER;
    } else if (log->count + cost > LIMIT) {
        expected.status = TOLLGATE_DENIED;
        expected.retry_after_ns = log->times[log->count + cost - LIMIT - 1] + WINDOW - now;
    } else {
        for (; cost > 0; cost--) {
            log->times[log->count++] = now;
        }
    }
    expected.remaining = LIMIT - log->count;
    expected.reset_after_ns = log->count > 0 ? log->times[log->count - 1] + WINDOW - now : 0;
    return expected;
}

static void same_decision(const tollgate_decision *expected, const tollgate_decision *actual) {
    EQUAL(expected->status, actual->status);
    EQUAL(expected->limit, actual->limit);
    EQUAL(expected->remaining, actual->remaining);
    EQUAL(expected->retry_after_ns, actual->retry_after_ns);
    EQUAL(expected->reset_after_ns, actual->reset_after_ns);
    EQUAL(0, actual->flags);
    CHECK(actual->reserved[0] == 0 && actual->reserved[1] == 0);
}

/* Steps to the edges of windows: the last wait or a whole window, and each of these less one nanosecond. */
static uint64_t step(uint64_t random, uint64_t last_wait) {
    switch (random % 6) {
    case 0: return 0;
    case 1: return 1;
    case 2: return last_wait == TOLLGATE_NEVER ? 0 : last_wait;
    case 3: return last_wait == TOLLGATE_NEVER || last_wait == 0 ? 0 : last_wait - 1;
    case 4: return WINDOW - (random >> 8) % 2;
    default: return (random >> 8) % (WINDOW / 2);
    }
}

static void decides_like_the_oracle(void) {
    tollgate_policy policy = sliding("p", LIMIT, WINDOW);
    tollgate_limiter *limiter = limiter_of(&policy, 1);
    uint64_t seed = seed_or(1), now_ns = 0, wait = 0, id = id_of(limiter, "p");
    oracle log = {{0}, 0};
    unsigned turn;
    for (turn = 0; turn < 30000; turn++) {
        tollgate_decision expected, peeked, actual;
        tollgate_charge charge;
        tollgate_now now;
        uint64_t cost = next_random(&seed) % 9;
        now_ns += step(next_random(&seed), wait);
        now = at(now_ns);
        charge = tollgate_charge_bytes(id, "key", 3, cost);
        CHECK(tollgate_peek(limiter, &now, &charge, 1, &peeked) >= TOLLGATE_OK);
        expected = oracle_decision(&log, now_ns, cost);
        STATUS(expected.status, turn % 2 == 0
                                    ? tollgate_check(limiter, &now, &charge, 1, &actual)
                                    : tollgate_check_key(limiter, &now, id, "key", 3, cost, &actual));
        same_decision(&expected, &actual);
        EQUAL(id, actual.policy);
        /* An earlier peek has the same decision, and charged nothing. */
        EQUAL(expected.status, peeked.status);
        EQUAL(expected.retry_after_ns, peeked.retry_after_ns);
        wait = actual.status == TOLLGATE_DENIED ? actual.retry_after_ns : actual.reset_after_ns;
    }
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

/* For every kind of policy the wait of a denial is long enough. For exact and calendar policies it is
 * also the shortest. */
static void a_wait_is_long_enough(tollgate_policy policy, int tight) {
    tollgate_limiter *limiter = limiter_of(&policy, 1);
    uint64_t seed = seed_or(2), now_ns = 0;
    tollgate_charge charge = tollgate_charge_number(id_of(limiter, policy.name), 5, 0);
    unsigned turn, denials = 0;
    for (turn = 0; turn < 3000; turn++) {
        tollgate_decision decision;
        tollgate_now now, before, then;
        now_ns += next_random(&seed) % (WINDOW / 4);
        now = at(now_ns);
        charge.cost = 1 + next_random(&seed) % policy.limit;
        if (tollgate_check(limiter, &now, &charge, 1, &decision) != TOLLGATE_DENIED) {
            continue;
        }
        denials++;
        CHECK(decision.retry_after_ns > 0);
        before = at(now_ns + decision.retry_after_ns - 1);
        then = at(now_ns + decision.retry_after_ns);
        if (tight) {
            STATUS(TOLLGATE_DENIED, tollgate_peek(limiter, &before, &charge, 1, NULL));
        }
        STATUS(TOLLGATE_OK, tollgate_peek(limiter, &then, &charge, 1, NULL));
        if (turn % 3 == 0) {
            now_ns += decision.retry_after_ns;
            STATUS(TOLLGATE_OK, tollgate_check(limiter, &then, &charge, 1, NULL));
        }
    }
    CHECK(denials > 500);
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

int main(void) {
    decides_like_the_oracle();
    a_wait_is_long_enough(sliding("exact", 100, WINDOW), 1);
    a_wait_is_long_enough(sliding("buckets", 10000, WINDOW), 0);
    a_wait_is_long_enough(calendar("hour", 1000, TOLLGATE_HOUR), 1);
    return passed();
}
