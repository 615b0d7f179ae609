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

/* One key by its bytes, a batch, a session, and a peek. The limit is 2. */
static void each_way_to_check_passes(void) {
    const tollgate_now now = at(100 * SECOND);
    tollgate_charge charges[4];
    tollgate_decision decisions[4], decision;
    tollgate_policy_status status;
    tollgate_session session;
    tollgate_stats before = TOLLGATE_STATS_INIT, after = TOLLGATE_STATS_INIT;
    size_t allowed = 0, i;
    STATUS(TOLLGATE_OK, tollgate_get_stats(limiter, id[DRY], &before));
    for (i = 0; i < 3; i++) {
        STATUS(TOLLGATE_OK, tollgate_check_key(limiter, &now, id[DRY], "alice", 5, 1, &decision));
        EQUAL(i == 0, decision.remaining);
        EQUAL(0, decision.retry_after_ns);
    }
    STATUS(TOLLGATE_OK, tollgate_check_key(limiter, &now, id[DRY], "alice", 5, 3, NULL));
    for (i = 0; i < 4; i++) {
        charges[i] = tollgate_charge_text(id[i < 3 ? DRY : OTHER], "bob", i < 3 ? 1 : 5);
    }
    STATUS(TOLLGATE_OK, tollgate_check_many(limiter, &now, charges, 4, decisions, &allowed));
    EQUAL(3, allowed);
    for (i = 0; i < 4; i++) {
        STATUS(i < 3 ? TOLLGATE_OK : TOLLGATE_IMPOSSIBLE, decisions[i].status);
    }
    STATUS(TOLLGATE_OK, tollgate_session_begin(limiter, &now, &session));
    STATUS(TOLLGATE_OK, tollgate_check(limiter, &session.now, charges, 1, &decision));
    EQUAL(0, decision.remaining);
    STATUS(TOLLGATE_OK, tollgate_session_end(&session));
    /* A peek does not count. A forced charge has no need of room. */
    STATUS(TOLLGATE_OK, tollgate_peek_with_status(limiter, &now, charges, 1, NULL, &status));
    EQUAL(TOLLGATE_DRY_RUN | TOLLGATE_VIOLATED, status.flags);
    EQUAL(10 * SECOND, status.retry_after_ns);
    STATUS(TOLLGATE_OK, tollgate_force_charge(limiter, &now, charges, 1, NULL));
    STATUS(TOLLGATE_OK, tollgate_get_stats(limiter, id[DRY], &after));
    EQUAL(5, after.admitted - before.admitted);
    EQUAL(4, after.dry_run_denied - before.dry_run_denied);
    EQUAL(5, after.admitted_units - before.admitted_units);
    EQUAL(0, after.denied + after.impossible);
}

/* A reservation that has no room under the dry run is not charged under it later. */
static void reservations_pass(void) {
    const tollgate_now now = at(200 * SECOND);
    tollgate_charge charges[POLICIES];
    tollgate_reservation reservation;
    const uint64_t more[POLICIES] = {1, 1}, actual[POLICIES] = {2, 2};
    uint64_t charged;
    charges[DRY] = tollgate_charge_text(id[DRY], "carol", 2);
    charges[OTHER] = tollgate_charge_text(id[OTHER], "carol", 2);
    /* The estimate has room, the extension has none: only the estimate is given back. */
    STATUS(TOLLGATE_OK, tollgate_reserve(limiter, &now, charges, POLICIES, &reservation, NULL, NULL));
    STATUS(TOLLGATE_OK, tollgate_extend(limiter, &now, &reservation, more, POLICIES, NULL));
    STATUS(TOLLGATE_OK, tollgate_reserved(&reservation, DRY, &charged));
    EQUAL(2, charged);
    STATUS(TOLLGATE_OK, tollgate_reserved(&reservation, OTHER, &charged));
    EQUAL(3, charged);
    STATUS(TOLLGATE_OK, tollgate_cancel(limiter, &now, &reservation, NULL));
    EQUAL(2, left(limiter, now.unix_ns, charges[DRY]));
    EQUAL(4, left(limiter, now.unix_ns, charges[OTHER]));
    /* The estimate has no room. */
    STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, &charges[DRY], 1, NULL));
    STATUS(TOLLGATE_OK, tollgate_reserve(limiter, &now, charges, POLICIES, &reservation, NULL, NULL));
    STATUS(TOLLGATE_OK, tollgate_settle(limiter, &now, &reservation, actual, POLICIES, NULL));
    EQUAL(0, left(limiter, now.unix_ns, charges[DRY]));
    EQUAL(2, left(limiter, now.unix_ns, charges[OTHER]));
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
    tollgate_error error;
    policy.flags = TOLLGATE_DRY_RUN << 1;
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_new(NULL, &policy, 1, &made, &error));
    TEXT("policies[0]: policy \"p\": flags 8 must be TOLLGATE_DRY_RUN or 0", error.message);
    policy.flags = TOLLGATE_VIOLATED;
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_new(NULL, &policy, 1, &made, NULL));
    policy.flags = 0;
    policy.reserved = 1;
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_new(NULL, &policy, 1, &made, &error));
    TEXT("policies[0]: policy \"p\": reserved 1 must be 0", error.message);
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
    each_way_to_check_passes();
    reservations_pass();
    http_fields_skip_it();
    unknown_flags_are_errors();
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
    return passed();
}
