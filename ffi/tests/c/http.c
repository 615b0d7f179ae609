/* HTTP fields and bodies, with buffers that are just large enough, too small, or NULL. */
#include "fixture.h"

typedef tollgate_status writer(const tollgate_limiter *, const tollgate_policy_status *, size_t, char *,
                               size_t, size_t *);

/* Writes a problem body with or without a detail, with the signature of the fields. */
static const char *detail;

static tollgate_status problem(const tollgate_limiter *limiter, const tollgate_policy_status *statuses,
                               size_t count, char *buffer, size_t size, size_t *length) {
    return tollgate_http_problem(limiter, statuses, count, detail, buffer, size, length);
}

static tollgate_limiter *limiter;
static tollgate_policy_status statuses[17];

/* A denied request under two policies, a quarter of a second into their windows. */
static void begin(void) {
    tollgate_policy policies[2];
    tollgate_charge charges[2];
    tollgate_now now = at(0);
    policies[0] = sliding("user \"a\"", 2, 10 * SECOND);
    policies[1] = calendar("day", 1000, TOLLGATE_DAY);
    policies[1].unit = "tokens";
    limiter = limiter_of(policies, 2);
    charges[0] = tollgate_charge_shared(id_of(limiter, "user \"a\""), 2);
    charges[1] = tollgate_charge_shared(id_of(limiter, "day"), 10);
    STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, charges, 2, NULL));
    now = at(SECOND / 4);
    STATUS(TOLLGATE_DENIED, tollgate_check_with_status(limiter, &now, charges, 2, NULL, statuses));
    EQUAL(2, statuses[0].flags);
}

/* All buffer sizes: the whole text, or an empty string and the required length. */
static void any_buffer(writer *write, const char *expected) {
    size_t needed = strlen(expected), size, length;
    STATUS(TOLLGATE_E_BUFFER, write(limiter, statuses, 2, NULL, 0, &length));
    EQUAL(needed, length);
    STATUS(TOLLGATE_E_BUFFER, write(limiter, statuses, 2, NULL, 1000, &length));
    STATUS(TOLLGATE_E_BUFFER, write(limiter, statuses, 2, NULL, 0, NULL));
    for (size = 0; size < needed + 3; size++) {
        /* One more byte, which must not be written. */
        char *buffer = malloc(size + 1);
        CHECK(buffer != NULL);
        memset(buffer, 'x', size + 1);
        length = 0;
        STATUS(size > needed ? TOLLGATE_OK : TOLLGATE_E_BUFFER,
               write(limiter, statuses, 2, buffer, size, &length));
        EQUAL(needed, length);
        EQUAL('x', buffer[size]);
        if (size > 0) {
            TEXT(size > needed ? expected : "", buffer);
        }
        free(buffer);
        /* Without that byte, for memory checkers. */
        buffer = malloc(size > 0 ? size : 1);
        CHECK(buffer != NULL);
        (void)write(limiter, statuses, 2, buffer, size, NULL);
        free(buffer);
    }
}

#define KIND "\"type\":\"https://iana.org/assignments/http-problem-types#quota-exceeded\","
#define TITLE "\"title\":\"Request cannot be satisfied as assigned quota has been exceeded\","
#define VIOLATED "\"violated-policies\":[\"user \\\"a\\\"\"]}"

static void texts(void) {
    any_buffer(tollgate_http_policy,
               "\"user \\\"a\\\"\";q=2;w=10, \"day\";q=1000;w=86400;tollgate-unit=\"tokens\"");
    any_buffer(tollgate_http_limit, "\"user \\\"a\\\"\";r=0;t=10, \"day\";r=990;t=86400");
    detail = NULL;
    any_buffer(problem, "{" KIND TITLE "\"status\":429," VIOLATED);
    detail = "Come \"back\" later";
    any_buffer(problem, "{" KIND TITLE
                        "\"status\":429,\"detail\":\"Come \\\"back\\\" later\"," VIOLATED);
    detail = "not UTF-8: \xff";
    any_buffer(problem, "{" KIND TITLE
                        "\"status\":429,\"detail\":\"not UTF-8: \xef\xbf\xbd\"," VIOLATED);
}

static void wrong_statuses(writer *write) {
    char buffer[1000];
    size_t length = 7, i;
    tollgate_policy_status stranger[2];
    stranger[0] = stranger[1] = statuses[0];
    STATUS(TOLLGATE_E_NULL, write(NULL, statuses, 2, buffer, sizeof buffer, &length));
    STATUS(TOLLGATE_E_NULL, write(limiter, NULL, 2, buffer, sizeof buffer, &length));
    stranger[1].policy = 0;
    STATUS(TOLLGATE_E_POLICY, write(limiter, stranger, 2, buffer, sizeof buffer, &length));
    for (i = 2; i < 17; i++) {
        statuses[i] = statuses[0];
    }
    STATUS(TOLLGATE_E_TOO_MANY, write(limiter, statuses, 17, buffer, sizeof buffer, &length));
    STATUS(TOLLGATE_E_BUFFER, write(limiter, statuses, 16, NULL, 0, &length));
    CHECK(length > 16);
    STATUS(TOLLGATE_OK, write(limiter, NULL, 0, buffer, sizeof buffer, &length));
    EQUAL(strlen(buffer), length);
    STATUS(TOLLGATE_E_ARGUMENT, write(limiter, statuses, 2, buffer, SIZE_MAX, &length));
}

/* Seconds are rounded up, so that a retry is not too early. */
static void whole_seconds(void) {
    EQUAL(1, tollgate_retry_after_seconds(0));
    EQUAL(1, tollgate_retry_after_seconds(1));
    EQUAL(1, tollgate_retry_after_seconds(SECOND));
    EQUAL(2, tollgate_retry_after_seconds(SECOND + 1));
    EQUAL(UINT64_MAX / SECOND + 1, tollgate_retry_after_seconds(TOLLGATE_NEVER - 1));
    /* No wait is known to help: there is no number to send. */
    EQUAL(TOLLGATE_NEVER, tollgate_retry_after_seconds(TOLLGATE_NEVER));
    EQUAL(0, tollgate_reset_seconds(0));
    EQUAL(1, tollgate_reset_seconds(1));
    EQUAL(1, tollgate_reset_seconds(SECOND));
    EQUAL(UINT64_MAX / SECOND + 1, tollgate_reset_seconds(UINT64_MAX));
}

int main(void) {
    begin();
    texts();
    wrong_statuses(tollgate_http_policy);
    wrong_statuses(tollgate_http_limit);
    wrong_statuses(problem);
    whole_seconds();
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
    return passed();
}
