/* tollgate: a lock-free rate limiter.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A limiter has policies: sliding windows and calendar budgets, each with a limit per key. A
 * request names one or more policies, and is charged under all of them or under none. Decisions
 * take no lock. They allocate nothing for keys that are already in a policy's table, unless a
 * table's memory is renewed because of its age. Times are in nanoseconds.
 *
 * Example: 100 requests a minute for each user.
 *
 *     #include <stdio.h>
 *     #include <tollgate.h>
 *
 *     int main(void) {
 *         tollgate_policy policy = {.struct_size = sizeof policy, .name = "user", .limit = 100,
 *                                   .window_ns = 60000000000};
 *         tollgate_limiter *limiter;
 *         uint64_t user;
 *         if (tollgate_new(NULL, &policy, 1, &limiter, NULL) != TOLLGATE_OK) return 1;
 *         if (tollgate_policy_find(limiter, "user", &user) != TOLLGATE_OK) return 1;
 *         tollgate_status status = tollgate_check_key(limiter, NULL, user, "alice", 5, 1, NULL);
 *         puts(status == TOLLGATE_DENIED ? "429 Too Many Requests" : "200 OK");
 *         return tollgate_free(limiter);
 *     }
 *
 * Rules for every function:
 *
 * - Status. 0 is success. Above 0 is a refusal: the request is not allowed, or a cost could not be
 *   recorded. Below 0 is an error: the call charged nothing, with two exceptions: see
 *   tollgate_check_many and TOLLGATE_E_PANIC. To fail open, proceed unless the status is
 *   TOLLGATE_DENIED or TOLLGATE_IMPOSSIBLE. To fail closed, proceed only if it is TOLLGATE_OK.
 * - Threads. Any number of threads may pass the same pointer to a const handle at any time. A
 *   handle that is passed as a pointer to non-const may be used by one thread at a time. No
 *   function waits for another thread, with one exception: the call that frees the last handle that
 *   uses a coarse clock with its own thread waits until that thread ends.
 * - Pointers. NULL is an error (TOLLGATE_E_NULL) unless a function allows it. A pointer that is not
 *   aligned for its type is one as well (TOLLGATE_E_ARGUMENT, or TOLLGATE_E_HANDLE for a handle).
 *   Any other pointer must point to memory that is readable for its type and length, and writable
 *   where the function writes, until the function returns. No pointer is kept. Memory that a
 *   function only writes may be uninitialised. An array or key of length 0 may be NULL.
 * - Ownership. Free a handle once: a limiter from tollgate_new or tollgate_new_from_toml with
 *   tollgate_free, a clock from tollgate_clock_manual or tollgate_clock_coarse with
 *   tollgate_clock_free. Do not free a handle while another thread uses it. Freeing NULL does
 *   nothing. All other objects are plain memory of the caller.
 * - Misuse. A handle of the wrong kind, or one that was freed, is an error (TOLLGATE_E_HANDLE).
 *   Builds of this library with debug assertions detect every freed handle. Other builds detect one
 *   only while its memory is readable and not reused.
 * - Fork. A child may use an inherited limiter, whatever other threads were doing at the fork: no
 *   function waits for them. Parent and child then count separately. A coarse clock with its own
 *   thread stops in the child: create a limiter with another clock there, or pass times that
 *   continue those of tollgate_read_clock.
 *   The child forgets the calls and sessions of the threads that it does not have, so that they do
 *   not keep the memory of replaced tables. It does not free what another thread was just freeing.
 *   In two cases the child frees no memory of replaced tables if, at the fork, another thread was
 *   inside a call or had an open session: on a system without membarrier, and if the child was made
 *   without running the handlers of pthread_atfork.
 * - Unloading. dlclose is safe with glibc, also while a thread that has called a function still
 *   runs: the library then stays loaded until that thread ends. Free all handles before dlclose.
 *   Memory of replaced tables that is not freed by then is leaked.
 * - Signals. Not async-signal-safe: a thread's first call registers a destructor with the C library.
 * - Memory. A table grows and shrinks with its live keys, up to `max_keys` keys and `max_bytes` bytes. When
 *   it is full and too few of its keys have expired, TOLLGATE_OVERFLOW_* decides about a new key; known
 *   keys are decided as before. tollgate_memory_bound returns the most memory of a limiter before it is
 *   made. By default that is 128 MiB for all policies. Bytes for each key, by the kind of the policy:
 *
 *   policy                                        slot   full   after a growth   at most
 *   TOLLGATE_CALENDAR                               16     19               31        37
 *   TOLLGATE_SLIDING, max_limit or buckets to 7     64     70              116       139
 *                                         to 15    128    138              230       276
 *                                         to 23    192    206              344       412
 *                                         to 31    256    275              457       549
 *                                         to 47    384    411              685       822
 *                                         to 63    512    548              912     1,095
 *                                         to 95    768    821            1,368     1,641
 *                                        to 127  1,024  1,094            1,823     2,187
 *
 *   A greater `max_limit` has 15 buckets, unless `buckets` says otherwise. "At most" is for each of
 *   the keys that a full table has, while they move to a new array of the same size.
 * - Time. Each function that takes `now` uses that time or, if `now` is NULL, reads the limiter's
 *   clock.
 */

#ifndef TOLLGATE_H
#define TOLLGATE_H


#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ============================================================================================== */
/* Constants                                                                                      */
/* ============================================================================================== */

// Policy kind: a sliding window.
#define TOLLGATE_SLIDING 0

// Policy kind: calendar periods.
#define TOLLGATE_CALENDAR 1

// Calendar period: an hour.
#define TOLLGATE_HOUR 1

// Calendar period: a day.
#define TOLLGATE_DAY 2

// Calendar period: a month.
#define TOLLGATE_MONTH 3

// Overflow mode: the default. In a policy, this is the mode of the options; in the options, it is
// `TOLLGATE_OVERFLOW_DENY`.
#define TOLLGATE_OVERFLOW_DEFAULT 0

// Overflow mode: refuse a new key when the table is full, with `TOLLGATE_TABLE_FULL`. In a flood of new
// keys, other new clients are refused as well.
#define TOLLGATE_OVERFLOW_DENY 1

// Overflow mode: allow a new key without counting it when the table is full. In a flood, clients that
// always send new keys are not limited.
#define TOLLGATE_OVERFLOW_ALLOW 2

// Overflow mode: evict the keys with the least usage when the table is full. Evictions discard at
// most `allowance` units of a key's usage in any window or period. A new key for which they make no
// room is refused with `TOLLGATE_TABLE_FULL`.
#define TOLLGATE_OVERFLOW_EVICT_LIGHTEST 3

// The size of an error's message in bytes, with its NUL.
#define TOLLGATE_MESSAGE_SIZE 248

// Key kind: `size` bytes at `data`, for example a user name. NULL with 0 bytes is the empty key.
#define TOLLGATE_KEY_BYTES 0

// Key kind: the number in `number`.
#define TOLLGATE_KEY_NUMBER 1

// Key kind: an IP address, `size` (4 or 16) bytes at `data` in network order. Some IPv6 addresses
// stand for an IPv4 address and count as that one: mapped addresses (`::ffff:192.0.2.1`),
// IPv4-compatible ones (`::192.0.2.1`, but not `::` and `::1`), and NAT64 addresses with the
// well-known prefix (`64:ff9b::192.0.2.1`). All others count as IPv6, also local NAT64
// (`64:ff9b:1::/48`), 6to4 and Teredo addresses.
#define TOLLGATE_KEY_IP 2

// Key kind: a single key, shared by all requests.
#define TOLLGATE_KEY_SHARED 3

// Key kind: the IP address in a `struct sockaddr` of `size` bytes at `data`, with any alignment. It is
// the same key as that address as `TOLLGATE_KEY_IP`: the port does not count. The family must be
// `AF_INET` or `AF_INET6`. Only on Unix.
#define TOLLGATE_KEY_SOCKADDR 4

// Key kind: several parts, `size` values of type `tollgate_key` at `data`, at most
// `TOLLGATE_MAX_PARTS`. Such keys are equal if all their parts are, in the same order: ("ab", "c")
// differs from ("a", "bc") and from "abc". A part has any other kind.
#define TOLLGATE_KEY_PARTS 5

// The greatest number of parts of a key.
#define TOLLGATE_MAX_PARTS 8

// In place of the `limit` of a charge: the charge has no limit of its own, so the policy's applies.
#define TOLLGATE_POLICY_LIMIT UINT64_MAX

// In place of a wait: no wait is known to help.
#define TOLLGATE_NEVER UINT64_MAX

// Flag of `tollgate_decision`: a table had no room for a key. The request was refused or, under
// `TOLLGATE_OVERFLOW_ALLOW` or a dry run, not counted by that policy. Flag of
// `tollgate_policy_status`: this policy did not count its charge, under `TOLLGATE_OVERFLOW_ALLOW` or
// a dry run.
#define TOLLGATE_TABLE_WAS_FULL 1

// Flag of `tollgate_policy_status`: this policy had no room for its charge: under the limit or, in a
// dry run, in its table.
#define TOLLGATE_VIOLATED 2

// Flag of `tollgate_policy`: the policy is a dry run. It decides and charges as it would without the
// flag, but refuses nothing: a charge without room is not charged, and the request goes on as if it
// had passed. If another policy denies the request, the dry run is not charged either. The decision
// about an allowed request reports a dry run only if the request names no other policy, and the HTTP
// functions skip it. `dry_run_denied` of `tollgate_stats` counts what it would have denied. A
// reservation that it would have denied is not charged under it any more. Flag of
// `tollgate_policy_status`: the policy is a dry run, so `TOLLGATE_VIOLATED` did not change the
// decision.
#define TOLLGATE_DRY_RUN 4

// The size of a reservation in 64-bit words.
#define TOLLGATE_RESERVATION_WORDS 128

// The size of a session in 64-bit words, without its time.
#define TOLLGATE_SESSION_WORDS 10

// The ABI version. It grows when programs must be rebuilt, and is the number in the SONAME.
#define TOLLGATE_ABI_VERSION 0

// The major version of this header.
#define TOLLGATE_VERSION_MAJOR 0

// The minor version of this header.
#define TOLLGATE_VERSION_MINOR 1

// The patch version of this header.
#define TOLLGATE_VERSION_PATCH 0

/* ============================================================================================== */
/* Types                                                                                          */
/* ============================================================================================== */

// The result of a function. 0 is success. Above 0 is a refusal: the request is not allowed, or a
// cost could not be recorded. Below 0 is an error: see the introduction of this header. A number
// never changes its meaning. Later versions may add numbers.
enum tollgate_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Success. For a request: allowed, and charged under every policy except one that lets new keys
    // pass uncounted and a dry run without room.
    TOLLGATE_OK = 0,
    // A policy has no room now. The decision has the wait. HTTP status 429.
    TOLLGATE_DENIED = 1,
    // A charge costs more than its limit, for example than a limit of 0. So no wait helps.
    TOLLGATE_IMPOSSIBLE = 2,
    // A table has no room for a new key: the table is full, or memory for more keys could not be
    // allocated. A known key gets this status too if the memory of its table has become too old to
    // record the time, and new memory could not be allocated.
    TOLLGATE_TABLE_FULL = 3,
    // A required pointer is NULL.
    TOLLGATE_E_NULL = -1,
    // A handle is of the wrong kind, was freed, or is not aligned; or memory that is passed as a
    // reservation or an open session is not one. A copy of a session is not one.
    TOLLGATE_E_HANDLE = -2,
    // An argument is not valid, for example an unknown enum value or `struct_size`, a reserved field
    // that is not 0, a wrong length, or a pointer that is not aligned.
    TOLLGATE_E_ARGUMENT = -3,
    // A policy is not of this limiter.
    TOLLGATE_E_POLICY = -4,
    // Too many charges, more than 16 in a request or 8 in a reservation; or more than 8 parts of a key.
    TOLLGATE_E_TOO_MANY = -5,
    // The reservation is already settled or cancelled.
    TOLLGATE_E_CLOSED = -6,
    // The reservation was made by another limiter.
    TOLLGATE_E_FOREIGN = -7,
    // The number of amounts is not the number of charges of the reservation.
    TOLLGATE_E_AMOUNTS = -8,
    // The buffer is too small. `*length` is the length of the whole text, without its NUL.
    TOLLGATE_E_BUFFER = -9,
    // The session was begun by another thread.
    TOLLGATE_E_THREAD = -10,
    // Out of memory.
    TOLLGATE_E_NO_MEMORY = -11,
    // The system could not start a thread.
    TOLLGATE_E_SYSTEM = -12,
    // The number of policies must be from 1 to 16.
    TOLLGATE_E_POLICIES = -20,
    // A name must be 1 to 64 printable ASCII characters, and a unit must be UTF-8.
    TOLLGATE_E_NAME = -21,
    // Two policies have the same name.
    TOLLGATE_E_DUPLICATE_NAME = -22,
    // A limit must be from 0 to 2^40.
    TOLLGATE_E_LIMIT = -23,
    // A `max_limit` must be from the limit to 2^40, and a new limit at most `max_limit`.
    TOLLGATE_E_MAX_LIMIT = -24,
    // A window must be from 1 millisecond to 400 days.
    TOLLGATE_E_WINDOW = -25,
    // The number of buckets must be from 2 to 127.
    TOLLGATE_E_BUCKETS = -26,
    // An offset must be within 18 hours of UTC.
    TOLLGATE_E_OFFSET = -27,
    // `max_keys` must be at least 1.
    TOLLGATE_E_MAX_KEYS = -28,
    // An allowance must be from 1 to `max_limit`, or 1 if that is 0.
    TOLLGATE_E_ALLOWANCE = -29,
    // Another configuration error. The message names it.
    TOLLGATE_E_CONFIG = -30,
    // `max_bytes` is too small for a table with one key. The message has the least number.
    TOLLGATE_E_MAX_BYTES = -31,
    // The text is not a valid policy file. The message has the line and column, and what is wrong there.
    TOLLGATE_E_POLICY_FILE = -32,
    // A panic inside the library, which was caught: a bug of tollgate. The call may have charged its
    // request.
    TOLLGATE_E_PANIC = -100,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum tollgate_status tollgate_status;
#else
typedef int32_t tollgate_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A clock for limiters: coarse or manual.
typedef struct tollgate_clock tollgate_clock;

// A limiter: decides which requests may proceed. Threads share it without locks.
typedef struct tollgate_limiter tollgate_limiter;

// Options for all policies of a limiter. `TOLLGATE_OPTIONS_INIT` sets every field to its default.
typedef struct {
    // `sizeof(tollgate_options)`.
    uint32_t struct_size;
    // The treatment of a new key when the table is full: one of `TOLLGATE_OVERFLOW_*`.
    uint32_t overflow;
    // `TOLLGATE_OVERFLOW_EVICT_LIGHTEST`: as in `tollgate_policy`.
    uint64_t allowance;
    // The greatest number of keys in the table of each policy. Memory depends on the number of live
    // keys, not on this bound. 0 means 1,048,576 for a policy for which no number of keys or bytes is
    // set.
    uint64_t max_keys;
    // The clock of the limiter; NULL means the processor's clock, about 12 ns per reading.
    const tollgate_clock *clock;
    // The seed of the key hash, for reproducible runs; all 0 means a random seed. Keep it secret:
    // it allows an attacker to choose keys that share a counter.
    uint64_t seed[4];
    // The most memory of all policies in total, in bytes. All tables get the same number of keys, the
    // greatest for which they fit, or fewer where `max_keys` or `max_bytes` of the policy says so. 0
    // means 128 MiB for the policies for which no number of keys or bytes is set, and no bound for the
    // others. `tollgate_memory_bound` states what is included.
    uint64_t max_bytes;
} tollgate_options;

// A policy: a limit on the cost that each key may spend. Set unused fields to 0, for example with
// `tollgate_policy policy = TOLLGATE_POLICY_INIT;`.
typedef struct {
    // `sizeof(tollgate_policy)`.
    uint32_t struct_size;
    // `TOLLGATE_SLIDING` or `TOLLGATE_CALENDAR`.
    uint32_t kind;
    // 1 to 64 printable ASCII characters, NUL-terminated; copied.
    const char *name;
    // The limit in units of cost per window or period: 0 to 2^40. 0 refuses every cost above 0, with
    // `TOLLGATE_IMPOSSIBLE`.
    uint64_t limit;
    // `TOLLGATE_SLIDING`: the length of the window in nanoseconds, 1 millisecond to 400 days.
    uint64_t window_ns;
    // `TOLLGATE_CALENDAR`: `TOLLGATE_HOUR`, `TOLLGATE_DAY` or `TOLLGATE_MONTH`.
    uint32_t period;
    // `TOLLGATE_CALENDAR`: the offset from UTC at which periods start, in seconds: at most 18
    // hours, positive to the east.
    int32_t offset_seconds;
    // The greatest limit that a charge or `tollgate_set_limit` may set; 0 means `limit`. If both are 0,
    // nothing can ever be admitted.
    uint64_t max_limit;
    // The greatest number of keys in the table; 0 means `max_keys` of the options.
    uint64_t max_keys;
    // `TOLLGATE_SLIDING`: the number of buckets of a window, 2 to 127, rounded up to 7, 15, 23,
    // 31, 47, 63, 95 or 127. With at least `max_limit` buckets, the policy is exact: it decides like
    // a log of all admitted charges. With fewer, it may deny for longer, but never admits more than
    // the limit. 0 means an exact policy if `max_limit` is at most 127, and 15 buckets otherwise.
    uint32_t buckets;
    // The treatment of a new key when the table is full: one of `TOLLGATE_OVERFLOW_*`.
    uint32_t overflow;
    // `TOLLGATE_OVERFLOW_EVICT_LIGHTEST`: the most units of a key's usage that evictions may
    // discard in any window or period, 1 to `max_limit`, or 1 if that is 0.
    uint64_t allowance;
    // The unit of cost in HTTP fields, for example "tokens": UTF-8, NUL-terminated; copied. NULL
    // means requests.
    const char *unit;
    // The most memory of this policy in bytes: its table gets as many keys as fit. `max_keys`, and
    // `max_bytes` of the options if that is not 0, bound it as well. 0 means no bound of its own.
    uint64_t max_bytes;
    // `TOLLGATE_DRY_RUN`, or 0.
    uint32_t flags;
    // Reserved: 0.
    uint32_t reserved;
} tollgate_policy;

// An error of `tollgate_new`, `tollgate_new_from_toml` or `tollgate_set_limit`: a status and a
// message. If a field is not valid, the message names the policy, the field and the value, for example
// `policies[1]: policy "day": period 0 must be ...`. Plain memory of the caller; nothing to free.
typedef struct {
    // The status that the function returns.
    tollgate_status status;
    // Reserved: 0.
    uint32_t reserved;
    // ASCII text, truncated to fit and always NUL-terminated.
    char message[TOLLGATE_MESSAGE_SIZE];
} tollgate_error;

// A reading of the monotonic clock and the wall clock, in nanoseconds.
typedef struct {
    // Nanoseconds since an origin that is the same for all calls to a limiter. Sliding windows use
    // this time. If it steps back between calls, a charge is recorded at the latest time of its key.
    // `clock_gettime(CLOCK_MONOTONIC)` has another origin than the limiter's own clock: pass its times
    // to all calls, or to none.
    uint64_t monotonic_ns;
    // Nanoseconds since 1970-01-01T00:00:00Z. Calendar policies use it.
    uint64_t unix_ns;
} tollgate_now;

// The key of a charge, or a part of a key. Keys of different kinds are never equal, and a key with
// parts never equals a key without. The `tollgate_key_*` functions at the end of this header fill it
// in.
typedef struct {
    // The bytes, the address or the parts, for the kinds that have them; not kept.
    const void *data;
    // The number of bytes or parts.
    size_t size;
    // The number, for `TOLLGATE_KEY_NUMBER`; else 0.
    uint64_t number;
    // The kind: one of `TOLLGATE_KEY_*`.
    uint32_t kind;
    // An IPv4 address counts by its first `v4_prefix` bits, 1 to 32; 0 means 32. Must be 0 if the key
    // is not an address.
    uint8_t v4_prefix;
    // An IPv6 address counts by its first `v6_prefix` bits, 1 to 128; 0 means 64. Must be 0 if the key
    // is not an address.
    uint8_t v6_prefix;
    // Reserved: must be 0.
    uint16_t reserved;
} tollgate_key;

// One charge of a request: a policy, a key and a cost. The `tollgate_charge_*` functions at the end of
// this header fill it in, with `TOLLGATE_POLICY_LIMIT`. A charge that you fill in yourself needs its
// `limit`: zero bytes mean a limit of 0, which refuses every cost above 0.
typedef struct {
    // A policy of the limiter, from `tollgate_policy_find` or `tollgate_policy_at`.
    uint64_t policy;
    // The key.
    tollgate_key key;
    // Units of cost. A cost of 0 is allowed while the usage is within the limit, and writes
    // nothing.
    uint64_t cost;
    // `TOLLGATE_POLICY_LIMIT` for the policy's own limit, or another limit for this charge. A limit
    // above the policy's `max_limit` is lowered to it. 0 refuses every cost above 0, with
    // `TOLLGATE_IMPOSSIBLE`; a cost of 0 is then allowed while the usage is 0.
    uint64_t limit;
} tollgate_charge;

// The decision about one request. Waits begin at the time of the request.
//
// If the status is `TOLLGATE_TABLE_FULL` or `TOLLGATE_E_POLICY`, `limit`, `remaining` and
// `reset_after_ns` are 0. For a request without charges, `limit` and `remaining` are `UINT64_MAX`.
typedef struct {
    // `TOLLGATE_OK`, `TOLLGATE_DENIED`, `TOLLGATE_IMPOSSIBLE`, `TOLLGATE_TABLE_FULL` or
    // `TOLLGATE_E_POLICY`.
    tollgate_status status;
    // `TOLLGATE_TABLE_WAS_FULL`, or 0.
    uint32_t flags;
    // The deciding policy: the first without room or, if the request is allowed, the one with the
    // least share of its limit left, `remaining / limit`; of equal shares, the first. A dry run only if
    // the request names no other policy. With `TOLLGATE_E_POLICY`, the first that is not of this
    // limiter.
    uint64_t policy;
    // The limit that was applied under the deciding policy.
    uint64_t limit;
    // The units left under the deciding policy after this decision.
    uint64_t remaining;
    // The shortest wait after which the whole request has room. Assumes no other charges
    // meanwhile. 0 if the request was allowed, `TOLLGATE_NEVER` if no wait is known to help.
    uint64_t retry_after_ns;
    // The wait until the deciding policy has its whole limit free. Assumes no other charges
    // meanwhile.
    uint64_t reset_after_ns;
    // Reserved: 0.
    uint64_t reserved[2];
} tollgate_decision;

// The status of one policy of a request after the decision, for reports and HTTP fields.
typedef struct {
    // The policy of the charge.
    uint64_t policy;
    // The limit that was applied.
    uint64_t limit;
    // The units left of that limit.
    uint64_t remaining;
    // The shortest wait after which this policy has room for its charge. Assumes no other charges
    // meanwhile. 0 if it had room, `TOLLGATE_NEVER` if no wait is known to help: the charge costs more
    // than the limit or, in a dry run, the table is full.
    uint64_t retry_after_ns;
    // The wait until the whole limit is free. Assumes no other charges meanwhile.
    uint64_t reset_after_ns;
    // Any of `TOLLGATE_VIOLATED`, `TOLLGATE_TABLE_WAS_FULL` and `TOLLGATE_DRY_RUN`, or 0.
    uint32_t flags;
    // Reserved: written as 0, and must be 0 when it is passed to a function.
    uint32_t reserved;
} tollgate_policy_status;

// A reservation: a request that was charged its estimated cost, to be settled with its actual
// cost.
//
// Plain memory of the caller; nothing to free. It may be moved by copying it, also to another thread.
// From then on, use only the copy. A reservation that was settled or cancelled is closed, and so are
// copies that are made of it later: closing one again is `TOLLGATE_E_CLOSED`. A copy made
// before that is not detected: settling it refunds or charges a second time.
//
// If a reservation is dropped without `tollgate_settle` or `tollgate_cancel`, the estimate stays
// charged until its window or period has passed.
typedef struct {
    // Internal. Do not write it.
    uint64_t opaque[TOLLGATE_RESERVATION_WORDS];
} tollgate_reservation;

// A session: many requests at one time, for example in one turn of an event loop. Pass
// `&session.now` as `now` to the functions: they are faster while the session is open.
//
// Plain memory of the caller; nothing to free. An open session must stay where it was begun: ending
// it at another address, for example a copy of it, is an error (`TOLLGATE_E_HANDLE`). Keep it only
// briefly: memory that a table replaces while the session is open is freed only after the session
// ends.
typedef struct {
    // The time of this session. Read it, do not write it.
    tollgate_now now;
    // Internal. Do not write it.
    uint64_t opaque[TOLLGATE_SESSION_WORDS];
} tollgate_session;

// The statistics of a policy. Set `struct_size` before the call, for example with
// `TOLLGATE_STATS_INIT`: the call writes exactly that many bytes, because a later version may add
// fields.
//
// A table keeps its keys in the slots of an array. It replaces the array to grow or to shrink, and
// when the array is old.
typedef struct {
    // `sizeof(tollgate_stats)`, set by the caller.
    uint32_t struct_size;
    // Reserved: 0.
    uint32_t reserved;
    // Admitted charges.
    uint64_t admitted;
    // Charges that had no room, or cost more than the limit.
    uint64_t denied;
    // Charges refused with `TOLLGATE_TABLE_FULL`: a new key found no room, or the array had become too
    // old for any key and there was no memory for a new one.
    uint64_t refused;
    // Charges allowed without counting because the table was full.
    uint64_t untracked;
    // Keys with usage that still counts, estimated from a sample.
    uint64_t live_keys;
    // Slots that hold a key, live or expired.
    uint64_t used_slots;
    // Slots of the current array.
    uint64_t slots;
    // An upper bound of the policy's resident memory, in bytes, without replaced arrays that are not
    // yet freed.
    uint64_t bytes;
    // Arrays made after the first.
    uint64_t migrations;
    // Live keys evicted to make room.
    uint64_t evictions;
    // Units of usage that evictions have discarded.
    uint64_t forgiven;
    // Charges that a dry run (`TOLLGATE_DRY_RUN`) let pass, although the policy would have denied them, or
    // refused them for a full table. They are not in `denied` or `refused`.
    uint64_t dry_run_denied;
    // Those of the denied charges that cost more than the limit, so that no wait helps.
    uint64_t impossible;
    // The total cost of the admitted charges, modulo 2^64.
    uint64_t admitted_units;
    // Units that `tollgate_refund`, `tollgate_settle` and `tollgate_cancel` have given back, modulo 2^64.
    // Units that `tollgate_reset_key` cleared are not among them.
    uint64_t refunded_units;
} tollgate_stats;

// The numbers of requests that a limiter has decided, by result. Set `struct_size` before the call, for
// example with `TOLLGATE_REQUEST_STATS_INIT`, as for `tollgate_stats`.
//
// Each check, each charge of `tollgate_check_many`, each forced charge, each reservation and each
// extension of one is a request. Peeks, settlements and refunds are not, and neither are calls that fail
// with an error other than `TOLLGATE_E_POLICY`.
typedef struct {
    // `sizeof(tollgate_request_stats)`, set by the caller.
    uint32_t struct_size;
    // Reserved: 0.
    uint32_t reserved;
    // Requests with `TOLLGATE_OK`.
    uint64_t allowed;
    // Requests with `TOLLGATE_DENIED`.
    uint64_t denied;
    // Requests with `TOLLGATE_IMPOSSIBLE`.
    uint64_t impossible;
    // Requests with `TOLLGATE_TABLE_FULL`.
    uint64_t table_full;
    // Requests with `TOLLGATE_E_POLICY`.
    uint64_t invalid;
    // Reservations that were neither settled nor cancelled. One that is dropped without being closed
    // stays in this number.
    uint64_t open_reservations;
} tollgate_request_stats;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/* ============================================================================================== */
/* Create and free a limiter                                                                      */
/* ============================================================================================== */

// Creates a limiter with `count` policies, 1 to 16. `tollgate_policy_at` uses their order.
//
// Each policy begins with its `struct_size`; the size of the first is the stride of the array.
// `options` may be NULL. `*limiter` is NULL unless the status is `TOLLGATE_OK`. Free the limiter
// with `tollgate_free`. If the call fails, `*error` is filled; `error` may be NULL. The message names
// the policy by its index and its name, the field, and the value.
//
// Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE` (the clock), `TOLLGATE_E_ARGUMENT` (an unknown
// kind, period, overflow mode, flag or `struct_size`), the statuses from `TOLLGATE_E_POLICIES` to
// `TOLLGATE_E_MAX_BYTES`, `TOLLGATE_E_NO_MEMORY`.
tollgate_status tollgate_new(const tollgate_options *options,
                             const tollgate_policy *policies,
                             size_t count,
                             tollgate_limiter **limiter,
                             tollgate_error *error);

// Returns in `*bytes` the most memory that a limiter with these arguments takes, before any of it is
// allocated.
//
// The bound includes both arrays that a table has while it moves its keys, and the statistics of the
// policies. It does not include the limiter itself, which takes 8,320 bytes for its statistics of
// requests. It does not include arrays that were replaced while another thread was in a call, or while a
// session was open, until that call or session has ended. Nor does it include address space that is
// reserved and not used: up to as many bytes again. It is `SIZE_MAX` if there are too many bytes to
// count. The arguments and the errors are those of `tollgate_new`.
tollgate_status tollgate_memory_bound(const tollgate_options *options,
                                      const tollgate_policy *policies,
                                      size_t count,
                                      uint64_t *bytes,
                                      tollgate_error *error);

// Creates a limiter with the policies of a policy file: `length` bytes of TOML in UTF-8, at most 1 MiB.
// The format is described in docs/policy-file.md.
//
// The whole text is checked before the limiter is made. `tollgate_policy_find` finds a policy by its
// name, and `tollgate_policy_at` uses the order of the file. `options` may be NULL. A setting above
// the policies of the file has precedence over that of the options. `*limiter` is NULL unless the status
// is `TOLLGATE_OK`. Free the limiter with `tollgate_free`. If the call fails, `*error` is filled; `error`
// may be NULL. The message names the line and column of the text, the policy, the field and the value.
//
// The text is not kept, and need not be NUL-terminated. To parse it takes up to about 100 times its
// length of memory for that time. The process aborts if there is no such memory.
//
// Errors: `TOLLGATE_E_POLICY_FILE` for the text, `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE` (the clock),
// `TOLLGATE_E_ARGUMENT` (an unknown overflow mode or `struct_size`), `TOLLGATE_E_NO_MEMORY`; the
// statuses from `TOLLGATE_E_MAX_KEYS` to `TOLLGATE_E_MAX_BYTES` if the options do not fit the policies.
tollgate_status tollgate_new_from_toml(const tollgate_options *options,
                                       const char *text,
                                       size_t length,
                                       tollgate_limiter **limiter,
                                       tollgate_error *error);

// Frees a limiter. Does nothing for NULL. No other thread may be using the limiter, and no session
// of it may be open. Errors: `TOLLGATE_E_HANDLE`.
tollgate_status tollgate_free(tollgate_limiter *limiter);

/* ============================================================================================== */
/* Check: charge if there is room                                                                 */
/* ============================================================================================== */

// Charges a request under all its policies or under none.
//
// If any policy has no room, nothing is charged. The decision then names the first such policy, in
// the order of the charges, and the longest wait over all policies. Several charges to one key under
// one policy add up. A request has at most 16 charges; one without charges is allowed. `now` may be
// NULL: the limiter then reads its clock. `decision` may be NULL.
//
// Any thread. Takes no lock, and allocates nothing for keys that are already in a policy's table,
// unless it renews a table's memory because of that memory's age.
//
// Returns `TOLLGATE_OK`, `TOLLGATE_DENIED`, `TOLLGATE_IMPOSSIBLE` or `TOLLGATE_TABLE_FULL`.
// Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT`, `TOLLGATE_E_POLICY`,
// `TOLLGATE_E_TOO_MANY`. After an error nothing was charged, and the decision is written only for
// `TOLLGATE_E_POLICY`.
tollgate_status tollgate_check(const tollgate_limiter *limiter,
                               const tollgate_now *now,
                               const tollgate_charge *charges,
                               size_t count,
                               tollgate_decision *decision);

// `tollgate_check` with the status of each policy: `statuses[i]` is for `charges[i]`. The array
// must have room for `count` statuses. With `TOLLGATE_TABLE_FULL`, all fields of every status are 0.
// After an error, the array is not written.
tollgate_status tollgate_check_with_status(const tollgate_limiter *limiter,
                                           const tollgate_now *now,
                                           const tollgate_charge *charges,
                                           size_t count,
                                           tollgate_decision *decision,
                                           tollgate_policy_status *statuses);

// `tollgate_check` for a single charge to a key of bytes.
tollgate_status tollgate_check_key(const tollgate_limiter *limiter,
                                   const tollgate_now *now,
                                   uint64_t policy,
                                   const void *key,
                                   size_t key_size,
                                   uint64_t cost,
                                   tollgate_decision *decision);

// Checks many requests of one charge each: `decisions[i]` is for `charges[i]`.
//
// The result is that of `tollgate_check` for each charge in order, all at one time: `now`, or one
// reading of the clock. The batch is faster if the keys are not in a CPU cache, because the cache
// misses of several keys overlap. `*allowed` is the number of allowed requests. `decisions` and
// `allowed` may be NULL.
//
// Returns `TOLLGATE_OK` for any decisions. Errors: as `tollgate_check`, with three differences. Any
// `count` is valid. A policy of another limiter is an error in its own decision only. The charges
// are processed in groups of 32, and a charge with an invalid key stops the batch before its group,
// with `TOLLGATE_E_ARGUMENT`, `TOLLGATE_E_NULL` or `TOLLGATE_E_TOO_MANY`: the earlier groups stay
// charged, and `decisions` and `allowed` cover only them.
tollgate_status tollgate_check_many(const tollgate_limiter *limiter,
                                    const tollgate_now *now,
                                    const tollgate_charge *charges,
                                    size_t count,
                                    tollgate_decision *decisions,
                                    size_t *allowed);

/* ============================================================================================== */
/* Peek: decide without charging                                                                  */
/* ============================================================================================== */

// Returns the decision of a `tollgate_check` without charging. `remaining` is what is left without
// this request; other threads may use it before a later check. For a new key, the decision assumes
// that the table has room, so the result is never `TOLLGATE_TABLE_FULL`. Arguments, other results
// and errors: as `tollgate_check`.
tollgate_status tollgate_peek(const tollgate_limiter *limiter,
                              const tollgate_now *now,
                              const tollgate_charge *charges,
                              size_t count,
                              tollgate_decision *decision);

// `tollgate_peek` with the status of each policy, as in `tollgate_check_with_status`.
tollgate_status tollgate_peek_with_status(const tollgate_limiter *limiter,
                                          const tollgate_now *now,
                                          const tollgate_charge *charges,
                                          size_t count,
                                          tollgate_decision *decision,
                                          tollgate_policy_status *statuses);

/* ============================================================================================== */
/* Charge even over the limit                                                                     */
/* ============================================================================================== */

// Charges a request even over the limit, for costs that are known only afterwards. Later requests
// are denied until the excess has expired. Units above 32 times the policy's `max_limit` in one
// bucket (32 units if it is 0), or above twice the `max_limit` in one calendar period, may not be
// counted.
//
// Returns `TOLLGATE_OK` or `TOLLGATE_TABLE_FULL`. Errors: as `tollgate_check`.
tollgate_status tollgate_force_charge(const tollgate_limiter *limiter,
                                      const tollgate_now *now,
                                      const tollgate_charge *charges,
                                      size_t count,
                                      tollgate_decision *decision);

/* ============================================================================================== */
/* Reserve, extend, settle, cancel                                                                */
/* ============================================================================================== */

// Charges the estimated cost of a request under all its policies or under none. The request has at
// most 8 charges. The estimate stays charged until the reservation is settled, or until its window
// or period has passed, so concurrent requests cannot spend the same units.
//
// `decision` may be NULL. `statuses` may be NULL; else it is written as by
// `tollgate_check_with_status`. If the result is not `TOLLGATE_OK`, the reservation is marked as
// invalid.
//
// Any thread. Results and errors: as `tollgate_check`.
tollgate_status tollgate_reserve(const tollgate_limiter *limiter,
                                 const tollgate_now *now,
                                 const tollgate_charge *charges,
                                 size_t count,
                                 tollgate_reservation *reservation,
                                 tollgate_decision *decision,
                                 tollgate_policy_status *statuses);

// Adds to all charges of a reservation or to none: `more[i]` units to the charge with index i.
// `count` is the number of charges of the reservation. `decision` may be NULL. If the result is not
// `TOLLGATE_OK`, nothing is added and the reservation stays open: stop the work, then settle.
//
// One thread at a time for one reservation. Results: as `tollgate_check`. Errors:
// `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE` (not a reservation), `TOLLGATE_E_CLOSED`,
// `TOLLGATE_E_FOREIGN`, `TOLLGATE_E_AMOUNTS`, `TOLLGATE_E_ARGUMENT`.
tollgate_status tollgate_extend(const tollgate_limiter *limiter,
                                const tollgate_now *now,
                                tollgate_reservation *reservation,
                                const uint64_t *more,
                                size_t count,
                                tollgate_decision *decision);

// Closes a reservation with its actual costs: `actual[i]` units for the charge with index i. `count`
// is the number of charges of the reservation. `decision` may be NULL.
//
// An overestimate is refunded to the window or period that was charged, unless that has passed. If
// the first charge of the reservation has expired, at most its last extension is refunded. An
// underestimate is charged even over the limit, and the excess blocks later requests until it has
// expired.
//
// One thread at a time for one reservation. Returns `TOLLGATE_OK`, or `TOLLGATE_TABLE_FULL` if a
// table has no room for a key any more: the excess of that charge is then not recorded, but the
// other charges are settled and the reservation is closed. Errors: as `tollgate_extend`.
tollgate_status tollgate_settle(const tollgate_limiter *limiter,
                                const tollgate_now *now,
                                tollgate_reservation *reservation,
                                const uint64_t *actual,
                                size_t count,
                                tollgate_decision *decision);

// Closes a reservation with a cost of 0 for each charge. `decision` may be NULL. Threads, results and
// errors: as `tollgate_settle`.
tollgate_status tollgate_cancel(const tollgate_limiter *limiter,
                                const tollgate_now *now,
                                tollgate_reservation *reservation,
                                tollgate_decision *decision);

// Returns the units charged so far for the charge with this index. After settling, they are its
// actual cost, unless the table had no room for the excess. Errors: `TOLLGATE_E_NULL`,
// `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT` if there is no such charge.
tollgate_status tollgate_reserved(const tollgate_reservation *reservation,
                                  size_t index,
                                  uint64_t *units);

/* ============================================================================================== */
/* Refund and reset                                                                               */
/* ============================================================================================== */

// Refunds up to the cost of a charge to its key. `refunded` is the number of units refunded; it
// may be NULL. Any thread.
//
// Units are taken from the oldest charges that still count. Refund only units that still count: a
// refund of an expired charge takes units of other charges.
//
// Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT`, `TOLLGATE_E_POLICY`,
// `TOLLGATE_E_TOO_MANY` (parts of the key).
tollgate_status tollgate_refund(const tollgate_limiter *limiter,
                                const tollgate_now *now,
                                const tollgate_charge *charge,
                                uint64_t *refunded);

// Clears the usage of the key of `charge` under its policy. The cost is ignored. Any thread.
//
// The key's open reservations then hold nothing: settling one gives back at most its last extension, if
// that was made after the reset. In a sliding policy, a charge at or before the time of the newest charge
// before the reset is recorded one unit of the policy's resolution after that time. After many resets,
// reservations of other keys may give back nothing.
//
// Errors: as `tollgate_refund`.
tollgate_status tollgate_reset_key(const tollgate_limiter *limiter,
                                   const tollgate_now *now,
                                   const tollgate_charge *charge);

/* ============================================================================================== */
/* Sessions                                                                                       */
/* ============================================================================================== */

// Begins a session at `now` or, if `now` is NULL, at the current time of the limiter's clock. End it
// with `tollgate_session_end` on the same thread, before the limiter is freed. Several sessions
// may be open at once. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT`.
tollgate_status tollgate_session_begin(const tollgate_limiter *limiter,
                                       const tollgate_now *now,
                                       tollgate_session *session);

// Ends a session. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE` if the session is not open or was
// begun at another address, `TOLLGATE_E_THREAD` if another thread has begun it. After
// `TOLLGATE_E_THREAD` it is still open.
tollgate_status tollgate_session_end(tollgate_session *session);

/* ============================================================================================== */
/* Policies and limits                                                                            */
/* ============================================================================================== */

// Finds a policy by name. `*policy` is valid for this limiter only. Any thread. Errors:
// `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_POLICY` if no policy has this name: `*policy`
// is then 0, which is never a policy.
tollgate_status tollgate_policy_find(const tollgate_limiter *limiter,
                                     const char *name,
                                     uint64_t *policy);

// Returns the policy with this index. The indices begin at 0, in the order of `tollgate_new`.
// `policy` and `name` may be NULL. The name is valid until the limiter is freed. Any thread. Errors:
// `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_POLICY` after the last index. After an error,
// neither is written.
tollgate_status tollgate_policy_at(const tollgate_limiter *limiter,
                                   size_t index,
                                   uint64_t *policy,
                                   const char **name);

// Returns the current limit of a policy. Any thread. Errors: `TOLLGATE_E_NULL`,
// `TOLLGATE_E_HANDLE`, `TOLLGATE_E_POLICY`.
tollgate_status tollgate_get_limit(const tollgate_limiter *limiter,
                                   uint64_t policy,
                                   uint64_t *limit);

// Returns the most keys that a policy's table can have, and the most bytes that the policy takes: see
// `tollgate_memory_bound`. They follow from `max_keys` and `max_bytes` of the policy and of the options.
// `max_keys` and `max_bytes` may be NULL. Any thread. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`,
// `TOLLGATE_E_POLICY`.
tollgate_status tollgate_get_bounds(const tollgate_limiter *limiter,
                                    uint64_t policy,
                                    uint64_t *max_keys,
                                    uint64_t *max_bytes);

// Changes the limit of a policy for later requests. Usage stays as it is. A limit of 0 refuses every
// cost above 0, with `TOLLGATE_IMPOSSIBLE`. Any thread. If the call fails, `*error` is filled; `error`
// may be NULL. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_POLICY`,
// `TOLLGATE_E_MAX_LIMIT` above the policy's `max_limit`.
tollgate_status tollgate_set_limit(const tollgate_limiter *limiter,
                                   uint64_t policy,
                                   uint64_t limit,
                                   tollgate_error *error);

// Returns the resolution with which a policy records time, in nanoseconds: a power of two. Any
// thread. Errors: as `tollgate_get_limit`.
tollgate_status tollgate_resolution(const tollgate_limiter *limiter,
                                    uint64_t policy,
                                    uint64_t *resolution_ns);

/* ============================================================================================== */
/* HTTP                                                                                           */
/* ============================================================================================== */

// Returns the value of `Retry-After` for a wait: whole seconds, rounded up, at least 1. After that
// time a denied request has room, if no other requests were charged meanwhile.
//
// For `TOLLGATE_NEVER`, it returns `TOLLGATE_NEVER`, which is not a value of the field: send no
// `Retry-After`, because no wait is known to help.
uint64_t tollgate_retry_after_seconds(uint64_t retry_after_ns);

// Returns the value of `X-RateLimit-Reset` for a wait: whole seconds, rounded up.
uint64_t tollgate_reset_seconds(uint64_t reset_after_ns);

// Writes the value of `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11, section 3) for
// the policies of a request, NUL-terminated. If `count` is 0, send no such field.
//
// `*length` is the length of the value without the NUL, also if the buffer is too small. In that
// case the buffer holds an empty string and the status is `TOLLGATE_E_BUFFER`. Call with a NULL
// buffer of size 0 to get the length alone. `length` may be NULL.
//
// Allocates nothing. Any thread. Other errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`,
// `TOLLGATE_E_ARGUMENT`, `TOLLGATE_E_POLICY`, `TOLLGATE_E_TOO_MANY` (more than 16 statuses).
tollgate_status tollgate_http_policy(const tollgate_limiter *limiter,
                                     const tollgate_policy_status *statuses,
                                     size_t count,
                                     char *buffer,
                                     size_t size,
                                     size_t *length);

// Writes the value of `RateLimit` (the same draft, section 4): for each policy the remaining units,
// and a time in seconds. If the charge was denied and has room later, this is the time until then;
// else it is the time until the whole limit is free. Buffer, length and errors: as for
// `tollgate_http_policy`.
tollgate_status tollgate_http_limit(const tollgate_limiter *limiter,
                                    const tollgate_policy_status *statuses,
                                    size_t count,
                                    char *buffer,
                                    size_t size,
                                    size_t *length);

// Writes a problem body (RFC 9457, `application/problem+json`) for status 429, which names every
// policy without room. `detail` is a NUL-terminated message for people, in UTF-8, or NULL. Bytes
// that are not UTF-8 are replaced; only then does the call allocate. Buffer, length and errors: as
// for `tollgate_http_policy`.
tollgate_status tollgate_http_problem(const tollgate_limiter *limiter,
                                      const tollgate_policy_status *statuses,
                                      size_t count,
                                      const char *detail,
                                      char *buffer,
                                      size_t size,
                                      size_t *length);

/* ============================================================================================== */
/* Clocks                                                                                         */
/* ============================================================================================== */

// Creates a manual clock, for tests, simulations and recorded traffic. Both readings start at 0
// and change only by `tollgate_clock_set` and `tollgate_clock_advance`.
//
// `*clock` is NULL unless the status is `TOLLGATE_OK`. Free it with `tollgate_clock_free`; it may
// be freed before the limiters that use it. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_NO_MEMORY`.
tollgate_status tollgate_clock_manual(tollgate_clock **clock);

// Creates a coarse clock, which keeps the time of its last update. A reading costs less than a
// nanosecond.
//
// With an `interval_ns` of 0 the host updates the clock with `tollgate_clock_tick`, for example
// once in each turn of its event loop. Else a new thread updates it at that interval, until the
// clock and all limiters that use it are freed. After `fork` the child does not have that thread.
//
// `*clock` is NULL unless the status is `TOLLGATE_OK`. Free it with `tollgate_clock_free`; it may
// be freed before the limiters that use it. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_NO_MEMORY`,
// `TOLLGATE_E_SYSTEM`.
tollgate_status tollgate_clock_coarse(uint64_t interval_ns, tollgate_clock **clock);

// Frees the handle of a clock. Does nothing for NULL. Limiters that use the clock keep it alive.
// No other thread may be using the handle. Errors: `TOLLGATE_E_HANDLE`.
tollgate_status tollgate_clock_free(tollgate_clock *clock);

// Updates a coarse clock to the current time. Any thread. Errors: `TOLLGATE_E_NULL`,
// `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT` for a manual clock and for one with its own thread.
tollgate_status tollgate_clock_tick(const tollgate_clock *clock);

// Sets a manual clock, forwards or backwards. Any thread. Errors: `TOLLGATE_E_NULL`,
// `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT` for a coarse clock.
tollgate_status tollgate_clock_set(const tollgate_clock *clock, const tollgate_now *now);

// Advances both readings of a manual clock by `by_ns` nanoseconds; they stop at `UINT64_MAX`. Any
// thread, but if two threads advance the clock at the same time, one of the two steps may be lost.
// Errors: as `tollgate_clock_set`.
tollgate_status tollgate_clock_advance(const tollgate_clock *clock, uint64_t by_ns);

// Reads the clock of a limiter. With the processor's clock, `unix_ns` is 0 if no policy is a
// calendar policy. Any thread. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`.
tollgate_status tollgate_read_clock(const tollgate_limiter *limiter, tollgate_now *now);

/* ============================================================================================== */
/* Statistics and maintenance                                                                     */
/* ============================================================================================== */

// Returns the statistics of a policy. Any thread. Takes microseconds. Errors: `TOLLGATE_E_NULL`,
// `TOLLGATE_E_HANDLE`, `TOLLGATE_E_POLICY`, `TOLLGATE_E_ARGUMENT` (`struct_size`).
tollgate_status tollgate_get_stats(const tollgate_limiter *limiter,
                                   uint64_t policy,
                                   tollgate_stats *stats);

// Returns the numbers of requests by result, and of open reservations. Any thread. Takes microseconds.
// Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT` (`struct_size`).
tollgate_status tollgate_get_request_stats(const tollgate_limiter *limiter,
                                           tollgate_request_stats *stats);

// Does maintenance in idle moments: moves up to about `slots` slots of each table that is being
// resized, starts to shrink tables that are mostly idle and to renew old ones, and frees memory.
// `*done` is 1 if no table has work left, else 0; `done` may be NULL.
//
// You never need to call it: requests do the same work in small chunks, and the system makes huge
// pages by itself later. On Linux the call also puts large tables into huge pages, about `slots`
// slots per call. The system takes some milliseconds to make such a page, and a thread that touches
// the page meanwhile may wait that long.
//
// Any thread. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`.
tollgate_status tollgate_maintain(const tollgate_limiter *limiter, size_t slots, int32_t *done);

/* ============================================================================================== */
/* Token costs, status texts, versions                                                            */
/* ============================================================================================== */

// Returns the cost of input and output tokens. A price is for a million tokens, in any unit of
// money; the cost has the same unit. The cost is rounded up; above `UINT64_MAX`, it is `UINT64_MAX`.
uint64_t tollgate_token_cost(uint64_t input_price,
                             uint64_t output_price,
                             uint64_t input_tokens,
                             uint64_t output_tokens);

// Returns the text of a status. The text is static. It is never NULL, also for an unknown number.
const char *tollgate_strerror(int32_t status);

// Returns the version of the library at run time, for example "0.1.0". The text is static.
const char *tollgate_version(void);

// Returns the ABI version of the library at run time: compare it with `TOLLGATE_ABI_VERSION`.
uint32_t tollgate_abi_version(void);

#if defined(TOLLGATE_TEST_PANIC)
// Panics inside the library and returns `TOLLGATE_E_PANIC`. Only in builds with the feature
// `test-panic`.
tollgate_status tollgate_test_panic(void);
#endif

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

/* ============================================================================================== */
/* Initializers, and functions that fill in keys and charges                                      */
/* ============================================================================================== */

/* <sys/socket.h> defines it. */
struct sockaddr;

/* Initializers: struct_size, and 0 for all other fields. A charge has none: its limit must be set. */
#define TOLLGATE_POLICY_INIT {(uint32_t)sizeof(tollgate_policy), 0, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, 0, 0, 0}
#define TOLLGATE_OPTIONS_INIT {(uint32_t)sizeof(tollgate_options), 0, 0, 0, NULL, {0, 0, 0, 0}, 0}
#define TOLLGATE_STATS_INIT {(uint32_t)sizeof(tollgate_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
#define TOLLGATE_REQUEST_STATS_INIT {(uint32_t)sizeof(tollgate_request_stats), 0, 0, 0, 0, 0, 0, 0}

/* Keys. The memory at `data`, `text`, `address` and `parts` must be valid until the call that uses the
 * key has returned. An invalid argument makes that call fail. */

/* A key of bytes, for example a user name. */
static inline tollgate_key tollgate_key_bytes(const void *data, size_t size) {
    tollgate_key key = {data, size, 0, TOLLGATE_KEY_BYTES, 0, 0, 0};
    return key;
}

/* A key of NUL-terminated text: the same as its bytes without the NUL. A `text` of NULL is an error
 * (TOLLGATE_E_NULL). */
static inline tollgate_key tollgate_key_text(const char *text) {
    return tollgate_key_bytes(text, text == NULL ? 1 : strlen(text));
}

/* A key that is a number. */
static inline tollgate_key tollgate_key_number(uint64_t number) {
    tollgate_key key = {NULL, 0, number, TOLLGATE_KEY_NUMBER, 0, 0, 0};
    return key;
}

/* An IPv4 address: 4 bytes in network order, as in struct in_addr. */
static inline tollgate_key tollgate_key_ipv4(const void *address) {
    tollgate_key key = {address, 4, 0, TOLLGATE_KEY_IP, 0, 0, 0};
    return key;
}

/* An IPv6 address: 16 bytes in network order, as in struct in6_addr. Counts by /64. */
static inline tollgate_key tollgate_key_ipv6(const void *address) {
    tollgate_key key = {address, 16, 0, TOLLGATE_KEY_IP, 0, 0, 0};
    return key;
}

/* The IP address of a socket, without the port: `size` bytes, as from accept or getpeername. A family
 * other than AF_INET and AF_INET6 is an error (TOLLGATE_E_ARGUMENT), and so is an `address` of NULL
 * (TOLLGATE_E_NULL). Unix only. */
static inline tollgate_key tollgate_key_sockaddr(const struct sockaddr *address, size_t size) {
    tollgate_key key = {address, size, 0, TOLLGATE_KEY_SOCKADDR, 0, 0, 0};
    return key;
}

/* A key with up to TOLLGATE_MAX_PARTS parts, none of which has parts itself. */
static inline tollgate_key tollgate_key_parts(const tollgate_key *parts, size_t count) {
    tollgate_key key = {parts, count, 0, TOLLGATE_KEY_PARTS, 0, 0, 0};
    return key;
}

/* The key that all requests share. */
static inline tollgate_key tollgate_key_shared(void) {
    tollgate_key key = {NULL, 0, 0, TOLLGATE_KEY_SHARED, 0, 0, 0};
    return key;
}

/* An address as one of the functions above returns it, counted by its network: the first `v4_prefix`
 * bits of an IPv4 address, 1 to 32, or the first `v6_prefix` bits of an IPv6 address, 1 to 128. Other
 * prefixes are an error (TOLLGATE_E_ARGUMENT), and so is a key that is not an address. */
static inline tollgate_key tollgate_key_network(tollgate_key address, unsigned v4_prefix,
                                                unsigned v6_prefix) {
    address.v4_prefix = (uint8_t)(v4_prefix - 1 < 32 ? v4_prefix : 255);
    address.v6_prefix = (uint8_t)(v6_prefix - 1 < 128 ? v6_prefix : 255);
    return address;
}

/* A charge to a key, under the policy's own limit. The key's memory must be valid until the call that
 * uses the charge has returned. */
static inline tollgate_charge tollgate_charge_key(uint64_t policy, tollgate_key key, uint64_t cost) {
    tollgate_charge charge = {policy, key, cost, TOLLGATE_POLICY_LIMIT};
    return charge;
}

/* Charges to each kind of key. */

static inline tollgate_charge tollgate_charge_bytes(uint64_t policy, const void *data, size_t size,
                                                    uint64_t cost) {
    return tollgate_charge_key(policy, tollgate_key_bytes(data, size), cost);
}

static inline tollgate_charge tollgate_charge_text(uint64_t policy, const char *text, uint64_t cost) {
    return tollgate_charge_key(policy, tollgate_key_text(text), cost);
}

static inline tollgate_charge tollgate_charge_number(uint64_t policy, uint64_t number, uint64_t cost) {
    return tollgate_charge_key(policy, tollgate_key_number(number), cost);
}

static inline tollgate_charge tollgate_charge_ipv4(uint64_t policy, const void *address,
                                                   uint64_t cost) {
    return tollgate_charge_key(policy, tollgate_key_ipv4(address), cost);
}

static inline tollgate_charge tollgate_charge_ipv6(uint64_t policy, const void *address,
                                                   uint64_t cost) {
    return tollgate_charge_key(policy, tollgate_key_ipv6(address), cost);
}

static inline tollgate_charge tollgate_charge_sockaddr(uint64_t policy, const struct sockaddr *address,
                                                       size_t size, uint64_t cost) {
    return tollgate_charge_key(policy, tollgate_key_sockaddr(address, size), cost);
}

static inline tollgate_charge tollgate_charge_parts(uint64_t policy, const tollgate_key *parts,
                                                    size_t count, uint64_t cost) {
    return tollgate_charge_key(policy, tollgate_key_parts(parts, count), cost);
}

static inline tollgate_charge tollgate_charge_shared(uint64_t policy, uint64_t cost) {
    return tollgate_charge_key(policy, tollgate_key_shared(), cost);
}

#endif /* TOLLGATE_H */
