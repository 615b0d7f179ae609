/* Requests of several charges: all or none, policy statuses, batches, refunds, resets. */
#include "fixture.h"

enum { NARROW, WIDE, DAY, POLICIES };

static const uint64_t limits[POLICIES] = {3, 1000, 50};

static tollgate_limiter *three(uint64_t ids[POLICIES]) {
    tollgate_policy policies[POLICIES];
    tollgate_limiter *limiter;
    policies[NARROW] = sliding("narrow", limits[NARROW], SECOND);
    policies[WIDE] = sliding("wide", limits[WIDE], 10 * SECOND);
    policies[DAY] = calendar("day", limits[DAY], TOLLGATE_DAY);
    limiter = limiter_of(policies, POLICIES);
    ids[NARROW] = id_of(limiter, "narrow");
    ids[WIDE] = id_of(limiter, "wide");
    ids[DAY] = id_of(limiter, "day");
    return limiter;
}

static void request_of(const uint64_t ids[POLICIES], uint64_t key, tollgate_charge charges[POLICIES]) {
    charges[NARROW] = tollgate_charge_number(ids[NARROW], key, 1);
    charges[WIDE] = tollgate_charge_bytes(ids[WIDE], &key, 0, 10);
    charges[DAY] = tollgate_charge_shared(ids[DAY], 2);
}

/* Random costs: every policy is charged in full or not at all, and the statuses are those of a later
 * peek. */
static void all_policies_or_none(void) {
    uint64_t ids[POLICIES], seed = seed_or(3), now_ns = 0;
    tollgate_limiter *limiter = three(ids);
    unsigned turn, outcomes[3] = {0, 0, 0};
    for (turn = 0; turn < 4000; turn++) {
        tollgate_charge charges[POLICIES];
        tollgate_policy_status statuses[POLICIES];
        tollgate_decision decision;
        tollgate_now now;
        tollgate_status status;
        uint64_t before[POLICIES], wait = 0;
        size_t i, first = POLICIES;
        /* Half a day now and then: a used up budget denies most requests of its day. */
        now_ns += turn % 50 == 0 ? 12 * HOUR_NS : next_random(&seed) % (SECOND / 4);
        now = at(now_ns);
        request_of(ids, turn % 2, charges);
        for (i = 0; i < POLICIES; i++) {
            charges[i].cost = next_random(&seed) % (limits[i] / 2 + 2);
            before[i] = left(limiter, now_ns, charges[i]);
        }
        if (turn % 100 == 0) {
            charges[turn / 100 % POLICIES].cost = limits[turn / 100 % POLICIES] + 1;
        }
        status = tollgate_check_with_status(limiter, &now, charges, POLICIES, &decision, statuses);
        CHECK(status >= TOLLGATE_OK && status <= TOLLGATE_IMPOSSIBLE);
        EQUAL(status, decision.status);
        outcomes[status]++;
        for (i = 0; i < POLICIES; i++) {
            uint64_t charged = status == TOLLGATE_OK ? charges[i].cost : 0;
            EQUAL(before[i] - charged, left(limiter, now_ns, charges[i]));
            EQUAL(before[i] - charged, statuses[i].remaining);
            EQUAL(ids[i], statuses[i].policy);
            EQUAL(limits[i], statuses[i].limit);
            EQUAL(0, statuses[i].reserved);
            EQUAL(before[i] < charges[i].cost ? TOLLGATE_VIOLATED : 0, statuses[i].flags);
            CHECK((statuses[i].retry_after_ns > 0) == (statuses[i].flags != 0));
            CHECK((statuses[i].retry_after_ns == TOLLGATE_NEVER) == (charges[i].cost > limits[i]));
            first = first == POLICIES && statuses[i].flags != 0 ? i : first;
            wait = statuses[i].retry_after_ns > wait ? statuses[i].retry_after_ns : wait;
        }
        EQUAL(first == POLICIES, status == TOLLGATE_OK);
        EQUAL(wait, decision.retry_after_ns);
        if (first < POLICIES) {
            EQUAL(ids[first], decision.policy);
            EQUAL(statuses[first].remaining, decision.remaining);
        }
    }
    CHECK(outcomes[TOLLGATE_OK] > 100 && outcomes[TOLLGATE_DENIED] > 100);
    CHECK(outcomes[TOLLGATE_IMPOSSIBLE] > 0);
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

/* The wait of a request is the longest over its policies: denied one nanosecond before, then allowed. */
static void the_longest_wait_is_exact(void) {
    tollgate_policy policies[2];
    tollgate_limiter *limiter;
    tollgate_charge charges[2];
    tollgate_decision decision;
    tollgate_now now = at(0);
    policies[0] = sliding("short", 1, SECOND);
    policies[1] = sliding("long", 1, 5 * SECOND);
    limiter = limiter_of(policies, 2);
    charges[0] = tollgate_charge_shared(id_of(limiter, "short"), 1);
    charges[1] = tollgate_charge_shared(id_of(limiter, "long"), 1);
    STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, charges, 2, NULL));
    STATUS(TOLLGATE_DENIED, tollgate_check(limiter, &now, charges, 2, &decision));
    EQUAL(charges[0].policy, decision.policy);
    EQUAL(5 * SECOND, decision.retry_after_ns);
    now = at(decision.retry_after_ns - 1);
    STATUS(TOLLGATE_DENIED, tollgate_check(limiter, &now, charges, 2, &decision));
    EQUAL(charges[1].policy, decision.policy);
    now = at(5 * SECOND);
    STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, charges, 2, NULL));
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

/* A request has 0 to 16 charges, not 17. Charges to one key under one policy add up. */
static void number_of_charges(void) {
    uint64_t ids[POLICIES];
    tollgate_limiter *limiter = three(ids);
    tollgate_charge charges[17];
    tollgate_policy_status statuses[17];
    tollgate_decision decision;
    tollgate_now now = at(0);
    size_t i;
    STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, NULL, 0, &decision));
    EQUAL(0, decision.retry_after_ns);
    STATUS(TOLLGATE_OK, tollgate_check_with_status(limiter, &now, NULL, 0, NULL, NULL));
    STATUS(TOLLGATE_OK, tollgate_peek_with_status(limiter, &now, charges, 0, NULL, NULL));
    for (i = 0; i < 17; i++) {
        charges[i] = tollgate_charge_shared(ids[DAY], 3);
    }
    STATUS(TOLLGATE_OK, tollgate_check_with_status(limiter, &now, charges, 16, &decision, statuses));
    EQUAL(50 - 48, left(limiter, 0, charges[0]));
    STATUS(TOLLGATE_E_TOO_MANY, tollgate_check(limiter, &now, charges, 17, &decision));
    STATUS(TOLLGATE_E_TOO_MANY, tollgate_peek(limiter, &now, charges, SIZE_MAX, &decision));
    STATUS(TOLLGATE_E_TOO_MANY, tollgate_force_charge(limiter, &now, charges, 17, &decision));
    STATUS(TOLLGATE_E_TOO_MANY,
           tollgate_check_with_status(limiter, &now, charges, 17, &decision, statuses));
    EQUAL(50 - 48, left(limiter, 0, charges[0]));
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

/* An error in any charge charges nothing, and writes no status. */
static void an_error_charges_nothing(void) {
    uint64_t ids[POLICIES];
    tollgate_limiter *limiter = three(ids);
    tollgate_charge charges[POLICIES];
    tollgate_policy_status statuses[POLICIES], same[POLICIES];
    tollgate_decision decision;
    tollgate_now now = at(0);
    request_of(ids, 1, charges);
    memset(statuses, 'x', sizeof statuses);
    memcpy(same, statuses, sizeof statuses);
    charges[DAY].key.kind = TOLLGATE_KEY_PARTS + 1;
    STATUS(TOLLGATE_E_ARGUMENT,
           tollgate_check_with_status(limiter, &now, charges, POLICIES, NULL, statuses));
    charges[DAY].key.kind = TOLLGATE_KEY_SHARED;
    charges[DAY].policy = 0;
    STATUS(TOLLGATE_E_POLICY,
           tollgate_check_with_status(limiter, &now, charges, POLICIES, &decision, statuses));
    CHECK(memcmp(same, statuses, sizeof statuses) == 0);
    EQUAL(limits[NARROW], left(limiter, 0, charges[NARROW]));
    EQUAL(limits[WIDE], left(limiter, 0, charges[WIDE]));
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

/* A batch decides like single checks. An unknown policy is an error in its own decision only. */
static void a_batch_decides_like_single_checks(void) {
    uint64_t a[POLICIES], b[POLICIES], seed = seed_or(4);
    tollgate_limiter *batch = three(a), *single = three(b);
    unsigned turn;
    for (turn = 0; turn < 300; turn++) {
        tollgate_charge charges[100];
        tollgate_decision many[100], one;
        tollgate_now now = at(turn * (SECOND / 10));
        size_t count = next_random(&seed) % 101, i, allowed = SIZE_MAX, expected = 0;
        uint64_t policies[100];
        for (i = 0; i < count; i++) {
            uint64_t random = next_random(&seed);
            policies[i] = random % 50 == 0 ? POLICIES : random % POLICIES;
            charges[i] = tollgate_charge_number(policies[i] == POLICIES ? 0 : a[policies[i]],
                                                (random >> 8) % 40, (random >> 16) % 4);
        }
        STATUS(TOLLGATE_OK, tollgate_check_many(batch, &now, charges, count, many, &allowed));
        for (i = 0; i < count; i++) {
            charges[i].policy = policies[i] == POLICIES ? 0 : b[policies[i]];
            expected += tollgate_check(single, &now, &charges[i], 1, &one) == TOLLGATE_OK;
            EQUAL(one.status, many[i].status);
            EQUAL(one.remaining, many[i].remaining);
            EQUAL(one.retry_after_ns, many[i].retry_after_ns);
            EQUAL(one.reset_after_ns, many[i].reset_after_ns);
        }
        EQUAL(expected, allowed);
    }
    STATUS(TOLLGATE_OK, tollgate_free(batch));
    STATUS(TOLLGATE_OK, tollgate_free(single));
}

/* An invalid key stops a batch: the groups of 32 before it are decided and written. */
static void an_invalid_key_stops_a_batch(void) {
    uint64_t ids[POLICIES];
    tollgate_limiter *limiter = three(ids);
    tollgate_charge charges[80];
    tollgate_decision decisions[80];
    tollgate_now now = at(0);
    size_t i, allowed = SIZE_MAX;
    STATUS(TOLLGATE_OK, tollgate_check_many(limiter, &now, NULL, 0, NULL, NULL));
    STATUS(TOLLGATE_OK, tollgate_check_many(limiter, &now, NULL, 0, decisions, &allowed));
    EQUAL(0, allowed);
    for (i = 0; i < 80; i++) {
        charges[i] = tollgate_charge_shared(ids[WIDE], 1);
    }
    memset(decisions, 'x', sizeof decisions);
    charges[70].key.kind = 77;
    STATUS(TOLLGATE_E_ARGUMENT,
           tollgate_check_many(limiter, &now, charges, 80, decisions, &allowed));
    EQUAL(64, allowed);
    EQUAL(limits[WIDE] - 64, left(limiter, 0, charges[0]));
    EQUAL(limits[WIDE] - 64, decisions[63].remaining);
    CHECK(decisions[64].status != TOLLGATE_OK);
    charges[70] = tollgate_charge_bytes(ids[WIDE], NULL, 1, 1);
    STATUS(TOLLGATE_E_NULL, tollgate_check_many(limiter, &now, charges, 80, NULL, NULL));
    EQUAL(limits[WIDE] - 128, left(limiter, 0, charges[0]));
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

/* A forced charge may exceed the limit. The excess must expire before anything is admitted. */
static void an_excess_blocks(void) {
    uint64_t ids[POLICIES];
    tollgate_limiter *limiter = three(ids);
    tollgate_charge charge = tollgate_charge_shared(ids[NARROW], 10);
    tollgate_decision decision;
    tollgate_now now = at(0);
    STATUS(TOLLGATE_IMPOSSIBLE, tollgate_check(limiter, &now, &charge, 1, &decision));
    EQUAL(TOLLGATE_NEVER, decision.retry_after_ns);
    STATUS(TOLLGATE_OK, tollgate_force_charge(limiter, &now, &charge, 1, &decision));
    EQUAL(0, decision.remaining);
    charge.cost = 1;
    now = at(SECOND - 1);
    STATUS(TOLLGATE_DENIED, tollgate_check(limiter, &now, &charge, 1, &decision));
    EQUAL(1, decision.retry_after_ns);
    now = at(SECOND);
    STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, &charge, 1, NULL));
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

/* A refund returns at most the usage and the cost. A reset clears only its key. */
static void refunds_and_resets(void) {
    uint64_t ids[POLICIES], given = 77;
    tollgate_limiter *limiter = three(ids);
    tollgate_charge mine = tollgate_charge_number(ids[WIDE], 1, 30), other = mine;
    tollgate_now now = at(0);
    other.key.number = 2;
    STATUS(TOLLGATE_OK, tollgate_refund(limiter, &now, &mine, &given));
    EQUAL(0, given);
    STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, &mine, 1, NULL));
    STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, &other, 1, NULL));
    mine.cost = 10;
    STATUS(TOLLGATE_OK, tollgate_refund(limiter, &now, &mine, &given));
    EQUAL(10, given);
    mine.cost = 1000;
    STATUS(TOLLGATE_OK, tollgate_refund(limiter, &now, &mine, NULL));
    EQUAL(limits[WIDE], left(limiter, 0, mine));
    EQUAL(limits[WIDE] - 30, left(limiter, 0, other));
    mine.cost = 500;
    STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, &mine, 1, NULL));
    STATUS(TOLLGATE_OK, tollgate_reset_key(limiter, &now, &mine));
    EQUAL(limits[WIDE], left(limiter, 0, mine));
    EQUAL(limits[WIDE] - 30, left(limiter, 0, other));
    mine.key.kind = 9;
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_refund(limiter, &now, &mine, &given));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_reset_key(limiter, &now, &mine));
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

/* A period counts until its end, and the next one begins empty. The offset moves its start. */
static void a_period_begins_empty(void) {
    tollgate_policy policies[3];
    static const char *const names[] = {"hour", "day east", "month"};
    static const uint64_t ends[] = {1, 22, 31 * 24};
    tollgate_limiter *limiter;
    size_t i;
    policies[0] = calendar(names[0], 5, TOLLGATE_HOUR);
    policies[1] = calendar(names[1], 5, TOLLGATE_DAY);
    policies[1].offset_seconds = 2 * 3600;
    policies[2] = calendar(names[2], 5, TOLLGATE_MONTH);
    limiter = limiter_of(policies, 3);
    for (i = 0; i < 3; i++) {
        tollgate_charge charge = tollgate_charge_shared(id_of(limiter, names[i]), 5);
        tollgate_now now = at(0);
        tollgate_decision decision;
        STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, &charge, 1, NULL));
        now = at(ends[i] * HOUR_NS - 1);
        STATUS(TOLLGATE_DENIED, tollgate_check(limiter, &now, &charge, 1, &decision));
        EQUAL(1, decision.retry_after_ns);
        now = at(ends[i] * HOUR_NS);
        STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, &charge, 1, NULL));
        /* A clock that steps back makes no room. */
        now = at(0);
        STATUS(TOLLGATE_DENIED, tollgate_check(limiter, &now, &charge, 1, NULL));
    }
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

int main(void) {
    all_policies_or_none();
    the_longest_wait_is_exact();
    number_of_charges();
    an_error_charges_nothing();
    a_batch_decides_like_single_checks();
    an_invalid_key_stops_a_batch();
    an_excess_blocks();
    refunds_and_resets();
    a_period_begins_empty();
    return passed();
}
