//! From structs of the caller's to a limiter.

use crate::argument::{aligned, read_sized, text, write_optional};
use crate::clock::tollgate_clock;
use crate::error::{status_of, tell, tell_status, tollgate_error};
use crate::guard::guard;
use crate::handle::{self, Kind};
use crate::status::tollgate_status::{self, *};
use limiter::{Limiter, Overflow, Period, Policy};
use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::time::Duration;

/// A policy that counts a sliding window.
pub const TOLLGATE_SLIDING: u32 = 0;
/// A policy that counts calendar periods.
pub const TOLLGATE_CALENDAR: u32 = 1;

/// Periods of an hour.
pub const TOLLGATE_HOUR: u32 = 1;
/// Periods of a day.
pub const TOLLGATE_DAY: u32 = 2;
/// Periods of a calendar month.
pub const TOLLGATE_MONTH: u32 = 3;

/// What the limiter's options say.
pub const TOLLGATE_OVERFLOW_DEFAULT: u32 = 0;
/// A new key that finds no place is refused: `TOLLGATE_TABLE_FULL`. The default.
pub const TOLLGATE_OVERFLOW_DENY: u32 = 1;
/// A new key that finds no place passes uncounted.
pub const TOLLGATE_OVERFLOW_ALLOW: u32 = 2;
/// The keys that have used least make room: at most `allowance` units each, in any window.
pub const TOLLGATE_OVERFLOW_EVICT_LIGHTEST: u32 = 3;

/// One limit. Set every field that you do not use to 0: `tollgate_policy p = TOLLGATE_POLICY_INIT;`
/// does.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tollgate_policy {
    /// `sizeof(tollgate_policy)`.
    pub struct_size: u32,
    /// `TOLLGATE_SLIDING` or `TOLLGATE_CALENDAR`.
    pub kind: u32,
    /// 1 to 64 printable ASCII characters, ended by a NUL; copied.
    pub name: *const c_char,
    /// Units of cost in a window or a period: 1 to 2^40.
    pub limit: u64,
    /// `TOLLGATE_SLIDING`: nanoseconds, from 1 millisecond to 400 days.
    pub window_ns: u64,
    /// `TOLLGATE_CALENDAR`: `TOLLGATE_HOUR`, `TOLLGATE_DAY` or `TOLLGATE_MONTH`.
    pub period: u32,
    /// `TOLLGATE_CALENDAR`: seconds east of UTC at which periods begin, within 18 hours.
    pub offset_seconds: i32,
    /// The greatest limit that a charge of its own or `tollgate_set_limit` may ask for; 0: `limit`.
    /// Up to 127 a sliding policy is exact, and decides as a log of all charges would.
    pub max_limit: u64,
    /// Keys that there is room for; 0: as the options say.
    pub max_keys: u64,
    /// `TOLLGATE_SLIDING` above 127: the buckets that a window is counted in, 2 to 127, rounded up
    /// to 7, 15, 31, 63 or 127; 0: 15. A bucketed policy may deny early and never admits too much.
    pub buckets: u32,
    /// What happens to a new key where there are `max_keys`: one of `TOLLGATE_OVERFLOW_*`.
    pub overflow: u32,
    /// `TOLLGATE_OVERFLOW_EVICT_LIGHTEST`: units that a key may be forgiven, 1 to the greatest limit.
    pub allowance: u64,
    /// What the cost counts, for HTTP fields: "tokens", say; NULL: requests. Copied.
    pub unit: *const c_char,
}

/// What holds for all policies of a limiter. All 0 but `struct_size` is good:
/// `TOLLGATE_OPTIONS_INIT`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tollgate_options {
    /// `sizeof(tollgate_options)`.
    pub struct_size: u32,
    /// What happens to a new key where there are `max_keys`; 0: `TOLLGATE_OVERFLOW_DENY`.
    pub overflow: u32,
    /// `TOLLGATE_OVERFLOW_EVICT_LIGHTEST`: as in a policy.
    pub allowance: u64,
    /// Keys that each policy has room for; 0: 1,048,576. A bound, not a size: memory follows the
    /// keys that are live.
    pub max_keys: u64,
    /// Where the time comes from; NULL: the processor's clock, about 12 ns a reading.
    pub clock: *const tollgate_clock,
    /// Seeds of the hash of keys, for runs that must repeat; all 0: random ones. Whoever knows them
    /// can choose keys that share a counter.
    pub seed: [u64; 4],
}

/// Decides which requests may go on. Shared between threads without locks.
#[derive(Debug)]
pub struct tollgate_limiter {
    _private: (),
}

/// What is behind a [`tollgate_limiter`].
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) limiter: Limiter,
    /// The policies' names as C reads them.
    pub(crate) names: Vec<CString>,
}

impl Kind for tollgate_limiter {
    type Value = Server;
    const MARK: u64 = u64::from_le_bytes(*b"tglimit1");
}

/// Makes a limiter of `count` policies, 1 to 16. Their order is that of `tollgate_policy_at`.
///
/// Each policy begins with its own size, and the first one's size is the distance from one to the
/// next. `options` may be NULL. `*limiter` is NULL unless the status is `TOLLGATE_OK`; free it with
/// `tollgate_free`. `error` may be NULL; else it is told why not.
///
/// Errors: `TOLLGATE_E_NULL`, `TOLLGATE_E_HANDLE` (the clock), `TOLLGATE_E_ARGUMENT` (a kind,
/// period or overflow that is none, or a size of a struct), `TOLLGATE_E_POLICIES` to
/// `TOLLGATE_E_CONFIG`, `TOLLGATE_E_NO_MEMORY`.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_new(
    options: *const tollgate_options,
    policies: *const tollgate_policy,
    count: usize,
    limiter: *mut *mut tollgate_limiter,
    error: *mut tollgate_error,
) -> tollgate_status {
    guard(|| {
        // SAFETY: the caller's promise.
        let refuse = |status| unsafe { tell_status(error, status) };
        aligned(limiter).map_err(refuse)?;
        // SAFETY: the caller's promise.
        unsafe { write_optional(limiter, ptr::null_mut()) }?;
        // SAFETY: as above.
        let made = unsafe { build(options, policies, count, error) }?;
        let made = handle::make(made).map_err(refuse)?;
        // SAFETY: as above.
        unsafe { write_optional(limiter, made) }?;
        Ok(TOLLGATE_OK)
    })
}

/// Frees a limiter. NULL is nothing to free. No other thread may be using it, and no session of it
/// may be open. Errors: `TOLLGATE_E_HANDLE`.
///
/// # Safety
/// See the introduction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tollgate_free(limiter: *mut tollgate_limiter) -> tollgate_status {
    // SAFETY: the caller's promise.
    guard(|| unsafe { handle::free(limiter) }.map(|()| TOLLGATE_OK))
}

/// # Safety
/// As [`tollgate_new`].
unsafe fn build(
    options: *const tollgate_options,
    policies: *const tollgate_policy,
    count: usize,
    error: *mut tollgate_error,
) -> Result<Server, tollgate_status> {
    // SAFETY: the caller's promise, here and below.
    let refuse = |status| unsafe { tell_status(error, status) };
    let mut builder = Limiter::builder();
    if !options.is_null() {
        // SAFETY: all-zero is a value of the options.
        let options = unsafe { read_sized(options) }.map_err(refuse)?;
        builder = configure(builder, &options).map_err(refuse)?;
    }
    let mut names = Vec::new();
    if count > limiter::MAX_CHARGES {
        return Err(refuse(TOLLGATE_E_POLICIES));
    }
    if count > 0 {
        aligned(policies).map_err(refuse)?;
    }
    let mut place = policies;
    for _ in 0..count {
        // SAFETY: all-zero is a value of a policy.
        let policy: tollgate_policy = unsafe { read_sized(place) }.map_err(refuse)?;
        // SAFETY: its texts end in NUL.
        let (policy, name) = unsafe { policy_of(&policy) }.map_err(refuse)?;
        builder = builder.policy(policy);
        names.push(name);
        // SAFETY: the size of the first one, which is within what the caller has passed.
        let stride = unsafe { *policies.cast::<u32>() } as usize;
        place = place.wrapping_byte_add(stride);
    }
    match builder.build() {
        Ok(limiter) => Ok(Server { limiter, names }),
        // SAFETY: the caller's promise.
        Err(why) => Err(unsafe { tell(error, status_of(&why), why) }),
    }
}

fn configure(
    mut builder: limiter::Builder,
    options: &tollgate_options,
) -> Result<limiter::Builder, tollgate_status> {
    if let Some(overflow) = overflow_of(options.overflow, options.allowance)? {
        builder = builder.overflow(overflow);
    }
    if options.max_keys > 0 {
        builder = builder.max_keys(keys(options.max_keys));
    }
    if !options.clock.is_null() {
        // SAFETY: the promise of `tollgate_new`: a clock that was not freed.
        builder = builder.clock(unsafe { handle::value(options.clock) }?.clock());
    }
    if options.seed != [0; 4] {
        builder = builder.seed(options.seed);
    }
    Ok(builder)
}

/// # Safety
/// The policy's texts are NULL or end in NUL.
unsafe fn policy_of(policy: &tollgate_policy) -> Result<(Policy, CString), tollgate_status> {
    // SAFETY: the caller's promise.
    let (name, unit) = unsafe { (text(policy.name), text(policy.unit)) };
    let name = name.ok_or(TOLLGATE_E_NULL)?;
    let text = |text: &CStr| text.to_str().map(str::to_owned).map_err(|_| TOLLGATE_E_NAME);
    let mut made = match policy.kind {
        TOLLGATE_SLIDING => {
            Policy::sliding(text(name)?, policy.limit, Duration::from_nanos(policy.window_ns))
        }
        TOLLGATE_CALENDAR => Policy::calendar(text(name)?, policy.limit, period_of(policy.period)?)
            .offset_seconds(policy.offset_seconds),
        _ => return Err(TOLLGATE_E_ARGUMENT),
    };
    if let Some(overflow) = overflow_of(policy.overflow, policy.allowance)? {
        made = made.overflow(overflow);
    }
    if policy.buckets > 0 {
        made = made.buckets(policy.buckets);
    }
    if policy.max_limit > 0 {
        made = made.max_limit(policy.max_limit);
    }
    if policy.max_keys > 0 {
        made = made.max_keys(keys(policy.max_keys));
    }
    if let Some(unit) = unit {
        made = made.unit(text(unit)?);
    }
    Ok((made, name.to_owned()))
}

fn period_of(period: u32) -> Result<Period, tollgate_status> {
    match period {
        TOLLGATE_HOUR => Ok(Period::Hour),
        TOLLGATE_DAY => Ok(Period::Day),
        TOLLGATE_MONTH => Ok(Period::Month),
        _ => Err(TOLLGATE_E_ARGUMENT),
    }
}

fn overflow_of(overflow: u32, allowance: u64) -> Result<Option<Overflow>, tollgate_status> {
    match overflow {
        TOLLGATE_OVERFLOW_DEFAULT => Ok(None),
        TOLLGATE_OVERFLOW_DENY => Ok(Some(Overflow::Deny)),
        TOLLGATE_OVERFLOW_ALLOW => Ok(Some(Overflow::Allow)),
        TOLLGATE_OVERFLOW_EVICT_LIGHTEST => Ok(Some(Overflow::EvictLightest { allowance })),
        _ => Err(TOLLGATE_E_ARGUMENT),
    }
}

fn keys(keys: u64) -> usize {
    usize::try_from(keys).unwrap_or(usize::MAX)
}
