/* The ABI on 64-bit systems, as static assertions and pointer conversions. Compile this file with
 * -Werror: it then fails if the header declares another ABI. Without -Werror, some C compilers only warn
 * if the type of a field or a function differs.
 * Generated: TOLLGATE_BLESS=1 cargo test -p tollgate-ffi abi */
#include <assert.h>
#include <stddef.h>
#include <tollgate.h>
#include <tollgate.h> /* a second time: the include guard works */
#ifndef __cplusplus
#include <stdalign.h>
#endif
static_assert(TOLLGATE_SLIDING == 0, "TOLLGATE_SLIDING");
static_assert(TOLLGATE_CALENDAR == 1, "TOLLGATE_CALENDAR");
static_assert(TOLLGATE_HOUR == 1, "TOLLGATE_HOUR");
static_assert(TOLLGATE_DAY == 2, "TOLLGATE_DAY");
static_assert(TOLLGATE_MONTH == 3, "TOLLGATE_MONTH");
static_assert(TOLLGATE_OVERFLOW_DEFAULT == 0, "TOLLGATE_OVERFLOW_DEFAULT");
static_assert(TOLLGATE_OVERFLOW_DENY == 1, "TOLLGATE_OVERFLOW_DENY");
static_assert(TOLLGATE_OVERFLOW_ALLOW == 2, "TOLLGATE_OVERFLOW_ALLOW");
static_assert(TOLLGATE_OVERFLOW_EVICT_LIGHTEST == 3, "TOLLGATE_OVERFLOW_EVICT_LIGHTEST");
static_assert(TOLLGATE_MESSAGE_SIZE == 248, "TOLLGATE_MESSAGE_SIZE");
static_assert(TOLLGATE_KEY_BYTES == 0, "TOLLGATE_KEY_BYTES");
static_assert(TOLLGATE_KEY_NUMBER == 1, "TOLLGATE_KEY_NUMBER");
static_assert(TOLLGATE_KEY_IP == 2, "TOLLGATE_KEY_IP");
static_assert(TOLLGATE_KEY_SHARED == 3, "TOLLGATE_KEY_SHARED");
static_assert(TOLLGATE_KEY_SOCKADDR == 4, "TOLLGATE_KEY_SOCKADDR");
static_assert(TOLLGATE_KEY_PARTS == 5, "TOLLGATE_KEY_PARTS");
static_assert(TOLLGATE_MAX_PARTS == 8, "TOLLGATE_MAX_PARTS");
static_assert(TOLLGATE_POLICY_LIMIT == UINT64_MAX, "TOLLGATE_POLICY_LIMIT");
static_assert(TOLLGATE_NEVER == UINT64_MAX, "TOLLGATE_NEVER");
static_assert(TOLLGATE_TABLE_WAS_FULL == 1, "TOLLGATE_TABLE_WAS_FULL");
static_assert(TOLLGATE_VIOLATED == 2, "TOLLGATE_VIOLATED");
static_assert(TOLLGATE_DRY_RUN == 4, "TOLLGATE_DRY_RUN");
static_assert(TOLLGATE_RESERVATION_WORDS == 128, "TOLLGATE_RESERVATION_WORDS");
static_assert(TOLLGATE_SESSION_WORDS == 10, "TOLLGATE_SESSION_WORDS");
static_assert(TOLLGATE_ABI_VERSION == 0, "TOLLGATE_ABI_VERSION");
static_assert(TOLLGATE_OK == 0, "TOLLGATE_OK");
static_assert(TOLLGATE_DENIED == 1, "TOLLGATE_DENIED");
static_assert(TOLLGATE_IMPOSSIBLE == 2, "TOLLGATE_IMPOSSIBLE");
static_assert(TOLLGATE_TABLE_FULL == 3, "TOLLGATE_TABLE_FULL");
static_assert(TOLLGATE_E_NULL == -1, "TOLLGATE_E_NULL");
static_assert(TOLLGATE_E_HANDLE == -2, "TOLLGATE_E_HANDLE");
static_assert(TOLLGATE_E_ARGUMENT == -3, "TOLLGATE_E_ARGUMENT");
static_assert(TOLLGATE_E_POLICY == -4, "TOLLGATE_E_POLICY");
static_assert(TOLLGATE_E_TOO_MANY == -5, "TOLLGATE_E_TOO_MANY");
static_assert(TOLLGATE_E_CLOSED == -6, "TOLLGATE_E_CLOSED");
static_assert(TOLLGATE_E_FOREIGN == -7, "TOLLGATE_E_FOREIGN");
static_assert(TOLLGATE_E_AMOUNTS == -8, "TOLLGATE_E_AMOUNTS");
static_assert(TOLLGATE_E_BUFFER == -9, "TOLLGATE_E_BUFFER");
static_assert(TOLLGATE_E_THREAD == -10, "TOLLGATE_E_THREAD");
static_assert(TOLLGATE_E_NO_MEMORY == -11, "TOLLGATE_E_NO_MEMORY");
static_assert(TOLLGATE_E_SYSTEM == -12, "TOLLGATE_E_SYSTEM");
static_assert(TOLLGATE_E_POLICIES == -20, "TOLLGATE_E_POLICIES");
static_assert(TOLLGATE_E_NAME == -21, "TOLLGATE_E_NAME");
static_assert(TOLLGATE_E_DUPLICATE_NAME == -22, "TOLLGATE_E_DUPLICATE_NAME");
static_assert(TOLLGATE_E_LIMIT == -23, "TOLLGATE_E_LIMIT");
static_assert(TOLLGATE_E_MAX_LIMIT == -24, "TOLLGATE_E_MAX_LIMIT");
static_assert(TOLLGATE_E_WINDOW == -25, "TOLLGATE_E_WINDOW");
static_assert(TOLLGATE_E_BUCKETS == -26, "TOLLGATE_E_BUCKETS");
static_assert(TOLLGATE_E_OFFSET == -27, "TOLLGATE_E_OFFSET");
static_assert(TOLLGATE_E_MAX_KEYS == -28, "TOLLGATE_E_MAX_KEYS");
static_assert(TOLLGATE_E_ALLOWANCE == -29, "TOLLGATE_E_ALLOWANCE");
static_assert(TOLLGATE_E_CONFIG == -30, "TOLLGATE_E_CONFIG");
static_assert(TOLLGATE_E_MAX_BYTES == -31, "TOLLGATE_E_MAX_BYTES");
static_assert(TOLLGATE_E_POLICY_FILE == -32, "TOLLGATE_E_POLICY_FILE");
static_assert(TOLLGATE_E_PANIC == -100, "TOLLGATE_E_PANIC");
typedef struct tollgate_clock tollgate_clock;
typedef struct tollgate_limiter tollgate_limiter;

static_assert(sizeof(tollgate_options) == 72, "sizeof(tollgate_options)");
static_assert(alignof(tollgate_options) == 8, "alignof(tollgate_options)");
static_assert(offsetof(tollgate_options, struct_size) == 0, "offsetof(tollgate_options, struct_size)");
static_assert(offsetof(tollgate_options, overflow) == 4, "offsetof(tollgate_options, overflow)");
static_assert(offsetof(tollgate_options, allowance) == 8, "offsetof(tollgate_options, allowance)");
static_assert(offsetof(tollgate_options, max_keys) == 16, "offsetof(tollgate_options, max_keys)");
static_assert(offsetof(tollgate_options, clock) == 24, "offsetof(tollgate_options, clock)");
static_assert(offsetof(tollgate_options, seed) == 32, "offsetof(tollgate_options, seed)");
static_assert(offsetof(tollgate_options, max_bytes) == 64, "offsetof(tollgate_options, max_bytes)");
static inline void types_of_tollgate_options(tollgate_options *value) {
    uint32_t *struct_size = &value->struct_size;
    (void)struct_size;
    uint32_t *overflow = &value->overflow;
    (void)overflow;
    uint64_t *allowance = &value->allowance;
    (void)allowance;
    uint64_t *max_keys = &value->max_keys;
    (void)max_keys;
    const tollgate_clock * *clock = &value->clock;
    (void)clock;
    uint64_t (*seed)[4] = &value->seed;
    (void)seed;
    uint64_t *max_bytes = &value->max_bytes;
    (void)max_bytes;
}

static_assert(sizeof(tollgate_policy) == 96, "sizeof(tollgate_policy)");
static_assert(alignof(tollgate_policy) == 8, "alignof(tollgate_policy)");
static_assert(offsetof(tollgate_policy, struct_size) == 0, "offsetof(tollgate_policy, struct_size)");
static_assert(offsetof(tollgate_policy, kind) == 4, "offsetof(tollgate_policy, kind)");
static_assert(offsetof(tollgate_policy, name) == 8, "offsetof(tollgate_policy, name)");
static_assert(offsetof(tollgate_policy, limit) == 16, "offsetof(tollgate_policy, limit)");
static_assert(offsetof(tollgate_policy, window_ns) == 24, "offsetof(tollgate_policy, window_ns)");
static_assert(offsetof(tollgate_policy, period) == 32, "offsetof(tollgate_policy, period)");
static_assert(offsetof(tollgate_policy, offset_seconds) == 36, "offsetof(tollgate_policy, offset_seconds)");
static_assert(offsetof(tollgate_policy, max_limit) == 40, "offsetof(tollgate_policy, max_limit)");
static_assert(offsetof(tollgate_policy, max_keys) == 48, "offsetof(tollgate_policy, max_keys)");
static_assert(offsetof(tollgate_policy, buckets) == 56, "offsetof(tollgate_policy, buckets)");
static_assert(offsetof(tollgate_policy, overflow) == 60, "offsetof(tollgate_policy, overflow)");
static_assert(offsetof(tollgate_policy, allowance) == 64, "offsetof(tollgate_policy, allowance)");
static_assert(offsetof(tollgate_policy, unit) == 72, "offsetof(tollgate_policy, unit)");
static_assert(offsetof(tollgate_policy, max_bytes) == 80, "offsetof(tollgate_policy, max_bytes)");
static_assert(offsetof(tollgate_policy, flags) == 88, "offsetof(tollgate_policy, flags)");
static_assert(offsetof(tollgate_policy, reserved) == 92, "offsetof(tollgate_policy, reserved)");
static inline void types_of_tollgate_policy(tollgate_policy *value) {
    uint32_t *struct_size = &value->struct_size;
    (void)struct_size;
    uint32_t *kind = &value->kind;
    (void)kind;
    const char * *name = &value->name;
    (void)name;
    uint64_t *limit = &value->limit;
    (void)limit;
    uint64_t *window_ns = &value->window_ns;
    (void)window_ns;
    uint32_t *period = &value->period;
    (void)period;
    int32_t *offset_seconds = &value->offset_seconds;
    (void)offset_seconds;
    uint64_t *max_limit = &value->max_limit;
    (void)max_limit;
    uint64_t *max_keys = &value->max_keys;
    (void)max_keys;
    uint32_t *buckets = &value->buckets;
    (void)buckets;
    uint32_t *overflow = &value->overflow;
    (void)overflow;
    uint64_t *allowance = &value->allowance;
    (void)allowance;
    const char * *unit = &value->unit;
    (void)unit;
    uint64_t *max_bytes = &value->max_bytes;
    (void)max_bytes;
    uint32_t *flags = &value->flags;
    (void)flags;
    uint32_t *reserved = &value->reserved;
    (void)reserved;
}

static_assert(sizeof(tollgate_error) == 256, "sizeof(tollgate_error)");
static_assert(alignof(tollgate_error) == 4, "alignof(tollgate_error)");
static_assert(offsetof(tollgate_error, status) == 0, "offsetof(tollgate_error, status)");
static_assert(offsetof(tollgate_error, reserved) == 4, "offsetof(tollgate_error, reserved)");
static_assert(offsetof(tollgate_error, message) == 8, "offsetof(tollgate_error, message)");
static inline void types_of_tollgate_error(tollgate_error *value) {
    tollgate_status *status = &value->status;
    (void)status;
    uint32_t *reserved = &value->reserved;
    (void)reserved;
    char (*message)[248] = &value->message;
    (void)message;
}

static_assert(sizeof(tollgate_now) == 16, "sizeof(tollgate_now)");
static_assert(alignof(tollgate_now) == 8, "alignof(tollgate_now)");
static_assert(offsetof(tollgate_now, monotonic_ns) == 0, "offsetof(tollgate_now, monotonic_ns)");
static_assert(offsetof(tollgate_now, unix_ns) == 8, "offsetof(tollgate_now, unix_ns)");
static inline void types_of_tollgate_now(tollgate_now *value) {
    uint64_t *monotonic_ns = &value->monotonic_ns;
    (void)monotonic_ns;
    uint64_t *unix_ns = &value->unix_ns;
    (void)unix_ns;
}

static_assert(sizeof(tollgate_key) == 32, "sizeof(tollgate_key)");
static_assert(alignof(tollgate_key) == 8, "alignof(tollgate_key)");
static_assert(offsetof(tollgate_key, data) == 0, "offsetof(tollgate_key, data)");
static_assert(offsetof(tollgate_key, size) == 8, "offsetof(tollgate_key, size)");
static_assert(offsetof(tollgate_key, number) == 16, "offsetof(tollgate_key, number)");
static_assert(offsetof(tollgate_key, kind) == 24, "offsetof(tollgate_key, kind)");
static_assert(offsetof(tollgate_key, v4_prefix) == 28, "offsetof(tollgate_key, v4_prefix)");
static_assert(offsetof(tollgate_key, v6_prefix) == 29, "offsetof(tollgate_key, v6_prefix)");
static_assert(offsetof(tollgate_key, reserved) == 30, "offsetof(tollgate_key, reserved)");
static inline void types_of_tollgate_key(tollgate_key *value) {
    const void * *data = &value->data;
    (void)data;
    size_t *size = &value->size;
    (void)size;
    uint64_t *number = &value->number;
    (void)number;
    uint32_t *kind = &value->kind;
    (void)kind;
    uint8_t *v4_prefix = &value->v4_prefix;
    (void)v4_prefix;
    uint8_t *v6_prefix = &value->v6_prefix;
    (void)v6_prefix;
    uint16_t *reserved = &value->reserved;
    (void)reserved;
}

static_assert(sizeof(tollgate_charge) == 56, "sizeof(tollgate_charge)");
static_assert(alignof(tollgate_charge) == 8, "alignof(tollgate_charge)");
static_assert(offsetof(tollgate_charge, policy) == 0, "offsetof(tollgate_charge, policy)");
static_assert(offsetof(tollgate_charge, key) == 8, "offsetof(tollgate_charge, key)");
static_assert(offsetof(tollgate_charge, cost) == 40, "offsetof(tollgate_charge, cost)");
static_assert(offsetof(tollgate_charge, limit) == 48, "offsetof(tollgate_charge, limit)");
static inline void types_of_tollgate_charge(tollgate_charge *value) {
    uint64_t *policy = &value->policy;
    (void)policy;
    tollgate_key *key = &value->key;
    (void)key;
    uint64_t *cost = &value->cost;
    (void)cost;
    uint64_t *limit = &value->limit;
    (void)limit;
}

static_assert(sizeof(tollgate_decision) == 64, "sizeof(tollgate_decision)");
static_assert(alignof(tollgate_decision) == 8, "alignof(tollgate_decision)");
static_assert(offsetof(tollgate_decision, status) == 0, "offsetof(tollgate_decision, status)");
static_assert(offsetof(tollgate_decision, flags) == 4, "offsetof(tollgate_decision, flags)");
static_assert(offsetof(tollgate_decision, policy) == 8, "offsetof(tollgate_decision, policy)");
static_assert(offsetof(tollgate_decision, limit) == 16, "offsetof(tollgate_decision, limit)");
static_assert(offsetof(tollgate_decision, remaining) == 24, "offsetof(tollgate_decision, remaining)");
static_assert(offsetof(tollgate_decision, retry_after_ns) == 32, "offsetof(tollgate_decision, retry_after_ns)");
static_assert(offsetof(tollgate_decision, reset_after_ns) == 40, "offsetof(tollgate_decision, reset_after_ns)");
static_assert(offsetof(tollgate_decision, reserved) == 48, "offsetof(tollgate_decision, reserved)");
static inline void types_of_tollgate_decision(tollgate_decision *value) {
    tollgate_status *status = &value->status;
    (void)status;
    uint32_t *flags = &value->flags;
    (void)flags;
    uint64_t *policy = &value->policy;
    (void)policy;
    uint64_t *limit = &value->limit;
    (void)limit;
    uint64_t *remaining = &value->remaining;
    (void)remaining;
    uint64_t *retry_after_ns = &value->retry_after_ns;
    (void)retry_after_ns;
    uint64_t *reset_after_ns = &value->reset_after_ns;
    (void)reset_after_ns;
    uint64_t (*reserved)[2] = &value->reserved;
    (void)reserved;
}

static_assert(sizeof(tollgate_policy_status) == 48, "sizeof(tollgate_policy_status)");
static_assert(alignof(tollgate_policy_status) == 8, "alignof(tollgate_policy_status)");
static_assert(offsetof(tollgate_policy_status, policy) == 0, "offsetof(tollgate_policy_status, policy)");
static_assert(offsetof(tollgate_policy_status, limit) == 8, "offsetof(tollgate_policy_status, limit)");
static_assert(offsetof(tollgate_policy_status, remaining) == 16, "offsetof(tollgate_policy_status, remaining)");
static_assert(offsetof(tollgate_policy_status, retry_after_ns) == 24, "offsetof(tollgate_policy_status, retry_after_ns)");
static_assert(offsetof(tollgate_policy_status, reset_after_ns) == 32, "offsetof(tollgate_policy_status, reset_after_ns)");
static_assert(offsetof(tollgate_policy_status, flags) == 40, "offsetof(tollgate_policy_status, flags)");
static_assert(offsetof(tollgate_policy_status, reserved) == 44, "offsetof(tollgate_policy_status, reserved)");
static inline void types_of_tollgate_policy_status(tollgate_policy_status *value) {
    uint64_t *policy = &value->policy;
    (void)policy;
    uint64_t *limit = &value->limit;
    (void)limit;
    uint64_t *remaining = &value->remaining;
    (void)remaining;
    uint64_t *retry_after_ns = &value->retry_after_ns;
    (void)retry_after_ns;
    uint64_t *reset_after_ns = &value->reset_after_ns;
    (void)reset_after_ns;
    uint32_t *flags = &value->flags;
    (void)flags;
    uint32_t *reserved = &value->reserved;
    (void)reserved;
}

static_assert(sizeof(tollgate_reservation) == 1024, "sizeof(tollgate_reservation)");
static_assert(alignof(tollgate_reservation) == 8, "alignof(tollgate_reservation)");
static_assert(offsetof(tollgate_reservation, opaque) == 0, "offsetof(tollgate_reservation, opaque)");
static inline void types_of_tollgate_reservation(tollgate_reservation *value) {
    uint64_t (*opaque)[128] = &value->opaque;
    (void)opaque;
}

static_assert(sizeof(tollgate_session) == 96, "sizeof(tollgate_session)");
static_assert(alignof(tollgate_session) == 8, "alignof(tollgate_session)");
static_assert(offsetof(tollgate_session, now) == 0, "offsetof(tollgate_session, now)");
static_assert(offsetof(tollgate_session, opaque) == 16, "offsetof(tollgate_session, opaque)");
static inline void types_of_tollgate_session(tollgate_session *value) {
    tollgate_now *now = &value->now;
    (void)now;
    uint64_t (*opaque)[10] = &value->opaque;
    (void)opaque;
}

static_assert(sizeof(tollgate_stats) == 128, "sizeof(tollgate_stats)");
static_assert(alignof(tollgate_stats) == 8, "alignof(tollgate_stats)");
static_assert(offsetof(tollgate_stats, struct_size) == 0, "offsetof(tollgate_stats, struct_size)");
static_assert(offsetof(tollgate_stats, reserved) == 4, "offsetof(tollgate_stats, reserved)");
static_assert(offsetof(tollgate_stats, admitted) == 8, "offsetof(tollgate_stats, admitted)");
static_assert(offsetof(tollgate_stats, denied) == 16, "offsetof(tollgate_stats, denied)");
static_assert(offsetof(tollgate_stats, refused) == 24, "offsetof(tollgate_stats, refused)");
static_assert(offsetof(tollgate_stats, untracked) == 32, "offsetof(tollgate_stats, untracked)");
static_assert(offsetof(tollgate_stats, live_keys) == 40, "offsetof(tollgate_stats, live_keys)");
static_assert(offsetof(tollgate_stats, used_slots) == 48, "offsetof(tollgate_stats, used_slots)");
static_assert(offsetof(tollgate_stats, slots) == 56, "offsetof(tollgate_stats, slots)");
static_assert(offsetof(tollgate_stats, bytes) == 64, "offsetof(tollgate_stats, bytes)");
static_assert(offsetof(tollgate_stats, migrations) == 72, "offsetof(tollgate_stats, migrations)");
static_assert(offsetof(tollgate_stats, evictions) == 80, "offsetof(tollgate_stats, evictions)");
static_assert(offsetof(tollgate_stats, forgiven) == 88, "offsetof(tollgate_stats, forgiven)");
static_assert(offsetof(tollgate_stats, dry_run_denied) == 96, "offsetof(tollgate_stats, dry_run_denied)");
static_assert(offsetof(tollgate_stats, impossible) == 104, "offsetof(tollgate_stats, impossible)");
static_assert(offsetof(tollgate_stats, admitted_units) == 112, "offsetof(tollgate_stats, admitted_units)");
static_assert(offsetof(tollgate_stats, refunded_units) == 120, "offsetof(tollgate_stats, refunded_units)");
static inline void types_of_tollgate_stats(tollgate_stats *value) {
    uint32_t *struct_size = &value->struct_size;
    (void)struct_size;
    uint32_t *reserved = &value->reserved;
    (void)reserved;
    uint64_t *admitted = &value->admitted;
    (void)admitted;
    uint64_t *denied = &value->denied;
    (void)denied;
    uint64_t *refused = &value->refused;
    (void)refused;
    uint64_t *untracked = &value->untracked;
    (void)untracked;
    uint64_t *live_keys = &value->live_keys;
    (void)live_keys;
    uint64_t *used_slots = &value->used_slots;
    (void)used_slots;
    uint64_t *slots = &value->slots;
    (void)slots;
    uint64_t *bytes = &value->bytes;
    (void)bytes;
    uint64_t *migrations = &value->migrations;
    (void)migrations;
    uint64_t *evictions = &value->evictions;
    (void)evictions;
    uint64_t *forgiven = &value->forgiven;
    (void)forgiven;
    uint64_t *dry_run_denied = &value->dry_run_denied;
    (void)dry_run_denied;
    uint64_t *impossible = &value->impossible;
    (void)impossible;
    uint64_t *admitted_units = &value->admitted_units;
    (void)admitted_units;
    uint64_t *refunded_units = &value->refunded_units;
    (void)refunded_units;
}

static_assert(sizeof(tollgate_request_stats) == 56, "sizeof(tollgate_request_stats)");
static_assert(alignof(tollgate_request_stats) == 8, "alignof(tollgate_request_stats)");
static_assert(offsetof(tollgate_request_stats, struct_size) == 0, "offsetof(tollgate_request_stats, struct_size)");
static_assert(offsetof(tollgate_request_stats, reserved) == 4, "offsetof(tollgate_request_stats, reserved)");
static_assert(offsetof(tollgate_request_stats, allowed) == 8, "offsetof(tollgate_request_stats, allowed)");
static_assert(offsetof(tollgate_request_stats, denied) == 16, "offsetof(tollgate_request_stats, denied)");
static_assert(offsetof(tollgate_request_stats, impossible) == 24, "offsetof(tollgate_request_stats, impossible)");
static_assert(offsetof(tollgate_request_stats, table_full) == 32, "offsetof(tollgate_request_stats, table_full)");
static_assert(offsetof(tollgate_request_stats, invalid) == 40, "offsetof(tollgate_request_stats, invalid)");
static_assert(offsetof(tollgate_request_stats, open_reservations) == 48, "offsetof(tollgate_request_stats, open_reservations)");
static inline void types_of_tollgate_request_stats(tollgate_request_stats *value) {
    uint32_t *struct_size = &value->struct_size;
    (void)struct_size;
    uint32_t *reserved = &value->reserved;
    (void)reserved;
    uint64_t *allowed = &value->allowed;
    (void)allowed;
    uint64_t *denied = &value->denied;
    (void)denied;
    uint64_t *impossible = &value->impossible;
    (void)impossible;
    uint64_t *table_full = &value->table_full;
    (void)table_full;
    uint64_t *invalid = &value->invalid;
    (void)invalid;
    uint64_t *open_reservations = &value->open_reservations;
    (void)open_reservations;
}
static_assert(sizeof(tollgate_status) == 4, "sizeof(tollgate_status)");

static inline void functions(void) {
    tollgate_status (*tollgate_new_)(const tollgate_options *options, const tollgate_policy *policies, size_t count, tollgate_limiter **limiter, tollgate_error *error) = tollgate_new;
    (void)tollgate_new_;
    tollgate_status (*tollgate_memory_bound_)(const tollgate_options *options, const tollgate_policy *policies, size_t count, uint64_t *bytes, tollgate_error *error) = tollgate_memory_bound;
    (void)tollgate_memory_bound_;
    tollgate_status (*tollgate_new_from_toml_)(const tollgate_options *options, const char *text, size_t length, tollgate_limiter **limiter, tollgate_error *error) = tollgate_new_from_toml;
    (void)tollgate_new_from_toml_;
    tollgate_status (*tollgate_free_)(tollgate_limiter *limiter) = tollgate_free;
    (void)tollgate_free_;
    tollgate_status (*tollgate_check_)(const tollgate_limiter *limiter, const tollgate_now *now, const tollgate_charge *charges, size_t count, tollgate_decision *decision) = tollgate_check;
    (void)tollgate_check_;
    tollgate_status (*tollgate_check_with_status_)(const tollgate_limiter *limiter, const tollgate_now *now, const tollgate_charge *charges, size_t count, tollgate_decision *decision, tollgate_policy_status *statuses) = tollgate_check_with_status;
    (void)tollgate_check_with_status_;
    tollgate_status (*tollgate_check_key_)(const tollgate_limiter *limiter, const tollgate_now *now, uint64_t policy, const void *key, size_t key_size, uint64_t cost, tollgate_decision *decision) = tollgate_check_key;
    (void)tollgate_check_key_;
    tollgate_status (*tollgate_check_many_)(const tollgate_limiter *limiter, const tollgate_now *now, const tollgate_charge *charges, size_t count, tollgate_decision *decisions, size_t *allowed) = tollgate_check_many;
    (void)tollgate_check_many_;
    tollgate_status (*tollgate_peek_)(const tollgate_limiter *limiter, const tollgate_now *now, const tollgate_charge *charges, size_t count, tollgate_decision *decision) = tollgate_peek;
    (void)tollgate_peek_;
    tollgate_status (*tollgate_peek_with_status_)(const tollgate_limiter *limiter, const tollgate_now *now, const tollgate_charge *charges, size_t count, tollgate_decision *decision, tollgate_policy_status *statuses) = tollgate_peek_with_status;
    (void)tollgate_peek_with_status_;
    tollgate_status (*tollgate_force_charge_)(const tollgate_limiter *limiter, const tollgate_now *now, const tollgate_charge *charges, size_t count, tollgate_decision *decision) = tollgate_force_charge;
    (void)tollgate_force_charge_;
    tollgate_status (*tollgate_reserve_)(const tollgate_limiter *limiter, const tollgate_now *now, const tollgate_charge *charges, size_t count, tollgate_reservation *reservation, tollgate_decision *decision, tollgate_policy_status *statuses) = tollgate_reserve;
    (void)tollgate_reserve_;
    tollgate_status (*tollgate_extend_)(const tollgate_limiter *limiter, const tollgate_now *now, tollgate_reservation *reservation, const uint64_t *more, size_t count, tollgate_decision *decision) = tollgate_extend;
    (void)tollgate_extend_;
    tollgate_status (*tollgate_settle_)(const tollgate_limiter *limiter, const tollgate_now *now, tollgate_reservation *reservation, const uint64_t *actual, size_t count, tollgate_decision *decision) = tollgate_settle;
    (void)tollgate_settle_;
    tollgate_status (*tollgate_cancel_)(const tollgate_limiter *limiter, const tollgate_now *now, tollgate_reservation *reservation, tollgate_decision *decision) = tollgate_cancel;
    (void)tollgate_cancel_;
    tollgate_status (*tollgate_reserved_)(const tollgate_reservation *reservation, size_t index, uint64_t *units) = tollgate_reserved;
    (void)tollgate_reserved_;
    tollgate_status (*tollgate_refund_)(const tollgate_limiter *limiter, const tollgate_now *now, const tollgate_charge *charge, uint64_t *refunded) = tollgate_refund;
    (void)tollgate_refund_;
    tollgate_status (*tollgate_reset_key_)(const tollgate_limiter *limiter, const tollgate_now *now, const tollgate_charge *charge) = tollgate_reset_key;
    (void)tollgate_reset_key_;
    tollgate_status (*tollgate_session_begin_)(const tollgate_limiter *limiter, const tollgate_now *now, tollgate_session *session) = tollgate_session_begin;
    (void)tollgate_session_begin_;
    tollgate_status (*tollgate_session_end_)(tollgate_session *session) = tollgate_session_end;
    (void)tollgate_session_end_;
    tollgate_status (*tollgate_policy_find_)(const tollgate_limiter *limiter, const char *name, uint64_t *policy) = tollgate_policy_find;
    (void)tollgate_policy_find_;
    tollgate_status (*tollgate_policy_at_)(const tollgate_limiter *limiter, size_t index, uint64_t *policy, const char **name) = tollgate_policy_at;
    (void)tollgate_policy_at_;
    tollgate_status (*tollgate_get_limit_)(const tollgate_limiter *limiter, uint64_t policy, uint64_t *limit) = tollgate_get_limit;
    (void)tollgate_get_limit_;
    tollgate_status (*tollgate_get_bounds_)(const tollgate_limiter *limiter, uint64_t policy, uint64_t *max_keys, uint64_t *max_bytes) = tollgate_get_bounds;
    (void)tollgate_get_bounds_;
    tollgate_status (*tollgate_set_limit_)(const tollgate_limiter *limiter, uint64_t policy, uint64_t limit, tollgate_error *error) = tollgate_set_limit;
    (void)tollgate_set_limit_;
    tollgate_status (*tollgate_resolution_)(const tollgate_limiter *limiter, uint64_t policy, uint64_t *resolution_ns) = tollgate_resolution;
    (void)tollgate_resolution_;
    uint64_t (*tollgate_retry_after_seconds_)(uint64_t retry_after_ns) = tollgate_retry_after_seconds;
    (void)tollgate_retry_after_seconds_;
    uint64_t (*tollgate_reset_seconds_)(uint64_t reset_after_ns) = tollgate_reset_seconds;
    (void)tollgate_reset_seconds_;
    tollgate_status (*tollgate_http_policy_)(const tollgate_limiter *limiter, const tollgate_policy_status *statuses, size_t count, char *buffer, size_t size, size_t *length) = tollgate_http_policy;
    (void)tollgate_http_policy_;
    tollgate_status (*tollgate_http_limit_)(const tollgate_limiter *limiter, const tollgate_policy_status *statuses, size_t count, char *buffer, size_t size, size_t *length) = tollgate_http_limit;
    (void)tollgate_http_limit_;
    tollgate_status (*tollgate_http_problem_)(const tollgate_limiter *limiter, const tollgate_policy_status *statuses, size_t count, const char *detail, char *buffer, size_t size, size_t *length) = tollgate_http_problem;
    (void)tollgate_http_problem_;
    tollgate_status (*tollgate_clock_manual_)(tollgate_clock **clock) = tollgate_clock_manual;
    (void)tollgate_clock_manual_;
    tollgate_status (*tollgate_clock_coarse_)(uint64_t interval_ns, tollgate_clock **clock) = tollgate_clock_coarse;
    (void)tollgate_clock_coarse_;
    tollgate_status (*tollgate_clock_free_)(tollgate_clock *clock) = tollgate_clock_free;
    (void)tollgate_clock_free_;
    tollgate_status (*tollgate_clock_tick_)(const tollgate_clock *clock) = tollgate_clock_tick;
    (void)tollgate_clock_tick_;
    tollgate_status (*tollgate_clock_set_)(const tollgate_clock *clock, const tollgate_now *now) = tollgate_clock_set;
    (void)tollgate_clock_set_;
    tollgate_status (*tollgate_clock_advance_)(const tollgate_clock *clock, uint64_t by_ns) = tollgate_clock_advance;
    (void)tollgate_clock_advance_;
    tollgate_status (*tollgate_read_clock_)(const tollgate_limiter *limiter, tollgate_now *now) = tollgate_read_clock;
    (void)tollgate_read_clock_;
    tollgate_status (*tollgate_get_stats_)(const tollgate_limiter *limiter, uint64_t policy, tollgate_stats *stats) = tollgate_get_stats;
    (void)tollgate_get_stats_;
    tollgate_status (*tollgate_get_request_stats_)(const tollgate_limiter *limiter, tollgate_request_stats *stats) = tollgate_get_request_stats;
    (void)tollgate_get_request_stats_;
    tollgate_status (*tollgate_maintain_)(const tollgate_limiter *limiter, size_t slots, int32_t *done) = tollgate_maintain;
    (void)tollgate_maintain_;
    uint64_t (*tollgate_token_cost_)(uint64_t input_price, uint64_t output_price, uint64_t input_tokens, uint64_t output_tokens) = tollgate_token_cost;
    (void)tollgate_token_cost_;
    const char *(*tollgate_strerror_)(int32_t status) = tollgate_strerror;
    (void)tollgate_strerror_;
    const char *(*tollgate_version_)(void) = tollgate_version;
    (void)tollgate_version_;
    uint32_t (*tollgate_abi_version_)(void) = tollgate_abi_version;
    (void)tollgate_abi_version_;
    tollgate_key (*tollgate_key_bytes_)(const void *data, size_t size) = tollgate_key_bytes;
    (void)tollgate_key_bytes_;
    tollgate_key (*tollgate_key_text_)(const char *text) = tollgate_key_text;
    (void)tollgate_key_text_;
    tollgate_key (*tollgate_key_number_)(uint64_t number) = tollgate_key_number;
    (void)tollgate_key_number_;
    tollgate_key (*tollgate_key_ipv4_)(const void *address) = tollgate_key_ipv4;
    (void)tollgate_key_ipv4_;
    tollgate_key (*tollgate_key_ipv6_)(const void *address) = tollgate_key_ipv6;
    (void)tollgate_key_ipv6_;
    tollgate_key (*tollgate_key_sockaddr_)(const struct sockaddr *address, size_t size) = tollgate_key_sockaddr;
    (void)tollgate_key_sockaddr_;
    tollgate_key (*tollgate_key_parts_)(const tollgate_key *parts, size_t count) = tollgate_key_parts;
    (void)tollgate_key_parts_;
    tollgate_key (*tollgate_key_shared_)(void) = tollgate_key_shared;
    (void)tollgate_key_shared_;
    tollgate_key (*tollgate_key_network_)(tollgate_key address, unsigned v4_prefix, unsigned v6_prefix) = tollgate_key_network;
    (void)tollgate_key_network_;
    tollgate_charge (*tollgate_charge_key_)(uint64_t policy, tollgate_key key, uint64_t cost) = tollgate_charge_key;
    (void)tollgate_charge_key_;
    tollgate_charge (*tollgate_charge_bytes_)(uint64_t policy, const void *data, size_t size, uint64_t cost) = tollgate_charge_bytes;
    (void)tollgate_charge_bytes_;
    tollgate_charge (*tollgate_charge_text_)(uint64_t policy, const char *text, uint64_t cost) = tollgate_charge_text;
    (void)tollgate_charge_text_;
    tollgate_charge (*tollgate_charge_number_)(uint64_t policy, uint64_t number, uint64_t cost) = tollgate_charge_number;
    (void)tollgate_charge_number_;
    tollgate_charge (*tollgate_charge_ipv4_)(uint64_t policy, const void *address, uint64_t cost) = tollgate_charge_ipv4;
    (void)tollgate_charge_ipv4_;
    tollgate_charge (*tollgate_charge_ipv6_)(uint64_t policy, const void *address, uint64_t cost) = tollgate_charge_ipv6;
    (void)tollgate_charge_ipv6_;
    tollgate_charge (*tollgate_charge_sockaddr_)(uint64_t policy, const struct sockaddr *address, size_t size, uint64_t cost) = tollgate_charge_sockaddr;
    (void)tollgate_charge_sockaddr_;
    tollgate_charge (*tollgate_charge_parts_)(uint64_t policy, const tollgate_key *parts, size_t count, uint64_t cost) = tollgate_charge_parts;
    (void)tollgate_charge_parts_;
    tollgate_charge (*tollgate_charge_shared_)(uint64_t policy, uint64_t cost) = tollgate_charge_shared;
    (void)tollgate_charge_shared_;
}
