/* A limit of 0 refuses every cost above 0: of a policy, of a charge, or by tollgate_set_limit. In a
 * charge, TOLLGATE_POLICY_LIMIT stands for the policy's own limit. */
#include "fixture.h"

#include <netinet/in.h>
#include <sys/socket.h>

enum { EXACT, BUCKETED, DAY, KINDS };

static uint64_t ids[KINDS];

/* A policy of each kind. The bucketed one can be raised to 1000. */
static tollgate_limiter *kinds(uint64_t limit) {
    tollgate_policy policies[KINDS];
    tollgate_limiter *limiter;
    size_t i;
    policies[EXACT] = sliding("exact", limit, SECOND);
    policies[BUCKETED] = sliding("bucketed", limit, SECOND);
    policies[BUCKETED].max_limit = 1000;
    policies[DAY] = calendar("day", limit, TOLLGATE_DAY);
    limiter = limiter_of(policies, KINDS);
    for (i = 0; i < KINDS; i++) {
        STATUS(TOLLGATE_OK, tollgate_policy_at(limiter, i, &ids[i], NULL));
    }
    return limiter;
}

static void check_blocked(tollgate_status status, const tollgate_decision *decision, uint64_t policy) {
    STATUS(TOLLGATE_IMPOSSIBLE, status);
    EQUAL(TOLLGATE_IMPOSSIBLE, decision->status);
    EQUAL(policy, decision->policy);
    EQUAL(0, decision->limit);
    EQUAL(0, decision->remaining);
    EQUAL(TOLLGATE_NEVER, decision->retry_after_ns);
    EQUAL(0, decision->flags);
}

/* Every operation refuses the charge for good, also behind another charge, which is not charged. */
static void every_operation_refuses(const tollgate_limiter *limiter, tollgate_charge charge,
                                    tollgate_charge other) {
    tollgate_now now = at(0);
    tollgate_decision decision;
    tollgate_policy_status statuses[2];
    tollgate_reservation reservation;
    tollgate_charge both[2];
    uint64_t before = left(limiter, 0, other);
    size_t allowed = 1;
    both[0] = other;
    both[1] = charge;
    check_blocked(tollgate_check(limiter, &now, &charge, 1, &decision), &decision, charge.policy);
    check_blocked(tollgate_check(limiter, &now, both, 2, &decision), &decision, charge.policy);
    check_blocked(tollgate_peek(limiter, &now, both, 2, &decision), &decision, charge.policy);
    check_blocked(tollgate_reserve(limiter, &now, both, 2, &reservation, &decision, NULL), &decision,
                  charge.policy);
    check_blocked(tollgate_check_with_status(limiter, &now, both, 2, &decision, statuses), &decision,
                  charge.policy);
    EQUAL(0, statuses[0].flags);
    EQUAL(TOLLGATE_VIOLATED, statuses[1].flags);
    EQUAL(0, statuses[1].limit);
    EQUAL(0, statuses[1].remaining);
    EQUAL(TOLLGATE_NEVER, statuses[1].retry_after_ns);
    STATUS(TOLLGATE_OK, tollgate_check_many(limiter, &now, &charge, 1, &decision, &allowed));
    EQUAL(0, allowed);
    check_blocked(decision.status, &decision, charge.policy);
    EQUAL(before, left(limiter, 0, other));
}

static void a_policy_with_limit_zero_blocks(void) {
    tollgate_limiter *limiter = kinds(0);
    tollgate_now now = at(0);
    tollgate_decision decision;
    uint64_t limit = 1;
    size_t i;
    for (i = 0; i < KINDS; i++) {
        tollgate_charge charge = tollgate_charge_number(ids[i], 1, 1);
        tollgate_charge other = tollgate_charge_number(ids[BUCKETED], 2, 1);
        other.limit = 5;
        every_operation_refuses(limiter, charge, other);
        STATUS(TOLLGATE_OK, tollgate_get_limit(limiter, ids[i], &limit));
        EQUAL(0, limit);
        check_blocked(tollgate_check_key(limiter, &now, ids[i], "alice", 5, 1, &decision), &decision,
                      ids[i]);
        /* A cost of 0 is allowed while there is no usage. */
        charge.cost = 0;
        STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, &charge, 1, &decision));
        EQUAL(0, decision.limit);
        charge.cost = 1;
        STATUS(TOLLGATE_OK, tollgate_force_charge(limiter, &now, &charge, 1, NULL));
        charge.cost = 0;
        STATUS(TOLLGATE_DENIED, tollgate_check(limiter, &now, &charge, 1, &decision));
        CHECK(decision.retry_after_ns > 0 && decision.retry_after_ns != TOLLGATE_NEVER);
    }
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

static void a_charge_with_limit_zero_blocks(void) {
    tollgate_limiter *limiter = kinds(10);
    size_t i;
    for (i = 0; i < KINDS; i++) {
        tollgate_charge charge = tollgate_charge_number(ids[i], 1, 1);
        tollgate_charge other = tollgate_charge_number(ids[BUCKETED], 2, 1);
        charge.limit = 0;
        every_operation_refuses(limiter, charge, other);
    }
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

/* A charge that is filled in by hand needs its limit: zero bytes block. The functions set it. */
static void the_limit_of_a_charge_is_the_policys_only_if_it_says_so(void) {
    static const unsigned char address[16] = {0};
    tollgate_limiter *limiter = kinds(10);
    tollgate_charge by_hand, made[9];
    struct sockaddr_in peer;
    const tollgate_key part = tollgate_key_number(7);
    tollgate_now now = at(0);
    tollgate_decision decision;
    size_t i;
    memset(&by_hand, 0, sizeof by_hand);
    by_hand.policy = ids[EXACT];
    by_hand.key.kind = TOLLGATE_KEY_NUMBER;
    by_hand.cost = 1;
    check_blocked(tollgate_check(limiter, &now, &by_hand, 1, &decision), &decision, ids[EXACT]);
    by_hand.limit = TOLLGATE_POLICY_LIMIT;
    STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, &by_hand, 1, &decision));
    EQUAL(10, decision.limit);
    EQUAL(9, decision.remaining);
    made[0] = tollgate_charge_bytes(ids[EXACT], "alice", 5, 1);
    made[1] = tollgate_charge_number(ids[EXACT], 1, 1);
    made[2] = tollgate_charge_ipv4(ids[EXACT], address, 1);
    made[3] = tollgate_charge_ipv6(ids[EXACT], address, 1);
    made[4] = tollgate_charge_shared(ids[EXACT], 1);
    made[5] = tollgate_charge_text(ids[EXACT], "bob", 1);
    memset(&peer, 0, sizeof peer);
    peer.sin_family = AF_INET;
    peer.sin_port = 9;
    peer.sin_addr.s_addr = 1;
    made[6] = tollgate_charge_sockaddr(ids[EXACT], (const struct sockaddr *)(const void *)&peer, sizeof peer, 1);
    made[7] = tollgate_charge_parts(ids[EXACT], &part, 1, 1);
    made[8] = tollgate_charge_key(ids[EXACT], part, 1);
    for (i = 0; i < 9; i++) {
        EQUAL(TOLLGATE_POLICY_LIMIT, made[i].limit);
        STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, &made[i], 1, &decision));
        EQUAL(10, decision.limit);
    }
    /* Any other number is a limit, and is lowered to max_limit. */
    by_hand.limit = TOLLGATE_POLICY_LIMIT - 1;
    by_hand.policy = ids[BUCKETED];
    STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, &by_hand, 1, &decision));
    EQUAL(1000, decision.limit);
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

static void set_limit_zero_blocks_and_keeps_the_usage(void) {
    tollgate_limiter *limiter = kinds(10);
    tollgate_now now = at(0);
    tollgate_error error;
    size_t i;
    for (i = 0; i < KINDS; i++) {
        tollgate_charge charge = tollgate_charge_number(ids[i], 1, 4);
        tollgate_charge other = tollgate_charge_number(ids[(i + 1) % KINDS], 2, 1);
        STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, &charge, 1, NULL));
        STATUS(TOLLGATE_OK, tollgate_set_limit(limiter, ids[i], 0, &error));
        every_operation_refuses(limiter, charge, other);
        STATUS(TOLLGATE_OK, tollgate_set_limit(limiter, ids[i], 10, &error));
        EQUAL(6, left(limiter, 0, charge));
    }
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

/* Without a max_limit, nothing raises a limit of 0. */
static void limit_zero_is_its_own_max_limit(void) {
    tollgate_limiter *limiter = kinds(0);
    tollgate_charge charge = tollgate_charge_number(ids[EXACT], 1, 1);
    tollgate_now now = at(0);
    tollgate_decision decision;
    tollgate_error error;
    charge.limit = 5;
    check_blocked(tollgate_check(limiter, &now, &charge, 1, &decision), &decision, ids[EXACT]);
    STATUS(TOLLGATE_E_MAX_LIMIT, tollgate_set_limit(limiter, ids[EXACT], 1, &error));
    TEXT("policy \"exact\": the new limit 1 is above max_limit 0", error.message);
    STATUS(TOLLGATE_OK, tollgate_set_limit(limiter, ids[BUCKETED], 1000, &error));
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

int main(void) {
    a_policy_with_limit_zero_blocks();
    a_charge_with_limit_zero_blocks();
    the_limit_of_a_charge_is_the_policys_only_if_it_says_so();
    set_limit_zero_blocks_and_keeps_the_usage();
    limit_zero_is_its_own_max_limit();
    return passed();
}
