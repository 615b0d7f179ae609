/* Kinds of decisions from C: `check KIND TIMES`. The count covers `counted_...` and its callees.
 * The kinds are those of the same names in src/work.rs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tollgate.h>

static const uint64_t start = UINT64_C(1) << 40, step = 10000000, warm = 10000;
static const char *const ip = "203.0.113.66", *const user = "alice";

typedef struct {
    const tollgate_limiter *limiter;
    uint64_t policies[3];
} layered;

static void must(tollgate_status status) {
    if (status == TOLLGATE_OK) return;
    fprintf(stderr, "%s\n", tollgate_strerror(status));
    exit(EXIT_FAILURE);
}

static tollgate_now at(uint64_t time) {
    const tollgate_now now = {start + time * step, start + time * step};
    return now;
}

static void check_at(const layered *layers, uint64_t time) {
    const tollgate_now now = at(time);
    tollgate_decision decision;
    must(tollgate_check_key(layers->limiter, &now, layers->policies[0], ip, 12, 1, &decision));
}

static void check(const layered *layers, uint64_t time) {
    (void)time;
    tollgate_decision decision;
    must(tollgate_check_key(layers->limiter, NULL, layers->policies[0], ip, 12, 1, &decision));
}

static void three_layers(const layered *layers, uint64_t time) {
    const tollgate_now now = at(time);
    const tollgate_charge charges[3] = {
        tollgate_charge_bytes(layers->policies[0], ip, 12, 1),
        tollgate_charge_bytes(layers->policies[1], user, 5, 1),
        tollgate_charge_bytes(layers->policies[2], user, 5, 512),
    };
    tollgate_decision decision;
    must(tollgate_check(layers->limiter, &now, charges, 3, &decision));
}

/* Defines the warm-up and the counted loop of a kind. */
#define KIND(decide)                                                                       \
    static void warm_##decide(const layered *layers) {                                     \
        for (uint64_t time = 0; time < warm; time++) decide(layers, time);                 \
    }                                                                                      \
    __attribute__((noinline)) void counted_##decide(const layered *layers, uint64_t times); \
    void counted_##decide(const layered *layers, uint64_t times) {                         \
        for (uint64_t time = warm; time < warm + times; time++) decide(layers, time);      \
    }

KIND(check_at)
KIND(check)
KIND(three_layers)

/* Creates a limiter with `count` policies: one sliding window, or two and a calendar budget. */
static tollgate_limiter *new_limiter(layered *layers, size_t count) {
    tollgate_options options = TOLLGATE_OPTIONS_INIT;
    for (uint64_t i = 0; i < 4; i++) options.seed[i] = i + 1;
    tollgate_policy policies[3];
    const char *const names[3] = {"ip", "user", "tokens"};
    for (size_t i = 0; i < count; i++) {
        const tollgate_policy window = {
            .struct_size = sizeof(tollgate_policy),
            .name = names[i],
            .limit = UINT64_C(1) << 30,
            .window_ns = UINT64_C(60000000000),
            .buckets = 7,
        };
        policies[i] = window;
    }
    if (count == 3) {
        policies[2].kind = TOLLGATE_CALENDAR;
        policies[2].period = TOLLGATE_DAY;
        policies[2].window_ns = 0;
        policies[2].buckets = 0;
    }
    tollgate_limiter *limiter;
    tollgate_error error = {0};
    must(tollgate_new(&options, policies, count, &limiter, &error));
    for (size_t i = 0; i < count; i++) must(tollgate_policy_at(limiter, i, &layers->policies[i], NULL));
    layers->limiter = limiter;
    return limiter;
}

int main(int argc, char **argv) {
    const char *const kind = argc > 1 ? argv[1] : "";
    const uint64_t times = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    layered layers = {0};
    tollgate_limiter *limiter = new_limiter(&layers, strcmp(kind, "three_layers") ? 1 : 3);
    if (!strcmp(kind, "check_at")) {
        warm_check_at(&layers);
        counted_check_at(&layers, times);
    } else if (!strcmp(kind, "check_all_live")) {
        /* Makes all words live, at times after the readings of the limiter's clock: see work.rs. */
        warm_check_at(&layers);
        warm_check(&layers);
        counted_check(&layers, times);
    } else if (!strcmp(kind, "three_layers")) {
        warm_three_layers(&layers);
        counted_three_layers(&layers, times);
    } else {
        fprintf(stderr, "usage: check check_at|check_all_live|three_layers TIMES\n");
        return EXIT_FAILURE;
    }
    must(tollgate_free(limiter));
    return EXIT_SUCCESS;
}
