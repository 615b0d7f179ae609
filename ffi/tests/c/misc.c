/* Functions without a limiter: status texts, versions, token costs. */
#include "fixture.h"

/* All statuses of this header. No call returns the last two today: max_keys of 0 is the default, and
 * every configuration error has its own number. */
static const int32_t statuses[] = {
    TOLLGATE_OK,           TOLLGATE_DENIED,       TOLLGATE_IMPOSSIBLE,
    TOLLGATE_TABLE_FULL,   TOLLGATE_E_NULL,       TOLLGATE_E_HANDLE,
    TOLLGATE_E_ARGUMENT,   TOLLGATE_E_POLICY,     TOLLGATE_E_TOO_MANY,
    TOLLGATE_E_CLOSED,     TOLLGATE_E_FOREIGN,    TOLLGATE_E_AMOUNTS,
    TOLLGATE_E_BUFFER,     TOLLGATE_E_THREAD,     TOLLGATE_E_NO_MEMORY,
    TOLLGATE_E_SYSTEM,     TOLLGATE_E_POLICIES,   TOLLGATE_E_NAME,
    TOLLGATE_E_DUPLICATE_NAME, TOLLGATE_E_LIMIT,  TOLLGATE_E_MAX_LIMIT,
    TOLLGATE_E_WINDOW,     TOLLGATE_E_BUCKETS,    TOLLGATE_E_OFFSET,
    TOLLGATE_E_ALLOWANCE,  TOLLGATE_E_MAX_BYTES,  TOLLGATE_E_PANIC,
    TOLLGATE_E_POLICY_FILE, TOLLGATE_E_MAX_KEYS,  TOLLGATE_E_CONFIG,
};

#define COUNT (sizeof statuses / sizeof statuses[0])

static void every_status_has_its_own_text(void) {
    size_t i, j;
    const char *unknown = tollgate_strerror(INT32_MIN);
    TEXT(unknown, tollgate_strerror(INT32_MAX));
    TEXT(unknown, tollgate_strerror(4));
    for (i = 0; i < COUNT; i++) {
        CHECK(strlen(tollgate_strerror(statuses[i])) > 0);
        CHECK(strcmp(unknown, tollgate_strerror(statuses[i])) != 0);
        for (j = 0; j < i; j++) {
            CHECK(statuses[i] != statuses[j]);
            CHECK(strcmp(tollgate_strerror(statuses[i]), tollgate_strerror(statuses[j])) != 0);
        }
    }
}

/* 0 is success, above 0 is a refusal, below 0 is an error. */
static void signs_of_statuses(void) {
    size_t i, errors = 0;
    EQUAL(0, TOLLGATE_OK);
    CHECK(TOLLGATE_DENIED > 0 && TOLLGATE_IMPOSSIBLE > 0 && TOLLGATE_TABLE_FULL > 0);
    for (i = 0; i < COUNT; i++) {
        errors += statuses[i] < 0;
    }
    EQUAL(COUNT - 4, errors);
}

static void versions_agree(void) {
    char text[64];
    snprintf(text, sizeof text, "%d.%d.%d", TOLLGATE_VERSION_MAJOR, TOLLGATE_VERSION_MINOR,
             TOLLGATE_VERSION_PATCH);
    TEXT(text, tollgate_version());
    EQUAL(TOLLGATE_ABI_VERSION, tollgate_abi_version());
}

/* Prices are for a million tokens; costs are rounded up and never wrap. */
static void token_costs(void) {
    EQUAL(0, tollgate_token_cost(300, 1500, 0, 0));
    EQUAL(1, tollgate_token_cost(300, 1500, 1, 0));
    EQUAL(1800, tollgate_token_cost(300, 1500, 1000000, 1000000));
    EQUAL(1801, tollgate_token_cost(300, 1500, 1000000, 1000001));
    EQUAL(UINT64_MAX, tollgate_token_cost(UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX));
}

/* The sizes of opaque structs are those of the header's constants. */
static void opaque_memory(void) {
    EQUAL(TOLLGATE_RESERVATION_WORDS * 8, sizeof(tollgate_reservation));
    EQUAL(TOLLGATE_SESSION_WORDS * 8 + sizeof(tollgate_now), sizeof(tollgate_session));
    EQUAL(TOLLGATE_MESSAGE_SIZE + 8, sizeof(tollgate_error));
}

int main(void) {
    every_status_has_its_own_text();
    signs_of_statuses();
    versions_agree();
    token_costs();
    opaque_memory();
    return passed();
}
