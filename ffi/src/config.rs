//! The configuration structs of C, and the limiter built from them.

use crate::argument::{aligned, read_sized, text, write_optional};
use crate::clock::tollgate_clock;
use crate::decision::TOLLGATE_DRY_RUN;
use crate::error::{fill_error, tollgate_error};
use crate::failure::{Failure, Reason};
use crate::guard::guard;
use crate::handle;
use crate::limiter::{LimiterHandle, tollgate_limiter};
use crate::status::tollgate_status::{self, *};
use limiter::{ConfigError, Limiter, Overflow, Period, Policy};
use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::time::Duration;

/// Policy kind: a sliding window.
pub const TOLLGATE_SLIDING: u32 = 0;
/// Policy kind: calendar periods.
pub const TOLLGATE_CALENDAR: u32 = 1;

/// Calendar period: an hour.
pub const TOLLGATE_HOUR: u32 = 1;
/// Calendar period: a day.
pub const TOLLGATE_DAY: u32 = 2;
/// Calendar period: a month.
pub const TOLLGATE_MONTH: u32 = 3;

/// Overflow mode: the default. In a policy, this is the mode of the options; in the options, it is
/// `TOLLGATE_OVERFLOW_DENY`.
pub const TOLLGATE_OVERFLOW_DEFAULT: u32 = 0;
/// Overflow mode: refuse a new key when the table is full, with `TOLLGATE_TABLE_FULL`. In a flood of new
/// keys, other new clients are refused as well.
pub const TOLLGATE_OVERFLOW_DENY: u32 = 1;
/// Overflow mode: allow a new key without counting it when the table is full. In a flood, clients that
/// always send new keys are not limited.
pub const TOLLGATE_OVERFLOW_ALLOW: u32 = 2;
/// Overflow mode: evict the keys with the least usage when the table is full. Evictions discard at
/// most `allowance` units of a key's usage in any window or period. A new key for which they make no
/// room is refused with `TOLLGATE_TABLE_FULL`.
pub const TOLLGATE_OVERFLOW_EVICT_LIGHTEST: u32 = 3;

/// A policy: a limit on the cost that each key may spend. Set unused fields to 0, for example with
/// `tollgate_policy policy = TOLLGATE_POLICY_INIT;`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tollgate_policy {
    /// `sizeof(tollgate_policy)`.
    pub struct_size: u32,
    /// `TOLLGATE_SLIDING` or `TOLLGATE_CALENDAR`.
    pub kind: u32,
    /// 1 to 64 printable ASCII characters, NUL-terminated; copied.
    pub name: *const c_char,
    /// The limit in units of cost per window or period: 0 to 2^40. 0 refuses every cost above 0, with
    /// `TOLLGATE_IMPOSSIBLE`.
    pub limit: u64,
    /// `TOLLGATE_SLIDING`: the length of the window in nanoseconds, 1 millisecond to 400 days.
    pub window_ns: u64,
    /// `TOLLGATE_CALENDAR`: `TOLLGATE_HOUR`, `TOLLGATE_DAY` or `TOLLGATE_MONTH`.
    pub period: u32,
    /// `TOLLGATE_CALENDAR`: the offset from UTC at which periods start, in seconds: at most 18
    /// hours, positive to the east.
    pub offset_seconds: i32,
    /// The greatest limit that a charge or `tollgate_set_limit` may set; 0 means `limit`. If both are 0,
    /// nothing can ever be admitted.
    pub max_limit: u64,
    /// The greatest number of keys in the table; 0 means `max_keys` of the options.
    pub max_keys: u64,
    /// `TOLLGATE_SLIDING`: the number of buckets of a window, 2 to 127, rounded up to 7, 15, 23,
    /// 31, 47, 63, 95 or 127. With at least `max_limit` buckets, the policy is exact: it decides like
    /// a log of all admitted charges. With fewer, it may deny for longer, but never admits more than
    /// the limit. 0 means an exact policy if `max_limit` is at most 127, and 15 buckets otherwise.
    pub buckets: u32,
    /// The treatment of a new key when the table is full: one of `TOLLGATE_OVERFLOW_*`.
    pub overflow: u32,
    /// `TOLLGATE_OVERFLOW_EVICT_LIGHTEST`: the most units of a key's usage that evictions may
    /// discard in any window or period, 1 to `max_limit`, or 1 if that is 0.
    pub allowance: u64,
    /// The unit of cost in HTTP fields, for example "tokens": UTF-8, NUL-terminated; copied. NULL
    /// means requests.
    pub unit: *const c_char,
    /// The most memory of this policy in bytes: its table gets as many keys as fit. `max_keys`, and
    /// `max_bytes` of the options if that is not 0, bound it as well. 0 means no bound of its own.
    pub max_bytes: u64,
    /// `TOLLGATE_DRY_RUN`, or 0.
    pub flags: u32,
    /// Reserved: 0.
    pub reserved: u32,
}

/// Options for all policies of a limiter. `TOLLGATE_OPTIONS_INIT` sets every field to its default.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tollgate_options {
    /// `sizeof(tollgate_options)`.
    pub struct_size: u32,
    /// The treatment of a new key when the table is full: one of `TOLLGATE_OVERFLOW_*`.
    pub overflow: u32,
    /// `TOLLGATE_OVERFLOW_EVICT_LIGHTEST`: as in `tollgate_policy`.
    pub allowance: u64,
    /// The greatest number of keys in the table of each policy. Memory depends on the number of live
    /// keys, not on this bound. 0 means 1,048,576 for a policy for which no number of keys or bytes is
    /// set.
    pub max_keys: u64,
    /// The clock of the limiter; NULL means the processor's clock, about 12 ns per reading.
    pub clock: *const tollgate_clock,
    /// The seed of the key hash, for reproducible runs; all 0 means a random seed. Keep it secret:
    /// it allows an attacker to choose keys that share a counter.
    pub seed: [u64; 4],
    /// The most memory of all policies in total, in bytes. All tables get the same number of keys, the
    /// greatest for which they fit, or fewer where `max_keys` or `max_bytes` of the policy says so. 0
    /// means 128 MiB for the policies for which no number of keys or bytes is set, and no bound for the
    /// others. `tollgate_memory_bound` states what is included.
    pub max_bytes: u64,
}

/// Creates a limiter with `count` policies, 1 to 16. `tollgate_policy_at` uses their order.
///
/// Each policy begins with its `struct_size`; the size of the first is the stride of the array.
/// `options` may be NULL. `*limiter` is NULL unless the status is `TOLLGATE_OK`. Free the limiter
/// with `tollgate_free`. If the call fails, `*error` is filled; `error` may be NULL. The message names
/// the policy by its index and its name, the field, and the value.
///
/// Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE` (the clock), `TOLLGATE_E_ARGUMENT` (an unknown
/// kind, period, overflow mode, flag or `struct_size`), the statuses from `TOLLGATE_E_POLICIES` to
/// `TOLLGATE_E_MAX_BYTES`, `TOLLGATE_E_NO_MEMORY`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_new(
    options: *const tollgate_options,
    policies: *const tollgate_policy,
    count: usize,
    limiter: *mut *mut tollgate_limiter,
    error: *mut tollgate_error,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's contract, here and below.
        let fail = |why: Failure<'_>| unsafe { fill_error(error, why.status(), why) };
        aligned(limiter).map_err(|status| fail(Reason::Pointer("limiter", status).in_call()))?;
        // SAFETY: as above.
        unsafe { write_optional(limiter, ptr::null_mut()) }?;
        // SAFETY: as above.
        let built = unsafe { build(options, policies, count) }.map_err(fail)?;
        let handle =
            handle::make(built).map_err(|status| fail(Reason::Status(status).in_call()))?;
        // SAFETY: as above.
        unsafe { write_optional(limiter, handle) }?;
        Ok(TOLLGATE_OK)
    })
}

/// Returns in `*bytes` the most memory that a limiter with these arguments takes, before any of it is
/// allocated.
///
/// The bound includes both arrays that a table has while it moves its keys, and the statistics of the
/// policies. It does not include the limiter itself, which takes 8,320 bytes for its statistics of
/// requests. It does not include arrays that were replaced while another thread was in a call, or while a
/// session was open, until that call or session has ended. Nor does it include address space that is
/// reserved and not used: up to as many bytes again. It is `SIZE_MAX` if there are too many bytes to
/// count. The arguments and the errors are those of `tollgate_new`.
///
/// # Safety
/// The rules for all functions, in the introduction of `tollgate.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_memory_bound(
    options: *const tollgate_options,
    policies: *const tollgate_policy,
    count: usize,
    bytes: *mut u64,
    error: *mut tollgate_error,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's contract, here and below.
        let fail = |why: Failure<'_>| unsafe { fill_error(error, why.status(), why) };
        aligned(bytes).map_err(|status| fail(Reason::Pointer("bytes", status).in_call()))?;
        // SAFETY: as above.
        unsafe { write_optional(bytes, 0) }?;
        // SAFETY: as above.
        let (builder, names) = unsafe { read_builder(options, policies, count) }.map_err(fail)?;
        let bound = builder.memory_bound().map_err(|why| fail(in_policy(why, &names)))?;
        // SAFETY: as above.
        unsafe { write_optional(bytes, bound as u64) }?;
        Ok(TOLLGATE_OK)
    })
}

/// Builds a limiter from the structs of C. A failure borrows the caller's strings.
///
/// # Safety
/// As [`tollgate_new`].
unsafe fn build<'a>(
    options: *const tollgate_options,
    policies: *const tollgate_policy,
    count: usize,
) -> Result<LimiterHandle, Failure<'a>> {
    // SAFETY: the caller's contract.
    let (builder, names) = unsafe { read_builder(options, policies, count) }?;
    match builder.build() {
        Ok(limiter) => Ok(LimiterHandle { limiter, names }),
        Err(why) => Err(in_policy(why, &names)),
    }
}

/// Reads the structs of C. Returns a builder and the names of its policies. A failure borrows the
/// caller's strings.
///
/// # Safety
/// As [`tollgate_new`].
unsafe fn read_builder<'a>(
    options: *const tollgate_options,
    policies: *const tollgate_policy,
    count: usize,
) -> Result<(limiter::Builder, Vec<CString>), Failure<'a>> {
    // SAFETY: the caller's contract.
    let mut builder = unsafe { builder_with(options) }?;
    if count > limiter::MAX_CHARGES {
        return Err(Reason::Config(ConfigError::TooManyPolicies { value: count }).in_call());
    }
    if count > 0 {
        aligned(policies).map_err(|status| Reason::Pointer("policies", status).in_call())?;
    }
    let mut names = Vec::new();
    let mut next = policies;
    for index in 0..count {
        // SAFETY: the caller's contract; aligned, since the stride is a multiple of the alignment.
        let (policy, name) = unsafe { read_policy(next, index) }?;
        builder = builder.policy(policy);
        names.push(name.to_owned());
        // SAFETY: `count` is not 0, so there is a first policy, which begins with its size.
        let stride = unsafe { *policies.cast::<u32>() } as usize;
        next = next.wrapping_byte_add(stride);
    }
    Ok((builder, names))
}

/// Returns a builder with these options and without policies. The options may be NULL.
///
/// # Safety
/// As [`tollgate_new`].
pub(crate) unsafe fn builder_with(
    options: *const tollgate_options,
) -> Result<limiter::Builder, Failure<'static>> {
    let builder = Limiter::builder();
    if options.is_null() {
        return Ok(builder);
    }
    aligned(options).map_err(|status| Reason::Pointer("options", status).in_call())?;
    // SAFETY: the caller's contract; aligned. Options of zero bytes are valid.
    let options = unsafe { read_sized(options) }
        .map_err(|why| Reason::Size("tollgate_options", why).in_options())?;
    configure(builder, &options).map_err(Reason::in_options)
}

/// Reads the policy with this index, and its name.
///
/// # Safety
/// As [`tollgate_new`]. The pointer is aligned.
unsafe fn read_policy<'a>(
    ptr: *const tollgate_policy,
    index: usize,
) -> Result<(Policy, &'a CStr), Failure<'a>> {
    let unnamed = |why: Reason<'a>| why.in_policy(index, None);
    // SAFETY: the caller's contract; aligned. A policy of zero bytes is valid.
    let policy: tollgate_policy =
        unsafe { read_sized(ptr) }.map_err(|why| unnamed(Reason::Size("tollgate_policy", why)))?;
    // SAFETY: the caller's contract.
    let name = unsafe { text(policy.name) }.ok_or_else(|| unnamed(Reason::NoName))?;
    let utf8 = name.to_str().map_err(|_| unnamed(Reason::Name(name)))?;
    // SAFETY: as above.
    match unsafe { policy_of(&policy, utf8) } {
        Ok(policy) => Ok((policy, name)),
        Err(why) => Err(why.in_policy(index, Some(name))),
    }
}

/// The failure of a builder. It names the policy that has the invalid setting, if one has it.
fn in_policy<'a>(error: ConfigError, names: &[CString]) -> Failure<'a> {
    match index_of(&error, names) {
        Some(index) => Reason::Config(error).in_policy(index, None),
        None => Reason::Config(error).in_call(),
    }
}

/// The index of the policy that has the invalid setting.
fn index_of(error: &ConfigError, names: &[CString]) -> Option<usize> {
    let name = error.policy()?;
    // A name that is taken belongs to the second policy of that name.
    let earlier = usize::from(matches!(error, ConfigError::DuplicateName { .. }));
    let mut named =
        names.iter().enumerate().filter(|(_, other)| other.as_bytes() == name.as_bytes());
    named.nth(earlier).map(|(index, _)| index)
}

/// Applies the options to a builder.
fn configure(
    mut builder: limiter::Builder,
    options: &tollgate_options,
) -> Result<limiter::Builder, Reason<'static>> {
    if let Some(overflow) = overflow_of(options.overflow, options.allowance)? {
        builder = builder.overflow(overflow);
    }
    if options.max_keys > 0 {
        builder = builder.max_keys(saturated(options.max_keys));
    }
    if options.max_bytes > 0 {
        builder = builder.max_bytes(saturated(options.max_bytes));
    }
    if !options.clock.is_null() {
        // SAFETY: the contract of `tollgate_new`: a clock that was not freed.
        let clock = unsafe { handle::value(options.clock) }.map_err(|_| Reason::Clock)?;
        builder = builder.clock(clock.clock());
    }
    if options.seed != [0; 4] {
        builder = builder.seed(options.seed);
    }
    Ok(builder)
}

/// Converts a policy with this name.
///
/// # Safety
/// The policy's unit is NULL or NUL-terminated.
unsafe fn policy_of<'a>(policy: &tollgate_policy, name: &str) -> Result<Policy, Reason<'a>> {
    let mut converted = match policy.kind {
        TOLLGATE_SLIDING => {
            Policy::sliding(name, policy.limit, Duration::from_nanos(policy.window_ns))
        }
        TOLLGATE_CALENDAR => Policy::calendar(name, policy.limit, period_of(policy.period)?)
            .offset_seconds(policy.offset_seconds),
        kind => return Err(Reason::Kind(kind)),
    };
    if let Some(overflow) = overflow_of(policy.overflow, policy.allowance)? {
        converted = converted.overflow(overflow);
    }
    if policy.buckets > 0 {
        converted = converted.buckets(policy.buckets);
    }
    if policy.max_limit > 0 {
        converted = converted.max_limit(policy.max_limit);
    }
    if policy.max_keys > 0 {
        converted = converted.max_keys(saturated(policy.max_keys));
    }
    if policy.max_bytes > 0 {
        converted = converted.max_bytes(saturated(policy.max_bytes));
    }
    // SAFETY: the caller's contract.
    if let Some(unit) = unsafe { text(policy.unit) } {
        converted = converted.unit(unit.to_str().map_err(|_| Reason::Unit(unit))?);
    }
    if policy.flags & !TOLLGATE_DRY_RUN != 0 {
        return Err(Reason::Flags(policy.flags));
    }
    if policy.reserved != 0 {
        return Err(Reason::Reserved(policy.reserved));
    }
    Ok(converted.dry_run(policy.flags & TOLLGATE_DRY_RUN != 0))
}

fn period_of<'a>(period: u32) -> Result<Period, Reason<'a>> {
    match period {
        TOLLGATE_HOUR => Ok(Period::Hour),
        TOLLGATE_DAY => Ok(Period::Day),
        TOLLGATE_MONTH => Ok(Period::Month),
        _ => Err(Reason::Period(period)),
    }
}

fn overflow_of<'a>(overflow: u32, allowance: u64) -> Result<Option<Overflow>, Reason<'a>> {
    match overflow {
        TOLLGATE_OVERFLOW_DEFAULT => Ok(None),
        TOLLGATE_OVERFLOW_DENY => Ok(Some(Overflow::Deny)),
        TOLLGATE_OVERFLOW_ALLOW => Ok(Some(Overflow::Allow)),
        TOLLGATE_OVERFLOW_EVICT_LIGHTEST => Ok(Some(Overflow::EvictLightest { allowance })),
        _ => Err(Reason::Overflow(overflow)),
    }
}

fn saturated(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
