/* Statistics, with structs of any version, and maintenance. */
#include <stddef.h>

#include "fixture.h"

static tollgate_limiter *limiter;
static uint64_t policy;

static void every_decision_is_counted(void) {
    tollgate_stats stats = TOLLGATE_STATS_INIT;
    tollgate_now now = at(0);
    uint64_t key;
    for (key = 0; key < 30; key++) {
        uint64_t owner = key % 10;
        STATUS(key < 20 ? TOLLGATE_OK : TOLLGATE_DENIED,
               tollgate_check_key(limiter, &now, policy, &owner, sizeof owner, 1, NULL));
    }
    STATUS(TOLLGATE_IMPOSSIBLE, tollgate_check_key(limiter, &now, policy, "k", 1, 3, NULL));
    STATUS(TOLLGATE_OK, tollgate_get_stats(limiter, policy, &stats));
    EQUAL(sizeof stats, stats.struct_size);
    EQUAL(0, stats.reserved);
    EQUAL(20, stats.admitted);
    EQUAL(11, stats.denied);
    EQUAL(1, stats.impossible);
    EQUAL(20, stats.admitted_units);
    EQUAL(0, stats.refunded_units + stats.dry_run_denied);
    CHECK(stats.used_slots >= 10 && stats.slots > stats.used_slots);
    CHECK(stats.bytes > 0);
    EQUAL(0, stats.refused + stats.untracked + stats.evictions + stats.forgiven);
    EQUAL(0, stats.migrations);
}

/* The stated number of bytes is written, and none after them. */
static void a_struct_of_any_version_is_filled(void) {
    tollgate_stats full = TOLLGATE_STATS_INIT;
    size_t size;
    STATUS(TOLLGATE_OK, tollgate_get_stats(limiter, policy, &full));
    for (size = 0; size <= 4104; size = size < 160 ? size + 1 : size + 61) {
        tollgate_status expected = size >= 8 && size <= 4096 ? TOLLGATE_OK : TOLLGATE_E_ARGUMENT;
        size_t room = size < 8 ? 8 : size, i;
        unsigned char *bytes = malloc(room);
        uint32_t stated = (uint32_t)size;
        CHECK(bytes != NULL);
        memset(bytes, 'x', room);
        memcpy(bytes, &stated, sizeof stated);
        full.struct_size = stated;
        STATUS(expected, tollgate_get_stats(limiter, policy, (tollgate_stats *)(void *)bytes));
        if (expected == TOLLGATE_OK) {
            CHECK(memcmp(bytes, &full, size < sizeof full ? size : sizeof full) == 0);
            for (i = sizeof full; i < size; i++) {
                EQUAL(0, bytes[i]);
            }
        } else {
            EQUAL('x', bytes[room - 1]);
        }
        free(bytes);
    }
}

/* Requests by result. A reservation stays open until it is closed. */
static void requests_are_counted(void) {
    tollgate_policy policies[2];
    tollgate_limiter *counted;
    tollgate_request_stats stats = TOLLGATE_REQUEST_STATS_INIT;
    tollgate_stats of_policy = TOLLGATE_STATS_INIT;
    tollgate_reservation reservation, lost;
    tollgate_charge charges[2];
    tollgate_now now = at(0);
    const uint64_t more = 2, actual = 1;
    policies[0] = sliding("p", 8, SECOND);
    policies[1] = sliding("small", 8, SECOND);
    policies[1].max_keys = 1;
    counted = limiter_of(policies, 2);
    charges[0] = tollgate_charge_number(id_of(counted, "p"), 1, 1);
    charges[1] = tollgate_charge_number(id_of(counted, "small"), 1, 1);
    STATUS(TOLLGATE_OK, tollgate_check(counted, &now, charges, 1, NULL));
    STATUS(TOLLGATE_OK, tollgate_check(counted, &now, charges, 2, NULL));
    STATUS(TOLLGATE_OK, tollgate_peek(counted, &now, charges, 2, NULL));
    STATUS(TOLLGATE_OK, tollgate_reserve(counted, &now, charges, 1, &lost, NULL, NULL));
    STATUS(TOLLGATE_OK, tollgate_reserve(counted, &now, charges, 1, &reservation, NULL, NULL));
    STATUS(TOLLGATE_OK, tollgate_extend(counted, &now, &reservation, &more, 1, NULL));
    STATUS(TOLLGATE_OK, tollgate_settle(counted, &now, &reservation, &actual, 1, NULL));
    charges[1].key.number = 2;
    STATUS(TOLLGATE_TABLE_FULL, tollgate_check(counted, &now, charges, 2, NULL));
    charges[0].cost = 5;
    STATUS(TOLLGATE_DENIED, tollgate_check(counted, &now, charges, 1, NULL));
    charges[0].cost = 9;
    STATUS(TOLLGATE_IMPOSSIBLE, tollgate_check(counted, &now, charges, 1, NULL));
    charges[0].policy = policy;
    STATUS(TOLLGATE_E_POLICY, tollgate_check(counted, &now, charges, 1, NULL));
    STATUS(TOLLGATE_OK, tollgate_get_request_stats(counted, &stats));
    EQUAL(sizeof stats, stats.struct_size);
    EQUAL(0, stats.reserved);
    EQUAL(5, stats.allowed);
    EQUAL(1, stats.denied);
    EQUAL(1, stats.impossible);
    EQUAL(1, stats.table_full);
    EQUAL(1, stats.invalid);
    EQUAL(1, stats.open_reservations);
    STATUS(TOLLGATE_OK, tollgate_get_stats(counted, id_of(counted, "p"), &of_policy));
    EQUAL(6, of_policy.admitted_units);
    EQUAL(2, of_policy.refunded_units);
    stats.struct_size = 4;
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_get_request_stats(counted, &stats));
    STATUS(TOLLGATE_E_NULL, tollgate_get_request_stats(counted, NULL));
    STATUS(TOLLGATE_E_NULL, tollgate_get_request_stats(NULL, &stats));
    STATUS(TOLLGATE_OK, tollgate_free(counted));
}

static void overflow_is_counted(uint32_t overflow) {
    tollgate_policy small = sliding("small", 2, SECOND);
    tollgate_limiter *full;
    tollgate_stats stats = TOLLGATE_STATS_INIT;
    tollgate_charge charge;
    uint64_t key;
    unsigned answers[4] = {0, 0, 0, 0};
    small.max_keys = 300;
    small.overflow = overflow;
    small.allowance = 2;
    full = limiter_of(&small, 1);
    charge = tollgate_charge_number(id_of(full, "small"), 0, 1);
    for (key = 0; key < 3000; key++) {
        tollgate_now now = at(key);
        tollgate_status status;
        charge.key.number = key;
        status = tollgate_check(full, &now, &charge, 1, NULL);
        CHECK(status >= TOLLGATE_OK && status <= TOLLGATE_TABLE_FULL);
        answers[status]++;
    }
    STATUS(TOLLGATE_OK, tollgate_get_stats(full, charge.policy, &stats));
    EQUAL(answers[TOLLGATE_TABLE_FULL], stats.refused);
    EQUAL(answers[TOLLGATE_OK], stats.admitted + stats.untracked);
    EQUAL(3000, stats.admitted + stats.untracked + stats.refused);
    EQUAL(overflow == TOLLGATE_OVERFLOW_ALLOW, stats.untracked > 0);
    /* During a resize, a policy that evicts may refuse as well. */
    CHECK(overflow == TOLLGATE_OVERFLOW_EVICT_LIGHTEST ||
          (overflow == TOLLGATE_OVERFLOW_DENY) == (stats.refused > 0));
    EQUAL(overflow == TOLLGATE_OVERFLOW_EVICT_LIGHTEST, stats.evictions > 0);
    CHECK(stats.forgiven >= stats.evictions && stats.forgiven <= 2 * stats.evictions);
    STATUS(TOLLGATE_OK, tollgate_free(full));
}

/* Idle keys are dropped and their memory is freed. `done` is 1 when no table has work left. */
static void maintenance_frees_memory(void) {
    tollgate_stats before = TOLLGATE_STATS_INIT, after = TOLLGATE_STATS_INIT;
    tollgate_clock *clock = NULL;
    tollgate_options options = TOLLGATE_OPTIONS_INIT;
    tollgate_policy idle = sliding("idle", 2, SECOND);
    tollgate_limiter *large;
    uint64_t key, id;
    int32_t done = 0;
    int turn;
    STATUS(TOLLGATE_OK, tollgate_clock_manual(&clock));
    options.clock = clock;
    STATUS(TOLLGATE_OK, tollgate_new(&options, &idle, 1, &large, NULL));
    id = id_of(large, "idle");
    for (key = 0; key < 50000; key++) {
        STATUS(TOLLGATE_OK, tollgate_check_key(large, NULL, id, &key, sizeof key, 1, NULL));
    }
    STATUS(TOLLGATE_OK, tollgate_get_stats(large, id, &before));
    CHECK(before.live_keys > 25000 && before.migrations > 0);
    STATUS(TOLLGATE_OK, tollgate_clock_advance(clock, 10 * SECOND));
    for (turn = 0; turn < 10000; turn++) {
        STATUS(TOLLGATE_OK, tollgate_maintain(large, 100, turn % 2 == 0 ? &done : NULL));
        CHECK(done == 0 || done == 1);
    }
    EQUAL(1, done);
    STATUS(TOLLGATE_OK, tollgate_get_stats(large, id, &after));
    EQUAL(0, after.live_keys);
    CHECK(after.bytes < before.bytes / 4);
    STATUS(TOLLGATE_OK, tollgate_clock_free(clock));
    STATUS(TOLLGATE_OK, tollgate_free(large));
}

int main(void) {
    tollgate_policy only = sliding("p", 2, SECOND);
    limiter = limiter_of(&only, 1);
    policy = id_of(limiter, "p");
    every_decision_is_counted();
    a_struct_of_any_version_is_filled();
    requests_are_counted();
    overflow_is_counted(TOLLGATE_OVERFLOW_DENY);
    overflow_is_counted(TOLLGATE_OVERFLOW_ALLOW);
    overflow_is_counted(TOLLGATE_OVERFLOW_EVICT_LIGHTEST);
    maintenance_frees_memory();
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
    return passed();
}
