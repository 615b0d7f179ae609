/* A limiter's policies: found, listed, and their limits changed while it runs. */
#include "scene.h"

static void found_by_name_and_by_place(void) {
    static const char *const names[] = {"b", "a", "a b~"};
    tollgate_policy policies[3];
    tollgate_limiter *limiter;
    uint64_t policy = 1;
    size_t place;
    char copied[] = "b";
    for (place = 0; place < 3; place++) {
        policies[place] = sliding(names[place], 10, SECOND);
    }
    policies[0].name = copied;
    limiter = limiter_of(policies, 3);
    copied[0] = 'x';
    for (place = 0;; place++) {
        const char *name = NULL;
        tollgate_status status = tollgate_policy_at(limiter, place, &policy, &name);
        if (status != TOLLGATE_OK) {
            ANSWER(TOLLGATE_E_POLICY, status);
            break;
        }
        TEXT(names[place], name);
        EQUAL(id_of(limiter, names[place]), policy);
    }
    EQUAL(3, place);
    ANSWER(TOLLGATE_OK, tollgate_policy_at(limiter, 2, NULL, NULL));
    ANSWER(TOLLGATE_E_POLICY, tollgate_policy_at(limiter, SIZE_MAX, &policy, NULL));
    ANSWER(TOLLGATE_E_POLICY, tollgate_policy_find(limiter, "c", &policy));
    EQUAL(0, policy);
    ANSWER(TOLLGATE_E_POLICY, tollgate_policy_find(limiter, "\xff", &policy));
    ANSWER(TOLLGATE_OK, tollgate_free(limiter));
}

/* A number that another limiter gave, or nobody, is told everywhere. */
static void policies_of_others_are_strangers(void) {
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
        tollgate_policy_status layer, before;
        tollgate_reservation reservation;
        tollgate_stats stats = TOLLGATE_STATS_INIT;
        tollgate_error error;
        memset(&before, 'x', sizeof before);
        layer = before;
        ANSWER(TOLLGATE_E_POLICY, tollgate_get_limit(mine, strangers[i], &number));
        ANSWER(TOLLGATE_E_POLICY, tollgate_set_limit(mine, strangers[i], 5, &error));
        EQUAL(TOLLGATE_E_POLICY, error.status);
        ANSWER(TOLLGATE_E_POLICY, tollgate_resolution(mine, strangers[i], &number));
        ANSWER(TOLLGATE_E_POLICY, tollgate_get_stats(mine, strangers[i], &stats));
        ANSWER(TOLLGATE_E_POLICY, tollgate_check(mine, &now, &charge, 1, &decision));
        EQUAL(TOLLGATE_E_POLICY, decision.status);
        EQUAL(TOLLGATE_NEVER, decision.retry_after_ns);
        ANSWER(TOLLGATE_E_POLICY, tollgate_check_key(mine, &now, strangers[i], "k", 1, 1, &decision));
        ANSWER(TOLLGATE_E_POLICY, tollgate_check_with_status(mine, &now, &charge, 1, &decision, &layer));
        ANSWER(TOLLGATE_E_POLICY, tollgate_peek(mine, &now, &charge, 1, &decision));
        ANSWER(TOLLGATE_E_POLICY, tollgate_peek_with_status(mine, &now, &charge, 1, NULL, &layer));
        ANSWER(TOLLGATE_E_POLICY, tollgate_force_charge(mine, &now, &charge, 1, &decision));
        ANSWER(TOLLGATE_E_POLICY, tollgate_refund(mine, &now, &charge, &number));
        EQUAL(0, number);
        ANSWER(TOLLGATE_E_POLICY, tollgate_reset_key(mine, &now, &charge));
        ANSWER(TOLLGATE_E_POLICY, tollgate_reserve(mine, &now, &charge, 1, &reservation, NULL, &layer));
        ANSWER(TOLLGATE_E_HANDLE, tollgate_cancel(mine, &now, &reservation, NULL));
        /* After an error layers are untouched. */
        CHECK(memcmp(&before, &layer, sizeof layer) == 0);
    }
    ANSWER(TOLLGATE_OK, tollgate_free(other));
    ANSWER(TOLLGATE_OK, tollgate_free(mine));
}

/* A limit that changes holds for all that comes, and forgets nothing that was. */
static void limits_change_while_it_runs(void) {
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
    ANSWER(TOLLGATE_OK, tollgate_check(limiter, &now, &charge, 1, NULL));
    ANSWER(TOLLGATE_OK, tollgate_set_limit(limiter, id, 25, NULL));
    ANSWER(TOLLGATE_OK, tollgate_get_limit(limiter, id, &limit));
    EQUAL(25, limit);
    EQUAL(15, left(limiter, 0, charge));
    ANSWER(TOLLGATE_E_LIMIT, tollgate_set_limit(limiter, id, 0, &error));
    CHECK(strstr(error.message, "limit 0") != NULL);
    ANSWER(TOLLGATE_E_MAX_LIMIT, tollgate_set_limit(limiter, id, 101, &error));
    CHECK(strstr(error.message, "101") != NULL);
    ANSWER(TOLLGATE_OK, tollgate_get_limit(limiter, id, &limit));
    EQUAL(25, limit);
    ANSWER(TOLLGATE_OK, tollgate_set_limit(limiter, id, 5, &error));
    charge.cost = 1;
    ANSWER(TOLLGATE_DENIED, tollgate_check(limiter, &now, &charge, 1, &decision));
    EQUAL(0, decision.remaining);
    /* A charge's own limit is cut to the greatest. */
    charge.limit = 1000;
    charge.cost = 90;
    ANSWER(TOLLGATE_OK, tollgate_check(limiter, &now, &charge, 1, &decision));
    EQUAL(100, decision.limit);
    EQUAL(0, decision.remaining);
    ANSWER(TOLLGATE_OK, tollgate_free(limiter));
}

/* Times are cut to the resolution: within it a charge has one age. */
static void the_resolution_is_told(void) {
    tollgate_policy policies[2];
    tollgate_limiter *limiter;
    uint64_t exact, coarse;
    policies[0] = sliding("exact", 10, SECOND);
    policies[1] = sliding("coarse", UINT64_C(1) << 40, 400 * 24 * HOUR_NS);
    limiter = limiter_of(policies, 2);
    ANSWER(TOLLGATE_OK, tollgate_resolution(limiter, id_of(limiter, "exact"), &exact));
    ANSWER(TOLLGATE_OK, tollgate_resolution(limiter, id_of(limiter, "coarse"), &coarse));
    EQUAL(1, exact);
    CHECK(coarse > MILLI);
    ANSWER(TOLLGATE_OK, tollgate_free(limiter));
}

int main(void) {
    found_by_name_and_by_place();
    policies_of_others_are_strangers();
    limits_change_while_it_runs();
    the_resolution_is_told();
    return passed();
}
