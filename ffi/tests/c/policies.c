/* Policies: lookup, listing, changes of limits. */
#include "fixture.h"

static void found_by_name_and_by_index(void) {
    static const char *const names[] = {"b", "a", "a b~"};
    tollgate_policy policies[3];
    tollgate_limiter *limiter;
    uint64_t policy = 1;
    size_t index;
    char copied[] = "b";
    for (index = 0; index < 3; index++) {
        policies[index] = sliding(names[index], 10, SECOND);
    }
    policies[0].name = copied;
    limiter = limiter_of(policies, 3);
    copied[0] = 'x';
    for (index = 0;; index++) {
        const char *name = NULL;
        tollgate_status status = tollgate_policy_at(limiter, index, &policy, &name);
        if (status != TOLLGATE_OK) {
            STATUS(TOLLGATE_E_POLICY, status);
            break;
        }
        TEXT(names[index], name);
        EQUAL(id_of(limiter, names[index]), policy);
    }
    EQUAL(3, index);
    STATUS(TOLLGATE_OK, tollgate_policy_at(limiter, 2, NULL, NULL));
    STATUS(TOLLGATE_E_POLICY, tollgate_policy_at(limiter, SIZE_MAX, &policy, NULL));
    STATUS(TOLLGATE_E_POLICY, tollgate_policy_find(limiter, "c", &policy));
    EQUAL(0, policy);
    STATUS(TOLLGATE_E_POLICY, tollgate_policy_find(limiter, "\xff", &policy));
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

/* A policy of another limiter, or of none, is an error in every function. */
static void policies_of_other_limiters_are_errors(void) {
    tollgate_policy policy = sliding("p", 10, SECOND);
    tollgate_limiter *mine = limiter_of(&policy, 1), *other = limiter_of(&policy, 1);
    uint64_t strangers[3], number;
    tollgate_now now = at(0);
    size_t i;
    strangers[0] = id_of(other, "p");
    strangers[1] = 0;
    strangers[2] = UINT64_MAX;
    CHECK(strangers[0] != id_of(mine, "p"));
    for (i = 0; i < 3; i++) {
        tollgate_charge charge = tollgate_charge_shared(strangers[i], 1);
        tollgate_decision decision;
        tollgate_policy_status status, before;
        tollgate_reservation reservation;
        tollgate_stats stats = TOLLGATE_STATS_INIT;
        tollgate_error error;
        memset(&before, 'x', sizeof before);
        status = before;
        STATUS(TOLLGATE_E_POLICY, tollgate_get_limit(mine, strangers[i], &number));
        STATUS(TOLLGATE_E_POLICY, tollgate_get_bounds(mine, strangers[i], NULL, NULL));
        STATUS(TOLLGATE_E_POLICY, tollgate_set_limit(mine, strangers[i], 5, &error));
        EQUAL(TOLLGATE_E_POLICY, error.status);
        STATUS(TOLLGATE_E_POLICY, tollgate_resolution(mine, strangers[i], &number));
        STATUS(TOLLGATE_E_POLICY, tollgate_get_stats(mine, strangers[i], &stats));
        STATUS(TOLLGATE_E_POLICY, tollgate_check(mine, &now, &charge, 1, &decision));
        EQUAL(TOLLGATE_E_POLICY, decision.status);
        EQUAL(TOLLGATE_NEVER, decision.retry_after_ns);
        STATUS(TOLLGATE_E_POLICY, tollgate_check_key(mine, &now, strangers[i], "k", 1, 1, &decision));
        STATUS(TOLLGATE_E_POLICY, tollgate_check_with_status(mine, &now, &charge, 1, &decision, &status));
        STATUS(TOLLGATE_E_POLICY, tollgate_peek(mine, &now, &charge, 1, &decision));
        STATUS(TOLLGATE_E_POLICY, tollgate_peek_with_status(mine, &now, &charge, 1, NULL, &status));
        STATUS(TOLLGATE_E_POLICY, tollgate_force_charge(mine, &now, &charge, 1, &decision));
        STATUS(TOLLGATE_E_POLICY, tollgate_refund(mine, &now, &charge, &number));
        EQUAL(0, number);
        STATUS(TOLLGATE_E_POLICY, tollgate_reset_key(mine, &now, &charge));
        STATUS(TOLLGATE_E_POLICY, tollgate_reserve(mine, &now, &charge, 1, &reservation, NULL, &status));
        STATUS(TOLLGATE_E_HANDLE, tollgate_cancel(mine, &now, &reservation, NULL));
        /* Statuses are not written after an error. */
        CHECK(memcmp(&before, &status, sizeof status) == 0);
    }
    STATUS(TOLLGATE_OK, tollgate_free(other));
    STATUS(TOLLGATE_OK, tollgate_free(mine));
}

/* A new limit applies to later requests, and usage stays as it is. */
static void limits_change(void) {
    tollgate_policy policy = sliding("p", 10, SECOND);
    tollgate_limiter *limiter;
    tollgate_charge charge;
    tollgate_now now = at(0);
    tollgate_decision decision;
    tollgate_error error;
    uint64_t id, limit;
    policy.max_limit = 100;
    limiter = limiter_of(&policy, 1);
    id = id_of(limiter, "p");
    charge = tollgate_charge_shared(id, 10);
    STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, &charge, 1, NULL));
    STATUS(TOLLGATE_OK, tollgate_set_limit(limiter, id, 25, NULL));
    STATUS(TOLLGATE_OK, tollgate_get_limit(limiter, id, &limit));
    EQUAL(25, limit);
    EQUAL(15, left(limiter, 0, charge));
    STATUS(TOLLGATE_E_MAX_LIMIT, tollgate_set_limit(limiter, id, 101, &error));
    STATUS(TOLLGATE_E_MAX_LIMIT, tollgate_set_limit(limiter, id, UINT64_MAX, &error));
    STATUS(TOLLGATE_OK, tollgate_get_limit(limiter, id, &limit));
    EQUAL(25, limit);
    STATUS(TOLLGATE_OK, tollgate_set_limit(limiter, id, 5, &error));
    charge.cost = 1;
    STATUS(TOLLGATE_DENIED, tollgate_check(limiter, &now, &charge, 1, &decision));
    EQUAL(0, decision.remaining);
    /* The limit of a charge is at most max_limit. */
    charge.limit = 1000;
    charge.cost = 90;
    STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, &charge, 1, &decision));
    EQUAL(100, decision.limit);
    EQUAL(0, decision.remaining);
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

/* Times are rounded down to the resolution. */
static void resolution_of_a_policy(void) {
    tollgate_policy policies[2];
    tollgate_limiter *limiter;
    uint64_t exact, coarse;
    policies[0] = sliding("exact", 10, SECOND);
    policies[1] = sliding("coarse", UINT64_C(1) << 40, 400 * 24 * HOUR_NS);
    limiter = limiter_of(policies, 2);
    STATUS(TOLLGATE_OK, tollgate_resolution(limiter, id_of(limiter, "exact"), &exact));
    STATUS(TOLLGATE_OK, tollgate_resolution(limiter, id_of(limiter, "coarse"), &coarse));
    EQUAL(1, exact);
    CHECK(coarse > MILLI);
    EQUAL(0, coarse & (coarse - 1));
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

int main(void) {
    found_by_name_and_by_index();
    policies_of_other_limiters_are_errors();
    limits_change();
    resolution_of_a_policy();
    return passed();
}
