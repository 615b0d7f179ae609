/* Reservations: reserved, extended, settled or cancelled once, or dropped. */
#include <pthread.h>

#include "fixture.h"

static tollgate_limiter *limiter;
static tollgate_charge charges[2];
static tollgate_now start;

static uint64_t requests_left(uint64_t ns) { return left(limiter, ns, charges[0]); }
static uint64_t tokens_left(uint64_t ns) { return left(limiter, ns, charges[1]); }

static uint64_t reserved(const tollgate_reservation *reservation, size_t index) {
    uint64_t units = 0;
    STATUS(TOLLGATE_OK, tollgate_reserved(reservation, index, &units));
    return units;
}

/* 10 requests a second and 1000 tokens a minute; a request costs 1 and estimates 300 tokens. */
static void begin(void) {
    tollgate_policy policies[2];
    policies[0] = sliding("requests", 10, SECOND);
    policies[1] = sliding("tokens", 1000, 60 * SECOND);
    limiter = limiter_of(policies, 2);
    charges[0] = tollgate_charge_number(id_of(limiter, "requests"), 1, 1);
    charges[1] = tollgate_charge_number(id_of(limiter, "tokens"), 1, 300);
    start = at(0);
}

static void end(void) { STATUS(TOLLGATE_OK, tollgate_free(limiter)); }

static void charged_extended_settled(void) {
    tollgate_reservation reservation;
    tollgate_decision decision;
    tollgate_policy_status statuses[2];
    uint64_t amounts[2] = {0, 500}, units;
    begin();
    STATUS(TOLLGATE_OK,
           tollgate_reserve(limiter, &start, charges, 2, &reservation, &decision, statuses));
    EQUAL(9, statuses[0].remaining);
    EQUAL(700, statuses[1].remaining);
    EQUAL(TOLLGATE_OK, decision.status);
    EQUAL(9, requests_left(0));
    EQUAL(700, tokens_left(0));
    EQUAL(1, reserved(&reservation, 0));
    EQUAL(300, reserved(&reservation, 1));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_reserved(&reservation, 2, &units));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_reserved(&reservation, SIZE_MAX, &units));
    STATUS(TOLLGATE_OK, tollgate_extend(limiter, &start, &reservation, amounts, 2, &decision));
    EQUAL(200, tokens_left(0));
    EQUAL(800, reserved(&reservation, 1));
    /* Denied: nothing was added to any charge. */
    amounts[0] = 1;
    amounts[1] = 201;
    STATUS(TOLLGATE_DENIED, tollgate_extend(limiter, &start, &reservation, amounts, 2, &decision));
    EQUAL(charges[1].policy, decision.policy);
    CHECK(decision.retry_after_ns > 0);
    EQUAL(200, tokens_left(0));
    EQUAL(9, requests_left(0));
    amounts[1] = 1001;
    STATUS(TOLLGATE_IMPOSSIBLE, tollgate_extend(limiter, &start, &reservation, amounts, 2, NULL));
    amounts[1] = 640;
    STATUS(TOLLGATE_OK, tollgate_settle(limiter, &start, &reservation, amounts, 2, &decision));
    EQUAL(1000 - 640, tokens_left(0));
    EQUAL(9, requests_left(0));
    EQUAL(640, reserved(&reservation, 1));
    end();
}

static void closed_once(void) {
    tollgate_reservation reservation;
    uint64_t amounts[2] = {1, 0};
    begin();
    STATUS(TOLLGATE_OK, tollgate_reserve(limiter, &start, charges, 2, &reservation, NULL, NULL));
    STATUS(TOLLGATE_OK, tollgate_cancel(limiter, &start, &reservation, NULL));
    EQUAL(10, requests_left(0));
    EQUAL(1000, tokens_left(0));
    EQUAL(0, reserved(&reservation, 1));
    STATUS(TOLLGATE_E_CLOSED, tollgate_extend(limiter, &start, &reservation, amounts, 2, NULL));
    STATUS(TOLLGATE_E_CLOSED, tollgate_settle(limiter, &start, &reservation, amounts, 2, NULL));
    STATUS(TOLLGATE_E_CLOSED, tollgate_cancel(limiter, &start, &reservation, NULL));
    EQUAL(1000, tokens_left(0));
    end();
}

/* An underestimate is charged even over the limit, and blocks until the excess has expired. */
static void an_excess_blocks(void) {
    tollgate_reservation reservation;
    tollgate_decision decision;
    uint64_t actual[2] = {1, 1500};
    tollgate_now later = at(59 * SECOND);
    begin();
    STATUS(TOLLGATE_OK, tollgate_reserve(limiter, &start, charges, 2, &reservation, NULL, NULL));
    STATUS(TOLLGATE_OK, tollgate_settle(limiter, &start, &reservation, actual, 2, &decision));
    EQUAL(1500, reserved(&reservation, 1));
    STATUS(TOLLGATE_DENIED, tollgate_check(limiter, &later, charges, 2, &decision));
    EQUAL(charges[1].policy, decision.policy);
    later = at(59 * SECOND + decision.retry_after_ns);
    STATUS(TOLLGATE_OK, tollgate_check(limiter, &later, charges, 2, NULL));
    end();
}

/* A dropped reservation stays charged until its window has passed. A later settle refunds nothing of
 * other charges. */
static void dropped_or_settled_late(void) {
    tollgate_reservation reservation;
    tollgate_now later = at(61 * SECOND);
    begin();
    STATUS(TOLLGATE_OK, tollgate_reserve(limiter, &start, charges, 2, &reservation, NULL, NULL));
    EQUAL(9, requests_left(SECOND - 1));
    EQUAL(10, requests_left(SECOND));
    EQUAL(700, tokens_left(59 * SECOND));
    EQUAL(1000, tokens_left(61 * SECOND));
    STATUS(TOLLGATE_OK, tollgate_check(limiter, &later, charges, 2, NULL));
    STATUS(TOLLGATE_OK, tollgate_cancel(limiter, &later, &reservation, NULL));
    EQUAL(9, requests_left(61 * SECOND));
    EQUAL(700, tokens_left(61 * SECOND));
    end();
}

static void a_denial_leaves_no_reservation(void) {
    tollgate_reservation reservation;
    tollgate_decision decision;
    uint64_t amounts[2] = {0, 0}, units;
    begin();
    charges[1].cost = 1001;
    memset(&reservation, 0, sizeof reservation);
    STATUS(TOLLGATE_IMPOSSIBLE,
           tollgate_reserve(limiter, &start, charges, 2, &reservation, &decision, NULL));
    EQUAL(TOLLGATE_NEVER, decision.retry_after_ns);
    EQUAL(10, requests_left(0));
    STATUS(TOLLGATE_E_HANDLE, tollgate_extend(limiter, &start, &reservation, amounts, 2, NULL));
    STATUS(TOLLGATE_E_HANDLE, tollgate_settle(limiter, &start, &reservation, amounts, 2, NULL));
    STATUS(TOLLGATE_E_HANDLE, tollgate_cancel(limiter, &start, &reservation, NULL));
    STATUS(TOLLGATE_E_HANDLE, tollgate_reserved(&reservation, 0, &units));
    /* An open reservation is invalid after it was passed to a denied call. */
    charges[1].cost = 600;
    STATUS(TOLLGATE_OK, tollgate_reserve(limiter, &start, charges, 2, &reservation, NULL, NULL));
    STATUS(TOLLGATE_DENIED, tollgate_reserve(limiter, &start, charges, 2, &reservation, NULL, NULL));
    STATUS(TOLLGATE_E_HANDLE, tollgate_cancel(limiter, &start, &reservation, NULL));
    EQUAL(400, tokens_left(0));
    /* The same after an error. */
    STATUS(TOLLGATE_E_NULL, tollgate_reserve(NULL, &start, charges, 2, &reservation, NULL, NULL));
    STATUS(TOLLGATE_E_HANDLE, tollgate_cancel(limiter, &start, &reservation, NULL));
    end();
}

static void amounts_and_owners_are_checked(void) {
    tollgate_policy policy = sliding("requests", 10, SECOND);
    tollgate_limiter *other = limiter_of(&policy, 1);
    tollgate_reservation reservation;
    uint64_t amounts[3] = {0, 0, 0};
    size_t count;
    begin();
    STATUS(TOLLGATE_OK, tollgate_reserve(limiter, &start, charges, 2, &reservation, NULL, NULL));
    for (count = 0; count <= 3; count++) {
        if (count != 2) {
            STATUS(TOLLGATE_E_AMOUNTS,
                   tollgate_extend(limiter, &start, &reservation, amounts, count, NULL));
            STATUS(TOLLGATE_E_AMOUNTS,
                   tollgate_settle(limiter, &start, &reservation, amounts, count, NULL));
        }
    }
    STATUS(TOLLGATE_E_FOREIGN, tollgate_extend(other, &start, &reservation, amounts, 2, NULL));
    STATUS(TOLLGATE_E_FOREIGN, tollgate_settle(other, &start, &reservation, amounts, 2, NULL));
    STATUS(TOLLGATE_E_FOREIGN, tollgate_cancel(other, &start, &reservation, NULL));
    EQUAL(700, tokens_left(0));
    STATUS(TOLLGATE_OK, tollgate_cancel(limiter, &start, &reservation, NULL));
    EQUAL(1000, tokens_left(0));
    STATUS(TOLLGATE_OK, tollgate_free(other));
    end();
}

/* A reservation has 0 to 8 charges, not 9. */
static void number_of_charges(void) {
    tollgate_reservation reservation;
    tollgate_charge many[9];
    tollgate_policy_status statuses[9];
    uint64_t actual[8];
    size_t i;
    begin();
    for (i = 0; i < 9; i++) {
        many[i] = tollgate_charge_number(charges[1].policy, i, 10);
        if (i < 8) {
            actual[i] = i;
        }
    }
    STATUS(TOLLGATE_E_TOO_MANY,
           tollgate_reserve(limiter, &start, many, 9, &reservation, NULL, statuses));
    STATUS(TOLLGATE_OK, tollgate_reserve(limiter, &start, many, 8, &reservation, NULL, statuses));
    STATUS(TOLLGATE_OK, tollgate_settle(limiter, &start, &reservation, actual, 8, NULL));
    for (i = 0; i < 8; i++) {
        EQUAL(1000 - i, left(limiter, 0, many[i]));
    }
    STATUS(TOLLGATE_OK, tollgate_reserve(limiter, &start, NULL, 0, &reservation, NULL, NULL));
    STATUS(TOLLGATE_OK, tollgate_extend(limiter, &start, &reservation, NULL, 0, NULL));
    STATUS(TOLLGATE_OK, tollgate_settle(limiter, &start, &reservation, NULL, 0, NULL));
    end();
}

static void *settle_on_another_thread(void *argument) {
    uint64_t actual[2] = {1, 123};
    tollgate_status *status = malloc(sizeof *status);
    if (status != NULL) {
        *status = tollgate_settle(limiter, &start, argument, actual, 2, NULL);
    }
    return status;
}

/* Plain memory: copied, and settled by another thread. */
static void copied_to_another_thread(void) {
    tollgate_reservation first, *copy = malloc(sizeof *copy);
    pthread_t thread;
    void *status = NULL;
    begin();
    CHECK(copy != NULL);
    STATUS(TOLLGATE_OK, tollgate_reserve(limiter, &start, charges, 2, &first, NULL, NULL));
    *copy = first;
    memset(&first, 0, sizeof first);
    CHECK(pthread_create(&thread, NULL, settle_on_another_thread, copy) == 0);
    CHECK(pthread_join(thread, &status) == 0 && status != NULL);
    STATUS(TOLLGATE_OK, *(tollgate_status *)status);
    EQUAL(1000 - 123, tokens_left(0));
    free(status);
    free(copy);
    end();
}

/* A copy has the state that the reservation had when it was copied. */
static void a_copy_of_a_closed_reservation_is_closed(void) {
    tollgate_reservation first, copy;
    uint64_t actual[2] = {1, 100};
    begin();
    STATUS(TOLLGATE_OK, tollgate_reserve(limiter, &start, charges, 2, &first, NULL, NULL));
    copy = first;
    STATUS(TOLLGATE_OK, tollgate_settle(limiter, &start, &copy, actual, 2, NULL));
    first = copy;
    STATUS(TOLLGATE_E_CLOSED, tollgate_settle(limiter, &start, &first, actual, 2, NULL));
    STATUS(TOLLGATE_E_CLOSED, tollgate_cancel(limiter, &start, &copy, NULL));
    EQUAL(900, tokens_left(0));
    EQUAL(9, requests_left(0));
    end();
}

/* Without room for its key, a settle cannot charge more than was reserved. */
static void a_full_table(void) {
    tollgate_policy policy = sliding("p", 10, SECOND);
    tollgate_reservation reservation;
    tollgate_charge first, second;
    tollgate_decision decision;
    uint64_t actual[2] = {3, 3};
    tollgate_now now = at(0);
    policy.max_keys = 1;
    limiter = limiter_of(&policy, 1);
    first = tollgate_charge_number(id_of(limiter, "p"), 1, 1);
    second = first;
    second.key.number = 2;
    STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, &first, 1, NULL));
    STATUS(TOLLGATE_TABLE_FULL,
           tollgate_reserve(limiter, &now, &second, 1, &reservation, &decision, NULL));
    EQUAL(TOLLGATE_TABLE_WAS_FULL, decision.flags);
    STATUS(TOLLGATE_E_HANDLE, tollgate_cancel(limiter, &now, &reservation, NULL));
    second.cost = 0;
    STATUS(TOLLGATE_OK, tollgate_reserve(limiter, &now, &second, 1, &reservation, NULL, NULL));
    STATUS(TOLLGATE_TABLE_FULL,
           tollgate_settle(limiter, &now, &reservation, actual, 1, &decision));
    end();
}

int main(void) {
    charged_extended_settled();
    closed_once();
    an_excess_blocks();
    dropped_or_settled_late();
    a_denial_leaves_no_reservation();
    amounts_and_owners_are_checked();
    number_of_charges();
    copied_to_another_thread();
    a_copy_of_a_closed_reservation_is_closed();
    a_full_table();
    return passed();
}
