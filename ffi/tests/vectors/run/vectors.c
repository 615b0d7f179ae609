/* Reads the calls of ffi/tests/vectors on standard input, one line each, in the format of
 * tests/vectors/format.rs. Prints the results, which the test compares. */
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

/* The next word of the line that strtok splits. */
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

/* Parses bytes: an x and hexadecimal digits. */
static size_t bytes(char *to, size_t most) {
    const char *digits = word() + 1;
    const size_t size = strlen(digits) / 2;
    if (size >= most) {
        fprintf(stderr, "a text is too long\n");
        exit(2);
    }
    for (size_t index = 0; index < size; ++index) {
        const char pair[3] = {digits[2 * index], digits[2 * index + 1], 0};
        to[index] = (char)strtoul(pair, NULL, 16);
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
    policy.flags = (uint32_t)number();
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

/* The policy with an index, or a number that is not a policy. */
static uint64_t policy_of(uint64_t index) {
    uint64_t policy = 0;
    (void)tollgate_policy_at(limiter, (size_t)index, &policy, NULL);
    return policy;
}

static long index_of(uint64_t policy) {
    uint64_t found = 0;
    for (long index = 0; tollgate_policy_at(limiter, (size_t)index, &found, NULL) == 0; ++index) {
        if (found == policy) return index;
    }
    return -1;
}

/* The bytes and the parts of a key. */
typedef struct {
    char bytes[TOLLGATE_MAX_PARTS + 1][KEY];
    tollgate_key parts[TOLLGATE_MAX_PARTS];
} key_memory;

/* A key, which is the part `index` of another one, or has the index `TOLLGATE_MAX_PARTS`. */
static tollgate_key read_key(key_memory *memory, size_t index) {
    const char *kind = word();
    char *to = memory->bytes[index];
    if (strcmp(kind, "text") == 0) {
        const size_t size = bytes(to, KEY);
        /* Text without a NUL takes the shorter way. */
        return strlen(to) == size ? tollgate_key_text(to) : tollgate_key_bytes(to, size);
    }
    if (strcmp(kind, "number") == 0) return tollgate_key_number(number());
    if (strcmp(kind, "ip") == 0 || strcmp(kind, "network") == 0) {
        const size_t size = bytes(to, KEY);
        const tollgate_key address = size == 4 ? tollgate_key_ipv4(to) : tollgate_key_ipv6(to);
        unsigned v4, v6;
        if (strcmp(kind, "ip") == 0) return address;
        v4 = (unsigned)number();
        v6 = (unsigned)number();
        return tollgate_key_network(address, v4, v6);
    }
    if (strcmp(kind, "parts") == 0) {
        const size_t count = count_of(TOLLGATE_MAX_PARTS);
        for (size_t part = 0; part < count; ++part) memory->parts[part] = read_key(memory, part);
        return tollgate_key_parts(memory->parts, count);
    }
    return tollgate_key_shared();
}

static void read_charge(tollgate_charge *charge, key_memory *memory) {
    const uint64_t policy = policy_of(number());
    const tollgate_key key = read_key(memory, TOLLGATE_MAX_PARTS);
    *charge = tollgate_charge_key(policy, key, number());
    charge->limit = number();
}

static size_t read_charges(tollgate_charge *charges, key_memory *memory) {
    const size_t count = count_of(MOST);
    for (size_t index = 0; index < count; ++index) read_charge(&charges[index], &memory[index]);
    return count;
}

static size_t read_amounts(uint64_t *amounts) {
    const size_t count = count_of(MOST);
    for (size_t index = 0; index < count; ++index) amounts[index] = number();
    return count;
}

static void print_decision(tollgate_status status, const tollgate_decision *decided) {
    printf("%d", (int)status);
    if (status < 0) return;
    printf(" %ld %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32, index_of(decided->policy),
           decided->limit, decided->remaining, decided->retry_after_ns, decided->reset_after_ns, decided->flags);
}

static void print_statuses(const tollgate_policy_status *statuses, size_t count) {
    for (size_t index = 0; index < count; ++index) {
        const tollgate_policy_status *decided = &statuses[index];
        printf("; %ld %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32,
               index_of(decided->policy), decided->limit, decided->remaining, decided->retry_after_ns,
               decided->reset_after_ns, decided->flags);
    }
}

/* Runs an operation on charges. */
static void request(const char *operation, const tollgate_now *now) {
    static key_memory keys[MOST];
    tollgate_charge charges[MOST];
    tollgate_decision decided[MOST];
    tollgate_policy_status statuses[MOST];
    const size_t count = read_charges(charges, keys);
    tollgate_status status = TOLLGATE_E_ARGUMENT;
    if (strcmp(operation, "check_many") == 0) {
        size_t allowed = 0;
        (void)tollgate_check_many(limiter, now, charges, count, decided, &allowed);
        printf("%zu", allowed);
        for (size_t index = 0; index < count; ++index) {
            printf("; ");
            print_decision(decided[index].status, &decided[index]);
        }
        return;
    }
    if (strcmp(operation, "check") == 0) {
        status = tollgate_check(limiter, now, charges, count, decided);
    } else if (strcmp(operation, "peek") == 0) {
        status = tollgate_peek(limiter, now, charges, count, decided);
    } else if (strcmp(operation, "charge") == 0) {
        status = tollgate_force_charge(limiter, now, charges, count, decided);
    } else if (strcmp(operation, "check_with_status") == 0) {
        status = tollgate_check_with_status(limiter, now, charges, count, decided, statuses);
    } else if (strcmp(operation, "peek_with_status") == 0) {
        status = tollgate_peek_with_status(limiter, now, charges, count, decided, statuses);
    }
    print_decision(status, decided);
    if (strstr(operation, "_with_status") != NULL && status >= 0) print_statuses(statuses, count);
}

static void reserve(const tollgate_now *now) {
    static key_memory keys[MOST];
    tollgate_charge charges[MOST];
    tollgate_decision decided;
    tollgate_policy_status statuses[MOST];
    tollgate_reservation *held = &reservations[count_of(RESERVATIONS - 1)];
    const size_t count = read_charges(charges, keys);
    const tollgate_status status =
        tollgate_reserve(limiter, now, charges, count, held, &decided, statuses);
    print_decision(status, &decided);
    if (status >= 0) print_statuses(statuses, count);
}

static void change(const char *operation, const tollgate_now *now) {
    uint64_t amounts[MOST];
    tollgate_decision decided;
    tollgate_reservation *held = &reservations[count_of(RESERVATIONS - 1)];
    tollgate_status status;
    if (strcmp(operation, "cancel") == 0) {
        status = tollgate_cancel(limiter, now, held, &decided);
    } else {
        const size_t count = read_amounts(amounts);
        status = strcmp(operation, "extend") == 0
                     ? tollgate_extend(limiter, now, held, amounts, count, &decided)
                     : tollgate_settle(limiter, now, held, amounts, count, &decided);
    }
    print_decision(status, &decided);
}

static void call(void) {
    tollgate_now now;
    now.monotonic_ns = number();
    now.unix_ns = number();
    const char *operation = word();
    if (strcmp(operation, "set_limit") == 0) {
        const uint64_t policy = policy_of(number());
        printf("%d", (int)tollgate_set_limit(limiter, policy, number(), NULL));
    } else if (strcmp(operation, "refund") == 0 || strcmp(operation, "reset_key") == 0) {
        static key_memory memory;
        tollgate_charge charge;
        uint64_t given = 0;
        read_charge(&charge, &memory);
        if (strcmp(operation, "refund") == 0) {
            const tollgate_status status = tollgate_refund(limiter, &now, &charge, &given);
            printf("%d %" PRIu64, (int)status, given);
        } else {
            printf("%d", (int)tollgate_reset_key(limiter, &now, &charge));
        }
    } else if (strcmp(operation, "reserve") == 0) {
        reserve(&now);
    } else if (strcmp(operation, "extend") == 0 || strcmp(operation, "settle") == 0 ||
               strcmp(operation, "cancel") == 0) {
        change(operation, &now);
    } else {
        request(operation, &now);
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
