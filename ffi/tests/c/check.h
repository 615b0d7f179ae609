/* Checks for programs. The first failure is printed with its line, and ends the program. */
#ifndef CHECK_H
#define CHECK_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tollgate.h"

#define CHECK(condition) check_that((condition) != 0, #condition, __FILE__, __LINE__)
#define EQUAL(expected, actual) \
    check_equal((uint64_t)(expected), (uint64_t)(actual), #actual, __FILE__, __LINE__)
#define TEXT(expected, actual) check_text((expected), (actual), #actual, __FILE__, __LINE__)
/* The call returns this status. */
#define STATUS(expected, call) check_status((expected), (call), #call, __FILE__, __LINE__)

/* The number of checks, of all threads. */
static unsigned long checks;

static inline void check_that(int holds, const char *what, const char *file, int line) {
    (void)__atomic_add_fetch(&checks, 1, __ATOMIC_RELAXED);
    if (!holds) {
        fprintf(stderr, "%s:%d: %s\n", file, line, what);
        exit(1);
    }
}

static inline void check_equal(uint64_t expected, uint64_t actual, const char *what,
                               const char *file, int line) {
    if (expected != actual) {
        fprintf(stderr, "expected %" PRIu64 ", not %" PRIu64 ": ", expected, actual);
    }
    check_that(expected == actual, what, file, line);
}

static inline void check_text(const char *expected, const char *actual, const char *what,
                              const char *file, int line) {
    int same = strcmp(expected, actual) == 0;
    if (!same) {
        fprintf(stderr, "expected\n  %s\nnot\n  %s\n", expected, actual);
    }
    check_that(same, what, file, line);
}

static inline void check_status(tollgate_status expected, tollgate_status actual, const char *what,
                                const char *file, int line) {
    if (expected != actual) {
        fprintf(stderr, "expected status %d, not %d (%s): ", (int)expected, (int)actual,
                tollgate_strerror(actual));
    }
    check_that(expected == actual, what, file, line);
}

/* The exit status of a program that reached its end. No checks at all are a failure. */
static inline int passed(void) {
    printf("%lu checks\n", checks);
    return checks == 0;
}

#endif
