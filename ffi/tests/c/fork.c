/* A child uses an inherited limiter, whatever other threads were doing at the fork. Parent and child
 * count separately. The parent fails after a timeout. */
#include <pthread.h>
#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

/* The timeout of a child in seconds. */
#define PATIENCE 60

/* Runs `body` in a child, which passes if it reaches the end. */
static void in_child(void (*body)(void *), void *argument) {
    int status = -1;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(PATIENCE);
        body(argument);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "the child was ended by signal %d\n", WTERMSIG(status));
    }
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

typedef struct {
    tollgate_limiter *limiter;
    tollgate_charge charge;
    tollgate_reservation reservation;
} inherited;

static tollgate_status spend(const inherited *state, uint64_t cost) {
    tollgate_now now = at(0);
    tollgate_charge charge = state->charge;
    charge.cost = cost;
    return tollgate_check(state->limiter, &now, &charge, 1, NULL);
}

static void child_counts_separately(void *argument) {
    inherited *state = argument;
    tollgate_now now = at(0);
    EQUAL(6, left(state->limiter, 0, state->charge));
    STATUS(TOLLGATE_OK, spend(state, 5));
    STATUS(TOLLGATE_DENIED, spend(state, 2));
    STATUS(TOLLGATE_OK, tollgate_cancel(state->limiter, &now, &state->reservation, NULL));
    EQUAL(3, left(state->limiter, 0, state->charge));
    STATUS(TOLLGATE_OK, tollgate_free(state->limiter));
}

static void parent_and_child_count_separately(void) {
    tollgate_policy policy = sliding("p", 10, SECOND);
    tollgate_now now = at(0);
    inherited state;
    state.limiter = limiter_of(&policy, 1);
    state.charge = tollgate_charge_shared(id_of(state.limiter, "p"), 2);
    STATUS(TOLLGATE_OK, spend(&state, 2));
    STATUS(TOLLGATE_OK,
           tollgate_reserve(state.limiter, &now, &state.charge, 1, &state.reservation, NULL, NULL));
    in_child(child_counts_separately, &state);
    EQUAL(6, left(state.limiter, 0, state.charge));
    STATUS(TOLLGATE_OK, spend(&state, 6));
    STATUS(TOLLGATE_DENIED, spend(&state, 1));
    STATUS(TOLLGATE_OK, tollgate_free(state.limiter));
}

/* The child does not have the clock's thread. The clock stops, times of the caller work, and the limiter
 * can be freed. */
static void child_without_the_clock_thread(void *argument) {
    inherited *state = argument;
    tollgate_now first, now;
    int turn;
    STATUS(TOLLGATE_OK, tollgate_read_clock(state->limiter, &first));
    for (turn = 0; turn < 1000; turn++) {
        STATUS(TOLLGATE_OK, tollgate_read_clock(state->limiter, &now));
        EQUAL(first.monotonic_ns, now.monotonic_ns);
    }
    now.monotonic_ns += 3600 * SECOND;
    STATUS(TOLLGATE_OK, tollgate_check(state->limiter, &now, &state->charge, 1, NULL));
    STATUS(TOLLGATE_OK, tollgate_free(state->limiter));
}

static void a_clock_with_a_thread_stops_in_the_child(void) {
    tollgate_policy policy = sliding("p", 10, SECOND);
    tollgate_options options = TOLLGATE_OPTIONS_INIT;
    tollgate_clock *clock = NULL;
    inherited state;
    STATUS(TOLLGATE_OK, tollgate_clock_coarse(MILLI, &clock));
    options.clock = clock;
    STATUS(TOLLGATE_OK, tollgate_new(&options, &policy, 1, &state.limiter, NULL));
    STATUS(TOLLGATE_OK, tollgate_clock_free(clock));
    state.charge = tollgate_charge_shared(id_of(state.limiter, "p"), 10);
    in_child(child_without_the_clock_thread, &state);
    STATUS(TOLLGATE_OK, tollgate_free(state.limiter));
}

typedef struct {
    const tollgate_limiter *limiter;
    uint64_t policy;
    uint64_t number;
    int stop;
} worker;

/* Charges new keys all the time, so that tables are resized. */
static void *work(void *argument) {
    worker *me = argument;
    uint64_t seed = me->number;
    while (!__atomic_load_n(&me->stop, __ATOMIC_RELAXED)) {
        uint64_t key = next_random(&seed);
        tollgate_now now = at(key % SECOND);
        (void)tollgate_check_key(me->limiter, &now, me->policy, &key, 3, 1, NULL);
    }
    return NULL;
}

static void child_during_calls(void *argument) {
    worker *me = argument;
    uint64_t key;
    tollgate_limiter *own;
    tollgate_policy policy = sliding("p", 10, SECOND);
    for (key = 0; key < 3000; key++) {
        tollgate_now now = at(key);
        CHECK(tollgate_check_key(me->limiter, &now, me->policy, &key, 8, 1, NULL) >= TOLLGATE_OK);
    }
    own = limiter_of(&policy, 1);
    STATUS(TOLLGATE_OK, tollgate_free(own));
}

static void fork_during_calls_of_other_threads(void) {
    enum { THREADS = 3, FORKS = 40 };
    tollgate_policy policy = sliding("p", 10, SECOND);
    tollgate_limiter *limiter;
    worker workers[THREADS];
    pthread_t threads[THREADS];
    uint64_t i;
    policy.max_keys = 50000;
    limiter = limiter_of(&policy, 1);
    for (i = 0; i < THREADS; i++) {
        worker made = {limiter, id_of(limiter, "p"), i, 0};
        workers[i] = made;
        CHECK(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    for (i = 0; i < FORKS; i++) {
        in_child(child_during_calls, &workers[0]);
    }
    for (i = 0; i < THREADS; i++) {
        __atomic_store_n(&workers[i].stop, 1, __ATOMIC_RELAXED);
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

int main(void) {
    parent_and_child_count_separately();
    a_clock_with_a_thread_stops_in_the_child();
    fork_during_calls_of_other_threads();
    return passed();
}
