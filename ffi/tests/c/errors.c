/* The messages of errors: each names the policy, the field and the value. */
#include <stddef.h>

#include "fixture.h"

/* Calls tollgate_new, which must fail with this status and message. */
static void fails(const tollgate_options *options, const tollgate_policy *policies, size_t count,
                  tollgate_status expected, const char *message) {
    tollgate_limiter *limiter = (tollgate_limiter *)&limiter;
    tollgate_error error;
    memset(&error, 'x', sizeof error);
    STATUS(expected, tollgate_new(options, policies, count, &limiter, &error));
    CHECK(limiter == NULL);
    EQUAL(expected, error.status);
    EQUAL(0, error.reserved);
    TEXT(message, error.message);
    STATUS(expected, tollgate_new(options, policies, count, &limiter, NULL));
}

enum { COUNT = 3 };

static tollgate_policy three[COUNT];

/* Three valid policies, of which the caller changes one. */
static tollgate_policy *changed(size_t index) {
    three[0] = sliding("ip", 100, SECOND);
    three[1] = calendar("tokens", 1000, TOLLGATE_DAY);
    three[2] = sliding("user", 20, SECOND);
    return &three[index];
}

#define FAILS(expected, message) fails(NULL, three, COUNT, expected, message)

static void fields_of_c(void) {
    char expected[200];
    changed(0)->struct_size = 0;
    snprintf(expected, sizeof expected,
             "policies[0]: struct_size 0 must be sizeof(tollgate_policy), which is %zu",
             sizeof(tollgate_policy));
    FAILS(TOLLGATE_E_ARGUMENT, expected);
    expected[9] = '2';
    changed(2)->struct_size = 0;
    FAILS(TOLLGATE_E_ARGUMENT, expected);
    /* A size that ends within a pointer. */
    changed(2)->struct_size = 13;
    snprintf(expected, sizeof expected,
             "policies[2]: struct_size 13 must be sizeof(tollgate_policy), which is %zu",
             sizeof(tollgate_policy));
    FAILS(TOLLGATE_E_ARGUMENT, expected);
    changed(1)->kind = 7;
    FAILS(TOLLGATE_E_ARGUMENT,
          "policies[1]: policy \"tokens\": kind 7 must be TOLLGATE_SLIDING or TOLLGATE_CALENDAR");
    changed(1)->period = 0;
    FAILS(TOLLGATE_E_ARGUMENT,
          "policies[1]: policy \"tokens\": period 0 must be TOLLGATE_HOUR, TOLLGATE_DAY or TOLLGATE_MONTH");
    changed(2)->overflow = 4;
    FAILS(TOLLGATE_E_ARGUMENT,
          "policies[2]: policy \"user\": overflow 4 must be one of TOLLGATE_OVERFLOW_*");
    changed(2)->name = NULL;
    FAILS(TOLLGATE_E_NULL, "policies[2]: name must not be NULL");
    changed(2)->name = "\xffx\n";
    FAILS(TOLLGATE_E_NAME,
          "policies[2]: name \"\\xffx\\n\" must be 1 to 64 printable ASCII characters");
    changed(0)->unit = "tok\xff";
    FAILS(TOLLGATE_E_NAME, "policies[0]: policy \"ip\": unit \"tok\\xff\" must be UTF-8");
}

static void values_out_of_range(void) {
    changed(2)->limit = (UINT64_C(1) << 40) + 1;
    FAILS(TOLLGATE_E_LIMIT,
          "policies[2]: policy \"user\": limit 1099511627777 must be from 0 to 1099511627776");
    changed(0)->max_limit = 99;
    FAILS(TOLLGATE_E_MAX_LIMIT,
          "policies[0]: policy \"ip\": max_limit 99 must be from the limit 100 to 1099511627776");
    changed(2)->window_ns = 0;
    FAILS(TOLLGATE_E_WINDOW, "policies[2]: policy \"user\": window 0ns must be from 1 ms to 400 days");
    changed(2)->name = "";
    FAILS(TOLLGATE_E_NAME, "policies[2]: name \"\" must be 1 to 64 printable ASCII characters");
    changed(2)->name = "ip";
    FAILS(TOLLGATE_E_DUPLICATE_NAME, "policies[2]: name \"ip\" is taken by another policy");
    /* The error is that of the second policy of the name. */
    three[2].limit = UINT64_MAX;
    FAILS(TOLLGATE_E_DUPLICATE_NAME, "policies[2]: name \"ip\" is taken by another policy");
}

static void options_and_arguments(void) {
    tollgate_options options = TOLLGATE_OPTIONS_INIT;
    tollgate_limiter *limiter = NULL;
    tollgate_error error;
    char expected[200];
    (void)changed(0);
    options.overflow = 9;
    fails(&options, three, COUNT, TOLLGATE_E_ARGUMENT,
          "options: overflow 9 must be one of TOLLGATE_OVERFLOW_*");
    options.overflow = TOLLGATE_OVERFLOW_DEFAULT;
    options.clock = (const tollgate_clock *)(const void *)three;
    fails(&options, three, COUNT, TOLLGATE_E_HANDLE, "options: clock is not a live clock");
    options.clock = NULL;
    options.struct_size = 1;
    snprintf(expected, sizeof expected,
             "options: struct_size 1 must be sizeof(tollgate_options), which is %zu", sizeof options);
    fails(&options, three, COUNT, TOLLGATE_E_ARGUMENT, expected);
    fails(NULL, NULL, 2, TOLLGATE_E_NULL, "policies must not be NULL");
    fails(NULL, NULL, 0, TOLLGATE_E_POLICIES, "a limiter needs at least one policy");
    fails(NULL, (const tollgate_policy *)(const void *)((const char *)three + 1), 1,
          TOLLGATE_E_ARGUMENT, "policies is not aligned");
    fails((const tollgate_options *)(const void *)((const char *)three + 1), three, 1,
          TOLLGATE_E_ARGUMENT, "options is not aligned");
    STATUS(TOLLGATE_E_NULL, tollgate_new(NULL, three, COUNT, NULL, &error));
    TEXT("limiter must not be NULL", error.message);
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_new(NULL, three, COUNT,
           (tollgate_limiter **)(void *)((char *)&limiter + 1), &error));
    TEXT("limiter is not aligned", error.message);
}

typedef struct {
    tollgate_policy known;
    uint64_t more;
} newer_policy;

/* A newer program's struct with a field that this library lacks. */
static void a_field_of_a_newer_version(void) {
    newer_policy policies[2];
    char expected[200];
    size_t i;
    for (i = 0; i < 2; i++) {
        policies[i].known = sliding(i == 0 ? "first" : "second", 10, SECOND);
        policies[i].known.struct_size = sizeof(newer_policy);
        policies[i].more = i;
    }
    snprintf(expected, sizeof expected,
             "policies[1]: struct_size %zu: the bytes after the first %zu must be 0",
             sizeof(newer_policy), sizeof(tollgate_policy));
    fails(NULL, &policies[0].known, 2, TOLLGATE_E_ARGUMENT, expected);
}

static void new_limits(void) {
    tollgate_policy policy = sliding("p", 10, SECOND);
    tollgate_limiter *limiter;
    tollgate_error error;
    policy.max_limit = 100;
    limiter = limiter_of(&policy, 1);
    STATUS(TOLLGATE_E_MAX_LIMIT, tollgate_set_limit(limiter, id_of(limiter, "p"), 101, &error));
    EQUAL(TOLLGATE_E_MAX_LIMIT, error.status);
    TEXT("policy \"p\": the new limit 101 is above max_limit 100", error.message);
    STATUS(TOLLGATE_E_POLICY, tollgate_set_limit(limiter, 77, 5, &error));
    TEXT("policy 77 is not a policy of this limiter", error.message);
    STATUS(TOLLGATE_E_NULL, tollgate_set_limit(NULL, 77, 5, &error));
    TEXT("limiter must not be NULL", error.message);
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

int main(void) {
    fields_of_c();
    values_out_of_range();
    options_and_arguments();
    a_field_of_a_newer_version();
    new_limits();
    return passed();
}
