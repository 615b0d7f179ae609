/* Policies in a dry run: they refuse nothing. */
#include "fixture.h"

enum { DRY, OTHER, POLICIES };

static tollgate_limiter *limiter;
static uint64_t id[POLICIES];

static void would_be_denials_pass(void) {
    const tollgate_now now = at(SECOND);
    const tollgate_charge request[POLICIES] = {
        tollgate_charge_number(id[DRY], 1, 1),
        tollgate_charge_number(id[OTHER], 1, 1),
    };
    tollgate_policy_status statuses[POLICIES];
    tollgate_decision decision;
    tollgate_stats stats = TOLLGATE_STATS_INIT;
    uint64_t round;
    for (round = 1; round <= 4; round++) {
        STATUS(TOLLGATE_OK, tollgate_check_with_status(limiter, &now, request, POLICIES, &decision,
                                                       statuses));
        EQUAL(id[OTHER], decision.policy);
        EQUAL(4 - round, decision.remaining);
        EQUAL(0, decision.retry_after_ns);
        EQUAL(TOLLGATE_DRY_RUN | (round > 2 ? TOLLGATE_VIOLATED : 0), statuses[DRY].flags);
        EQUAL(round > 2 ? 10 * SECOND : 0, statuses[DRY].retry_after_ns);
        EQUAL(0, statuses[OTHER].flags);
    }
    /* The enforced policy denies, with its own wait. */
    STATUS(TOLLGATE_DENIED, tollgate_check(limiter, &now, request, POLICIES, &decision));
    EQUAL(id[OTHER], decision.policy);
    EQUAL(SECOND, decision.retry_after_ns);
    /* A cost above the limit of the dry run, alone. */
    {
        tollgate_charge large = request[DRY];
        large.cost = 3;
        STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, &large, 1, &decision));
        EQUAL(id[DRY], decision.policy);
        EQUAL(0, decision.remaining);
    }
    STATUS(TOLLGATE_OK, tollgate_get_stats(limiter, id[DRY], &stats));
    EQUAL(2, stats.admitted);
    EQUAL(0, stats.denied);
    EQUAL(4, stats.dry_run_denied);
    STATUS(TOLLGATE_OK, tollgate_get_stats(limiter, id[OTHER], &stats));
    EQUAL(1, stats.denied);
    EQUAL(0, stats.dry_run_denied);
}

/* HTTP fields do not mention the dry run. */
static void http_fields_skip_it(void) {
    const tollgate_now now = at(SECOND);
    const tollgate_charge request[POLICIES] = {
        tollgate_charge_number(id[DRY], 2, 1),
        tollgate_charge_number(id[OTHER], 2, 1),
    };
    tollgate_policy_status statuses[POLICIES];
    char text[64];
    STATUS(TOLLGATE_OK,
           tollgate_check_with_status(limiter, &now, request, POLICIES, NULL, statuses));
    STATUS(TOLLGATE_OK,
           tollgate_http_policy(limiter, statuses, POLICIES, text, sizeof text, NULL));
    TEXT("\"other\";q=4;w=1", text);
    STATUS(TOLLGATE_OK, tollgate_http_policy(limiter, statuses, 1, text, sizeof text, NULL));
    TEXT("", text);
}

static void unknown_flags_are_errors(void) {
    tollgate_policy policy = sliding("p", 1, SECOND);
    tollgate_limiter *made;
    policy.flags = TOLLGATE_DRY_RUN << 1;
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_new(NULL, &policy, 1, &made, NULL));
    policy.flags = TOLLGATE_VIOLATED;
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_new(NULL, &policy, 1, &made, NULL));
    policy.flags = 0;
    policy.reserved = 1;
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_new(NULL, &policy, 1, &made, NULL));
}

int main(void) {
    tollgate_policy policies[POLICIES];
    policies[DRY] = sliding("dry", 2, 10 * SECOND);
    policies[DRY].flags = TOLLGATE_DRY_RUN;
    policies[OTHER] = sliding("other", 4, SECOND);
    limiter = limiter_of(policies, POLICIES);
    id[DRY] = id_of(limiter, "dry");
    id[OTHER] = id_of(limiter, "other");
    would_be_denials_pass();
    http_fields_skip_it();
    unknown_flags_are_errors();
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
    return passed();
}
