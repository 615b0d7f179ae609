/* Out of memory: calls that need memory fail, the others work, and all work again once there is memory.
 * (If not even the few bytes of a name can be allocated, tollgate_new aborts the process. Requests
 * need no such memory.)
 *
 * Memory checkers need memory themselves. For them STARVED_BY_HAND fails only the allocations of the
 * library: linked with --wrap for each function below. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "fixture.h"

#ifdef STARVED_BY_HAND
#include <pthread.h>
#include <stdint.h>

/* Allocations of this size or more fail. */
static size_t too_many = SIZE_MAX;
/* The number of failed allocations, maps and threads. */
static unsigned blocks, maps, threads;

static int is_refused(size_t size, unsigned *count) {
    if (size < too_many) return 0;
    *count += 1;
    return 1;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
int __real_posix_memalign(void **block, size_t alignment, size_t size);
void *__real_mmap64(void *at, size_t size, int access, int flags, int file, int64_t offset);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);

void *__wrap_malloc(size_t size) { return is_refused(size, &blocks) ? NULL : __real_malloc(size); }

void *__wrap_calloc(size_t count, size_t size) {
    const size_t all = count > 0 && size > SIZE_MAX / count ? SIZE_MAX : count * size;
    return is_refused(all, &blocks) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size) {
    return is_refused(size, &blocks) ? NULL : __real_realloc(block, size);
}

int __wrap_posix_memalign(void **block, size_t alignment, size_t size) {
    return is_refused(size, &blocks) ? ENOMEM : __real_posix_memalign(block, alignment, size);
}

void *__wrap_mmap64(void *at, size_t size, int access, int flags, int file, int64_t offset) {
    if (!is_refused(size, &maps)) return __real_mmap64(at, size, access, flags, file, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument) {
    if (too_many == SIZE_MAX) return __real_pthread_create(thread, attributes, run, argument);
    threads++;
    return EAGAIN;
}

static void all_were_refused(void) { CHECK(blocks > 0 && maps > 0 && threads > 0); }

static void starve(void) { too_many = 1024; }

/* In a build for the thread sanitizer, the epoch allocates a short list, and ends the process if it cannot. */
#ifdef __SANITIZE_THREAD__
static void take_all(void) {}
#else
static void take_all(void) { too_many = 1; }
#endif

static void feed(void) { too_many = SIZE_MAX; }

#else

static struct rlimit plenty;
static void *last_block;
static void **taken;

/* No new page can be mapped from now on. The allocator keeps some small memory, which it cannot return
 * to the system because a block after it is in use. */
static void starve(void) {
    struct rlimit little;
    void *spare = malloc(100000), *more = malloc(100000);
    last_block = malloc(64);
    CHECK(spare != NULL && more != NULL && last_block != NULL);
    free(spare);
    free(more);
    CHECK(getrlimit(RLIMIT_AS, &plenty) == 0);
    little = plenty;
    little.rlim_cur = 1 << 20;
    CHECK(setrlimit(RLIMIT_AS, &little) == 0);
}

/* Takes the rest, down to the last few bytes. */
static void take_all(void) {
    void **block;
    size_t size;
    for (size = 1 << 16; size >= sizeof *block; size /= 2) {
        while ((block = malloc(size)) != NULL) {
            *block = taken;
            taken = block;
        }
    }
}

/* The system does not count what it refuses. */
static void all_were_refused(void) {}

static void feed(void) {
    CHECK(setrlimit(RLIMIT_AS, &plenty) == 0);
    free(last_block);
    while (taken != NULL) {
        void **next = *taken;
        free(taken);
        taken = next;
    }
}

#endif

/* A slot of the large policy takes a kilobyte, so its first table has a mapping of its own. */
static void a_limiter_needs_memory(void) {
    tollgate_policy policies[2];
    tollgate_limiter *limiter = NULL;
    tollgate_error error;
    int turn;
    policies[0] = sliding("small", 5, SECOND);
    policies[1] = sliding("large", 127, SECOND);
    starve();
    for (turn = 0; turn < 1000; turn++) {
        limiter = (tollgate_limiter *)&limiter;
        STATUS(TOLLGATE_E_NO_MEMORY, tollgate_new(NULL, policies, 2, &limiter, &error));
        CHECK(limiter == NULL);
    }
    feed();
    EQUAL(TOLLGATE_E_NO_MEMORY, error.status);
    /* Which policy fails depends on the free memory of the allocator. */
    CHECK(strstr(error.message, "\"small\"") || strstr(error.message, "\"large\""));
    STATUS(TOLLGATE_OK, tollgate_new(NULL, policies, 2, &limiter, &error));
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

/* A clock's thread needs a stack. */
static void a_thread_needs_a_stack(void) {
    tollgate_clock *clock = (tollgate_clock *)&clock;
    starve();
    STATUS(TOLLGATE_E_SYSTEM, tollgate_clock_coarse(SECOND, &clock));
    feed();
    CHECK(clock == NULL);
    STATUS(TOLLGATE_OK, tollgate_clock_coarse(SECOND, &clock));
    STATUS(TOLLGATE_OK, tollgate_clock_free(clock));
}

/* Known keys work as before. New keys are refused as soon as they need a larger table. */
static void known_keys_need_no_memory(void) {
    tollgate_policy policy = sliding("p", 100, SECOND);
    tollgate_limiter *limiter = limiter_of(&policy, 1);
    tollgate_charge charge = tollgate_charge_number(id_of(limiter, "p"), 0, 1);
    tollgate_now now = at(0);
    tollgate_decision decision;
    uint64_t key, refused = 0;
    for (key = 0; key < 100; key++) {
        charge.key.number = key;
        STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, &charge, 1, NULL));
    }
    starve();
    take_all();
    for (key = 100; key < 3000; key++) {
        tollgate_status status;
        charge.key.number = key;
        status = tollgate_check(limiter, &now, &charge, 1, &decision);
        if (status != TOLLGATE_OK) {
            STATUS(TOLLGATE_TABLE_FULL, status);
            EQUAL(TOLLGATE_TABLE_WAS_FULL, decision.flags);
            refused++;
        }
    }
    CHECK(refused > 1000);
    for (key = 0; key < 100; key++) {
        charge.key.number = key;
        charge.cost = 99;
        STATUS(TOLLGATE_OK, tollgate_check(limiter, &now, &charge, 1, NULL));
        charge.cost = 1;
        STATUS(TOLLGATE_DENIED, tollgate_check(limiter, &now, &charge, 1, NULL));
    }
    feed();
    /* Every 256th new key retries the resize. */
    refused = 0;
    for (charge.key.number = 10000; refused <= 256; charge.key.number++, refused++) {
        if (tollgate_check(limiter, &now, &charge, 1, &decision) == TOLLGATE_OK) break;
    }
    CHECK(refused <= 256);
    EQUAL(0, decision.flags);
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
}

int main(void) {
    a_limiter_needs_memory();
    a_thread_needs_a_stack();
    known_keys_need_no_memory();
    all_were_refused();
    return passed();
}
