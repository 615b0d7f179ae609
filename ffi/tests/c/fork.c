/* A child goes on with the limiter that it has inherited, whatever other threads were doing at the
 * fork, and from then on the two count apart. Its parent waits for so long and then fails. */
#include <pthread.h>
#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scene.h"

/* Seconds that a child may take: one that hangs is ended. */
#define PATIENCE 60

/* Runs this in a child, which passes if it gets to the end. */
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

static tollgate_status spend(const inherited *it, uint64_t cost) {
    tollgate_now now = at(0);
    tollgate_charge charge = it->charge;
    charge.cost = cost;
    return tollgate_check(it->limiter, &now, &charge, 1, NULL);
}

static void child_spends_its_own(void *argument) {
    inherited *it = argument;
    tollgate_now now = at(0);
    EQUAL(6, left(it->limiter, 0, it->charge));
    ANSWER(TOLLGATE_OK, spend(it, 5));
    ANSWER(TOLLGATE_DENIED, spend(it, 2));
    ANSWER(TOLLGATE_OK, tollgate_cancel(it->limiter, &now, &it->reservation, NULL));
    EQUAL(3, left(it->limiter, 0, it->charge));
    ANSWER(TOLLGATE_OK, tollgate_free(it->limiter));
}

static void apart_from_the_fork_on(void) {
    tollgate_policy policy = sliding("p", 10, SECOND);
    tollgate_now now = at(0);
    inherited it;
    it.limiter = limiter_of(&policy, 1);
    it.charge = tollgate_charge_shared(id_of(it.limiter, "p"), 2);
    ANSWER(TOLLGATE_OK, spend(&it, 2));
    ANSWER(TOLLGATE_OK,
           tollgate_reserve(it.limiter, &now, &it.charge, 1, &it.reservation, NULL, NULL));
    in_child(child_spends_its_own, &it);
    EQUAL(6, left(it.limiter, 0, it.charge));
    ANSWER(TOLLGATE_OK, spend(&it, 6));
    ANSWER(TOLLGATE_DENIED, spend(&it, 1));
    ANSWER(TOLLGATE_OK, tollgate_free(it.limiter));
}

/* The clock's thread is not there in the child. Its clock stands still, instants of the caller's go
 * on, and it can be freed. */
static void child_of_an_upkept_clock(void *argument) {
    inherited *it = argument;
    tollgate_now first, now;
    int turn;
    ANSWER(TOLLGATE_OK, tollgate_read_clock(it->limiter, &first));
    for (turn = 0; turn < 1000; turn++) {
        ANSWER(TOLLGATE_OK, tollgate_read_clock(it->limiter, &now));
        EQUAL(first.monotonic_ns, now.monotonic_ns);
    }
    now.monotonic_ns += 3600 * SECOND;
    ANSWER(TOLLGATE_OK, tollgate_check(it->limiter, &now, &it->charge, 1, NULL));
    ANSWER(TOLLGATE_OK, tollgate_free(it->limiter));
}

static void a_clock_with_a_thread_stands_still(void) {
    tollgate_policy policy = sliding("p", 10, SECOND);
    tollgate_options options = TOLLGATE_OPTIONS_INIT;
    tollgate_clock *clock = NULL;
    inherited it;
    ANSWER(TOLLGATE_OK, tollgate_clock_coarse(MILLI, &clock));
    options.clock = clock;
    ANSWER(TOLLGATE_OK, tollgate_new(&options, &policy, 1, &it.limiter, NULL));
    ANSWER(TOLLGATE_OK, tollgate_clock_free(clock));
    it.charge = tollgate_charge_shared(id_of(it.limiter, "p"), 10);
    in_child(child_of_an_upkept_clock, &it);
    ANSWER(TOLLGATE_OK, tollgate_free(it.limiter));
}

typedef struct {
    const tollgate_limiter *limiter;
    uint64_t policy;
    uint64_t number;
    int stop;
} worker;

/* New keys all the time, so that tables are being replaced. */
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

static void child_in_the_middle(void *argument) {
    worker *me = argument;
    uint64_t key;
    tollgate_limiter *own;
    tollgate_policy policy = sliding("p", 10, SECOND);
    for (key = 0; key < 3000; key++) {
        tollgate_now now = at(key);
        CHECK(tollgate_check_key(me->limiter, &now, me->policy, &key, 8, 1, NULL) >= TOLLGATE_OK);
    }
    own = limiter_of(&policy, 1);
    ANSWER(TOLLGATE_OK, tollgate_free(own));
}

static void whatever_other_threads_were_doing(void) {
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
        in_child(child_in_the_middle, &workers[0]);
    }
    for (i = 0; i < THREADS; i++) {
        __atomic_store_n(&workers[i].stop, 1, __ATOMIC_RELAXED);
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    ANSWER(TOLLGATE_OK, tollgate_free(limiter));
}

int main(void) {
    apart_from_the_fork_on();
    a_clock_with_a_thread_stands_still();
    whatever_other_threads_were_doing();
    return passed();
}
