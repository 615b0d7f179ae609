/* A program that loads the library, uses it on a thread, and unloads it while that thread runs. The
 * thread's destructors must not run in memory that is unmapped. The argument is the library. */
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tollgate.h"

static unsigned long checks;

static void check_that(int holds, const char *what, int line) {
    checks++;
    if (!holds) {
        fprintf(stderr, "unload.c:%d: %s\n", line, what);
        _exit(1);
    }
}

#define CHECK(condition) check_that((condition) != 0, #condition, __LINE__)

static void *library;
static sem_t used, unloaded;

static void *use(void *argument) {
    static const char name[] = "p";
    tollgate_status (*tollgate_new_)(const tollgate_options *, const tollgate_policy *, size_t,
                                     tollgate_limiter **, tollgate_error *);
    tollgate_status (*tollgate_policy_at_)(const tollgate_limiter *, size_t, uint64_t *,
                                           const char **);
    tollgate_status (*tollgate_check_key_)(const tollgate_limiter *, const tollgate_now *, uint64_t,
                                           const void *, size_t, uint64_t, tollgate_decision *);
    tollgate_status (*tollgate_free_)(tollgate_limiter *);
    void *found;
    tollgate_policy policy;
    tollgate_limiter *limiter = NULL;
    uint64_t id = 0, key;
    (void)argument;
    /* ISO C has no conversion from the pointer that dlsym returns. */
    found = dlsym(library, "tollgate_new");
    memcpy(&tollgate_new_, &found, sizeof found);
    found = dlsym(library, "tollgate_policy_at");
    memcpy(&tollgate_policy_at_, &found, sizeof found);
    found = dlsym(library, "tollgate_check_key");
    memcpy(&tollgate_check_key_, &found, sizeof found);
    found = dlsym(library, "tollgate_free");
    memcpy(&tollgate_free_, &found, sizeof found);
    memset(&policy, 0, sizeof policy);
    policy.struct_size = sizeof policy;
    policy.name = name;
    policy.limit = 10;
    policy.window_ns = UINT64_C(1000000000);
    CHECK(tollgate_new_(NULL, &policy, 1, &limiter, NULL) == TOLLGATE_OK);
    CHECK(tollgate_policy_at_(limiter, 0, &id, NULL) == TOLLGATE_OK);
    for (key = 0; key < 5000; key++) {
        CHECK(tollgate_check_key_(limiter, NULL, id, &key, sizeof key, 1, NULL) == TOLLGATE_OK);
    }
    CHECK(tollgate_free_(limiter) == TOLLGATE_OK);
    CHECK(sem_post(&used) == 0);
    CHECK(sem_wait(&unloaded) == 0);
    return NULL;
}

/* A fork must not run a handler of the library where it is unmapped. */
static void fork_once(void) {
    int status = -1;
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) _exit(0);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int count, char **arguments) {
    int turn;
    CHECK(count == 2);
    CHECK(sem_init(&used, 0, 0) == 0 && sem_init(&unloaded, 0, 0) == 0);
    for (turn = 0; turn < 3; turn++) {
        pthread_t thread;
        library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
        CHECK(library != NULL);
        CHECK(pthread_create(&thread, NULL, use, NULL) == 0);
        CHECK(sem_wait(&used) == 0);
        CHECK(dlclose(library) == 0);
        fork_once();
        CHECK(sem_post(&unloaded) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        fork_once();
    }
    printf("%lu checks\n", checks);
    return 0;
}
