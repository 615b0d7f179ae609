/* Configuration: each error has a status and a message, and structs of other versions are accepted. */
#include <stddef.h>

#include "fixture.h"

/* Calls tollgate_new. On failure the message must contain `expected`. */
static tollgate_status build(const tollgate_options *options, const tollgate_policy *policies,
                             size_t count, const char *expected) {
    tollgate_limiter *limiter = (tollgate_limiter *)&limiter;
    tollgate_error error;
    tollgate_status status;
    memset(&error, 'x', sizeof error);
    status = tollgate_new(options, policies, count, &limiter, &error);
    if (status == TOLLGATE_OK) {
        CHECK(limiter != NULL);
        STATUS(TOLLGATE_OK, tollgate_free(limiter));
        return status;
    }
    CHECK(limiter == NULL);
    EQUAL(status, error.status);
    EQUAL(0, error.reserved);
    CHECK(memchr(error.message, 0, TOLLGATE_MESSAGE_SIZE) != NULL);
    if (strstr(error.message, expected) == NULL) {
        TEXT(expected, error.message);
    }
    /* The error may be NULL. */
    STATUS(status, tollgate_new(options, policies, count, &limiter, NULL));
    return status;
}

static void each_error_has_its_status(void) {
    tollgate_policy good = sliding("good", 10, SECOND), bad[17];
    size_t i;
    STATUS(TOLLGATE_OK, build(NULL, &good, 1, ""));
    STATUS(TOLLGATE_E_POLICIES, build(NULL, NULL, 0, "at least one"));
    for (i = 0; i < 17; i++) {
        bad[i] = good;
    }
    STATUS(TOLLGATE_E_POLICIES, build(NULL, bad, 17, "17 policies are too many"));
    STATUS(TOLLGATE_E_DUPLICATE_NAME, build(NULL, bad, 16, "good"));
    STATUS(TOLLGATE_E_NULL, build(NULL, NULL, 1, "NULL"));
#define FAULT(expected, field, value, message) \
    bad[0] = good, bad[0].field = (value), STATUS(expected, build(NULL, bad, 1, message))
    FAULT(TOLLGATE_E_NULL, name, NULL, "NULL");
    FAULT(TOLLGATE_E_NAME, name, "", "printable");
    FAULT(TOLLGATE_E_NAME, name, "a\nb", "printable");
    FAULT(TOLLGATE_E_NAME, name, "\xff", "printable");
    FAULT(TOLLGATE_E_NAME, unit, "\xff", "UTF-8");
    FAULT(TOLLGATE_OK, limit, 0, "");
    FAULT(TOLLGATE_E_LIMIT, limit, (UINT64_C(1) << 40) + 1, "1099511627777");
    FAULT(TOLLGATE_E_MAX_LIMIT, max_limit, 9, "max_limit 9");
    FAULT(TOLLGATE_E_MAX_LIMIT, max_limit, (UINT64_C(1) << 40) + 1, "good");
    FAULT(TOLLGATE_E_WINDOW, window_ns, MILLI - 1, "1 ms");
    FAULT(TOLLGATE_E_WINDOW, window_ns, 400 * 24 * HOUR_NS + 1, "400 days");
    FAULT(TOLLGATE_E_BUCKETS, buckets, 1, "buckets 1");
    FAULT(TOLLGATE_E_BUCKETS, buckets, 128, "buckets 128");
    FAULT(TOLLGATE_E_MAX_BYTES, max_bytes, 1, "policy \"good\": max_bytes 1 must be at least");
    FAULT(TOLLGATE_OK, max_bytes, UINT64_MAX, "");
    FAULT(TOLLGATE_E_ARGUMENT, kind, 2, "");
    FAULT(TOLLGATE_E_ARGUMENT, overflow, 4, "");
    good.overflow = TOLLGATE_OVERFLOW_EVICT_LIGHTEST;
    FAULT(TOLLGATE_E_ALLOWANCE, allowance, 0, "allowance 0");
    FAULT(TOLLGATE_E_ALLOWANCE, allowance, 11, "from 1 to 10");
    good.limit = 0;
    FAULT(TOLLGATE_E_ALLOWANCE, allowance, 2, "from 1 to 1");
    FAULT(TOLLGATE_OK, allowance, 1, "");
    good.limit = 10;
    FAULT(TOLLGATE_OK, allowance, 10, "");
    good = calendar("good", 10, TOLLGATE_DAY);
    FAULT(TOLLGATE_E_ARGUMENT, period, 0, "");
    FAULT(TOLLGATE_E_ARGUMENT, period, TOLLGATE_MONTH + 1, "");
    FAULT(TOLLGATE_E_OFFSET, offset_seconds, 18 * 3600 + 1, "18 hours");
    FAULT(TOLLGATE_E_OFFSET, offset_seconds, INT32_MIN, "18 hours");
    FAULT(TOLLGATE_OK, offset_seconds, -18 * 3600, "");
#undef FAULT
}

static void limits_of_names_and_numbers(void) {
    char name[66];
    tollgate_policy policy = sliding(name, UINT64_C(1) << 40, 400 * 24 * HOUR_NS);
    memset(name, '~', sizeof name);
    name[65] = 0;
    STATUS(TOLLGATE_E_NAME, build(NULL, &policy, 1, "~~~"));
    name[64] = 0;
    STATUS(TOLLGATE_OK, build(NULL, &policy, 1, ""));
    policy.window_ns = MILLI;
    policy.limit = 1;
    policy.max_keys = UINT64_MAX;
    policy.buckets = 127;
    STATUS(TOLLGATE_OK, build(NULL, &policy, 1, ""));
}

/* A long message is truncated. */
static void a_long_message_is_truncated(void) {
    char name[4000];
    tollgate_policy policy = sliding(name, 1, SECOND);
    tollgate_limiter *limiter;
    tollgate_error error;
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = 0;
    STATUS(TOLLGATE_E_NAME, tollgate_new(NULL, &policy, 1, &limiter, &error));
    EQUAL(TOLLGATE_MESSAGE_SIZE - 1, strlen(error.message));
}

static void options_are_checked(void) {
    tollgate_policy policy = sliding("p", 10, SECOND);
    tollgate_options options = TOLLGATE_OPTIONS_INIT;
    STATUS(TOLLGATE_OK, build(&options, &policy, 1, ""));
    options.overflow = 4;
    STATUS(TOLLGATE_E_ARGUMENT, build(&options, &policy, 1, ""));
    options.overflow = TOLLGATE_OVERFLOW_EVICT_LIGHTEST;
    STATUS(TOLLGATE_E_ALLOWANCE, build(&options, &policy, 1, "p"));
    options.allowance = 10;
    STATUS(TOLLGATE_OK, build(&options, &policy, 1, ""));
    /* The policy's own setting has precedence. */
    policy.overflow = TOLLGATE_OVERFLOW_DENY;
    options.allowance = 0;
    STATUS(TOLLGATE_OK, build(&options, &policy, 1, ""));
}

/* A table for one key under each overflow mode, set in the options and in the policy. */
static void overflow_modes(void) {
    static const struct {
        uint32_t options, policy;
        tollgate_status second;
        uint32_t flags;
    } cases[] = {
        {TOLLGATE_OVERFLOW_DEFAULT, TOLLGATE_OVERFLOW_DEFAULT, TOLLGATE_TABLE_FULL, TOLLGATE_TABLE_WAS_FULL},
        {TOLLGATE_OVERFLOW_DENY, TOLLGATE_OVERFLOW_DEFAULT, TOLLGATE_TABLE_FULL, TOLLGATE_TABLE_WAS_FULL},
        {TOLLGATE_OVERFLOW_ALLOW, TOLLGATE_OVERFLOW_DEFAULT, TOLLGATE_OK, TOLLGATE_TABLE_WAS_FULL},
        {TOLLGATE_OVERFLOW_ALLOW, TOLLGATE_OVERFLOW_DENY, TOLLGATE_TABLE_FULL, TOLLGATE_TABLE_WAS_FULL},
        {TOLLGATE_OVERFLOW_DENY, TOLLGATE_OVERFLOW_ALLOW, TOLLGATE_OK, TOLLGATE_TABLE_WAS_FULL},
    };
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tollgate_options options = TOLLGATE_OPTIONS_INIT;
        tollgate_policy policy = sliding("p", 10, SECOND);
        tollgate_limiter *limiter;
        tollgate_charge charge;
        tollgate_decision decision;
        tollgate_now now = at(0);
        options.overflow = cases[i].options;
        options.max_keys = 1;
        policy.overflow = cases[i].policy;
        STATUS(TOLLGATE_OK, tollgate_new(&options, &policy, 1, &limiter, NULL));
        charge = tollgate_charge_number(id_of(limiter, "p"), 1, 1);
        STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, &charge, 1, &decision));
        EQUAL(0, decision.flags);
        charge.key.number = 2;
        STATUS(cases[i].second, tollgate_check(limiter, &now, &charge, 1, &decision));
        EQUAL(cases[i].flags, decision.flags);
        STATUS(TOLLGATE_OK, tollgate_free(limiter));
    }
}

/* The bytes that a limiter may take, and the keys of its policies. */
static void memory_is_bounded_before_it_is_allocated(void) {
    tollgate_policy policies[2];
    tollgate_options options = TOLLGATE_OPTIONS_INIT;
    tollgate_limiter *limiter;
    tollgate_error error;
    uint64_t bytes, keys[2], bounds[2];
    policies[0] = sliding("ip", 100, 60 * SECOND);
    policies[1] = calendar("budget", 1000, TOLLGATE_DAY);
    STATUS(TOLLGATE_OK, tollgate_memory_bound(NULL, policies, 1, &bytes, NULL));
    CHECK(bytes <= 128 << 20 && bytes > 127 << 20);
    /* A number of keys replaces the default. */
    options.max_keys = 1 << 20;
    STATUS(TOLLGATE_OK, tollgate_memory_bound(&options, policies, 1, &bytes, NULL));
    CHECK(bytes > UINT64_C(2) << 30);
    /* Both bounds apply together, and the policies get the same number of keys. */
    options.max_bytes = 1 << 24;
    STATUS(TOLLGATE_OK, tollgate_memory_bound(&options, policies, 2, &bytes, NULL));
    CHECK(bytes <= 1 << 24 && bytes > 15 << 20);
    STATUS(TOLLGATE_OK, tollgate_new(&options, policies, 2, &limiter, NULL));
    STATUS(TOLLGATE_OK, tollgate_get_bounds(limiter, id_of(limiter, "ip"), &keys[0], &bounds[0]));
    STATUS(TOLLGATE_OK, tollgate_get_bounds(limiter, id_of(limiter, "budget"), &keys[1], &bounds[1]));
    STATUS(TOLLGATE_OK, tollgate_get_bounds(limiter, id_of(limiter, "ip"), NULL, NULL));
    CHECK(keys[0] == keys[1] && keys[0] > 7000 && bounds[0] > bounds[1]);
    EQUAL(bytes, bounds[0] + bounds[1]);
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
    /* A policy's own number of keys leaves more to the other. */
    policies[0].max_keys = 100;
    policies[1].max_bytes = 1 << 20;
    STATUS(TOLLGATE_OK, tollgate_new(&options, policies, 2, &limiter, NULL));
    STATUS(TOLLGATE_OK, tollgate_get_bounds(limiter, id_of(limiter, "ip"), &keys[0], NULL));
    STATUS(TOLLGATE_OK, tollgate_get_bounds(limiter, id_of(limiter, "budget"), &keys[1], &bounds[1]));
    CHECK(keys[0] == 100 && keys[1] > 15000 && bounds[1] <= 1 << 20);
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
    /* Too little for one key of each. */
    options.max_bytes = 1000;
    STATUS(TOLLGATE_E_MAX_BYTES, build(&options, policies, 2, "max_bytes 1000 must be at least"));
    bytes = 1;
    STATUS(TOLLGATE_E_MAX_BYTES, tollgate_memory_bound(&options, policies, 2, &bytes, &error));
    EQUAL(TOLLGATE_E_MAX_BYTES, error.status);
    EQUAL(0, bytes);
    /* The number in the message is enough. */
    options.max_bytes = strtoull(strstr(error.message, "least ") + 6, NULL, 10);
    STATUS(TOLLGATE_OK, build(&options, policies, 2, ""));
    options.max_bytes--;
    STATUS(TOLLGATE_E_MAX_BYTES, build(&options, policies, 2, "at least"));
    STATUS(TOLLGATE_E_POLICIES, tollgate_memory_bound(NULL, NULL, 0, &bytes, &error));
}

/* A struct of an older program is shorter. Missing fields are 0, and nothing after its end is read. */
static void an_older_struct_is_accepted(void) {
    size_t size = offsetof(tollgate_policy, max_limit);
    char *old = malloc(2 * size);
    tollgate_policy policy = sliding("first", 10, SECOND);
    tollgate_options options = TOLLGATE_OPTIONS_INIT;
    char *old_options = malloc(offsetof(tollgate_options, clock));
    tollgate_limiter *limiter;
    CHECK(old != NULL && old_options != NULL);
    policy.struct_size = (uint32_t)size;
    memcpy(old, &policy, size);
    policy.name = "second";
    memcpy(old + size, &policy, size);
    options.struct_size = (uint32_t)offsetof(tollgate_options, clock);
    options.max_keys = 5;
    memcpy(old_options, &options, offsetof(tollgate_options, clock));
    STATUS(TOLLGATE_OK, tollgate_new((const tollgate_options *)(const void *)old_options,
                                     (const tollgate_policy *)(const void *)old, 2, &limiter, NULL));
    CHECK(id_of(limiter, "first") != id_of(limiter, "second"));
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
    free(old_options);
    free(old);
}

typedef struct {
    tollgate_policy known;
    uint64_t more;
} newer_policy;

typedef struct {
    tollgate_options known;
    uint64_t more;
} newer_options;

/* A struct of a newer program is longer. Fields that this library lacks must be 0. */
static void a_newer_struct_is_accepted_if_its_rest_is_zero(void) {
    newer_policy policies[2];
    newer_options options = {TOLLGATE_OPTIONS_INIT, 0};
    size_t i;
    for (i = 0; i < 2; i++) {
        policies[i].known = sliding(i == 0 ? "first" : "second", 10, SECOND);
        policies[i].known.struct_size = sizeof(newer_policy);
        policies[i].more = 0;
    }
    options.known.struct_size = sizeof(newer_options);
    STATUS(TOLLGATE_OK, build(&options.known, &policies[0].known, 2, ""));
    policies[1].more = UINT64_C(1) << 56;
    STATUS(TOLLGATE_E_ARGUMENT, build(&options.known, &policies[0].known, 2, ""));
    policies[1].more = 0;
    options.more = 1;
    STATUS(TOLLGATE_E_ARGUMENT, build(&options.known, &policies[0].known, 2, ""));
}

typedef struct {
    char byte;
    /* Its offset is the alignment of the type. */
    tollgate_policy policy;
} after_a_byte;

static void impossible_sizes_are_errors(void) {
    tollgate_policy *policy = calloc(1, 4096);
    tollgate_options options = TOLLGATE_OPTIONS_INIT;
    CHECK(policy != NULL);
    *policy = sliding("p", 10, SECOND);
    policy->struct_size = 4096;
    STATUS(TOLLGATE_OK, build(NULL, policy, 1, ""));
    policy->struct_size = 4097;
    STATUS(TOLLGATE_E_ARGUMENT, build(NULL, policy, 1, ""));
    for (policy->struct_size = 0; policy->struct_size < 100; policy->struct_size++) {
        /* A size that is not a multiple of the alignment cannot be that of a struct. */
        if (policy->struct_size % offsetof(after_a_byte, policy) != 0) {
            STATUS(TOLLGATE_E_ARGUMENT, build(NULL, policy, 1, "struct_size"));
        }
    }
    policy->struct_size = 0;
    STATUS(TOLLGATE_E_ARGUMENT, build(NULL, policy, 1, ""));
    policy->struct_size = sizeof(tollgate_policy);
    options.struct_size = 0;
    STATUS(TOLLGATE_E_ARGUMENT, build(&options, policy, 1, ""));
    free(policy);
}

int main(void) {
    each_error_has_its_status();
    limits_of_names_and_numbers();
    a_long_message_is_truncated();
    options_are_checked();
    overflow_modes();
    memory_is_bounded_before_it_is_allocated();
    an_older_struct_is_accepted();
    a_newer_struct_is_accepted_if_its_rest_is_zero();
    impossible_sizes_are_errors();
    return passed();
}
