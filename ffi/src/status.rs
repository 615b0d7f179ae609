//! Statuses and their texts.

use std::ffi::{CStr, c_char};

/// The result of a function. 0 is success. Above 0 is a refusal: the request is not allowed, or a
/// cost could not be recorded. Below 0 is an error: see the introduction of this header. A number
/// never changes its meaning. Later versions may add numbers.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum tollgate_status {
    /// Success. For a request: allowed, and charged under every policy except one that lets new keys
    /// pass uncounted and a dry run without room.
    TOLLGATE_OK = 0,
    /// A policy has no room now. The decision has the wait. HTTP status 429.
    TOLLGATE_DENIED = 1,
    /// A charge costs more than its limit, for example than a limit of 0. So no wait helps.
    TOLLGATE_IMPOSSIBLE = 2,
    /// A table has no room for a new key: the table is full, or memory for more keys could not be
    /// allocated. A known key gets this status too if the memory of its table has become too old to
    /// record the time, and new memory could not be allocated.
    TOLLGATE_TABLE_FULL = 3,
    /// A required pointer is NULL.
    TOLLGATE_E_NULL = -1,
    /// A handle is of the wrong kind, was freed, or is not aligned; or memory that is passed as a
    /// reservation or an open session is not one. A copy of a session is not one.
    TOLLGATE_E_HANDLE = -2,
    /// An argument is not valid, for example an unknown enum value or `struct_size`, a reserved field
    /// that is not 0, a wrong length, or a pointer that is not aligned.
    TOLLGATE_E_ARGUMENT = -3,
    /// A policy is not of this limiter.
    TOLLGATE_E_POLICY = -4,
    /// Too many charges, more than 16 in a request or 8 in a reservation; or more than 8 parts of a key.
    TOLLGATE_E_TOO_MANY = -5,
    /// The reservation is already settled or cancelled.
    TOLLGATE_E_CLOSED = -6,
    /// The reservation was made by another limiter.
    TOLLGATE_E_FOREIGN = -7,
    /// The number of amounts is not the number of charges of the reservation.
    TOLLGATE_E_AMOUNTS = -8,
    /// The buffer is too small. `*length` is the length of the whole text, without its NUL.
    TOLLGATE_E_BUFFER = -9,
    /// The session was begun by another thread.
    TOLLGATE_E_THREAD = -10,
    /// Out of memory.
    TOLLGATE_E_NO_MEMORY = -11,
    /// The system could not start a thread.
    TOLLGATE_E_SYSTEM = -12,
    /// The number of policies must be from 1 to 16.
    TOLLGATE_E_POLICIES = -20,
    /// A name must be 1 to 64 printable ASCII characters, and a unit must be UTF-8.
    TOLLGATE_E_NAME = -21,
    /// Two policies have the same name.
    TOLLGATE_E_DUPLICATE_NAME = -22,
    /// A limit must be from 0 to 2^40.
    TOLLGATE_E_LIMIT = -23,
    /// A `max_limit` must be from the limit to 2^40, and a new limit at most `max_limit`.
    TOLLGATE_E_MAX_LIMIT = -24,
    /// A window must be from 1 millisecond to 400 days.
    TOLLGATE_E_WINDOW = -25,
    /// The number of buckets must be from 2 to 127.
    TOLLGATE_E_BUCKETS = -26,
    /// An offset must be within 18 hours of UTC.
    TOLLGATE_E_OFFSET = -27,
    /// `max_keys` must be at least 1.
    TOLLGATE_E_MAX_KEYS = -28,
    /// An allowance must be from 1 to `max_limit`, or 1 if that is 0.
    TOLLGATE_E_ALLOWANCE = -29,
    /// Another configuration error. The message names it.
    TOLLGATE_E_CONFIG = -30,
    /// `max_bytes` is too small for a table with one key. The message has the least number.
    TOLLGATE_E_MAX_BYTES = -31,
    /// The text is not a valid policy file. The message has the line and column, and what is wrong there.
    TOLLGATE_E_POLICY_FILE = -32,
    /// A panic inside the library, which was caught: a bug of tollgate. The call may have charged its
    /// request.
    TOLLGATE_E_PANIC = -100,
}

use tollgate_status::*;

impl tollgate_status {
    /// All statuses.
    pub(crate) const ALL: [tollgate_status; 30] = [
        TOLLGATE_OK,
        TOLLGATE_DENIED,
        TOLLGATE_IMPOSSIBLE,
        TOLLGATE_TABLE_FULL,
        TOLLGATE_E_NULL,
        TOLLGATE_E_HANDLE,
        TOLLGATE_E_ARGUMENT,
        TOLLGATE_E_POLICY,
        TOLLGATE_E_TOO_MANY,
        TOLLGATE_E_CLOSED,
        TOLLGATE_E_FOREIGN,
        TOLLGATE_E_AMOUNTS,
        TOLLGATE_E_BUFFER,
        TOLLGATE_E_THREAD,
        TOLLGATE_E_NO_MEMORY,
        TOLLGATE_E_SYSTEM,
        TOLLGATE_E_POLICIES,
        TOLLGATE_E_NAME,
        TOLLGATE_E_DUPLICATE_NAME,
        TOLLGATE_E_LIMIT,
        TOLLGATE_E_MAX_LIMIT,
        TOLLGATE_E_WINDOW,
        TOLLGATE_E_BUCKETS,
        TOLLGATE_E_OFFSET,
        TOLLGATE_E_MAX_KEYS,
        TOLLGATE_E_ALLOWANCE,
        TOLLGATE_E_CONFIG,
        TOLLGATE_E_MAX_BYTES,
        TOLLGATE_E_POLICY_FILE,
        TOLLGATE_E_PANIC,
    ];

    /// Returns whether this is an error.
    pub(crate) fn is_error(self) -> bool {
        (self as i32) < 0
    }

    /// Returns the text of the status.
    pub(crate) fn text(self) -> &'static CStr {
        match self {
            TOLLGATE_OK => c"ok",
            TOLLGATE_DENIED => c"denied: a policy has no room now",
            TOLLGATE_IMPOSSIBLE => c"impossible: the charge costs more than its limit",
            TOLLGATE_TABLE_FULL => c"the table has no room for the key",
            TOLLGATE_E_NULL => c"a required pointer is NULL",
            TOLLGATE_E_HANDLE => c"not a live handle of this kind",
            TOLLGATE_E_ARGUMENT => {
                c"an argument is not valid, for example unknown to this version or not aligned"
            }
            TOLLGATE_E_POLICY => c"not a policy of this limiter",
            TOLLGATE_E_TOO_MANY => c"too many charges, or parts of a key",
            TOLLGATE_E_CLOSED => c"the reservation is already settled or cancelled",
            TOLLGATE_E_FOREIGN => c"the reservation was made by another limiter",
            TOLLGATE_E_AMOUNTS => c"there must be one amount for each charge of the reservation",
            TOLLGATE_E_BUFFER => c"the buffer is too small",
            TOLLGATE_E_THREAD => c"the session was begun by another thread",
            TOLLGATE_E_NO_MEMORY => c"out of memory",
            TOLLGATE_E_SYSTEM => c"the system could not start a thread",
            TOLLGATE_E_POLICIES => c"a limiter needs 1 to 16 policies",
            TOLLGATE_E_NAME => {
                c"a name must be 1 to 64 printable ASCII characters, and a unit UTF-8"
            }
            TOLLGATE_E_DUPLICATE_NAME => c"two policies have the same name",
            TOLLGATE_E_LIMIT => c"a limit must be from 0 to 2^40",
            TOLLGATE_E_MAX_LIMIT => {
                c"max_limit must be from the limit to 2^40, and a new limit at most max_limit"
            }
            TOLLGATE_E_WINDOW => c"a window must be from 1 ms to 400 days",
            TOLLGATE_E_BUCKETS => c"buckets must be from 2 to 127",
            TOLLGATE_E_OFFSET => c"an offset must be within 18 hours of UTC",
            TOLLGATE_E_MAX_KEYS => c"max_keys must be at least 1",
            TOLLGATE_E_ALLOWANCE => c"an allowance must be from 1 to max_limit",
            TOLLGATE_E_CONFIG => c"the configuration is not valid",
            TOLLGATE_E_MAX_BYTES => c"max_bytes is too small for a table with one key",
            TOLLGATE_E_POLICY_FILE => c"the text is not a valid policy file",
            TOLLGATE_E_PANIC => c"a panic inside the library: a bug of tollgate",
        }
    }
}

/// Returns the text of a status. The text is static. It is never NULL, also for an unknown number.
#[unsafe(no_mangle)]
pub extern "C" fn tollgate_strerror(status: i32) -> *const c_char {
    let found = tollgate_status::ALL.into_iter().find(|known| *known as i32 == status);
    found.map_or(c"an unknown status", tollgate_status::text).as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_own_text() {
        for status in tollgate_status::ALL {
            // SAFETY: a static NUL-terminated text.
            let text = unsafe { CStr::from_ptr(tollgate_strerror(status as i32)) };
            assert_eq!(text, status.text());
            let others = tollgate_status::ALL.into_iter().filter(|other| *other != status);
            assert!(
                others.clone().all(|other| other.text() != text && other as i32 != status as i32)
            );
        }
        // SAFETY: as above.
        assert_eq!(unsafe { CStr::from_ptr(tollgate_strerror(12_345)) }, c"an unknown status");
    }
}
