/* The kind check_at from C: `check TIMES`. The count covers `counted` and its callees. */
#include <stdio.h>
#include <stdlib.h>
#include <tollgate.h>

static const uint64_t start = UINT64_C(1) << 40, step = 10000000, warm = 10000;

static void must(tollgate_status status) {
    if (status == TOLLGATE_OK) return;
    fprintf(stderr, "%s\n", tollgate_strerror(status));
    exit(EXIT_FAILURE);
}

static void decide(const tollgate_limiter *limiter, uint64_t policy, uint64_t from, uint64_t times) {
    for (uint64_t time = from; time < from + times; time++) {
        const tollgate_now now = {start + time * step, start + time * step};
        tollgate_decision decision;
        must(tollgate_check_key(limiter, &now, policy, "203.0.113.66", 12, 1, &decision));
    }
}

__attribute__((noinline)) void counted(const tollgate_limiter *limiter, uint64_t policy, uint64_t times);

void counted(const tollgate_limiter *limiter, uint64_t policy, uint64_t times) {
    decide(limiter, policy, warm, times);
}

int main(int argc, char **argv) {
    tollgate_options options = TOLLGATE_OPTIONS_INIT;
    for (uint64_t i = 0; i < 4; i++) options.seed[i] = i + 1;
    const tollgate_policy policies[1] = {{
        .struct_size = sizeof(tollgate_policy),
        .name = "user",
        .limit = UINT64_C(1) << 30,
        .window_ns = UINT64_C(60000000000),
        .buckets = 7,
    }};
    tollgate_limiter *limiter;
    tollgate_error error = {0};
    uint64_t policy;
    must(tollgate_new(&options, policies, 1, &limiter, &error));
    must(tollgate_policy_at(limiter, 0, &policy, NULL));
    decide(limiter, policy, 0, warm);
    counted(limiter, policy, argc > 1 ? strtoull(argv[1], NULL, 10) : 1000);
    must(tollgate_free(limiter));
    return EXIT_SUCCESS;
}
