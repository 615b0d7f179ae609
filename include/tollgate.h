/* tollgate: may this caller go on, and if not, when?
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Sliding windows and calendar budgets per key, in layers that are charged all or nothing; exact,
 * in nanoseconds, without locks, and without allocating for a request about a known key.
 *
 * What holds for every function:
 *
 * - Threads. A handle behind a pointer to const may be used by any number of threads at any time;
 *   one behind a pointer to non-const, by one at a time. No function waits for another thread.
 * - Status. 0 is yes, above 0 a plain no, below 0 an error, after which nothing was charged.
 *   To fail open, go on unless the status is TOLLGATE_DENIED; to fail closed, only on TOLLGATE_OK.
 * - Pointers. Where NULL is not said to be right it is an error (TOLLGATE_E_NULL). Everything else
 *   that a pointer points to must be readable for its type and length, and writable where a function
 *   writes, until it returns. What is passed is not kept. What is written to need not have been
 *   initialised.
 * - Ownership. What a function named ..._new, ..._manual or ..._coarse gives is freed with the
 *   matching ..._free, once; a handle must not be freed while another thread uses it. Freeing NULL
 *   does nothing. All else is plain memory of the caller's.
 * - Misuse. A handle of another kind, or one that was freed, is an error (TOLLGATE_E_HANDLE) as far
 *   as it can be told: always in builds of this library with debug assertions, and otherwise as long
 *   as the memory was not used for something else.
 * - Fork. A child may go on with a limiter that it has inherited, whatever other threads were doing:
 *   nothing waits for them. From then on the two count apart. If another thread was in the middle of
 *   a call or a session at the fork, the child no longer gives the memory of replaced tables back. A
 *   coarse clock with a thread of its own stands still in the child: make a limiter there with
 *   another one, or pass instants of your own.
 * - Signals. Not for signal handlers: the first call of a thread allocates what it needs to be known.
 * - Time. Instants come from the caller or from the limiter's clock. Waits are in nanoseconds.
 */

#ifndef TOLLGATE_H
#define TOLLGATE_H


#include <stddef.h>
#include <stdint.h>

// The key is `key_size` bytes at `key`: a user's name, say. NULL with 0 bytes is the empty key.
#define TOLLGATE_KEY_BYTES 0

// The key is `number`.
#define TOLLGATE_KEY_NUMBER 1

// The key is an address: 4 or 16 bytes at `key`, in network order. IPv6 addresses count by their
// first `number` bits, 0 for 64; IPv4 addresses whole, also when they come mapped into IPv6.
#define TOLLGATE_KEY_IP 2

// One key for everybody.
#define TOLLGATE_KEY_SHARED 3

// A policy that counts a sliding window.
#define TOLLGATE_SLIDING 0

// A policy that counts calendar periods.
#define TOLLGATE_CALENDAR 1

// Periods of an hour.
#define TOLLGATE_HOUR 1

// Periods of a day.
#define TOLLGATE_DAY 2

// Periods of a calendar month.
#define TOLLGATE_MONTH 3

// What the limiter's options say.
#define TOLLGATE_OVERFLOW_DEFAULT 0

// A new key that finds no place is refused: `TOLLGATE_TABLE_FULL`. The default.
#define TOLLGATE_OVERFLOW_DENY 1

// A new key that finds no place passes uncounted.
#define TOLLGATE_OVERFLOW_ALLOW 2

// The keys that have used least make room: at most `allowance` units each, in any window.
#define TOLLGATE_OVERFLOW_EVICT_LIGHTEST 3

// A wait that never ends: no wait will help.
#define TOLLGATE_NEVER UINT64_MAX

// `tollgate_decision` and `tollgate_policy_status`: a table had no room for a new key. The request
// was denied or, under `TOLLGATE_OVERFLOW_ALLOW`, not counted.
#define TOLLGATE_TABLE_WAS_FULL 1

// `tollgate_policy_status`: this policy had no room for its charge.
#define TOLLGATE_VIOLATED 2

// Bytes of an error's text, the NUL at its end included.
#define TOLLGATE_MESSAGE_SIZE 248

// 64-bit numbers that a reservation takes.
#define TOLLGATE_RESERVATION_WORDS 128

// 64-bit numbers that a session takes beside its instant.
#define TOLLGATE_SESSION_WORDS 10

// Grows when programs must be built anew. The same as the number in the shared library's name.
#define TOLLGATE_ABI_VERSION 0

// The version of this header: major.
#define TOLLGATE_VERSION_MAJOR 0

// The version of this header: minor.
#define TOLLGATE_VERSION_MINOR 1

// The version of this header: patch.
#define TOLLGATE_VERSION_PATCH 0

// What a function answers: 0 is yes, above 0 a plain no, below 0 an error after which nothing has
// been charged. Numbers are never given another meaning; new ones may be added.
enum tollgate_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Done; of a decision: allowed, and charged.
    TOLLGATE_OK = 0,
    // A policy has no room now: HTTP 429, with the decision's wait.
    TOLLGATE_DENIED = 1,
    // A charge costs more than its limit: no wait will help.
    TOLLGATE_IMPOSSIBLE = 2,
    // A new key found no place in a table that holds its most keys, or no memory.
    TOLLGATE_TABLE_FULL = 3,
    // A pointer that is needed is NULL.
    TOLLGATE_E_NULL = -1,
    // A handle is not one of the right kind, was freed, or is not aligned.
    TOLLGATE_E_HANDLE = -2,
    // A number that says which, or the size of a struct, is not one that this version knows.
    TOLLGATE_E_ARGUMENT = -3,
    // A policy is not one of this limiter.
    TOLLGATE_E_POLICY = -4,
    // There are more charges than a request (16) or a reservation (8) can have.
    TOLLGATE_E_TOO_MANY = -5,
    // The reservation is settled or cancelled already.
    TOLLGATE_E_CLOSED = -6,
    // The reservation was made by another limiter.
    TOLLGATE_E_FOREIGN = -7,
    // There is not one amount for each charge of the reservation.
    TOLLGATE_E_AMOUNTS = -8,
    // The buffer is too small; how much is needed was told.
    TOLLGATE_E_BUFFER = -9,
    // The session was begun by another thread.
    TOLLGATE_E_THREAD = -10,
    // There is no memory.
    TOLLGATE_E_NO_MEMORY = -11,
    // The system could not start a thread.
    TOLLGATE_E_SYSTEM = -12,
    // A limiter needs at least one policy, and has room for 16.
    TOLLGATE_E_POLICIES = -20,
    // A name must be 1 to 64 printable ASCII characters.
    TOLLGATE_E_NAME = -21,
    // Two policies have one name.
    TOLLGATE_E_DUPLICATE_NAME = -22,
    // A limit must be from 1 to 2^40.
    TOLLGATE_E_LIMIT = -23,
    // A greatest limit must be from the limit to 2^40, and a new limit not above the greatest.
    TOLLGATE_E_MAX_LIMIT = -24,
    // A window must be from 1 millisecond to 400 days.
    TOLLGATE_E_WINDOW = -25,
    // The number of buckets must be from 2 to 127.
    TOLLGATE_E_BUCKETS = -26,
    // An offset must be within 18 hours of UTC.
    TOLLGATE_E_OFFSET = -27,
    // There must be room for at least one key.
    TOLLGATE_E_MAX_KEYS = -28,
    // An allowance must be from 1 to the greatest limit.
    TOLLGATE_E_ALLOWANCE = -29,
    // Another fault of the configuration; the error's text names it.
    TOLLGATE_E_CONFIG = -30,
    // A fault of this library; it went no further than here.
    TOLLGATE_E_PANIC = -100,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum tollgate_status tollgate_status;
#else
typedef int32_t tollgate_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A clock that the host moves: a coarse one or a manual one.
typedef struct tollgate_clock tollgate_clock;

// Decides which requests may go on. Shared between threads without locks.
typedef struct tollgate_limiter tollgate_limiter;

// One reading of both clocks, in nanoseconds.
typedef struct {
    // Nanoseconds since any fixed instant, the same for all readings that a limiter is given:
    // `clock_gettime(CLOCK_MONOTONIC)`, say. Sliding windows count by it. It may step back a
    // little between threads.
    uint64_t monotonic_ns;
    // Nanoseconds since 1970-01-01T00:00:00Z. Calendar budgets count by it.
    uint64_t unix_ns;
} tollgate_now;

// What holds for all policies of a limiter. All 0 but `struct_size` is good:
// `TOLLGATE_OPTIONS_INIT`.
typedef struct {
    // `sizeof(tollgate_options)`.
    uint32_t struct_size;
    // What happens to a new key where there are `max_keys`; 0: `TOLLGATE_OVERFLOW_DENY`.
    uint32_t overflow;
    // `TOLLGATE_OVERFLOW_EVICT_LIGHTEST`: as in a policy.
    uint64_t allowance;
    // Keys that each policy has room for; 0: 1,048,576. A bound, not a size: memory follows the
    // keys that are live.
    uint64_t max_keys;
    // Where the time comes from; NULL: the processor's clock, about 12 ns a reading.
    const tollgate_clock *clock;
    // Seeds of the hash of keys, for runs that must repeat; all 0: random ones. Whoever knows them
    // can choose keys that share a counter.
    uint64_t seed[4];
} tollgate_options;

// One limit. Set every field that you do not use to 0: `tollgate_policy p = TOLLGATE_POLICY_INIT;`
// does.
typedef struct {
    // `sizeof(tollgate_policy)`.
    uint32_t struct_size;
    // `TOLLGATE_SLIDING` or `TOLLGATE_CALENDAR`.
    uint32_t kind;
    // 1 to 64 printable ASCII characters, ended by a NUL; copied.
    const char *name;
    // Units of cost in a window or a period: 1 to 2^40.
    uint64_t limit;
    // `TOLLGATE_SLIDING`: nanoseconds, from 1 millisecond to 400 days.
    uint64_t window_ns;
    // `TOLLGATE_CALENDAR`: `TOLLGATE_HOUR`, `TOLLGATE_DAY` or `TOLLGATE_MONTH`.
    uint32_t period;
    // `TOLLGATE_CALENDAR`: seconds east of UTC at which periods begin, within 18 hours.
    int32_t offset_seconds;
    // The greatest limit that a charge of its own or `tollgate_set_limit` may ask for; 0: `limit`.
    // Up to 127 a sliding policy is exact, and decides as a log of all charges would.
    uint64_t max_limit;
    // Keys that there is room for; 0: as the options say.
    uint64_t max_keys;
    // `TOLLGATE_SLIDING` above 127: the buckets that a window is counted in, 2 to 127, rounded up
    // to 7, 15, 31, 63 or 127; 0: 15. A bucketed policy may deny early and never admits too much.
    uint32_t buckets;
    // What happens to a new key where there are `max_keys`: one of `TOLLGATE_OVERFLOW_*`.
    uint32_t overflow;
    // `TOLLGATE_OVERFLOW_EVICT_LIGHTEST`: units that a key may be forgiven, 1 to the greatest limit.
    uint64_t allowance;
    // What the cost counts, for HTTP fields: "tokens", say; NULL: requests. Copied.
    const char *unit;
} tollgate_policy;

// Why a limiter could not be built or changed: a number and a text that names the field and the
// value. Plain data of the caller's; nothing is to be freed.
typedef struct {
    // The same as the function answers.
    tollgate_status status;
    // 0.
    uint32_t reserved;
    // ASCII, cut to fit, and always ended by a NUL.
    char message[TOLLGATE_MESSAGE_SIZE];
} tollgate_error;

// How one policy of a request stands after the decision, for reports and HTTP fields.
typedef struct {
    // The policy that was charged.
    uint64_t policy;
    // The limit that was applied.
    uint64_t limit;
    // What is left of it.
    uint64_t remaining;
    // The shortest wait after which this policy has room for its charge if nobody else spends. 0
    // when it had room, `TOLLGATE_NEVER` when its charge costs more than the limit.
    uint64_t retry_after_ns;
    // The wait until the whole limit is free again if nobody spends.
    uint64_t reset_after_ns;
    // `TOLLGATE_VIOLATED` and `TOLLGATE_TABLE_WAS_FULL`, or 0.
    uint32_t flags;
    // 0.
    uint32_t reserved;
} tollgate_policy_status;

// One line of a request: who pays how much under which policy. Keys of different kinds never
// compare equal. `tollgate_charge_bytes` and the like in this header fill one in.
typedef struct {
    // From `tollgate_policy_find` or `tollgate_policy_at`.
    uint64_t policy;
    // The key's bytes, as its kind says; not kept.
    const void *key;
    // How many bytes.
    size_t key_size;
    // As the key's kind says; else 0.
    uint64_t number;
    // Units of cost. 0 asks whether the usage is within the limit, and writes nothing.
    uint64_t cost;
    // A limit in place of the policy's own, cut to its greatest; 0: the policy's own.
    uint64_t limit;
    // One of `TOLLGATE_KEY_*`.
    uint32_t key_kind;
    // 0.
    uint32_t reserved;
} tollgate_charge;

// The outcome of one request. Times are waits in nanoseconds from the request's own instant.
typedef struct {
    // `TOLLGATE_OK`, `TOLLGATE_DENIED`, `TOLLGATE_IMPOSSIBLE`, `TOLLGATE_TABLE_FULL` or
    // `TOLLGATE_E_POLICY`.
    tollgate_status status;
    // `TOLLGATE_TABLE_WAS_FULL`, or 0.
    uint32_t flags;
    // The policy that decided: the first without room or, when allowed, the one with the least
    // remaining.
    uint64_t policy;
    // The limit of that policy that was applied.
    uint64_t limit;
    // What that policy has left after this decision.
    uint64_t remaining;
    // The shortest wait after which this whole request can pass if nobody else spends. 0 when it
    // was allowed, `TOLLGATE_NEVER` when no wait is known to help.
    uint64_t retry_after_ns;
    // The wait until that policy has its whole limit free again if nobody spends.
    uint64_t reset_after_ns;
    // 0.
    uint64_t reserved[2];
} tollgate_decision;

// A request that has been charged an estimate, and may cost more or less. Plain memory of the
// caller's: it may be copied to another place, sent between threads, and forgotten; then the
// estimate stays charged until its window has passed. Of several copies use one. Nothing is to be
// freed.
typedef struct {
    // Written by `tollgate_reserve` and by nobody else.
    uint64_t opaque[TOLLGATE_RESERVATION_WORDS];
} tollgate_reservation;

// A turn of an event loop. Pass `&session.now` to the verbs: they are cheaper while it is open. In
// memory of the caller's, which must stay where it is; nothing is to be freed. Short-lived: while it
// is open, memory of tables that were replaced is not freed.
typedef struct {
    // The instant of this session. May be read.
    tollgate_now now;
    // Written by `tollgate_session_begin` and by nobody else.
    uint64_t opaque[TOLLGATE_SESSION_WORDS];
} tollgate_session;

// How one policy stands. It may grow: set `struct_size` before the call, and read no more than
// that.
typedef struct {
    // `sizeof(tollgate_stats)`, set by the caller.
    uint32_t struct_size;
    // 0.
    uint32_t reserved;
    // Charges that were made.
    uint64_t admitted;
    // Charges that had no room, or cost more than the limit.
    uint64_t denied;
    // Charges that were refused because the table was full.
    uint64_t refused;
    // Charges that were let through uncounted because the table was full.
    uint64_t untracked;
    // Keys that have used anything that still counts: estimated from a sample.
    uint64_t live_keys;
    // Slots that hold a key, live or not.
    uint64_t used_slots;
    // Slots of the present array.
    uint64_t slots;
    // Bytes that the policy may keep resident now.
    uint64_t bytes;
    // How many arrays were made after the first.
    uint64_t migrations;
    // Live keys that were dropped to make room.
    uint64_t evictions;
    // Units that those had used.
    uint64_t forgiven;
} tollgate_stats;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// A clock that moves only when told to, for tests, simulations and recorded traffic. It stands at
// 0: the start of its monotonic time, and of 1970.
//
// `*clock` is NULL unless the status is `TOLLGATE_OK`. Free it with `tollgate_clock_free`, also
// before the limiters that use it. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_NO_MEMORY`.
tollgate_status tollgate_clock_manual(tollgate_clock **clock);

// A clock that the host refreshes with `tollgate_clock_tick`, say once in each turn of its event
// loop: reading it costs less than a nanosecond, and what it shows is as old as the last tick.
//
// With an `interval_ns` above 0 a thread of its own refreshes it that often, until the clock and all
// limiters that use it are freed; after `fork` there is no such thread in the child. With 0 no
// thread is made.
//
// `*clock` is NULL unless the status is `TOLLGATE_OK`. Errors: `TOLLGATE_E_NULL`,
// `TOLLGATE_E_NO_MEMORY`, `TOLLGATE_E_SYSTEM`.
tollgate_status tollgate_clock_coarse(uint64_t interval_ns,
                                      tollgate_clock **clock);

// Frees a clock; limiters that use it keep it going. NULL is nothing to free. No other thread may
// be using this handle. Errors: `TOLLGATE_E_HANDLE`.
tollgate_status tollgate_clock_free(tollgate_clock *clock);

// Moves a coarse clock to the present. Any thread. Errors: `TOLLGATE_E_NULL`,
// `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT` for a manual clock, and for one with a thread of its
// own.
tollgate_status tollgate_clock_tick(const tollgate_clock *clock);

// Sets a manual clock, also backwards. Any thread. Errors: `TOLLGATE_E_NULL`,
// `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT` for a coarse clock.
tollgate_status tollgate_clock_set(const tollgate_clock *clock, const tollgate_now *now);

// Moves both readings of a manual clock on by so many nanoseconds; they stop at the end of their
// range. Two threads that advance it at once may move it by one of the two. Errors: as
// `tollgate_clock_set`.
tollgate_status tollgate_clock_advance(const tollgate_clock *clock, uint64_t by_ns);

// The present reading of a limiter's clock. The processor's clock shows a `unix_ns` of 0 if no policy
// follows the calendar. Any thread. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`.
tollgate_status tollgate_read_clock(const tollgate_limiter *limiter,
                                    tollgate_now *now);

// Makes a limiter of `count` policies, 1 to 16. Their order is that of `tollgate_policy_at`.
//
// Each policy begins with its own size, and the first one's size is the distance from one to the
// next. `options` may be NULL. `*limiter` is NULL unless the status is `TOLLGATE_OK`; free it with
// `tollgate_free`. `error` may be NULL; else it is told why not.
//
// Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE` (the clock), `TOLLGATE_E_ARGUMENT` (a kind,
// period or overflow that is none, or a size of a struct), `TOLLGATE_E_POLICIES` to
// `TOLLGATE_E_CONFIG`, `TOLLGATE_E_NO_MEMORY`.
tollgate_status tollgate_new(const tollgate_options *options,
                             const tollgate_policy *policies,
                             size_t count,
                             tollgate_limiter **limiter,
                             tollgate_error *error);

// Frees a limiter. NULL is nothing to free. No other thread may be using it, and no session of it
// may be open. Errors: `TOLLGATE_E_HANDLE`.
tollgate_status tollgate_free(tollgate_limiter *limiter);

#if defined(TOLLGATE_TEST_PANIC)
// Panics, and answers `TOLLGATE_E_PANIC`. Only in builds with the feature `test-panic`.
tollgate_status tollgate_test_panic(void);
#endif

// The value of `Retry-After` for a wait: whole seconds, rounded up, at least 1. The wait of a denial
// holds: who comes back after it has room, if nobody else has spent meanwhile.
uint64_t tollgate_retry_after_seconds(uint64_t retry_after_ns);

// The value of `X-RateLimit-Reset` for a wait: whole seconds, rounded up.
uint64_t tollgate_reset_seconds(uint64_t reset_after_ns);

// The value of `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11, section 3) for the
// layers of a request, ended by a NUL. Send no field for no layers.
//
// `*length`, without the NUL, is what is needed, also when the buffer is too small
// (`TOLLGATE_E_BUFFER`, and the buffer holds an empty text); so a NULL buffer of size 0 asks for it.
// Allocates nothing. Any thread. Other errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`,
// `TOLLGATE_E_POLICY`, `TOLLGATE_E_TOO_MANY`.
tollgate_status tollgate_http_policy(const tollgate_limiter *limiter,
                                     const tollgate_policy_status *layers,
                                     size_t count,
                                     char *buffer,
                                     size_t size,
                                     size_t *length);

// The value of `RateLimit` (the same draft, section 4): how the policies stand now. As
// `tollgate_http_policy`.
tollgate_status tollgate_http_limit(const tollgate_limiter *limiter,
                                    const tollgate_policy_status *layers,
                                    size_t count,
                                    char *buffer,
                                    size_t size,
                                    size_t *length);

// A problem body (RFC 9457, `application/problem+json`) for status 429 that names every policy
// without room. `detail`, for people to read, is UTF-8 ended by a NUL, or NULL; what is not UTF-8 in
// it is replaced. As `tollgate_http_policy`.
tollgate_status tollgate_http_problem(const tollgate_limiter *limiter,
                                      const tollgate_policy_status *layers,
                                      size_t count,
                                      const char *detail,
                                      char *buffer,
                                      size_t size,
                                      size_t *length);

// The policy of a name, as a number that other limiters do not know. Any thread. Errors:
// `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_POLICY` if there is none; then `*policy` is
// 0, which is no policy.
tollgate_status tollgate_policy_find(const tollgate_limiter *limiter,
                                     const char *name,
                                     uint64_t *policy);

// The policy of a place in the order of `tollgate_new`, from 0. `policy` and `name` may be NULL;
// the name lives as long as the limiter. Any thread. Errors: `TOLLGATE_E_NULL`,
// `TOLLGATE_E_HANDLE`, `TOLLGATE_E_POLICY` beyond the last: so a loop ends.
tollgate_status tollgate_policy_at(const tollgate_limiter *limiter,
                                   size_t place,
                                   uint64_t *policy,
                                   const char **name);

// The limit that applies now to charges without one of their own. Any thread. Errors:
// `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_POLICY`.
tollgate_status tollgate_get_limit(const tollgate_limiter *limiter,
                                   uint64_t policy,
                                   uint64_t *limit);

// Changes a policy's limit for all coming requests; what has been used stays used. Any thread.
// `error` may be NULL. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_POLICY`,
// `TOLLGATE_E_LIMIT` for 0, `TOLLGATE_E_MAX_LIMIT` above the policy's greatest.
tollgate_status tollgate_set_limit(const tollgate_limiter *limiter,
                                   uint64_t policy,
                                   uint64_t limit,
                                   tollgate_error *error);

// To what fraction of a second a policy records time, in nanoseconds. Any thread. Errors: as
// `tollgate_get_limit`.
tollgate_status tollgate_resolution(const tollgate_limiter *limiter,
                                    uint64_t policy,
                                    uint64_t *resolution_ns);

// What so many input and output tokens cost, at prices for a million of them in the host's smallest
// unit of money; rounded up, and at most `UINT64_MAX`.
uint64_t tollgate_token_cost(uint64_t input_price,
                             uint64_t output_price,
                             uint64_t input_tokens,
                             uint64_t output_tokens);

// Charges a request under all its policies, or under none.
//
// If any policy has no room, nothing is charged; the decision names the first such policy in the
// order of the charges, and the longest wait over all of them. Two charges to one key add up. At
// most 16 charges; no charges at all are allowed. `now` may be NULL: then the limiter reads its
// clock. `decision` may be NULL.
//
// Any thread. Allocates nothing for a known key; takes no lock.
//
// Answers `TOLLGATE_OK`, `TOLLGATE_DENIED`, `TOLLGATE_IMPOSSIBLE` or `TOLLGATE_TABLE_FULL`.
// Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT`, `TOLLGATE_E_POLICY`,
// `TOLLGATE_E_TOO_MANY`; then nothing was charged, and of these only `TOLLGATE_E_POLICY` writes the
// decision.
tollgate_status tollgate_check(const tollgate_limiter *limiter,
                               const tollgate_now *now,
                               const tollgate_charge *charges,
                               size_t count,
                               tollgate_decision *decision);

// As `tollgate_check`, and tells how each policy stands after it: `layers[i]` is that of
// `charges[i]`. There must be room for `count` of them. After an error they are untouched.
tollgate_status tollgate_check_with_status(const tollgate_limiter *limiter,
                                           const tollgate_now *now,
                                           const tollgate_charge *charges,
                                           size_t count,
                                           tollgate_decision *decision,
                                           tollgate_policy_status *layers);

// One charge to one key of bytes: `tollgate_check` without a struct to fill in.
tollgate_status tollgate_check_key(const tollgate_limiter *limiter,
                                   const tollgate_now *now,
                                   uint64_t policy,
                                   const void *key,
                                   size_t key_size,
                                   uint64_t cost,
                                   tollgate_decision *decision);

// Checks many requests of one charge each: `decisions[i]` is that of `charges[i]`. The same as
// `tollgate_check` for each of them in order and at one instant, but the memory that they need is
// asked for ahead, so that keys which are in no cache wait together and not one by one.
//
// `decisions` and `allowed`, how many were allowed, may be NULL. Answers `TOLLGATE_OK` whatever was
// decided. Errors: as `tollgate_check`, but a policy of another limiter is told by that charge's
// decision alone. A charge whose key is none stops the batch: `TOLLGATE_E_ARGUMENT` or
// `TOLLGATE_E_NULL`, and `allowed` tells of those before it; `*decisions` has been written for all
// groups of 32 before it.
tollgate_status tollgate_check_many(const tollgate_limiter *limiter,
                                    const tollgate_now *now,
                                    const tollgate_charge *charges,
                                    size_t count,
                                    tollgate_decision *decisions,
                                    size_t *allowed);

// What `tollgate_check` would decide; charges nothing. `remaining` is what is left without the
// request. Other threads may spend it in the next moment.
tollgate_status tollgate_peek(const tollgate_limiter *limiter,
                              const tollgate_now *now,
                              const tollgate_charge *charges,
                              size_t count,
                              tollgate_decision *decision);

// As `tollgate_peek`, and tells how each policy stands, as `tollgate_check_with_status` does.
tollgate_status tollgate_peek_with_status(const tollgate_limiter *limiter,
                                          const tollgate_now *now,
                                          const tollgate_charge *charges,
                                          size_t count,
                                          tollgate_decision *decision,
                                          tollgate_policy_status *layers);

// Charges whatever the usage is, for costs that are known only afterwards. Usage may then exceed
// the limit, and later requests are denied until it has passed.
//
// Answers `TOLLGATE_OK`, or `TOLLGATE_TABLE_FULL`. Errors: as `tollgate_check`.
tollgate_status tollgate_force_charge(const tollgate_limiter *limiter,
                                      const tollgate_now *now,
                                      const tollgate_charge *charges,
                                      size_t count,
                                      tollgate_decision *decision);

// Gives up to the cost of a charge back to its key; `given`, how much that was, may be NULL. Units
// are taken from the oldest charges that still count: give back only what still counts.
//
// Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT`, `TOLLGATE_E_POLICY`.
tollgate_status tollgate_refund(const tollgate_limiter *limiter,
                                const tollgate_now *now,
                                const tollgate_charge *charge,
                                uint64_t *given);

// Forgets everything that the key of `charge` has used under its policy; the cost does not matter.
// Close the key's open reservations first: what they give back afterwards may be units that were
// charged since.
//
// Errors: as `tollgate_refund`.
tollgate_status tollgate_reset_key(const tollgate_limiter *limiter,
                                   const tollgate_now *now,
                                   const tollgate_charge *charge);

// Charges an estimate under all policies of a request, or under none: at most 8 charges. What was
// charged stays so until it is settled, so that requests that run at the same time cannot spend the
// same units.
//
// `decision` may be NULL. `layers` may be NULL; else there must be room for `count`. The
// reservation is written if the answer is `TOLLGATE_OK`, and marked as none otherwise.
//
// Answers and errors: as `tollgate_check`.
tollgate_status tollgate_reserve(const tollgate_limiter *limiter,
                                 const tollgate_now *now,
                                 const tollgate_charge *charges,
                                 size_t count,
                                 tollgate_reservation *reservation,
                                 tollgate_decision *decision,
                                 tollgate_policy_status *layers);

// Charges `more[i]` units more to layer i of a reservation, or nothing to any: then the answer is
// 'stop now', with the layer and the wait. One amount for each charge that was reserved.
//
// One thread at a time for one reservation. Answers: as `tollgate_check`. Errors:
// `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE` (no reservation), `TOLLGATE_E_CLOSED`,
// `TOLLGATE_E_FOREIGN`, `TOLLGATE_E_AMOUNTS`, `TOLLGATE_E_ARGUMENT`.
tollgate_status tollgate_extend(const tollgate_limiter *limiter,
                                const tollgate_now *now,
                                tollgate_reservation *reservation,
                                const uint64_t *more,
                                size_t count,
                                tollgate_decision *decision);

// Closes a reservation with what each layer has really cost. Less than was reserved gives the
// difference back to the window or the period that was charged: nothing if that has passed. More
// charges the difference whatever the usage is, so that a debt blocks later requests until it has
// passed.
//
// Answers `TOLLGATE_OK`, or `TOLLGATE_TABLE_FULL` if a key found no place any more. Errors: as
// `tollgate_extend`.
tollgate_status tollgate_settle(const tollgate_limiter *limiter,
                                const tollgate_now *now,
                                tollgate_reservation *reservation,
                                const uint64_t *actual,
                                size_t count,
                                tollgate_decision *decision);

// Closes a reservation that has cost nothing. Answers and errors: as `tollgate_settle`.
tollgate_status tollgate_cancel(const tollgate_limiter *limiter,
                                const tollgate_now *now,
                                tollgate_reservation *reservation,
                                tollgate_decision *decision);

// What is charged now to a layer of a reservation, in its units; after settling what it has cost.
// Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT` beyond the last layer.
tollgate_status tollgate_reserved(const tollgate_reservation *reservation,
                                  size_t layer,
                                  uint64_t *units);

// Begins a session at the given instant, or at the clock's if `now` is NULL. It belongs to this
// thread: end it here, with `tollgate_session_end`, and before the limiter is freed. Several may be
// open. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`, `TOLLGATE_E_ARGUMENT`.
tollgate_status tollgate_session_begin(const tollgate_limiter *limiter,
                                       const tollgate_now *now,
                                       tollgate_session *session);

// Ends a session. Errors: `TOLLGATE_E_NULL`; `TOLLGATE_E_HANDLE` if it is not open;
// `TOLLGATE_E_THREAD` if another thread has begun it, which leaves it open.
tollgate_status tollgate_session_end(tollgate_session *session);

// Tells how a policy stands. Any thread; takes microseconds. Errors: `TOLLGATE_E_NULL`,
// `TOLLGATE_E_HANDLE`, `TOLLGATE_E_POLICY`, `TOLLGATE_E_ARGUMENT` (the size).
tollgate_status tollgate_get_stats(const tollgate_limiter *limiter,
                                   uint64_t policy,
                                   tollgate_stats *stats);

// Housekeeping ahead of need, for hosts that have idle moments: moves up to `slots` slots of each
// table that is being moved, and gives memory back. `done`, 1 when no table has anything left to
// move, may be NULL. On Linux it also lays tables that stay in huge pages, those of about `slots`
// slots at a time; that takes the system some milliseconds a page, and a thread that touches it
// meanwhile may wait as long.
// Never needed: requests with new keys do the same, a small chunk each, and the system makes huge
// pages by itself, later. Any thread. Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE`.
tollgate_status tollgate_maintain(const tollgate_limiter *limiter, size_t slots, int32_t *done);

// What a status means, as text that lives as long as the program. Never NULL: numbers that no
// status has get a text as well.
const char *tollgate_strerror(int32_t status);

// The version of the library that runs: "0.1.0". Static.
const char *tollgate_version(void);

// `TOLLGATE_ABI_VERSION` of the library that runs.
uint32_t tollgate_abi_version(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

/* All that is not named is 0. */
#define TOLLGATE_POLICY_INIT {(uint32_t)sizeof(tollgate_policy), 0, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL}
#define TOLLGATE_OPTIONS_INIT {(uint32_t)sizeof(tollgate_options), 0, 0, 0, NULL, {0, 0, 0, 0}}
#define TOLLGATE_STATS_INIT {(uint32_t)sizeof(tollgate_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/* A charge to a key of bytes: a user's name, say. */
static inline tollgate_charge tollgate_charge_bytes(uint64_t policy, const void *key, size_t key_size,
                                                    uint64_t cost) {
    tollgate_charge charge = {policy, key, key_size, 0, cost, 0, TOLLGATE_KEY_BYTES, 0};
    return charge;
}

/* A charge to a key that is a number. */
static inline tollgate_charge tollgate_charge_number(uint64_t policy, uint64_t key, uint64_t cost) {
    tollgate_charge charge = {policy, NULL, 0, key, cost, 0, TOLLGATE_KEY_NUMBER, 0};
    return charge;
}

/* A charge to an IPv4 address: 4 bytes in network order, as in struct in_addr. */
static inline tollgate_charge tollgate_charge_ipv4(uint64_t policy, const void *address,
                                                   uint64_t cost) {
    tollgate_charge charge = {policy, address, 4, 0, cost, 0, TOLLGATE_KEY_IP, 0};
    return charge;
}

/* A charge to an IPv6 address: 16 bytes in network order, as in struct in6_addr; counted by /64. */
static inline tollgate_charge tollgate_charge_ipv6(uint64_t policy, const void *address,
                                                   uint64_t cost) {
    tollgate_charge charge = {policy, address, 16, 0, cost, 0, TOLLGATE_KEY_IP, 0};
    return charge;
}

/* A charge to the one key that everybody shares. */
static inline tollgate_charge tollgate_charge_shared(uint64_t policy, uint64_t cost) {
    tollgate_charge charge = {policy, NULL, 0, 0, cost, 0, TOLLGATE_KEY_SHARED, 0};
    return charge;
}

#endif /* TOLLGATE_H */
