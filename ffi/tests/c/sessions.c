/* Turns of an event loop: they belong to their thread, and are ended once. */
#include <pthread.h>

#include "scene.h"

static tollgate_limiter *limiter;

static void verbs_at_its_instant(void) {
    tollgate_charge charge = tollgate_charge_shared(id_of(limiter, "p"), 1);
    tollgate_session one, other;
    tollgate_now now = at(5 * SECOND), clock;
    ANSWER(TOLLGATE_OK, tollgate_session_begin(limiter, &now, &one));
    CHECK(one.now.monotonic_ns == now.monotonic_ns && one.now.unix_ns == now.unix_ns);
    ANSWER(TOLLGATE_OK, tollgate_session_begin(limiter, NULL, &other));
    ANSWER(TOLLGATE_OK, tollgate_read_clock(limiter, &clock));
    EQUAL(clock.monotonic_ns, other.now.monotonic_ns);
    ANSWER(TOLLGATE_OK, tollgate_check(limiter, &one.now, &charge, 1, NULL));
    EQUAL(9, left(limiter, 5 * SECOND, charge));
    /* In any order. */
    ANSWER(TOLLGATE_OK, tollgate_session_end(&one));
    ANSWER(TOLLGATE_OK, tollgate_session_end(&other));
}

static void ended_once(void) {
    tollgate_session session;
    memset(&session, 0, sizeof session);
    ANSWER(TOLLGATE_E_HANDLE, tollgate_session_end(&session));
    ANSWER(TOLLGATE_OK, tollgate_session_begin(limiter, NULL, &session));
    ANSWER(TOLLGATE_OK, tollgate_session_end(&session));
    ANSWER(TOLLGATE_E_HANDLE, tollgate_session_end(&session));
    ANSWER(TOLLGATE_OK, tollgate_session_begin(limiter, NULL, &session));
    ANSWER(TOLLGATE_OK, tollgate_session_end(&session));
}

static void *end_elsewhere(void *session) {
    tollgate_status *status = malloc(sizeof *status);
    if (status != NULL) {
        *status = tollgate_session_end(session);
    }
    return status;
}

static void another_thread_cannot_end_it(void) {
    tollgate_session session;
    int turn;
    ANSWER(TOLLGATE_OK, tollgate_session_begin(limiter, NULL, &session));
    for (turn = 0; turn < 4; turn++) {
        pthread_t thread;
        void *status = NULL;
        CHECK(pthread_create(&thread, NULL, end_elsewhere, &session) == 0);
        CHECK(pthread_join(thread, &status) == 0 && status != NULL);
        ANSWER(TOLLGATE_E_THREAD, *(tollgate_status *)status);
        free(status);
    }
    /* It was left open. */
    ANSWER(TOLLGATE_OK, tollgate_session_end(&session));
}

/* While it is open tables are replaced, and what it may still read is kept. */
static void tables_are_replaced_meanwhile(void) {
    uint64_t policy = id_of(limiter, "p"), key;
    tollgate_session session;
    tollgate_stats stats = TOLLGATE_STATS_INIT;
    int32_t done = 0;
    ANSWER(TOLLGATE_OK, tollgate_session_begin(limiter, NULL, &session));
    for (key = 0; key < 20000; key++) {
        ANSWER(TOLLGATE_OK,
               tollgate_check_key(limiter, &session.now, policy, &key, sizeof key, 1, NULL));
    }
    ANSWER(TOLLGATE_OK, tollgate_get_stats(limiter, policy, &stats));
    CHECK(stats.migrations > 0);
    ANSWER(TOLLGATE_OK, tollgate_session_end(&session));
    while (done == 0) {
        ANSWER(TOLLGATE_OK, tollgate_maintain(limiter, 1000, &done));
    }
    for (key = 0; key < 20000; key++) {
        EQUAL(9, left(limiter, 0, tollgate_charge_bytes(policy, &key, sizeof key, 0)));
    }
}

int main(void) {
    tollgate_policy policy = sliding("p", 10, SECOND);
    limiter = limiter_of(&policy, 1);
    verbs_at_its_instant();
    ended_once();
    another_thread_cannot_end_it();
    ANSWER(TOLLGATE_OK, tollgate_free(limiter));
    limiter = limiter_of(&policy, 1);
    tables_are_replaced_meanwhile();
    ANSWER(TOLLGATE_OK, tollgate_free(limiter));
    return passed();
}
