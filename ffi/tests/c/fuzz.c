/* Random calls of every function, valid and invalid, from one thread and from several. Each status is
 * compared with the arguments, and the units that a policy admits with its limit in every window.
 *
 * TOLLGATE_CALLS is the number of calls (ten million). TOLLGATE_SEED reproduces a run, except for the
 * interleaving of threads. */
#include <pthread.h>

#include "inputs.h"

#define WINDOW (4000 * UINT64_C(1000))

/* The limit that is compared with the admitted units. PLANTED makes the comparison fail. */
#ifdef PLANTED
#define ALLOWED (VERIFIED_LIMIT - 1)
#else
#define ALLOWED VERIFIED_LIMIT
#endif

/* Memory that ends after `count` statuses. */
static tollgate_policy_status *room_for(size_t count) {
    tollgate_policy_status *statuses = malloc((count > 0 ? count : 1) * sizeof *statuses);
    CHECK(statuses != NULL);
    return statuses;
}

/* Checks a status: valid arguments lead to a decision, invalid ones to one of their errors. Returns whether
 * all arguments were valid. */
static int as_expected(fuzzer *f, tollgate_status status) {
    uint64_t wrong = f->wrong;
    f->wrong = 0;
    f->calls++;
    if (wrong == 0 ? status < TOLLGATE_OK || status > TOLLGATE_TABLE_FULL
                   : status >= 0 || status < -63 || (wrong >> -status & 1) == 0) {
        fprintf(stderr,
                "after %lu calls: status %d. Expected one of the errors in the bits %#" PRIx64
                ", or a decision if no bit is set\n",
                f->calls, (int)status, wrong);
        exit(1);
    }
    return wrong == 0;
}

/* Never over the limit: the unit admitted VERIFIED_LIMIT units ago is out of the window. While threads run,
 * the time stands still, so a key has at most VERIFIED_LIMIT units in all. */
static void record_admitted(fuzzer *f) {
    target *t = f->target;
    for (; f->verified_cost > 0; f->verified_cost--) {
        uint64_t *last = &t->admitted[f->verified_key], units;
        units = __atomic_fetch_add(last, 1, __ATOMIC_RELAXED);
        if (t->threads) {
            CHECK(units < ALLOWED);
        } else {
            uint64_t *place = &t->admitted_at[f->verified_key][units % ALLOWED];
            CHECK(units < ALLOWED || t->now - *place >= WINDOW);
            *place = t->now;
        }
    }
}

static void check_decision(fuzzer *f, tollgate_status status, const tollgate_decision *decision) {
    if (!as_expected(f, status)) {
        return;
    }
    if (status == TOLLGATE_OK) {
        record_admitted(f);
    }
    if (decision != NULL) {
        EQUAL(status, decision->status);
        CHECK((decision->retry_after_ns == 0) == (status == TOLLGATE_OK));
        CHECK(decision->remaining <= decision->limit);
        CHECK(decision->reserved[0] == 0 && decision->reserved[1] == 0);
    }
}

static void check(fuzzer *f) {
    tollgate_decision decision, *place = maybe(f, &decision);
    size_t count = some_count(f, 16);
    const tollgate_charge *charges = some_charges(f, count, 16, 1);
    check_decision(f, tollgate_check(some_limiter(f), some_now(f, 0), charges, count, place), place);
}

static void check_with_status(fuzzer *f) {
    tollgate_decision decision, *place = maybe(f, &decision);
    size_t count = some_count(f, 16);
    const tollgate_charge *charges = some_charges(f, count, 16, 1);
    tollgate_policy_status *statuses = room_for(count), *out = count > 0 ? needed(f, statuses) : statuses;
    check_decision(f, tollgate_check_with_status(some_limiter(f), some_now(f, 0), charges, count, place, out), place);
    free(statuses);
}

static void check_key(fuzzer *f) {
    tollgate_decision decision, *place = maybe(f, &decision);
    tollgate_key key;
    bytes_key(f, &key, below(f, KEY_ROOM + 1));
    f->verified_cost = 0;
    check_decision(f,
            tollgate_check_key(some_limiter(f), some_now(f, 1), some_policy(f, EXACT), key.data,
                               key.size, some_units(f), place),
            place);
}

/* A batch with all charges under VERIFIED or none. An unknown policy is not an error of the call. */
static void check_many(fuzzer *f) {
    tollgate_decision *decisions = malloc(MOST * sizeof *decisions), *place;
    size_t count = below(f, MOST), i, allowed = 0, counted = 0;
    size_t *sum = maybe(f, &allowed);
    const tollgate_charge *charges = some_charges(f, count, MOST, 1);
    uint64_t policies = f->wrong & UINT64_C(1) << -TOLLGATE_E_POLICY;
    tollgate_status status;
    CHECK(decisions != NULL);
    place = decisions + MOST - count;
    f->wrong &= ~policies;
    status = tollgate_check_many(some_limiter(f), some_now(f, 0), charges, count, place, sum);
    if (as_expected(f, status)) {
        STATUS(TOLLGATE_OK, status);
        for (i = 0; i < count; i++) {
            counted += place[i].status == TOLLGATE_OK;
            if (charges[i].policy == f->target->ids[VERIFIED] && place[i].status == TOLLGATE_OK) {
                record_admitted(f);
            }
        }
        CHECK(sum == NULL || allowed == counted);
    }
    free(decisions);
}

static void peek_or_charge(fuzzer *f) {
    tollgate_decision decision, *place = maybe(f, &decision);
    size_t count = some_count(f, 16);
    const tollgate_charge *charges = some_charges(f, count, 16, 0);
    const tollgate_limiter *limiter = some_limiter(f);
    const tollgate_now *now = some_now(f, 1);
    if (below(f, 3) == 0) {
        (void)as_expected(f, tollgate_force_charge(limiter, now, charges, count, place));
    } else if (below(f, 2) == 0) {
        check_decision(f, tollgate_peek(limiter, now, charges, count, place), place);
    } else {
        tollgate_policy_status *statuses = room_for(count), *out = count > 0 ? needed(f, statuses) : NULL;
        check_decision(f, tollgate_peek_with_status(limiter, now, charges, count, place, out), place);
        free(statuses);
    }
}

static void refund_or_reset(fuzzer *f) {
    uint64_t units = 0;
    tollgate_charge charge = some_charge(f, MOST - 1), *place = needed(f, &charge);
    if (below(f, 2) == 0) {
        uint64_t *given = maybe(f, &units);
        if (as_expected(f, tollgate_refund(some_limiter(f), some_now(f, 1), place, given))) {
            CHECK(units <= charge.cost);
        }
    } else {
        (void)as_expected(f, tollgate_reset_key(some_limiter(f), some_now(f, 1), place));
    }
}

static void reserve(fuzzer *f) {
    size_t slot = below(f, 4), count = some_count(f, 8);
    tollgate_decision decision, *place = maybe(f, &decision);
    const tollgate_charge *charges = some_charges(f, count, 8, 0);
    tollgate_reservation *reservation = needed(f, &f->reserved[slot]);
    tollgate_policy_status *statuses = room_for(count), *out = below(f, 2) == 0 ? NULL : maybe(f, statuses);
    const tollgate_limiter *limiter = some_limiter(f);
    tollgate_status status;
    status = tollgate_reserve(limiter, some_now(f, 1), charges, count, reservation, place, out);
    if (reservation == &f->reserved[slot]) {
        f->state[slot] = status == TOLLGATE_OK ? OPEN : NONE;
        f->charge_counts[slot] = count;
        f->owner[slot] = f->target->number;
    }
    check_decision(f, status, place);
    free(statuses);
}

/* Notes the errors of a reservation in a call with `count` amounts. */
static void note_reservation(fuzzer *f, size_t slot, size_t amounts) {
    if (f->state[slot] == NONE) {
        wrong(f, TOLLGATE_E_HANDLE);
        return;
    }
    if (f->state[slot] == CLOSED) {
        wrong(f, TOLLGATE_E_CLOSED);
    }
    if (f->charge_counts[slot] != amounts) {
        wrong(f, TOLLGATE_E_AMOUNTS);
    }
    if (f->owner[slot] != f->target->number && f->charge_counts[slot] > 0) {
        wrong(f, TOLLGATE_E_FOREIGN);
    }
}

static void change_reservation(fuzzer *f) {
    size_t slot = below(f, 4), count = once_in(f, 20) ? below(f, 9) : f->charge_counts[slot], i;
    tollgate_decision decision, *place = maybe(f, &decision);
    tollgate_reservation *reservation = needed(f, &f->reserved[slot]);
    const tollgate_limiter *limiter = some_limiter(f);
    const tollgate_now *now = some_now(f, 1);
    uint64_t *amounts = malloc((count > 0 ? count : 1) * sizeof *amounts), operation = below(f, 3);
    tollgate_status status;
    CHECK(amounts != NULL);
    for (i = 0; i < count; i++) {
        amounts[i] = some_units(f);
    }
    note_reservation(f, slot, operation == 0 ? f->charge_counts[slot] : count);
    if (operation == 0) {
        status = tollgate_cancel(limiter, now, reservation, place);
    } else {
        const uint64_t *passed = count > 0 ? needed(f, amounts) : NULL;
        status = operation == 1 ? tollgate_settle(limiter, now, reservation, passed, count, place)
                           : tollgate_extend(limiter, now, reservation, passed, count, place);
    }
    if (as_expected(f, status) && operation < 2) {
        f->state[slot] = CLOSED;
    }
    free(amounts);
}

static void read_reservation(fuzzer *f) {
    size_t slot = below(f, 4), index = below(f, 9);
    uint64_t units = 0;
    uint64_t *place = needed(f, &units);
    if (f->state[slot] == NONE) {
        wrong(f, TOLLGATE_E_HANDLE);
    } else if (index >= f->charge_counts[slot]) {
        wrong(f, TOLLGATE_E_ARGUMENT);
    }
    (void)as_expected(f, tollgate_reserved(&f->reserved[slot], index, place));
}

static void begin_or_end_session(fuzzer *f) {
    if (!f->session_is_open && below(f, 10) > 0) {
        tollgate_session *place = needed(f, &f->session);
        f->session_is_open = as_expected(f, tollgate_session_begin(some_limiter(f), some_now(f, 1), place));
        return;
    }
    if (!f->session_is_open) {
        wrong(f, TOLLGATE_E_HANDLE);
    }
    (void)as_expected(f, tollgate_session_end(&f->session));
    f->session_is_open = 0;
}

static void look_up_policy(fuzzer *f) {
    static const char *const names[] = {"verified", "exact", "bucketed", "day"};
    const tollgate_limiter *limiter = some_limiter(f);
    uint64_t number = 0, bytes, place = below(f, POLICIES), operation = below(f, 5);
    uint64_t *output = operation % 4 == 0 ? maybe(f, &number) : needed(f, &number);
    const char *name = NULL;
    switch (operation) {
    case 0:
        if (as_expected(f, tollgate_policy_at(limiter, place, output, &name))) {
            TEXT(names[place], name);
        }
        break;
    case 1:
        if (as_expected(f, tollgate_policy_find(limiter, names[place], output))) {
            EQUAL(f->target->ids[place], number);
        }
        break;
    case 2: (void)as_expected(f, tollgate_get_limit(limiter, some_policy(f, 0), output)); break;
    case 4:
        if (as_expected(f, tollgate_get_bounds(limiter, some_policy(f, 0), output, &bytes))) {
            CHECK(number < bytes && (output == NULL || number > 0));
        }
        break;
    default: (void)as_expected(f, tollgate_resolution(limiter, some_policy(f, 0), output)); break;
    }
}

static void set_limit(fuzzer *f) {
    uint64_t limit = some_units(f), policy = f->target->ids[BUCKETED];
    tollgate_error error;
    if (limit > 1000) {
        wrong(f, TOLLGATE_E_MAX_LIMIT);
    }
    (void)as_expected(f, tollgate_set_limit(some_limiter(f), policy, limit, once_in(f, 2) ? NULL : &error));
}

/* Memory for statistics of a random size, which it states. */
static void *sized_memory(fuzzer *f) {
    size_t size = below(f, 200);
    unsigned char *place = malloc(size < 8 ? 8 : size);
    uint32_t stated = (uint32_t)size;
    CHECK(place != NULL);
    memcpy(place, &stated, sizeof stated);
    if (size < 8) {
        wrong(f, TOLLGATE_E_ARGUMENT);
    }
    return place;
}

static void get_stats(fuzzer *f) {
    void *place = sized_memory(f);
    (void)as_expected(f, tollgate_get_stats(some_limiter(f), some_policy(f, 0), place));
    free(place);
}

static void get_request_stats(fuzzer *f) {
    void *place = sized_memory(f);
    (void)as_expected(f, tollgate_get_request_stats(some_limiter(f), place));
    free(place);
}

/* Random statuses, and a buffer of random size. */
static void write_http(fuzzer *f) {
    size_t count = some_count(f, 16), size = below(f, 300), length = 0, i;
    tollgate_policy_status *statuses = room_for(count), *passed = count > 0 ? needed(f, statuses) : NULL;
    char *buffer = malloc(size > 0 ? size : 1);
    size_t *out = maybe(f, &length);
    uint64_t kind = below(f, 3);
    const tollgate_limiter *limiter = some_limiter(f);
    int is_valid;
    tollgate_status status;
    CHECK(buffer != NULL);
    for (i = 0; i < count; i++) {
        statuses[i].policy = some_policy(f, 0);
        statuses[i].limit = some_units(f);
        statuses[i].remaining = some_units(f);
        statuses[i].retry_after_ns = some_units(f);
        statuses[i].reset_after_ns = some_units(f);
        statuses[i].flags = (uint32_t)below(f, 5);
        statuses[i].reserved = once_in(f, 500) ? 1 : 0;
        if (statuses[i].reserved != 0) {
            wrong(f, TOLLGATE_E_ARGUMENT);
        }
    }
    if (count > 16) {
        wrong(f, TOLLGATE_E_TOO_MANY);
    }
    is_valid = f->wrong == 0;
    status = kind == 0   ? tollgate_http_policy(limiter, passed, count, buffer, size, out)
             : kind == 1 ? tollgate_http_limit(limiter, passed, count, buffer, size, out)
                         : tollgate_http_problem(limiter, passed, count, below(f, 2) == 0 ? NULL : "why \xff\n",
                                                 buffer, size, out);
    if (is_valid) {
        CHECK(status == TOLLGATE_OK || status == TOLLGATE_E_BUFFER);
        CHECK(out == NULL || (status == TOLLGATE_OK) == (length < size));
        CHECK(status == TOLLGATE_OK || size == 0 || buffer[0] == 0);
        CHECK(status != TOLLGATE_OK || out == NULL || strlen(buffer) == length);
        f->calls++;
    } else {
        (void)as_expected(f, status);
    }
    free(buffer);
    free(statuses);
}

static void maintain(fuzzer *f) {
    int32_t done = 0;
    (void)as_expected(f, tollgate_maintain(some_limiter(f), below(f, 100), maybe(f, &done)));
    CHECK(done == 0 || done == 1);
}

/* Advances the time, except while threads run, and sets the clock to it. */
static void move_clock(fuzzer *f) {
    target *t = f->target;
    tollgate_now now, *place;
    uint64_t step = t->threads ? 0 : below(f, 2) == 0 ? below(f, 5) : below(f, WINDOW);
    if (once_in(f, 50)) {
        wrong(f, TOLLGATE_E_ARGUMENT);
        (void)as_expected(f, tollgate_clock_tick(t->clock));
    }
    if (as_expected(f, tollgate_clock_advance(t->clock, step)) && step > 0) {
        t->now += step;
    }
    now = at(t->now);
    place = needed(f, &now);
    (void)as_expected(f, tollgate_clock_set(t->clock, place));
    if (as_expected(f, tollgate_read_clock(some_limiter(f), &now))) {
        EQUAL(t->now, now.monotonic_ns);
    }
}

static void call_without_a_limiter(fuzzer *f) {
    CHECK(strlen(tollgate_strerror((int32_t)next_random(&f->random))) > 0);
    CHECK(tollgate_retry_after_seconds(next_random(&f->random)) > 0);
    (void)tollgate_reset_seconds(next_random(&f->random));
    (void)tollgate_token_cost(some_units(f), some_units(f), some_units(f), some_units(f));
    STATUS(TOLLGATE_OK, tollgate_free(NULL));
    STATUS(TOLLGATE_OK, tollgate_clock_free(NULL));
    f->calls += 6;
}

typedef void operation(fuzzer *);

/* Operations that are listed more often are called more often. */
static operation *const operations[] = {
    check, check, check, check_with_status, check_with_status, check_key, check_key, check_many, peek_or_charge,
    peek_or_charge, refund_or_reset, reserve, reserve, change_reservation, change_reservation,
    read_reservation, begin_or_end_session, look_up_policy, set_limit, get_stats,
    get_request_stats, write_http, maintain,
    move_clock, move_clock, call_without_a_limiter,
};

static void some_calls(fuzzer *f, unsigned long calls) {
    while (f->calls < calls) {
        operations[below(f, sizeof operations / sizeof operations[0])](f);
    }
    if (f->session_is_open) {
        STATUS(TOLLGATE_OK, tollgate_session_end(&f->session));
        f->session_is_open = 0;
    }
}

static void begin_fuzzer(fuzzer *f, target *t, uint64_t seed) {
    memset(f, 0, sizeof *f);
    f->random = seed;
    f->target = t;
    f->keys = calloc(KEY_ROOM, 1);
    f->charges = malloc(MOST * sizeof *f->charges);
    f->parts = malloc(MOST * TOLLGATE_MAX_PARTS * sizeof *f->parts);
    CHECK(f->keys != NULL && f->charges != NULL && f->parts != NULL);
}

static void end_fuzzer(fuzzer *f) {
    free(f->keys);
    free(f->charges);
    free(f->parts);
}

static void some_policies(fuzzer *f, tollgate_policy policies[POLICIES]) {
    policies[VERIFIED] = sliding("verified", VERIFIED_LIMIT, WINDOW);
    policies[EXACT] = sliding("exact", below(f, 128), MILLI + below(f, WINDOW));
    policies[EXACT].max_keys = below(f, 1000);
    policies[EXACT].overflow = (uint32_t)below(f, 4);
    policies[EXACT].allowance = 1;
    policies[BUCKETED] = sliding("bucketed", 128 + below(f, 800), WINDOW);
    policies[BUCKETED].max_limit = 1000;
    policies[BUCKETED].buckets = once_in(f, 2) ? 0 : 2 + (uint32_t)below(f, 126);
    policies[BUCKETED].unit = "tokens";
    policies[DAY] = calendar("day", below(f, 5000), 1 + (uint32_t)below(f, 3));
    policies[DAY].offset_seconds = (int32_t)below(f, 3600);
}

/* A configuration with a random value in one field: it is built, or is an error with a message. */
static void build_with_a_fault(fuzzer *f, const tollgate_options *options, tollgate_policy *policies) {
    static const char *const names[] = {NULL, "", "exact", "\x7f", "fine"};
    tollgate_policy *one = &policies[below(f, POLICIES)];
    uint64_t value = next_random(&f->random) >> below(f, 64), bytes;
    tollgate_limiter *limiter;
    tollgate_error error;
    tollgate_status status;
    switch (below(f, 11)) {
    case 0: one->kind = (uint32_t)value; break;
    case 1: one->name = names[below(f, 5)]; break;
    case 2: one->limit = value; break;
    case 3: one->window_ns = value; break;
    case 4: one->period = (uint32_t)value; break;
    case 5: one->offset_seconds = (int32_t)(uint32_t)value; break;
    case 6: one->max_limit = value; break;
    case 7: one->buckets = (uint32_t)value; break;
    case 8: one->max_keys = value; break;
    case 9: one->max_bytes = value; break;
    default: one->overflow = (uint32_t)value; break;
    }
    status = tollgate_new(options, policies, POLICIES, &limiter, &error);
    CHECK(status == TOLLGATE_OK || (status < 0 && status > TOLLGATE_E_PANIC));
    CHECK((status == TOLLGATE_OK) == (limiter != NULL));
    STATUS(status, tollgate_memory_bound(options, policies, POLICIES, &bytes, NULL));
    CHECK((status == TOLLGATE_OK) == (bytes > 0));
    CHECK(status == TOLLGATE_OK || (error.status == status && error.message[0] != 0));
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
    f->calls += 3;
}

/* A policy file with random bytes in it: a limiter is made from it, or the error has a message. */
static void build_from_text(fuzzer *f, const tollgate_options *options) {
    static const char text[] =
        "max_bytes = 1_000_000\n[[policy]]\nname = 'a'\nlimit = 5\nwindow = '1m'\noverflow = 'allow'\n";
    const size_t length = below(f, sizeof text);
    uint64_t faults = below(f, 4);
    char *copy = malloc(length + 1);
    tollgate_limiter *limiter;
    tollgate_error error;
    tollgate_status status;
    CHECK(copy != NULL);
    memcpy(copy, text, length);
    while (length > 0 && faults-- > 0) {
        copy[below(f, length)] = (char)(next_random(&f->random) >> below(f, 64));
    }
    status = tollgate_new_from_toml(options, copy, length, &limiter, &error);
    CHECK(status == TOLLGATE_OK || status == TOLLGATE_E_POLICY_FILE);
    CHECK((status == TOLLGATE_OK) == (limiter != NULL));
    CHECK(status == TOLLGATE_OK || (error.status == status && error.message[0] != 0));
    STATUS(TOLLGATE_OK, tollgate_free(limiter));
    free(copy);
    f->calls += 2;
}

static void begin_target(fuzzer *f) {
    target *t = f->target;
    tollgate_options options = TOLLGATE_OPTIONS_INIT;
    tollgate_policy policies[POLICIES];
    size_t i;
    uint64_t number = t->number + 1;
    memset(t, 0, sizeof *t);
    t->number = number;
    STATUS(TOLLGATE_OK, tollgate_clock_manual(&t->clock));
    options.clock = t->clock;
    options.seed[0] = 1 + below(f, 1000);
    some_policies(f, policies);
    build_with_a_fault(f, &options, policies);
    build_from_text(f, &options);
    some_policies(f, policies);
    STATUS(TOLLGATE_OK, tollgate_new(&options, policies, POLICIES, &t->limiter, NULL));
    for (i = 0; i < POLICIES; i++) {
        STATUS(TOLLGATE_OK, tollgate_policy_at(t->limiter, i, &t->ids[i], NULL));
    }
    f->calls += 2 + POLICIES;
}

static void end_target(fuzzer *f) {
    target *t = f->target;
    int clock_first = once_in(f, 2);
    if (clock_first) {
        STATUS(TOLLGATE_OK, tollgate_clock_free(t->clock));
    }
    STATUS(TOLLGATE_OK, tollgate_free(t->limiter));
    if (!clock_first) {
        STATUS(TOLLGATE_OK, tollgate_clock_free(t->clock));
    }
    f->calls += 2;
}

enum { THREADS = 4, ROUND = 400000 };

typedef struct {
    fuzzer fuzzer;
    unsigned long calls;
} worker;

static void *work(void *argument) {
    worker *me = argument;
    some_calls(&me->fuzzer, me->calls);
    return NULL;
}

/* Calls of several threads on a new limiter, whose clock stands still. */
static unsigned long round_of_threads(fuzzer *f, unsigned long calls) {
    worker workers[THREADS];
    pthread_t threads[THREADS];
    unsigned long made = 0;
    size_t i;
    begin_target(f);
    f->target->threads = 1;
    for (i = 0; i < THREADS; i++) {
        begin_fuzzer(&workers[i].fuzzer, f->target, next_random(&f->random));
        workers[i].calls = calls;
        CHECK(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        made += workers[i].fuzzer.calls;
        end_fuzzer(&workers[i].fuzzer);
    }
    end_target(f);
    return made;
}

/* Half of the calls from one thread, on one limiter after the other; half from several threads. */
int main(void) {
    const char *given = getenv("TOLLGATE_CALLS");
    unsigned long calls = given != NULL ? strtoul(given, NULL, 0) : 10000000, alone, made = 0;
    static target one;
    fuzzer f;
    begin_fuzzer(&f, &one, seed_or(1));
    while (f.calls < calls / 2) {
        begin_target(&f);
        some_calls(&f, f.calls + 1 + below(&f, calls / 20 + 1));
        end_target(&f);
    }
    alone = f.calls;
    while (made < calls - calls / 2) {
        unsigned long rest = (calls - calls / 2 - made) / THREADS + 1;
        made += round_of_threads(&f, rest < ROUND ? rest : ROUND);
    }
    fprintf(stderr, "%lu calls of one thread, %lu of %d\n", alone, made, (int)THREADS);
    end_fuzzer(&f);
    return passed();
}
