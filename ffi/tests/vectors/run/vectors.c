/* Reads scenes on standard input, a line for each call, and prints the answers: the calls of
 * ffi/tests/vectors as tests/vectors/format.rs writes them down. What it must print is not known here.
 */
#include "tollgate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64, KEY = 256, RESERVATIONS = 256 };

static tollgate_limiter *limiter;
static tollgate_clock *still;
static tollgate_options options;
static tollgate_policy policies[MOST];
static char names[MOST][KEY];
static size_t policy_count;
static tollgate_reservation reservations[RESERVATIONS];

/* The next word of the line that was given to strtok. */
static const char *word(void) {
    const char *next = strtok(NULL, " \n");
    if (next == NULL) {
        fprintf(stderr, "a line is too short\n");
        exit(2);
    }
    return next;
}

static uint64_t number(void) { return strtoull(word(), NULL, 10); }

static size_t count_of(size_t most) {
    const uint64_t count = number();
    if (count > most) {
        fprintf(stderr, "too many\n");
        exit(2);
    }
    return (size_t)count;
}

/* Bytes in hexadecimal digits after an x. */
static size_t bytes(char *to, size_t most) {
    const char *digits = word() + 1;
    const size_t size = strlen(digits) / 2;
    if (size >= most) {
        fprintf(stderr, "a text is too long\n");
        exit(2);
    }
    for (size_t place = 0; place < size; ++place) {
        const char pair[3] = {digits[2 * place], digits[2 * place + 1], 0};
        to[place] = (char)strtoul(pair, NULL, 16);
    }
    to[size] = 0;
    return size;
}

static void begin(void) {
    (void)tollgate_free(limiter);
    limiter = NULL;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.clock = still;
    options.max_keys = number();
    options.overflow = (uint32_t)number();
    options.allowance = number();
    policy_count = 0;
}

static void add_policy(void) {
    tollgate_policy policy = TOLLGATE_POLICY_INIT;
    if (policy_count == MOST) exit(2);
    policy.kind = (uint32_t)number();
    (void)bytes(names[policy_count], KEY);
    policy.name = names[policy_count];
    policy.limit = number();
    policy.window_ns = number();
    policy.period = (uint32_t)number();
    policy.offset_seconds = (int32_t)strtol(word(), NULL, 10);
    policy.max_limit = number();
    policy.max_keys = number();
    policy.buckets = (uint32_t)number();
    policy.overflow = (uint32_t)number();
    policy.allowance = number();
    policies[policy_count++] = policy;
}

static void build(void) {
    tollgate_error error;
    const tollgate_status status = tollgate_new(&options, policies, policy_count, &limiter, &error);
    if (status == TOLLGATE_OK) {
        printf("0\n");
    } else {
        printf("%d %s\n", (int)status, error.message);
    }
}

/* The policy of a place, or a number that is none. */
static uint64_t policy_of(uint64_t place) {
    uint64_t policy = 0;
    (void)tollgate_policy_at(limiter, (size_t)place, &policy, NULL);
    return policy;
}

static long place_of(uint64_t policy) {
    uint64_t found = 0;
    for (long place = 0; tollgate_policy_at(limiter, (size_t)place, &found, NULL) == 0; ++place) {
        if (found == policy) return place;
    }
    return -1;
}

static void read_charge(tollgate_charge *charge, char *key) {
    memset(charge, 0, sizeof *charge);
    charge->policy = policy_of(number());
    const char *kind = word();
    charge->key_size = bytes(key, KEY);
    charge->key = key;
    charge->number = number();
    charge->key_kind = strcmp(kind, "text") == 0     ? TOLLGATE_KEY_BYTES
                       : strcmp(kind, "number") == 0 ? TOLLGATE_KEY_NUMBER
                       : strcmp(kind, "ip") == 0     ? TOLLGATE_KEY_IP
                                                     : TOLLGATE_KEY_SHARED;
    charge->cost = number();
    charge->limit = number();
}

static size_t read_charges(tollgate_charge *charges, char (*keys)[KEY]) {
    const size_t count = count_of(MOST);
    for (size_t place = 0; place < count; ++place) read_charge(&charges[place], keys[place]);
    return count;
}

static size_t read_amounts(uint64_t *amounts) {
    const size_t count = count_of(MOST);
    for (size_t place = 0; place < count; ++place) amounts[place] = number();
    return count;
}

static void print_decision(tollgate_status status, const tollgate_decision *told) {
    printf("%d", (int)status);
    if (status < 0) return;
    printf(" %ld %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32, place_of(told->policy),
           told->limit, told->remaining, told->retry_after_ns, told->reset_after_ns, told->flags);
}

static void print_layers(const tollgate_policy_status *layers, size_t count) {
    for (size_t place = 0; place < count; ++place) {
        const tollgate_policy_status *told = &layers[place];
        printf("; %ld %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32,
               place_of(told->policy), told->limit, told->remaining, told->retry_after_ns,
               told->reset_after_ns, told->flags);
    }
}

/* Verbs over charges. */
static void request(const char *verb, const tollgate_now *now) {
    static char keys[MOST][KEY];
    tollgate_charge charges[MOST];
    tollgate_decision told[MOST];
    tollgate_policy_status layers[MOST];
    const size_t count = read_charges(charges, keys);
    tollgate_status status = TOLLGATE_E_ARGUMENT;
    if (strcmp(verb, "check_many") == 0) {
        size_t allowed = 0;
        (void)tollgate_check_many(limiter, now, charges, count, told, &allowed);
        printf("%zu", allowed);
        for (size_t place = 0; place < count; ++place) {
            printf("; ");
            print_decision(told[place].status, &told[place]);
        }
        return;
    }
    if (strcmp(verb, "check") == 0) {
        status = tollgate_check(limiter, now, charges, count, told);
    } else if (strcmp(verb, "peek") == 0) {
        status = tollgate_peek(limiter, now, charges, count, told);
    } else if (strcmp(verb, "charge") == 0) {
        status = tollgate_force_charge(limiter, now, charges, count, told);
    } else if (strcmp(verb, "check_with_status") == 0) {
        status = tollgate_check_with_status(limiter, now, charges, count, told, layers);
    } else if (strcmp(verb, "peek_with_status") == 0) {
        status = tollgate_peek_with_status(limiter, now, charges, count, told, layers);
    }
    print_decision(status, told);
    if (strstr(verb, "_with_status") != NULL && status >= 0) print_layers(layers, count);
}

static void reserve(const tollgate_now *now) {
    static char keys[MOST][KEY];
    tollgate_charge charges[MOST];
    tollgate_decision told;
    tollgate_policy_status layers[MOST];
    tollgate_reservation *held = &reservations[count_of(RESERVATIONS - 1)];
    const size_t count = read_charges(charges, keys);
    const tollgate_status status =
        tollgate_reserve(limiter, now, charges, count, held, &told, layers);
    print_decision(status, &told);
    if (status >= 0) print_layers(layers, count);
}

static void change(const char *verb, const tollgate_now *now) {
    uint64_t amounts[MOST];
    tollgate_decision told;
    tollgate_reservation *held = &reservations[count_of(RESERVATIONS - 1)];
    tollgate_status status;
    if (strcmp(verb, "cancel") == 0) {
        status = tollgate_cancel(limiter, now, held, &told);
    } else {
        const size_t count = read_amounts(amounts);
        status = strcmp(verb, "extend") == 0
                     ? tollgate_extend(limiter, now, held, amounts, count, &told)
                     : tollgate_settle(limiter, now, held, amounts, count, &told);
    }
    print_decision(status, &told);
}

static void call(void) {
    tollgate_now now;
    now.monotonic_ns = number();
    now.unix_ns = number();
    const char *verb = word();
    if (strcmp(verb, "set_limit") == 0) {
        const uint64_t policy = policy_of(number());
        printf("%d", (int)tollgate_set_limit(limiter, policy, number(), NULL));
    } else if (strcmp(verb, "refund") == 0 || strcmp(verb, "reset_key") == 0) {
        char key[KEY];
        tollgate_charge charge;
        uint64_t given = 0;
        read_charge(&charge, key);
        if (strcmp(verb, "refund") == 0) {
            const tollgate_status status = tollgate_refund(limiter, &now, &charge, &given);
            printf("%d %" PRIu64, (int)status, given);
        } else {
            printf("%d", (int)tollgate_reset_key(limiter, &now, &charge));
        }
    } else if (strcmp(verb, "reserve") == 0) {
        reserve(&now);
    } else if (strcmp(verb, "extend") == 0 || strcmp(verb, "settle") == 0 ||
               strcmp(verb, "cancel") == 0) {
        change(verb, &now);
    } else {
        request(verb, &now);
    }
    printf("\n");
}

int main(void) {
    static char line[1 << 16];
    if (tollgate_clock_manual(&still) != TOLLGATE_OK) return 2;
    while (fgets(line, sizeof line, stdin) != NULL) {
        const char *first = strtok(line, " \n");
        if (first == NULL) {
            continue;
        } else if (strcmp(first, "limiter") == 0) {
            begin();
        } else if (strcmp(first, "policy") == 0) {
            add_policy();
        } else if (strcmp(first, "build") == 0) {
            build();
        } else if (strcmp(first, "at") == 0) {
            call();
        } else {
            return 2;
        }
    }
    (void)tollgate_free(limiter);
    (void)tollgate_clock_free(still);
    return 0;
}
