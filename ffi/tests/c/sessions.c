/* Sessions: each belongs to its thread, and can be ended once. */
#include <pthread.h>

#include "fixture.h"

static tollgate_limiter *limiter;

static void calls_at_the_time_of_a_session(void) {
    tollgate_charge charge = tollgate_charge_shared(id_of(limiter, "p"), 1);
    tollgate_session one, other;
    tollgate_now now = at(5 * SECOND), clock;
    STATUS(TOLLGATE_OK, tollgate_session_begin(limiter, &now, &one));
    CHECK(one.now.monotonic_ns == now.monotonic_ns && one.now.unix_ns == now.unix_ns);
    STATUS(TOLLGATE_OK, tollgate_session_begin(limiter, NULL, &other));
    STATUS(TOLLGATE_OK, tollgate_read_clock(limiter, &clock));
    EQUAL(clock.monotonic_ns, other.now.monotonic_ns);
    STATUS(TOLLGATE_OK, tollgate_check(limiter, &one.now, &charge, 1, NULL));
    EQUAL(9, left(limiter, 5 * SECOND, charge));
    /* Sessions may be ended in any order. */
    STATUS(TOLLGATE_OK, tollgate_session_end(&one));
    STATUS(TOLLGATE_OK, tollgate_session_end(&other));
}

static void a_session_is_ended_once(void) {
    tollgate_session session;
    memset(&session, 0, sizeof session);
    STATUS(TOLLGATE_E_HANDLE, tollgate_session_end(&session));
    STATUS(TOLLGATE_OK, tollgate_session_begin(limiter, NULL, &session));
    STATUS(TOLLGATE_OK, tollgate_session_end(&session));
    STATUS(TOLLGATE_E_HANDLE, tollgate_session_end(&session));
    STATUS(TOLLGATE_OK, tollgate_session_begin(limiter, NULL, &session));
    STATUS(TOLLGATE_OK, tollgate_session_end(&session));
}

/* Only the session itself can be ended, not a copy of it. */
static void a_copy_cannot_be_ended(void) {
    tollgate_session session, copy;
    STATUS(TOLLGATE_OK, tollgate_session_begin(limiter, NULL, &session));
    memcpy(&copy, &session, sizeof copy);
    STATUS(TOLLGATE_E_HANDLE, tollgate_session_end(&copy));
    STATUS(TOLLGATE_OK, tollgate_session_end(&session));
    STATUS(TOLLGATE_E_HANDLE, tollgate_session_end(&copy));
    STATUS(TOLLGATE_E_HANDLE, tollgate_session_end(&session));
}

static void *end_on_another_thread(void *session) {
    tollgate_status *status = malloc(sizeof *status);
    if (status != NULL) {
        *status = tollgate_session_end(session);
    }
    return status;
}

static void another_thread_cannot_end_a_session(void) {
    tollgate_session session;
    int turn;
    STATUS(TOLLGATE_OK, tollgate_session_begin(limiter, NULL, &session));
    for (turn = 0; turn < 4; turn++) {
        pthread_t thread;
        void *status = NULL;
        CHECK(pthread_create(&thread, NULL, end_on_another_thread, &session) == 0);
        CHECK(pthread_join(thread, &status) == 0 && status != NULL);
        STATUS(TOLLGATE_E_THREAD, *(tollgate_status *)status);
        free(status);
    }
    /* It is still open. */
    STATUS(TOLLGATE_OK, tollgate_session_end(&session));
}

/* While a session is open, arrays are replaced and no charge is lost. */
static void arrays_are_replaced_during_a_session(void) {
    uint64_t policy = id_of(limiter, "p"), key;
    tollgate_session session;
    tollgate_stats stats = TOLLGATE_STATS_INIT;
    int32_t done = 0;
    STATUS(TOLLGATE_OK, tollgate_session_begin(limiter, NULL, &session));
    for (key = 0; key < 20000; key++) {
        STATUS(TOLLGATE_OK,
               tollgate_check_key(limiter, &session.now, policy, &key, sizeof key, 1, NULL));
    }
    STATUS(TOLLGATE_OK, tollgate_get_stats(limiter, policy, &stats));
    CHECK(stats.migrations > 0);
    STATUS(TOLLGATE_OK, tollgate_session_end(&session));
    while (done == 0) {
        STATUS(TOLLGATE_OK, tollgate_maintain(limiter, 1000, &done));
    }
    for (key = 0; key < 20000; key++) {
        EQUAL(9, left(limiter, 0, tollgate_charge_bytes(policy, &key, sizeof key, 0)));
    }
}

int main(void) {
    tollgate_policy policy = sliding("p", 10, SECOND);
    limiter = limiter_of(&policy, 1);
    calls_at_the_time_of_a_session();
    a_session_is_ended_once();
    a_copy_cannot_be_ended();
    another_thread_cannot_end_a_session();
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
    limiter = limiter_of(&policy, 1);
    arrays_are_replaced_during_a_session();
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
    return passed();
}
