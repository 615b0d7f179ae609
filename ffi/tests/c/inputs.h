/* Random arguments, valid and invalid. Each invalid one is noted with its error, so that the expected
 * status of a call is known: one of the noted errors, or none if all arguments are valid. */
#ifndef INPUTS_H
#define INPUTS_H

#include "fixture.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { POLICIES = 4, VERIFIED = 0, EXACT = 1, BUCKETED = 2, DAY = 3 };
enum { VERIFIED_LIMIT = 5, VERIFIED_KEYS = 1024, KEY_ROOM = 64, MOST = 20 };

/* A fuzzed limiter. Under the policy VERIFIED there are only checks, at times that never step back, so that
 * the admitted units can be compared with the limit. */
typedef struct {
    tollgate_limiter *limiter;
    tollgate_clock *clock;
    /* The number of earlier limiters. */
    uint64_t number;
    uint64_t ids[POLICIES];
    /* The time of both clocks; constant while threads run. */
    uint64_t now;
    int threads;
    /* The times of the last admitted units of each key, as a ring; not used with threads. */
    uint64_t admitted_at[VERIFIED_KEYS][VERIFIED_LIMIT];
    /* The number of admitted units of each key. */
    uint64_t admitted[VERIFIED_KEYS];
} target;

/* One thread's state. */
typedef struct {
    uint64_t random;
    target *target;
    /* A bit for each error that the next call may return. */
    uint64_t wrong;
    /* Keys end at the end of this block, for memory checkers. */
    unsigned char *keys;
    tollgate_charge *charges;
    /* A slot of `TOLLGATE_MAX_PARTS` for each charge. */
    tollgate_key *parts;
    /* The key and the cost of the request's charge under VERIFIED. There is at most one such charge. */
    uint64_t verified_key, verified_cost;
    tollgate_now now;
    /* The reservations of this thread. */
    tollgate_reservation reserved[4];
    size_t charge_counts[4];
    enum { NONE, OPEN, CLOSED } state[4];
    uint64_t owner[4];
    tollgate_session session;
    int session_is_open;
    unsigned long calls;
} fuzzer;

/* A random number below `end`. */
static inline uint64_t below(fuzzer *f, uint64_t end) { return next_random(&f->random) % end; }

static inline int once_in(fuzzer *f, uint64_t turns) { return below(f, turns) == 0; }

static inline void wrong(fuzzer *f, tollgate_status status) { f->wrong |= UINT64_C(1) << -status; }

/* An unaligned pointer, which is rejected before it is used. */
static inline void *odd(fuzzer *f, tollgate_status status) {
    wrong(f, status);
    return (char *)f->charges + 1;
}

static inline const tollgate_limiter *some_limiter(fuzzer *f) {
    switch (below(f, 400)) {
    case 0: wrong(f, TOLLGATE_E_NULL); return NULL;
    case 1: wrong(f, TOLLGATE_E_HANDLE); return (const void *)f->target->clock;
    case 2: return odd(f, TOLLGATE_E_HANDLE);
    default: return f->target->limiter;
    }
}

/* An output that may be NULL. */
static inline void *maybe(fuzzer *f, void *place) {
    switch (below(f, 100)) {
    case 0: return odd(f, TOLLGATE_E_ARGUMENT);
    case 1: case 2: case 3: return NULL;
    default: return place;
    }
}

/* An output or input that must not be NULL. */
static inline void *needed(fuzzer *f, void *place) {
    switch (below(f, 200)) {
    case 0: wrong(f, TOLLGATE_E_NULL); return NULL;
    case 1: return odd(f, TOLLGATE_E_ARGUMENT);
    default: return place;
    }
}

/* The current time, from the caller or from the clock; for requests without VERIFIED also a random time. */
static inline const tollgate_now *some_now(fuzzer *f, int any) {
    uint64_t kind = below(f, 100);
    f->now = at(f->target->now);
    if (any && kind < 5) {
        f->now.monotonic_ns = next_random(&f->random) >> below(f, 64);
        f->now.unix_ns = next_random(&f->random) >> below(f, 64);
    } else if (kind < 25) {
        return NULL;
    } else if (kind == 99) {
        return odd(f, TOLLGATE_E_ARGUMENT);
    }
    return &f->now;
}

static inline uint64_t some_units(fuzzer *f) {
    return once_in(f, 50) ? next_random(&f->random) >> below(f, 64) : below(f, 8);
}

static inline uint64_t some_policy(fuzzer *f, uint64_t first) {
    if (once_in(f, 200)) {
        wrong(f, TOLLGATE_E_POLICY);
        return below(f, 2) == 0 ? 0 : next_random(&f->random) | UINT64_C(1) << 63;
    }
    return f->target->ids[first + below(f, POLICIES - first)];
}

static inline void bytes_key(fuzzer *f, tollgate_key *key, size_t size) {
    f->keys[below(f, KEY_ROOM)] = (unsigned char)below(f, 3);
    key->size = size;
    key->data = f->keys + KEY_ROOM - size;
    if (size > 0 && once_in(f, 300)) {
        wrong(f, TOLLGATE_E_NULL);
        key->data = NULL;
    } else if (size == 0 && once_in(f, 2)) {
        key->data = NULL;
    }
}

static inline void some_prefixes(fuzzer *f, tollgate_key *key) {
    key->v4_prefix = (uint8_t)(once_in(f, 2) ? 0 : below(f, 34));
    key->v6_prefix = (uint8_t)below(f, 130);
    if (key->v4_prefix > 32 || key->v6_prefix > 128) {
        wrong(f, TOLLGATE_E_ARGUMENT);
    }
}

static inline void socket_key(fuzzer *f, tollgate_key *key) {
    static const struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = 80};
    static const struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = 80};
    static const struct sockaddr_un local = {.sun_family = AF_UNIX};
    some_prefixes(f, key);
    key->data = &v4;
    key->size = sizeof v4;
    if (below(f, 2) == 0) {
        key->data = &v6;
        key->size = sizeof v6;
    }
    switch (below(f, 300)) {
    case 0: wrong(f, TOLLGATE_E_NULL); key->data = NULL; break;
    case 1: wrong(f, TOLLGATE_E_ARGUMENT); key->size = below(f, 8); break;
    case 2: wrong(f, TOLLGATE_E_ARGUMENT); key->data = &local; key->size = sizeof local; break;
    default: break;
    }
}

/* A key without parts. */
static inline tollgate_key simple_key(fuzzer *f) {
    tollgate_key key;
    memset(&key, 0, sizeof key);
    key.kind = (uint32_t)below(f, TOLLGATE_KEY_PARTS);
    key.number = next_random(&f->random) >> below(f, 64);
    switch (key.kind) {
    case TOLLGATE_KEY_BYTES: bytes_key(f, &key, below(f, KEY_ROOM + 1)); break;
    case TOLLGATE_KEY_IP:
        bytes_key(f, &key, below(f, 2) == 0 ? 4 : 16);
        some_prefixes(f, &key);
        if (once_in(f, 100)) {
            key.size--;
            wrong(f, TOLLGATE_E_ARGUMENT);
        }
        break;
    case TOLLGATE_KEY_SOCKADDR: socket_key(f, &key); break;
    default: break;
    }
    if (once_in(f, 500)) {
        key.kind = TOLLGATE_KEY_PARTS + 1 + (uint32_t)below(f, 1000);
        wrong(f, TOLLGATE_E_ARGUMENT);
    }
    if (once_in(f, 500)) {
        key.reserved = (uint16_t)(1 + below(f, UINT16_MAX));
        wrong(f, TOLLGATE_E_ARGUMENT);
    }
    return key;
}

/* A key. Its parts end at the end of this slot. */
static inline tollgate_key some_key(fuzzer *f, size_t slot) {
    size_t count = below(f, TOLLGATE_MAX_PARTS + 1), i;
    tollgate_key *parts = f->parts + (slot + 1) * TOLLGATE_MAX_PARTS - count;
    tollgate_key key;
    if (below(f, 6) > 0) {
        return simple_key(f);
    }
    for (i = 0; i < count; i++) {
        parts[i] = simple_key(f);
    }
    key = tollgate_key_parts(parts, count);
    if (once_in(f, 500)) {
        key.reserved = (uint16_t)(1 + below(f, UINT16_MAX));
        wrong(f, TOLLGATE_E_ARGUMENT);
    }
    if (count > 0 && once_in(f, 200)) {
        parts[count - 1].kind = TOLLGATE_KEY_PARTS;
        wrong(f, TOLLGATE_E_ARGUMENT);
    }
    switch (below(f, 300)) {
    case 0: wrong(f, TOLLGATE_E_TOO_MANY); key.size = TOLLGATE_MAX_PARTS + 1 + below(f, 1000); break;
    case 1:
        if (count > 0) {
            wrong(f, TOLLGATE_E_NULL);
            key.data = NULL;
        }
        break;
    case 2:
        if (count > 0) {
            key.data = odd(f, TOLLGATE_E_ARGUMENT);
        }
        break;
    default: break;
    }
    return key;
}

/* A charge that is not under VERIFIED. */
static inline tollgate_charge some_charge(fuzzer *f, size_t slot) {
    tollgate_charge charge;
    memset(&charge, 0, sizeof charge);
    charge.policy = some_policy(f, EXACT);
    charge.cost = some_units(f);
    charge.limit = once_in(f, 4) ? some_units(f) : TOLLGATE_POLICY_LIMIT;
    charge.key = some_key(f, slot);
    return charge;
}

/* A charge under VERIFIED, which is noted. All threads use the same few keys at a time. */
static inline tollgate_charge verified_charge(fuzzer *f) {
    uint64_t crowd = f->target->threads ? f->calls / 2000 * 4 : 0;
    f->verified_key = (crowd + below(f, 4)) % VERIFIED_KEYS;
    f->verified_cost = below(f, VERIFIED_LIMIT + 2);
    return tollgate_charge_number(f->target->ids[VERIFIED], f->verified_key, f->verified_cost);
}

/* `count` charges, in memory that ends with them. With `verified`, one of them may be under VERIFIED. */
static inline const tollgate_charge *some_charges(fuzzer *f, size_t count, size_t most, int verified) {
    tollgate_charge *charges = f->charges + MOST - count;
    size_t i, under_verified = verified && count > 0 && below(f, 2) == 0 ? below(f, count) : count;
    f->verified_cost = 0;
    for (i = 0; i < count; i++) {
        charges[i] = i == under_verified ? verified_charge(f) : some_charge(f, i);
    }
    if (count > most) {
        wrong(f, TOLLGATE_E_TOO_MANY);
    }
    return count == 0 ? NULL : needed(f, charges);
}

/* Mostly a small number. */
static inline size_t some_count(fuzzer *f, size_t most) {
    return once_in(f, 30) ? below(f, most + 2) : below(f, 4);
}

#endif
