/* Misuse: NULL, unaligned pointers, handles of another kind, freed handles. Each is an error, and the
 * limiter works as before. */
#include "fixture.h"

/* An unaligned pointer, which is rejected before it is used. */
#define ODD(type, place) ((type)(void *)((char *)(place) + 1))

static tollgate_clock *clock_handle;
static tollgate_limiter *limiter;
static tollgate_charge charge, charges[3];
static tollgate_decision decision, decisions[3];
static tollgate_policy_status statuses[3];
static tollgate_reservation reservation, open_one;
static tollgate_session session;
static tollgate_stats stats = TOLLGATE_STATS_INIT;
static tollgate_request_stats requests = TOLLGATE_REQUEST_STATS_INIT;
static tollgate_error error;
static tollgate_now now;
static uint64_t policy, number, amounts[3];
static size_t length;
static char buffer[1000];
static int32_t done;

/* Passes a wrong limiter to every function. The limiter is checked first. */
static void with_limiter(const tollgate_limiter *wrong, tollgate_status expected) {
    const char *name;
    tollgate_reservation copy = open_one;
    STATUS(expected, tollgate_read_clock(wrong, &now));
    STATUS(expected, tollgate_http_policy(wrong, statuses, 1, buffer, sizeof buffer, &length));
    STATUS(expected, tollgate_http_limit(wrong, statuses, 1, buffer, sizeof buffer, &length));
    STATUS(expected,
           tollgate_http_problem(wrong, statuses, 1, NULL, buffer, sizeof buffer, &length));
    STATUS(expected, tollgate_policy_find(wrong, "p", &number));
    STATUS(expected, tollgate_policy_at(wrong, 0, &number, &name));
    STATUS(expected, tollgate_get_limit(wrong, policy, &number));
    STATUS(expected, tollgate_get_bounds(wrong, policy, &number, NULL));
    error.status = TOLLGATE_OK;
    STATUS(expected, tollgate_set_limit(wrong, policy, 5, &error));
    EQUAL(expected, error.status);
    STATUS(expected, tollgate_resolution(wrong, policy, &number));
    STATUS(expected, tollgate_check(wrong, &now, &charge, 1, &decision));
    STATUS(expected, tollgate_check(wrong, NULL, NULL, 0, NULL));
    STATUS(expected, tollgate_check_with_status(wrong, &now, &charge, 1, &decision, statuses));
    STATUS(expected, tollgate_check_key(wrong, &now, policy, "k", 1, 1, &decision));
    STATUS(expected, tollgate_check_many(wrong, &now, &charge, 1, decisions, &length));
    STATUS(expected, tollgate_peek(wrong, &now, &charge, 1, &decision));
    STATUS(expected, tollgate_peek_with_status(wrong, &now, &charge, 1, &decision, statuses));
    STATUS(expected, tollgate_force_charge(wrong, &now, &charge, 1, &decision));
    STATUS(expected, tollgate_refund(wrong, &now, &charge, &number));
    STATUS(expected, tollgate_reset_key(wrong, &now, &charge));
    STATUS(expected, tollgate_reserve(wrong, &now, &charge, 1, &reservation, &decision, statuses));
    STATUS(expected, tollgate_extend(wrong, &now, &copy, amounts, 1, &decision));
    STATUS(expected, tollgate_settle(wrong, &now, &copy, amounts, 1, &decision));
    STATUS(expected, tollgate_cancel(wrong, &now, &copy, &decision));
    STATUS(expected, tollgate_session_begin(wrong, &now, &session));
    STATUS(expected, tollgate_get_stats(wrong, policy, &stats));
    STATUS(expected, tollgate_get_request_stats(wrong, &requests));
    STATUS(expected, tollgate_maintain(wrong, 1, &done));
}

static void with_clock(const tollgate_clock *wrong, tollgate_status expected) {
    STATUS(expected, tollgate_clock_tick(wrong));
    STATUS(expected, tollgate_clock_set(wrong, &now));
    STATUS(expected, tollgate_clock_advance(wrong, 1));
}

/* Creates a limiter with a wrong clock. */
static void on_clock(const tollgate_clock *wrong) {
    tollgate_options options = TOLLGATE_OPTIONS_INIT;
    tollgate_policy one = sliding("p", 10, SECOND);
    tollgate_limiter *made = limiter;
    options.clock = wrong;
    STATUS(TOLLGATE_E_HANDLE, tollgate_new(&options, &one, 1, &made, NULL));
    CHECK(made == NULL);
    STATUS(TOLLGATE_E_HANDLE, tollgate_new_from_toml(&options, "", 0, &made, NULL));
}

static void handles(void) {
    /* Not a handle, but readable for as many bytes as a check of a handle reads. */
    static uint64_t memory[64];
    tollgate_limiter *not_limiter = (tollgate_limiter *)(void *)clock_handle;
    tollgate_clock *not_clock = (tollgate_clock *)(void *)limiter;
    with_limiter(NULL, TOLLGATE_E_NULL);
    with_limiter(not_limiter, TOLLGATE_E_HANDLE);
    with_limiter((const tollgate_limiter *)(const void *)memory, TOLLGATE_E_HANDLE);
    with_limiter(ODD(const tollgate_limiter *, limiter), TOLLGATE_E_HANDLE);
    with_clock(NULL, TOLLGATE_E_NULL);
    with_clock(not_clock, TOLLGATE_E_HANDLE);
    with_clock((const tollgate_clock *)(const void *)memory, TOLLGATE_E_HANDLE);
    with_clock(ODD(const tollgate_clock *, clock_handle), TOLLGATE_E_HANDLE);
    on_clock(not_clock);
    on_clock(ODD(const tollgate_clock *, clock_handle));
    STATUS(TOLLGATE_E_HANDLE, tollgate_free(not_limiter));
    STATUS(TOLLGATE_E_HANDLE, tollgate_free(ODD(tollgate_limiter *, limiter)));
    STATUS(TOLLGATE_E_HANDLE, tollgate_clock_free(not_clock));
    STATUS(TOLLGATE_E_HANDLE, tollgate_clock_free(ODD(tollgate_clock *, clock_handle)));
    STATUS(TOLLGATE_OK, tollgate_free(NULL));
    STATUS(TOLLGATE_OK, tollgate_clock_free(NULL));
}

/* Only builds with debug assertions detect every freed handle: others may read freed memory. */
static void freed_handles(void) {
#ifdef TOLLGATE_CHECKED
    tollgate_policy one = sliding("p", 10, SECOND);
    tollgate_limiter *freed = limiter_of(&one, 1);
    tollgate_clock *freed_clock = NULL;
    STATUS(TOLLGATE_OK, tollgate_clock_manual(&freed_clock));
    STATUS(TOLLGATE_OK, tollgate_free(freed));
    STATUS(TOLLGATE_OK, tollgate_clock_free(freed_clock));
    with_limiter(freed, TOLLGATE_E_HANDLE);
    with_clock(freed_clock, TOLLGATE_E_HANDLE);
    on_clock(freed_clock);
    STATUS(TOLLGATE_E_HANDLE, tollgate_free(freed));
    STATUS(TOLLGATE_E_HANDLE, tollgate_clock_free(freed_clock));
#endif
}

/* NULL for each required pointer in turn. */
static void null_pointers(void) {
    tollgate_policy one = sliding("p", 10, SECOND);
    tollgate_limiter *made = limiter;
    STATUS(TOLLGATE_E_NULL, tollgate_clock_manual(NULL));
    STATUS(TOLLGATE_E_NULL, tollgate_clock_coarse(0, NULL));
    STATUS(TOLLGATE_E_NULL, tollgate_clock_coarse(1, NULL));
    STATUS(TOLLGATE_E_NULL, tollgate_clock_set(clock_handle, NULL));
    STATUS(TOLLGATE_E_NULL, tollgate_read_clock(limiter, NULL));
    memset(&error, 'x', sizeof error);
    STATUS(TOLLGATE_E_NULL, tollgate_new(NULL, &one, 1, NULL, &error));
    EQUAL(TOLLGATE_E_NULL, error.status);
    CHECK(memchr(error.message, 0, sizeof error.message) != NULL);
    error.status = TOLLGATE_OK;
    STATUS(TOLLGATE_E_NULL, tollgate_memory_bound(NULL, &one, 1, NULL, &error));
    EQUAL(TOLLGATE_E_NULL, error.status);
    STATUS(TOLLGATE_E_NULL, tollgate_memory_bound(NULL, NULL, 1, &number, &error));
    EQUAL(0, number);
    error.status = TOLLGATE_OK;
    STATUS(TOLLGATE_E_NULL, tollgate_new_from_toml(NULL, NULL, 5, &made, &error));
    EQUAL(TOLLGATE_E_NULL, error.status);
    TEXT("text must not be NULL", error.message);
    CHECK(made == NULL);
    STATUS(TOLLGATE_E_NULL, tollgate_new_from_toml(NULL, NULL, 0, &made, NULL));
    STATUS(TOLLGATE_E_NULL, tollgate_new_from_toml(NULL, "", 0, NULL, &error));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_new_from_toml(NULL, "", SIZE_MAX, &made, &error));
    STATUS(TOLLGATE_E_NULL, tollgate_http_policy(limiter, NULL, 1, buffer, 9, &length));
    STATUS(TOLLGATE_E_NULL, tollgate_http_limit(limiter, NULL, 1, buffer, 9, &length));
    STATUS(TOLLGATE_E_NULL, tollgate_http_problem(limiter, NULL, 1, NULL, buffer, 9, &length));
    STATUS(TOLLGATE_E_NULL, tollgate_policy_find(limiter, NULL, &number));
    EQUAL(0, number);
    STATUS(TOLLGATE_E_NULL, tollgate_policy_find(limiter, "p", NULL));
    STATUS(TOLLGATE_E_NULL, tollgate_get_limit(limiter, policy, NULL));
    STATUS(TOLLGATE_E_NULL, tollgate_resolution(limiter, policy, NULL));
    STATUS(TOLLGATE_E_NULL, tollgate_check(limiter, &now, NULL, 1, &decision));
    STATUS(TOLLGATE_E_NULL, tollgate_check_with_status(limiter, &now, NULL, 1, &decision, statuses));
    STATUS(TOLLGATE_E_NULL, tollgate_check_with_status(limiter, &now, &charge, 1, &decision, NULL));
    STATUS(TOLLGATE_E_NULL, tollgate_check_key(limiter, &now, policy, NULL, 1, 1, &decision));
    STATUS(TOLLGATE_E_NULL, tollgate_check_many(limiter, &now, NULL, 1, decisions, &length));
    STATUS(TOLLGATE_E_NULL, tollgate_peek(limiter, &now, NULL, 1, &decision));
    STATUS(TOLLGATE_E_NULL, tollgate_peek_with_status(limiter, &now, NULL, 1, &decision, statuses));
    STATUS(TOLLGATE_E_NULL, tollgate_peek_with_status(limiter, &now, &charge, 1, &decision, NULL));
    STATUS(TOLLGATE_E_NULL, tollgate_force_charge(limiter, &now, NULL, 1, &decision));
    STATUS(TOLLGATE_E_NULL, tollgate_refund(limiter, &now, NULL, &number));
    STATUS(TOLLGATE_E_NULL, tollgate_reset_key(limiter, &now, NULL));
    STATUS(TOLLGATE_E_NULL,
           tollgate_reserve(limiter, &now, NULL, 1, &reservation, &decision, statuses));
    STATUS(TOLLGATE_E_NULL, tollgate_reserve(limiter, &now, &charge, 1, NULL, &decision, statuses));
    STATUS(TOLLGATE_E_NULL, tollgate_extend(limiter, &now, NULL, amounts, 1, &decision));
    STATUS(TOLLGATE_E_NULL, tollgate_extend(limiter, &now, &open_one, NULL, 1, &decision));
    STATUS(TOLLGATE_E_NULL, tollgate_settle(limiter, &now, NULL, amounts, 1, &decision));
    STATUS(TOLLGATE_E_NULL, tollgate_settle(limiter, &now, &open_one, NULL, 1, &decision));
    STATUS(TOLLGATE_E_NULL, tollgate_cancel(limiter, &now, NULL, &decision));
    STATUS(TOLLGATE_E_NULL, tollgate_reserved(NULL, 0, &number));
    STATUS(TOLLGATE_E_NULL, tollgate_reserved(&open_one, 0, NULL));
    STATUS(TOLLGATE_E_NULL, tollgate_session_begin(limiter, &now, NULL));
    STATUS(TOLLGATE_E_NULL, tollgate_session_end(NULL));
    STATUS(TOLLGATE_E_NULL, tollgate_get_stats(limiter, policy, NULL));
}

/* An unaligned pointer is an error, and nothing is charged. */
static void unaligned_pointers(void) {
    tollgate_policy one = sliding("p", 10, SECOND);
    tollgate_options options = TOLLGATE_OPTIONS_INIT;
    tollgate_limiter *made;
    const tollgate_now *odd_now = ODD(const tollgate_now *, charges);
    const tollgate_charge *odd_charge = ODD(const tollgate_charge *, charges);
    tollgate_decision *odd_decision = ODD(tollgate_decision *, decisions);
    tollgate_policy_status *odd_layer = ODD(tollgate_policy_status *, statuses);
    uint64_t *odd_number = ODD(uint64_t *, amounts);
    size_t *odd_size = ODD(size_t *, amounts);
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_clock_manual(ODD(tollgate_clock **, amounts)));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_clock_coarse(0, ODD(tollgate_clock **, amounts)));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_clock_set(clock_handle, odd_now));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_read_clock(limiter, ODD(tollgate_now *, charges)));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_new(ODD(tollgate_options *, &options), &one, 1, &made, &error));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_new(NULL, ODD(tollgate_policy *, &one), 1, &made, &error));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_new(NULL, &one, 1, ODD(tollgate_limiter **, amounts), &error));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_new(NULL, NULL, 0, &made, ODD(tollgate_error *, &error)));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_new_from_toml(ODD(tollgate_options *, &options), "", 0, &made, &error));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_new_from_toml(NULL, "", 0, ODD(tollgate_limiter **, amounts), &error));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_new_from_toml(NULL, "", 0, &made, ODD(tollgate_error *, &error)));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_policy_find(limiter, "p", odd_number));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_policy_at(limiter, 0, odd_number, NULL));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_policy_at(limiter, 0, NULL, ODD(const char **, amounts)));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_get_limit(limiter, policy, odd_number));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_get_bounds(limiter, policy, odd_number, NULL));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_get_bounds(limiter, policy, NULL, odd_number));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_memory_bound(NULL, &one, 1, odd_number, &error));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_resolution(limiter, policy, odd_number));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_http_limit(limiter, odd_layer, 1, buffer, 9, &length));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_http_limit(limiter, statuses, 0, buffer, 9, odd_size));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_check(limiter, odd_now, &charge, 1, &decision));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_check(limiter, &now, odd_charge, 1, &decision));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_check(limiter, &now, &charge, 1, odd_decision));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_check_with_status(limiter, &now, &charge, 1, odd_decision, statuses));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_check_with_status(limiter, &now, &charge, 1, NULL, odd_layer));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_check_key(limiter, &now, policy, "k", 1, 1, odd_decision));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_check_many(limiter, &now, odd_charge, 1, NULL, NULL));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_check_many(limiter, &now, &charge, 1, odd_decision, NULL));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_check_many(limiter, &now, &charge, 1, NULL, odd_size));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_check_many(limiter, &now, &charge, SIZE_MAX, NULL, NULL));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_force_charge(limiter, &now, &charge, 1, odd_decision));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_refund(limiter, &now, odd_charge, &number));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_refund(limiter, &now, &charge, odd_number));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_reset_key(limiter, odd_now, &charge));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_reserve(limiter, &now, &charge, 1, ODD(tollgate_reservation *, &reservation), NULL, NULL));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_reserve(limiter, &now, &charge, 1, &reservation, odd_decision, NULL));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_reserve(limiter, &now, &charge, 1, &reservation, NULL, odd_layer));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_extend(limiter, &now, &open_one, odd_number, 1, NULL));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_settle(limiter, &now, &open_one, amounts, 1, odd_decision));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_cancel(limiter, odd_now, &open_one, NULL));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_reserved(&open_one, 0, odd_number));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_session_begin(limiter, &now, ODD(tollgate_session *, &session)));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_session_begin(limiter, odd_now, &session));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_session_end(ODD(tollgate_session *, &session)));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_get_stats(limiter, policy, ODD(tollgate_stats *, &stats)));
    STATUS(TOLLGATE_E_ARGUMENT,
           tollgate_get_request_stats(limiter, ODD(tollgate_request_stats *, &requests)));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_maintain(limiter, 1, ODD(int32_t *, amounts)));
}

/* A reserved field of a struct that the caller fills in must be 0. */
static void reserved_fields(void) {
    tollgate_charge wrong = charge, batch[2];
    unsigned bit;
    tollgate_policy_status status, good;
    tollgate_reservation other;
    batch[0] = charge;
    for (bit = 0; bit < 16; bit++) {
        wrong.key.reserved = (uint16_t)(1u << bit);
        batch[1] = wrong;
        STATUS(TOLLGATE_E_ARGUMENT, tollgate_check(limiter, &now, batch, 2, &decision));
        STATUS(TOLLGATE_E_ARGUMENT, tollgate_check_with_status(limiter, &now, batch, 2, NULL, statuses));
        STATUS(TOLLGATE_E_ARGUMENT, tollgate_check_many(limiter, &now, batch, 2, NULL, NULL));
        STATUS(TOLLGATE_E_ARGUMENT, tollgate_peek(limiter, &now, &wrong, 1, NULL));
        STATUS(TOLLGATE_E_ARGUMENT, tollgate_force_charge(limiter, &now, &wrong, 1, NULL));
        STATUS(TOLLGATE_E_ARGUMENT, tollgate_refund(limiter, &now, &wrong, NULL));
        STATUS(TOLLGATE_E_ARGUMENT, tollgate_reset_key(limiter, &now, &wrong));
        STATUS(TOLLGATE_E_ARGUMENT, tollgate_reserve(limiter, &now, batch, 2, &other, NULL, NULL));
    }
    STATUS(TOLLGATE_OK, tollgate_peek_with_status(limiter, &now, &charge, 1, NULL, &good));
    EQUAL(0, good.reserved);
    status = good;
    status.reserved = 1;
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_http_policy(limiter, &status, 1, buffer, sizeof buffer, &length));
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_http_limit(limiter, &status, 1, buffer, sizeof buffer, &length));
    STATUS(TOLLGATE_E_ARGUMENT,
           tollgate_http_problem(limiter, &status, 1, NULL, buffer, sizeof buffer, &length));
    STATUS(TOLLGATE_OK, tollgate_http_limit(limiter, &good, 1, buffer, sizeof buffer, &length));
}

/* A call that fails because of one output writes no other output. */
static void outputs_of_a_failed_call(void) {
    const char **odd_name = ODD(const char **, amounts), *name = buffer;
    uint64_t *odd_number = ODD(uint64_t *, amounts);
    number = 7;
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_policy_at(limiter, 0, &number, odd_name));
    EQUAL(7, number);
    STATUS(TOLLGATE_E_ARGUMENT, tollgate_policy_at(limiter, 0, odd_number, &name));
    CHECK(name == buffer);
    memset(buffer, 'x', sizeof buffer);
    STATUS(TOLLGATE_E_ARGUMENT,
           tollgate_http_limit(limiter, statuses, 0, buffer, 9, ODD(size_t *, amounts)));
    EQUAL('x', buffer[0]);
}

int main(void) {
    tollgate_policy one = sliding("p", 10, SECOND);
    uint64_t kept;
    now = at(0);
    limiter = limiter_of(&one, 1);
    policy = id_of(limiter, "p");
    charge = tollgate_charge_shared(policy, 1);
    charges[0] = charges[1] = charges[2] = charge;
    STATUS(TOLLGATE_OK, tollgate_clock_manual(&clock_handle));
    STATUS(TOLLGATE_OK, tollgate_reserve(limiter, &now, &charge, 1, &open_one, NULL, NULL));
    kept = left(limiter, 0, charge);
    handles();
    freed_handles();
    null_pointers();
    unaligned_pointers();
    reserved_fields();
    outputs_of_a_failed_call();
    /* None of these calls charged anything, and the reservation is unchanged. */
    EQUAL(kept, left(limiter, 0, charge));
    STATUS(TOLLGATE_OK, tollgate_cancel(limiter, &now, &open_one, NULL));
    EQUAL(kept + 1, left(limiter, 0, charge));
    STATUS(TOLLGATE_OK, tollgate_clock_free(clock_handle));
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
    return passed();
}
