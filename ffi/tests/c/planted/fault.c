/* A planted fault of the caller, which a checker must report inside the library: `fault over-read`,
 * `fault leak` or `fault race`. */
#include <pthread.h>

#include "../fixture.h"

static tollgate_limiter *limiter;
static tollgate_decision shared;

static pthread_barrier_t both;

static void *decide(void *key) {
    int turn;
    /* Both threads wait here: if one ended before the other began, there would be no race. */
    (void)tollgate_check_key(limiter, NULL, 0, key, 1, 1, NULL);
    (void)pthread_barrier_wait(&both);
    for (turn = 0; turn < 1000; turn++) {
        (void)tollgate_check_key(limiter, NULL, 0, key, 1, 1, &shared);
    }
    return NULL;
}

/* Two threads have their decisions written to one place. */
static void race(void) {
    pthread_t threads[2];
    CHECK(pthread_barrier_init(&both, NULL, 2) == 0);
    CHECK(pthread_create(&threads[0], NULL, decide, "a") == 0);
    CHECK(pthread_create(&threads[1], NULL, decide, "b") == 0);
    CHECK(pthread_join(threads[0], NULL) == 0);
    CHECK(pthread_join(threads[1], NULL) == 0);
    CHECK(pthread_barrier_destroy(&both) == 0);
}

/* A key of 32 bytes is passed with a size of 33. */
static void over_read(void) {
    char *key = calloc(32, 1);
    CHECK(key != NULL);
    (void)tollgate_check_key(limiter, NULL, id_of(limiter, "p"), key, 33, 1, NULL);
    free(key);
}

int main(int argc, char **argv) {
    tollgate_policy policy = sliding("p", 10, SECOND);
    const char *fault = argc > 1 ? argv[1] : "";
    limiter = limiter_of(&policy, 1);
    if (strcmp(fault, "over-read") == 0) {
        over_read();
    } else if (strcmp(fault, "race") == 0) {
        race();
    }
    if (strcmp(fault, "leak") != 0) {
        STATUS(TOLLGATE_OK, tollgate_free(limiter));
    }
    limiter = NULL;
    return passed();
}
